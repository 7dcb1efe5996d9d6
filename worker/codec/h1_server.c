#include "shared/base/err.h"
#include "worker/codec/h1_server_internal.h"
#include "worker/codec/h2_frames.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHECK_MS     1000 /* between looks at the timers of a running request */
#define DEAF_MS      10   /* an answer that takes longer: has the client gone meanwhile? */
#define CALM_CHECK_MS 5000 /* ... while there is nothing to measure */
#define SMALL_ANSWER (32u * 1024) /* fits into any socket's buffer */

static const struct stream_ops OPS;
static struct h1_server *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct h1_server, stream);
}

static bool receiving(const struct h1_server *s)
{
    return s->rx >= RX_LENGTH && s->rx <= RX_TRAILERS;
}

/* --- connections -------------------------------------------------------------------------------- */

static void to_list(struct h1_server *s, struct list *l)
{
    list_del(&s->node);
    list_push(l, &s->node);
}

static void count(struct h1_servers *all, int by)
{
    all->n += (uint32_t)by;
    all->net->gather.open += (uint32_t)by;
    board_add(&all->net->count->client_active, (uint64_t)(int64_t)by);
    if (all->shown)
        atomic_fetch_add_explicit(all->shown, (uint32_t)by, memory_order_relaxed);
}

static void leave_idle(struct h1_server *s)
{
    if (s->rx != RX_IDLE)
        return;
    s->c.flags &= ~(uint32_t)CONN_F_RESTS;
    s->all->n_idle--;
    s->all->net->gather.open++;
    to_list(s, &s->all->busy);
}

/* Whatever is not written is lost. */
static void close_now(struct h1_server *s)
{
    leave_idle(s);
    s->rx = RX_CLOSING;
    timer_stop(&s->timer);
    chunkq_clear(&s->ahead, &s->c.net->chunks);
    conn_close(&s->c);
}

/* The same, and the client sees that something is missing. */
static void reset_now(struct h1_server *s)
{
    conn_reset(&s->c);
    close_now(s);
}

static void free_work(struct h1_server *s)
{
    if (!s->work)
        return;
    slab_put(&s->all->works, s->work);
    s->work = NULL;
}

static void on_closed(struct conn *c)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    struct h1_servers *all = s->all;
    must(!s->stream.user);
    timer_close(&s->timer);
    list_del(&s->node);
    free_work(s);
    count(all, -1);
    slab_put(&all->conns, s);
}

static void go_idle(struct h1_server *s)
{
    s->rx = RX_IDLE;
    s->tx = TX_NONE;
    if (!s->ahead.n)
        s->c.flags |= CONN_F_RESTS;
    s->all->n_idle++;
    s->all->net->gather.open--;
    to_list(s, &s->all->idle);
    s->since_ms = s->c.net->now_ms;
    /* An answer that the client has not taken is watched like a running one. */
    uint32_t wait = conn_queued(&s->c) > SMALL_ANSWER ? CHECK_MS : s->all->settings.idle_timeout_ms;
    timer_set(&s->c.net->timers, &s->timer, s->since_ms + wait);
}

static void start_rates(struct h1_server *s)
{
    s->mark_ms = s->c.net->now_ms;
    s->mark_sent = s->c.sent;
    s->body_credit_ms = (int32_t)s->all->settings.body_grace_ms;
    s->send_credit_ms = (int32_t)s->all->settings.send_grace_ms;
    timer_set(&s->c.net->timers, &s->timer, s->mark_ms + (conn_is_deaf(&s->c) ? DEAF_MS : CHECK_MS));
}

/* The connection is to end: from here on it lives for a bounded time. */
static void look_soon(struct h1_server *s)
{
    timer_set(&s->c.net->timers, &s->timer, s->c.net->now_ms + CHECK_MS);
}

/* Our side is closed once the answer is written; the client's bytes are thrown away meanwhile. */
static void linger(struct h1_server *s)
{
    conn_hear(&s->c);
    leave_idle(s);
    s->rx = RX_LINGER;
    s->since_ms = s->c.net->now_ms;
    look_soon(s);
    s->requests = 0; /* counts what is thrown away */
    chunkq_clear(&s->ahead, &s->c.net->chunks);
    if (s->c.flags & CONN_F_END) {
        s->rx = RX_CLOSING;
        conn_finish(&s->c);
    } else {
        conn_shutdown(&s->c);
        conn_resume(&s->c, CONN_PAUSE_PEER);
        conn_resume(&s->c, CONN_PAUSE_CODEC);
    }
}

