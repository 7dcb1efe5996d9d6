/*
 * istio_vs.c - VirtualServices to virtual hosts and candidates (ISTIO-RULES 3.1 and 3.2).
 *
 * An object is bound to a server when it names the Gateway, is exported to this instance, and one of its
 * hosts meets one of the server's. Each name in which they meet is a virtual host; its rules are those of all
 * bound objects in object order. A host of Istio's never falls back to a wildcard.
 */
#include "master/lower/istio.h"
#include "master/lower/pool.h"

/* One virtual host of one object, with the servers over which it was reached. */
struct vs_host {
    struct model_host *host;
    struct { const struct istio_server_state **v; size_t n, cap; } servers;
    bool closed; /* a catch-all rule has been seen: what follows is never reached */
};

/* A rule of the object as made for one port of a server (0: for any). */
struct made_rule {
    uint16_t port;
    struct model_rule *rule;
};

struct bind_vs {
    struct lower *l;
    struct istio_vs *vs;
    struct str own_ns;
    const struct istio_server_state *server; /* being bound */
    struct { struct vs_host *v; size_t n, cap; } hosts;
    struct map by_host; /* address of the model_host -> number plus one in hosts */
    bool private;       /* exported to single namespaces only (3.2) */
    bool live;          /* an entry stands on a port that listens */
    bool met;           /* the host being looked at met some server */
    bool unserved;      /* ... that this release does not serve, or could not listen */
};

/* ---- binding -------------------------------------------------------------------------------------------- */

static struct vs_host *vs_host(struct bind_vs *b, struct model_host *h)
{
    struct str key = str_of((const char *)&h, sizeof(h));
    uintptr_t at = (uintptr_t)map_get(&b->by_host, key);
    if (at)
        return &b->hosts.v[at - 1];
    struct vs_host *v = ARENA_PUSH(b->l->arena, &b->hosts);
    *v = (struct vs_host){.host = h};
    map_put(&b->by_host, arena_str(b->l->arena, key), (void *)(uintptr_t)b->hosts.n);
    return v;
}

/* Hosts to which a HTTPRoute has been attached; routes of the Gateway API are lowered before. */
static bool has_gapi_route(struct lower *l, const struct model_host *h)
{
    struct istio_work *w = istio_work(l);
    if (!w->gapi_hosts_read) {
        w->gapi_hosts_read = true;
        for (size_t i = 0; i < l->candidates.n; i++)
            if (l->candidates.v[i].gapi)
                map_put(&w->gapi_hosts, str_of((const char *)&l->candidates.v[i].host, sizeof(h)), l->candidates.v[i].host);
    }
    return map_get(&w->gapi_hosts, str_of((const char *)&h, sizeof(h))) != NULL;
}

/* httpsRedirect, unless the host is routed by the Gateway API, whose listeners know no such thing. */
static void set_redirect(struct lower *l, const struct istio_server_state *s, struct model_host *h, const struct node *at)
{
    bool foreign = h->listener != s->listener && !str_starts(h->listener->key, STR("IstioGateway/"));
    if (!foreign || !has_gapi_route(l, h)) {
        h->https_redirect = true;
        return;
    }
    diag_at(l->diags, DIAG_Conflict, at, "give the two Gateways different hosts, addresses or ports",
            "host \"" STR_FMT "\" on port %u also has routes at listener " STR_FMT " of the Gateway API: it is not redirected to https",
            STR_ARG(h->name), s->port, STR_ARG(h->listener->name));
}

/* istio_meet_fn */
static void on_meet(void *ctx, struct str name)
{
    struct bind_vs *b = ctx;
    struct model_listener *listener = b->server->listener;
    b->met = true;
    if (!listener) {
        b->unserved = true;
        return;
    }
    struct model_host *h = model_host(b->l->model, listener->bind, name, listener);
    if (istio_server_redirects(b->server->server))
        set_redirect(b->l, b->server, h, b->server->server->node);
    struct vs_host *v = vs_host(b, h);
    for (size_t i = 0; i < v->servers.n; i++)
        if (v->servers.v[i] == b->server)
            return;
    *ARENA_PUSH(b->l->arena, &v->servers) = b->server;
}

