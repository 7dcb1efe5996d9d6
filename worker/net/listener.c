#include "worker/net/listener.h"
#include "shared/base/err.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_BATCH  32   /* connections of one event */
#define ROWS_MS    1000 /* how long the list of other workers stands */
#define UNSENT_MAX (256 * 1024)
#define LOOK_BATCH 64   /* backlogs looked at by one system call */

struct listener {
    struct watch watch;
    struct list node;
    struct listeners *all;
    int fd;
    uint32_t batch;   /* doubles while a burst lasts */
    uint64_t full;    /* the turn of the loop that took a whole batch */
    bool armed;
    uint32_t silent_s;  /* as the socket knows it; UINT32_MAX = not known, it comes from the master */
    uint64_t bind_id;
    struct accepted bound; /* of every connection: bind_id, local port, and the local address unless it is a wildcard */
};

/* --- the balance -------------------------------------------------------------------------------------- */

static bool is_live(const struct board_proc *p, uint64_t now_ns)
{
    uint64_t beat = atomic_load_explicit(&p->heartbeat_ns, memory_order_relaxed);
    return atomic_load_explicit(&p->role, memory_order_relaxed) == ROLE_WORKER &&
           atomic_load_explicit(&p->state, memory_order_relaxed) == PROC_ACTIVE &&
           (beat >= now_ns || now_ns - beat < LISTENER_LIVE_MS * UINT64_C(1000000));
}

uint32_t accept_least(struct board *b, const uint32_t *rows, uint32_t n, uint64_t now_ns)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < n; i++) {
        const struct board_proc *p = board_proc(b, rows[i]);
        if (p && is_live(p, now_ns))
            least = GH_MIN(least, atomic_load_explicit(&p->connections, memory_order_relaxed));
    }
    return least;
}

/* All rows are looked at once a second; on machines with more workers than fit, a random part. */
static void find_rows(struct listeners *l)
{
    uint64_t now = l->net->now_ms;
    if (l->rows_at_ms && now - l->rows_at_ms < ROWS_MS)
        return;
    uint32_t n = 0, seen = 0;
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++) {
        const struct board_proc *p = board_proc(l->board, row);
        if (row == l->row || atomic_load_explicit(&p->role, memory_order_relaxed) != ROLE_WORKER)
            continue;
        seen++;
        if (n < ARRAY_LEN(l->rows)) {
            l->rows[n++] = row;
        } else {
            uint32_t at = rng_below(&l->net->rng, seen);
            if (at < ARRAY_LEN(l->rows))
                l->rows[at] = row;
        }
    }
    l->n_rows = n;
    l->rows_at_ms = now;
}

static bool may_go_on(struct listeners *l)
{
    find_rows(l);
    if (!l->n_rows)
        return true;
    const struct board_proc *me = board_proc(l->board, l->row);
    uint32_t least = accept_least(l->board, l->rows, l->n_rows, l->net->now_ns);
    return accept_goes_on(atomic_load_explicit(&me->connections, memory_order_relaxed), least);
}

/* --- polling ------------------------------------------------------------------------------------------ */

static void arm_one(struct listener *s, bool on)
{
    if (s->armed == on)
        return;
    if (!on)
        net_unwatch(s->all->net, s->fd);
    /* EPOLLEXCLUSIVE can't be modified, only added. */
    else if (net_watch(s->all->net, s->fd, &s->watch, EPOLLIN | EPOLLEXCLUSIVE))
        return;
    s->armed = on;
}

static void set_silent(struct listener *s)
{
    uint32_t now = s->all->owner->silent_s(s->all, s->bind_id);
    if (now == s->silent_s)
        return;
    s->silent_s = now;
    setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){(int)now}, sizeof(int)); /* fails on unix sockets */
}

/* Is it to be polled, if any? */
static bool ready(struct listener *s)
{
    if (!s->all->owner->wanted(s->all, s->bind_id))
        return false;
    set_silent(s);
    return true;
}

static void arm(struct listeners *l)
{
    bool on = l->active && !l->rest_until_ms;
    l->armed = on;
    LIST_EACH(it, &l->all)
    {
        struct listener *s = LIST_ITEM(it, struct listener, node);
        arm_one(s, on && ready(s));
    }
    atomic_store_explicit(&board_proc(l->board, l->row)->accepting, on, memory_order_relaxed);
}

