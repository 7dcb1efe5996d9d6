/* gapi_reference_grant.c - table of ReferenceGrant. */
#include "master/kinds/gapi_reference_grant.h"

#define T struct gapi_grant_from
static const struct field GRANT_FROM_FIELDS[] = {
    FIELD_STR(T, group, "group", FIELD_REQUIRED,
              "API group of who refers, for instance gateway.networking.k8s.io", .max = 253),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, "Kind of who refers, for instance HTTPRoute",
              .min = 1, .max = 63),
    FIELD_STR(T, ns, "namespace", FIELD_REQUIRED, "Namespace of who refers",
              .format = FMT_DNS_LABEL),
};
#undef T
static const struct schema SCHEMA_GRANT_FROM =
    SCHEMA(struct gapi_grant_from, GRANT_FROM_FIELDS, NULL, "Who may refer");

#define T struct gapi_grant_to
static const struct field GRANT_TO_FIELDS[] = {
    FIELD_STR(T, group, "group", FIELD_REQUIRED,
              "API group of what is referred to, empty for Service and Secret", .max = 253),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, "Kind of what is referred to", .min = 1, .max = 63),
    FIELD_STR(T, name, "name", 0, "One object; every object of the kind when absent", .max = 253),
};
#undef T
static const struct schema SCHEMA_GRANT_TO =
    SCHEMA(struct gapi_grant_to, GRANT_TO_FIELDS, NULL, "What may be referred to");

#define T struct gapi_reference_grant_spec
static const struct field REFERENCE_GRANT_SPEC_FIELDS[] = {
    FIELD_LIST(T, from, "from", FIELD_REQUIRED, &SCHEMA_GRANT_FROM, "Who may refer", .min = 1,
               .max = 16),
    FIELD_LIST(T, to, "to", FIELD_REQUIRED, &SCHEMA_GRANT_TO,
               "What may be referred to, in the grant's own namespace", .min = 1, .max = 16),
};
#undef T
static const struct schema SCHEMA_REFERENCE_GRANT_SPEC =
    SCHEMA(struct gapi_reference_grant_spec, REFERENCE_GRANT_SPEC_FIELDS, NULL, "The grant");

#define T struct gapi_reference_grant
static const struct field REFERENCE_GRANT_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_REFERENCE_GRANT_SPEC, "The grant"),
};
#undef T
const struct schema SCHEMA_REFERENCE_GRANT =
    SCHEMA(struct gapi_reference_grant, REFERENCE_GRANT_FIELDS, NULL,
           "Lets objects of other namespaces refer to objects of this one");
