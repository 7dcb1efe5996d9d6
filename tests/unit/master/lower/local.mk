if HAVE_CMOCKA
LOWER_TEST_LIBS = liblower.a libmodel.a libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libtls.a libbase.a \
	$(YAML_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/lower/istio_lower_test tests/unit/master/lower/precedence_test \
	tests/unit/master/lower/status_test tests/unit/master/lower/credential_test
TESTS += tests/unit/master/lower/istio_lower_test tests/unit/master/lower/precedence_test tests/unit/master/lower/status_test \
	tests/unit/master/lower/credential_test
tests_unit_master_lower_credential_test_SOURCES = %D%/credential_test.c
tests_unit_master_lower_credential_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_lower_credential_test_LDADD = $(LOWER_TEST_LIBS)
tests_unit_master_lower_istio_lower_test_SOURCES = %D%/istio_lower_test.c %D%/istio_world.h
tests_unit_master_lower_istio_lower_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_lower_istio_lower_test_LDADD = $(LOWER_TEST_LIBS)
tests_unit_master_lower_precedence_test_SOURCES = %D%/precedence_test.c
tests_unit_master_lower_precedence_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_lower_precedence_test_LDADD = $(LOWER_TEST_LIBS)
tests_unit_master_lower_status_test_SOURCES = %D%/status_test.c
tests_unit_master_lower_status_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_lower_status_test_LDADD = $(LOWER_TEST_LIBS)
endif
