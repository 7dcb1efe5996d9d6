/*
 * h2_session.h - one HTTP/2 connection, whichever side we are: frames, settings, windows, the table of streams,
 * what is sent next, and how much nonsense is too much. h2_server and h2_client embed it and say, as a role, what
 * a stream means. Frames and header compression are our own (HACKING.md says why).
 *
 *   conn ──bytes──► h2_read ──frames──► session ──► stream ──on_head, on_body──► exchange
 *   conn ◄───────── frames ◄── ready streams, in turn ◄── queue ◄──send_body─── exchange
 *
 * Receiving. A stream may send H2_STREAM_WINDOW bytes, the connection H2_CONN_WINDOW; what an exchange has taken is
 * given back. What comes while the exchange is paused is held, at most a window; the stream's window is not
 * renewed before that has gone, the connection's is as long as not more than H2_HELD_MAX bytes are held in all: one
 * slow stream, or eight, never stop the others.
 *
 * Sending. Heads go out at once. Content goes straight from the exchange's slices into the connection while
 * windows and connection have room and nobody waits; the rest is queued at the stream, and the streams that
 * have something take turns of a frame each. The connection's own queue is kept short (H2_CONN_QUEUE), so that a
 * small answer waits behind that much of a large one and no more.
 *
 * What is small is gathered over all events of a turn of the loop (`late`) and goes out at its end, so that the
 * answers of many streams cost one system call (and one TLS record), whichever backends they came from.
 *
 * Streams that are gone are remembered as far as RFC 9113 5.1 makes a difference, for the last H2_PAST ids: closed by
 * END_STREAM, by the peer's reset, by ours, or never used.
 *
 * Invariants
 *  1. A stream is in the table from its first frame to the moment in which both sides have ended it or one has
 *     reset it and, if it answered in full, all of that is written. A stream that an exchange holds is freed by
 *     its release, another one when it leaves the table.
 *  2. Events for an exchange come from the loop: from frames, kicks, room in the socket, timers.
 *  3. After h2_session_error, or when the connection is closed, no frame is read or written any more.
 *  4. A block of header fields is decoded to its end, whoever wants it: the table must stay in step.
 */
#ifndef GH_CODEC_H2_SESSION_H
#define GH_CODEC_H2_SESSION_H

#include "worker/codec/h2_budget.h"
#include "worker/codec/h2_frames.h"
#include "worker/codec/h2_head.h"
#include "worker/codec/h2_hpack.h"
#include "worker/http/codec.h"
#include "worker/net/conn.h"

#define H2_STREAM_WINDOW (256 * 1024)
#define H2_CONN_WINDOW   (1024 * 1024)
#define H2_HELD_MAX      (2u * 1024 * 1024)
#define H2_CONN_QUEUE    (64u * 1024)  /* in the connection's queue, from which on streams keep what they have */
#define H2_STREAM_HIGH   (32u * 1024)  /* queued at a stream, from which on the exchange is to pause */
#define H2_STREAM_LOW    (8u * 1024)   /* ... and at which it goes on */
#define H2_DISCARD_MAX   (64u * 1024)  /* of an upload that is answered already: more, or a later rest, is refused */
#define H2_SLOTS         64u
#define H2_PAST          256u          /* streams that are remembered; a multiple of 32 */
#define H2_LENGTH_OPEN   UINT64_MAX

struct h2_session;

enum { H2_RX_HEAD, H2_RX_BODY, H2_RX_END };                 /* END: END_STREAM was seen; bytes may be held */
enum { H2_TX_HEAD, H2_TX_BODY, H2_TX_END, H2_TX_SENT };     /* END: complete, but not all is written */

