/* gapi_status.c - status of GatewayClasses and Gateways; GATEWAY-API-RULES sections 2, 3 and 15. */
#include "master/lower/gapi.h"
#include <errno.h>

/* What this release does of the API, sorted (section 2). Words of the API's own list of features.
 */
static const char *const FEATURES[] = {
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
};

/* ---- GatewayClass ---------------------------------------------------------------------------- */

static void class_status(struct lower *l, const struct gapi_class *c)
{
    struct status_writer *w = &l->gapi->status;
    struct conds cs = {.n = 0};
    if (c->fault.reason)
        cond_set(&cs, "Accepted", COND_FALSE, c->fault.reason, c->fault.message);
    else
        cond_set(&cs, "Accepted", COND_TRUE, "Accepted",
                 STR("Gateways of this class are served here"));
    status_begin(w, c->object);
    buf_addc(&w->out, "\"conditions\":");
    status_conditions(w, &cs, STR_NONE, STR_NONE);
    buf_addc(&w->out, ",\"supportedFeatures\":[");
    for (size_t i = 0; i < ARRAY_LEN(FEATURES); i++)
        buf_addf(&w->out, "%s{\"name\":\"%s\"}", i ? "," : "", FEATURES[i]);
    buf_addch(&w->out, ']');
    status_end(w);
}

/* ---- listeners (3.2) ------------------------------------------------------------------------- */

/* The first address of the listener that could not be had; an address that this machine does not
 * have is the Gateway's problem, not the listener's (3.4). */
static const struct model_bind *port_refused(const struct gapi_gw_listener *gl)
{
    for (size_t i = 0; i < gl->bound.n; i++) {
        const struct model_bind *b = gl->bound.v[i].own->bind;
        if (b->bind_error && b->bind_error != EADDRNOTAVAIL)
            return b;
    }
    return NULL;
}

static void judge_ports(struct lower *l, struct gapi_gw *gw)
{
    for (size_t i = 0; i < gw->spec->listeners.n; i++) {
        struct gapi_gw_listener *gl = &gw->listeners[i];
        const struct model_bind *b = gl->refused.reason ? NULL : port_refused(gl);
        if (!b)
            continue;
        gl->refused = (struct gapi_fault){
            "PortUnavailable",
            arena_strf(l->arena, "port %u of address " STR_FMT " can't be bound: %s", b->port,
                       STR_ARG(b->address.n ? b->address : STR("*")), strerror(b->bind_error))};
        diag_at_key(l->diags, DIAG_PortUnavailable, gl->spec->node, "port",
                    b->bind_error == EADDRINUSE ? "another program listens there"
                    : b->bind_error == EACCES   ? "ports below 1024 need CAP_NET_BIND_SERVICE"
                                                : NULL,
                    STR_FMT, STR_ARG(gl->refused.message));
    }
}

static void overlap_condition(struct lower *l, const struct gapi_gw_listener *gl, struct conds *cs)
{
    const struct model_source *o = gl->overlaps.with->origin.source;
    bool own = str_eq(o->ns, gl->gw->object->ns) && str_eq(o->name, gl->gw->object->name) && str_eqc(o->kind, "Gateway") &&
               str_starts(o->api_version, STR(GAPI_GROUP "/"));
    const char *what = str_eqc(str_c(gl->overlaps.reason), "OverlappingHostnames") ? "host names meet" : "certificates share names with";
    struct str of = own ? STR_NONE : arena_strf(l->arena, " of Gateway " STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name));
    cond_set(cs, "OverlappingTLSConfig", COND_TRUE, gl->overlaps.reason,
             arena_strf(l->arena, "its %s those of listener " STR_FMT STR_FMT
                        "; a request on a connection that is for the other one gets 421",
                        what, STR_ARG(gl->overlaps.with->origin.section), STR_ARG(of)));
}

