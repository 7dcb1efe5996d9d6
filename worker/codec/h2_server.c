#include "worker/codec/h2_server.h"
#include "shared/base/err.h"
#include "worker/http/exchange.h"

#include <stdlib.h>

#define SAY_MS     1000
#define CHECK_MS   1000         /* between looks at the rates of running requests */
#define LINGER_MAX (1024u * 1024)

/* Fairness: what one connection may do before the others have their turn. */
#define TURN_HEADS 256u         /* requests in a turn of the loop */
#define MANY_HEADS 64u          /* in one read: the next one is small, because all of a read has to be taken */
#define FEW_HEADS  16u          /* ... when others are about who want little */
#define GREEDY     64u          /* streams, or requests in one read, from which on it is not one of those */
#define READ_SMALL (16u * 1024)
#define READ_LEAST 512u

enum state {
    PREFACE, /* the client's first SETTINGS have not come yet */
    IDLE,
    BUSY,
    LINGER,  /* our side is closed, or about to be: what comes is thrown away for a moment */
    CLOSED,
};

/* One connection. */
struct h2_server {
    struct h2_session h;
    struct stream_link link;
    struct timer timer;
    struct list node;
    struct h2_servers *all;
    uint64_t since_ms;          /* of the state */
    uint64_t notice_ms;         /* of the first GOAWAY */
    uint64_t mark_ms, mark_sent;/* of the last look at the rates */
    int32_t send_credit_ms;
    uint32_t requests;          /* LINGER: bytes thrown away */
    uint32_t turn;              /* of the loop (its time), in which it last read */
    uint16_t turn_heads;        /* requests of that */
    bool waits;                 /* ... were enough: the rest is for the next one */
    uint8_t state;
};

static const struct stream_ops OPS;

static struct h2_server *of_session(struct h2_session *h)
{
    return CONTAINER_OF(h, struct h2_server, h);
}
static struct h2_stream *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct h2_stream, s);
}
static struct h2_server *of_conn(struct conn *c)
{
    return CONTAINER_OF(c, struct h2_server, h.c);
}

/* --- states ----------------------------------------------------------------------------------------------- */

static void count(struct h2_servers *all, int by)
{
    all->n += (uint32_t)by;
    board_add(&all->shared.net->count->client_active, (uint64_t)(int64_t)by);
    board_add(&all->shared.net->count->h2_active, (uint64_t)(int64_t)by);
    if (all->shown)
        atomic_fetch_add_explicit(all->shown, (uint32_t)by, memory_order_relaxed);
}

static void set_state(struct h2_server *s, enum state to)
{
    struct h2_servers *all = s->all;
    all->n_idle -= s->state == IDLE;
    all->n_idle += to == IDLE;
    list_del(&s->node);
    list_push(to == IDLE ? &all->idle : &all->busy, &s->node);
    s->state = (uint8_t)to;
    s->since_ms = all->shared.net->now_ms;
}

static void look_at(struct h2_server *s, uint64_t at_ms)
{
    timer_set(&s->all->shared.net->timers, &s->timer, at_ms);
}

static void look_soon(struct h2_server *s)
{
    look_at(s, s->all->shared.net->now_ms + CHECK_MS);
}

static void close_now(struct h2_server *s)
{
    s->h.dead = true;
    if (s->state != CLOSED)
        set_state(s, CLOSED);
    timer_stop(&s->timer);
    conn_close(&s->h.c);
}

/* Exchanges end; then the connection does, at once. */
static void cut(struct h2_server *s, enum reason why)
{
    h2_session_cut(&s->h, why);
    close_now(s);
}

/* What is written still goes out; our side closes; the client's bytes are thrown away meanwhile. */
static void linger(struct h2_server *s)
{
    h2_session_flush(&s->h);
    s->h.dead = true;
    set_state(s, LINGER);
    s->requests = 0;
    conn_resume(&s->h.c, CONN_PAUSE_CODEC);
    if (s->h.c.flags & CONN_F_END)
        conn_finish(&s->h.c);
    else
        conn_shutdown(&s->h.c);
    look_soon(s);
}

