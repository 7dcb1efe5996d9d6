noinst_LIBRARIES += libregex.a
libregex_a_SOURCES = \
	%D%/prefix.c %D%/re2.c %D%/re2.h %D%/regex.c %D%/regex.h
EXTRA_DIST += %D%/README.md
