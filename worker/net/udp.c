#include "worker/net/udp.h"
#include "shared/base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ROUNDS   4                  /* batches of one event */
#define RCVBUF   (4 * 1024 * 1024)  /* a burst waits here while the worker is busy; the system may allow less */
#define KEY_MASK ((UINT64_C(1) << 56) - 1)

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* Buffers of one batch, in and out. */
struct udp_batch {
    struct mmsghdr msg[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    union control control[UDP_BATCH];
    struct udp_packet v[UDP_BATCH];
    char data[UDP_BATCH][UDP_MAX + 1]; /* pages that no datagram reaches are never touched */
};

/* --- who reads ------------------------------------------------------------------------------------------------ */

static bool is_live(struct udp_sockets *u, uint32_t row)
{
    const struct board_proc *p = board_proc(u->board, row);
    if (!p || atomic_load_explicit(&p->role, memory_order_relaxed) != ROLE_WORKER ||
        atomic_load_explicit(&p->state, memory_order_relaxed) != PROC_ACTIVE)
        return false;
    uint64_t beat = atomic_load_explicit(&p->heartbeat_ns, memory_order_relaxed);
    return beat >= u->net->now_ns || u->net->now_ns - beat < UDP_DEAD_MS * UINT64_C(1000000);
}

static uint32_t n_workers(struct udp_sockets *u)
{
    uint64_t n = board_get(&board_head(u->board)->workers_wanted);
    return n && n < BOARD_MAX_PROC ? (uint32_t)n : 1;
}

static uint32_t of_bind(struct udp_sockets *u, uint64_t bind_id, uint32_t row, uint32_t *total)
{
    uint32_t n = 0;
    *total = 0;
    LIST_EACH(it, &u->all)
    {
        struct udp_socket *s = LIST_ITEM(it, struct udp_socket, node);
        if (s->bind_id == bind_id) {
            (*total)++;
            n += board_claimed(u->board, s->key) == row;
        }
    }
    return n;
}

/* The fewest sockets of the bind that another live worker reads; UINT32_MAX: there is none. */
static uint32_t least_of_others(struct udp_sockets *u, uint64_t bind_id)
{
    uint32_t least = UINT32_MAX, total;
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++)
        if (row != u->row && is_live(u, row))
            least = GH_MIN(least, of_bind(u, bind_id, row, &total));
    return least;
}

static void arm(struct udp_socket *s, bool on)
{
    struct net *n = s->all->net;
    if (on == s->armed)
        return;
    if (!on)
        net_unwatch(n, s->fd);
    else if (net_watch(n, s->fd, &s->watch, EPOLLIN)) /* level-triggered: a batch need not be the last one */
        return;
    s->armed = on;
}

static void let_go(struct udp_socket *s)
{
    if (s->mine)
        board_unclaim(s->all->board, s->all->row, s->key);
    s->mine = false;
    arm(s, false);
}

static bool wants(struct udp_socket *s)
{
    struct udp_sockets *u = s->all;
    return u->active && u->owner->wanted(s);
}

static void look_at(struct udp_socket *s)
{
    struct udp_sockets *u = s->all;
    uint32_t row = board_claimed(u->board, s->key), total;
    s->mine = row == u->row;
    bool taken = s->mine || (row != BOARD_NOBODY && is_live(u, row));
    s->free_ms = taken ? 0 : s->free_ms ? s->free_ms : u->net->now_ms;
    if (!wants(s)) {
        let_go(s);
        return;
    }
    if (!taken && !u->draining) {
        uint32_t mine = of_bind(u, s->bind_id, u->row, &total);
        if (udp_may_claim(total, mine, n_workers(u), u->net->now_ms - s->free_ms))
            s->mine = board_claim(u->board, u->row, s->key, row);
    }
    arm(s, s->mine);
}

