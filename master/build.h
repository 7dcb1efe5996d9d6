/*
 * build.h - the whole way from files to images, as one function: load, lower, check, compile.
 *
 * The compiler child, `check`, `lint`, `diff`, `explain --conf-dir` and the tests run this very code; they
 * differ only in the inputs (state, bind) and in which results they use.
 */
#ifndef GH_MASTER_BUILD_H
#define GH_MASTER_BUILD_H

#include "master/compile/compile.h"
#include "master/instance.h"
#include "master/lower/lower.h"
#include "master/store/load.h"

struct build_input {
    const char *const *paths;      /* conf dir, or files */
    size_t n_paths;                /* 0 = the conf dir of the instance */
    const char *instance_file;     /* gatehouse.yaml; NULL, or a file that does not exist: defaults */
    struct str prev_state;         /* STATE image of the previous load; empty = none */
    uint64_t generation;
    bool lenient_paths;            /* a missing directory is an empty one */
    int (*bind)(void *ctx, struct str address, uint16_t port, bool datagram);
    void *bind_ctx;
    bool want_keys;                /* make the KEYS image too */
    struct str outside_root;       /* put before paths of files outside; for tests */
};

/* Everything below lives until build_free. After a failure everything that came before it is there: the
 * findings always, the images never. */
struct build {
    struct arena arena;
    struct diags diags;
    struct instance instance;
    struct store store;
    struct outside outside;        /* the files outside that were asked for */
    struct state state;
    struct model model;
    struct credentials *credentials; /* what load and lower read of certificates */
    struct load_stats stats;
    struct buf snapshot;           /* bytes, unsealed */
    struct buf status;             /* STATUS image, see status_image.h */
    struct buf state_out;          /* STATE image for the next load */
    struct buf keys;               /* KEYS image, when wanted; wiped by build_free */
    struct buf why;                /* when build_run fails: one sentence */
    struct snap *made;             /* `snapshot`, read; until build_records */
};

/* 0; negative only for faults of the machine or of gatehouse itself (findings are no failure; an instance
 * file that has errors and no last good version is: nobody can say what it would have made of the rest). */
int build_run(struct build *b, const struct build_input *in);
/* The same in two steps: what workers need (snapshot, keys), and if that went well, what is told about it and kept for the
 * next time (status, state), which takes as long again and which nobody who serves waits for. */
int build_images(struct build *b, const struct build_input *in);
int build_records(struct build *b);
void build_free(struct build *b);
/* What is in the snapshot apart from generation, time and places on the board: equal = nothing changed. */
uint64_t build_content_hash(const struct build *b);

#endif
