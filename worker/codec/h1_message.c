#include "worker/codec/h1_message.h"
#include "shared/tbl/enums.h"
#include "worker/codec/h1_write.h"

#define LONG_QUEUE (64u * 1024) /* of an answer that does not fit into the queue anyway */

#define HEAD_ROOM 4096 /* most heads fit */
#define HEAD_SKIP (HEAD_F_SKIP)

/* Bytes that no head of these fields exceeds. */
static size_t head_bound(const struct http_head *h)
{
    size_t n = 512 + h->method.n + h->path.n + h->query.n + h->reason.n + h->authority.n + h->upgrade_to.n;
    for (uint16_t i = 0; i < h->n_fields; i++)
        n += h->fields[i].name.n + h->fields[i].value.n + 4;
    return n;
}

typedef void write_fn(struct h1_writer *w, const void *what);

/* Serialises into the connection's room, a small one at first. */
static bool write_head(struct conn *c, write_fn *fn, const void *what, const struct http_head *h)
{
    size_t size = HEAD_ROOM;
    for (;;) {
        char *p = conn_room(c, size);
        if (!p)
            return false;
        struct h1_writer w = h1_writer_on(p, size);
        fn(&w, what);
        if (h1_writer_ok(&w)) {
            conn_room_back(c, size - h1_writer_len(&w));
            conn_write(c, p, h1_writer_len(&w));
            return true;
        }
        conn_room_back(c, size);
        if (w.bad || size > HEAD_ROOM)
            return false;
        size = GH_MAX(head_bound(h), (size_t)HEAD_ROOM + 1);
    }
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void write_answer(struct h1_writer *w, const void *what)
{
    const struct h1_answer *a = what;
    const struct http_head *h = a->head;
    h1_write_status_line(w, h->status, h->reason);
    h1_write_parsed(w, h->fields, h->n_fields, HEAD_SKIP);
    if (h->status == 101) {
        h1_write_raw(w, STR("Connection: upgrade\r\n"));
        h1_write_field(w, STR("Upgrade"), h->upgrade_to);
    } else if (h->status >= 200) {
        bool content = h->status != 204 && h->status != 304 && !a->to_head;
        if (h->status != 204 && (h->body == BODY_LENGTH || h->has_length))
            h1_write_length(w, h->length);
        else if (content && a->end)
            h1_write_raw(w, STR("Content-Length: 0\r\n"));
        else if (content && a->minor > 0)
            h1_write_raw(w, STR("Transfer-Encoding: chunked\r\n"));
        if (!a->keep)
            h1_write_raw(w, STR("Connection: close\r\n"));
        else if (a->minor == 0)
            h1_write_raw(w, STR("Connection: keep-alive\r\n"));
    }
    h1_write_end(w);
}

bool h1_write_answer(struct conn *c, struct h1_answer *a, struct h1_out *out)
{
    const struct http_head *h = a->head;
    bool content = h->status >= 200 && h->status != 204 && h->status != 304 && !a->to_head && !a->end;
    struct h1_out o = {H1_OUT_NONE, 0};
    if (content && h->body == BODY_LENGTH) {
        o = (struct h1_out){H1_OUT_LENGTH, h->length};
    } else if (content && a->minor > 0) {
        o.kind = H1_OUT_CHUNKED;
    } else if (content) {
        o.kind = H1_OUT_RAW;
        a->keep = false;
    }
    if (!write_head(c, write_answer, a, h))
        return false;
    if (h->status >= 200)
        *out = o;
    return true;
}

/* --- requests ----------------------------------------------------------------------------------------- */

static void write_request(struct h1_writer *w, const void *what)
{
    const struct http_head *h = what;
    h1_write_request_line(w, h->method, h->path, h->query);
    if (!head_find(h, FIELD_HOST))
        h1_write_field(w, STR("Host"), h->authority);
    h1_write_parsed(w, h->fields, h->n_fields, HEAD_SKIP);
    if (h->upgrade) {
        h1_write_raw(w, STR("Connection: upgrade\r\n"));
        h1_write_field(w, STR("Upgrade"), h->upgrade_to);
    } else if (h->te_trailers) {
        h1_write_raw(w, STR("Connection: TE\r\nTE: trailers\r\n"));
    }
    if (h->body == BODY_LENGTH)
        h1_write_length(w, h->length);
    else if (h->body == BODY_STREAM)
        h1_write_raw(w, STR("Transfer-Encoding: chunked\r\n"));
    h1_write_end(w);
}

bool h1_write_request(struct conn *c, const struct http_head *h, struct h1_out *out)
{
    if (!write_head(c, write_request, h, h))
        return false;
    *out = (struct h1_out){
        .kind = h->body == BODY_LENGTH ? H1_OUT_LENGTH : h->body == BODY_STREAM ? H1_OUT_CHUNKED : H1_OUT_NONE,
        .left = h->body == BODY_LENGTH ? h->length : 0,
    };
    return true;
}

/* --- bodies ------------------------------------------------------------------------------------------- */

static void write_chunk(struct conn *c, const char *data, size_t n, bool end)
{
    if (n) {
        char *p = conn_room(c, H1_CHUNK_HEAD_MAX);
        size_t len = h1_chunk_head(p, n);
        conn_room_back(c, H1_CHUNK_HEAD_MAX - len);
        conn_write(c, p, len);
        conn_write(c, data, n);
    }
    const struct str tail = n ? (end ? STR("\r\n0\r\n\r\n") : STR("\r\n")) : end ? STR("0\r\n\r\n") : STR("");
    conn_write(c, tail.p, tail.n);
}

void h1_write_body(struct conn *c, struct h1_out *out, const char *data, size_t n, bool end)
{
    switch ((enum h1_out_kind)out->kind) {
    case H1_OUT_NONE:
        break;
    case H1_OUT_LENGTH:
        n = out->left < n ? (size_t)out->left : n;
        out->left -= n;
        conn_write(c, data, n);
        break;
    case H1_OUT_CHUNKED:
        write_chunk(c, data, n, end);
        break;
    case H1_OUT_RAW:
        conn_write(c, data, n);
        break;
    }
}

void h1_limit_queue(struct conn *c, const struct h1_out *out)
{
    bool is_long = out->kind == H1_OUT_LENGTH && out->left > c->net->high_water;
    c->full_at = is_long ? LONG_QUEUE : 0;
    if (is_long && conn_queued(c) >= LONG_QUEUE)
        net_flush(c->net); /* only the kernel knows how much that is */
}

struct trailers {
    const struct http_field *f;
    size_t n;
};

static void write_trailers(struct h1_writer *w, const void *what)
{
    const struct trailers *t = what;
    h1_write_raw(w, STR("0\r\n"));
    h1_write_parsed(w, t->f, (uint16_t)t->n, HEAD_SKIP);
    h1_write_end(w);
}

void h1_write_trailers(struct conn *c, struct h1_out *out, const struct http_field *f, size_t n)
{
    struct trailers t = {f, n};
    struct http_head bound = {.fields = (struct http_field *)(uintptr_t)f, .n_fields = (uint16_t)n};
    if (out->kind != H1_OUT_CHUNKED || !write_head(c, write_trailers, &t, &bound))
        h1_write_body(c, out, NULL, 0, true); /* no place for them */
}

enum reason h1_reason(enum h1_error e)
{
    switch (e) {
    case H1_E_CONNECT:
        return REASON_CONNECT_REFUSED;
    case H1_E_TARGET:
        return REASON_BAD_PATH;
    case H1_E_HOST:
    case H1_E_HOST_MISSING:
    case H1_E_HOST_TWICE:
        return REASON_BAD_HOST;
    default:
        break;
    }
    switch (h1_error_status(e)) {
    case 414:
        return REASON_URI_TOO_LONG;
    case 417:
        return REASON_EXPECTATION;
    case 431:
        return REASON_HEADERS_TOO_LARGE;
    case 501:
        return REASON_UNSUPPORTED;
    case 505:
        return REASON_VERSION;
    default:
        return REASON_BAD_REQUEST;
    }
}
