EXTRA_DIST += %D%/proxy_fuzz.c %D%/proxy_rig.h %D%/corpus/proxy/answers %D%/corpus/proxy/bad %D%/corpus/proxy/chunked %D%/corpus/proxy/early %D%/corpus/proxy/expect %D%/corpus/proxy/fields %D%/corpus/proxy/http10 %D%/corpus/proxy/leave %D%/corpus/proxy/options %D%/corpus/proxy/pipelined %D%/corpus/proxy/pipelined_cut %D%/corpus/proxy/post %D%/corpus/proxy/retries %D%/corpus/proxy/stale %D%/corpus/proxy/surplus %D%/corpus/proxy/upgrade
if FUZZERS
noinst_PROGRAMS += tests/fuzz/proxy_fuzz
FUZZ_TARGETS += tests/fuzz/proxy_fuzz
tests_fuzz_proxy_fuzz_SOURCES = %D%/proxy_fuzz.c %D%/proxy_rig.h %D%/h1_slow.c %D%/h1_slow.h
tests_fuzz_proxy_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_proxy_fuzz_LDADD = libcompile.a libmodel.a libwproxy.a libwupstream.a libwbalance.a libwfilter.a \
	libwcodec.a libwhttp.a libwnet.a libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a \
	$(UV_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS) -lm
endif
