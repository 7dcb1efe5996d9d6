/*
 * gapi_stream_route.h - TLSRoute, TCPRoute and UDPRoute (GATEWAY-API-RULES sections 1.2 and 11): one rule that says
 * where the bytes go.
 */
#ifndef GH_KINDS_GAPI_STREAM_ROUTE_H
#define GH_KINDS_GAPI_STREAM_ROUTE_H

#include "master/kinds/gapi_route.h"

struct gapi_stream_rule {
    const struct node *node;
    struct str name;
    LIST_OF(struct gapi_backend_ref) backends; /* at least one */
};
struct gapi_stream_route_spec {
    struct gapi_route_common common; /* hostnames: TLSRoute, at least one */
    LIST_OF(struct gapi_stream_rule) rules; /* exactly one */
};
struct gapi_stream_route { /* object->spec */
    const struct node *node;
    struct gapi_stream_route_spec *spec;
};
extern const struct schema SCHEMA_TLS_ROUTE, SCHEMA_TCP_ROUTE, SCHEMA_UDP_ROUTE;

#endif
