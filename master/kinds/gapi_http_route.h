/*
 * gapi_http_route.h - HTTPRoute (GATEWAY-API-RULES sections 1.1, 1.2, 6, 7, 9).
 */
#ifndef GH_KINDS_GAPI_HTTP_ROUTE_H
#define GH_KINDS_GAPI_HTTP_ROUTE_H

#include "master/kinds/gapi_route.h"

/* ---- matches --------------------------------------------------------------------------------- */

enum gapi_path_type { GAPI_PATH_PREFIX, GAPI_PATH_EXACT, GAPI_PATH_REGEX };
struct gapi_path_match {
    const struct node *node;
    int32_t type; /* enum gapi_path_type */
    struct str value;
};

struct gapi_http_match {
    const struct node *node;
    struct gapi_path_match *path; /* NULL = PathPrefix / */
    LIST_OF(struct gapi_kv_match) headers, query;
    struct str method; /* one of the API's list; empty = any */
};

/* ---- rules ----------------------------------------------------------------------------------- */

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

struct gapi_http_rule {
    const struct node *node;
    struct str name;
    LIST_OF(struct gapi_http_match) matches; /* empty = everything */
    struct gapi_http_filters filters;
    LIST_OF(struct gapi_backend_ref) backends;
    struct gapi_timeouts *timeouts;
    struct gapi_retry *retry;
    struct gapi_session *session;
};

struct gapi_http_route_spec {
    struct gapi_route_common common;
    LIST_OF(struct gapi_http_rule) rules; /* absent = one rule that matches everything */
};
struct gapi_http_route { /* object->spec */
    const struct node *node;
    struct gapi_http_route_spec *spec;
};
extern const struct schema SCHEMA_HTTP_ROUTE;

#endif
