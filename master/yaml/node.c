#include "master/yaml/node.h"
#include "master/yaml/number.h"
#include "shared/base/arena.h"
#include "shared/base/hash.h"

#include <math.h>

const char *node_type_name(enum node_type t)
{
    static const char *const names[] = {
        [NODE_NULL] = "nothing",     [NODE_BOOL] = "true or false", [NODE_INT] = "an integer",
        [NODE_FLOAT] = "a number",   [NODE_STRING] = "a string",    [NODE_LIST] = "a list",
        [NODE_MAP] = "a map",
    };
    return names[t];
}

const struct node *node_get_str(const struct node *n, struct str key)
{
    if (!n || n->type != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < n->n_kids; i++)
        if (str_eq(node_key(n->kids[i]), key))
            return n->kids[i];
    return NULL;
}

const struct node *node_get(const struct node *n, const char *key)
{
    return node_get_str(n, str_c(key));
}

/* One step of node_walk at the front of *rest: ".name", "name", "[3]" or "[\"name\"]". */
static const struct node *walk_step(const struct node *n, struct str *rest)
{
    if (rest->p[0] == '[') {
        ptrdiff_t close = str_chr(*rest, ']');
        if (close < 2)
            return NULL;
        struct str in = str_of(rest->p + 1, (size_t)close - 1);
        *rest = str_skip(*rest, (size_t)close + 1);
        if (in.p[0] == '"')
            return node_get_str(n, str_trim(in, "\""));
        uint64_t i;
        if (!str_u64(in, &i) || n->type != NODE_LIST || i >= n->n_kids)
            return NULL;
        return n->kids[i];
    }
    if (rest->p[0] == '.')
        *rest = str_skip(*rest, 1);
    size_t end = 0;
    while (end < rest->n && rest->p[end] != '.' && rest->p[end] != '[')
        end++;
    struct str key = str_head(*rest, end);
    *rest = str_skip(*rest, end);
    return node_get_str(n, key);
}

const struct node *node_walk(const struct node *n, const char *path)
{
    struct str rest = str_c(path);
    while (n && rest.n > 0)
        n = walk_step(n, &rest);
    return n;
}

static bool is_identifier(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if (!ascii_is_alpha(key.p[i]) && !ascii_is_digit(key.p[i]) && key.p[i] != '_' && key.p[i] != '-')
            return false;
    return key.n > 0;
}

void node_path(const struct node *n, struct buf *out)
{
    if (!n || !n->parent)
        return;
    node_path(n->parent, out);
    if (n->parent->type == NODE_LIST) {
        buf_addch(out, '[');
        buf_addu(out, n->index);
        buf_addch(out, ']');
    } else if (is_identifier(node_key(n))) {
        if (out->n > 0)
            buf_addch(out, '.');
        buf_adds(out, node_key(n));
    } else {
        buf_addch(out, '[');
        buf_json(out, node_key(n));
        buf_addch(out, ']');
    }
}

int64_t node_int(const struct node *n)
{
    int64_t v = 0;
    if (n->type == NODE_BOOL)
        return n->text_p[0] == 't' || n->text_p[0] == 'T';
    return n->type == NODE_INT && number_int(node_text(n), &v) ? v : 0;
}

double node_float(const struct node *n)
{
    double d = 0;
    if (n->type == NODE_INT)
        return (double)node_int(n);
    return n->type == NODE_FLOAT && number_float(node_text(n), &d) ? d : 0;
}

struct node_document *node_document(const struct node *n)
{
    while (n->parent)
        n = n->parent;
    return CONTAINER_OF(n, struct node_document, root);
}

const struct source *node_source(const struct node *n)
{
    return node_document(n)->source;
}

void node_document_name(struct node_document *d)
{
    const struct node *meta = node_get(&d->root, "metadata");
    d->api_version = node_text(node_get(&d->root, "apiVersion"));
    d->kind = node_text(node_get(&d->root, "kind"));
    d->ns = node_text(node_get(meta, "namespace"));
    d->name = node_text(node_get(meta, "name"));
}

struct node_document *node_detach(struct arena *a, const struct node *n)
{
    struct node_document *d = arena_new(a, struct node_document);
    d->source = node_source(n);
    d->root = *n;
    d->root.parent = NULL;
    d->root.key_p = NULL;
    d->root.key_n = d->root.index = 0;
    /* The kids were made for this tree, which nobody reads before it is handed on. */
    for (size_t i = 0; i < n->n_kids; i++)
        ((struct node *)(uintptr_t)n->kids[i])->parent = &d->root;
    node_document_name(d);
    return d;
}

static bool listed(const char *const *names, struct str key)
{
    for (; names && *names; names++)
        if (str_eqc(key, *names))
            return true;
    return false;
}

static void json_float(const struct node *n, struct buf *out)
{
    if (isfinite(node_float(n)))
        buf_addf(out, "%.17g", node_float(n));
    else
        buf_json(out, node_text(n));
}

static void json_kids(const struct node *n, struct buf *out, const char *const *drop)
{
    bool map = n->type == NODE_MAP, first = true;
    buf_addch(out, map ? '{' : '[');
    for (size_t i = 0; i < n->n_kids; i++) {
        if (map && listed(drop, node_key(n->kids[i])))
            continue;
        if (!first)
            buf_addch(out, ',');
        first = false;
        if (map) {
            buf_json(out, node_key(n->kids[i]));
            buf_addch(out, ':');
        }
        node_json(n->kids[i], out, NULL);
    }
    buf_addch(out, map ? '}' : ']');
}

void node_json(const struct node *n, struct buf *out, const char *const *drop)
{
    switch (n->type) {
    case NODE_NULL: buf_addc(out, "null"); break;
    case NODE_BOOL: buf_addc(out, node_int(n) ? "true" : "false"); break;
    case NODE_INT: buf_addf(out, "%lld", (long long)node_int(n)); break;
    case NODE_FLOAT: json_float(n, out); break;
    case NODE_STRING: buf_json(out, node_text(n)); break;
    case NODE_LIST:
    case NODE_MAP: json_kids(n, out, drop); break;
    }
}

uint64_t node_hash(const struct node *n)
{
    uint64_t h = hash_mix(0x6e6f6465, n->type);
    switch (n->type) {
    case NODE_NULL: return h;
    case NODE_BOOL:
    case NODE_INT: return hash_mix(h, (uint64_t)node_int(n));
    case NODE_FLOAT:
    case NODE_STRING: return hash_str(node_text(n), h);
    case NODE_LIST:
        for (size_t i = 0; i < n->n_kids; i++)
            h = hash_mix(h, node_hash(n->kids[i]));
        return h;
    case NODE_MAP: {
        uint64_t sum = n->n_kids; /* a sum does not know the order of its terms */
        for (size_t i = 0; i < n->n_kids; i++)
            sum += hash_str(node_key(n->kids[i]), node_hash(n->kids[i]));
        return hash_mix(h, sum);
    }
    }
    return h;
}
