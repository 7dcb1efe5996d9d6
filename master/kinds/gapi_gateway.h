/*
 * gapi_gateway.h - GatewayClass and Gateway (GATEWAY-API-RULES sections 1 to 3).
 */
#ifndef GH_KINDS_GAPI_GATEWAY_H
#define GH_KINDS_GAPI_GATEWAY_H

#include "master/kinds/gapi_common.h"

/* ---- GatewayClass ---------------------------------------------------------------------------- */

struct gapi_gateway_class_spec {
    const struct node *node;
    struct str controller_name, description;
    struct gapi_object_ref *parameters_ref;
};
struct gapi_gateway_class { /* object->spec */
    const struct node *node;
    struct gapi_gateway_class_spec *spec;
};
extern const struct schema SCHEMA_GATEWAY_CLASS;

/* ---- Gateway --------------------------------------------------------------------------------- */

struct gapi_route_kind {
    const struct node *node;
    struct str group, kind;
};
struct gapi_allowed_routes {
    const struct node *node;
    struct gapi_namespaces *namespaces;    /* NULL = Same */
    LIST_OF(struct gapi_route_kind) kinds; /* empty = all kinds of the protocol */
};

enum gapi_tls_mode { GAPI_TLS_TERMINATE = 1, GAPI_TLS_PASSTHROUGH };
struct gapi_listener_tls {
    const struct node *node;
    int32_t mode; /* enum gapi_tls_mode */
    LIST_OF(struct gapi_object_ref) certificate_refs;
    struct str_map options;
};

struct gapi_listener {
    const struct node *node;
    struct str name, hostname; /* hostname empty = every host */
    struct opt_int port;
    struct str protocol; /* free text: an unknown one is a condition, not an error */
    struct gapi_listener_tls *tls;
    struct gapi_allowed_routes *allowed_routes; /* NULL = {namespaces: {from: Same}} */
};

struct gapi_address {
    const struct node *node;
    struct str type, value; /* value empty = "assign one of this type" */
};

struct gapi_infrastructure {
    const struct node *node;
    struct str_map labels, annotations;
    struct gapi_object_ref *parameters_ref;
};

enum gapi_validation_mode { GAPI_ALLOW_VALID_ONLY, GAPI_ALLOW_INSECURE_FALLBACK };
struct gapi_frontend_validation {
    const struct node *node;
    LIST_OF(struct gapi_object_ref) ca_refs;
    int32_t mode; /* enum gapi_validation_mode */
};
struct gapi_frontend_tls {
    const struct node *node;
    struct gapi_frontend_validation *validation;
};
struct gapi_frontend_port {
    const struct node *node;
    struct opt_int port;
    struct gapi_frontend_tls *tls;
};
struct gapi_frontend {
    const struct node *node;
    struct gapi_frontend_tls *dflt;
    LIST_OF(struct gapi_frontend_port) per_port;
};
struct gapi_backend_tls {
    const struct node *node;
    struct gapi_object_ref *client_certificate_ref;
};
struct gapi_gateway_tls {
    const struct node *node;
    struct gapi_backend_tls *backend;
    struct gapi_frontend *frontend;
};

struct gapi_allowed_listeners {
    const struct node *node;
    struct gapi_namespaces *namespaces;
};

struct gapi_gateway_spec {
    const struct node *node;
    struct str class_name;
    LIST_OF(struct gapi_listener) listeners;
    LIST_OF(struct gapi_address) addresses;
    struct gapi_infrastructure *infrastructure;
    struct gapi_allowed_listeners *allowed_listeners;
    struct gapi_gateway_tls *tls;
    struct str default_scope;
};
struct gapi_gateway { /* object->spec */
    const struct node *node;
    struct gapi_gateway_spec *spec;
};
extern const struct schema SCHEMA_GATEWAY;

/* What a protocol word means to a listener. */
enum gapi_protocol {
    GAPI_PROTO_UNKNOWN,
    GAPI_PROTO_HTTP,
    GAPI_PROTO_HTTPS,
    GAPI_PROTO_TLS,
    GAPI_PROTO_TCP,
    GAPI_PROTO_UDP
};
enum gapi_protocol gapi_protocol_of(struct str s);

#endif