static void finish(struct h1_server *s)
{
    leave_idle(s);
    s->rx = RX_CLOSING;
    look_soon(s);
    chunkq_clear(&s->ahead, &s->c.net->chunks);
    conn_finish(&s->c);
}

/* --- requests ------------------------------------------------------------------------------------------ */

static bool begin_request(struct h1_server *s)
{
    struct h1_servers *all = s->all;
    struct h1_work *w = slab_get(&all->works);
    if (!w || !all->host->open(all->host, &s->stream)) {
        if (w)
            slab_put(&all->works, w);
        close_now(s);
        return false;
    }
    leave_idle(s);
    s->work = w;
    s->rx = RX_HEAD;
    s->tx = TX_NONE;
    s->keep = false;
    s->stream.flags = s->c.flags & CONN_F_END ? STREAM_F_HALF : 0;
    s->since_ms = s->c.net->now_ms;
    s->requests++;
    start_rates(s);
    h1_request_begin(s);
    return true;
}

static void next_request(struct h1_server *s);

static size_t take_discard(struct h1_server *s, size_t n)
{
    size_t k = s->work->left < n ? (size_t)s->work->left : n;
    s->work->left -= k;
    s->work->got += k;
    if (s->work->left == 0) {
        free_work(s);
        next_request(s);
    }
    return k;
}

/* --- bytes ------------------------------------------------------------------------------------------ */

/* No further byte has a use now: a request runs, or answers pile up that the client does not take (then
 * on_writable goes on). */
static bool must_wait(struct h1_server *s)
{
    return s->rx == RX_DONE ? !s->bad : s->rx == RX_IDLE && conn_full(&s->c);
}

/* Uses bytes as far as the phase allows; returns how many. */
static size_t feed(struct h1_server *s, const char *data, size_t n)
{
    size_t at = 0;
    s->feeding = true;
    while (at < n && !conn_is_closed(&s->c) && !must_wait(s)) {
        size_t used = 0;
        switch ((enum rx)s->rx) {
        case RX_IDLE:
            if (!begin_request(s))
                break;
            /* fall through */
        case RX_HEAD:
            used = h1_take_head(s, data + at, n - at);
            break;
        case RX_LENGTH:
            used = h1_take_length(s, data + at, n - at);
            break;
        case RX_CHUNKED:
            used = h1_take_chunked(s, data + at, n - at);
            break;
        case RX_TRAILERS:
            used = h1_take_trailers(s, data + at, n - at);
            break;
        case RX_DISCARD:
            used = take_discard(s, n - at);
            break;
        case RX_TUNNEL:
            s->stream.ev->on_body(&s->stream, data + at, n - at, false);
            used = n - at;
            break;
        case RX_LINGER:
            s->requests += (uint32_t)(n - at);
            if (s->requests > H1_LINGER_MAX)
                close_now(s);
            used = n - at;
            break;
        case RX_DONE: /* behind a bad message */
        case RX_CLOSING:
            used = n - at; /* nobody will read it */
            break;
        }
        at += used;
    }
    s->feeding = false;
    return at;
}

static void keep_ahead(struct h1_server *s, const char *data, size_t n)
{
    if (s->bad)
        return;
    if (!chunkq_add(&s->ahead, &s->c.net->chunks, data, n)) {
        close_now(s);
        if (s->stream.user)
            s->stream.ev->on_abort(&s->stream, REASON_MEMORY);
        return;
    }
    if (s->ahead.n >= H1_AHEAD_MAX)
        conn_pause(&s->c, CONN_PAUSE_CODEC);
}

/* What was read ahead, as far as the phase allows now. */
static void feed_ahead(struct h1_server *s)
{
    while (s->ahead.n && !conn_is_closed(&s->c)) {
        struct str front = chunkq_front(&s->ahead);
        size_t used = feed(s, front.p, front.n);
        if (conn_is_closed(&s->c) || !s->ahead.n)
            return;
        if (used)
            net_flush(s->c.net); /* slices of the chunk may wait to be written */
        chunkq_drop(&s->ahead, &s->c.net->chunks, used);
        if (used < front.n)
            break;
    }
    if (s->ahead.n < H1_AHEAD_MAX)
        conn_resume(&s->c, CONN_PAUSE_CODEC);
}

