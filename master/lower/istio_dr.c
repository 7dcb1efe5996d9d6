/*
 * istio_dr.c - which DestinationRule says what about a port or a subset of a service (ISTIO-RULES 4.1, 4.2), and
 * laying that over a cluster.
 *
 * Where rules are looked for: the namespace of this instance (of the root namespace only what it keeps to itself), the
 * namespace of the service, the root namespace. The first of these that has any rule for the host decides, with its most
 * specific host. Rules of one host in one namespace merge: subsets are put together, the first trafficPolicy counts.
 */
#include "master/lower/istio.h"

struct istio_dr {
    const struct object *object;
    const struct istio_dr_spec *spec;
    struct str host;        /* fully qualified, lower case */
    bool visible;           /* exported to this instance */
    bool own;               /* exported to its own namespace only */
    bool chosen;            /* by its workloadSelector */
    bool refused;           /* its workloadSelector picks other instances */
    struct istio_dr *next;  /* same host and namespace, in object order */
};

/* All rules of one host in one namespace, as one. */
struct istio_dr_merged {
    const struct istio_traffic_policy *policy; /* NULL: nothing is said */
    const struct object *policy_object;
    struct map subsets;                        /* name -> struct found_subset */
};
struct found_subset {
    const struct istio_subset *subset;
    const struct object *object;
};

struct istio_used { struct { uint16_t *v; size_t n, cap; } ports; };

/* ---- the index --------------------------------------------------------------------------------------- */

static struct str key_of(struct lower *l, struct str ns, struct str host)
{
    return arena_strf(l->arena, STR_FMT "|" STR_FMT, STR_ARG(ns), STR_ARG(host));
}

static bool is_own(const struct str_list *export_to, struct str ns)
{
    return export_to->n == 1 && (str_eqc(export_to->v[0], ".") || str_eq(export_to->v[0], ns));
}

static struct istio_dr *read_rule(struct lower *l, const struct object *o)
{
    struct istio_dr *r = arena_new(l->arena, struct istio_dr);
    const struct istio_dr_spec *spec = ((const struct istio_destination_rule *)o->spec)->spec;
    *r = (struct istio_dr){.object = o, .spec = spec, .host = istio_fqdn(l, spec->host, o->ns)};
    r->visible = istio_exported_to(&spec->export_to, o->ns, l->instance->ns);
    r->own = is_own(&spec->export_to, o->ns);
    if (!spec->selector || spec->selector->labels.n == 0)
        return r;
    r->chosen = str_eq(o->ns, l->instance->ns);
    for (size_t i = 0; i < spec->selector->labels.n && r->chosen; i++)
        r->chosen = istio_has_label(&l->instance->labels, &spec->selector->labels.v[i]);
    r->refused = !r->chosen;
    return r;
}

static struct istio_work *rules(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    const struct store *s = l->store;
    if (w->rules_read)
        return w;
    w->rules_read = true;
    for (size_t i = 0; i < s->n_by_kind[KIND_DESTINATION_RULE]; i++)
        *ARENA_PUSH(l->arena, &w->dr) = read_rule(l, s->by_kind[KIND_DESTINATION_RULE][i]);
    for (size_t i = w->dr.n; i-- > 0;) {
        struct istio_dr *r = w->dr.v[i];
        r->next = map_put(&w->rules, key_of(l, r->object->ns, r->host), r);
    }
    return w;
}

/* ---- which rules apply ------------------------------------------------------------------------------- */

enum place { PLACE_CLIENT, PLACE_SERVICE, PLACE_ROOT, PLACE_COUNT };

static bool counts(const struct lower *l, const struct istio_dr *r, enum place place)
{
    bool root = str_eq(r->object->ns, l->instance->mesh.root_ns);
    return r->visible && !r->refused && (place != PLACE_CLIENT || !root || r->own);
}

