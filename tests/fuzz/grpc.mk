EXTRA_DIST += %D%/grpc_fuzz.c %D%/corpus/grpc/type %D%/corpus/grpc/base64 %D%/corpus/grpc/timeout
if FUZZERS
noinst_PROGRAMS += tests/fuzz/grpc_fuzz
FUZZ_TARGETS += tests/fuzz/grpc_fuzz
tests_fuzz_grpc_fuzz_SOURCES = %D%/grpc_fuzz.c
tests_fuzz_grpc_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_grpc_fuzz_LDADD = libwproxy.a libhttp.a libbase.a
endif
