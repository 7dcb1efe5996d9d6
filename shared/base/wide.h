/*
 * wide.h - sixteen bytes at a time, of slices that have fewer, too; only where the processor has SSE2 (GH_WIDE).
 *
 * Most texts of a request are short: with a loop over the last bytes, or over a text of less than sixteen, a search
 * "16 at a time" goes byte by byte most of the time. Nothing here reads outside of the slice.
 */
#ifndef GH_WIDE_H
#define GH_WIDE_H

#include "shared/base/str.h"

#if defined(__SSE2__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define GH_WIDE 1
#include <emmintrin.h>

static inline __m128i wide_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* n < 16 bytes, and zeros behind them. Reads that overlap find the same byte twice. */
static inline __m128i wide_short(const char *p, size_t n)
{
    uint64_t low = 0, high = 0;
    uint32_t a, b;
    if (n >= 8) {
        memcpy(&low, p, 8);
        memcpy(&high, p + n - 8, 8);
        high = n > 8 ? high >> (8 * (16 - n)) : 0;
    } else if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        low = a | (uint64_t)b << (8 * (n - 4));
    } else if (n) {
        low = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << (8 * (n / 2)) |
              (uint64_t)(unsigned char)p[n - 1] << (8 * (n - 1));
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* At most sixteen bytes of s[at, s.n), and zeros behind them. */
static inline __m128i wide_part(const char *p, size_t at, size_t n)
{
    return n - at >= 16 ? wide_load(p + at) : wide_short(p + at, n - at);
}

/* A bit for each byte that is not zero. */
static inline unsigned wide_mask(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(v);
}

#endif
#endif
