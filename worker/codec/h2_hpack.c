#include "worker/codec/h2_hpack.h"
#include "shared/http/token.h"

#include <nghttp2/nghttp2.h>

/* --- in ---------------------------------------------------------------------------------------------- */

static struct str text_of(const uint8_t *p, size_t n)
{
    return str_of((const char *)p, n);
}

enum h2_code h2_decode(struct nghttp2_hd_inflater **d, struct str fragment, bool last, h2_field_fn *fn, void *ctx)
{
    const uint8_t *in = (const uint8_t *)fragment.p;
    size_t n = fragment.n;
    if (!*d && nghttp2_hd_inflate_new(d))
        return H2_INTERNAL_ERROR;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t k = nghttp2_hd_inflate_hd2(*d, &nv, &flags, in, n, last);
        if (k < 0)
            return k == NGHTTP2_ERR_NOMEM ? H2_INTERNAL_ERROR : H2_COMPRESSION_ERROR;
        in += k;
        n -= (size_t)k;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && !fn(ctx, text_of(nv.name, nv.namelen), text_of(nv.value, nv.valuelen),
                                                     nv.flags & NGHTTP2_NV_FLAG_NO_INDEX))
            return H2_ENHANCE_YOUR_CALM;
        if (flags & NGHTTP2_HD_INFLATE_FINAL) {
            nghttp2_hd_inflate_end_headers(*d);
            return H2_NO_ERROR;
        }
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
            return H2_NO_ERROR;
    }
}

void h2_decoder_free(struct nghttp2_hd_inflater *d)
{
    if (d)
        nghttp2_hd_inflate_del(d);
}

/* 001xxxxx begins one (RFC 7541 6.3); xxxxx all ones goes on in bytes of seven bits. */
uint32_t h2_table_changes(struct str s)
{
    uint32_t n = 0;
    while (s.n && ((unsigned char)s.p[0] & 0xe0) == 0x20) {
        bool more = ((unsigned char)s.p[0] & 0x1f) == 0x1f;
        s = str_skip(s, 1);
        while (more && s.n) {
            more = (unsigned char)s.p[0] & 0x80;
            s = str_skip(s, 1);
        }
        n++;
    }
    return n;
}

/* --- out --------------------------------------------------------------------------------------------- */

bool h2_encoder_init(struct h2_encoder *e)
{
    uint8_t said[16];
    e->d = NULL;
    if (nghttp2_hd_deflate_new(&e->d, 0))
        return false;
    /* That its table is empty it wants to say in front of the first block; who has to hear that is the session's
     * business. */
    nghttp2_nv nv = {(uint8_t *)(uintptr_t) ":method", (uint8_t *)(uintptr_t) "GET", 7, 3, 0};
    return nghttp2_hd_deflate_hd(e->d, said, sizeof(said), &nv, 1) >= 0;
}

void h2_encoder_fini(struct h2_encoder *e)
{
    if (e->d)
        nghttp2_hd_deflate_del(e->d);
    e->d = NULL;
}

size_t h2_head_bound(const struct http_head *h)
{
    const size_t each = 12; /* what lengths and indices take, at most */
    size_t n = 256 + h->method.n + 2 * (h->path.n + h->query.n) + h->authority.n + h->upgrade_to.n;
    for (uint16_t i = 0; i < h->n_fields; i++)
        n += h->fields[i].name.n + h->fields[i].value.n + each;
    return n;
}

/* Fields on their way into a block: a few at a time, names that have capitals in `lower`. */
struct batch {
    struct h2_encoder *e;
    struct h2_block *b;
    size_t n, n_lower;
    nghttp2_nv nv[24];
    char lower[1024];
};

static void flush(struct batch *t)
{
    struct h2_block *b = t->b;
    if (t->n && h2_block_ok(b)) {
        ssize_t k = nghttp2_hd_deflate_hd(t->e->d, (uint8_t *)b->at, (size_t)(b->end - b->at), t->nv, t->n);
        if (k >= 0) {
            b->at += k;
        } else {
            b->full = true;
            h2_encoder_fini(t->e); /* after an error it takes nothing any more */
            b->bad = !h2_encoder_init(t->e);
        }
    }
    t->n = t->n_lower = 0;
}

/* A name in lower case that the table of fields has; else NULL, and it is to be looked at. */
static struct str lower_name(struct batch *t, const struct http_field *f)
{
    if (f->id != FIELD_OTHER)
        return http_field_name((enum http_field_id)f->id);
    if (f->name.n > sizeof(t->lower) - t->n_lower)
        flush(t);
    if (f->name.n > sizeof(t->lower) || !token_valid(f->name))
        return STR_NONE;
    char *p = t->lower + t->n_lower;
    for (size_t i = 0; i < f->name.n; i++)
        p[i] = ascii_lower(f->name.p[i]);
    t->n_lower += f->name.n;
    return str_of(p, f->name.n);
}