static void beat(struct listeners *l)
{
    uint64_t next = l->active ? LISTENER_BEAT_MS : 1000;
    if (l->rest_until_ms && l->rest_until_ms < l->net->now_ms + next)
        next = l->rest_until_ms > l->net->now_ms ? l->rest_until_ms - l->net->now_ms : 1;
    timer_set(&l->net->timers, &l->timer, l->net->now_ms + next);
}

static void rest(struct listeners *l, uint32_t ms)
{
    l->rest_until_ms = l->net->now_ms + ms;
    arm(l);
    beat(l);
}

static void on_event(struct watch *w, uint32_t events);

static void look_at(struct listener **s, struct pollfd *p, size_t n)
{
    if (poll(p, (nfds_t)n, 0) <= 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (p[i].revents & POLLIN && s[i]->armed)
            on_event(&s[i]->watch, EPOLLIN);
}

/* Connections that wait although somebody was woken for them. */
static void look(struct listeners *l)
{
    struct listener *s[LOOK_BATCH];
    struct pollfd p[LOOK_BATCH];
    size_t n = 0;
    if (!l->armed || l->net->now_ms < l->look_ms)
        return;
    l->look_ms = l->net->now_ms + LISTENER_LOOK_MS;
    find_rows(l);
    if (!l->n_rows)
        return;
    LIST_EACH(it, &l->all)
    {
        struct listener *one = LIST_ITEM(it, struct listener, node);
        if (!one->armed)
            continue;
        s[n] = one;
        p[n++] = (struct pollfd){.fd = one->fd, .events = POLLIN};
        if (n == LOOK_BATCH) {
            look_at(s, p, n);
            n = 0;
        }
    }
    look_at(s, p, n);
}

static void on_timer(struct timer *t)
{
    struct listeners *l = CONTAINER_OF(t, struct listeners, timer);
    struct board_proc *me = board_proc(l->board, l->row);
    atomic_store_explicit(&me->heartbeat_ns, l->net->now_ns, memory_order_relaxed);
    if (l->rest_until_ms && l->net->now_ms >= l->rest_until_ms) {
        l->rest_until_ms = may_go_on(l) ? 0 : l->net->now_ms + LISTENER_YIELD_MS;
        arm(l);
    }
    look(l);
    beat(l);
}

/* --- accepting ------------------------------------------------------------------------------------------ */

union peer {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
};

/* Address and port of `p` in our form; an IPv4 client of an IPv6 socket is an IPv4 client. */
static uint8_t address_of(const union peer *p, uint8_t out[16], uint16_t *port)
{
    if (p->any.sa_family == AF_INET) {
        *port = ntohs(p->v4.sin_port);
        memcpy(out, &p->v4.sin_addr, 4);
        return 4;
    }
    if (p->any.sa_family != AF_INET6)
        return 1;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&p->v6.sin6_addr);
    *port = ntohs(p->v6.sin6_port);
    memcpy(out, (const uint8_t *)&p->v6.sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    return mapped ? 4 : 6;
}

/* What the listening socket is bound to; a wildcard says nothing about a connection. */
static void set_bound(struct listener *s)
{
    static const uint8_t any[16];
    union peer p;
    socklen_t len = sizeof(p);
    memset(&p.any, 0, sizeof(p.any));
    if (getsockname(s->fd, &p.any, &len))
        return;
    s->bound.local_family = address_of(&p, s->bound.local, &s->bound.local_port);
    if (s->bound.local_family != 1 && memcmp(s->bound.local, any, sizeof(any)) == 0)
        s->bound.local_family = 0;
}

uint8_t accepted_local(int fd, uint8_t out[16], uint16_t *port)
{
    union peer p;
    socklen_t len = sizeof(p);
    memset(&p.any, 0, sizeof(p.any));
    return getsockname(fd, &p.any, &len) ? 0 : address_of(&p, out, port);
}

enum taken { TAKEN, EMPTY, SHORT };

static enum taken take_one(struct listener *s)
{
    struct listeners *l = s->all;
    union peer p;
    for (;;) {
        socklen_t len = sizeof(p);
        memset(&p.any, 0, sizeof(p.any));
        int fd = accept4(s->fd, &p.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct accepted a = s->bound;
            a.fd = fd;
            a.peer_family = address_of(&p, a.peer, &a.peer_port);
            board_add(&l->net->count->accepted, 1);
            l->owner->accepted(l, &a);
            return TAKEN;
        }
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
            continue;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return SHORT;
        default:
            return EMPTY;
        }
    }
}

