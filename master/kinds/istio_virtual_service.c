/*
 * istio_virtual_service.c - the field tables of VirtualService (ISTIO-RULES section 3). Rules between
 * fields are in istio_vs_check.c and istio_vs_rule.c.
 */
#include "master/kinds/istio_virtual_service.h"

/* ---- destinations ---------------------------------------------------------------------------- */

static const struct field DESTINATION_FIELDS[] = {
    FIELD_STR(struct istio_destination, host, "host", FIELD_REQUIRED | FIELD_NONEMPTY,
              "A service: <name>.<namespace>.svc.<domain>, a host of a ServiceEntry, or a name without dots for a "
              "service of the object's own namespace."),
    FIELD_STR(struct istio_destination, subset, "subset", 0, "A subset of the host's DestinationRule.", .format = FMT_DNS_LABEL),
    FIELD_OBJ(struct istio_destination, port, "port", 0, &SCHEMA_ISTIO_PORT_SELECTOR,
              "The port of the service; may be left out if it has only one."),
};
static const struct schema SCHEMA_DESTINATION =
    SCHEMA(struct istio_destination, DESTINATION_FIELDS, istio_destination_check, "A service and its port.");

#define WEIGHT_DOC "Share of the requests, relative to the sum of the rule's weights. A single destination gets everything."
static const struct field HTTP_DESTINATION_FIELDS[] = {
    FIELD_OBJ(struct istio_http_destination, destination, "destination", FIELD_REQUIRED, &SCHEMA_DESTINATION,
              "Where requests go."),
    FIELD_INT(struct istio_http_destination, weight, "weight", 0, 0, INT32_MAX, WEIGHT_DOC),
    FIELD_OBJ(struct istio_http_destination, headers, "headers", 0, &SCHEMA_ISTIO_HEADERS,
              "Header changes for this destination only."),
};
static const struct schema SCHEMA_HTTP_DESTINATION =
    SCHEMA(struct istio_http_destination, HTTP_DESTINATION_FIELDS, NULL, "A destination and its share.");

/* ---- match ------------------------------------------------------------------------------------ */

#define M struct istio_http_match
static const struct field HTTP_MATCH_FIELDS[] = {
    FIELD_STR(M, name, "name", 0, "Name of the block; logged behind the name of the rule."),
    FIELD_OBJ(M, uri, "uri", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH,
              "The path without its query. A prefix is plain bytes: /status matches /statusX."),
    FIELD_OBJ(M, scheme, "scheme", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH, "http or https."),
    FIELD_OBJ(M, method, "method", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH, "The request method, case-sensitive."),
    FIELD_OBJ(M, authority, "authority", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH,
              "Host as it was received, with its port, case-sensitive."),
    FIELD_OBJ_MAP(M, headers, "headers", 0, &SCHEMA_ISTIO_STRING_MATCH,
                  "Header fields; several lines of one name are joined by commas. {} = present."),
    FIELD_OBJ_MAP(M, without_headers, "withoutHeaders", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH,
                  "The inverse of headers: the value must not match. {} = absent."),
    FIELD_OBJ_MAP(M, query_params, "queryParams", FIELD_NULL_OK, &SCHEMA_ISTIO_STRING_MATCH,
                  "Query parameters, raw, the first of each name. {} = present."),
    FIELD_BOOL(M, ignore_uri_case, "ignoreUriCase", 0, "Compare uri exact and prefix without regard to case."),
    FIELD_INT(M, port, "port", 0, 1, 65535, "Only for requests that come in on this port of the Gateway."),
    FIELD_STR_MAP(M, source_labels, "sourceLabels", 0,
                  "Only for instances with these labels; ignored where gateways is set.", .format = FMT_LABEL_KEY),
    FIELD_STR(M, source_namespace, "sourceNamespace", 0,
              "Only for instances of this namespace; ignored where gateways is set.", .format = FMT_DNS_LABEL),
    FIELD_STR_LIST(M, gateways, "gateways", 0, "Only for these gateways, instead of those of the object."),
    FIELD_STR(M, stat_prefix, "statPrefix", FIELD_IGNORED, "Prefix of statistics; metrics here have labels instead."),
};
#undef M
static const struct schema SCHEMA_HTTP_MATCH =
    SCHEMA(struct istio_http_match, HTTP_MATCH_FIELDS, istio_http_match_check,
           "Conditions that must all hold. A rule applies when one of its blocks does.");

