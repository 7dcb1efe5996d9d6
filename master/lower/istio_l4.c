/*
 * istio_l4.c - bytes: tls rules, tcp rules and AUTO_PASSTHROUGH to chains and stream rules (ISTIO-RULES 2.3, 2.6, 3.12).
 *
 * A server of bytes listens when something leads on from it, so all of this comes before binding. Of a VirtualService
 * every server name of its tls rules becomes a chain of each passthrough server that has one of the object's hosts; the
 * first tcp rule that applies serves a TCP server, or all names of a server that ends TLS and is no HTTPS.
 */
#include "master/kinds/core_service.h"
#include "master/lower/istio.h"

struct l4 {
    struct lower *l;
    struct istio_vs *vs;
    struct map made; /* key of a rule -> struct model_rule */
    const struct istio_l4_rule *lost; /* a tcp rule whose server another object leads */
};

/* ---- rules ---------------------------------------------------------------------------------------------- */

static bool needs_port(struct lower *l, const struct object *o, const struct istio_l4_rule *r)
{
    for (size_t i = 0; i < r->route.n; i++) {
        const struct istio_destination *d = r->route.v[i].destination;
        if (!d->port && istio_target(l, d->host, 0, 0, o->ns).ambiguous)
            return true;
    }
    return false;
}

static void add_split(struct lower *l, struct model_rule *out, const struct object *o, const struct istio_l4_rule *r, size_t i,
                      uint16_t port)
{
    const struct istio_l4_destination *d = &r->route.v[i];
    struct model_split *s = ARENA_PUSH(l->arena, &out->splits);
    int64_t most = 0;
    for (size_t k = 0; k < r->route.n; k++)
        most = GH_MAX(most, r->route.v[k].weight.v);
    s->weight = r->route.n == 1 ? 1 : istio_scaled_weight(d->weight.v, most);
    s->origin = lower_origin(l, o, d->node, STR_NONE);
    istio_split(l, s, o, d->destination, port);
}

/* What DestinationRules say of the connections themselves: the first destination counts (4.5); a tunnel that can't be dug
 * (4.8) closes them. */
static void add_policies(struct lower *l, struct model_rule *out, const struct object *o, const struct istio_l4_rule *r, uint16_t port)
{
    for (size_t i = 0; i < r->route.n; i++) {
        const struct istio_destination *d = r->route.v[i].destination;
        struct istio_target t = istio_target(l, d->host, d->port ? (uint16_t)d->port->number.v : 0, port, o->ns);
        struct istio_policy p;
        if (t.problem != BACKEND_OK)
            continue;
        istio_policy(l, t.host, istio_target_ns(&t), t.port, d->subset, &p);
        if (i == 0 && p.pool && p.pool->tcp && p.pool->tcp->idle_timeout.set) {
            uint64_t ms = p.pool->tcp->idle_timeout.ms;
            out->idle_timeout_ms = ms == 0 || ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
        }
        if (!p.tunnel)
            continue;
        out->splits.v[i].cluster = NULL;
        out->splits.v[i].status = 503;
        out->splits.v[i].reason = REASON_UNKNOWN_CLUSTER;
    }
}

/* `what` is "tls" or "tcp"; one rule for all servers, unless the port of the server decides where it leads. */
static struct str key_of(const struct l4 *x, const char *what, const struct istio_l4_rule *r, uint16_t port)
{
    struct lower *l = x->l;
    const struct object *o = x->vs->object;
    struct str suffix = needs_port(l, o, r) ? arena_strf(l->arena, ":%u", port) : STR_NONE;
    return arena_strf(l->arena, "VirtualService/" STR_FMT "/" STR_FMT "/%s/%u" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name), what,
                      r->node->index, STR_ARG(suffix));
}

static struct model_rule *rule_of(struct l4 *x, const char *what, const struct istio_l4_rule *r, uint16_t port)
{
    struct lower *l = x->l;
    const struct object *o = x->vs->object;
    struct str key = key_of(x, what, r, port);
    struct model_rule *out = map_get(&x->made, key);
    if (out)
        return out;
    out = model_rule_add(l->model, key);
    out->name = arena_strf(l->arena, STR_FMT "/" STR_FMT "/%s/%u", STR_ARG(o->ns), STR_ARG(o->name), what, r->node->index);
    out->origin = lower_origin(l, o, r->node, arena_strf(l->arena, "%s[%u]", what, r->node->index));
    out->action = ACTION_SPLIT;
    out->no_backend_status = 503;
    for (size_t i = 0; i < r->route.n; i++)
        add_split(l, out, o, r, i, port);
    add_policies(l, out, o, r, port);
    map_put(&x->made, key, out);
    return out;
}

