#include "worker/codec/h1_write.h"
#include "shared/http/status.h"
#include "shared/http/token.h"

/* Room for n bytes, or NULL; then the writer stays as it is from here on. */
static char *room(struct h1_writer *w, size_t n)
{
    if (w->full || (size_t)(w->end - w->at) < n) {
        w->full = true;
        return NULL;
    }
    char *p = w->at;
    w->at += n;
    return p;
}

static inline char *put(char *at, struct str s)
{
    if (s.n)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static void check(struct h1_writer *w, bool fine)
{
    if (unlikely(!fine))
        w->bad = true;
}

void h1_write_raw(struct h1_writer *w, struct str text)
{
    char *p = room(w, text.n);
    if (p)
        put(p, text);
}

void h1_write_request_line(struct h1_writer *w, struct str method, struct str path, struct str query)
{
    const struct str version = STR(" HTTP/1.1\r\n");
    check(w, token_valid(method) && path.n && token_target_valid(path) && token_target_valid(query));
    char *p = room(w, method.n + 1 + path.n + (query.p ? 1 + query.n : 0) + version.n);
    if (!p)
        return;
    p = put(p, method);
    *p++ = ' ';
    p = put(p, path);
    if (query.p) {
        *p++ = '?';
        p = put(p, query);
    }
    put(p, version);
}

void h1_write_status_line(struct h1_writer *w, unsigned status, struct str reason)
{
    struct str line = http_status_line(status);
    if (reason.n == 0 && line.n) {
        h1_write_raw(w, line);
        return;
    }
    check(w, status >= 100 && status <= 999 &&
                 token_value_valid(reason));
    const struct str version = STR("HTTP/1.1 ");
    char *p = room(w, version.n + 4 + reason.n + 2);
    if (!p)
        return;
    p = put(p, version);
    *p++ = (char)('0' + status / 100 % 10);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = put(p, reason);
    *p++ = '\r';
    *p++ = '\n';
}

static void write_line(struct h1_writer *w, struct str name, struct str value)
{
    check(w, token_value_valid(value));
    char *p = room(w, name.n + 2 + value.n + 2);
    if (!p)
        return;
    p = put(p, name);
    *p++ = ':';
    *p++ = ' ';
    p = put(p, value);
    *p++ = '\r';
    *p++ = '\n';
}

void h1_write_field(struct h1_writer *w, struct str name, struct str value)
{
    check(w, token_valid(name));
    write_line(w, name, value);
}

void h1_write_field_u64(struct h1_writer *w, struct str name, uint64_t value)
{
    char digits[STR_U64_MAX];
    h1_write_field(w, name, str_of(digits, str_put_u64(digits, value)));
}

/* The line as it was parsed, if it is still the same: `name: value CRLF`. The flag alone would not do,
 * for name and value may have been exchanged since. */
static struct str parsed_line(const struct http_field *f)
{
    if (!(f->flags & FIELD_F_LINE) || f->value.p != f->name.p + f->name.n + 2)
        return STR_NONE;
    const char *end = f->value.p + f->value.n;
    if (memcmp(f->value.p - 2, ": ", 2) != 0 || memcmp(end, "\r\n", 2) != 0)
        return STR_NONE;
    return str_of(f->name.p, (size_t)(end + 2 - f->name.p));
}

/* A name from the table needs no look at its bytes; most that filters add are. */
static bool is_tables(const struct http_field *f)
{
    struct str known = http_field_name((enum http_field_id)f->id);
    return f->id != FIELD_OTHER && f->name.p == known.p && f->name.n == known.n;
}

void h1_write_parsed(struct h1_writer *w, const struct http_field *fields, uint16_t n, unsigned skip)
{
    struct str run = STR_NONE; /* lines that are one piece of memory, not yet written */
    for (uint16_t i = 0; i < n; i++) {
        if (fields[i].flags & skip)
            continue;
        struct str line = parsed_line(&fields[i]);
        if (line.n && run.n && line.p == run.p + run.n) {
            run.n += line.n;
            continue;
        }
        h1_write_raw(w, run);
        run = line;
        if (line.n)
            continue;
        if (is_tables(&fields[i]))
            write_line(w, fields[i].name, fields[i].value);
        else
            h1_write_field(w, fields[i].name, fields[i].value);
    }
    h1_write_raw(w, run);
}

void h1_write_end(struct h1_writer *w)
{
    h1_write_raw(w, STR("\r\n"));
}

size_t h1_chunk_head(char out[H1_CHUNK_HEAD_MAX], uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    size_t digits = n ? (size_t)(67 - __builtin_clzll(n)) / 4 : 1;
    for (size_t i = digits; i > 0; i--, n >>= 4)
        out[i - 1] = hex[n & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}
