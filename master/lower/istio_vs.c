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
    struct { const struct model_bind **v; size_t n, cap; } hosted; /* ... and became a virtual host on these */
    bool unserved;      /* ... that has no listener */
    const struct model_listener *shadow; /* ... but another server has a more specific name for it */
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
    if (!istio_serves_http(b->server) || b->vs->spec->http.n == 0)
        return;
    if (!listener) {
        b->unserved = true;
        return;
    }
    /* TLS connections of one server never reach the hosts of another: the most specific name has them (2.4, 2.6). */
    const struct model_listener *owner =
        b->server->serves == ISTIO_SERVES_HTTPS ? lower_chain_owner(listener->bind, name) : listener;
    if (owner != listener) {
        b->shadow = owner;
        return;
    }
    *ARENA_PUSH(b->l->arena, &b->hosted) = listener->bind;
    struct model_host *h = model_host(b->l->model, listener->bind, name, listener);
    if (istio_server_redirects(b->server->server))
        set_redirect(b->l, b->server, h, b->server->server->node);
    struct vs_host *v = vs_host(b, h);
    for (size_t i = 0; i < v->servers.n; i++)
        if (v->servers.v[i] == b->server)
            return;
    *ARENA_PUSH(b->l->arena, &v->servers) = b->server;
}

void istio_vs_note_bound(struct lower *l, struct istio_vs *vs, const struct istio_gw *g)
{
    for (size_t i = 0; i < vs->bound.n; i++)
        if (str_eq(vs->bound.v[i], g->id))
            return;
    *ARENA_PUSH(l->arena, &vs->bound) = g->id;
}

