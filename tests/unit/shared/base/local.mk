if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/base/arena_test
TESTS += tests/unit/shared/base/arena_test
tests_unit_shared_base_arena_test_SOURCES = %D%/arena_test.c
tests_unit_shared_base_arena_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_base_arena_test_LDADD = libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/base/clock_test
TESTS += tests/unit/shared/base/clock_test
tests_unit_shared_base_clock_test_SOURCES = %D%/clock_test.c
tests_unit_shared_base_clock_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_base_clock_test_LDADD = libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/base/hash_test
TESTS += tests/unit/shared/base/hash_test
tests_unit_shared_base_hash_test_SOURCES = %D%/hash_test.c
tests_unit_shared_base_hash_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_base_hash_test_LDADD = libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/base/log_test
TESTS += tests/unit/shared/base/log_test
tests_unit_shared_base_log_test_SOURCES = %D%/log_test.c
tests_unit_shared_base_log_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_base_log_test_LDADD = libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/base/str_test
TESTS += tests/unit/shared/base/str_test
tests_unit_shared_base_str_test_SOURCES = %D%/str_test.c
tests_unit_shared_base_str_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_base_str_test_LDADD = libbase.a $(CMOCKA_LIBS)
endif
EXTRA_DIST += %D%/base_test.h