/* A worker that came later reads nothing: one that nobody answers by goes to it. */
static void give_back(struct udp_sockets *u)
{
    uint32_t total;
    LIST_EACH(it, &u->all)
    {
        struct udp_socket *s = LIST_ITEM(it, struct udp_socket, node);
        if (!s->mine || s->users)
            continue;
        uint32_t mine = of_bind(u, s->bind_id, u->row, &total), w = n_workers(u);
        if (total > 1 && udp_may_give(total, mine, w, 0) && udp_may_give(total, mine, w, least_of_others(u, s->bind_id)))
            let_go(s);
    }
}

static bool others_are_live(struct udp_sockets *u)
{
    for (uint32_t row = 0; row < BOARD_MAX_PROC; row++)
        if (row != u->row && is_live(u, row))
            return true;
    return false;
}

static void look(struct udp_sockets *u)
{
    if (u->draining && others_are_live(u))
        u->active = false;
    LIST_EACH(it, &u->all)
        look_at(LIST_ITEM(it, struct udp_socket, node));
    if (u->active && !u->draining)
        give_back(u);
    timer_set(&u->net->timers, &u->timer, u->n && u->active ? u->net->now_ms + UDP_LOOK_MS : 0);
}

static void on_timer(struct timer *t)
{
    look(CONTAINER_OF(t, struct udp_sockets, timer));
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static void prepare(struct udp_batch *b, bool named)
{
    for (unsigned i = 0; i < UDP_BATCH; i++) {
        b->iov[i] = (struct iovec){b->data[i], UDP_MAX};
        b->msg[i].msg_hdr = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
        if (named) {
            b->msg[i].msg_hdr.msg_name = &b->v[i].peer;
            b->msg[i].msg_hdr.msg_namelen = sizeof(b->v[i].peer);
            b->msg[i].msg_hdr.msg_control = &b->control[i];
            b->msg[i].msg_hdr.msg_controllen = sizeof(b->control[i]);
        }
    }
}

/* Where it was sent to. Multicast and broadcast are no address to answer from. */
static void find_local(struct udp_packet *p, struct msghdr *h)
{
    p->local_family = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo i;
            memcpy(&i, CMSG_DATA(c), sizeof(i));
            memcpy(p->local, &i.ipi_spec_dst, 4);
            p->local_family = 4;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO && !p->local_family) {
            struct in6_pktinfo i;
            memcpy(&i, CMSG_DATA(c), sizeof(i));
            bool mapped = IN6_IS_ADDR_V4MAPPED(&i.ipi6_addr);
            if (IN6_IS_ADDR_MULTICAST(&i.ipi6_addr))
                continue;
            memcpy(p->local, (const uint8_t *)&i.ipi6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
            p->local_family = mapped ? 4 : 6;
        }
    }
}

static int receive(struct udp_batch *b, int fd)
{
    for (;;) {
        int n = recvmmsg(fd, b->msg, UDP_BATCH, MSG_DONTWAIT, NULL);
        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : n;
    }
}

static int read_batch(struct udp_socket *s)
{
    struct udp_batch *b = s->all->batch;
    prepare(b, true);
    int n = receive(b, s->fd);
    for (int i = 0; i < n; i++) {
        b->v[i].data = b->data[i];
        b->v[i].n = b->msg[i].msg_len;
        find_local(&b->v[i], &b->msg[i].msg_hdr);
    }
    return n;
}

static void on_event(struct watch *w, uint32_t events)
{
    struct udp_socket *s = CONTAINER_OF(w, struct udp_socket, watch);
    struct udp_sockets *u = s->all;
    (void)events;
    if (board_claimed(u->board, s->key) != u->row) { /* it was taken from us while we were stopped */
        look_at(s);
        return;
    }
    for (int i = 0; i < ROUNDS && s->armed; i++) {
        int n = read_batch(s);
        if (n > 0)
            u->owner->received(s, u->batch->v, (unsigned)n);
        if (n < UDP_BATCH)
            return;
    }
}

