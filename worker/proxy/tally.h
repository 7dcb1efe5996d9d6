/*
 * tally.h - what a TCP connection or a UDP flow leaves behind: counters of its listener, rule and cluster while it lives,
 * one line in the access log at its end.
 *
 * A stream may outlive many generations, and must not keep one mapped for that: what the log says of the snapshot is
 * copied: the names at the beginning, cluster and endpoint when they are known.
 */
#ifndef GH_PROXY_TALLY_H
#define GH_PROXY_TALLY_H

#include "worker/http/codec.h"
#include "worker/proxy/access_log.h"
#include "worker/net/net.h"

/* Where it is counted; shared by all streams and flows of a worker. */
struct tally_book {
    struct net *net;
    struct board *board;
    uint32_t row;
    struct access_log *access;      /* NULL = none */
};

struct tally {
    struct board_series *listener, *rule, *cluster; /* NULL = not (yet) */
    char *names, *target;           /* NULL: nothing is logged, not known yet, or there was no memory */
    uint64_t start_ns, connected_ns;/* 0 = never */
    uint64_t bytes_in, bytes_out;   /* from and to the client */
    uint64_t generation;            /* with which it began */
    uint16_t tries;
    uint8_t reason;                 /* enum reason; the first one stays */
};

/* What TLS found; empty texts where there was none. */
struct tally_names { struct str server_name, tls_version, tls_cipher, client_cert; };

/* Begins; listener and rule may be NULL. */
void tally_begin(struct tally *t, const struct tally_book *b, const struct snap *s, const struct snap_listener *l,
                 const struct snap_rule *r, const struct tally_names *names);
/* The cluster is chosen, the endpoint is: counted, and kept for the log. A later endpoint takes the place of an earlier
 * one; without `cluster` it is of the same. */
void tally_cluster(struct tally *t, const struct tally_book *b, const struct snap_cluster *c);
void tally_target(struct tally *t, const struct tally_book *b, struct str cluster, struct str endpoint);
/* Ends: the gauges fall, the line is written, the names go. `protocol`: "TCP", "TLS", "UDP". */
void tally_end(struct tally *t, const struct tally_book *b, const struct stream_link *from, struct str protocol);

static inline void tally_because(struct tally *t, enum reason why)
{
    if (t->reason == REASON_OK)
        t->reason = (uint8_t)why;
}

static inline void tally_in(struct tally *t, size_t n)
{
    t->bytes_in += n;
    if (t->listener)
        board_add(&t->listener->bytes_in, n);
    if (t->rule)
        board_add(&t->rule->bytes_in, n);
    if (t->cluster)
        board_add(&t->cluster->bytes_out, n);
}

static inline void tally_out(struct tally *t, size_t n)
{
    t->bytes_out += n;
    if (t->listener)
        board_add(&t->listener->bytes_out, n);
    if (t->rule)
        board_add(&t->rule->bytes_out, n);
    if (t->cluster)
        board_add(&t->cluster->bytes_in, n);
}

#endif