/* The Gateway that entry `i` of spec.gateways names; NULL for mesh and for one that does not exist. */
static struct istio_gw *gateway(struct lower *l, struct istio_vs *vs, size_t i)
{
    struct istio_gateway_ref ref = istio_gateway_ref_parse(vs->spec->gateways.v[i], vs->object->ns);
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

/*
 * The names that entry `i` of spec.hosts stands for. A name without dots is short for a service (section 1); machines
 * without a cluster have such names too, so it is also taken as it stands.
 */
static size_t names_of(struct lower *l, const struct istio_vs *vs, size_t i, struct str names[2])
{
    struct str text = vs->spec->hosts.v[i];
    names[0] = istio_host_canonical(l->arena, text);
    names[1] = istio_fqdn(l, text, vs->object->ns);
    if (str_chr(text, ':') >= 0) /* as in Host */
        names[0] = names[1] = arena_strf(l->arena, "[" STR_FMT "]", STR_ARG(ip_canonical(l->arena, text)));
    return str_eq(names[0], names[1]) ? 1 : 2;
}

bool istio_vs_meets(struct lower *l, const struct istio_vs *vs, const struct istio_server_state *s)
{
    struct str names[2];
    for (size_t i = 0; i < vs->spec->hosts.n; i++)
        for (size_t n = names_of(l, vs, i, names); n > 0; n--)
            if (istio_server_meets(s, vs->object->ns, names[n - 1], NULL, NULL))
                return true;
    return false;
}

static void meet_servers(struct bind_vs *b, struct str host)
{
    for (size_t g = 0; g < b->vs->gateways.n; g++) {
        struct istio_gw *gw = b->vs->gateways.v[g];
        for (size_t k = 0; k < gw->n_servers; k++) {
            b->server = &gw->servers[k];
            bool serves = b->vs->visible && gw->selected;
            if (istio_server_meets(b->server, b->own_ns, host, serves ? on_meet : NULL, b) == 0)
                continue;
            b->met = true;
            if (serves)
                istio_vs_note_bound(b->l, b->vs, gw);
        }
    }
}

/* The object is bound to a server of this port, and another one there has a more specific name for its host. */
static void tell_shadow(struct bind_vs *b, const struct node *at)
{
    const struct model_bind *bind = b->shadow->bind;
    for (size_t i = 0; i < b->hosted.n; i++)
        if (b->hosted.v[i] == bind)
            return;
    diag_at(b->l->diags, DIAG_NotAttached, at, "name its Gateway in gateways, too",
            "connections for this host on port %u go to listener " STR_FMT ", which has a more specific name", bind->port,
            STR_ARG(b->shadow->name));
}

/* Meets host number `i` with every server of the Gateways. */
static void bind_host(struct bind_vs *b, size_t i)
{
    struct str names[2];
    size_t n = names_of(b->l, b->vs, i, names);
    const struct node *at = istio_item(b->vs->spec->node, "hosts", i);
    b->met = false;
    b->hosted.n = 0;
    b->shadow = NULL;
    for (size_t k = 0; k < n; k++)
        meet_servers(b, names[k]);
    if (b->vs->gateways.n && !b->met)
        diag_at(b->l->diags, DIAG_NotAttached, at, "add it to a server's hosts", "no server of its gateways has this host")->analyzer =
            "IST0132";
    else if (b->shadow)
        tell_shadow(b, at);
}

/* ---- destinations ------------------------------------------------------------------------------------------ */

static void tell_missing(struct lower *l, const struct istio_destination *t, const struct istio_target *found)
{
    const struct node *host = istio_at(t->node, "host");
    if (found->problem == BACKEND_NO_PORT && t->port)
        diag_at(l->diags, DIAG_MissingReference, istio_at(t->port->node, "number"), "requests are answered 503",
                "service " STR_FMT " has no port %d", STR_ARG(found->host), (int)t->port->number.v)->analyzer = "IST0101";
    else if (found->problem == BACKEND_NO_PORT)
        diag_at(l->diags, DIAG_MissingReference, host, "requests are answered 503", "service " STR_FMT " has no port",
                STR_ARG(found->host))->analyzer = "IST0101";
    else
        diag_at(l->diags, DIAG_MissingReference, host, "requests are answered 503; a Service or ServiceEntry must have it",
                "host " STR_FMT " is in no registry", STR_ARG(found->host))->analyzer = "IST0101";
}

/* Requests to a port of TLS, when nothing says that this side is to speak it. */
static void lint_plain(struct lower *l, const struct istio_destination *t, const struct istio_target *found)
{
    struct istio_policy p;
    if (!istio_protocol_is_tls(istio_target_protocol(found)))
        return;
    istio_policy(l, found->host, istio_target_ns(found), found->port, t->subset, &p);
    if (!p.tls)
        diag_at(l->diags, DIAG_Suspicious, t->node, "add a DestinationRule with tls: {mode: SIMPLE} for this port",
                "port %u of " STR_FMT " speaks TLS, but requests go to it in plain text", found->port, STR_ARG(found->host));
}

static void check_destination(struct lower *l, struct istio_vs *vs, const struct istio_destination *t, bool http)
{
    struct istio_target found = istio_target(l, t->host, t->port ? (uint16_t)t->port->number.v : 0, 0, vs->object->ns);
    istio_note_used(l, found.host, t->port ? (uint16_t)t->port->number.v : found.port);
    if (found.ambiguous) {
        diag_at(l->diags, DIAG_Suspicious, t->node, "set port.number",
                "the service has several ports: the one with the number of the gateway's port is used")->analyzer = "IST0112";
        return;
    }
    if (found.problem != BACKEND_OK) {
        vs->n_unresolved++;
        tell_missing(l, t, &found);
        return;
    }
    if (t->subset.n && !istio_has_subset(l, &found, t->subset)) {
        vs->n_unresolved++;
        diag_at(l->diags, DIAG_MissingReference, istio_at(t->node, "subset"), "requests are answered 503",
                "no DestinationRule of " STR_FMT " has a subset \"" STR_FMT "\"", STR_ARG(found.host), STR_ARG(t->subset))->analyzer = "IST0101";
    }
    if (http)
        lint_plain(l, t, &found);
}

static void check_l4(struct lower *l, struct istio_vs *vs, const struct istio_l4_rule *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < r[i].route.n; k++)
            if (r[i].route.v[k].destination)
                check_destination(l, vs, r[i].route.v[k].destination, false);
}

