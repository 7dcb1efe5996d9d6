if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/regex/regex_test
TESTS += tests/unit/shared/regex/regex_test
tests_unit_shared_regex_regex_test_SOURCES = %D%/regex_test.c
tests_unit_shared_regex_regex_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_regex_regex_test_LDADD = libregex.a libbase.a $(CMOCKA_LIBS) $(PCRE2_LIBS)
endif
