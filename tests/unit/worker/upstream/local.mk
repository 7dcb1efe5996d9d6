if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/upstream/upstream_test
TESTS += tests/unit/worker/upstream/upstream_test
tests_unit_worker_upstream_upstream_test_SOURCES = %D%/upstream_test.c
tests_unit_worker_upstream_upstream_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_upstream_upstream_test_LDADD = libcompile.a libmodel.a libwupstream.a libwbalance.a libwcodec.a libwhttp.a \
	libwnet.a libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) $(CMOCKA_LIBS) -lm
endif