static void begin_drain(struct h2_server *s)
{
    if (s->h.going || s->h.dead)
        return;
    h2_session_goaway(&s->h, H2_GOING_NOTICE);
    h2_session_ping(&s->h);
    s->notice_ms = s->all->shared.net->now_ms;
    look_soon(s);
}

static void end_if_done(struct h2_server *s)
{
    if (s->h.going == H2_GOING_FINAL && !s->h.n_streams && !s->h.dead)
        linger(s);
}

static void drain_further(struct h2_server *s)
{
    if (s->h.going != H2_GOING_NOTICE || s->h.dead)
        return;
    h2_session_goaway(&s->h, H2_GOING_FINAL);
    end_if_done(s);
}

static void go_idle(struct h2_server *s)
{
    set_state(s, IDLE);
    if (s->h.going)
        look_soon(s);
    else
        look_at(s, s->since_ms + s->all->settings.idle_timeout_ms);
}

static void go_busy(struct h2_server *s)
{
    uint64_t now = s->all->shared.net->now_ms;
    set_state(s, BUSY);
    s->mark_ms = now;
    s->mark_sent = s->h.c.sent;
    s->send_credit_ms = (int32_t)s->all->settings.send_grace_ms;
    look_soon(s);
}

/* --- the role ---------------------------------------------------------------------------------------------- */

static struct h2_stream *open_stream(struct h2_session *h, uint32_t id, enum h2_code *why)
{
    struct h2_server *s = of_session(h);
    struct h2_servers *all = s->all;
    *why = H2_REFUSED_STREAM;
    if (h->n_streams >= all->settings.max_streams ||
        h->head_bytes > H2_HEADS_MAX * (uint64_t)all->settings.limits.max_bytes)
        return NULL;
    struct h2_stream *st = h2_stream_new(h, id, &OPS);
    if (!st)
        return NULL;
    st->s.link = &s->link;
    st->s.flags = STREAM_F_H2;
    if (!all->host->open(all->host, &st->s)) {
        st->s.user = NULL;
        h2_stream_leave(st, H2_PAST_RESET);
        return NULL;
    }
    st->body_credit_ms = (int32_t)all->settings.body_grace_ms;
    st->send_credit_ms = (int32_t)all->settings.send_grace_ms;
    s->requests++;
    if (s->state == IDLE)
        go_busy(s);
    return st;
}

/* `end` of a request for a tunnel: what comes later belongs to the tunnel, if there will be one. */
static void on_head(struct h2_stream *st, struct h2_head *d, bool end)
{
    struct h2_server *s = of_session(st->h);
    struct server_host *host = s->all->host;
    st->method = (uint8_t)d->head.method_id;
    st->rx = end ? H2_RX_END : H2_RX_BODY;
    if (d->why != REASON_OK) {
        board_add(&s->h.all->net->count->parse_errors, 1);
        st->malformed = d->malformed;
        if (d->malformed && !h2_glitch(&s->h, H2_GLITCH_fault, 1))
            return;
        if (d->malformed)
            st->abort_code = H2_PROTOCOL_ERROR;
        host->refuse(host, &st->s, d->why, d->text);
        return;
    }
    if (d->head.has_length)
        st->length = d->head.length;
    st->tunnel_wait = d->head.upgrade && !end;
    st->end_told = end;
    st->s.ev->on_head(&st->s, &d->head, end || d->head.upgrade);
}

static void on_reset(struct h2_stream *st, enum h2_code code, bool by_peer)
{
    enum reason why = by_peer ? REASON_CLIENT_ABORT : code == H2_INTERNAL_ERROR ? REASON_MEMORY : REASON_BAD_REQUEST;
    if (why == REASON_BAD_REQUEST)
        board_add(&st->h->all->net->count->parse_errors, 1);
    st->s.ev->on_abort(&st->s, why);
}

static void on_left(struct h2_session *h, bool done)
{
    struct h2_server *s = of_session(h);
    if (done)
        h2_budget_done(&h->budget);
    if (h->dead || s->state == CLOSED)
        return;
    if (!h->going && (h->peer_going || h->last_id > H2_MAX_STREAM / 2 ||
                      !s->all->host->keep(s->all->host, &s->link, s->requests)))
        begin_drain(s);
    if (!h->n_streams && s->state == BUSY)
        go_idle(s);
    if (h->going == H2_GOING_FINAL && !h->n_streams)
        conn_kick(&h->c); /* not here: an exchange may be calling */
}