static void note_bound(struct bind_vs *b, const struct istio_gw *g)
{
    for (size_t i = 0; i < b->vs->bound.n; i++)
        if (str_eq(b->vs->bound.v[i], g->id))
            return;
    *ARENA_PUSH(b->l->arena, &b->vs->bound) = g->id;
}

/* The Gateway that entry `i` of spec.gateways names; NULL for mesh and for one that does not exist. */
static struct istio_gw *gateway(struct bind_vs *b, size_t i)
{
    struct lower *l = b->l;
    struct istio_vs *vs = b->vs;
    struct istio_gateway_ref ref = istio_gateway_ref_parse(vs->spec->gateways.v[i], b->own_ns);
    const struct node *at = istio_item(vs->spec->node, "gateways", i);
    if (ref.mesh) {
        diag_at(l->diags, DIAG_NotServed, at, "its gateways are served", "traffic of the mesh is not served yet")->severity =
            DIAG_INFO;
        return NULL;
    }
    struct str id = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(ref.ns), STR_ARG(ref.name));
    struct istio_gw *g = map_get(&istio_work(l)->gateways, id);
    if (g)
        return g;
    vs->n_missing++;
    diag_at(l->diags, DIAG_MissingReference, at, "a Gateway of networking.istio.io, as namespace/name",
            "Gateway " STR_FMT " does not exist", STR_ARG(id))->analyzer = "IST0101";
    return NULL;
}

struct bound_gateways {
    struct istio_gw **v;
    size_t n;
    bool visible; /* the object is exported to this instance */
};

static void meet_servers(struct bind_vs *b, struct str host, const struct bound_gateways *gws)
{
    for (size_t g = 0; g < gws->n; g++) {
        for (size_t k = 0; k < gws->v[g]->n_servers; k++) {
            b->server = &gws->v[g]->servers[k];
            bool serves = gws->visible && gws->v[g]->selected;
            if (istio_server_meets(b->server, b->own_ns, host, serves ? on_meet : NULL, b) == 0)
                continue;
            b->met = true;
            if (serves)
                note_bound(b, gws->v[g]);
        }
    }
}

/*
 * Meets host number `i` with every server of the Gateways. A name without dots is short for a service
 * (section 1); machines without a cluster have such names too, so it is also taken as it stands.
 */
static void bind_host(struct bind_vs *b, size_t i, const struct bound_gateways *gws)
{
    struct str text = b->vs->spec->hosts.v[i];
    struct str host = istio_host_canonical(b->l->arena, text), full = istio_fqdn(b->l, text, b->own_ns);
    if (str_chr(text, ':') >= 0) /* as in Host */
        host = full = arena_strf(b->l->arena, "[" STR_FMT "]", STR_ARG(ip_canonical(b->l->arena, text)));
    b->met = false;
    meet_servers(b, host, gws);
    if (!str_eq(host, full))
        meet_servers(b, full, gws);
    if (gws->n && !b->met)
        diag_at(b->l->diags, DIAG_NotAttached, istio_item(b->vs->spec->node, "hosts", i), "add it to a server's hosts",
                "no server of its gateways has this host")->analyzer = "IST0132";
}

/* ---- destinations ------------------------------------------------------------------------------------------ */

