include tests/unit/master/root.mk
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/build_test
TESTS += tests/unit/master/build_test
tests_unit_master_build_test_SOURCES = %D%/build_test.c
tests_unit_master_build_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_build_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/instance_test
TESTS += tests/unit/master/instance_test
tests_unit_master_instance_test_SOURCES = %D%/instance_test.c
tests_unit_master_instance_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_instance_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
endif
