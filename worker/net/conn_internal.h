/*
 * conn_internal.h - between conn.c (the socket, the queue, what the owner hears), conn_begin.c (what epoll knows), turn.c (whose
 * turn it is) and conn_tls.c (where records come in between). Nobody else includes it.
 */
#ifndef GH_NET_CONN_INTERNAL_H
#define GH_NET_CONN_INTERNAL_H

#include "worker/net/outq.h"
#include "worker/net/tls.h"

/* --- turn.c --- */

#define CONN_READS        4             /* of one connection in a turn */
#define CONN_CHUNKS       16            /* of the queue in one write */
#define CONN_CHUNKS_SHORT 4             /* ... in a short turn */
#define CONN_BULK         (32u * 1024)  /* bytes in one go that are bulk */

/* Bytes of the next read. */
static inline uint32_t conn_read_most(const struct conn *c)
{
    return net_turn_short(c->net) ? GH_MIN(c->read_max, NET_PIECE) : c->read_max;
}
/* It has events: do they wait, and for whose turn? `hup`: the peer's end, or worse, is among them. */
enum conn_wait { CONN_WAIT_NOT, CONN_WAIT_ASKS, CONN_WAIT_BULK };
enum conn_wait conn_turn_choose(struct conn *c, bool hup);
static inline enum conn_wait conn_turn_wait(struct conn *c, bool hup)
{
    if ((c->flags & (CONN_F_BULK | CONN_F_WAS_BULK)) || c->queue.n || c->tls || c->net->crowded)
        return conn_turn_choose(c, hup);
    if (c->flags & CONN_F_TAKEN)
        c->net->small_until_ns = c->net->now_ns + NET_SMALL_NS;
    return CONN_WAIT_NOT;
}
/* Too much is to be done and nothing was for this one yet: has its client gone? A close_notify alone is no request. */
bool conn_turn_left(struct conn *c);
/* Reads on, writes on: soon, or when it is the turn of bulk. */
void conn_read_later(struct conn *c);
void conn_write_later(struct conn *c);

/* --- conn.c --- */

#define CONN_WATCHED (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET) /* of every connection, always */

/* The two functions that touch the bytes. `last`: conn_written_all follows at once if all of it is taken; the bytes wait
 * for the FIN, so that both are one segment. */
ssize_t conn_raw_read(struct conn *c, char *p, size_t n);
ssize_t conn_raw_write(struct conn *c, struct iovec *v, unsigned n, bool last);
/* Before `n` bytes are sent, while CONN_F_NAGLE. */
void conn_no_delay(struct conn *c, size_t n);
/* DEAD; who calls makes sure that the owner hears of it, later. */
void conn_fail(struct conn *c, int err);
void conn_write_failed(struct conn *c, int err);
/* As much of the queue as the kernel takes. No callback. */
void conn_write_queue(struct conn *c);
/* What the loop asks for: the queue, or a part of it, and whoever waits for room; reads while there is something. READABLE
 * says whether there may be more. */
void conn_pump_write(struct conn *c);
void conn_pump_read(struct conn *c);
/* Everything the owner gave is with the kernel. */
void conn_written_all(struct conn *c);
/* The connection's place in the list of those to be flushed; NULL when memory has run out. */
struct outq *conn_out_get(struct conn *c);
void conn_tell_error(struct conn *c);
/* The end of what the peer says, or (an errno value) an error in its place. */
void conn_tell_end(struct conn *c, int err);
int conn_end_or_error(const struct conn *c);
/* Bytes for the owner are in net->scratch. */
void conn_give(struct conn *c, size_t n);

/* From epoll. */
void conn_on_socket(struct watch *w, uint32_t events);

/* --- conn_begin.c --- */

/* From now on the loop says when there is room. */
void conn_watch_out(struct conn *c);
/* DEAF, and it was read: epoll is told, unless the owner is CALM. */
void conn_first_read(struct conn *c);
/* DEAF, and there was nothing to read. */
void conn_in_vain(struct conn *c);

/* --- conn_tls.c --- */

/* What TLS has made goes to the kernel, behind what waits; the buffer of records is empty after it. `last` as in
 * conn_raw_write. */
void conn_push(struct conn *c, bool last);
void conn_flush_tls(struct conn *c, const struct outq *o);
/* Reads and opens once. False: there is nothing more now. */
bool conn_pump_tls(struct conn *c);
/* A client's first flight, behind a preface if there is one. */
void conn_begin_tls(struct conn *c);
/* close_notify, if it can still come behind everything else. */
void conn_say_goodbye(struct conn *c);

/* Our side closes once everything is written. */
static inline bool conn_end_follows(const struct conn *c)
{
    return (c->flags & (CONN_F_FINISH | CONN_F_SHUT_WANTED)) && !(c->flags & CONN_F_RESET);
}
static inline bool conn_lost(const struct conn *c)
{
    return (c->flags & (CONN_F_DEAD | CONN_F_MUTE)) != 0;
}
/* The TLS handshake is under way: nothing of the owner's goes out or comes in yet. */
static inline bool conn_shaking(const struct conn *c)
{
    return c->tls && tls_shaking(c);
}

#endif