/* One stream. From the slab of the worker. */
struct h2_stream {
    struct stream s;            /* s.user is NULL once released */
    struct h2_session *h;
    struct h2_stream *next;     /* in its slot of the table */
    struct list node;           /* in h->streams */
    struct list turn;           /* in h->ready, h->starved, or none */
    struct list later;          /* in h->later, or none: events that wait for a kick */
    struct list touched;        /* while h2_pump runs */
    uint32_t id;                /* 0: has none yet (upstream, before its head) */
    uint32_t born_ms;           /* the low half of the time */
    int32_t send_window, recv_window;
    uint32_t credit;            /* bytes that the exchange took and the peer may send again */
    uint32_t head_bytes;        /* of h->head_bytes */
    struct chunkq held;         /* content that the exchange has not taken */
    struct chunkq queue;        /* content that waits for windows and room */
    struct chunkq tail;         /* the block of trailers behind it */
    size_t written;             /* of `queue`, but not dropped yet: see h2_pump */
    struct http_field *trailers;/* received, behind `held`; in the arena */
    uint16_t n_trailers;
    uint16_t interim;           /* upstream: interim heads so far */
    uint64_t length;            /* of the content still to come; H2_LENGTH_OPEN: nobody said */
    uint32_t got, took;         /* bytes received, sent, since rates were looked at */
    int32_t body_credit_ms, send_credit_ms;
    uint8_t rx, tx;
    uint8_t method;             /* enum http_method of the request */
    uint8_t abort_code;         /* enum h2_code of the reset that is to end it */
    uint8_t idle_looks;         /* at it, while it is answered and the rest of the request does not come */
    bool paused;                /* the exchange wants no bytes */
    bool closed;                /* has left the table */
    bool end_told;              /* the exchange knows that the message has ended */
    bool full;                  /* the exchange waits for on_writable */
    bool tunnel_wait;           /* content belongs to a tunnel that is not agreed on yet */
    uint8_t fault;              /* enum h2_code: the exchange must hear of it, later */
    bool connect, connect_wait; /* upstream: a request for a tunnel; it waits for the peer's SETTINGS */
    const char *ws_accept;      /* upstream: what HTTP/1.1 wants to hear then; NULL = nothing */
    uint64_t sent_before;       /* upstream: bytes of the connection before it */
    bool malformed;             /* no answer goes out */
};

/* A header block under way: nearly always for the time of one call. */
struct h2_incoming {
    struct h2_head d;
    struct h2_stream *st;       /* NULL: decoded for the table only */
    uint64_t since_ms;
    uint32_t id;
    enum h2_code reset;         /* when complete: reset the stream with this */
    bool end_stream, begun;
};

/* What all connections of a worker, on both sides, share. */
struct h2_shared {
    struct net *net;
    struct slab streams, slots, blocks;
    struct h2_memo *memo;       /* NULL while there is no memory for it */
    struct h2_limits limits;
    uint32_t max_streams;       /* that a client may have at a time */
};

/* What a side makes of it. */
struct h2_role {
    bool server;
    uint16_t patience;          /* times the points of a budget */
    /* A new stream of the peer's, `id`. NULL: it is refused; *why was set. */
    struct h2_stream *(*open)(struct h2_session *h, uint32_t id, enum h2_code *why);
    /* A head is complete, or refused (d->why). `end`: nothing follows. */
    void (*head)(struct h2_stream *st, struct h2_head *d, bool end);
    /* The stream, which an exchange holds, has left the table before its end. */
    void (*reset)(struct h2_stream *st, enum h2_code code, bool by_peer);
    /* A stream has left the table. `done`: both sides had said all. */
    void (*left)(struct h2_session *h, bool done);
    /* SETTINGS were applied, or GOAWAY (h->peer_last, peer_going) or the answer to our PING came. */
    void (*news)(struct h2_session *h, enum h2_type what);
    /* GOAWAY was written: the connection is to end, and whatever uses it. */
    void (*failed)(struct h2_session *h, enum reason why);
};

enum { H2_GOING_NOT, H2_GOING_NOTICE, H2_GOING_FINAL };

/* Embedded. Private but for reading, and for what roles are said to set. */
struct h2_session {
    struct conn c;
    struct h2_shared *all;
    const struct h2_role *role;
    struct h2_reader in;
    struct h2_budget budget;
    struct hpack_decoder decoder;
    struct h2_incoming *block;  /* NULL: none is under way */
    struct h2_stream **slots;   /* H2_SLOTS chains; NULL while there is no stream */
    struct list streams, ready, starved, later;
    struct chunkq late;         /* frames that go out at the end of the turn */
    struct chunkq given;        /* those before them: with the connection, until the next kick */
    uint32_t n_streams;         /* in the table */
    uint32_t last_id;           /* highest id that was used */
    uint32_t go_last;           /* streams of the peer above it are not served */
    uint32_t peer_last;         /* ... and, by its GOAWAY, ours above it */
    int32_t send_window, recv_window;
    uint32_t credit;            /* bytes that the peer may send again */
    uint32_t held, owed;        /* bytes held at streams; of those, not given back in the connection's window */
    uint32_t head_bytes;        /* decoded heads of streams that live */
    uint32_t frame_content;     /* content of the present DATA frame */
    int32_t peer_window;        /* its initial window for streams */
    uint32_t peer_streams;      /* that we may have open at a time */
    uint64_t past[H2_PAST / 32];/* two bits each: enum past */
    uint8_t preface;            /* bytes of the client's that were seen */
    uint8_t going;              /* our GOAWAY */
    uint8_t doom;               /* enum h2_glitch + 1 that was found where nothing could be done about it */
    bool https;                 /* upstream: the scheme of requests */
    bool settings_seen, settings_acked;
    bool peer_going;
    bool peer_connect;          /* RFC 8441 */
    bool table_said;            /* the peer must hear that our table is empty, or has */
    bool dead;                  /* invariant 3 */
    const char *text;           /* of our last GOAWAY: why; NULL */
};

