#include "worker/proxy/generation.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const struct bind_slot *)a)->id, y = ((const struct bind_slot *)b)->id;
    return x < y ? -1 : x > y;
}

static void generation_free(void *arg)
{
    struct generation *g = arg;
    if (!g)
        return;
    if (g->clusters)
        for (uint32_t i = 0; i < g->s->n[SNAP_CLUSTERS]; i++)
            cluster_drop(g->clusters[i]);
    snap_regexes_free(g->regexes);
    free(g->clusters);
    free(g->turns);
    free(g->binds);
    free(g);
}

bool generation_attach(struct snap *s, struct upstream *u)
{
    struct generation *g = calloc(1, sizeof(*g));
    if (!g)
        return false;
    g->s = s;
    g->upstream = u;
    g->regexes = snap_regexes_new(s);
    g->clusters = calloc(GH_MAX(s->n[SNAP_CLUSTERS], 1u), sizeof(*g->clusters));
    g->turns = calloc(GH_MAX(s->n[SNAP_RULES], 1u), sizeof(*g->turns));
    g->n_binds = s->n[SNAP_BINDS];
    g->binds = calloc(GH_MAX(g->n_binds, 1u), sizeof(*g->binds));
    if (!g->regexes || !g->clusters || !g->turns || !g->binds) {
        generation_free(g);
        return false;
    }
    for (uint32_t i = 0; i < g->n_binds; i++)
        g->binds[i] = (struct bind_slot){s->BINDS[i].id, i};
    qsort(g->binds, g->n_binds, sizeof(*g->binds), by_id);
    s->user = g;
    s->user_free = generation_free;
    return true;
}

const struct snap_bind *generation_bind(const struct generation *g, uint64_t bind_id)
{
    uint32_t lo = 0, hi = g->n_binds;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (g->binds[mid].id < bind_id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->n_binds && g->binds[lo].id == bind_id ? &g->s->BINDS[g->binds[lo].index] : NULL;
}

struct cluster *generation_cluster(struct generation *g, uint32_t index)
{
    if (!g->clusters[index])
        g->clusters[index] = cluster_get(g->upstream, g->s, index);
    return g->clusters[index];
}

uint32_t generation_split(struct generation *g, const struct snap_rule *rule)
{
    if (rule->splits.n == 1 && rule->total_weight)
        return rule->splits.first;
    uint32_t *turn = &g->turns[rule - g->s->RULES];
    /* A random start: else every reload would begin with the heaviest one again. */
    if (!*turn)
        *turn = (uint32_t)rng_next(&g->upstream->net->rng) | 1;
    return balance_split(g->s, rule, turn);
}
