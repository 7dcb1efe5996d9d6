noinst_LIBRARIES += libyamltree.a
libyamltree_a_SOURCES = \
	%D%/build.c %D%/build.h \
	%D%/diag.c %D%/diag.h \
	%D%/events.c %D%/front.h \
	%D%/node.c %D%/node.h \
	%D%/number.c %D%/number.h \
	%D%/parse.c %D%/parse.h \
	%D%/quick.c \
	%D%/syntax.c
EXTRA_DIST += %D%/README.md