static void on_news(struct h2_session *h, enum h2_type what)
{
    struct h2_server *s = of_session(h);
    if (what == H2_SETTINGS && s->state == PREFACE)
        go_idle(s);
    else if (what == H2_PING)
        drain_further(s);
    else if (what == H2_GOAWAY && !h->n_streams) /* it will send no more */
        linger(s);
}

/* One line a second: whoever floods us must not flood the log. */
static void say_flood(struct h2_server *s)
{
    struct h2_servers *all = s->all;
    struct net *n = all->shared.net;
    char from[PEER_TEXT_MAX];
    if (all->said_ms && n->now_ms - all->said_ms < SAY_MS) {
        all->unsaid++;
        return;
    }
    size_t len = address_text(s->link.peer_family, s->link.peer, from);
    log_warn(n->log, "HTTP/2 connection of %.*s ended: %s (%u others before it)", (int)len, from, s->h.text ? s->h.text : "",
             all->unsaid);
    all->said_ms = n->now_ms;
    all->unsaid = 0;
}

static void on_failed(struct h2_session *h, enum reason why)
{
    struct h2_server *s = of_session(h);
    if (why == REASON_CLIENT_FLOOD)
        say_flood(s);
    h2_session_cut(h, why == REASON_CLIENT_FLOOD ? why : REASON_CLIENT_ABORT);
    if (s->state != CLOSED)
        linger(s);
}

static const struct h2_role ROLE = {
    .server = true,
    .patience = 1,
    .open = open_stream,
    .head = on_head,
    .reset = on_reset,
    .left = on_left,
    .news = on_news,
    .failed = on_failed,
};

/* --- the connection's events ----------------------------------------------------------------------------------- */

/* Who takes no answers is asked for no more questions: on_writable goes on. */
static void pause_if_full(struct h2_server *s)
{
    if (!s->h.dead && conn_full(&s->h.c))
        conn_pause(&s->h.c, CONN_PAUSE_CODEC);
}

static uint32_t turn_now(const struct h2_server *s)
{
    return (uint32_t)s->all->shared.net->now_ns;
}

/* Bytes of the next read, after one of `n` with so many heads. */
static uint32_t next_read(const struct h2_server *s, uint32_t heads, size_t n)
{
    if (conn_is_bulk(&s->h.c) && net_turn_short(s->all->shared.net))
        return GH_MIN(GH_MAX((uint32_t)n * FEW_HEADS / GH_MAX(heads, 1u), READ_LEAST), READ_SMALL);
    return heads > MANY_HEADS ? READ_SMALL : NET_PIECE;
}

/* `heads` came with one read, of `n` bytes. Who sends more than others reads the rest in the next turn of the loop. */
static void count_turn(struct h2_server *s, uint32_t heads, size_t n)
{
    struct conn *c = &s->h.c;
    if (heads >= GREEDY || s->h.n_streams > GREEDY)
        conn_set_bulk(c, true);
    c->read_max = next_read(s, heads, n);
    if (s->turn != turn_now(s)) {
        s->turn = turn_now(s);
        s->turn_heads = 0;
    }
    s->turn_heads = (uint16_t)GH_MIN(s->turn_heads + heads, (uint32_t)UINT16_MAX);
    if (s->turn_heads < TURN_HEADS || s->h.dead)
        return;
    s->waits = true;
    conn_pause(c, CONN_PAUSE_CODEC);
    conn_kick(c);
}

static void end_wait(struct h2_server *s)
{
    struct conn *c = &s->h.c;
    if (!s->waits || s->h.dead)
        return;
    if (s->turn == turn_now(s)) {
        conn_kick(c); /* still the same one */
        return;
    }
    s->waits = false;
    if (!conn_full(c))
        conn_resume(c, CONN_PAUSE_CODEC);
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct h2_server *s = of_conn(c);
    uint32_t before = s->requests;
    if (s->state == LINGER) {
        s->requests += (uint32_t)n;
        if (s->requests > LINGER_MAX)
            close_now(s);
        return;
    }
    h2_session_read(&s->h, data, n);
    if (s->h.block) /* its time is absolute, from its first byte */
        look_at(s, GH_MIN(s->timer.deadline_ms, s->h.block->since_ms + s->all->settings.header_timeout_ms));
    if (s->state != CLOSED && s->state != LINGER)
        count_turn(s, s->requests - before, n);
    pause_if_full(s);
}

