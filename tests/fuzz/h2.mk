EXTRA_DIST += %D%/h2_fuzz.c %D%/h2_head_fuzz.c %D%/hpack_fuzz.c
if FUZZERS
noinst_PROGRAMS += tests/fuzz/h2_fuzz
FUZZ_TARGETS += tests/fuzz/h2_fuzz
tests_fuzz_h2_fuzz_SOURCES = %D%/h2_fuzz.c %D%/proxy_rig.h %D%/h1_slow.c %D%/h1_slow.h
tests_fuzz_h2_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_h2_fuzz_LDADD = libcompile.a libmodel.a libwproxy.a libwupstream.a libwbalance.a libwfilter.a \
	libwcodec.a libwhttp.a libwnet.a libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a \
	$(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) -lm
noinst_PROGRAMS += tests/fuzz/h2_head_fuzz
FUZZ_TARGETS += tests/fuzz/h2_head_fuzz
tests_fuzz_h2_head_fuzz_SOURCES = %D%/h2_head_fuzz.c
tests_fuzz_h2_head_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_h2_head_fuzz_LDADD = libwcodec.a libwhttp.a libhttp.a libbase.a
noinst_PROGRAMS += tests/fuzz/hpack_fuzz
FUZZ_TARGETS += tests/fuzz/hpack_fuzz
tests_fuzz_hpack_fuzz_SOURCES = %D%/hpack_fuzz.c
tests_fuzz_hpack_fuzz_CFLAGS = $(AM_CFLAGS) $(NGHTTP2_CFLAGS)
tests_fuzz_hpack_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_hpack_fuzz_LDADD = libwcodec.a libhttp.a libbase.a $(NGHTTP2_LIBS)
endif
