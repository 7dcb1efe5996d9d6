#include "master/kinds/istio_workload_entry.h"

static void entry_check(struct decoder *d, void *obj)
{
    const struct istio_workload_entry *e = obj;
    if (e->spec)
        istio_endpoint_check(d, e->spec);
}

static const struct field WORKLOAD_ENTRY_FIELDS[] = {
    FIELD_OBJ(struct istio_workload_entry, spec, "spec", FIELD_REQUIRED, &SCHEMA_ISTIO_ENDPOINT, "Where it is."),
};
const struct schema SCHEMA_WORKLOAD_ENTRY =
    SCHEMA(struct istio_workload_entry, WORKLOAD_ENTRY_FIELDS, entry_check,
           "A machine on which services run; ServiceEntries of its namespace pick it by metadata.labels and spec.labels.");
