/*
 * backend.c - Services to clusters, for both APIs; GATEWAY-API-RULES section 8.
 *
 * The index is built once per load: every Service with its slices. A cluster is made when something
 * refers to its port for the first time; so a Service nobody uses costs nothing in the snapshot.
 *
 * What a DestinationRule says of a Service holds for the routes of both APIs, as in Istio.
 */
#include "master/kinds/core_service.h"
#include "master/lower/istio.h"

#define SLICE_LABEL "kubernetes.io/service-name"

struct service {
    const struct object *object;
    const struct core_service_spec *spec;
    struct model_cluster **clusters; /* as spec->ports: made by lower_service */
    struct {
        const struct object **v;
        size_t n, cap;
    } slices;                       /* object order */
    const struct object *endpoints; /* v1 Endpoints of the same name */
};

struct backend_index {
    struct map services; /* "ns/name" -> struct service */
};

/* "ns/name" in `buf`, without touching the arena: asked for once per backendRef. */
static struct str service_key(struct str ns, struct str name, char *buf, size_t size)
{
    if (ns.n + name.n + 1 > size)
        return STR_NONE; /* longer than any name can be */
    memcpy(buf, ns.p, ns.n);
    buf[ns.n] = '/';
    memcpy(buf + ns.n + 1, name.p, name.n);
    return str_of(buf, ns.n + 1 + name.n);
}

static struct service *service_get(struct lower *l, struct str ns, struct str name);

/* ---- the index ------------------------------------------------------------------------------- */

static void add_slices(struct lower *l)
{
    const struct store *st = l->store;
    for (size_t i = 0; i < st->n_by_kind[KIND_ENDPOINT_SLICE]; i++) {
        const struct object *o = st->by_kind[KIND_ENDPOINT_SLICE][i];
        struct str name = object_label(o, SLICE_LABEL);
        struct service *s = name.n ? service_get(l, o->ns, name) : NULL;
        if (s)
            *ARENA_PUSH(l->arena, &s->slices) = o;
        else if (name.n)
            diag_at(
                l->diags, DIAG_MissingReference, o->root, "add the Service, or correct the label",
                "label " SLICE_LABEL " names Service " STR_FMT "/" STR_FMT ", which does not exist",
                STR_ARG(o->ns), STR_ARG(name));
        else
            diag_at(l->diags, DIAG_MissingReference, o->root,
                    "add metadata.labels[\"" SLICE_LABEL "\"]",
                    "belongs to no Service: label " SLICE_LABEL " is missing");
    }
}

static void add_endpoints(struct lower *l)
{
    const struct store *st = l->store;
    for (size_t i = 0; i < st->n_by_kind[KIND_ENDPOINTS]; i++) {
        const struct object *o = st->by_kind[KIND_ENDPOINTS][i];
        struct service *s = service_get(l, o->ns, o->name);
        if (s)
            s->endpoints = o;
        else
            diag_at(l->diags, DIAG_MissingReference, o->root,
                    "Endpoints belong to the Service of the same name",
                    "there is no Service " STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name));
    }
}

static void build_index(struct lower *l)
{
    const struct store *st = l->store;
    l->backends = arena_new(l->arena, struct backend_index);
    map_init(&l->backends->services, l->arena);
    for (size_t i = 0; i < st->n_by_kind[KIND_SERVICE]; i++) {
        const struct object *o = st->by_kind[KIND_SERVICE][i];
        const struct core_service *spec = o->spec;
        struct service *s = arena_new(l->arena, struct service);
        *s = (struct service){.object = o, .spec = spec->spec};
        s->clusters = arena_new_n(l->arena, struct model_cluster *, s->spec->ports.n);
        map_put(&l->backends->services,
                arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name)), s);
    }
    add_slices(l);
    add_endpoints(l);
}

static struct service *service_get(struct lower *l, struct str ns, struct str name)
{
    char buf[512];
    if (!l->backends)
        build_index(l);
    return map_get(&l->backends->services, service_key(ns, name, buf, sizeof(buf)));
}

