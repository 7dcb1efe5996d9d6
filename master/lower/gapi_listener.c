/* gapi_listener.c - listeners of Gateways to binds, listeners and chains; GATEWAY-API-RULES sections 3.1 and 3.2. */
#include "master/lower/gapi.h"
#include "shared/http/host.h"

/* ---- kinds of routes (3.2) ------------------------------------------------------------------- */

const struct gapi_kind_row GAPI_ROUTE_KINDS[GAPI_KINDS_OF_ROUTES] = {
    {"HTTPRoute", KIND_HTTP_ROUTE, GAPI_TAKES_HTTP}, {"GRPCRoute", KIND_GRPC_ROUTE, GAPI_TAKES_GRPC},
    {"TLSRoute", KIND_TLS_ROUTE, GAPI_TAKES_TLS},    {"TCPRoute", KIND_TCP_ROUTE, GAPI_TAKES_TCP},
    {"UDPRoute", KIND_UDP_ROUTE, GAPI_TAKES_UDP},
};

unsigned gapi_takes_of(enum kind_id id)
{
    for (size_t i = 0; i < GAPI_KINDS_OF_ROUTES; i++)
        if (GAPI_ROUTE_KINDS[i].id == id)
            return GAPI_ROUTE_KINDS[i].takes;
    return 0;
}

static const struct protocol_row {
    unsigned takes;
    enum listener_protocol model;
    const char *routes;
} PROTOCOLS[] = {
    [GAPI_PROTO_UNKNOWN] = {0, LISTENER_HTTP, "no routes"},
    [GAPI_PROTO_HTTP] = {GAPI_TAKES_HTTP | GAPI_TAKES_GRPC, LISTENER_HTTP, "HTTPRoute and GRPCRoute"},
    [GAPI_PROTO_HTTPS] = {GAPI_TAKES_HTTP | GAPI_TAKES_GRPC, LISTENER_HTTPS, "HTTPRoute and GRPCRoute"},
    [GAPI_PROTO_TLS] = {GAPI_TAKES_TLS, LISTENER_TLS, "TLSRoute"},
    [GAPI_PROTO_TCP] = {GAPI_TAKES_TCP, LISTENER_TCP, "TCPRoute"},
    [GAPI_PROTO_UDP] = {GAPI_TAKES_UDP, LISTENER_UDP, "UDPRoute"},
};

static unsigned kind_bit(const struct gapi_route_kind *k)
{
    for (size_t i = 0; i < GAPI_KINDS_OF_ROUTES && str_eqc(k->group, GAPI_GROUP); i++)
        if (str_eqc(k->kind, GAPI_ROUTE_KINDS[i].kind))
            return GAPI_ROUTE_KINDS[i].takes;
    return 0;
}

static void judge_kinds(struct lower *l, struct gapi_gw_listener *gl)
{
    const struct protocol_row *p = &PROTOCOLS[gl->protocol];
    const struct gapi_allowed_routes *allowed = gl->spec->allowed_routes;
    gl->takes = allowed && allowed->kinds.n ? 0 : p->takes;
    for (size_t i = 0; allowed && i < allowed->kinds.n; i++) {
        const struct gapi_route_kind *k = &allowed->kinds.v[i];
        unsigned bit = kind_bit(k) & p->takes;
        gl->takes |= bit;
        if (bit)
            continue;
        if (!gl->refs.reason)
            gl->refs = (struct gapi_fault){
                "InvalidRouteKinds", arena_strf(l->arena, "allowedRoutes.kinds: " STR_FMT " can't attach to this listener",
                                                STR_ARG(k->kind))};
        diag_at(l->diags, DIAG_NotServed, k->node,
                arena_strf(l->arena, "listeners of this protocol take %s", p->routes).p,
                "routes of kind " STR_FMT " can't attach to a listener of protocol " STR_FMT, STR_ARG(k->kind),
                STR_ARG(gl->spec->protocol));
    }
}

/* ---- conflicts within one Gateway (3.1) ------------------------------------------------------ */

/* What can't be on one socket with another class. */
enum socket_class { SOCKET_PLAIN, SOCKET_TLS, SOCKET_TCP, SOCKET_UDP, SOCKET_NONE };

static enum socket_class class_of(enum gapi_protocol p)
{
    switch (p) {
    case GAPI_PROTO_HTTP:
        return SOCKET_PLAIN;
    case GAPI_PROTO_HTTPS:
    case GAPI_PROTO_TLS:
        return SOCKET_TLS;
    case GAPI_PROTO_TCP:
        return SOCKET_TCP;
    case GAPI_PROTO_UDP:
        return SOCKET_UDP;
    case GAPI_PROTO_UNKNOWN:
        break;
    }
    return SOCKET_NONE;
}

/* Why two listeners of one port can't both be, or NULL; the table of 3.1. HTTPS and TLS, in both modes, are told apart
 * by server name. */
