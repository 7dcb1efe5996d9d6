/*
 * conn.h - one stream socket: bytes in, bytes out, pause(reason). Client and upstream side alike, plain or
 * TLS (tls.h) behind the same face. Only two functions of conn.c touch the socket's bytes (raw_read, raw_write).
 *
 * Reading: the socket is watched edge-triggered from its first to its last moment, so that neither a
 * request nor a pause costs an epoll_ctl. A read that does not fill the buffer means the socket is
 * drained; there is no second one to see EAGAIN, nor one to see the end when the kernel has told of it.
 *
 * Writing: conn_write takes slices that stay valid until net_leave (read buffer, snapshot, constants,
 * conn_room). What the kernel does not take then is copied to the queue and follows when it can. When our
 * end follows at once, the last bytes and the FIN are one segment.
 *
 * State                         may be called
 *   connecting --on_connect(0)--> open     conn_write (gathers), conn_close
 *   open       --on_end--> half-closed     everything; no more on_read
 *   any        --on_error--> dead          conn_close only
 *   conn_close --> on_closed               nothing; the memory is the owner's again
 *   conn_move  --> `from` as after conn_close, `to` as `from` was
 *
 * Invariants
 *  1. Callbacks come from the loop only, never from inside a function of this file, so an owner may
 *     call anything from anywhere.
 *  2. After conn_close no callback but on_closed comes; after on_error no other but on_closed.
 *  3. on_read's bytes are the owner's for the call only; it uses or copies all of them.
 *  4. When nothing can be written any more the peer's last words are read before on_error tells it (a server may
 *     answer and close before it has taken all of a request), unless the owner is CONN_F_EAGER to know.
 *  5. An open connection with an empty queue and nothing gathered holds no memory but this struct.
 *  6. on_closed comes at the end of a turn of the loop, when no event of that turn can name the
 *     connection any more.
 */
#ifndef GH_NET_CONN_H
#define GH_NET_CONN_H

#include "worker/net/net.h"
#include <sys/socket.h>

struct conn;

/* The owner's ears. Any may be NULL but on_read, on_error and on_closed. */
struct conn_events {
    void (*on_connect)(struct conn *c, int err); /* of TCP, or of TLS: 0, or an errno value; then close it */
    void (*on_read)(struct conn *c, char *data, size_t n);
    void (*on_readable)(struct conn *c);         /* instead of on_read while read_max is 0: take them (splice.h) */
    void (*on_end)(struct conn *c);              /* the peer will send nothing more */
    void (*on_writable)(struct conn *c);         /* not full any longer; only after conn_full said so */
    void (*on_kick)(struct conn *c);             /* conn_kick asked for it */
    void (*on_error)(struct conn *c, int err);   /* errno value; nothing can be read or written */
    void (*on_closed)(struct conn *c);           /* memory may go */
};

/* Why reading stands still; it goes on when no bit is left. */
enum conn_pause {
    CONN_PAUSE_PEER = 1 << 0,   /* the other side of the exchange is slower */
    CONN_PAUSE_CODEC = 1 << 1,  /* read-ahead is full */
    CONN_PAUSE_MEMORY = 1 << 2, /* the worker's memory is short */
};

