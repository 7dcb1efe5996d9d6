/*
 * pool.c - connections to endpoints, and the leases of requests on them.
 */
#include "worker/upstream/endpoint.h"
#include "worker/upstream/raw.h"

#include <errno.h>
#include <stdlib.h>

static const struct h1_client_owner OWNER;
static void serve_waiting(struct cluster *c, struct upconn *free_conn);

static struct board_series *series(const struct cluster *c)
{
    return board_series(c->all->board, c->all->row, c->slot);
}

static struct upconn *of_client(struct h1_client *k)
{
    return CONTAINER_OF(k, struct upconn, k);
}

uint64_t cluster_active(const struct cluster *c)
{
    struct board *b = c->all->board;
    uint64_t n = 0;
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        const struct board_proc *p = board_proc(b, row);
        if (row == c->all->row || atomic_load_explicit(&p->role, memory_order_relaxed) == ROLE_WORKER)
            n += board_get(&board_series(b, row, c->slot)->active);
    }
    return n;
}

/* --- idle connections --------------------------------------------------------------------------------- */

static void leave_pool(struct upconn *u)
{
    if (!u->idle)
        return;
    u->idle = false;
    u->ep->n_idle--;
    u->ep->cluster->all->n_idle--;
    board_add(&u->ep->cluster->all->net->count->upstream_idle, (uint64_t)-1);
    list_del(&u->node);
    list_del(&u->lru);
    list_push(&u->ep->cluster->all->busy, &u->lru);
}

/* Out of the books; the codec closes it or has done so. */
static void leave_books(struct upconn *u)
{
    struct endpoint *e = u->ep;
    struct upstream *all = e->cluster->all;
    leave_pool(u);
    list_del(&u->lru);
    timer_stop(&u->timer);
    e->n_conns--;
    e->cluster->n_conns--;
    all->n_conns--;
    board_add(&all->net->count->upstream_active, (uint64_t)-1);
    cluster_settle(e->cluster);
}

static void close_conn(struct upconn *u)
{
    leave_books(u);
    h1_client_close(&u->k);
}

static uint32_t idle_timeout(const struct cluster *c)
{
    return c->idle_timeout_ms ? c->idle_timeout_ms : c->all->idle_timeout_ms;
}

static void enter_pool(struct upconn *u)
{
    struct endpoint *e = u->ep;
    struct upstream *all = e->cluster->all;
    if (u->lease)
        u->lease->conn = NULL;
    u->idle = true;
    u->lease = NULL;
    list_push_front(&e->idle, &u->node);
    list_del(&u->lru);
    list_push(&all->lru, &u->lru);
    e->n_idle++;
    all->n_idle++;
    board_add(&all->net->count->upstream_idle, 1);
    timer_set(&all->net->timers, &u->timer, all->net->now_ms + idle_timeout(e->cluster));
}

/* Nobody needs it any more: for the longest waiting request, else for the pool if that has room. */
static void set_free(struct upconn *u)
{
    struct endpoint *e = u->ep; /* lives, and its cluster, until the connection's closed() */
    if (e->index == BALANCE_NONE) {
        close_conn(u);
        serve_waiting(e->cluster, NULL);
        return;
    }
    enter_pool(u);
    serve_waiting(e->cluster, u);
    if (e->n_idle > e->cluster->all->max_idle)
        close_conn(LIST_ITEM(e->idle.prev, struct upconn, node));
}

void endpoint_retire(struct endpoint *e)
{
    while (!list_empty(&e->idle))
        close_conn(LIST_ITEM(e->idle.next, struct upconn, node));
}

uint32_t upstream_close_idle(struct upstream *u, uint32_t max)
{
    uint32_t n = 0;
    for (; n < max && !list_empty(&u->lru); n++)
        close_conn(LIST_ITEM(u->lru.next, struct upconn, lru));
    return n;
}

void upstream_close(struct upstream *u)
{
    upstream_close_idle(u, UINT32_MAX);
    while (!list_empty(&u->busy))
        close_conn(LIST_ITEM(u->busy.next, struct upconn, lru));
    LIST_EACH(it, &u->raws)
        raw_drop(LIST_ITEM(it, struct raw, node));
}

void upstream_fini(struct upstream *u)
{
    h1_clients_fini(&u->h1);
    slab_fini(&u->conns);
    slab_fini(&u->raw_slab);
    free(u->table);
}

/* --- connecting --------------------------------------------------------------------------------------- */

static void lease_failed(struct lease *l, enum reason why)
{
    const struct lease_events *ev = l->ev;
    lease_end(l);
    ev->failed(l, why);
}

