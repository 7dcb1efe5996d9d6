/*
 * turn.c - who comes first in a turn of the loop, and how long the others go on.
 *
 * A turn is as long as what is done in it, and whoever becomes ready in the meantime waits for its end. So work is of two kinds.
 * A connection is bulk when its last turn moved much (CONN_BULK bytes in one go, in or out), when it made many requests at a
 * time, or is to answer somebody who did (conn_set_bulk), and while it shakes hands (some 100 us of processor time). Its next events
 * are noted, and wait in net.bulk behind everything else that is ready. Then bulk goes on, one piece of each in turn: for
 * as long as the others took in this turn, so that nobody starves, and no less than net.bulk_ns; then the loop looks again who
 * is ready. So a small request waits for one piece of bulk, however much there is of it.
 *
 * While no client wanted little for NET_SMALL_NS there is nobody to wait: turns are long (LONG_NS), reads are repeated and
 * pieces large, which is what costs least.
 *
 * Too much to do. Answers, and what else ends work, go before what clients want next: so the work under way stays small, and few
 * connections to endpoints do it. When more is ready than one call of epoll_wait tells (net.crowded), all of it is
 * fetched, answers are passed on, and clients wait in net.asks: here, where nothing was spent on them yet. A few of them
 * (net.asks_most) are served in a turn, the first one first. One that closes its side before the first byte of its request was
 * read (CONN_F_RESTS) has given up and is dropped. Then all wait for longer than clients are patient, and served in their order
 * each would be answered just too late: for NEWEST_MS the newest go first.
 */
#include "worker/net/conn_internal.h"

#include <sys/ioctl.h>

#define LONG_NS      (1000u * 1000)
#define NOTIFY_MOST  64   /* bytes of a close_notify */
#define NEWEST_MS    1000 /* so long after a client has given up waiting, the newest go first */

enum conn_wait conn_turn_choose(struct conn *c, bool hup)
{
    if ((c->flags & CONN_F_BULK) || c->queue.n >= CONN_BULK || conn_shaking(c))
        return CONN_WAIT_BULK;
    /* A window that is renewed, the next request after a large answer, are no news of somebody else. */
    if (c->flags & CONN_F_WAS_BULK)
        c->flags &= ~(uint32_t)CONN_F_WAS_BULK;
    else if (c->flags & CONN_F_TAKEN)
        c->net->small_until_ns = c->net->now_ns + NET_SMALL_NS;
    bool asks = (c->flags & CONN_F_TAKEN) && (!hup || (c->flags & CONN_F_RESTS));
    if (!c->net->crowded || !asks)
        return CONN_WAIT_NOT;
    c->flags |= CONN_F_ASKS;
    return CONN_WAIT_ASKS;
}

/* Kicks and bad news wait for nobody. */
static struct list *place(const struct conn *c)
{
    bool soon = c->flags & (CONN_F_KICK | CONN_F_DEAD | CONN_F_MUTE);
    if (soon)
        return &c->net->again;
    if ((c->flags & (CONN_F_BULK | CONN_F_ROOM)) || conn_shaking(c))
        return &c->net->bulk;
    return c->flags & CONN_F_ASKS ? &c->net->asks : &c->net->again;
}

void conn_read_later(struct conn *c)
{
    if (list_empty(&c->node))
        list_push(place(c), &c->node);
}

void conn_write_later(struct conn *c)
{
    c->flags |= CONN_F_ROOM;
    conn_read_later(c);
}

void conn_kick(struct conn *c)
{
    if (c->flags & (CONN_F_CLOSED | CONN_F_DEAD | CONN_F_KICK))
        return;
    if (place(c) != &c->net->again)
        list_del(&c->node); /* it would wait there */
    c->flags |= CONN_F_KICK;
    conn_read_later(c);
}

/* Whoever is in `from` now; who comes back to it waits for the next turn. */
static void take_all(struct list *now, struct list *from)
{
    list_insert_between(now, from->prev, from->next);
    from->prev->next = now;
    from->next->prev = now;
    list_init(from);
}

static void go_on(struct conn *c)
{
    if (c->flags & CONN_F_ROOM) {
        c->flags &= ~(uint32_t)CONN_F_ROOM;
        conn_pump_write(c);
    }
    if (c->flags & CONN_F_DEAD)
        conn_tell_error(c);
    else
        conn_pump_read(c);
    if (c->flags & CONN_F_DEAF)
        conn_first_read(c);
}

void conn_turn_again(struct net *n)
{
    struct list now;
    take_all(&now, &n->again);
    while (!list_empty(&now)) {
        struct conn *c = LIST_ITEM(now.next, struct conn, node);
        list_del(&c->node);
        net_enter(n);
        if (c->flags & CONN_F_KICK) {
            c->flags &= ~(uint32_t)CONN_F_KICK;
            c->ev->on_kick(c);
        }
        if (place(c) == &n->again)
            go_on(c);
        else if (c->flags & (CONN_F_READABLE | CONN_F_ROOM))
            conn_read_later(c);
        net_leave(n);
    }
}

bool conn_turn_left(struct conn *c)
{
    int unread = 0;
    bool left = (c->flags & (CONN_F_HUP | CONN_F_RESTS)) == (CONN_F_HUP | CONN_F_RESTS) && !conn_queued(c) &&
                ioctl(c->fd, FIONREAD, &unread) == 0 && unread > (c->tls ? NOTIFY_MOST : 0);
    if (left) {
        board_add(&c->net->count->client_abandoned, 1);
        c->net->newest_until_ms = c->net->now_ms + NEWEST_MS;
    }
    return left;
}

void conn_turn_asks(struct net *n)
{
    bool newest_first = n->now_ms < n->newest_until_ms;
    for (uint32_t i = 0; i < n->asks_most && !list_empty(&n->asks); i++) {
        struct conn *c = LIST_ITEM(newest_first ? n->asks.prev : n->asks.next, struct conn, node);
        list_del(&c->node);
        c->flags &= ~(uint32_t)CONN_F_ASKS;
        net_enter(n);
        go_on(c);
        net_leave(n);
    }
}

void conn_turn_bulk(struct net *n)
{
    struct list now;
    uint64_t from_ns = clock_ns(), for_ns = LONG_NS;
    if (net_turn_short(n))
        for_ns = n->bulk_ns ? GH_MIN(GH_MAX(from_ns - n->now_ns, n->bulk_ns), LONG_NS) : 0;
    n->bulk_until_ns = from_ns + NET_SMALL_NS;
    take_all(&now, &n->bulk);
    do {
        struct conn *c = LIST_ITEM(now.next, struct conn, node);
        list_del(&c->node);
        net_enter(n);
        c->flags = (c->flags & ~(uint32_t)CONN_F_BULK) | CONN_F_WAS_BULK;
        go_on(c);
        net_leave(n);
    } while (!list_empty(&now) && clock_ns() - from_ns < for_ns);
    /* The others are next. */
    while (!list_empty(&now)) {
        struct list *last = now.prev;
        list_del(last);
        list_push_front(&n->bulk, last);
    }
}
