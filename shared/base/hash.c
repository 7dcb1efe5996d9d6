/*
 * The function: keys up to 16 bytes are two overlapping reads and two multiplications; longer keys
 * run three independent lanes of 16 bytes. Every step multiplies two words of 64 bits and folds the
 * 128 bits of the product. The text is always read as little endian, so values are portable.
 */
#include "shared/base/hash.h"
#include "shared/base/arena.h"

#define K0 0x9e3779b97f4a7c15ull
#define K1 0xe7037ed1a0b428dbull
#define K2 0x8ebc6af09c88c6e3ull
#define K3 0x589965cc75374cc3ull

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LE32(v) __builtin_bswap32(v)
#define LE64(v) __builtin_bswap64(v)
#else
#define LE32(v) (v)
#define LE64(v) (v)
#endif

static inline void multiply(uint64_t *a, uint64_t *b)
{
#ifdef __SIZEOF_INT128__
    unsigned __int128 r = (unsigned __int128)*a * *b;
    *a = (uint64_t)r;
    *b = (uint64_t)(r >> 64);
#else
    uint64_t ah = *a >> 32, al = (uint32_t)*a, bh = *b >> 32, bl = (uint32_t)*b;
    uint64_t hh = ah * bh, m0 = ah * bl, m1 = al * bh, ll = al * bl;
    uint64_t t = ll + (m0 << 32), lo = t + (m1 << 32);
    uint64_t carry = (uint64_t)(t < ll) + (uint64_t)(lo < t);
    *b = hh + (m0 >> 32) + (m1 >> 32) + carry;
    *a = lo;
#endif
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    multiply(&a, &b);
    return a ^ b;
}

/* Lowers the ASCII capitals among the eight bytes of `w`. */
static inline uint64_t lower8(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101ull;
    uint64_t low7 = w & (0x7f * ones);
    uint64_t from_a = low7 + (0x80 - 'A') * ones;
    uint64_t past_z = low7 + (0x7f - 'Z') * ones;
    uint64_t capital = (from_a ^ past_z) & ~w & (0x80 * ones);
    return w | (capital >> 2);
}

static inline uint64_t read8(const unsigned char *p, bool lower)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    v = LE64(v);
    return lower ? lower8(v) : v;
}

static inline uint64_t read4(const unsigned char *p, bool lower)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    v = LE32(v);
    return lower ? lower8(v) : v;
}

static inline uint64_t read1to3(const unsigned char *p, size_t n, bool lower)
{
    uint64_t v = (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1];
    return lower ? lower8(v) : v;
}

/* `lower` is a constant in both callers, so that each gets a copy without the test. */
__attribute__((always_inline)) static inline uint64_t hash_any(const void *key, size_t n,
                                                               uint64_t seed, bool lower)
{
    const unsigned char *p = key;
    uint64_t a, b;

    seed ^= fold(seed ^ K0, K1);
    if (likely(n <= 16)) {
        if (likely(n >= 4)) {
            size_t mid = (n >> 3) << 2;
            a = read4(p, lower) << 32 | read4(p + mid, lower);
            b = read4(p + n - 4, lower) << 32 | read4(p + n - 4 - mid, lower);
        } else {
            a = n ? read1to3(p, n, lower) : 0;
            b = 0;
        }
    } else {
        size_t left = n;
        if (unlikely(left > 48)) {
            uint64_t s1 = seed, s2 = seed;
            do {
                seed = fold(read8(p, lower) ^ K1, read8(p + 8, lower) ^ seed);
                s1 = fold(read8(p + 16, lower) ^ K2, read8(p + 24, lower) ^ s1);
                s2 = fold(read8(p + 32, lower) ^ K3, read8(p + 40, lower) ^ s2);
                p += 48;
                left -= 48;
            } while (left > 48);
            seed ^= s1 ^ s2;
        }
        while (left > 16) {
            seed = fold(read8(p, lower) ^ K1, read8(p + 8, lower) ^ seed);
            p += 16;
            left -= 16;
        }
        a = read8(p + left - 16, lower);
        b = read8(p + left - 8, lower);
    }
    a ^= K1;
    b ^= seed;
    multiply(&a, &b);
    return fold(a ^ K0 ^ n, b ^ K1);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
    return hash_any(p, n, seed, false);
}

uint64_t hash_str_lower(struct str s, uint64_t seed)
{
    return hash_any(s.p, s.n, seed, true);
}

uint64_t hash_mix(uint64_t h, uint64_t v)
{
    uint64_t a = h ^ K0, b = v ^ K1;
    multiply(&a, &b);
    return fold(a ^ K0, b ^ K1);
}

/* --- map: open addressing over indices into the insertion-ordered array ------------------------ */

#define MAP_SEED      0x67617465686f7573ull
#define MAP_MIN_SLOTS 16

void map_init(struct map *m, struct arena *a)
{
    *m = (struct map){.arena = a};
}

/* The slot that holds `key`, or the empty one where it belongs. Never loops: a quarter is empty. */
static struct map_slot *map_find(const struct map *m, struct str key, uint32_t tag)
{
    size_t mask = m->n_slots - 1, i = tag & mask;
    for (; m->slots[i].at; i = (i + 1) & mask)
        if (m->slots[i].tag == tag && str_eq(m->v[m->slots[i].at - 1].key, key))
            break;
    return &m->slots[i];
}

static bool map_resize(struct map *m, size_t n_slots)
{
    struct map_slot *slots = arena_array(m->arena, n_slots, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t k = 0; k < m->n_slots; k++) {
        size_t i = m->slots[k].tag & (n_slots - 1);
        if (!m->slots[k].at)
            continue;
        while (slots[i].at)
            i = (i + 1) & (n_slots - 1);
        slots[i] = m->slots[k];
    }
    m->slots = slots;
    m->n_slots = n_slots;
    return true;
}

bool map_reserve(struct map *m, size_t n)
{
    size_t n_slots = MAP_MIN_SLOTS;
    if (n >= UINT32_MAX / 2)
        return false;
    while (n * 4 > n_slots * 3)
        n_slots *= 2;
    if (n > m->cap) {
        struct map_entry *v = arena_array(m->arena, n, sizeof(*v));
        if (!v)
            return false;
        if (m->n)
            memcpy(v, m->v, m->n * sizeof(*v));
        m->v = v;
        m->cap = n;
    }
    return n_slots <= m->n_slots || map_resize(m, n_slots);
}

void *map_get(const struct map *m, struct str key)
{
    if (m->n == 0)
        return NULL;
    uint32_t at = map_find(m, key, (uint32_t)hash_str(key, MAP_SEED))->at;
    return at ? m->v[at - 1].val : NULL;
}

void *map_put(struct map *m, struct str key, void *val)
{
    must(val != NULL);
    if ((m->n + 1) * 4 > m->n_slots * 3 && !map_resize(m, m->n_slots ? m->n_slots * 2 : MAP_MIN_SLOTS))
        return NULL;
    uint32_t tag = (uint32_t)hash_str(key, MAP_SEED);
    struct map_slot *slot = map_find(m, key, tag);
    if (slot->at) {
        struct map_entry *e = &m->v[slot->at - 1];
        void *old = e->val;
        e->val = val;
        return old;
    }
    struct map_entry *v = arena_grow(m->arena, m->v, m->n, &m->cap, sizeof(*v));
    if (!v)
        return NULL;
    m->v = v;
    m->v[m->n++] = (struct map_entry){key, val};
    *slot = (struct map_slot){tag, (uint32_t)m->n};
    return NULL;
}