int udp_recv(struct udp_sockets *u, int fd, struct udp_packet **v)
{
    struct udp_batch *b = u->batch;
    prepare(b, false);
    int n = receive(b, fd);
    for (int i = 0; i < n; i++) {
        b->v[i].data = b->data[i];
        b->v[i].n = b->msg[i].msg_len;
    }
    *v = b->v;
    return n;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* The address to answer from, as a control message. */
static void set_local(const struct udp_socket *s, const struct udp_packet *p, struct msghdr *h, union control *c)
{
    if (!p->local_family || !s->wildcard)
        return;
    h->msg_control = c;
    h->msg_controllen = CMSG_SPACE(s->family == 6 ? sizeof(struct in6_pktinfo) : sizeof(struct in_pktinfo));
    memset(c, 0, h->msg_controllen);
    struct cmsghdr *m = CMSG_FIRSTHDR(h);
    if (s->family == 4) {
        struct in_pktinfo i = {0};
        memcpy(&i.ipi_spec_dst, p->local, 4);
        *m = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
        memcpy(CMSG_DATA(m), &i, sizeof(i));
        return;
    }
    struct in6_pktinfo i = {0};
    uint8_t *to = (uint8_t *)&i.ipi6_addr;
    if (p->local_family == 4)
        to[10] = to[11] = 0xff;
    memcpy(to + (p->local_family == 4 ? 12 : 0), p->local, p->local_family == 4 ? 4 : 16);
    if (p->peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&i.ipi6_addr))
        i.ipi6_ifindex = p->peer.v6.sin6_scope_id;
    *m = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(m), &i, sizeof(i));
}

/* One system call for all that the kernel takes; *err: why it took no more. */
static unsigned send_all(int fd, struct mmsghdr *m, unsigned n, int *err)
{
    for (;;) {
        int k = sendmmsg(fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (k >= 0 || errno != EINTR) {
            *err = k < 0 ? errno : 0;
            return k < 0 ? 0 : (unsigned)k;
        }
    }
}

unsigned udp_reply(struct udp_socket *s, const struct udp_packet *v, unsigned n)
{
    struct mmsghdr m[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    union control c[UDP_BATCH];
    unsigned sent = 0;
    must(n <= UDP_BATCH);
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){v[i].data, v[i].n};
        m[i].msg_hdr = (struct msghdr){
            .msg_name = (void *)(uintptr_t)&v[i].peer,
            .msg_namelen = v[i].peer.any.sa_family == AF_INET6 ? sizeof(v[i].peer.v6) : sizeof(v[i].peer.v4),
            .msg_iov = &iov[i],
            .msg_iovlen = 1,
        };
        set_local(s, &v[i], &m[i].msg_hdr, &c[i]);
    }
    for (unsigned i = 0; i < n;) {
        int err;
        unsigned k = send_all(s->fd, m + i, n - i, &err);
        sent += k;
        i += k;
        if (err == EAGAIN || err == ENOBUFS)
            break;
        i += err != 0; /* that one can't be sent; those behind it perhaps */
    }
    return sent;
}

