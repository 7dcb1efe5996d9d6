#include "worker/proxy/datagram.h"
#include "shared/base/err.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

struct flow {
    struct flow_node node;
    struct watch watch;
    struct datagrams *all;
    struct udp_socket *via;     /* by which it answers */
    struct timer timer;
    struct endpoint *ep;        /* held; NULL: what comes is dropped */
    uint32_t entered;
    int fd;                     /* connected to ep, or -1 */
    uint64_t cluster_id, generation; /* of its backend; with which it was found to be still there */
    uint32_t idle_ms;
    bool answered;              /* the endpoint has said something */
    bool old;                   /* began before the drain */
    bool refused;               /* ... and last, that nobody listens there */
    union udp_address peer;
    struct tally tally;
    struct list dead;
};

static const struct udp_owner OWNER;

static struct board_counters *counters(const struct datagrams *d)
{
    return d->net->count;
}

static void dropped(const struct datagrams *d, unsigned n)
{
    if (n)
        board_add(&counters(d)->datagrams_dropped, n);
}

/* --- a flow's end ------------------------------------------------------------------------------------------------- */

static void nobody(struct watch *w, uint32_t events)
{
    (void)w;
    (void)events;
}

/* Its socket goes; what was told of it in this turn of the loop goes to nobody. */
static void disconnect(struct flow *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    if (f->ep) {
        endpoint_leave(f->ep, f->entered);
        endpoint_drop(f->ep);
    }
    f->ep = NULL;
}

