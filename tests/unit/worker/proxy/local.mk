if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/proxy/access_log_test
TESTS += tests/unit/worker/proxy/access_log_test
tests_unit_worker_proxy_access_log_test_SOURCES = %D%/access_log_test.c
tests_unit_worker_proxy_access_log_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_access_log_test_LDADD = libwproxy.a libhttp.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/proxy/retry_test
TESTS += tests/unit/worker/proxy/retry_test
tests_unit_worker_proxy_retry_test_SOURCES = %D%/retry_test.c
tests_unit_worker_proxy_retry_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_retry_test_LDADD = libwproxy.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/proxy/grpc_test
TESTS += tests/unit/worker/proxy/grpc_test
tests_unit_worker_proxy_grpc_test_SOURCES = %D%/grpc_test.c
tests_unit_worker_proxy_grpc_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_grpc_test_LDADD = libwproxy.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/proxy/generation_test
TESTS += tests/unit/worker/proxy/generation_test
tests_unit_worker_proxy_generation_test_SOURCES = %D%/generation_test.c
tests_unit_worker_proxy_generation_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_generation_test_LDADD = libcompile.a libmodel.a libwproxy.a libwupstream.a libwbalance.a libwfilter.a \
	libwcodec.a libwhttp.a libwnet.a libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a \
	$(CMOCKA_LIBS) $(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) -lm
check_PROGRAMS += tests/unit/worker/proxy/flow_table_test
TESTS += tests/unit/worker/proxy/flow_table_test
tests_unit_worker_proxy_flow_table_test_SOURCES = %D%/flow_table_test.c
tests_unit_worker_proxy_flow_table_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_proxy_flow_table_test_LDADD = libwproxy.a libbase.a $(CMOCKA_LIBS)
endif

# A worker without a master, for the tests beside it and for measurements.
check_PROGRAMS += tests/unit/worker/proxy/driver
tests_unit_worker_proxy_driver_SOURCES = %D%/driver.c %D%/driver_tls.c %D%/driver_tls.h
tests_unit_worker_proxy_driver_LDADD = libcompile.a libmodel.a libwproxy.a libwupstream.a libwbalance.a libwfilter.a \
	libwcodec.a libwhttp.a libwnet.a libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a \
	$(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) -lm
TESTS += tests/unit/worker/proxy/http_test.py tests/unit/worker/proxy/hostile_test.py tests/unit/worker/proxy/h2_test.py \
	tests/unit/worker/proxy/h2_hostile_test.py tests/unit/worker/proxy/h2_upstream_test.py tests/unit/worker/proxy/h2_tls_test.py \
	tests/unit/worker/proxy/grpc_wire_test.py tests/unit/worker/proxy/stream_test.py tests/unit/worker/proxy/datagram_test.py tests/unit/worker/proxy/tls_test.py
EXTRA_DIST += %D%/http_test.py %D%/hostile_test.py %D%/h2_test.py %D%/h2_hostile_test.py %D%/h2_upstream_test.py \
	%D%/h2_tls_test.py %D%/grpc_wire_test.py %D%/stream_test.py %D%/datagram_test.py %D%/tls_test.py %D%/wire.py %D%/h2_wire.py
