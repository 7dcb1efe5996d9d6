#include "worker/codec/h1_write.h"
#include "shared/http/field_lookup.h"
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
    check(w, (str_eq(method, STR("GET")) || token_valid(method)) && path.n && token_target_valid(path) && token_target_valid(query));
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
    const size_t before = STR("HTTP/1.1 200 ").n;
    if (line.n && (reason.n == 0 || (reason.n == line.n - before - 2 && memcmp(reason.p, line.p + before, reason.n) == 0))) {
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

void h1_write_length(struct h1_writer *w, uint64_t value)
{
    char line[16 + STR_U64_MAX + 2];
    memcpy(line, "Content-Length: ", 16);
    size_t n = 16 + str_put_u64(line + 16, value);
    memcpy(line + n, "\r\n", 2);
    h1_write_raw(w, str_of(line, n + 2));
}

static inline bool is_pair(const char *p, const char pair[3])
{
    uint16_t a, b;
    memcpy(&a, p, sizeof(a));
    memcpy(&b, pair, sizeof(b));
    return a == b;
}

/* The line is still as it was parsed: `name: value CRLF`. The flag alone would not do, for name and value may have been
 * exchanged since. */
static inline bool is_parsed_line(const struct http_field *f)
{
    return (f->flags & FIELD_F_LINE) && f->value.p == f->name.p + f->name.n + 2 && is_pair(f->value.p - 2, ": ") &&
           is_pair(f->value.p + f->value.n, "\r\n");
}

/* A name from the table needs no look at its bytes; most that filters add are. */
static inline bool is_tables(const struct http_field *f)
{
    return f->id != FIELD_OTHER && f->name.p == field_names[f->id].text && f->name.n == field_names[f->id].len;
}

#if defined(GH_WIDE)
/*
 * Such a line: the name in two pieces whatever its length, the value while it is looked at. False: not enough room for
 * that, or the value is none; nothing was written.
 */
static inline bool write_tables_line(struct h1_writer *w, const struct http_field *f)
{
    struct str value = f->value;
    char *p = w->at;
    unsigned bad = 0;
    if (w->full || (size_t)(w->end - p) < FIELD_NAME_ROOM + 2 + value.n + 16)
        return false;
    memcpy(p, f->name.p, FIELD_NAME_ROOM);
    p += f->name.n;
    memcpy(p, ": ", 2);
    p += 2;
    if (value.n < 16) {
        __m128i v = wide_short(value.p, value.n);
        bad = token_no_value(v) & ((1u << value.n) - 1);
        memcpy(p, &v, 16);
    } else {
        for (size_t i = 0;; i = GH_MIN(i + 16, value.n - 16)) {
            __m128i v = wide_load(value.p + i);
            bad |= token_no_value(v);
            memcpy(p + i, &v, 16);
            if (i == value.n - 16)
                break;
        }
    }
    p += value.n;
    memcpy(p, "\r\n", 2);
    if (unlikely(bad))
        return false;
    w->at = p + 2;
    return true;
}
#else
static inline bool write_tables_line(struct h1_writer *w, const struct http_field *f)
{
    (void)w, (void)f;
    return false;
}
#endif

void h1_write_parsed(struct h1_writer *w, const struct http_field *fields, uint16_t n, unsigned skip)
{
    const char *run = NULL, *run_end = NULL; /* lines that are one piece of memory, not yet written */
    for (uint16_t i = 0; i < n; i++) { /* no pointer to the end: of a head without fields there is none */
        const struct http_field *f = &fields[i];
        if (unlikely(f->flags & skip))
            continue;
        if (likely(is_parsed_line(f))) {
            if (f->name.p != run_end) {
                if (run)
                    h1_write_raw(w, str_of(run, (size_t)(run_end - run)));
                run = f->name.p;
            }
            run_end = f->value.p + f->value.n + 2;
            continue;
        }
        if (run)
            h1_write_raw(w, str_of(run, (size_t)(run_end - run)));
        run = run_end = NULL;
        if (!is_tables(f))
            h1_write_field(w, f->name, f->value);
        else if (!write_tables_line(w, f))
            write_line(w, f->name, f->value);
    }
    if (run)
        h1_write_raw(w, str_of(run, (size_t)(run_end - run)));
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