static void check_destination(struct lower *l, struct istio_vs *vs, const struct istio_destination *t)
{
    struct istio_target found = istio_target(l, t->host, t->port ? (uint16_t)t->port->number.v : 0, 0, vs->object->ns);
    const struct node *host = istio_at(t->node, "host");
    if (found.ambiguous) {
        diag_at(l->diags, DIAG_Suspicious, t->node, "set port.number",
                "the service has several ports: the one with the number of the gateway's port is used")->analyzer = "IST0112";
        return;
    }
    if (found.problem == BACKEND_OK)
        return;
    vs->n_unresolved++;
    if (found.problem == BACKEND_NO_PORT && t->port)
        diag_at(l->diags, DIAG_MissingReference, istio_at(t->port->node, "number"), "requests are answered 503",
                "service " STR_FMT " has no port %d", STR_ARG(found.host), (int)t->port->number.v)->analyzer = "IST0101";
    else if (found.problem == BACKEND_NO_PORT)
        diag_at(l->diags, DIAG_MissingReference, host, "requests are answered 503", "service " STR_FMT " has no port",
                STR_ARG(found.host))->analyzer = "IST0101";
    else
        diag_at(l->diags, DIAG_MissingReference, host, "requests are answered 503; a Service or ServiceEntry must have it",
                "host " STR_FMT " is in no registry", STR_ARG(found.host))->analyzer = "IST0101";
}

