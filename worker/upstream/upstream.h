/*
 * upstream.h - clusters, their endpoints, and pooled connections to them.
 *
 * Runtime state is keyed by the stable ids of the snapshot and survives its swaps: a reload changes no
 * connection. A cluster takes its settings and endpoints from the newest generation that used it; endpoints
 * that are gone keep their running requests, are picked no more, and their idle connections are closed.
 *
 *   cluster ── endpoints ─┬ idle connections (last in, first out)
 *      │                  └ HTTP/2: shared connections, with as many leases as the peer allows streams
 *      └ waiting leases (when max_connections is reached)
 *
 * A lease is a request's claim to one stream of one endpoint: from lease_begin to lease_end it counts as
 * active. Ready at once (a pooled connection), or later (ready/failed).
 *
 * Invariants
 *  1. Every connection is either connecting, busy with streams (HTTP/1.1: one), idle in the list of its endpoint,
 *     or raw (raw.h, a UDP flow); `n_conns` of endpoint, cluster and worker count all of them. Only HTTP/2 has several leases;
 *     those that a connecting one promises to serve wait for it.
 *  2. An endpoint lives while its cluster lists it, a lease names it or a connection is open to it; a
 *     cluster while a generation names it or a connection or lease of it lives. So its pool outlasts the
 *     moment in which the old generation has gone and nobody has used the new one yet.
 *  3. Only connections that said nothing while idle are handed out, the youngest first.
 *  4. Whether a connection speaks HTTP/2 is asked when it is connected (pool.c, choose_codec), not before.
 *  5. failed() and ready() come from the loop, never from inside lease_begin.
 */
#ifndef GH_UPSTREAM_UPSTREAM_H
#define GH_UPSTREAM_UPSTREAM_H

#include "shared/snap/snap.h"
#include "worker/balance/balance.h"
#include "worker/codec/h1_client.h"
#include "worker/codec/h2_client.h"
#include "worker/upstream/secure.h"

#include <sys/socket.h>

struct cluster;
struct upconn;
struct upstream;

struct endpoint {
    uint32_t refs;
    uint32_t index;             /* in cluster->v, or BALANCE_NONE when it is gone */
    struct cluster *cluster;
    uint64_t id;
    struct str name;            /* "10.0.0.1:80", "[::1]:80", "unix:/run/x"; behind the struct */
    uint32_t weight;
    uint32_t board_slot;
    struct list idle;           /* struct upconn; the youngest first */
    struct list shared;         /* struct upconn that speak HTTP/2, or will; the youngest first */
    bool spoke_h2;              /* its last connection did */
    uint32_t streams;           /* that one connection of HTTP/2 may have, as it last said */
    uint32_t n_idle, n_conns;
    uint32_t active;            /* leases of this worker */
    uint32_t failures;          /* connects that failed, in a row */
    uint64_t avoid_until_ms;    /* ... so others are preferred until then */
    struct tls_session session; /* of the last connection, for the next one */
    bool shared_slot;           /* several endpoints of a name: the board's count is not its own */
    socklen_t to_len;
    struct sockaddr to[];       /* as long as it takes; then the name */
};

/* A name whose answers the scout writes to the board. */
struct name_source {
    uint32_t dns_slot, board_slot;
    uint32_t turn;              /* of the answer in use */
    uint64_t key;               /* what the row must hold */
    uint64_t id;
    uint16_t port;
    uint32_t weight;
};

struct cluster {
    struct cluster *next;       /* in its slot of upstream->table */
    struct upstream *all;
    uint64_t id;
    uint32_t refs;
    uint64_t generation;        /* that its settings are of */
    uint64_t endpoints_hash;
    uint8_t lb, protocol;
    struct security security;
    bool equal;                 /* weights of all endpoints */
    uint32_t connect_timeout_ms, idle_timeout_ms;
    uint32_t max_connections, max_pending, max_requests; /* 0 = unlimited */
    uint32_t slot;              /* board series */
    struct endpoint **v;
    uint32_t n, cap;
    struct name_source *names;
    uint32_t n_names;
    struct balance_state pick;
    struct list waiting;        /* struct lease */
    uint32_t n_waiting, n_conns;
    uint32_t n_live;            /* endpoints that name it */
};

