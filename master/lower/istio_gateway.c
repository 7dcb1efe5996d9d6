/*
 * istio_gateway.c - Istio Gateways to binds and listeners (ISTIO-RULES 2 and 2.4).
 *
 * Gateways come in object order, servers in list order. On one (address, port) the first server decides
 * the family; HTTP servers of all Gateways share one table of virtual hosts, whatever else comes later
 * is skipped and reported.
 */
#include "master/kinds/core_service.h"
#include "master/lower/istio.h"
#include "master/lower/pool.h"

#include <string.h>

struct istio_work *istio_work(struct lower *l)
{
    if (!l->istio) {
        l->istio = arena_new(l->arena, struct istio_work);
        map_init(&l->istio->gateways, l->arena);
        map_init(&l->istio->entries, l->arena);
        map_init(&l->istio->gapi_hosts, l->arena);
        map_init(&l->istio->delegates, l->arena);
    }
    return l->istio;
}

struct str istio_lower(struct arena *a, struct str s)
{
    size_t i = 0;
    while (i < s.n && ascii_lower(s.p[i]) == s.p[i])
        i++;
    if (i == s.n)
        return s;
    char *p = arena_alloc(a, s.n + 1);
    for (i = 0; i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return str_of(p, s.n);
}

struct str istio_host_canonical(struct arena *a, struct str s)
{
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s.n--;
    return istio_lower(a, s);
}

/* ---- selector ----------------------------------------------------------------------------------- */

static bool has_label(const struct str_map *labels, const struct str_pair *want)
{
    for (size_t i = 0; i < labels->n; i++)
        if (str_eq(labels->v[i].key, want->key))
            return str_eq(labels->v[i].val, want->val);
    return false;
}

static struct str labels_text(struct arena *a, const struct str_map *labels)
{
    struct str text = STR_NONE;
    for (size_t i = 0; i < labels->n; i++)
        text = arena_strf(a, STR_FMT "%s" STR_FMT "=" STR_FMT, STR_ARG(text), i ? ", " : "", STR_ARG(labels->v[i].key),
                          STR_ARG(labels->v[i].val));
    return text.n ? text : STR("none");
}

static bool is_selected(struct lower *l, const struct istio_gw *g)
{
    const struct str_map *want = &g->spec->selector;
    for (size_t i = 0; i < want->n; i++) {
        if (has_label(&l->instance->labels, &want->v[i]))
            continue;
        struct str have = labels_text(l->arena, &l->instance->labels);
        struct str hint = arena_strf(l->arena, "labels of this instance: " STR_FMT, STR_ARG(have));
        diag_at(l->diags, DIAG_NotAttached, istio_at(g->spec->node, "selector"), hint.p,
                "the Gateway is for instances with " STR_FMT "=" STR_FMT ", which this one is not",
                STR_ARG(want->v[i].key), STR_ARG(want->v[i].val))->analyzer = "IST0101";
        return false;
    }
    return true;
}

/* ---- hosts of a server ----------------------------------------------------------------------------- */

static void server_hosts(struct lower *l, struct istio_server_state *s)
{
    const struct str_list *hosts = &s->server->hosts;
    map_init(&s->exact, l->arena);
    s->next_same = arena_new_n(l->arena, size_t, hosts->n);
    for (size_t i = 0; i < hosts->n; i++) {
        struct istio_server_host h = istio_server_host_parse(hosts->v[i], s->gw->object->ns);
        h.host = istio_host_canonical(l->arena, h.host);
        *ARENA_PUSH(l->arena, &s->hosts) = h;
        if (istio_host_is_partial_wildcard(h.host))
            continue;
        if (h.host.p[0] == '*') {
            *ARENA_PUSH(l->arena, &s->wild) = i;
            continue;
        }
        s->next_same[i] = (uintptr_t)map_put(&s->exact, h.host, (void *)(uintptr_t)(i + 1));
    }
}

static bool usable_by(const struct istio_server_host *h, struct str ns)
{
    return h->ns.n == 0 || str_eq(h->ns, ns);
}

static void meet(istio_meet_fn *fn, void *ctx, struct str name)
{
    if (fn)
        fn(ctx, name);
}

size_t istio_server_meets(const struct istio_server_state *s, struct str ns, struct str host,
                          istio_meet_fn *fn, void *ctx)
{
    size_t n = 0;
    struct str both;
    if (host.n == 0 || istio_host_is_partial_wildcard(host))
        return 0;
    if (host.p[0] == '*') { /* any of the server's hosts may lie below it */
        for (size_t i = 0; i < s->hosts.n; i++) {
            const struct istio_server_host *h = &s->hosts.v[i];
            if (!usable_by(h, ns) || istio_host_is_partial_wildcard(h->host) ||
                !istio_host_intersect(h->host, host, &both))
                continue;
            meet(fn, ctx, both);
            n++;
        }
        return n;
    }
    for (size_t i = (uintptr_t)map_get(&s->exact, host); i; i = s->next_same[i - 1])
        n += usable_by(&s->hosts.v[i - 1], ns);
    for (size_t i = 0; i < s->wild.n && n == 0; i++) {
        const struct istio_server_host *h = &s->hosts.v[s->wild.v[i]];
        n += usable_by(h, ns) && istio_host_covers(h->host, host);
    }
    if (n)
        meet(fn, ctx, host);
    return n > 0;
}

/* ---- ports ------------------------------------------------------------------------------------------ */

struct gateways {
    struct map ports, hosts; /* the first server of an (address, port), and of each host there */
    struct { const struct core_service_spec **v; size_t n, cap; } services; /* that select this instance */
};

static bool service_selects(const struct lower *l, const struct core_service_spec *spec)
{
    const struct node *sel = node_get(spec->node, "selector");
    if (!sel || sel->type != NODE_MAP || sel->n_kids == 0)
        return false;
    for (size_t i = 0; i < sel->n_kids; i++) {
        struct str_pair want = {sel->kids[i]->key, sel->kids[i]->text};
        if (!has_label(&l->instance->labels, &want))
            return false;
    }
    return true;
}

/* A Service that selects this instance may map its port to another one (2.4). */
static uint16_t listen_port(const struct gateways *g, uint16_t port)
{
    for (size_t i = 0; i < g->services.n; i++) {
        const struct core_service_spec *spec = g->services.v[i];
        for (size_t k = 0; k < spec->ports.n; k++) {
            const struct core_service_port *p = &spec->ports.v[k];
            if (p->port.v == port && p->protocol == CORE_TCP && p->target_port.set && p->target_port.is_int)
                return (uint16_t)p->target_port.i;
        }
    }
    return port;
}

static void find_services(const struct lower *l, struct gateways *g)
{
    const struct store *s = l->store;
    for (size_t i = 0; i < s->n_by_kind[KIND_SERVICE]; i++) {
        const struct object *o = s->by_kind[KIND_SERVICE][i];
        const struct core_service *svc = o->spec;
        if (svc && svc->spec && str_eq(o->ns, l->instance->ns) && service_selects(l, svc->spec))
            *ARENA_PUSH(l->arena, &g->services) = svc->spec;
    }
}

/* The address as model.h wants it. */
static struct str bind_address(struct lower *l, struct str bind)
{
    if (istio_address_is_unix(bind))
        return arena_strf(l->arena, "unix:" STR_FMT, STR_ARG(str_skip(bind, strlen("unix://"))));
    struct str canonical = ip_canonical(l->arena, bind);
    return str_eqc(canonical, "::") ? STR_NONE : canonical.n ? canonical : bind;
}

/* ---- one server ---------------------------------------------------------------------------------------- */

enum family { FAMILY_HTTP, FAMILY_TLS, FAMILY_TCP };

static enum family family_of(const struct istio_server *s)
{
    enum istio_protocol p = istio_protocol_of(s->port->protocol);
    return istio_protocol_is_http(p) ? FAMILY_HTTP : istio_protocol_is_tls(p) ? FAMILY_TLS : FAMILY_TCP;
}

static struct str port_text(struct lower *l, struct str address, uint16_t port)
{
    if (str_starts(address, STR("unix:")))
        return address;
    return address.n ? arena_strf(l->arena, STR_FMT " port %u", STR_ARG(address), port)
                     : arena_strf(l->arena, "port %u", port);
}

static bool claim_port(struct lower *l, struct gateways *c, struct istio_server_state *s, struct str where)
{
    struct istio_server_state *first = map_get(&c->ports, where);
    if (!first) {
        map_put(&c->ports, where, s);
        return true;
    }
    /* TLS servers share a port by SNI; how is for the release that serves them. */
    if (family_of(first->server) == family_of(s->server) && family_of(s->server) != FAMILY_TCP)
        return true;
    s->state = ISTIO_Conflict;
    s->detail = arena_strf(l->arena, STR_FMT " belongs to %s server \"" STR_FMT "\" of Gateway " STR_FMT, STR_ARG(where),
                           family_of(first->server) == FAMILY_HTTP ? "HTTP" : family_of(first->server) == FAMILY_TLS ? "TLS" : "TCP",
                           STR_ARG(first->server->port->name), STR_ARG(first->gw->id));
    diag_at(l->diags, DIAG_Conflict, istio_at(s->server->port->node, "number"), "the older Gateway wins",
            STR_FMT ", so nothing listens for this server", STR_ARG(s->detail));
    return false;
}

/* Two Gateways with one host on one port: their routes merge, which is seldom meant. */
static void claim_hosts(struct lower *l, struct gateways *c, struct istio_server_state *s, struct str where)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        const struct istio_server_host *h = &s->hosts.v[i];
        struct str key = arena_strf(l->arena, STR_FMT "|" STR_FMT "/" STR_FMT, STR_ARG(where), STR_ARG(h->ns), STR_ARG(h->host));
        struct istio_server_state *first = map_get(&c->hosts, key);
        if (!first)
            map_put(&c->hosts, key, s);
        else if (first->gw != s->gw)
            diag_at(l->diags, DIAG_Conflict, istio_item(s->server->node, "hosts", i), "their routes merge",
                    "Gateway " STR_FMT " has \"" STR_FMT "\" on " STR_FMT " too", STR_ARG(first->gw->id),
                    STR_ARG(h->host), STR_ARG(where))->analyzer = "IST0145";
    }
}