/* Those of one host in one namespace; NULL when none counts. */
static struct istio_dr_merged *merge(struct lower *l, const struct istio_dr *first, enum place place)
{
    struct istio_dr_merged *m = NULL;
    bool chosen = false;
    for (const struct istio_dr *r = first; r; r = r->next)
        chosen |= counts(l, r, place) && r->chosen;
    for (const struct istio_dr *r = first; r; r = r->next) {
        if (!counts(l, r, place) || r->chosen != chosen)
            continue;
        if (!m) {
            m = arena_new(l->arena, struct istio_dr_merged);
            map_init(&m->subsets, l->arena);
        }
        if (!m->policy && r->spec->policy) {
            m->policy = r->spec->policy;
            m->policy_object = r->object;
        }
        for (size_t i = 0; i < r->spec->subsets.n; i++) {
            const struct istio_subset *s = &r->spec->subsets.v[i];
            if (map_get(&m->subsets, s->name))
                continue;
            struct found_subset *f = arena_new(l->arena, struct found_subset);
            *f = (struct found_subset){s, r->object};
            map_put(&m->subsets, s->name, f);
        }
    }
    return m;
}

/* "a.b.c" -> "*.b.c" -> "*.c" -> "*" -> "". */
static struct str wider(struct lower *l, struct str host)
{
    struct str rest = str_starts(host, STR("*.")) ? str_skip(host, 2) : host;
    ptrdiff_t dot = str_chr(rest, '.');
    if (str_eqc(host, "*"))
        return STR_NONE;
    return dot < 0 ? STR("*") : arena_strf(l->arena, "*" STR_FMT, STR_ARG(str_skip(rest, (size_t)dot)));
}

static struct istio_dr_merged *find_in(struct lower *l, struct str ns, struct str host, enum place place)
{
    struct istio_work *w = rules(l);
    for (struct str at = host; at.n; at = wider(l, at)) {
        struct istio_dr_merged *m = merge(l, map_get(&w->rules, key_of(l, ns, at)), place);
        if (m)
            return m;
    }
    return NULL;
}

static const struct istio_dr_merged *rule_of(struct lower *l, struct str host, struct str service_ns)
{
    struct istio_work *w = rules(l);
    if (w->dr.n == 0)
        return NULL;
    struct str key = key_of(l, service_ns, host);
    struct istio_dr_merged *m = map_get(&w->merged, key);
    const struct str places[PLACE_COUNT] = {l->instance->ns, service_ns, l->instance->mesh.root_ns};
    for (size_t i = 0; i < PLACE_COUNT && !m; i++)
        m = find_in(l, places[i], host, (enum place)i);
    if (!m) {
        m = arena_new(l->arena, struct istio_dr_merged);
        map_init(&m->subsets, l->arena);
    }
    map_put(&w->merged, key, m);
    return m;
}

/* ---- what they say --------------------------------------------------------------------------------------- */

static const struct istio_port_policy *port_policy(const struct istio_traffic_policy *p, uint16_t port)
{
    for (size_t i = 0; p && i < p->ports.n; i++)
        if (p->ports.v[i].port && p->ports.v[i].port->number.v == port)
            return &p->ports.v[i];
    return NULL;
}

/* Settings of a port take the place of four members, whether they say anything or not. */
static void replace(struct istio_policy *out, const struct istio_port_policy *p, const struct object *o)
{
    if (!p)
        return;
    out->lb = p->lb;
    out->pool = p->pool;
    out->tls = p->tls;
    out->tls_object = o;
}

/* Member by member. */
static void overlay(struct istio_policy *out, const struct istio_traffic_policy *p, const struct object *o)
{
    if (!p)
        return;
    out->lb = p->lb ? p->lb : out->lb;
    out->pool = p->pool ? p->pool : out->pool;
    out->proxy = p->proxy ? p->proxy : out->proxy;
    out->tunnel = p->tunnel ? p->tunnel : out->tunnel;
    if (!p->tls)
        return;
    out->tls = p->tls;
    out->tls_object = o;
}

