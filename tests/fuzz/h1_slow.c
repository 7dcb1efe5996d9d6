#include "tests/fuzz/h1_slow.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

/* --- bytes ------------------------------------------------------------------------------------- */

static bool tchar(char c)
{
    return c && (((unsigned char)c < 0x80 && isalnum((unsigned char)c)) || strchr("!#$%&'*+-.^_`|~", c));
}

static bool token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!tchar(s.p[i]))
            return false;
    return s.n > 0;
}

static bool text(struct str s) /* field-vchar, SP, HTAB */
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool same(struct str s, const char *lower)
{
    return s.n == strlen(lower) && strncasecmp(s.p ? s.p : "", lower, s.n) == 0;
}

static struct str trim(struct str s)
{
    return str_trim(s, " \t");
}

/* --- lists ------------------------------------------------------------------------------------- */

/* Non-empty elements between commas. None of the lists that count may have quoted strings. */
static bool element(struct str *rest, struct str *item)
{
    while (str_split(rest, ',', item)) {
        *item = trim(*item);
        if (item->n)
            return true;
    }
    return false;
}

/* --- hosts and targets ------------------------------------------------------------------------- */

static bool port_good(struct str s)
{
    unsigned long v = 0;
    if (s.n > 5)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!ascii_is_digit(s.p[i]))
            return false;
        v = v * 10 + (unsigned long)(s.p[i] - '0');
    }
    return s.n == 0 || (v >= 1 && v <= 65535);
}

static bool ip_good(int family, struct str s)
{
    char buf[64], addr[16];
    if (s.n >= sizeof(buf) || str_chr(s, '\0') >= 0)
        return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    return inet_pton(family, buf, addr) == 1;
}

static bool number_like(struct str label)
{
    bool hex = label.n >= 2 && label.p[0] == '0' && (label.p[1] == 'x' || label.p[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < label.n; i++)
        if (hex ? !isxdigit((unsigned char)label.p[i]) : !ascii_is_digit(label.p[i]))
            return false;
    return true;
}

static bool name_good(struct str name)
{
    struct str rest = name, label = STR_NONE;
    if (name.n > 253)
        return false;
    while (str_split(&rest, '.', &label)) {
        if (label.n < 1 || label.n > 63)
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!ascii_is_alpha(label.p[i]) && !ascii_is_digit(label.p[i]) && label.p[i] != '-' &&
                label.p[i] != '_')
                return false;
    }
    return !number_like(label) || ip_good(AF_INET, name);
}

static bool host_good(struct str s)
{
    struct str port = STR("");
    if (s.n == 0)
        return true;
    if (s.p[0] == '[') {
        ptrdiff_t close = str_chr(s, ']');
        if (close < 0 || !ip_good(AF_INET6, str_of(s.p + 1, (size_t)close - 1)))
            return false;
        struct str after = str_skip(s, (size_t)close + 1);
        return after.n == 0 || (after.p[0] == ':' && port_good(str_skip(after, 1)));
    }
    ptrdiff_t colon = str_chr(s, ':');
    if (colon >= 0) {
        port = str_skip(s, (size_t)colon + 1);
        s = str_head(s, (size_t)colon);
    }
    if (s.n && s.p[s.n - 1] == '.')
        s.n--;
    return port_good(port) && name_good(s);
}

static bool target_good(struct str method, struct str t, struct str *authority)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] <= 0x20 || t.p[i] >= 0x7f || t.p[i] == '#')
            return false;
    if (t.n && t.p[0] == '/')
        return true;
    if (str_eqc(t, "*"))
        return str_eqc(method, "OPTIONS");
    size_t scheme = t.n >= 7 && strncasecmp(t.p, "http://", 7) == 0    ? 7
                    : t.n >= 8 && strncasecmp(t.p, "https://", 8) == 0 ? 8
                                                                       : 0;
    if (!scheme)
        return false;
    size_t end = scheme;
    while (end < t.n && t.p[end] != '/' && t.p[end] != '?')
        end++;
    *authority = str_of(t.p + scheme, end - scheme);
    return authority->n > 0 && host_good(*authority);
}

/* --- lines ------------------------------------------------------------------------------------- */

/* The next line without its CRLF. */
static enum slow_verdict next_line(struct str data, const struct h1_limits *limits, size_t *at,
                                   struct str *line)
{
    struct str rest = str_skip(data, *at);
    ptrdiff_t lf = str_chr(rest, '\n');
    if (lf < 0)
        return SLOW_CUT;
    size_t len = (size_t)lf + 1;
    if (len > limits->max_line || *at + len > limits->max_head)
        return SLOW_BAD;
    if (lf == 0 || rest.p[lf - 1] != '\r')
        return SLOW_BAD;
    *line = str_head(rest, (size_t)lf - 1);
    *at += len;
    return str_chr(*line, '\r') >= 0 ? SLOW_BAD : SLOW_GOOD;
}

