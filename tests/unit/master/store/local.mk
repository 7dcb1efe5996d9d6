if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/store/state_test
TESTS += tests/unit/master/store/state_test
tests_unit_master_store_state_test_SOURCES = %D%/state_test.c
tests_unit_master_store_state_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_store_state_test_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/store/store_test
TESTS += tests/unit/master/store/store_test
tests_unit_master_store_store_test_SOURCES = %D%/store_test.c
tests_unit_master_store_store_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_store_store_test_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/store/load_test
TESTS += tests/unit/master/store/load_test
tests_unit_master_store_load_test_SOURCES = %D%/load_test.c
tests_unit_master_store_load_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_store_load_test_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/store/files_test
TESTS += tests/unit/master/store/files_test
tests_unit_master_store_files_test_SOURCES = %D%/files_test.c
tests_unit_master_store_files_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_store_files_test_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/store/outside_test
TESTS += tests/unit/master/store/outside_test
tests_unit_master_store_outside_test_SOURCES = %D%/outside_test.c
tests_unit_master_store_outside_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_store_outside_test_LDADD = libstore.a libbase.a $(CMOCKA_LIBS)
endif
EXTRA_DIST += %D%/load_test.h
