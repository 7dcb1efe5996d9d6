if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/proxy/access_log_test
TESTS += tests/unit/worker/proxy/access_log_test
tests_unit_worker_proxy_access_log_test_SOURCES = %D%/access_log_test.c
tests_unit_worker_proxy_access_log_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_access_log_test_LDADD = libwproxy.a libhttp.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS)
endif