void istio_policy(struct lower *l, struct str host, struct str service_ns, uint16_t port, struct str subset,
                  struct istio_policy *out)
{
    const struct istio_dr_merged *m = rule_of(l, host, service_ns);
    *out = (struct istio_policy){0};
    if (!m)
        return;
    overlay(out, m->policy, m->policy_object);
    replace(out, port_policy(m->policy, port), m->policy_object);
    const struct found_subset *f = subset.n ? map_get(&m->subsets, subset) : NULL;
    if (!f)
        return;
    out->subset = f->subset;
    overlay(out, f->subset->policy, f->object);
    replace(out, port_policy(f->subset->policy, port), f->object);
}

struct str_list istio_subsets(struct lower *l, struct str host, struct str service_ns)
{
    const struct istio_dr_merged *m = rule_of(l, host, service_ns);
    struct str_list out = {0};
    if (!m || m->subsets.n == 0)
        return out;
    out.v = arena_new_n(l->arena, struct str, m->subsets.n);
    for (size_t i = 0; i < m->subsets.n; i++)
        out.v[out.n++] = m->subsets.v[i].key;
    return out;
}

static const struct str *label_of(const struct str_map *const *maps, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; maps[i] && k < maps[i]->n; k++)
            if (str_eq(maps[i]->v[k].key, key))
                return &maps[i]->v[k].val;
    return NULL;
}

bool istio_labels_cover(const struct str_map *const *maps, size_t n, const struct str_map *want)
{
    for (size_t i = 0; want && i < want->n; i++) {
        const struct str *value = label_of(maps, n, want->v[i].key);
        if (!value || !str_eq(*value, want->v[i].val))
            return false;
    }
    return true;
}

/* ---- laying it over a cluster ---------------------------------------------------------------------------- */

static void apply_lb(struct lower *l, const struct istio_load_balancer *lb, struct model_cluster *c)
{
    switch (lb ? lb->simple : ISTIO_LB_UNSPECIFIED) {
    case ISTIO_LB_ROUND_ROBIN: c->lb = LB_ROUND_ROBIN; return;
    case ISTIO_LB_RANDOM: c->lb = LB_RANDOM; return;
    case ISTIO_LB_LEAST_CONN:
    case ISTIO_LB_LEAST_REQUEST: c->lb = LB_LEAST_REQUEST; return;
    default: c->lb = l->instance->load_balancer; return;
    }
}

static uint32_t count_of(const struct opt_int *v)
{
    return v->set ? (uint32_t)v->v : 0;
}

static uint32_t ms_of(const struct opt_ms *v)
{
    return v->set ? (uint32_t)GH_MIN(v->ms, UINT32_MAX) : 0;
}

static void apply_pool(const struct istio_pool *p, struct model_cluster *c)
{
    if (p && p->tcp) {
        c->max_connections = count_of(&p->tcp->max_connections);
        c->connect_timeout_ms = ms_of(&p->tcp->connect_timeout);
    }
    if (p && p->http) {
        c->max_pending = count_of(&p->http->max_pending);
        c->max_requests = count_of(&p->http->max_requests);
        c->idle_timeout_ms = ms_of(&p->http->idle_timeout);
    }
}

/* Over TLS both versions are offered, and what ALPN gives is spoken; in plain text there is only prior knowledge. */
static void apply_upgrade(const struct istio_pool *p, struct model_cluster *c)
{
    if (p && p->http && p->http->upgrade == ISTIO_H2_UPGRADE && c->protocol == UPSTREAM_HTTP1)
        c->protocol = c->tls ? UPSTREAM_AUTO : UPSTREAM_H2;
}

void istio_policy_apply(struct lower *l, const struct istio_policy *p, const struct istio_peer *peer, bool raw,
                        struct model_cluster *c)
{
    apply_lb(l, p->lb, c);
    apply_pool(p->pool, c);
    if (raw)
        return;
    if (p->tls)
        c->tls = istio_client_tls(l, p->tls_object, p->tls, peer);
    if (p->proxy)
        c->proxy_header = p->proxy->version == ISTIO_PROXY_V2 ? PROXY_HEADER_V2 : PROXY_HEADER_V1;
    apply_upgrade(p->pool, c);
}

