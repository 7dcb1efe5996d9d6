/*
 * pool.c - connections to endpoints, and the leases of requests on them.
 */
#include "worker/upstream/endpoint.h"
#include "worker/net/tls.h"
#include "worker/upstream/raw.h"

#include <errno.h>
#include <stdlib.h>

#define SURPLUS_MS 2000u /* for which connections beyond max_idle are kept: the youngest are, and are used first */

static const struct h1_client_owner OWNER;
static const struct h2_client_owner OWNER_H2;
static void serve_waiting(struct cluster *c, struct upconn *free_conn);

static struct board_series *series(const struct cluster *c)
{
    return board_series(c->all->board, c->all->row, c->slot);
}

static struct upconn *of_client(struct h1_client *k)
{
    return CONTAINER_OF(k, struct upconn, k);
}

static struct upconn *of_h2(struct h2_client *k)
{
    return CONTAINER_OF(k, struct up_h2, k)->u;
}

/* The lease belongs to the connection: to a stream of it (HELD), or to its hope (CONNECTING). */
static void join(struct lease *l, struct upconn *u, enum lease_state state)
{
    l->conn = u;
    l->state = (uint8_t)state;
    list_push(&u->leases, &l->node);
    u->n_leases++;
}

static void part(struct lease *l)
{
    if (!l->conn)
        return;
    list_del(&l->node);
    l->conn->n_leases--;
    l->conn = NULL;
}

static void part_all(struct upconn *u)
{
    while (!list_empty(&u->leases))
        part(LIST_ITEM(u->leases.next, struct lease, node));
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
    list_del(&u->share);
    timer_stop(&u->timer);
    u->gone = true;
    e->n_conns--;
    e->cluster->n_conns--;
    all->n_conns--;
    board_add(&all->net->count->upstream_active, (uint64_t)-1);
    cluster_settle(e->cluster);
}

static void close_conn(struct upconn *u)
{
    leave_books(u);
    if (u->h2)
        h2_client_close(&u->h2->k);
    else
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
    uint32_t wait = idle_timeout(e->cluster);
    if (e->n_idle >= all->max_idle) /* one too many, but as long as there is much to do it is needed again at once */
        wait = GH_MIN(wait, SURPLUS_MS);
    u->idle = true;
    list_push_front(&e->idle, &u->node);
    list_del(&u->lru);
    list_push(&all->lru, &u->lru);
    e->n_idle++;
    all->n_idle++;
    board_add(&all->net->count->upstream_idle, 1);
    timer_set(&all->net->timers, &u->timer, all->net->now_ms + wait);
}

/* Nobody needs it any more: for the longest waiting request, else for the pool if that has room. */
static void set_free(struct upconn *u)
{
    struct endpoint *e = u->ep; /* lives, and its cluster, until the connection's closed() */
    part_all(u);
    if (e->index == BALANCE_NONE) {
        close_conn(u);
        serve_waiting(e->cluster, NULL);
        return;
    }
    enter_pool(u);
    serve_waiting(e->cluster, u);
    if (u->idle && !e->cluster->all->max_idle)
        close_conn(u);
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
    h2_clients_fini(&u->h2);
    slab_fini(&u->conns);
    slab_fini(&u->raw_slab);
    slab_fini(&u->h2s);
    free(u->table);
}

void upstream_trim(struct upstream *u)
{
    slab_trim(&u->conns, 32);
    slab_trim(&u->h2s, 8);
    h2_shared_trim(&u->h2.shared);
}

/* --- connecting --------------------------------------------------------------------------------------- */

static void lease_failed(struct lease *l, enum reason why)
{
    const struct lease_events *ev = l->ev;
    lease_end(l);
    ev->failed(l, why);
}

static void connect_failed(struct upconn *u, enum reason why, const char *detail)
{
    struct list waiting;
    struct cluster *c = u->ep->cluster;
    list_init(&waiting);
    board_add(&series(c)->connect_failures, 1);
    endpoint_result(u->ep, false);
    while (!list_empty(&u->leases)) {
        struct lease *l = LIST_ITEM(u->leases.next, struct lease, node);
        part(l);
        l->detail = detail;
        list_push(&waiting, &l->node);
    }
    c->refs++; /* over the callbacks */
    close_conn(u);
    while (!list_empty(&waiting))
        lease_failed(LIST_ITEM(waiting.next, struct lease, node), why);
    if (c->n_waiting)
        serve_waiting(c, NULL);
    cluster_drop(c);
}

