#include "worker/net/splice.h"
#include "worker/net/conn_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define IDLE_MAX   8
#define RETRY_MS   1000
#define SIZE_LEAST (64u * 1024) /* a pipe of a page or two is worse than copying */
#define ROUNDS     8            /* pipes full of one turn, so that a fast one can't starve the others */
#define SMALL      (32u * 1024) /* what came since the last wake-up is no bulk: back to copies */

/* --- pipes --------------------------------------------------------------------------------------------- */

void pipes_init(struct kpipes *p, struct net *n, uint32_t max)
{
    *p = (struct kpipes){.net = n, .max = max};
    list_init(&p->idle);
}

static void pipe_close(struct kpipes *p, struct kpipe *k)
{
    close(k->r);
    close(k->w);
    free(k);
    p->n--;
}

void pipes_trim(struct kpipes *p)
{
    while (!list_empty(&p->idle)) {
        struct kpipe *k = LIST_ITEM(p->idle.next, struct kpipe, node);
        list_del(&k->node);
        p->n_idle--;
        pipe_close(p, k);
    }
}

void pipes_fini(struct kpipes *p)
{
    pipes_trim(p);
    must(p->n == 0);
}

/* Large ones while the limit of the system for this user allows it (pipe-user-pages-soft), else as they come. */
static struct kpipe *pipe_open(struct kpipes *p)
{
    int fds[2];
    struct kpipe *k = malloc(sizeof(*k));
    if (!k || pipe2(fds, O_NONBLOCK | O_CLOEXEC)) {
        free(k);
        return NULL;
    }
    int size = fcntl(fds[1], F_SETPIPE_SZ, SPLICE_PIPE);
    if (size < 0)
        size = fcntl(fds[1], F_GETPIPE_SZ);
    *k = (struct kpipe){.r = fds[0], .w = fds[1], .size = size < 0 ? 0 : (uint32_t)size};
    list_init(&k->node);
    p->n++;
    if (k->size >= SIZE_LEAST)
        return k;
    pipe_close(p, k);
    return NULL;
}

static struct kpipe *pipe_get(struct kpipes *p)
{
    if (!list_empty(&p->idle)) {
        struct kpipe *k = LIST_ITEM(p->idle.next, struct kpipe, node);
        list_del(&k->node);
        p->n_idle--;
        return k;
    }
    if (p->n >= p->max || p->net->now_ms < p->retry_ms)
        return NULL;
    struct kpipe *k = pipe_open(p);
    if (!k)
        p->retry_ms = p->net->now_ms + RETRY_MS;
    return k;
}

/* Only when it is empty. */
static void pipe_put(struct kpipes *p, struct kpipe *k)
{
    if (p->n_idle >= IDLE_MAX) {
        pipe_close(p, k);
        return;
    }
    list_push_front(&p->idle, &k->node);
    p->n_idle++;
}

/* --- one direction ---------------------------------------------------------------------------------------- */

static bool takes(const struct conn *to)
{
    return !(to->flags & (CONN_F_DEAD | CONN_F_MUTE | CONN_F_CLOSED | CONN_F_SHUT_WANTED | CONN_F_FINISH));
}

void splice_consider(struct splice *d, struct kpipes *p, struct conn *from, struct conn *to, size_t n)
{
    if (n < NET_PIECE) {
        d->streak = 0;
        return;
    }
    if (d->streak < SPLICE_STREAK)
        d->streak++;
    if (d->streak < SPLICE_STREAK || !p->max || conn_queued(to) || !takes(to) || !conn_is_plain(from) ||
        !conn_is_plain(to))
        return;
    d->pipe = pipe_get(p);
    if (!d->pipe)
        return;
    d->on = true;
    from->read_max = 0;
}

static void leave(struct splice *d, struct kpipes *p, struct conn *from)
{
    if (d->pipe && !d->n) {
        pipe_put(p, d->pipe);
        d->pipe = NULL;
    }
    d->on = false;
    d->streak = 0;
    from->read_max = NET_SCRATCH;
}

