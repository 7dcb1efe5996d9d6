noinst_LIBRARIES += libwnet.a
libwnet_a_SOURCES = \
	%D%/chunk.c %D%/chunk.h \
	%D%/conn.c %D%/conn.h %D%/conn_begin.c %D%/conn_internal.h %D%/conn_tls.c \
	%D%/gather.c %D%/gather.h \
	%D%/listener.c %D%/listener.h \
	%D%/net.c %D%/net.h %D%/outq.h \
	%D%/slab.c %D%/slab.h \
	%D%/splice.c %D%/splice.h \
	%D%/timer.c %D%/timer.h \
	%D%/tls.c %D%/tls.h %D%/tls_internal.h %D%/tls_context.c %D%/tls_context.h %D%/tls_ticket.c %D%/tls_verify.c \
	%D%/turn.c \
	%D%/udp.c %D%/udp.h
EXTRA_DIST += %D%/README.md
