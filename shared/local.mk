include shared/base/local.mk
include shared/http/local.mk
include shared/snap/local.mk
include shared/board/local.mk
include shared/ipc/local.mk
include shared/tbl/local.mk
include shared/tls/local.mk
include shared/regex/local.mk
