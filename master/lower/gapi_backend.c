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

/* ---- how a port is spoken to ----------------------------------------------------------------- */

struct speech {
    enum upstream_protocol protocol;
    bool tls; /* as appProtocol has it; a BackendTLSPolicy makes it so anyway */
};

/* False: routes of this kind can't be served there. */
static bool speech_of(const struct object *route, const struct core_service_port *p, struct speech *s)
{
    bool grpc = route->kind->id == KIND_GRPC_ROUTE, ws = str_eqc(p->app_protocol, "kubernetes.io/ws");
    bool wss = str_eqc(p->app_protocol, "kubernetes.io/wss");
    *s = (struct speech){grpc ? UPSTREAM_H2 : lower_port_protocol(p), wss || str_ieq(p->app_protocol, STR("https"))};
    return !grpc || (!ws && !wss);
}

static bool is_http(const struct object *route)
{
    return route->kind->id == KIND_HTTP_ROUTE || route->kind->id == KIND_GRPC_ROUTE;
}

static bool is_datagram(const struct object *route)
{
    return route->kind->id == KIND_UDP_ROUTE;
}

/* ---- what is known of a backend -------------------------------------------------------------- */

/*
 * Rules ask four times about each of their backends, and most rules of a configuration have the same few. So answers are
 * kept, where they depend on nothing but what stands here: nothing of it changes while routes are lowered. A table of
 * fixed size, in which the later of two wins the place.
 */
struct gapi_known {
    enum kind_id route;          /* KIND_COUNT: the place is free */
    struct str from, ns, name;   /* namespace of the route; Service */
    uint16_t port;
    bool asked_problem, asked_tls, asked_cluster;
    enum backend_problem problem;
    bool tls, plain;             /* `plain`, `gw`: who asked for the cluster */
    const struct gapi_gw *gw;
    struct model_cluster *cluster;
};
#define KNOWN_BITS 9

static bool is_known(const struct gapi_known *k, const struct object *o, struct str ns, const struct gapi_backend_ref *b)
{
    return k->route == o->kind->id && k->port == (uint16_t)b->port.v && str_eq(k->name, b->name) && str_eq(k->ns, ns) &&
           str_eq(k->from, o->ns);
}

/* Its place, with nothing asked yet when it is new. Of references to Services only. */
static struct gapi_known *known_of(struct lower *l, const struct object *o, const struct gapi_backend_ref *b)
{
    struct str ns = namespace_of(o, b);
    struct gapi_work *w = l->gapi;
    if (!w->known) {
        w->known = arena_new_n(l->arena, struct gapi_known, (size_t)1 << KNOWN_BITS);
        for (size_t i = 0; i < (size_t)1 << KNOWN_BITS; i++)
            w->known[i].route = KIND_COUNT;
    }
    uint64_t hash = hash_str(b->name, (uint64_t)b->port.v ^ (uint64_t)ns.n << 32);
    struct gapi_known *k = &w->known[hash >> (64 - KNOWN_BITS)];
    if (!is_known(k, o, ns, b))
        *k = (struct gapi_known){.route = o->kind->id, .from = o->ns, .ns = ns, .name = b->name, .port = (uint16_t)b->port.v};
    return k;
}

/* ---- problems -------------------------------------------------------------------------------- */

static enum backend_problem problem_of(struct lower *l, const struct object *o, const struct gapi_backend_ref *b)
{
    struct str ns = namespace_of(o, b);
    enum backend_problem why = BACKEND_OK;
    struct speech speech;
    if (!grant_allows(l->store, GAPI_GROUP, o->kind->kind, o->ns, "", "Service", ns, b->name))
        return BACKEND_NOT_PERMITTED;
    if (lower_service_is_external(l, ns, b->name))
        return BACKEND_BAD_KIND;
    const struct core_service_port *p = lower_service_port(l, ns, b->name, (uint16_t)b->port.v, is_datagram(o), &why);
    return p && is_http(o) && !speech_of(o, p, &speech) ? BACKEND_BAD_PROTOCOL : why;
}

