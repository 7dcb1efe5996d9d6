noinst_LIBRARIES += libwproxy.a
libwproxy_a_SOURCES = \
	%D%/access_line.c %D%/access_line.h %D%/access_log.c %D%/access_log.h \
	%D%/dataplane.h
