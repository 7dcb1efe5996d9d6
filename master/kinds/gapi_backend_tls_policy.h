/*
 * gapi_backend_tls_policy.h - BackendTLSPolicy (GATEWAY-API-RULES sections 1.2 and 14): TLS towards a Service.
 */
#ifndef GH_KINDS_GAPI_BACKEND_TLS_POLICY_H
#define GH_KINDS_GAPI_BACKEND_TLS_POLICY_H

#include "master/kinds/gapi_common.h"

struct gapi_policy_target {
    const struct node *node;
    struct str group, kind, name, section; /* section: name of a port of the Service; empty = all ports */
};

enum gapi_san_type { GAPI_SAN_HOSTNAME = 1, GAPI_SAN_URI };
struct gapi_san {
    const struct node *node;
    int32_t type; /* enum gapi_san_type; exactly the member of this type is there */
    struct str hostname, uri;
};

struct gapi_backend_validation {
    const struct node *node;
    LIST_OF(struct gapi_object_ref) ca_refs; /* or well_known; never both, never neither */
    struct str well_known;                   /* free text: an unknown word is a condition, not an error */
    struct str hostname;
    LIST_OF(struct gapi_san) sans;
};

struct gapi_backend_tls_policy_spec {
    const struct node *node;
    LIST_OF(struct gapi_policy_target) targets;
    struct gapi_backend_validation *validation;
    struct str_map options;
};
struct gapi_backend_tls_policy { /* object->spec */
    const struct node *node;
    struct gapi_backend_tls_policy_spec *spec;
};
extern const struct schema SCHEMA_BACKEND_TLS_POLICY;

#endif
