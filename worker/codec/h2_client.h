/*
 * h2_client.h - HTTP/2 towards endpoints: one connection, many requests at a time.
 *
 * A connection is connected by somebody else and taken over (conn_move): whether it speaks HTTP/2 may be known only
 * after a handshake. Requests may be sent at once; until the peer's SETTINGS have come it is trusted with
 * H2_CLIENT_FIRST streams.
 *
 *   take ──► open ──GOAWAY, or numbers run out──► leaving ──last stream──► gone ──► closed
 *             └──────── lost, or a fault ───────────────────────────────────┘
 *
 * What had no effect is said so (STREAM_F_REFUSED, or STREAM_F_WROTE taken back): streams above the last one of a
 * GOAWAY, streams reset with REFUSED_STREAM, and on a connection that ended in good order those of which no byte
 * had arrived. They may be sent again elsewhere.
 *
 * A path that swallows everything: when nothing at all is heard for H2_SILENCE_MS and a request was sent since the last
 * PING, another one is; when that is not answered in H2_PING_MS the connection is lost. Servers count PINGs (those
 * of gRPC end a connection at the third one that has no answer of theirs before it), so there is no second one
 * before an answer began, or H2_PING_AGAIN_MS have gone by.
 */
#ifndef GH_CODEC_H2_CLIENT_H
#define GH_CODEC_H2_CLIENT_H

#include "worker/codec/h2_session.h"

#define H2_CLIENT_FIRST 100u   /* streams before SETTINGS */
#define H2_CLIENT_MOST  1000u  /* ... and ever, whatever the peer allows */
#define H2_SILENCE_MS   5000
#define H2_PING_MS      10000
#define H2_PING_AGAIN_MS 300000
#define H2_MAX_INTERIM  32     /* interim answers before the final one */

struct h2_client;

/* The pool. */
struct h2_client_owner {
    /* Another number of streams may be opened now (h2_client_room): one has ended, SETTINGS or GOAWAY came. */
    void (*news)(struct h2_client *k);
    /* It has ended, or is about to. The codec closes it; only the owner's books are to be kept. Called once. */
    void (*gone)(struct h2_client *k);
    void (*closed)(struct h2_client *k); /* the memory may go */
};

/* What all of a worker share. */
struct h2_clients {
    struct h2_shared shared;
};

/* In the pool's own memory. */
struct h2_client {
    struct h2_session h;
    struct timer timer;          /* of silence */
    const struct h2_client_owner *owner;
    uint64_t heard_ms, asked_ms; /* last byte; last request */
    uint64_t ping_ms;            /* last PING; 0 = none that still forbids another */
    uint32_t requests;           /* streams opened so far */
    bool pinged;                 /* nothing was heard since */
    bool may_ping;               /* a request was sent since */
    bool told_gone;
};

void h2_clients_init(struct h2_clients *all, struct net *n);
void h2_clients_set(struct h2_clients *all, const struct h2_limits *limits);
void h2_clients_fini(struct h2_clients *all);

/* Takes over an open connection; `https`: it is inside TLS; `streams`: as many as the peer allowed last time, or
 * H2_CLIENT_FIRST. `from` is as after conn_close. */
void h2_client_take(struct h2_client *k, struct h2_clients *all, const struct h2_client_owner *owner, struct conn *from,
                    bool https, uint32_t streams);
/* Streams that may be opened now; 0 for one that is leaving. `ask`: it is 0, too, when the kernel knows of the end
 * of one without streams, which costs a system call. */
uint32_t h2_client_room(const struct h2_client *k, bool ask);
/* A stream, where there is room; NULL: no memory. */
struct stream *h2_client_stream(struct h2_client *k);
/* No more streams; the end when those that run have ended (at once, if none does). */
void h2_client_leave(struct h2_client *k);
/* Closes it, whatever it does; exchanges on it hear nothing (they must have been released). */
void h2_client_close(struct h2_client *k);

static inline bool h2_client_is_busy(const struct h2_client *k)
{
    return k->h.n_streams > 0;
}

#endif
