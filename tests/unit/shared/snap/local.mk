EXTRA_DIST += tests/unit/master/compile/sample.h
if HAVE_CMOCKA
SNAP_TEST_LIBS = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a $(CMOCKA_LIBS) $(PCRE2_LIBS)
check_PROGRAMS += tests/unit/shared/snap/open_test tests/unit/shared/snap/route_test
TESTS += tests/unit/shared/snap/open_test tests/unit/shared/snap/route_test
tests_unit_shared_snap_open_test_SOURCES = %D%/open_test.c
tests_unit_shared_snap_open_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_snap_open_test_LDADD = $(SNAP_TEST_LIBS)
tests_unit_shared_snap_route_test_SOURCES = %D%/route_test.c
tests_unit_shared_snap_route_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_snap_route_test_LDADD = $(SNAP_TEST_LIBS)
endif
