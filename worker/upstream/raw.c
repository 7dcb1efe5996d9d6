/*
 * raw.c - connections of streams to endpoints.
 */
#include "worker/upstream/raw.h"
#include "worker/upstream/endpoint.h"

#include <errno.h>

static struct board_series *series(const struct cluster *c)
{
    return board_series(c->all->board, c->all->row, c->slot);
}

/* --- books ------------------------------------------------------------------------------------------------ */

static void enter(struct raw *r)
{
    struct upstream *all = r->ep->cluster->all;
    r->entered = endpoint_enter(r->ep);
    list_push(&all->raws, &r->node);
    board_add(&all->net->count->upstream_active, 1);
}

static void leave(struct raw *r)
{
    struct upstream *all = r->ep->cluster->all;
    list_del(&r->node);
    board_add(&all->net->count->upstream_active, (uint64_t)-1);
    endpoint_leave(r->ep, r->entered);
}

/* --- connecting --------------------------------------------------------------------------------------------- */

static void failed(struct raw *r, enum reason why)
{
    board_add(&series(r->ep->cluster)->connect_failures, 1);
    endpoint_result(r->ep, false);
    timer_stop(&r->timer);
    conn_close(&r->c);
    r->owner->failed(r, why);
    r->user = NULL;
}

static void on_timer(struct timer *t)
{
    struct raw *r = CONTAINER_OF(t, struct raw, timer);
    failed(r, r->doomed ? REASON_MEMORY : REASON_CONNECT_TIMEOUT);
}

void raw_on_connect(struct conn *c, int err)
{
    struct raw *r = raw_of(c);
    const char *detail;
    enum reason why = r->doomed ? REASON_MEMORY : secure_done(r->ep, c, err, &detail);
    if (why != REASON_OK) {
        failed(r, why);
        return;
    }
    r->connected = true;
    timer_stop(&r->timer);
    board_add(&series(r->ep->cluster)->connects, 1);
    board_add(&c->net->count->upstream_connects, 1);
    endpoint_result(r->ep, true);
    r->owner->ready(r);
}

static int begin(struct raw *r, struct upstream *all)
{
    const struct endpoint *e = r->ep;
    int err = conn_connect(&r->c, all->net, e->to, e->to_len, &r->owner->ev);
    if (err == -EMFILE || err == -ENFILE) /* descriptors are short: those of idle connections are free */
        if (upstream_close_idle(all, 8))
            err = conn_connect(&r->c, all->net, e->to, e->to_len, &r->owner->ev);
    return err;
}

struct raw *raw_open(struct endpoint *e, const struct secure_for *who, const struct raw_owner *o, void *user,
                     enum reason *why)
{
    struct cluster *c = e->cluster;
    struct upstream *all = c->all;
    const char *detail;
    if ((*why = secure_check(c, &detail)) != REASON_OK)
        return NULL;
    *why = REASON_OVERFLOW;
    if (!cluster_admits(c))
        return NULL;
    struct raw *r = slab_get(&all->raw_slab);
    *why = REASON_MEMORY;
    if (!r)
        return NULL;
    *r = (struct raw){.owner = o, .user = user, .ep = endpoint_hold(e)};
    list_init(&r->node);
    timer_init(&r->timer, on_timer);
    int err = begin(r, all);
    if (err) {
        bool ours = err == -ENOMEM || err == -EMFILE || err == -ENFILE; /* no fault of the endpoint */
        board_add(&series(c)->connect_failures, 1);
        if (!ours)
            endpoint_result(e, false);
        endpoint_drop(e);
        slab_put(&all->raw_slab, r);
        *why = ours ? REASON_MEMORY : REASON_CONNECT_FAILED;
        return NULL;
    }
    enter(r);
    uint32_t wait = c->connect_timeout_ms ? c->connect_timeout_ms : all->connect_timeout_ms;
    if (wait)
        timer_set(&all->net->timers, &r->timer, all->net->now_ms + wait);
    if (secure_start(e, &r->c, who, false)) {
        r->doomed = true; /* told from the loop */
        timer_set(&all->net->timers, &r->timer, all->net->now_ms);
    }
    return r;
}

void raw_drop(struct raw *r)
{
    r->user = NULL;
    timer_stop(&r->timer);
    conn_reset(&r->c);
}

void raw_on_closed(struct conn *c)
{
    struct raw *r = raw_of(c);
    struct upstream *all = r->ep->cluster->all;
    if (r->user)
        r->owner->closed(r);
    leave(r);
    timer_close(&r->timer);
    endpoint_drop(r->ep);
    slab_put(&all->raw_slab, r);
}
