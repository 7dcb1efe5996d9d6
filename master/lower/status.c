/* status.c - see status.h. */
#include "master/lower/status.h"
#include "master/lower/json_read.h"
#include "shared/base/clock.h"

#define TIME_LEN 20 /* 2026-11-23T10:35:00Z */

struct status_mark {
    size_t at; /* of the time in the text */
    const struct cond *cond;
    struct str list, id;
};

static const char *const STATUS_WORD[] = {
    [COND_FALSE] = "False", [COND_TRUE] = "True", [COND_UNKNOWN] = "Unknown"};

void cond_set(struct conds *cs, const char *type, enum cond_status status, const char *reason,
              struct str message)
{
    size_t i = 0;
    while (i < cs->n && strcmp(cs->v[i].type, type) != 0)
        i++;
    must(i < CONDS_MAX);
    cs->v[i] = (struct cond){type, reason, status, message};
    cs->n = GH_MAX(cs->n, i + 1);
}

bool cond_is_true(const struct conds *cs, const char *type)
{
    for (size_t i = 0; i < cs->n; i++)
        if (strcmp(cs->v[i].type, type) == 0)
            return cs->v[i].status == COND_TRUE;
    return false;
}

void status_init(struct status_writer *w, struct arena *a, uint64_t now_wall_us)
{
    *w = (struct status_writer){.arena = a};
    arena_init(&w->scratch, 0, a->oom);
    must(clock_format(now_wall_us, 0, w->now) == TIME_LEN);
}

void status_fini(struct status_writer *w)
{
    buf_fini(&w->out);
    arena_fini(&w->scratch);
}

void status_begin(struct status_writer *w, struct object *o)
{
    w->object = o;
    w->serial++;
    w->pure = false;
    w->marks.v = NULL;
    w->marks.n = w->marks.cap = 0;
    arena_reset(&w->scratch);
    buf_clear(&w->out);
    buf_addch(&w->out, '{');
}

static void add_condition(struct status_writer *w, const struct cond *c, struct str list,
                          struct str id)
{
    struct buf *out = &w->out;
    buf_adds(out, STR("{\"type\":\""));
    buf_addc(out, c->type);
    buf_adds(out, STR("\",\"status\":\""));
    buf_addc(out, STATUS_WORD[c->status]);
    buf_adds(out, STR("\",\"observedGeneration\":"));
    buf_addu(out, w->object->generation);
    buf_adds(out, STR(",\"lastTransitionTime\":\""));
    *ARENA_PUSH(&w->scratch, &w->marks) = (struct status_mark){out->n, c, list, id};
    buf_adds(out, str_of(w->now, TIME_LEN));
    buf_adds(out, STR("\",\"reason\":\""));
    buf_addc(out, c->reason);
    buf_adds(out, STR("\",\"message\":"));
    buf_json(out, c->message);
    buf_addch(out, '}');
}

void status_conditions(struct status_writer *w, const struct conds *cs, struct str list,
                       struct str id)
{
    buf_addch(&w->out, '[');
    id = arena_str(&w->scratch, id); /* it may lie in w->out, which moves */
    struct cond *kept = arena_new_n(&w->scratch, struct cond, cs->n);
    for (size_t i = 0; i < cs->n; i++) {
        kept[i] = cs->v[i];
        if (i)
            buf_addch(&w->out, ',');
        add_condition(w, &kept[i], list, id);
    }
    buf_addch(&w->out, ']');
}

/* Equal but for the times? */
static bool same_but_times(const struct status_writer *w, struct str prev)
{
    size_t at = 0;
    if (prev.n != w->out.n)
        return false;
    for (size_t i = 0; i < w->marks.n; i++) {
        size_t to = w->marks.v[i].at;
        if (memcmp(prev.p + at, w->out.p + at, to - at) != 0)
            return false;
        at = to + TIME_LEN;
    }
    return memcmp(prev.p + at, w->out.p + at, prev.n - at) == 0;
}

static const struct json_node *prev_conditions(const struct json_node *prev,
                                               const struct status_mark *m)
{
    if (m->list.n == 0)
        return json_get(prev, "conditions");
    const struct json_node *list = NULL;
    for (const struct json_node *k = prev->first; k && !list; k = k->next)
        list = str_eq(k->key, m->list) ? k : NULL;
    for (const struct json_node *e = list ? list->first : NULL; e; e = e->next) {
        const struct json_node *id = json_get(e, "parentRef");
        if (!id)
            id = json_get(e, "name");
        if (!id)
            id = json_get(e, "ancestorRef");
        if (id && str_eq(id->raw, m->id))
            return json_get(e, "conditions");
    }
    return NULL;
}

/* The previous time of the condition, if its status is the same. */
static struct str prev_time(const struct json_node *prev, const struct status_mark *m)
{
    const struct json_node *list = prev_conditions(prev, m);
    for (const struct json_node *c = list ? list->first : NULL; c; c = c->next) {
        struct str time = json_text(c, "lastTransitionTime");
        if (str_eqc(json_text(c, "type"), m->cond->type) &&
            str_eqc(json_text(c, "status"), STATUS_WORD[m->cond->status]) && time.n == TIME_LEN)
            return time;
    }
    return STR_NONE;
}

/* Rule 2. */
static void keep_times(struct status_writer *w, struct str prev_text)
{
    const struct json_node *prev = json_read(&w->scratch, prev_text);
    if (!prev || prev->type != JSON_MAP)
        return;
    for (size_t i = 0; i < w->marks.n; i++) {
        struct str time = prev_time(prev, &w->marks.v[i]);
        if (!time.n)
            continue;
        memcpy(w->out.p + w->marks.v[i].at, time.p, TIME_LEN);
        w->pure = false;
    }
}

static void take_text(struct status_writer *w, struct object *o)
{
    if (w->out.oom) {
        w->out.oom = w->pure = false; /* no status is better than half of one */
        o->status_json = STR_NONE;
    } else if (same_but_times(w, o->prev_status_json)) {
        o->status_json = o->prev_status_json;
    } else {
        keep_times(w, o->prev_status_json);
        if (!str_eq(w->last, buf_str(&w->out))) /* most routes of a Gateway say the same */
            w->last = arena_str(w->arena, buf_str(&w->out));
        o->status_json = w->last;
    }
    w->object = NULL;
}

void status_end(struct status_writer *w)
{
    buf_addch(&w->out, '}');
    w->generation = w->object->generation;
    w->pure = true;
    take_text(w, w->object);
}

bool status_again(struct status_writer *w, struct object *o)
{
    if (!w->pure || w->generation != o->generation ||
        (o->prev_status_json.n && !same_but_times(w, o->prev_status_json)))
        return false; /* times may have to be kept: they would stand in the text for the next one */
    take_text(w, o);
    return true;
}
