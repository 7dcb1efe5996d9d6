EXTRA_DIST += %D%/corpus/ipc/commit %D%/corpus/ipc/listener %D%/corpus/ipc/hello %D%/corpus/ipc/cut
if FUZZERS
noinst_PROGRAMS += tests/fuzz/ipc_fuzz
FUZZ_TARGETS += tests/fuzz/ipc_fuzz
tests_fuzz_ipc_fuzz_SOURCES = %D%/ipc_fuzz.c
tests_fuzz_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_ipc_fuzz_LDADD = libipc.a libbase.a
endif
