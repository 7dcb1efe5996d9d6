#include "shared/http/proxy_header.h"
#include <arpa/inet.h>
#include <stdio.h>

#define V1_MAX   107
#define V2_FIXED 16 /* signature, version and command, family, length */

enum { TLV_AUTHORITY = 0x02, TLV_CRC32C = 0x03, TLV_SSL = 0x20 };

static const char SIGNATURE[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE_LEN 12

static enum proxy_head_verdict bad(struct proxy_head *h, const char *fault)
{
    h->fault = fault;
    return PROXY_HEAD_BAD;
}

static unsigned byte_at(struct str s, size_t i)
{
    return (unsigned char)s.p[i];
}

static unsigned pair_at(struct str s, size_t i)
{
    return byte_at(s, i) << 8 | byte_at(s, i + 1);
}

/* --- version 1 ---------------------------------------------------------------------------------------------- */

static bool address(int family, struct str s, uint8_t *out)
{
    char text[INET6_ADDRSTRLEN];
    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, out) == 1;
}

static bool port(struct str s, uint16_t *out)
{
    uint64_t v;
    if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0') || !str_u64(s, &v) || v > UINT16_MAX)
        return false;
    *out = (uint16_t)v;
    return true;
}

static enum proxy_head_verdict words(struct str line, struct proxy_head *h)
{
    struct str word[5], rest = line;
    size_t n = 0;
    if (str_eq(line, STR("UNKNOWN")) || str_starts(line, STR("UNKNOWN ")))
        return PROXY_HEAD_OK;
    while (n < ARRAY_LEN(word) && str_split(&rest, ' ', &word[n]))
        n++;
    if (n != ARRAY_LEN(word) || rest.p)
        return bad(h, "the PROXY line does not have five words");
    bool v6 = str_eq(word[0], STR("TCP6"));
    if (!v6 && !str_eq(word[0], STR("TCP4")))
        return bad(h, "the PROXY line names an unknown protocol");
    int family = v6 ? AF_INET6 : AF_INET;
    if (!address(family, word[1], h->from) || !address(family, word[2], h->to))
        return bad(h, "an address of the PROXY line can't be read");
    if (!port(word[3], &h->from_port) || !port(word[4], &h->to_port))
        return bad(h, "a port of the PROXY line can't be read");
    h->family = v6 ? 6 : 4;
    return PROXY_HEAD_OK;
}

static enum proxy_head_verdict parse_v1(struct str data, struct proxy_head *h)
{
    const struct str begin = STR("PROXY ");
    struct str line = str_head(data, V1_MAX);
    h->version = 1;
    for (size_t i = begin.n; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c == '\r') {
            if (i + 1 == line.n)
                return line.n == V1_MAX ? bad(h, "the PROXY line is too long") : PROXY_HEAD_MORE;
            if (line.p[i + 1] != '\n')
                return bad(h, "the PROXY line does not end in CRLF");
            h->used = i + 2;
            return words(str_of(line.p + begin.n, i - begin.n), h);
        }
        if (c < 0x20 || c > 0x7e)
            return bad(h, "the PROXY line has a control character");
    }
    return line.n == V1_MAX ? bad(h, "the PROXY line is too long") : PROXY_HEAD_MORE;
}

/* --- version 2 ---------------------------------------------------------------------------------------------- */

/* CRC32c (Castagnoli), bit by bit: a header has a hundred bytes. */
static uint32_t crc32c(uint32_t crc, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return crc;
}

/* Over the whole header, with the four bytes of the sum itself zero. */
static bool crc_fits(struct str whole, struct str value)
{
    static const char zero[4];
    size_t at = (size_t)(value.p - whole.p);
    uint32_t crc = crc32c(~0u, whole.p, at);
    crc = crc32c(crc, zero, sizeof(zero));
    crc = ~crc32c(crc, value.p + 4, whole.n - at - 4);
    return crc == ((uint32_t)pair_at(value, 0) << 16 | pair_at(value, 2));
}

static enum proxy_head_verdict tlvs(struct str whole, struct str rest, struct proxy_head *h)
{
    while (rest.n) {
        if (rest.n < 3 || rest.n - 3 < pair_at(rest, 1))
            return bad(h, "a TLV of the PROXY header is cut short");
        unsigned type = byte_at(rest, 0);
        struct str value = str_of(rest.p + 3, pair_at(rest, 1));
        rest = str_skip(rest, 3 + value.n);
        if (type == TLV_CRC32C && (value.n != 4 || !crc_fits(whole, value)))
            return bad(h, "the checksum of the PROXY header is wrong");
        if (type == TLV_AUTHORITY)
            h->authority = value;
        if (type == TLV_SSL) {
            if (value.n < 5)
                return bad(h, "a TLV of the PROXY header is cut short");
            h->tls = byte_at(value, 0) & 1;
        }
    }
    return PROXY_HEAD_OK;
}