static const struct known {
    const char *name;
    unsigned properties;
    enum http_field_id id;
} known[] = {
#define X(id, name, properties, slot) {name, (properties), FIELD_##id},
#include "shared/tbl/http_field.def"
#undef X
};

static const struct known *find_known(struct str name, bool dashes)
{
    char buf[300];
    if (name.n >= sizeof(buf))
        return NULL;
    for (size_t i = 0; i < name.n; i++)
        buf[i] = dashes && name.p[i] == '_' ? '-' : name.p[i];
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (same(str_of(buf, name.n), known[i].name))
            return &known[i];
    return NULL;
}

static bool field_line(struct slow_message *m, struct str line, const struct h1_limits *limits)
{
    ptrdiff_t colon = str_chr(line, ':');
    if (colon < 0 || m->n_fields >= limits->max_fields)
        return false;
    struct http_field *f = &m->fields[m->n_fields++];
    *f = (struct http_field){str_head(line, (size_t)colon), trim(str_skip(line, (size_t)colon + 1)), 0, 0};
    const struct known *k = find_known(f->name, false);
    if (k) {
        f->id = (uint16_t)k->id;
        f->flags |= k->properties & FIELD_P_HOP ? FIELD_F_HOP : 0;
        f->flags |= k->properties & FIELD_P_FRAMING ? FIELD_F_FRAMING : 0;
    }
    if (str_chr(f->name, '_') >= 0) {
        f->flags |= FIELD_F_UNDERSCORE;
        f->flags |= !k && find_known(f->name, true) ? FIELD_F_ALIAS : 0;
    }
    return token(f->name) && f->name.n <= HTTP_FIELD_NAME_MAX && text(f->value);
}

static enum slow_verdict field_lines(struct slow_message *m, struct str data, size_t *at,
                                     const struct h1_limits *limits)
{
    for (;;) {
        struct str line;
        enum slow_verdict v = next_line(data, limits, at, &line);
        if (v != SLOW_GOOD)
            return v;
        if (line.n == 0) {
            m->used = *at;
            return SLOW_GOOD;
        }
        if (!field_line(m, line, limits))
            return SLOW_BAD;
    }
}

/* --- meaning ----------------------------------------------------------------------------------- */

static size_t count(const struct slow_message *m, enum http_field_id id, struct str *value)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].id == id) {
            *value = m->fields[i].value;
            n++;
        }
    return n;
}

static bool any_list_has(const struct slow_message *m, enum http_field_id id, const char *word)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].id == id && http_list_has(m->fields[i].value, str_c(word)))
            return true;
    return false;
}

static bool length_good(struct str s, uint64_t *length)
{
    while (s.n > 1 && s.p[0] == '0')
        s = str_skip(s, 1);
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_digit(s.p[i]))
            return false;
    if (s.n < 1 || s.n > 19 || (s.n == 19 && memcmp(s.p, "9223372036854775807", 19) > 0))
        return false;
    char buf[20] = {0};
    memcpy(buf, s.p, s.n);
    *length = strtoull(buf, NULL, 10);
    return true;
}

static bool framing_good(struct slow_message *m, bool *chunked, bool *has_length)
{
    struct str value;
    size_t codings = count(m, FIELD_TRANSFER_ENCODING, &value);
    *chunked = codings > 0;
    if (codings && (codings > 1 || !same(value, "chunked") || m->minor == 0))
        return false;
    size_t lengths = count(m, FIELD_CONTENT_LENGTH, &value);
    *has_length = lengths > 0;
    if (lengths && (lengths > 1 || codings || !length_good(value, &m->length)))
        return false;
    return true;
}

static bool connection_good(struct slow_message *m, bool request)
{
    for (size_t i = 0; i < m->n_fields; i++) {
        struct str rest = m->fields[i].value, option;
        int n = 0;
        if (m->fields[i].id != FIELD_CONNECTION)
            continue;
        while (element(&rest, &option)) {
            const struct known *k = find_known(option, false);
            if (!token(option) || ++n > 32)
                return false;
            if (request && k && ((k->properties & FIELD_P_FRAMING) || k->id == FIELD_HOST))
                return false;
            for (size_t j = 0; j < m->n_fields; j++)
                if (str_ieq(m->fields[j].name, option) && !(k && (k->properties & FIELD_P_KEEP)))
                    m->fields[j].flags |= FIELD_F_HOP;
        }
    }
    m->keep_alive = !any_list_has(m, FIELD_CONNECTION, "close") &&
                    (m->minor == 1 || any_list_has(m, FIELD_CONNECTION, "keep-alive"));
    m->te_trailers =
        any_list_has(m, FIELD_TE, "trailers") && any_list_has(m, FIELD_CONNECTION, "te");
    return true;
}

