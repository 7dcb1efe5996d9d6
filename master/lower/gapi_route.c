/*
 * gapi_route.c - HTTPRoutes: attachment, rules, hosts, status; GATEWAY-API-RULES section 4.
 *
 * One route after the other, in the API's order (older first, then namespace/name), which is the
 * order that precedence.c needs. Per route the work depends on its own size only.
 */
#include "master/lower/gapi.h"
#include <stdlib.h>

#define PARENTS_MAX 32 /* the table's limit */

/* The route at hand. */
struct route {
    struct object *object;
    const struct gapi_http_route_spec *spec;
    struct {
        const struct gapi_parent_ref *ref;
        struct gapi_gw *gw;
        struct gapi_fault fault; /* Accepted=False */
    } parents[PARENTS_MAX];
    size_t n_parents; /* those whose Gateway is ours */
    size_t n_accepted;
    struct gapi_findings found;
};

/* ---- attachment ------------------------------------------------------------------------------ */

static void find_parents(struct lower *l, struct route *r)
{
    for (size_t i = 0; i < r->spec->common.parents.n && r->n_parents < PARENTS_MAX; i++) {
        struct gapi_gw *gw = gapi_parent(l, r->object, &r->spec->common.parents.v[i]);
        if (!gw)
            continue;
        r->parents[r->n_parents].ref = &r->spec->common.parents.v[i];
        r->parents[r->n_parents++].gw = gw;
    }
    if (r->spec->common.parents.n == 0)
        diag_at(l->diags, DIAG_NotAttached, r->spec->common.node,
                "add parentRefs: [{name: the Gateway's}]", "the route names no Gateway");
}

static void attach(struct lower *l, struct route *r)
{
    size_t n_rules = r->spec->rules.n;
    bool servable = r->found.n_unsupported < GH_MAX(n_rules, (size_t)1);
    for (size_t i = 0; i < r->n_parents; i++) {
        struct gapi_fault *fault = &r->parents[i].fault;
        *fault = gapi_attach(l, r->object, r->spec, r->parents[i].gw, r->parents[i].ref, servable);
        if (!fault->reason && !servable)
            *fault = r->found.unsupported; /* step 5 */
        if (fault->reason)
            diag_at(l->diags, DIAG_NotAttached, r->parents[i].ref->node, NULL,
                    "not attached (%s): " STR_FMT, fault->reason, STR_ARG(fault->message));
        else
            r->n_accepted++;
    }
}

/* Section 5: hostnames that miss every listener are left out, which is seldom what was meant. */
static void tell_unfitting(struct lower *l, const struct route *r)
{
    const struct node *list = node_get(r->spec->common.node, "hostnames");
    for (size_t i = 0; list && i < list->n_kids && i < 64 && r->n_accepted; i++)
        if (!(l->gapi->fitting >> i & 1))
            diag_at(l->diags, DIAG_NotAttached, list->kids[i], NULL,
                    "fits no listener that the route is attached to");
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* Says which listener has a host of the route, unless the route is attached to that one, too. */
static void tell_isolated(struct lower *l, const struct route *r, const struct gapi_place *p,
                          const struct model_listener *owner)
{
    const struct node *list = node_get(r->spec->common.node, "hostnames"), *at = r->spec->common.node;
    if (l->gapi->placed[owner->index] == l->gapi->serial)
        return;
    for (size_t i = 0; list && i < list->n_kids; i++)
        if (str_eq(node_text(list->kids[i]), p->route_hostname))
            at = list->kids[i];
    diag_at(l->diags, DIAG_Conflict, at, "attach the route to that listener",
            "host " STR_FMT " on port %u belongs to the more specific listener " STR_FMT
            " of Gateway " STR_FMT "/" STR_FMT ", to which the route is not attached",
            STR_ARG(p->host), p->leader->bind->port, STR_ARG(owner->origin.section),
            STR_ARG(owner->origin.ns), STR_ARG(owner->origin.name));
}

/* Keeps the places whose listener is the most specific one for the host (5.1). */
static void isolate(struct lower *l, const struct route *r)
{
    struct gapi_places *ps = &l->gapi->places;
    size_t kept = 0;
    for (size_t i = 0; i < ps->n; i++) {
        struct model_listener *owner = lower_group_of(l, ps->v[i].leader->bind, ps->v[i].host);
        if (owner == ps->v[i].leader)
            ps->v[kept++] = ps->v[i];
        else
            tell_isolated(l, r, &ps->v[i], owner);
    }
    ps->n = kept;
}

static void add_match(struct lower *l, const struct route *r, struct model_rule *rule,
                      struct model_match *match, size_t i, size_t j)
{
    for (size_t k = 0; k < l->gapi->places.n; k++) {
        const struct gapi_place *p = &l->gapi->places.v[k];
        lower_candidate_add(l,
                            &(struct lower_candidate){
                                .host = model_host(l->model, p->leader->bind, p->host, p->leader),
                                .match = match,
                                .rule = rule,
                                .object = r->object,
                                .listener = p->leader,
                                .gapi = true,
                                .route_hostname = p->route_hostname,
                                .rule_index = (uint32_t)i,
                                .match_index = (uint32_t)j,
                            });
    }
}

static void make_rules(struct lower *l, const struct route *r)
{
    size_t n = GH_MAX(r->spec->rules.n, (size_t)1); /* rules absent: one that matches everything */
    for (size_t i = 0; i < n; i++) {
        const struct gapi_http_rule *from = i < r->spec->rules.n ? &r->spec->rules.v[i] : NULL;
        struct model_rule *rule = gapi_make_rule(l, r->object, from, i);
        size_t n_matches = from && from->matches.n ? from->matches.n : 1;
        for (size_t j = 0; j < n_matches; j++)
            add_match(l, r, rule, gapi_make_match(l, r->object, from, i, j), i, j);
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

static void write_status(struct lower *l, const struct route *r)
{
    struct status_writer *w = &l->gapi->status;
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
}

/* ---- all routes ------------------------------------------------------------------------------ */

static void lower_route(struct lower *l, struct object *o)
{
    struct route r = {.object = o, .spec = ((const struct gapi_http_route *)o->spec)->spec};
    l->gapi->serial++;
    l->gapi->places.n = 0;
    l->gapi->fitting = 0;
    find_parents(l, &r);
    if (r.n_parents) {
        gapi_judge_rules(l, o, r.spec, &r.found);
        attach(l, &r);
        tell_unfitting(l, &r);
    }
    isolate(l, &r);
    if (l->gapi->places.n)
        make_rules(l, &r);
    write_status(l, &r);
}

static int by_gapi_order(const void *a, const void *b)
{
    return object_cmp_gapi(*(const struct object *const *)a, *(const struct object *const *)b);
}

void lower_gapi_routes(struct lower *l)
{
    size_t n = l->store->n_by_kind[KIND_HTTP_ROUTE];
    struct object **sorted = arena_new_n(l->arena, struct object *, n);
    bool in_order = true;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = l->store->by_kind[KIND_HTTP_ROUTE][i];
        in_order = in_order && (i == 0 || by_gapi_order(&sorted[i - 1], &sorted[i]) <= 0);
    }
    if (!in_order)
        qsort(sorted, n, sizeof(struct object *), by_gapi_order);
    lower_candidates_reserve(l, n);
    for (size_t i = 0; i < n; i++)
        lower_route(l, sorted[i]);
}
