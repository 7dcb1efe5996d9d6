/*
 * state.h - what one load leaves for the next: identities and last good versions.
 *
 * A STATE image is a flat, checksummed byte string made by the compiler, carried by the master from
 * one compiler to the next and kept on disk (state_dir/state, written atomically), so that a cold start
 * after a bad edit still serves. It holds per object: kind, namespace, name, uid, generation, first
 * seen, hash of the spec, file, line, text of the last good version and its status; and the numbers of
 * counter slots (board) per identity, so that counters keep their place over reloads and restarts.
 *
 * It holds the texts of Secrets, and of files outside that objects name (outside.h, as kind File): files mode 0600, memory
 * never shared with workers.
 *
 *   "GHSTATE1" | checksum of the rest | generation | n objects | n slots | objects | slots
 *
 * Numbers are little endian, texts have their length (32 bits) in front. An image that is cut, changed or of
 * another version is refused as a whole.
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
    struct str table;   /* "series", "endpoint", "dns": places are numbered from 1 in each */
    struct str key;     /* "rule/HTTPRoute/default/shop/0" ... */
    uint32_t slot;
    uint64_t last_used; /* generation that used it last; slots unused for long may be given away */
};
struct state_table;
#define STATE_SLOT_KEEP 64 /* generations for which an unused place is kept */
struct state {
    struct arena *arena;
    uint64_t generation; /* last compiled */
    struct map objects;  /* "group/kind/ns/name" -> struct state_object */
    struct map slots;    /* "table/key" -> struct state_slot */
    struct { struct state_table **v; size_t n, cap; } tables; /* private */
};

void state_init(struct state *st, struct arena *a);
/* The object known under this identity, or NULL. */
struct state_object *state_find(const struct state *st, struct str group, struct str kind, struct str ns, struct str name);
struct str state_key(struct arena *a, const struct state_object *o);
/* Reads an image; borrowed slices point into `image`, which must stay. Negative gh_err when damaged
 * (the caller begins with an empty state and says so). */
int state_read(struct state *st, struct str image);
void state_write(const struct state *st, struct buf *out);
/* What the second eight bytes of an image must be; for the fuzz target. */
uint64_t state_checksum(struct str image);
/* A place for `key` in 1..max of `table`; remembers it. When all are taken, one that was not used for
 * STATE_SLOT_KEEP generations is given away (its counters go on counting); else 0, the overflow place. */
uint32_t state_slot(struct state *st, const char *table, struct str key, uint32_t max);

#endif
