/*
 * raw.h - connections of streams (TCP, TLS passed through) to endpoints: in the same books as the pool's, without codec
 * and never used again.
 *
 *   raw_open ──► CONNECTING ──ready──► OPEN ──closed──► gone
 *                    └──failed──► gone
 *
 * The connection is a `struct conn`: once `ready` was told, its owner reads, writes, finishes and closes it as any
 * other, with the events it gave. Those must have raw_on_connect and raw_on_closed in their places.
 *
 * Limits: a cluster at its max_connections refuses, after an idle pooled connection was looked for; there is no queue
 * (whoever speaks raw bytes can't be told to wait, and Istio's proxies refuse as well).
 *
 * Invariants
 *  1. From raw_open to its on_closed it counts: n_conns of endpoint, cluster and worker, the endpoint's active ones, and
 *     on the board where the policy is least request.
 *  2. ready(), failed() and closed() come from the loop, never from inside raw_open. One of failed() and closed() comes
 *     once, at the end, unless raw_drop was called: after it the owner hears nothing.
 */
#ifndef GH_UPSTREAM_RAW_H
#define GH_UPSTREAM_RAW_H

#include "worker/upstream/upstream.h"

struct raw;
struct raw_owner {
    void (*ready)(struct raw *r);
    void (*failed)(struct raw *r, enum reason why); /* CONNECT_FAILED, _TIMEOUT, UPSTREAM_TLS; it is closed already */
    void (*closed)(struct raw *r);                  /* nothing can be asked of it any more */
    struct conn_events ev;
};

struct raw {
    struct conn c;
    struct list node;           /* in upstream->raws */
    struct timer timer;         /* of connecting */
    const struct raw_owner *owner;
    void *user;                 /* of the owner; NULL: nobody is told */
    struct endpoint *ep;        /* held */
    uint32_t entered;           /* of endpoint_enter */
    bool connected;
    bool doomed;                /* what must come before its bytes could not be begun */
};

/* Begins to connect; a PROXY header and TLS, where the cluster wants them, come first (secure.h; `who` is borrowed for the
 * call). NULL: *why is OVERFLOW, CONNECT_FAILED, UPSTREAM_TLS or MEMORY. */
struct raw *raw_open(struct endpoint *e, const struct secure_for *who, const struct raw_owner *o, void *user,
                     enum reason *why);
/* Closes it at once, with a reset; any state. The owner hears nothing more. */
void raw_drop(struct raw *r);

void raw_on_connect(struct conn *c, int err);
void raw_on_closed(struct conn *c);
static inline struct raw *raw_of(struct conn *c)
{
    return CONTAINER_OF(c, struct raw, c);
}

#endif
