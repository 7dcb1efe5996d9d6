/*
 * build.h - a stream of scalars, opened and closed collections to a tree, within limits.
 *
 * What quick.c and events.c have in common. Private to this room.
 *
 *   build_begin, then for every node: build_key (inside maps) and one of build_scalar, build_alias,
 *   build_open .. build_close; the root is in `doc` after the last close.
 *
 * Every function returns false when the document can't go on: a finding was made (unless `quiet`), or
 * the quick way is not fit for it.
 */
#ifndef GH_YAML_BUILD_H
#define GH_YAML_BUILD_H

#include "master/yaml/parse.h"
#include "shared/base/hash.h"

#define BUILD_DEPTH_MAX 128
#define BUILD_KEY_MAX   ((1u << 28) - 1) /* bytes: struct node.key_n */

struct place {
    uint32_t line, column; /* in the file, from 1 */
};

struct build_frame {
    struct node *node;
    size_t base;        /* its first kid on the stack of kids */
    struct str key;     /* of the value to come; key.p is NULL when a key is expected, and in lists */
    struct place key_at;
    bool merge;         /* a plain "<<" is among the keys */
};

struct build {
    struct arena *arena;
    const struct source *source;
    const struct yaml_limits *limits;
    struct diags *diags;
    bool quiet;                  /* make no findings: give up instead */
    bool faulty;                 /* findings that leave a tree */
    struct node_document *doc;   /* NULL until the root begins */
    size_t n_nodes, n_aliased;
    struct build_frame frames[BUILD_DEPTH_MAX];
    unsigned depth;
    struct node **kids;          /* of all open collections; owned */
    size_t n_kids, cap_kids;
    struct map anchors;          /* name -> node; anchors.arena is NULL until the first */
};

void build_init(struct build *b, struct arena *a, const struct source *src,
                const struct yaml_limits *limits, struct diags *ds);
void build_fini(struct build *b);
void build_begin(struct build *b, bool quiet);

/* `key` must live as long as the tree. `plain` keys may be "<<". */
bool build_key(struct build *b, struct str key, struct place at, bool plain);
/* Which type a scalar's text gets. */
enum build_style { BUILD_PLAIN, BUILD_QUOTED };
/* `text` is NUL-terminated and lives as long as the tree. `anchor` may be empty, as below. */
bool build_scalar(struct build *b, struct str text, struct place at, enum build_style style, struct str anchor);
bool build_open(struct build *b, enum node_type type, struct place at, struct str anchor);
bool build_close(struct build *b);
bool build_alias(struct build *b, struct str name, struct place at);
/* Inside a map and before a key? */
static inline bool build_wants_key(const struct build *b)
{
    return b->depth > 0 && b->frames[b->depth - 1].node->type == NODE_MAP && !b->frames[b->depth - 1].key.p;
}

#endif