static void listener_conditions(struct lower *l, const struct gapi_gw *gw, const struct gapi_gw_listener *gl,
                                struct conds *cs)
{
    if (gl->refused.reason)
        cond_set(cs, "Accepted", COND_FALSE, gl->refused.reason, gl->refused.message);
    else
        cond_set(cs, "Accepted", COND_TRUE, "Accepted", STR("the listener is valid"));
    if (gl->conflicted)
        cond_set(cs, "Conflicted", COND_TRUE, gl->refused.reason, gl->refused.message);
    if (gl->refs.reason)
        cond_set(cs, "ResolvedRefs", COND_FALSE, gl->refs.reason, gl->refs.message);
    else if (gl->protocol != GAPI_PROTO_UNKNOWN)
        cond_set(cs, "ResolvedRefs", COND_TRUE, "ResolvedRefs",
                 gl->note.n ? arena_strf(l->arena, "all references are resolved" STR_FMT, STR_ARG(gl->note))
                            : STR("all references are resolved"));
    if (gl->refused.reason)
        cond_set(cs, "Programmed", COND_FALSE, gl->conflicted ? gl->refused.reason : "Invalid",
                 gl->refused.message);
    else if (gl->closed.reason)
        cond_set(cs, "Programmed", COND_FALSE, "Invalid", gl->closed.message);
    else if (gw->refused.reason)
        cond_set(cs, "Programmed", COND_FALSE, "Invalid", STR("the Gateway is not accepted"));
    else if (gw->no_address.reason)
        cond_set(cs, "Programmed", COND_FALSE, "Pending", gw->no_address.message);
    else
        cond_set(cs, "Programmed", COND_TRUE, "Programmed", STR("the listener is served"));
    if (gl->overlaps.with)
        overlap_condition(l, gl, cs);
}

static void add_listener(struct lower *l, const struct gapi_gw *gw,
                         const struct gapi_gw_listener *gl)
{
    struct status_writer *w = &l->gapi->status;
    struct conds cs = {.n = 0};
    size_t from;
    buf_addc(&w->out, "{\"name\":");
    from = w->out.n;
    buf_json(&w->out, gl->spec->name);
    struct str id = arena_str(&w->scratch, str_of(w->out.p + from, w->out.n - from));
    buf_addc(&w->out, ",\"supportedKinds\":[");
    for (size_t i = 0, n = 0; i < GAPI_KINDS_OF_ROUTES; i++)
        if (gl->takes & GAPI_ROUTE_KINDS[i].takes)
            buf_addf(&w->out, "%s{\"group\":\"" GAPI_GROUP "\",\"kind\":\"%s\"}", n++ ? "," : "",
                     GAPI_ROUTE_KINDS[i].kind);
    buf_addc(&w->out, "],\"attachedRoutes\":");
    buf_addu(&w->out, gl->attached);
    buf_addc(&w->out, ",\"conditions\":");
    listener_conditions(l, gw, gl, &cs);
    status_conditions(w, &cs, STR("listeners"), id);
    buf_addch(&w->out, '}');
}

/* ---- Gateway (3.4, 3.5) ---------------------------------------------------------------------- */

/* Can the address be used? It can't when one of its binds says so. */
static bool address_usable(const struct lower *l, const struct gapi_gw_address *a)
{
    return !map_get(&l->gapi->unusable, a->bind);
}

static void find_unusable(struct lower *l)
{
    map_init(&l->gapi->unusable, l->arena);
    for (size_t i = 0; i < l->model->binds.n; i++) {
        struct model_bind *b = l->model->binds.v[i];
        if (b->bind_error == EADDRNOTAVAIL)
            map_put(&l->gapi->unusable, b->address, b);
    }
}

static void judge_addresses(struct lower *l, struct gapi_gw *gw)
{
    for (size_t i = 0; i < gw->addresses.n && !gw->no_address.reason; i++) {
        if (address_usable(l, &gw->addresses.v[i]))
            continue;
        gw->no_address = (struct gapi_fault){
            "AddressNotUsable", arena_strf(l->arena, "this machine does not have address " STR_FMT,
                                           STR_ARG(gw->addresses.v[i].text))};
        diag_at_key(l->diags, DIAG_PortUnavailable, gw->spec->node, "addresses",
                    "see `ip address` for those it has", STR_FMT, STR_ARG(gw->no_address.message));
    }
}