static enum proxy_head_verdict addresses(struct str whole, struct str block, unsigned family, struct proxy_head *h)
{
    static const struct { uint8_t code, family, bytes; uint16_t block; } ROWS[] = {
        {0x00, 0, 0, 0}, {0x11, 4, 4, 12}, {0x21, 6, 16, 36}, {0x31, 1, 0, 216},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (ROWS[i].code != family)
            continue;
        if (block.n < ROWS[i].block)
            return bad(h, "the addresses of the PROXY header are cut short");
        size_t n = ROWS[i].bytes;
        if (n) {
            memcpy(h->from, block.p, n);
            memcpy(h->to, block.p + n, n);
            h->from_port = (uint16_t)pair_at(block, 2 * n);
            h->to_port = (uint16_t)pair_at(block, 2 * n + 2);
        }
        h->family = ROWS[i].family;
        return tlvs(whole, str_skip(block, ROWS[i].block), h);
    }
    return bad(h, "the PROXY header is of an unknown family, or of datagrams");
}

static enum proxy_head_verdict parse_v2(struct str data, struct proxy_head *h)
{
    h->version = 2;
    if (data.n <= SIGNATURE_LEN)
        return PROXY_HEAD_MORE;
    unsigned command = byte_at(data, SIGNATURE_LEN);
    if (command != 0x20 && command != 0x21)
        return bad(h, "the PROXY header is of an unknown version or command");
    if (data.n < V2_FIXED)
        return PROXY_HEAD_MORE;
    size_t len = V2_FIXED + pair_at(data, 14);
    if (len > PROXY_HEAD_MAX)
        return bad(h, "the PROXY header is too long");
    if (data.n < len)
        return PROXY_HEAD_MORE;
    h->used = len;
    if (command == 0x20) /* LOCAL: what it says is to be ignored */
        return PROXY_HEAD_OK;
    return addresses(str_head(data, len), str_of(data.p + V2_FIXED, len - V2_FIXED), byte_at(data, 13), h);
}

enum proxy_head_verdict proxy_head_parse(struct str data, struct proxy_head *out)
{
    const struct str v1 = STR("PROXY "), v2 = str_of(SIGNATURE, SIGNATURE_LEN);
    memset(out, 0, sizeof(*out));
    if (str_starts(data, v1))
        return parse_v1(data, out);
    if (str_starts(data, v2))
        return parse_v2(data, out);
    return str_starts(v1, data) || str_starts(v2, data) ? PROXY_HEAD_MORE : PROXY_HEAD_ABSENT;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* Both as IPv6 when they are not of one family. */
static void widen(uint8_t family, const uint8_t *in, uint8_t *out)
{
    static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (family == 4) {
        memcpy(out, MAPPED, 12);
        memcpy(out + 12, in, 4);
    } else {
        memcpy(out, in, 16);
    }
}

static bool is_ip(uint8_t family)
{
    return family == 4 || family == 6;
}

size_t proxy_head_write(unsigned version, const struct proxy_ends *e, char out[PROXY_HEAD_WRITE])
{
    bool known = is_ip(e->from_family) && is_ip(e->to_family);
    bool v4 = known && e->from_family == 4 && e->to_family == 4;
    uint8_t from[16], to[16];
    size_t n = !known ? 0 : v4 ? 4 : 16;
    if (v4) {
        memcpy(from, e->from, 4);
        memcpy(to, e->to, 4);
    } else if (known) {
        widen(e->from_family, e->from, from);
        widen(e->to_family, e->to, to);
    }
    if (version == 1) {
        char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
        if (!known) {
            memcpy(out, "PROXY UNKNOWN\r\n", 15);
            return 15;
        }
        inet_ntop(v4 ? AF_INET : AF_INET6, from, a, sizeof(a));
        inet_ntop(v4 ? AF_INET : AF_INET6, to, b, sizeof(b));
        return (size_t)snprintf(out, PROXY_HEAD_WRITE, "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6", a, b,
                                e->from_port, e->to_port);
    }
    size_t block = known ? 2 * n + 4 : 0;
    memcpy(out, SIGNATURE, SIGNATURE_LEN);
    out[12] = 0x21;
    out[13] = !known ? 0 : v4 ? 0x11 : 0x21;
    out[14] = 0;
    out[15] = (char)block;
    if (known) {
        char *at = out + V2_FIXED;
        memcpy(at, from, n);
        memcpy(at + n, to, n);
        at += 2 * n;
        at[0] = (char)(e->from_port >> 8);
        at[1] = (char)e->from_port;
        at[2] = (char)(e->to_port >> 8);
        at[3] = (char)e->to_port;
    }
    return V2_FIXED + block;
}