enum {
    CONN_F_CONNECTING = 1 << 0,
    CONN_F_END = 1 << 1,        /* the peer has closed its side */
    CONN_F_SHUT_WANTED = 1 << 2,/* close our side once the queue is empty */
    CONN_F_SHUT = 1 << 3,
    CONN_F_DEAD = 1 << 4,       /* an error happened (told or about to be) */
    CONN_F_TOLD = 1 << 5,       /* on_error was called */
    CONN_F_CLOSED = 1 << 6,
    CONN_F_WANT_ROOM = 1 << 7,  /* tell when there is room again */
    CONN_F_FINISH = 1 << 8,     /* close once the queue is empty */
    CONN_F_READABLE = 1 << 9,   /* the socket may have bytes */
    CONN_F_HUP = 1 << 10,       /* the end or an error is behind them: read on until it shows */
    CONN_F_WATCH_OUT = 1 << 11, /* EPOLLOUT is watched too */
    CONN_F_KICK = 1 << 12,      /* on_kick is due */
    CONN_F_GONE = 1 << 13,      /* closed both ways: behind the last bytes there is nobody */
    CONN_F_EAGER = 1 << 14,     /* the owner sets it: a loss is told at once, whatever is unread */
    CONN_F_MUTE = 1 << 15,      /* the peer takes nothing more (`error`), but what it said is still read */
    CONN_F_FIN = 1 << 16,       /* the kernel has the peer's end, and no error: behind a short read there is nothing more */
    CONN_F_URGENT = 1 << 17,    /* urgent data is about, where reads are short although there is more: read until nothing comes */
    CONN_F_NAGLE = 1 << 18,     /* TCP_NODELAY is not set yet (conn_no_delay) */
    CONN_F_RESET = 1 << 19,     /* with FINISH: a reset ends it */
    CONN_F_CORKED = 1 << 20,    /* the kernel holds the last bytes back for our end */
    CONN_F_TAKEN = 1 << 21,     /* a client's: it was accepted */
    CONN_F_ROOM = 1 << 22,      /* the socket takes bytes; they are written when it is its turn */
    CONN_F_BULK = 1 << 23,      /* its last turn was large (turn.c) */
    CONN_F_WAS_BULK = 1 << 24,  /* ... the one before it was */
    CONN_F_ASKS = 1 << 25,      /* it waits in net.asks, or is to */
    CONN_F_RESTS = 1 << 26,     /* the owner sets it: nothing of a request was read; who leaves now wants nothing */
    CONN_F_DEAF = 1 << 27,      /* epoll does not know of it yet (conn_accept) */
    CONN_F_CALM = 1 << 28,      /* ... and need not, for a moment: the owner has what it wanted (conn_calm) */
};

struct outq; /* gathered output of one connection, private */
struct tls;

/* Embedded in its owner. Members are private to the room but `net`, `sent`, `paused` and `flags`, which
 * may be read, and `read_max` and `full_at`, which the owner may set. */
struct conn {
    struct watch watch;
    struct list node;     /* in net.again, net.bulk, net.asks, net.closed or none */
    struct net *net;
    const struct conn_events *ev;
    struct outq *out;     /* gathered in this callback; NULL when nothing was */
    struct tls *tls;      /* NULL = plain */
    struct chunkq queue;  /* not taken by the kernel yet; with TLS: records */
    uint64_t sent;        /* bytes that the kernel has taken; with TLS: of records */
    int fd;
    uint32_t read_max;    /* bytes to ask for in one read, at most NET_SCRATCH */
    uint32_t full_at;     /* bytes queued from which on it is full; 0 = net.high_water */
    uint32_t flags;       /* CONN_F_ */
    uint8_t paused;       /* CONN_PAUSE_ */
    int16_t error;        /* errno of CONN_F_DEAD, CONN_F_MUTE */
};

/* Takes over `fd` (connected, non-blocking) and begins to read. Negative gh_err; then fd is closed and
 * there will be no callback. */
int conn_open(struct conn *c, struct net *n, int fd, const struct conn_events *ev);
/* The same for one that was just accepted, by an owner who mostly gets a whole request with the first read and may be done
 * after it: it is read at the end of this turn, and if the owner is calm then, epoll is not told, which is 5 % of what a
 * connection costs. */
int conn_accept(struct conn *c, struct net *n, int fd, const struct conn_events *ev);
/* While reading, of such a connection: nothing that the peer may say matters now, nor its end. The owner calls conn_hear,
 * within some milliseconds, when it waits for the peer or has waited long for somebody else; before it closes it asks
 * conn_heard whether something came that nobody has read. Nothing for others. */
static inline void conn_calm(struct conn *c);
void conn_hear(struct conn *c);
/* Makes a socket and begins to connect; on_connect follows. Negative errno when it fails at once; then
 * there will be no callback. */
int conn_connect(struct conn *c, struct net *n, const struct sockaddr *to, socklen_t to_len,
                 const struct conn_events *ev);

/*
 * The connection goes on in `to`, of another owner who listens with `ev`; what is queued, gathered and unread
 * goes with it. `from` (open: not connecting, not closed, no error told) is left as if it had been closed, so its
 * on_closed comes as always and no event of this turn names memory that has gone. Pauses and a kick that were
 * asked for `from` are forgotten; CONN_F_EAGER and read_max stay until the new owner sets them. May be called from
 * a callback of `from`, on_connect included: bytes that on_read was just given are then for the caller to hand on,
 * what is behind them comes to `ev`.
 */
void conn_move(struct conn *from, struct conn *to, const struct conn_events *ev);

