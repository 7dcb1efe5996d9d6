/*
 * istio_backend.c - destination hosts to clusters (ISTIO-RULES 3.5, 4.9, 5, and "Short host names" of 1).
 *
 * Order of the registries: Services by their name in the cluster domain, then ServiceEntries by exactly the
 * host. Several entries of one host: the one in the namespace of the asking object, else the oldest. An
 * entry must be visible to the namespace of this instance (exportTo).
 */
#include "master/kinds/core_service.h"
#include "master/lower/istio.h"

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
struct map *istio_entries(struct lower *l)
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
    const struct istio_se_ref *first = map_get(istio_entries(l), host);
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

struct str istio_target_ns(const struct istio_target *t)
{
    return t->service ? t->service->ns : t->entry ? t->entry->object->ns : STR_NONE;
}

static const struct istio_port *entry_port(const struct istio_se_spec *s, uint16_t port)
{
    for (size_t i = 0; i < s->ports.n; i++)
        if (s->ports.v[i].number.v == port)
            return &s->ports.v[i];
    return NULL;
}

static enum istio_protocol entry_protocol(const struct istio_port *p)
{
    return p->protocol.n ? istio_protocol_of(p->protocol) : istio_protocol_of_port(STR_NONE, p->name);
}

enum istio_protocol istio_target_protocol(const struct istio_target *t)
{
    const struct istio_port *p = t->entry ? entry_port(t->entry->spec, t->port) : NULL;
    if (p)
        return entry_protocol(p);
    const struct core_service_spec *s = t->service ? ((const struct core_service *)t->service->spec)->spec : NULL;
    for (size_t i = 0; s && i < s->ports.n; i++)
        if (s->ports.v[i].port.v == t->port && s->ports.v[i].protocol == CORE_TCP)
            return istio_protocol_of_port(s->ports.v[i].app_protocol, s->ports.v[i].name);
    return ISTIO_PROTO_UNKNOWN;
}

/* ---- WorkloadEntries --------------------------------------------------------------------------------------- */

struct istio_workload_ref {
    const struct object *object;
    const struct istio_endpoint *spec;
    struct istio_workload_ref *next; /* same label, in object order */
};

static struct str label_key(struct lower *l, struct str ns, const struct str_pair *label)
{
    return arena_strf(l->arena, STR_FMT "|" STR_FMT "=" STR_FMT, STR_ARG(ns), STR_ARG(label->key), STR_ARG(label->val));
}

static void index_labels(struct lower *l, const struct object *o, const struct istio_endpoint *e, const struct str_map *labels)
{
    for (size_t i = 0; i < labels->n; i++) {
        struct istio_workload_ref *r = arena_new(l->arena, struct istio_workload_ref);
        *r = (struct istio_workload_ref){.object = o, .spec = e};
        r->next = map_put(&istio_work(l)->workloads, label_key(l, o->ns, &labels->v[i]), r);
    }
}

static struct map *workloads(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    const struct store *s = l->store;
    if (w->workloads_read)
        return &w->workloads;
    w->workloads_read = true;
    for (size_t i = s->n_by_kind[KIND_WORKLOAD_ENTRY]; i-- > 0;) {
        const struct object *o = s->by_kind[KIND_WORKLOAD_ENTRY][i];
        const struct istio_endpoint *e = ((const struct istio_workload_entry *)o->spec)->spec;
        struct str_pair any = {STR_NONE, STR_NONE}; /* a label that all have: for selectors without labels */
        const struct str_map all = {&any, 1};
        index_labels(l, o, e, &all);
        index_labels(l, o, e, &e->labels);
        index_labels(l, o, e, &o->labels);
    }
    return &w->workloads;
}

