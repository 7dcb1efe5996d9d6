#include "master/kinds/format.h"
#include "shared/base/arena.h"
#include "shared/http/token.h"
#include "shared/regex/regex.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define DNS_LABEL_MAX  63
#define DNS_NAME_MAX   253
#define LABEL_MAX      63

static bool say(struct buf *why, const char *text)
{
    if (why)
        buf_addc(why, text);
    return false;
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

/* RFC 1123 label: letters (capitals if allowed), digits, '-' inside. */
static bool dns_label(struct str s, bool capitals, struct buf *why)
{
    if (s.n == 0)
        return say(why, "has an empty label");
    if (s.n > DNS_LABEL_MAX)
        return say(why, "has a label of more than 63 characters");
    if (s.p[0] == '-' || s.p[s.n - 1] == '-')
        return say(why, "a label must not begin or end with '-'");
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= 'A' && c <= 'Z' && !capitals)
            return say(why, "must be lower case");
        if (!is_alnum(c) && c != '-')
            return say(why, "may hold only letters, digits, '-' and '.'");
    }
    return true;
}

static bool dns_name(struct str s, bool capitals, struct buf *why)
{
    struct str rest = s, label;
    if (s.n == 0)
        return say(why, "must not be empty");
    if (s.n > DNS_NAME_MAX)
        return say(why, "is longer than 253 characters");
    while (str_split(&rest, '.', &label))
        if (!dns_label(label, capitals, why))
            return false;
    return true;
}

static bool is_ip(struct str s, int family)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char addr[16];
    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return ((family == 0 || family == AF_INET) && inet_pton(AF_INET, text, addr) == 1) ||
           ((family == 0 || family == AF_INET6) && inet_pton(AF_INET6, text, addr) == 1);
}

/* ---- one function per format; `why` may be NULL ---- */

static bool check_dns_label(struct str s, struct buf *why)
{
    if (str_chr(s, '.') >= 0)
        return say(why, "must be one label, without '.'");
    return dns_label(s, false, why);
}

static bool check_dns_subdomain(struct str s, struct buf *why)
{
    return dns_name(s, false, why);
}

static bool check_precise_hostname(struct str s, struct buf *why)
{
    if (is_ip(s, 0))
        return say(why, "must be a host name, not an IP address");
    return dns_name(s, false, why);
}

static bool check_hostname(struct str s, struct buf *why)
{
    if (str_eqc(s, "*"))
        return say(why, "\"*\" is no host name; leave the field out to mean every host");
    if (str_starts(s, STR("*."))) {
        if (is_ip(str_skip(s, 2), 0))
            return say(why, "must be a host name, not an IP address");
        return dns_name(str_skip(s, 2), false, why);
    }
    if (str_chr(s, '*') >= 0)
        return say(why, "'*' may stand only for the whole first label, as in \"*.example.com\"");
    return check_precise_hostname(s, why);
}

/* ISTIO-RULES, "Wildcard domain" and "FQDN": capitals and a trailing dot are fine. */
static bool check_fqdn_wildcard(struct str s, struct buf *why)
{
    if (s.n == 0)
        return say(why, "must not be empty");
    if (str_eqc(s, "*"))
        return true;
    ptrdiff_t star = str_chr(s, '*');
    if (star > 0 || (star == 0 && str_chr(str_skip(s, 1), '*') >= 0))
        return say(why, "'*' may stand only at the front, as in \"*.example.com\"");
    struct str name = s;
    if (star == 0) {
        name = str_skip(name, 1);
        if (name.n > 0 && (name.p[0] == '.' || name.p[0] == '-'))
            name = str_skip(name, 1);
    } else if (is_ip(s, 0)) {
        return true;
    }
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (!dns_name(name, true, why))
        return false;
    struct str last = str_skip(name, (size_t)(str_rchr(name, '.') + 1));
    for (size_t i = 0; i < last.n; i++)
        if (!ascii_is_digit(last.p[i]))
            return true;
    return star < 0 && last.n == name.n ? true : say(why, "the last label must not be all digits");
}

static bool check_header_name(struct str s, struct buf *why)
{
    if (s.n == 0)
        return say(why, "must not be empty");
    if (s.p[0] == ':')
        return say(why, "pseudo-headers such as \":path\" can't be used here");
    for (size_t i = 0; i < s.n; i++)
        if (!token_is(s.p[i], TOKEN_TCHAR))
            return say(why, s.p[i] == ' ' || s.p[i] == ':' ? "a header name has no spaces or colons"
                                                           : "holds a character that no header name may have");
    return true;
}

static bool check_header_value(struct str s, struct buf *why)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n' || c == '\r')
            return say(why, "must not hold a line break");
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return say(why, "must not hold control characters");
    }
    return true;
}