/* ---- what a rule does -------------------------------------------------------------------------- */

static const struct field REGEX_REWRITE_FIELDS[] = {
    FIELD_STR(struct istio_regex_rewrite, match, "match", FIELD_REQUIRED | FIELD_NONEMPTY, "RE2 expression, found anywhere in the path."),
    FIELD_STR(struct istio_regex_rewrite, rewrite, "rewrite", FIELD_REQUIRED | FIELD_NONEMPTY,
              "What each match is replaced with; \\1 to \\9 are groups, \\0 is all of it."),
};
static const struct schema SCHEMA_REGEX_REWRITE =
    SCHEMA(struct istio_regex_rewrite, REGEX_REWRITE_FIELDS, NULL, "Replaces every match in the path.");

static const struct field REWRITE_FIELDS[] = {
    FIELD_STR(struct istio_rewrite, uri, "uri", 0,
              "Replaces the prefix that matched; the whole path where the match was exact or regex."),
    FIELD_STR(struct istio_rewrite, authority, "authority", 0, "Host for the backend."),
    FIELD_OBJ(struct istio_rewrite, regex, "uriRegexRewrite", 0, &SCHEMA_REGEX_REWRITE, "Rewrites the path by expression."),
};
static const struct schema SCHEMA_REWRITE = SCHEMA(struct istio_rewrite, REWRITE_FIELDS, istio_rewrite_check,
                                                   "Changes path or Host before the request goes to the backend.");

static const struct enum_row ENUM_DERIVE_PORT[] = {
    {"FROM_PROTOCOL_DEFAULT", ISTIO_FROM_PROTOCOL_DEFAULT}, {"FROM_REQUEST_PORT", ISTIO_FROM_REQUEST_PORT}, {0}};
static const struct field REDIRECT_FIELDS[] = {
    FIELD_STR(struct istio_redirect, uri, "uri", 0, "Replaces the path; the query stays unless this has one."),
    FIELD_STR(struct istio_redirect, prefix_rewrite, "prefixRewrite", 0, "Replaces the prefix that matched."),
    FIELD_STR(struct istio_redirect, authority, "authority", 0, "Replaces the host."),
    FIELD_STR(struct istio_redirect, scheme, "scheme", 0, "http or https."),
    FIELD_INT(struct istio_redirect, port, "port", 0, 1, 65535, "Replaces the port."),
    FIELD_ENUM(struct istio_redirect, derive_port, "derivePort", ENUM_DERIVE_PORT, ISTIO_FROM_PROTOCOL_DEFAULT,
               "FROM_PROTOCOL_DEFAULT writes no port, FROM_REQUEST_PORT that of the Gateway."),
    FIELD_INT(struct istio_redirect, code, "redirectCode", 0, 0, 0, "301 (default), 302, 303, 307 or 308.",
              .def = 301, .has_def = true),
};
static const struct schema SCHEMA_REDIRECT =
    SCHEMA(struct istio_redirect, REDIRECT_FIELDS, istio_redirect_check, "Answers with a redirect.");

