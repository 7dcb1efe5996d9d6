EXTRA_DIST += %D%/corpus/regex/api %D%/corpus/regex/mixed %D%/corpus/regex/escapes %D%/corpus/regex/bracket-colon
if FUZZERS
noinst_PROGRAMS += tests/fuzz/regex_fuzz
FUZZ_TARGETS += tests/fuzz/regex_fuzz
tests_fuzz_regex_fuzz_SOURCES = %D%/regex_fuzz.c
tests_fuzz_regex_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_regex_fuzz_LDADD = libregex.a libbase.a $(PCRE2_LIBS)
endif
