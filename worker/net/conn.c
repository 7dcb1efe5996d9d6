#include "worker/net/conn_internal.h"
#include "shared/base/err.h"
#include "worker/net/outq.h"
#include "worker/net/tls.h"
#include <errno.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SEGMENT_LEAST  1220 /* bytes that fit into one segment of any path that can carry IPv6 */
#define JOIN_MOST      2048 /* bytes whose copy costs less than a vector */

static void unheard(struct conn *c);

/* --- the two functions that touch the bytes ------------------------------------------------------- */

ssize_t conn_raw_read(struct conn *c, char *p, size_t n)
{
    for (;;) {
        ssize_t k = recv(c->fd, p, n, 0);
        if (k >= 0 || errno != EINTR)
            return k;
    }
}

/* Nagle's algorithm holds nothing back that is written first and fits into any segment, so the system call that turns it
 * off is left to the second write: many connections have none. */
void conn_no_delay(struct conn *c, size_t n)
{
    if (!c->sent && n <= SEGMENT_LEAST)
        return;
    c->flags &= ~(uint32_t)CONN_F_NAGLE;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static size_t total(const struct iovec *v, unsigned n)
{
    size_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += v[i].iov_len;
    return sum;
}

/* Pieces of a small message, one behind the other in `to`: cheaper than what the kernel does to look at a vector. */
static struct iovec join(char *to, const struct iovec *v, unsigned n)
{
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        memcpy(to + at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    return (struct iovec){to, at};
}

ssize_t conn_raw_write(struct conn *c, struct iovec *v, unsigned n, bool last)
{
    char small[JOIN_MOST];
    struct iovec joined;
    int flags = MSG_NOSIGNAL | (last ? MSG_MORE : 0);
    size_t all = n > 1 || (c->flags & CONN_F_NAGLE) ? total(v, n) : 0;
    if (c->flags & CONN_F_NAGLE)
        conn_no_delay(c, all);
    if (n > 1 && all <= sizeof(small)) {
        joined = join(small, v, n);
        v = &joined;
        n = 1;
    }
    for (;;) {
        ssize_t k;
        if (n == 1)
            k = send(c->fd, v->iov_base, v->iov_len, flags);
        else
            k = sendmsg(c->fd, &(struct msghdr){.msg_iov = v, .msg_iovlen = n}, flags);
        if (k >= 0 || errno != EINTR) {
            if (k > 0)
                c->sent += (size_t)k;
            if (k > 0 && last)
                c->flags |= CONN_F_CORKED;
            return k;
        }
    }
}

/* --- gather and flush -------------------------------------------------------------------------------- */

static void out_release(struct conn *c)
{
    struct outq *o = c->out;
    if (!o)
        return;
    c->out = NULL;
    list_del(&o->node);
    slab_put(&c->net->outqs, o);
}

/* Makes sure that the owner hears of it, later: from conn_tell. */
void conn_fail(struct conn *c, int err)
{
    if (c->flags & (CONN_F_DEAD | CONN_F_CLOSED))
        return;
    c->flags |= CONN_F_DEAD;
    c->error = (int16_t)err;
    chunkq_clear(&c->queue, &c->net->chunks);
}

/* Nothing goes out any more. A client that takes no answer is gone; a server may have answered before it went,
 * so what it said is read first, and the error comes in the place of the end. */
void conn_write_failed(struct conn *c, int err)
{
    if (c->flags & (CONN_F_EAGER | CONN_F_END | CONN_F_CLOSED)) {
        conn_fail(c, err);
        return;
    }
    c->flags |= CONN_F_MUTE | CONN_F_READABLE | CONN_F_HUP;
    c->error = (int16_t)err;
    chunkq_clear(&c->queue, &c->net->chunks);
    conn_read_later(c);
}

/* close_notify comes before our side is closed, and the handshake before close_notify. True: not yet. */
static bool end_waits(struct conn *c)
{
    if (!(c->flags & (CONN_F_FINISH | CONN_F_SHUT_WANTED)) || conn_lost(c))
        return false;
    if (tls_shaking(c) && (tls_kept(c) || !(c->flags & CONN_F_FINISH)))
        return true;
    if (tls_seal_end(c))
        conn_push(c, conn_end_follows(c));
    return c->queue.n > 0;
}

void conn_written_all(struct conn *c)
{
    if (c->tls && end_waits(c))
        return;
    if (c->flags & CONN_F_FINISH) {
        /* close() alone would throw them away if the peer has just said something that nobody has read. */
        if ((c->flags & (CONN_F_CORKED | CONN_F_SHUT)) == CONN_F_CORKED)
            shutdown(c->fd, SHUT_WR);
        conn_close(c);
    } else if ((c->flags & (CONN_F_SHUT_WANTED | CONN_F_SHUT)) == CONN_F_SHUT_WANTED) {
        c->flags |= CONN_F_SHUT;
        shutdown(c->fd, SHUT_WR);
    }
}

static bool queue_rest(struct conn *c, const struct outq *o, size_t done)
{
    for (unsigned i = 0; i < o->n; i++) {
        size_t len = o->v[i].iov_len;
        if (done >= len) {
            done -= len;
            continue;
        }
        if (!chunkq_add(&c->queue, &c->net->chunks, (char *)o->v[i].iov_base + done, len - done))
            return false;
        done = 0;
    }
    return true;
}

/* As much of the queue's first chunks as the kernel takes. True: all of them. No callback. */
static bool write_chunks(struct conn *c, unsigned most)
{
    struct iovec v[CONN_CHUNKS];
    unsigned n = 0;
    size_t want = 0;
    for (struct chunk *k = c->queue.first; k && n < most; k = k->next) {
        v[n++] = (struct iovec){k->data + k->from, k->to - k->from};
        want += k->to - k->from;
    }
    ssize_t done = conn_raw_write(c, v, n, false);
    if (done < 0) {
        if (errno != EAGAIN)
            conn_write_failed(c, errno);
        return false;
    }
    chunkq_drop(&c->queue, &c->net->chunks, (size_t)done);
    return (size_t)done == want;
}

void conn_write_queue(struct conn *c)
{
    while (c->queue.n && write_chunks(c, CONN_CHUNKS))
        ;
}

static void flush_plain(struct conn *c, struct outq *o)
{
    size_t done = 0;
    if (o->n && !c->queue.n && !(c->flags & CONN_F_CONNECTING)) {
        ssize_t k = conn_raw_write(c, o->v, o->n, conn_end_follows(c));
        if (k >= 0)
            done = (size_t)k;
        else if (errno != EAGAIN)
            conn_write_failed(c, errno);
    }
    if (done < o->bytes && !(c->flags & (CONN_F_DEAD | CONN_F_MUTE))) {
        if (!queue_rest(c, o, done))
            conn_fail(c, ENOBUFS);
        else if (!(c->flags & CONN_F_CONNECTING))
            conn_watch_out(c);
    }
}

static void flush_one(struct conn *c, struct outq *o)
{
    if (o->bytes >= CONN_BULK)
        c->flags |= CONN_F_BULK;
    if (!(c->flags & (CONN_F_DEAD | CONN_F_MUTE))) {
        if (c->tls)
            conn_flush_tls(c, o);
        else
            flush_plain(c, o);
    }
    o->n = 0;
    o->bytes = 0;
}

static size_t full_at(const struct conn *c)
{
    return c->full_at ? c->full_at : c->net->high_water;
}

/* Is on_writable due? */
static bool has_room_again(const struct conn *c)
{
    return (c->flags & CONN_F_WANT_ROOM) && c->queue.n < full_at(c) / 2;
}

static bool must_tell(const struct conn *c)
{
    return c->flags & CONN_F_DEAD ? !(c->flags & CONN_F_TOLD) : has_room_again(c);
}

void net_flush(struct net *n)
{
    while (!list_empty(&n->dirty)) {
        struct outq *o = LIST_ITEM(n->dirty.next, struct outq, node);
        struct conn *c = o->conn;
        flush_one(c, o);
        list_del(&o->node);
        if (must_tell(c)) {
            list_push(&n->notify, &o->node);
        } else {
            c->out = NULL;
            slab_put(&n->outqs, o);
            if (!c->queue.n && !(c->flags & (CONN_F_DEAD | CONN_F_CONNECTING)))
                conn_written_all(c);
        }
    }
}

void conn_tell_error(struct conn *c)
{
    if ((c->flags & (CONN_F_DEAD | CONN_F_TOLD | CONN_F_CLOSED)) != CONN_F_DEAD)
        return;
    c->flags |= CONN_F_TOLD;
    if (conn_shaking(c))
        c->ev->on_connect(c, c->error);
    else
        c->ev->on_error(c, c->error);
}

void conn_tell(struct net *n)
{
    while (!list_empty(&n->notify)) {
        struct outq *o = LIST_ITEM(n->notify.next, struct outq, node);
        struct conn *c = o->conn;
        if (o->n) { /* gathered again since: flush_one first */
            list_del(&o->node);
            list_push(&n->dirty, &o->node);
            continue;
        }
        out_release(c);
        if (c->flags & CONN_F_DEAD) {
            conn_tell_error(c);
            continue;
        }
        if (has_room_again(c)) {
            c->flags &= ~(uint32_t)CONN_F_WANT_ROOM;
            if (c->ev->on_writable)
                c->ev->on_writable(c);
        }
        if (!c->out && !c->queue.n && !(c->flags & (CONN_F_DEAD | CONN_F_CLOSED | CONN_F_CONNECTING)))
            conn_written_all(c);
    }
}

/* The connection's place in the list of those to be flushed; NULL when memory has run out. */
struct outq *conn_out_get(struct conn *c)
{
    struct outq *o = c->out;
    if (o && !o->n) { /* it may be in net.notify, where net_flush does not look */
        list_del(&o->node);
        list_push(&c->net->dirty, &o->node);
    }
    if (o)
        return o;
    o = slab_get(&c->net->outqs);
    if (!o)
        return NULL;
    o->conn = c;
    o->n = 0;
    o->bytes = 0;
    list_push(&c->net->dirty, &o->node);
    return c->out = o;
}

void conn_write(struct conn *c, const void *data, size_t n)
{
    if (n == 0 || (c->flags & (CONN_F_DEAD | CONN_F_CLOSED | CONN_F_SHUT_WANTED | CONN_F_FINISH | CONN_F_MUTE)))
        return;
    struct outq *o = conn_out_get(c);
    if (!o) {
        /* No memory to gather, none to tell of it either: the peer goes; the owner sees it as reset. */
        conn_fail(c, ENOBUFS);
        shutdown(c->fd, SHUT_RDWR);
        conn_hear(c);
        return;
    }
    if (o->n) {
        struct iovec *last = &o->v[o->n - 1];
        if ((char *)last->iov_base + last->iov_len == (const char *)data) {
            last->iov_len += n;
            o->bytes += n;
            return;
        }
        if (o->n == OUTQ_PIECES) {
            flush_one(c, o);
            if (c->flags & (CONN_F_DEAD | CONN_F_MUTE))
                return;
        }
    }
    o->v[o->n++] = (struct iovec){(void *)(uintptr_t)data, n};
    o->bytes += n;
}

bool conn_write_now(struct conn *c, const void *data, size_t n)
{
    const uint32_t busy = CONN_F_DEAD | CONN_F_CLOSED | CONN_F_SHUT_WANTED | CONN_F_FINISH | CONN_F_MUTE | CONN_F_CONNECTING;
    struct iovec v = {(void *)(uintptr_t)data, n};
    if (!n || n >= CONN_BULK || c->tls || c->out || c->queue.n || (c->flags & busy))
        return false;
    ssize_t k = conn_raw_write(c, &v, 1, false);
    if (k < 0 && errno != EAGAIN) {
        conn_write_failed(c, errno);
        conn_read_later(c); /* where a loss is told */
    } else if (k < (ssize_t)n) {
        size_t done = k < 0 ? 0 : (size_t)k;
        conn_write(c, (const char *)data + done, n - done);
    }
    return true;
}

char *conn_room(struct conn *c, size_t n)
{
    struct net *net = c->net;
    must(net->depth > 0);
    if (n > net->out_cap - net->out_n) {
        net_flush(net);
        net->out_n = 0;
        if (n > net->out_cap)
            return NULL;
    }
    char *p = net->out + net->out_n;
    net->out_n += n;
    return p;
}

void conn_room_back(struct conn *c, size_t unused)
{
    c->net->out_n -= unused;
}

size_t conn_queued(const struct conn *c)
{
    return c->queue.n + (c->out ? c->out->bytes : 0) + (c->tls ? tls_kept(c) : 0);
}

bool conn_unheard(const struct conn *c, uint64_t before)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (c->sent <= before)
        return true;
    /* A FIN acknowledges what came before it. A reset acknowledges nothing, whatever was read. */
    if (!(c->flags & CONN_F_END))
        return false;
    return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           len >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked) &&
           info.tcpi_bytes_acked <= before + 1; /* the SYN counts as one */
}