static const struct field BODY_FIELDS[] = {
    FIELD_STR(struct istio_body, string, "string", 0, "The body as text."),
    FIELD_STR(struct istio_body, bytes, "bytes", 0, "The body in base64."),
};
static const struct schema SCHEMA_BODY = SCHEMA(struct istio_body, BODY_FIELDS, NULL, "A body; string or bytes.");
static const struct field DIRECT_FIELDS[] = {
    FIELD_INT(struct istio_direct, status, "status", FIELD_REQUIRED, 200, 599, "Status of the answer."),
    FIELD_OBJ(struct istio_direct, body, "body", 0, &SCHEMA_BODY, "Body of the answer; empty when absent. At most 1 MiB."),
};
static const struct schema SCHEMA_DIRECT =
    SCHEMA(struct istio_direct, DIRECT_FIELDS, istio_direct_check, "Answers without a backend.");

static const struct field DELEGATE_FIELDS[] = {
    FIELD_STR(struct istio_delegate, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "Name of the VirtualService.",
              .format = FMT_OBJECT_NAME),
    FIELD_STR(struct istio_delegate, ns, "namespace", 0, "Its namespace; that of this object when absent.",
              .format = FMT_DNS_LABEL),
};
static const struct schema SCHEMA_DELEGATE =
    SCHEMA(struct istio_delegate, DELEGATE_FIELDS, NULL, "A VirtualService without hosts whose http rules stand here.");

static const struct field RETRIES_FIELDS[] = {
    FIELD_INT(struct istio_retries, attempts, "attempts", 0, 0, INT32_MAX, "Tries after the first; 0 = none."),
    FIELD_DURATION(struct istio_retries, per_try_timeout, "perTryTimeout", 0, FMT_GO_DURATION,
                   "Time for one try; the timeout of the rule when absent."),
    FIELD_STR(struct istio_retries, retry_on, "retryOn", 0,
              "Comma list of conditions (connect-failure, refused-stream, reset, gateway-error, 5xx ...) and status codes."),
    FIELD_DURATION(struct istio_retries, backoff, "backoff", 0, FMT_GO_DURATION,
                   "Base of the growing, jittered pause between tries; 25ms when absent."),
    FIELD_BOOL(struct istio_retries, remote_localities, "retryRemoteLocalities", FIELD_NOT_SERVED,
               "Prefer another locality for a retry."),
    FIELD_BOOL(struct istio_retries, ignore_previous_hosts, "retryIgnorePreviousHosts", 0,
               "Prefer an endpoint that was not tried yet; on by default."),
};
static const struct schema SCHEMA_RETRIES =
    SCHEMA(struct istio_retries, RETRIES_FIELDS, istio_retries_check, "When and how often to try again.");

/* ---- fault, mirror, cors: checked, not served yet ----------------------------------------------- */

static const struct field PERCENT_FIELDS[] = {
    FIELD_NUMBER(struct istio_percent, value, "value", 0, "0 to 100.", .min = 0, .max = 100),
};
static const struct schema SCHEMA_PERCENT = SCHEMA(struct istio_percent, PERCENT_FIELDS, NULL, "A percentage.");
static const struct field DELAY_FIELDS[] = {
    FIELD_DURATION(struct istio_delay, fixed, "fixedDelay", 0, FMT_GO_DURATION, "How long to wait."),
    FIELD_DURATION(struct istio_delay, exponential, "exponentialDelay", 0, FMT_GO_DURATION, "Not possible."),
    FIELD_INT(struct istio_delay, percent, "percent", FIELD_DEPRECATED, 0, 100, "Share of requests; use percentage."),
    FIELD_OBJ(struct istio_delay, percentage, "percentage", 0, &SCHEMA_PERCENT, "Share of requests that wait."),
};
static const struct schema SCHEMA_DELAY =
    SCHEMA(struct istio_delay, DELAY_FIELDS, istio_delay_check, "Lets requests wait.");
