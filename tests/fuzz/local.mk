include tests/fuzz/ipc.mk
include tests/fuzz/regex.mk
include tests/fuzz/log_format.mk