void h2_shared_init(struct h2_shared *all, struct net *n);
void h2_shared_fini(struct h2_shared *all); /* all connections must be gone */
void h2_shared_trim(struct h2_shared *all);
void h2_shared_settle(struct h2_shared *all); /* every few seconds */

/* All members but c; c.full_at. */
void h2_session_init(struct h2_session *h, struct h2_shared *all, const struct h2_role *role);
/* Our preface: SETTINGS, window; in front of it, for a client, the magic. */
void h2_session_start(struct h2_session *h);
void h2_session_fini(struct h2_session *h); /* all streams must be gone */

/* --- the connection's events --- */
void h2_session_read(struct h2_session *h, const char *data, size_t n);
void h2_session_writable(struct h2_session *h);
void h2_session_kick(struct h2_session *h);
/* What waits for the end of the turn goes to the connection: before it is closed in good order. */
void h2_session_flush(struct h2_session *h);
/* Bytes written that the kernel has not taken. */
static inline size_t h2_session_queued(const struct h2_session *h)
{
    return conn_queued(&h->c) + h->late.n;
}

/* GOAWAY with that code and the end (role->failed). `text` is a constant. */
void h2_session_error(struct h2_session *h, enum h2_code code, const char *text);
/* Writes GOAWAY: NOTICE names no stream, FINAL the last one that was taken. */
void h2_session_goaway(struct h2_session *h, int going);
void h2_session_ping(struct h2_session *h);
/* Glitches cost. False: that was the last one, and h2_session_error has been called. */
bool h2_glitch(struct h2_session *h, enum h2_glitch g, uint32_t times);
/* Ends every stream: exchanges hear `why`. No frames are written. */
void h2_session_cut(struct h2_session *h, enum reason why);

/* --- streams: h2_stream.c --- */

/* A stream in the table with that id (0: not in it yet). NULL: no memory. */
struct h2_stream *h2_stream_new(struct h2_session *h, uint32_t id, const struct stream_ops *ops);
bool h2_stream_enter(struct h2_stream *st, uint32_t id);
struct h2_stream *h2_find(const struct h2_session *h, uint32_t id);
/* How a stream came to its end, as far as that makes a difference to frames that still come. */
enum h2_past { H2_PAST_UNUSED, H2_PAST_ENDED, H2_PAST_PEER_RESET, H2_PAST_RESET, H2_PAST_FORGOTTEN };
void h2_past_open(struct h2_session *h, uint32_t id); /* a new highest one */
/* Out of the table, without a frame and without a word to its exchange. */
void h2_stream_leave(struct h2_stream *st, enum h2_past how);
/* RST_STREAM, and out of the table. Tells no exchange. */
void h2_stream_reset(struct h2_stream *st, enum h2_code code);
/* The same for what the peer did wrong; the exchange hears of it (role->reset). It costs. */
void h2_stream_error(struct h2_stream *st, enum h2_code code, const char *text);
/* The rest of what the peer says is not wanted: RST_STREAM with abort_code. */
void h2_stream_stop(struct h2_stream *st);
/* All that is held, though the exchange would rather wait: the connection is no more. */
void h2_stream_give_all(struct h2_stream *st);
/* The exchange lets go: what is to be written still is. An answer that is not complete is reset, with abort_code or
 * `code`. A request that is answered before it is complete may go on for a moment, so that those that are nearly
 * over need no reset, which some clients take for a failure. */
void h2_stream_release(struct h2_stream *st, enum h2_code code);

/* Its events come with the next kick, not while an exchange is calling. */
void h2_do_later(struct h2_stream *st);
/* END_STREAM was written. */
void h2_stream_sent(struct h2_stream *st);

/* Writes a head, as the role has them. False: it can't be sent. */
bool h2_stream_head(struct h2_stream *st, const struct http_head *h, bool end);
/* Keeps it instead, in `tail`; writes what was kept. */
bool h2_stream_keep_head(struct h2_stream *st, const struct http_head *h);
bool h2_stream_kept_head(struct h2_stream *st);
/* The ops of both sides. */
bool h2_op_body(struct stream *s, const char *data, size_t n, bool end);
void h2_op_trailers(struct stream *s, const struct http_field *f, size_t n);
void h2_op_pause(struct stream *s);
void h2_op_resume(struct stream *s);
void h2_op_abort(struct stream *s);

/* Time costs credit, bytes earn it back. False: used up. As in h1_server. */
bool h2_pay(int32_t *credit_ms, uint64_t dt_ms, uint64_t bytes, uint32_t rate, uint32_t grace_ms);

#endif