static const struct field ABORT_FIELDS[] = {
    FIELD_INT(struct istio_abort, http_status, "httpStatus", 0, 200, 599, "Status of the answer."),
    FIELD_STR(struct istio_abort, grpc_status, "grpcStatus", 0, "gRPC status of the answer, such as UNAVAILABLE."),
    FIELD_STR(struct istio_abort, http2_error, "http2Error", 0, "Not possible."),
    FIELD_OBJ(struct istio_abort, percentage, "percentage", 0, &SCHEMA_PERCENT, "Share of requests that fail."),
};
static const struct schema SCHEMA_ABORT =
    SCHEMA(struct istio_abort, ABORT_FIELDS, istio_abort_check, "Lets requests fail.");
static const struct field FAULT_FIELDS[] = {
    FIELD_OBJ(struct istio_fault, delay, "delay", 0, &SCHEMA_DELAY, "Lets requests wait before they go on."),
    FIELD_OBJ(struct istio_fault, abort, "abort", 0, &SCHEMA_ABORT, "Answers requests with an error."),
};
static const struct schema SCHEMA_FAULT =
    SCHEMA(struct istio_fault, FAULT_FIELDS, istio_fault_check, "Faults on purpose, for tests.");

static const struct field MIRROR_FIELDS[] = {
    FIELD_OBJ(struct istio_mirror, destination, "destination", FIELD_REQUIRED, &SCHEMA_DESTINATION, "Where copies go."),
    FIELD_OBJ(struct istio_mirror, percentage, "percentage", 0, &SCHEMA_PERCENT, "Share of requests; all when absent."),
};
static const struct schema SCHEMA_MIRROR = SCHEMA(struct istio_mirror, MIRROR_FIELDS, NULL, "A receiver of copies.");

static const struct enum_row ENUM_PREFLIGHT[] = {{"UNSPECIFIED", ISTIO_PREFLIGHT_UNSPECIFIED},
                                                 {"FORWARD", ISTIO_PREFLIGHT_FORWARD},
                                                 {"IGNORE", ISTIO_PREFLIGHT_IGNORE},
                                                 {0}};
static const struct field CORS_FIELDS[] = {
    FIELD_LIST(struct istio_cors, allow_origins, "allowOrigins", 0, &SCHEMA_ISTIO_STRING_MATCH, "Origins that are allowed."),
    FIELD_STR_LIST(struct istio_cors, allow_origin, "allowOrigin", FIELD_DEPRECATED, "Exact origins; use allowOrigins."),
    FIELD_STR_LIST(struct istio_cors, allow_methods, "allowMethods", 0, "Methods that are allowed, or \"*\"."),
    FIELD_STR_LIST(struct istio_cors, allow_headers, "allowHeaders", 0, "Request headers that are allowed."),
    FIELD_STR_LIST(struct istio_cors, expose_headers, "exposeHeaders", 0, "Response headers that scripts may read."),
    FIELD_DURATION(struct istio_cors, max_age, "maxAge", 0, FMT_GO_DURATION, "How long a preflight holds; whole seconds."),
    FIELD_BOOL(struct istio_cors, allow_credentials, "allowCredentials", 0, "Allow requests with credentials."),
    FIELD_ENUM(struct istio_cors, unmatched_preflights, "unmatchedPreflights", ENUM_PREFLIGHT, 0,
               "What happens to preflights of other origins."),
};
static const struct schema SCHEMA_CORS =
    SCHEMA(struct istio_cors, CORS_FIELDS, istio_cors_check, "Cross-origin requests of browsers.");

/* ---- http rules --------------------------------------------------------------------------------- */