bool lower_service_is_external(struct lower *l, struct str ns, struct str name)
{
    const struct service *s = service_get(l, ns, name);
    return s && s->spec->type == CORE_EXTERNAL_NAME;
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Of the ports with this number the TCP one, or the UDP one for datagrams (a DNS Service has both); 0 = the only one
 * there is. */
static const struct core_service_port *find_port(const struct service *s, uint16_t port, bool datagram,
                                                 enum backend_problem *why)
{
    const struct core_service_port *found = NULL;
    *why = BACKEND_NO_PORT;
    for (size_t i = 0; i < s->spec->ports.n; i++) {
        const struct core_service_port *p = &s->spec->ports.v[i];
        if (port && p->port.v != port)
            continue;
        if (p->protocol != (datagram ? CORE_UDP : CORE_TCP)) {
            *why = BACKEND_BAD_PROTOCOL;
            continue;
        }
        if (found)
            return NULL; /* several: the caller must say which */
        found = p;
    }
    *why = found ? BACKEND_OK : *why;
    return found;
}

/* What the port says to the cluster (GEP-1911, ISTIO-RULES 4.9): its appProtocol, else the beginning of its name. Words
 * that are not in the list count as absent. TLS is the caller's business: whom to trust is said elsewhere. */
enum upstream_protocol lower_port_protocol(const struct core_service_port *p)
{
    enum istio_protocol word = istio_protocol_of_port(p->app_protocol, p->name);
    bool h2 = word == ISTIO_PROTO_HTTP2 || word == ISTIO_PROTO_GRPC || word == ISTIO_PROTO_GRPC_WEB;
    return h2 ? UPSTREAM_H2 : UPSTREAM_HTTP1;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

/* One cluster while its endpoints are collected. */
struct gather {
    struct lower *l;
    enum core_protocol protocol;
    struct model_cluster *cluster;
    struct map
        seen; /* by key: an address may stand in several slices while they are being rewritten */
    size_t not_ready, no_port;
    struct str other_port; /* of a slice whose port has another name */
    const struct service *service;
    const struct core_service_port *port;
    const struct istio_subset *subset; /* only endpoints with its labels; NULL: all */
    size_t other_labels;
};

/* NULL: it is there already. */
static struct model_endpoint *add_endpoint(struct gather *g, const struct object *o, const struct node *at,
                         struct str address, uint16_t port, bool dns)
{
    struct arena *a = g->l->arena;
    struct str key = str_chr(address, ':') >= 0
                         ? arena_strf(a, "[" STR_FMT "]:%u", STR_ARG(address), port)
                         : arena_strf(a, STR_FMT ":%u", STR_ARG(address), port);
    if (map_get(&g->seen, key))
        return NULL;
    struct model_endpoint *e = arena_new(a, struct model_endpoint);
    *e = (struct model_endpoint){
        .key = key, .address = address, .port = port, .weight = 1, .dns = dns};
    e->origin = lower_origin(g->l, o, at, STR_NONE);
    *ARENA_PUSH(a, &g->cluster->endpoints) = e;
    map_put(&g->seen, key, e);
    return e;
}

/* The slice's port that is for the Service port `p`: the one with the same name. */
static const struct core_endpoint_port *slice_port(struct gather *g,
                                                   const struct core_endpoint_port *v, size_t n,
                                                   const struct core_service_port *p)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, p->name) && v[i].protocol == (int32_t)g->protocol && v[i].port.set)
            return &v[i];
    g->no_port++;
    if (n)
        g->other_port = v[0].name;
    return NULL;
}

/* Labels of a subset: those of the slice or Endpoints object, and of the WorkloadEntry that targetRef names. */
static bool in_subset(struct gather *g, const struct object *o, const struct node *endpoint)
{
    if (!g->subset)
        return true;
    const struct node *ref = endpoint ? node_get(endpoint, "targetRef") : NULL;
    const struct object *w = NULL;
    if (str_eqc(node_text(node_get(ref, "kind")), "WorkloadEntry"))
        w = store_get(g->l->store, KIND_WORKLOAD_ENTRY, o->ns, node_text(node_get(ref, "name")));
    const struct istio_endpoint *e = w ? ((const struct istio_workload_entry *)w->spec)->spec : NULL;
    const struct str_map *const have[] = {w ? &w->labels : NULL, w ? &e->labels : NULL, &o->labels};
    bool fits = istio_labels_cover(have, 3, &g->subset->labels);
    g->other_labels += !fits;
    return fits;
}

