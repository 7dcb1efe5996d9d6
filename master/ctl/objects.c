#include "master/ctl/objects.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- loading ---- */

static struct str identity(struct ctl *c, struct str api_version, struct str kind, struct str ns, struct str name)
{
    return arena_strf(&c->arena, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(api_version), STR_ARG(kind),
                      STR_ARG(ns), STR_ARG(name));
}

static void index_full(struct ctl *c, const struct node *objects, struct map *by_identity)
{
    const struct node *items = node_get(objects, "items");
    map_init(by_identity, &c->arena);
    for (size_t i = 0; items && i < items->n_kids; i++) {
        const struct node *n = items->kids[i];
        struct str key = identity(c, ctl_text(n, "apiVersion"), ctl_text(n, "kind"), ctl_text(n, "metadata.namespace"),
                                  ctl_text(n, "metadata.name"));
        map_put(by_identity, key, (void *)(uintptr_t)n);
    }
}

bool ctl_objects_load(struct ctl *c, struct ctl_objects *o)
{
    struct map full;
    *o = (struct ctl_objects){.status = ctl_json(c, "/status")};
    const struct node *objects = o->status ? ctl_json(c, "/objects") : NULL;
    if (!objects)
        return false;
    index_full(c, objects, &full);
    const struct node *judged = node_get(o->status, "objects");
    for (size_t i = 0; judged && i < judged->n_kids; i++) {
        const struct node *n = judged->kids[i];
        struct ctl_object *v = ARENA_PUSH(&c->arena, &o->all);
        bool known;
        *v = (struct ctl_object){
            .api_version = ctl_text(n, "apiVersion"), .kind_name = ctl_text(n, "kind"), .ns = ctl_text(n, "namespace"),
            .name = ctl_text(n, "name"), .file = ctl_text(n, "file"), .verdict = ctl_text(n, "verdict"),
            .line = ctl_int(n, "line"), .stale = ctl_bool(n, "stale"), .judged = n,
        };
        v->kind = kind_find(v->api_version, v->kind_name, &known);
        v->full = map_get(&full, identity(c, v->api_version, v->kind_name, v->ns, v->name));
    }
    return true;
}

/* ---- choosing ---- */

bool ctl_choice_kinds(const struct ctl *c, struct ctl_choice *choice, const char *words)
{
    struct str rest = str_c(words), word;
    if (strcmp(words, "all") == 0) {
        choice->all_kinds = true;
        return true;
    }
    while (str_split(&rest, ',', &word)) {
        const struct kind_info *k = kind_by_word(word);
        if (!k) {
            const char *near = kind_suggest(word);
            fprintf(stderr, "gatehouse %s: there is no kind \"" STR_FMT "\"", c->verb, STR_ARG(word));
            fprintf(stderr, near ? "; did you mean %s?\n" : "\n", near);
            return false;
        }
        if (choice->n_kinds < ARRAY_LEN(choice->kinds))
            choice->kinds[choice->n_kinds++] = k;
    }
    return true;
}

static struct str label_of(const struct ctl_object *o, struct str key)
{
    const struct node *labels = o->full ? node_walk(o->full, "metadata.labels") : NULL;
    for (size_t i = 0; labels && i < labels->n_kids; i++)
        if (str_eq(node_key(labels->kids[i]), key)) {
            struct str v = node_text(labels->kids[i]);
            return v.p ? v : STR("");
        }
    return STR_NONE;
}

/* a=b, a==b, a!=b, a, !a. An absent label is not equal to anything. */
static bool label_fits(const struct ctl_object *o, struct str term)
{
    ptrdiff_t eq = str_chr(term, '=');
    if (eq < 0) {
        bool absent = term.n && term.p[0] == '!';
        return (label_of(o, absent ? str_skip(term, 1) : term).p == NULL) == absent;
    }
    bool differs = eq > 0 && term.p[eq - 1] == '!';
    struct str key = str_head(term, (size_t)eq - differs), value = str_skip(term, (size_t)eq + 1);
    if (value.n && value.p[0] == '=' && !differs)
        value = str_skip(value, 1);
    struct str have = label_of(o, key);
    return (have.p && str_eq(have, value)) != differs;
}

static bool labels_fit(const struct ctl_object *o, const char *labels)
{
    struct str rest = str_c(labels), term;
    while (labels && str_split(&rest, ',', &term))
        if (!label_fits(o, str_trim(term, " ")))
            return false;
    return true;
}

bool ctl_chosen(const struct ctl_choice *choice, const struct ctl_object *o)
{
    bool kind = choice->all_kinds, name = choice->n_names == 0;
    for (size_t i = 0; i < choice->n_kinds; i++)
        kind |= choice->kinds[i] == o->kind;
    for (size_t i = 0; i < choice->n_names; i++)
        name |= str_eqc(o->name, choice->names[i]);
    bool cluster = o->ns.n == 0;
    return kind && name && (!choice->ns || cluster || str_eqc(o->ns, choice->ns)) && labels_fit(o, choice->labels);
}

static int by_kind_and_name(const void *a, const void *b)
{
    const struct ctl_object *x = *(const struct ctl_object *const *)a, *y = *(const struct ctl_object *const *)b;
    size_t kx = x->kind ? (size_t)x->kind->id : KIND_COUNT, ky = y->kind ? (size_t)y->kind->id : KIND_COUNT;
    if (kx != ky)
        return kx < ky ? -1 : 1;
    int c = str_cmp(x->ns, y->ns);
    c = c ? c : str_cmp(x->name, y->name);
    return c ? c : str_cmp(x->file, y->file);
}