static const char *conflict(const struct gapi_gw_listener *a, const struct gapi_gw_listener *b)
{
    enum socket_class x = class_of(a->protocol), y = class_of(b->protocol);
    if (a->spec->port.v != b->spec->port.v || x == SOCKET_NONE || y == SOCKET_NONE)
        return NULL;
    if ((x == SOCKET_UDP) != (y == SOCKET_UDP))
        return NULL;
    if (x != y || x == SOCKET_TCP || x == SOCKET_UDP)
        return "ProtocolConflict";
    return str_eq(a->spec->hostname, b->spec->hostname) ? "HostnameConflict" : NULL;
}

/* Within one Gateway nobody wins. */
static void find_conflicts(struct lower *l, struct gapi_gw *gw)
{
    for (size_t i = 0; i < gw->spec->listeners.n; i++)
        for (size_t j = 0; j < gw->spec->listeners.n; j++) { /* at most 64 */
            struct gapi_gw_listener *a = &gw->listeners[i], *b = &gw->listeners[j];
            const char *reason = i == j || a->conflicted ? NULL : conflict(a, b);
            if (!reason)
                continue;
            a->conflicted = true;
            a->refused = (struct gapi_fault){
                reason, arena_strf(l->arena, "conflicts with listener " STR_FMT " on port %u",
                                   STR_ARG(b->spec->name), (unsigned)a->spec->port.v)};
            diag_at(l->diags, DIAG_Conflict, a->spec->node,
                    "give them different ports; neither is served like this",
                    "listener " STR_FMT " (%s) conflicts with listener " STR_FMT " (" STR_FMT
                    ") on port %u",
                    STR_ARG(a->spec->name), a->spec->protocol.p, STR_ARG(b->spec->name),
                    STR_ARG(b->spec->protocol), (unsigned)a->spec->port.v);
        }
}

static struct str hostname_of(const struct gapi_gw_listener *gl)
{
    return gl->spec->hostname.n ? gl->spec->hostname : STR("*");
}

struct gapi_gw_listener *gapi_listener_of(const struct lower *l, const struct model_listener *ml)
{
    struct gapi_gw_listener *gl = ml->index < l->gapi->leaders.n ? l->gapi->leaders.v[ml->index] : NULL;
    for (size_t i = 0; gl && i < gl->bound.n; i++) /* others number their listeners, too */
        if (gl->bound.v[i].own == ml)
            return gl;
    return NULL;
}

/* ---- all verdicts ---------------------------------------------------------------------------- */

