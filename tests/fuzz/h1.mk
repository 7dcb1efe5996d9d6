EXTRA_DIST += %D%/h1_fuzz.h %D%/h1_slow.c %D%/h1_slow.h %D%/h1_request_fuzz.c %D%/h1_response_fuzz.c %D%/h1_chunked_fuzz.c
EXTRA_DIST += %D%/corpus/h1_request/expect_in_10 %D%/corpus/h1_request/browser %D%/corpus/h1_request/post_length %D%/corpus/h1_request/post_chunked %D%/corpus/h1_request/websocket %D%/corpus/h1_request/h2c %D%/corpus/h1_request/options %D%/corpus/h1_request/http10 %D%/corpus/h1_request/aliases %D%/corpus/h1_request/te_cl %D%/corpus/h1_request/folded %D%/corpus/h1_request/bare_lf %D%/corpus/h1_request/limits
EXTRA_DIST += %D%/corpus/h1_response/line_beyond_head %D%/corpus/h1_response/length %D%/corpus/h1_response/chunked %D%/corpus/h1_response/close %D%/corpus/h1_response/interim %D%/corpus/h1_response/switch %D%/corpus/h1_response/no_content %D%/corpus/h1_response/to_head %D%/corpus/h1_response/trailers %D%/corpus/h1_response/no_trailers
EXTRA_DIST += %D%/corpus/h1_chunked/plain %D%/corpus/h1_chunked/extensions %D%/corpus/h1_chunked/huge %D%/corpus/h1_chunked/bare_lf %D%/corpus/h1_chunked/no_crlf
if FUZZERS
noinst_PROGRAMS += tests/fuzz/h1_request_fuzz
FUZZ_TARGETS += tests/fuzz/h1_request_fuzz
tests_fuzz_h1_request_fuzz_SOURCES = %D%/h1_request_fuzz.c %D%/h1_fuzz.h %D%/h1_slow.c %D%/h1_slow.h
tests_fuzz_h1_request_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_h1_request_fuzz_LDADD = libwcodec.a libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/h1_response_fuzz
FUZZ_TARGETS += tests/fuzz/h1_response_fuzz
tests_fuzz_h1_response_fuzz_SOURCES = %D%/h1_response_fuzz.c %D%/h1_fuzz.h %D%/h1_slow.c %D%/h1_slow.h
tests_fuzz_h1_response_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_h1_response_fuzz_LDADD = libwcodec.a libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/h1_chunked_fuzz
FUZZ_TARGETS += tests/fuzz/h1_chunked_fuzz
tests_fuzz_h1_chunked_fuzz_SOURCES = %D%/h1_chunked_fuzz.c %D%/h1_fuzz.h %D%/h1_slow.c %D%/h1_slow.h
tests_fuzz_h1_chunked_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_h1_chunked_fuzz_LDADD = libwcodec.a libhttp.a libbase.a
endif
