/*
 * h1_chunked_fuzz.c - chunked content (F6): equal to the slow decoder, the same however it is cut; and
 * content that we encode comes back.
 *
 * Input: one byte of how to cut, then the bytes.
 */
#include "tests/fuzz/h1_fuzz.h"
#include "worker/codec/h1_write.h"

struct decoded {
    enum h1_chunk last;
    enum h1_error error;
    size_t used, n;
};

static size_t next_step(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return 1 + *seed / 65536u % 24;
}

static struct decoded decode(struct str text, unsigned seed, char *content)
{
    struct h1_chunked c = {0};
    struct decoded d = {.last = H1_CHUNK_MORE};
    while (d.used < text.n && (d.last == H1_CHUNK_MORE || d.last == H1_CHUNK_DATA)) {
        size_t step = seed ? next_step(&seed) : text.n, n = GH_MIN(step, text.n - d.used), used;
        char *piece = malloc(n);
        must(piece != NULL);
        memcpy(piece, text.p + d.used, n);
        struct str payload;
        for (size_t at = 0;; at += used) {
            d.last = h1_chunked_next(&c, piece + at, n - at, &used, &payload);
            must(used <= n - at);
            d.used += used;
            if (d.last != H1_CHUNK_DATA)
                break;
            must(payload.n > 0 && payload.n <= used);
            memcpy(content + d.n, payload.p, payload.n);
            d.n += payload.n;
        }
        free(piece);
    }
    d.error = c.error;
    return d;
}

static void check_round_trip(struct str content, unsigned seed, char *out, char *back)
{
    size_t n = 0, at = 0;
    while (at < content.n) {
        size_t step = next_step(&seed), len = GH_MIN(step, content.n - at);
        n += h1_chunk_head(out + n, len);
        memcpy(out + n, content.p + at, len);
        memcpy(out + n + len, "\r\n", 2);
        n += len + 2;
        at += len;
    }
    memcpy(out + n, "0\r\n", 3);
    n += 3;
    struct decoded d = decode(str_of(out, n), seed, back);
    must(d.last == H1_CHUNK_LAST && d.used == n && d.n == content.n);
    must(d.n == 0 || memcmp(back, content.p, d.n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char whole[8192], cut[8192], slow[8192], out[8192 * 8];
    if (size < 1 || size > sizeof(whole))
        return 0;
    struct str text = str_of((const char *)data + 1, size - 1);
    struct decoded a = decode(text, 0, whole), b = decode(text, data[0] + 1u, cut);
    must(a.last == b.last && a.error == b.error && a.used == b.used && a.n == b.n);
    must(memcmp(whole, cut, a.n) == 0);

    size_t n, used = 0;
    enum slow_verdict v = slow_chunked(text, slow, &n, &used);
    must(v != SLOW_GOOD || (a.last == H1_CHUNK_LAST && a.used == used && a.n == n));
    must(v != SLOW_BAD || a.last == H1_CHUNK_ERROR);
    must(v != SLOW_CUT || a.last != H1_CHUNK_LAST);
    if (a.last != H1_CHUNK_ERROR)
        must(a.n == n && memcmp(whole, slow, n) == 0);
    check_round_trip(text, data[0], out, whole);
    return 0;
}
