if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/http/field_test
TESTS += tests/unit/shared/http/field_test
tests_unit_shared_http_field_test_SOURCES = %D%/field_test.c
tests_unit_shared_http_field_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_http_field_test_LDADD = libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/http/host_test
TESTS += tests/unit/shared/http/host_test
tests_unit_shared_http_host_test_SOURCES = %D%/host_test.c
tests_unit_shared_http_host_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_http_host_test_LDADD = libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/http/proxy_header_test
TESTS += tests/unit/shared/http/proxy_header_test
tests_unit_shared_http_proxy_header_test_SOURCES = %D%/proxy_header_test.c
tests_unit_shared_http_proxy_header_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_http_proxy_header_test_LDADD = libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/http/uri_test
TESTS += tests/unit/shared/http/uri_test
tests_unit_shared_http_uri_test_SOURCES = %D%/uri_test.c
tests_unit_shared_http_uri_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_http_uri_test_LDADD = libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/http/websocket_test
TESTS += tests/unit/shared/http/websocket_test
tests_unit_shared_http_websocket_test_SOURCES = %D%/websocket_test.c
tests_unit_shared_http_websocket_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_http_websocket_test_LDADD = libhttp.a libbase.a $(CMOCKA_LIBS)
endif
