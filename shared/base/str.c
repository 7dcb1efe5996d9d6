#include "shared/base/wide.h"
#include "shared/base/utf8.h"
#include <stdio.h>
#include <stdlib.h>

#if defined(GH_WIDE)
/* A bit for each byte that differs in more than the case of a letter. */
static inline unsigned differ(__m128i a, __m128i b)
{
    const __m128i bit5 = _mm_set1_epi8(0x20);
    __m128i low = _mm_or_si128(a, bit5), letter = _mm_sub_epi8(low, _mm_set1_epi8('a'));
    letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i same = _mm_and_si128(letter, _mm_cmpeq_epi8(low, _mm_or_si128(b, bit5)));
    return wide_mask(_mm_or_si128(same, _mm_cmpeq_epi8(a, b))) ^ 0xffffu;
}
#endif

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    if (a.n && ((a.p[0] ^ b.p[0]) & ~0x20)) /* nearly all that differ do so here */
        return false;
#if defined(GH_WIDE)
    if (a.n < 16)
        return !differ(wide_short(a.p, a.n), wide_short(b.p, b.n));
    for (size_t i = 0;; i = GH_MIN(i + 16, a.n - 16)) {
        if (differ(wide_load(a.p + i), wide_load(b.p + i)))
            return false;
        if (i == a.n - 16)
            return true;
    }
#endif
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = GH_MIN(a.n, b.n);
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : a.n < b.n ? -1 : a.n > b.n;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *p = s.n ? memchr(s.p, c, s.n) : NULL;
    return p ? p - s.p : -1;
}

ptrdiff_t str_rchr(struct str s, char c)
{
    const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;
    return p ? p - s.p : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    const char *p = s.n >= needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    return p ? p - s.p : -1;
}

static bool in_set(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

struct str str_trim(struct str s, const char *set)
{
    while (s.n && in_set(s.p[0], set))
        s = str_skip(s, 1);
    while (s.n && in_set(s.p[s.n - 1], set))
        s.n--;
    return s;
}

bool str_split(struct str *rest, char sep, struct str *piece)
{
    if (!rest->p)
        return false;
    ptrdiff_t at = str_chr(*rest, sep);
    if (at < 0) {
        *piece = *rest;
        *rest = STR_NONE;
        return true;
    }
    *piece = str_head(*rest, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    return true;
}

/* 00 to 99 */
#define TENS(t) t "0" t "1" t "2" t "3" t "4" t "5" t "6" t "7" t "8" t "9"
static const char PAIRS[] = TENS("0") TENS("1") TENS("2") TENS("3") TENS("4") TENS("5") TENS("6") TENS("7") TENS("8") TENS("9");
#undef TENS

static size_t digits_of(uint64_t v)
{
    size_t n = 1;
    for (; v >= 10000; v /= 10000)
        n += 4;
    return n + (v >= 10) + (v >= 100) + (v >= 1000);
}

size_t str_put_long(char *to, uint64_t v)
{
    if (likely(v < 10000)) {
        const unsigned high = (unsigned)v / 100, low = (unsigned)v % 100, two = high >= 10;
        if (two)
            memcpy(to, PAIRS + high * 2, 2);
        else
            to[0] = (char)('0' + high);
        to += high ? 1 + two : 0;
        memcpy(to, PAIRS + low * 2, 2);
        return high ? 3 + two : 2;
    }
    size_t n = digits_of(v), at = n;
    for (; v >= 100; v /= 100)
        memcpy(to + (at -= 2), PAIRS + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(to, PAIRS + v * 2, 2);
    else
        to[0] = (char)('0' + v);
    return n;
}

bool str_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    if (s.n == 0)
        return false;
    for (; i < s.n && i < 19; i++) { /* as many digits as there are fit in any case */
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    for (; i < s.n; i++) {
        if (!ascii_is_digit(s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_i64(struct str s, int64_t *out)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    if (!str_u64(minus ? str_skip(s, 1) : s, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

#define DISTANCE_MAX 64 /* longer words are told apart only as equal or not */

/* Insertions, deletions, replacements and swaps of neighbours cost one each. */
unsigned str_distance(struct str a, struct str b, unsigned limit)
{
    if (str_eq(a, b))
        return 0;
    size_t gap = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (gap > limit || a.n > DISTANCE_MAX || b.n > DISTANCE_MAX)
        return limit + 1;

    unsigned rows[3][DISTANCE_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        before[j] = above[j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned d = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            d = GH_MIN(d, GH_MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                d = GH_MIN(d, before[j - 2] + 1);
            row[j] = d;
            least = GH_MIN(least, d);
        }
        if (least > limit)
            return limit + 1;
        unsigned *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return GH_MIN(above[b.n], limit + 1);
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

bool buf_reserve(struct buf *b, size_t extra)
{
    if (b->oom)
        return false;
    if (extra <= b->cap - b->n)
        return true;
    size_t need;
    if (__builtin_add_overflow(b->n, extra, &need) || need > SIZE_MAX / 2) {
        b->oom = true;
        return false;
    }
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (!p) {
        b->oom = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_adds(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_addc(struct buf *b, const char *c)
{
    buf_add(b, c, strlen(c));
}

void buf_addch(struct buf *b, char c)
{
    if (buf_reserve(b, 1))
        b->p[b->n++] = c;
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = b->oom ? 0 : b->cap - b->n;
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, ap);
    if (n < 0) {
        b->oom = true;
    } else if ((size_t)n < room) {
        b->n += (size_t)n;
    } else if (buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void buf_addu(struct buf *b, uint64_t v)
{
    char text[STR_U64_MAX];
    buf_add(b, text, str_put_u64(text, v));
}

const char *buf_cstr(struct buf *b)
{
    if (b->n < b->cap || buf_reserve(b, 1)) {
        b->p[b->n] = '\0';
        return b->p;
    }
    return "";
}

static void json_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char named[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                 ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (c < sizeof(named) && named[c]) {
        char two[2] = {'\\', named[c]};
        buf_add(b, two, sizeof(two));
    } else {
        char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        buf_add(b, six, sizeof(six));
    }
}

void buf_json(struct buf *b, struct str s)
{
    size_t from = 0, at = 0; /* [from, at) is text not yet copied that needs no change */
    buf_addch(b, '"');
    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at];
        size_t len = c < 0x80 ? 1 : utf8_len(str_skip(s, at));
        if (len && c >= 0x20 && c != '"' && c != '\\') {
            at += len;
            continue;
        }
        buf_add(b, s.p + from, at - from);
        if (len)
            json_escape(b, c);
        else
            buf_addc(b, "\xef\xbf\xbd");
        from = ++at;
    }
    if (s.n)
        buf_add(b, s.p + from, at - from);
    buf_addch(b, '"');
}