size_t ctl_choose(struct ctl *c, const struct ctl_objects *o, const struct ctl_choice *choice,
                  const struct ctl_object ***out)
{
    size_t n = 0;
    const struct ctl_object **v = arena_new_n(&c->arena, const struct ctl_object *, o->all.n + 1);
    for (size_t i = 0; i < o->all.n; i++)
        if (ctl_chosen(choice, &o->all.v[i]))
            v[n++] = &o->all.v[i];
    qsort(v, n, sizeof(*v), by_kind_and_name);
    *out = v;
    return n;
}

/* ---- looking at one ---- */

struct collection {
    struct buf *out;
    size_t n, max;
};

static void collect_value(struct collection *k, struct str value)
{
    if (k->max == 0 || k->n < k->max) {
        if (k->n)
            buf_addch(k->out, ',');
        buf_adds(k->out, value);
    }
    k->n++;
}

static void collect(struct collection *k, const struct node *n, struct str path)
{
    while (n && path.n) {
        ptrdiff_t star = str_find(path, STR("[*]"));
        ptrdiff_t dot = str_chr(path, '.');
        size_t end = dot >= 0 ? (size_t)dot : path.n;
        bool each = star >= 0 && (size_t)star < end, keys = str_ends(str_head(path, end), STR("{}"));
        struct str word = str_head(path, each ? (size_t)star : keys ? end - 2 : end);
        char name[64];
        snprintf(name, sizeof(name), STR_FMT, STR_ARG(word));
        n = node_get(n, name);
        path = dot >= 0 ? str_skip(path, (size_t)dot + 1) : STR_NONE;
        if (!each && !keys)
            continue;
        for (size_t i = 0; n && i < n->n_kids; i++)
            if (keys)
                collect_value(k, node_key(n->kids[i]));
            else
                collect(k, n->kids[i], path);
        return;
    }
    if (n && n->type != NODE_NULL && node_text(n).n)
        collect_value(k, node_text(n));
}

void ctl_collect(const struct node *n, const char *path, size_t max, struct buf *out)
{
    struct collection k = {out, 0, max};
    collect(&k, n, str_c(path));
    if (max && k.n > max)
        buf_addf(out, "+%zu", k.n - max);
}

void ctl_each_conditions(const struct ctl_object *o,
                         void (*fn)(void *arg, struct str parent, const struct node *conditions), void *arg)
{
    const struct node *status = node_get(o->judged, "status");
    const struct node *own = node_get(status, "conditions"), *parents = node_get(status, "parents");
    const struct node *listeners = node_get(status, "listeners");
    if (own)
        fn(arg, STR_NONE, own);
    for (size_t i = 0; parents && i < parents->n_kids; i++)
        if (node_get(parents->kids[i], "conditions"))
            fn(arg, ctl_text(parents->kids[i], "parentRef.name"), node_get(parents->kids[i], "conditions"));
    for (size_t i = 0; listeners && i < listeners->n_kids; i++) {
        char name[128];
        snprintf(name, sizeof(name), "listener " STR_FMT, STR_ARG(ctl_text(listeners->kids[i], "name")));
        if (node_get(listeners->kids[i], "conditions"))
            fn(arg, str_c(name), node_get(listeners->kids[i], "conditions"));
    }
}

struct wanted_condition {
    const char *type;    /* NULL: the first false one */
    struct str status, reason;
};

/* Conditions for which False is the good news. */
static bool is_problem_when_true(struct str type)
{
    return str_eqc(type, "Conflicted") || str_eqc(type, "OverlappingTLSConfig") || str_eqc(type, "PartiallyInvalid");
}

static void find_condition(void *arg, struct str parent, const struct node *conditions)
{
    struct wanted_condition *w = arg;
    (void)parent;
    for (size_t i = 0; i < conditions->n_kids; i++) {
        const struct node *k = conditions->kids[i];
        struct str type = ctl_text(k, "type"), status = ctl_text(k, "status");
        if (w->type && str_eqc(type, w->type) && (w->status.n == 0 || str_eqc(status, "False")))
            w->status = status;
        bool bad = str_eqc(status, is_problem_when_true(type) ? "True" : "False");
        if (bad && w->reason.n == 0)
            w->reason = ctl_text(k, "reason");
    }
}

struct str ctl_condition(const struct ctl_object *o, const char *type)
{
    struct wanted_condition w = {.type = type};
    ctl_each_conditions(o, find_condition, &w);
    return w.status;
}

struct str ctl_verdict(const struct ctl_object *o)
{
    struct wanted_condition w = {0};
    if (o->stale)
        return STR("Stale");
    if (str_eqc(o->verdict, "rejected"))
        return STR("Rejected");
    if (str_eqc(o->verdict, "unserved"))
        return STR("NotServed");
    ctl_each_conditions(o, find_condition, &w);
    return w.reason.n ? w.reason : STR("Accepted");
}

struct str ctl_age(struct ctl *c, const struct ctl_object *o)
{
    uint64_t created, now = clock_wall_us();
    struct str text = ctl_text(o->full, "metadata.creationTimestamp");
    if (!clock_parse(text, &created))
        return STR_NONE;
    unsigned long long s = now > created ? (now - created) / 1000000 : 0;
    if (s < 120)
        return arena_strf(&c->arena, "%llus", s);
    if (s < 7200)
        return arena_strf(&c->arena, "%llum", s / 60);
    return s < 172800 ? arena_strf(&c->arena, "%lluh", s / 3600) : arena_strf(&c->arena, "%llud", s / 86400);
}
