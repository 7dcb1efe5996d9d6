noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = \
	%D%/ipc.c %D%/ipc.h \
	%D%/text.c %D%/text.h
EXTRA_DIST += %D%/README.md
