#include "shared/http/host.h"
#include "shared/http/token.h"
#include <arpa/inet.h>
#include <sys/socket.h>

/* Digits only, 1 to 65535; the empty port ("host:") is none at all (RFC 3986 3.2.3). */
static bool parse_port(struct str s, uint16_t *port)
{
    uint64_t v;
    *port = 0;
    if (s.n == 0)
        return true;
    if (s.n > 5 || !str_u64(s, &v) || v == 0 || v > UINT16_MAX)
        return false;
    *port = (uint16_t)v;
    return true;
}

static bool has_capitals(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 'A' && s.p[i] <= 'Z')
            return true;
    return false;
}

static bool ip_valid(int family, struct str s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char addr[sizeof(struct in6_addr)];
    if (s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(family, text, addr) == 1;
}

/* A name whose last label is a number must be an IPv4 address: anything else (1.2.3, 0x7f.1,
 * 2130706433) is an address to some resolvers and a name to others. */
static bool is_number(struct str label)
{
    if (label.n > 1 && label.p[0] == '0' && ascii_lower(label.p[1]) == 'x')
        return token_all(str_skip(label, 2), TOKEN_HEX);
    for (size_t i = 0; i < label.n; i++)
        if (!ascii_is_digit(label.p[i]))
            return false;
    return true;
}

#define LABEL_MAX 63

/*
 * Labels of 1 to 63 bytes, separated by dots, up to a ':' or the end, in one pass. Gives the number of
 * bytes with a last dot, or 0; the last label; and whether there are capitals.
 */
static size_t scan_long_name(struct str text, struct str *last, bool *lower)
{
    size_t label = 0, before = 0, i; /* where the label begins, and the one before it */
    unsigned capital = 0;
    for (i = 0; i < text.n && token_is(text.p[i], TOKEN_HOST); i++) {
        capital |= (unsigned)(text.p[i] - 'A') < 26;
        if (text.p[i] != '.')
            continue;
        if (i == label || i - label > LABEL_MAX)
            return 0;
        before = label;
        label = i + 1;
    }
    if ((i < text.n && text.p[i] != ':') || i - label > LABEL_MAX)
        return 0;
    *last = label == i && i ? str_of(text.p + before, label - 1 - before)
                            : str_of(text.p + label, i - label);
    *lower = !capital;
    return i;
}

#if defined(GH_WIDE)
/* The same for less than 64 bytes, in which no label is too long: a bit for each byte. */
static size_t scan_name(struct str text, struct str *last, bool *lower)
{
    uint64_t name = 0, dots = 0, capitals = 0;
    if (unlikely(text.n > LABEL_MAX))
        return scan_long_name(text, last, lower);
    for (size_t at = 0; at < text.n; at += 16) {
        __m128i v = wide_part(text.p, at, text.n), letter = _mm_sub_epi8(v, _mm_set1_epi8('A'));
        name |= (uint64_t)token_of_host(v) << at;
        dots |= (uint64_t)wide_mask(_mm_cmpeq_epi8(v, _mm_set1_epi8('.'))) << at;
        capitals |= (uint64_t)wide_mask(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter)) << at;
    }
    size_t i = (size_t)__builtin_ctzll(~name); /* bit 63 is not set */
    const uint64_t below = (UINT64_C(1) << i) - 1;
    dots &= below;
    if (i == 0 || (i < text.n && text.p[i] != ':') || (dots & (dots << 1 | 1))) /* the last: an empty label */
        return 0;
    size_t end = i;
    if (dots >> (i - 1)) { /* a dot at the end */
        end--;
        dots ^= UINT64_C(1) << end;
    }
    size_t from = dots ? 64 - (size_t)__builtin_clzll(dots) : 0;
    *last = str_of(text.p + from, end - from);
    *lower = !(capitals & below);
    return i;
}
#else
static size_t scan_name(struct str text, struct str *last, bool *lower)
{
    return scan_long_name(text, last, lower);
}
#endif

