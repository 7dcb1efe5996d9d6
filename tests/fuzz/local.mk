include tests/fuzz/regex.mk
