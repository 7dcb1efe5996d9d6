/*
 * h1_client.h - HTTP/1.1 towards endpoints: one connection, one request at a time.
 *
 *              send_head                    response complete, release
 *   IDLE ───────────────► HEAD ──► LENGTH ─┐
 *    ▲                    ▲ │ ├──► CHUNKED ─► DONE ──► reusable: owner->idle, else owner->gone
 *    │                    └─┘ ├──► CLOSE  ──┘
 *    │                    1xx └──► TUNNEL (101)
 *    └──────────────── owner starts the next one
 *
 * A connection is reused only when both messages are complete, both sides want it, and not a byte came
 * that belongs to no answer. Bytes on an idle connection, or behind an answer, poison it: they could be
 * read as the answer to the next request. So does news that the loop has, but has not told yet.
 */
#ifndef GH_CODEC_H1_CLIENT_H
#define GH_CODEC_H1_CLIENT_H

#include "worker/codec/h1_message.h"
#include "worker/http/codec.h"

#define H1_MAX_INTERIM 32 /* interim responses before the final one */

struct h1_client;

/* The pool. */
struct h1_client_owner {
    void (*connected)(struct h1_client *k, int err); /* errno value; then close it */
    void (*idle)(struct h1_client *k);   /* the stream was released and the connection may be used again */
    /* It can't be used (any more): the peer closed it, it is poisoned, or the exchange ended half-way.
     * The codec closes it; only the owner's books are to be kept. Called once. */
    void (*gone)(struct h1_client *k);
    void (*closed)(struct h1_client *k); /* the memory may go */
};

/* What all of a worker share. */
struct h1_clients {
    struct net *net;
    struct h1_limits limits;
    struct http_field *fields;  /* limits.max_fields */
};

/* Embedded in the pool's own struct. */
struct h1_client {
    struct conn c;
    struct stream stream;
    struct h1_clients *all;
    const struct h1_client_owner *owner;
    struct h1_parser parser;
    struct h1_head h1;
    struct http_head head;
    struct h1_chunked chunked;
    struct h1_out out;
    struct str buf;        /* the head so far when it came in pieces; in the arena of the exchange */
    size_t cap;
    uint64_t left;
    uint64_t sent_before;  /* bytes of earlier requests */
    uint32_t requests;     /* sent so far */
    uint16_t interim;
    uint8_t method;        /* enum http_method of the request */
    uint8_t rx;
    bool sent;             /* the request is complete */
    bool reusable;
    bool told_gone;
    bool begun;            /* the parser has seen bytes of this head */
    bool own_fields;       /* h1.fields is in the arena, not all->fields */
    bool upgrade;          /* the request asks for it */
    struct str ws_key;     /* made here, for a WebSocket over HTTP/2, which has none; in the arena */
};

bool h1_clients_set(struct h1_clients *all, const struct h1_limits *limits); /* false: no memory */
void h1_clients_fini(struct h1_clients *all);

/* Begins to connect; owner->connected follows. Negative errno at once: nothing follows. */
int h1_client_connect(struct h1_client *k, struct h1_clients *all, const struct h1_client_owner *owner,
                      const struct sockaddr *to, socklen_t len);
/* Is it idle, and has it said nothing? `ask`: the kernel, too, which costs a system call. */
bool h1_client_usable(const struct h1_client *k, bool ask);
/* The stream of the next request, on a connected and idle client. */
struct stream *h1_client_stream(struct h1_client *k);
/* Closes it, whatever it does; an exchange on it hears nothing (it must have been released). */
void h1_client_close(struct h1_client *k);

#endif
