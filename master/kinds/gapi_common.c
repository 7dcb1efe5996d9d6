/* gapi_common.c - tables and checks of the parts in gapi_common.h; GATEWAY-API-RULES sections 1.1
 * and 1.2. */
#include "master/kinds/gapi_common.h"

#define DOC_GROUP "API group of the object, empty for the core group"
#define DOC_KIND  "Kind of the object"
#define DOC_NAME  "Name of the object"

/* ---- label selectors ------------------------------------------------------------------------- */

static const struct enum_row LABEL_OPS[] = {{"In", LABEL_IN},
                                            {"NotIn", LABEL_NOT_IN},
                                            {"Exists", LABEL_EXISTS},
                                            {"DoesNotExist", LABEL_DOES_NOT_EXIST},
                                            {NULL}};

static void check_requirement(struct decoder *d, void *obj)
{
    struct label_requirement *r = obj;
    bool wants = r->op == LABEL_IN || r->op == LABEL_NOT_IN;
    if (wants && r->values.n == 0)
        diag_at_key(d->diags, DIAG_Required, r->node, "values", "list at least one value",
                    "operators In and NotIn need values");
    else if (r->op && !wants && r->values.n)
        diag_at_key(d->diags, DIAG_Exclusive, r->node, "values", "remove the values",
                    "operators Exists and DoesNotExist take no values");
}

#define T struct label_requirement
static const struct field LABEL_REQUIREMENT_FIELDS[] = {
    FIELD_STR(T, key, "key", FIELD_REQUIRED, "Label the condition is about",
              .format = FMT_LABEL_KEY),
    FIELD_ENUM_REQ(T, op, "operator", FIELD_REQUIRED, LABEL_OPS,
                   "How the label is compared with the values"),
    FIELD_STR_LIST(T, values, "values", 0,
                   "Values for In and NotIn; empty for Exists and DoesNotExist"),
};
#undef T
static const struct schema SCHEMA_LABEL_REQUIREMENT =
    SCHEMA(struct label_requirement, LABEL_REQUIREMENT_FIELDS, check_requirement,
           "One condition on a label");

#define T struct label_selector
static const struct field LABEL_SELECTOR_FIELDS[] = {
    FIELD_STR_MAP(T, match_labels, "matchLabels", 0,
                  "Labels that must all be there with these values"),
    FIELD_LIST(T, match_expressions, "matchExpressions", 0, &SCHEMA_LABEL_REQUIREMENT,
               "Conditions that must all hold"),
};
#undef T
const struct schema SCHEMA_LABEL_SELECTOR =
    SCHEMA(struct label_selector, LABEL_SELECTOR_FIELDS, NULL,
           "A selection by labels; empty selects everything");

/* ---- namespaces ------------------------------------------------------------------------------ */

static const struct enum_row ROUTE_FROM[] = {{"Same", GAPI_FROM_SAME},
                                             {"All", GAPI_FROM_ALL},
                                             {"Selector", GAPI_FROM_SELECTOR},
                                             {"None", GAPI_FROM_NONE},
                                             {NULL}};

static void check_namespaces(struct decoder *d, void *obj)
{
    struct gapi_namespaces *n = obj;
    if (n->from == GAPI_FROM_SELECTOR && !n->selector)
        diag_at_key(d->diags, DIAG_Ignored, n->node, "from",
                    "write a selector, for instance selector: {matchLabels: {...}}",
                    "from: Selector without a selector allows no namespace");
    else if (n->from != GAPI_FROM_SELECTOR && n->selector)
        diag_at_key(d->diags, DIAG_Ignored, n->node, "selector", "write from: Selector",
                    "the selector has no effect because from is not Selector");
}

#define T struct gapi_namespaces
static const struct field ROUTE_NAMESPACES_FIELDS[] = {
    FIELD_ENUM(T, from, "from", ROUTE_FROM, GAPI_FROM_SAME,
               "Namespaces whose routes may attach: Same as the listener's, All, None, or those a "
               "Selector finds"),
    FIELD_OBJ(T, selector, "selector", 0, &SCHEMA_LABEL_SELECTOR,
              "Labels of the namespaces, when from is Selector. Every namespace has the label "
              "kubernetes.io/metadata.name"),
};
static const struct field LISTENER_NAMESPACES_FIELDS[] = {
    FIELD_ENUM(
        T, from, "from", ROUTE_FROM, GAPI_FROM_NONE,
        "Namespaces whose ListenerSets may attach: None, Same, All, or those a Selector finds"),
    FIELD_OBJ(T, selector, "selector", 0, &SCHEMA_LABEL_SELECTOR,
              "Labels of the namespaces, when from is Selector"),
};
#undef T
const struct schema SCHEMA_GAPI_ROUTE_NAMESPACES =
    SCHEMA(struct gapi_namespaces, ROUTE_NAMESPACES_FIELDS, check_namespaces,
           "Namespaces that routes may come from");
const struct schema SCHEMA_GAPI_LISTENER_NAMESPACES =
    SCHEMA(struct gapi_namespaces, LISTENER_NAMESPACES_FIELDS, check_namespaces,
           "Namespaces that ListenerSets may come from");

/* ---- references ------------------------------------------------------------------------------ */

