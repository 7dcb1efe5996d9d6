/*
 * endpoint.h - between cluster.c and pool.c; nobody else includes it.
 */
#ifndef GH_UPSTREAM_ENDPOINT_H
#define GH_UPSTREAM_ENDPOINT_H

#include "worker/upstream/upstream.h"

/* One connection. Owned by the pool from connect to the codec's closed(). `k` makes it, and speaks HTTP/1.1 on it;
 * what is found to speak HTTP/2 moves on to `h2`, and `k` is an empty shell from then on. */
struct upconn {
    struct h1_client k;
    struct up_h2 *h2;      /* NULL: HTTP/1.1, or not connected yet */
    struct endpoint *ep;   /* held */
    struct list leases;    /* that wait for the connect, or have a stream; with HTTP/1.1 at most one */
    uint32_t n_leases;
    struct list node;      /* in ep->idle */
    struct list share;     /* in ep->shared, or none */
    struct list lru;       /* in upstream->lru, or ->busy */
    struct timer timer;    /* connect, or idle */
    uint64_t as;           /* what it was made as (secure.h) */
    bool idle, connected;
    bool doomed;           /* what must come before the request could not be begun */
    bool gone;             /* out of the books */
};

struct up_h2 {
    struct h2_client k;
    struct upconn *u;
};

/* No more requests for it: closes its idle connections. */
void endpoint_retire(struct endpoint *e);
/* Frees it, or empties it, when nobody needs it any more (invariant 2). */
void cluster_settle(struct cluster *c);
/* May it have one more connection? An idle one may go for it. */
bool cluster_admits(struct cluster *c);
/* A connection has gone: whoever waits goes on. The cluster may be gone afterwards, unless the caller has a hold. */
void cluster_room(struct cluster *c);
/* Requests of the whole machine on the cluster. */
uint64_t cluster_active(const struct cluster *c);

#endif