enum backend_problem gapi_backend_problem(struct lower *l, const struct object *o,
                                          const struct gapi_backend_ref *b)
{
    enum backend_problem why = BACKEND_OK;
    if (is_istio_hostname(b)) {
        lower_istio_host(l, b->name, (uint16_t)b->port.v, o->ns, &why);
        return why;
    }
    if (!is_service(b))
        return BACKEND_BAD_KIND;
    struct gapi_known *k = known_of(l, o, b);
    if (!k->asked_problem)
        k->problem = problem_of(l, o, b);
    k->asked_problem = true;
    return k->problem;
}

/* ---- clusters -------------------------------------------------------------------------------- */

/* TLS that appProtocol asks for and no policy describes: the CAs of the system, and the name that the client wrote. */
static struct model_tls_client *implied_client(struct lower *l, const struct gapi_gw *gw)
{
    struct model_tls_client **known = gw ? &l->gapi->implied[gw->number] : &l->gapi->implied[0];
    if (*known)
        return *known;
    *known = model_tls_client_add(l->model);
    (*known)->system_ca = true;
    gapi_tls_show(gw, *known);
    (*known)->origin = gw ? lower_origin(l, gw->object, NULL, STR_NONE) : (struct model_origin){0};
    return *known;
}

static void tell_implied(struct lower *l, const struct core_service_port *p)
{
    diag_at_key(l->diags, DIAG_Suspicious, p->node, "appProtocol",
                "add a BackendTLSPolicy for the Service, which says whom to trust and for which name",
                "backends of protocol " STR_FMT " must have a certificate of a CA of this machine for the host name of each "
                "request", STR_ARG(p->app_protocol));
}

/* "h2", "tls", "h2,tls=Gateway/ns/name": what the cluster has beside its endpoints. */
static struct str variant_of(struct lower *l, const struct core_service_port *p, const struct speech *s,
                             const struct gapi_gw *gw, bool tls)
{
    bool usual = s->protocol == lower_port_protocol(p);
    const char *protocol = usual ? "" : s->protocol == UPSTREAM_H2 ? "h2" : "http1", *comma = !usual && tls ? "," : "";
    if (!tls)
        return str_c(protocol);
    if (!gw)
        return arena_strf(l->arena, "%s%stls", protocol, comma);
    return arena_strf(l->arena, "%s%stls=Gateway/" STR_FMT "/" STR_FMT, protocol, comma, STR_ARG(gw->object->ns),
                      STR_ARG(gw->object->name));
}

static struct model_cluster *speaking(struct lower *l, const struct gapi_use *use, const struct gapi_backend_ref *b,
                                      const struct core_service_port *p, const struct speech *s)
{
    struct str ns = namespace_of(use->route, b), name = b->name;
    struct gapi_policy *policy = gapi_policy_of(l, ns, name, p->name);
    bool tls = policy || s->tls, made;
    struct str variant = variant_of(l, p, s, use->gw, tls);
    enum backend_problem why;
    if (variant.n == 0)
        return lower_service(l, ns, name, (uint16_t)p->port.v, &why);
    struct model_cluster *c = lower_service_variant(l, ns, name, (uint16_t)p->port.v, false, variant, &made, &why);
    if (!c || !made)
        return c;
    c->protocol = s->protocol;
    if (policy)
        c->tls = gapi_policy_client(l, policy, use->gw);
    else if (tls && !c->tls) { /* no DestinationRule says how either */
        c->tls = implied_client(l, use->gw);
        tell_implied(l, p);
    }
    return c;
}

static struct model_cluster *cluster_of(struct lower *l, const struct gapi_use *use, const struct gapi_backend_ref *b)
{
    const struct object *o = use->route;
    struct str ns = namespace_of(o, b);
    uint16_t port = (uint16_t)b->port.v;
    enum backend_problem why;
    struct speech speech;
    bool made;
    if (is_datagram(o))
        return lower_service_variant(l, ns, b->name, port, true, STR("udp"), &made, &why);
    const struct core_service_port *p = lower_service_port(l, ns, b->name, port, false, &why);
    if (use->plain || !p)
        return p ? lower_service(l, ns, b->name, port, &why) : NULL;
    if (is_http(o))
        speech_of(o, p, &speech);
    else
        speech = (struct speech){lower_port_protocol(p), false}; /* bytes, which a policy alone encrypts */
    return speaking(l, use, b, p, &speech);
}

