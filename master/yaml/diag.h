/*
 * diag.h - a finding about the user's configuration is a value.
 *
 * Nothing in the loader prints or exits: findings are collected, sorted by file, line and column, and
 * rendered by whoever asked. Text form, as compilers write it:
 *
 *   conf.d/a.yaml:12:7: error: HTTPRoute default/shop: spec.rules[0].matchs: unknown field (did you mean "matches"?)
 *
 * JSON form: the contract of DESIGN section 3.
 *
 * `code` is a short stable CamelCase word ("UnknownField", "NotServed", "DuplicateObject"); one row
 * per code in shared/tbl/diag_code.def with the default severity and the sentence for the manual.
 */
#ifndef GH_YAML_DIAG_H
#define GH_YAML_DIAG_H

#include "master/yaml/node.h"
#include "shared/base/arena.h"

enum diag_severity { DIAG_ERROR, DIAG_WARNING, DIAG_INFO };

enum diag_code {
#define X(name, severity, text) DIAG_##name,
#include "shared/tbl/diag_code.def"
#undef X
};

struct diag {
    enum diag_severity severity;
    enum diag_code code;
    struct str file;
    uint32_t line, column;
    struct str api_version, kind, ns, name; /* of the object, where known */
    struct str path;                        /* field path, "spec.rules[0].name" */
    struct str message;                     /* what is wrong, no full stop */
    struct str hint;                        /* how to mend it; may be empty */
    const char *analyzer;                   /* istioctl's code for the same finding, "IST0101"; NULL = none */
    size_t seq;                             /* order of arrival */
    size_t more;                            /* this row stands for so many others; diags_sort says so */
};

/*
 * All findings of one load. Everything lives in `arena`, which must have an oom handler.
 *
 * Of one document at most DIAGS_PER_DOCUMENT findings are kept; one more says how many were left out, so
 * that a hostile file can't fill the memory with findings. All together have a limit, too.
 */
#define DIAGS_PER_DOCUMENT 200
#define DIAGS_MAX          50000 /* of one load */
struct diags {
    struct arena *arena;
    struct diag *v;
    size_t n, cap;
    size_t n_over;                      /* findings beyond DIAGS_MAX; diags_sort makes a row of them */
    enum diag_severity worst_over;
    size_t n_errors, n_warnings;        /* by the code's default severity until diags_sort counts again */
    const struct node_document *recent; /* the document of the last finding */
    size_t n_recent;                    /* its findings in a row */
    size_t more;                        /* the row that counts what was left out */
    struct diag left_out;               /* what the caller gets instead */
};

void diags_init(struct diags *ds, struct arena *a);
/*
 * Adds a finding at `where` (file, line, column and path come from the node; kind and name from the
 * root of its document). `hint` may be NULL; it is kept as it is, so it must live as long as `ds`.
 * Severity is the code's default. Returns the finding so that a caller may change it; the pointer is
 * good until the next finding.
 */
struct diag *diag_at(struct diags *ds, enum diag_code code, const struct node *where, const char *hint,
                     const char *fmt, ...) GH_PRINTF(5, 6);
/* As diag_at, pointing at the key `key` of map `where` (at `where` when it has no such key). */
struct diag *diag_at_key(struct diags *ds, enum diag_code code, const struct node *where,
                         const char *key, const char *hint, const char *fmt, ...) GH_PRINTF(6, 7);
/* As diag_at_key; the hint is formatted text in the arena, or empty. */
struct diag *diag_at_key_hint(struct diags *ds, enum diag_code code, const struct node *where,
                              const char *key, struct str hint, const char *fmt, ...) GH_PRINTF(6, 7);
/* `s` in double quotes for a message: control bytes escaped, cut to 60 bytes. In the arena. */
const char *diag_quote(struct arena *a, struct str s);
/* A finding without a node: a whole file, or a line of one that does not parse. line 0 = none. */
struct diag *diag_file(struct diags *ds, enum diag_code code, struct str file, uint32_t line,
                       uint32_t column, const char *fmt, ...) GH_PRINTF(6, 7);
/* File, line, column, then order of arrival; drops exact repetitions. */
void diags_sort(struct diags *ds);
const char *diag_code_name(enum diag_code c);
const char *diag_code_text(enum diag_code c);         /* the sentence for the manual */
const char *diag_severity_name(enum diag_severity s); /* "error", ... */
void diag_text(const struct diag *d, struct buf *out); /* one line with '\n' */
void diag_json(const struct diag *d, struct buf *out); /* one object */

#endif
