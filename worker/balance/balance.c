/*
 * balance.c - see balance.h.
 */
#include "worker/balance/balance.h"

/* A point of [0, 2^32) scaled to [0, total). */
static uint32_t scale(uint32_t point, uint32_t total)
{
    return (uint32_t)(((uint64_t)point * total) >> 32);
}

uint32_t balance_split(const struct snap *s, const struct snap_rule *r, uint32_t *state)
{
    if (r->total_weight == 0)
        return BALANCE_NONE;
    uint32_t at = scale(balance_next(state), r->total_weight);
    SNAP_EACH(i, r->splits)
    {
        uint32_t w = s->SPLITS[i].weight;
        if (at < w)
            return i;
        at -= w;
    }
    return BALANCE_NONE;
}

/* The first usable one from `from` on, around. */
static uint32_t next_usable(const struct balance_view *v, uint32_t from)
{
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t at = (from + i) % v->n;
        if (v->usable(v->ctx, at))
            return at;
    }
    return BALANCE_NONE;
}

/* By weight among the usable ones, at `point` of [0, 2^32). Two passes: the sum, then the place. */
static uint32_t by_weight(const struct balance_view *v, uint32_t point)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < v->n; i++)
        total += v->usable(v->ctx, i) ? v->weight(v->ctx, i) : 0;
    uint64_t at = (uint64_t)(((unsigned __int128)point * total) >> 32);
    for (uint32_t i = 0; total > 0 && i < v->n; i++) {
        uint32_t w = v->usable(v->ctx, i) ? v->weight(v->ctx, i) : 0;
        if (at < w)
            return i;
        at -= w;
    }
    return BALANCE_NONE;
}

static uint32_t any(const struct balance_view *v, uint32_t point)
{
    return v->equal ? next_usable(v, scale(point, v->n)) : by_weight(v, point);
}

static uint32_t round_robin(const struct balance_view *v, struct balance_state *st)
{
    if (!v->equal)
        return by_weight(v, balance_next(&st->weyl));
    uint32_t i = next_usable(v, st->turn % v->n);
    if (i != BALANCE_NONE)
        st->turn = i + 1;
    return i;
}

/* Power of two choices: within a factor of the best, and no herd of workers on one idle endpoint. */
static uint32_t least_request(const struct balance_view *v, struct rng *rng)
{
    uint32_t a = any(v, (uint32_t)(rng_next(rng) >> 32));
    if (a == BALANCE_NONE || v->n == 1)
        return a;
    uint32_t b = any(v, (uint32_t)(rng_next(rng) >> 32));
    if (a == b)
        b = next_usable(v, (a + 1) % v->n);
    uint64_t load_a = ((uint64_t)v->active(v->ctx, a) + 1) * GH_MAX(v->weight(v->ctx, b), 1u);
    uint64_t load_b = ((uint64_t)v->active(v->ctx, b) + 1) * GH_MAX(v->weight(v->ctx, a), 1u);
    return load_b < load_a ? b : a;
}

uint32_t balance_pick(enum lb_policy p, const struct balance_view *v, struct balance_state *st, struct rng *rng)
{
    if (v->n == 0)
        return BALANCE_NONE;
    switch (p) {
    case LB_ROUND_ROBIN: return round_robin(v, st);
    case LB_LEAST_REQUEST: return least_request(v, rng);
    case LB_RANDOM: return any(v, (uint32_t)(rng_next(rng) >> 32));
    }
    return BALANCE_NONE;
}
