/*
 * istio_backend.c - destination hosts to clusters (ISTIO-RULES 3.5, 5, and "Short host names" of 1).
 *
 * Order of the registries: Services by their name in the cluster domain, then ServiceEntries by exactly the
 * host. Several entries of one host: the one in the namespace of the asking object, else the oldest. An
 * entry must be visible to the namespace of this instance (exportTo).
 */
#include "master/kinds/core_service.h"
#include "master/lower/istio.h"

#define WEIGHT_MAX 1000000 /* of an endpoint; sums stay far below 32 bits */

struct str istio_fqdn(struct lower *l, struct str host, struct str ns)
{
    if (str_chr(host, '.') >= 0 || str_eqc(host, "*") || str_chr(host, ':') >= 0)
        return istio_host_canonical(l->arena, host);
    return istio_lower(l->arena, arena_strf(l->arena, STR_FMT "." STR_FMT ".svc." STR_FMT, STR_ARG(host), STR_ARG(ns),
                                            STR_ARG(l->instance->cluster_domain)));
}

/* ---- finding ------------------------------------------------------------------------------------------------ */

/* "name.ns.svc.domain" of this cluster domain. */
static bool service_name(const struct lower *l, struct str host, struct str *name, struct str *ns)
{
    struct str domain = l->instance->cluster_domain, rest;
    if (!str_ends(host, domain) || host.n <= domain.n || host.p[host.n - domain.n - 1] != '.')
        return false;
    rest = str_head(host, host.n - domain.n - 1);
    if (!str_ends(rest, STR(".svc")))
        return false;
    rest.n -= strlen(".svc");
    ptrdiff_t dot = str_rchr(rest, '.');
    if (dot <= 0)
        return false;
    *name = str_head(rest, (size_t)dot);
    *ns = str_skip(rest, (size_t)dot + 1);
    return true;
}

/* All hosts of all visible ServiceEntries, once. */
static struct map *entries(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    if (w->entries_read)
        return &w->entries;
    w->entries_read = true;
    const struct store *s = l->store;
    for (size_t i = s->n_by_kind[KIND_SERVICE_ENTRY]; i-- > 0;) {
        const struct object *o = s->by_kind[KIND_SERVICE_ENTRY][i];
        const struct istio_se_spec *spec = ((const struct istio_service_entry *)o->spec)->spec;
        if (!istio_exported_to(&spec->export_to, o->ns, l->instance->ns))
            continue;
        for (size_t k = 0; k < spec->hosts.n; k++) {
            struct istio_se_ref *ref = arena_new(l->arena, struct istio_se_ref);
            struct str host = istio_host_canonical(l->arena, spec->hosts.v[k]);
            *ref = (struct istio_se_ref){.object = o, .spec = spec};
            ref->next = map_put(&w->entries, host, ref);
        }
    }
    return &w->entries;
}

static const struct istio_se_ref *find_entry(struct lower *l, struct str host, struct str from_ns)
{
    const struct istio_se_ref *first = map_get(entries(l), host);
    for (const struct istio_se_ref *r = first; r; r = r->next)
        if (str_eq(r->object->ns, from_ns))
            return r;
    return first;
}

/* Ports of the target found, in their order. */
static uint16_t target_port(const struct istio_target *t, size_t i)
{
    if (t->service) {
        const struct core_service_spec *spec = ((const struct core_service *)t->service->spec)->spec;
        return spec && i < spec->ports.n ? (uint16_t)spec->ports.v[i].port.v : 0;
    }
    return i < t->entry->spec->ports.n ? (uint16_t)t->entry->spec->ports.v[i].number.v : 0;
}

static bool has_port(const struct istio_target *t, uint16_t port)
{
    for (size_t i = 0; target_port(t, i); i++)
        if (target_port(t, i) == port)
            return true;
    return false;
}

struct istio_target istio_target(struct lower *l, struct str host, uint16_t port, uint16_t fallback_port,
                                 struct str from_ns)
{
    struct istio_target t = {.host = istio_fqdn(l, host, from_ns), .problem = BACKEND_NOT_FOUND};
    struct str name, ns;
    if (service_name(l, t.host, &name, &ns))
        t.service = store_get(l->store, KIND_SERVICE, ns, name);
    if (!t.service)
        t.entry = find_entry(l, t.host, from_ns);
    if (!t.service && !t.entry)
        return t;
    if (t.service && lower_service_is_external(l, t.service->ns, t.service->name)) {
        /* The port is that of the external host; the Service need not list it. */
        t.port = port ? port : target_port(&t, 0) ? target_port(&t, 0) : fallback_port ? fallback_port : 80;
        t.problem = BACKEND_OK;
        return t;
    }
    t.problem = BACKEND_NO_PORT;
    t.ambiguous = port == 0 && target_port(&t, 0) && target_port(&t, 1);
    if (port == 0)
        port = t.ambiguous ? fallback_port : target_port(&t, 0);
    if (port && has_port(&t, port)) {
        t.port = port;
        t.problem = BACKEND_OK;
    }
    return t;
}

