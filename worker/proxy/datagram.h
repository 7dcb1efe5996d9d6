/*
 * datagram.h - UDP: datagrams from clients to endpoints, and the answers back.
 *
 *   client ─► udp_socket ─► flow ─► connected socket ─► endpoint
 *          ◄─ udp_socket ◄─ flow ◄─ connected socket ◄─
 *
 * The first datagram of a client makes a flow: backend by weight, endpoint by the cluster's policy, a socket that is
 * connected to it, so that only it can answer and its ICMP errors are heard. The flow stands until nothing moved for
 * the idle time-out. A flow keeps its backend over reloads as long as the rule still has that backend and the backend
 * that endpoint; else its next datagram makes a new one.
 *
 * The share of a backend that is not valid, and flows without an endpoint, are dropped: a flow without a socket. The
 * one stands as any other, the other for a second, after which it is tried again.
 *
 * An endpoint that refuses (ICMP port unreachable) is avoided, and the flow goes on with another one if there is one
 * that did not fail lately.
 *
 * Nothing is ever sent to a client but what an endpoint answered to it. There are at most `udp_flows` flows, and no
 * more than half of the descriptors; flow_table.h says who makes room.
 *
 * When the worker drains, other workers read the sockets; flows end once they were quiet for DATAGRAM_LINGER_MS, so
 * that an answer on its way still comes.
 */
#ifndef GH_PROXY_DATAGRAM_H
#define GH_PROXY_DATAGRAM_H

#include "worker/net/udp.h"
#include "worker/proxy/flow_table.h"
#include "worker/proxy/generation.h"
#include "worker/proxy/tally.h"

#define DATAGRAM_LINGER_MS 2000
#define DATAGRAM_AGAIN_MS  1000 /* a flow without an endpoint */
#define DATAGRAM_TRIES     3    /* endpoints that can't even be connected to */

/* All of a worker; part of the dataplane. */
struct datagrams {
    struct net *net;
    struct upstream *upstream;
    struct tally_book book;
    struct udp_sockets sockets;
    struct flow_table flows;
    struct slab slab;
    struct list dead;           /* struct flow: no event of this turn can name them any more once `reaper` fires */
    struct timer reaper;
    uint32_t max_flows;
    size_t fd_limit;
    bool draining;
    uint32_t n_old;             /* draining: flows that had begun before */
    struct snap *(*current)(void *ctx); /* NULL: nothing to serve yet */
    void *ctx;
};

/* `current` and `ctx` are set by the caller before. Negative gh_err. */
int datagrams_init(struct datagrams *d, struct net *n, struct upstream *u, const struct tally_book *b, size_t fd_limit);
void datagrams_fini(struct datagrams *d);  /* ends all flows */
void datagrams_set(struct datagrams *d, const struct snap_settings *s);
void datagrams_drain(struct datagrams *d); /* over when n_old is 0 */
void datagrams_cut(struct datagrams *d, enum reason why);
void datagrams_trim(struct datagrams *d);

#endif
