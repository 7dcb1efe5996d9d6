/*
 * gapi_common.h - what the kinds of gateway.networking.k8s.io share: references, selectors,
 * namespaces.
 *
 * Members hold the value after defaulting. "Absent" group and kind differ from empty ones only in
 * text: the tables write the API's defaults, so a reader never asks for the node.
 */
#ifndef GH_KINDS_GAPI_COMMON_H
#define GH_KINDS_GAPI_COMMON_H

#include "master/kinds/schema.h"

#define GAPI_GROUP "gateway.networking.k8s.io"

/* metav1.LabelSelector: both parts must hold. Evaluated by selector_matches_namespace on `node`. */
struct label_requirement {
    const struct node *node;
    struct str key;
    int32_t op; /* enum label_op */
    struct str_list values;
};
enum label_op { LABEL_IN = 1, LABEL_NOT_IN, LABEL_EXISTS, LABEL_DOES_NOT_EXIST };
struct label_selector {
    const struct node *node;
    struct str_map match_labels;
    LIST_OF(struct label_requirement) match_expressions;
};

enum gapi_from { GAPI_FROM_SAME, GAPI_FROM_ALL, GAPI_FROM_SELECTOR, GAPI_FROM_NONE };
struct gapi_namespaces { /* allowedRoutes.namespaces, allowedListeners.namespaces */
    const struct node *node;
    int32_t from; /* enum gapi_from */
    struct label_selector *selector;
};

struct gapi_parent_ref {
    const struct node *node;
    struct str group, kind, ns, name, section; /* ns empty = the route's own */
    struct opt_int port;
};

/* A reference to one object: Secret, ConfigMap, Service of a mirror, parameters. ns empty = the
 * owner's. */
struct gapi_object_ref {
    const struct node *node;
    struct str group, kind, ns, name;
    struct opt_int port;
};

extern const struct schema SCHEMA_LABEL_SELECTOR;
extern const struct schema SCHEMA_GAPI_ROUTE_NAMESPACES;    /* default Same */
extern const struct schema SCHEMA_GAPI_LISTENER_NAMESPACES; /* default None */
extern const struct schema SCHEMA_GAPI_PARENT_REF;
extern const struct schema SCHEMA_GAPI_SECRET_REF; /* group "", kind Secret */
extern const struct schema SCHEMA_GAPI_OBJECT_REF; /* group and kind required */
extern const struct schema SCHEMA_GAPI_LOCAL_REF;  /* group, kind, name required; no namespace */
extern const struct schema SCHEMA_GAPI_PARAMETERS_REF; /* GatewayClass: as OBJECT_REF */
extern const struct schema SCHEMA_GAPI_SERVICE_REF;    /* group "", kind Service, port */

/* Two entries that name the same parent must differ in sectionName or port (section 1.2). */
void gapi_check_parent_refs(struct decoder *d, const struct gapi_parent_ref *refs, size_t n);
/* A Service reference needs a port; anything else may have one. */
void gapi_check_service_port(struct decoder *d, const struct node *node, struct str group,
                             struct str kind, bool has_port);

#endif