static bool applies(const struct l4 *x, const struct istio_l4_match *m, const struct istio_server_state *s)
{
    struct istio_context c = {m->port, &m->gateways, &m->source_labels, m->source_namespace};
    return istio_in_context(x->l, &c, x->vs->object->ns, s);
}

static void note_stream(struct l4 *x, const struct istio_server_state *s)
{
    struct istio_vs *vs = x->vs;
    for (size_t i = 0; i < vs->streams.n; i++)
        if (vs->streams.v[i] == s->listener->bind)
            return;
    *ARENA_PUSH(x->l->arena, &vs->streams) = s->listener->bind;
}

/* ---- tls rules ------------------------------------------------------------------------------------------- */

/* Bytes that are TLS already, in TLS again: possible, and hardly ever meant. */
static void lint_twice(struct lower *l, const struct model_rule *r, const struct istio_l4_rule *rule)
{
    for (size_t i = 0; i < r->splits.n; i++)
        if (r->splits.v[i].cluster && r->splits.v[i].cluster->tls)
            diag_at(l->diags, DIAG_Suspicious, rule->route.v[i].node, "passthrough needs no tls in the DestinationRule",
                    "the client's TLS is wrapped in TLS again: a DestinationRule of " STR_FMT " says so", STR_ARG(r->splits.v[i].name));
}

/* How well the name fits the server: 0 not at all; 1 the server has a part of it; else by the length of the host. */
static size_t fit(const struct istio_server_state *s, struct str ns, struct str name)
{
    size_t best = 0;
    for (size_t i = 0; i < s->hosts.n; i++) {
        const struct istio_server_host *h = &s->hosts.v[i];
        if ((h->ns.n && !str_eq(h->ns, ns)) || istio_host_is_partial_wildcard(h->host) || !istio_host_matches(h->host, name))
            continue;
        best = GH_MAX(best, str_eq(h->host, name) ? SIZE_MAX : istio_host_covers(h->host, name) ? h->host.n + 1 : 1);
    }
    return best;
}

/* Is it rather one of another server's? A name that no server has goes to the first (3.1). */
static bool belongs_elsewhere(const struct l4 *x, const struct istio_server_state *s, struct str name)
{
    size_t own = fit(s, x->vs->object->ns, name);
    for (size_t g = 0; g < x->vs->gateways.n; g++) {
        const struct istio_gw *gw = x->vs->gateways.v[g];
        for (size_t i = 0; gw->selected && i < gw->n_servers; i++) {
            const struct istio_server_state *o = &gw->servers[i];
            if (o->claimed && o->serves == ISTIO_SERVES_PASSTHROUGH && o->listen_port == s->listen_port &&
                str_eq(o->address, s->address) && fit(o, x->vs->object->ns, name) > own)
                return true;
        }
    }
    return false;
}

static void add_name(struct l4 *x, struct istio_server_state *s, const struct istio_l4_rule *r, struct str sni, const struct node *at)
{
    struct str name = istio_host_canonical(x->l->arena, sni);
    if (istio_ip_valid(name))
        return; /* the check has said so */
    if (istio_host_is_partial_wildcard(name)) {
        diag_at(x->l->diags, DIAG_NotServed, at, "write \"*.\" before a domain",
                "a wildcard that is only part of a label matches nothing here");
        return;
    }
    if (belongs_elsewhere(x, s, name))
        return;
    const struct model_chain *first = s->listener ? map_get(&s->listener->bind->chains_by_name, name) : NULL;
    if (first && first->listener == s->listener) {
        if (!str_eq(first->rule->key, key_of(x, "tls", r, s->port)))
            diag_at(x->l->diags, DIAG_Conflict, at, "the first rule with the name wins",
                    "connections for \"" STR_FMT "\" are led by " STR_FMT " already", STR_ARG(name), STR_ARG(first->rule->key));
        return;
    }
    struct model_chain *c = istio_chain(x->l, s, name, CHAIN_PASSTHROUGH, at);
    if (!c)
        return;
    c->rule = rule_of(x, "tls", r, s->port);
    c->origin = lower_origin(x->l, x->vs->object, at, STR_NONE);
    lint_twice(x->l, c->rule, r);
    note_stream(x, s);
}