static void on_end(struct conn *c)
{
    struct h2_server *s = of_conn(c);
    if (s->state == LINGER) {
        conn_finish(c);
        return;
    }
    cut(s, REASON_CLIENT_ABORT);
}

static void on_writable(struct conn *c)
{
    struct h2_server *s = of_conn(c);
    conn_resume(c, CONN_PAUSE_CODEC);
    h2_session_writable(&s->h);
    pause_if_full(s);
}

static void on_kick(struct conn *c)
{
    struct h2_server *s = of_conn(c);
    h2_session_kick(&s->h);
    end_wait(s);
    end_if_done(s);
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    cut(of_conn(c), REASON_CLIENT_ABORT);
}

static void on_closed(struct conn *c)
{
    struct h2_server *s = of_conn(c);
    struct h2_servers *all = s->all;
    h2_session_fini(&s->h);
    timer_close(&s->timer);
    list_del(&s->node);
    all->n_idle -= s->state == IDLE;
    count(all, -1);
    slab_put(&all->conns, s);
}

static const struct conn_events EVENTS = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_kick = on_kick,
    .on_error = on_error,
    .on_closed = on_closed,
};

/* --- time ------------------------------------------------------------------------------------------------------ */

/* A body that comes too slowly. */
static bool body_in_time(struct h2_server *s, struct h2_stream *st, uint64_t dt_ms)
{
    const struct h2_settings *set = &s->all->settings;
    uint32_t got = st->got;
    st->got = 0;
    if (st->rx != H2_RX_BODY || st->paused || st->held.n || (st->s.flags & (STREAM_F_TUNNEL | STREAM_F_REST_IN)) ||
        st->tunnel_wait)
        return true;
    if (h2_pay(&st->body_credit_ms, dt_ms, got, set->body_min_rate, set->body_grace_ms))
        return true;
    board_add(&s->h.all->net->count->timeouts_body, 1);
    st->s.ev->on_abort(&st->s, REASON_CLIENT_TIMEOUT);
    return false;
}

/* Its window stays shut. One that waits for its turn only has all the time. */
static void window_in_time(struct h2_server *s, struct h2_stream *st, uint64_t dt_ms)
{
    const struct h2_settings *set = &s->all->settings;
    uint32_t took = st->took;
    st->took = 0;
    if (!st->queue.n || st->send_window > 0 || (st->s.flags & (STREAM_F_TUNNEL | STREAM_F_REST_OUT))) {
        st->send_credit_ms = (int32_t)set->send_grace_ms;
        return;
    }
    if (h2_pay(&st->send_credit_ms, dt_ms, took, set->send_min_rate, set->send_grace_ms))
        return;
    struct stream *exchange = st->s.user ? &st->s : NULL;
    board_add(&s->h.all->net->count->timeouts_send, 1);
    h2_stream_reset(st, H2_CANCEL);
    if (exchange)
        exchange->ev->on_abort(exchange, REASON_CLIENT_SLOW_READER);
}

/* The connection takes nothing, or its window stays shut. False: it is gone. */
static bool conn_in_time(struct h2_server *s, uint64_t dt_ms)
{
    const struct h2_settings *set = &s->all->settings;
    uint64_t took = s->h.c.sent - s->mark_sent;
    s->mark_sent = s->h.c.sent;
    if (!h2_session_queued(&s->h) && list_empty(&s->h.starved)) {
        s->send_credit_ms = (int32_t)set->send_grace_ms;
        return true;
    }
    if (h2_pay(&s->send_credit_ms, dt_ms, took, set->send_min_rate, set->send_grace_ms))
        return true;
    board_add(&s->h.all->net->count->timeouts_send, 1);
    conn_reset(&s->h.c);
    cut(s, REASON_CLIENT_SLOW_READER);
    return false;
}

