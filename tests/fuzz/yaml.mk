EXTRA_DIST += %D%/corpus/yaml
if FUZZERS
noinst_PROGRAMS += tests/fuzz/yaml_fuzz
FUZZ_TARGETS += tests/fuzz/yaml_fuzz
tests_fuzz_yaml_fuzz_SOURCES = %D%/yaml_fuzz.c
tests_fuzz_yaml_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_yaml_fuzz_LDADD = libyamltree.a libbase.a $(YAML_LIBS)
endif
