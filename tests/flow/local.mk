EXTRA_DIST += tests/flow/conftest.py tests/flow/gh.py tests/flow/pki.py
EXTRA_DIST += tests/flow/fake_worker.py tests/flow/test_g000_master.py
EXTRA_DIST += tests/flow/desync_payloads.py tests/flow/strict_parser.py tests/flow/test_p000_payloads.py tests/flow/test_f000_hostile.py
check_PROGRAMS += tests/flow/h1_verdict
tests_flow_h1_verdict_SOURCES = tests/flow/h1_verdict.c
tests_flow_h1_verdict_LDADD = libwcodec.a libhttp.a libbase.a
EXTRA_DIST += tests/flow/test_i000_istio.py \
	tests/flow/test_i100_istio_tls.py \
	tests/flow/test_i200_istio_edges.py \
	tests/flow/test_i300_istio_grpc_web.py \
	tests/flow/test_j000_certificates.py \
	tests/flow/test_j200_tls.py \
	tests/flow/test_j300_tls_clients.py \
	tests/flow/test_k000_keys.py \
	tests/flow/test_l000_layer4.py \
	tests/flow/test_l100_local.py \
	tests/flow/test_m000_operators.py \
	tests/flow/test_n000_grpc.py
