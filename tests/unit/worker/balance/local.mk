if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/balance/balance_test
TESTS += tests/unit/worker/balance/balance_test
tests_unit_worker_balance_balance_test_SOURCES = %D%/balance_test.c
tests_unit_worker_balance_balance_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_balance_balance_test_LDADD = libwbalance.a libbase.a $(CMOCKA_LIBS)
endif