static void put(struct batch *t, struct str name, struct str value, bool secret)
{
    if (t->n == ARRAY_LEN(t->nv))
        flush(t);
    t->nv[t->n++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name.p,
        .namelen = name.n,
        .value = (uint8_t *)(uintptr_t)(value.n ? value.p : ""),
        .valuelen = value.n,
        .flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : 0,
    };
}

static void put_text(struct batch *t, struct str name, struct str value)
{
    if (value.n && token_value_end(value.p, 0, value.n) != value.n)
        t->b->bad = true;
    put(t, name, value, false);
}

static bool is_secret(const struct http_field *f)
{
    return (f->flags & HEAD_F_SECRET) || f->id == FIELD_AUTHORIZATION || f->id == FIELD_COOKIE ||
           f->id == FIELD_SET_COOKIE;
}

/* Those that may go on, but `except`. */
static void put_fields(struct batch *t, const struct http_field *f, size_t n, enum http_field_id except)
{
    for (size_t i = 0; i < n; i++, f++) {
        if ((f->flags & HEAD_F_SKIP) || (except && f->id == except))
            continue;
        if (f->id == FIELD_OTHER && t->n == ARRAY_LEN(t->nv))
            flush(t); /* before `lower` is used, which flush empties */
        struct str name = lower_name(t, f), value = http_trim_ows(f->value);
        if (!name.n || (value.n && token_value_end(value.p, 0, value.n) != value.n)) {
            t->b->bad = true;
            return;
        }
        put(t, name, value, is_secret(f));
    }
}

static struct str decimal(uint64_t v, char out[20])
{
    size_t at = 20;
    do {
        out[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return str_of(out + at, 20 - at);
}

void h2_write_answer(struct h2_encoder *e, struct h2_block *b, const struct http_head *h)
{
    struct batch t = {.e = e, .b = b};
    char status[20], length[20];
    bool tunnel = h->status == 101;
    put(&t, STR(":status"), decimal(tunnel ? 200 : h->status, status), false);
    put_fields(&t, h->fields, h->n_fields, tunnel ? FIELD_SEC_WEBSOCKET_ACCEPT : FIELD_OTHER);
    if (h->status >= 200 && h->status != 204 && (h->body == BODY_LENGTH || h->has_length))
        put(&t, STR("content-length"), decimal(h->length, length), false);
    flush(&t);
}

static struct str join_target(struct h2_block *b, const struct http_head *h)
{
    /* At the end of the block's memory, where h2_head_bound has counted it. */
    if (!h->query.p)
        return h->path;
    size_t n = h->path.n + 1 + h->query.n;
    if (h->query.p == h->path.p + h->path.n + 1 && h->path.p[h->path.n] == '?')
        return str_of(h->path.p, n);
    if ((size_t)(b->end - b->at) < n) {
        b->full = true;
        return STR_NONE;
    }
    b->end -= n;
    memcpy(b->end, h->path.p, h->path.n);
    b->end[h->path.n] = '?';
    if (h->query.n)
        memcpy(b->end + h->path.n + 1, h->query.p, h->query.n);
    return str_of(b->end, n);
}

void h2_write_request(struct h2_encoder *e, struct h2_block *b, const struct http_head *h, bool https)
{
    struct batch t = {.e = e, .b = b};
    char length[20];
    struct str target = join_target(b, h);
    if (!token_valid(h->method) || !target.n || token_target_end(target.p, 0, target.n) != target.n)
        b->bad = true;
    if (!h2_block_ok(b))
        return;
    put(&t, STR(":method"), h->upgrade ? STR("CONNECT") : h->method, false);
    put(&t, STR(":scheme"), https ? STR("https") : STR("http"), false);
    put(&t, STR(":path"), target, false);
    if (h->authority.n)
        put_text(&t, STR(":authority"), h->authority);
    if (h->upgrade)
        put_text(&t, STR(":protocol"), h->upgrade_to);
    /* Host says what :authority says; the key of a WebSocket has no meaning here (RFC 8441 5). */
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id != FIELD_HOST)
            put_fields(&t, &h->fields[i], 1, h->upgrade ? FIELD_SEC_WEBSOCKET_KEY : FIELD_OTHER);
    if (h->te_trailers)
        put(&t, STR("te"), STR("trailers"), false);
    if (h->body == BODY_LENGTH)
        put(&t, STR("content-length"), decimal(h->length, length), false);
    flush(&t);
}

void h2_write_trailers(struct h2_encoder *e, struct h2_block *b, const struct http_field *f, size_t n)
{
    struct batch t = {.e = e, .b = b};
    put_fields(&t, f, n, FIELD_OTHER);
    flush(&t);
}