static bool upgrade_good(struct slow_message *m)
{
    struct str value, item;
    size_t n = count(m, FIELD_UPGRADE, &value), items = 0;
    bool h2c = false;
    if (n == 0 || m->minor == 0 || !any_list_has(m, FIELD_CONNECTION, "upgrade"))
        return true;
    if (n > 1)
        return false;
    for (struct str rest = value; element(&rest, &item); items++) {
        struct str after = item, part;
        int parts = 0;
        for (; str_split(&after, '/', &part); parts++)
            if (!token(part))
                return false;
        if (parts > 2)
            return false;
        h2c = h2c || same(str_head(item, 3), "h2c");
    }
    m->upgrade = items > 0 && !h2c;
    return items > 0;
}

static bool expect_good(struct slow_message *m)
{
    for (size_t i = 0; i < m->n_fields; i++)
        if (m->fields[i].id == FIELD_EXPECT) {
            if (m->minor == 0)
                m->fields[i].flags |= FIELD_F_HOP;
            else if (!same(m->fields[i].value, "100-continue"))
                return false;
            m->expect_continue = m->minor == 1;
        }
    return true;
}

static bool request_good(struct slow_message *m)
{
    bool chunked, has_length;
    struct str host = STR_NONE, from_target = STR_NONE;
    size_t hosts = count(m, FIELD_HOST, &host);
    if (hosts > 1 || (hosts == 0 && m->minor == 1) || !host_good(host))
        return false;
    if (!target_good(m->method, m->target, &from_target) || !framing_good(m, &chunked, &has_length))
        return false;
    m->authority = from_target.p ? from_target : host;
    m->body = chunked ? H1_BODY_CHUNKED : has_length ? H1_BODY_LENGTH : H1_BODY_NONE;
    bool content = chunked || m->length > 0;
    if (!connection_good(m, true) || !upgrade_good(m) || !expect_good(m))
        return false;
    m->expect_continue = m->expect_continue && content;
    return !(content && (m->upgrade || str_eqc(m->method, "TRACE")));
}

static bool version_good(struct str s, unsigned *minor)
{
    *minor = str_eqc(s, "HTTP/1.1");
    return *minor || str_eqc(s, "HTTP/1.0");
}

enum slow_verdict slow_request(struct str data, const struct h1_limits *limits, struct slow_message *m)
{
    size_t at = 0;
    struct str line, version;
    *m = (struct slow_message){0};
    if (str_eqc(data, "\r"))
        return SLOW_CUT;
    if (str_starts(data, STR("\r\n"))) {
        if (limits->max_line < 2 || limits->max_head < 2)
            return SLOW_BAD;
        at = 2;
    }
    enum slow_verdict v = next_line(data, limits, &at, &line);
    if (v != SLOW_GOOD)
        return v;
    struct str rest = line;
    if (!str_split(&rest, ' ', &m->method) || !str_split(&rest, ' ', &m->target) ||
        !str_split(&rest, ' ', &version) || rest.p)
        return SLOW_BAD;
    if (!token(m->method) || m->method.n > H1_MAX_METHOD || str_eqc(m->method, "CONNECT") ||
        m->target.n == 0 || !version_good(version, &m->minor))
        return SLOW_BAD;
    for (size_t i = 0; i < m->target.n; i++)
        if (m->target.p[i] <= 0x20 || m->target.p[i] >= 0x7f || m->target.p[i] == '#')
            return SLOW_BAD;
    v = field_lines(m, data, &at, limits);
    return v == SLOW_GOOD && !request_good(m) ? SLOW_BAD : v;
}

static bool response_good(struct slow_message *m, bool to_head)
{
    bool chunked, has_length;
    if (!framing_good(m, &chunked, &has_length) || !connection_good(m, false))
        return false;
    bool announced = chunked || m->length > 0;
    if (m->status < 200 && announced)
        return false;
    if (m->status < 200 || m->status == 204 || m->status == 304 || to_head) {
        m->body = H1_BODY_NONE;
        m->keep_alive = m->keep_alive && !(m->status == 204 && announced);
    } else {
        m->body = chunked ? H1_BODY_CHUNKED : has_length ? H1_BODY_LENGTH : H1_BODY_CLOSE;
        m->keep_alive = m->keep_alive && m->body != H1_BODY_CLOSE;
    }
    return m->status != 101 || upgrade_good(m);
}