void istio_workloads(struct lower *l, struct str ns, const struct str_map *labels, istio_workload_fn *fn, void *ctx)
{
    const struct str_pair any = {STR_NONE, STR_NONE};
    const struct istio_workload_ref *last = NULL, *r = map_get(workloads(l), label_key(l, ns, labels->n ? &labels->v[0] : &any));
    for (; r; last = r, r = r->next) {
        bool again = last && last->object == r->object; /* the label stands in spec and in metadata */
        const struct str_map *const have[] = {&r->object->labels, &r->spec->labels};
        if (!again && r->spec->address.n && istio_labels_cover(have, 2, labels))
            fn(ctx, r->object, r->spec);
    }
}

/* One port of one host that entries say different things about: the entry that is asked decides, which is luck. */
void istio_entries_lint(struct lower *l)
{
    const struct map *all = istio_entries(l);
    for (size_t i = 0; i < all->n; i++) {
        const struct istio_se_ref *first = all->v[i].val;
        for (const struct istio_se_ref *r = first->next; r; r = r->next)
            for (size_t k = 0; k < r->spec->ports.n; k++) {
                const struct istio_port *p = &r->spec->ports.v[k], *other = entry_port(first->spec, (uint16_t)p->number.v);
                if (other && !str_ieq(other->protocol, p->protocol))
                    diag_at(l->diags, DIAG_Conflict, p->node, "one protocol for one port of a host",
                            "ServiceEntry " STR_FMT "/" STR_FMT " says protocol " STR_FMT " for port %d of " STR_FMT,
                            STR_ARG(first->object->ns), STR_ARG(first->object->name), STR_ARG(other->protocol), (int)p->number.v,
                            STR_ARG(all->v[i].key))->analyzer = "IST0177";
            }
    }
}

/* ---- making --------------------------------------------------------------------------------------------------- */

/* One cluster while its endpoints are collected. */
struct gather {
    struct lower *l;
    struct model_cluster *cluster;
    const struct istio_se_ref *entry;
    const struct istio_port *port;
    const struct str_map *want; /* labels of the subset, or NULL */
    struct map by_key;
    struct { struct str *v; size_t n, cap; } identities; /* SPIFFE names of the endpoints */
    bool anonymous;             /* an endpoint has none */
};

static void push_endpoint(struct gather *g, const struct object *o, const struct node *at, struct str address, uint16_t port,
                          uint32_t weight)
{
    struct arena *a = g->l->arena;
    struct model_endpoint *e = arena_new(a, struct model_endpoint);
    bool is_unix = istio_address_is_unix(address);
    if (is_unix)
        address = arena_strf(a, "unix:" STR_FMT, STR_ARG(str_skip(address, strlen("unix://"))));
    e->dns = !is_unix && !istio_ip_valid(address);
    e->address = e->dns ? istio_host_canonical(a, address) : address;
    e->port = is_unix ? 0 : port;
    e->weight = weight;
    e->key = is_unix ? address
             : str_chr(address, ':') >= 0
                 ? arena_strf(a, "[" STR_FMT "]:%u", STR_ARG(e->address), port)
                 : arena_strf(a, STR_FMT ":%u", STR_ARG(e->address), port);
    e->origin = lower_origin(g->l, o, at, STR_NONE);
    struct model_endpoint *same = map_get(&g->by_key, e->key);
    if (same) { /* listed twice: twice the share */
        same->weight = (uint32_t)GH_MIN((uint64_t)same->weight + weight, ISTIO_WEIGHT_MAX);
        return;
    }
    map_put(&g->by_key, e->key, e);
    *ARENA_PUSH(a, &g->cluster->endpoints) = e;
}

static void note_identity(struct gather *g, struct str ns, struct str account)
{
    struct arena *a = g->l->arena;
    if (account.n == 0) {
        g->anonymous = true;
        return;
    }
    struct str id = arena_strf(a, "spiffe://" STR_FMT "/ns/" STR_FMT "/sa/" STR_FMT, STR_ARG(g->l->instance->mesh.trust_domain),
                               STR_ARG(ns), STR_ARG(account));
    for (size_t i = 0; i < g->identities.n; i++)
        if (str_eq(g->identities.v[i], id))
            return;
    *ARENA_PUSH(a, &g->identities) = id;
}

