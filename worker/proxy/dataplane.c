#include "worker/proxy/dataplane.h"
#include "shared/base/err.h"
#include "worker/codec/h2_server.h"
#include "shared/tls/keys.h"
#include "worker/net/listener.h"
#include "worker/http/live.h"
#include "worker/proxy/datagram.h"
#include "worker/proxy/front.h"
#include "worker/proxy/http.h"
#include "worker/proxy/stream.h"

#include <malloc.h>
#include <stdlib.h>

#define FD_RESERVE    64 /* kept for connections to endpoints, logs, messages */
#define FD_OWN        32 /* what the process has besides connections */
#define PIPES_MAX     64 /* of 256 KiB each; a user may have 64 MiB of them */
#define DRAIN_LOOK_MS 10
#define TRIM_LOOK_MS  5000
#define TRIM_LEAST    64 /* connections that must have gone before memory is given back */

struct dataplane {
    struct dataplane_config c;
    struct net net;
    struct h1_servers servers;
    struct h2_servers servers2;
    struct tls_contexts contexts;
    struct fronts fronts;
    struct front_host front_host;
    struct upstream upstream;
    struct http_proxy http;
    struct streams streams;
    struct datagrams datagrams;
    struct listeners listeners;
    struct live live;
    struct board_proc *me;
    bool draining;
    bool lock_said;
    uint64_t drain_end_ms;
    struct timer drain_timer;
    struct timer let_go_timer;
    struct timer trim_timer;
    uint32_t most;              /* connections since memory was last given back */
    void (*drained)(void *arg);
    void *drained_arg;
};

/* --- what the rooms below ask ------------------------------------------------------------------------ */

static struct dataplane *of_listeners(struct listeners *l)
{
    return CONTAINER_OF(l, struct dataplane, listeners);
}

/* Connections of clients. */
static uint32_t n_clients(const struct dataplane *d)
{
    return d->servers.n + d->servers2.n + d->fronts.n + d->streams.n;
}

/* The kind of the socket decides. Negative gh_err: it is closed. */
static int hand_on(struct dataplane *d, int fd, const struct stream_link *link)
{
    struct snap *s = d->live.current;
    const struct snap_bind *b = s ? generation_bind(generation_of(s), link->bind_id) : NULL;
    if (b && front_wanted(s, b, link))
        return front_accept(&d->fronts, fd, link);
    if (!b || (b->stream_rule == SNAP_NONE && b->protocol != LISTENER_TCP))
        return h1_server_accept(&d->servers, fd, link);
    const struct stream_origin o = {
        .link = link,
        .snap = s,
        .listener = b->listeners.n ? &s->LISTENERS[b->listeners.first] : NULL,
        .rule = SNAP_AT(s, RULES, b->stream_rule),
    };
    return stream_accept(&d->streams, fd, &o);
}

static void accepted(struct listeners *l, const struct accepted *a)
{
    struct dataplane *d = of_listeners(l);
    struct stream_link link = {
        .bind_id = a->bind_id,
        .peer_port = a->peer_port,
        .local_port = a->local_port,
        .peer_family = a->peer_family,
        .local_family = a->local_family,
    };
    memcpy(link.peer, a->peer, sizeof(link.peer));
    memcpy(link.local, a->local, sizeof(link.local));
    if (hand_on(d, a->fd, &link))
        board_add(&d->net.count->refused_full, 1);
    d->most = GH_MAX(d->most, n_clients(d) + d->upstream.n_conns);
}

static bool has_room(const struct dataplane *d)
{
    uint32_t max = d->live.current ? d->live.current->SETTINGS->max_connections : 0;
    size_t fds = (size_t)n_clients(d) + d->upstream.n_conns + 2 * d->streams.pipes.n + FD_OWN;
    return (!max || n_clients(d) < max) && (!d->c.fd_limit || fds + FD_RESERVE < d->c.fd_limit);
}

