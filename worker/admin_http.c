/*
 * admin_http.c - the connections of the admin process.
 *
 *   HEAD ──► BODY ──► HANDLING ──► SENDING ──► HEAD ...        kept alive, pipelined requests one by one
 *    │         │         │            └──────► LINGER ──► closed   the answer is out, the rest is thrown away
 *    └─────────┴─────────┴── timeout, EOF ────────────────► closed
 */
#include "worker/admin_http.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/http/status.h"
#include "worker/codec/h1_parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#define IN_SIZE      16384
#define HEAD_MAX     8192
#define MAX_FIELDS   64
#define ACCEPT_BURST 16
#define ACCEPT_PAUSE_MS 100
#define LINGER_MS    1000
#define SMALL        1024 /* an answer that is no burden */

const struct admin_limits ADMIN_LIMITS_DEFAULT = {
    .max_tcp = 128, .max_unix = 64, .head_ms = 10000, .idle_ms = 60000, .send_ms = 30000,
    .max_body = 65536, .max_held = 256u << 20,
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_HANDLING, CONN_SENDING, CONN_LINGER, CONN_CLOSED };

struct admin_conn {
    struct list link;      /* of http->conns, oldest activity first */
    struct list parked;    /* of the handler's list */
    uint64_t parked_data;
    struct admin_http *http;
    union {
        uv_tcp_t tcp;
        uv_pipe_t pipe;
        uv_stream_t stream;
        uv_handle_t handle;
    } u;
    uv_timer_t timer;
    unsigned handles;
    bool local, keep_alive, head_only, eof, in_advance, reading;
    enum conn_state state;
    struct h1_parser parser;
    struct h1_head head;
    struct http_field fields[MAX_FIELDS];
    size_t used;           /* bytes of the request that is handled */
    uint64_t body_left;
    size_t in_n;
    size_t queued;         /* what the socket had not taken at the last look */
    char in[IN_SIZE];
};

struct admin_listener {
    struct list link;
    struct admin_http *http;
    uv_poll_t poll;
    uv_timer_t pause;      /* while descriptors are short */
    unsigned handles;
    uint64_t id;
    int fd;
    bool local;
};

struct admin_http {
    struct admin_http_config c;
    struct list conns, listeners;
    unsigned n[2];         /* TCP, unix */
    size_t held;
    unsigned users;        /* things that point here and are not yet closed by libuv, and one for the owner */
    bool draining;
};

struct admin_write {
    uv_write_t req;
    struct admin_conn *conn;
    struct buf head, body;
    void (*release)(void *owner);
    void *owner;
    size_t size;
};

static void conn_advance(struct admin_conn *c);

static void http_drop(struct admin_http *h)
{
    if (--h->users == 0)
        free(h);
}

/* ---- closing ---- */

static void on_conn_closed(uv_handle_t *handle)
{
    struct admin_conn *c = handle->data;
    if (--c->handles > 0)
        return;
    http_drop(c->http);
    free(c);
}

static void conn_close(struct admin_conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    list_del(&c->link);
    list_del(&c->parked);
    c->http->n[c->local]--;
    uv_close(&c->u.handle, on_conn_closed);
    uv_close((uv_handle_t *)&c->timer, on_conn_closed);
}

static void on_timer(uv_timer_t *t);

static void conn_deadline(struct admin_conn *c, uint64_t ms)
{
    uv_timer_start(&c->timer, on_timer, ms, 0);
}

static void conn_state(struct admin_conn *c, enum conn_state s)
{
    c->state = s;
    list_del(&c->link); /* newest activity last */
    list_push(&c->http->conns, &c->link);
}

