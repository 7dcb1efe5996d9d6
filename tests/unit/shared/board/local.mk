if HAVE_CMOCKA
check_PROGRAMS += tests/unit/shared/board/board_test
TESTS += tests/unit/shared/board/board_test
tests_unit_shared_board_board_test_SOURCES = %D%/board_test.c
tests_unit_shared_board_board_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_board_board_test_LDADD = libboard.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/board/tickets_test
TESTS += tests/unit/shared/board/tickets_test
tests_unit_shared_board_tickets_test_SOURCES = %D%/tickets_test.c
tests_unit_shared_board_tickets_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_board_tickets_test_LDADD = libboard.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/shared/board/claims_test
TESTS += tests/unit/shared/board/claims_test
tests_unit_shared_board_claims_test_SOURCES = %D%/claims_test.c
tests_unit_shared_board_claims_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_shared_board_claims_test_LDADD = libboard.a libbase.a $(CMOCKA_LIBS) -lpthread
endif
