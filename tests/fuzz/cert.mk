EXTRA_DIST += %D%/cert_fuzz.c
if FUZZERS
noinst_PROGRAMS += tests/fuzz/cert_fuzz
FUZZ_TARGETS += tests/fuzz/cert_fuzz
tests_fuzz_cert_fuzz_SOURCES = %D%/cert_fuzz.c
tests_fuzz_cert_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_cert_fuzz_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS)
endif
