EXTRA_DIST += tests/bench/bench.py

.PHONY: bench
bench: all
	python3 $(top_srcdir)/tests/bench/bench.py --build $(abs_builddir)
