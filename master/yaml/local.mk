noinst_LIBRARIES += libyamltree.a
libyamltree_a_SOURCES = \
	%D%/diag.c %D%/diag.h \
	%D%/node.c %D%/node.h \
	%D%/parse.h
