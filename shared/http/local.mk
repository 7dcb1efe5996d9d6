noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = \
	%D%/field.c %D%/field.h %D%/field_lookup.h %D%/host.c %D%/host.h %D%/log_format.c %D%/log_format.h %D%/method.c %D%/method.h %D%/path.c %D%/proxy_header.c %D%/proxy_header.h %D%/status.c \
	%D%/status.h %D%/token.c %D%/token.h %D%/uri.c %D%/uri.h %D%/websocket.c %D%/websocket.h
EXTRA_DIST += %D%/README.md