/* Each once: whoever was looked at goes to the end of the list. */
static void look_at_streams(struct h2_server *s, uint64_t dt_ms)
{
    for (uint32_t n = s->h.n_streams; n > 0 && !list_empty(&s->h.streams) && !s->h.dead; n--) {
        struct h2_stream *st = LIST_ITEM(s->h.streams.next, struct h2_stream, node);
        list_del(&st->node);
        list_push(&s->h.streams, &st->node);
        if (!st->s.user && st->tx == H2_TX_SENT && ++st->idle_looks > 1)
            h2_stream_stop(st);
        else if (!st->s.user || body_in_time(s, st, dt_ms))
            window_in_time(s, st, dt_ms);
    }
}

/* A block of header fields that does not end. False: the connection has. */
static bool block_in_time(struct h2_server *s, uint64_t now)
{
    if (!s->h.block || now < s->h.block->since_ms + s->all->settings.header_timeout_ms)
        return true;
    board_add(&s->h.all->net->count->timeouts_header, 1);
    h2_session_error(&s->h, H2_ENHANCE_YOUR_CALM, "a head that took too long");
    return false;
}

static void look_at_busy(struct h2_server *s, uint64_t now)
{
    uint64_t dt = now - s->mark_ms, next = now + CHECK_MS;
    s->mark_ms = now;
    if (s->h.block)
        next = GH_MIN(next, s->h.block->since_ms + s->all->settings.header_timeout_ms);
    look_at(s, next);
    if (conn_in_time(s, dt))
        look_at_streams(s, dt);
}

static void look_at_idle(struct h2_server *s, uint64_t now)
{
    uint64_t end = s->since_ms + s->all->settings.idle_timeout_ms;
    if (h2_session_queued(&s->h)) { /* answers that the client has not taken are watched like running ones */
        look_at_busy(s, now);
    } else if (now < end) {
        look_at(s, s->h.block ? GH_MIN(end, s->h.block->since_ms + s->all->settings.header_timeout_ms) : end);
    } else {
        board_add(&s->h.all->net->count->closed_idle, 1);
        h2_session_goaway(&s->h, H2_GOING_FINAL);
        linger(s);
    }
}

