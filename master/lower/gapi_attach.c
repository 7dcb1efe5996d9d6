/* gapi_attach.c - which listeners accept a route, and for which hosts; GATEWAY-API-RULES sections 4
 * and 5. */
#include "master/lower/gapi.h"
#include "shared/http/host.h"

/* ---- step 1: the parent ---------------------------------------------------------------------- */

struct gapi_gw *gapi_parent(struct lower *l, const struct object *route,
                            const struct gapi_parent_ref *ref)
{
    char buf[640];
    struct str ns = ref->ns.n ? ref->ns : route->ns;
    if (!str_eqc(ref->group, GAPI_GROUP) || !str_eqc(ref->kind, "Gateway")) {
        diag_at(l->diags, DIAG_NotServed, ref->node, NULL,
                "parents of kind " STR_FMT " (group \"" STR_FMT "\") are not served yet",
                STR_ARG(ref->kind), STR_ARG(ref->group));
        return NULL;
    }
    struct gapi_gw *gw = map_get(&l->gapi->gateways, gapi_key(ns, ref->name, buf, sizeof(buf)));
    if (gw)
        return gw;
    if (store_get(l->store, KIND_GATEWAY, ns, ref->name))
        diag_at(l->diags, DIAG_NotAttached, ref->node,
                "see the finding at the Gateway's gatewayClassName",
                "Gateway " STR_FMT "/" STR_FMT " is not served here", STR_ARG(ns),
                STR_ARG(ref->name));
    else
        diag_at(l->diags, DIAG_MissingReference, ref->node,
                ref->ns.n ? NULL : "a Gateway of another namespace needs namespace",
                "Gateway " STR_FMT "/" STR_FMT " does not exist", STR_ARG(ns), STR_ARG(ref->name));
    return NULL;
}

/* ---- step 3: namespaces and kinds ------------------------------------------------------------ */

static bool selected(struct lower *l, struct gapi_gw_listener *gl,
                     const struct gapi_namespaces *from, struct str ns)
{
    /* Two values that a map can hold: the listener for yes, the Gateway for no. */
    const void *known = map_get(&gl->namespaces, ns);
    if (known)
        return known == gl;
    bool yes = from->selector && selector_matches_namespace(l->store, from->selector->node, ns);
    map_put(&gl->namespaces, ns, yes ? (void *)gl : (void *)gl->gw);
    return yes;
}

static bool allows(struct lower *l, struct gapi_gw_listener *gl, const struct object *route, unsigned kind)
{
    const struct gapi_allowed_routes *a = gl->spec->allowed_routes;
    const struct gapi_namespaces *from = a ? a->namespaces : NULL;
    if (!(gl->takes & kind))
        return false;
    switch (from ? (enum gapi_from)from->from : GAPI_FROM_SAME) {
    case GAPI_FROM_ALL:
        return true;
    case GAPI_FROM_SAME:
        return str_eq(route->ns, gl->gw->object->ns);
    case GAPI_FROM_SELECTOR:
        return selected(l, gl, from, route->ns);
    case GAPI_FROM_NONE:
        break;
    }
    return false;
}

/* ---- step 4: hostnames ----------------------------------------------------------------------- */

/* A route's hosts on one listener. Several hostnames of the route may come to one host: the most
 * specific is the one that precedence compares (section 6, criterion 1). */
struct hosts {
    struct {
        struct str host, route_hostname;
    } v[GAPI_HOSTNAMES_MAX];
    size_t n;
};

static void add_host(struct hosts *hs, struct str host, struct str route_hostname, bool once)
{
    size_t i = once ? 0 : hs->n;
    while (i < hs->n && !str_eq(hs->v[i].host, host))
        i++;
    if (i == ARRAY_LEN(hs->v) ||
        (i < hs->n && http_host_compare(route_hostname, hs->v[i].route_hostname) <= 0))
        return; /* more than the table allows */
    hs->v[i].host = host;
    hs->v[i].route_hostname = route_hostname;
    hs->n = GH_MAX(hs->n, i + 1);
}

static void intersect(struct lower *l, const struct gapi_route_common *spec, unsigned kind,
                      const struct gapi_gw_listener *gl, struct hosts *hs)
{
    struct str own = gl->spec->hostname.n ? gl->spec->hostname : STR("*"), both;
    bool once = kind & (GAPI_TAKES_HTTP | GAPI_TAKES_GRPC); /* at most 16; a chain has its name once anyway */
    hs->n = 0;
    if (kind & (GAPI_TAKES_TCP | GAPI_TAKES_UDP))
        add_host(hs, STR(""), STR(""), false);
    else if (spec->hostnames.n == 0)
        add_host(hs, own, STR(""), false);
    for (size_t i = 0; i < spec->hostnames.n && i < GAPI_HOSTNAMES_MAX; i++) {
        if (!http_host_intersect(own, spec->hostnames.v[i], &both))
            continue;
        add_host(hs, both, spec->hostnames.v[i], once);
        l->gapi->fits[i] = true;
    }
}