/* The preface is there, `seen` bytes of it from earlier reads. False: nobody takes it. */
static bool hand_over(struct h1_server *s, size_t seen, const char *data, size_t n)
{
    char *all = NULL;
    if (seen) {
        all = conn_room(&s->c, seen + n);
        if (!all)
            return false;
        memcpy(all, H2_PREFACE, seen);
        memcpy(all + seen, data, n);
    }
    if (!s->all->take_h2(s->all, &s->c, &s->link, all ? all : data, seen + n))
        return false;
    leave_idle(s);
    s->rx = RX_CLOSING;
    timer_stop(&s->timer);
    return true;
}

/* The first bytes of the connection. True: they are, so far or altogether, the preface of HTTP/2. */
static bool take_preface(struct h1_server *s, const char *data, size_t n)
{
    size_t seen = s->preface, k = GH_MIN(n, H2_PREFACE_LEN - seen);
    if (!s->all->take_h2 || s->requests || s->rx != RX_IDLE || s->ahead.n || s->link.tls)
        return false;
    if (memcmp(data, &H2_PREFACE[seen], k) == 0) {
        s->preface += (uint8_t)k;
        if (s->preface == H2_PREFACE_LEN)
            return hand_over(s, seen, data, n);
        if (!seen) {
            s->since_ms = s->c.net->now_ms;
            timer_set(&s->c.net->timers, &s->timer, s->since_ms + s->all->settings.header_timeout_ms);
        }
        return true;
    }
    s->preface = 0;
    if (seen)
        feed(s, H2_PREFACE, seen);
    return conn_is_closed(&s->c);
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    if (take_preface(s, data, n))
        return;
    size_t used = s->ahead.n ? 0 : feed(s, data, n);
    if (used < n && !conn_is_closed(c))
        keep_ahead(s, data + used, n - used);
    if (s->rx == RX_DONE && !s->bad)
        conn_calm(c);
}

static void check_end(struct h1_server *s);

static void on_kick(struct conn *c)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    feed_ahead(s);
    if (!conn_is_closed(c) && (c->flags & CONN_F_END) && !s->ahead.n)
        check_end(s);
}

static void abort_exchange(struct h1_server *s, enum reason why)
{
    close_now(s);
    if (s->stream.user)
        s->stream.ev->on_abort(&s->stream, why);
}

/* The client has closed its side, and everything before that is used. */
static void check_end(struct h1_server *s)
{
    switch ((enum rx)s->rx) {
    case RX_IDLE:
    case RX_LINGER:
    case RX_DISCARD:
        finish(s);
        break;
    case RX_TUNNEL:
        if (conn_cut(&s->c)) {
            abort_exchange(s, REASON_CLIENT_ABORT);
            break;
        }
        s->rx = RX_DONE;
        s->stream.ev->on_body(&s->stream, NULL, 0, true);
        break;
    case RX_DONE:
        s->stream.flags |= STREAM_F_HALF;
        s->since_ms = s->c.net->now_ms;
        break;
    case RX_CLOSING:
        break;
    default:
        abort_exchange(s, REASON_CLIENT_ABORT); /* in the middle of its request */
    }
}

static void on_end(struct conn *c)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    if (!s->ahead.n || s->rx == RX_DONE)
        check_end(s);
}

static void on_error(struct conn *c, int err)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    (void)err;
    abort_exchange(s, REASON_CLIENT_ABORT);
}

static void on_writable(struct conn *c)
{
    struct h1_server *s = CONTAINER_OF(c, struct h1_server, c);
    if (s->stream.user)
        s->stream.ev->on_writable(&s->stream);
    else if (s->rx == RX_IDLE && s->ahead.n)
        conn_kick(c);
}

static const struct conn_events EVENTS = {
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_kick = on_kick,
    .on_error = on_error,
    .on_closed = on_closed,
};

/* --- time ------------------------------------------------------------------------------------------- */