static void on_timer(uv_timer_t *t)
{
    struct admin_conn *c = t->data;
    size_t queued = uv_stream_get_write_queue_size(&c->u.stream);
    switch (c->state) {
    case CONN_HANDLING:
        c->http->c.expired(c->http->c.arg, c);
        return;
    case CONN_SENDING: /* slow is fine, stopped is not */
        if (queued < c->queued) {
            c->queued = queued;
            conn_deadline(c, c->http->c.limits.send_ms);
            return;
        }
        break;
    case CONN_HEAD:
        if (c->in_n > 0) {
            c->keep_alive = false;
            c->used = 0;
            admin_answer_error(c, 408, "the request did not arrive in time");
            return;
        }
        break;
    default:
        break;
    }
    conn_close(c);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *b)
{
    struct admin_conn *c = handle->data;
    (void)size;
    *b = uv_buf_init(c->in + c->in_n, (unsigned)(IN_SIZE - c->in_n));
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct admin_conn *c = s->data;
    (void)b;
    if (n == 0)
        return;
    if (n < 0) {
        c->eof = true;
        bool waits_for_more = c->state == CONN_HEAD || c->state == CONN_BODY || c->state == CONN_LINGER;
        if (n != UV_EOF || waits_for_more || !list_empty(&c->parked))
            conn_close(c);
        else
            uv_read_stop(s);
        return;
    }
    if (c->state == CONN_LINGER)
        return;
    c->in_n += (size_t)n;
    if (c->in_n == IN_SIZE) {
        uv_read_stop(s);
        c->reading = false;
    }
    conn_advance(c);
}

static void conn_read(struct admin_conn *c)
{
    if (!c->reading && !c->eof && c->in_n < IN_SIZE && uv_read_start(&c->u.stream, on_alloc, on_read) == 0)
        c->reading = true;
}

static void begin_request(struct admin_conn *c)
{
    static const struct h1_limits limits = {HEAD_MAX, HEAD_MAX / 2, MAX_FIELDS};
    h1_parser_request(&c->parser, &c->head, c->fields, MAX_FIELDS, &limits);
    c->head_only = false;
    c->used = 0;
    conn_state(c, CONN_HEAD);
    conn_deadline(c, c->in_n ? c->http->c.limits.head_ms : c->http->c.limits.idle_ms);
}

static void take_bytes(struct admin_conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->in_n - n);
    c->in_n -= n;
}

static void handle_request(struct admin_conn *c)
{
    const struct http_field *accept = h1_head_find(&c->head, FIELD_ACCEPT);
    struct admin_request r = {
        .method = c->head.method, .method_id = c->head.method_id,
        .path = c->head.parts.path, .query = c->head.parts.query,
        .accept = accept ? accept->value : STR_NONE, .local = c->local,
    };
    conn_state(c, CONN_HANDLING);
    uv_timer_stop(&c->timer);
    board_add(&c->http->c.me->counters.admin_requests, 1);
    c->http->c.handle(c->http->c.arg, c, &r);
}

/* The head is complete: may this request be handled? */
static bool accept_head(struct admin_conn *c)
{
    c->used = c->parser.used;
    c->head_only = c->head.method_id == METHOD_HEAD;
    c->keep_alive = c->head.keep_alive && !c->http->draining;
    c->body_left = c->head.body == H1_BODY_LENGTH ? c->head.length : 0;
    if (c->head.body == H1_BODY_CHUNKED) {
        c->keep_alive = false;
        admin_answer_error(c, 411, "a request body needs a Content-Length here");
    } else if (c->body_left > c->http->c.limits.max_body) {
        c->keep_alive = false;
        admin_answer_error(c, 413, "the request body is too large");
    } else {
        return true;
    }
    board_add(&c->http->c.me->counters.admin_refused, 1);
    return false;
}

static void refuse_head(struct admin_conn *c)
{
    c->keep_alive = false;
    board_add(&c->http->c.me->counters.admin_refused, 1);
    admin_answer_error(c, h1_error_status(c->parser.error), "%s", h1_error_text(c->parser.error));
}

