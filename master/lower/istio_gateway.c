/*
 * istio_gateway.c - Istio Gateways to binds and listeners (ISTIO-RULES 2 and 2.4).
 *
 * Gateways come in object order, servers in list order. On one (address, port) the first server decides
 * the family; HTTP servers of all Gateways share one table of virtual hosts, TLS servers share the port by server name,
 * whatever else comes later is skipped and reported.
 *
 * Servers of HTTP and HTTPS listen whether routes exist or not. Those of bytes (TCP, TLS, passthrough) are only claimed
 * here: their listeners are made by the rules that lead somewhere (istio_l4.c).
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
        map_init(&l->istio->workloads, l->arena);
        map_init(&l->istio->rules, l->arena);
        map_init(&l->istio->merged, l->arena);
        map_init(&l->istio->used, l->arena);
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

bool istio_has_label(const struct str_map *labels, const struct str_pair *want)
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
        if (istio_has_label(&l->instance->labels, &want->v[i]))
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
        struct str_pair want = {node_key(sel->kids[i]), node_text(sel->kids[i])};
        if (!istio_has_label(&l->instance->labels, &want))
            return false;
    }
    return true;
}

/* A Service that selects this instance may map its port to another one (2.4). */
static uint16_t listen_port(struct lower *l, const struct gateways *g, const struct istio_server *server)
{
    uint16_t port = (uint16_t)server->port->number.v;
    for (size_t i = 0; i < g->services.n; i++) {
        const struct core_service_spec *spec = g->services.v[i];
        for (size_t k = 0; k < spec->ports.n; k++) {
            const struct core_service_port *p = &spec->ports.v[k];
            if (p->port.v == port && p->protocol == CORE_TCP && p->target_port.set && p->target_port.is_int)
                return (uint16_t)p->target_port.i;
            if (p->port.v == port && p->protocol == CORE_TCP)
                return port;
        }
    }
    if (g->services.n)
        diag_at(l->diags, DIAG_Suspicious, istio_at(server->port->node, "number"), "add the port to the Service",
                "no Service that selects this instance has port %u", port)->analyzer = "IST0162";
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

static enum istio_serves serves_of(const struct istio_server *s)
{
    enum istio_protocol p = istio_protocol_of(s->port->protocol);
    if (istio_protocol_is_http(p))
        return ISTIO_SERVES_HTTP;
    if (!istio_protocol_is_tls(p))
        return ISTIO_SERVES_TCP;
    if (s->tls->mode == ISTIO_TLS_PASSTHROUGH)
        return ISTIO_SERVES_PASSTHROUGH;
    if (s->tls->mode == ISTIO_TLS_AUTO_PASSTHROUGH)
        return ISTIO_SERVES_AUTO;
    return p == ISTIO_PROTO_HTTPS ? ISTIO_SERVES_HTTPS : ISTIO_SERVES_TLS;
}

bool istio_serves_http(const struct istio_server_state *s)
{
    return s->serves == ISTIO_SERVES_HTTP || s->serves == ISTIO_SERVES_HTTPS;
}

enum family { FAMILY_HTTP, FAMILY_TLS, FAMILY_TCP };
static const char *const FAMILIES[] = {"HTTP", "TLS", "TCP"};

static enum family family_of(const struct istio_server_state *s)
{
    return s->serves == ISTIO_SERVES_HTTP ? FAMILY_HTTP : s->serves == ISTIO_SERVES_TCP ? FAMILY_TCP : FAMILY_TLS;
}

static struct str port_text(struct lower *l, struct str address, uint16_t port)
{
    if (str_starts(address, STR("unix:")))
        return address;
    return address.n ? arena_strf(l->arena, STR_FMT " port %u", STR_ARG(address), port)
                     : arena_strf(l->arena, "port %u", port);
}

/* `owner` names who has the port already. */
static bool lose_port(struct lower *l, struct istio_server_state *s, struct str where, enum family family, struct str owner)
{
    s->state = ISTIO_Conflict;
    s->detail = arena_strf(l->arena, STR_FMT " belongs to %s " STR_FMT, STR_ARG(where), FAMILIES[family], STR_ARG(owner));
    diag_at(l->diags, DIAG_Conflict, istio_at(s->server->port->node, "number"), "the older Gateway wins",
            STR_FMT ", so nothing listens for this server", STR_ARG(s->detail));
    return false;
}

/* Listeners of the Gateway API are there already: they have the port as an older server would. */
static bool claim_from_gapi(struct lower *l, struct istio_server_state *s, struct str where)
{
    static const enum family OF[] = {
        [LISTENER_HTTP] = FAMILY_HTTP, [LISTENER_HTTPS] = FAMILY_TLS, [LISTENER_TLS] = FAMILY_TLS, [LISTENER_TCP] = FAMILY_TCP};
    for (size_t i = 0; i < l->model->binds.n; i++) {
        const struct model_bind *b = l->model->binds.v[i];
        if (b->datagram || b->port != s->listen_port || !str_eq(b->address, s->address) || b->listeners.n == 0)
            continue;
        const struct model_listener *ml = b->listeners.v[0];
        enum family family = OF[ml->protocol];
        if (str_starts(ml->key, STR("IstioGateway/")) || (family == family_of(s) && family != FAMILY_TCP))
            return true;
        return lose_port(l, s, where, family, arena_strf(l->arena, "listener " STR_FMT " of the Gateway API", STR_ARG(ml->name)));
    }
    return true;
}

static bool claim_port(struct lower *l, struct gateways *c, struct istio_server_state *s, struct str where)
{
    struct istio_server_state *first = map_get(&c->ports, where);
    if (!first) {
        if (!claim_from_gapi(l, s, where))
            return false;
        map_put(&c->ports, where, s);
        return true;
    }
    if (family_of(first) == family_of(s) && family_of(s) != FAMILY_TCP)
        return true;
    return lose_port(l, s, where, family_of(first),
                     arena_strf(l->arena, "server \"" STR_FMT "\" of Gateway " STR_FMT, STR_ARG(first->server->port->name),
                                STR_ARG(first->gw->id)));
}

static struct str host_key(struct lower *l, struct str where, const struct istio_server_host *h)
{
    return arena_strf(l->arena, STR_FMT "|" STR_FMT "/" STR_FMT, STR_ARG(where), STR_ARG(h->ns), STR_ARG(h->host));
}

/* Two Gateways with one host on one port: their routes merge, which is seldom meant. */
static void claim_hosts(struct lower *l, struct gateways *c, struct istio_server_state *s, struct str where)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        const struct istio_server_host *h = &s->hosts.v[i];
        struct str key = host_key(l, where, h);
        struct istio_server_state *first = map_get(&c->hosts, key);
        if (!first)
            map_put(&c->hosts, key, s);
        else if (first->gw != s->gw)
            diag_at(l->diags, DIAG_Conflict, istio_item(s->server->node, "hosts", i), "their routes merge",
                    "Gateway " STR_FMT " has \"" STR_FMT "\" on " STR_FMT " too", STR_ARG(first->gw->id),
                    STR_ARG(h->host), STR_ARG(where))->analyzer = "IST0145";
    }
}