static bool is_pchar(struct str s, size_t i)
{
    char c = s.p[i];
    if (c == '%')
        return i + 2 < s.n && ascii_hex(s.p[i + 1]) >= 0 && ascii_hex(s.p[i + 2]) >= 0;
    return is_alnum(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
}

/* False for nearly all paths: there is no "//", "/.", '%' or '#' in them. */
static bool may_be_banned(struct str s)
{
    char before = '\0';
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%' || c == '#' || (before == '/' && (c == '/' || c == '.')))
            return true;
        before = c;
    }
    return false;
}

/* GATEWAY-API-RULES 1.2 */
static bool check_path(struct str s, struct buf *why)
{
    static const struct {
        const char *piece, *why;
    } banned[] = {
        {"//", "must not hold \"//\""},       {"/./", "must not hold \"/./\""},
        {"/../", "must not hold \"/../\""},   {"%2f", "must not hold an encoded slash"},
        {"%2F", "must not hold an encoded slash"}, {"#", "must not hold '#'"},
    };
    if (s.n == 0 || s.p[0] != '/')
        return say(why, "must begin with '/'");
    if (may_be_banned(s)) {
        for (size_t i = 0; i < ARRAY_LEN(banned); i++)
            if (str_find(s, str_c(banned[i].piece)) >= 0)
                return say(why, banned[i].why);
        if (str_ends(s, STR("/.")) || str_ends(s, STR("/..")))
            return say(why, "must not end with \"/.\" or \"/..\"");
    }
    for (size_t i = 0; i < s.n; i++)
        if (!is_pchar(s, i))
            return say(why, s.p[i] == '?' ? "a path has no '?'; match the query with queryParams"
                                          : s.p[i] == '%' ? "'%' must be followed by two hex digits"
                                                          : "holds a character that must be percent-encoded in a path");
    return true;
}

static bool check_ip(struct str s, struct buf *why)
{
    return is_ip(s, 0) ? true : say(why, "must be an IPv4 or IPv6 address");
}

static bool check_cidr(struct str s, struct buf *why)
{
    ptrdiff_t slash = str_chr(s, '/');
    uint64_t bits;
    if (slash < 0)
        return say(why, "must be address/bits, such as 10.0.0.0/8");
    struct str addr = str_head(s, (size_t)slash), len = str_skip(s, (size_t)slash + 1);
    uint64_t most = is_ip(addr, AF_INET) ? 32 : is_ip(addr, AF_INET6) ? 128 : 0;
    if (most == 0)
        return say(why, "has no valid address before the '/'");
    if (!str_u64(len, &bits) || bits > most)
        return say(why, most == 32 ? "the bits must be 0 to 32" : "the bits must be 0 to 128");
    return true;
}

static bool label_text(struct str s, struct buf *why)
{
    if (s.n > LABEL_MAX)
        return say(why, "is longer than 63 characters");
    if (s.n > 0 && (!is_alnum(s.p[0]) || !is_alnum(s.p[s.n - 1])))
        return say(why, "must begin and end with a letter or digit");
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return say(why, "may hold only letters, digits, '-', '_' and '.'");
    return true;
}

static bool check_label_value(struct str s, struct buf *why)
{
    return label_text(s, why);
}

static bool check_label_key(struct str s, struct buf *why)
{
    ptrdiff_t slash = str_chr(s, '/');
    if (slash >= 0) {
        if (!dns_name(str_head(s, (size_t)slash), false, NULL))
            return say(why, "the part before '/' must be a DNS name");
        s = str_skip(s, (size_t)slash + 1);
    }
    if (s.n == 0)
        return say(why, "must not be empty");
    return label_text(s, why);
}

static bool check_gep_duration(struct str s, struct buf *why)
{
    uint64_t ms;
    if (format_gep_duration(s, &ms))
        return true;
    return say(why, str_eqc(s, "0") ? "zero is written \"0s\""
                                    : "must be numbers with units h, m, s or ms, such as \"1m30s\" (no fractions)");
}

static bool check_go_duration(struct str s, struct buf *why)
{
    uint64_t ms;
    bool exact;
    return format_go_duration(s, &ms, &exact)
               ? true
               : say(why, "must be numbers with units h, m, s or ms, such as \"1m30s\" or \"0.5s\"");
}

static bool check_regex(struct str s, struct buf *why)
{
    struct buf text = {0};
    size_t offset = 0;
    struct regex *r = regex_compile(s, 0, &text, &offset);
    if (!r && why)
        buf_addf(why, "at character %zu: %s", offset + 1, buf_cstr(&text));
    regex_free(r);
    buf_fini(&text);
    return r != NULL;
}

