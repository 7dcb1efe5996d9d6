/*
 * istio_workload_entry.h - networking.istio.io WorkloadEntry: one machine on which a service runs. ServiceEntries pick
 * it by its labels. Rules: ISTIO-RULES 5.3.
 */
#ifndef GH_KINDS_ISTIO_WORKLOAD_ENTRY_H
#define GH_KINDS_ISTIO_WORKLOAD_ENTRY_H

#include "master/kinds/istio_service_entry.h"

struct istio_workload_entry { /* object->spec */
    const struct node *node;
    struct istio_endpoint *spec;
};
extern const struct schema SCHEMA_WORKLOAD_ENTRY;

#endif