/* All clusters of a worker. */
struct upstream {
    struct net *net;
    struct board *board;
    uint32_t row;               /* of this process on the board */
    struct h1_clients h1;
    struct h2_clients h2;
    struct tls_contexts *contexts; /* NULL: clusters with TLS are not usable */
    const struct keys *(*keys_of)(const struct snap *s); /* private keys of a generation; NULL = there are none */
    struct cluster **table;     /* 2^log2 chains */
    uint32_t table_log2, n_clusters;
    struct slab conns, h2s;
    struct list lru;            /* idle connections, the longest idle first */
    struct list busy;           /* all others */
    struct list raws;           /* struct raw: connections of streams (raw.h) */
    struct slab raw_slab;
    uint32_t n_conns, n_idle;
    /* Of the current settings. */
    uint32_t connect_timeout_ms, idle_timeout_ms, max_idle; /* max_idle: of an endpoint; more of them rest for a moment only */
};

int upstream_init(struct upstream *u, struct net *n, struct board *b, uint32_t row);
/* Closes all connections; the loop must turn (or conn_bury run) before upstream_fini. */
void upstream_close(struct upstream *u);
void upstream_fini(struct upstream *u);
/* False: no memory. */
bool upstream_set(struct upstream *u, const struct snap_settings *s);
void upstream_trim(struct upstream *u); /* gives free memory back to the heap */
/* Closes up to `max` of the longest idle connections; returns how many. */
uint32_t upstream_close_idle(struct upstream *u, uint32_t max);

/* The runtime state of CLUSTERS[index], found or made, with a hold of the caller's. NULL: no memory. */
struct cluster *cluster_get(struct upstream *u, const struct snap *s, uint32_t index);
void cluster_drop(struct cluster *c); /* NULL-safe */

/* An endpoint by the cluster's policy, none of `tried` if there is another. NULL: none is usable. */
struct endpoint *cluster_pick(struct cluster *c, struct endpoint *const *tried, uint32_t n_tried);
struct endpoint *endpoint_hold(struct endpoint *e);
void endpoint_drop(struct endpoint *e); /* NULL-safe */
/* A raw connection or a UDP flow begins and ends: in the books as a connection, counted as active here and, where others
 * look at it, on the board. The caller holds `e` in between; the number is for endpoint_leave. */
uint32_t endpoint_enter(struct endpoint *e);
void endpoint_leave(struct endpoint *e, uint32_t entered);

struct lease;
struct lease_events {
    void (*ready)(struct lease *l, struct stream *s);
    void (*failed)(struct lease *l, enum reason why); /* CONNECT_FAILED, CONNECT_TIMEOUT, UPSTREAM_TLS, OVERFLOW */
};

enum lease_state { LEASE_NONE, LEASE_WAITING, LEASE_CONNECTING, LEASE_HELD };
/* Embedded in the exchange's machinery; zero is LEASE_NONE. `who` is set before lease_begin. */
struct lease {
    struct secure_for who;
    uint64_t as;                /* what its connection must have been made as (secure.h) */
    const char *detail;         /* of failed(): more about it, a constant; may be NULL */
    struct list node;           /* in cluster->waiting, or of its connection */
    const struct lease_events *ev;
    struct endpoint *ep;        /* held while the lease is */
    struct upconn *conn;
    struct timer timer;         /* of waiting */
    uint32_t board_slot;        /* where it was counted in; 0 = not */
    uint8_t state;
};

enum lease_result { LEASE_READY, LEASE_LATER, LEASE_REFUSED };
/* What kind of connection a request may have. */
enum lease_want {
    LEASE_ANY,
    LEASE_SURE,  /* pooled ones only when the kernel, too, knows of no end: for what can't be sent twice */
    LEASE_FRESH, /* none from the pool */
};
/* Claims a stream of `ep`. READY: *s is it. LATER: ready or failed follows. REFUSED: *why, nothing is held. */
enum lease_result lease_begin(struct lease *l, struct endpoint *ep, enum lease_want want, const struct lease_events *ev,
                              struct stream **s, enum reason *why);
/* The claim is over. A stream that was handed out must have been released before. Any state. */
void lease_end(struct lease *l);

/* How the exchange went, for the next picks and the board. */
void endpoint_result(struct endpoint *e, bool ok);

#endif
