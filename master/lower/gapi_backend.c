/*
 * gapi_backend.c - where a backendRef leads; GATEWAY-API-RULES sections 4 (ResolvedRefs), 8 and 13.
 *
 * The order of the questions is part of the API: the kind first, then the grant, and only then
 * whether the object exists, so that nobody learns by a reference what another namespace holds.
 */
#include "master/kinds/core_service.h"
#include "master/lower/gapi.h"

#define HINTS_MAX 64 /* costly ones; a file with more broken references has one cause */

static bool is_service(const struct gapi_backend_ref *b)
{
    return b->group.n == 0 && str_eqc(b->kind, "Service");
}

/* Istio's way to send a route to a host of the registry by its name. */
static bool is_istio_hostname(const struct gapi_backend_ref *b)
{
    return str_eqc(b->group, "networking.istio.io") && str_eqc(b->kind, "Hostname");
}

static struct str namespace_of(const struct object *o, const struct gapi_backend_ref *b)
{
    return b->ns.n ? b->ns : o->ns;
}

enum backend_problem gapi_backend_problem(struct lower *l, const struct object *o,
                                          const struct gapi_backend_ref *b)
{
    struct str ns = namespace_of(o, b);
    enum backend_problem why = BACKEND_OK;
    if (is_istio_hostname(b)) {
        lower_istio_host(l, b->name, (uint16_t)b->port.v, o->ns, &why);
        return why;
    }
    if (!is_service(b))
        return BACKEND_BAD_KIND;
    if (!str_eq(ns, o->ns) &&
        !grant_allows(l->store, GAPI_GROUP, "HTTPRoute", o->ns, "", "Service", ns, b->name))
        return BACKEND_NOT_PERMITTED;
    if (lower_service_is_external(l, ns, b->name))
        return BACKEND_BAD_KIND;
    return lower_service_problem(l, ns, b->name, (uint16_t)b->port.v);
}

struct model_cluster *gapi_backend_cluster(struct lower *l, const struct object *o,
                                           const struct gapi_backend_ref *b)
{
    enum backend_problem why = gapi_backend_problem(l, o, b);
    if (why != BACKEND_OK)
        return NULL;
    if (is_istio_hostname(b))
        return lower_istio_host(l, b->name, (uint16_t)b->port.v, o->ns, &why);
    return lower_service(l, namespace_of(o, b), b->name, (uint16_t)b->port.v, &why);
}

struct str gapi_backend_name(struct lower *l, const struct object *o,
                             const struct gapi_backend_ref *b)
{
    struct str ns = namespace_of(o, b);
    if (!b->port.set)
        return arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(ns), STR_ARG(b->name));
    return arena_strf(l->arena, STR_FMT "/" STR_FMT ":%u", STR_ARG(ns), STR_ARG(b->name),
                      (unsigned)b->port.v);
}

/* ---- what to say ----------------------------------------------------------------------------- */

/* A Service of that name elsewhere, or one of a similar name here. */
static const char *hint_not_found(struct lower *l, struct str ns, struct str name)
{
    const struct object *near = NULL;
    unsigned best = name.n <= 3 ? 1 : 2;
    if (l->gapi->n_hints++ >= HINTS_MAX)
        return NULL;
    for (size_t i = 0; i < l->store->n_by_kind[KIND_SERVICE]; i++) {
        const struct object *o = l->store->by_kind[KIND_SERVICE][i];
        if (str_eq(o->name, name))
            return arena_strf(l->arena,
                              "there is one in namespace " STR_FMT
                              ": write namespace, and add a ReferenceGrant there",
                              STR_ARG(o->ns))
                .p;
        unsigned d = str_eq(o->ns, ns) ? str_distance(o->name, name, best) : best + 1;
        if (d <= best && (!near || d < best)) {
            near = o;
            best = d;
        }
    }
    return near ? arena_strf(l->arena, "did you mean " STR_FMT "?", STR_ARG(near->name)).p : NULL;
}