/* Closing is at the end of the turn; the count of idle ones falls at once, so that is what is asked. */
static bool room(struct listeners *l, bool kernel_is_out)
{
    struct dataplane *d = of_listeners(l);
    if (!kernel_is_out && has_room(d))
        return true;
    uint32_t want = kernel_is_out ? 8 : 1, n = h1_servers_close_idle(&d->servers, want, NULL, NULL);
    n += h2_servers_close_idle(&d->servers2, want - n);
    if (!n)
        n = fronts_close_slow(&d->fronts, want);
    if (!n || kernel_is_out)
        n += upstream_close_idle(&d->upstream, 8);
    board_add(&d->net.count->closed_idle, n);
    return n > 0;
}

static bool wanted(struct listeners *l, uint64_t bind_id)
{
    const struct snap *s = of_listeners(l)->live.current;
    return s && generation_bind(generation_of(s), bind_id);
}

/* Servers of bytes may speak first. */
static uint32_t silent_s(struct listeners *l, uint64_t bind_id)
{
    const struct snap *s = of_listeners(l)->live.current;
    const struct snap_bind *b = generation_bind(generation_of(s), bind_id);
    return b->protocol == LISTENER_TCP ? 0 : s->SETTINGS->silent_s;
}

static bool take_h2(struct h1_servers *all, struct conn *from, const struct stream_link *l, const char *data, size_t n)
{
    struct dataplane *d = CONTAINER_OF(all, struct dataplane, servers);
    return h2_server_take(&d->servers2, from, l, data, n) == 0;
}

static struct dataplane *of_front(struct front_host *h)
{
    return CONTAINER_OF(h, struct dataplane, front_host);
}

static struct snap *front_current(struct front_host *h)
{
    return of_front(h)->live.current;
}

static void front_http(struct front_host *h, struct conn *from, const struct stream_link *l, bool h2, const char *data, size_t n)
{
    struct dataplane *d = of_front(h);
    if (h2 ? h2_server_take(&d->servers2, from, l, data, n) : h1_server_take(&d->servers, from, l, data, n))
        conn_close(from);
}

static void front_stream(struct front_host *h, struct conn *from, const struct stream_link *l, struct snap *s,
                         const struct snap_listener *listener, const struct snap_rule *rule, struct str server_name,
                         const char *data, size_t n)
{
    stream_take(&of_front(h)->streams, from, &(struct stream_origin){l, s, listener, rule, server_name}, data, n);
}

static const struct front_host FRONT_HOST = {front_current, front_http, front_stream};
static const struct listeners_owner LISTENERS = {.accepted = accepted, .room = room, .wanted = wanted, .silent_s = silent_s};

static struct snap *current(void *ctx)
{
    return ((struct dataplane *)ctx)->live.current;
}

static const struct keys *keys_of(const struct snap *s)
{
    return generation_of(s)->keys;
}

static bool keep(void *ctx, uint64_t bind_id, uint32_t requests)
{
    struct dataplane *d = ctx;
    uint32_t max = d->live.current->SETTINGS->max_requests_per_connection;
    if (d->draining || net_memory_tight(&d->net) || (max && requests >= max))
        return false;
    return listeners_has(&d->listeners, bind_id) && generation_bind(generation_of(d->live.current), bind_id);
}

/* --- life --------------------------------------------------------------------------------------------- */

static void on_drain_timer(struct timer *t);
static void on_let_go(struct timer *t);

