/*
 * gapi_grpc_route.h - GRPCRoute (GATEWAY-API-RULES sections 1.2 and 11).
 */
#ifndef GH_KINDS_GAPI_GRPC_ROUTE_H
#define GH_KINDS_GAPI_GRPC_ROUTE_H

#include "master/kinds/gapi_route.h"

struct gapi_grpc_method {
    const struct node *node;
    int32_t type; /* enum gapi_value_type */
    struct str service, method; /* empty = any; one of them is there */
};
struct gapi_grpc_match {
    const struct node *node;
    struct gapi_grpc_method *method; /* NULL = any */
    LIST_OF(struct gapi_kv_match) headers;
};
struct gapi_grpc_rule {
    const struct node *node;
    struct str name;
    LIST_OF(struct gapi_grpc_match) matches; /* empty = everything */
    struct gapi_http_filters filters;
    LIST_OF(struct gapi_backend_ref) backends;
    struct gapi_session *session;
};
struct gapi_grpc_route_spec {
    struct gapi_route_common common;
    LIST_OF(struct gapi_grpc_rule) rules;
};
struct gapi_grpc_route { /* object->spec */
    const struct node *node;
    struct gapi_grpc_route_spec *spec;
};
extern const struct schema SCHEMA_GRPC_ROUTE;

#endif
