/*
 * proxy_header_fuzz.c - PROXY headers (F11): the verdict does not depend on how the bytes come; what is accepted says
 * the same after it was written and read again.
 *
 * Input: one byte of how to cut, then the bytes of a connection.
 */
#include "shared/http/proxy_header.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct proxy_head *a, const struct proxy_head *b)
{
    must(a->family == b->family && a->from_port == b->from_port && a->to_port == b->to_port);
    must(memcmp(a->from, b->from, 16) == 0 && memcmp(a->to, b->to, 16) == 0);
}

static void check_pieces(struct str text, size_t step, enum proxy_head_verdict whole, const struct proxy_head *h)
{
    struct proxy_head part;
    for (size_t n = 0;; n = GH_MIN(n + step, text.n)) {
        char *copy = malloc(n ? n : 1);
        must(copy != NULL);
        memcpy(copy, text.p, n);
        enum proxy_head_verdict v = proxy_head_parse(str_of(copy, n), &part);
        if (v == PROXY_HEAD_OK)
            must(str_eq(part.authority, h->authority) && part.tls == h->tls);
        free(copy);
        if (v == PROXY_HEAD_MORE) {
            must(n < PROXY_HEAD_MAX);
            if (n < text.n)
                continue;
        }
        must(v == whole);
        if (v == PROXY_HEAD_OK) {
            must(part.used == h->used && h->used <= n);
            same(&part, h);
        }
        return;
    }
}

static void check_written(const struct proxy_head *h, unsigned version)
{
    struct proxy_ends e = {h->family, h->family, h->from_port, h->to_port, {0}, {0}};
    char out[PROXY_HEAD_WRITE];
    struct proxy_head again;
    memcpy(e.from, h->from, 16);
    memcpy(e.to, h->to, 16);
    size_t n = proxy_head_write(version, &e, out);
    must(proxy_head_parse(str_of(out, n), &again) == PROXY_HEAD_OK && again.used == n && again.version == version);
    if (h->family > 1)
        same(h, &again);
    else
        must(again.family == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_head h;
    if (size < 1)
        return 0;
    struct str text = str_of((const char *)data + 1, size - 1);
    enum proxy_head_verdict v = proxy_head_parse(text, &h);
    check_pieces(text, data[0] % 32 + 1u + text.n / 256, v, &h);
    if (v == PROXY_HEAD_OK) {
        check_written(&h, 1);
        check_written(&h, 2);
    }
    return 0;
}
