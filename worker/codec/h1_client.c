#include "worker/codec/h1_client.h"
#include "shared/http/websocket.h"

#include <stdlib.h>

#define HEAD_FIRST   2048

enum rx {
    RX_CONNECTING,
    RX_IDLE,     /* no request */
    RX_HEAD,     /* request on its way; waiting for a head, or for the next after an interim one */
    RX_LENGTH,
    RX_CHUNKED,
    RX_TRAILERS,
    RX_CLOSE,    /* content until the end of the connection */
    RX_TUNNEL,
    RX_DONE,     /* the answer is complete */
    RX_DEAD,
};

static const struct stream_ops OPS;

static struct h1_client *of_stream(struct stream *s)
{
    return CONTAINER_OF(s, struct h1_client, stream);
}

static void gone(struct h1_client *k)
{
    k->rx = RX_DEAD;
    conn_close(&k->c);
    if (k->told_gone)
        return;
    k->told_gone = true;
    k->owner->gone(k);
}

/* The answer will not be completed. */
static void fail(struct h1_client *k, enum reason why)
{
    k->reusable = false;
    if (!conn_is_closed(&k->c) && conn_unheard(&k->c, k->sent_before))
        k->stream.flags &= ~STREAM_F_WROTE;
    gone(k);
    if (k->stream.user)
        k->stream.ev->on_abort(&k->stream, why);
}

/* --- the head of an answer ---------------------------------------------------------------------- */

static void start_head(struct h1_client *k)
{
    k->rx = RX_HEAD;
    k->buf = STR_NONE;
    k->cap = 0;
    k->own_fields = k->begun = false;
}

/* With the first bytes, not before: limits and the shared array may be others by then. */
static void begin_head(struct h1_client *k)
{
    if (k->begun)
        return;
    k->begun = true;
    h1_parser_response(&k->parser, &k->h1, k->all->fields, k->all->limits.max_fields, &k->all->limits,
                       (enum http_method)k->method);
}

/* The lines so far, one of them perhaps half-read, move to an array of this answer. */
static bool own_fields(struct h1_client *k)
{
    size_t max = k->parser.max_fields, n = GH_MIN((size_t)k->h1.n_fields + 1, max);
    if (k->own_fields)
        return true;
    struct http_field *f = arena_room(k->stream.arena, max * sizeof(*f));
    if (!f)
        return false;
    memcpy(f, k->h1.fields, n * sizeof(*f));
    k->h1.fields = f;
    k->own_fields = true;
    return true;
}

static void fill_head(struct h1_client *k)
{
    const struct h1_head *from = &k->h1;
    k->head = (struct http_head){
        .status = from->status,
        .reason = from->reason,
        .major = 1,
        .minor = from->minor,
        .body = from->body == H1_BODY_NONE     ? BODY_NONE
                : from->body == H1_BODY_LENGTH ? BODY_LENGTH
                                               : BODY_STREAM,
        .has_length = from->has_length,
        .length = from->length,
        .upgrade = from->upgrade,
        .upgrade_to = from->upgrade_to,
        .fields = from->fields,
        .n_fields = from->n_fields,
        .absent = field_set_others(&from->ids),
        .no_underscores = !(from->any_flags & FIELD_F_UNDERSCORE),
        .cap_fields = k->parser.max_fields,
    };
}

/* What follows this head; RX_DONE when nothing does. */
static enum rx body_phase(struct h1_client *k)
{
    switch ((enum h1_body)k->h1.body) {
    case H1_BODY_LENGTH:
        k->left = k->h1.length;
        return k->left ? RX_LENGTH : RX_DONE;
    case H1_BODY_CHUNKED:
        k->chunked = (struct h1_chunked){0};
        return RX_CHUNKED;
    case H1_BODY_CLOSE:
        return RX_CLOSE;
    default:
        return RX_DONE;
    }
}

/* A key of ours was answered as RFC 6455 wants: by one who knows what it agrees to. */
static bool accepted(const struct h1_client *k)
{
    char accept[WEBSOCKET_ACCEPT_LEN];
    const struct http_field *f = h1_head_find(&k->h1, FIELD_SEC_WEBSOCKET_ACCEPT);
    if (!k->ws_key.n)
        return true;
    websocket_accept(k->ws_key, accept);
    return f && str_eq(f->value, str_of(accept, sizeof(accept)));
}

