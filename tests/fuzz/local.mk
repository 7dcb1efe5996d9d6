include tests/fuzz/ipc.mk
include tests/fuzz/regex.mk
