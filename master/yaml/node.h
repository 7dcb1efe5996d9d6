/*
 * node.h - a YAML document as a tree in which every node knows where it stands.
 *
 * Built from libyaml events by parse.c into the load's arena; read-only afterwards. Everything later
 * (field tables, lowering, diagnostics) refers to nodes, so a finding needs only the node to say
 * file, line, column and field path.
 *
 * Scalars are resolved by the YAML 1.2 core schema with Kubernetes' habits: plain `true/false`,
 * `null`/`~`/empty, integers, floats; quoted scalars are strings always. The raw text is kept for all.
 * Aliases are resolved into shared sub-trees' copies within the node budget of limits (parse.h).
 */
#ifndef GH_YAML_NODE_H
#define GH_YAML_NODE_H

#include "shared/base/str.h"

enum node_type { NODE_NULL, NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_LIST, NODE_MAP };

/* One input file. Lives as long as the load; `path` is relative to the conf dir when below it. */
struct source {
    struct str path;
    struct str text;   /* the bytes as read (one document of it: see struct node.text) */
    bool world_readable;
};

struct node {
    enum node_type type;
    uint32_t line, column; /* of the value, from 1 */
    const struct source *source;
    const struct node *parent; /* NULL for the root of a document */
    struct str key;            /* the key in the parent map; empty in a list or root */
    uint32_t key_line, key_column;
    uint32_t index;            /* position in the parent list or map */
    struct str text;           /* scalars: the value's text; NUL-terminated */
    bool quoted;               /* scalar written in quotes or as a block */
    int64_t i;                 /* NODE_INT, and 0/1 for NODE_BOOL */
    double d;                  /* NODE_FLOAT and NODE_INT */
    const struct node **kids;  /* NODE_LIST and NODE_MAP, in file order */
    size_t n_kids;
};

const char *node_type_name(enum node_type t); /* "string", "list", ... as messages say it */
/* The value under `key` of a map; NULL when absent or `n` is NULL or no map. */
const struct node *node_get(const struct node *n, const char *key);
/* Walks "spec.rules[0].name"; NULL when a step is missing. */
const struct node *node_walk(const struct node *n, const char *path);
/* The field path of a node, "spec.rules[0].matches[1].path", written to `out`. Keys that are no
 * plain identifiers are written ["like.this"]. The root gives "". */
struct buf;
void node_path(const struct node *n, struct buf *out);
/* The text of a scalar, else the empty slice. */
struct str node_text(const struct node *n);
/* The tree as compact JSON (maps in file order). `drop` names top-level keys to leave out, or NULL. */
void node_json(const struct node *n, struct buf *out, const char *const *drop);
/* A hash of the value that ignores order of map keys, comments and formatting. */
uint64_t node_hash(const struct node *n);

#endif