/* `more`: bytes follow in what was read. */
static void head_done(struct h1_client *k, bool more)
{
    if (k->h1.status == 101 && (!k->upgrade || !k->h1.upgrade || !accepted(k))) {
        fail(k, REASON_UPSTREAM_PROTOCOL);
        return;
    }
    fill_head(k); /* its lines may stay in the shared array: nothing else is parsed during on_head */
    if (k->h1.status < 200 && k->h1.status != 101) {
        if (++k->interim > H1_MAX_INTERIM) {
            fail(k, REASON_UPSTREAM_PROTOCOL);
            return;
        }
        k->stream.ev->on_head(&k->stream, &k->head, false);
        if (k->rx == RX_HEAD && k->stream.user)
            start_head(k);
        return;
    }
    k->rx = k->h1.status == 101 ? RX_TUNNEL : (uint8_t)body_phase(k);
    k->reusable = k->h1.keep_alive && k->rx != RX_CLOSE && k->rx != RX_TUNNEL && !(k->rx == RX_DONE && more);
    if (k->rx == RX_TUNNEL) {
        k->stream.flags |= STREAM_F_TUNNEL;
        k->out.kind = H1_OUT_RAW;
    }
    k->stream.ev->on_head(&k->stream, &k->head, k->rx == RX_DONE);
}

static bool grow_buf(struct h1_client *k, size_t want)
{
    size_t cap = k->cap ? k->cap * 2 : GH_MAX(want, (size_t)HEAD_FIRST);
    cap = GH_MIN(cap, GH_MAX((size_t)k->all->limits.max_head + 2, want));
    if (cap <= k->cap)
        return false;
    char *p = arena_room(k->stream.arena, cap);
    if (!p)
        return false;
    if (k->buf.n)
        memcpy(p, k->buf.p, k->buf.n);
    k->buf.p = p;
    k->cap = cap;
    return true;
}

/* Parses in place when it is all there, else out of a copy. *used: bytes of `data` that belong to it. */
static enum h1_result parse_some(struct h1_client *k, const char *data, size_t n, size_t *used)
{
    enum h1_result r;
    if (!k->buf.n) {
        r = h1_parse(&k->parser, data, n);
        *used = r == H1_DONE ? k->parser.used : n;
        if (r != H1_MORE)
            return r;
        if (n > k->all->limits.max_head || !grow_buf(k, n))
            return H1_ERROR;
        memcpy((char *)(uintptr_t)k->buf.p, data, n);
        k->buf.n = n;
        /* The parser's slices follow; the lines leave the array that all connections share. */
        h1_parse(&k->parser, k->buf.p, n);
        return own_fields(k) ? H1_MORE : H1_ERROR;
    }
    r = H1_MORE;
    *used = 0;
    while (*used < n && r == H1_MORE) {
        if (k->buf.n == k->cap && !grow_buf(k, 0))
            return H1_ERROR;
        size_t len = GH_MIN(n - *used, k->cap - k->buf.n);
        memcpy((char *)(uintptr_t)k->buf.p + k->buf.n, data + *used, len);
        k->buf.n += len;
        *used += len;
        r = h1_parse(&k->parser, k->buf.p, k->buf.n);
    }
    if (r == H1_DONE)
        *used -= k->buf.n - k->parser.used;
    return r;
}

static size_t take_head(struct h1_client *k, const char *data, size_t n)
{
    size_t used = 0;
    begin_head(k);
    switch (parse_some(k, data, n, &used)) {
    case H1_MORE:
        break;
    case H1_DONE:
        head_done(k, used < n);
        break;
    case H1_ERROR:
        fail(k, REASON_UPSTREAM_PROTOCOL);
        break;
    }
    return used;
}

/* --- its body --------------------------------------------------------------------------------------- */

static void give(struct h1_client *k, const char *data, size_t n, bool end)
{
    if (end)
        k->rx = RX_DONE;
    k->stream.ev->on_body(&k->stream, data, n, end);
}

static size_t take_length(struct h1_client *k, const char *data, size_t n)
{
    size_t len = k->left < n ? (size_t)k->left : n;
    k->left -= len;
    if (k->left == 0 && len < n)
        k->reusable = false; /* surplus */
    give(k, data, len, k->left == 0);
    return len;
}

static void start_trailers(struct h1_client *k)
{
    k->rx = RX_TRAILERS;
    k->buf = STR_NONE;
    k->cap = 0;
    k->own_fields = k->begun = false;
}

static void begin_trailers(struct h1_client *k)
{
    if (k->begun)
        return;
    k->begun = true;
    k->h1.reason = STR_NONE; /* the parser moves slices along with its buffer */
    h1_parser_trailers(&k->parser, &k->h1, k->all->fields, k->all->limits.max_fields, &k->all->limits);
}

