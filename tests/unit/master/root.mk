# Of the files in the root of master/ that run without a loader.
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/listen_test
TESTS += tests/unit/master/listen_test
tests_unit_master_listen_test_SOURCES = %D%/listen_test.c
tests_unit_master_listen_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_listen_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/notify_test
TESTS += tests/unit/master/notify_test
tests_unit_master_notify_test_SOURCES = %D%/notify_test.c
tests_unit_master_notify_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_notify_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/settings_test
TESTS += tests/unit/master/settings_test
tests_unit_master_settings_test_SOURCES = %D%/settings_test.c
tests_unit_master_settings_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_settings_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/settle_test
TESTS += tests/unit/master/settle_test
tests_unit_master_settle_test_SOURCES = %D%/settle_test.c
tests_unit_master_settle_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_settle_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/state_test
TESTS += tests/unit/master/state_test
tests_unit_master_state_test_SOURCES = %D%/state_test.c
tests_unit_master_state_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_state_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
check_PROGRAMS += tests/unit/master/supervise_test
TESTS += tests/unit/master/supervise_test
tests_unit_master_supervise_test_SOURCES = %D%/supervise_test.c
tests_unit_master_supervise_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_supervise_test_LDADD = $(GATEHOUSE_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/master/watch_test
TESTS += tests/unit/master/watch_test
tests_unit_master_watch_test_SOURCES = %D%/watch_test.c
tests_unit_master_watch_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_watch_test_LDADD = libmaster.a libipc.a libboard.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(SYSTEMD_LIBS)
endif
