/*
 * exchange.h - one client request and its response.
 *
 *        client stream                     exchange                      upstream stream (one try)
 *   codec ── on_head, on_body ──►  head ► route ► filters ► pick  ──► send_head, send_body ── codec
 *   codec ◄─ send_head, send_body ──  filters ◄ retry? ◄  ────────── on_head, on_body ─────── codec
 *
 * This struct is what every room above the codecs may look at: filters change the heads, the pipeline
 * (proxy/http.c) moves it from step to step, the access log and the counters read it at the end. The
 * machinery of the pipeline (tries, timers, body) is in its own struct around this one.
 *
 * Lifetime: made by server_host.open when a request's first byte arrives; ended by the pipeline when both
 * streams are released. Everything it allocates is in `arena`, which is recycled with it. It keeps the
 * generation with which it began (`snap`).
 *
 * Invariants
 *  1. `req` is complete from on_head on. Its slices point into the arena; method, path_raw and authority
 *     as received stay as they are, `req` itself is edited into what goes upstream.
 *  2. `host`, `entry`, `rule`, `split`, `cluster` are set in this order; NULL = not reached.
 *  3. At most one final head is sent to the client (`head_sent`); after it the status never changes.
 *  4. `reason` is set once, by the first thing that went wrong (exchange_because), and stays.
 */
#ifndef GH_HTTP_EXCHANGE_H
#define GH_HTTP_EXCHANGE_H

#include "shared/snap/route.h"
#include "worker/http/codec.h"
#include "worker/net/net.h"

#define PEER_TEXT_MAX 46

struct exchange {
    struct arena arena;
    struct net *net;
    struct snap *snap;                   /* held */
    struct stream *client;               /* NULL once released */
    const struct snap_bind *bind;        /* in `snap`; NULL: its bind is gone */

    /* As received. */
    struct str path_raw, query;
    struct str authority;
    struct str peer;                     /* address of the TCP peer, text */
    struct str local;                    /* address the client connected to */
    struct str client_address;           /* after the rule of bind.trusted_hops */
    struct str request_id;
    uint16_t peer_port;
    bool https;                          /* of the request, after the trust rule */

    /* What was decided. */
    struct str path;                     /* THE canonical path, before rewrites */
    struct str host_name;                /* canonical, lower case, no port */
    struct route_hit hit;
    const struct snap_split *split;
    const struct snap_cluster *cluster;
    struct str endpoint;                 /* "10.0.0.1:80" of the last try */

    struct http_head req;                /* to be sent upstream */

    /* How it went. */
    uint64_t start_ns;                   /* first byte of the request */
    uint64_t sent_ns, head_ns;           /* last try: request head sent, response head seen; 0 = not */
    uint64_t bytes_in, bytes_out;        /* bodies, from and to the client */
    uint16_t status;                     /* sent to the client; 0 = none */
    uint16_t tries;
    uint8_t reason;                      /* enum reason */
    bool head_sent;
    bool has_grpc_status;
    uint16_t grpc_status;                /* of a call of gRPC, made here or by the backend */
    const char *detail;                  /* more about the reason, a constant; may be NULL */
};

/* The first cause stays. */
static inline void exchange_because(struct exchange *x, enum reason why)
{
    if (x->reason == REASON_OK)
        x->reason = (uint8_t)why;
}

/* Address bytes as text into out[PEER_TEXT_MAX]; returns the length, 0 for a unix socket. */
size_t address_text(uint8_t family, const uint8_t *address, char *out);

#endif
