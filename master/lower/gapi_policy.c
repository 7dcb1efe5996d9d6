/*
 * gapi_policy.c - BackendTLSPolicies: TLS towards Services; GATEWAY-API-RULES section 14.
 *
 * Policies are judged once, in the API's order, so that of two for one target the older is there first. Which Gateways
 * are their ancestors is known when routes are lowered, and their status is written after that.
 */
#include "master/kinds/core_service.h"
#include "master/lower/gapi.h"
#include <stdlib.h>

#define ANCESTORS_MAX 16 /* the API's limit */

/* One targetRef. */
struct target {
    struct gapi_policy *policy;
    struct str section;      /* port name; empty = all ports */
    struct gapi_fault fault; /* Conflicted, TargetNotFound: it does not act */
    struct target *next;     /* of the same Service, in the order of policies */
};

struct gapi_policy {
    struct object *object;
    const struct gapi_backend_tls_policy_spec *spec;
    struct gapi_fault accepted, refs; /* Accepted=False, ResolvedRefs=False, whatever the target */
    struct str ca;
    bool system_ca;
    struct target *targets; /* as spec->targets */
    struct { struct { const struct gapi_gw *gw; struct model_tls_client *client; } *v; size_t n, cap; } clients;
    struct { struct { const struct gapi_gw *gw; struct gapi_fault fault; bool acts; } *v; size_t n, cap; } ancestors;
};

struct gapi_policies {
    struct map by_service; /* "ns/name" -> struct target, the first */
    struct { struct gapi_policy **v; size_t n, cap; } list;
};

/* ---- judging --------------------------------------------------------------------------------- */

/* No CA that can be used, or a word that nobody knows: connections fail, they are never made without a check. */
static void judge_ca(struct lower *l, struct gapi_policy *p)
{
    static const struct gapi_ca_reasons REASONS = {"InvalidKind", "InvalidCACertificateRef",
                                                   "backends can't be checked against it"};
    const struct gapi_backend_validation *v = p->spec->validation;
    if (v->ca_refs.n) {
        p->ca = gapi_tls_ca(l, p->object, v->ca_refs.v, v->ca_refs.n, &REASONS, &p->refs);
        if (!p->ca.n)
            p->accepted = (struct gapi_fault){
                "NoValidCACertificate", arena_strf(l->arena, "no CA can be used: " STR_FMT, STR_ARG(p->refs.message))};
        return;
    }
    p->system_ca = str_eqc(v->well_known, "System");
    if (p->system_ca)
        return;
    p->accepted = (struct gapi_fault){
        "Invalid", arena_strf(l->arena, "wellKnownCACertificates %s is not known", diag_quote(l->arena, v->well_known))};
    diag_at_key(l->diags, DIAG_NotServed, v->node, "wellKnownCACertificates",
                "write System, or name a ConfigMap in caCertificateRefs", STR_FMT "; connections to the backend fail",
                STR_ARG(p->accepted.message));
}

static bool has_port(const struct object *service, struct str name)
{
    const struct core_service_spec *s = ((const struct core_service *)service->spec)->spec;
    for (size_t i = 0; i < s->ports.n; i++)
        if (str_eq(s->ports.v[i].name, name))
            return true;
    return false;
}

static struct gapi_fault not_found(struct lower *l, const struct gapi_policy_target *t, struct str text)
{
    diag_at(l->diags, DIAG_MissingReference, t->node, NULL, STR_FMT "; the policy has no effect there", STR_ARG(text));
    return (struct gapi_fault){"TargetNotFound", text};
}

static struct gapi_fault judge_target(struct lower *l, const struct gapi_policy *p, const struct gapi_policy_target *t)
{
    struct str ns = p->object->ns;
    if (t->group.n || !str_eqc(t->kind, "Service"))
        return not_found(l, t, arena_strf(l->arena, "kind " STR_FMT " of group \"" STR_FMT "\" is no backend",
                                          STR_ARG(t->kind), STR_ARG(t->group)));
    const struct object *service = store_get(l->store, KIND_SERVICE, ns, t->name);
    if (!service)
        return not_found(l, t, arena_strf(l->arena, "Service " STR_FMT "/" STR_FMT " does not exist", STR_ARG(ns),
                                          STR_ARG(t->name)));
    if (t->section.n && !has_port(service, t->section))
        return not_found(l, t, arena_strf(l->arena, "Service " STR_FMT "/" STR_FMT " has no port named " STR_FMT, STR_ARG(ns),
                                          STR_ARG(t->name), STR_ARG(t->section)));
    return (struct gapi_fault){0};
}

