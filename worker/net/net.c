#include "worker/net/net.h"
#include "shared/base/err.h"
#include "worker/net/conn.h"
#include "worker/net/outq.h"
#include "worker/net/tls.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#define OUT_SIZE (256u * 1024) /* serialised heads of one callback */
#define BATCHES  16            /* calls of one turn, after the first one */
#define ASKS_MOST 64           /* so many requests are some 500 us */
#define BULK_NS  (40u * 1000)  /* about as long as 64 KiB take from socket to socket */

static void on_uv(struct watch *w, uint32_t events)
{
    (void)events;
    CONTAINER_OF(w, struct net, uv_watch)->uv_ready = true;
}

/* The wheel needs no timer of its own: net_turn asks it how long to wait. */
static void no_wake(void *ctx, uint64_t at_ms)
{
    (void)ctx;
    (void)at_ms;
}

static void read_clock(struct net *n)
{
    n->now_ns = clock_ns();
    n->now_ms = n->now_ns / 1000000;
}

int net_init(struct net *n, struct uv_loop_s *loop, struct board_counters *count, struct log *log)
{
    memset(n, 0, sizeof(*n));
    n->loop = loop;
    n->count = count;
    n->log = log;
    n->high_water = 256 * 1024;
    list_init(&n->dirty);
    list_init(&n->notify);
    list_init(&n->again);
    list_init(&n->asks);
    list_init(&n->bulk);
    n->bulk_ns = BULK_NS;
    n->batch = NET_BATCH;
    n->asks_most = ASKS_MOST;
    list_init(&n->closed);
    slab_init(&n->outqs, sizeof(struct outq), 64);
    chunk_pool_init(&n->chunks);
    n->chunks.shown = &count->buffer_bytes;
    rng_seed(&n->rng);
    read_clock(n);
    timers_init(&n->timers, n->now_ms, no_wake, NULL);
    n->epoll = epoll_create1(EPOLL_CLOEXEC);
    n->scratch = malloc(NET_SCRATCH);
    n->out = malloc(OUT_SIZE);
    n->out_cap = OUT_SIZE;
    n->uv_watch.fn = on_uv;
    if (n->scratch && n->out && n->epoll >= 0 &&
        net_watch(n, uv_backend_fd(loop), &n->uv_watch, EPOLLIN) == 0)
        return 0;
    int err = n->scratch && n->out ? GH_E_SYSTEM : GH_E_NOMEM;
    net_fini(n);
    return err;
}

void net_fini(struct net *n)
{
    conn_bury(n);
    tls_room_free(n);
    if (n->epoll >= 0)
        close(n->epoll);
    free(n->scratch);
    free(n->out);
    slab_fini(&n->outqs);
    chunk_pool_fini(&n->chunks);
}

