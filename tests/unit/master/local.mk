if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/settle_test
TESTS += tests/unit/master/settle_test
tests_unit_master_settle_test_SOURCES = %D%/settle_test.c
tests_unit_master_settle_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_settle_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/watch_test
TESTS += tests/unit/master/watch_test
tests_unit_master_watch_test_SOURCES = %D%/watch_test.c
tests_unit_master_watch_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_watch_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/build_test
TESTS += tests/unit/master/build_test
tests_unit_master_build_test_SOURCES = %D%/build_test.c
tests_unit_master_build_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_build_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/listen_test
TESTS += tests/unit/master/listen_test
tests_unit_master_listen_test_SOURCES = %D%/listen_test.c
tests_unit_master_listen_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_listen_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
endif