struct model_cluster *gapi_backend_cluster(struct lower *l, const struct gapi_use *use,
                                           const struct gapi_backend_ref *b)
{
    enum backend_problem why = gapi_backend_problem(l, use->route, b);
    if (why != BACKEND_OK)
        return NULL;
    if (is_istio_hostname(b))
        return lower_istio_host(l, b->name, (uint16_t)b->port.v, use->route->ns, &why);
    struct gapi_known *k = known_of(l, use->route, b);
    if (k->asked_cluster && k->gw == use->gw && k->plain == use->plain)
        return k->cluster;
    k->cluster = cluster_of(l, use, b);
    k->gw = use->gw;
    k->plain = use->plain;
    k->asked_cluster = true;
    return k->cluster;
}

static bool speaks_tls(struct lower *l, const struct object *o, const struct gapi_backend_ref *b)
{
    enum backend_problem why;
    struct speech speech;
    const struct core_service_port *p =
        lower_service_port(l, namespace_of(o, b), b->name, (uint16_t)b->port.v, is_datagram(o), &why);
    if (!p)
        return false;
    speech_of(o, p, &speech);
    return (is_http(o) && speech.tls) || gapi_policy_of(l, namespace_of(o, b), b->name, p->name);
}

bool gapi_backend_is_tls(struct lower *l, const struct object *o, const struct gapi_backend_ref *b)
{
    if (!is_service(b))
        return false;
    struct gapi_known *k = known_of(l, o, b);
    if (!k->asked_tls)
        k->tls = speaks_tls(l, o, b);
    k->asked_tls = true;
    return k->tls;
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
    [BACKEND_BAD_PROTOCOL] = {"UnsupportedProtocol", DIAG_NotServed, ""},
};

static struct str problem_text(struct lower *l, const struct object *o, const struct gapi_backend_ref *b,
                               struct str ns, enum backend_problem why)
{
    if (why == BACKEND_BAD_KIND && is_service(b))
        return arena_strf(l->arena,
                          "Service " STR_FMT "/" STR_FMT
                          " is of type ExternalName, which %ss can't use",
                          STR_ARG(ns), STR_ARG(b->name), o->kind->kind);
    if (why == BACKEND_BAD_PROTOCOL)
        return arena_strf(l->arena, STR_FMT " " STR_FMT "/" STR_FMT " speaks a protocol on port %u that %ss can't use",
                          STR_ARG(b->kind), STR_ARG(ns), STR_ARG(b->name), (unsigned)b->port.v, o->kind->kind);
    if (why == BACKEND_NO_PORT)
        return arena_strf(l->arena, STR_FMT " " STR_FMT "/" STR_FMT " %s %u", STR_ARG(b->kind),
                          STR_ARG(ns), STR_ARG(b->name), PROBLEMS[why].text, (unsigned)b->port.v);
    return arena_strf(l->arena, STR_FMT " " STR_FMT "/" STR_FMT " %s", STR_ARG(b->kind),
                      STR_ARG(ns), STR_ARG(b->name), PROBLEMS[why].text);
}

struct gapi_fault gapi_backend_fault(struct lower *l, const struct object *o,
                                     const struct gapi_backend_ref *b,
                                     enum backend_problem why, const char *effect)
{
    struct str ns = namespace_of(o, b), text = problem_text(l, o, b, ns, why);
    const char *hint = NULL;
    if (why == BACKEND_NOT_FOUND)
        hint = hint_not_found(l, ns, b->name);
    else if (why == BACKEND_NO_PORT)
        hint = hint_ports(l, ns, b->name, b->port.v);
    else if (why == BACKEND_NOT_PERMITTED)
        hint = arena_strf(l->arena,
                          "add a ReferenceGrant in namespace " STR_FMT
                          " from %s of namespace " STR_FMT " to Service " STR_FMT,
                          STR_ARG(ns), o->kind->kind, STR_ARG(o->ns), STR_ARG(b->name))
                   .p;
    diag_at(l->diags, PROBLEMS[why].code, b->node, hint, STR_FMT "; %s", STR_ARG(text), effect);
    return (struct gapi_fault){PROBLEMS[why].reason, text};
}
