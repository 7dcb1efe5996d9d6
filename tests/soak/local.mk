EXTRA_DIST += tests/soak

# Long drills, with figures. make soak SOAK="certificates --count 1000"; without SOAK all of them. They need a python3 with grpcio.
with_grpc = $$(for p in /usr/bin/python3 python3; do $$p -c 'import grpc, h2' 2>/dev/null && { echo $$p; break; }; done)
.PHONY: soak
soak: all
	GATEHOUSE_BUILD=$(abs_builddir) SOAK_PROGRESS=1 $(with_grpc) $(top_srcdir)/tests/soak/soak.py $(SOAK)
