/*
 * intern.c - equal things once: texts, objects, origins, expressions, and the conditions of matches.
 *
 * One table per section over the bytes of its rows. Rows are written complete and never change, so
 * comparing bytes is comparing meaning; padding is zero, because every row begins as zeroes.
 */
#include "master/compile/layout.h"
#include "shared/base/err.h"

#include <stdlib.h>

#define INTERN_EMPTY 0xffffffffu

void intern_free(struct layout *l)
{
    for (int i = 0; i < SNAP_SECTION_COUNT; i++)
        free(l->interns[i].slots);
}

static struct str row_bytes(const struct layout *l, enum snap_section s, size_t elem, const struct intern_slot *v)
{
    return str_of(l->section[s].p + (size_t)v->at * elem, (size_t)v->n * elem);
}

/* The slot with these bytes, or the empty one where they belong. */
static struct intern_slot *find(struct layout *l, enum snap_section s, size_t elem, struct str bytes, uint64_t hash)
{
    struct intern *t = &l->interns[s];
    uint32_t i = (uint32_t)hash & (t->n_slots - 1);
    for (; t->slots[i].n != INTERN_EMPTY; i = (i + 1) & (t->n_slots - 1))
        if (t->slots[i].hash == hash && str_eq(row_bytes(l, s, elem, &t->slots[i]), bytes))
            break;
    return &t->slots[i];
}

static bool resize(struct layout *l, enum snap_section s, uint32_t n_slots)
{
    struct intern *t = &l->interns[s], old = *t;
    t->n_slots = n_slots;
    t->slots = n_slots <= 1u << 30 ? malloc((size_t)n_slots * sizeof(*t->slots)) : NULL;
    if (!t->slots) {
        *t = old;
        layout_fail(l, GH_E_NOMEM);
        return false;
    }
    for (uint32_t i = 0; i < t->n_slots; i++)
        t->slots[i].n = INTERN_EMPTY;
    for (uint32_t k = 0; k < old.n_slots; k++) {
        uint32_t i = (uint32_t)old.slots[k].hash & (t->n_slots - 1);
        if (old.slots[k].n == INTERN_EMPTY)
            continue;
        while (t->slots[i].n != INTERN_EMPTY)
            i = (i + 1) & (t->n_slots - 1);
        t->slots[i] = old.slots[k];
    }
    free(old.slots);
    return true;
}

static bool grow(struct layout *l, enum snap_section s)
{
    const struct intern *t = &l->interns[s];
    if ((t->used + 1) * 4ull <= t->n_slots * 3ull)
        return true;
    return resize(l, s, t->n_slots ? t->n_slots * 2 : 256);
}

void intern_reserve(struct layout *l, enum snap_section s, size_t n)
{
    uint32_t n_slots = 256;
    while (n_slots < 1u << 30 && n * 4ull > n_slots * 3ull)
        n_slots *= 2;
    resize(l, s, n_slots);
}

/* The place of `n` rows with these bytes; behind a new text comes a NUL. */
static uint32_t intern(struct layout *l, enum snap_section s, const void *rows, uint32_t n, size_t elem)
{
    struct str bytes = str_of(rows, (size_t)n * elem);
    if (n == 0 || l->failed || !grow(l, s))
        return 0;
    uint64_t hash = hash_str(bytes, s);
    struct intern_slot *v = find(l, s, elem, bytes, hash);
    if (v->n != INTERN_EMPTY)
        return v->at;
    uint32_t at = layout_extend(l, s, n + (s == SNAP_STRINGS));
    if (l->failed)
        return 0;
    memcpy(l->section[s].p + (size_t)at * elem, rows, bytes.n);
    *v = (struct intern_slot){hash, at, n};
    l->interns[s].used++;
    return at;
}

struct snap_str intern_str(struct layout *l, struct str text)
{
    if (text.n >= SNAP_SET_LIST) {
        layout_fail(l, GH_E_LIMIT);
        return (struct snap_str){0};
    }
    return (struct snap_str){intern(l, SNAP_STRINGS, text.p, (uint32_t)text.n, 1), (uint32_t)text.n};
}

struct snap_str intern_word(struct layout *l, struct str text)
{
    struct layout_word *w = &l->words[((uintptr_t)text.p * 0x9e3779b97f4a7c15ull) >> 58];
    if (text.n == 0)
        return (struct snap_str){0};
    if (w->p != text.p || w->at.len != text.n)
        *w = (struct layout_word){text.p, intern_str(l, text)};
    return w->at;
}

struct snap_str put_text(struct layout *l, struct str text)
{
    if (text.n >= SNAP_SET_LIST) {
        layout_fail(l, GH_E_LIMIT);
        return (struct snap_str){0};
    }
    uint32_t at = layout_extend(l, SNAP_STRINGS, (uint32_t)text.n + 1);
    if (!l->failed && text.n)
        memcpy(l->section[SNAP_STRINGS].p + at, text.p, text.n);
    return (struct snap_str){at, (uint32_t)text.n};
}

struct snap_name intern_name(struct layout *l, struct str text)
{
    return (struct snap_name){intern_str(l, text).off};
}

struct snap_str intern_tail(struct layout *l, struct str text, struct str whole, struct snap_str at)
{
    if (text.n && str_ends(whole, text))
        return (struct snap_str){at.off + (uint32_t)(whole.n - text.n), (uint32_t)text.n};
    return intern_str(l, text);
}

/* --- rows ---------------------------------------------------------------------------------------- */

