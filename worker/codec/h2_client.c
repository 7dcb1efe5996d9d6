#include "worker/codec/h2_client.h"
#include "shared/http/websocket.h"

static const struct stream_ops OPS;

static struct h2_client *of_session(struct h2_session *h)
{
    return CONTAINER_OF(h, struct h2_client, h);
}
static struct h2_stream *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct h2_stream, s);
}
static struct h2_client *of_conn(struct conn *c)
{
    return CONTAINER_OF(c, struct h2_client, h.c);
}
static struct net *net_of(const struct h2_client *k)
{
    return k->h.all->net;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

/* What was written last, a GOAWAY mostly, goes out as far as the kernel takes it. */
static void gone(struct h2_client *k)
{
    k->h.dead = true;
    timer_stop(&k->timer);
    h2_session_flush(&k->h);
    conn_close(&k->h.c);
    if (k->told_gone)
        return;
    k->told_gone = true;
    k->owner->gone(k);
}

/* What is known to have had no effect may be sent again: said before the connection is closed, which knows it. */
static void judge_streams(struct h2_client *k)
{
    LIST_EACH(it, &k->h.streams)
    {
        struct h2_stream *st = LIST_ITEM(it, struct h2_stream, node);
        if (!st->id || conn_unheard(&k->h.c, st->sent_before))
            st->s.flags &= ~STREAM_F_WROTE;
    }
}

/* The connection is no more. Answers that are complete are given in full, whoever wants to wait. */
static void lost(struct h2_client *k, enum reason why)
{
    struct h2_session *h = &k->h;
    judge_streams(k);
    for (uint32_t n = h->n_streams; n > 0 && !list_empty(&h->streams); n--) {
        struct h2_stream *st = LIST_ITEM(h->streams.next, struct h2_stream, node);
        list_del(&st->node);
        list_push(&h->streams, &st->node);
        if (st->rx == H2_RX_END && st->s.user)
            h2_stream_give_all(st);
    }
    h2_session_cut(h, why);
    gone(k);
}

static bool is_leaving(const struct h2_client *k)
{
    return k->h.dead || k->h.peer_going || k->h.going || k->h.last_id >= H2_MAX_STREAM - 2;
}

static void end_if_done(struct h2_client *k)
{
    if (is_leaving(k) && !k->h.n_streams && !k->h.dead) {
        h2_session_goaway(&k->h, H2_GOING_FINAL);
        gone(k);
    }
}

/* --- the role ---------------------------------------------------------------------------------------------- */

static struct h2_stream *open_stream(struct h2_session *h, uint32_t id, enum h2_code *why)
{
    (void)h;
    (void)id;
    *why = H2_PROTOCOL_ERROR;
    return NULL; /* nobody may push */
}

/* The answer to an extended CONNECT as one to an Upgrade. False: no memory. */
static bool agree(struct h2_stream *st, struct http_head *head)
{
    head->status = 101;
    head->upgrade = true;
    head->upgrade_to = STR("websocket");
    head->has_length = false;
    head->body = BODY_NONE;
    st->s.flags |= STREAM_F_TUNNEL;
    return !st->ws_accept || head_set_id(head, st->s.arena, FIELD_SEC_WEBSOCKET_ACCEPT,
                                         str_of(st->ws_accept, WEBSOCKET_ACCEPT_LEN));
}

static void abandon(struct h2_stream *st, enum h2_code code, enum reason why)
{
    struct stream *s = &st->s;
    h2_stream_reset(st, code);
    s->ev->on_abort(s, why);
}

static void on_final(struct h2_stream *st, struct http_head *head, bool end)
{
    bool none = st->method == METHOD_HEAD || head->status == 204 || head->status == 304;
    st->rx = end ? H2_RX_END : H2_RX_BODY;
    st->end_told = end;
    if (st->connect && head->status >= 200 && head->status < 300) {
        if (!agree(st, head)) {
            abandon(st, H2_CANCEL, REASON_MEMORY);
            return;
        }
        st->end_told = false;
        if (end)
            h2_do_later(st);
        end = false;
    } else if (none)
        st->length = 0;
    else if (head->body == BODY_LENGTH)
        st->length = head->length;
    st->s.ev->on_head(&st->s, head, end);
}

static void on_head(struct h2_stream *st, struct h2_head *d, bool end)
{
    if (!st->s.user) { /* it has lost interest */
        h2_stream_reset(st, H2_CANCEL);
        return;
    }
    st->s.flags |= STREAM_F_HEARD;
    of_session(st->h)->ping_ms = 0;
    if (d->why != REASON_OK) {
        if (h2_glitch(st->h, H2_GLITCH_fault, 1))
            abandon(st, H2_PROTOCOL_ERROR, d->why == REASON_MEMORY ? d->why : REASON_UPSTREAM_PROTOCOL);
    } else if (d->head.status >= 200) {
        on_final(st, &d->head, end);
    } else if (++st->interim > H2_MAX_INTERIM) {
        abandon(st, H2_ENHANCE_YOUR_CALM, REASON_UPSTREAM_PROTOCOL);
    } else {
        st->s.ev->on_head(&st->s, &d->head, false);
    }
}

static void on_reset(struct h2_stream *st, enum h2_code code, bool by_peer)
{
    enum reason why = REASON_UPSTREAM_RESET;
    if (!by_peer)
        why = code == H2_INTERNAL_ERROR ? REASON_MEMORY : REASON_UPSTREAM_PROTOCOL;
    else if (code == H2_REFUSED_STREAM)
        st->s.flags |= STREAM_F_REFUSED;
    st->s.ev->on_abort(&st->s, why);
}

static void on_left(struct h2_session *h, bool done)
{
    struct h2_client *k = of_session(h);
    if (done)
        h2_budget_done(&h->budget);
    if (h->dead)
        return;
    if (is_leaving(k) && !h->n_streams)
        conn_kick(&h->c); /* not here: an exchange may be calling */
    k->owner->news(k);
}

/* Streams that the peer will not serve (6.8). */
static void refuse_above(struct h2_session *h, uint32_t last)
{
    for (;;) {
        struct h2_stream *out = NULL;
        LIST_EACH(it, &h->streams)
        {
            struct h2_stream *st = LIST_ITEM(it, struct h2_stream, node);
            if (st->id > last || st->connect_wait)
                out = st;
        }
        if (!out)
            return;
        struct stream *s = out->s.user ? &out->s : NULL;
        out->s.flags |= STREAM_F_REFUSED;
        h2_stream_leave(out, H2_PAST_PEER_RESET);
        if (s)
            s->ev->on_abort(s, REASON_UPSTREAM_RESET);
    }
}

static void send_waiting(struct h2_session *h);

static void on_news(struct h2_session *h, enum h2_type what)
{
    struct h2_client *k = of_session(h);
    if (what == H2_SETTINGS) {
        send_waiting(h);
    } else if (what == H2_GOAWAY) {
        refuse_above(h, h->peer_last);
        if (!h->n_streams)
            conn_kick(&h->c);
    } else {
        return;
    }
    if (!h->dead)
        k->owner->news(k);
}

static void on_failed(struct h2_session *h, enum reason why)
{
    struct h2_client *k = of_session(h);
    (void)why;
    h2_session_cut(h, REASON_UPSTREAM_PROTOCOL);
    gone(k);
}

static const struct h2_role ROLE = {
    .server = false,
    .patience = 8,
    .open = open_stream,
    .head = on_head,
    .reset = on_reset,
    .left = on_left,
    .news = on_news,
    .failed = on_failed,
};

/* --- the connection's events ---------------------------------------------------------------------------------- */

static void on_read(struct conn *c, char *data, size_t n)
{
    struct h2_client *k = of_conn(c);
    k->heard_ms = net_of(k)->now_ms;
    k->pinged = false;
    h2_session_read(&k->h, data, n);
    if (!k->h.dead && conn_full(c)) /* an endpoint that takes nothing is not listened to, either */
        conn_pause(c, CONN_PAUSE_CODEC);
}

static void on_end(struct conn *c)
{
    lost(of_conn(c), REASON_UPSTREAM_RESET);
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    lost(of_conn(c), REASON_UPSTREAM_RESET);
}

static void on_writable(struct conn *c)
{
    struct h2_client *k = of_conn(c);
    conn_resume(c, CONN_PAUSE_CODEC);
    h2_session_writable(&k->h);
}

static void on_kick(struct conn *c)
{
    struct h2_client *k = of_conn(c);
    h2_session_kick(&k->h);
    end_if_done(k);
}

static void on_closed(struct conn *c)
{
    struct h2_client *k = of_conn(c);
    h2_session_fini(&k->h);
    timer_close(&k->timer);
    k->owner->closed(k);
}

static const struct conn_events EVENTS = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_kick = on_kick,
    .on_error = on_error,
    .on_closed = on_closed,
};

