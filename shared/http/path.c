/*
 * path.c - the canonical form of a path (uri.h, rules 1 to 5).
 *
 * Two passes that share their rules. `plain_prefix` looks how far the path is canonical as it stands,
 * which is usually all of it; only behind that point bytes are copied. The copy is made segment by
 * segment: a segment is written in canonical spelling, then looked at as a whole (is it empty, "." or
 * "..", possibly spelt with escapes?), so that escapes are always decoded before dots are counted.
 */
#include "shared/http/token.h"
#include "shared/http/uri.h"

struct writer {
    char *out;
    size_t n;
    unsigned flags;
};

/* Is the segment in [from, n) "." or ".."? The number of dots, else 0. */
static size_t dots(const char *p, size_t from, size_t n)
{
    size_t len = n - from;
    if (len == 0 || len > 2 || p[from] != '.' || p[n - 1] != '.')
        return 0;
    return len;
}

/* How many bytes at the front are canonical; it ends behind whole segments: out[0, k) ends in a
 * segment whose '/' is included, or k == raw.n. */
static size_t plain_prefix(struct str raw, unsigned flags)
{
    size_t segment = 1; /* where this one begins */
    for (;;) {
        size_t end = segment;
        while (end < raw.n && token_is(raw.p[end], TOKEN_PATH))
            end++;
        bool last = end == raw.n;
        if ((!last && raw.p[end] != '/') || dots(raw.p, segment, end) ||
            (!last && end == segment && (flags & PATH_MERGE_SLASHES)))
            return segment;
        if (last)
            return raw.n;
        segment = end + 1;
    }
}

/* Is [lead, next) the start of an over-long form? Both are the bytes of two escapes in a row. */
static bool overlong(unsigned lead, unsigned next)
{
    if ((next & 0xc0) != 0x80)
        return false;
    return lead == 0xc0 || lead == 0xc1 || (lead == 0xe0 && next < 0xa0) ||
           (lead == 0xf0 && next < 0x90) || (lead >= 0xf8 && lead <= 0xfd);
}