static void add_slice(struct gather *g, const struct object *o, const struct core_service_port *p)
{
    const struct core_endpoint_slice *s = o->spec;
    const struct core_endpoint_port *port = slice_port(g, s->ports.v, s->ports.n, p);
    for (size_t i = 0; port && i < s->endpoints.n; i++) {
        const struct core_slice_endpoint *e = &s->endpoints.v[i];
        if (e->conditions && e->conditions->ready.set && !e->conditions->ready.v)
            g->not_ready++;
        else if (e->addresses.n && in_subset(g, o, e->node)) /* further addresses are the same endpoint again */
            add_endpoint(g, o, e->node, e->addresses.v[0], (uint16_t)port->port.v,
                         s->address_type == CORE_FQDN);
    }
}

static void add_subset(struct gather *g, const struct object *o,
                       const struct core_endpoint_subset *s, const struct core_service_port *p)
{
    const struct core_endpoint_port *port = slice_port(g, s->ports.v, s->ports.n, p);
    g->not_ready += s->not_ready.n;
    for (size_t i = 0; port && i < s->addresses.n; i++)
        if (in_subset(g, o, s->addresses.v[i].node))
            add_endpoint(g, o, s->addresses.v[i].node, s->addresses.v[i].ip,
                         (uint16_t)port->port.v, false);
}

/* istio_workload_fn: a machine that the Service's selector picks. */
static void add_workload(void *ctx, const struct object *o, const struct istio_endpoint *e)
{
    struct gather *g = ctx;
    const struct core_service_port *p = g->port;
    uint16_t own = istio_endpoint_port(e, p->name);
    uint16_t target = (uint16_t)(p->target_port.set && p->target_port.is_int ? p->target_port.i : p->port.v);
    const struct str_map *const have[] = {&o->labels, &e->labels};
    if (g->subset && !istio_labels_cover(have, 2, &g->subset->labels)) {
        g->other_labels++;
        return;
    }
    if (istio_address_is_unix(e->address))
        return;
    struct model_endpoint *added = add_endpoint(g, o, e->node, e->address, own ? own : target, !istio_ip_valid(e->address));
    if (added && e->weight.set && e->weight.v > 0)
        added->weight = (uint32_t)GH_MIN(e->weight.v, ISTIO_WEIGHT_MAX);
}

static void add_workloads(struct gather *g)
{
    const struct node *sel = node_get(g->service->spec->node, "selector");
    struct str_map want = {0};
    if (!sel || sel->type != NODE_MAP || sel->n_kids == 0)
        return;
    want.v = arena_new_n(g->l->arena, struct str_pair, sel->n_kids);
    for (size_t i = 0; i < sel->n_kids; i++)
        want.v[want.n++] = (struct str_pair){node_key(sel->kids[i]), node_text(sel->kids[i])};
    istio_workloads(g->l, g->service->object->ns, &want, add_workload, g);
}

