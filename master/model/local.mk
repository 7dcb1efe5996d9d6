noinst_LIBRARIES += libmodel.a
libmodel_a_SOURCES = \
	%D%/model.h \
	%D%/model.c \
	%D%/check.c \
	%D%/dump.c \
	%D%/pem.c
EXTRA_DIST += %D%/README.md
