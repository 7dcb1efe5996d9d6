/*
 * istio_service_entry.h - networking.istio.io ServiceEntry: a service that is in no other registry.
 * Rules: ISTIO-RULES section 5.
 */
#ifndef GH_KINDS_ISTIO_SERVICE_ENTRY_H
#define GH_KINDS_ISTIO_SERVICE_ENTRY_H

#include "master/kinds/istio_common.h"

enum istio_resolution {
    ISTIO_RESOLUTION_NONE,
    ISTIO_RESOLUTION_STATIC,
    ISTIO_RESOLUTION_DNS,
    ISTIO_RESOLUTION_DNS_ROUND_ROBIN,
    ISTIO_RESOLUTION_DYNAMIC_DNS,
};
enum istio_location { ISTIO_MESH_EXTERNAL, ISTIO_MESH_INTERNAL };

struct istio_endpoint { /* the body of a WorkloadEntry */
    const struct node *node;
    struct str address, network, locality, service_account;
    const struct node *ports; /* map of port name to number; see istio_endpoint_port */
    struct str_map labels;
    struct opt_int weight;
};

struct istio_workload_selector {
    const struct node *node;
    struct str_map labels;
};

struct istio_se_spec {
    const struct node *node;
    struct str_list hosts, addresses, export_to, subject_alt_names;
    LIST_OF(struct istio_port) ports;
    int32_t location, resolution;
    LIST_OF(struct istio_endpoint) endpoints;
    struct istio_workload_selector *workload_selector;
};

struct istio_service_entry { /* object->spec */
    const struct node *node;
    struct istio_se_spec *spec;
};

extern const struct schema SCHEMA_SERVICE_ENTRY;

/* The body of a WorkloadEntry, and its rules (5.3). */
extern const struct schema SCHEMA_ISTIO_ENDPOINT;
void istio_endpoint_check(struct decoder *d, const struct istio_endpoint *e);
/* The endpoint's own number for the service port `name`; 0 when it has none. */
uint16_t istio_endpoint_port(const struct istio_endpoint *e, struct str name);
bool istio_address_is_unix(struct str address); /* "unix:///path", "unix://@name" */

#endif
