if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/net/timer_test
TESTS += tests/unit/worker/net/timer_test
tests_unit_worker_net_timer_test_SOURCES = %D%/timer_test.c
tests_unit_worker_net_timer_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_net_timer_test_LDADD = libwnet.a libtls.a libhttp.a libboard.a libbase.a $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
check_PROGRAMS += tests/unit/worker/net/conn_test
TESTS += tests/unit/worker/net/conn_test
tests_unit_worker_net_conn_test_SOURCES = %D%/conn_test.c
tests_unit_worker_net_conn_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_net_conn_test_LDADD = libwnet.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
check_PROGRAMS += tests/unit/worker/net/listener_test
TESTS += tests/unit/worker/net/listener_test
tests_unit_worker_net_listener_test_SOURCES = %D%/listener_test.c
tests_unit_worker_net_listener_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_net_listener_test_LDADD = libwnet.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
check_PROGRAMS += tests/unit/worker/net/tls_test
TESTS += tests/unit/worker/net/tls_test
tests_unit_worker_net_tls_test_SOURCES = %D%/tls_test.c
tests_unit_worker_net_tls_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_net_tls_test_LDADD = libwnet.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
check_PROGRAMS += tests/unit/worker/net/udp_test
TESTS += tests/unit/worker/net/udp_test
tests_unit_worker_net_udp_test_SOURCES = %D%/udp_test.c
tests_unit_worker_net_udp_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_net_udp_test_LDADD = libwnet.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
endif
