/*
 * arena.h - memory that dies together: one arena per reload, connection or exchange.
 *
 * Nothing is freed inside an arena; arena_fini releases all. Destructors for things that are not
 * memory (descriptors, compiled expressions) are registered with arena_defer and run newest first.
 *
 * Allocation returns zeroed memory, aligned for any type of that size (a type's size is a multiple of its alignment: what
 * has 24 bytes, or 1,000 times 24, stands at a multiple of 8). When memory runs out: an arena with an
 * `oom` handler calls it (it must not return: the compiler process ends with a diagnostic); without
 * one, arena_alloc returns NULL and the caller answers for it (a worker fails that one exchange).
 */
#ifndef GH_ARENA_H
#define GH_ARENA_H

#include "shared/base/str.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GH_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GH_ASAN 1
#endif

struct arena_block;
struct arena_defer;

/* Owned by whoever embeds it. All members are private to arena.c. */
struct arena {
    struct arena_block *blocks;
    struct arena_defer *defers;
    char *at, *end;
    size_t block_size; /* of the next block, bytes; 0 means the default, 64 KiB */
    size_t total;      /* bytes taken from the heap so far */
    size_t limit;      /* 0 = none; beyond it allocation fails as if memory had run out */
    void (*oom)(void); /* never returns; NULL = arena_alloc returns NULL */
    bool huge;         /* see arena_use_huge_pages */
};

void arena_init(struct arena *a, size_t block_size, void (*oom)(void));
/* Runs the registered destructors, frees everything; the arena may be used again. NULL-safe members. */
void arena_fini(struct arena *a);
/* Keeps the first block for reuse; runs destructors. For recycled arenas on hot paths. */
void arena_reset(struct arena *a);

/* For an arena that will hold very much: from its second block on it takes memory in pages of 2 MiB, where the kernel has
 * them to give. A load of 100,000 routes spends a quarter of its time on faults of small pages otherwise. */
void arena_use_huge_pages(struct arena *a);

void *arena_room_slow(struct arena *a, size_t n); /* private, as arena_alloc_slow: all cases */
void *arena_alloc_slow(struct arena *a, size_t n);
static inline size_t arena_alignment(size_t n)
{
    return n % 16 == 8 ? 8 : _Alignof(max_align_t);
}
/* Private: from the current block, or NULL. AddressSanitizer wants gaps: it goes the slow way. */
static inline void *arena_here(struct arena *a, size_t n)
{
#ifndef GH_ASAN
    size_t skip = (size_t)(-(uintptr_t)a->at & (arena_alignment(n) - 1)), room = (size_t)(a->end - a->at);
    if (likely(n < SIZE_MAX / 4 && room > skip && room - skip > n)) {
        char *p = a->at + skip;
        a->at = p + n;
        return p;
    }
#endif
    (void)a;
    (void)n;
    return NULL;
}
static inline void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_here(a, n);
    return likely(p != NULL) ? memset(p, 0, n) : arena_alloc_slow(a, n);
}
/* As arena_alloc, not zeroed: for buffers, and for what is filled at once. */
static inline void *arena_room(struct arena *a, size_t n)
{
    void *p = arena_here(a, n);
    return likely(p != NULL) ? p : arena_room_slow(a, n);
}
void *arena_array(struct arena *a, size_t n, size_t elem); /* checked multiplication */
struct str arena_str(struct arena *a, struct str s);       /* copy, NUL-terminated behind s.n */
struct str arena_strf(struct arena *a, const char *fmt, ...) GH_PRINTF(2, 3);
/* Grows an array allocated in this arena: returns room for at least `n + 1` elements and updates
 * *cap. The old memory stays until arena_fini. */
void *arena_grow(struct arena *a, void *old, size_t n, size_t *cap, size_t elem);
/* `fn(arg)` runs at arena_fini/arena_reset; false when memory ran out (fn has not been called). */
bool arena_defer(struct arena *a, void (*fn)(void *arg), void *arg);

#define arena_new(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define arena_new_n(a, type, n) ((type *)arena_array((a), (n), sizeof(type)))

/* A growing array in an arena: ARENA_PUSH(a, list) gives a pointer to a new zeroed element.
 * `list` is any struct with members { T *v; size_t n, cap; }. */
#define ARENA_PUSH(a, list)                                                                        \
    ((list)->v = arena_grow((a), (list)->v, (list)->n, &(list)->cap, sizeof(*(list)->v)),          \
     &(list)->v[(list)->n++])

#endif
