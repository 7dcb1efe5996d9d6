EXTRA_DIST += tests/fuzz/corpus/log_format/a tests/fuzz/corpus/log_format/b tests/fuzz/corpus/log_format/c
if FUZZERS
noinst_PROGRAMS += tests/fuzz/log_format_fuzz
FUZZ_TARGETS += tests/fuzz/log_format_fuzz
tests_fuzz_log_format_fuzz_SOURCES = tests/fuzz/log_format_fuzz.c
tests_fuzz_log_format_fuzz_LDADD = libwproxy.a libhttp.a libbase.a $(UV_LIBS)
tests_fuzz_log_format_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
