noinst_LIBRARIES += liblower.a
liblower_a_SOURCES = \
	%D%/backend.c \
	%D%/lower.c %D%/lower.h \
	%D%/merge.c \
	%D%/precedence.c
