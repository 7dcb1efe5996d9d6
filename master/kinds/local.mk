noinst_LIBRARIES += libkinds.a
libkinds_a_SOURCES = \
	%D%/core_config.c %D%/core_config.h \
	%D%/core_service.c %D%/core_service.h \
	%D%/format.c %D%/format.h \
	%D%/gapi_backend_tls_policy.c %D%/gapi_backend_tls_policy.h \
	%D%/gapi_common.c %D%/gapi_common.h \
	%D%/gapi_gateway.c %D%/gapi_gateway.h \
	%D%/gapi_grpc_route.c %D%/gapi_grpc_route.h \
	%D%/gapi_http_filter.c %D%/gapi_http_filter.h \
	%D%/gapi_http_route.c %D%/gapi_http_route.h \
	%D%/gapi_reference_grant.c %D%/gapi_reference_grant.h \
	%D%/gapi_route.c %D%/gapi_route.h \
	%D%/gapi_stream_route.c %D%/gapi_stream_route.h \
	%D%/istio_common.c %D%/istio_common.h %D%/istio_match.c \
	%D%/istio_credential.c %D%/istio_credential.h \
	%D%/istio_destination_rule.c %D%/istio_destination_rule.h %D%/istio_dr_check.c \
	%D%/istio_gateway.c %D%/istio_gateway.h %D%/istio_server_tls.c \
	%D%/istio_service_entry.c %D%/istio_service_entry.h \
	%D%/istio_workload_entry.c %D%/istio_workload_entry.h \
	%D%/istio_virtual_service.c %D%/istio_virtual_service.h \
	%D%/istio_vs_check.c %D%/istio_vs_lint.c %D%/istio_vs_rule.c \
	%D%/kinds.c %D%/kinds.def %D%/kinds.h \
	%D%/schema.c %D%/schema.h \
	%D%/value.c %D%/value.h
EXTRA_DIST += %D%/README.md
