/*
 * istio_status.c - status of Istio's objects: conditions Accepted and Programmed, the servers of a Gateway,
 * the Gateways that a VirtualService is bound to.
 *
 * Accepted: the object is valid and meant for this instance. Programmed: it serves traffic, as far as this
 * machine is concerned (the status is published when every worker has the generation).
 */
#include "master/lower/istio.h"
#include "master/lower/status.h"

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

/* The store is filled by load and only read here, but for the verdict and the status. */
static struct object *writable(const struct object *o)
{
    return (struct object *)(uintptr_t)o;
}

static void begin(struct status_writer *w, const struct object *o, const struct verdicts *v)
{
    struct conds cs = {.n = 0};
    bool accepted = v->accepted == ISTIO_Programmed, programmed = v->programmed == ISTIO_Programmed;
    cond_set(&cs, "Accepted", accepted ? COND_TRUE : COND_FALSE, accepted ? "Accepted" : STATES[v->accepted].name,
             str_c(accepted ? "the object is valid" : STATES[v->accepted].text));
    cond_set(&cs, "Programmed", programmed ? COND_TRUE : COND_FALSE, STATES[v->programmed].name,
             v->detail.n ? v->detail : str_c(STATES[v->programmed].text));
    status_begin(w, writable(o));
    buf_addc(&w->out, "\"conditions\":");
    status_conditions(w, &cs, STR_NONE, STR_NONE);
    buf_addf(&w->out, ",\"observedGeneration\":%llu", (unsigned long long)o->generation);
}

static void set_unserved(const struct object *o)
{
    writable(o)->verdict = VERDICT_UNSERVED;
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

/* What a server that serves has to say: an older version of its certificate. */
static struct str note_of(struct lower *l, const struct istio_gw *g)
{
    for (size_t i = 0; i < g->n_servers; i++)
        if (g->servers[i].state == ISTIO_Programmed && g->servers[i].detail.n)
            return arena_strf(l->arena, "traffic is served; server \"" STR_FMT "\": " STR_FMT, STR_ARG(g->servers[i].server->port->name),
                              STR_ARG(g->servers[i].detail));
    return STR_NONE;
}

static void gateway_status(struct lower *l, struct istio_gw *g, struct status_writer *w)
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
    enum istio_state first = v.programmed;
    if (n_programmed && n_programmed < g->n_servers) { /* which, is in the list of servers */
        v.programmed = ISTIO_Programmed;
        v.detail = arena_strf(l->arena, "%zu of %zu servers serve; " STR_FMT, n_programmed, g->n_servers,
                              STR_ARG(v.detail.n ? v.detail : str_c(STATES[first].text)));
    }
    else if (n_programmed)
        v.detail = note_of(l, g);
    if (n_unserved == g->n_servers && g->selected)
        set_unserved(g->object);
    begin(w, g->object, &v);
    add_servers(&w->out, g);
    status_end(w);
}

/* ---- VirtualService ----------------------------------------------------------------------------------------- */

static int text_cmp(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void vs_status(struct lower *l, struct istio_vs *vs, struct status_writer *w)
{
    struct verdicts v = {ISTIO_Programmed, vs->state, STR_NONE};
    struct str id = arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(vs->object->ns), STR_ARG(vs->object->name));
    if (vs->state == ISTIO_Delegate && map_get(&istio_work(l)->delegates, id)) {
        v.programmed = ISTIO_Programmed;
        v.detail = STR("its rules are used by objects that delegate to it");
    }
    if (vs->state == ISTIO_NotServed)
        set_unserved(vs->object);
    if (vs->state == ISTIO_Programmed && vs->n_unresolved + vs->n_missing)
        v.detail = arena_strf(l->arena, "traffic is served, but %zu destinations and %zu gateways are missing",
                              vs->n_unresolved, vs->n_missing);
    begin(w, vs->object, &v);
    buf_addc(&w->out, ",\"boundGateways\":[");
    if (vs->bound.n > 1)
        qsort(vs->bound.v, vs->bound.n, sizeof(*vs->bound.v), text_cmp);
    for (size_t i = 0; i < vs->bound.n; i++) {
        if (i)
            buf_addch(&w->out, ',');
        buf_json(&w->out, vs->bound.v[i]);
    }
    buf_addch(&w->out, ']');
    status_end(w);
}

/* ---- ServiceEntry --------------------------------------------------------------------------------------------- */

static void entry_status(struct lower *l, const struct object *o, struct status_writer *w)
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
    begin(w, o, &v);
    status_end(w);
}

/* ---- DestinationRule, WorkloadEntry ------------------------------------------------------------------------------ */

static void rule_status(struct lower *l, size_t i, struct status_writer *w)
{
    const struct object *o = l->store->by_kind[KIND_DESTINATION_RULE][i];
    enum istio_state state = istio_dr_state(l, i);
    struct verdicts v = {ISTIO_Programmed, state, STR_NONE};
    if (state == ISTIO_Programmed)
        v.detail = STR("it holds for the services it names");
    if (state == ISTIO_NotServed)
        set_unserved(o);
    begin(w, o, &v);
    status_end(w);
}

static void workload_status(const struct object *o, struct status_writer *w)
{
    struct verdicts v = {ISTIO_Programmed, ISTIO_Programmed, STR("services that select its labels have it as an endpoint")};
    begin(w, o, &v);
    status_end(w);
}

void lower_istio_status(struct lower *l)
{
    struct istio_work *work = istio_work(l);
    struct status_writer w;
    status_init(&w, l->arena, l->now_wall_us);
    for (size_t i = 0; i < work->gw.n; i++)
        gateway_status(l, work->gw.v[i], &w);
    for (size_t i = 0; i < work->vs.n; i++)
        vs_status(l, work->vs.v[i], &w);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_SERVICE_ENTRY]; i++)
        entry_status(l, l->store->by_kind[KIND_SERVICE_ENTRY][i], &w);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_DESTINATION_RULE]; i++)
        rule_status(l, i, &w);
    for (size_t i = 0; i < l->store->n_by_kind[KIND_WORKLOAD_ENTRY]; i++)
        workload_status(l->store->by_kind[KIND_WORKLOAD_ENTRY][i], &w);
    status_fini(&w);
}
