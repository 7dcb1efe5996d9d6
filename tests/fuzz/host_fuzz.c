/*
 * host_fuzz.c - hosts (F9): what is accepted has one canonical form, which is accepted as itself; and
 * patterns, matching and intersection agree with each other.
 *
 * Input: a host, or `pattern LF pattern LF host`.
 */
#include "shared/http/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(struct str text)
{
    struct http_host h, again;
    char buf[HTTP_HOST_MAX];
    if (!http_host_parse(text, &h))
        return;
    must(h.kind != HOST_EMPTY || text.n == 0);
    struct str canonical = http_host_canonical(&h, buf);
    must(canonical.n <= text.n && canonical.n < HTTP_HOST_MAX);
    for (size_t i = 0; i < canonical.n; i++) {
        char c = canonical.p[i];
        must(c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z') && !strchr("/\\@?#%,;!", c));
    }
    must(http_host_parse(canonical, &again) && again.lower && again.port == 0);
    must(again.kind == h.kind && str_eq(again.name, canonical));
}

static void check_patterns(struct str a, struct str b, struct str text)
{
    struct http_host h;
    char buf[HTTP_HOST_MAX];
    struct str both, other;
    if (!http_host_pattern_valid(a) || !http_host_pattern_valid(b))
        return;
    bool some = http_host_intersect(a, b, &both);
    must(http_host_intersect(b, a, &other) == some);
    must(http_host_compare(a, b) == -http_host_compare(b, a));
    if (some) { /* "*" and "" are the same pattern */
        must(str_eq(both, other) || (both.n < 2 && other.n < 2));
        must(http_host_pattern_valid(both));
        must(http_host_compare(both, a) >= 0 && http_host_compare(both, b) >= 0);
    }
    if (!http_host_parse(text, &h) || h.kind == HOST_EMPTY)
        return;
    struct str host = http_host_canonical(&h, buf);
    bool in_both = http_host_matches(a, host) && http_host_matches(b, host);
    must(in_both == (some && http_host_matches(both, host)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size), a, b;
    if (size > 1024)
        return 0;
    check_host(rest);
    if (str_split(&rest, '\n', &a) && str_split(&rest, '\n', &b) && rest.p) {
        check_patterns(a, b, rest);
        check_host(rest);
    }
    return 0;
}
