/*
 * gapi_http_filter.h - the filters of HTTPRoute and GRPCRoute rules and backendRefs.
 */
#ifndef GH_KINDS_GAPI_HTTP_FILTER_H
#define GH_KINDS_GAPI_HTTP_FILTER_H

#include "master/kinds/gapi_common.h"

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

extern const struct schema SCHEMA_HTTP_FILTER;
extern const struct schema SCHEMA_GRPC_FILTER; /* the same struct; only header modifiers, mirrors and extensions */

/* Relations between the filters of one list: what may stand once, what excludes what. */
void gapi_check_filters(struct decoder *d, const struct gapi_http_filters *fs);

#endif