/* on_writable comes when the socket takes bytes again. False: it can't be watched. */
static bool await_room(struct conn *to)
{
    to->flags |= CONN_F_WANT_ROOM;
    if (to->flags & CONN_F_WATCH_OUT)
        return true;
    to->flags |= CONN_F_WATCH_OUT;
    return net_rewatch(to->net, to->fd, &to->watch, CONN_WATCHED | EPOLLOUT) == 0;
}

static ssize_t move(int from, int to, size_t n)
{
    for (;;) {
        ssize_t k = splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (k >= 0 || errno != EINTR)
            return k;
    }
}

/* What `to` could not be given is queued there: its next write finds out what is wrong. */
static size_t spill(struct splice *d, struct conn *to)
{
    struct net *net = to->net;
    size_t done = 0;
    while (d->n) {
        net_flush(net); /* the buffer is used again */
        ssize_t k = read(d->pipe->r, net->scratch, NET_SCRATCH);
        if (k <= 0)
            break;
        conn_write(to, net->scratch, (size_t)k);
        done += (size_t)k;
        d->n -= (uint32_t)k;
    }
    net_flush(net);
    return done;
}

size_t splice_end(struct splice *d, struct kpipes *p, struct conn *to)
{
    size_t done = to && d->n ? spill(d, to) : 0;
    if (d->pipe && d->n)
        pipe_close(p, d->pipe);
    else if (d->pipe)
        pipe_put(p, d->pipe);
    *d = (struct splice){0};
    return done;
}

/* Empties the pipe. False: that is as far as it goes; *state says why. */
static bool drain(struct splice *d, struct kpipes *p, struct conn *from, struct conn *to, size_t *done,
                  enum splice_state *state)
{
    if (to->flags & CONN_F_NAGLE)
        conn_no_delay(to, d->n);
    while (d->n) {
        ssize_t k = takes(to) ? move(d->pipe->r, to->fd, d->n) : -1;
        if (k > 0) {
            d->n -= (uint32_t)k;
            to->sent += (size_t)k;
            *done += (size_t)k;
            continue;
        }
        if (takes(to) && k < 0 && errno == EAGAIN && await_room(to)) {
            *state = SPLICE_FULL;
            return false;
        }
        *done += splice_end(d, p, to);
        leave(d, p, from);
        *state = SPLICE_OFF;
        return false;
    }
    return true;
}

size_t splice_move(struct splice *d, struct kpipes *p, struct conn *from, struct conn *to, enum splice_state *state)
{
    size_t done = 0;
    if (!drain(d, p, from, to, &done, state))
        return done;
    bool brief = net_turn_short(p->net);
    conn_set_bulk(from, true);
    conn_set_bulk(to, true);
    for (int i = 0; i < (brief ? 1 : ROUNDS); i++) {
        if (!d->pipe)
            d->pipe = pipe_get(p);
        ssize_t k = d->pipe ? move(from->fd, d->pipe->w, brief ? GH_MIN(d->pipe->size, NET_PIECE) : d->pipe->size) : 0;
        if (k > 0) {
            d->n = (uint32_t)k;
            if (!drain(d, p, from, to, &done, state))
                return done;
            continue;
        }
        if (k < 0 && errno == EAGAIN) {
            from->flags &= ~(uint32_t)CONN_F_READABLE;
            if (done >= SMALL) {
                pipe_put(p, d->pipe);
                d->pipe = NULL;
                *state = SPLICE_DRAINED;
                return done;
            }
        } else if (k < 0) { /* said once only: the read that follows must find it, too */
            from->flags |= CONN_F_MUTE;
            from->error = (int16_t)errno;
        } /* else the end, or no pipe: the next read goes on */
        leave(d, p, from);
        *state = SPLICE_OFF;
        return done;
    }
    pipe_put(p, d->pipe);
    d->pipe = NULL;
    *state = SPLICE_LATER;
    conn_pause(from, CONN_PAUSE_CODEC);
    conn_resume(from, CONN_PAUSE_CODEC);
    return done;
}
