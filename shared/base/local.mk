noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	%D%/arena.c %D%/arena.h %D%/base.c %D%/base.h %D%/clock.c %D%/clock.h %D%/err.c %D%/err.def \
	%D%/err.h %D%/hash.c %D%/hash.h %D%/list.h %D%/log.c %D%/log.h %D%/sha256.c %D%/sha256.h %D%/str.c %D%/str.h %D%/utf8.c \
	%D%/utf8.h %D%/wide.h
EXTRA_DIST += %D%/README.md
