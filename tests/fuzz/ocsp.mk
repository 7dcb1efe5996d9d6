EXTRA_DIST += %D%/ocsp_fuzz.c
if FUZZERS
noinst_PROGRAMS += tests/fuzz/ocsp_fuzz
FUZZ_TARGETS += tests/fuzz/ocsp_fuzz
tests_fuzz_ocsp_fuzz_SOURCES = %D%/ocsp_fuzz.c
tests_fuzz_ocsp_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_ocsp_fuzz_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS)
endif
