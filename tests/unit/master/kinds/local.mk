if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/kinds/gapi_kinds_test
TESTS += tests/unit/master/kinds/gapi_kinds_test
tests_unit_master_kinds_gapi_kinds_test_SOURCES = %D%/gapi_kinds_test.c
tests_unit_master_kinds_gapi_kinds_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_kinds_gapi_kinds_test_LDADD = libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/kinds/istio_kinds_test
TESTS += tests/unit/master/kinds/istio_kinds_test
tests_unit_master_kinds_istio_kinds_test_SOURCES = %D%/istio_kinds_test.c
tests_unit_master_kinds_istio_kinds_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_kinds_istio_kinds_test_LDADD = libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
endif
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/kinds/format_test
TESTS += tests/unit/master/kinds/format_test
tests_unit_master_kinds_format_test_SOURCES = %D%/format_test.c
tests_unit_master_kinds_format_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_kinds_format_test_LDADD = libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/kinds/schema_test
TESTS += tests/unit/master/kinds/schema_test
tests_unit_master_kinds_schema_test_SOURCES = %D%/schema_test.c
tests_unit_master_kinds_schema_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_kinds_schema_test_LDADD = libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/kinds/kinds_test
TESTS += tests/unit/master/kinds/kinds_test
tests_unit_master_kinds_kinds_test_SOURCES = %D%/kinds_test.c
tests_unit_master_kinds_kinds_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_kinds_kinds_test_LDADD = libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
endif