static const struct {
    const char *name;
    bool (*check)(struct str s, struct buf *why);
} FORMATS[] = {
    [FMT_DNS_LABEL] = {"a DNS label", check_dns_label},
    [FMT_DNS_SUBDOMAIN] = {"a DNS name", check_dns_subdomain},
    [FMT_OBJECT_NAME] = {"an object name", check_dns_subdomain},
    [FMT_HOSTNAME] = {"a host name, optionally \"*.\" in front", check_hostname},
    [FMT_PRECISE_HOSTNAME] = {"a host name", check_precise_hostname},
    [FMT_FQDN_WILDCARD] = {"a host name, optionally with '*' in front", check_fqdn_wildcard},
    [FMT_HEADER_NAME] = {"a header name", check_header_name},
    [FMT_HEADER_VALUE] = {"a header value", check_header_value},
    [FMT_PATH] = {"a path", check_path},
    [FMT_IP] = {"an IP address", check_ip},
    [FMT_CIDR] = {"an address range", check_cidr},
    [FMT_REGEX] = {"a regular expression (RE2)", check_regex},
    [FMT_GEP_DURATION] = {"a duration", check_gep_duration},
    [FMT_GO_DURATION] = {"a duration", check_go_duration},
    [FMT_LABEL_KEY] = {"a label key", check_label_key},
    [FMT_LABEL_VALUE] = {"a label value", check_label_value},
    [FMT_QUALIFIED_NAME] = {"a key of labels and annotations", check_label_key},
};

bool format_check(enum field_format f, struct str s, struct buf *why)
{
    return FORMATS[f].check ? FORMATS[f].check(s, why) : true;
}

const char *format_name(enum field_format f)
{
    return FORMATS[f].name;
}

/* ---- durations ---- */

static const struct {
    const char *unit;
    uint64_t ns;
} UNITS[] = {{"ns", 1},           {"us", 1000},        {"\xc2\xb5s", 1000},     {"ms", 1000000},
             {"s", 1000000000u},  {"m", 60000000000u}, {"h", 3600000000000u}};

/* The unit at the front of *s, in nanoseconds; 0 when there is none. */
static uint64_t take_unit(struct str *s)
{
    size_t n = 0;
    while (n < s->n && !ascii_is_digit(s->p[n]) && s->p[n] != '.')
        n++;
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
        if (str_eqc(str_head(*s, n), UNITS[i].unit)) {
            *s = str_skip(*s, n);
            return UNITS[i].ns;
        }
    }
    return 0;
}

static size_t digits(struct str s)
{
    size_t n = 0;
    while (n < s.n && ascii_is_digit(s.p[n]))
        n++;
    return n;
}

bool format_gep_duration(struct str s, uint64_t *ms)
{
    uint64_t total = 0, v;
    unsigned groups = 0;
    for (; s.n > 0; groups++) {
        size_t n = digits(s);
        if (n == 0 || n > 5 || groups == 4 || !str_u64(str_head(s, n), &v))
            return false;
        s = str_skip(s, n);
        uint64_t unit = take_unit(&s);
        if (unit < 1000000)
            return false;
        total += v * (unit / 1000000);
    }
    *ms = total;
    return groups > 0;
}

/* Whole nanoseconds of `whole.fraction` units; false on overflow. */
static bool add_group(struct str whole, struct str fraction, uint64_t unit, uint64_t *ns)
{
    uint64_t v = 0, part = unit;
    if (whole.n > 0 && !str_u64(whole, &v))
        return false;
    if (__builtin_mul_overflow(v, unit, &v) || __builtin_add_overflow(*ns, v, ns))
        return false;
    for (size_t i = 0; i < fraction.n && part > 0; i++) {
        part /= 10;
        if (__builtin_add_overflow(*ns, part * (uint64_t)(fraction.p[i] - '0'), ns))
            return false;
    }
    return *ns <= INT64_MAX;
}

bool format_go_duration(struct str s, uint64_t *ms, bool *exact)
{
    uint64_t ns = 0;
    *exact = true;
    *ms = 0;
    if (s.n > 0 && s.p[0] == '+')
        s = str_skip(s, 1);
    if (str_eqc(s, "0"))
        return true;
    if (s.n == 0)
        return false;
    while (s.n > 0) {
        struct str whole = str_head(s, digits(s)), fraction = STR_NONE;
        s = str_skip(s, whole.n);
        if (s.n > 0 && s.p[0] == '.') {
            s = str_skip(s, 1);
            fraction = str_head(s, digits(s));
            s = str_skip(s, fraction.n);
        }
        uint64_t unit = whole.n + fraction.n > 0 ? take_unit(&s) : 0;
        if (unit == 0 || !add_group(whole, fraction, unit, &ns))
            return false;
    }
    *exact = ns % 1000000 == 0;
    *ms = ns / 1000000;
    return true;
}

/* ---- base64 ---- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (is_lower(c))
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool format_base64(struct arena *a, struct str s, struct str *out)
{
    char *p = arena_alloc(a, s.n / 4 * 3 + 4);
    size_t n = 0, chars = 0, pad = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\n' || c == '\r')
            continue;
        int v = c == '=' ? 0 : base64_value(c);
        pad += c == '=';
        if (v < 0 || (pad > 0 && c != '=') || pad > 2)
            return false;
        bits = bits << 6 | (uint32_t)v;
        if (++chars % 4)
            continue;
        p[n++] = (char)(bits >> 16);
        p[n++] = (char)(bits >> 8);
        p[n++] = (char)bits;
    }
    if (chars % 4)
        return false;
    n -= pad;
    p[n] = '\0';
    *out = str_of(p, n);
    return true;
}