static void check_destinations(struct lower *l, struct istio_vs *vs)
{
    for (size_t i = 0; i < vs->spec->http.n; i++)
        for (size_t k = 0; k < vs->spec->http.v[i].route.n; k++)
            if (vs->spec->http.v[i].route.v[k].destination)
                check_destination(l, vs, vs->spec->http.v[i].route.v[k].destination);
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

struct rule_lowering {
    struct bind_vs *b;
    const struct istio_rule_ref *ref;
    uint32_t n_blocks;  /* of this rule of the root object, so far */
    bool needs_port;
    struct { struct made_rule *v; size_t n, cap; } made;
};

static struct model_rule *rule_for(struct rule_lowering *r, uint16_t port)
{
    struct lower *l = r->b->l;
    if (!r->needs_port)
        port = 0;
    for (size_t i = 0; i < r->made.n; i++)
        if (r->made.v[i].port == port)
            return r->made.v[i].rule;
    struct str suffix = r->needs_port ? arena_strf(l->arena, ":%u", port) : STR_NONE;
    struct made_rule *m = ARENA_PUSH(l->arena, &r->made);
    *m = (struct made_rule){port, istio_rule(l, r->ref, port, suffix)};
    return m->rule;
}

/* The server of the host at which the block applies; NULL when there is none. */
static const struct istio_server_state *in_context(const struct bind_vs *b, const struct vs_host *v,
                                                   const struct istio_http_match *m)
{
    for (size_t i = 0; i < v->servers.n; i++)
        if (istio_match_in_context(b->l, m, b->own_ns, v->servers.v[i]))
            return v->servers.v[i];
    return NULL;
}

/* `m` NULL: the rule has no match. */
static void add_block(struct rule_lowering *r, const struct istio_http_match *m)
{
    struct bind_vs *b = r->b;
    struct model_match *match = NULL;
    bool catch_all = !m || istio_match_is_catch_all(m);
    for (size_t i = 0; i < b->hosts.n; i++) {
        struct vs_host *v = &b->hosts.v[i];
        const struct istio_server_state *s = v->closed ? NULL : in_context(b, v, m);
        if (!s)
            continue;
        if (!match)
            match = istio_match(b->l, r->ref, m);
        if (!match)
            return;
        struct lower_candidate c = {
            .host = v->host,
            .match = match,
            .rule = rule_for(r, s->port),
            .object = b->vs->object,
            .listener = s->listener,
            .istio_private = b->private,
            .rule_index = (uint32_t)r->ref->index,
            .match_index = r->n_blocks,
        };
        lower_candidate_add(b->l, &c);
        b->vs->n_entries++;
        b->live |= v->host->listener->bind->bind_error == 0;
        v->closed = catch_all;
    }
}

/* Rules of one delegate have one place in the order; their blocks are counted through. */
static void lower_rules(struct bind_vs *b)
{
    struct istio_rules rules = {.n = 0};
    struct rule_lowering r = {.b = b};
    istio_rules(b->l, b->vs->object, b->vs->spec, &rules);
    for (size_t i = 0; i < rules.n; i++) {
        const struct istio_http_rule *rule = rules.v[i].rule;
        if (i == 0 || rules.v[i].index != rules.v[i - 1].index)
            r.n_blocks = 0;
        r.ref = &rules.v[i];
        r.needs_port = istio_rule_needs_port(b->l, r.ref);
        r.made.n = 0;
        if (rule->match.n == 0)
            add_block(&r, NULL);
        for (size_t k = 0; k < rule->match.n; k++, r.n_blocks++)
            add_block(&r, &rule->match.v[k]);
    }
}

/* ---- objects -------------------------------------------------------------------------------------------------- */

static enum istio_state judge(const struct bind_vs *b, size_t n_gws, bool selected, bool visible)
{
    const struct istio_vs *vs = b->vs;
    if (vs->n_entries)
        return b->live ? ISTIO_Programmed : ISTIO_PortUnavailable;
    if (n_gws == 0)
        return vs->n_missing ? ISTIO_GatewayNotFound : ISTIO_MeshOnly;
    if (!visible)
        return ISTIO_NotVisible;
    if (!selected)
        return ISTIO_NotSelected;
    if (vs->bound.n == 0)
        return ISTIO_NotAttached;
    return vs->spec->http.n == 0 || b->unserved ? ISTIO_NotServed : ISTIO_NoRules;
}

static bool is_private(const struct str_list *export_to)
{
    return export_to->n > 0 && !str_eqc(export_to->v[0], "*");
}

static void lower_vs(struct lower *l, const struct object *o)
{
    struct istio_vs *vs = arena_new(l->arena, struct istio_vs);
    vs->object = o;
    vs->spec = ((const struct istio_virtual_service *)o->spec)->spec;
    *ARENA_PUSH(l->arena, &istio_work(l)->vs) = vs;
    check_destinations(l, vs);
    if (vs->spec->hosts.n == 0) {
        vs->state = ISTIO_Delegate;
        return;
    }
    struct bind_vs b = {.l = l, .vs = vs, .own_ns = o->ns, .private = is_private(&vs->spec->export_to)};
    map_init(&b.by_host, l->arena);
    struct bound_gateways gws = {.v = arena_new_n(l->arena, struct istio_gw *, vs->spec->gateways.n)};
    bool selected = false;
    gws.visible = istio_exported_to(&vs->spec->export_to, o->ns, l->instance->ns);
    for (size_t i = 0; i < vs->spec->gateways.n; i++) {
        struct istio_gw *g = gws.v[gws.n] = gateway(&b, i);
        selected |= g && g->selected;
        gws.n += g != NULL;
    }
    if (vs->spec->gateways.n == 0)
        diag_at(l->diags, DIAG_NotServed, vs->spec->node, "name a Gateway in gateways",
                "without gateways the object is for the mesh, which is not served yet")->severity = DIAG_INFO;
    for (size_t i = 0; i < vs->spec->hosts.n; i++)
        bind_host(&b, i, &gws);
    lower_rules(&b);
    vs->state = judge(&b, gws.n, selected, gws.visible);
}

/* Hosts of servers with httpsRedirect redirect whether routes exist or not (2.6). */
static void redirect_hosts(struct lower *l, const struct istio_server_state *s)
{
    struct model_bind *b = s->listener->bind;
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str name = s->hosts.v[i].host;
        if (istio_host_is_partial_wildcard(name))
            continue;
        set_redirect(l, s, model_host(l->model, b, name, s->listener), istio_item(s->server->node, "hosts", i));
    }
}

void lower_istio_virtual_services(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_VIRTUAL_SERVICE]; i++)
        lower_vs(l, l->store->by_kind[KIND_VIRTUAL_SERVICE][i]);
    for (size_t i = 0; i < w->gw.n; i++)
        for (size_t k = 0; k < w->gw.v[i]->n_servers; k++)
            if (w->gw.v[i]->servers[k].listener && istio_server_redirects(w->gw.v[i]->servers[k].server))
                redirect_hosts(l, &w->gw.v[i]->servers[k]);
}