static void on_timer(struct timer *t)
{
    struct upconn *u = CONTAINER_OF(t, struct upconn, timer);
    if (u->doomed)
        connect_failed(u, REASON_MEMORY, NULL);
    else if (!u->connected)
        connect_failed(u, REASON_CONNECT_TIMEOUT, NULL);
    else if (u->idle)
        close_conn(u);
}

/* What is spoken on a connection that is open: over TLS as ALPN says, else as the configuration does. */
static bool speaks_h2(const struct upconn *u)
{
    struct tls_facts facts;
    if (conn_is_plain(&u->k.c))
        return u->ep->cluster->protocol == UPSTREAM_H2;
    return conn_tls_facts(&u->k.c, &facts) && facts.alpn == TLS_PROTO_H2;
}

/* ... and on the next one: as on the last. */
static bool expects_h2(const struct endpoint *e)
{
    return e->cluster->protocol == UPSTREAM_H2 || (e->cluster->protocol == UPSTREAM_AUTO && e->spoke_h2);
}

/* May it take another lease now? `sure`: as far as the kernel knows. */
static bool has_room(const struct upconn *u, bool sure)
{
    if (u->gone || !u->connected)
        return false;
    return u->h2 ? h2_client_room(&u->h2->k, sure) > 0 : u->idle && h1_client_usable(&u->k, sure);
}

/* The answer waits with those who asked for much, and is read in pieces that the client's connection takes at a time. */
static void suit_client(struct conn *c, const struct conn *client)
{
    conn_set_bulk(c, client && conn_is_bulk(client));
    c->read_max = client && client->full_at ? GH_MIN(GH_MAX(client->full_at, NET_PIECE), NET_SCRATCH) : NET_SCRATCH;
}

/* A stream of a connection that has room. NULL: no memory, nothing has changed. */
static struct stream *take(struct lease *l, struct upconn *u)
{
    struct stream *s = u->h2 ? h2_client_stream(&u->h2->k) : h1_client_stream(&u->k);
    if (!s)
        return NULL;
    leave_pool(u);
    timer_stop(&u->timer);
    join(l, u, LEASE_HELD);
    if (!u->h2)
        suit_client(&u->k.c, l->who.link ? l->who.link->conn : NULL);
    if (s->flags & STREAM_F_REUSED)
        board_add(&u->ep->cluster->all->net->count->upstream_reused, 1);
    return s;
}

/* What was promised to more than the peer allows, or to nobody any more, begins again. */
static void begin_again(struct lease *l);

/* Those that waited for the connection get streams of it. */
static void serve_leases(struct upconn *u)
{
    for (bool first = true; !list_empty(&u->leases); first = false) {
        struct lease *l = LIST_ITEM(u->leases.next, struct lease, node);
        if (l->state != LEASE_CONNECTING) /* these are behind the others */
            break;
        part(l);
        if (u->h2 ? !has_room(u, false) : !first) {
            begin_again(l);
            continue;
        }
        struct stream *s = take(l, u);
        if (s)
            l->ev->ready(l, s);
        else
            lease_failed(l, REASON_MEMORY);
    }
    if (u->gone || u->idle)
        return;
    if (!u->n_leases)
        set_free(u); /* who asked for it went away meanwhile */
    else if (u->ep->cluster->n_waiting)
        serve_waiting(u->ep->cluster, u);
}

/* Its codec is chosen. False: no memory. */
static bool choose_codec(struct upconn *u)
{
    struct endpoint *e = u->ep;
    struct upstream *all = e->cluster->all;
    e->spoke_h2 = speaks_h2(u);
    list_del(&u->share);
    if (!e->spoke_h2)
        return true;
    u->h2 = slab_get(&all->h2s);
    if (!u->h2)
        return false;
    u->h2->u = u;
    list_push_front(&e->shared, &u->share);
    h2_client_take(&u->h2->k, &all->h2, &OWNER_H2, &u->k.c, !conn_is_plain(&u->k.c), e->streams);
    return true;
}

