EXTRA_DIST += %D%/child.h
WROOT_TEST_LIBS = libwroot.a libwproxy.a libwcodec.a libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libipc.a libboard.a \
	libtls.a libbase.a $(CMOCKA_LIBS) $(UV_LIBS) $(CARES_LIBS) $(SECCOMP_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS)
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/life_test tests/unit/worker/status_test tests/unit/worker/metrics_test \
	tests/unit/worker/scout_test tests/unit/worker/admin_http_test
TESTS += tests/unit/worker/life_test tests/unit/worker/status_test tests/unit/worker/metrics_test \
	tests/unit/worker/scout_test tests/unit/worker/admin_http_test
tests_unit_worker_life_test_SOURCES = %D%/life_test.c
tests_unit_worker_life_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_life_test_LDADD = $(WROOT_TEST_LIBS)
EXTRA_tests_unit_worker_life_test_DEPENDENCIES = gatehouse-worker$(EXEEXT)
tests_unit_worker_status_test_SOURCES = %D%/status_test.c
tests_unit_worker_status_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_status_test_LDADD = $(WROOT_TEST_LIBS)
tests_unit_worker_metrics_test_SOURCES = %D%/metrics_test.c
tests_unit_worker_metrics_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_metrics_test_LDADD = $(WROOT_TEST_LIBS)
tests_unit_worker_admin_http_test_SOURCES = %D%/admin_http_test.c
tests_unit_worker_admin_http_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_admin_http_test_LDADD = $(WROOT_TEST_LIBS)
tests_unit_worker_scout_test_SOURCES = %D%/scout_test.c
tests_unit_worker_scout_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_scout_test_LDADD = $(WROOT_TEST_LIBS)
EXTRA_tests_unit_worker_scout_test_DEPENDENCIES = gatehouse-worker$(EXEEXT)
endif