/* Says why a port has no endpoints: nearly always one of three slips. */
static void tell_no_endpoints(struct gather *g, const struct service *s,
                              const struct core_service_port *p)
{
    struct diags *ds = g->l->diags;
    const char *const text = "port %lld of Service " STR_FMT "/" STR_FMT
                             " has no endpoints: requests are answered with 503";
    struct str name = p->name, other = g->other_port;
    if (g->other_labels)
        diag_at(ds, DIAG_NoEndpoints, g->subset->node,
                "endpoints have the labels of their EndpointSlice, and of the WorkloadEntry that targetRef names",
                "no endpoint of Service " STR_FMT "/" STR_FMT " has the labels of subset \"" STR_FMT "\": requests are answered with 503",
                STR_ARG(s->object->ns), STR_ARG(s->object->name), STR_ARG(g->subset->name))->analyzer = "IST0173";
    else if (g->not_ready)
        diag_at(ds, DIAG_NoEndpoints, p->node, "conditions.ready of every endpoint is false", text,
                (long long)p->port.v, STR_ARG(s->object->ns), STR_ARG(s->object->name));
    else if (g->no_port)
        diag_at(ds, DIAG_NoEndpoints, p->node,
                arena_strf(g->l->arena,
                           "its slices have port \"" STR_FMT "\", the Service's is named \"" STR_FMT
                           "\"",
                           STR_ARG(other), STR_ARG(name))
                    .p,
                text, (long long)p->port.v, STR_ARG(s->object->ns), STR_ARG(s->object->name));
    else
        diag_at(ds, DIAG_NoEndpoints, p->node,
                s->slices.n || s->endpoints ? "its slices are empty"
                                            : "add an EndpointSlice with label " SLICE_LABEL
                                              ", in the same namespace",
                text, (long long)p->port.v, STR_ARG(s->object->ns), STR_ARG(s->object->name));
}

/* A Service with slices uses these alone: v1 Endpoints are the older mirror of the same addresses.
 */
static void gather_endpoints(struct lower *l, const struct service *s, const struct core_service_port *p,
                             const struct istio_subset *subset, struct model_cluster *c)
{
    struct gather g = {.l = l, .cluster = c, .protocol = (enum core_protocol)p->protocol, .service = s, .port = p, .subset = subset};
    map_init(&g.seen, l->arena);
    for (size_t i = 0; i < s->slices.n; i++)
        add_slice(&g, s->slices.v[i], p);
    const struct core_endpoints *e = s->slices.n == 0 && s->endpoints ? s->endpoints->spec : NULL;
    for (size_t i = 0; e && i < e->subsets.n; i++)
        add_subset(&g, s->endpoints, &e->subsets.v[i], p);
    if (s->slices.n == 0 && !s->endpoints)
        add_workloads(&g);
    if (c->endpoints.n == 0)
        tell_no_endpoints(&g, s, p);
}

/* ---- clusters -------------------------------------------------------------------------------- */

struct str lower_part_variant(struct arena *a, const struct lower_part *v)
{
    if (!v->raw)
        return v->subset;
    return v->subset.n ? arena_strf(a, STR_FMT ",raw", STR_ARG(v->subset)) : STR("raw");
}

/* A part of a service has a name of its own; other ways to speak to all of it have not. */
static struct model_cluster *cluster_of(struct lower *l, const struct service *s, uint16_t port, struct str variant,
                                        const struct lower_part *v, bool *made)
{
    struct str own = lower_part_variant(l->arena, v);
    struct str name = arena_strf(l->arena, STR_FMT "/" STR_FMT ":%u%s" STR_FMT, STR_ARG(s->object->ns), STR_ARG(s->object->name),
                                 port, own.n ? "#" : "", STR_ARG(own));
    struct str key = arena_strf(l->arena, "Service/" STR_FMT "%s" STR_FMT, STR_ARG(name), variant.n ? "#" : "", STR_ARG(variant));
    struct model_cluster *c = model_cluster(l->model, key, made);
    if (!*made)
        return c;
    c->name = name;
    c->lb = l->instance ? l->instance->load_balancer : LB_ROUND_ROBIN;
    return c;
}

/* What DestinationRules say of the port; laid over the cluster when its endpoints are known. */
static void policy_of(struct lower *l, const struct service *s, uint16_t port, const struct lower_part *v,
                      struct istio_peer *peer, struct istio_policy *policy)
{
    struct str name = arena_strf(l->arena, STR_FMT "." STR_FMT, STR_ARG(s->object->name), STR_ARG(s->object->ns));
    *peer = (struct istio_peer){.port = port, .subset = v->subset};
    peer->host = arena_strf(l->arena, STR_FMT ".svc." STR_FMT, STR_ARG(name), STR_ARG(l->instance->cluster_domain));
    istio_policy(l, peer->host, s->object->ns, port, v->subset, policy);
    /* A ServiceEntry for a host that is a Service's adds names of certificates, and nothing else (ISTIO-RULES 5.2). */
    const struct istio_se_ref *names = map_get(istio_entries(l), peer->host);
    if (names)
        peer->sans = names->spec->subject_alt_names;
}

