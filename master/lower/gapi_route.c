/*
 * gapi_route.c - all kinds of routes: attachment, rules, hosts, status; GATEWAY-API-RULES section 4.
 *
 * One route after the other, in the API's order (older first, then namespace/name), which is the
 * order that precedence.c needs; HTTPRoutes and GRPCRoutes as one kind, since a host belongs to the
 * first of them. Per route the work depends on its own size only.
 */
#include "master/lower/gapi.h"
#include <stdlib.h>

/* The route at hand. */
struct route {
    struct object *object;
    const struct gapi_route_common *spec;
    struct gapi_rule rules[GAPI_RULES_MAX];
    size_t n_rules;
    struct {
        const struct gapi_parent_ref *ref;
        struct gapi_gw *gw;
        struct gapi_fault fault; /* Accepted=False */
    } parents[GAPI_PARENTS_MAX];
    size_t n_parents; /* those whose Gateway is ours */
    size_t n_accepted;
    struct gapi_findings found;
};

/* ---- attachment ------------------------------------------------------------------------------ */

static void find_parents(struct lower *l, struct route *r)
{
    for (size_t i = 0; i < r->spec->parents.n && r->n_parents < GAPI_PARENTS_MAX; i++) {
        struct gapi_gw *gw = gapi_parent(l, r->object, &r->spec->parents.v[i]);
        if (!gw)
            continue;
        r->parents[r->n_parents].ref = &r->spec->parents.v[i];
        r->parents[r->n_parents++].gw = gw;
    }
    if (r->spec->parents.n == 0)
        diag_at(l->diags, DIAG_NotAttached, r->spec->node,
                "add parentRefs: [{name: the Gateway's}]", "the route names no Gateway");
}

/* The Gateway becomes an ancestor of the policies of every Service that the route uses. */
static void tell_policies(struct lower *l, const struct route *r, const struct gapi_gw *gw)
{
    for (size_t i = 0; i < r->n_rules; i++)
        for (size_t j = 0; j < r->rules[i].n_backends; j++) {
            const struct gapi_backend_ref *b = &r->rules[i].backends[j];
            if (b->group.n == 0 && str_eqc(b->kind, "Service"))
                gapi_policy_used(l, b->ns.n ? b->ns : r->object->ns, b->name, gw);
        }
}

/* Policies are for what is decrypted here. */
static bool heeds_policies(const struct lower *l, const struct route *r, const struct gapi_gw *gw)
{
    if (!l->gapi->policies || r->object->kind->id == KIND_TCP_ROUTE || r->object->kind->id == KIND_UDP_ROUTE)
        return false;
    for (size_t i = 0; i < l->gapi->places.n; i++)
        if (l->gapi->places.v[i].gl->gw == gw && !l->gapi->places.v[i].gl->passthrough)
            return true;
    return r->object->kind->id != KIND_TLS_ROUTE; /* accepted by a listener that another Gateway's leads */
}

static void attach(struct lower *l, struct route *r)
{
    bool servable = r->found.n_unsupported < r->n_rules;
    for (size_t i = 0; i < r->n_parents; i++) {
        struct gapi_fault *fault = &r->parents[i].fault;
        *fault = gapi_attach(l, r->object, r->parents[i].gw, r->parents[i].ref, servable);
        if (!fault->reason && !servable)
            *fault = r->found.unsupported; /* step 5 */
        if (fault->reason)
            diag_at(l->diags, DIAG_NotAttached, r->parents[i].ref->node, NULL,
                    "not attached (%s): " STR_FMT, fault->reason, STR_ARG(fault->message));
        else
            r->n_accepted++;
        if (!fault->reason && heeds_policies(l, r, r->parents[i].gw))
            tell_policies(l, r, r->parents[i].gw);
    }
}

