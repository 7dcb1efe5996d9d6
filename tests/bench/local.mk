EXTRA_DIST += tests/bench/accept_bench.py tests/bench/l4_bench.py \
	tests/bench/bench.py tests/bench/rows.py tests/bench/lab.py tests/bench/measure.py tests/bench/loads.py \
	tests/bench/clients.py tests/bench/peers.py tests/bench/peer_envoy.py tests/bench/peer_gatehouse.py \
	tests/bench/traffic_bench.py tests/bench/reload_bench.py tests/bench/routes_bench.py tests/bench/fairness.py \
	tests/bench/configs.py tests/bench/report.py tests/bench/chart.py tests/bench/report_test.py \
	tests/bench/instructions.py tests/bench/instructions.json tests/bench/instr/gateway.yaml tests/bench/flame.py

# What the comparison costs in time: docs/performance.md.
.PHONY: bench bench-quick bench-docs
bench: all
	python3 $(top_srcdir)/tests/bench/bench.py --build $(abs_builddir) --json $(abs_builddir)/bench.json \
		--svg $(abs_builddir)/bench.svg $(BENCH_FLAGS)
bench-quick: all
	python3 $(top_srcdir)/tests/bench/bench.py --quick --build $(abs_builddir) --json $(abs_builddir)/bench-quick.json $(BENCH_FLAGS)
# The table and the chart of docs/performance.md from the last make bench.
bench-docs:
	python3 $(top_srcdir)/tests/bench/bench.py --from $(abs_builddir)/bench.json --docs

.PHONY: bench-flames
bench-flames: all
	for row in h1 h2; do python3 $(top_srcdir)/tests/bench/flame.py --row $$row --build $(abs_builddir) \
		$(top_srcdir)/docs/flame-$$row.svg || exit 1; done

# The arithmetic of the report and the form of the chart.
TESTS += tests/bench/report_test.py

# ns per request head; run it by hand.
noinst_PROGRAMS += tests/bench/h1_parse_bench
tests_bench_h1_parse_bench_SOURCES = %D%/h1_parse_bench.c
tests_bench_h1_parse_bench_LDADD = libwcodec.a libhttp.a libbase.a

# ns per lookup and bytes per route, 10 to 100,000 routes; routes_bench.py runs it.
noinst_PROGRAMS += tests/bench/route_bench
tests_bench_route_bench_SOURCES = %D%/route_bench.c
tests_bench_route_bench_LDADD = libcompile.a libmodel.a libsnap.a libregex.a libhttp.a libbase.a $(PCRE2_LIBS)

# What TLS costs with the library we build, and with the system's where one is installed beside it; run it by hand.
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

# Upstream and clients of l4_bench.py; WebSockets; requests at a fixed rate.
noinst_PROGRAMS += tests/bench/l4_load tests/bench/ws_load tests/bench/paced_load
tests_bench_l4_load_SOURCES = %D%/l4_load.c
tests_bench_ws_load_SOURCES = %D%/ws_load.c %D%/load.h
tests_bench_paced_load_SOURCES = %D%/paced_load.c %D%/load.h

# Instructions per request, counted by callgrind (tests/bench/README.md).
if HAVE_NGHTTP2
noinst_PROGRAMS += tests/bench/instr_play
tests_bench_instr_play_SOURCES = %D%/instr/instr.c %D%/instr/world.c %D%/instr/world.h %D%/instr/peers.c %D%/instr/peers.h
tests_bench_instr_play_CFLAGS = $(AM_CFLAGS) $(NGHTTP2_CFLAGS)
tests_bench_instr_play_LDADD = libbuild.a libcompile.a liblower.a libmodel.a libstore.a libkinds.a libyamltree.a \
	libwproxy.a libwupstream.a libwbalance.a libwfilter.a libwcodec.a libwhttp.a libwnet.a \
	libsnap.a libregex.a libtls.a libhttp.a libboard.a libbase.a \
	$(UV_LIBS) $(YAML_LIBS) $(PCRE2_LIBS) $(NGHTTP2_LIBS) $(WOLFSSL_LIBS) -lm
endif

TESTS += tests/bench/instructions_test.py
EXTRA_DIST += tests/bench/instructions_test.py

INSTR_FLAGS =
INSTR = $(AM_V_at)python3 $(top_srcdir)/tests/bench/instructions.py --program tests/bench/instr_play --cc '$(CC)' \
	--cflags '$(CFLAGS) $(GH_CFLAGS)' --wolfssl '$(with_wolfssl)'
.PHONY: bench-instructions bench-instructions-bless
bench-instructions: tests/bench/instr_play
	$(INSTR) $(INSTR_FLAGS)
bench-instructions-bless: tests/bench/instr_play
	$(INSTR) --bless $(INSTR_FLAGS)

clean-local: clean-bench-instructions
clean-bench-instructions:
	rm -rf bench-instructions.out
