if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/http/head_test
TESTS += tests/unit/worker/http/head_test
tests_unit_worker_http_head_test_SOURCES = %D%/head_test.c
tests_unit_worker_http_head_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_http_head_test_LDADD = libwhttp.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/http/pipe_test
TESTS += tests/unit/worker/http/pipe_test
tests_unit_worker_http_pipe_test_SOURCES = %D%/pipe_test.c
tests_unit_worker_http_pipe_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_http_pipe_test_LDADD = libwhttp.a libwnet.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(CMOCKA_LIBS) $(WOLFSSL_LIBS)
endif
