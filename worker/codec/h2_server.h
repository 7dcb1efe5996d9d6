/*
 * h2_server.h - HTTP/2 towards clients: one connection, many requests.
 *
 *   take ──► PREFACE ──SETTINGS──► IDLE ◄──► BUSY ──► (GOAWAY, all answered) ──► LINGER ──► closed
 *                                   └──────────┴── error, flood: GOAWAY ──────────┘
 *
 * A connection comes from somebody else (conn_move): the HTTP/1.1 server that read the preface on a plain socket
 * (prior knowledge; `Upgrade: h2c` is not honoured), or whoever made the TLS handshake and agreed on h2.
 *
 * The end in good order: a first GOAWAY names no stream and says that no more should be opened; when the client has
 * answered a PING, or a second later, a second one names the last that was taken, and when that is answered our
 * side is closed. So a request that was under way when the first was written is served.
 *
 * Slow clients, as in h1_server: the preface and each block of header fields have an absolute time; a request body has
 * a credit of grace time and a minimum rate; so have a stream whose window stays shut, and a connection that takes
 * no bytes. Time in which *we* do not want bytes costs nothing.
 *
 * An idle connection is this struct and its header table.
 */
#ifndef GH_CODEC_H2_SERVER_H
#define GH_CODEC_H2_SERVER_H

#include "worker/codec/h2_session.h"

#define H2_PREFACE_MS 5000 /* or header_timeout, if that is less */
#define H2_NOTICE_MS  1000
#define H2_LINGER_MS  1000
#define H2_HEADS_MAX  16u  /* times max_bytes: decoded heads of all requests of a connection */

/* From the settings of the current generation. */
struct h2_settings {
    struct h2_limits limits;
    uint32_t max_streams;
    uint32_t header_timeout_ms, idle_timeout_ms;
    uint32_t body_grace_ms, body_min_rate;
    uint32_t send_grace_ms, send_min_rate;
};

/* What all connections of a worker share. Owned by the dataplane. */
struct h2_servers {
    struct h2_shared shared;
    struct server_host *host;
    struct h2_settings settings;
    struct list idle, busy;    /* struct h2_server.node; idle: longest idle first */
    uint32_t n, n_idle;
    _Atomic uint32_t *shown;   /* where others see how many connections there are, ours added to it; NULL = nowhere */
    struct slab conns;
    uint64_t said_ms;          /* when the log last heard of a flood */
    uint32_t unsaid;           /* those that it has not heard of since */
};

void h2_servers_init(struct h2_servers *all, struct net *n, struct server_host *host);
void h2_servers_fini(struct h2_servers *all); /* all connections must be gone */
void h2_servers_set(struct h2_servers *all, const struct h2_settings *s);
void h2_servers_trim(struct h2_servers *all);

/*
 * Takes over an open connection of somebody else, with n bytes that were read from it (they begin with the first
 * byte of the preface). `from` is as after conn_close. Negative gh_err: no memory; nothing was done.
 */
int h2_server_take(struct h2_servers *all, struct conn *from, const struct stream_link *link, const char *data, size_t n);

/* Closes idle connections, the longest idle first, at most `max`, at once but with a GOAWAY. Returns how many. */
uint32_t h2_servers_close_idle(struct h2_servers *all, uint32_t max);
/* Begins the end in good order for all of which `which` says yes (NULL: all). Again: nothing. */
void h2_servers_drain(struct h2_servers *all, bool (*which)(void *ctx, const struct stream_link *l), void *ctx);
/* Closes everything now; exchanges hear CLIENT_ABORT. */
void h2_servers_close_all(struct h2_servers *all);

#endif
