EXTRA_DIST += %D%/corpus/keys
if FUZZERS
noinst_PROGRAMS += tests/fuzz/keys_fuzz
FUZZ_TARGETS += tests/fuzz/keys_fuzz
tests_fuzz_keys_fuzz_SOURCES = %D%/keys_fuzz.c
tests_fuzz_keys_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_keys_fuzz_LDADD = libtls.a libbase.a
endif