/* istio_workload_fn; also for endpoints in the entry itself, whose labels are all in `e`. */
static void add_endpoint(void *ctx, const struct object *o, const struct istio_endpoint *e)
{
    struct gather *g = ctx;
    const struct istio_port *p = g->port;
    const struct str_map *const have[] = {o->kind->id == KIND_WORKLOAD_ENTRY ? &o->labels : NULL, &e->labels};
    if (e->address.n == 0 || !istio_labels_cover(have, 2, g->want))
        return;
    uint16_t own = istio_endpoint_port(e, p->name), port = (uint16_t)(p->target_port.set ? p->target_port.v : p->number.v);
    uint32_t weight = e->weight.set && e->weight.v > 0 ? (uint32_t)GH_MIN(e->weight.v, ISTIO_WEIGHT_MAX) : 1;
    push_endpoint(g, o, e->node, e->address, own ? own : port, weight);
    note_identity(g, o->ns, e->service_account);
}

static void add_endpoints(struct gather *g, struct str host)
{
    const struct istio_se_spec *s = g->entry->spec;
    const struct object *o = g->entry->object;
    for (size_t i = 0; i < s->endpoints.n; i++)
        add_endpoint(g, o, &s->endpoints.v[i]);
    if (s->workload_selector)
        istio_workloads(g->l, o->ns, &s->workload_selector->labels, add_endpoint, g);
    bool dns = s->resolution == ISTIO_RESOLUTION_DNS || s->resolution == ISTIO_RESOLUTION_DNS_ROUND_ROBIN;
    if (s->endpoints.n > 0 || !dns || s->workload_selector || !istio_labels_cover(NULL, 0, g->want))
        return;
    const struct istio_port *p = g->port;
    push_endpoint(g, o, p->node, host, (uint16_t)(p->target_port.set ? p->target_port.v : p->number.v), 1);
    g->anonymous = true;
}

static void tell_no_endpoints(struct lower *l, const struct istio_se_ref *r, const struct istio_subset *subset)
{
    if (subset)
        diag_at(l->diags, DIAG_NoEndpoints, subset->node, "requests are answered 503",
                "no endpoint of " STR_FMT " has the labels of subset \"" STR_FMT "\"", STR_ARG(r->spec->hosts.v[0]),
                STR_ARG(subset->name))->analyzer = "IST0173";
    else
        diag_at(l->diags, DIAG_NoEndpoints,
                r->spec->workload_selector ? r->spec->workload_selector->node : istio_at(r->spec->node, "endpoints"),
                "requests are answered 503",
                r->spec->workload_selector ? "no WorkloadEntry has these labels" : "the service has no endpoints");
}

static enum upstream_protocol upstream_of(enum istio_protocol p)
{
    return p == ISTIO_PROTO_HTTP2 || p == ISTIO_PROTO_GRPC || p == ISTIO_PROTO_GRPC_WEB ? UPSTREAM_H2 : UPSTREAM_HTTP1;
}

static void fill_entry_cluster(struct lower *l, struct model_cluster *c, const struct istio_se_ref *r, struct str host,
                               const struct istio_port *p, const struct lower_part *v)
{
    struct istio_policy policy;
    struct gather g = {.l = l, .cluster = c, .entry = r, .port = p};
    enum istio_protocol proto = entry_protocol(p);
    istio_policy(l, host, r->object->ns, (uint16_t)p->number.v, v->subset, &policy);
    g.want = policy.subset ? &policy.subset->labels : NULL;
    map_init(&g.by_key, l->arena);
    c->protocol = upstream_of(proto);
    c->origin = lower_origin(l, r->object, p->node, p->name);
    add_endpoints(&g, host);
    if (c->endpoints.n == 0)
        tell_no_endpoints(l, r, policy.subset);
    struct istio_peer peer = {.host = host, .port = (uint16_t)p->number.v, .subset = v->subset};
    peer.sans = r->spec->subject_alt_names;
    if (peer.sans.n == 0 && !g.anonymous)
        peer.sans = (struct str_list){g.identities.v, g.identities.n};
    peer.opaque = !istio_protocol_is_http(proto) && proto != ISTIO_PROTO_UNKNOWN && !istio_protocol_is_tls(proto);
    istio_policy_apply(l, &policy, &peer, v->raw, c);
}

