/* gapi_class.c - GatewayClasses; GATEWAY-API-RULES section 2. */
#include "master/lower/gapi.h"

/* Classes that exist without an object: on one machine there is no other controller. */
static const struct {
    const char *name, *controller;
} BUILT_IN[] = {
    {"gatehouse", "gatehouse.dev/gateway-controller"},
    {"istio", "istio.io/gateway-controller"},
};

/* Without an instance (tests) the built-in controllers are ours. */
static bool controller_is_ours(const struct lower *l, struct str name)
{
    size_t n = l->instance ? l->instance->controllers.n : 0;
    for (size_t i = 0; i < n; i++)
        if (str_eq(l->instance->controllers.v[i], name))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(BUILT_IN) && n == 0; i++)
        if (str_eqc(name, BUILT_IN[i].controller))
            return true;
    return false;
}

struct gapi_fault gapi_parameters(struct lower *l, const struct gapi_object_ref *ref, struct str ns)
{
    if (ref->group.n || !str_eqc(ref->kind, "ConfigMap"))
        return (struct gapi_fault){"InvalidParameters",
                                   arena_strf(l->arena,
                                              "parametersRef: kind " STR_FMT " of group \"" STR_FMT
                                              "\" is not supported; it must be a ConfigMap",
                                              STR_ARG(ref->kind), STR_ARG(ref->group))};
    if (ns.n == 0)
        return (struct gapi_fault){"InvalidParameters",
                                   STR("parametersRef: a ConfigMap needs a namespace")};
    if (!store_get(l->store, KIND_CONFIG_MAP, ns, ref->name))
        return (struct gapi_fault){
            "InvalidParameters",
            arena_strf(l->arena, "parametersRef: ConfigMap " STR_FMT "/" STR_FMT " does not exist",
                       STR_ARG(ns), STR_ARG(ref->name))};
    diag_at(l->diags, DIAG_NotServed, ref->node, NULL,
            "the content of the ConfigMap has no effect yet");
    return (struct gapi_fault){0};
}

void gapi_classes(struct lower *l)
{
    const struct store *st = l->store;
    map_init(&l->gapi->classes, l->arena);
    for (size_t i = 0; i < st->n_by_kind[KIND_GATEWAY_CLASS]; i++) {
        struct object *o = st->by_kind[KIND_GATEWAY_CLASS][i];
        const struct gapi_gateway_class_spec *spec =
            ((const struct gapi_gateway_class *)o->spec)->spec;
        if (!controller_is_ours(l, spec->controller_name))
            continue; /* another controller's: no status */
        struct gapi_class *c = arena_new(l->arena, struct gapi_class);
        *c = (struct gapi_class){.object = o, .name = o->name, .controller = spec->controller_name};
        if (spec->parameters_ref)
            c->fault = gapi_parameters(l, spec->parameters_ref, spec->parameters_ref->ns);
        if (c->fault.reason)
            diag_at(l->diags, DIAG_MissingReference, spec->parameters_ref->node,
                    "Gateways of this class are not served", STR_FMT, STR_ARG(c->fault.message));
        map_put(&l->gapi->classes, c->name, c);
    }
    for (size_t i = 0; i < ARRAY_LEN(BUILT_IN); i++) {
        struct str name = str_c(BUILT_IN[i].name);
        if (store_get(st, KIND_GATEWAY_CLASS, STR_NONE, name))
            continue;
        struct gapi_class *c = arena_new(l->arena, struct gapi_class);
        *c = (struct gapi_class){.name = name, .controller = str_c(BUILT_IN[i].controller)};
        map_put(&l->gapi->classes, name, c);
    }
}

const struct gapi_class *gapi_class_of(struct lower *l, struct str name, const struct node *where)
{
    const struct gapi_class *c = map_get(&l->gapi->classes, name);
    if (c)
        return c;
    const struct object *o = store_get(l->store, KIND_GATEWAY_CLASS, STR_NONE, name);
    if (!o)
        diag_at_key(l->diags, DIAG_MissingReference, where, "gatewayClassName",
                    "gatewayClassName: gatehouse needs no GatewayClass object",
                    "GatewayClass " STR_FMT " does not exist; the Gateway is not served",
                    STR_ARG(name));
    else
        diag_at_key(l->diags, DIAG_NotServed, where, "gatewayClassName",
                    "if it shall be, add the name to controllers in gatehouse.yaml",
                    "GatewayClass " STR_FMT " belongs to another controller (" STR_FMT
                    "); the Gateway is not served",
                    STR_ARG(name),
                    STR_ARG(((const struct gapi_gateway_class *)o->spec)->spec->controller_name));
    return NULL;
}
