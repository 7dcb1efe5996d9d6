/*
 * token.h - classes of bytes in HTTP messages and URIs, one table lookup each, and the search for the
 * first byte that may not stand in a field value (16 bytes at a time where the processor can).
 *
 * RFC 9110 section 5.5 and 5.6, RFC 3986 section 2. Nothing here depends on the locale.
 */
#ifndef GH_HTTP_TOKEN_H
#define GH_HTTP_TOKEN_H

#include "shared/base/wide.h"

enum {
    TOKEN_TCHAR = 1 << 0,      /* of a token: methods, field names, connection options */
    TOKEN_VALUE = 1 << 1,      /* of a field value: HTAB, SP, VCHAR, obs-text (0x80 and above) */
    TOKEN_TARGET = 1 << 2,     /* of a request target: VCHAR but '#' */
    TOKEN_UNRESERVED = 1 << 3, /* RFC 3986: ALPHA DIGIT - . _ ~ */
    TOKEN_PATH = 1 << 4,       /* stays as it is in a canonical path: pchar without '%' and ';', '/' */
    TOKEN_HOST = 1 << 5,       /* of a host name: ALPHA DIGIT - _ . */
    TOKEN_HEX = 1 << 6,
    TOKEN_QDTEXT = 1 << 7,     /* inside a quoted string, unescaped */
};

extern const unsigned char token_class[256];

static inline bool token_is(char c, int classes)
{
    return (token_class[(unsigned char)c] & classes) != 0;
}

/* Every byte of `s` is of `class`, one of them; the empty slice is. */
bool token_all(struct str s, int class);
#if defined(GH_WIDE)
/* A bit for each byte that is not of TOKEN_VALUE, TOKEN_TARGET. */
static inline unsigned token_no_value(__m128i v)
{
    const __m128i tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f), last = _mm_set1_epi8(0x1f);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, last), v);
    return wide_mask(_mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), control), _mm_cmpeq_epi8(v, del)));
}

/* A bit for each byte that is of TOKEN_HOST; all of these are of TOKEN_TCHAR, too. */
static inline unsigned token_of_host(__m128i v)
{
    const __m128i bit5 = _mm_set1_epi8(0x20), slash = _mm_set1_epi8('/'), line = _mm_set1_epi8('_');
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, bit5), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('-')); /* from '-' to '9' there are '.', the slash and the digits */
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8('9' - '-')), digit);
    digit = _mm_andnot_si128(_mm_cmpeq_epi8(v, slash), digit);
    return wide_mask(_mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, line)));
}

static inline unsigned token_no_target(__m128i v)
{
    const __m128i space = _mm_set1_epi8(' '), del = _mm_set1_epi8(0x7f), hash = _mm_set1_epi8('#');
    __m128i graph = _mm_cmpgt_epi8(v, space); /* signed: bytes from 0x80 on are below the space */
    __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, del), _mm_cmpeq_epi8(v, hash));
    return wide_mask(_mm_andnot_si128(bad, graph)) ^ 0xffffu;
}
#endif

/* A token: at least one tchar and nothing else. */
static inline bool token_valid(struct str s)
{
#if defined(GH_WIDE)
    if (s.n < 16 && !((token_of_host(wide_short(s.p, s.n)) + 1) & ((1u << s.n) - 1))) /* letters, digits, "-_." as nearly always */
        return s.n > 0;
#endif
    return s.n > 0 && token_all(s, TOKEN_TCHAR);
}

/*
 * Index in [from, n) of the first byte that is not of TOKEN_VALUE, or n. In a message head that is
 * where the value ends: at the CR, or at a byte that has no business there.
 */
static inline size_t token_value_end(const char *p, size_t from, size_t n)
{
    size_t at = from;
#if defined(GH_WIDE)
    while (n - at >= 16) {
        unsigned mask = token_no_value(wide_load(p + at));
        if (mask)
            return at + (size_t)__builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < n && token_is(p[at], TOKEN_VALUE))
        at++;
    return at;
}

/* Likewise for TOKEN_TARGET: where a request target ends. */
static inline size_t token_target_end(const char *p, size_t from, size_t n)
{
    size_t at = from;
#if defined(GH_WIDE)
    while (n - at >= 16) {
        unsigned mask = token_no_target(wide_load(p + at));
        if (mask)
            return at + (size_t)__builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < n && token_is(p[at], TOKEN_TARGET))
        at++;
    return at;
}

/* Every byte is of that class, as the searches above would say; the empty slice is. */
static inline bool token_value_valid(struct str s)
{
#if defined(GH_WIDE)
    if (s.n < 16)
        return !(token_no_value(wide_short(s.p, s.n)) & ((1u << s.n) - 1));
    return token_value_end(s.p, 0, s.n & ~(size_t)15) == (s.n & ~(size_t)15) && !token_no_value(wide_load(s.p + s.n - 16));
#else
    return token_value_end(s.p, 0, s.n) == s.n;
#endif
}

static inline bool token_target_valid(struct str s)
{
#if defined(GH_WIDE)
    if (s.n < 16)
        return !(token_no_target(wide_short(s.p, s.n)) & ((1u << s.n) - 1));
    return token_target_end(s.p, 0, s.n & ~(size_t)15) == (s.n & ~(size_t)15) && !token_no_target(wide_load(s.p + s.n - 16));
#else
    return token_target_end(s.p, 0, s.n) == s.n;
#endif
}

static inline bool token_has(struct str s, char c)
{
#if defined(GH_WIDE)
    if (s.n < 16)
        return wide_mask(_mm_cmpeq_epi8(wide_short(s.p, s.n), _mm_set1_epi8(c))) & ((1u << s.n) - 1);
#endif
    return s.n && memchr(s.p, c, s.n);
}

/* Index in [from, n) of the first `c`, or n. Short distances only: a call of memchr costs more. */
static inline size_t token_find(const char *p, size_t from, size_t n, char c)
{
    size_t at = from;
#if defined(GH_WIDE)
    const __m128i want = _mm_set1_epi8(c);
    while (n - at >= 16) {
        unsigned mask = wide_mask(_mm_cmpeq_epi8(wide_load(p + at), want));
        if (mask)
            return at + (size_t)__builtin_ctz(mask);
        at += 16;
    }
#endif
    while (at < n && p[at] != c)
        at++;
    return at;
}

#endif
