/*
 * websocket.c - SHA-1 (FIPS 180-4) and base64 (RFC 4648), for the one purpose that still needs them: SHA-1 proves
 * here that somebody has read RFC 6455, and nothing else.
 */
#include "shared/http/websocket.h"

struct sha1 {
    uint32_t h[5];
    uint8_t block[64];
    uint64_t n; /* bytes so far */
};

static uint32_t rotate(uint32_t v, unsigned by)
{
    return v << by | v >> (32 - by);
}

static void compress(struct sha1 *s)
{
    uint32_t w[80], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];
    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *p = s->block + 4 * i;
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (unsigned i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (unsigned i = 0; i < 80; i++) {
        static const uint32_t K[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
        uint32_t f = i < 20   ? (b & c) | (~b & d)
                     : i < 40 ? b ^ c ^ d
                     : i < 60 ? (b & c) | (b & d) | (c & d)
                              : b ^ c ^ d;
        uint32_t t = rotate(a, 5) + f + e + K[i / 20] + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = t;
    }
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
}

static void add(struct sha1 *s, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++) {
        s->block[s->n++ % 64] = p[i];
        if (s->n % 64 == 0)
            compress(s);
    }
}

static void finish(struct sha1 *s, uint8_t out[20])
{
    uint64_t bits = s->n * 8;
    uint8_t len[8];
    add(s, "\x80", 1);
    while (s->n % 64 != 56)
        add(s, "", 1);
    for (unsigned i = 0; i < 8; i++)
        len[i] = (uint8_t)(bits >> (56 - 8 * i));
    add(s, len, 8);
    for (unsigned i = 0; i < 20; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t *p, size_t n, char *out)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        *out++ = DIGITS[v >> 18];
        *out++ = DIGITS[v >> 12 & 63];
        *out++ = i + 1 < n ? DIGITS[v >> 6 & 63] : '=';
        *out++ = i + 2 < n ? DIGITS[v & 63] : '=';
    }
}

void websocket_key(const uint8_t random[16], char out[WEBSOCKET_KEY_LEN])
{
    base64(random, 16, out);
}

void websocket_accept(struct str key, char out[WEBSOCKET_ACCEPT_LEN])
{
    struct sha1 s = {.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    uint8_t digest[20];
    add(&s, key.p, key.n);
    add(&s, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    finish(&s, digest);
    base64(digest, 20, out);
}