static bool status_line(struct slow_message *m, struct str line)
{
    if (line.n < 12 || !version_good(str_head(line, 8), &m->minor) || line.p[8] != ' ')
        return false;
    for (size_t i = 9; i < 12; i++) {
        if (!ascii_is_digit(line.p[i]))
            return false;
        m->status = m->status * 10 + (unsigned)(line.p[i] - '0');
    }
    if (m->status < 100 || (line.n > 12 && line.p[12] != ' '))
        return false;
    m->reason = str_skip(line, line.n > 12 ? 13 : 12);
    return text(m->reason);
}

enum slow_verdict slow_response(struct str data, const struct h1_limits *limits, bool to_head,
                                struct slow_message *m)
{
    size_t at = 0;
    struct str line;
    *m = (struct slow_message){0};
    enum slow_verdict v = next_line(data, limits, &at, &line);
    if (v != SLOW_GOOD)
        return v;
    if (!status_line(m, line))
        return SLOW_BAD;
    v = field_lines(m, data, &at, limits);
    return v == SLOW_GOOD && !response_good(m, to_head) ? SLOW_BAD : v;
}

enum slow_verdict slow_trailers(struct str data, const struct h1_limits *limits,
                                struct slow_message *m)
{
    size_t at = 0;
    *m = (struct slow_message){0};
    enum slow_verdict v = field_lines(m, data, &at, limits);
    for (size_t i = 0; i < m->n_fields; i++) {
        const struct known *k = find_known(m->fields[i].name, false);
        if (k && (k->properties & (FIELD_P_HOP | FIELD_P_FRAMING | FIELD_P_NO_TRAILER)))
            m->fields[i].flags |= FIELD_F_NO_TRAILER;
    }
    return v;
}

/* --- chunks ------------------------------------------------------------------------------------ */

/* *( ";" BWS name [ BWS "=" BWS ( token / quoted ) ] BWS ) */
static bool extensions_good(struct str s)
{
    while (s.n) {
        size_t i = 1;
        if (s.p[0] != ';')
            return false;
        while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
            i++;
        size_t name = i;
        while (i < s.n && tchar(s.p[i]))
            i++;
        if (i == name)
            return false;
        while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
            i++;
        if (i < s.n && s.p[i] == '=') {
            i++;
            while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
                i++;
            size_t value = i;
            if (i < s.n && s.p[i] == '"') {
                for (i++; i < s.n && s.p[i] != '"'; i++)
                    i += s.p[i] == '\\';
                if (i >= s.n)
                    return false;
                i++;
            } else {
                while (i < s.n && tchar(s.p[i]))
                    i++;
            }
            if (i == value)
                return false;
            while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
                i++;
        }
        s = str_skip(s, i);
    }
    return true;
}

enum slow_verdict slow_chunked(struct str data, char *content, size_t *n, size_t *used)
{
    size_t at = 0, all_extensions = 0;
    *n = 0;
    for (;;) {
        const struct h1_limits none = {UINT32_MAX, UINT32_MAX, 0};
        struct str line;
        enum slow_verdict v = next_line(data, &none, &at, &line);
        if (v != SLOW_GOOD)
            return v;
        size_t digits = 0;
        while (digits < line.n && isxdigit((unsigned char)line.p[digits]))
            digits++;
        struct str ext = str_skip(line, digits);
        /* The CR of the line is counted with its extensions. */
        all_extensions += ext.n ? ext.n : 0;
        if (digits < 1 || digits > 16 || !extensions_good(ext) || !text(ext) || ext.n > 256 ||
            all_extensions > 4096)
            return SLOW_BAD;
        char hex[17] = {0};
        memcpy(hex, line.p, digits);
        uint64_t size = strtoull(hex, NULL, 16);
        if (size > INT64_MAX)
            return SLOW_BAD;
        if (size == 0) {
            *used = at;
            return SLOW_GOOD;
        }
        size_t have = size < data.n - at ? (size_t)size : data.n - at;
        memcpy(content + *n, data.p + at, have);
        *n += have;
        at += have;
        if (have < size || data.n - at < 1)
            return SLOW_CUT;
        if (data.p[at] != '\r')
            return SLOW_BAD;
        if (data.n - at < 2)
            return SLOW_CUT;
        if (data.p[at + 1] != '\n')
            return SLOW_BAD;
        at += 2;
    }
}
