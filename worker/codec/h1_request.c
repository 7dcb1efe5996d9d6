/*
 * h1_request.c - what the bytes of a request mean, phase by phase.
 */
#include "worker/codec/h1_server_internal.h"

#define HEAD_FIRST   2048 /* bytes of a head buffer at first */
#define EXTRA_FIELDS 12   /* room for fields that the gateway adds */

/* --- the request head ----------------------------------------------------------------------------- */

void h1_request_begin(struct h1_server *s)
{
    struct h1_servers *all = s->all;
    struct h1_work *w = s->work;
    w->buf = STR_NONE;
    w->cap = 0;
    w->got = w->left = 0;
    w->minor = 1;
    w->continued = w->own_fields = false;
    h1_parser_request(&w->parser, &w->h1, all->fields, all->settings.limits.max_fields, &all->settings.limits);
}

/* The answer of the exchange ends the connection; nothing more is read. */
void h1_refuse(struct h1_server *s, enum reason why, const char *text)
{
    s->bad = true;
    s->rx = RX_DONE;
    s->all->host->refuse(s->all->host, &s->stream, why, text);
}

static void fill_head(struct h1_work *w)
{
    const struct h1_head *from = &w->h1;
    struct http_head *h = &w->head;
    h->method = from->method;
    h->method_id = from->method_id;
    h->authority = from->authority;
    h->host = from->host;
    h->path = from->parts.path;
    h->query = from->parts.query;
    h->https = false;
    h->status = 0;
    h->reason = STR_NONE;
    h->major = 1;
    h->minor = from->minor;
    h->body = from->body == H1_BODY_CHUNKED  ? BODY_STREAM
              : from->body == H1_BODY_LENGTH ? BODY_LENGTH
                                             : BODY_NONE;
    h->has_length = from->has_length;
    h->length = from->length;
    h->upgrade = from->upgrade;
    h->upgrade_to = from->upgrade_to;
    h->expect_continue = from->expect_continue;
    h->te_trailers = from->te_trailers;
    h->close = false;
    h->fields = from->fields;
    h->n_fields = from->n_fields;
    h->absent = field_set_others(&from->ids);
    h->no_underscores = !(from->any_flags & FIELD_F_UNDERSCORE);
}

/* The lines move from the array that all connections share to one of this request, with room for more. */
static bool own_fields(struct h1_server *s, uint16_t n, uint16_t cap)
{
    struct h1_work *w = s->work;
    if (w->own_fields)
        return true;
    struct http_field *f = arena_room(s->stream.arena, cap * sizeof(*f));
    if (!f)
        return false;
    memcpy(f, w->h1.fields, n * sizeof(*f));
    w->h1.fields = f;
    w->own_fields = true;
    return true;
}

static void head_done(struct h1_server *s)
{
    struct h1_work *w = s->work;
    uint16_t n = w->h1.n_fields, cap = w->own_fields ? w->parser.max_fields : n + EXTRA_FIELDS;
    if (!own_fields(s, n, cap)) {
        h1_refuse(s, REASON_MEMORY, NULL);
        return;
    }
    fill_head(w);
    w->minor = w->h1.minor;
    w->head.cap_fields = GH_MAX(cap, n);
    switch ((enum h1_body)w->h1.body) {
    case H1_BODY_LENGTH:
        w->left = w->h1.length;
        s->rx = w->left ? RX_LENGTH : RX_DONE;
        break;
    case H1_BODY_CHUNKED:
        w->chunked = (struct h1_chunked){0};
        s->rx = RX_CHUNKED;
        break;
    default:
        s->rx = RX_DONE;
    }
    s->stream.ev->on_head(&s->stream, &w->head, s->rx == RX_DONE);
}

/* More room behind `len` bytes; at least doubles. */
static bool grow_buf(struct h1_server *s, size_t want)
{
    struct h1_work *w = s->work;
    size_t max = (size_t)s->all->settings.limits.max_head + 2;
    size_t cap = GH_MAX(w->cap ? w->cap * 2 : HEAD_FIRST, w->cap ? 0 : GH_MIN(want, (size_t)HEAD_FIRST));
    cap = GH_MIN(cap, max);
    if (cap <= w->cap)
        return false;
    char *p = arena_room(s->stream.arena, cap);
    if (!p)
        return false;
    if (w->buf.n)
        memcpy(p, w->buf.p, w->buf.n);
    w->buf.p = p;
    w->cap = cap;
    return true;
}

/* Appends to work->buf and parses, until the head (or the trailers) is complete or the bytes are used
 * up. *used counts those of `data` that belong to it. */