static void on_timer(struct timer *t)
{
    struct h2_server *s = CONTAINER_OF(t, struct h2_server, timer);
    uint64_t now = s->all->shared.net->now_ms;
    if (s->h.going == H2_GOING_NOTICE && now >= s->notice_ms + H2_NOTICE_MS)
        drain_further(s);
    if (!s->h.dead && !block_in_time(s, now))
        return;
    switch ((enum state)s->state) {
    case PREFACE:
        if (now >= s->since_ms + GH_MIN(s->all->settings.header_timeout_ms, H2_PREFACE_MS)) {
            board_add(&s->h.all->net->count->timeouts_header, 1);
            cut(s, REASON_CLIENT_TIMEOUT);
        } else {
            look_soon(s);
        }
        break;
    case IDLE:
        look_at_idle(s, now);
        break;
    case BUSY:
        look_at_busy(s, now);
        break;
    case LINGER:
        if (now - s->since_ms >= H2_LINGER_MS && (!h2_session_queued(&s->h) || !conn_in_time(s, CHECK_MS)))
            close_now(s);
        else
            look_soon(s);
        break;
    case CLOSED:
        break;
    }
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static bool send_head(struct stream *stream, const struct http_head *head, bool end)
{
    struct h2_stream *st = of_stream(stream);
    bool interim = head->status < 200 && head->status != 101;
    if (st->tx != H2_TX_HEAD)
        return false;
    if (st->closed || st->malformed || st->h->dead)
        return interim && !st->malformed;
    bool nothing = end || st->method == METHOD_HEAD || head->status == 204 || head->status == 304;
    if (!h2_stream_head(st, head, nothing && !interim))
        return false;
    if (interim)
        return true;
    st->tx = H2_TX_BODY;
    if (head->status == 101) {
        st->s.flags |= STREAM_F_TUNNEL;
        st->end_told = false;
        if (st->tunnel_wait || st->rx == H2_RX_END)
            h2_do_later(st);
        st->tunnel_wait = false;
    } else if (nothing) {
        h2_stream_sent(st);
    }
    return true;
}

static void release(struct stream *stream)
{
    h2_stream_release(of_stream(stream), H2_INTERNAL_ERROR);
}

static const struct stream_ops OPS = {
    .send_head = send_head,
    .send_body = h2_op_body,
    .send_trailers = h2_op_trailers,
    .pause = h2_op_pause,
    .resume = h2_op_resume,
    .abort = h2_op_abort,
    .release = release,
};

/* --- all of them ------------------------------------------------------------------------------------------------- */

void h2_servers_init(struct h2_servers *all, struct net *n, struct server_host *host)
{
    static const struct h2_settings FIRST = {
        .limits = {64 * 1024, 16 * 1024, 100},
        .max_streams = 128,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 75000,
        .body_grace_ms = 10000,
        .body_min_rate = 240,
        .send_grace_ms = 30000,
        .send_min_rate = 240,
    };
    memset(all, 0, sizeof(*all));
    all->host = host;
    list_init(&all->idle);
    list_init(&all->busy);
    slab_init(&all->conns, sizeof(struct h2_server), 64);
    h2_shared_init(&all->shared, n);
    h2_servers_set(all, &FIRST);
}

void h2_servers_fini(struct h2_servers *all)
{
    must(all->n == 0);
    h2_shared_fini(&all->shared);
    slab_fini(&all->conns);
}

void h2_servers_set(struct h2_servers *all, const struct h2_settings *s)
{
    all->settings = *s;
    all->shared.limits = s->limits;
    all->shared.max_streams = s->max_streams;
}

void h2_servers_trim(struct h2_servers *all)
{
    slab_trim(&all->conns, 16);
    h2_shared_trim(&all->shared);
}

int h2_server_take(struct h2_servers *all, struct conn *from, const struct stream_link *link, const char *data, size_t n)
{
    struct h2_server *s = slab_get(&all->conns);
    if (!s)
        return GH_E_NOMEM;
    memset(s, 0, sizeof(*s));
    conn_move(from, &s->h.c, &EVENTS);
    s->h.c.flags |= CONN_F_EAGER;
    s->h.c.full_at = H2_CONN_QUEUE;
    s->h.c.read_max = READ_SMALL;
    s->all = all;
    s->link = *link;
    s->link.conn = &s->h.c;
    s->state = CLOSED;
    list_init(&s->node);
    timer_init(&s->timer, on_timer);
    h2_session_init(&s->h, &all->shared, &ROLE);
    count(all, 1);
    board_add(&all->shared.net->count->h2_connections, 1);
    set_state(s, PREFACE);
    look_soon(s);
    h2_session_start(&s->h);
    if (n)
        on_read(&s->h.c, (char *)(uintptr_t)data, n);
    return 0;
}

uint32_t h2_servers_close_idle(struct h2_servers *all, uint32_t max)
{
    uint32_t n = 0;
    for (; n < max && !list_empty(&all->idle); n++) {
        struct h2_server *s = LIST_ITEM(all->idle.next, struct h2_server, node);
        h2_session_goaway(&s->h, H2_GOING_FINAL);
        h2_session_flush(&s->h);
        close_now(s);
    }
    return n;
}

static void drain_list(struct list *l, bool (*which)(void *ctx, const struct stream_link *l), void *ctx)
{
    LIST_EACH(it, l)
    {
        struct h2_server *s = LIST_ITEM(it, struct h2_server, node);
        if (s->state != LINGER && s->state != CLOSED && (!which || which(ctx, &s->link)))
            begin_drain(s);
    }
}

void h2_servers_drain(struct h2_servers *all, bool (*which)(void *ctx, const struct stream_link *l), void *ctx)
{
    drain_list(&all->idle, which, ctx);
    drain_list(&all->busy, which, ctx);
}

void h2_servers_close_all(struct h2_servers *all)
{
    struct list *const lists[] = {&all->idle, &all->busy};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (;;) {
            struct h2_server *open = NULL;
            LIST_EACH(it, lists[i])
            {
                struct h2_server *s = LIST_ITEM(it, struct h2_server, node);
                if (s->state != CLOSED)
                    open = s;
            }
            if (!open)
                break;
            cut(open, REASON_CLIENT_ABORT);
        }
}