static bool body_in_time(struct h1_server *s, uint64_t dt_ms)
{
    struct h1_work *w = s->work;
    if ((!receiving(s) && s->rx != RX_DISCARD) || s->c.paused)
        return true;
    uint64_t got = w->got;
    w->got = 0;
    if (h1_pay(&s->body_credit_ms, dt_ms, got, s->all->settings.body_min_rate, s->all->settings.body_grace_ms))
        return true;
    board_add(&s->c.net->count->timeouts_body, 1);
    if (s->rx == RX_DISCARD)
        finish(s);
    else
        h1_bad_body(s, REASON_CLIENT_TIMEOUT);
    return false;
}

static void answer_in_time(struct h1_server *s, uint64_t dt_ms)
{
    uint64_t took = s->c.sent - s->mark_sent;
    s->mark_sent = s->c.sent;
    if (!conn_queued(&s->c) || s->rx == RX_TUNNEL || s->tx == TX_TUNNEL) {
        s->send_credit_ms = (int32_t)s->all->settings.send_grace_ms;
        return;
    }
    if (h1_pay(&s->send_credit_ms, dt_ms, took, s->all->settings.send_min_rate, s->all->settings.send_grace_ms))
        return;
    board_add(&s->c.net->count->timeouts_send, 1);
    reset_now(s);
    if (s->stream.user)
        s->stream.ev->on_abort(&s->stream, REASON_CLIENT_SLOW_READER);
}

static void on_timer(struct timer *t)
{
    struct h1_server *s = CONTAINER_OF(t, struct h1_server, timer);
    struct net *n = s->c.net;
    uint64_t now = n->now_ms, dt = now - s->mark_ms, next = now + CHECK_MS;
    s->mark_ms = now;
    conn_hear(&s->c);
    switch ((enum rx)s->rx) {
    case RX_IDLE: {
        uint64_t end = s->since_ms + (s->preface ? s->all->settings.header_timeout_ms : s->all->settings.idle_timeout_ms);
        if (!conn_queued(&s->c) && now >= end) {
            board_add(s->preface ? &n->count->timeouts_header : &n->count->closed_idle, 1);
            close_now(s);
            return;
        }
        if (!conn_queued(&s->c))
            next = end;
        break;
    }
    case RX_HEAD: {
        uint64_t end = s->since_ms + s->all->settings.header_timeout_ms;
        if (now >= end) {
            board_add(&n->count->timeouts_header, 1);
            h1_refuse(s, REASON_CLIENT_TIMEOUT, NULL);
        } else {
            next = GH_MIN(next, end);
        }
        break;
    }
    case RX_DISCARD: /* besides the minimum rate of bodies, which may be off */
        if (now - s->since_ms >= s->all->settings.idle_timeout_ms)
            finish(s);
        break;
    case RX_LINGER:
        if (now - s->since_ms >= H1_LINGER_MS && !conn_queued(&s->c)) {
            close_now(s);
            return;
        }
        break;
    case RX_DONE:
        if (conn_queued(&s->c))
            s->since_ms = now;
        if ((s->stream.flags & STREAM_F_HALF) && s->tx <= TX_BODY && s->stream.user &&
            now - s->since_ms >= H1_HALF_CLOSE_MS) {
            abort_exchange(s, REASON_CLIENT_ABORT);
            return;
        }
        break;
    default:
        if (!receiving(s) && !conn_queued(&s->c))
            next = now + CALM_CHECK_MS;
        break;
    }
    if (conn_is_closed(&s->c))
        return;
    timer_set(&n->timers, &s->timer, next);
    if (body_in_time(s, dt))
        answer_in_time(s, dt);
}

/* --- the answer ------------------------------------------------------------------------------------- */

/* May the connection live on after the answer whose head is about to be sent? */
static bool may_keep(struct h1_server *s, const struct http_head *h)
{
    const struct h1_work *w = s->work;
    if (s->bad || h->close || !w->h1.keep_alive)
        return false;
    if (receiving(s)) {
        /* A client that waits for 100 may send the body now, or not: nobody can tell. */
        if (w->h1.expect_continue && !w->continued && !w->got)
            return false;
        if (s->rx != RX_LENGTH || w->left > H1_DISCARD_MAX)
            return false;
    }
    return s->all->host->keep(s->all->host, &s->link, s->requests);
}

/* The pause in the answer is over. */
static void goes_on(struct h1_server *s)
{
    if (s->rx == RX_DONE)
        s->since_ms = s->c.net->now_ms;
}

