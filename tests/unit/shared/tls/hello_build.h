/*
 * hello_build.h - ClientHellos for tests, extension by extension.
 */
#ifndef GH_TEST_HELLO_BUILD_H
#define GH_TEST_HELLO_BUILD_H

#include "shared/tls/hello.h"

static inline void put8(struct buf *b, unsigned v)
{
    buf_addch(b, (char)v);
}
static inline void put16(struct buf *b, unsigned v)
{
    put8(b, v >> 8 & 0xff);
    put8(b, v & 0xff);
}
static inline void put_ext(struct buf *b, unsigned type, struct str body)
{
    put16(b, type);
    put16(b, (unsigned)body.n);
    buf_adds(b, body);
}
/* The server_name extension. */
static inline void put_sni(struct buf *b, struct str name)
{
    put16(b, 0);
    put16(b, (unsigned)name.n + 5);
    put16(b, (unsigned)name.n + 3);
    put8(b, 0);
    put16(b, (unsigned)name.n);
    buf_adds(b, name);
}
/* ALPN names, separated by ','. */
static inline void put_alpn(struct buf *b, const char *names)
{
    struct buf list = {0};
    struct str rest = str_c(names), one;
    while (str_split(&rest, ',', &one)) {
        put8(&list, (unsigned)one.n);
        buf_adds(&list, one);
    }
    put16(b, 16);
    put16(b, (unsigned)list.n + 2);
    put16(b, (unsigned)list.n);
    buf_adds(b, buf_str(&list));
    buf_fini(&list);
}
/* A list of pairs with a length of two bytes (groups, signatures) or one (versions). */
static inline void put_list(struct buf *b, unsigned type, const uint16_t *v, size_t n, bool wide)
{
    put16(b, type);
    put16(b, (unsigned)(2 * n + (wide ? 2 : 1)));
    if (wide)
        put16(b, (unsigned)(2 * n));
    else
        put8(b, (unsigned)(2 * n));
    for (size_t i = 0; i < n; i++)
        put16(b, v[i]);
}
/* What most clients say: TLS 1.3 and 1.2, the usual groups and signatures. */
static inline void put_usual(struct buf *b)
{
    static const uint16_t versions[] = {0x0304, 0x0303}, groups[] = {29, 23, 24},
                          signatures[] = {0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501};
    put_list(b, 43, versions, ARRAY_LEN(versions), false);
    put_list(b, 10, groups, ARRAY_LEN(groups), true);
    put_list(b, 13, signatures, ARRAY_LEN(signatures), true);
}

/* The message around the extensions (taken over and freed); `ciphers` of TLS 1.2 for both kinds of key, and of 1.3. */
static inline struct buf hello_message(struct buf *ext)
{
    static const uint16_t ciphers[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030};
    struct buf m = {0};
    put8(&m, 1);
    size_t n = 2 + 32 + 1 + 2 + 2 * ARRAY_LEN(ciphers) + 2 + (ext->n ? 2 + ext->n : 0);
    put8(&m, (unsigned)(n >> 16));
    put16(&m, (unsigned)n & 0xffff);
    put16(&m, 0x0303);
    for (int i = 0; i < 32; i++)
        put8(&m, 0xab);
    put8(&m, 0);
    put16(&m, 2 * ARRAY_LEN(ciphers));
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        put16(&m, ciphers[i]);
    put8(&m, 1);
    put8(&m, 0);
    if (ext->n) {
        put16(&m, (unsigned)ext->n);
        buf_adds(&m, buf_str(ext));
    }
    buf_fini(ext);
    return m;
}
/* The message in records of at most `piece` bytes. Takes it over. */
static inline struct buf hello_records(struct buf *m, size_t piece)
{
    struct buf out = {0};
    for (size_t at = 0; at < m->n; at += piece) {
        size_t n = GH_MIN(piece, m->n - at);
        put8(&out, 22);
        put16(&out, 0x0301);
        put16(&out, (unsigned)n);
        buf_add(&out, m->p + at, n);
    }
    buf_fini(m);
    return out;
}
static inline struct buf hello_usual(const char *name, const char *protocols)
{
    struct buf ext = {0};
    if (name)
        put_sni(&ext, str_c(name));
    if (protocols)
        put_alpn(&ext, protocols);
    put_usual(&ext);
    struct buf m = hello_message(&ext);
    return hello_records(&m, 16384);
}

#endif