/* The older policy for the very same target has it. */
static struct gapi_fault judge_rivals(struct lower *l, const struct target *first, const struct gapi_policy_target *t)
{
    const struct object *winner = NULL;
    for (const struct target *o = first; o && !winner; o = o->next)
        if (!o->fault.reason && str_eq(o->section, t->section))
            winner = o->policy->object;
    if (!winner)
        return (struct gapi_fault){0};
    struct str text = arena_strf(l->arena, "BackendTLSPolicy " STR_FMT "/" STR_FMT ", which is older, is for the same target",
                                 STR_ARG(winner->ns), STR_ARG(winner->name));
    diag_at(l->diags, DIAG_Conflict, t->node, "remove one of them, or write a sectionName", STR_FMT "; this one has no effect",
            STR_ARG(text));
    return (struct gapi_fault){"Conflicted", text};
}

static void add_target(struct lower *l, struct gapi_policy *p, size_t i)
{
    char buf[640];
    const struct gapi_policy_target *t = &p->spec->targets.v[i];
    struct target *new = &p->targets[i];
    *new = (struct target){.policy = p, .section = t->section, .fault = judge_target(l, p, t)};
    struct str key = gapi_key(p->object->ns, t->name, buf, sizeof(buf));
    struct target *first = map_get(&l->gapi->policies->by_service, key), *last = first;
    if (!new->fault.reason)
        new->fault = judge_rivals(l, first, t);
    while (last && last->next)
        last = last->next;
    if (last)
        last->next = new;
    else
        map_put(&l->gapi->policies->by_service, arena_str(l->arena, key), new);
}

static int by_gapi_order(const void *a, const void *b)
{
    return object_cmp_gapi(*(const struct object *const *)a, *(const struct object *const *)b);
}

void gapi_policies(struct lower *l)
{
    size_t n = l->store->n_by_kind[KIND_BACKEND_TLS_POLICY];
    if (n == 0)
        return;
    struct object **sorted = arena_new_n(l->arena, struct object *, n);
    memcpy(sorted, l->store->by_kind[KIND_BACKEND_TLS_POLICY], n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_gapi_order);
    l->gapi->policies = arena_new(l->arena, struct gapi_policies);
    map_init(&l->gapi->policies->by_service, l->arena);
    for (size_t i = 0; i < n; i++) {
        struct gapi_policy *p = arena_new(l->arena, struct gapi_policy);
        p->object = sorted[i];
        p->spec = ((const struct gapi_backend_tls_policy *)sorted[i]->spec)->spec;
        p->targets = arena_new_n(l->arena, struct target, p->spec->targets.n);
        judge_ca(l, p);
        for (size_t j = 0; j < p->spec->targets.n; j++)
            add_target(l, p, j);
        *ARENA_PUSH(l->arena, &l->gapi->policies->list) = p;
    }
}

/* ---- use ------------------------------------------------------------------------------------- */

static struct target *targets_of(struct lower *l, struct str ns, struct str service)
{
    char buf[640];
    return l->gapi->policies ? map_get(&l->gapi->policies->by_service, gapi_key(ns, service, buf, sizeof(buf))) : NULL;
}

struct gapi_policy *gapi_policy_of(struct lower *l, struct str ns, struct str service, struct str port_name)
{
    struct gapi_policy *whole = NULL;
    for (const struct target *t = targets_of(l, ns, service); t; t = t->next) {
        if (t->fault.reason)
            continue;
        if (t->section.n && str_eq(t->section, port_name))
            return t->policy;
        if (!t->section.n)
            whole = t->policy;
    }
    return whole;
}

static struct model_tls_client *make_client(struct lower *l, const struct gapi_policy *p, const struct gapi_gw *gw)
{
    const struct gapi_backend_validation *v = p->spec->validation;
    struct model_tls_client *c = model_tls_client_add(l->model);
    c->sni = v->hostname;
    c->identity = v->sans.n ? STR_NONE : v->hostname;
    for (size_t i = 0; i < v->sans.n; i++)
        *ARENA_PUSH(l->arena, &c->sans) = v->sans.v[i].type == GAPI_SAN_URI ? v->sans.v[i].uri : v->sans.v[i].hostname;
    c->ca = p->ca;
    c->system_ca = p->system_ca;
    c->broken = p->accepted.reason != NULL;
    gapi_tls_show(gw, c);
    c->origin = lower_origin(l, p->object, NULL, STR_NONE);
    return c;
}