/* Of its own reference, and a summary of those of its listeners. */
static void reference_conditions(const struct gapi_gw *gw, struct conds *cs)
{
    size_t unresolved = 0;
    for (size_t i = 0; i < gw->spec->listeners.n; i++)
        unresolved += gw->listeners[i].refs.reason != NULL;
    if (gw->backend_refs.reason)
        cond_set(cs, "ResolvedRefs", COND_FALSE, gw->backend_refs.reason, gw->backend_refs.message);
    else if (unresolved)
        cond_set(cs, "ResolvedRefs", COND_FALSE, "ListenersNotResolved",
                 STR("references of some listeners are not resolved"));
    else if (gw->backend_cert)
        cond_set(cs, "ResolvedRefs", COND_TRUE, "ResolvedRefs", STR("all references are resolved"));
}

static void gateway_conditions(const struct gapi_gw *gw, struct conds *cs)
{
    size_t good = 0;
    for (size_t i = 0; i < gw->spec->listeners.n; i++)
        good += !gw->listeners[i].refused.reason;
    if (gw->refused.reason)
        cond_set(cs, "Accepted", COND_FALSE, gw->refused.reason, gw->refused.message);
    else if (good == 0)
        cond_set(cs, "Accepted", COND_FALSE, "ListenersNotValid", STR("no listener is valid"));
    else if (good < gw->spec->listeners.n)
        cond_set(cs, "Accepted", COND_TRUE, "ListenersNotValid",
                 STR("some listeners are not valid"));
    else
        cond_set(cs, "Accepted", COND_TRUE, "Accepted", STR("the Gateway is valid"));
    if (!cond_is_true(cs, "Accepted"))
        cond_set(cs, "Programmed", COND_FALSE, "Invalid", STR("the Gateway is not accepted"));
    else if (gw->no_address.reason)
        cond_set(cs, "Programmed", COND_FALSE, gw->no_address.reason, gw->no_address.message);
    else
        cond_set(cs, "Programmed", COND_TRUE, "Programmed", STR("the Gateway is served"));
    reference_conditions(gw, cs);
    if (gw->insecure)
        cond_set(cs, "InsecureFrontendValidationMode", COND_TRUE, "ConfigurationChanged",
                 STR("listeners let clients in without a valid certificate (AllowInsecureFallback)"));
}

/* Only what can be used, each with a type. All addresses of the machine are two: 0.0.0.0 and ::. */
static void add_addresses(struct lower *l, const struct gapi_gw *gw)
{
    struct buf *out = &l->gapi->status.out;
    size_t n = 0;
    buf_addc(out, "\"addresses\":[");
    for (size_t i = 0; i < gw->addresses.n && !gw->refused.reason; i++) {
        const struct gapi_gw_address *a = &gw->addresses.v[i];
        if (!address_usable(l, a))
            continue;
        buf_addc(out, n++ ? ",{\"type\":\"IPAddress\",\"value\":"
                          : "{\"type\":\"IPAddress\",\"value\":");
        buf_json(out, a->text);
        buf_addch(out, '}');
        if (a->bind.n == 0 && !a->is_static)
            buf_addc(out, ",{\"type\":\"IPAddress\",\"value\":\"::\"}");
    }
    buf_addch(out, ']');
}

static void gateway_status(struct lower *l, struct gapi_gw *gw)
{
    struct status_writer *w = &l->gapi->status;
    struct conds cs = {.n = 0};
    judge_ports(l, gw);
    judge_addresses(l, gw);
    gateway_conditions(gw, &cs);
    status_begin(w, gw->object);
    add_addresses(l, gw);
    buf_addc(&w->out, ",\"conditions\":");
    status_conditions(w, &cs, STR_NONE, STR_NONE);
    buf_addc(&w->out, ",\"listeners\":[");
    for (size_t i = 0; i < gw->spec->listeners.n; i++) {
        if (i)
            buf_addch(&w->out, ',');
        add_listener(l, gw, &gw->listeners[i]);
    }
    buf_addch(&w->out, ']');
    status_end(w);
}

void lower_gapi_status(struct lower *l)
{
    find_unusable(l);
    gapi_overlaps_judge(l);
    for (size_t i = 0; i < l->gapi->classes.n; i++) {
        const struct gapi_class *c = l->gapi->classes.v[i].val;
        if (c->object)
            class_status(l, c);
    }
    for (size_t i = 0; i < l->gapi->list.n; i++)
        gateway_status(l, l->gapi->list.v[i]);
    gapi_policy_status(l);
    status_fini(&l->gapi->status);
    buf_fini(&l->gapi->text);
}
