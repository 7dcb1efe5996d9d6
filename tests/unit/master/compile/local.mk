if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/compile/compile_test
TESTS += tests/unit/master/compile/compile_test
tests_unit_master_compile_compile_test_SOURCES = %D%/compile_test.c
tests_unit_master_compile_compile_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_compile_compile_test_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libtls.a libbase.a \
	$(CMOCKA_LIBS) $(PCRE2_LIBS)
check_PROGRAMS += tests/unit/master/compile/oom_test
TESTS += tests/unit/master/compile/oom_test
tests_unit_master_compile_oom_test_SOURCES = %D%/oom_test.c
tests_unit_master_compile_oom_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_compile_oom_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
tests_unit_master_compile_oom_test_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a \
	$(CMOCKA_LIBS) $(PCRE2_LIBS)
endif
