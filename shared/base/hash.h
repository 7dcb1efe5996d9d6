/*
 * hash.h - one 64-bit hash for everything in memory and in the snapshot.
 *
 * Not cryptographic. Tables whose keys come from the network take a random seed (see clock.h:
 * random_bytes); tables inside a snapshot use the seed of its header. The function is stable: the
 * same bytes and seed give the same value on every machine (little endian), so identities and
 * checksums may be stored on disk.
 */
#ifndef GH_HASH_H
#define GH_HASH_H

#include "shared/base/str.h"

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
static inline uint64_t hash_str(struct str s, uint64_t seed)
{
    return hash_bytes(s.p, s.n, seed);
}
/* As hash_str over the ASCII-lowered text. */
uint64_t hash_str_lower(struct str s, uint64_t seed);
/* Mixes `v` into `h`; for identities made of several parts. */
uint64_t hash_mix(uint64_t h, uint64_t v);

/*
 * A string-keyed map for the master (never on a worker's hot path). Memory comes from the arena and
 * goes with it; keys are borrowed, not copied. Iteration order is insertion order.
 */
struct arena;
struct map_entry {
    struct str key;
    void *val;
};
struct map_slot {
    uint32_t tag; /* of the key's hash: keys are looked at only where it fits, and never when the table grows */
    uint32_t at;  /* 1 + index into v; 0 = empty */
};
struct map {
    struct arena *arena;
    struct map_entry *v; /* insertion order; an erased entry has val == NULL */
    size_t n, cap;
    struct map_slot *slots;
    size_t n_slots;
};
void map_init(struct map *m, struct arena *a);
/* Room for `n` entries in all, so that the first so many are put without a thought; what is known beforehand is cheaper. */
bool map_reserve(struct map *m, size_t n);
void *map_get(const struct map *m, struct str key);
/* Sets or replaces; returns the previous value or NULL. `val` must not be NULL. */
void *map_put(struct map *m, struct str key, void *val);

#endif
