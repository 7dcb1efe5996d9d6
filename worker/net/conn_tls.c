#include "worker/net/conn_internal.h"
#include "shared/base/err.h"

#include <errno.h>

/* --- TLS: records out -------------------------------------------------------------------------------- */

void conn_push(struct conn *c, bool last)
{
    struct str s = tls_sealed(c->net);
    size_t done = 0;
    if (!s.n)
        return;
    if (!c->queue.n && !conn_lost(c)) {
        ssize_t k = conn_raw_write(c, &(struct iovec){(char *)(uintptr_t)s.p, s.n}, 1, last);
        if (k >= 0)
            done = (size_t)k;
        else if (errno != EAGAIN)
            conn_write_failed(c, errno);
    }
    if (done < s.n && !conn_lost(c)) {
        if (!chunkq_add(&c->queue, &c->net->chunks, s.p + done, s.n - done))
            conn_fail(c, ENOBUFS);
        else if (tls_held(c))
            conn_write_queue(c);
    }
    tls_set_held(c, false);
    tls_sealed_clear(c->net);
    if (c->queue.n && !conn_lost(c))
        conn_watch_out(c);
    if (c->flags & CONN_F_DEAD)
        conn_read_later(c); /* where it is told */
}

static void seal_failed(struct conn *c)
{
    conn_push(c, false);
    if (!conn_lost(c))
        conn_fail(c, tls_errno(c));
}

void conn_flush_tls(struct conn *c, const struct outq *o)
{
    unsigned at = 0;
    size_t off = 0;
    while (at < o->n && !conn_lost(c)) {
        if (!tls_seal(c, o->v, o->n, &at, &off)) {
            seal_failed(c);
            return;
        }
        if (at < o->n)
            conn_push(c, false);
    }
    if (c->flags & (CONN_F_FINISH | CONN_F_SHUT_WANTED))
        tls_seal_end(c);
    conn_push(c, conn_end_follows(c) && !tls_shaking(c));
    if (c->queue.n && tls_held(c)) {
        tls_set_held(c, false);
        conn_write_queue(c);
        if (c->queue.n)
            conn_watch_out(c);
    }
}

/* --- TLS: records in ---------------------------------------------------------------------------------- */

/* What was written before the handshake was done goes out now; a server's ticket waits for the answer that nearly
 * always follows in this turn. */
static void send_kept(struct conn *c)
{
    struct str s = tls_sealed(c->net);
    bool left = true;
    if (s.n && !tls_kept(c) && !c->queue.n && conn_out_get(c) && chunkq_add(&c->queue, &c->net->chunks, s.p, s.n)) {
        tls_set_held(c, true);
        tls_sealed_clear(c->net);
        return;
    }
    while (left && !conn_lost(c)) {
        if (!tls_seal_kept(c, &left))
            seal_failed(c);
        else
            conn_push(c, false);
    }
}

static void connected(struct conn *c)
{
    send_kept(c);
    if (c->flags & CONN_F_DEAD)
        c->flags |= CONN_F_TOLD;
    c->ev->on_connect(c, c->flags & CONN_F_DEAD ? c->error : 0);
    if (!c->queue.n && !c->out && !(c->flags & (CONN_F_CLOSED | CONN_F_DEAD)))
        conn_written_all(c);
}

bool conn_pump_tls(struct conn *c)
{
    size_t n = 0;
    if (!tls_more(c)) {
        char *at = tls_in(c, &n);
        n = GH_MIN(n, (size_t)conn_read_most(c));
        ssize_t k = conn_raw_read(c, at, n);
        if (k < (ssize_t)n && !(k > 0 && (c->flags & CONN_F_HUP)))
            c->flags &= ~(uint32_t)CONN_F_READABLE;
        if (k < 0) {
            conn_tell_end(c, errno);
            return false;
        }
        tls_took(c, (size_t)k);
    }
    enum tls_got got = tls_open(c, &n);
    if (tls_more(c))
        c->flags |= CONN_F_READABLE;
    if (got == TLS_GOT_CONNECTED) {
        connected(c);
        return true;
    }
    conn_push(c, false);
    if (got == TLS_GOT_BYTES) {
        if (n >= CONN_BULK)
            c->flags |= CONN_F_BULK;
        conn_give(c, n);
    } else if (got == TLS_GOT_END)
        conn_tell_end(c, conn_end_or_error(c));
    else if (got == TLS_GOT_ERROR)
        conn_tell_end(c, tls_errno(c));
    return got == TLS_GOT_BYTES || got == TLS_GOT_NOTHING;
}

/* --- beginning and end -------------------------------------------------------------------------------- */

void conn_begin_tls(struct conn *c)
{
    bool ok = tls_begin(c);
    if (c->queue.n)
        tls_set_held(c, true);
    conn_push(c, false);
    if (!ok)
        conn_fail(c, tls_errno(c));
}

void conn_say_goodbye(struct conn *c)
{
    bool all = !c->queue.n && !(c->out && c->out->n) && !conn_lost(c) && !(c->flags & CONN_F_CONNECTING);
    if (!all || !tls_seal_end(c))
        return;
    struct str s = tls_sealed(c->net);
    conn_raw_write(c, &(struct iovec){(char *)(uintptr_t)s.p, s.n}, 1, true);
    tls_sealed_clear(c->net);
}

/* The client has said hello; the answer goes out now. What else it said waits. */
int conn_tls_server(struct conn *c, const struct tls_start *how, const char *data, size_t n)
{
    size_t room, got;
    int err = tls_make_server(c, how);
    must(n > 0);
    if (err)
        return err;
    char *in = tls_in(c, &room);
    must(n <= room);
    memcpy(in, data, n);
    tls_took(c, n);
    if (tls_open(c, &got) == TLS_GOT_ERROR)
        err = -tls_errno(c);
    if (tls_more(c))
        c->flags |= CONN_F_READABLE;
    conn_push(c, false);
    if (!err && (c->flags & CONN_F_DEAD))
        err = -c->error;
    if (!err && (c->flags & CONN_F_READABLE))
        conn_read_later(c);
    return err;
}

int conn_tls_client(struct conn *c, const struct tls_start *how)
{
    int err = tls_make_client(c, how);
    if (err || (c->flags & CONN_F_CONNECTING))
        return err;
    conn_begin_tls(c);
    return c->flags & CONN_F_DEAD ? -c->error : 0;
}

