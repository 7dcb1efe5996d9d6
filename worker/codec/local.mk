noinst_LIBRARIES += libwcodec.a
libwcodec_a_SOURCES = \
	%D%/h1_chunked.c %D%/h1_client.c %D%/h1_client.h %D%/h1_error.c %D%/h1_error.def %D%/h1_frame.c \
	%D%/h1_internal.h %D%/h1_message.c %D%/h1_message.h %D%/h1_request.c %D%/h1_server.c %D%/h1_server.h %D%/h1_server_internal.h %D%/h1_parse.c \
	%D%/h1_parse.h %D%/h1_write.c %D%/h1_write.h
EXTRA_DIST += %D%/README.md
