EXTRA_DIST += tests/soak

# Long drills, with figures. make soak SOAK="certificates --count 1000"; without SOAK all of them.
python_of_soak = $$(for p in /usr/bin/python3 python3; do $$p -c 'import grpc, h2' 2>/dev/null && { echo $$p; break; }; done)
.PHONY: soak
soak: all
	GATEHOUSE_BUILD=$(abs_builddir) SOAK_PROGRESS=1 $(python_of_soak) $(top_srcdir)/tests/soak/soak.py $(SOAK)
