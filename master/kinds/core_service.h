/*
 * core_service.h - Service, EndpointSlice and Endpoints: where backends run (GATEWAY-API-RULES
 * section 8).
 *
 * A backendRef names a port of the Service; the endpoints of that port are those of the slices'
 * port with the same *name*, at the slices' port *number*. targetPort and the selector act on pods,
 * so they are bookkeeping here.
 */
#ifndef GH_KINDS_CORE_SERVICE_H
#define GH_KINDS_CORE_SERVICE_H

#include "master/kinds/schema.h"

enum core_protocol { CORE_TCP, CORE_UDP, CORE_SCTP };

struct core_service_port {
    const struct node *node;
    struct str name;  /* empty = unnamed */
    int32_t protocol; /* enum core_protocol */
    struct opt_int port;
    struct int_or_str target_port;
    struct str app_protocol;
};
enum core_service_type { CORE_CLUSTER_IP, CORE_NODE_PORT, CORE_LOAD_BALANCER, CORE_EXTERNAL_NAME };
struct core_service_spec {
    const struct node *node;
    LIST_OF(struct core_service_port) ports;
    int32_t type; /* enum core_service_type */
    struct str external_name;
    struct str session_affinity;
};
struct core_service { /* object->spec */
    const struct node *node;
    struct core_service_spec *spec;
};
extern const struct schema SCHEMA_SERVICE;

/* ---- EndpointSlice --------------------------------------------------------------------------- */

struct core_endpoint_conditions {
    const struct node *node;
    struct opt_bool ready, serving, terminating; /* ready absent = ready */
};
struct core_slice_endpoint {
    const struct node *node;
    struct str_list addresses; /* fungible: the first is used */
    struct core_endpoint_conditions *conditions;
};
struct core_endpoint_port { /* of slices and of Endpoints subsets */
    const struct node *node;
    struct str name;
    int32_t protocol;    /* enum core_protocol */
    struct opt_int port; /* absent in a slice = every port; not usable here */
    struct str app_protocol;
};
enum core_address_type { CORE_IPV4 = 1, CORE_IPV6, CORE_FQDN };
struct core_endpoint_slice { /* object->spec */
    const struct node *node;
    int32_t address_type; /* enum core_address_type */
    LIST_OF(struct core_slice_endpoint) endpoints;
    LIST_OF(struct core_endpoint_port) ports;
};
extern const struct schema SCHEMA_ENDPOINT_SLICE;

/* ---- Endpoints ------------------------------------------------------------------------------- */

struct core_endpoint_address {
    const struct node *node;
    struct str ip;
};
struct core_endpoint_subset {
    const struct node *node;
    LIST_OF(struct core_endpoint_address) addresses, not_ready;
    LIST_OF(struct core_endpoint_port) ports;
};
struct core_endpoints { /* object->spec */
    const struct node *node;
    LIST_OF(struct core_endpoint_subset) subsets;
};
extern const struct schema SCHEMA_ENDPOINTS;

#endif