/* The body stands behind the head in `in`; it is dropped, and the head is kept for the handler. */
static bool skip_body(struct admin_conn *c)
{
    uint64_t have = GH_MIN((uint64_t)(c->in_n - c->used), c->body_left);
    memmove(c->in + c->used, c->in + c->used + have, c->in_n - c->used - (size_t)have);
    c->in_n -= (size_t)have;
    c->body_left -= have;
    return c->body_left == 0;
}

static void conn_step(struct admin_conn *c)
{
    if (c->state == CONN_HEAD && c->in_n) {
        if (!c->parser.base) /* first byte of this request */
            conn_deadline(c, c->http->c.limits.head_ms);
        enum h1_result r = h1_parse(&c->parser, c->in, c->in_n);
        if (r == H1_ERROR) {
            refuse_head(c);
        } else if (r == H1_DONE && accept_head(c)) {
            conn_state(c, CONN_BODY);
            conn_deadline(c, c->http->c.limits.head_ms);
        }
    }
    if (c->state == CONN_BODY && skip_body(c))
        handle_request(c);
}

/* Goes on as far as the bytes at hand allow. An answer that is taken at once leads to the next request here
 * and not in a deeper call. */
static void conn_advance(struct admin_conn *c)
{
    if (c->in_advance)
        return;
    c->in_advance = true;
    enum conn_state before;
    size_t in_n;
    do {
        before = c->state;
        in_n = c->in_n;
        conn_step(c);
    } while ((c->state == CONN_HEAD || c->state == CONN_BODY) && (c->state != before || c->in_n != in_n));
    c->in_advance = false;
    if (c->state != CONN_CLOSED)
        conn_read(c);
}

/* ---- answering ---- */

static void after_answer(struct admin_conn *c)
{
    if (c->keep_alive && !c->http->draining && !c->eof) {
        take_bytes(c, c->used);
        begin_request(c);
        conn_advance(c);
        return;
    }
    conn_state(c, CONN_LINGER);
    c->in_n = 0;
    int fd;
    if (uv_fileno(&c->u.handle, &fd) == 0)
        shutdown(fd, SHUT_WR);
    if (c->eof) {
        conn_close(c);
        return;
    }
    conn_deadline(c, LINGER_MS);
    conn_read(c);
}

static void write_free(struct admin_write *w)
{
    w->conn->http->held -= w->size;
    buf_fini(&w->head);
    buf_fini(&w->body);
    if (w->release)
        w->release(w->owner);
    free(w);
}

static void on_written(uv_write_t *req, int status)
{
    struct admin_write *w = CONTAINER_OF(req, struct admin_write, req);
    struct admin_conn *c = w->conn;
    write_free(w);
    if (c->state == CONN_CLOSED)
        return;
    if (status < 0)
        conn_close(c);
    else
        after_answer(c);
}

