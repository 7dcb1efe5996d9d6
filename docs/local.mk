EXTRA_DIST += docs/README.md docs/access-log.md docs/admin.md docs/metrics.md docs/configuration.md docs/reload.md docs/reasons.md docs/operations.md
EXTRA_DIST += docs/reference

.PHONY: reference
reference: gatehouse
	$(top_srcdir)/docs/reference/generate ./gatehouse
dist_man_MANS += docs/gatehouse.8 docs/gatehouse.yaml.5
