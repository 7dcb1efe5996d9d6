#include "worker/proxy/grpc_web.h"
#include "worker/http/head.h"

/* ---- base64 (RFC 4648) ---- */

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One character; false: it can't stand here. */
static bool push(struct grpc_web_decoder *d, char c)
{
    int v = value_of(c);
    if (c == '=') {
        v = 0;
        if (d->have < 2)
            return false;
        d->pads++;
    } else if (v < 0 || d->pads) {
        return false;
    }
    d->bits = d->bits << 6 | (uint32_t)v;
    d->have++;
    return true;
}

size_t grpc_web_decode(struct grpc_web_decoder *d, const char *in, size_t n, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (!push(d, in[i]))
            return GRPC_WEB_BAD;
        if (d->have < 4)
            continue;
        for (unsigned k = 0; k < 3u - d->pads; k++)
            out[at++] = (char)(d->bits >> (16 - 8 * k) & 255);
        *d = (struct grpc_web_decoder){0};
    }
    return at;
}

size_t grpc_web_encode(const char *in, size_t n, char *out)
{
    static const char SET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)in;
    size_t at = 0;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0u);
        out[at++] = SET[v >> 18];
        out[at++] = SET[v >> 12 & 63];
        out[at++] = left > 1 ? SET[v >> 6 & 63] : '=';
        out[at++] = left > 2 ? SET[v & 63] : '=';
    }
    return at;
}

/* ---- trailers as a frame ---- */

static bool is_sent(const struct http_field *f)
{
    return !(f->flags & HEAD_F_SKIP);
}

size_t grpc_web_frame_size(const struct http_field *f, size_t n)
{
    size_t size = 5;
    for (size_t i = 0; i < n; i++)
        size += is_sent(&f[i]) ? f[i].name.n + f[i].value.n + 4 : 0;
    return size;
}

static size_t put(char *out, size_t at, struct str s)
{
    if (s.n)
        memcpy(out + at, s.p, s.n);
    return at + s.n;
}

size_t grpc_web_frame_write(const struct http_field *f, size_t n, char *out)
{
    size_t at = 5;
    for (size_t i = 0; i < n; i++) {
        if (!is_sent(&f[i]))
            continue;
        for (size_t k = 0; k < f[i].name.n; k++)
            out[at++] = ascii_lower(f[i].name.p[k]);
        at = put(out, at, STR(": "));
        at = put(out, at, f[i].value);
        at = put(out, at, STR("\r\n"));
    }
    out[0] = (char)0x80;
    for (unsigned k = 0; k < 4; k++)
        out[1 + k] = (char)((at - 5) >> (24 - 8 * k) & 255);
    return at;
}
