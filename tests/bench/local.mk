EXTRA_DIST += tests/bench/bench.py tests/bench/peers.py tests/bench/loads.py \
	tests/bench/accept_bench.py tests/bench/l4_bench.py

.PHONY: bench
bench: all
	tests/bench/tls_bench
	@if test -x tests/bench/tls_bench_system; then echo; tests/bench/tls_bench_system; fi
	python3 $(top_srcdir)/tests/bench/bench.py --build $(abs_builddir)

# ns per request head; run it by hand.
noinst_PROGRAMS += tests/bench/h1_parse_bench
tests_bench_h1_parse_bench_SOURCES = %D%/h1_parse_bench.c
tests_bench_h1_parse_bench_LDADD = libwcodec.a libhttp.a libbase.a

# ns per lookup and bytes per route, 10 to 100,000 routes; run it by hand.
noinst_PROGRAMS += tests/bench/route_bench
tests_bench_route_bench_SOURCES = %D%/route_bench.c
tests_bench_route_bench_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a $(PCRE2_LIBS)

# What TLS costs with the library we build, and with the system's where one is installed beside it.
noinst_PROGRAMS += tests/bench/tls_bench
tests_bench_tls_bench_SOURCES = %D%/tls_bench.c tests/unit/shared/tls/loop.c tests/unit/shared/tls/loop.h tests/unit/shared/tls/pki.h
tests_bench_tls_bench_LDADD = libtls.a libbase.a $(WOLFSSL_LIBS)
if SYSTEM_WOLFSSL
noinst_PROGRAMS += tests/bench/tls_bench_system
tests_bench_tls_bench_system_SOURCES = $(tests_bench_tls_bench_SOURCES)
tests_bench_tls_bench_system_CPPFLAGS = $(AM_CPPFLAGS) -DTLS_BENCH_SYSTEM
tests_bench_tls_bench_system_CFLAGS = $(GH_CFLAGS) $(SYSTEM_WOLFSSL_CFLAGS)
tests_bench_tls_bench_system_LDADD = $(SYSTEM_WOLFSSL_LIBS)
endif
# Upstream and clients of l4_bench.py.
noinst_PROGRAMS += tests/bench/l4_load
tests_bench_l4_load_SOURCES = %D%/l4_load.c