unsigned udp_send(int fd, const struct udp_packet *v, unsigned n, int *err)
{
    struct mmsghdr m[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    unsigned sent = 0;
    must(n <= UDP_BATCH);
    *err = 0;
    if (n == 1) {
        if (send(fd, v->data, v->n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 1;
        *err = errno;
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        iov[i] = (struct iovec){v[i].data, v[i].n};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    while (sent < n && !*err)
        sent += send_all(fd, m + sent, n - sent, err);
    return sent;
}

int udp_connect(const struct sockaddr *to, socklen_t to_len)
{
    int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, to, to_len) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* --- which sockets --------------------------------------------------------------------------------------------------- */

void udp_sockets_init(struct udp_sockets *u, struct net *n, struct board *b, uint32_t row, const struct udp_owner *o)
{
    *u = (struct udp_sockets){.net = n, .board = b, .row = row, .owner = o};
    list_init(&u->all);
    timer_init(&u->timer, on_timer);
}

static void close_one(struct udp_socket *s)
{
    let_go(s);
    s->all->owner->gone(s);
    list_del(&s->node);
    s->all->n--;
    close(s->fd);
    free(s);
}

void udp_sockets_fini(struct udp_sockets *u)
{
    while (!list_empty(&u->all))
        close_one(LIST_ITEM(u->all.next, struct udp_socket, node));
    timer_close(&u->timer);
    free(u->batch);
    u->batch = NULL;
}

/* What the socket is bound to, and that it tells where a datagram was sent to. False: it is no UDP socket. */
static bool set_up(struct udp_socket *s)
{
    static const uint8_t any[16];
    union udp_address a = {0};
    socklen_t len = sizeof(a);
    uint64_t cookie = 0;
    int type = 0;
    socklen_t type_len = sizeof(type);
    if (getsockopt(s->fd, SOL_SOCKET, SO_TYPE, &type, &type_len) || type != SOCK_DGRAM)
        return false;
    if (getsockname(s->fd, &a.any, &len) || (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6))
        return false;
    s->family = a.any.sa_family == AF_INET ? 4 : 6;
    s->port = ntohs(s->family == 4 ? a.v4.sin_port : a.v6.sin6_port);
    bool mapped = s->family == 6 && IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr);
    s->bound_family = mapped ? 4 : s->family;
    memcpy(s->bound, s->family == 4 ? (const char *)&a.v4.sin_addr : (const char *)&a.v6.sin6_addr + (mapped ? 12 : 0),
           s->bound_family == 4 ? 4 : 16);
    s->wildcard = memcmp(s->bound, any, sizeof(any)) == 0;
    if (s->wildcard && s->family == 4)
        setsockopt(s->fd, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int));
    if (s->wildcard && s->family == 6)
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &(int){1}, sizeof(int));
    setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &(int){RCVBUF}, sizeof(int));
    len = sizeof(cookie);
    if (getsockopt(s->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) || !(cookie & KEY_MASK))
        cookie = s->bind_id | 1;
    s->key = cookie & KEY_MASK;
    return true;
}

static bool has(const struct udp_sockets *u, const struct udp_socket *like)
{
    LIST_EACH(it, &u->all)
    {
        const struct udp_socket *s = LIST_ITEM(it, struct udp_socket, node);
        if (s->bind_id == like->bind_id && s->key == like->key)
            return true;
    }
    return false;
}

int udp_sockets_add(struct udp_sockets *u, uint64_t bind_id, int fd)
{
    struct udp_socket *s = calloc(1, sizeof(*s));
    if (!u->batch)
        u->batch = malloc(sizeof(*u->batch));
    if (!s || !u->batch) {
        free(s);
        close(fd);
        return GH_E_NOMEM;
    }
    *s = (struct udp_socket){.watch.fn = on_event, .all = u, .fd = fd, .bind_id = bind_id};
    bool ok = set_up(s);
    if (!ok || has(u, s)) {
        free(s);
        close(fd);
        return ok ? 0 : GH_E_SYSTEM;
    }
    list_push(&u->all, &s->node);
    u->n++;
    if (u->active)
        look(u);
    return 0;
}

bool udp_sockets_remove(struct udp_sockets *u, uint64_t bind_id)
{
    uint32_t n = u->n;
    LIST_EACH(it, &u->all)
    {
        struct udp_socket *s = LIST_ITEM(it, struct udp_socket, node);
        if (s->bind_id == bind_id)
            close_one(s);
    }
    return u->n < n;
}

void udp_sockets_set_active(struct udp_sockets *u, bool active)
{
    u->active = active;
    look(u);
}

void udp_sockets_refresh(struct udp_sockets *u)
{
    if (u->n)
        look(u);
}

void udp_sockets_drain(struct udp_sockets *u)
{
    u->draining = true;
    look(u);
}