int net_watch(struct net *n, int fd, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(n->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

int net_rewatch(struct net *n, int fd, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    return epoll_ctl(n->epoll, EPOLL_CTL_MOD, fd, &e) ? -errno : 0;
}

void net_unwatch(struct net *n, int fd)
{
    struct epoll_event e = {0};
    epoll_ctl(n->epoll, EPOLL_CTL_DEL, fd, &e);
}

void net_trim(struct net *n)
{
    slab_trim(&n->outqs, 8);
    slab_trim(&n->chunks.large, 8);
    slab_trim(&n->chunks.small, 8);
}

void net_settle(struct net *n)
{
    slab_settle(&n->outqs);
    slab_settle(&n->chunks.large);
    slab_settle(&n->chunks.small);
}

void net_leave(struct net *n)
{
    if (n->depth == 1)
        while (!list_empty(&n->dirty) || !list_empty(&n->notify)) {
            net_flush(n);
            conn_tell(n);
        }
    if (--n->depth == 0)
        n->out_n = 0;
}

/* How long libuv lets us sleep; 0 = it must run now. That is so, since 1.44, while watchers wait for being put into
 * its epoll set, which only uv_run does. A loop without (referenced) handles has no say. */
static int uv_wait(const struct net *n)
{
    if (!uv_loop_alive(n->loop))
        return -1;
    return uv_backend_timeout(n->loop);
}

static int wait_time(struct net *n, int max_wait_ms)
{
    if (!list_empty(&n->again) || !list_empty(&n->bulk) || !list_empty(&n->asks) || !list_empty(&n->closed) || n->quit)
        return 0;
    int wait = uv_wait(n);
    if (max_wait_ms >= 0 && (wait < 0 || wait > max_wait_ms))
        wait = max_wait_ms;
    uint64_t next = timers_next(&n->timers);
    if (next == UINT64_MAX)
        return wait;
    uint64_t left = next > n->now_ms ? next - n->now_ms : 0;
    return wait < 0 || left < (uint64_t)wait ? (int)GH_MIN(left, UINT64_C(3600000)) : wait;
}

/* Both kinds are about, those that want little and bulk: nothing is gathered at the cost of the former. */
static bool mixed(const struct net *n)
{
    return net_turn_short(n) && n->now_ns < n->bulk_until_ns;
}

/* While there are many, so that a turn finds more to do, and more of it leaves in one write. */
static void gather(struct net *n)
{
    uint32_t ns = gather_wait(&n->gather, n->now_ns, clock_ns());
    if (ns)
        ppoll(NULL, 0, &(struct timespec){.tv_nsec = ns}, NULL);
}

/* Those who wait for the end of the turn: kicks and reading on, clients in a crowd, then bulk; but kicks last when there is
 * nobody whom they keep, so that they write for bulk as well, and sometimes for the next turn's. */
static void finish_turn(struct net *n)
{
    bool first = mixed(n);
    if (first && !list_empty(&n->again))
        conn_turn_again(n);
    if (!list_empty(&n->asks))
        conn_turn_asks(n);
    if (!list_empty(&n->bulk))
        conn_turn_bulk(n);
    if (!first && !list_empty(&n->again) &&
        !(gather_many(&n->gather) && gather_hold(&n->gather, n->now_ns, clock_ns())))
        conn_turn_again(n);
}

static void tell(struct net *n, const struct epoll_event *e)
{
    struct watch *w = e->data.ptr;
    w->pending = 0;
    net_enter(n);
    w->fn(w, e->events);
    net_leave(n);
}

/* What is ready: who ends work goes before who begins some. False: there is nothing more. */
static bool hear(struct net *n, int wait_ms, bool first)
{
    struct epoll_event events[NET_BATCH];
    int k = epoll_wait(n->epoll, events, (int)n->batch, wait_ms), asks = 0;
    if (first) {
        read_clock(n);
        uv_update_time(n->loop); /* its timers are judged by this below */
    }
    n->gather.moved += k > 0 ? (uint32_t)k : 0;
    if (k == 1 && n->batch > 1 && !n->crowded) { /* nobody to choose from */
        tell(n, events);
        return false;
    }
    n->crowded = n->crowded || k == (int)n->batch;
    /* All of a turn's news count from its beginning (conn_heard): nobody writes to who has just closed. */
    for (int i = 0; i < k; i++)
        ((struct watch *)events[i].data.ptr)->pending = events[i].events;
    for (int i = 0; i < k; i++) {
        if (((struct watch *)events[i].data.ptr)->asks)
            events[asks++] = events[i];
        else
            tell(n, &events[i]);
    }
    for (int i = 0; i < asks; i++)
        tell(n, &events[i]);
    return k == (int)n->batch;
}

void net_turn(struct net *n, int max_wait_ms)
{
    int wait = wait_time(n, max_wait_ms);
    if (wait && gather_many(&n->gather) && !mixed(n))
        gather(n);
    n->crowded = !list_empty(&n->asks);
    bool more = hear(n, wait, true);
    board_add(&n->count->loop_turns, 1);
    for (int i = 0; more && i < BATCHES; i++) /* the answers are among the requests */
        more = hear(n, 0, false);
    finish_turn(n);
    if (timers_next(&n->timers) <= n->now_ms) {
        net_enter(n);
        timers_run(&n->timers, n->now_ms);
        net_leave(n);
    }
    if (n->uv_ready || uv_wait(n) == 0) {
        n->uv_ready = false;
        net_enter(n);
        uv_run(n->loop, UV_RUN_NOWAIT);
        net_leave(n);
    }
    conn_bury(n);
}

void net_run(struct net *n)
{
    n->quit = false;
    while (!n->quit)
        net_turn(n, -1);
}

uint64_t net_wall_us(struct net *n, uint64_t mono_ns)
{
    if (!n->wall_offset_us || n->now_ms - n->wall_renewed_ms > 1000) {
        n->wall_offset_us = clock_wall_us() - clock_ns() / 1000;
        n->wall_renewed_ms = n->now_ms;
    }
    return mono_ns / 1000 + n->wall_offset_us;
}
