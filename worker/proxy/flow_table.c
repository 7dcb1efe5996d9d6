#include "worker/proxy/flow_table.h"

#include <stdlib.h>

#define LOG2_FIRST 6u
#define LOG2_MAX   20u

bool flow_table_init(struct flow_table *t, uint64_t seed)
{
    *t = (struct flow_table){.log2 = LOG2_FIRST, .seed = seed};
    list_init(&t->young);
    list_init(&t->proven);
    t->slots = calloc((size_t)1 << t->log2, sizeof(*t->slots));
    return t->slots != NULL;
}

void flow_table_fini(struct flow_table *t)
{
    must(!t->n);
    free(t->slots);
    t->slots = NULL;
}

static struct flow_node **slot(const struct flow_table *t, uint64_t hash)
{
    return &t->slots[hash >> (64 - t->log2)];
}

/* Without memory for it the chains get longer, no more. */
static void grow(struct flow_table *t)
{
    struct flow_table bigger = {.log2 = t->log2 + 1};
    bigger.slots = calloc((size_t)1 << bigger.log2, sizeof(*bigger.slots));
    if (!bigger.slots)
        return;
    for (size_t i = 0; i < (size_t)1 << t->log2; i++)
        for (struct flow_node *n = t->slots[i], *next; n; n = next) {
            struct flow_node **s = slot(&bigger, n->hash);
            next = n->next;
            n->next = *s;
            *s = n;
        }
    free(t->slots);
    t->slots = bigger.slots;
    t->log2 = bigger.log2;
}

struct flow_node *flow_table_find(const struct flow_table *t, const struct flow_key *k)
{
    uint64_t hash = hash_bytes(k, sizeof(*k), t->seed);
    struct flow_node *n = *slot(t, hash);
    while (n && (n->hash != hash || memcmp(&n->key, k, sizeof(*k)) != 0))
        n = n->next;
    return n;
}

void flow_table_add(struct flow_table *t, struct flow_node *node)
{
    if (t->n >= 1u << t->log2 && t->log2 < LOG2_MAX)
        grow(t);
    node->hash = hash_bytes(&node->key, sizeof(node->key), t->seed);
    node->proven = false;
    struct flow_node **s = slot(t, node->hash);
    node->next = *s;
    *s = node;
    list_push(&t->young, &node->lru);
    t->n++;
    t->n_young++;
}

void flow_table_del(struct flow_table *t, struct flow_node *node)
{
    struct flow_node **at = slot(t, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    list_del(&node->lru);
    t->n--;
    t->n_young -= !node->proven;
}

void flow_table_touch(struct flow_table *t, struct flow_node *node)
{
    struct list *l = node->proven ? &t->proven : &t->young;
    if (l->prev == &node->lru)
        return;
    list_del(&node->lru);
    list_push(l, &node->lru);
}

void flow_table_prove(struct flow_table *t, struct flow_node *node)
{
    if (node->proven)
        return;
    node->proven = true;
    t->n_young--;
    list_del(&node->lru);
    list_push(&t->proven, &node->lru);
}

static struct flow_node *first(const struct list *l, const struct flow_node *but)
{
    const struct list *it = l->next;
    if (but && it == &but->lru)
        it = it->next;
    return it == l ? NULL : LIST_ITEM((struct list *)(uintptr_t)it, struct flow_node, lru);
}

struct flow_node *flow_table_victim(const struct flow_table *t, uint32_t max, const struct flow_node *but)
{
    bool young = t->n_young > max / FLOW_YOUNG_PART;
    struct flow_node *v = first(young ? &t->young : &t->proven, but);
    return v ? v : first(young ? &t->proven : &t->young, but);
}