static const char *hint_ports(struct lower *l, struct str ns, struct str name, int64_t wanted)
{
    const struct object *o = store_get(l->store, KIND_SERVICE, ns, name);
    const struct core_service_spec *s = o ? ((const struct core_service *)o->spec)->spec : NULL;
    struct buf b = {0};
    const char *hint = NULL;
    for (size_t i = 0; s && i < s->ports.n; i++) {
        if (s->ports.v[i].target_port.is_int && s->ports.v[i].target_port.i == wanted)
            hint = "that is a targetPort; a route names the port of the Service";
        buf_addf(&b, "%s%lld", i ? ", " : "it has ", (long long)s->ports.v[i].port.v);
    }
    if (!hint && b.n)
        hint = arena_str(l->arena, buf_str(&b)).p;
    buf_fini(&b);
    return hint;
}

/* One row per problem: the condition's reason, the finding's code, what stands behind "Service
 * ns/name". */
static const struct {
    const char *reason;
    enum diag_code code;
    const char *text;
} PROBLEMS[] = {
    [BACKEND_NOT_FOUND] = {"BackendNotFound", DIAG_MissingReference, "does not exist"},
    [BACKEND_NO_PORT] = {"BackendNotFound", DIAG_MissingReference, "has no port"},
    [BACKEND_BAD_KIND] = {"InvalidKind", DIAG_NotServed, "is of a kind that can't be a backend"},
    [BACKEND_NOT_PERMITTED] = {"RefNotPermitted", DIAG_RefNotPermitted,
                               "lies in another namespace and no ReferenceGrant permits it"},
    [BACKEND_BAD_PROTOCOL] = {"UnsupportedProtocol", DIAG_NotServed,
                              "speaks a protocol that is not served on port"},
};

static struct str problem_text(struct lower *l, const struct gapi_backend_ref *b,
                               struct str ns, enum backend_problem why)
{
    if (why == BACKEND_BAD_KIND && is_service(b))
        return arena_strf(l->arena,
                          "Service " STR_FMT "/" STR_FMT
                          " is of type ExternalName, which HTTPRoutes can't use",
                          STR_ARG(ns), STR_ARG(b->name));
    if (why == BACKEND_NO_PORT || why == BACKEND_BAD_PROTOCOL)
        return arena_strf(l->arena, STR_FMT " " STR_FMT "/" STR_FMT " %s %u", STR_ARG(b->kind),
                          STR_ARG(ns), STR_ARG(b->name), PROBLEMS[why].text, (unsigned)b->port.v);
    return arena_strf(l->arena, STR_FMT " " STR_FMT "/" STR_FMT " %s", STR_ARG(b->kind),
                      STR_ARG(ns), STR_ARG(b->name), PROBLEMS[why].text);
}

struct gapi_fault gapi_backend_fault(struct lower *l, const struct object *o,
                                     const struct gapi_backend_ref *b,
                                     enum backend_problem why, const char *effect)
{
    struct str ns = namespace_of(o, b), text = problem_text(l, b, ns, why);
    const char *hint = NULL;
    if (why == BACKEND_NOT_FOUND)
        hint = hint_not_found(l, ns, b->name);
    else if (why == BACKEND_NO_PORT)
        hint = hint_ports(l, ns, b->name, b->port.v);
    else if (why == BACKEND_NOT_PERMITTED)
        hint = arena_strf(l->arena,
                          "add a ReferenceGrant in namespace " STR_FMT
                          " from HTTPRoute of namespace " STR_FMT " to Service " STR_FMT,
                          STR_ARG(ns), STR_ARG(o->ns), STR_ARG(b->name))
                   .p;
    diag_at(l->diags, PROBLEMS[why].code, b->node, hint, STR_FMT "; %s", STR_ARG(text), effect);
    return (struct gapi_fault){PROBLEMS[why].reason, text};
}