/* Has it been silent for too long? */
static void on_timer(struct timer *t)
{
    struct h2_client *k = CONTAINER_OF(t, struct h2_client, timer);
    struct net *n = net_of(k);
    uint64_t silent = GH_MAX(k->heard_ms, k->asked_ms) + H2_SILENCE_MS;
    if (k->h.dead || !k->h.n_streams)
        return;
    if (k->pinged && n->now_ms >= k->ping_ms + H2_PING_MS) {
        lost(k, REASON_UPSTREAM_RESET);
        return;
    }
    if (k->pinged) {
        timer_set(&n->timers, t, k->ping_ms + H2_PING_MS);
        return;
    }
    if (!k->may_ping || (k->ping_ms && n->now_ms < k->ping_ms + H2_PING_AGAIN_MS))
        return; /* the next request sets it again */
    if (n->now_ms < silent) {
        timer_set(&n->timers, t, silent);
        return;
    }
    h2_session_ping(&k->h);
    k->pinged = true;
    k->may_ping = false;
    k->ping_ms = n->now_ms;
    timer_set(&n->timers, t, n->now_ms + H2_PING_MS);
}

/* --- requests ------------------------------------------------------------------------------------------------- */

static bool enter(struct h2_stream *st)
{
    struct h2_client *k = of_session(st->h);
    struct net *n = net_of(k);
    uint32_t id = st->h->last_id ? st->h->last_id + 2 : 1;
    if (!h2_stream_enter(st, id))
        return false;
    h2_past_open(st->h, id);
    h2_budget_opened(&st->h->budget);
    k->requests++;
    k->asked_ms = n->now_ms;
    k->may_ping = true;
    if (!timer_is_set(&k->timer))
        timer_set(&n->timers, &k->timer, n->now_ms + H2_SILENCE_MS);
    return true;
}