static uint8_t plain_address(const union udp_address *a, uint8_t out[16], uint16_t *port)
{
    if (a->any.sa_family == AF_INET) {
        memcpy(out, &a->v4.sin_addr, 4);
        *port = ntohs(a->v4.sin_port);
        return 4;
    }
    bool mapped = IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
    memcpy(out, (const uint8_t *)&a->v6.sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    *port = ntohs(a->v6.sin6_port);
    return mapped ? 4 : 6;
}

static void end(struct flow *f, enum reason why)
{
    struct datagrams *d = f->all;
    const struct flow_key *k = &f->node.key;
    struct stream_link link = {.bind_id = k->bind_id, .peer_port = k->port, .peer_family = k->family,
                               .local_port = f->via->port, .local_family = k->local_family};
    memcpy(link.peer, k->peer, sizeof(link.peer));
    memcpy(link.local, k->local, sizeof(link.local));
    tally_because(&f->tally, why);
    tally_end(&f->tally, &d->book, &link, STR("UDP"));
    disconnect(f);
    f->via->users--;
    d->n_old -= f->old;
    f->watch.fn = nobody;
    timer_close(&f->timer);
    flow_table_del(&d->flows, &f->node);
    board_add(&counters(d)->flows_active, (uint64_t)-1);
    list_push(&d->dead, &f->dead);
    timer_set(&d->net->timers, &d->reaper, d->net->now_ms);
}

static void reap(struct datagrams *d)
{
    while (!list_empty(&d->dead)) {
        struct flow *f = LIST_ITEM(d->dead.next, struct flow, dead);
        list_del(&f->dead);
        slab_put(&d->slab, f);
    }
}

/* Timers come when all events of the turn have been told. */
static void on_reaper(struct timer *t)
{
    reap(CONTAINER_OF(t, struct datagrams, reaper));
}

static void on_timer(struct timer *t)
{
    end(CONTAINER_OF(t, struct flow, timer), REASON_OK);
}

static void moved(struct flow *f)
{
    struct datagrams *d = f->all;
    uint32_t idle = d->draining ? GH_MIN(f->idle_ms, (uint32_t)DATAGRAM_LINGER_MS) : f->idle_ms;
    timer_set(&d->net->timers, &f->timer, d->net->now_ms + idle);
    flow_table_touch(&d->flows, &f->node);
}

/* --- room ------------------------------------------------------------------------------------------------------------- */

static bool evict(struct datagrams *d, uint32_t max, const struct flow *but)
{
    struct flow_node *v = flow_table_victim(&d->flows, max, but ? &but->node : NULL);
    if (!v)
        return false;
    board_add(&counters(d)->flows_evicted, 1);
    end(CONTAINER_OF(v, struct flow, node), REASON_EVICTED);
    return true;
}

static uint32_t max_flows(const struct datagrams *d)
{
    return d->fd_limit ? (uint32_t)GH_MIN((size_t)d->max_flows, d->fd_limit / 2) : d->max_flows;
}

/* --- the endpoint's side ---------------------------------------------------------------------------------------------- */

/* Are these an endpoint's news that nobody listens there? */
static bool is_refusal(int err)
{
    return err == ECONNREFUSED || err == EHOSTUNREACH || err == ENETUNREACH || err == ENETDOWN || err == EHOSTDOWN;
}

static void on_answer(struct watch *w, uint32_t events)
{
    struct flow *f = CONTAINER_OF(w, struct flow, watch);
    struct datagrams *d = f->all;
    struct udp_packet *v;
    (void)events;
    int n = udp_recv(&d->sockets, f->fd, &v);
    if (n < 0) {
        f->refused = is_refusal(-n); /* the next datagram goes elsewhere, if there is another one */
        if (f->refused)
            endpoint_result(f->ep, false);
        return;
    }
    if (!f->answered) {
        endpoint_result(f->ep, true);
        f->tally.connected_ns = d->net->now_ns;
    }
    f->answered = true;
    f->refused = false;
    moved(f);
    for (int i = 0; i < n; i++) {
        v[i].peer = f->peer;
        v[i].local_family = f->node.key.local_family;
        memcpy(v[i].local, f->node.key.local, sizeof(v[i].local));
        tally_out(&f->tally, v[i].n);
    }
    unsigned sent = udp_reply(f->via, v, (unsigned)n);
    board_add(&counters(d)->datagrams_out, sent);
    dropped(d, (unsigned)n - sent);
}

/* 0, or negative errno. */
static int connect_to(struct flow *f, struct endpoint *e)
{
    struct datagrams *d = f->all;
    int fd = e->to->sa_family == AF_UNIX ? -EAFNOSUPPORT : udp_connect(e->to, e->to_len);
    /* Descriptors, or ports, are short: an older flow has one. */
    if ((fd == -EMFILE || fd == -ENFILE || fd == -EAGAIN || fd == -EADDRNOTAVAIL) && evict(d, d->flows.n, f))
        fd = udp_connect(e->to, e->to_len);
    if (fd < 0)
        return fd;
    int err = net_watch(d->net, fd, &f->watch, EPOLLIN);
    if (err) {
        close(fd);
        return err;
    }
    f->fd = fd;
    f->ep = endpoint_hold(e);
    f->entered = endpoint_enter(e);
    return 0;
}

/* An endpoint of the cluster that can be connected to. */
static bool connect_any(struct flow *f, struct cluster *c, struct str cluster)
{
    struct endpoint *tried[DATAGRAM_TRIES];
    enum reason why = REASON_NO_ENDPOINTS;
    for (uint32_t n = 0; n < DATAGRAM_TRIES; n++) {
        struct endpoint *e = cluster_pick(c, tried, n);
        for (uint32_t i = 0; e && i < n; i++)
            e = tried[i] == e ? NULL : e;
        if (!e)
            break;
        f->tally.tries++;
        tally_target(&f->tally, &f->all->book, cluster, e->name);
        int err = connect_to(f, e);
        if (!err)
            return true;
        why = REASON_CONNECT_FAILED;
        if (!is_refusal(-err) && err != -EAFNOSUPPORT) { /* we are short of something: no fault of the endpoint */
            why = REASON_MEMORY;
            break;
        }
        endpoint_result(e, false);
        tried[n] = e;
    }
    tally_because(&f->tally, why);
    return false;
}

/* The endpoint refused. Goes on with another one that did not, if there is one; else stays with it. */
static bool move_on(struct flow *f)
{
    struct endpoint *old = f->ep, *e = cluster_pick(old->cluster, &old, 1);
    int fd = f->fd;
    uint32_t entered = f->entered;
    if (!e || e == old || e->avoid_until_ms > f->all->net->now_ms || connect_to(f, e))
        return false;
    close(fd); /* of the old one; what it had to say is lost */
    endpoint_leave(old, entered);
    endpoint_drop(old);
    f->tally.tries++;
    tally_target(&f->tally, &f->all->book, STR_NONE, e->name);
    f->answered = f->refused = false;
    if (f->tally.cluster)
        board_add(&f->tally.cluster->retries, 1);
    return true;
}

/* --- beginning ---------------------------------------------------------------------------------------------------------- */

static struct flow *flow_new(struct datagrams *d, struct udp_socket *s, const struct flow_key *k,
                             const struct udp_packet *p)
{
    while (d->flows.n >= max_flows(d) && evict(d, max_flows(d), NULL)) {
    }
    struct flow *f = slab_get(&d->slab);
    if (!f)
        return NULL;
    *f = (struct flow){.watch.fn = on_answer, .all = d, .via = s, .fd = -1, .peer = p->peer};
    f->node.key = *k;
    list_init(&f->dead);
    timer_init(&f->timer, on_timer);
    flow_table_add(&d->flows, &f->node);
    s->users++;
    board_add(&counters(d)->flows, 1);
    board_add(&counters(d)->flows_active, 1);
    return f;
}

/* Where it goes to, for its whole life. */
static void choose(struct flow *f, struct snap *s, const struct snap_rule *r)
{
    struct generation *g = generation_of(s);
    uint32_t i = generation_split(g, r);
    const struct snap_split *split = i == BALANCE_NONE ? NULL : &s->SPLITS[i];
    if (!split || split->cluster == SNAP_NONE) {
        tally_because(&f->tally, !split          ? REASON_NO_BACKEND
                                 : split->reason ? (enum reason)split->reason
                                                 : REASON_INVALID_BACKEND);
        return;
    }
    const struct snap_cluster *row = &s->CLUSTERS[split->cluster];
    struct cluster *c = generation_cluster(g, split->cluster);
    f->cluster_id = row->id;
    tally_cluster(&f->tally, &f->all->book, row);
    if (!c)
        tally_because(&f->tally, REASON_MEMORY);
    else if (row->tls != SNAP_NONE) /* what is to be encrypted is never sent in plain text */
        tally_because(&f->tally, REASON_UPSTREAM_TLS);
    else
        connect_any(f, c, snap_text(s, row->name));
    if (f->fd < 0)
        f->idle_ms = GH_MIN(f->idle_ms, (uint32_t)DATAGRAM_AGAIN_MS);
}

static const struct snap_rule *rule_of(const struct snap *s, uint64_t bind_id, const struct snap_bind **b)
{
    *b = generation_bind(generation_of(s), bind_id);
    return *b && (*b)->stream_rule != SNAP_NONE ? &s->RULES[(*b)->stream_rule] : NULL;
}

/* NULL: what came is dropped. */
static struct flow *begin(struct datagrams *d, struct udp_socket *s, const struct flow_key *k, const struct udp_packet *p)
{
    struct snap *snap = d->current(d->ctx);
    const struct snap_bind *b;
    const struct snap_rule *r = snap ? rule_of(snap, s->bind_id, &b) : NULL;
    struct flow *f = r ? flow_new(d, s, k, p) : NULL;
    if (!f)
        return NULL;
    uint32_t idle = r->idle_timeout_ms ? r->idle_timeout_ms : snap->SETTINGS->udp_idle_timeout_ms;
    f->idle_ms = GH_MAX(GH_MIN(idle, (uint32_t)INT32_MAX), 1u);
    f->generation = snap->head->generation;
    tally_begin(&f->tally, &d->book, snap, b->listeners.n ? &snap->LISTENERS[b->listeners.first] : NULL, r, STR_NONE);
    choose(f, snap, r);
    timer_set(&d->net->timers, &f->timer, d->net->now_ms + f->idle_ms);
    return f;
}

/* Another generation: does its rule still have this backend, and the backend this endpoint? */
static bool still_there(struct flow *f, struct snap *s)
{
    const struct snap_bind *b;
    const struct snap_rule *r = rule_of(s, f->node.key.bind_id, &b);
    if (!r || f->fd < 0)
        return false;
    SNAP_EACH(i, r->splits)
    {
        uint32_t c = s->SPLITS[i].cluster;
        if (c == SNAP_NONE || !s->SPLITS[i].weight || s->CLUSTERS[c].id != f->cluster_id)
            continue;
        f->generation = s->head->generation;
        return generation_cluster(generation_of(s), c) && f->ep->index != BALANCE_NONE;
    }
    return false;
}

/* --- the client's side ------------------------------------------------------------------------------------------------- */

static void set_key(struct flow_key *k, const struct udp_socket *s, const struct udp_packet *p)
{
    memset(k, 0, sizeof(*k));
    k->bind_id = s->bind_id;
    k->family = plain_address(&p->peer, k->peer, &k->port);
    k->scope = p->peer.any.sa_family == AF_INET6 ? p->peer.v6.sin6_scope_id : 0;
    k->local_family = p->local_family ? p->local_family : s->bound_family;
    memcpy(k->local, p->local_family ? p->local : s->bound, k->local_family == 4 ? 4 : 16);
}

static struct flow *find(struct datagrams *d, struct udp_socket *s, const struct udp_packet *p)
{
    struct flow_key k;
    set_key(&k, s, p);
    struct flow_node *n = flow_table_find(&d->flows, &k);
    struct snap *snap = d->current(d->ctx);
    if (n && snap && CONTAINER_OF(n, struct flow, node)->generation != snap->head->generation &&
        !still_there(CONTAINER_OF(n, struct flow, node), snap)) {
        end(CONTAINER_OF(n, struct flow, node), REASON_OK);
        n = NULL;
    }
    return n ? CONTAINER_OF(n, struct flow, node) : begin(d, s, &k, p);
}

/* `n` datagrams of one flow, one behind the other. */
static void forward(struct flow *f, const struct udp_packet *v, unsigned n)
{
    struct datagrams *d = f->all;
    unsigned done = 0, lost = 0;
    bool refused = false;
    if (f->fd < 0) {
        dropped(d, n);
        if (!f->cluster_id)
            moved(f);
        return;
    }
    if (f->refused)
        move_on(f);
    while (done + lost < n) {
        int err;
        done += udp_send(f->fd, v + done + lost, n - done - lost, &err);
        if (!err)
            continue;
        if (is_refusal(err) && !refused) { /* news of an earlier one: this one was not sent */
            refused = true;
            endpoint_result(f->ep, false);
            move_on(f);
            continue;
        }
        lost += err == EAGAIN || err == ENOBUFS ? n - done - lost : 1;
    }
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++)
        bytes += v[i].n;
    tally_in(&f->tally, bytes);
    dropped(d, lost);
    if (f->answered)
        flow_table_prove(&d->flows, &f->node);
    moved(f);
}

