EXTRA_DIST += %D%/path_fuzz.c %D%/host_fuzz.c
EXTRA_DIST += %D%/corpus/path/encoded_semicolon %D%/corpus/path/0 %D%/corpus/path/0_kept %D%/corpus/path/1 %D%/corpus/path/1_kept %D%/corpus/path/2 %D%/corpus/path/2_kept %D%/corpus/path/3 %D%/corpus/path/3_kept %D%/corpus/path/4 %D%/corpus/path/4_kept %D%/corpus/path/5 %D%/corpus/path/5_kept %D%/corpus/path/6 %D%/corpus/path/6_kept %D%/corpus/path/7 %D%/corpus/path/7_kept
EXTRA_DIST += %D%/corpus/host/name %D%/corpus/host/v4 %D%/corpus/host/v6 %D%/corpus/host/number %D%/corpus/host/patterns %D%/corpus/host/exact %D%/corpus/host/mixed
if FUZZERS
noinst_PROGRAMS += tests/fuzz/path_fuzz
FUZZ_TARGETS += tests/fuzz/path_fuzz
tests_fuzz_path_fuzz_SOURCES = %D%/path_fuzz.c
tests_fuzz_path_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_path_fuzz_LDADD = libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/host_fuzz
FUZZ_TARGETS += tests/fuzz/host_fuzz
tests_fuzz_host_fuzz_SOURCES = %D%/host_fuzz.c
tests_fuzz_host_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_host_fuzz_LDADD = libhttp.a libbase.a
endif