/* HTTP/1.1 expects its key to be answered, HTTP/2 knows of none. False: no memory. */
static bool prepare_tunnel(struct h2_stream *st, const struct http_head *head)
{
    const struct http_field *key = head_find(head, FIELD_SEC_WEBSOCKET_KEY);
    st->connect = true;
    if (!key)
        return true;
    char *accept = arena_room(st->s.arena, WEBSOCKET_ACCEPT_LEN);
    if (!accept)
        return false;
    websocket_accept(key->value, accept);
    st->ws_accept = accept;
    return true;
}

/* The first byte of a request is about to go out. */
static bool begin(struct h2_stream *st)
{
    st->sent_before = st->h->c.sent + h2_session_queued(st->h);
    if (!enter(st))
        return false;
    st->s.flags |= STREAM_F_WROTE;
    st->tx = H2_TX_BODY;
    return true;
}

/* SETTINGS have come: does the peer make tunnels (RFC 8441 3)? */
static void send_waiting(struct h2_session *h)
{
    for (;;) {
        struct h2_stream *next = NULL;
        LIST_EACH(it, &h->streams)
            if (LIST_ITEM(it, struct h2_stream, node)->connect_wait)
                next = LIST_ITEM(it, struct h2_stream, node);
        if (!next)
            return;
        next->connect_wait = false;
        if (!h->peer_connect || !begin(next) || !h2_stream_kept_head(next))
            abandon(next, H2_CANCEL, REASON_UPSTREAM_PROTOCOL);
    }
}