#define R struct istio_http_rule
static const struct field HTTP_RULE_FIELDS[] = {
    FIELD_STR(R, name, "name", 0, "Name of the rule in logs and metrics."),
    FIELD_LIST(R, match, "match", 0, &SCHEMA_HTTP_MATCH, "The rule applies when one of these blocks does; always when there is none."),
    FIELD_LIST(R, route, "route", 0, &SCHEMA_HTTP_DESTINATION, "Where requests go, by weight."),
    FIELD_OBJ(R, redirect, "redirect", 0, &SCHEMA_REDIRECT, "Answer with a redirect instead."),
    FIELD_OBJ(R, direct, "directResponse", 0, &SCHEMA_DIRECT, "Answer without a backend instead."),
    FIELD_OBJ(R, delegate, "delegate", 0, &SCHEMA_DELEGATE, "Another VirtualService whose http rules stand here."),
    FIELD_OBJ(R, rewrite, "rewrite", 0, &SCHEMA_REWRITE, "Changes path or Host before the request goes on."),
    FIELD_DURATION(R, timeout, "timeout", 0, FMT_GO_DURATION, "Time for the whole answer, all tries together."),
    FIELD_OBJ(R, retries, "retries", 0, &SCHEMA_RETRIES,
              "When to try again; 2 retries when no connection could be made, when absent."),
    FIELD_OBJ(R, fault, "fault", FIELD_NOT_SERVED, &SCHEMA_FAULT, "Faults on purpose, for tests.",
              .hint = "no faults are injected"),
    FIELD_OBJ(R, mirror, "mirror", FIELD_NOT_SERVED, &SCHEMA_DESTINATION, "Gets a copy of each request.",
              .hint = "no copies are sent"),
    FIELD_LIST(R, mirrors, "mirrors", FIELD_NOT_SERVED, &SCHEMA_MIRROR, "Get copies of requests.", .hint = "no copies are sent"),
    FIELD_INT(R, mirror_percent, "mirrorPercent", FIELD_DEPRECATED | FIELD_NOT_SERVED, 0, 100, "Use mirrorPercentage."),
    FIELD_OBJ(R, mirror_percentage, "mirrorPercentage", FIELD_NOT_SERVED, &SCHEMA_PERCENT, "Share of requests that is copied."),
    FIELD_OBJ(R, cors, "corsPolicy", FIELD_NOT_SERVED, &SCHEMA_CORS, "Cross-origin requests of browsers.",
              .hint = "preflights go to the backend, responses get no CORS headers"),
    FIELD_OBJ(R, headers, "headers", 0, &SCHEMA_ISTIO_HEADERS, "Header changes for every destination of the rule."),
};
#undef R
static const struct schema SCHEMA_HTTP_RULE =
    SCHEMA(struct istio_http_rule, HTTP_RULE_FIELDS, istio_http_rule_check,
           "What happens to the requests that match. The first rule that matches wins.");

/* ---- tls and tcp rules --------------------------------------------------------------------------- */

#define L struct istio_l4_match
#define L4_COMMON                                                                                                  \
    FIELD_STR_LIST(L, destination_subnets, "destinationSubnets", 0, "Address ranges; for the mesh only, without effect at gateways.",          \
                   .format = FMT_NONE),                                                                            \
        FIELD_INT(L, port, "port", 0, 1, 65535, "Port of the Gateway."),                                           \
        FIELD_STR_MAP(L, source_labels, "sourceLabels", 0, "Labels of the instance.", .format = FMT_LABEL_KEY),                             \
        FIELD_STR(L, source_namespace, "sourceNamespace", 0, "Namespace of the instance.", .format = FMT_DNS_LABEL), \
        FIELD_STR_LIST(L, gateways, "gateways", 0, "Only for these gateways.")
static const struct field TLS_MATCH_FIELDS[] = {
    FIELD_STR_LIST(L, sni_hosts, "sniHosts", FIELD_REQUIRED | FIELD_NONEMPTY, "Names in the client's SNI; within hosts."),
    L4_COMMON,
};
static const struct field TCP_MATCH_FIELDS[] = {
    FIELD_STR(L, source_subnet, "sourceSubnet", FIELD_DEPRECATED, "Has no effect."),
    L4_COMMON,
};
#undef L4_COMMON
#undef L
static const struct schema SCHEMA_TLS_MATCH =
    SCHEMA(struct istio_l4_match, TLS_MATCH_FIELDS, istio_l4_match_check, "Conditions on a TLS connection.");
