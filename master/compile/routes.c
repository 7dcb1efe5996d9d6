/*
 * routes.c - the entries of a host into runs, and the runs to where route.c looks for them.
 *
 * Each entry gets a place (which structure, under which text) from its path alone, see place_of. Sorted by
 * place and rank, equal places are neighbours: each becomes a set, which is a run of entries, or, when
 * long, a list by the value of the header or query parameter that tells most of them apart; what a value
 * leaves over is a set again.
 */
#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/regex/regex.h"
#include "shared/snap/slot.h"

#include <stdlib.h>

#define RUN_MAX 8 /* entries that are looked at one by one without a thought */

enum place { PLACE_ANY, PLACE_EXACT, PLACE_TREE, PLACE_FOLD, PLACE_NEVER };

struct candidate {
    const struct model_entry *entry;
    enum place place;
    struct str text;   /* often the start of the entry's path_value */
    uint64_t hash; /* of the value, while a list is made */
};

/* What tells the candidates of a list apart. Linked: those already used further out. */
struct selector {
    const struct selector *outer;
    enum snap_list_by by;
    struct str name;
    uint32_t n;       /* candidates that have it */
    uint64_t first;   /* hash of the first value seen */
    bool varied;      /* and another value too */
};

/* --- places -------------------------------------------------------------------------------------- */

static struct str lowered(struct layout *l, struct str s)
{
    struct str t = arena_str(&l->scratch, s);
    if (!t.p) {
        layout_fail(l, GH_E_NOMEM);
        return STR("");
    }
    for (size_t i = 0; i < t.n; i++)
        ((char *)(uintptr_t)t.p)[i] = ascii_lower(t.p[i]);
    return t;
}

static bool takes_every_path(const struct model_match *m)
{
    return m->path == PATH_ANY || (m->path == PATH_REGEX && str_eqc(m->path_value, ".*"));
}

static void place_regex(struct layout *l, struct candidate *c, struct str pattern)
{
    char scratch[REGEX_PATTERN_MAX];
    bool whole;
    struct str text = regex_literal_prefix(pattern, scratch, sizeof(scratch), &whole);
    c->place = whole ? PLACE_EXACT : text.n ? PLACE_TREE : PLACE_ANY;
    c->text = arena_str(&l->scratch, text);
    if (!c->text.p)
        layout_fail(l, GH_E_NOMEM);
}

static struct candidate place_of(struct layout *l, const struct model_entry *e)
{
    const struct model_match *m = e->match;
    struct candidate c = {.entry = e, .place = PLACE_ANY, .text = STR("")};
    if (takes_every_path(m))
        return c;
    if (m->path == PATH_REGEX) {
        place_regex(l, &c, m->path_value);
    } else if (m->path == PATH_EXACT || m->path_value.n) {
        c.place = m->path_ignore_case ? PLACE_FOLD : m->path == PATH_EXACT ? PLACE_EXACT : PLACE_TREE;
        c.text = m->path_ignore_case ? lowered(l, m->path_value) : m->path_value;
    }
    /* No path has a NUL; without them a node has at most 255 kids. */
    if (str_chr(c.text, '\0') >= 0)
        c.place = PLACE_NEVER;
    return c;
}

static int by_place(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    int d = str_cmp(x->text, y->text);
    return d ? d : (x->entry->rank > y->entry->rank) - (x->entry->rank < y->entry->rank);
}

static int by_hash(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->entry->rank > y->entry->rank) - (x->entry->rank < y->entry->rank);
}

/* --- runs ---------------------------------------------------------------------------------------- */

static void put_entry(struct layout *l, const struct model_entry *e, uint8_t flags)
{
    const struct model_match *m = e->match;
    struct snap_entry row = {.rank = e->rank, .rule = e->rule->index, .path = (uint8_t)m->path, .regex = SNAP_NONE};
    row.flags = (uint8_t)(flags | (m->path_ignore_case ? SNAP_ENTRY_IGNORE_CASE : 0));
    row.path_value = intern_str(l, m->path_value);
    row.match_index = m->index;
    if (m->path == PATH_REGEX && !takes_every_path(m))
        row.regex = intern_regex(l, m->path_value, 0);
    row.conds = intern_conds(l, m);
    row.place = intern_place(l, ROW(l, RULES, struct snap_rule, row.rule)->origin, &m->origin);
    row.section = (struct snap_name){intern_word(l, m->origin.section).off};
    row.name = intern_name(l, m->name);
    *PUSH(l, ENTRIES, struct snap_entry) = row;
}

