noinst_LIBRARIES += libwnet.a
libwnet_a_SOURCES = \
	%D%/chunk.c %D%/chunk.h \
	%D%/conn.c %D%/conn.h \
	%D%/listener.c %D%/listener.h \
	%D%/net.c %D%/net.h %D%/outq.h \
	%D%/slab.c %D%/slab.h \
	%D%/splice.c %D%/splice.h \
	%D%/timer.c %D%/timer.h
EXTRA_DIST += %D%/README.md