static void out_of_room(struct listeners *l)
{
    board_add(&l->net->count->accept_paused, 1);
    rest(l, LISTENER_PAUSE_MS);
}

static void on_event(struct watch *w, uint32_t events)
{
    struct listener *s = CONTAINER_OF(w, struct listener, watch);
    struct listeners *l = s->all;
    uint64_t turn = board_get(&l->net->count->loop_turns) + 1;
    (void)events;
    /* Still ready in the next turn: a burst. Else one is all there is, mostly, and no second accept has to find that out. */
    s->batch = s->full && s->full + 1 == turn ? GH_MIN(s->batch * 2, (uint32_t)MAX_BATCH) : 1;
    s->full = turn;
    for (uint32_t i = 0; s->armed && i < s->batch; i++) {
        if (!l->owner->room(l, false)) {
            out_of_room(l);
            return;
        }
        enum taken t = take_one(s);
        if (t != TAKEN)
            s->full = 0;
        if (t == SHORT) { /* what is closed now is free in the next turn */
            l->owner->room(l, true);
            out_of_room(l);
        }
        if (t != TAKEN)
            return;
        if (!may_go_on(l)) {
            rest(l, LISTENER_YIELD_MS);
            return;
        }
    }
}

/* --- which sockets --------------------------------------------------------------------------------------- */

void listeners_init(struct listeners *l, struct net *n, struct board *b, uint32_t row,
                    const struct listeners_owner *owner)
{
    memset(l, 0, sizeof(*l));
    l->net = n;
    l->board = b;
    l->row = row;
    l->owner = owner;
    list_init(&l->all);
    timer_init(&l->timer, on_timer);
}

static struct listener *find(const struct listeners *l, uint64_t bind_id)
{
    LIST_EACH(it, &l->all)
    {
        struct listener *s = LIST_ITEM(it, struct listener, node);
        if (s->bind_id == bind_id)
            return s;
    }
    return NULL;
}

bool listeners_has(const struct listeners *l, uint64_t bind_id)
{
    return find(l, bind_id) != NULL;
}

static void close_one(struct listener *s)
{
    arm_one(s, false);
    list_del(&s->node);
    close(s->fd);
    free(s);
}

int listeners_add(struct listeners *l, uint64_t bind_id, int fd)
{
    struct listener *s = calloc(1, sizeof(*s));
    if (!s) {
        close(fd);
        return GH_E_NOMEM;
    }
    listeners_remove(l, bind_id);
    *s = (struct listener){.watch.fn = on_event, .all = l, .fd = fd, .batch = 1, .silent_s = UINT32_MAX, .bind_id = bind_id};
    s->bound.bind_id = bind_id;
    set_bound(s);
    /* Accepted sockets inherit it: one system call here instead of one for each. Fails on unix sockets. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    /* What a slow client leaves in the kernel: enough for any round trip, no more (default: megabytes). */
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT_MAX}, sizeof(int));
    list_push(&l->all, &s->node);
    bool on = l->armed && ready(s);
    arm_one(s, on);
    if (on && !s->armed) {
        close_one(s);
        return GH_E_SYSTEM;
    }
    return 0;
}

bool listeners_remove(struct listeners *l, uint64_t bind_id)
{
    struct listener *s = find(l, bind_id);
    if (s)
        close_one(s);
    return s != NULL;
}

void listeners_set_active(struct listeners *l, bool active)
{
    l->active = active;
    arm(l);
    beat(l);
}

void listeners_refresh(struct listeners *l)
{
    arm(l);
}

void listeners_drain(struct listeners *l)
{
    while (!list_empty(&l->all)) {
        struct listener *s = LIST_ITEM(l->all.next, struct listener, node);
        while (l->active && l->owner->wanted(l, s->bind_id) && l->owner->room(l, false) && take_one(s) == TAKEN) {
        }
        close_one(s);
    }
    l->active = false;
    arm(l);
}

void listeners_fini(struct listeners *l)
{
    while (!list_empty(&l->all))
        close_one(LIST_ITEM(l->all.next, struct listener, node));
    timer_close(&l->timer);
}
