if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/ctl/client_test
TESTS += tests/unit/master/ctl/client_test
tests_unit_master_ctl_client_test_SOURCES = %D%/client_test.c
tests_unit_master_ctl_client_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_ctl_client_test_LDADD = libctl.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/ctl/diff_test
TESTS += tests/unit/master/ctl/diff_test
tests_unit_master_ctl_diff_test_SOURCES = %D%/diff_test.c
tests_unit_master_ctl_diff_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_ctl_diff_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/ctl/explain_test
TESTS += tests/unit/master/ctl/explain_test
tests_unit_master_ctl_explain_test_SOURCES = %D%/explain_test.c
tests_unit_master_ctl_explain_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_ctl_explain_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/ctl/ctl_test
TESTS += tests/unit/master/ctl/ctl_test
tests_unit_master_ctl_ctl_test_SOURCES = %D%/ctl_test.c
tests_unit_master_ctl_ctl_test_CPPFLAGS = $(AM_CPPFLAGS) -DTOP_SRCDIR='"$(abs_top_srcdir)"'
tests_unit_master_ctl_ctl_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_ctl_ctl_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
EXTRA_tests_unit_master_ctl_ctl_test_DEPENDENCIES = gatehouse-worker$(EXEEXT) gatehouse$(EXEEXT)
endif