/* The byte of the escape at raw[at], or -1. */
static int escape_at(struct str raw, size_t at)
{
    if (raw.n - at < 3 || raw.p[at] != '%')
        return -1;
    int high = ascii_hex(raw.p[at + 1]), low = ascii_hex(raw.p[at + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static void put_escape(struct writer *w, unsigned c)
{
    static const char hex[] = "0123456789ABCDEF";
    w->out[w->n++] = '%';
    w->out[w->n++] = hex[c >> 4];
    w->out[w->n++] = hex[c & 15];
}

static enum uri_fault put_decoded(struct writer *w, struct str raw, size_t at)
{
    int c = escape_at(raw, at);
    if (c < 0)
        return URI_PATH_ESCAPE;
    if (c < 0x20 || c == 0x7f)
        return URI_PATH_CONTROL;
    if (c == '/' && !(w->flags & PATH_KEEP_ENCODED_SLASH))
        return URI_PATH_ENCODED_SLASH;
    if (c == '\\' && !(w->flags & PATH_KEEP_ENCODED_BACKSLASH))
        return URI_PATH_ENCODED_BACKSLASH;
    int next = at + 3 < raw.n ? escape_at(raw, at + 3) : -1;
    if (next >= 0 && overlong((unsigned)c, (unsigned)next))
        return URI_PATH_OVERLONG;
    if (token_is((char)c, TOKEN_UNRESERVED))
        w->out[w->n++] = (char)c;
    else
        put_escape(w, (unsigned)c);
    return URI_OK;
}

static enum uri_fault put_raw(struct writer *w, char c)
{
    if (c == '\\')
        return URI_PATH_BACKSLASH;
    if (c == ';') {
        if (!(w->flags & PATH_KEEP_PARAMETERS))
            return URI_PATH_PARAMETERS;
        w->out[w->n++] = c;
        return URI_OK;
    }
    if (!token_is(c, TOKEN_TARGET) || c == '?')
        return URI_PATH_BYTE;
    put_escape(w, (unsigned char)c); /* not pchar: one of "<>[]^`{|} */
    return URI_OK;
}

/* Copies one segment in canonical spelling; *at stops at its '/' or at the end. */
static enum uri_fault put_segment(struct writer *w, struct str raw, size_t *at)
{
    while (*at < raw.n && raw.p[*at] != '/') {
        char c = raw.p[*at];
        enum uri_fault f = URI_OK;
        size_t used = 1;
        if (token_is(c, TOKEN_PATH)) {
            w->out[w->n++] = c;
        } else if (c == '%') {
            f = put_decoded(w, raw, *at);
            used = 3;
        } else {
            f = put_raw(w, c);
        }
        if (f != URI_OK)
            return f;
        *at += used;
    }
    return URI_OK;
}

/* out[0, n) ends in '/', which belongs to a segment that is taken back; so is the one before. */
static enum uri_fault climb(struct writer *w)
{
    if (w->n <= 1)
        return URI_PATH_ABOVE_ROOT;
    w->n--;
    while (w->out[w->n - 1] != '/')
        w->n--;
    return URI_OK;
}

/* What may stand for a separator at out[at], to servers that decode first: '/' for %2F and %5C, ';' for
 * itself and %3B; else 0. */
static char hidden_separator(const struct writer *w, size_t at)
{
    const char *p = w->out + at;
    if (p[0] == ';')
        return ';';
    if (p[0] != '%') /* escapes are whole and in capitals here */
        return 0;
    if (memcmp(p + 1, "3B", 2) == 0)
        return ';';
    return memcmp(p + 1, "2F", 2) == 0 || memcmp(p + 1, "5C", 2) == 0 ? '/' : 0;
}

/*
 * Cut at such separators, no part of a segment may be "." or "..", and none that carries parameters may
 * be empty ("/;x/" is "//" to those servers).
 */
static enum uri_fault check_hidden_dots(const struct writer *w, size_t from)
{
    size_t part = from;
    bool in_parameters = false, cut = false;
    for (size_t i = from; i <= w->n; i++) {
        char c = i < w->n ? hidden_separator(w, i) : '/';
        if (!c)
            continue;
        cut = cut || i < w->n;
        if (!in_parameters && cut && (dots(w->out, part, i) || (c == ';' && i == part)))
            return c == ';' ? URI_PATH_PARAMETERS : URI_PATH_ENCODED_SLASH;
        in_parameters = c == ';';
        if (!in_parameters)
            part = i + 3;
    }
    return URI_OK;
}

/* The segment in out[from, n) is complete. `last`: no '/' follows it. */
static enum uri_fault close_segment(struct writer *w, size_t from, bool last)
{
    size_t n_dots = dots(w->out, from, w->n);
    if (n_dots) {
        w->n = from;
        return n_dots == 2 ? climb(w) : URI_OK;
    }
    enum uri_fault f = check_hidden_dots(w, from);
    if (f != URI_OK)
        return f;
    if (!last && !(w->n == from && (w->flags & PATH_MERGE_SLASHES)))
        w->out[w->n++] = '/';
    return URI_OK;
}

/* Surely canonical: nothing but letters, digits and "-._~/", no segment that is empty or begins with a dot. */
static inline bool is_plain(struct str raw)
{
#if defined(GH_WIDE)
    unsigned above = 0; /* the last byte before these sixteen was a slash */
    for (size_t at = 0; at < raw.n; at += 16) {
        __m128i v = wide_part(raw.p, at, raw.n);
        unsigned slash = wide_mask(_mm_cmpeq_epi8(v, _mm_set1_epi8('/')));
        unsigned dot = wide_mask(_mm_cmpeq_epi8(v, _mm_set1_epi8('.')));
        unsigned fine = token_of_host(v) | slash | wide_mask(_mm_cmpeq_epi8(v, _mm_set1_epi8('~')));
        unsigned here = raw.n - at >= 16 ? 0xffffu : (1u << (raw.n - at)) - 1;
        if ((~fine & here) || ((slash | dot) & (slash << 1 | above)))
            return false;
        above = slash >> 15 & 1;
    }
    return true;
#else
    (void)raw;
    return false;
#endif
}

enum uri_fault http_path_canonical(struct str raw, unsigned flags, char *out, struct str *path)
{
    if (raw.n == 0 || raw.p[0] != '/')
        return URI_TARGET_FORM;
    if (likely(is_plain(raw))) {
        *path = raw;
        return URI_OK;
    }
    size_t at = plain_prefix(raw, flags);
    if (at == raw.n) {
        *path = raw;
        return URI_OK;
    }
    struct writer w = {out, at, flags};
    memcpy(out, raw.p, at);
    for (bool last = false; !last; at++) {
        size_t from = w.n;
        enum uri_fault f = put_segment(&w, raw, &at);
        if (f != URI_OK)
            return f;
        last = at == raw.n;
        f = close_segment(&w, from, last);
        if (f != URI_OK)
            return f;
    }
    *path = str_of(out, w.n);
    if (str_eq(*path, raw)) /* there were escapes, all as they should be */
        *path = raw;
    return URI_OK;
}
