include tests/fuzz/watch.mk
include tests/fuzz/ipc.mk
include tests/fuzz/regex.mk
include tests/fuzz/log_format.mk
include tests/fuzz/h1.mk
include tests/fuzz/http.mk
include tests/fuzz/snap.mk
include tests/fuzz/yaml.mk
