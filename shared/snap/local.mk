noinst_LIBRARIES += libsnap.a
libsnap_a_SOURCES = \
	%D%/dump.c %D%/excerpt.c %D%/format.h %D%/open.c %D%/regexes.c %D%/route.c %D%/route.h %D%/slot.h %D%/snap.h \
	%D%/verify.c %D%/verify.h %D%/verify_match.c %D%/verify_tls.c
EXTRA_DIST += %D%/README.md
