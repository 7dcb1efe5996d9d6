/*
 * state.h - what one load leaves for the next: identities and last good versions.
 *
 * A STATE image is a flat, checksummed byte string made by the compiler, carried by the master from
 * one compiler to the next and kept on disk (state_dir/state, written atomically), so that a cold start
 * after a bad edit still serves. It holds per object: kind, namespace, name, uid, generation, first
 * seen, hash of the spec, file, line, text of the last good version and its status; and the numbers of
 * counter slots (board) per identity, so that counters keep their place over reloads and restarts.
 */
#ifndef GH_STORE_STATE_H
#define GH_STORE_STATE_H

#include "master/store/store.h"

struct state_object {
    struct str kind_group, kind, ns, name, uid;
    uint64_t generation, created_us, spec_hash;
    struct str file;
    uint32_t line;
    struct str text;        /* last good document */
    struct str status_json;
};
struct state_slot { /* a place on the board, see shared/board/board.h */
    struct str key;     /* "rule/HTTPRoute/default/shop/0" ... */
    uint32_t slot;
    uint64_t last_used; /* generation that used it last; slots unused for long may be given away */
};
struct state {
    struct arena *arena;
    uint64_t generation; /* last compiled */
    struct map objects;  /* "group/kind/ns/name" -> struct state_object */
    struct map slots;    /* key -> struct state_slot */
    uint32_t next_slot;
};

void state_init(struct state *st, struct arena *a);
/* Reads an image; borrowed slices point into `image`, which must stay. Negative gh_err when damaged
 * (the caller begins with an empty state and says so). */
int state_read(struct state *st, struct str image);
void state_write(const struct state *st, struct buf *out);
/* A place for `key` in 1..max; remembers it. 0 when all places are taken (the shared overflow place). */
uint32_t state_slot(struct state *st, struct str key, uint32_t max);

#endif
