if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/lower/istio_lower_test
TESTS += tests/unit/master/lower/istio_lower_test
tests_unit_master_lower_istio_lower_test_SOURCES = %D%/istio_lower_test.c
tests_unit_master_lower_istio_lower_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_lower_istio_lower_test_LDADD = liblower.a libmodel.a libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a \
	$(YAML_LIBS) $(PCRE2_LIBS) $(CMOCKA_LIBS)
endif
