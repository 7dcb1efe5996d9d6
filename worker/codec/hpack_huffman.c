/*
 * hpack_huffman.c - the Huffman code (RFC 7541 5.2): bits left-aligned in a word of 64; the next eight say the byte, or that
 * its code is a longer one. Codes of one length are consecutive, so a longer one is found by comparing.
 */
#include "worker/codec/hpack.h"

#include <string.h>

#define EOS_AT 182 /* behind all of `longer` */

static const struct {
    uint32_t bits;
    uint8_t len;
} codes[257] = {
#define CODE(b, n) {b, n},
#include "worker/codec/hpack_code.def"
#undef CODE
};

static const struct {
    uint8_t byte, len;
} shorts[256] = {
#define SHORT(b, n) {b, n},
#include "worker/codec/hpack_code.def"
#undef SHORT
};

static const struct {
    uint32_t first;
    uint8_t len, at;
} longs[] = {
#define LONG(n, f, i) {f, n, i},
#include "worker/codec/hpack_code.def"
#undef LONG
};

static const uint8_t longer[] = {
#define BYTE(b) b,
#include "worker/codec/hpack_code.def"
#undef BYTE
};
_Static_assert(sizeof(longer) == EOS_AT, "EOS is the last one");

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE32(v) __builtin_bswap32(v)
#define BE64(v) __builtin_bswap64(v)
#else
#define BE32(v) (v)
#define BE64(v) (v)
#endif

size_t hpack_huffman_len(struct str s)
{
    size_t bits = 0;
    for (size_t i = 0; i < s.n; i++)
        bits += codes[(unsigned char)s.p[i]].len;
    return (bits + 7) / 8;
}

char *hpack_huffman_put(char *out, struct str s, const char *end)
{
    uint64_t word = 0;
    unsigned n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        word = word << codes[c].len | codes[c].bits;
        n += codes[c].len;
        if (n >= 32) {
            n -= 32;
            uint32_t four = BE32((uint32_t)(word >> n));
            if (unlikely(end - out < 4))
                return NULL;
            memcpy(out, &four, sizeof(four));
            out += sizeof(four);
        }
    }
    if (end - out < (n + 7) / 8)
        return NULL;
    for (; n >= 8; n -= 8)
        *out++ = (char)(word >> (n - 8));
    if (n)
        *out++ = (char)(word << (8 - n) | 0xffu >> n);
    return out;
}

static uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return BE64(v);
}

/* The row of `longs` for a code that `shorts` does not have. */
static size_t long_row(uint32_t bits)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(longs) && bits >= longs[i + 1].first)
        i++;
    return i;
}

/* Short codes, as long as `word` certainly holds another one. */
static inline char *get_shorts(char *out, uint64_t *word, unsigned *bits)
{
    uint64_t w = *word;
    unsigned left = *bits;
    for (unsigned len; left >= 8 && (len = shorts[w >> 56].len); left -= len) {
        *out++ = (char)shorts[w >> 56].byte;
        w <<= len;
    }
    *word = w;
    *bits = left;
    return out;
}

size_t hpack_huffman_get(const char *in, size_t n, char *out)
{
    const char *end = in + n, *start = out;
    uint64_t word = 0;
    unsigned bits = 0;
    for (;;) {
        out = get_shorts(out, &word, &bits);
        if (bits < 32) {
            if (end - in >= 8) {
                word |= load64(in) >> bits;
                in += (63 - bits) / 8;
                bits += (63 - bits) / 8 * 8;
            } else {
                for (; in < end && bits <= 56; bits += 8)
                    word |= (uint64_t)(unsigned char)*in++ << (56 - bits);
            }
        }
        unsigned len = shorts[word >> 56].len;
        char byte = (char)shorts[word >> 56].byte;
        if (unlikely(!len)) {
            size_t i = long_row((uint32_t)(word >> 32));
            size_t at = longs[i].at + ((uint32_t)(word >> 32) - longs[i].first) / (1u << (32 - longs[i].len));
            len = longs[i].len;
            if (len <= bits && at >= EOS_AT)
                return SIZE_MAX;
            byte = at < EOS_AT ? (char)longer[at] : 0;
        }
        if (len > bits)
            break;
        *out++ = byte;
        word <<= len;
        bits -= len;
    }
    /* What is left is the beginning of EOS, less than a byte of it. */
    bool padding = bits < 8 && (!bits || word >> (64 - bits) == (1u << bits) - 1);
    return padding ? (size_t)(out - start) : SIZE_MAX;
}