static bool send_head(struct stream *st, const struct http_head *h, bool end)
{
    struct h1_server *s = of_stream(st);
    struct h1_work *w = s->work;
    bool interim = h->status < 200 && h->status != 101;
    if (s->mute)
        return false;
    if (s->tx != TX_NONE || (interim && w->minor == 0))
        return s->tx == TX_NONE;
    if (!interim)
        s->keep = h->status != 101 && may_keep(s, h);
    struct h1_answer a = {
        .head = h,
        .to_head = w->h1.method_id == METHOD_HEAD,
        .minor = w->minor,
        .keep = s->keep,
        .end = end,
    };
    if (!h1_write_answer(&s->c, &a, &w->out))
        return false;
    if (interim) {
        w->continued = w->continued || h->status == 100;
        return true;
    }
    s->keep = a.keep;
    if (h->status == 101) {
        s->tx = TX_TUNNEL;
        s->rx = RX_TUNNEL;
        s->stream.flags |= STREAM_F_TUNNEL;
        conn_hear(&s->c);
        w->out.kind = H1_OUT_RAW;
        if (s->ahead.n || (s->c.flags & CONN_F_END))
            conn_kick(&s->c);
        return true;
    }
    s->tx = end ? TX_DONE : TX_BODY;
    goes_on(s);
    return true;
}

static bool send_body(struct stream *st, const char *data, size_t n, bool end)
{
    struct h1_server *s = of_stream(st);
    if (s->tx == TX_TUNNEL) {
        if (end || !conn_write_now(&s->c, data, n))
            conn_write(&s->c, data, n);
        if (end)
            conn_shutdown(&s->c);
    } else if (s->tx == TX_BODY) {
        h1_write_body(&s->c, &s->work->out, data, n, end);
        h1_limit_queue(&s->c, &s->work->out);
        goes_on(s);
        if (end)
            s->tx = TX_DONE;
    }
    return conn_full(&s->c);
}

static void send_trailers(struct stream *st, const struct http_field *f, size_t n)
{
    struct h1_server *s = of_stream(st);
    if (s->tx != TX_BODY)
        return;
    h1_write_trailers(&s->c, &s->work->out, f, n);
    s->tx = TX_DONE;
}

static void pause_body(struct stream *st)
{
    conn_pause(&of_stream(st)->c, CONN_PAUSE_PEER);
}

static void resume_body(struct stream *st)
{
    conn_resume(&of_stream(st)->c, CONN_PAUSE_PEER);
}

/* The answer can't be completed: that must show. A length or chunks show it by the missing rest; an
 * answer that ends with the connection only by a reset. */
static void abort_answer(struct stream *st)
{
    struct h1_server *s = of_stream(st);
    if (s->tx == TX_BODY && s->work->out.kind == H1_OUT_RAW) {
        reset_now(s);
    } else {
        start_rates(s);
        finish(s);
    }
}

/* The request is over on both sides and the connection lives. */
static void next_request(struct h1_server *s)
{
    conn_hear(&s->c);
    go_idle(s);
    if (s->feeding)
        return;
    if (s->ahead.n)
        conn_kick(&s->c);
    else if (s->c.flags & CONN_F_END)
        finish(s);
}

static void release(struct stream *st)
{
    struct h1_server *s = of_stream(st);
    st->user = NULL;
    st->ev = NULL;
    st->arena = NULL;
    if (conn_is_closed(&s->c) || s->rx == RX_CLOSING)
        return;
    conn_resume(&s->c, CONN_PAUSE_PEER);
    if (s->tx == TX_TUNNEL) {
        finish(s);
    } else if (s->tx != TX_DONE) {
        close_now(s);
    } else if (s->keep && s->rx == RX_DONE) {
        free_work(s);
        next_request(s);
    } else if (s->keep && s->rx == RX_LENGTH) {
        s->rx = RX_DISCARD;
        s->since_ms = s->c.net->now_ms;
    } else if (s->rx == RX_DONE && !s->bad && !s->ahead.n && !s->work->h1.keep_alive &&
               !(conn_is_deaf(&s->c) && conn_heard(&s->c, true))) {
        finish(s); /* the client's wish: it sends nothing more */
    } else {
        linger(s);
    }
}

static const struct stream_ops OPS = {
    .send_head = send_head,
    .send_body = send_body,
    .send_trailers = send_trailers,
    .pause = pause_body,
    .resume = resume_body,
    .abort = abort_answer,
    .release = release,
};