struct model_tls_client *gapi_policy_client(struct lower *l, struct gapi_policy *p, const struct gapi_gw *gw)
{
    for (size_t i = 0; i < p->clients.n; i++)
        if (p->clients.v[i].gw == gw)
            return p->clients.v[i].client;
    struct model_tls_client *c = make_client(l, p, gw);
    ARENA_PUSH(l->arena, &p->clients);
    p->clients.v[p->clients.n - 1].gw = gw;
    p->clients.v[p->clients.n - 1].client = c;
    return c;
}

/* Of several targets that a Gateway uses one that acts is enough; the first fault is kept beside it. */
static void add_ancestor(struct lower *l, const struct target *t, const struct gapi_gw *gw)
{
    struct gapi_policy *p = t->policy;
    size_t i = 0;
    while (i < p->ancestors.n && p->ancestors.v[i].gw != gw)
        i++;
    if (i == ANCESTORS_MAX)
        return;
    if (i == p->ancestors.n) {
        ARENA_PUSH(l->arena, &p->ancestors);
        p->ancestors.v[i].gw = gw;
    }
    p->ancestors.v[i].acts |= !t->fault.reason;
    if (!p->ancestors.v[i].fault.reason)
        p->ancestors.v[i].fault = t->fault;
}

void gapi_policy_used(struct lower *l, struct str ns, struct str service, const struct gapi_gw *gw)
{
    for (const struct target *t = targets_of(l, ns, service); t; t = t->next)
        add_ancestor(l, t, gw);
}

/* ---- status ---------------------------------------------------------------------------------- */

static void conditions(const struct gapi_policy *p, const struct gapi_fault *fault, bool acts, struct conds *cs)
{
    if (!acts)
        cond_set(cs, "Accepted", COND_FALSE, fault->reason, fault->message);
    else if (p->accepted.reason)
        cond_set(cs, "Accepted", COND_FALSE, p->accepted.reason, p->accepted.message);
    else
        cond_set(cs, "Accepted", COND_TRUE, "Accepted",
                 fault->reason ? fault->message : STR("backends are spoken to as the policy says"));
    if (p->refs.reason)
        cond_set(cs, "ResolvedRefs", COND_FALSE, p->refs.reason, p->refs.message);
    else
        cond_set(cs, "ResolvedRefs", COND_TRUE, "ResolvedRefs", STR("all references are resolved"));
}

static void write_status(struct lower *l, const struct gapi_policy *p)
{
    struct status_writer *w = &l->gapi->status;
    status_begin(w, p->object);
    buf_addc(&w->out, "\"ancestors\":[");
    for (size_t i = 0; i < p->ancestors.n; i++) {
        const struct gapi_gw *gw = p->ancestors.v[i].gw;
        struct conds cs = {.n = 0};
        buf_addc(&w->out, i ? ",{\"ancestorRef\":" : "{\"ancestorRef\":");
        size_t from = w->out.n;
        buf_addc(&w->out, "{\"group\":\"" GAPI_GROUP "\",\"kind\":\"Gateway\",\"namespace\":");
        buf_json(&w->out, gw->object->ns);
        buf_addc(&w->out, ",\"name\":");
        buf_json(&w->out, gw->object->name);
        buf_addch(&w->out, '}');
        struct str id = arena_str(&w->scratch, str_of(w->out.p + from, w->out.n - from));
        buf_addc(&w->out, ",\"controllerName\":");
        buf_json(&w->out, gw->class->controller);
        buf_addc(&w->out, ",\"conditions\":");
        conditions(p, &p->ancestors.v[i].fault, p->ancestors.v[i].acts, &cs);
        status_conditions(w, &cs, STR("ancestors"), id);
        buf_addch(&w->out, '}');
    }
    buf_addch(&w->out, ']');
    status_end(w);
}

void gapi_policy_status(struct lower *l)
{
    for (size_t i = 0; l->gapi->policies && i < l->gapi->policies->list.n; i++)
        write_status(l, l->gapi->policies->list.v[i]);
}
