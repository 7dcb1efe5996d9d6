noinst_LIBRARIES += libwproxy.a
libwproxy_a_SOURCES = \
	%D%/access_line.c %D%/access_line.h %D%/access_log.c %D%/access_log.h \
	%D%/account.c %D%/bridge.c %D%/datagram.c %D%/datagram.h %D%/dataplane.c %D%/dataplane.h \
	%D%/flow_table.c %D%/flow_table.h %D%/front.c %D%/front.h %D%/generation.c %D%/generation.h %D%/grpc.c %D%/grpc.h \
	%D%/grpc_web.c %D%/grpc_web.h %D%/http.c %D%/http.h \
	%D%/letgo.c %D%/reply.c %D%/retry.c %D%/retry.h %D%/stream.c %D%/stream.h %D%/tally.c %D%/tally.h %D%/try.c
EXTRA_DIST += %D%/README.md
