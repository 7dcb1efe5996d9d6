/*
 * h2_head_fuzz.c - header fields of HTTP/2 to heads: any fields in, and (as HTTP/1.1, and as HTTP/2 again) out.
 *
 *   1. frames and blocks are read the same however they are cut;
 *   2. what is taken can be written as HTTP/1.1 in lines that say the same, without a byte that breaks them;
 *   3. written as HTTP/2 and read again it is taken again, with the same fields;
 *   4. what is remembered of other heads makes no difference to what is written;
 *   5. what is kept is bounded by the limits.
 *
 * Input: a byte of what it is and how it is cut, then a header block.
 */
#include "worker/codec/h1_write.h"
#include "worker/codec/h2_head.h"
#include "worker/codec/h2_hpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h2_limits LIMITS = {.max_bytes = 8192, .max_uri = 1024, .max_fields = 40};

static bool field(void *ctx, struct hpack_field *f)
{
    return h2_head_field(ctx, f);
}

/* False: not decodable, or a bomb. */
static bool decode(struct str block, size_t step, struct h2_head *d, struct arena *a, enum h2_head_kind kind, bool end)
{
    struct hpack_decoder in;
    enum h2_code code = 0;
    hpack_init(&in);
    h2_head_begin(d, kind, a, &LIMITS);
    for (size_t at = 0; at < block.n && !code; at += GH_MIN(step, block.n - at))
        code = hpack_decode(&in, str_of(block.p + at, GH_MIN(step, block.n - at)), false, field, d);
    if (!code)
        code = hpack_decode(&in, STR(""), true, field, d);
    if (!code)
        h2_head_end(d, end);
    hpack_fini(&in);
    return !code;
}

static void same(const struct h2_head *x, const struct h2_head *y)
{
    must(x->why == y->why && x->malformed == y->malformed && x->head.n_fields == y->head.n_fields);
    if (x->why != REASON_OK)
        return;
    must(str_eq(x->head.method, y->head.method) && str_eq(x->head.path, y->head.path) && str_eq(x->head.query, y->head.query));
    must(str_eq(x->head.authority, y->head.authority) && x->head.status == y->head.status && x->head.body == y->head.body);
    must(x->head.length == y->head.length && x->head.upgrade == y->head.upgrade);
    for (uint16_t i = 0; i < x->head.n_fields; i++)
        must(str_eq(x->head.fields[i].name, y->head.fields[i].name) && str_eq(x->head.fields[i].value, y->head.fields[i].value));
}

/* Oracle 2: lines, one for each field, and no other. */
static void as_http_1(const struct http_head *h, struct arena *a)
{
    size_t room = 32 * 1024, lines = 0, wanted = 0;
    char *out = arena_room(a, room);
    struct h1_writer w = h1_writer_on(out, room);
    h1_write_parsed(&w, h->fields, h->n_fields, HEAD_F_SKIP);
    must(h1_writer_ok(&w));
    for (const char *p = out; p < w.at; p++) {
        must(*p != '\0' && (*p != '\n' || p[-1] == '\r') && (*p != '\r' || p[1] == '\n'));
        lines += *p == '\n';
    }
    for (uint16_t i = 0; i < h->n_fields; i++)
        wanted += !(h->fields[i].flags & HEAD_F_SKIP);
    must(lines == wanted);
}

/* Oracle 4: what is remembered of other heads makes no difference. */
static void as_before(const struct h2_head *d, struct arena *a, struct str plain)
{
    static struct h2_memo memo;
    size_t room = h2_head_bound(&d->head);
    char *out = arena_room(a, room);
    for (int i = 0; i < 2; i++) {
        struct h2_block b = h2_block_on(out, room);
        b.memo = &memo;
        h2_write_request(&b, &d->head, d->head.https);
        must(h2_block_ok(&b) && str_eq(str_of(out, (size_t)(b.at - out)), plain));
    }
}

/* Oracle 3. */
static void as_http_2(const struct h2_head *d, struct arena *a, bool end)
{
    size_t room = h2_head_bound(&d->head);
    char *out = arena_room(a, room);
    struct h2_block b = h2_block_on(out, room);
    struct h2_head again;
    h2_write_request(&b, &d->head, d->head.https);
    must(h2_block_ok(&b));
    as_before(d, a, str_of(out, (size_t)(b.at - out)));
    again.head.fields = NULL;
    must(decode(str_of(out, (size_t)(b.at - out)), SIZE_MAX, &again, a, H2_REQUEST, end));
    if (again.why == REASON_HEADERS_TOO_LARGE || again.why == REASON_URI_TOO_LONG)
        return;
    must(again.why == REASON_OK);
    must(str_eq(again.head.method, d->head.method) && str_eq(again.head.path, d->head.path) && str_eq(again.head.authority, d->head.authority));
    must(again.head.upgrade == d->head.upgrade && again.head.te_trailers == d->head.te_trailers && again.head.body == d->head.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct h2_head x, y;
    if (size < 2 || size > 16384)
        return 0;
    enum h2_head_kind kind = (enum h2_head_kind)(data[0] % 3);
    bool end = data[0] & 4;
    struct str block = str_of((const char *)data + 1, size - 1);
    arena_init(&a, 4096, NULL);
    bool ok = decode(block, SIZE_MAX, &x, &a, kind, end);
    must(a.total <= 200 * 1024);
    must(decode(block, 1 + (data[0] >> 3), &y, &a, kind, end) == ok);
    if (ok)
        same(&x, &y);
    if (ok && x.why == REASON_OK) {
        as_http_1(&x.head, &a);
        if (kind == H2_REQUEST)
            as_http_2(&x, &a, end);
    }
    arena_fini(&a);
    return 0;
}
