/*
 * endpoint.h - between cluster.c and pool.c; nobody else includes it.
 */
#ifndef GH_UPSTREAM_ENDPOINT_H
#define GH_UPSTREAM_ENDPOINT_H

#include "worker/upstream/upstream.h"

/* One connection. Owned by the pool from connect to the codec's closed(). */
struct upconn {
    struct h1_client k;
    struct endpoint *ep;   /* held */
    struct lease *lease;   /* that waits for the connect, or has the stream; NULL while idle */
    struct list node;      /* in ep->idle */
    struct list lru;       /* in upstream->lru, or ->busy */
    struct timer timer;    /* connect, or idle */
    bool idle, connected;
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