/* The port named by the reference needs no entry in the Service: it is the port of the external
 * host. */
static struct model_cluster *external_cluster(struct lower *l, const struct service *s, uint16_t port,
                                              const struct lower_part *v)
{
    struct istio_policy policy;
    struct istio_peer peer;
    bool made;
    if (port == 0)
        port = s->spec->ports.n == 1 ? (uint16_t)s->spec->ports.v[0].port.v : 80;
    struct model_cluster *c = cluster_of(l, s, port, STR_NONE, v, &made);
    if (!made)
        return c;
    struct gather g = {.l = l, .cluster = c};
    map_init(&g.seen, l->arena);
    c->origin = lower_origin(l, s->object, s->spec->node, STR_NONE);
    add_endpoint(&g, s->object, s->spec->node, s->spec->external_name, port, true);
    policy_of(l, s, port, v, &peer, &policy);
    istio_policy_apply(l, &policy, &peer, v->raw, c);
    return c;
}

const struct core_service_port *lower_service_port(struct lower *l, struct str ns, struct str name, uint16_t port,
                                                   bool datagram, enum backend_problem *why)
{
    const struct service *s = service_get(l, ns, name);
    *why = BACKEND_NOT_FOUND;
    return s ? find_port(s, port, datagram, why) : NULL;
}

static struct model_cluster *make_cluster(struct lower *l, const struct service *s, const struct core_service_port *p,
                                          struct str variant, const struct lower_part *v, bool *made)
{
    struct istio_policy policy;
    struct istio_peer peer;
    struct model_cluster *c = cluster_of(l, s, (uint16_t)p->port.v, variant, v, made);
    if (!*made)
        return c;
    enum istio_protocol word = istio_protocol_of_port(p->app_protocol, p->name);
    policy_of(l, s, (uint16_t)p->port.v, v, &peer, &policy);
    peer.opaque = word != ISTIO_PROTO_UNKNOWN && !istio_protocol_is_http(word) && !istio_protocol_is_tls(word);
    c->protocol = lower_port_protocol(p);
    c->origin = lower_origin(l, s->object, p->node, p->name);
    gather_endpoints(l, s, p, policy.subset, c);
    istio_policy_apply(l, &policy, &peer, v->raw || p->protocol == CORE_UDP, c);
    return c;
}

struct model_cluster *lower_service_variant(struct lower *l, struct str ns, struct str name, uint16_t port, bool datagram,
                                            struct str variant, bool *made, enum backend_problem *why)
{
    const struct service *s = service_get(l, ns, name);
    const struct core_service_port *p = lower_service_port(l, ns, name, port, datagram, why);
    return p ? make_cluster(l, s, p, variant, &(struct lower_part){.raw = false}, made) : NULL;
}

struct model_cluster *lower_service(struct lower *l, struct str ns, struct str name, uint16_t port,
                                    enum backend_problem *why)
{
    return lower_service_part(l, ns, name, port, &(struct lower_part){.raw = false}, why);
}

struct model_cluster *lower_service_part(struct lower *l, struct str ns, struct str name, uint16_t port,
                                            const struct lower_part *v, enum backend_problem *why)
{
    const struct service *s = service_get(l, ns, name);
    enum backend_problem unasked;
    bool made;
    why = why ? why : &unasked;
    *why = BACKEND_NOT_FOUND;
    if (!s)
        return NULL;
    *why = BACKEND_OK;
    if (s->spec->type == CORE_EXTERNAL_NAME)
        return external_cluster(l, s, port, v);
    const struct core_service_port *p = find_port(s, port, false, why);
    if (!p)
        return NULL;
    if (v->subset.n || v->raw)
        return make_cluster(l, s, p, STR_NONE, v, &made);
    struct model_cluster **known = &s->clusters[p - s->spec->ports.v];
    if (!*known)
        *known = make_cluster(l, s, p, STR_NONE, v, &made);
    return *known;
}
