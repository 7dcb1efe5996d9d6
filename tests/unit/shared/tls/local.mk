EXTRA_DIST += %D%/hello_build.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/tls/hello_test
TESTS += tests/unit/shared/tls/hello_test
tests_unit_shared_tls_hello_test_SOURCES = %D%/hello_test.c
tests_unit_shared_tls_hello_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_hello_test_LDADD = libtls.a libhttp.a libbase.a $(CMOCKA_LIBS)
endif