static bool same_flow(const struct udp_packet *a, const struct udp_packet *b)
{
    if (a->peer.any.sa_family != b->peer.any.sa_family || a->local_family != b->local_family ||
        memcmp(a->local, b->local, a->local_family == 4 ? 4 : a->local_family == 6 ? 16 : 0) != 0)
        return false;
    if (a->peer.any.sa_family == AF_INET)
        return a->peer.v4.sin_port == b->peer.v4.sin_port && a->peer.v4.sin_addr.s_addr == b->peer.v4.sin_addr.s_addr;
    return a->peer.v6.sin6_port == b->peer.v6.sin6_port && a->peer.v6.sin6_scope_id == b->peer.v6.sin6_scope_id &&
           IN6_ARE_ADDR_EQUAL(&a->peer.v6.sin6_addr, &b->peer.v6.sin6_addr);
}

static void received(struct udp_socket *s, struct udp_packet *v, unsigned n)
{
    struct datagrams *d = CONTAINER_OF(s->all, struct datagrams, sockets);
    board_add(&counters(d)->datagrams_in, n);
    for (unsigned i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && same_flow(&v[i], &v[k]);)
            k++;
        struct flow *f = find(d, s, &v[i]);
        if (f)
            forward(f, &v[i], k - i);
        else
            dropped(d, k - i);
    }
}

