/*
 * uri.c - request targets and query parameters; the canonical path is in path.c.
 */
#include "shared/http/uri.h"
#include "shared/http/host.h"
#include "shared/http/token.h"

const char *uri_fault_text(enum uri_fault f)
{
    switch (f) {
#define X(id, text)                                                                                \
    case URI_##id:                                                                                 \
        return text;
#include "shared/tbl/uri_fault.def"
#undef X
    case URI_OK:
        break;
    }
    return "no fault";
}

/* Splits off the query at the first '?'. */
static void split_query(struct http_target *t, struct str s)
{
    ptrdiff_t mark = str_chr(s, '?');
    if (mark < 0) {
        t->path = s;
    } else {
        t->path = str_head(s, (size_t)mark);
        t->query = str_skip(s, (size_t)mark + 1);
    }
}

static bool take_scheme(struct str *s, bool *https)
{
    if (s->n >= 7 && str_ieq(str_head(*s, 7), STR("http://"))) {
        *s = str_skip(*s, 7);
        return true;
    }
    if (s->n >= 8 && str_ieq(str_head(*s, 8), STR("https://"))) {
        *s = str_skip(*s, 8);
        *https = true;
        return true;
    }
    return false;
}

static enum uri_fault parse_absolute(enum http_method m, struct str raw, struct http_target *t)
{
    struct str s = raw;
    struct http_host host;
    t->form = TARGET_ABSOLUTE;
    if (!take_scheme(&s, &t->https))
        return str_find(raw, STR("://")) >= 0 ? URI_SCHEME : URI_TARGET_FORM;
    size_t end = 0;
    while (end < s.n && s.p[end] != '/' && s.p[end] != '?')
        end++;
    t->authority = str_head(s, end);
    if (!http_host_parse(t->authority, &host) || host.kind == HOST_EMPTY)
        return URI_AUTHORITY;
    split_query(t, str_skip(s, end));
    if (t->path.n == 0) /* RFC 9112 3.2.1 and 3.2.4 */
        t->path = m == METHOD_OPTIONS && !t->query.p ? STR("*") : STR("/");
    return URI_OK;
}

enum uri_fault http_target_parse(enum http_method m, struct str raw, struct http_target *t)
{
    if (raw.n && token_target_end(raw.p, 0, raw.n) != raw.n) {
        *t = (struct http_target){.form = TARGET_ORIGIN};
        return URI_TARGET_BYTE;
    }
    return http_target_split(m, raw, t);
}

enum uri_fault http_target_split(enum http_method m, struct str raw, struct http_target *t)
{
    *t = (struct http_target){.form = TARGET_ORIGIN};
    if (raw.n == 0)
        return URI_TARGET_FORM;
    if (m == METHOD_CONNECT) {
        struct http_host host;
        t->form = TARGET_AUTHORITY;
        t->authority = raw;
        t->path = str_head(raw, 0);
        if (!http_host_parse(raw, &host) || host.kind == HOST_EMPTY || host.port == 0)
            return URI_AUTHORITY;
        return URI_OK;
    }
    if (raw.p[0] == '/') {
        split_query(t, raw);
        return URI_OK;
    }
    if (raw.n == 1 && raw.p[0] == '*' && m == METHOD_OPTIONS) {
        t->form = TARGET_ASTERISK;
        t->path = raw;
        return URI_OK;
    }
    return parse_absolute(m, raw, t);
}

bool http_query_valid(struct str query)
{
    return token_target_valid(query);
}

bool http_query_next(struct str *rest, struct str *name, struct str *value)
{
    struct str piece;
    while (str_split(rest, '&', &piece)) {
        if (piece.n == 0)
            continue;
        ptrdiff_t mark = str_chr(piece, '=');
        *name = mark < 0 ? piece : str_head(piece, (size_t)mark);
        *value = mark < 0 ? str_skip(piece, piece.n) : str_skip(piece, (size_t)mark + 1);
        return true;
    }
    return false;
}

/* One decoded byte of *s, which is not empty. */
static char take_decoded(struct str *s)
{
    char c = s->p[0];
    size_t used = 1;
    if (c == '+') {
        c = ' ';
    } else if (c == '%' && s->n >= 3) {
        int high = ascii_hex(s->p[1]), low = ascii_hex(s->p[2]);
        if (high >= 0 && low >= 0) {
            c = (char)(high << 4 | low);
            used = 3;
        }
    }
    *s = str_skip(*s, used);
    return c;
}

bool http_query_equal(struct str raw, struct str plain)
{
    while (raw.n && plain.n) {
        if (take_decoded(&raw) != plain.p[0])
            return false;
        plain = str_skip(plain, 1);
    }
    return raw.n == 0 && plain.n == 0;
}

bool http_query_get(struct str query, struct str name, struct str *value)
{
    struct str found;
    while (http_query_next(&query, &found, value))
        if (http_query_equal(found, name))
            return true;
    return false;
}

size_t http_query_decode(struct str raw, char *out)
{
    size_t n = 0;
    while (raw.n)
        out[n++] = take_decoded(&raw);
    return n;
}
