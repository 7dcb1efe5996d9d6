/*
 * parse.h - bytes to trees.
 *
 * A file is first cut at its document markers (`---`, `...` at the start of a line), then every
 * document is parsed by itself, so a syntax error costs that document only. BOM and CRLF are fine;
 * NUL, UTF-16 and invalid UTF-8 are refused with the byte offset. Iterative: no stack growth with
 * depth. A comment-only document yields no tree and no finding.
 *
 *   yaml_parse -> cut (parse.c) -> quick.c, for documents in the plain style nearly all are written in
 *                               -> events.c, libyaml, for all others and for every error
 *                                  both feed build.c, which makes the nodes and keeps the limits
 *
 * quick.c gives a tree only where libyaml gives the same one (a fuzz target compares them); it is there
 * because libyaml needs most of a second for what it does in a twentieth.
 *
 * Merge keys (`<<: *base`) work as in YAML 1.1. Tags other than the plain ones (!!str, !!int ...) and keys
 * that are no scalars are refused.
 */
#ifndef GH_YAML_PARSE_H
#define GH_YAML_PARSE_H

#include "master/yaml/diag.h"

struct yaml_limits {
    size_t max_file;      /* bytes of one file, 8 MiB */
    size_t max_total;     /* bytes of all files, 256 MiB */
    size_t max_documents; /* per file, 100,000 */
    size_t max_nodes;     /* per document, 1,000,000 */
    size_t max_all_nodes; /* of all files, 16,000,000: about 1.1 GB */
    size_t max_aliases;   /* alias-made nodes per document, 1,000 */
    unsigned max_depth;   /* 64; never more than 128 */
};
extern const struct yaml_limits YAML_LIMITS_DEFAULT;

struct yaml_document {
    const struct node *root; /* NULL: the document is broken (a finding says why) */
    bool faulty;             /* there is a tree, but it has errors (a key twice) */
    struct str text;         /* its own text; the marker line is in it only if it says something */
    uint32_t first_line;     /* of `text` in the file, from 1 */
};
struct yaml_documents {
    struct yaml_document *v;
    size_t n, cap;
    size_t n_nodes;
    bool broken; /* at least one document, or the file as a whole, did not parse */
};

/* Everything is allocated in `a`; `src` must live as long. Never fails: findings go to `ds`. */
void yaml_parse(struct arena *a, const struct source *src, const struct yaml_limits *limits,
                struct diags *ds, struct yaml_documents *out);
/* One document, NULL when it is broken, whose text began at line `first_line` of src (for texts kept from earlier). */
const struct node *yaml_parse_document(struct arena *a, const struct source *src, struct str text,
                                       uint32_t first_line, const struct yaml_limits *limits,
                                       struct diags *ds);

#endif
