/*
 * h1_server.h - HTTP/1.1 towards clients: one connection, one request at a time.
 *
 *            bytes                                   release
 *   IDLE ──────────► HEAD ──► LENGTH ─┐        ┌──────────────► IDLE (or the next one of `ahead`)
 *    ▲                │  └──► CHUNKED ─► DONE ─┤
 *    │                │        TRAILERS        ├─ answer complete, upload not: DISCARD, or LINGER
 *    │                └─ bad: LINGER           ├─ 101: TUNNEL (raw bytes)
 *    └──────────────────────────────────────────┘
 *
 * Bytes of later requests wait in `ahead`, bounded; then reading stops. An answer that is complete before
 * the upload is: the rest is discarded when it is short, else the connection lingers (our side closed, input
 * thrown away for a moment) so that the client gets to read the answer before a reset.
 *
 * A client that has closed its side (FIN) may wait for its answer or be gone; nobody can tell before something
 * is sent to it. It gets the answer as long as no pause in it, the one before its head included, is longer than
 * H1_HALF_CLOSE_MS; else the exchange ends as aborted. (nginx ends it at the FIN, HAProxy waits for the
 * backend's timeouts.) Time in which the client has bytes to take is the send rate's.
 *
 * The first bytes of a plain connection may be the preface of HTTP/2 (prior knowledge; TLS says it in ALPN): then the connection goes to
 * whoever serves that. Nothing is kept of a preface that is not all there: its bytes are known.
 *
 * Who begins with a line that has neither a target nor a version of HTTP speaks something else, a broken preface of
 * HTTP/2 perhaps (RFC 9113 3.4): nobody would understand our answer, so there is none.
 *
 * Slow clients, all absolute: the head must be complete header_timeout after its first byte. A body, and
 * the taking of an answer, has a credit of its grace time; time costs it, bytes earn it back at the minimum
 * rate, never above the grace time. Time in which *we* do not read costs nothing.
 *
 * Memory: an idle connection is this struct and nothing else. While a request runs: one struct h1_work, and
 * what is in the arena of the exchange.
 */
#ifndef GH_CODEC_H1_SERVER_H
#define GH_CODEC_H1_SERVER_H

#include "worker/codec/h1_parse.h"
#include "worker/http/codec.h"
#include "worker/net/conn.h"

#include <stdatomic.h>

#define H1_HALF_CLOSE_MS 5000
#define H1_FRESH_MS      5000
#define H1_AHEAD_MAX     (16u * 1024) /* bytes of later requests kept */
#define H1_DISCARD_MAX   (64u * 1024) /* rest of an upload that is read to save the connection */
#define H1_LINGER_MS     2000
#define H1_LINGER_MAX    (1024u * 1024)

/* From the settings of the current generation. */
struct h1_settings {
    struct h1_limits limits;
    uint32_t header_timeout_ms, idle_timeout_ms;
    uint32_t body_grace_ms, body_min_rate;
    uint32_t send_grace_ms, send_min_rate;
};

struct h1_work;

/* What all connections of a worker share. Owned by the dataplane. */
struct h1_servers {
    struct net *net;
    struct server_host *host;
    struct h1_settings settings;
    struct list idle, busy;     /* struct h1_server.node; idle: longest idle first */
    uint32_t n, n_idle;
    _Atomic uint32_t *shown;    /* where others see how many connections there are, ours added to it; NULL = nowhere */
    struct slab conns, works;
    struct http_field *fields;  /* lines of the head being parsed: settings.limits.max_fields */
    /* Takes over a connection that began with the preface of HTTP/2, and what was read of it (conn_move). NULL:
     * nobody does. False: it can't. */
    bool (*take_h2)(struct h1_servers *all, struct conn *from, const struct stream_link *l, const char *data, size_t n);
};

/* One connection. Private but for reading. */
struct h1_server {
    struct conn c;
    struct stream stream;
    struct stream_link link;
    struct timer timer;
    struct list node;
    struct h1_servers *all;
    struct h1_work *work;       /* NULL while idle */
    struct chunkq ahead;
    uint64_t since_ms;          /* of the head, the lingering, or the pause of a half-closed client's answer */
    uint64_t mark_ms, mark_sent;/* of the last look at the rates */
    int32_t body_credit_ms, send_credit_ms;
    uint32_t requests;
    uint8_t rx, tx;             /* phases, see h1_server.c */
    uint8_t preface;            /* bytes of HTTP/2's that were read, and nothing else yet */
    bool keep;                  /* the connection lives on after this answer */
    bool feeding;               /* in feed(): release leaves the next request to it */
    bool bad;                   /* the input can't be read any further */
    bool mute;                  /* ... and is no HTTP at all: no answer either */
};

int h1_servers_init(struct h1_servers *all, struct net *n, struct server_host *host);
void h1_servers_fini(struct h1_servers *all); /* all connections must be gone */
/* False: no memory; the old settings stay. */
bool h1_servers_set(struct h1_servers *all, const struct h1_settings *s);

/* Takes over a connected, non-blocking descriptor. */
int h1_server_accept(struct h1_servers *all, int fd, const struct stream_link *link);
/* Takes over an open connection of somebody else, with n bytes that were read from it. `from` is as after conn_close.
 * Negative gh_err: no memory; nothing was done. */
int h1_server_take(struct h1_servers *all, struct conn *from, const struct stream_link *link, const char *data, size_t n);

/* Closes idle connections for which `which` says yes (NULL: all), the longest idle first, at most `max`.
 * Returns how many. */
uint32_t h1_servers_close_idle(struct h1_servers *all, uint32_t max, bool (*which)(void *ctx, const struct stream_link *l),
                               void *ctx);
/* For a process that is to end, again and again until none is left: closes idle connections, but those whose client has
 * sent something that is not read yet, and for H1_FRESH_MS those that have not brought their first request yet: a client
 * may send a request again on a new connection when one that it kept is closed, but not when a new one is. */
void h1_servers_drain(struct h1_servers *all);
/* Closes everything now; exchanges hear CLIENT_ABORT. */
void h1_servers_close_all(struct h1_servers *all);

#endif