static void listen_on(struct lower *l, struct istio_server_state *s, struct str address, uint16_t port)
{
    const struct object *o = s->gw->object;
    const struct istio_server *server = s->server;
    struct model_bind *b = model_bind(l->model, address, port);
    struct str name = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(s->gw->id), STR_ARG(server->port->name));
    struct str key = arena_strf(l->arena, "IstioGateway/" STR_FMT, STR_ARG(name));
    s->listener = model_listener_add(b, l->arena, key, s->hosts.n == 1 ? s->hosts.v[0].host : STR("*"));
    s->listener->name = name;
    s->listener->protocol = LISTENER_HTTP;
    s->listener->origin = lower_origin(o, server->node, server->port->name);
    s->state = ISTIO_Programmed;
}

static void lower_server(struct lower *l, struct gateways *c, struct istio_server_state *s)
{
    const struct istio_server *server = s->server;
    s->port = (uint16_t)server->port->number.v;
    server_hosts(l, s);
    if (!s->gw->selected) {
        s->state = ISTIO_NotSelected;
        return;
    }
    bool is_unix = istio_address_is_unix(server->bind);
    uint16_t port = is_unix ? 0 : listen_port(c, s->port);
    struct str address = bind_address(l, server->bind);
    struct str where = port_text(l, address, port);
    if (!claim_port(l, c, s, where))
        return;
    if (family_of(server) != FAMILY_HTTP) {
        s->state = ISTIO_NotServed;
        s->detail = arena_strf(l->arena, "protocol " STR_FMT " is not served yet", STR_ARG(server->port->protocol));
        return;
    }
    claim_hosts(l, c, s, where);
    listen_on(l, s, address, port);
}

void lower_istio_gateways(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    struct gateways all = {0};
    map_init(&all.ports, l->arena);
    map_init(&all.hosts, l->arena);
    find_services(l, &all);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_ISTIO_GATEWAY]; i++) {
        const struct object *o = l->store->by_kind[KIND_ISTIO_GATEWAY][i];
        const struct istio_gateway *spec = o->spec;
        struct istio_gw *g = arena_new(l->arena, struct istio_gw);
        g->object = o;
        g->spec = spec->spec;
        g->id = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name));
        g->selected = is_selected(l, g);
        g->n_servers = g->spec->servers.n;
        g->servers = arena_new_n(l->arena, struct istio_server_state, g->n_servers);
        *ARENA_PUSH(l->arena, &w->gw) = g;
        map_put(&w->gateways, g->id, g);
        for (size_t k = 0; k < g->n_servers; k++) {
            g->servers[k] = (struct istio_server_state){.gw = g, .server = &g->spec->servers.v[k], .index = (uint32_t)k};
            lower_server(l, &all, &g->servers[k]);
        }
    }
}