bool conn_heard(const struct conn *c, bool ask)
{
    char byte;
    if (c->watch.pending || (c->tls && tls_more(c)) || (c->flags & (CONN_F_READABLE | CONN_F_END | CONN_F_DEAD | CONN_F_CLOSED)))
        return true;
    return ask && (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN);
}

bool conn_ending(const struct conn *c, bool ask)
{
    char byte;
    if ((c->flags & (CONN_F_END | CONN_F_DEAD | CONN_F_CLOSED | CONN_F_HUP)) ||
        (c->watch.pending & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        return true;
    ssize_t n = ask ? recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
    return n == 0 || (n < 0 && errno != EAGAIN);
}

bool conn_full(struct conn *c)
{
    if (conn_queued(c) < full_at(c) || (c->flags & CONN_F_DEAD))
        return false;
    c->flags |= CONN_F_WANT_ROOM;
    return true;
}

/* --- the loop's side --------------------------------------------------------------------------------- */

void conn_pump_write(struct conn *c)
{
    if (!net_turn_short(c->net))
        conn_write_queue(c);
    else if (c->queue.n && write_chunks(c, CONN_CHUNKS_SHORT) && c->queue.n)
        conn_write_later(c);
    if (c->flags & CONN_F_DEAD) {
        conn_tell_error(c);
        return;
    }
    if (has_room_again(c)) {
        c->flags &= ~(uint32_t)CONN_F_WANT_ROOM;
        if (c->ev->on_writable)
            c->ev->on_writable(c);
    }
    if (!c->queue.n && !c->out && !(c->flags & (CONN_F_CLOSED | CONN_F_DEAD)))
        conn_written_all(c);
}

/* errno value, or 0, for a read of nothing: is it the end, or was something lost before it? */
int conn_end_or_error(const struct conn *c)
{
    if ((c->flags & CONN_F_MUTE) && c->error != EPIPE) /* EPIPE: it had closed before the reset */
        return c->error;
    bool gone = (c->flags & CONN_F_GONE) && (c->flags & CONN_F_EAGER) && !(c->flags & CONN_F_SHUT);
    return gone ? ECONNRESET : 0;
}

void conn_tell_end(struct conn *c, int err)
{
    if (!err) {
        c->flags |= CONN_F_END;
        if (c->ev->on_end)
            c->ev->on_end(c);
    } else if (err != EAGAIN) {
        conn_fail(c, err);
        conn_tell_error(c);
    }
}

/* Bytes for the owner are in net->scratch. */
void conn_give(struct conn *c, size_t n)
{
    c->ev->on_read(c, c->net->scratch, n);
    if (!list_empty(&c->net->dirty) && (c->flags & CONN_F_READABLE))
        net_flush(c->net); /* the next read overwrites what was gathered */
}

static bool may_read(const struct conn *c)
{
    return !(c->paused && !conn_shaking(c)) && !(c->flags & (CONN_F_END | CONN_F_DEAD | CONN_F_CLOSED)) &&
           (c->flags & CONN_F_READABLE);
}

/* The peer's last bytes, and behind them its end, which nothing was read to see: what an owner writes here, and the end
 * that it passes on, go out together. */
static bool give_last(struct conn *c, size_t n)
{
    c->ev->on_read(c, c->net->scratch, n);
    if (!may_read(c) || c->tls) /* the next read finds it again; TLS, if that has just begun, ends in its own way */
        return true;
    c->flags &= ~(uint32_t)CONN_F_READABLE;
    conn_tell_end(c, conn_end_or_error(c));
    return false;
}

static bool pump_plain(struct conn *c)
{
    uint32_t want = conn_read_most(c);
    ssize_t k = conn_raw_read(c, c->net->scratch, want);
    if (k > 0) {
        bool all = (uint32_t)k < want && !(c->flags & CONN_F_URGENT);
        if (all && (c->flags & (CONN_F_FIN | CONN_F_MUTE)) == CONN_F_FIN)
            return give_last(c, (size_t)k);
        if (all && !(c->flags & CONN_F_HUP))
            c->flags &= ~(uint32_t)CONN_F_READABLE;
        if (k >= (ssize_t)CONN_BULK)
            c->flags |= CONN_F_BULK;
        conn_give(c, (size_t)k);
        return true;
    }
    int err = k ? errno : conn_end_or_error(c);
    c->flags &= ~(uint32_t)(CONN_F_READABLE | CONN_F_URGENT);
    if ((c->flags & CONN_F_DEAF) && err == EAGAIN)
        conn_in_vain(c);
    conn_tell_end(c, err);
    return false;
}

void conn_pump_read(struct conn *c)
{
    for (int i = 0; i < CONN_READS; i++) {
        if (!may_read(c))
            return;
        if (!c->read_max) {
            c->ev->on_readable(c);
            if (!c->read_max)
                return;
        } else if (!(c->tls ? conn_pump_tls(c) : pump_plain(c))) {
            return;
        }
        if ((c->flags & CONN_F_BULK) && net_turn_short(c->net))
            break;
    }
    if (may_read(c))
        conn_read_later(c);
}

static void connected(struct conn *c, uint32_t events)
{
    int err = 0;
    if (events & (EPOLLERR | EPOLLHUP)) {
        socklen_t len = sizeof(err);
        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) || !err)
            err = ECONNRESET;
    } else if (!(events & EPOLLOUT)) {
        return;
    }
    c->flags &= ~(uint32_t)CONN_F_CONNECTING;
    if (!err && c->tls) {
        conn_begin_tls(c);
        return;
    }
    if (err)
        c->flags |= CONN_F_DEAD | CONN_F_TOLD;
    c->ev->on_connect(c, err);
    if (!err && c->queue.n && !conn_is_closed(c))
        conn_pump_write(c);
}

