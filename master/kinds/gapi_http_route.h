/*
 * gapi_http_route.h - HTTPRoute (GATEWAY-API-RULES sections 1.1, 1.2, 6, 7, 9).
 */
#ifndef GH_KINDS_GAPI_HTTP_ROUTE_H
#define GH_KINDS_GAPI_HTTP_ROUTE_H

#include "master/kinds/gapi_common.h"

/* ---- matches --------------------------------------------------------------------------------- */

enum gapi_path_type { GAPI_PATH_PREFIX, GAPI_PATH_EXACT, GAPI_PATH_REGEX };
struct gapi_path_match {
    const struct node *node;
    int32_t type; /* enum gapi_path_type */
    struct str value;
};

enum gapi_value_type { GAPI_VALUE_EXACT, GAPI_VALUE_REGEX };
struct gapi_kv_match { /* header or query parameter */
    const struct node *node;
    int32_t type; /* enum gapi_value_type */
    struct str name, value;
};

struct gapi_http_match {
    const struct node *node;
    struct gapi_path_match *path; /* NULL = PathPrefix / */
    LIST_OF(struct gapi_kv_match) headers, query;
    struct str method; /* one of the API's list; empty = any */
};

/* ---- filters --------------------------------------------------------------------------------- */

struct gapi_header {
    const struct node *node;
    struct str name, value;
};
struct gapi_header_filter {
    const struct node *node;
    LIST_OF(struct gapi_header) set, add;
    struct str_list remove;
};

enum gapi_path_modifier_type { GAPI_REPLACE_FULL_PATH = 1, GAPI_REPLACE_PREFIX_MATCH };
struct gapi_path_modifier {
    const struct node *node;
    int32_t type; /* enum gapi_path_modifier_type */
    struct str full, prefix;
};

struct gapi_redirect_filter {
    const struct node *node;
    struct str scheme, hostname; /* empty = of the request */
    struct gapi_path_modifier *path;
    struct opt_int port, status;
};
struct gapi_rewrite_filter {
    const struct node *node;
    struct str hostname;
    struct gapi_path_modifier *path;
};

struct gapi_fraction {
    const struct node *node;
    struct opt_int numerator, denominator;
};
struct gapi_mirror_filter {
    const struct node *node;
    struct gapi_object_ref *backend;
    struct opt_int percent;
    struct gapi_fraction *fraction;
};

struct gapi_cors_filter {
    const struct node *node;
    struct str_list allow_origins, allow_methods, allow_headers, expose_headers;
    struct opt_bool allow_credentials;
    struct opt_int max_age;
};

struct gapi_auth_http {
    const struct node *node;
    struct str path;
    struct str_list allowed_headers, allowed_response_headers;
};
struct gapi_auth_grpc {
    const struct node *node;
    struct str_list allowed_headers;
};
struct gapi_forward_body {
    const struct node *node;
    struct opt_int max_size;
};
enum gapi_auth_protocol { GAPI_AUTH_HTTP = 1, GAPI_AUTH_GRPC };
struct gapi_auth_filter {
    const struct node *node;
    int32_t protocol; /* enum gapi_auth_protocol */
    struct gapi_object_ref *backend;
    struct gapi_auth_http *http;
    struct gapi_auth_grpc *grpc;
    struct gapi_forward_body *forward_body;
};

enum gapi_filter_type {
    GAPI_FILTER_REQUEST_HEADERS = 1,
    GAPI_FILTER_RESPONSE_HEADERS,
    GAPI_FILTER_REDIRECT,
    GAPI_FILTER_REWRITE,
    GAPI_FILTER_MIRROR,
    GAPI_FILTER_CORS,
    GAPI_FILTER_EXTERNAL_AUTH,
    GAPI_FILTER_EXTENSION,
    GAPI_FILTER_TYPES
};
struct gapi_http_filter {
    const struct node *node;
    int32_t type; /* enum gapi_filter_type; exactly the body of this type is there */
    struct gapi_header_filter *request_headers, *response_headers;
    struct gapi_redirect_filter *redirect;
    struct gapi_rewrite_filter *rewrite;
    struct gapi_mirror_filter *mirror;
    struct gapi_cors_filter *cors;
    struct gapi_auth_filter *auth;
    struct gapi_object_ref *extension;
};
struct gapi_http_filters { /* what LIST_OF makes, with a name for functions over both levels */
    struct gapi_http_filter *v;
    size_t n;
};

/* ---- backends, rules ------------------------------------------------------------------------- */

struct gapi_http_backend_ref {
    const struct node *node;
    struct str group, kind, ns, name;
    struct opt_int port, weight; /* weight 1 when absent */
    struct gapi_http_filters filters;
};

struct gapi_timeouts {
    const struct node *node;
    struct opt_ms request, backend_request; /* set and 0 = no limit */
};
struct gapi_retry {
    const struct node *node;
    struct int_list codes;
    struct opt_int attempts;
    struct opt_ms backoff;
};

enum gapi_session_type { GAPI_SESSION_COOKIE, GAPI_SESSION_HEADER };
enum gapi_cookie_lifetime { GAPI_COOKIE_SESSION, GAPI_COOKIE_PERMANENT };
struct gapi_cookie_config {
    const struct node *node;
    int32_t lifetime; /* enum gapi_cookie_lifetime */
    struct str path;
};
struct gapi_session {
    const struct node *node;
    struct str name;
    struct opt_ms absolute_timeout, idle_timeout;
    int32_t type; /* enum gapi_session_type */
    struct gapi_cookie_config *cookie;
};

struct gapi_http_rule {
    const struct node *node;
    struct str name;
    LIST_OF(struct gapi_http_match) matches; /* empty = everything */
    struct gapi_http_filters filters;
    LIST_OF(struct gapi_http_backend_ref) backends;
    struct gapi_timeouts *timeouts;
    struct gapi_retry *retry;
    struct gapi_session *session;
};

struct gapi_http_route_spec {
    const struct node *node;
    LIST_OF(struct gapi_parent_ref) parents;
    struct str use_default_gateways;
    struct str_list hostnames;
    LIST_OF(struct gapi_http_rule) rules; /* absent = one rule that matches everything */
};
struct gapi_http_route { /* object->spec */
    const struct node *node;
    struct gapi_http_route_spec *spec;
};
extern const struct schema SCHEMA_HTTP_ROUTE;

#endif
