#include "master/yaml/build.h"
#include "master/yaml/number.h"
#include "shared/base/arena.h"

#include <stdlib.h>

#define FEW_KEYS 24 /* up to here, comparing all with all beats a table */

void build_init(struct build *b, struct arena *a, const struct source *src,
                const struct yaml_limits *limits, struct diags *ds)
{
    b->arena = a;
    b->source = src;
    b->limits = limits;
    b->diags = ds;
    b->kids = NULL;
    b->cap_kids = 0;
    build_begin(b, false);
}

void build_fini(struct build *b)
{
    free(b->kids);
    b->kids = NULL;
}

void build_begin(struct build *b, bool quiet)
{
    b->quiet = quiet;
    b->faulty = false;
    b->doc = NULL;
    b->n_nodes = b->n_aliased = 0;
    b->depth = 0;
    b->anchors.arena = NULL;
    b->n_kids = 0;
}

static void grow_kids(struct build *b)
{
    size_t cap = b->cap_kids ? b->cap_kids * 2 : 1024;
    struct node **v = realloc(b->kids, cap * sizeof(*v));
    if (!v && b->arena->oom)
        b->arena->oom();
    must(v != NULL); /* the arena of a load has an oom handler, which does not return */
    b->kids = v;
    b->cap_kids = cap;
}

static void push_kid(struct build *b, struct node *n)
{
    if (b->n_kids == b->cap_kids)
        grow_kids(b);
    b->kids[b->n_kids++] = n;
}

/* A finding that ends the document. */
#define GIVE_UP(b, code, at, ...) \
    ((b)->quiet ? false : (diag_file((b)->diags, (code), (b)->source->path, (at).line, (at).column, __VA_ARGS__), false))

/* ---- types of plain scalars: YAML 1.2 core schema ---- */

static bool is_any(struct str s, const char *const *words)
{
    for (; *words; words++)
        if (str_eqc(s, *words))
            return true;
    return false;
}

static void resolve(struct node *n)
{
    static const char *const nulls[] = {"~", "null", "Null", "NULL", NULL};
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    struct str s = node_text(n);
    int64_t i;
    double d;
    n->type = NODE_STRING;
    if (s.n == 0) {
        n->type = NODE_NULL;
        return;
    }
    switch (s.p[0]) {
    case '~': case 'n': case 'N':
        if (is_any(s, nulls))
            n->type = NODE_NULL;
        break;
    case 't': case 'T':
        if (is_any(s, yes))
            n->type = NODE_BOOL;
        break;
    case 'f': case 'F':
        if (is_any(s, no))
            n->type = NODE_BOOL;
        break;
    case '+': case '-': case '.':
    case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        if (number_int(s, &i))
            n->type = NODE_INT;
        else if (number_float(s, &d))
            n->type = NODE_FLOAT;
        break;
    default: break;
    }
}

/* ---- nodes ---- */

/* Hangs `n` under the open collection, with the key that was read before it. */
static void attach(struct build *b, struct node *n)
{
    struct build_frame *f = &b->frames[b->depth - 1];
    n->parent = f->node;
    n->key_p = f->key.p;
    n->key_n = (uint32_t)f->key.n & BUILD_KEY_MAX;
    n->key_line = f->key_at.line;
    n->key_column = f->key_at.column;
    n->index = (uint32_t)(b->n_kids - f->base);
    f->key = STR_NONE;
    push_kid(b, n);
}

/* A node at `at`, attached. */
static struct node *new_node(struct build *b, enum node_type type, struct place at)
{
    struct node *n;
    if (b->n_nodes >= b->limits->max_nodes) {
        GIVE_UP(b, DIAG_LimitExceeded, at, "this document has more than %zu nodes", b->limits->max_nodes);
        return NULL;
    }
    b->n_nodes++;
    if (b->depth == 0) {
        b->doc = arena_new(b->arena, struct node_document);
        b->doc->source = b->source;
        n = &b->doc->root;
    } else {
        n = arena_new(b->arena, struct node);
        attach(b, n);
    }
    n->type = type;
    n->line = at.line;
    n->column = at.column;
    return n;
}