/* ---- making --------------------------------------------------------------------------------------------------- */

/* One cluster while its endpoints are collected. */
struct gather {
    struct model_cluster *cluster;
    const struct istio_se_ref *entry;
    struct map by_key;
};

static void add_endpoint(struct lower *l, struct gather *g, const struct node *at, struct str address, uint16_t port,
                         uint32_t weight)
{
    struct model_endpoint *e = arena_new(l->arena, struct model_endpoint);
    bool is_unix = istio_address_is_unix(address);
    if (is_unix)
        address = arena_strf(l->arena, "unix:" STR_FMT, STR_ARG(str_skip(address, strlen("unix://"))));
    e->dns = !is_unix && !istio_ip_valid(address);
    e->address = e->dns ? istio_host_canonical(l->arena, address) : address;
    e->port = is_unix ? 0 : port;
    e->weight = weight;
    e->key = is_unix ? address
             : str_chr(address, ':') >= 0
                 ? arena_strf(l->arena, "[" STR_FMT "]:%u", STR_ARG(e->address), port)
                 : arena_strf(l->arena, STR_FMT ":%u", STR_ARG(e->address), port);
    e->origin = lower_origin(g->entry->object, at, STR_NONE);
    struct model_endpoint *same = map_get(&g->by_key, e->key);
    if (same) { /* listed twice: twice the share */
        same->weight = (uint32_t)GH_MIN((uint64_t)same->weight + weight, WEIGHT_MAX);
        return;
    }
    map_put(&g->by_key, e->key, e);
    *ARENA_PUSH(l->arena, &g->cluster->endpoints) = e;
}

static void add_endpoints(struct lower *l, struct model_cluster *c, const struct istio_se_ref *r, struct str host,
                          const struct istio_port *p)
{
    const struct istio_se_spec *s = r->spec;
    struct gather g = {.cluster = c, .entry = r};
    map_init(&g.by_key, l->arena);
    uint16_t port = (uint16_t)(p->target_port.set ? p->target_port.v : p->number.v);
    for (size_t i = 0; i < s->endpoints.n; i++) {
        const struct istio_endpoint *e = &s->endpoints.v[i];
        uint16_t own = istio_endpoint_port(e, p->name);
        uint32_t weight = e->weight.set && e->weight.v > 0 ? (uint32_t)GH_MIN(e->weight.v, WEIGHT_MAX) : 1;
        add_endpoint(l, &g, e->node, e->address, own ? own : port, weight);
    }
    bool dns = s->resolution == ISTIO_RESOLUTION_DNS || s->resolution == ISTIO_RESOLUTION_DNS_ROUND_ROBIN;
    if (s->endpoints.n == 0 && dns && !s->workload_selector)
        add_endpoint(l, &g, p->node, host, port, 1);
}

static const struct istio_port *entry_port(const struct istio_se_spec *s, uint16_t port)
{
    for (size_t i = 0; i < s->ports.n; i++)
        if (s->ports.v[i].number.v == port)
            return &s->ports.v[i];
    return NULL;
}

static struct model_cluster *entry_cluster(struct lower *l, const struct istio_se_ref *r, struct str host,
                                           const struct istio_port *p, enum backend_problem *why)
{
    enum istio_protocol proto = istio_protocol_of(p->protocol);
    bool made;
    if (proto == ISTIO_PROTO_HTTP2 || proto == ISTIO_PROTO_GRPC || r->spec->resolution == ISTIO_RESOLUTION_NONE ||
        r->spec->resolution == ISTIO_RESOLUTION_DYNAMIC_DNS) {
        *why = BACKEND_BAD_PROTOCOL;
        return NULL;
    }
    struct str key = arena_strf(l->arena, "ServiceEntry/" STR_FMT "/" STR_FMT ":%d", STR_ARG(r->object->ns), STR_ARG(host),
                                (int)p->number.v);
    struct model_cluster *c = model_cluster(l->model, key, &made);
    *why = BACKEND_OK;
    if (!made)
        return c;
    c->name = arena_strf(l->arena, STR_FMT ":%d", STR_ARG(host), (int)p->number.v);
    c->lb = l->instance->load_balancer;
    c->protocol = UPSTREAM_HTTP1;
    c->origin = lower_origin(r->object, p->node, p->name);
    add_endpoints(l, c, r, host, p);
    if (c->endpoints.n == 0)
        diag_at(l->diags, DIAG_NoEndpoints, istio_at(r->spec->node, "endpoints"), "requests are answered 503",
                "the service has no endpoints");
    return c;
}

struct model_cluster *lower_istio_host(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                       enum backend_problem *why)
{
    struct istio_target t = istio_target(l, host, port, 0, from_ns);
    *why = t.problem;
    if (t.problem != BACKEND_OK)
        return NULL;
    if (t.service)
        return lower_service(l, t.service->ns, t.service->name, t.port, why);
    const struct istio_port *p = entry_port(t.entry->spec, t.port);
    return p ? entry_cluster(l, t.entry, t.host, p, why) : NULL;
}