static void put_head(struct buf *b, const struct admin_answer *a, uint64_t length, bool keep_alive)
{
    char date[40];
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    struct str line = http_status_line(a->status);
    must(line.n > 0);
    buf_adds(b, line);
    buf_addf(b, "Date: %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\nCache-Control: no-store\r\n"
                "X-Content-Type-Options: nosniff\r\n", date, a->type, (unsigned long long)length);
    if (a->allow)
        buf_addf(b, "Allow: %s\r\n", a->allow);
    if (a->policy)
        buf_addf(b, "Content-Security-Policy: %s\r\nX-Frame-Options: DENY\r\n", a->policy);
    buf_addf(b, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
}

/* What is left of `w` after as much as possible was written at once. */
static int start_write(struct admin_conn *c, struct admin_write *w, uv_buf_t *v, unsigned n)
{
    int done = uv_try_write(&c->u.stream, v, n);
    if (done < 0 && done != UV_EAGAIN)
        return done;
    size_t left = done > 0 ? (size_t)done : 0;
    while (n && left >= v->len) {
        left -= v->len;
        v++;
        n--;
    }
    if (n == 0)
        return 1;
    v->base += left;
    v->len -= left;
    int rc = uv_write(&w->req, &c->u.stream, v, n, on_written);
    return rc < 0 ? rc : 0;
}

static void answer_forget(const struct admin_answer *a)
{
    struct buf body = a->body;
    buf_fini(&body);
    if (a->release)
        a->release(a->owner);
}

void admin_answer(struct admin_conn *c, const struct admin_answer *a)
{
    struct admin_http *h = c->http;
    size_t size = a->body.n;
    for (size_t i = 0; i < a->n_pieces; i++)
        size += a->pieces[i].n;
    list_del(&c->parked);
    uv_timer_stop(&c->timer);
    bool full = size > h->c.limits.max_held - h->held;
    struct admin_write *w = full || a->body.oom || c->state == CONN_CLOSED ? NULL : calloc(1, sizeof(*w));
    if (!w) {
        answer_forget(a);
        if (full && size > SMALL && c->state != CONN_CLOSED)
            admin_answer_error(c, 503, "too many answers wait to be read");
        else
            conn_close(c);
        return;
    }
    *w = (struct admin_write){.conn = c, .body = a->body, .release = a->release, .owner = a->owner, .size = size};
    h->held += size;
    put_head(&w->head, a, size, c->keep_alive && !h->draining);
    conn_state(c, CONN_SENDING);
    uv_buf_t v[2 + ADMIN_PIECES];
    unsigned n = 1;
    v[0] = (uv_buf_t){.base = w->head.p, .len = w->head.n};
    if (!c->head_only) {
        v[n++] = (uv_buf_t){.base = w->body.p, .len = w->body.n};
        for (size_t i = 0; i < a->n_pieces; i++)
            v[n++] = (uv_buf_t){.base = (char *)(uintptr_t)a->pieces[i].p, .len = a->pieces[i].n};
    }
    int rc = w->head.oom ? UV_ENOMEM : start_write(c, w, v, n);
    if (rc == 0) {
        c->queued = uv_stream_get_write_queue_size(&c->u.stream);
        conn_deadline(c, h->c.limits.send_ms);
        return;
    }
    write_free(w);
    if (rc < 0)
        conn_close(c);
    else
        after_answer(c);
}

void admin_answer_text(struct admin_conn *c, unsigned status, const char *text)
{
    struct admin_answer a = {.status = status, .type = "text/plain; charset=utf-8"};
    buf_addc(&a.body, text);
    admin_answer(c, &a);
}

void admin_answer_error(struct admin_conn *c, unsigned status, const char *fmt, ...)
{
    struct admin_answer a = {.status = status, .type = "application/json"};
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    buf_addc(&a.body, "{\"error\":");
    buf_json(&a.body, buf_str(&text));
    buf_addc(&a.body, "}\n");
    buf_fini(&text);
    admin_answer(c, &a);
}

void admin_park(struct admin_conn *c, struct list *on, uint64_t data, uint64_t timeout_ms)
{
    c->parked_data = data;
    list_push(on, &c->parked);
    conn_deadline(c, timeout_ms);
}

struct admin_conn *admin_parked(struct list *node)
{
    return LIST_ITEM(node, struct admin_conn, parked);
}

uint64_t admin_parked_data(const struct admin_conn *c)
{
    return c->parked_data;
}

/* ---- accepting ---- */

/* Makes room for one more by closing the connection that has been idle longest. */
static bool make_room(struct admin_http *h, bool local)
{
    if (h->n[local] < (local ? h->c.limits.max_unix : h->c.limits.max_tcp))
        return true;
    LIST_EACH(it, &h->conns) {
        struct admin_conn *c = LIST_ITEM(it, struct admin_conn, link);
        if (c->local == local && ((c->state == CONN_HEAD && c->in_n == 0) || c->state == CONN_LINGER)) {
            conn_close(c);
            return true;
        }
    }
    return false;
}

static void conn_begin(struct admin_http *h, int fd, bool local)
{
    struct admin_conn *c = make_room(h, local) ? malloc(sizeof(*c)) : NULL;
    if (!c) {
        board_add(&h->c.me->counters.admin_refused, 1);
        close(fd);
        return;
    }
    memset(c, 0, offsetof(struct admin_conn, in));
    c->http = h;
    c->local = local;
    list_init(&c->link);
    list_init(&c->parked);
    uv_timer_init(h->c.loop, &c->timer);
    int rc = local ? uv_pipe_init(h->c.loop, &c->u.pipe, 0) : uv_tcp_init(h->c.loop, &c->u.tcp);
    must(rc == 0); /* no descriptor is made yet */
    c->u.handle.data = c->timer.data = c;
    c->handles = 2;
    h->users++;
    h->n[local]++;
    rc = local ? uv_pipe_open(&c->u.pipe, fd) : uv_tcp_open(&c->u.tcp, fd);
    if (rc != 0) {
        close(fd);
        conn_close(c);
        return;
    }
    begin_request(c);
    conn_read(c);
}

static void on_pause_over(uv_timer_t *t);

static void on_acceptable(uv_poll_t *p, int status, int events)
{
    struct admin_listener *l = p->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_begin(l->http, fd, l->local);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            uv_poll_stop(&l->poll);
            uv_timer_start(&l->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static void on_pause_over(uv_timer_t *t)
{
    struct admin_listener *l = t->data;
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct admin_listener *l = handle->data;
    if (--l->handles > 0)
        return;
    http_drop(l->http);
    free(l);
}

static void listener_close(struct admin_listener *l)
{
    list_del(&l->link);
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    uv_close((uv_handle_t *)&l->pause, on_listener_closed);
    close(l->fd);
}

int admin_http_listen(struct admin_http *h, uint64_t id, int fd, bool local)
{
    struct admin_listener *l = calloc(1, sizeof(*l));
    if (!l || uv_poll_init(h->c.loop, &l->poll, fd) != 0) {
        free(l);
        close(fd);
        return GH_E_SYSTEM;
    }
    admin_http_unlisten(h, id);
    uv_timer_init(h->c.loop, &l->pause);
    l->poll.data = l->pause.data = l;
    l->handles = 2;
    l->http = h;
    l->id = id;
    l->fd = fd;
    l->local = local;
    h->users++;
    list_push(&h->listeners, &l->link);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    return 0;
}

void admin_http_unlisten(struct admin_http *h, uint64_t id)
{
    LIST_EACH(it, &h->listeners) {
        struct admin_listener *l = LIST_ITEM(it, struct admin_listener, link);
        if (l->id == id)
            listener_close(l);
    }
}

/* ---- life ---- */

struct admin_http *admin_http_new(const struct admin_http_config *c)
{
    struct admin_http *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->c = *c;
    h->users = 1;
    list_init(&h->conns);
    list_init(&h->listeners);
    return h;
}

size_t admin_http_connections(const struct admin_http *h)
{
    return h->n[0] + h->n[1];
}

void admin_http_drain(struct admin_http *h)
{
    h->draining = true;
    LIST_EACH(it, &h->listeners)
        listener_close(LIST_ITEM(it, struct admin_listener, link));
    LIST_EACH(it2, &h->conns) {
        struct admin_conn *c = LIST_ITEM(it2, struct admin_conn, link);
        if (c->state == CONN_HEAD && c->in_n == 0)
            conn_close(c);
    }
}

void admin_http_free(struct admin_http *h)
{
    if (!h)
        return;
    LIST_EACH(it, &h->listeners)
        listener_close(LIST_ITEM(it, struct admin_listener, link));
    LIST_EACH(it2, &h->conns)
        conn_close(LIST_ITEM(it2, struct admin_conn, link));
    http_drop(h);
}