static uint32_t put_run(struct layout *l, const struct candidate *v, size_t n)
{
    uint32_t first = l->n[SNAP_ENTRIES];
    for (size_t i = 0; i < n; i++)
        put_entry(l, v[i].entry, i + 1 == n ? SNAP_ENTRY_LAST : 0);
    return first;
}

/* --- lists --------------------------------------------------------------------------------------- */

/* Whether candidates can be found by this condition's value. */
static bool selects(const struct model_strmatch *m)
{
    return m->type == STRMATCH_EXACT && !m->ignore_case && !m->invert && m->value.n <= SLOT_VALUE_MAX;
}

static bool used_before(const struct selector *outer, enum snap_list_by by, struct str name)
{
    for (; outer; outer = outer->outer)
        if (outer->by == by && str_eq(outer->name, name))
            return true;
    return false;
}

#define SELECTORS 32 /* different names that are counted; those that come first are enough */
struct tally {
    struct selector v[SELECTORS];
    size_t n;
    const struct selector *outer;
};

static void count(struct tally *t, enum snap_list_by by, const struct model_kv_match *kv)
{
    size_t i = 0;
    if (!selects(&kv->m) || used_before(t->outer, by, kv->name))
        return;
    while (i < t->n && !(t->v[i].by == by && str_eq(t->v[i].name, kv->name)))
        i++;
    if (i == SELECTORS)
        return;
    uint64_t hash = slot_value(kv->m.value);
    if (i == t->n)
        t->v[t->n++] = (struct selector){.outer = t->outer, .by = by, .name = kv->name, .first = hash};
    t->v[i].n++;
    t->v[i].varied |= hash != t->v[i].first;
}

static enum snap_list_by query_by(const struct model_match *m)
{
    return m->query_raw ? LIST_BY_QUERY : LIST_BY_QUERY_DECODED;
}

/* The selector that most candidates have; false when none is worth a list. */
static bool choose(const struct candidate *v, size_t n, const struct selector *outer, struct selector *best)
{
    struct tally t = {.outer = outer};
    for (size_t i = 0; i < n; i++) {
        const struct model_match *m = v[i].entry->match;
        for (size_t k = 0; k < m->headers.n; k++)
            count(&t, LIST_BY_HEADER, &m->headers.v[k]);
        for (size_t k = 0; k < m->query.n; k++)
            count(&t, query_by(m), &m->query.v[k]);
    }
    *best = (struct selector){0};
    for (size_t i = 0; i < t.n; i++)
        if (t.v[i].varied && t.v[i].n > best->n)
            *best = t.v[i];
    return best->n > RUN_MAX / 2;
}

/* The hash of the value that `sel` looks at; false when the candidate does not ask for one. */
static bool value_of(const struct model_match *m, const struct selector *sel, uint64_t *hash)
{
    const struct model_kv_match *v = sel->by == LIST_BY_HEADER ? m->headers.v : m->query.v;
    size_t n = sel->by == LIST_BY_HEADER ? m->headers.n : sel->by == query_by(m) ? m->query.n : 0;
    for (size_t i = 0; i < n; i++) {
        if (!selects(&v[i].m) || !str_eq(v[i].name, sel->name))
            continue;
        *hash = slot_value(v[i].m.value);
        return true;
    }
    return false;
}

static uint32_t put_set(struct layout *l, const struct candidate *v, size_t n, const struct selector *outer,
                        unsigned level);

/* The candidates of `in` sorted by value, those without one behind; *n_with, and *n_values different ones. */
static struct candidate *by_value(struct layout *l, const struct candidate *in, size_t n, const struct selector *sel,
                                  size_t *n_with, uint32_t *n_values)
{
    struct candidate *v = arena_new_n(&l->scratch, struct candidate, n);
    size_t with = 0, without = n;
    *n_values = 0;
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t hash = 0;
        size_t at = value_of(in[i].entry->match, sel, &hash) ? with++ : --without;
        v[at] = in[i];
        v[at].hash = hash;
    }
    qsort(v, with, sizeof(*v), by_hash);
    qsort(v + with, n - with, sizeof(*v), by_hash); /* they have hash 0: by rank */
    for (size_t i = 0; i < with; i++)
        *n_values += i == 0 || v[i].hash != v[i - 1].hash;
    *n_with = with;
    return v;
}

