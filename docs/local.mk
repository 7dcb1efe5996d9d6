EXTRA_DIST += docs/README.md docs/access-log.md docs/admin.md docs/metrics.md docs/configuration.md docs/gateway-api.md docs/grpc.md docs/http2.md docs/istio.md docs/reload.md docs/tls.md docs/reasons.md docs/operations.md docs/performance.md docs/performance.svg docs/flame-h1.svg docs/flame-h2.svg
EXTRA_DIST += docs/reference

.PHONY: reference
reference: gatehouse
	$(top_srcdir)/docs/reference/generate ./gatehouse
# Pages name the directories of this installation.
EXTRA_DIST += docs/gatehouse.8 docs/gatehouse.yaml.5
man_MANS += man/gatehouse.8 man/gatehouse.yaml.5
CLEANFILES += man/gatehouse.8 man/gatehouse.yaml.5

man/gatehouse.8: $(srcdir)/docs/gatehouse.8 Makefile
	$(AM_V_GEN)$(MKDIR_P) man && $(TO_ETC) $(srcdir)/docs/gatehouse.8 > $@.tmp && mv $@.tmp $@
man/gatehouse.yaml.5: $(srcdir)/docs/gatehouse.yaml.5 Makefile
	$(AM_V_GEN)$(MKDIR_P) man && $(TO_ETC) $(srcdir)/docs/gatehouse.yaml.5 > $@.tmp && mv $@.tmp $@
