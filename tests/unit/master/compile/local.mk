if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/compile/compile_test
TESTS += tests/unit/master/compile/compile_test
tests_unit_master_compile_compile_test_SOURCES = %D%/compile_test.c
tests_unit_master_compile_compile_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_compile_compile_test_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a \
	$(CMOCKA_LIBS) $(PCRE2_LIBS)
endif