static void check_destinations(struct lower *l, struct istio_vs *vs)
{
    for (size_t i = 0; i < vs->spec->http.n; i++)
        for (size_t k = 0; k < vs->spec->http.v[i].route.n; k++)
            if (vs->spec->http.v[i].route.v[k].destination)
                check_destination(l, vs, vs->spec->http.v[i].route.v[k].destination, true);
    check_l4(l, vs, vs->spec->tls.v, vs->spec->tls.n);
    check_l4(l, vs, vs->spec->tcp.v, vs->spec->tcp.n);
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

static bool streams_live(const struct istio_vs *vs)
{
    for (size_t i = 0; i < vs->streams.n; i++)
        if (vs->streams.v[i]->bind_error == 0)
            return true;
    return false;
}

static enum istio_state judge(const struct bind_vs *b)
{
    const struct istio_vs *vs = b->vs;
    bool selected = false;
    for (size_t i = 0; i < vs->gateways.n; i++)
        selected |= vs->gateways.v[i]->selected;
    if (vs->n_entries || vs->streams.n)
        return b->live || streams_live(vs) ? ISTIO_Programmed : ISTIO_PortUnavailable;
    if (vs->gateways.n == 0)
        return vs->n_missing ? ISTIO_GatewayNotFound : ISTIO_MeshOnly;
    if (!vs->visible)
        return ISTIO_NotVisible;
    if (!selected)
        return ISTIO_NotSelected;
    if (vs->bound.n == 0)
        return ISTIO_NotAttached;
    return b->unserved ? ISTIO_NotServed : ISTIO_NoRules;
}

static bool is_private(const struct str_list *export_to)
{
    return export_to->n > 0 && !str_eqc(export_to->v[0], "*");
}

static void read_vs(struct lower *l, const struct object *o)
{
    struct istio_vs *vs = arena_new(l->arena, struct istio_vs);
    vs->object = o;
    vs->spec = ((const struct istio_virtual_service *)o->spec)->spec;
    vs->visible = istio_exported_to(&vs->spec->export_to, o->ns, l->instance->ns);
    *ARENA_PUSH(l->arena, &istio_work(l)->vs) = vs;
    check_destinations(l, vs);
    if (vs->spec->hosts.n == 0) {
        vs->state = ISTIO_Delegate;
        return;
    }
    for (size_t i = 0; i < vs->spec->gateways.n; i++) {
        struct istio_gw *g = gateway(l, vs, i);
        if (g)
            *ARENA_PUSH(l->arena, &vs->gateways) = g;
    }
    if (vs->spec->gateways.n == 0)
        diag_at(l->diags, DIAG_NotServed, vs->spec->node, "name a Gateway in gateways",
                "without gateways the object is for the mesh, which is not served yet")->severity = DIAG_INFO;
}

void istio_vs_read(struct lower *l)
{
    for (size_t i = 0; i < l->store->n_by_kind[KIND_VIRTUAL_SERVICE]; i++)
        read_vs(l, l->store->by_kind[KIND_VIRTUAL_SERVICE][i]);
}

static void lower_vs(struct lower *l, struct istio_vs *vs)
{
    struct bind_vs b = {.l = l, .vs = vs, .own_ns = vs->object->ns, .private = is_private(&vs->spec->export_to)};
    map_init(&b.by_host, l->arena);
    for (size_t i = 0; i < vs->spec->hosts.n; i++)
        bind_host(&b, i);
    lower_rules(&b);
    vs->state = judge(&b);
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
    for (size_t i = 0; i < w->vs.n; i++)
        if (w->vs.v[i]->state != ISTIO_Delegate)
            lower_vs(l, w->vs.v[i]);
    istio_dr_lint(l);
    istio_entries_lint(l);
    for (size_t i = 0; i < w->gw.n; i++)
        for (size_t k = 0; k < w->gw.v[i]->n_servers; k++)
            if (w->gw.v[i]->servers[k].listener && istio_server_redirects(w->gw.v[i]->servers[k].server))
                redirect_hosts(l, &w->gw.v[i]->servers[k]);
}