static bool wanted(struct udp_socket *s)
{
    struct datagrams *d = CONTAINER_OF(s->all, struct datagrams, sockets);
    const struct snap *snap = d->current(d->ctx);
    return snap && generation_bind(generation_of(snap), s->bind_id);
}

static void end_those(struct datagrams *d, const struct udp_socket *via, enum reason why)
{
    struct list *lists[] = {&d->flows.young, &d->flows.proven};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(it, lists[i])
        {
            struct flow *f = CONTAINER_OF(LIST_ITEM(it, struct flow_node, lru), struct flow, node);
            if (!via || f->via == via)
                end(f, why);
        }
}

static void gone(struct udp_socket *s)
{
    end_those(CONTAINER_OF(s->all, struct datagrams, sockets), s, REASON_OK);
}

static const struct udp_owner OWNER = {.received = received, .wanted = wanted, .gone = gone};

/* --- life ------------------------------------------------------------------------------------------------------------------ */

int datagrams_init(struct datagrams *d, struct net *n, struct upstream *u, const struct tally_book *b, size_t fd_limit)
{
    d->net = n;
    d->upstream = u;
    d->book = *b;
    d->fd_limit = fd_limit;
    d->max_flows = 8192;
    d->draining = false;
    list_init(&d->dead);
    timer_init(&d->reaper, on_reaper);
    slab_init(&d->slab, sizeof(struct flow), 256);
    udp_sockets_init(&d->sockets, n, b->board, b->row, &OWNER);
    return flow_table_init(&d->flows, rng_next(&n->rng)) ? 0 : GH_E_NOMEM;
}