/* When half of the connections have gone, their memory goes back to the system. */
static void on_trim_timer(struct timer *t)
{
    struct dataplane *d = CONTAINER_OF(t, struct dataplane, trim_timer);
    uint32_t now = n_clients(d) + d->upstream.n_conns;
    if (d->most > now + TRIM_LEAST && now < d->most / 2) {
        slab_trim(&d->servers.conns, 32);
        slab_trim(&d->servers.works, 32);
        slab_trim(&d->fronts.slab, 32);
        h2_servers_trim(&d->servers2);
        upstream_trim(&d->upstream);
        slab_trim(&d->upstream.raw_slab, 32);
        streams_trim(&d->streams);
        datagrams_trim(&d->datagrams);
        http_trim(&d->http);
        net_trim(&d->net);
        malloc_trim(64 * 1024);
        d->most = now;
    }
    http_settle(&d->http);
    net_settle(&d->net);
    h2_shared_settle(&d->servers2.shared);
    h2_shared_settle(&d->upstream.h2.shared);
    timer_set(&d->net.timers, t, d->net.now_ms + TRIM_LOOK_MS);
}

/* Two descriptors each; only directions with a slow receiver hold one for longer than a moment. */
static uint32_t pipes_of(size_t fd_limit)
{
    return fd_limit ? (uint32_t)GH_MIN(fd_limit / 32, (size_t)PIPES_MAX) : PIPES_MAX;
}

struct dataplane *dataplane_new(const struct dataplane_config *c)
{
    struct dataplane *d = calloc(1, sizeof(*d));
    struct board_proc *me = board_proc(c->board, c->row);
    if (!d || !me || net_init(&d->net, c->loop, &me->counters, c->log)) {
        free(d);
        return NULL;
    }
    d->c = *c;
    d->me = me;
    d->net.memory_limit = c->memory_limit;
    d->http = (struct http_proxy){
        .net = &d->net,
        .board = c->board,
        .row = c->row,
        .upstream = &d->upstream,
        .access = c->access,
        .current = current,
        .keep = keep,
        .ctx = d,
    };
    d->front_host = FRONT_HOST;
    d->datagrams.current = current;
    d->datagrams.ctx = d;
    const struct tally_book book = {&d->net, c->board, c->row, c->access};
    http_init(&d->http);
    streams_init(&d->streams, &d->net, &d->upstream, &book, pipes_of(c->fd_limit));
    listeners_init(&d->listeners, &d->net, c->board, c->row, &LISTENERS);
    timer_init(&d->drain_timer, on_drain_timer);
    timer_init(&d->let_go_timer, on_let_go);
    timer_init(&d->trim_timer, on_trim_timer);
    timer_set(&d->net.timers, &d->trim_timer, d->net.now_ms + TRIM_LOOK_MS);
    h2_servers_init(&d->servers2, &d->net, &d->http.host);
    if (upstream_init(&d->upstream, &d->net, c->board, c->row) ||
        datagrams_init(&d->datagrams, &d->net, &d->upstream, &book, c->fd_limit) ||
        h1_servers_init(&d->servers, &d->net, &d->http.host) ||
        tls_contexts_init(&d->contexts, &d->net, c->board, c->system_ca_fd) ||
        fronts_init(&d->fronts, &d->net, &d->front_host, &d->contexts, d->me)) {
        dataplane_free(d);
        return NULL;
    }
    atomic_store_explicit(&d->me->connections, 0, memory_order_relaxed);
    d->upstream.contexts = &d->contexts;
    d->upstream.keys_of = keys_of;
    d->servers.shown = d->servers2.shown = d->fronts.shown = d->streams.shown = &d->me->connections;
    d->servers.take_h2 = take_h2;
    return d;
}

void dataplane_free(struct dataplane *d)
{
    if (!d)
        return;
    net_enter(&d->net);
    listeners_fini(&d->listeners);
    fronts_close_all(&d->fronts);
    http_cut(&d->http);
    h1_servers_close_all(&d->servers);
    h2_servers_close_all(&d->servers2);
    streams_cut(&d->streams, REASON_DRAINING);
    datagrams_fini(&d->datagrams);
    upstream_close(&d->upstream);
    net_leave(&d->net);
    conn_bury(&d->net);
    timer_close(&d->drain_timer);
    timer_close(&d->let_go_timer);
    timer_close(&d->trim_timer);
    live_fini(&d->live);
    http_fini(&d->http);
    h1_servers_fini(&d->servers);
    h2_servers_fini(&d->servers2);
    streams_fini(&d->streams);
    upstream_fini(&d->upstream);
    fronts_fini(&d->fronts);
    tls_contexts_fini(&d->contexts);
    net_fini(&d->net);
    free(d);
}

