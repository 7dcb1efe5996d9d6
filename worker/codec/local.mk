noinst_LIBRARIES += libwcodec.a
libwcodec_a_SOURCES = \
	%D%/h1_chunked.c %D%/h1_client.c %D%/h1_client.h %D%/h1_error.c %D%/h1_error.def %D%/h1_frame.c \
	%D%/h1_internal.h %D%/h1_message.c %D%/h1_message.h %D%/h1_request.c %D%/h1_server.c %D%/h1_server.h %D%/h1_server_internal.h %D%/h1_parse.c \
	%D%/h1_parse.h %D%/h1_write.c %D%/h1_write.h \
	%D%/h2_budget.c %D%/h2_budget.h %D%/h2_client.c %D%/h2_client.h %D%/h2_frames.c %D%/h2_frames.h %D%/h2_glitch.def %D%/h2_head.c %D%/h2_head.h \
	%D%/h2_hpack.c %D%/h2_hpack.h %D%/h2_memo.h %D%/h2_internal.h %D%/h2_send.c %D%/h2_server.c %D%/h2_server.h %D%/h2_session.c %D%/h2_session.h \
	%D%/h2_stream.c %D%/hpack.c %D%/hpack.h %D%/hpack_code.def %D%/hpack_huffman.c %D%/hpack_static.def
EXTRA_DIST += %D%/README.md
