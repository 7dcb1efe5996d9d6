EXTRA_DIST += tests/bench/bench.py tests/bench/peers.py tests/bench/loads.py \
	tests/bench/accept_bench.py

.PHONY: bench
bench: all
	python3 $(top_srcdir)/tests/bench/bench.py --build $(abs_builddir)

# ns per request head; run it by hand.
noinst_PROGRAMS += tests/bench/h1_parse_bench
tests_bench_h1_parse_bench_SOURCES = %D%/h1_parse_bench.c
tests_bench_h1_parse_bench_LDADD = libwcodec.a libhttp.a libbase.a

# ns per lookup and bytes per route, 10 to 100,000 routes; run it by hand.
noinst_PROGRAMS += tests/bench/route_bench
tests_bench_route_bench_SOURCES = %D%/route_bench.c
tests_bench_route_bench_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a $(PCRE2_LIBS)
