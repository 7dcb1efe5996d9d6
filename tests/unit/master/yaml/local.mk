if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/yaml/parse_test
TESTS += tests/unit/master/yaml/parse_test
tests_unit_master_yaml_parse_test_SOURCES = %D%/parse_test.c
tests_unit_master_yaml_parse_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_yaml_parse_test_LDADD = libyamltree.a libbase.a $(YAML_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/yaml/quick_test
TESTS += tests/unit/master/yaml/quick_test
tests_unit_master_yaml_quick_test_SOURCES = %D%/quick_test.c
tests_unit_master_yaml_quick_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_yaml_quick_test_LDADD = libyamltree.a libbase.a $(YAML_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/yaml/diag_test
TESTS += tests/unit/master/yaml/diag_test
tests_unit_master_yaml_diag_test_SOURCES = %D%/diag_test.c
tests_unit_master_yaml_diag_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_yaml_diag_test_LDADD = libyamltree.a libbase.a $(YAML_LIBS) $(CMOCKA_LIBS)
endif
EXTRA_DIST += %D%/yaml_test.h