static void add_tls_rules(struct l4 *x, struct istio_server_state *s)
{
    for (size_t i = 0; i < x->vs->spec->tls.n; i++) {
        const struct istio_l4_rule *r = &x->vs->spec->tls.v[i];
        for (size_t k = 0; k < r->match.n; k++) {
            const struct istio_l4_match *m = &r->match.v[k];
            if (!applies(x, m, s))
                continue;
            for (size_t n = 0; n < m->sni_hosts.n; n++)
                add_name(x, s, r, m->sni_hosts.v[n], istio_item(m->node, "sniHosts", n));
        }
    }
}

/* ---- tcp rules ------------------------------------------------------------------------------------------- */

static const struct istio_l4_rule *tcp_rule(const struct l4 *x, const struct istio_server_state *s)
{
    for (size_t i = 0; i < x->vs->spec->tcp.n; i++) {
        const struct istio_l4_rule *r = &x->vs->spec->tcp.v[i];
        bool fits = r->match.n == 0;
        for (size_t k = 0; k < r->match.n && !fits; k++)
            fits = applies(x, &r->match.v[k], s);
        if (fits)
            return r;
    }
    return NULL;
}

static void add_tcp_rule(struct l4 *x, struct istio_server_state *s)
{
    const struct istio_l4_rule *r = tcp_rule(x, s);
    if (!r)
        return;
    if (s->stream_of) {
        x->lost = r;
        diag_at(x->l->diags, DIAG_Conflict, r->node, "the first VirtualService with a rule for a server wins",
                "connections of server \"" STR_FMT "\" of Gateway " STR_FMT " are led by VirtualService " STR_FMT "/" STR_FMT,
                STR_ARG(s->server->port->name), STR_ARG(s->gw->id), STR_ARG(s->stream_of->ns), STR_ARG(s->stream_of->name))->severity = DIAG_INFO;
        return;
    }
    s->stream_of = x->vs->object;
    struct model_rule *rule = rule_of(x, "tcp", r, s->port);
    if (s->serves == ISTIO_SERVES_TLS)
        istio_terminate(x->l, s, rule);
    else
        istio_listen(x->l, s)->bind->stream_rule = rule;
    if (s->listener)
        note_stream(x, s);
}

/* ---- which rules are for which servers ---------------------------------------------------------------------- */

/* Kinds of rules for which a server was found. */
struct found { bool http, tls, tcp; };

static void tell_unused(struct lower *l, const struct istio_vs *vs, const struct found *f)
{
    const struct { size_t n; bool found; const char *field, *text; } ROWS[] = {
        {vs->spec->http.n, f->http, "http", "an HTTP server, or an HTTPS server that ends TLS"},
        {vs->spec->tls.n, f->tls, "tls", "a server with TLS mode PASSTHROUGH"},
        {vs->spec->tcp.n, f->tcp, "tcp", "a TCP server, or one of protocol TLS that ends TLS"},
    };
    if (!f->http && !f->tls && !f->tcp)
        return; /* no server at all: said of the hosts */
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        if (ROWS[i].n && !ROWS[i].found)
            diag_at(l->diags, DIAG_NotAttached, istio_at(vs->spec->node, ROWS[i].field), NULL,
                    "these rules are for %s, and none of its gateways has one with its hosts", ROWS[i].text);
}

static void lower_object(struct lower *l, struct istio_vs *vs)
{
    struct l4 x = {.l = l, .vs = vs};
    struct found f = {0};
    map_init(&x.made, l->arena);
    for (size_t g = 0; g < vs->gateways.n; g++) {
        struct istio_gw *gw = vs->gateways.v[g];
        for (size_t i = 0; vs->visible && gw->selected && i < gw->n_servers; i++) {
            struct istio_server_state *s = &gw->servers[i];
            if (!istio_vs_meets(l, vs, s))
                continue;
            f.http |= istio_serves_http(s);
            f.tls |= s->serves == ISTIO_SERVES_PASSTHROUGH;
            f.tcp |= s->serves == ISTIO_SERVES_TCP || s->serves == ISTIO_SERVES_TLS;
            if (!s->claimed || istio_serves_http(s))
                continue;
            istio_vs_note_bound(l, vs, gw);
            if (s->serves == ISTIO_SERVES_PASSTHROUGH)
                add_tls_rules(&x, s);
            else if (s->serves != ISTIO_SERVES_AUTO)
                add_tcp_rule(&x, s);
        }
    }
    tell_unused(l, vs, &f);
    if (x.lost && vs->streams.n == 0)
        diag_at(l->diags, DIAG_NotAttached, x.lost->node, NULL, "other VirtualServices lead the connections of all its servers");
}