static void connect_failed(struct upconn *u, enum reason why)
{
    struct lease *l = u->lease;
    struct cluster *c = u->ep->cluster;
    board_add(&series(c)->connect_failures, 1);
    endpoint_result(u->ep, false);
    u->lease = NULL;
    if (l)
        l->conn = NULL;
    c->refs++; /* over the callbacks */
    close_conn(u);
    if (l)
        lease_failed(l, why);
    if (c->n_waiting)
        serve_waiting(c, NULL);
    cluster_drop(c);
}

static void on_timer(struct timer *t)
{
    struct upconn *u = CONTAINER_OF(t, struct upconn, timer);
    if (!u->connected)
        connect_failed(u, REASON_CONNECT_TIMEOUT);
    else if (u->idle)
        close_conn(u);
}

static void hand_over(struct lease *l, struct upconn *u)
{
    u->lease = l;
    l->conn = u;
    l->state = LEASE_HELD;
}

static void connected(struct h1_client *k, int err)
{
    struct upconn *u = of_client(k);
    struct lease *l = u->lease;
    if (err) {
        connect_failed(u, REASON_CONNECT_FAILED);
        return;
    }
    u->connected = true;
    timer_stop(&u->timer);
    board_add(&series(u->ep->cluster)->connects, 1);
    board_add(&k->c.net->count->upstream_connects, 1);
    endpoint_result(u->ep, true);
    if (l) {
        hand_over(l, u);
        l->ev->ready(l, h1_client_stream(k));
    } else {
        set_free(u); /* the request went away meanwhile */
    }
}

/* Negative errno. */
static int open_conn(struct endpoint *e, struct lease *l)
{
    struct cluster *c = e->cluster;
    struct upstream *all = c->all;
    struct upconn *u = slab_get(&all->conns);
    if (!u)
        return -ENOMEM;
    int err = h1_client_connect(&u->k, &all->h1, &OWNER, e->to, e->to_len);
    if (err == -EMFILE || err == -ENFILE) /* descriptors are short: those of idle connections are free */
        if (upstream_close_idle(all, 8))
            err = h1_client_connect(&u->k, &all->h1, &OWNER, e->to, e->to_len);
    if (err) {
        slab_put(&all->conns, u);
        return err;
    }
    u->ep = endpoint_hold(e);
    u->lease = l;
    u->idle = u->connected = false;
    list_init(&u->node);
    list_init(&u->lru);
    list_push(&all->busy, &u->lru);
    timer_init(&u->timer, on_timer);
    uint32_t wait = c->connect_timeout_ms ? c->connect_timeout_ms : all->connect_timeout_ms;
    if (wait)
        timer_set(&all->net->timers, &u->timer, all->net->now_ms + wait);
    e->n_conns++;
    c->n_conns++;
    all->n_conns++;
    board_add(&all->net->count->upstream_active, 1);
    l->conn = u;
    l->state = LEASE_CONNECTING;
    return 0;
}

/* --- the codec's news ---------------------------------------------------------------------------------- */

static void on_idle(struct h1_client *k)
{
    set_free(of_client(k));
}

static void on_gone(struct h1_client *k)
{
    struct upconn *u = of_client(k);
    struct cluster *c = u->ep->cluster; /* lives as long as the connection holds its endpoint */
    leave_books(u);
    if (c->n_waiting)
        serve_waiting(c, NULL);
}

static void on_closed(struct h1_client *k)
{
    struct upconn *u = of_client(k);
    struct upstream *all = u->ep->cluster->all;
    if (u->lease)
        u->lease->conn = NULL;
    timer_close(&u->timer);
    endpoint_drop(u->ep);
    slab_put(&all->conns, u);
}

static const struct h1_client_owner OWNER = {
    .connected = connected,
    .idle = on_idle,
    .gone = on_gone,
    .closed = on_closed,
};

/* --- leases --------------------------------------------------------------------------------------------- */

static void count_in(struct lease *l, struct endpoint *e)
{
    struct cluster *c = e->cluster;
    l->ep = endpoint_hold(e);
    e->active++;
    board_add(&series(c)->active, 1);
    l->board_slot = c->lb == LB_LEAST_REQUEST ? e->board_slot : 0; /* others don't pay for the shared count */
    if (l->board_slot)
        board_endpoint_enter(c->all->board, c->all->row, l->board_slot);
}

static void count_out(struct lease *l)
{
    struct endpoint *e = l->ep;
    struct cluster *c = e->cluster;
    l->ep = NULL;
    e->active--;
    board_add(&series(c)->active, (uint64_t)-1);
    if (l->board_slot)
        board_endpoint_leave(c->all->board, c->all->row, l->board_slot);
    endpoint_drop(e);
}

/* The youngest one that has said nothing. What is found dead is closed; about what the loop is going to tell
 * in this turn, it is going to tell. */