static void note_input(struct conn *c, uint32_t events)
{
    c->flags |= CONN_F_READABLE;
    if (events & EPOLLPRI)
        c->flags |= CONN_F_URGENT;
    if ((events & (EPOLLRDHUP | EPOLLERR)) == EPOLLRDHUP)
        c->flags |= CONN_F_FIN;
    else
        c->flags &= ~(uint32_t)CONN_F_FIN;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->flags |= CONN_F_HUP;
    if (events & EPOLLHUP)
        c->flags |= CONN_F_GONE;
}

void conn_on_socket(struct watch *w, uint32_t events)
{
    struct conn *c = CONTAINER_OF(w, struct conn, watch);
    if (c->flags & CONN_F_CLOSED)
        return;
    if (c->flags & CONN_F_CONNECTING) {
        connected(c, events);
        if (c->flags & (CONN_F_CONNECTING | CONN_F_CLOSED))
            return;
    }
    if (c->flags & CONN_F_DEAD) {
        if ((c->flags & CONN_F_FINISH) && (c->flags & CONN_F_SHUT))
            unheard(c);
        else
            conn_tell_error(c);
        return;
    }
    bool room = (events & EPOLLOUT) && (c->queue.n || (c->flags & CONN_F_WANT_ROOM));
    bool input = events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    enum conn_wait later = conn_turn_wait(c, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (room && later == CONN_WAIT_BULK)
        conn_write_later(c);
    else if (room)
        conn_pump_write(c);
    if (!input)
        return;
    note_input(c, events);
    /* Who reads nothing (paused, or the end was read) would not see that the peer has gone. */
    bool lost = (events & EPOLLERR) || ((events & EPOLLHUP) && (c->flags & CONN_F_END));
    bool blind = (c->flags & CONN_F_END) || (c->paused && (c->flags & CONN_F_EAGER));
    bool left = later == CONN_WAIT_ASKS && conn_turn_left(c);
    if (left || (lost && blind && !(c->flags & (CONN_F_CLOSED | CONN_F_SHUT)))) {
        conn_fail(c, ECONNRESET);
        conn_tell_error(c);
    } else if (later) {
        conn_read_later(c);
    } else {
        conn_pump_read(c);
    }
}

void conn_pause(struct conn *c, enum conn_pause why)
{
    c->paused |= (uint8_t)why;
}

void conn_resume(struct conn *c, enum conn_pause why)
{
    if (!c->paused)
        return;
    c->paused &= (uint8_t)~why;
    if (!c->paused && (c->flags & CONN_F_READABLE) && !(c->flags & (CONN_F_CLOSED | CONN_F_DEAD)))
        conn_read_later(c);
}

/* --- end --------------------------------------------------------------------------------------------- */

void conn_shutdown(struct conn *c)
{
    if (c->flags & (CONN_F_SHUT_WANTED | CONN_F_DEAD | CONN_F_CLOSED))
        return;
    c->flags |= CONN_F_SHUT_WANTED;
    if (!c->queue.n && !c->out && !(c->flags & CONN_F_CONNECTING))
        conn_written_all(c);
}

void conn_finish(struct conn *c)
{
    if (c->flags & CONN_F_CLOSED)
        return;
    c->flags |= CONN_F_FINISH;
    if (c->flags & CONN_F_DEAD)
        conn_close(c);
    else if (!c->queue.n && !c->out)
        conn_written_all(c);
}

void conn_close(struct conn *c)
{
    if (c->flags & CONN_F_CLOSED)
        return;
    if (c->tls)
        conn_say_goodbye(c);
    c->flags |= CONN_F_CLOSED;
    out_release(c);
    chunkq_clear(&c->queue, &c->net->chunks);
    list_del(&c->node);
    close(c->fd);
    c->fd = -1;
    list_push(&c->net->closed, &c->node);
}

void conn_reset(struct conn *c)
{
    if (c->flags & CONN_F_CLOSED)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    if (c->tls)
        tls_forget_end(c);
    conn_close(c);
}

void conn_finish_reset(struct conn *c)
{
    if (c->flags & CONN_F_CLOSED)
        return;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    c->flags |= CONN_F_RESET;
    conn_finish(c);
}

/* What comes behind the last words is nobody's; then the end. More than a turn's worth waits for the owner's deadline. */
static void unheard(struct conn *c)
{
    for (int i = 0; i < CONN_READS; i++) {
        ssize_t k = conn_raw_read(c, c->net->scratch, NET_SCRATCH);
        if (k > 0)
            continue;
        if (k == 0 || errno != EAGAIN)
            conn_close(c);
        return;
    }
}

void conn_last_words(struct conn *c)
{
    must(c->flags & CONN_F_DEAD);
    if (c->flags & CONN_F_CLOSED)
        return;
    conn_hear(c);
    c->flags |= CONN_F_FINISH | CONN_F_SHUT;
    shutdown(c->fd, SHUT_WR);
    unheard(c);
}

void conn_end_unannounced(struct conn *c)
{
    if (c->tls)
        tls_forget_end(c);
}

void conn_bury(struct net *n)
{
    while (!list_empty(&n->closed)) {
        struct conn *c = LIST_ITEM(n->closed.next, struct conn, node);
        list_del(&c->node);
        tls_free(c);
        c->ev->on_closed(c);
    }
}