/* TLS servers: a name that another one has on this port costs the whole server (2.4). Names are compared as written, with
 * their namespace. */
static bool claim_names(struct lower *l, struct gateways *c, struct istio_server_state *s, struct str where)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        const struct istio_server_host *h = &s->hosts.v[i];
        struct istio_server_state *first = map_get(&c->hosts, host_key(l, where, h));
        if (!first)
            continue;
        s->state = ISTIO_Conflict;
        s->detail = arena_strf(l->arena, "server \"" STR_FMT "\" of Gateway " STR_FMT " has \"" STR_FMT "\" on " STR_FMT,
                               STR_ARG(first->server->port->name), STR_ARG(first->gw->id), STR_ARG(h->host), STR_ARG(where));
        diag_at(l->diags, DIAG_Conflict, istio_item(s->server->node, "hosts", i), "a server name belongs to one server of a port",
                STR_FMT ", so this server is left out", STR_ARG(s->detail))->analyzer = "IST0145";
        return false;
    }
    for (size_t i = 0; i < s->hosts.n; i++)
        map_put(&c->hosts, host_key(l, where, &s->hosts.v[i]), s);
    return true;
}

struct model_listener *istio_listen(struct lower *l, struct istio_server_state *s)
{
    static const enum listener_protocol PROTOCOLS[] = {
        [ISTIO_SERVES_HTTP] = LISTENER_HTTP, [ISTIO_SERVES_HTTPS] = LISTENER_HTTPS, [ISTIO_SERVES_TLS] = LISTENER_TLS,
        [ISTIO_SERVES_PASSTHROUGH] = LISTENER_TLS, [ISTIO_SERVES_AUTO] = LISTENER_TLS, [ISTIO_SERVES_TCP] = LISTENER_TCP};
    const struct istio_server *server = s->server;
    if (s->listener)
        return s->listener;
    struct model_bind *b = model_bind(l->model, s->address, s->listen_port);
    struct str name = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(s->gw->id), STR_ARG(server->port->name));
    struct str key = arena_strf(l->arena, "IstioGateway/" STR_FMT, STR_ARG(name));
    s->listener = model_listener_add(b, l->arena, key, s->hosts.n == 1 ? s->hosts.v[0].host : STR("*"));
    s->listener->name = name;
    s->listener->protocol = PROTOCOLS[s->serves];
    s->listener->origin = lower_origin(l, s->gw->object, server->node, server->port->name);
    s->state = ISTIO_Programmed;
    proxy_front_apply(l, &s->gw->proxies, b);
    return s->listener;
}

static void lower_server(struct lower *l, struct gateways *c, struct istio_server_state *s)
{
    const struct istio_server *server = s->server;
    s->port = (uint16_t)server->port->number.v;
    s->serves = serves_of(server);
    server_hosts(l, s);
    if (!s->gw->selected) {
        s->state = ISTIO_NotSelected;
        return;
    }
    if (istio_protocol_of(server->port->protocol) == ISTIO_PROTO_UDP) {
        s->state = ISTIO_NotServed;
        s->detail = STR("UDP servers have no effect, as in Istio");
        return;
    }
    s->address = bind_address(l, server->bind);
    s->listen_port = istio_address_is_unix(server->bind) ? 0 : listen_port(l, c, server);
    struct str where = port_text(l, s->address, s->listen_port);
    if (!claim_port(l, c, s, where) || (family_of(s) == FAMILY_TLS && !claim_names(l, c, s, where)))
        return;
    s->claimed = true;
    if (s->serves == ISTIO_SERVES_HTTP) {
        claim_hosts(l, c, s, where);
        istio_listen(l, s);
    } else if (s->serves == ISTIO_SERVES_HTTPS) {
        istio_terminate(l, s, NULL);
    } else {
        s->state = ISTIO_NoRoute;
    }
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
        if (g->selected)
            proxy_front_read(l, o, &g->proxies);
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
