noinst_LIBRARIES += libkinds.a
libkinds_a_SOURCES = \
	%D%/format.c %D%/format.h \
	%D%/kinds.def %D%/kinds.h \
	%D%/schema.c %D%/schema.h \
	%D%/value.c %D%/value.h