void dataplane_run(struct dataplane *d)
{
    net_run(&d->net);
}

void dataplane_turn(struct dataplane *d, int max_wait_ms)
{
    net_turn(&d->net, max_wait_ms);
}

void dataplane_quit(struct dataplane *d)
{
    net_quit(&d->net);
}

/* --- listening sockets ------------------------------------------------------------------------------- */

/* Connections of sockets that are gone have no business here; those with a request end behind its answer. */
static bool bind_is_gone(void *ctx, const struct stream_link *l)
{
    return !keep(ctx, l->bind_id, 0);
}

static void close_strays(struct dataplane *d)
{
    if (!d->live.current)
        return;
    net_enter(&d->net);
    h1_servers_close_idle(&d->servers, UINT32_MAX, bind_is_gone, d);
    h2_servers_drain(&d->servers2, bind_is_gone, d);
    net_leave(&d->net);
}

int dataplane_listener_add(struct dataplane *d, uint64_t bind_id, int fd, bool datagram)
{
    return datagram ? udp_sockets_add(&d->datagrams.sockets, bind_id, fd) : listeners_add(&d->listeners, bind_id, fd);
}

void dataplane_listener_remove(struct dataplane *d, uint64_t bind_id)
{
    udp_sockets_remove(&d->datagrams.sockets, bind_id);
    if (listeners_remove(&d->listeners, bind_id))
        close_strays(d);
}

void dataplane_set_active(struct dataplane *d, bool active)
{
    listeners_set_active(&d->listeners, active);
    udp_sockets_set_active(&d->datagrams.sockets, active);
}

/* --- generations ---------------------------------------------------------------------------------------- */

/* Once is enough: the limit does not change while a process lives. */
static void say_lock_error(struct dataplane *d, const struct keys *k)
{
    if (!k || !keys_lock_error(k) || d->lock_said)
        return;
    d->lock_said = true;
    log_warn(d->c.log, "private keys could not be locked in memory (%s): they may be written to swap; LimitMEMLOCK raises "
             "the limit", strerror(keys_lock_error(k)));
}

int dataplane_offer(struct dataplane *d, int snap_fd, int keys_fd, struct buf *why)
{
    struct snap *s;
    int err = snap_open(&s, snap_fd, why);
    if (err)
        return err;
    if (!generation_attach(s, &d->upstream)) {
        snap_drop(s);
        if (why)
            buf_addc(why, err_text(GH_E_NOMEM));
        return GH_E_NOMEM;
    }
    generation_count(generation_of(s), &d->me->generations_held);
    err = generation_take_keys(generation_of(s), keys_fd, why);
    if (err) {
        snap_drop(s);
        return err;
    }
    say_lock_error(d, generation_of(s)->keys);
    live_offer(&d->live, s);
    return 0;
}

