/*
 * conn_begin.c - how a connection begins: accepted, dialled, taken over from another owner; and what epoll is told of it.
 *
 * A client that is accepted has mostly said something (listener.h, "Who says nothing"), and connections without keep-alive
 * have one request. So an accepted one is read first, and epoll is told when somebody waits for more (conn_accept). It costs
 * a read in vain where nothing is there yet; where that is the rule, it is done for a few only, to see whether it still is.
 */
#include "worker/net/conn_internal.h"
#include "shared/base/err.h"
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LUCK_MOST 16u /* half as many reads in vain, and it is no use */
#define LUCK_LOOK 16u /* then one connection in so many tries its luck */

/* --- begin ------------------------------------------------------------------------------------------- */

static void conn_init(struct conn *c, struct net *n, int fd, const struct conn_events *ev)
{
    *c = (struct conn){.watch.fn = conn_on_socket, .net = n, .ev = ev, .fd = fd, .read_max = NET_SCRATCH};
    list_init(&c->node);
}

int conn_open(struct conn *c, struct net *n, int fd, const struct conn_events *ev)
{
    conn_init(c, n, fd, ev);
    c->flags = CONN_F_TAKEN;
    c->watch.asks = true;
    if (net_watch(n, fd, &c->watch, CONN_WATCHED) == 0)
        return 0;
    close(fd);
    c->fd = -1;
    c->flags = CONN_F_CLOSED;
    return GH_E_SYSTEM;
}

int conn_accept(struct conn *c, struct net *n, int fd, const struct conn_events *ev)
{
    if (n->crowded || (!n->luck && ++n->unlucky % LUCK_LOOK)) /* in a crowd it waits its turn, where epoll tells of its end */
        return conn_open(c, n, fd, ev);
    if (n->luck < LUCK_MOST)
        n->luck++;
    conn_init(c, n, fd, ev);
    c->flags = CONN_F_TAKEN | CONN_F_DEAF | CONN_F_READABLE;
    c->watch.asks = true;
    conn_read_later(c);
    return 0;
}

int conn_connect(struct conn *c, struct net *n, const struct sockaddr *to, socklen_t to_len,
                 const struct conn_events *ev)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = 0;
    conn_init(c, n, fd, ev);
    c->flags = CONN_F_CONNECTING | CONN_F_WATCH_OUT | (to->sa_family != AF_UNIX ? CONN_F_NAGLE : 0);
    /* A full queue of a unix socket says EAGAIN where TCP would wait. */
    if (connect(fd, to, to_len) && errno != EINPROGRESS)
        err = -errno;
    else
        err = net_watch(n, fd, &c->watch, CONN_WATCHED | EPOLLOUT);
    if (err) {
        close(fd);
        c->fd = -1;
        c->flags = CONN_F_CLOSED;
    }
    return err;
}

bool conn_preface(struct conn *c, const void *data, size_t n)
{
    must(!c->sent && !c->out && !(c->tls && !tls_shaking(c)));
    return chunkq_add(&c->queue, &c->net->chunks, data, n);
}

/* --- what epoll knows ----------------------------------------------------------------------------------- */

/* False: it can't be watched; nothing will come. */
static bool tell_epoll(struct conn *c)
{
    uint32_t events = CONN_WATCHED | (c->flags & CONN_F_WATCH_OUT ? EPOLLOUT : 0);
    int err = c->flags & CONN_F_DEAF ? net_watch(c->net, c->fd, &c->watch, events)
                                     : net_rewatch(c->net, c->fd, &c->watch, events);
    c->flags &= ~(uint32_t)(CONN_F_DEAF | CONN_F_CALM);
    if (err)
        conn_fail(c, -err);
    return !err;
}

void conn_hear(struct conn *c)
{
    if ((c->flags & (CONN_F_DEAF | CONN_F_CLOSED)) == CONN_F_DEAF && !tell_epoll(c))
        conn_read_later(c); /* where a loss is told */
}

void conn_in_vain(struct conn *c)
{
    c->net->luck -= GH_MIN(c->net->luck, 2);
}

void conn_first_read(struct conn *c)
{
    c->net->small_until_ns = c->net->now_ns + NET_SMALL_NS;
    if (!(c->flags & CONN_F_CALM))
        conn_hear(c);
}

/* From now on the loop says when there is room. */
void conn_watch_out(struct conn *c)
{
    if (c->flags & CONN_F_WATCH_OUT)
        return;
    c->flags |= CONN_F_WATCH_OUT;
    tell_epoll(c);
}

/* --- to another owner -------------------------------------------------------------------------------- */

void conn_move(struct conn *from, struct conn *to, const struct conn_events *ev)
{
    struct net *n = from->net;
    must(!(from->flags & (CONN_F_CLOSED | CONN_F_CONNECTING | CONN_F_TOLD)));
    *to = *from;
    to->ev = ev;
    to->watch.pending = 0;
    to->paused = 0;
    to->flags &= ~(uint32_t)(CONN_F_KICK | CONN_F_WANT_ROOM | CONN_F_ASKS | CONN_F_RESTS);
    list_init(&to->node);
    if (to->out)
        to->out->conn = to;

    list_del(&from->node);
    from->out = NULL;
    from->tls = NULL;
    from->queue = (struct chunkq){NULL, NULL, 0};
    from->fd = -1;
    from->flags |= CONN_F_CLOSED;
    list_push(&n->closed, &from->node);

    /* What the loop was about to tell `from` is told again, for epoll judges the socket anew. */
    if (!tell_epoll(to))
        shutdown(to->fd, SHUT_RDWR);
    if (to->flags & (CONN_F_READABLE | CONN_F_DEAD | CONN_F_ROOM))
        conn_read_later(to);
}

