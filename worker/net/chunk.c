#include "worker/net/chunk.h"

void chunk_pool_init(struct chunk_pool *p)
{
    slab_init(&p->large, CHUNK_LARGE, 256);
    slab_init(&p->small, CHUNK_SMALL, 256);
    p->bytes = 0;
    p->shown = NULL;
}

void chunk_pool_fini(struct chunk_pool *p)
{
    slab_fini(&p->large);
    slab_fini(&p->small);
}

static void count(struct chunk_pool *p, size_t bytes)
{
    p->bytes = bytes;
    if (p->shown)
        atomic_store_explicit(p->shown, bytes, memory_order_relaxed);
}

static struct chunk *chunk_get(struct chunk_pool *p, size_t want)
{
    bool small = want <= CHUNK_SMALL - sizeof(struct chunk);
    struct chunk *c = slab_get(small ? &p->small : &p->large);
    if (!c)
        return NULL;
    size_t size = small ? CHUNK_SMALL : CHUNK_LARGE;
    *c = (struct chunk){.cap = (uint32_t)(size - sizeof(*c))};
    count(p, p->bytes + size);
    return c;
}

static void chunk_put(struct chunk_pool *p, struct chunk *c)
{
    bool small = c->cap == CHUNK_SMALL - sizeof(*c);
    count(p, p->bytes - (small ? CHUNK_SMALL : CHUNK_LARGE));
    slab_put(small ? &p->small : &p->large, c);
}

bool chunkq_add(struct chunkq *q, struct chunk_pool *p, const void *data, size_t n)
{
    const char *at = data;
    size_t room = q->last ? q->last->cap - q->last->to : 0;
    struct chunkq more = {NULL, NULL, 0};
    /* The chunks come first, so that failure leaves the queue as it was. */
    for (size_t got = room; got < n;) {
        struct chunk *c = chunk_get(p, q->n ? CHUNK_LARGE : n - got);
        if (!c) {
            chunkq_clear(&more, p);
            return false;
        }
        if (more.last)
            more.last->next = c;
        else
            more.first = c;
        more.last = c;
        got += c->cap;
    }
    struct chunk *c = q->last ? q->last : more.first;
    if (more.first) {
        if (q->last)
            q->last->next = more.first;
        else
            q->first = more.first;
        q->last = more.last;
    }
    q->n += n;
    while (n > 0) {
        size_t k = GH_MIN(n, (size_t)(c->cap - c->to));
        memcpy(c->data + c->to, at, k);
        c->to += (uint32_t)k;
        at += k;
        n -= k;
        if (n > 0)
            c = c->next;
    }
    return true;
}

struct str chunkq_front(const struct chunkq *q)
{
    return q->first ? str_of(q->first->data + q->first->from, q->first->to - q->first->from) : STR_NONE;
}

void chunkq_drop(struct chunkq *q, struct chunk_pool *p, size_t n)
{
    must(n <= q->n);
    q->n -= n;
    while (q->first) {
        struct chunk *c = q->first;
        size_t k = GH_MIN(n, (size_t)(c->to - c->from));
        c->from += (uint32_t)k;
        n -= k;
        if (c->from < c->to)
            break;
        q->first = c->next;
        chunk_put(p, c);
    }
    if (!q->first)
        q->last = NULL;
}

void chunkq_move(struct chunkq *to, struct chunkq *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->n += from->n;
    *from = (struct chunkq){NULL, NULL, 0};
}

void chunkq_clear(struct chunkq *q, struct chunk_pool *p)
{
    for (struct chunk *c = q->first, *next; c; c = next) {
        next = c->next;
        chunk_put(p, c);
    }
    *q = (struct chunkq){NULL, NULL, 0};
}