static void connected(struct h1_client *k, int err)
{
    struct upconn *u = of_client(k);
    const char *detail = NULL;
    enum reason why = u->doomed ? REASON_MEMORY : secure_done(u->ep, &k->c, err, &detail);
    if (why == REASON_OK && !choose_codec(u))
        why = REASON_MEMORY;
    if (why != REASON_OK) {
        connect_failed(u, why, detail);
        return;
    }
    u->connected = true;
    timer_stop(&u->timer);
    board_add(&series(u->ep->cluster)->connects, 1);
    board_add(&u->ep->cluster->all->net->count->upstream_connects, 1);
    endpoint_result(u->ep, true);
    serve_leases(u);
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
    u->h2 = NULL;
    u->as = l->as;
    u->idle = u->connected = u->gone = u->doomed = false;
    u->n_leases = 0;
    list_init(&u->leases);
    list_init(&u->node);
    list_init(&u->share);
    list_init(&u->lru);
    if (expects_h2(e))
        list_push_front(&e->shared, &u->share);
    list_push(&all->busy, &u->lru);
    timer_init(&u->timer, on_timer);
    uint32_t wait = c->connect_timeout_ms ? c->connect_timeout_ms : all->connect_timeout_ms;
    if (wait)
        timer_set(&all->net->timers, &u->timer, all->net->now_ms + wait);
    e->n_conns++;
    c->n_conns++;
    all->n_conns++;
    board_add(&all->net->count->upstream_active, 1);
    join(l, u, LEASE_CONNECTING);
    if (unlikely(u->as) && secure_start(e, &u->k.c, &l->who, true)) {
        u->doomed = true; /* told from the loop */
        timer_set(&all->net->timers, &u->timer, all->net->now_ms);
    }
    return 0;
}

/* --- the codec's news ---------------------------------------------------------------------------------- */

static void on_idle(struct h1_client *k)
{
    set_free(of_client(k));
}

static void conn_gone(struct upconn *u)
{
    struct cluster *c = u->ep->cluster; /* lives as long as the connection holds its endpoint */
    leave_books(u);
    if (c->n_waiting)
        serve_waiting(c, NULL);
}

static void conn_closed(struct upconn *u)
{
    struct upstream *all = u->ep->cluster->all;
    part_all(u);
    timer_close(&u->timer);
    endpoint_drop(u->ep);
    if (u->h2)
        slab_put(&all->h2s, u->h2);
    slab_put(&all->conns, u);
}

static void on_gone(struct h1_client *k)
{
    conn_gone(of_client(k));
}

static void on_closed(struct h1_client *k)
{
    if (!of_client(k)->h2) /* else it was the shell that a connection has left */
        conn_closed(of_client(k));
}

static const struct h1_client_owner OWNER = {
    .connected = connected,
    .idle = on_idle,
    .gone = on_gone,
    .closed = on_closed,
};

/* A stream has ended, or the peer allows another number of them. */
static void on_news_h2(struct h2_client *k)
{
    struct upconn *u = of_h2(k);
    struct endpoint *e = u->ep;
    e->streams = GH_MAX(GH_MIN(k->h.peer_streams, H2_CLIENT_MOST), 1u);
    if (e->cluster->n_waiting)
        serve_waiting(e->cluster, u);
}

static void on_gone_h2(struct h2_client *k)
{
    conn_gone(of_h2(k));
}

static void on_closed_h2(struct h2_client *k)
{
    conn_closed(of_h2(k));
}

