include worker/net/local.mk
include worker/http/local.mk
include worker/codec/local.mk
include worker/filter/local.mk
include worker/balance/local.mk
include worker/upstream/local.mk
include worker/proxy/local.mk
