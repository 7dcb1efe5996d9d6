#include "shared/base/utf8.h"

static inline bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

size_t utf8_len(struct str s)
{
    if (s.n == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2) /* a continuation byte, or an over-long form of two */
        return 0;
    if (c < 0xe0)
        return s.n >= 2 && continues(p[1]) ? 2 : 0;
    if (c < 0xf0) {
        if (s.n < 3 || !continues(p[1]) || !continues(p[2]))
            return 0;
        if (c == 0xe0 && p[1] < 0xa0) /* over-long */
            return 0;
        if (c == 0xed && p[1] > 0x9f) /* a surrogate */
            return 0;
        return 3;
    }
    if (c > 0xf4 || s.n < 4 || !continues(p[1]) || !continues(p[2]) || !continues(p[3]))
        return 0;
    if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return 4;
}

size_t utf8_valid_prefix(struct str s)
{
    size_t at = 0;
    while (at < s.n) {
        uint64_t w;
        if (s.n - at >= sizeof(w)) { /* eight ASCII bytes at a time: the usual case */
            memcpy(&w, s.p + at, sizeof(w));
            if ((w & 0x8080808080808080ull) == 0) {
                at += sizeof(w);
                continue;
            }
        }
        size_t len = utf8_len(str_skip(s, at));
        if (len == 0)
            break;
        at += len;
    }
    return at;
}
