noinst_LIBRARIES += libstore.a
libstore_a_SOURCES = \
	%D%/state.c %D%/state.h \
	%D%/store.c %D%/store.h
