#include "shared/base/arena.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Under AddressSanitizer the unused part of a block is poisoned and each piece is followed by a
 * poisoned gap, so that running over the end of a piece is found as it would be with malloc. */
#ifdef GH_ASAN
#include <sanitizer/asan_interface.h>
#define HIDE(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define SHOW(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#define GAP        16
#else
#define HIDE(p, n) ((void)(p), (void)(n))
#define SHOW(p, n) ((void)(p), (void)(n))
#define GAP        0
#endif

#define BLOCK_SIZE_DEFAULT ((size_t)64 * 1024)
#define HUGE_PAGE          ((size_t)2 << 20)
#define HUGE_BLOCK         (2 * HUGE_PAGE)

/* Newest first. A piece larger than a quarter of a block gets a block of its own, which is put behind
 * the current one so that the rest of that is not lost. */
struct arena_block {
    struct arena_block *next;
    size_t size; /* of the whole allocation */
    _Alignas(max_align_t) char data[];
};

struct arena_defer {
    struct arena_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

void arena_init(struct arena *a, size_t block_size, void (*oom)(void))
{
    *a = (struct arena){.block_size = block_size, .oom = oom};
}

void arena_use_huge_pages(struct arena *a)
{
    a->huge = true;
}

static size_t block_bytes(const struct arena *a)
{
    if (a->huge && a->blocks)
        return HUGE_BLOCK;
    size_t n = a->block_size ? a->block_size : BLOCK_SIZE_DEFAULT;
    return GH_MAX(n, sizeof(struct arena_block) + 64);
}

static void *out_of_memory(struct arena *a)
{
    if (a->oom)
        a->oom();
    return NULL;
}

static void *memory(const struct arena *a, size_t size)
{
    if (!a->huge || size < HUGE_PAGE)
        return malloc(size);
    void *p = NULL;
    if (posix_memalign(&p, HUGE_PAGE, (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1)) != 0)
        return NULL;
    madvise(p, size & ~(HUGE_PAGE - 1), MADV_HUGEPAGE); /* where it fails, pages are small */
    return p;
}

static struct arena_block *block_new(struct arena *a, size_t size)
{
    if (a->limit && (size > a->limit || a->total > a->limit - size))
        return NULL;
    struct arena_block *b = memory(a, size);
    if (!b)
        return NULL;
    b->size = size;
    a->total += size;
    HIDE(b->data, size - sizeof(*b));
    return b;
}

static void block_free(struct arena *a, struct arena_block *b)
{
    a->total -= b->size;
    SHOW(b->data, b->size - sizeof(*b));
    free(b);
}

static void *piece_of_own_block(struct arena *a, size_t n)
{
    struct arena_block *b = block_new(a, sizeof(*b) + n);
    if (!b)
        return out_of_memory(a);
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = NULL;
        a->blocks = b;
        a->at = a->end = b->data + n;
    }
    SHOW(b->data, n);
    return b->data;
}

static void use_block(struct arena *a, struct arena_block *b)
{
    a->at = b->data;
    a->end = (char *)b + b->size;
}

/* From the current block, NULL when there is no room. n <= SIZE_MAX / 2. */
static inline void *piece_here(struct arena *a, size_t n, size_t align)
{
    size_t skip = (size_t)(-(uintptr_t)a->at & (align - 1));
    if (!a->at || (size_t)(a->end - a->at) < skip + n + GAP)
        return NULL;
    char *p = a->at + skip;
    a->at = p + n + GAP;
    SHOW(p, n);
    return p;
}

/* Uninitialised. `align` is a power of two. */
static void *piece(struct arena *a, size_t n, size_t align)
{
    if (n > SIZE_MAX / 2)
        return out_of_memory(a);
    for (;;) {
        void *p = piece_here(a, n, align);
        if (p)
            return p;
        size_t size = block_bytes(a);
        if (n > size / 4)
            return piece_of_own_block(a, n);
        struct arena_block *b = block_new(a, size);
        if (!b)
            return out_of_memory(a);
        b->next = a->blocks;
        a->blocks = b;
        use_block(a, b);
    }
}

void *arena_alloc_slow(struct arena *a, size_t n)
{
    void *p = piece(a, n, arena_alignment(n));
    return p ? memset(p, 0, n) : NULL;
}

void *arena_room_slow(struct arena *a, size_t n)
{
    return piece(a, n, arena_alignment(n));
}

void *arena_array(struct arena *a, size_t n, size_t elem)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem, &bytes))
        return out_of_memory(a);
    return arena_alloc(a, bytes);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX / 2 ? piece_here(a, s.n + 1, 1) : out_of_memory(a);
    if (unlikely(!p) && s.n < SIZE_MAX / 2)
        p = piece(a, s.n + 1, 1);
    if (!p)
        return STR_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_of(p, s.n);
}

struct str arena_strf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return STR_NONE;
    char *p = piece(a, (size_t)n + 1, 1);
    if (!p)
        return STR_NONE;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return str_of(p, (size_t)n);
}

void *arena_grow(struct arena *a, void *old, size_t n, size_t *cap, size_t elem)
{
    if (n < *cap)
        return old;
    size_t bytes, more = *cap ? *cap * 2 : 8;
    while (more <= n && more <= SIZE_MAX / 2)
        more *= 2;
    if (more <= n || __builtin_mul_overflow(more, elem, &bytes))
        return out_of_memory(a);
    char *p = piece(a, bytes, arena_alignment(bytes));
    if (!p)
        return NULL;
    if (n)
        memcpy(p, old, n * elem);
    memset(p + n * elem, 0, bytes - n * elem);
    *cap = more;
    return p;
}

bool arena_defer(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct arena_defer *d = arena_new(a, struct arena_defer);
    if (!d)
        return false;
    *d = (struct arena_defer){a->defers, fn, arg};
    a->defers = d;
    return true;
}

/* A destructor may register another one: it runs next. */
static void run_defers(struct arena *a)
{
    while (a->defers) {
        struct arena_defer *d = a->defers;
        a->defers = d->next;
        d->fn(d->arg);
    }
}

void arena_fini(struct arena *a)
{
    run_defers(a);
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        block_free(a, b);
    }
    a->blocks = NULL;
    a->at = a->end = NULL;
}

void arena_reset(struct arena *a)
{
    run_defers(a);
    struct arena_block *keep = NULL; /* the oldest one of the usual size */
    for (struct arena_block *b = a->blocks; b; b = b->next)
        if (b->size == block_bytes(a))
            keep = b;
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        if (b != keep)
            block_free(a, b);
    }
    a->blocks = keep;
    a->at = a->end = NULL;
    if (keep) {
        keep->next = NULL;
        use_block(a, keep);
        HIDE(keep->data, keep->size - sizeof(*keep));
    }
}
