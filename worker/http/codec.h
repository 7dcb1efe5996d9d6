/*
 * codec.h - the seam between codecs (HTTP/1.1, HTTP/2; client side and upstream side) and exchanges.
 *
 * A stream is one request and its response on one connection. On the client side the codec receives the
 * request and sends the response, upstream the other way round; both faces are the same, so an exchange
 * joins two streams and a codec knows nothing of the other.
 *
 *   codec --events--> exchange      head, body pieces, trailers, end, abort, room again
 *   exchange --ops--> codec         the same, outwards; pause, resume, release
 *
 * Order, in each direction: send_head for each interim response, send_head for the final head, then
 * send_body any number of times, then the end: `end` in send_head or send_body, or send_trailers.
 *
 * Invariants
 *  1. Bytes and slices given to an event are valid for the call; a request head lives in the arena
 *     of its stream (`arena`, the exchange's) and is valid as long as that.
 *  2. Bytes given to send_body stay valid until the outermost callback of the loop returns; slices of a
 *     head given to send_head are used up when it returns.
 *  3. After on_abort the stream is gone: no op may be called but release. (Client side: see on_abort.)
 *  4. The exchange calls release exactly once for each stream it was given; after that neither side
 *     calls the other. What the codec still owes the peer (the rest of an upload, a lingering close, a
 *     pooled connection) is its own affair.
 *  5. Events may come during an op of the *other* stream, never during an op of the same one.
 *  6. send_body may always be called; `true` means the codec holds more than the limit: pause the
 *     source until on_writable.
 */
#ifndef GH_HTTP_CODEC_H
#define GH_HTTP_CODEC_H

#include "shared/tbl/enums.h"
#include "worker/http/head.h"

struct conn;
struct stream;

/* What an exchange asks of a codec. */
struct stream_ops {
    /* A head; status 1xx is interim, 101 makes a tunnel: from then on bodies are raw bytes and the end is
     * the half-close. False: it can't be sent (a value that would break the framing, no memory). */
    bool (*send_head)(struct stream *s, const struct http_head *h, bool end);
    bool (*send_body)(struct stream *s, const char *data, size_t n, bool end); /* true: full */
    void (*send_trailers)(struct stream *s, const struct http_field *f, size_t n); /* and the end */
    void (*pause)(struct stream *s);   /* no more on_body, soon */
    void (*resume)(struct stream *s);
    void (*abort)(struct stream *s);   /* the message being sent can't be finished: the peer must see that */
    void (*release)(struct stream *s);
};

/* What a codec tells an exchange. */
struct stream_events {
    /* Client side: once. Upstream: each interim response, then the final one. */
    void (*on_head)(struct stream *s, struct http_head *h, bool end);
    void (*on_body)(struct stream *s, const char *data, size_t n, bool end); /* n may be 0 with end */
    void (*on_trailers)(struct stream *s, struct http_field *f, size_t n);   /* and the end */
    void (*on_writable)(struct stream *s);
    /* The other end, or the message, is no good any more. Upstream: UPSTREAM_RESET, UPSTREAM_PROTOCOL ..., see
     * STREAM_F_ for what had happened by then. Client side: CLIENT_ABORT, CLIENT_SLOW_READER, CLIENT_FLOOD: nobody
     * is there; BAD_REQUEST, CLIENT_TIMEOUT (in the body): an answer may still be sent if none was begun. */
    void (*on_abort)(struct stream *s, enum reason why);
};

enum {
    STREAM_F_REUSED = 1 << 0,  /* upstream: the connection had served before */
    STREAM_F_WROTE = 1 << 1,   /* upstream: some byte of the request may have reached the peer */
    STREAM_F_HEARD = 1 << 2,   /* upstream: some byte of a response was read */
    STREAM_F_REFUSED = 1 << 3, /* upstream: the peer said that it did not process it (GOAWAY, REFUSED_STREAM) */
    STREAM_F_TUNNEL = 1 << 4,  /* raw bytes now */
    STREAM_F_HALF = 1 << 5,    /* client: it has closed its side and may be gone */
    STREAM_F_H2 = 1 << 6,      /* client: its connection speaks HTTP/2 */
    /* Set by the exchange, client side, HTTP/2: pauses in that body are normal (calls of gRPC that stream); the codec
     * demands no rate of it, the exchange has a limit of its own. */
    STREAM_F_REST_IN = 1 << 7,
    STREAM_F_REST_OUT = 1 << 8,
};

/* Where a client stream comes from; part of its connection. */
struct stream_link {
    uint64_t bind_id;      /* snap_bind.id of the listening socket */
    uint16_t peer_port, local_port;
    uint8_t peer_family, local_family; /* 4, 6, 1 = unix; of `local` 0 = not asked yet (link.h) */
    bool tls;
    uint8_t peer[16], local[16];       /* address bytes in network order */
    uint64_t listener_id;  /* tls: snap_listener.id of the listener that its server name belongs to */
    const struct conn *conn;           /* for conn_tls_facts; NULL before it has a codec */
};

/* Embedded in the codec's own struct; `ev` and `user` are set by whoever takes the stream. */
struct stream {
    const struct stream_ops *ops;
    const struct stream_events *ev;
    void *user;                     /* the exchange */
    struct arena *arena;            /* where the head goes; the exchange's */
    const struct stream_link *link; /* client side; NULL upstream */
    uint32_t flags;                 /* STREAM_F_ */
};

/* What a client-side codec asks of the proxy. One per worker. */
struct server_host {
    /* A request begins (its first byte is there): gives the stream an exchange (ev, user, arena), or
     * false when the worker can't take it. */
    bool (*open)(struct server_host *h, struct stream *s);
    /* A request that is no valid message: the codec's stream gets a local answer with this reason. The
     * stream was opened; `text` says more for the log. The exchange sends it and releases. */
    void (*refuse)(struct server_host *h, struct stream *s, enum reason why, const char *text);
    /* May this connection go on after the current exchange? (draining, limits, its bind is gone) */
    bool (*keep)(struct server_host *h, const struct stream_link *l, uint32_t requests);
};

#endif
