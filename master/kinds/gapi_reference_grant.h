/*
 * gapi_reference_grant.h - ReferenceGrant (GATEWAY-API-RULES section 13); evaluated by grant_allows
 * of the store.
 */
#ifndef GH_KINDS_GAPI_REFERENCE_GRANT_H
#define GH_KINDS_GAPI_REFERENCE_GRANT_H

#include "master/kinds/schema.h"

struct gapi_grant_from {
    const struct node *node;
    struct str group, kind, ns;
};
struct gapi_grant_to {
    const struct node *node;
    struct str group, kind, name; /* name empty = every object of the kind */
};
struct gapi_reference_grant_spec {
    const struct node *node;
    LIST_OF(struct gapi_grant_from) from;
    LIST_OF(struct gapi_grant_to) to;
};
struct gapi_reference_grant { /* object->spec */
    const struct node *node;
    struct gapi_reference_grant_spec *spec;
};
extern const struct schema SCHEMA_REFERENCE_GRANT;

#endif
