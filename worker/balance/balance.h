/*
 * balance.h - pure picks: which split of a rule, which endpoint of a cluster. No I/O, no clock, no memory
 * of its own: the state is a number that the caller keeps, randomness comes from the caller's generator.
 */
#ifndef GH_BALANCE_BALANCE_H
#define GH_BALANCE_BALANCE_H

#include "shared/base/clock.h"
#include "shared/snap/snap.h"

#define BALANCE_NONE UINT32_MAX

/*
 * The next point of a Weyl sequence, in [0, 2^32): equally spread over any window, so that weights hold over ten
 * requests as over ten thousand, where random picks would scatter. *state is seeded at random, so
 * that workers do not march in step.
 */
static inline uint32_t balance_next(uint32_t *state)
{
    *state += 0x9e3779b9u; /* 2^32 / golden ratio */
    return *state;
}

/* Index into SPLITS by weight; BALANCE_NONE when no split has a weight. */
uint32_t balance_split(const struct snap *s, const struct snap_rule *r, uint32_t *state);

/* How a cluster shows its endpoints. `usable` says no for ejected ones, and for those already tried. */
struct balance_view {
    uint32_t n;
    bool equal;                                     /* all weights are the same: picks cost O(1) */
    bool (*usable)(const void *ctx, uint32_t i);
    uint32_t (*weight)(const void *ctx, uint32_t i);
    uint32_t (*active)(const void *ctx, uint32_t i);/* requests now, over all workers */
    const void *ctx;
};

struct balance_state {
    uint32_t turn; /* round robin: the next one */
    uint32_t weyl;
};

/*
 * LB_ROUND_ROBIN: in turn; with unequal weights, in proportion. LB_LEAST_REQUEST: the less busy, per weight, of two
 * chosen at random by weight. LB_RANDOM: by weight. BALANCE_NONE when none is usable.
 */
uint32_t balance_pick(enum lb_policy p, const struct balance_view *v, struct balance_state *st, struct rng *rng);

#endif