static bool parse_ipv6(struct str text, struct http_host *h)
{
    ptrdiff_t close = str_chr(text, ']');
    if (close < 0 || !ip_valid(AF_INET6, str_of(text.p + 1, (size_t)close - 1)))
        return false;
    struct str after = str_skip(text, (size_t)close + 1);
    if (after.n && after.p[0] != ':')
        return false;
    h->kind = HOST_IPV6;
    h->name = str_head(text, (size_t)close + 1);
    h->lower = !has_capitals(h->name);
    return after.n == 0 || parse_port(str_skip(after, 1), &h->port);
}

bool http_host_parse(struct str text, struct http_host *h)
{
    *h = (struct http_host){.name = str_head(text, 0), .kind = HOST_EMPTY, .lower = true};
    if (text.n == 0)
        return true;
    if (text.p[0] == '[')
        return parse_ipv6(text, h);

    struct str last;
    size_t n = scan_name(text, &last, &h->lower);
    if (n == 0 || (n < text.n && !parse_port(str_skip(text, n + 1), &h->port)))
        return false;
    h->name = str_head(text, n - (text.p[n - 1] == '.'));
    if (h->name.n > HTTP_HOST_MAX - 2) /* RFC 1035: 253 without the last dot */
        return false;
    h->kind = HOST_NAME;
    if (ascii_is_digit(last.p[0]) && is_number(last)) {
        h->kind = HOST_IPV4;
        return ip_valid(AF_INET, h->name);
    }
    return true;
}

struct str http_host_canonical(const struct http_host *h, char buf[HTTP_HOST_MAX])
{
    if (h->lower)
        return h->name;
    for (size_t i = 0; i < h->name.n; i++)
        buf[i] = ascii_lower(h->name.p[i]);
    return str_of(buf, h->name.n);
}

/* --- patterns ---------------------------------------------------------------------------------- */

static bool is_any(struct str pattern)
{
    return pattern.n == 0 || (pattern.n == 1 && pattern.p[0] == '*');
}

static bool is_wildcard(struct str pattern)
{
    return pattern.n > 2 && pattern.p[0] == '*' && pattern.p[1] == '.';
}

static size_t count_labels(struct str s)
{
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '.';
    return n;
}

bool http_host_pattern_valid(struct str pattern)
{
    struct http_host h;
    if (is_any(pattern))
        return true;
    bool wildcard = is_wildcard(pattern);
    struct str name = wildcard ? str_skip(pattern, 2) : pattern;
    if (!http_host_parse(name, &h) || h.kind != HOST_NAME)
        return false;
    return h.lower && h.port == 0 && h.name.n == name.n && pattern.n <= HTTP_HOST_MAX - 2;
}

bool http_host_matches(struct str pattern, struct str host)
{
    if (is_any(pattern))
        return true;
    if (!is_wildcard(pattern))
        return str_eq(pattern, host);
    struct str suffix = str_skip(pattern, 1); /* with its dot */
    return host.n > suffix.n && str_ends(host, suffix);
}

/* Exact names above all wildcards, those above "any". */
static size_t specificity(struct str pattern)
{
    return is_any(pattern) ? 0 : is_wildcard(pattern) ? count_labels(pattern) : SIZE_MAX;
}

int http_host_compare(struct str a, struct str b)
{
    size_t x = specificity(a), y = specificity(b);
    return x > y ? 1 : x < y ? -1 : 0;
}

bool http_host_intersect(struct str a, struct str b, struct str *both)
{
    if (is_any(a) || is_any(b)) {
        *both = is_any(a) ? b : a;
        return true;
    }
    /* A wildcard inside a wildcard: "*.a.b" as a host is matched by "*.b". */
    if (str_eq(a, b) || (is_wildcard(b) && http_host_matches(b, a))) {
        *both = a;
        return true;
    }
    if (is_wildcard(a) && http_host_matches(a, b)) {
        *both = b;
        return true;
    }
    return false;
}
