#include "worker/proxy/generation.h"
#include "shared/base/err.h"
#include "shared/tls/keys.h"

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
    if (g->held)
        atomic_fetch_sub_explicit(g->held, 1, memory_order_relaxed);
    snap_regexes_free(g->regexes);
    keys_close(g->keys);
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

void generation_count(struct generation *g, _Atomic uint32_t *held)
{
    g->held = held;
    atomic_fetch_add_explicit(held, 1, memory_order_relaxed);
}

/* ---- keys ---- */

static int check_key(const struct generation *g, uint32_t cert, struct buf *why)
{
    const struct snap_cert *c = &g->s->CERTS[cert];
    if (g->keys && keys_find(g->keys, c->id).p)
        return 0;
    if (why)
        buf_addf(why, "the key of certificate " STR_FMT " is missing", STR_ARG(snap_name(g->s, c->subject)));
    return GH_E_NOT_FOUND;
}

static int check_chain(const struct generation *g, const struct snap_chain *c, struct buf *why)
{
    int rc = 0;
    if (c->tls == SNAP_NONE)
        return 0;
    SNAP_EACH(i, g->s->TLS_SERVERS[c->tls].certs)
        rc = rc ? rc : check_key(g, g->s->INDEXES[i], why);
    return rc;
}

static int check_cluster(const struct generation *g, const struct snap_cluster *c, struct buf *why)
{
    const struct snap_tls_client *t = SNAP_AT(g->s, TLS_CLIENTS, c->tls);
    return t && t->cert != SNAP_NONE && !(t->flags & SNAP_TLS_BROKEN) ? check_key(g, t->cert, why) : 0;
}

int generation_take_keys(struct generation *g, int keys_fd, struct buf *why)
{
    int rc = keys_fd < 0 ? 0 : keys_open(&g->keys, keys_fd, why);
    if (rc == 0 && g->keys && keys_generation(g->keys) != g->s->head->generation) {
        if (why)
            buf_addf(why, "the keys are of generation %llu", (unsigned long long)keys_generation(g->keys));
        rc = GH_E_VERSION;
    }
    for (uint32_t i = 0; rc == 0 && i < g->s->n[SNAP_CHAINS]; i++)
        rc = check_chain(g, &g->s->CHAINS[i], why);
    for (uint32_t i = 0; rc == 0 && i < g->s->n[SNAP_CLUSTERS]; i++)
        rc = check_cluster(g, &g->s->CLUSTERS[i], why);
    return rc;
}

const struct snap_bind *generation_bind(struct generation *g, uint64_t bind_id)
{
    uint32_t lo = 0, hi = g->n_binds;
    if (likely(g->last_bind < hi && g->binds[g->last_bind].id == bind_id))
        return &g->s->BINDS[g->binds[g->last_bind].index];
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (g->binds[mid].id < bind_id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == g->n_binds || g->binds[lo].id != bind_id)
        return NULL;
    g->last_bind = lo;
    return &g->s->BINDS[g->binds[lo].index];
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