#define T struct gapi_parent_ref
static const struct field PARENT_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", 0, DOC_GROUP, .max = 253, .def_str = GAPI_GROUP),
    FIELD_STR(T, kind, "kind", 0, "Kind of the parent: Gateway", .min = 1, .max = 63,
              .def_str = "Gateway"),
    FIELD_STR(T, ns, "namespace", 0, "Namespace of the parent; the route's own when absent",
              .format = FMT_DNS_LABEL),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the parent", .min = 1, .max = 253),
    FIELD_STR(T, section, "sectionName", 0, "Name of one listener; absent means every listener",
              .min = 1, .max = 253),
    FIELD_INT(T, port, "port", 0, 1, 65535,
              "Port of the listeners to attach to; absent means every port"),
};
#undef T
const struct schema SCHEMA_GAPI_PARENT_REF =
    SCHEMA(struct gapi_parent_ref, PARENT_REF_FIELDS, NULL,
           "The Gateway, or one of its listeners, a route attaches to");

#define T struct gapi_object_ref
static const struct field SECRET_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", 0, DOC_GROUP, .max = 253, .def_str = ""),
    FIELD_STR(T, kind, "kind", 0, "Kind of the object: Secret", .min = 1, .max = 63,
              .def_str = "Secret"),
    FIELD_STR(T, ns, "namespace", 0,
              "Namespace of the object; another one needs a ReferenceGrant there",
              .format = FMT_DNS_LABEL),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, DOC_NAME, .min = 1, .max = 253),
};
static const struct field OBJECT_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", FIELD_REQUIRED, DOC_GROUP, .max = 253),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, DOC_KIND, .min = 1, .max = 63),
    FIELD_STR(T, ns, "namespace", 0, "Namespace of the object", .format = FMT_DNS_LABEL),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, DOC_NAME, .min = 1, .max = 253),
};
static const struct field LOCAL_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", FIELD_REQUIRED, DOC_GROUP, .max = 253),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, DOC_KIND, .min = 1, .max = 63),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the object, in the same namespace",
              .min = 1, .max = 253),
};
static const struct field SERVICE_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", 0, DOC_GROUP, .max = 253, .def_str = ""),
    FIELD_STR(T, kind, "kind", 0, "Kind of the object: Service", .min = 1, .max = 63,
              .def_str = "Service"),
    FIELD_STR(T, ns, "namespace", 0,
              "Namespace of the Service; another one needs a ReferenceGrant there",
              .format = FMT_DNS_LABEL),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, DOC_NAME, .min = 1, .max = 253),
    FIELD_INT(T, port, "port", 0, 1, 65535, "Port of the Service"),
};
#undef T

static void check_service_ref(struct decoder *d, void *obj)
{
    struct gapi_object_ref *r = obj;
    gapi_check_service_port(d, r->node, r->group, r->kind, r->port.set);
}

const struct schema SCHEMA_GAPI_SECRET_REF = SCHEMA(struct gapi_object_ref, SECRET_REF_FIELDS, NULL,
                                                    "A Secret with a certificate and its key");
const struct schema SCHEMA_GAPI_OBJECT_REF =
    SCHEMA(struct gapi_object_ref, OBJECT_REF_FIELDS, NULL, "A reference to an object");
const struct schema SCHEMA_GAPI_LOCAL_REF =
    SCHEMA(struct gapi_object_ref, LOCAL_REF_FIELDS, NULL,
           "A reference to an object of the same namespace");
const struct schema SCHEMA_GAPI_PARAMETERS_REF =
    SCHEMA(struct gapi_object_ref, OBJECT_REF_FIELDS, NULL,
           "An object with settings for every Gateway of the class");
const struct schema SCHEMA_GAPI_SERVICE_REF =
    SCHEMA(struct gapi_object_ref, SERVICE_REF_FIELDS, check_service_ref, "A Service and its port");

void gapi_check_service_port(struct decoder *d, const struct node *node, struct str group,
                             struct str kind, bool has_port)
{
    if (has_port || group.n || !str_eqc(kind, "Service") || node_get(node, "port"))
        return;
    diag_at(d->diags, DIAG_Required, node,
            "add port: the port number of the Service (not of its pods)",
            "a reference to a Service must have a port");
}

static bool same_parent(const struct gapi_parent_ref *a, const struct gapi_parent_ref *b)
{
    return str_eq(a->group, b->group) && str_eq(a->kind, b->kind) && str_eq(a->ns, b->ns) &&
           str_eq(a->name, b->name);
}

void gapi_check_parent_refs(struct decoder *d, const struct gapi_parent_ref *refs, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++) { /* at most 32 */
            const struct gapi_parent_ref *a = &refs[i], *b = &refs[j];
            if (!same_parent(a, b))
                continue;
            bool bare = (!a->section.n && !a->port.set) || (!b->section.n && !b->port.set);
            if (!bare && (!str_eq(a->section, b->section) || a->port.set != b->port.set ||
                          a->port.v != b->port.v))
                continue;
            diag_at(d->diags, DIAG_Exclusive, a->node,
                    "give each of them its own sectionName or port",
                    "names the same parent as parentRefs[%zu]", j);
            break;
        }
}
