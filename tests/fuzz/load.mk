EXTRA_DIST += %D%/corpus/load %D%/corpus/state
if FUZZERS
noinst_PROGRAMS += tests/fuzz/load_fuzz tests/fuzz/state_fuzz
FUZZ_TARGETS += tests/fuzz/load_fuzz tests/fuzz/state_fuzz
tests_fuzz_load_fuzz_SOURCES = %D%/load_fuzz.c
tests_fuzz_load_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_load_fuzz_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS)
tests_fuzz_state_fuzz_SOURCES = %D%/state_fuzz.c
tests_fuzz_state_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_state_fuzz_LDADD = libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS)
endif
