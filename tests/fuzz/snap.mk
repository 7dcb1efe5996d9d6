EXTRA_DIST += %D%/model_gen.h %D%/corpus/compile %D%/corpus/route %D%/corpus/snap %D%/corpus/build
if FUZZERS
SNAP_FUZZ_LIBS = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a $(PCRE2_LIBS)
noinst_PROGRAMS += tests/fuzz/compile_fuzz tests/fuzz/route_fuzz tests/fuzz/snap_fuzz
FUZZ_TARGETS += tests/fuzz/compile_fuzz tests/fuzz/route_fuzz tests/fuzz/snap_fuzz
tests_fuzz_compile_fuzz_SOURCES = %D%/compile_fuzz.c
tests_fuzz_compile_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_compile_fuzz_LDADD = $(SNAP_FUZZ_LIBS)
tests_fuzz_route_fuzz_SOURCES = %D%/route_fuzz.c
tests_fuzz_route_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_route_fuzz_LDADD = $(SNAP_FUZZ_LIBS)
noinst_PROGRAMS += tests/fuzz/build_fuzz
FUZZ_TARGETS += tests/fuzz/build_fuzz
tests_fuzz_build_fuzz_SOURCES = %D%/build_fuzz.c
tests_fuzz_build_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_build_fuzz_LDADD = $(GATEHOUSE_LIBS)
tests_fuzz_snap_fuzz_SOURCES = %D%/snap_fuzz.c
tests_fuzz_snap_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_snap_fuzz_LDADD = $(SNAP_FUZZ_LIBS)
endif
