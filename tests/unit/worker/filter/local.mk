if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/filter/filter_test
TESTS += tests/unit/worker/filter/filter_test
tests_unit_worker_filter_filter_test_SOURCES = %D%/filter_test.c
tests_unit_worker_filter_filter_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_filter_filter_test_LDADD = libwfilter.a libwhttp.a libwnet.a libsnap.a libregex.a libtls.a libhttp.a \
	libboard.a libbase.a $(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) $(CMOCKA_LIBS)
endif
