noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%D%/files.c %D%/files.h \
	%D%/load.c %D%/load.h \
	%D%/outside.c %D%/outside.h \
	%D%/state.c %D%/state.h \
	%D%/store.c %D%/store.h
EXTRA_DIST += %D%/README.md