static size_t take_chunked(struct h1_client *k, const char *data, size_t n)
{
    struct str piece;
    size_t used;
    switch (h1_chunked_next(&k->chunked, data, n, &used, &piece)) {
    case H1_CHUNK_MORE:
        break;
    case H1_CHUNK_DATA:
        give(k, piece.p, piece.n, false);
        break;
    case H1_CHUNK_LAST:
        start_trailers(k);
        break;
    case H1_CHUNK_ERROR:
        fail(k, REASON_UPSTREAM_PROTOCOL);
        break;
    }
    return used;
}

static size_t take_trailers(struct h1_client *k, const char *data, size_t n)
{
    size_t used = 0;
    if (!k->begun && n >= 2 && data[0] == '\r' && data[1] == '\n') {
        if (n > 2)
            k->reusable = false;
        give(k, NULL, 0, true);
        return 2;
    }
    begin_trailers(k);
    switch (parse_some(k, data, n, &used)) {
    case H1_MORE:
        break;
    case H1_DONE:
        if (used < n)
            k->reusable = false;
        k->rx = RX_DONE;
        k->stream.ev->on_trailers(&k->stream, k->h1.fields, k->h1.n_fields);
        break;
    case H1_ERROR:
        fail(k, REASON_UPSTREAM_PROTOCOL);
        break;
    }
    return used;
}

/* --- bytes ------------------------------------------------------------------------------------------ */

static void on_read(struct conn *c, char *data, size_t n)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    size_t at = 0;
    k->stream.flags |= STREAM_F_HEARD;
    if (k->rx == RX_IDLE) {
        gone(k); /* nobody asked: the connection is poisoned */
        return;
    }
    while (at < n) {
        if (conn_is_closed(c))
            return;
        switch ((enum rx)k->rx) {
        case RX_HEAD:
            at += take_head(k, data + at, n - at);
            break;
        case RX_LENGTH:
            at += take_length(k, data + at, n - at);
            break;
        case RX_CHUNKED:
            at += take_chunked(k, data + at, n - at);
            break;
        case RX_TRAILERS:
            at += take_trailers(k, data + at, n - at);
            break;
        case RX_CLOSE:
        case RX_TUNNEL:
            give(k, data + at, n - at, false);
            at = n;
            break;
        default: /* behind the answer; `reusable` is off, so this one ends with its stream */
            return;
        }
    }
}

static void on_end(struct conn *c)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    switch ((enum rx)k->rx) {
    case RX_CLOSE:
    case RX_TUNNEL:
        if (conn_cut(c)) { /* what ends with the connection may have lost its end */
            fail(k, REASON_UPSTREAM_RESET);
            break;
        }
        give(k, NULL, 0, true);
        break;
    case RX_DONE: /* waits for the end of the upload or for its release */
        k->reusable = false;
        break;
    case RX_DEAD:
        break;
    default:
        fail(k, REASON_UPSTREAM_RESET);
    }
}

static void on_error(struct conn *c, int err)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    (void)err;
    if (k->rx == RX_DONE && k->out.kind != H1_OUT_RAW) { /* the answer is safe; the upload has nobody to go to */
        k->reusable = false;
        conn_close(c);
        return;
    }
    fail(k, REASON_UPSTREAM_RESET);
}

static void on_connect(struct conn *c, int err)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    if (!err)
        k->rx = RX_IDLE;
    k->owner->connected(k, err);
}

static void on_writable(struct conn *c)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    if (k->stream.user)
        k->stream.ev->on_writable(&k->stream);
}

static void on_closed(struct conn *c)
{
    struct h1_client *k = CONTAINER_OF(c, struct h1_client, c);
    k->owner->closed(k);
}

static const struct conn_events EVENTS = {
    .on_connect = on_connect,
    .on_read = on_read,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_error = on_error,
    .on_closed = on_closed,
};

/* --- the request ------------------------------------------------------------------------------------- */

/* *more is the head with a key. False: no memory. */
static bool add_key(struct h1_client *k, const struct http_head *h, struct http_head *more)
{
    uint64_t random[2] = {rng_next(&k->c.net->rng), rng_next(&k->c.net->rng)};
    char *key = arena_room(k->stream.arena, WEBSOCKET_KEY_LEN);
    if (!key)
        return false;
    websocket_key((const uint8_t *)random, key);
    k->ws_key = str_of(key, WEBSOCKET_KEY_LEN);
    *more = *h;
    return head_set_id(more, k->stream.arena, FIELD_SEC_WEBSOCKET_KEY, k->ws_key);
}

