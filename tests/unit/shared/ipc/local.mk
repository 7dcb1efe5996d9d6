if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/ipc/text_test
TESTS += tests/unit/shared/ipc/text_test
tests_unit_shared_ipc_text_test_SOURCES = %D%/text_test.c
tests_unit_shared_ipc_text_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_ipc_text_test_LDADD = libipc.a libbase.a $(CMOCKA_LIBS)
endif
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/ipc/ipc_test
TESTS += tests/unit/shared/ipc/ipc_test
tests_unit_shared_ipc_ipc_test_SOURCES = %D%/ipc_test.c
tests_unit_shared_ipc_ipc_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_ipc_ipc_test_LDADD = libipc.a libbase.a $(CMOCKA_LIBS)
endif