static const struct schema SCHEMA_TCP_MATCH =
    SCHEMA(struct istio_l4_match, TCP_MATCH_FIELDS, istio_l4_match_check, "Conditions on a TCP connection.");

static const struct field L4_DESTINATION_FIELDS[] = {
    FIELD_OBJ(struct istio_l4_destination, destination, "destination", FIELD_REQUIRED, &SCHEMA_DESTINATION, "Where connections go."),
    FIELD_INT(struct istio_l4_destination, weight, "weight", 0, 0, INT32_MAX, WEIGHT_DOC),
};
static const struct schema SCHEMA_L4_DESTINATION =
    SCHEMA(struct istio_l4_destination, L4_DESTINATION_FIELDS, NULL, "A destination and its share.");

static const struct field TLS_RULE_FIELDS[] = {
    FIELD_LIST(struct istio_l4_rule, match, "match", FIELD_REQUIRED | FIELD_NONEMPTY, &SCHEMA_TLS_MATCH, "By SNI."),
    FIELD_LIST(struct istio_l4_rule, route, "route", FIELD_REQUIRED | FIELD_NONEMPTY, &SCHEMA_L4_DESTINATION,
               "Where connections go, by weight."),
};
static const struct field TCP_RULE_FIELDS[] = {
    FIELD_LIST(struct istio_l4_rule, match, "match", 0, &SCHEMA_TCP_MATCH, "Always when there is none."),
    FIELD_LIST(struct istio_l4_rule, route, "route", FIELD_REQUIRED | FIELD_NONEMPTY, &SCHEMA_L4_DESTINATION,
               "Where connections go, by weight."),
};
static const struct schema SCHEMA_TLS_RULE =
    SCHEMA(struct istio_l4_rule, TLS_RULE_FIELDS, NULL, "What happens to TLS connections that are passed through.");
static const struct schema SCHEMA_TCP_RULE =
    SCHEMA(struct istio_l4_rule, TCP_RULE_FIELDS, NULL, "What happens to TCP connections.");

/* ---- the object ----------------------------------------------------------------------------------- */

static const struct field SPEC_FIELDS[] = {
    FIELD_STR_LIST(struct istio_vs_spec, hosts, "hosts", 0,
                   "Hosts whose requests are meant; \"*.\" in front stands for any subdomain."),
    FIELD_STR_LIST(struct istio_vs_spec, gateways, "gateways", 0,
                   "Gateways that use the rules: name, namespace/name, ./name, or mesh. Absent: only mesh."),
    FIELD_LIST(struct istio_vs_spec, http, "http", 0, &SCHEMA_HTTP_RULE, "Rules for HTTP, in order."),
    FIELD_LIST(struct istio_vs_spec, tls, "tls", 0, &SCHEMA_TLS_RULE,
               "Rules for TLS that is passed through, by SNI; the most specific name wins."),
    FIELD_LIST(struct istio_vs_spec, tcp, "tcp", 0, &SCHEMA_TCP_RULE,
               "Rules for TCP, and for TLS that ends here on servers of protocol TLS. The first one serves a server."),
    FIELD_STR_LIST(struct istio_vs_spec, export_to, "exportTo", 0,
                   "Namespaces whose gateways may use the object: names, \".\" for the own one, \"*\" (default) for all."),
};
static const struct schema SCHEMA_SPEC =
    SCHEMA(struct istio_vs_spec, SPEC_FIELDS, istio_vs_check, "Hosts, gateways and rules.");

static const struct field VIRTUAL_SERVICE_FIELDS[] = {
    FIELD_OBJ(struct istio_virtual_service, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "What is routed where."),
};
const struct schema SCHEMA_VIRTUAL_SERVICE =
    SCHEMA(struct istio_virtual_service, VIRTUAL_SERVICE_FIELDS, NULL,
           "What happens to requests for some hosts at some gateways: route, rewrite, redirect, answer.");
