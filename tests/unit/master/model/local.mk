if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/model/model_test
TESTS += tests/unit/master/model/model_test
tests_unit_master_model_model_test_SOURCES = %D%/model_test.c
tests_unit_master_model_model_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_model_model_test_LDADD = libmodel.a libbase.a $(CMOCKA_LIBS)
endif