static struct upconn *find_idle(struct endpoint *e, enum lease_want want)
{
    LIST_EACH(it, &e->idle)
    {
        struct upconn *u = LIST_ITEM(it, struct upconn, node);
        if (!h1_client_usable(&u->k, false))
            continue;
        if (want == LEASE_ANY || h1_client_usable(&u->k, true))
            return u;
        close_conn(u);
    }
    return NULL;
}

static struct stream *take(struct lease *l, struct upconn *u)
{
    struct endpoint *e = u->ep;
    leave_pool(u);
    timer_stop(&u->timer);
    hand_over(l, u);
    board_add(&e->cluster->all->net->count->upstream_reused, 1);
    return h1_client_stream(&u->k);
}

static void wait_timer(struct timer *t)
{
    lease_failed(CONTAINER_OF(t, struct lease, timer), REASON_OVERFLOW);
}

/* The cluster has its connections: one that is idle elsewhere makes room, or the request waits. */
static enum lease_result wait_for_room(struct lease *l, struct endpoint *e)
{
    struct cluster *c = e->cluster;
    struct net *n = c->all->net;
    if (c->max_pending && c->n_waiting >= c->max_pending)
        return LEASE_REFUSED;
    l->state = LEASE_WAITING;
    list_push(&c->waiting, &l->node);
    c->n_waiting++;
    uint32_t wait = c->connect_timeout_ms ? c->connect_timeout_ms : c->all->connect_timeout_ms;
    if (wait)
        timer_set(&n->timers, &l->timer, n->now_ms + wait);
    return LEASE_LATER;
}

static bool close_an_idle_one(struct cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->v[i]->n_idle) {
            close_conn(LIST_ITEM(c->v[i]->idle.prev, struct upconn, node));
            return true;
        }
    return false;
}

bool cluster_admits(struct cluster *c)
{
    return !c->max_connections || c->n_conns < c->max_connections || close_an_idle_one(c);
}

void cluster_room(struct cluster *c)
{
    if (c->n_waiting)
        serve_waiting(c, NULL);
    cluster_settle(c);
}

enum lease_result lease_begin(struct lease *l, struct endpoint *e, enum lease_want want, const struct lease_events *ev,
                              struct stream **s, enum reason *why)
{
    struct cluster *c = e->cluster;
    struct upconn *idle;
    list_init(&l->node);
    timer_init(&l->timer, wait_timer);
    l->ev = ev;
    l->conn = NULL;
    l->state = LEASE_NONE;
    *why = REASON_OVERFLOW;
    if (c->max_requests && cluster_active(c) >= c->max_requests)
        return LEASE_REFUSED;
    count_in(l, e);
    if (want != LEASE_FRESH && e->n_idle && (idle = find_idle(e, want))) {
        *s = take(l, idle);
        return LEASE_READY;
    }
    enum lease_result r;
    if (!cluster_admits(c)) {
        r = wait_for_room(l, e);
    } else {
        int err = open_conn(e, l);
        r = err ? LEASE_REFUSED : LEASE_LATER;
        if (err) {
            *why = err == -ENOMEM ? REASON_MEMORY : REASON_CONNECT_FAILED;
            endpoint_result(e, false);
            board_add(&series(c)->connect_failures, 1);
        }
    }
    if (r == LEASE_REFUSED)
        count_out(l);
    return r;
}

void lease_end(struct lease *l)
{
    switch ((enum lease_state)l->state) {
    case LEASE_NONE:
        return;
    case LEASE_WAITING:
        list_del(&l->node);
        l->ep->cluster->n_waiting--;
        break;
    case LEASE_CONNECTING: /* the connection is finished for whoever comes next */
        if (l->conn)
            l->conn->lease = NULL;
        break;
    case LEASE_HELD:
        if (l->conn && l->conn->lease == l)
            l->conn->lease = NULL;
        break;
    }
    timer_close(&l->timer);
    l->state = LEASE_NONE;
    l->conn = NULL;
    count_out(l);
}

/* A connection became free, or there is room for a new one: the longest waiting request goes on. */
static void serve_waiting(struct cluster *c, struct upconn *free_conn)
{
    if (list_empty(&c->waiting))
        return;
    struct lease *l = LIST_ITEM(c->waiting.next, struct lease, node);
    list_del(&l->node);
    c->n_waiting--;
    timer_stop(&l->timer);
    l->state = LEASE_HELD;
    if (free_conn) {
        struct endpoint *e = free_conn->ep;
        if (l->ep != e) {
            count_out(l);
            count_in(l, e);
        }
        l->ev->ready(l, take(l, free_conn));
    } else if (c->max_connections && c->n_conns >= c->max_connections) {
        l->state = LEASE_WAITING;
        list_push_front(&c->waiting, &l->node);
        c->n_waiting++;
    } else if (open_conn(l->ep, l) != 0) {
        lease_failed(l, REASON_CONNECT_FAILED);
    }
}
