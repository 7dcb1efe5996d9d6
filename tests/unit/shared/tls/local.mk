EXTRA_DIST += %D%/make_pki.py
EXTRA_DIST += %D%/hello_build.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/tls/cert_test
TESTS += tests/unit/shared/tls/cert_test
tests_unit_shared_tls_cert_test_SOURCES = %D%/cert_test.c
tests_unit_shared_tls_cert_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_cert_test_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/tls/hello_test
TESTS += tests/unit/shared/tls/hello_test
tests_unit_shared_tls_hello_test_SOURCES = %D%/hello_test.c
tests_unit_shared_tls_hello_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_hello_test_LDADD = libtls.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/tls/keys_test
TESTS += tests/unit/shared/tls/keys_test
tests_unit_shared_tls_keys_test_SOURCES = %D%/keys_test.c
tests_unit_shared_tls_keys_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_keys_test_LDADD = libtls.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/tls/library_test
TESTS += tests/unit/shared/tls/library_test
tests_unit_shared_tls_library_test_SOURCES = %D%/library_test.c %D%/loop.c %D%/loop.h %D%/pki.h
tests_unit_shared_tls_library_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_library_test_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS) $(CMOCKA_LIBS)
endif
