EXTRA_DIST += tests/fuzz/corpus/admin_http/get tests/fuzz/corpus/admin_http/post tests/fuzz/corpus/admin_http/chunked \
	tests/fuzz/corpus/status_json/status tests/fuzz/corpus/status_json/hosts
if FUZZERS
noinst_PROGRAMS += tests/fuzz/admin_http_fuzz tests/fuzz/status_json_fuzz
FUZZ_TARGETS += tests/fuzz/admin_http_fuzz tests/fuzz/status_json_fuzz
tests_fuzz_admin_http_fuzz_SOURCES = tests/fuzz/admin_http_fuzz.c
tests_fuzz_admin_http_fuzz_LDADD = libwroot.a libwcodec.a libhttp.a libboard.a libbase.a $(UV_LIBS)
tests_fuzz_admin_http_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_status_json_fuzz_SOURCES = tests/fuzz/status_json_fuzz.c
tests_fuzz_status_json_fuzz_LDADD = libwroot.a libsnap.a libregex.a libhttp.a libboard.a libbase.a $(UV_LIBS) $(PCRE2_LIBS)
tests_fuzz_status_json_fuzz_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
endif