/* ---- findings, status --------------------------------------------------------------------------------------- */

void istio_note_used(struct lower *l, struct str host, uint16_t port)
{
    struct istio_work *w = istio_work(l);
    struct istio_used *u = map_get(&w->used, host);
    if (!u) {
        u = arena_new(l->arena, struct istio_used);
        map_put(&w->used, host, u);
    }
    for (size_t i = 0; i < u->ports.n; i++)
        if (u->ports.v[i] == port)
            return;
    *ARENA_PUSH(l->arena, &u->ports) = port;
}

/* TLS for a port that no rule leads to, while rules lead to another one: nothing is encrypted (a well-known slip). */
static void lint_ports(struct lower *l, const struct istio_dr *r, const struct istio_traffic_policy *p)
{
    const struct istio_used *u = map_get(&istio_work(l)->used, r->host);
    for (size_t i = 0; u && p && i < p->ports.n; i++) {
        const struct istio_port_policy *x = &p->ports.v[i];
        uint16_t other = 0;
        bool used = false;
        if (!x->port || !x->tls || x->tls->mode == ISTIO_CLIENT_DISABLE)
            continue;
        for (size_t k = 0; k < u->ports.n; k++) {
            used |= u->ports.v[k] == x->port->number.v;
            other = other ? other : u->ports.v[k];
        }
        if (!used && other)
            diag_at(l->diags, DIAG_Suspicious, x->tls->node,
                    arena_strf(l->arena, "route to port %lld, or put tls on port %u and targetPort: %lld into its ServiceEntry",
                               (long long)x->port->number.v, other, (long long)x->port->number.v)
                        .p,
                    "no rule leads to port %lld of " STR_FMT ", only to port %u, which is spoken to without this",
                    (long long)x->port->number.v, STR_ARG(r->host), other);
    }
}

/* The system's CAs verify then, which is seldom what a private service needs. */
static void lint_ca(struct lower *l, const struct istio_client_tls *t, const char *analyzer)
{
    bool verified = t && (t->mode == ISTIO_CLIENT_SIMPLE || t->mode == ISTIO_CLIENT_MUTUAL) && !t->insecure.v;
    if (!verified || t->ca_certificates.n || t->credential_name.n)
        return;
    struct diag *d = diag_at(l->diags, DIAG_Suspicious, t->node, "caCertificates names a private CA",
                             "certificates are verified with the CAs of this machine");
    d->severity = DIAG_INFO;
    d->analyzer = analyzer;
}

static bool is_known(struct lower *l, const struct istio_dr *r)
{
    return r->host.p[0] == '*' || istio_target(l, r->host, 0, 0, r->object->ns).problem != BACKEND_NOT_FOUND;
}

void istio_dr_lint(struct lower *l)
{
    struct istio_work *w = rules(l);
    for (size_t i = 0; i < w->dr.n; i++) {
        const struct istio_dr *r = w->dr.v[i];
        const struct istio_traffic_policy *p = r->spec->policy;
        if (!is_known(l, r))
            diag_at(l->diags, DIAG_MissingReference, istio_at(r->spec->node, "host"), "a Service or ServiceEntry must have it",
                    "host " STR_FMT " is in no registry", STR_ARG(r->host))->analyzer = "IST0174";
        lint_ports(l, r, p);
        lint_ca(l, p ? p->tls : NULL, "IST0128");
        for (size_t k = 0; p && k < p->ports.n; k++)
            lint_ca(l, p->ports.v[k].tls, "IST0129");
    }
}

enum istio_state istio_dr_state(struct lower *l, size_t i)
{
    const struct istio_dr *r = rules(l)->dr.v[i];
    return !r->visible                               ? ISTIO_NotVisible
           : r->refused                              ? ISTIO_NotSelected
           : istio_host_is_partial_wildcard(r->host) ? ISTIO_NotServed
           : !is_known(l, r)                         ? ISTIO_HostNotFound
                                                     : ISTIO_Programmed;
}
