noinst_LIBRARIES += libwhttp.a
libwhttp_a_SOURCES = \
	%D%/codec.h \
	%D%/exchange.c %D%/exchange.h \
	%D%/head.c %D%/head.h \
	%D%/link.c %D%/link.h \
	%D%/live.c %D%/live.h \
	%D%/pipe.c %D%/pipe.h
EXTRA_DIST += %D%/README.md
