# Golden tests: the configuration language as data. `make bless` rewrites the expected files.
check_PROGRAMS += tests/golden/golden_model
tests_golden_golden_model_SOURCES = %D%/golden_model.c
tests_golden_golden_model_LDADD = libctl.a libcompile.a liblower.a libmodel.a libstore.a libkinds.a libyamltree.a libsnap.a libregex.a libhttp.a \
	libtls.a libbase.a \
	$(YAML_LIBS) $(PCRE2_LIBS) $(WOLFSSL_LIBS)
check_PROGRAMS += tests/golden/golden_snap
tests_golden_golden_snap_SOURCES = %D%/golden_snap.c
tests_golden_golden_snap_LDADD = $(GATEHOUSE_LIBS)
EXTRA_DIST += %D%/snap_run %D%/snap
EXTRA_DIST += %D%/run %D%/check %D%/certs %D%/model %D%/seed_run %D%/seed %D%/diag_run %D%/diag %D%/reference %D%/explain_field
TESTS += tests/golden/check tests/golden/reference tests/golden/explain_field

.PHONY: bless
bless: tests/golden/golden_model tests/golden/golden_snap
	$(top_srcdir)/tests/golden/run --bless tests/golden/golden_model
	$(top_srcdir)/tests/golden/seed_run --bless tests/golden/golden_model
	$(top_srcdir)/tests/golden/diag_run --bless tests/golden/golden_model
	$(top_srcdir)/tests/golden/snap_run --bless tests/golden/golden_snap