void datagrams_fini(struct datagrams *d)
{
    datagrams_cut(d, REASON_DRAINING);
    udp_sockets_fini(&d->sockets);
    timer_close(&d->reaper);
    reap(d);
    flow_table_fini(&d->flows);
    slab_fini(&d->slab);
}

void datagrams_set(struct datagrams *d, const struct snap_settings *s)
{
    d->max_flows = s->udp_flows;
    while (d->flows.n > max_flows(d) && evict(d, max_flows(d), NULL)) {
    }
    udp_sockets_refresh(&d->sockets);
}

void datagrams_cut(struct datagrams *d, enum reason why)
{
    end_those(d, NULL, why);
}

/* Those that are quiet already don't wait any longer for it. */
void datagrams_drain(struct datagrams *d)
{
    struct list *lists[] = {&d->flows.young, &d->flows.proven};
    d->draining = true;
    d->n_old = d->flows.n;
    udp_sockets_drain(&d->sockets);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        LIST_EACH(it, lists[i])
        {
            struct flow *f = CONTAINER_OF(LIST_ITEM(it, struct flow_node, lru), struct flow, node);
            uint64_t at = d->net->now_ms + DATAGRAM_LINGER_MS;
            timer_set(&d->net->timers, &f->timer, GH_MIN(at, f->timer.deadline_ms));
            f->old = true;
        }
}

void datagrams_trim(struct datagrams *d)
{
    slab_trim(&d->slab, 32);
}