static bool send_head(struct stream *s, const struct http_head *h, bool end)
{
    struct h1_client *k = of_stream(s);
    struct http_head more;
    k->method = (uint8_t)h->method_id;
    k->upgrade = h->upgrade;
    k->interim = 0;
    k->ws_key = STR_NONE;
    if (h->upgrade && h->major == 2 && str_ieq(h->upgrade_to, STR("websocket"))) {
        if (!add_key(k, h, &more))
            return false;
        h = &more;
    }
    if (k->rx != RX_IDLE || !h1_write_request(&k->c, h, &k->out))
        return false;
    k->requests++;
    k->sent_before = k->c.sent;
    k->sent = end;
    k->reusable = true;
    s->flags |= STREAM_F_WROTE;
    start_head(k);
    return true;
}

static bool send_body(struct stream *s, const char *data, size_t n, bool end)
{
    struct h1_client *k = of_stream(s);
    if (k->rx == RX_TUNNEL || k->out.kind == H1_OUT_RAW) {
        if (end || !conn_write_now(&k->c, data, n))
            conn_write(&k->c, data, n);
        if (end)
            conn_shutdown(&k->c);
    } else if (!k->sent) {
        h1_write_body(&k->c, &k->out, data, n, end);
        k->sent = end;
    }
    return conn_full(&k->c);
}

static void send_trailers(struct stream *s, const struct http_field *f, size_t n)
{
    struct h1_client *k = of_stream(s);
    if (!k->sent)
        h1_write_trailers(&k->c, &k->out, f, n);
    k->sent = true;
}

static void pause_body(struct stream *s)
{
    conn_pause(&of_stream(s)->c, CONN_PAUSE_PEER);
}

static void resume_body(struct stream *s)
{
    conn_resume(&of_stream(s)->c, CONN_PAUSE_PEER);
}

static void abort_request(struct stream *s)
{
    struct h1_client *k = of_stream(s);
    k->reusable = false;
    gone(k);
}

static void release(struct stream *s)
{
    struct h1_client *k = of_stream(s);
    s->user = NULL;
    s->ev = NULL;
    s->arena = NULL;
    if (conn_is_closed(&k->c)) {
        gone(k);
        return;
    }
    conn_resume(&k->c, CONN_PAUSE_PEER);
    if (k->rx == RX_DONE && k->sent && k->reusable && !conn_heard(&k->c, false)) {
        k->rx = RX_IDLE;
        k->owner->idle(k);
    } else if (k->rx == RX_DONE && k->out.kind == H1_OUT_RAW) {
        k->rx = RX_DEAD; /* a tunnel: what is queued still goes out */
        conn_finish(&k->c);
        if (!k->told_gone) {
            k->told_gone = true;
            k->owner->gone(k);
        }
    } else {
        gone(k);
    }
}

static const struct stream_ops OPS = {
    .send_head = send_head,
    .send_body = send_body,
    .send_trailers = send_trailers,
    .pause = pause_body,
    .resume = resume_body,
    .abort = abort_request,
    .release = release,
};

/* --- for the pool -------------------------------------------------------------------------------------- */

bool h1_clients_set(struct h1_clients *all, const struct h1_limits *limits)
{
    struct http_field *f = malloc(GH_MAX(limits->max_fields, 1) * sizeof(*f));
    if (!f)
        return false;
    free(all->fields);
    all->fields = f;
    all->limits = *limits;
    return true;
}

void h1_clients_fini(struct h1_clients *all)
{
    free(all->fields);
    all->fields = NULL;
}

int h1_client_connect(struct h1_client *k, struct h1_clients *all, const struct h1_client_owner *owner,
                      const struct sockaddr *to, socklen_t len)
{
    int err = conn_connect(&k->c, all->net, to, len, &EVENTS);
    if (err)
        return err;
    k->all = all;
    k->owner = owner;
    k->stream = (struct stream){.ops = &OPS};
    k->requests = 0;
    k->rx = RX_CONNECTING;
    k->sent = k->reusable = k->told_gone = false;
    k->own_fields = k->upgrade = false;
    k->buf = STR_NONE;
    k->cap = 0;
    k->out = (struct h1_out){H1_OUT_NONE, 0};
    return 0;
}

bool h1_client_usable(const struct h1_client *k, bool ask)
{
    return k->rx == RX_IDLE && !conn_heard(&k->c, ask);
}

struct stream *h1_client_stream(struct h1_client *k)
{
    must(k->rx == RX_IDLE && !k->stream.user);
    k->stream.flags = k->requests ? STREAM_F_REUSED : 0;
    return &k->stream;
}

void h1_client_close(struct h1_client *k)
{
    k->told_gone = true; /* the owner knows */
    k->rx = RX_DEAD;
    conn_close(&k->c);
}
