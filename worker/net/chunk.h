/*
 * chunk.h - bytes that the kernel did not take yet, or that nobody asked for yet: a queue of chunks.
 *
 * An empty queue holds no memory. Chunks are 16 KiB including their head; small queues use small
 * chunks (2 KiB), so that ten thousand half-read heads cost what they weigh.
 */
#ifndef GH_NET_CHUNK_H
#define GH_NET_CHUNK_H

#include "shared/base/str.h"
#include "worker/net/slab.h"

#include <stdatomic.h>

#define CHUNK_LARGE (16u * 1024)
#define CHUNK_SMALL (2u * 1024)

struct chunk {
    struct chunk *next;
    uint32_t cap;  /* of data */
    uint32_t from; /* first byte in use */
    uint32_t to;   /* behind the last one */
    uint32_t spare;
    char data[];
};

/* Where chunks come from and how much is out; one per worker. */
struct chunk_pool {
    struct slab large, small;
    size_t bytes; /* held by queues */
    _Atomic uint64_t *shown; /* where others see `bytes`; NULL = nowhere */
};

/* Owned by whoever embeds it; zero is empty. */
struct chunkq {
    struct chunk *first, *last;
    size_t n; /* bytes */
};

void chunk_pool_init(struct chunk_pool *p);
void chunk_pool_fini(struct chunk_pool *p);

/* Copies all of it or, when memory has run out, nothing (false). */
bool chunkq_add(struct chunkq *q, struct chunk_pool *p, const void *data, size_t n);
/* The first piece in one run; empty when the queue is. */
struct str chunkq_front(const struct chunkq *q);
/* Takes n <= q->n bytes off the front. */
void chunkq_drop(struct chunkq *q, struct chunk_pool *p, size_t n);
/* Everything `from` has goes behind what `to` has. */
void chunkq_move(struct chunkq *to, struct chunkq *from);
void chunkq_clear(struct chunkq *q, struct chunk_pool *p);

#endif