/* Bytes that go before all others, and before TLS: a PROXY header. While it connects, or before anything was written;
 * false: no memory. */
bool conn_preface(struct conn *c, const void *data, size_t n);
/* Gathers. After an error the bytes go nowhere. */
void conn_write(struct conn *c, const void *data, size_t n);
/* A message that nothing follows in this callback, to a connection that nothing waits for: it need not be gathered.
 * False: it must, with conn_write. */
bool conn_write_now(struct conn *c, const void *data, size_t n);
/* `n` bytes of memory valid until net_leave, to be filled and then given to conn_write (any number of
 * them, from the front). NULL when memory has run out. */
char *conn_room(struct conn *c, size_t n);
/* The last `unused` bytes of what conn_room gave were not needed. */
void conn_room_back(struct conn *c, size_t unused);
/* Certainly no byte behind the first `before` that were sent had reached the peer when it closed. After the end
 * it tells whether a request may be sent once more; after a reset nobody can know. */
bool conn_unheard(const struct conn *c, uint64_t before);
/* Something came, or may have come, that on_read, on_end and on_error have not told. `ask`: the kernel, too. */
bool conn_heard(const struct conn *c, bool ask);
/* The peer has closed, or the loop is about to tell so; with `ask`: or the kernel knows. For connections that may say
 * something at any time. */
bool conn_ending(const struct conn *c, bool ask);
/* Bytes that the kernel has not taken. */
size_t conn_queued(const struct conn *c);
/* More than the limit is queued: stop giving; on_writable follows. */
bool conn_full(struct conn *c);

void conn_pause(struct conn *c, enum conn_pause why);
void conn_resume(struct conn *c, enum conn_pause why);
/* on_kick comes later in this turn of the loop: for work that must not be done where it was found. */
void conn_kick(struct conn *c);

/* What comes next on it waits for those that want little: it asked for many things at once, or is to answer somebody who did.
 * Until its next turn; reading and writing much does the same by itself (turn.c). */
static inline void conn_set_bulk(struct conn *c, bool bulk)
{
    c->flags = bulk ? c->flags | CONN_F_BULK : c->flags & ~(uint32_t)CONN_F_BULK;
}
static inline bool conn_is_bulk(const struct conn *c)
{
    return (c->flags & (CONN_F_BULK | CONN_F_WAS_BULK)) != 0;
}

/* Closes our side once everything is written. */
void conn_shutdown(struct conn *c);
/* Closes once everything is written. The owner keeps a deadline: the peer may never take it. */
void conn_finish(struct conn *c);
/* Drops what is not written and closes. Again: nothing. */
void conn_close(struct conn *c);
/* As conn_close, but the peer sees a reset: for answers cut short that it could take for complete. */
void conn_reset(struct conn *c);
/* As conn_finish, but with a reset at the end: what is queued is given to the kernel first. */
void conn_finish_reset(struct conn *c);

/* Of a dead connection: our side ends now. It closes by itself when the peer has ended, too (maybe at once), so that the
 * peer gets to read why (an alert) before the reset that bytes nobody read make of a close; the owner keeps a deadline. */
void conn_last_words(struct conn *c);

/* After on_end: TLS's end was not announced (close_notify), so what the peer said last may be incomplete. That matters where
 * the end of the connection ends something. Always false without TLS. */
bool conn_cut(const struct conn *c);

/* Our end will not be announced either: for what passes on the bytes of somebody who was cut off. Nothing without TLS. */
void conn_end_unannounced(struct conn *c);

static inline bool conn_is_deaf(const struct conn *c)
{
    return (c->flags & CONN_F_DEAF) != 0;
}

static inline void conn_calm(struct conn *c)
{
    if (c->flags & CONN_F_DEAF)
        c->flags |= CONN_F_CALM;
}

/* The bytes of the socket are the bytes of the owner: nothing is encrypted in between. */
static inline bool conn_is_plain(const struct conn *c)
{
    return !c->tls;
}

static inline bool conn_is_closed(const struct conn *c)
{
    return (c->flags & CONN_F_CLOSED) != 0;
}

/* For net.c: calls on_closed of what is in net.closed. */
void conn_bury(struct net *n);
/* Kicks, and reading on where net.again says; then bulk, for a while (turn.c). */
void conn_turn_again(struct net *n);
void conn_turn_asks(struct net *n);
void conn_turn_bulk(struct net *n);
void conn_tell(struct net *n); /* of net.notify */

#endif
