/*
 * generation.h - what this process adds to one snapshot: compiled expressions, runtime clusters, the turn
 * of each weighted split. Hangs on snap->user and goes with it.
 *
 * Everything is made when it is first asked for, so that switching to a generation with 100,000 routes
 * costs nothing in the loop.
 */
#ifndef GH_PROXY_GENERATION_H
#define GH_PROXY_GENERATION_H

#include "shared/snap/snap.h"
#include "worker/upstream/upstream.h"

#include <stdatomic.h>

struct generation {
    const struct snap *s;
    struct upstream *upstream;
    struct snap_regexes *regexes;
    struct cluster **clusters;  /* of CLUSTERS, held; NULL = not asked for yet */
    uint32_t *turns;            /* of RULES: balance_split's state; 0 = not begun */
    uint32_t n_binds, last_bind; /* the latter: the one that was asked for last */
    struct bind_slot { uint64_t id; uint32_t index; } *binds; /* by id */
    struct keys *keys;          /* private keys of CERTS, by their id (shared/tls/keys.h); NULL = none are needed */
    _Atomic uint32_t *held;     /* counts those that live, this one included; NULL = nobody counts */
};

/* Attaches one to `s`. False: no memory. */
bool generation_attach(struct snap *s, struct upstream *u);
/* Counts it there for as long as it lives; once. */
void generation_count(struct generation *g, _Atomic uint32_t *held);
/* Opens the image of keys and sees that it is of this generation and has the key of every certificate that a listener or
 * a cluster may show; the mapping is the generation's. keys_fd -1: there are none. Negative gh_err and a sentence. */
int generation_take_keys(struct generation *g, int keys_fd, struct buf *why);
static inline struct generation *generation_of(const struct snap *s)
{
    return s->user;
}
/* NULL: this generation does not have it. */
const struct snap_bind *generation_bind(struct generation *g, uint64_t bind_id);
/* NULL: no memory. */
struct cluster *generation_cluster(struct generation *g, uint32_t index);
/* Index into SPLITS, or BALANCE_NONE. */
uint32_t generation_split(struct generation *g, const struct snap_rule *rule);

#endif