/* Every host of the route on this listener, isolated or not: gapi_route.c keeps those that are its
 * own (5.1). */
static void place(struct lower *l, struct gapi_gw_listener *gl, const struct object *route, const struct hosts *hs)
{
    for (size_t i = 0; i < gl->bound.n; i++) {
        struct model_listener *leader = gl->bound.v[i].leader;
        if (l->gapi->placed[leader->index] == l->gapi->serial)
            continue; /* attached to two listeners of one group, or twice to one */
        l->gapi->placed[leader->index] = l->gapi->serial;
        for (size_t j = 0; j < hs->n; j++) {
            *ARENA_PUSH(l->arena, &l->gapi->places) =
                (struct gapi_place){gl, leader, hs->v[j].host, hs->v[j].route_hostname};
            gapi_claim(l, leader, route, hs->v[j].host);
        }
    }
}

/* An HTTPRoute where a GRPCRoute is, or the other way round: the older one has the listener's hosts (section 4). */
static const struct object *clash(const struct lower *l, const struct gapi_gw_listener *gl, const struct object *route,
                                  const struct hosts *hs)
{
    const struct object *other = NULL;
    for (size_t i = 0; i < gl->bound.n && l->gapi->claims; i++)
        for (size_t j = 0; j < hs->n && !other; j++)
            other = gapi_claimed(l, gl->bound.v[i].leader, route, hs->v[j].host);
    return other;
}

/* ---- all steps ------------------------------------------------------------------------------- */

static bool is_meant(const struct gapi_gw_listener *gl, const struct gapi_parent_ref *ref)
{
    return (!ref->section.n || str_eq(ref->section, gl->spec->name)) &&
           (!ref->port.set || ref->port.v == gl->spec->port.v);
}

static struct gapi_fault no_listener(struct lower *l, const struct gapi_parent_ref *ref)
{
    struct str text =
        ref->section.n && ref->port.set
            ? arena_strf(l->arena, "the Gateway has no listener " STR_FMT " on port %u",
                         STR_ARG(ref->section), (unsigned)ref->port.v)
        : ref->section.n
            ? arena_strf(l->arena, "the Gateway has no listener " STR_FMT, STR_ARG(ref->section))
            : arena_strf(l->arena, "the Gateway has no listener on port %u", (unsigned)ref->port.v);
    return (struct gapi_fault){"NoMatchingParent", text};
}

static struct gapi_fault not_allowed(struct lower *l, const struct object *route,
                                     const struct gapi_gw *gw, const struct gapi_parent_ref *ref, unsigned kind)
{
    size_t takes = 0;
    for (size_t i = 0; i < gw->spec->listeners.n; i++)
        takes += is_meant(&gw->listeners[i], ref) && (gw->listeners[i].takes & kind);
    struct str text = takes ? arena_strf(l->arena, "no listener allows routes of namespace " STR_FMT, STR_ARG(route->ns))
                            : arena_strf(l->arena, "no listener takes %ss", route->kind->kind);
    return (struct gapi_fault){"NotAllowedByListeners", text};
}

static struct gapi_fault clashes(struct lower *l, const struct object *other)
{
    return (struct gapi_fault){
        "HostnameConflict",
        arena_strf(l->arena, "%s " STR_FMT "/" STR_FMT ", which is older, has a host name of the route; a listener serves "
                   "a host name to routes of one kind", other->kind->kind, STR_ARG(other->ns), STR_ARG(other->name))};
}

struct gapi_fault gapi_attach(struct lower *l, const struct object *route, struct gapi_gw *gw,
                              const struct gapi_parent_ref *ref, bool count)
{
    const struct gapi_route_common *spec = gapi_route_of(route->spec);
    unsigned kind = gapi_takes_of(route->kind->id);
    size_t meant = 0, allowed = 0, fitting = 0, accepted = 0;
    const struct object *other = NULL;
    struct hosts hs;
    for (size_t i = 0; i < gw->spec->listeners.n; i++) {
        struct gapi_gw_listener *gl = &gw->listeners[i];
        if (!is_meant(gl, ref))
            continue;
        meant++;
        if (!allows(l, gl, route, kind))
            continue;
        allowed++;
        intersect(l, spec, kind, gl, &hs);
        if (hs.n == 0)
            continue;
        fitting++;
        const struct object *in_the_way = clash(l, gl, route, &hs);
        other = other ? other : in_the_way;
        if (in_the_way)
            continue;
        accepted++;
        if (!count)
            continue;
        gl->attached += gl->counted != l->gapi->serial;
        gl->counted = l->gapi->serial;
        place(l, gl, route, &hs);
    }
    if (meant == 0)
        return no_listener(l, ref);
    if (allowed == 0)
        return not_allowed(l, route, gw, ref, kind);
    if (fitting == 0)
        return (struct gapi_fault){"NoMatchingListenerHostname",
                                   STR("no hostname of the route fits a listener")};
    return accepted ? (struct gapi_fault){0} : clashes(l, other);
}