static void remember(struct build *b, struct str anchor, struct node *n)
{
    if (anchor.n == 0)
        return;
    if (!b->anchors.arena)
        map_init(&b->anchors, b->arena);
    map_put(&b->anchors, anchor, n);
}

bool build_key(struct build *b, struct str key, struct place at, bool plain)
{
    struct build_frame *f = &b->frames[b->depth - 1];
    if (key.n > BUILD_KEY_MAX)
        return GIVE_UP(b, DIAG_LimitExceeded, at, "this key is longer than 256 MiB");
    f->key = key;
    f->key_at = at;
    f->merge |= plain && str_eqc(key, "<<");
    return true;
}

bool build_scalar(struct build *b, struct str text, struct place at, enum build_style style, struct str anchor)
{
    struct node *n = new_node(b, NODE_STRING, at);
    if (!n)
        return false;
    n->text_p = text.p;
    n->text_n = (uint32_t)text.n;
    n->quoted = style == BUILD_QUOTED;
    if (style == BUILD_PLAIN)
        resolve(n);
    remember(b, anchor, n);
    return true;
}

bool build_open(struct build *b, enum node_type type, struct place at, struct str anchor)
{
    unsigned most = GH_MIN(b->limits->max_depth, BUILD_DEPTH_MAX);
    if (b->depth >= most)
        return GIVE_UP(b, DIAG_LimitExceeded, at, "lists and maps are nested more than %u deep", most);
    struct node *n = new_node(b, type, at);
    if (!n)
        return false;
    remember(b, anchor, n);
    b->frames[b->depth++] = (struct build_frame){.node = n, .base = b->n_kids};
    return true;
}

/* ---- aliases and merge keys: copies within the budget ---- */

static struct node *copy(struct build *b, const struct node *from, const struct node *parent,
                         struct place at, unsigned depth)
{
    if (b->n_aliased++ >= b->limits->max_aliases) {
        GIVE_UP(b, DIAG_LimitExceeded, at, "aliases make more than %zu nodes", b->limits->max_aliases);
        return NULL;
    }
    if (depth > GH_MIN(b->limits->max_depth, BUILD_DEPTH_MAX)) {
        GIVE_UP(b, DIAG_LimitExceeded, at, "aliases nest deeper than %u", b->limits->max_depth);
        return NULL;
    }
    struct node *n = arena_new(b->arena, struct node);
    *n = *from;
    n->parent = parent;
    if (from->n_kids > 0) {
        n->kids = arena_new_n(b->arena, const struct node *, from->n_kids);
        for (size_t i = 0; i < from->n_kids; i++)
            if (!(n->kids[i] = copy(b, from->kids[i], n, at, depth + 1)))
                return NULL;
    }
    return n;
}

bool build_alias(struct build *b, struct str name, struct place at)
{
    struct node *from = b->anchors.arena ? map_get(&b->anchors, name) : NULL;
    if (!from)
        return GIVE_UP(b, DIAG_Syntax, at, "the alias *" STR_FMT " has no anchor &" STR_FMT " before it",
                       STR_ARG(name), STR_ARG(name));
    for (unsigned i = 0; i < b->depth; i++)
        if (b->frames[i].node == from)
            return GIVE_UP(b, DIAG_Syntax, at, "the alias *" STR_FMT " stands inside what it names", STR_ARG(name));
    struct node *n = copy(b, from, NULL, at, b->depth + 1);
    if (!n)
        return false;
    n->line = at.line;
    n->column = at.column;
    n->key_p = NULL;
    n->key_n = n->key_line = n->key_column = n->index = 0;
    if (b->depth > 0)
        attach(b, n);
    return true;
}

static bool holds_key(const struct build *b, size_t base, struct str key)
{
    for (size_t i = base; i < b->n_kids; i++)
        if (str_eq(node_key(b->kids[i]), key))
            return true;
    return false;
}

