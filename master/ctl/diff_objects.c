#include "master/ctl/diff.h"
#include "master/yaml/parse.h"

/* One object of one side. */
struct thing {
    const struct node *root;
    struct str api_version, kind, ns, name;
    bool seen;
};

#define FIELDS_MAX 40 /* per object */

bool diff_next_element(struct str *rest, struct str *element)
{
    size_t at = 0, depth = 0, start;
    bool quoted = false;
    while (at < rest->n && (rest->p[at] == '[' || rest->p[at] == ',' || rest->p[at] == ' ' || rest->p[at] == '\n'))
        at++;
    if (at >= rest->n || rest->p[at] != '{')
        return false;
    for (start = at; at < rest->n; at++) {
        char c = rest->p[at];
        if (quoted) {
            at += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            *element = str_of(rest->p + start, at + 1 - start);
            *rest = str_skip(*rest, at + 1);
            return true;
        }
    }
    return false;
}

static struct str id_of(struct diff *d, const struct thing *t)
{
    ptrdiff_t slash = str_rchr(t->api_version, '/'); /* versions of a kind are one kind */
    struct str group = slash < 0 ? STR("") : str_head(t->api_version, (size_t)slash);
    return arena_strf(d->arena, STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(group), STR_ARG(t->kind),
                      STR_ARG(t->ns), STR_ARG(t->name));
}

static bool read_side(struct diff *d, struct str resources, struct map *things)
{
    struct diags unheard;
    struct str element;
    struct source *src = arena_new(d->arena, struct source);
    diags_init(&unheard, d->arena);
    map_init(things, d->arena);
    *src = (struct source){.path = STR("(resources)"), .text = resources};
    while (diff_next_element(&resources, &element)) {
        struct thing *t = arena_new(d->arena, struct thing);
        t->root = yaml_parse_document(d->arena, src, element, 1, &YAML_LIMITS_DEFAULT, &unheard);
        if (!t->root)
            return false;
        t->api_version = node_text(node_get(t->root, "apiVersion"));
        t->kind = node_text(node_get(t->root, "kind"));
        t->ns = node_text(node_walk(t->root, "metadata.namespace"));
        t->name = node_text(node_walk(t->root, "metadata.name"));
        map_put(things, id_of(d, t), t);
    }
    return true;
}

/* --- fields -------------------------------------------------------------------------------------- */

/* What the gateway keeps beside an object, not what somebody wrote. */
static bool is_bookkeeping(struct str path)
{
    static const char *const PATHS[] = {"status", "metadata.uid", "metadata.generation", "metadata.creationTimestamp",
                                        "metadata.resourceVersion", "metadata.managedFields"};
    for (size_t i = 0; i < ARRAY_LEN(PATHS); i++)
        if (str_eqc(path, PATHS[i]))
            return true;
    return false;
}

static struct str value_text(struct diff *d, const struct node *n)
{
    struct buf b = {0};
    if (!n)
        return STR("");
    node_json(n, &b, NULL);
    struct str s = arena_str(d->arena, buf_str(&b));
    buf_fini(&b);
    return s;
}

static bool is_leaf(const struct node *n)
{
    return !n || (n->type != NODE_MAP && n->type != NODE_LIST) || n->n_kids == 0;
}

static void compare(struct diff *d, struct diff_row *r, struct str path, const struct node *a, const struct node *b);

static struct str below(struct diff *d, struct str path, struct str key)
{
    return arena_strf(d->arena, STR_FMT "%s" STR_FMT, STR_ARG(path), path.n ? "." : "", STR_ARG(key));
}

static const struct node *kid_of(const struct node *n, struct str key)
{
    for (size_t i = 0; i < n->n_kids; i++)
        if (str_eq(node_key(n->kids[i]), key))
            return n->kids[i];
    return NULL;
}

static void compare_maps(struct diff *d, struct diff_row *r, struct str path, const struct node *a, const struct node *b)
{
    for (size_t i = 0; i < a->n_kids; i++)
        compare(d, r, below(d, path, node_key(a->kids[i])), a->kids[i], kid_of(b, node_key(a->kids[i])));
    for (size_t i = 0; i < b->n_kids; i++)
        if (!kid_of(a, node_key(b->kids[i])))
            compare(d, r, below(d, path, node_key(b->kids[i])), NULL, b->kids[i]);
}

/* Lists are compared from both ends, so that one element more in the middle is one difference. */
static void compare_lists(struct diff *d, struct diff_row *r, struct str path, const struct node *a, const struct node *b)
{
    size_t n = GH_MIN(a->n_kids, b->n_kids), head = 0, tail = 0;
    while (head < n && node_hash(a->kids[head]) == node_hash(b->kids[head]))
        head++;
    while (tail < n - head && node_hash(a->kids[a->n_kids - 1 - tail]) == node_hash(b->kids[b->n_kids - 1 - tail]))
        tail++;
    size_t left = a->n_kids - head - tail, right = b->n_kids - head - tail;
    for (size_t i = 0; i < GH_MAX(left, right); i++)
        compare(d, r, arena_strf(d->arena, STR_FMT "[%zu]", STR_ARG(path), head + i), i < left ? a->kids[head + i] : NULL,
                i < right ? b->kids[head + i] : NULL);
}

static void compare(struct diff *d, struct diff_row *r, struct str path, const struct node *a, const struct node *b)
{
    if (is_bookkeeping(path) || r->fields.n >= FIELDS_MAX || (a && b && node_hash(a) == node_hash(b)))
        return;
    if (is_leaf(a) || is_leaf(b) || a->type != b->type)
        diff_add_field(d, r, path, value_text(d, a), value_text(d, b))->json = true;
    else if (a->type == NODE_MAP)
        compare_maps(d, r, path, a, b);
    else
        compare_lists(d, r, path, a, b);
}

/* --- objects ------------------------------------------------------------------------------------- */

static struct diff_row *row_of(struct diff *d, enum diff_how how, const struct thing *t)
{
    struct str title = arena_strf(d->arena, STR_FMT " " STR_FMT "%s" STR_FMT, STR_ARG(t->kind), STR_ARG(t->ns),
                                  t->ns.n ? "/" : "", STR_ARG(t->name));
    struct diff_row *r = diff_add(d, DIFF_OBJECTS, how, title);
    r->members[0] = (struct diff_member){"apiVersion", t->api_version};
    r->members[1] = (struct diff_member){"kind", t->kind};
    r->members[2] = (struct diff_member){"namespace", t->ns};
    r->members[3] = (struct diff_member){"name", t->name};
    return r;
}

bool diff_objects(struct diff *d)
{
    struct map old, now;
    if (!read_side(d, d->old.resources, &old) || !read_side(d, d->now.resources, &now)) {
        d->fault = STR("the list of objects can't be read");
        return false;
    }
    for (size_t i = 0; i < old.n; i++) {
        struct thing *a = old.v[i].val, *b = map_get(&now, old.v[i].key);
        if (!b) {
            row_of(d, DIFF_REMOVED, a);
            continue;
        }
        struct diff_row probe = {0};
        b->seen = true;
        compare(d, &probe, STR(""), a->root, b->root);
        if (probe.fields.n)
            row_of(d, DIFF_CHANGED, b)->fields = (__typeof__(probe.fields)){probe.fields.v, probe.fields.n, probe.fields.cap};
    }
    for (size_t i = 0; i < now.n; i++)
        if (!((struct thing *)now.v[i].val)->seen)
            row_of(d, DIFF_ADDED, now.v[i].val);
    return true;
}
