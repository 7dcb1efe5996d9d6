/*
 * node.h - a YAML document as a tree in which every node knows where it stands.
 *
 * Built from libyaml events by parse.c into the load's arena; read-only afterwards. Everything later
 * (field tables, lowering, diagnostics) refers to nodes, so a finding needs only the node to say
 * file, line, column and field path.
 *
 * Scalars are resolved by the YAML 1.2 core schema with Kubernetes' habits: plain `true/false`,
 * `null`/`~`/empty, integers, floats; quoted scalars are strings always. The raw text is kept for all.
 * As in YAML 1.2, `yes`, `no`, `on` and `off` are text; numbers with a leading zero (0644), which YAML
 * 1.1 and 1.2 read differently, are text too: the field tables explain them. Aliases are resolved into
 * copies within the budget of parse.h. Depth is bounded by parse.h, so walking a tree may recurse.
 */
#ifndef GH_YAML_NODE_H
#define GH_YAML_NODE_H

#include "shared/base/str.h"

struct arena;
struct buf;

enum node_type { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

/* One input file. Lives as long as the load; `path` is as shown in findings: the name that was given, and
 * what lies below it. */
struct source {
    struct str path;
    struct str text;   /* the bytes as read (one document of it: see struct node.text) */
    bool world_readable;
};

/*
 * There are eleven of them for a route, and a load keeps them all: 56 bytes. What a number is, is read from its text
 * again when asked (node_int), the lengths of texts have 32 bits (parse.h limits files to less), and the file is the document's.
 */
struct node {
    const struct node *parent; /* NULL for the root of a document */
    const char *key_p;         /* node_key: the key in the parent map; empty in a list or root */
    union {
        const char *text_p;        /* scalars, node_text: NUL-terminated */
        const struct node **kids;  /* NODE_LIST and NODE_MAP, in file order */
    };
    uint32_t text_n;
    uint32_t n_kids;           /* 0 for scalars */
    uint32_t line, column;     /* of the value, from 1 */
    uint32_t key_line, key_column;
    uint32_t index;            /* position in the parent list or map */
    uint32_t key_n : 28;       /* build_key sees to it */
    enum node_type type : 3;
    bool quoted : 1;           /* scalar written in quotes or as a block */
};
_Static_assert(sizeof(struct node) <= 56, "there are millions of nodes");

/*
 * The root of a document, and whose document it is: the words for findings. parse.c fills them from the
 * text (empty where there are none); load.c puts in the namespace that holds.
 */
struct node_document {
    struct node root;
    const struct source *source;
    struct str api_version, kind, ns, name;
};
struct node_document *node_document(const struct node *n); /* of any node of it */
const struct source *node_source(const struct node *n);
/* Fills the words from the root's text. */
void node_document_name(struct node_document *d);
/* Makes `n` (an element of a List) the root of a document of its own; `n` itself is stale after that. */
struct node_document *node_detach(struct arena *a, const struct node *n);

/* "a string", "a list", ... as messages say it */
const char *node_type_name(enum node_type t);
/* The value under `key` of a map; NULL when absent or `n` is NULL or no map. */
const struct node *node_get(const struct node *n, const char *key);
const struct node *node_get_str(const struct node *n, struct str key); /* the first of equal keys */
/* Walks "spec.rules[0].name"; NULL when a step is missing. */
const struct node *node_walk(const struct node *n, const char *path);
/* The field path of a node, "spec.rules[0].matches[1].path", written to `out`. Keys that are no
 * plain identifiers are written ["like.this"]. The root gives "". */
void node_path(const struct node *n, struct buf *out);
/* The text of a scalar, else (and of NULL) the empty slice. */
static inline struct str node_text(const struct node *n)
{
    return n && n->type != NODE_LIST && n->type != NODE_MAP ? str_of(n->text_p, n->text_n) : STR_NONE;
}
static inline struct str node_key(const struct node *n)
{
    return str_of(n->key_p, n->key_n);
}
/* The value of a NODE_INT, 0 or 1 of a NODE_BOOL. */
int64_t node_int(const struct node *n);
/* The value of a NODE_FLOAT or NODE_INT. */
double node_float(const struct node *n);
/* The tree as compact JSON (maps in file order). `drop` names top-level keys to leave out, or NULL. */
void node_json(const struct node *n, struct buf *out, const char *const *drop);
/* A hash of the value that ignores order of map keys, comments and formatting. */
uint64_t node_hash(const struct node *n);

#endif