void gapi_listeners_judge(struct lower *l, struct gapi_gw *gw)
{
    size_t n = gw->spec->listeners.n;
    gw->listeners = arena_new_n(l->arena, struct gapi_gw_listener, n);
    for (size_t i = 0; i < n; i++) {
        struct gapi_gw_listener *gl = &gw->listeners[i];
        gl->gw = gw;
        gl->spec = &gw->spec->listeners.v[i];
        gl->protocol = gapi_protocol_of(gl->spec->protocol);
        gl->passthrough = gl->protocol == GAPI_PROTO_TLS && gl->spec->tls && gl->spec->tls->mode == GAPI_TLS_PASSTHROUGH;
        map_init(&gl->namespaces, l->arena);
        if (class_of(gl->protocol) == SOCKET_TLS)
            gapi_tls_judge(l, gl);
        if (gl->protocol != GAPI_PROTO_UNKNOWN)
            judge_kinds(l, gl);
        else
            gl->refused = (struct gapi_fault){
                "UnsupportedProtocol",
                arena_strf(l->arena, "protocol " STR_FMT " is not known", STR_ARG(gl->spec->protocol))};
    }
    find_conflicts(l, gw);
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct str listener_key(struct lower *l, const struct gapi_gw_listener *gl,
                               const struct gapi_gw_address *a)
{
    const struct object *o = gl->gw->object;
    if (gl->gw->addresses.n == 1)
        return arena_strf(l->arena, "Gateway/" STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(o->ns),
                          STR_ARG(o->name), STR_ARG(gl->spec->name));
    return arena_strf(l->arena, "Gateway/" STR_FMT "/" STR_FMT "/" STR_FMT "@" STR_FMT,
                      STR_ARG(o->ns), STR_ARG(o->name), STR_ARG(gl->spec->name), STR_ARG(a->text));
}

static struct model_bind *bind_of(struct lower *l, const struct gapi_gw_listener *gl, const struct gapi_gw_address *a)
{
    uint16_t port = (uint16_t)gl->spec->port.v;
    return gl->protocol == GAPI_PROTO_UDP ? model_bind_udp(l->model, a->bind, port) : model_bind(l->model, a->bind, port);
}

static enum socket_class class_of_bind(const struct model_bind *b)
{
    static const enum socket_class CLASS[] = {
        [LISTENER_HTTP] = SOCKET_PLAIN, [LISTENER_HTTPS] = SOCKET_TLS, [LISTENER_TLS] = SOCKET_TLS,
        [LISTENER_TCP] = SOCKET_TCP,    [LISTENER_UDP] = SOCKET_UDP,
    };
    return b->listeners.n ? CLASS[b->listeners.v[0]->protocol] : SOCKET_NONE;
}

/* A listener of an older Gateway that shares the address and can't share the port; NULL when there is none. Plain HTTP
 * listeners of one host name are one group; HTTPS ones only if a connection is the same to both, for their routes are
 * ranked together. */
static const struct model_listener *in_the_way(struct lower *l, const struct gapi_gw_listener *gl,
                                               const struct gapi_gw_address *a, const char **reason)
{
    uint16_t port = (uint16_t)gl->spec->port.v;
    const struct model_bind *b = model_bind_find(l->model, a->bind, port, gl->protocol == GAPI_PROTO_UDP);
    enum socket_class c = class_of(gl->protocol), there = b ? class_of_bind(b) : SOCKET_NONE;
    *reason = "ProtocolConflict";
    if (there == SOCKET_NONE)
        return NULL;
    if (there != c || c == SOCKET_TCP || c == SOCKET_UDP)
        return b->listeners.v[0];
    *reason = "HostnameConflict";
    struct model_listener *owner = c == SOCKET_TLS ? lower_sni_of(l, b, hostname_of(gl)) : NULL;
    if (!owner || !str_eq(owner->hostname, hostname_of(gl)))
        return NULL;
    return gapi_tls_same(gapi_listener_of(l, owner), gl) ? NULL : owner;
}

static bool port_is_free(struct lower *l, struct gapi_gw_listener *gl)
{
    const char *reason;
    for (size_t i = 0; i < gl->gw->addresses.n; i++) {
        const struct model_listener *other = in_the_way(l, gl, &gl->gw->addresses.v[i], &reason);
        if (!other)
            continue;
        gl->conflicted = true;
        gl->refused = (struct gapi_fault){
            reason, arena_strf(l->arena, "conflicts with listener " STR_FMT " of Gateway " STR_FMT "/" STR_FMT " on port %u",
                               STR_ARG(other->origin.section), STR_ARG(other->origin.source->ns), STR_ARG(other->origin.source->name),
                               (unsigned)gl->spec->port.v)};
        diag_at(l->diags, DIAG_Conflict, gl->spec->node, "give the Gateways different addresses, ports or host names",
                STR_FMT ", which is older; it is not served like this", STR_ARG(gl->refused.message));
        return false;
    }
    return true;
}

/* Numbers whoever leads; hosts and chains that exist without any route (isolation, 5.1 and 5.2). */
static void lead(struct lower *l, struct gapi_gw_listener *gl, struct model_listener *ml)
{
    ml->index = l->gapi->n_groups++;
    *ARENA_PUSH(l->arena, &l->gapi->leaders) = gl;
    if (ml->protocol == LISTENER_HTTP || ml->protocol == LISTENER_HTTPS)
        model_host(l->model, ml->bind, ml->hostname, ml);
    if (ml->protocol == LISTENER_HTTPS || gl->closed.reason)
        gapi_tls_chain(l, gl, ml, ml->hostname);
}

static void make_listener(struct lower *l, struct gapi_gw_listener *gl, const struct gapi_gw_address *a)
{
    struct model_bind *b = bind_of(l, gl, a);
    struct model_listener *ml =
        model_listener_add(b, l->arena, listener_key(l, gl, a), gl->spec->hostname);
    ml->name = str_skip(ml->key, strlen("Gateway/"));
    ml->protocol = PROTOCOLS[gl->protocol].model;
    ml->origin = lower_origin(l, gl->gw->object, gl->spec->node, gl->spec->name);
    proxy_front_apply(l, &gl->gw->proxies, b);
    bool http = ml->protocol == LISTENER_HTTP || ml->protocol == LISTENER_HTTPS;
    struct model_listener *leader = http ? lower_group_join(l, ml) : ml;
    if (class_of(gl->protocol) == SOCKET_TLS)
        lower_sni_join(l, ml);
    *ARENA_PUSH(l->arena, &gl->bound) = (struct gapi_bound){ml, leader};
    if (leader == ml) {
        lead(l, gl, ml);
        return;
    }
    diag_at(l->diags, DIAG_Shared, gl->spec->node,
            "give the Gateways addresses or different hostnames if that is not wanted",
            "shares port %u and host name " STR_FMT " with listener " STR_FMT " of Gateway " STR_FMT "/" STR_FMT
            "; their routes are ranked together",
            b->port, STR_ARG(ml->hostname), STR_ARG(leader->origin.section), STR_ARG(leader->origin.source->ns),
            STR_ARG(leader->origin.source->name));
}

void gapi_listeners_make(struct lower *l, struct gapi_gw *gw)
{
    for (size_t i = 0; i < gw->spec->listeners.n && !gw->refused.reason; i++) {
        struct gapi_gw_listener *gl = &gw->listeners[i];
        if (gl->conflicted || (gl->refused.reason && !gl->closed.reason) || !port_is_free(l, gl))
            continue;
        for (size_t j = 0; j < gw->addresses.n; j++)
            make_listener(l, gl, &gw->addresses.v[j]);
    }
}