/* Section 5: hostnames that miss every listener are left out, which is seldom what was meant. */
static void tell_unfitting(struct lower *l, const struct route *r)
{
    size_t fitting = 0, n = GH_MIN(r->spec->hostnames.n, (size_t)GAPI_HOSTNAMES_MAX);
    while (fitting < n && l->gapi->fits[fitting])
        fitting++;
    if (fitting == n || !r->n_accepted)
        return; /* as nearly always */
    const struct node *list = node_get(r->spec->node, "hostnames");
    for (size_t i = 0; list && i < list->n_kids && i < GAPI_HOSTNAMES_MAX; i++)
        if (!l->gapi->fits[i])
            diag_at(l->diags, DIAG_NotAttached, list->kids[i], NULL,
                    "fits no listener that the route is attached to");
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* Says which listener has a host of the route, unless the route is attached to that one, too. */
static void tell_isolated(struct lower *l, const struct route *r, const struct gapi_place *p,
                          const struct model_listener *owner)
{
    const struct node *list = node_get(r->spec->node, "hostnames"), *at = r->spec->node;
    if (l->gapi->placed[owner->index] == l->gapi->serial)
        return;
    for (size_t i = 0; list && i < list->n_kids; i++)
        if (str_eq(node_text(list->kids[i]), p->route_hostname))
            at = list->kids[i];
    diag_at(l->diags, DIAG_Conflict, at, "attach the route to that listener",
            "host " STR_FMT " on port %u belongs to the more specific listener " STR_FMT
            " of Gateway " STR_FMT "/" STR_FMT ", to which the route is not attached",
            STR_ARG(p->host), p->leader->bind->port, STR_ARG(owner->origin.section),
            STR_ARG(owner->origin.source->ns), STR_ARG(owner->origin.source->name));
}

static struct model_listener *owner_of(const struct lower *l, const struct route *r, const struct gapi_place *p)
{
    switch (r->object->kind->id) {
    case KIND_TLS_ROUTE:
        return lower_sni_of(l, p->leader->bind, p->host);
    case KIND_TCP_ROUTE:
    case KIND_UDP_ROUTE:
        return p->leader;
    default:
        return lower_group_of(l, p->leader->bind, p->host);
    }
}

/* Keeps the places whose listener is the most specific one for the host (5.1). */
static void isolate(struct lower *l, const struct route *r)
{
    struct gapi_places *ps = &l->gapi->places;
    size_t kept = 0;
    for (size_t i = 0; i < ps->n; i++) {
        struct model_listener *owner = owner_of(l, r, &ps->v[i]);
        if (owner == ps->v[i].leader)
            ps->v[kept++] = ps->v[i];
        else
            tell_isolated(l, r, &ps->v[i], owner);
    }
    ps->n = kept;
}

/* ---- rules of HTTP and gRPC ------------------------------------------------------------------ */

/* A rule with TLS to a backend is another one for each Gateway that shows a certificate there. */
static const struct gapi_gw *certificate_of(const struct gapi_place *p)
{
    return gapi_tls_shows(p->gl->gw) ? p->gl->gw : NULL;
}

static bool has_tls(struct lower *l, const struct route *r, const struct gapi_rule *rule)
{
    for (size_t i = 0; i < rule->n_backends; i++)
        if (gapi_backend_is_tls(l, r->object, &rule->backends[i]))
            return true;
    return false;
}

/* The rule of place number `k`: that of an earlier place with the same certificate, or a new one. */
static struct model_rule *rule_at(struct lower *l, const struct route *r, size_t i, size_t k, bool tls,
                                  struct model_rule **made)
{
    const struct gapi_gw *gw = tls ? certificate_of(&l->gapi->places.v[k]) : NULL;
    for (size_t j = 0; j < k; j++)
        if (!tls || certificate_of(&l->gapi->places.v[j]) == gw)
            return made[j];
    struct gapi_use use = {.route = r->object, .gw = gw};
    return gapi_make_rule(l, &use, &r->rules[i], i);
}

static void add_match(struct lower *l, const struct route *r, struct model_rule *const *made, size_t i, size_t j)
{
    struct lower_candidate c = {
        .match = gapi_make_match(l, r->object, &r->rules[i], i, j),
        .object = r->object,
        .gapi = true,
        .grpc = r->object->kind->id == KIND_GRPC_ROUTE,
        .rule_index = (uint32_t)i,
        .match_index = (uint32_t)j,
    };
    if (c.grpc)
        gapi_grpc_lengths(&r->rules[i], j, &c.service_len, &c.method_len);
    for (size_t k = 0; k < l->gapi->places.n; k++) {
        const struct gapi_place *p = &l->gapi->places.v[k];
        c.host = model_host(l->model, p->leader->bind, p->host, p->leader);
        c.rule = made[k];
        c.listener = p->leader;
        c.route_hostname = p->route_hostname;
        lower_candidate_add(l, &c);
    }
}

static void make_rules(struct lower *l, const struct route *r)
{
    struct model_rule **made = l->gapi->places.n > ARRAY_LEN(l->gapi->rules_made)
                                   ? arena_new_n(l->arena, struct model_rule *, l->gapi->places.n)
                                   : l->gapi->rules_made;
    for (size_t i = 0; i < r->n_rules; i++) {
        bool tls = has_tls(l, r, &r->rules[i]);
        for (size_t k = 0; k < l->gapi->places.n; k++)
            made[k] = rule_at(l, r, i, k, tls, made);
        for (size_t j = 0; j < GH_MAX(r->rules[i].n_matches, (size_t)1); j++)
            add_match(l, r, made, i, j);
    }
}

/* ---- status ---------------------------------------------------------------------------------- */

static void add_member(struct buf *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_addch(out, ',');
    buf_json(out, str_c(name));
    buf_addch(out, ':');
    buf_json(out, value);
}

/* Group and kind explicit, the rest as declared: parents are compared by value. Returns the text.
 */
static struct str add_parent_ref(struct buf *out, const struct gapi_parent_ref *ref)
{
    size_t from = out->n;
    buf_addc(out, "{\"group\":");
    buf_json(out, ref->group);
    add_member(out, "kind", ref->kind);
    add_member(out, "namespace", ref->ns);
    add_member(out, "name", ref->name);
    add_member(out, "sectionName", ref->section);
    if (ref->port.set) {
        buf_addc(out, ",\"port\":");
        buf_addu(out, (uint64_t)ref->port.v);
    }
    buf_addch(out, '}');
    return str_of(out->p + from, out->n - from);
}

static void parent_conditions(struct lower *l, const struct route *r,
                              const struct gapi_fault *fault, struct conds *cs)
{
    if (fault->reason)
        cond_set(cs, "Accepted", COND_FALSE, fault->reason, fault->message);
    else
        cond_set(cs, "Accepted", COND_TRUE, "Accepted", STR("the route is attached"));
    if (r->found.refs.reason)
        cond_set(cs, "ResolvedRefs", COND_FALSE, r->found.refs.reason, r->found.refs.message);
    else
        cond_set(cs, "ResolvedRefs", COND_TRUE, "ResolvedRefs", STR("all references are resolved"));
    if (!fault->reason && r->found.n_unsupported)
        cond_set(
            cs, "PartiallyInvalid", COND_TRUE, r->found.unsupported.reason,
            arena_strf(l->arena, "Dropped Rule: " STR_FMT, STR_ARG(r->found.unsupported.message)));
}

static bool same_ref(const struct gapi_parent_ref *a, const struct gapi_parent_ref *b)
{
    return str_eq(a->name, b->name) && str_eq(a->section, b->section) && str_eq(a->ns, b->ns) && str_eq(a->kind, b->kind) &&
           str_eq(a->group, b->group) && a->port.set == b->port.set && a->port.v == b->port.v;
}

/* Nothing but the parent makes a difference then. */
static bool is_plain(const struct route *r)
{
    return r->n_parents == 1 && !r->parents[0].fault.reason && !r->found.refs.reason && !r->found.n_unsupported;
}

static bool told_before(const struct lower *l, const struct route *r)
{
    const struct gapi_work *g = l->gapi;
    return g->told && g->told_serial == g->status.serial && g->told_gw == r->parents[0].gw &&
           same_ref(g->told, r->parents[0].ref);
}

static void write_status(struct lower *l, const struct route *r)
{
    struct status_writer *w = &l->gapi->status;
    bool plain = is_plain(r);
    if (plain && told_before(l, r) && status_again(w, r->object))
        return;
    status_begin(w, r->object);
    buf_addc(&w->out, "\"parents\":[");
    for (size_t i = 0; i < r->n_parents; i++) {
        struct conds cs = {.n = 0};
        buf_addc(&w->out, i ? ",{\"parentRef\":" : "{\"parentRef\":");
        struct str id = add_parent_ref(&w->out, r->parents[i].ref);
        id = arena_str(&w->scratch, id);
        add_member(&w->out, "controllerName", r->parents[i].gw->class->controller);
        buf_addc(&w->out, ",\"conditions\":");
        parent_conditions(l, r, &r->parents[i].fault, &cs);
        status_conditions(w, &cs, STR("parents"), id);
        buf_addch(&w->out, '}');
    }
    buf_addch(&w->out, ']');
    status_end(w);
    l->gapi->told = plain ? r->parents[0].ref : NULL;
    l->gapi->told_gw = plain ? r->parents[0].gw : NULL;
    l->gapi->told_serial = w->serial;
}

/* ---- all routes ------------------------------------------------------------------------------ */

static void lower_route(struct lower *l, struct object *o)
{
    struct route r;
    r.object = o;
    r.spec = gapi_route_of(o->spec);
    r.n_parents = r.n_accepted = 0;
    r.found = (struct gapi_findings){0};
    r.n_rules = gapi_rules(o, r.rules);
    l->gapi->serial++;
    l->gapi->places.n = 0;
    memset(l->gapi->fits, 0, GH_MIN(r.spec->hostnames.n, sizeof(l->gapi->fits)));
    find_parents(l, &r);
    if (r.n_parents) {
        gapi_judge_rules(l, o, r.rules, r.n_rules, &r.found);
        attach(l, &r);
        tell_unfitting(l, &r);
    }
    isolate(l, &r);
    if (l->gapi->places.n && (o->kind->id == KIND_HTTP_ROUTE || o->kind->id == KIND_GRPC_ROUTE))
        make_rules(l, &r);
    else if (l->gapi->places.n)
        gapi_stream_place(l, o, &r.rules[0]);
    write_status(l, &r);
}

static int by_gapi_order(const void *a, const void *b)
{
    return object_cmp_gapi(*(const struct object *const *)a, *(const struct object *const *)b);
}

/* Objects of one or two kinds in the API's order; they are in another one, which is mostly the same. */
static size_t in_gapi_order(struct lower *l, enum kind_id a, enum kind_id b, struct object ***out)
{
    const struct store *st = l->store;
    size_t n = st->n_by_kind[a], more = a == b ? 0 : st->n_by_kind[b];
    struct object **v = arena_new_n(l->arena, struct object *, n + more);
    bool sorted = true;
    for (size_t i = 0; i < n + more; i++) {
        v[i] = i < n ? st->by_kind[a][i] : st->by_kind[b][i - n];
        sorted = sorted && (i == 0 || by_gapi_order(&v[i - 1], &v[i]) <= 0);
    }
    if (!sorted)
        qsort(v, n + more, sizeof(*v), by_gapi_order);
    *out = v;
    return n + more;
}

/* At least one candidate comes of each rule. */
static size_t count_rules(struct object *const *v, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t rules = gapi_rule_count(v[i]);
        sum += GH_MAX(rules, (size_t)1);
    }
    return sum;
}

void lower_gapi_routes(struct lower *l)
{
    static const enum kind_id TOGETHER[][2] = {
        {KIND_HTTP_ROUTE, KIND_GRPC_ROUTE}, {KIND_TLS_ROUTE, KIND_TLS_ROUTE},
        {KIND_TCP_ROUTE, KIND_TCP_ROUTE},   {KIND_UDP_ROUTE, KIND_UDP_ROUTE},
    };
    gapi_claims_init(l);
    gapi_policies(l);
    for (size_t k = 0; k < ARRAY_LEN(TOGETHER); k++) {
        struct object **v;
        size_t n = in_gapi_order(l, TOGETHER[k][0], TOGETHER[k][1], &v);
        if (k == 0)
            lower_candidates_reserve(l, count_rules(v, n));
        for (size_t i = 0; i < n; i++)
            lower_route(l, v[i]);
    }
    gapi_stream_finish(l);
}
