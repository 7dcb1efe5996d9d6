include tests/unit/shared/base/local.mk
include tests/unit/shared/http/local.mk
include tests/unit/shared/tls/local.mk
include tests/unit/shared/snap/local.mk
include tests/unit/shared/board/local.mk
include tests/unit/shared/ipc/local.mk
include tests/unit/master/yaml/local.mk
include tests/unit/master/kinds/local.mk
include tests/unit/master/store/local.mk
include tests/unit/master/model/local.mk
include tests/unit/master/lower/local.mk
include tests/unit/master/compile/local.mk
include tests/unit/master/ctl/local.mk
include tests/unit/master/local.mk
include tests/unit/worker/net/local.mk
include tests/unit/worker/http/local.mk
include tests/unit/worker/codec/local.mk
include tests/unit/worker/filter/local.mk
include tests/unit/worker/balance/local.mk
include tests/unit/worker/upstream/local.mk
include tests/unit/worker/proxy/local.mk
include tests/unit/worker/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/golden/local.mk
include tests/flow/local.mk
include tests/soak/local.mk
include tests/unit/shared/regex/local.mk

EXTRA_DIST += tests/certs tests/layers tests/install
TESTS += tests/install
AM_TESTS_ENVIRONMENT += bindir='$(bindir)'; sysconfdir='$(sysconfdir)'; mandir='$(mandir)'; unitdir='$(systemdsystemunitdir)'; \
	export bindir sysconfdir mandir unitdir;

.PHONY: fuzzers
fuzzers: $(FUZZ_TARGETS)