static const struct h2_client_owner OWNER_H2 = {
    .news = on_news_h2,
    .gone = on_gone_h2,
    .closed = on_closed_h2,
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
static struct upconn *find_idle(struct endpoint *e, uint64_t as, bool sure)
{
    LIST_EACH(it, &e->idle)
    {
        struct upconn *u = LIST_ITEM(it, struct upconn, node);
        if (u->h2 || u->as != as || !has_room(u, false))
            continue;
        if (!sure || has_room(u, true))
            return u;
        close_conn(u);
    }
    return NULL;
}

/* One of HTTP/2 that has room; `connecting`: or will have. */
static struct upconn *find_shared(struct endpoint *e, uint64_t as, bool connecting, bool sure)
{
    LIST_EACH(it, &e->shared)
    {
        struct upconn *u = LIST_ITEM(it, struct upconn, share);
        if (u->as != as)
            continue;
        if (connecting ? !u->connected && u->n_leases < e->streams : has_room(u, sure))
            return u;
    }
    return NULL;
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

/* A connection of its own, or the wait for one. */
static enum lease_result connect_or_wait(struct lease *l, struct endpoint *e, enum reason *why)
{
    struct cluster *c = e->cluster;
    *why = REASON_OVERFLOW;
    if (!cluster_admits(c))
        return wait_for_room(l, e);
    int err = open_conn(e, l);
    if (!err)
        return LEASE_LATER;
    *why = err == -ENOMEM ? REASON_MEMORY : REASON_CONNECT_FAILED;
    endpoint_result(e, false);
    board_add(&series(c)->connect_failures, 1);
    return LEASE_REFUSED;
}

static void begin_again(struct lease *l)
{
    enum reason why;
    struct upconn *u = find_shared(l->ep, l->as, true, false);
    l->state = LEASE_NONE;
    if (u)
        join(l, u, LEASE_CONNECTING);
    else if (connect_or_wait(l, l->ep, &why) == LEASE_REFUSED) {
        l->state = LEASE_CONNECTING; /* it was counted in */
        lease_failed(l, why);
    }
}

enum lease_result lease_begin(struct lease *l, struct endpoint *e, enum lease_want want, const struct lease_events *ev,
                              struct stream **s, enum reason *why)
{
    struct cluster *c = e->cluster;
    struct upconn *u = NULL;
    bool h2 = expects_h2(e);
    list_init(&l->node);
    timer_init(&l->timer, wait_timer);
    l->ev = ev;
    l->conn = NULL;
    l->state = LEASE_NONE;
    l->detail = NULL;
    l->as = secure_as(c, &l->who);
    if (unlikely((*why = secure_check(c, &l->detail)) != REASON_OK))
        return LEASE_REFUSED;
    *why = REASON_OVERFLOW;
    if (c->max_requests && cluster_active(c) >= c->max_requests)
        return LEASE_REFUSED;
    count_in(l, e);
    if (h2) /* one that has gone is in no list: what is left is as good as a new one */
        u = find_shared(e, l->as, false, want == LEASE_SURE);
    else if (want != LEASE_FRESH && e->n_idle)
        u = find_idle(e, l->as, want != LEASE_ANY);
    if (u && (*s = take(l, u)))
        return LEASE_READY;
    if (h2 && (u = find_shared(e, l->as, true, false))) {
        join(l, u, LEASE_CONNECTING);
        return LEASE_LATER;
    }
    enum lease_result r = connect_or_wait(l, e, why);
    if (r == LEASE_REFUSED)
        count_out(l);
    return r;
}

/* Its last stream has been released. */
static void rest(struct upconn *u)
{
    if (u->h2 && !u->gone && !u->idle && u->connected && !u->n_leases)
        set_free(u);
}

void lease_end(struct lease *l)
{
    struct upconn *u = l->conn;
    switch ((enum lease_state)l->state) {
    case LEASE_NONE:
        return;
    case LEASE_WAITING:
        l->ep->cluster->n_waiting--;
        break;
    case LEASE_CONNECTING: /* the connection is finished for whoever comes next */
    case LEASE_HELD:
        part(l);
        break;
    }
    list_del(&l->node);
    timer_close(&l->timer);
    l->state = LEASE_NONE;
    l->conn = NULL;
    if (u)
        rest(u);
    count_out(l);
}

/* A connection became free, or there is room for a new one: the longest waiting requests go on. */
static void serve_waiting(struct cluster *c, struct upconn *free_conn)
{
    while (!list_empty(&c->waiting)) {
        struct lease *l = LIST_ITEM(c->waiting.next, struct lease, node);
        bool here = free_conn && free_conn->as == l->as && has_room(free_conn, false);
        if (!here && !cluster_admits(c))
            return;
        list_del(&l->node);
        c->n_waiting--;
        timer_stop(&l->timer);
        l->state = LEASE_CONNECTING;
        if (!here) {
            if (open_conn(l->ep, l) != 0)
                lease_failed(l, REASON_CONNECT_FAILED);
            continue;
        }
        if (l->ep != free_conn->ep) {
            count_out(l);
            count_in(l, free_conn->ep);
        }
        struct stream *s = take(l, free_conn);
        if (s)
            l->ev->ready(l, s);
        else
            lease_failed(l, REASON_MEMORY);
    }
}
