/*
 * istio_status.c - status of Istio's objects: conditions Accepted and Programmed, the servers of a Gateway,
 * the Gateways that a VirtualService is bound to.
 *
 * Accepted: the object is valid and meant for this instance. Programmed: it serves traffic, as far as this
 * machine is concerned (the status is published when every worker has the generation).
 */
#include "master/lower/condition.h"
#include "master/lower/istio.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *text;
} STATES[] = {
#define X(name, text) [ISTIO_##name] = {#name, text},
#include "master/lower/istio_state.def"
#undef X
};

struct verdicts {
    enum istio_state accepted, programmed; /* ISTIO_Programmed = True */
    struct str detail;                     /* message of Programmed; empty = the state's own sentence */
};

static void add_conditions(struct lower *l, struct buf *out, const struct object *o, const struct verdicts *v)
{
    bool accepted = v->accepted == ISTIO_Programmed, programmed = v->programmed == ISTIO_Programmed;
    struct condition a = {.type = "Accepted", .is_true = accepted, .reason = accepted ? "Accepted" : STATES[v->accepted].name,
                          .message = str_c(accepted ? "the object is valid" : STATES[v->accepted].text)};
    struct condition p = {.type = "Programmed", .is_true = programmed, .reason = STATES[v->programmed].name,
                          .message = v->detail.n ? v->detail : str_c(STATES[v->programmed].text)};
    buf_addc(out, "{\"conditions\":[");
    condition_add(out, o->prev_status_json, &a, o->generation, l->now_wall_us);
    buf_addch(out, ',');
    condition_add(out, o->prev_status_json, &p, o->generation, l->now_wall_us);
    buf_addf(out, "],\"observedGeneration\":%llu", (unsigned long long)o->generation);
}

/* The store is filled by load and only read here, but for this member. */
static void set_status(struct lower *l, const struct object *o, struct buf *text)
{
    buf_addch(text, '}');
    ((struct object *)(uintptr_t)o)->status_json = arena_str(l->arena, buf_str(text));
    buf_clear(text);
}

static void set_unserved(const struct object *o)
{
    ((struct object *)(uintptr_t)o)->verdict = VERDICT_UNSERVED;
}

/* ---- Gateway --------------------------------------------------------------------------------------------- */

static void judge_server(struct lower *l, struct istio_server_state *s)
{
    const struct model_bind *b = s->listener ? s->listener->bind : NULL;
    if (!b || !b->bind_error)
        return;
    s->state = ISTIO_PortUnavailable;
    s->detail = b->address.n ? arena_strf(l->arena, "can't listen on " STR_FMT " port %u: %s", STR_ARG(b->address), b->port,
                                          strerror(b->bind_error))
                             : arena_strf(l->arena, "can't listen on port %u: %s", b->port, strerror(b->bind_error));
    diag_at(l->diags, DIAG_PortUnavailable, istio_at(s->server->port->node, "number"), NULL, STR_FMT, STR_ARG(s->detail));
}

static void add_servers(struct buf *out, const struct istio_gw *g)
{
    buf_addc(out, ",\"servers\":[");
    for (size_t i = 0; i < g->n_servers; i++) {
        const struct istio_server_state *s = &g->servers[i];
        buf_addf(out, "%s{\"name\":", i ? "," : "");
        buf_json(out, s->server->port->name);
        buf_addf(out, ",\"port\":%u,\"protocol\":", s->port);
        buf_json(out, s->server->port->protocol);
        buf_addf(out, ",\"programmed\":%s,\"reason\":\"%s\"", s->state == ISTIO_Programmed ? "true" : "false",
                 STATES[s->state].name);
        if (s->detail.n) {
            buf_addc(out, ",\"message\":");
            buf_json(out, s->detail);
        }
        buf_addch(out, '}');
    }
    buf_addch(out, ']');
}

static void gateway_status(struct lower *l, struct istio_gw *g, struct buf *text)
{
    struct verdicts v = {g->selected ? ISTIO_Programmed : ISTIO_NotSelected, ISTIO_Programmed, STR_NONE};
    size_t n_programmed = 0, n_unserved = 0;
    for (size_t i = 0; i < g->n_servers; i++) {
        struct istio_server_state *s = &g->servers[i];
        judge_server(l, s);
        n_programmed += s->state == ISTIO_Programmed;
        n_unserved += s->state == ISTIO_NotServed;
        if (s->state != ISTIO_Programmed && v.programmed == ISTIO_Programmed) {
            v.programmed = s->state;
            v.detail = s->detail;
        }
    }
    if (n_programmed && n_programmed < g->n_servers)
        v.detail = arena_strf(l->arena, "%zu of %zu servers listen; " STR_FMT, n_programmed, g->n_servers, STR_ARG(v.detail));
    if (n_unserved == g->n_servers && g->selected)
        set_unserved(g->object);
    add_conditions(l, text, g->object, &v);
    add_servers(text, g);
    set_status(l, g->object, text);
}

/* ---- VirtualService ----------------------------------------------------------------------------------------- */

static int text_cmp(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void vs_status(struct lower *l, struct istio_vs *vs, struct buf *text)
{
    struct verdicts v = {ISTIO_Programmed, vs->state, STR_NONE};
    if (vs->state == ISTIO_NotServed)
        set_unserved(vs->object);
    if (vs->state == ISTIO_Programmed && vs->n_unresolved + vs->n_missing)
        v.detail = arena_strf(l->arena, "traffic is served, but %zu destinations and %zu gateways are missing",
                              vs->n_unresolved, vs->n_missing);
    add_conditions(l, text, vs->object, &v);
    buf_addc(text, ",\"boundGateways\":[");
    if (vs->bound.n > 1)
        qsort(vs->bound.v, vs->bound.n, sizeof(*vs->bound.v), text_cmp);
    for (size_t i = 0; i < vs->bound.n; i++) {
        if (i)
            buf_addch(text, ',');
        buf_json(text, vs->bound.v[i]);
    }
    buf_addch(text, ']');
    set_status(l, vs->object, text);
}

/* ---- ServiceEntry --------------------------------------------------------------------------------------------- */

static void entry_status(struct lower *l, const struct object *o, struct buf *text)
{
    const struct istio_se_spec *s = ((const struct istio_service_entry *)o->spec)->spec;
    struct verdicts v = {ISTIO_Programmed, ISTIO_Programmed, STR("the service is known to this instance")};
    if (s->resolution == ISTIO_RESOLUTION_NONE || s->resolution == ISTIO_RESOLUTION_DYNAMIC_DNS) {
        v.programmed = ISTIO_NotServed;
        v.detail = STR("this resolution is not served yet");
        set_unserved(o);
    } else if (!istio_exported_to(&s->export_to, o->ns, l->instance->ns)) {
        v.programmed = ISTIO_NotVisible;
        v.detail = STR_NONE;
    }
    add_conditions(l, text, o, &v);
    set_status(l, o, text);
}

void lower_istio_status(struct lower *l)
{
    struct istio_work *w = istio_work(l);
    struct buf text = {0};
    for (size_t i = 0; i < w->gw.n; i++)
        gateway_status(l, w->gw.v[i], &text);
    for (size_t i = 0; i < w->vs.n; i++)
        vs_status(l, w->vs.v[i], &text);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_SERVICE_ENTRY]; i++)
        entry_status(l, l->store->by_kind[KIND_SERVICE_ENTRY][i], &text);
    buf_fini(&text);
}
