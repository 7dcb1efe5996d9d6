EXTRA_DIST += %D%/corpus/json
if FUZZERS
noinst_PROGRAMS += tests/fuzz/json_fuzz
FUZZ_TARGETS += tests/fuzz/json_fuzz
tests_fuzz_json_fuzz_SOURCES = %D%/json_fuzz.c
tests_fuzz_json_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_json_fuzz_LDADD = liblower.a libbase.a
endif