static struct snap_name as_before(struct layout *l, struct str text, struct str last, struct snap_name at)
{
    return str_eq(text, last) ? at : intern_name(l, text);
}

/* Neighbours have all in common but their name. */
static uint32_t put_object(struct layout *l, const struct model_source *o)
{
    const struct model_source *last = &l->last_source;
    const struct snap_object *at = &l->last_object;
    struct snap_object row = {as_before(l, o->api_version, last->api_version, at->api_version),
                              as_before(l, o->kind, last->kind, at->kind), as_before(l, o->ns, last->ns, at->ns),
                              intern_name(l, o->name), as_before(l, o->file, last->file, at->file)};
    l->last_source = *o;
    l->last_object = row;
    return intern(l, SNAP_OBJECTS, &row, 1, sizeof(row));
}

/* All that comes of an object refers to one source, mostly: its five texts are looked for once. */
static uint32_t intern_object(struct layout *l, const struct model_source *o)
{
    static const struct model_source NONE;
    if (!o || !l->objects) /* the latter: memory ran out */
        return put_object(l, &NONE);
    uint32_t *row = &l->objects[o->number];
    if (*row == SNAP_NONE)
        *row = put_object(l, o);
    return *row;
}

uint32_t intern_row(struct layout *l, enum snap_section s, const void *row, size_t elem)
{
    return intern(l, s, row, 1, elem);
}

struct snap_range intern_rows(struct layout *l, enum snap_section s, const void *rows, size_t n, size_t elem)
{
    if (n >= SNAP_SET_LIST)
        layout_fail(l, GH_E_LIMIT);
    return (struct snap_range){intern(l, s, rows, (uint32_t)n, elem), (uint32_t)n};
}

struct snap_range intern_codes(struct layout *l, const uint16_t *v, size_t n)
{
    return intern_rows(l, SNAP_CODES, v, n, sizeof(*v));
}

static struct snap_origin origin_row(struct layout *l, const struct model_origin *o)
{
    return (struct snap_origin){intern_object(l, o->source), o->line, {intern_word(l, o->section).off}};
}

uint32_t intern_origin(struct layout *l, const struct model_origin *o)
{
    struct snap_origin row = origin_row(l, o);
    return intern(l, SNAP_ORIGINS, &row, 1, sizeof(row));
}

uint32_t put_origin(struct layout *l, const struct model_origin *o)
{
    struct snap_origin row = origin_row(l, o);
    uint32_t at = l->n[SNAP_ORIGINS];
    *PUSH(l, ORIGINS, struct snap_origin) = row;
    return at;
}

uint32_t intern_place(struct layout *l, uint32_t rule_origin, const struct model_origin *o)
{
    uint32_t object = intern_object(l, o->source);
    const struct snap_origin *rule = ROW(l, ORIGINS, struct snap_origin, rule_origin);
    uint32_t below = o->line - rule->line;
    if (rule->object == object && o->line >= rule->line && below < SNAP_PLACE_LINE)
        return SNAP_PLACE_LINE | below;
    return intern_origin(l, o);
}

uint32_t intern_regex(struct layout *l, struct str pattern, uint32_t flags)
{
    struct snap_regex row = {intern_str(l, pattern), flags};
    return intern(l, SNAP_REGEXES, &row, 1, sizeof(row));
}

/* --- conditions ---------------------------------------------------------------------------------- */

static void add_cond(struct layout *l, struct buf *rows, enum snap_cond_what what, struct str name,
                     const struct model_strmatch *m, uint8_t flags)
{
    struct snap_cond row = {.what = (uint8_t)what, .type = (uint8_t)m->type, .flags = flags, .regex = SNAP_NONE};
    if (m->type == STRMATCH_ANY)
        return;
    row.flags |= (uint8_t)((m->ignore_case ? SNAP_COND_IGNORE_CASE : 0) | (m->invert ? SNAP_COND_INVERT : 0));
    row.name = intern_str(l, name);
    row.value = intern_str(l, m->value);
    if (m->type == STRMATCH_REGEX)
        row.regex = intern_regex(l, m->value, m->ignore_case ? SNAP_REGEX_IGNORE_CASE : 0);
    buf_add(rows, &row, sizeof(row));
}

struct snap_range intern_conds(struct layout *l, const struct model_match *m)
{
    struct buf rows = {0};
    if (m->method.type == STRMATCH_ANY && m->scheme.type == STRMATCH_ANY && m->authority.type == STRMATCH_ANY &&
        m->headers.n == 0 && m->query.n == 0)
        return (struct snap_range){0, 0};
    add_cond(l, &rows, COND_METHOD, STR_NONE, &m->method, 0);
    add_cond(l, &rows, COND_SCHEME, STR_NONE, &m->scheme, 0);
    add_cond(l, &rows, COND_AUTHORITY, STR_NONE, &m->authority, 0);
    for (size_t i = 0; i < m->headers.n; i++)
        add_cond(l, &rows, COND_HEADER, m->headers.v[i].name, &m->headers.v[i].m, 0);
    for (size_t i = 0; i < m->query.n; i++)
        add_cond(l, &rows, COND_QUERY, m->query.v[i].name, &m->query.v[i].m,
                 m->query_raw ? 0 : SNAP_COND_DECODED);
    struct snap_range r = {0, (uint32_t)(rows.n / sizeof(struct snap_cond))};
    if (rows.oom)
        layout_fail(l, GH_E_NOMEM);
    else
        r.first = intern(l, SNAP_CONDS, rows.p, r.n, sizeof(struct snap_cond));
    buf_fini(&rows);
    return r;
}