/* ---- AUTO_PASSTHROUGH ---------------------------------------------------------------------------------------- */

static bool covers(const struct istio_server_state *s, struct str host, struct str ns)
{
    return istio_server_meets(s, ns, host, NULL, NULL) > 0;
}

/* The name by which peers ask for a port of a service, or for a subset of it; a chain that leads there. */
static void add_auto(struct lower *l, struct istio_server_state *s, struct str host, struct str ns, uint16_t port, struct str subset)
{
    struct str name = arena_strf(l->arena, "outbound_.%u_." STR_FMT "_." STR_FMT, port, STR_ARG(subset), STR_ARG(host));
    struct lower_part v = {.subset = subset, .raw = true};
    enum backend_problem why;
    struct model_cluster *cluster = lower_istio_host_part(l, host, port, ns, &v, &why);
    if (!cluster)
        return;
    struct model_chain *c = istio_chain(l, s, name, CHAIN_PASSTHROUGH, s->server->node);
    if (!c)
        return;
    c->istio_alpn = true;
    c->rule = model_rule_add(l->model, arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(s->listener->key), STR_ARG(name)));
    c->rule->name = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(s->listener->name), STR_ARG(name));
    c->rule->origin = s->listener->origin;
    c->rule->action = ACTION_SPLIT;
    c->rule->no_backend_status = 503;
    *ARENA_PUSH(l->arena, &c->rule->splits) = (struct model_split){
        .weight = 1, .cluster = cluster, .name = cluster->name, .origin = s->listener->origin};
}

static void add_auto_port(struct lower *l, struct istio_server_state *s, struct str host, struct str ns, uint16_t port)
{
    struct str_list subsets = istio_subsets(l, host, ns);
    add_auto(l, s, host, ns, port, STR_NONE);
    for (size_t i = 0; i < subsets.n; i++)
        add_auto(l, s, host, ns, port, subsets.v[i]);
}

/* All services of the registry that the server's hosts cover, but for external ones. */
static void add_all(struct lower *l, struct istio_server_state *s)
{
    const struct store *st = l->store;
    for (size_t i = 0; i < st->n_by_kind[KIND_SERVICE]; i++) {
        const struct object *o = st->by_kind[KIND_SERVICE][i];
        const struct core_service_spec *spec = ((const struct core_service *)o->spec)->spec;
        struct str host = istio_fqdn(l, o->name, o->ns);
        if (spec->type == CORE_EXTERNAL_NAME || !covers(s, host, o->ns))
            continue;
        for (size_t k = 0; k < spec->ports.n; k++)
            if (spec->ports.v[k].protocol == CORE_TCP)
                add_auto_port(l, s, host, o->ns, (uint16_t)spec->ports.v[k].port.v);
    }
    const struct map *entries = istio_entries(l);
    for (size_t i = 0; i < entries->n; i++) {
        const struct istio_se_ref *r = entries->v[i].val;
        struct str host = entries->v[i].key;
        if (r->spec->location != ISTIO_MESH_INTERNAL || host.p[0] == '*' || !covers(s, host, r->object->ns))
            continue;
        for (size_t k = 0; k < r->spec->ports.n; k++)
            add_auto_port(l, s, host, r->object->ns, (uint16_t)r->spec->ports.v[k].number.v);
    }
}

void lower_istio_streams(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    istio_vs_read(l);
    for (size_t i = 0; i < w->vs.n; i++)
        if (w->vs.v[i]->state != ISTIO_Delegate)
            lower_object(l, w->vs.v[i]);
    for (size_t i = 0; i < w->gw.n; i++)
        for (size_t k = 0; k < w->gw.v[i]->n_servers; k++) {
            struct istio_server_state *s = &w->gw.v[i]->servers[k];
            if (s->claimed && s->serves == ISTIO_SERVES_AUTO)
                add_all(l, s);
        }
}
