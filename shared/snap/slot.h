/*
 * slot.h - where a thing lies in the hash tables of a snapshot: what the compiler and the matcher agree on.
 *
 * A table has 2^k slots and is probed linearly. The low bits of a 64-bit hash are the first place, the high
 * half is the tag in the slot; equal tags of different keys are harmless, because what a slot leads to is
 * compared in full. Seeds are constants: the keys come from the configuration, and what strangers may
 * choose is only what is looked up.
 */
#ifndef GH_SNAP_SLOT_H
#define GH_SNAP_SLOT_H

#include "shared/base/hash.h"

/* Exact name of a host or a chain (which have a table each), or the part behind "*." of a wildcard, of bind number
 * `bind`. */
static inline uint64_t slot_host(uint32_t bind, struct str name, bool wildcard)
{
    return hash_str(name, (uint64_t)bind << 1 | wildcard);
}

static inline uint64_t slot_path(struct str path)
{
    return hash_str(path, 0x70617468);
}
/* The same path of two hosts has two places. */
static inline uint64_t slot_exact(uint64_t path_hash, uint32_t host)
{
    return hash_mix(path_hash, host);
}

static inline uint64_t slot_value(struct str value)
{
    return hash_str(value, 0x76616c75);
}
/* Longest value that a list is ordered by; others are left in its rest. */
#define SLOT_VALUE_MAX 1024

static inline uint32_t slot_tag(uint64_t hash)
{
    return (uint32_t)(hash >> 32);
}

/* Slots for n keys: at most four fifths are used; eight slots are a cache line. 0 for none. */
static inline uint32_t slot_count(uint32_t n)
{
    uint32_t slots = n ? 2 : 0;
    while (slots && (uint64_t)slots * 4 < (uint64_t)n * 5)
        slots *= 2;
    return slots;
}

/* Number of labels of a host name, and the bit of it in snap_bind.wildcards. */
static inline uint32_t slot_labels_bit(uint32_t labels)
{
    return 1u << (labels < 32 ? labels : 0);
}

#endif
