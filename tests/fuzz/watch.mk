EXTRA_DIST += %D%/corpus/outside
EXTRA_DIST += %D%/corpus/watch/write %D%/corpus/watch/dirs %D%/corpus/watch/mixed %D%/corpus/watch/link-to-plain
if FUZZERS
noinst_PROGRAMS += tests/fuzz/watch_fuzz
FUZZ_TARGETS += tests/fuzz/watch_fuzz
tests_fuzz_watch_fuzz_SOURCES = %D%/watch_fuzz.c
tests_fuzz_watch_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_watch_fuzz_LDADD = libmaster.a libstore.a libkinds.a libyamltree.a libregex.a libhttp.a libbase.a $(YAML_LIBS) $(PCRE2_LIBS)
noinst_PROGRAMS += tests/fuzz/outside_fuzz
FUZZ_TARGETS += tests/fuzz/outside_fuzz
tests_fuzz_outside_fuzz_SOURCES = %D%/outside_fuzz.c
tests_fuzz_outside_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_outside_fuzz_LDADD = $(GATEHOUSE_LIBS)
endif
