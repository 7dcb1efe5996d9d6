#include "worker/http/live.h"

static void remove_at(struct live *l, uint32_t i)
{
    l->n_offered--;
    memmove(&l->offered[i], &l->offered[i + 1], (l->n_offered - i) * sizeof(l->offered[0]));
}

static uint32_t find(const struct live *l, uint64_t generation)
{
    uint32_t i = 0;
    while (i < l->n_offered && l->offered[i]->head->generation != generation)
        i++;
    return i;
}

void live_offer(struct live *l, struct snap *s)
{
    live_withdraw(l, s->head->generation);
    if (l->n_offered == LIVE_OFFERS) {
        snap_drop(l->offered[0]);
        remove_at(l, 0);
    }
    l->offered[l->n_offered++] = s;
}

bool live_commit(struct live *l, uint64_t generation)
{
    uint32_t i = find(l, generation);
    if (i == l->n_offered)
        return live_generation(l) == generation;
    snap_drop(l->current);
    l->current = l->offered[i];
    remove_at(l, i);
    return true;
}

void live_withdraw(struct live *l, uint64_t generation)
{
    uint32_t i = find(l, generation);
    if (i == l->n_offered)
        return;
    snap_drop(l->offered[i]);
    remove_at(l, i);
}

void live_fini(struct live *l)
{
    snap_drop(l->current);
    l->current = NULL;
    while (l->n_offered)
        live_withdraw(l, l->offered[0]->head->generation);
}
