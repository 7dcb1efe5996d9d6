EXTRA_DIST += %D%/corpus/config
if FUZZERS
noinst_PROGRAMS += tests/fuzz/config_fuzz
FUZZ_TARGETS += tests/fuzz/config_fuzz
tests_fuzz_config_fuzz_SOURCES = %D%/config_fuzz.c
tests_fuzz_config_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_config_fuzz_LDADD = libcompile.a liblower.a libmodel.a libstore.a libkinds.a libyamltree.a libsnap.a libregex.a libhttp.a libtls.a libbase.a \
	$(YAML_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS)
endif