/* --- all of them ------------------------------------------------------------------------------------ */

int h1_servers_init(struct h1_servers *all, struct net *n, struct server_host *host)
{
    static const struct h1_settings FIRST = {
        .limits = {64 * 1024, 16 * 1024, 100},
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 75000,
        .body_grace_ms = 10000,
        .body_min_rate = 240,
        .send_grace_ms = 30000,
        .send_min_rate = 240,
    };
    memset(all, 0, sizeof(*all));
    all->net = n;
    all->host = host;
    list_init(&all->idle);
    list_init(&all->busy);
    slab_init(&all->conns, sizeof(struct h1_server), 256);
    slab_init(&all->works, sizeof(struct h1_work), 256);
    return h1_servers_set(all, &FIRST) ? 0 : GH_E_NOMEM;
}

void h1_servers_fini(struct h1_servers *all)
{
    must(all->n == 0);
    free(all->fields);
    slab_fini(&all->conns);
    slab_fini(&all->works);
}

bool h1_servers_set(struct h1_servers *all, const struct h1_settings *s)
{
    struct http_field *f = malloc(GH_MAX(s->limits.max_fields, 1) * sizeof(*f));
    if (!f)
        return false;
    free(all->fields);
    all->fields = f;
    all->settings = *s;
    return true;
}

/* What follows when the connection is there, whoever had it before. */
static void begin(struct h1_server *s, struct h1_servers *all, const struct stream_link *link)
{
    s->c.flags |= CONN_F_EAGER;
    s->all = all;
    s->link = *link;
    s->link.conn = &s->c;
    s->stream = (struct stream){.ops = &OPS, .link = &s->link};
    s->rx = RX_CLOSING; /* so that go_idle counts it */
    list_init(&s->node);
    timer_init(&s->timer, on_timer);
    count(all, 1);
    go_idle(s);
}

int h1_server_accept(struct h1_servers *all, int fd, const struct stream_link *link)
{
    struct h1_server *s = slab_get(&all->conns);
    if (!s) {
        close(fd);
        return GH_E_NOMEM;
    }
    memset(s, 0, sizeof(*s));
    int err = conn_accept(&s->c, all->net, fd, &EVENTS);
    if (err) {
        slab_put(&all->conns, s);
        return err;
    }
    begin(s, all, link);
    return 0;
}

int h1_server_take(struct h1_servers *all, struct conn *from, const struct stream_link *link, const char *data, size_t n)
{
    struct h1_server *s = slab_get(&all->conns);
    if (!s)
        return GH_E_NOMEM;
    memset(s, 0, sizeof(*s));
    conn_move(from, &s->c, &EVENTS);
    s->c.read_max = NET_SCRATCH;
    begin(s, all, link);
    if (n)
        on_read(&s->c, (char *)(uintptr_t)data, n);
    return 0;
}

uint32_t h1_servers_close_idle(struct h1_servers *all, uint32_t max,
                               bool (*which)(void *ctx, const struct stream_link *l), void *ctx)
{
    uint32_t n = 0;
    LIST_EACH(it, &all->idle)
    {
        struct h1_server *s = LIST_ITEM(it, struct h1_server, node);
        if (n == max)
            break;
        if (which && !which(ctx, &s->link))
            continue;
        close_now(s);
        n++;
    }
    return n;
}

static bool may_bring_a_request(const struct h1_server *s)
{
    int n = 0;
    if (ioctl(s->c.fd, FIONREAD, &n) == 0 && n > 0)
        return true;
    return s->requests == 0 && s->c.net->now_ms - s->since_ms < H1_FRESH_MS;
}

void h1_servers_drain(struct h1_servers *all)
{
    LIST_EACH(it, &all->idle)
    {
        struct h1_server *s = LIST_ITEM(it, struct h1_server, node);
        if (!may_bring_a_request(s))
            close_now(s);
    }
}

void h1_servers_close_all(struct h1_servers *all)
{
    h1_servers_close_idle(all, UINT32_MAX, NULL, NULL);
    LIST_EACH(it, &all->busy)
    {
        struct h1_server *s = LIST_ITEM(it, struct h1_server, node);
        if (!conn_is_closed(&s->c))
            abort_exchange(s, REASON_CLIENT_ABORT);
    }
}
