/*
 * gapi_stream.c - TLSRoutes to chains, TCPRoutes and UDPRoutes to rules of binds; GATEWAY-API-RULES section 11.
 *
 * Routes come in the API's order. A server name of a bind, or a TCP or UDP bind, belongs to the first that asks for it;
 * the others are accepted and counted, and told that they get no traffic.
 */
#include "master/lower/gapi.h"

/* The rule of one route in its forms: bytes as they are, and decrypted for each certificate that backends may see. */
struct forms {
    struct lower *l;
    const struct object *object;
    const struct gapi_rule *rule;
    struct model_rule *plain;
    struct { const struct gapi_gw *gw; struct model_rule *rule; } decrypted[GAPI_PARENTS_MAX];
    size_t n;
};

static bool needs_certificate(struct forms *f, const struct gapi_gw *gw)
{
    for (size_t i = 0; i < f->rule->n_backends && gapi_tls_shows(gw); i++)
        if (gapi_backend_is_tls(f->l, f->object, &f->rule->backends[i]))
            return true;
    return false;
}

static bool any_tls(struct forms *f)
{
    for (size_t i = 0; i < f->rule->n_backends; i++)
        if (gapi_backend_is_tls(f->l, f->object, &f->rule->backends[i]))
            return true;
    return false;
}

static struct model_rule *plain_rule(struct forms *f)
{
    struct gapi_use use = {.route = f->object, .plain = true};
    if (!f->plain)
        f->plain = gapi_make_stream_rule(f->l, &use, f->rule);
    return f->plain;
}

static struct model_rule *decrypted_rule(struct forms *f, const struct gapi_gw *gw)
{
    struct gapi_use use = {.route = f->object, .gw = needs_certificate(f, gw) ? gw : NULL};
    if (!any_tls(f))
        return plain_rule(f);
    for (size_t i = 0; i < f->n; i++)
        if (f->decrypted[i].gw == use.gw)
            return f->decrypted[i].rule;
    struct model_rule *rule = gapi_make_stream_rule(f->l, &use, f->rule);
    if (f->n < ARRAY_LEN(f->decrypted)) {
        f->decrypted[f->n].gw = use.gw;
        f->decrypted[f->n++].rule = rule;
    }
    return rule;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static const struct node *hostname_node(const struct object *o, struct str hostname)
{
    const struct node *spec = gapi_route_of(o->spec)->node, *list = node_get(spec, "hostnames");
    for (size_t i = 0; list && i < list->n_kids; i++)
        if (str_eq(node_text(list->kids[i]), hostname))
            return list->kids[i];
    return spec;
}

static void tell_taken(struct lower *l, const struct object *o, const struct gapi_place *p, const struct model_rule *winner)
{
    if (str_eq(winner->origin.source->name, o->name) && str_eq(winner->origin.source->ns, o->ns) &&
        str_eqc(winner->origin.source->kind, o->kind->kind))
        return; /* by another of its hostnames */
    struct str what = p->host.n ? arena_strf(l->arena, "server name " STR_FMT " on port %u", STR_ARG(p->host), p->leader->bind->port)
                                : arena_strf(l->arena, "port %u", p->leader->bind->port);
    diag_at(l->diags, DIAG_Conflict, p->host.n ? hostname_node(o, p->route_hostname) : gapi_route_of(o->spec)->node,
            "remove one of them", STR_FMT " already goes where " STR_FMT " " STR_FMT "/" STR_FMT
            " says, which is older; this route gets none of it",
            STR_ARG(what), STR_ARG(winner->origin.source->kind), STR_ARG(winner->origin.source->ns), STR_ARG(winner->origin.source->name));
}

static void place_tls(struct forms *f, const struct gapi_place *p)
{
    struct model_bind *b = p->leader->bind;
    if (p->gl->closed.reason)
        return; /* all its names are refused */
    const struct model_chain *there = map_get(&b->chains_by_name, p->host);
    if (there) {
        if (there->rule)
            tell_taken(f->l, f->object, p, there->rule);
        return;
    }
    struct model_rule *rule = p->gl->passthrough ? plain_rule(f) : decrypted_rule(f, p->gl->gw);
    struct model_chain *c = gapi_tls_chain(f->l, p->gl, p->leader, p->host);
    if (c)
        c->rule = rule;
}

/* ---- TCP and UDP ----------------------------------------------------------------------------- */

static void place_port(struct forms *f, const struct gapi_place *p)
{
    struct model_bind *b = p->leader->bind;
    if (b->stream_rule)
        tell_taken(f->l, f->object, p, b->stream_rule);
    else
        b->stream_rule = plain_rule(f);
}

void gapi_stream_place(struct lower *l, const struct object *o, const struct gapi_rule *r)
{
    struct forms f = {.l = l, .object = o, .rule = r};
    for (size_t i = 0; i < l->gapi->places.n; i++) {
        const struct gapi_place *p = &l->gapi->places.v[i];
        if (o->kind->id == KIND_TLS_ROUTE)
            place_tls(&f, p);
        else
            place_port(&f, p);
    }
}

/* A listener's own name without a route is refused, so that it does not fall to a less specific listener. */
void gapi_stream_finish(struct lower *l)
{
    for (size_t i = 0; i < l->gapi->leaders.n; i++) {
        struct gapi_gw_listener *gl = l->gapi->leaders.v[i];
        for (size_t j = 0; gl->protocol == GAPI_PROTO_TLS && j < gl->bound.n; j++) {
            struct model_listener *ml = gl->bound.v[j].own;
            struct model_chain *c = model_chain_add(l->model, ml->bind, ml->hostname, ml, CHAIN_REFUSE);
            if (!c)
                continue;
            c->origin = ml->origin;
            c->why = arena_strf(l->arena, "no TLSRoute of listener " STR_FMT " is for this server name", STR_ARG(ml->name));
        }
    }
    gapi_tls_finish(l);
}