static uint32_t put_list(struct layout *l, const struct candidate *in, size_t n, const struct selector *sel,
                         unsigned level)
{
    size_t with;
    uint32_t n_values, at = l->n[SNAP_LISTS];
    struct candidate *v = by_value(l, in, n, sel, &with, &n_values);
    if (!v)
        return SNAP_NONE;
    struct snap_list row = {.by = (uint8_t)sel->by, .level = (uint8_t)level, .rest = SNAP_NONE,
                            .min_rank = in[0].entry->rank};
    uint32_t n_slots = slot_count(n_values);
    row.name = intern_str(l, sel->name);
    row.log2 = (uint8_t)__builtin_ctz(n_slots);
    row.slots = layout_extend(l, SNAP_LIST_SLOTS, n_slots);
    PUSH(l, LISTS, struct snap_list);
    for (uint32_t i = 0; i < n_slots; i++)
        ROW(l, LIST_SLOTS, struct snap_slot, row.slots + i)->value = SNAP_NONE;
    for (size_t i = 0, end; i < with; i = end) {
        for (end = i + 1; end < with && v[end].hash == v[i].hash; end++)
            ;
        uint32_t set = put_set(l, v + i, end - i, sel, level + 1);
        if (!l->failed)
            layout_place(ROW(l, LIST_SLOTS, struct snap_slot, row.slots), n_slots - 1, v[i].hash, set);
    }
    if (with < n)
        row.rest = put_set(l, v + with, n - with, sel, level + 1);
    *ROW(l, LISTS, struct snap_list, at) = row;
    return at | SNAP_SET_LIST;
}

/* `v` is in order of rank. Recursion ends at SNAP_LIST_LEVELS. */
static uint32_t put_set(struct layout *l, const struct candidate *v, size_t n, const struct selector *outer,
                        unsigned level)
{
    struct selector sel;
    if (n > RUN_MAX && level <= SNAP_LIST_LEVELS && !l->failed && choose(v, n, outer, &sel))
        return put_list(l, v, n, &sel, level);
    return put_run(l, v, n);
}

/* --- one host ------------------------------------------------------------------------------------ */

/* Labels need no NUL, so the path value's own bytes do when it begins with them. */
static uint32_t intern_prefix(struct layout *l, const struct candidate *c)
{
    struct str value = c->entry->match->path_value;
    return intern_str(l, str_starts(value, c->text) ? value : c->text).off;
}

struct host_work {
    struct layout *l;
    uint32_t host;
    struct snap_host *row;            /* a copy, written back at the end */
    struct { struct layout_prefix *v; size_t n, cap; } tree, fold;
};

static void put_group(struct host_work *w, const struct candidate *v, size_t n)
{
    struct layout *l = w->l;
    uint32_t set = put_set(l, v, n, NULL, 1);
    switch (v->place) {
    case PLACE_ANY: w->row->any = set; break;
    case PLACE_EXACT:
        w->row->flags |= SNAP_HOST_EXACT;
        layout_key_add(l, &l->exact, slot_exact(slot_path(v->text), w->host), set);
        break;
    case PLACE_TREE:
    case PLACE_FOLD: {
        struct layout_prefix *p = v->place == PLACE_TREE ? &w->tree.v[w->tree.n++] : &w->fold.v[w->fold.n++];
        *p = (struct layout_prefix){v->text, intern_prefix(l, v), set};
        break;
    }
    case PLACE_NEVER: break;
    }
}

static void put_ranks(struct layout *l, struct snap_range entries)
{
    layout_extend(l, SNAP_RANKED, entries.n);
    for (uint32_t i = entries.first; i < entries.first + entries.n && !l->failed; i++)
        *ROW(l, RANKED, uint32_t, entries.first + ROW(l, ENTRIES, struct snap_entry, i)->rank) = i;
}

void layout_routes(struct layout *l, uint32_t host, const struct model_host *h)
{
    size_t n = h->entries.n;
    struct snap_host row = *ROW(l, HOSTS, struct snap_host, host);
    struct host_work w = {.l = l, .host = host, .row = &row};
    struct candidate *v = arena_new_n(&l->scratch, struct candidate, n + 1);
    w.tree.v = arena_new_n(&l->scratch, struct layout_prefix, n + 1);
    w.fold.v = arena_new_n(&l->scratch, struct layout_prefix, n + 1);
    if (!v || !w.tree.v || !w.fold.v) {
        layout_fail(l, GH_E_NOMEM);
        return;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = place_of(l, &h->entries.v[i]);
    qsort(v, n, sizeof(*v), by_place);
    row.entries = (struct snap_range){l->n[SNAP_ENTRIES], (uint32_t)n};
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && v[end].place == v[i].place && str_eq(v[end].text, v[i].text); end++)
            ;
        put_group(&w, v + i, end - i);
    }
    row.tree = layout_tree(l, w.tree.v, w.tree.n);
    row.tree_fold = layout_tree(l, w.fold.v, w.fold.n);
    put_ranks(l, row.entries);
    *ROW(l, HOSTS, struct snap_host, host) = row;
    arena_reset(&l->scratch);
}