/* Appends the kids of `from` whose keys the map does not have yet. */
static bool merge_one(struct build *b, const struct build_frame *f, const struct node *from,
                      const struct node *at)
{
    if (from->type != NODE_MAP) {
        struct place p = {at->key_line, at->key_column};
        return GIVE_UP(b, DIAG_Syntax, p, "\"<<\" takes a map or a list of maps");
    }
    for (size_t i = 0; i < from->n_kids; i++) {
        if (holds_key(b, f->base, node_key(from->kids[i])))
            continue;
        struct place p = {at->line, at->column};
        struct node *n = copy(b, from->kids[i], f->node, p, b->depth + 1);
        if (!n)
            return false;
        push_kid(b, n);
    }
    return true;
}

static bool merge(struct build *b, struct build_frame *f)
{
    size_t end = b->n_kids, kept = f->base;
    const struct node *merged[8];
    size_t n_merged = 0;
    for (size_t i = f->base; i < end; i++) {
        struct node *n = b->kids[i];
        if (!str_eqc(node_key(n), "<<")) {
            b->kids[kept++] = n;
            continue;
        }
        struct place p = {n->key_line, n->key_column};
        if (n_merged == ARRAY_LEN(merged))
            return GIVE_UP(b, DIAG_LimitExceeded, p, "more than %zu \"<<\" in one map", ARRAY_LEN(merged));
        merged[n_merged++] = n;
    }
    b->n_kids = kept;
    for (size_t m = 0; m < n_merged; m++) {
        const struct node *n = merged[m];
        bool list = n->type == NODE_LIST;
        for (size_t i = 0; i < (list ? n->n_kids : 1); i++)
            if (!merge_one(b, f, list ? n->kids[i] : n, n))
                return false;
    }
    return true;
}

/* ---- the end of a collection ---- */

static bool duplicate(struct build *b, const struct node *first, const struct node *again)
{
    if (b->quiet)
        return false;
    struct diag *d = diag_file(b->diags, DIAG_DuplicateKey, b->source->path, again->key_line,
                               again->key_column, "the key %s stands here twice, first in line %u",
                               diag_quote(b->arena, node_key(again)), first->key_line);
    d->hint = STR("the values would hide each other; merge them or take one away");
    b->faulty = true;
    return true;
}

static bool check_few_keys(struct build *b, size_t base, size_t n)
{
    struct node **v = b->kids + base;
    for (size_t i = 1; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (v[i]->key_n == v[k]->key_n && str_eq(node_key(v[i]), node_key(v[k]))) {
                if (!duplicate(b, v[k], v[i]))
                    return false;
                break;
            }
    return true;
}

static bool check_keys(struct build *b, size_t base)
{
    size_t n = b->n_kids - base;
    struct map seen;
    if (n < 2)
        return true;
    if (n <= FEW_KEYS)
        return check_few_keys(b, base, n);
    map_init(&seen, b->arena);
    for (size_t i = 0; i < n; i++) {
        struct node *kid = b->kids[base + i], *first = map_get(&seen, node_key(kid));
        if (!first)
            map_put(&seen, node_key(kid), kid);
        else if (!duplicate(b, first, kid))
            return false;
    }
    return true;
}

bool build_close(struct build *b)
{
    struct build_frame *f = &b->frames[b->depth - 1];
    struct node *n = f->node;
    if (n->type == NODE_MAP && f->merge && !merge(b, f))
        return false;
    if (n->type == NODE_MAP && !check_keys(b, f->base))
        return false;
    n->n_kids = (uint32_t)(b->n_kids - f->base);
    if (n->n_kids > 0) {
        n->kids = arena_room(b->arena, n->n_kids * sizeof(*n->kids));
        for (size_t i = 0; i < n->n_kids; i++)
            n->kids[i] = b->kids[f->base + i];
    }
    for (size_t i = 0; f->merge && i < n->n_kids; i++)
        b->kids[f->base + i]->index = (uint32_t)i;
    b->n_kids = f->base;
    b->depth--;
    return true;
}
