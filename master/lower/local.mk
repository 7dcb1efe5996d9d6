noinst_LIBRARIES += liblower.a
liblower_a_SOURCES = \
	%D%/backend.c \
	%D%/credential.c %D%/credential.h \
	%D%/istio.h %D%/istio_state.def \
	%D%/istio_backend.c %D%/istio_delegate.c %D%/istio_dr.c %D%/istio_gateway.c \
	%D%/istio_l4.c %D%/istio_match.c %D%/istio_rule.c %D%/istio_status.c \
	%D%/istio_tls.c %D%/istio_vs.c \
	%D%/gapi.h \
	%D%/gapi_attach.c \
	%D%/gapi_backend.c \
	%D%/gapi_claim.c \
	%D%/gapi_class.c \
	%D%/gapi_gateway.c \
	%D%/gapi_listener.c \
	%D%/gapi_match.c \
	%D%/gapi_overlap.c \
	%D%/gapi_policy.c \
	%D%/gapi_route.c \
	%D%/gapi_rule.c \
	%D%/gapi_status.c \
	%D%/gapi_stream.c \
	%D%/gapi_tls.c \
	%D%/json_read.c %D%/json_read.h \
	%D%/lower.c %D%/lower.h \
	%D%/merge.c \
	%D%/pool.c %D%/pool.h \
	%D%/precedence.c \
	%D%/proxy.c %D%/proxy.h \
	%D%/status.c %D%/status.h \
	%D%/tls_words.c %D%/tls_words.h
EXTRA_DIST += %D%/README.md