static void apply(struct dataplane *d, const struct snap_settings *s)
{
    const struct h1_settings h1 = {
        .limits =
            {
                .max_head = s->max_header_bytes,
                .max_line = GH_MIN(s->max_uri_bytes + H1_MAX_METHOD + 12, s->max_header_bytes),
                .max_fields = (uint16_t)GH_MIN(s->max_fields, 10000u),
            },
        .header_timeout_ms = s->header_timeout_ms,
        .idle_timeout_ms = s->idle_timeout_ms,
        .body_grace_ms = s->body_grace_ms,
        .body_min_rate = s->body_min_rate,
        .send_grace_ms = s->send_grace_ms,
        .send_min_rate = s->send_min_rate,
    };
    const struct h2_settings h2 = {
        .limits =
            {
                .max_bytes = s->max_header_bytes,
                .max_uri = GH_MIN(s->max_uri_bytes, s->max_header_bytes),
                .max_fields = h1.limits.max_fields,
            },
        .max_streams = GH_MAX(s->max_streams, 1),
        .header_timeout_ms = s->header_timeout_ms,
        .idle_timeout_ms = s->idle_timeout_ms,
        .body_grace_ms = s->body_grace_ms,
        .body_min_rate = s->body_min_rate,
        .send_grace_ms = s->send_grace_ms,
        .send_min_rate = s->send_min_rate,
    };
    h2_servers_set(&d->servers2, &h2);
    /* Without memory for longer arrays the old limits stay; the rest of the generation serves. */
    if (!h1_servers_set(&d->servers, &h1) || !upstream_set(&d->upstream, s))
        log_warn(d->c.log, "limits of the new generation not applied: out of memory");
    d->net.high_water = GH_MAX(s->buffer_bytes, NET_PIECE);
    d->contexts.ticket_lifetime_s = s->ticket_lifetime_s;
    datagrams_set(&d->datagrams, s);
}

/* Requests of older generations, until there are none that could let go. */
static void let_go(struct dataplane *d)
{
    uint64_t again = http_let_go(&d->http);
    timer_set(&d->net.timers, &d->let_go_timer, again ? d->net.now_ms + again : 0);
}

static void on_let_go(struct timer *t)
{
    let_go(CONTAINER_OF(t, struct dataplane, let_go_timer));
}

bool dataplane_commit(struct dataplane *d, uint64_t generation)
{
    if (!live_commit(&d->live, generation))
        return false;
    apply(d, d->live.current->SETTINGS);
    tls_contexts_keep(&d->contexts, d->live.current);
    atomic_store_explicit(&d->me->generation, generation, memory_order_relaxed);
    listeners_refresh(&d->listeners);
    close_strays(d);
    net_enter(&d->net);
    let_go(d);
    net_leave(&d->net);
    return true;
}

void dataplane_withdraw(struct dataplane *d, uint64_t generation)
{
    live_withdraw(&d->live, generation);
}

uint64_t dataplane_generation(const struct dataplane *d)
{
    return live_generation(&d->live);
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static void on_drain_timer(struct timer *t)
{
    struct dataplane *d = CONTAINER_OF(t, struct dataplane, drain_timer);
    uint64_t now = d->net.now_ms;
    uint32_t flows = d->datagrams.n_old;
    h1_servers_drain(&d->servers);
    h2_servers_drain(&d->servers2, NULL, NULL);
    if (n_clients(d) + flows && now >= d->drain_end_ms) {
        log_info(d->c.log, "drain: %u connections and %u UDP flows cut at the deadline", n_clients(d), flows);
        fronts_close_all(&d->fronts);
        http_cut(&d->http);
        h1_servers_close_all(&d->servers);
        h2_servers_close_all(&d->servers2);
        streams_cut(&d->streams, REASON_DRAINING);
        datagrams_cut(&d->datagrams, REASON_DRAINING);
    }
    if (n_clients(d) + d->datagrams.n_old) {
        timer_set(&d->net.timers, t, now + DRAIN_LOOK_MS);
        return;
    }
    if (d->drained)
        d->drained(d->drained_arg);
    d->drained = NULL;
}

void dataplane_drain(struct dataplane *d, uint64_t deadline_ms, void (*done)(void *arg), void *arg)
{
    d->drain_end_ms = deadline_ms;
    d->drained = done;
    d->drained_arg = arg;
    if (!d->draining) {
        net_enter(&d->net);
        listeners_drain(&d->listeners); /* what it takes from the backlog is served */
        datagrams_drain(&d->datagrams);
        net_leave(&d->net);
        d->draining = true;
    }
    timer_set(&d->net.timers, &d->drain_timer, d->net.now_ms + DRAIN_LOOK_MS);
}