static struct model_cluster *entry_cluster(struct lower *l, const struct istio_se_ref *r, struct str host,
                                           const struct istio_port *p, const struct lower_part *v, enum backend_problem *why)
{
    bool made;
    if (r->spec->resolution == ISTIO_RESOLUTION_NONE || r->spec->resolution == ISTIO_RESOLUTION_DYNAMIC_DNS) {
        *why = BACKEND_BAD_PROTOCOL;
        return NULL;
    }
    struct str part = lower_part_variant(l->arena, v), suffix = STR_NONE;
    if (part.n)
        suffix = arena_strf(l->arena, "#" STR_FMT, STR_ARG(part));
    struct str key = arena_strf(l->arena, "ServiceEntry/" STR_FMT "/" STR_FMT ":%d" STR_FMT, STR_ARG(r->object->ns), STR_ARG(host),
                                (int)p->number.v, STR_ARG(suffix));
    struct model_cluster *c = model_cluster(l->model, key, &made);
    *why = BACKEND_OK;
    if (!made)
        return c;
    c->name = arena_strf(l->arena, STR_FMT ":%d" STR_FMT, STR_ARG(host), (int)p->number.v, STR_ARG(suffix));
    fill_entry_cluster(l, c, r, host, p, v);
    return c;
}

struct model_cluster *lower_istio_host_part(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                               const struct lower_part *v, enum backend_problem *why)
{
    struct istio_target t = istio_target(l, host, port, 0, from_ns);
    *why = t.problem;
    if (t.problem != BACKEND_OK)
        return NULL;
    if (t.service)
        return lower_service_part(l, t.service->ns, t.service->name, t.port, v, why);
    const struct istio_port *p = entry_port(t.entry->spec, t.port);
    return p ? entry_cluster(l, t.entry, t.host, p, v, why) : NULL;
}

struct model_cluster *lower_istio_host(struct lower *l, struct str host, uint16_t port, struct str from_ns,
                                       enum backend_problem *why)
{
    return lower_istio_host_part(l, host, port, from_ns, &(struct lower_part){.raw = false}, why);
}

bool istio_has_subset(struct lower *l, const struct istio_target *t, struct str subset)
{
    struct istio_policy p;
    istio_policy(l, t->host, istio_target_ns(t), t->port, subset, &p);
    return p.subset != NULL;
}

void istio_split(struct lower *l, struct model_split *s, const struct object *o, const struct istio_destination *d,
                 uint16_t fallback_port)
{
    struct istio_target t = istio_target(l, d->host, d->port ? (uint16_t)d->port->number.v : 0, fallback_port, o->ns);
    struct lower_part v = {.subset = d->subset};
    enum backend_problem why = t.problem;
    if (why == BACKEND_OK && (d->subset.n == 0 || istio_has_subset(l, &t, d->subset)))
        s->cluster = lower_istio_host_part(l, t.host, t.port, o->ns, &v, &why);
    if (s->cluster) {
        s->name = s->cluster->name;
        return;
    }
    s->name = d->subset.n ? arena_strf(l->arena, STR_FMT "#" STR_FMT, STR_ARG(d->host), STR_ARG(d->subset)) : d->host;
    s->status = 503;
    s->reason = REASON_UNKNOWN_CLUSTER;
}