static enum h1_result parse_some(struct h1_server *s, const char *data, size_t n, size_t *used)
{
    struct h1_work *w = s->work;
    enum h1_result r = H1_MORE;
    *used = 0;
    while (*used < n && r == H1_MORE) {
        if (w->buf.n == w->cap && !grow_buf(s, n))
            return H1_ERROR;
        size_t k = GH_MIN(n - *used, w->cap - w->buf.n);
        memcpy((char *)(uintptr_t)w->buf.p + w->buf.n, data + *used, k);
        w->buf.n += k;
        *used += k;
        r = h1_parse(&w->parser, w->buf.p, w->buf.n);
    }
    if (r == H1_DONE)
        *used -= w->buf.n - w->parser.used;
    return r;
}

/* The first line of a connection, where it went wrong: no target of any form, and no version behind it. */
static bool is_no_http(const struct h1_server *s)
{
    struct str t = s->work->h1.target;
    return s->requests == 1 && s->work->parser.error == H1_E_REQUEST_LINE && t.n && t.p[0] != '/' && t.p[0] != '*' &&
           str_find(t, STR("://")) < 0;
}

size_t h1_take_head(struct h1_server *s, const char *data, size_t n)
{
    struct h1_work *w = s->work;
    size_t used;
    switch (parse_some(s, data, n, &used)) {
    case H1_MORE:
        /* The array of all connections is the next one's now; one line may be half-read. */
        if (!own_fields(s, GH_MIN(w->h1.n_fields + 1, w->parser.max_fields), w->parser.max_fields))
            h1_refuse(s, REASON_MEMORY, NULL);
        else
            timer_set(&s->c.net->timers, &s->timer,
                      GH_MIN(s->timer.deadline_ms, s->since_ms + s->all->settings.header_timeout_ms));
        break;
    case H1_DONE:
        head_done(s);
        break;
    case H1_ERROR:
        board_add(&s->c.net->count->parse_errors, 1);
        s->mute = is_no_http(s);
        if (w->parser.error == H1_E_NONE)
            h1_refuse(s, REASON_MEMORY, NULL);
        else
            h1_refuse(s, h1_reason(w->parser.error), h1_error_text(w->parser.error));
        break;
    }
    return used;
}

/* --- the request body ----------------------------------------------------------------------------- */

/* The client's message is broken in its body: an answer may still be possible. */
void h1_bad_body(struct h1_server *s, enum reason why)
{
    s->bad = true;
    s->keep = false;
    s->rx = RX_DONE;
    if (s->stream.user)
        s->stream.ev->on_abort(&s->stream, why);
}

static void give_body(struct h1_server *s, const char *data, size_t n, bool end)
{
    s->work->got += n;
    if (end)
        s->rx = RX_DONE;
    s->stream.ev->on_body(&s->stream, data, n, end);
}

size_t h1_take_length(struct h1_server *s, const char *data, size_t n)
{
    struct h1_work *w = s->work;
    size_t k = w->left < n ? (size_t)w->left : n;
    w->left -= k;
    give_body(s, data, k, w->left == 0);
    return k;
}

size_t h1_take_chunked(struct h1_server *s, const char *data, size_t n)
{
    struct h1_work *w = s->work;
    struct str piece;
    size_t used;
    switch (h1_chunked_next(&w->chunked, data, n, &used, &piece)) {
    case H1_CHUNK_MORE:
        break;
    case H1_CHUNK_DATA:
        give_body(s, piece.p, piece.n, false);
        break;
    case H1_CHUNK_LAST:
        s->rx = RX_TRAILERS;
        w->buf = STR_NONE;
        w->cap = 0;
        w->begun = w->own_fields = false;
        break;
    case H1_CHUNK_ERROR:
        board_add(&s->c.net->count->parse_errors, 1);
        h1_bad_body(s, REASON_BAD_REQUEST);
        break;
    }
    return used;
}

size_t h1_take_trailers(struct h1_server *s, const char *data, size_t n)
{
    struct h1_work *w = s->work;
    size_t used;
    /* Nearly always there are none. */
    if (!w->begun && n >= 2 && data[0] == '\r' && data[1] == '\n') {
        give_body(s, NULL, 0, true);
        return 2;
    }
    if (!w->begun) { /* with the first bytes: limits and the shared array may be others by now */
        w->begun = true;
        w->h1.method = w->h1.target = STR_NONE; /* the parser moves slices along with its buffer */
        h1_parser_trailers(&w->parser, &w->h1, s->all->fields, s->all->settings.limits.max_fields,
                           &s->all->settings.limits);
    }
    switch (parse_some(s, data, n, &used)) {
    case H1_MORE:
        if (!own_fields(s, GH_MIN(w->h1.n_fields + 1, w->parser.max_fields), w->parser.max_fields))
            h1_bad_body(s, REASON_MEMORY);
        break;
    case H1_DONE:
        s->rx = RX_DONE;
        if (w->h1.n_fields)
            s->stream.ev->on_trailers(&s->stream, w->h1.fields, w->h1.n_fields);
        else
            s->stream.ev->on_body(&s->stream, NULL, 0, true);
        break;
    case H1_ERROR:
        board_add(&s->c.net->count->parse_errors, 1);
        h1_bad_body(s, REASON_BAD_REQUEST);
        break;
    }
    return used;
}

