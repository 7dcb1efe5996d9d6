/*
 * hpack_fuzz.c - our header compression against libnghttp2's.
 *
 *   1. a sequence of blocks is taken or refused by both, with the same fields, however it is cut;
 *   2. what the Huffman code makes of a string, both read as that string;
 *   3. no entry of the table is remembered to be what it is not.
 *
 * Input: a byte that says how it is cut, then blocks, each behind two bytes with its length.
 */
#include "worker/codec/hpack.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIELDS_MAX 400

struct fields {
    unsigned n;
    char *text;
    size_t len;
    bool stopped;
};

static bool add(struct fields *t, const char *name, size_t name_n, const char *value, size_t value_n, bool secret)
{
    if (t->n++ == FIELDS_MAX) {
        t->stopped = true;
        return false;
    }
    size_t len = t->len + name_n + value_n + 3;
    t->text = realloc(t->text, len);
    must(t->text);
    char *p = t->text + t->len;
    memcpy(p, name, name_n);
    p[name_n] = '\0';
    memcpy(p + name_n + 1, value, value_n);
    p[name_n + 1 + value_n] = '\0';
    p[name_n + 2 + value_n] = (char)secret;
    t->len = len;
    return true;
}

/* Oracle 3: a name is "right" when it begins with a letter below n, a value when it does. */
static bool right(struct str s)
{
    return s.n && s.p[0] < 'n';
}

static bool ours(void *ctx, struct hpack_field *f)
{
    if (f->flags & HPACK_F_NAME)
        must(f->at ? f->id == hpack_static[f->at].id || right(f->name) : right(f->name));
    else if (right(f->name))
        f->flags |= HPACK_F_NAME;
    if ((f->flags & HPACK_F_VALUE) && !(f->at && str_eq(f->value, hpack_static[f->at].value)))
        must(right(f->value));
    else if (right(f->value))
        f->flags |= HPACK_F_VALUE;
    if (f->flags & HPACK_F_LINE) {
        must(f->value.p == f->name.p + f->name.n + 2 && f->name.p[f->name.n] == ':' && f->name.p[f->name.n + 1] == ' ');
        must(f->value.p[f->value.n] == '\r' && f->value.p[f->value.n + 1] == '\n');
    }
    return add(ctx, f->name.n ? f->name.p : "", f->name.n, f->value.n ? f->value.p : "", f->value.n, f->flags & HPACK_F_SECRET);
}

/* In memory of its own, so that no byte behind it is read. */
static enum h2_code decode(struct hpack_decoder *d, struct str block, size_t step, struct fields *t)
{
    enum h2_code code = 0;
    for (size_t at = 0; at < block.n && !code; at += GH_MIN(step, block.n - at)) {
        size_t n = GH_MIN(step, block.n - at);
        char *piece = malloc(n);
        must(piece);
        memcpy(piece, block.p + at, n);
        code = hpack_decode(d, str_of(piece, n), false, ours, t);
        free(piece);
    }
    return code ? code : hpack_decode(d, STR(""), true, ours, t);
}

static bool theirs(nghttp2_hd_inflater *in, struct str block, struct fields *t)
{
    const uint8_t *p = (const uint8_t *)block.p;
    size_t n = block.n;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t k = nghttp2_hd_inflate_hd2(in, &nv, &flags, p, n, 1);
        if (k < 0)
            return false;
        p += k;
        n -= (size_t)k;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) && !add(t, (char *)nv.name, nv.namelen, (char *)nv.value, nv.valuelen, nv.flags & NGHTTP2_NV_FLAG_NO_INDEX))
            return false;
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return nghttp2_hd_inflate_end_headers(in) == 0;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && n == 0)
            return false;
    }
}

static void there_and_back(struct str s)
{
    size_t n = hpack_huffman_len(s), room = n + s.n + 32;
    char *code = malloc(room), *out = malloc(HPACK_HUFFMAN_ROOM(n));
    struct fields t = {0};
    nghttp2_hd_inflater *in;
    must(code && out);
    char *end = hpack_huffman_put(code, s);
    must(end == code + n);
    must(hpack_huffman_get(code, n, out) == s.n && (!s.n || memcmp(out, s.p, s.n) == 0));
    if (n < 127) { /* a literal whose value it is */
        memmove(code + 3, code, n);
        memcpy(code, "\x00\x01k", 3);
        memmove(code + 4, code + 3, n);
        code[3] = (char)(0x80 | n);
        must(nghttp2_hd_inflate_new(&in) == 0);
        must(theirs(in, str_of(code, 4 + n), &t) && t.len == s.n + 4 && memcmp(t.text + 2, s.p ? s.p : "", s.n) == 0);
        nghttp2_hd_inflate_del(in);
    }
    free(t.text);
    free(code);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hpack_decoder whole, cut;
    nghttp2_hd_inflater *in;
    if (size < 4 || size > 65536)
        return 0;
    there_and_back(str_of((const char *)data + 1, GH_MIN(size - 1, (size_t)200)));
    size_t step = 1 + data[0] % 40, at = 1;
    hpack_init(&whole);
    hpack_init(&cut);
    must(nghttp2_hd_inflate_new(&in) == 0);
    for (bool more = true; more && at + 2 < size;) {
        size_t n = GH_MIN((size_t)data[at] << 8 | data[at + 1], size - at - 2);
        struct str block = str_of((const char *)data + at + 2, n);
        struct fields a = {0}, b = {0}, c = {0};
        at += 2 + n;
        enum h2_code code = decode(&whole, block, SIZE_MAX, &a);
        must(decode(&cut, block, step, &b) == code);
        bool ok = theirs(in, block, &c);
        must((code == H2_NO_ERROR) == ok || a.stopped);
        must(a.n == b.n && a.len == b.len && (!a.len || memcmp(a.text, b.text, a.len) == 0));
        /* Of a block that is refused, ours may have told a field less: it wants to see all of one. */
        must(a.n == c.n || !ok);
        must(!GH_MIN(a.len, c.len) || memcmp(a.text, c.text, GH_MIN(a.len, c.len)) == 0);
        must(whole.size <= whole.max && whole.text_cap <= 2 * HPACK_TABLE);
        more = ok && !code;
        free(a.text);
        free(b.text);
        free(c.text);
    }
    nghttp2_hd_inflate_del(in);
    hpack_fini(&whole);
    hpack_fini(&cut);
    return 0;
}