/* A request for a tunnel. */
static bool send_connect(struct h2_stream *st, const struct http_head *head)
{
    struct h2_session *h = st->h;
    if (!prepare_tunnel(st, head))
        return false;
    if (h->peer_connect)
        return begin(st) && h2_stream_head(st, head, false);
    if (h->settings_seen) {
        st->fault = H2_HTTP_1_1_REQUIRED;
        h2_do_later(st);
        return true;
    }
    st->connect_wait = h2_stream_keep_head(st, head);
    return st->connect_wait;
}

static bool send_head(struct stream *s, const struct http_head *head, bool end)
{
    struct h2_stream *st = of_stream(s);
    if (st->id || st->closed || st->h->dead)
        return false;
    st->method = (uint8_t)head->method_id;
    if (head->upgrade)
        return send_connect(st, head);
    if (!begin(st) || !h2_stream_head(st, head, end))
        return false;
    if (end)
        h2_stream_sent(st);
    return true;
}

static void release(struct stream *s)
{
    h2_stream_release(of_stream(s), H2_CANCEL);
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

/* --- for the pool -------------------------------------------------------------------------------------------- */

void h2_clients_init(struct h2_clients *all, struct net *n)
{
    h2_shared_init(&all->shared, n);
}

void h2_clients_set(struct h2_clients *all, const struct h2_limits *limits)
{
    all->shared.limits = *limits;
}

void h2_clients_fini(struct h2_clients *all)
{
    h2_shared_fini(&all->shared);
}

void h2_client_take(struct h2_client *k, struct h2_clients *all, const struct h2_client_owner *owner, struct conn *from,
                    bool https, uint32_t streams)
{
    memset(k, 0, sizeof(*k));
    conn_move(from, &k->h.c, &EVENTS);
    k->h.c.full_at = H2_CONN_QUEUE;
    k->owner = owner;
    timer_init(&k->timer, on_timer);
    h2_session_init(&k->h, &all->shared, &ROLE);
    k->h.https = https;
    k->h.peer_streams = GH_MIN(streams, H2_CLIENT_FIRST);
    h2_session_start(&k->h);
}

uint32_t h2_client_room(const struct h2_client *k, bool ask)
{
    uint32_t most = GH_MIN(k->h.peer_streams, H2_CLIENT_MOST);
    /* While streams run the peer announces an end (GOAWAY), and a crash costs them all: only who rests may be about to
     * close without a word, as long as it takes to ask. */
    if (is_leaving(k) || k->h.n_streams >= most || k->pinged || conn_ending(&k->h.c, ask && !k->h.n_streams))
        return 0;
    return most - k->h.n_streams;
}

struct stream *h2_client_stream(struct h2_client *k)
{
    struct h2_stream *st = h2_stream_new(&k->h, 0, &OPS);
    if (!st)
        return NULL;
    st->s.flags = k->requests ? STREAM_F_REUSED : 0;
    return &st->s;
}

void h2_client_leave(struct h2_client *k)
{
    if (k->h.dead)
        return;
    h2_session_goaway(&k->h, H2_GOING_FINAL);
    if (!k->h.n_streams)
        conn_kick(&k->h.c);
}

void h2_client_close(struct h2_client *k)
{
    if (!k->h.dead)
        h2_session_goaway(&k->h, H2_GOING_FINAL);
    k->told_gone = true; /* the owner knows */
    h2_session_cut(&k->h, REASON_UPSTREAM_RESET);
    gone(k);
}
