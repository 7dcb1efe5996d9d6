/*
 * load.h - the configuration directory to a filled store: find, read, parse, decode, judge.
 *
 * Objects are judged one by one (RELIABILITY section 8): a broken file or object keeps its last good
 * version (from the state) and is reported; everything else moves on. Duplicate objects: both places
 * are named; the one that served before (else the one created first, else first by file and line) wins.
 * If a file has a broken document, all objects that its earlier good version held and that do not appear
 * now are kept as stale; so are those of files and directories that can't be read.
 *
 * Namespace of an object: metadata.namespace, else the directory ns/NAME/ below the conf dir, else
 * "default". Cluster-scoped kinds have none. `kind: List` is unpacked.
 *
 * `struct source.path` is the path as it was given, with what lies below: "conf.d/team/a.yaml".
 */
#ifndef GH_STORE_LOAD_H
#define GH_STORE_LOAD_H

#include "master/store/state.h"
#include "master/yaml/parse.h"

struct load_input {
    const char *const *paths; /* files or directories (recursive); at least one */
    size_t n_paths;
    const struct yaml_limits *limits; /* NULL = default */
    struct state *prev;               /* NULL = none: nothing is kept from earlier, identities are fresh */
    bool lenient_paths;               /* a missing directory is an empty one (serve), not an error (check) */
    /*
     * Judges what a field table can't: is the certificate of a Secret usable? Called for decoded objects, but not for
     * those that stand in `prev` with the same content: they were good. False with an error in `ds` rejects the object,
     * as any other error would. NULL = everything is fine.
     */
    bool (*vet)(void *ctx, const struct object *o, struct diags *ds);
    void *vet_ctx;
};

struct load_stats { size_t files, documents; };

/* Fills `st` (initialised here). Never fails as a whole; findings go to ds. New identities and last
 * good texts are written into in->prev when it is there. */
void load_all(struct store *st, struct arena *a, struct diags *ds, const struct load_input *in,
              struct load_stats *stats);
/* After lowering: the new status of every object into the state, for the next load's prev_status_json. */
void load_keep_status(const struct store *st, struct state *state);
/* Which names below the conf dir are configuration: *.yaml, *.yml, *.json; not hidden, not editors'
 * temporary names (#x#, .#x, x~, x.swp, 4913, x.tmp ...). Shared with watch.c. */
bool load_name_is_config(struct str name);

/* The machine-readable result of `check` (DESIGN section 3): objects, diagnostics, summary. */
void load_report_json(const struct store *st, const struct diags *ds, const struct load_stats *stats,
                      struct buf *out);

#endif
