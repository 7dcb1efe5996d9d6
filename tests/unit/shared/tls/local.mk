EXTRA_DIST += %D%/make_pki.py
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/tls/library_test
TESTS += tests/unit/shared/tls/library_test
tests_unit_shared_tls_library_test_SOURCES = %D%/library_test.c %D%/loop.c %D%/loop.h %D%/pki.h
tests_unit_shared_tls_library_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_tls_library_test_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS) $(CMOCKA_LIBS)
endif
