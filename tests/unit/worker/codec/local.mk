if HAVE_CMOCKA
check_PROGRAMS += tests/unit/worker/codec/h1_parse_test
TESTS += tests/unit/worker/codec/h1_parse_test
tests_unit_worker_codec_h1_parse_test_SOURCES = %D%/h1_parse_test.c
tests_unit_worker_codec_h1_parse_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_codec_h1_parse_test_LDADD = libwcodec.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/codec/h1_chunked_test
TESTS += tests/unit/worker/codec/h1_chunked_test
tests_unit_worker_codec_h1_chunked_test_SOURCES = %D%/h1_chunked_test.c
tests_unit_worker_codec_h1_chunked_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_codec_h1_chunked_test_LDADD = libwcodec.a libhttp.a libbase.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/worker/codec/h1_write_test
TESTS += tests/unit/worker/codec/h1_write_test
tests_unit_worker_codec_h1_write_test_SOURCES = %D%/h1_write_test.c
tests_unit_worker_codec_h1_write_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_worker_codec_h1_write_test_LDADD = libwcodec.a libhttp.a libbase.a $(CMOCKA_LIBS)
endif
