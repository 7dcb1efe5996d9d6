noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = \
	%D%/ipc.h \
	%D%/text.c %D%/text.h
