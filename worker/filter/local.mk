noinst_LIBRARIES += libwfilter.a
libwfilter_a_SOURCES = \
	%D%/filter.h \
	%D%/expand.c \
	%D%/filter.c \
	%D%/forward.c \
	%D%/header.c \
	%D%/peer.c %D%/peer.h \
	%D%/redirect.c \
	%D%/rewrite.c
EXTRA_DIST += %D%/README.md
