EXTRA_DIST += %D%/hello_fuzz.c %D%/proxy_header_fuzz.c %D%/peer_name_fuzz.c
if FUZZERS
noinst_PROGRAMS += tests/fuzz/hello_fuzz
FUZZ_TARGETS += tests/fuzz/hello_fuzz
tests_fuzz_hello_fuzz_SOURCES = %D%/hello_fuzz.c
tests_fuzz_hello_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_hello_fuzz_LDADD = libtls.a libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/proxy_header_fuzz
FUZZ_TARGETS += tests/fuzz/proxy_header_fuzz
tests_fuzz_proxy_header_fuzz_SOURCES = %D%/proxy_header_fuzz.c
tests_fuzz_proxy_header_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_proxy_header_fuzz_LDADD = libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/peer_name_fuzz
FUZZ_TARGETS += tests/fuzz/peer_name_fuzz
tests_fuzz_peer_name_fuzz_SOURCES = %D%/peer_name_fuzz.c
tests_fuzz_peer_name_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_peer_name_fuzz_LDADD = libtls.a libbase.a
endif
