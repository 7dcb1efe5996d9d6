/*
 * h1_parse.c - cuts a head into its parts, each byte once.
 *
 *   request:   EMPTY -> METHOD -> TARGET -> VERSION -+-> NAME <-> VALUE -> DONE
 *   response:  STATUS -> REASON ---------------------+
 *   trailers:  ---------------------------------------+
 *
 * 1. A phase looks at bytes in order and fails at the first one that cannot be; so the verdict depends
 *    on the bytes alone and not on how they were cut.
 * 2. A phase that runs out of bytes leaves `at` behind what it has judged and is entered again there.
 *    Only VERSION and STATUS, a dozen bytes, begin anew.
 * 3. No byte at or behind `stop` (the end that limits set to this line) is looked at.
 */
#include "shared/http/field_lookup.h"
#include "shared/http/token.h"
#include "worker/codec/h1_internal.h"

enum phase { EMPTY, METHOD, TARGET, VERSION, STATUS, REASON, NAME, VALUE, DONE, FAILED };

/* How a phase ends: NEXT says that p->phase is another one and begins at p->at. */
enum step { NEXT, MORE, FAIL };

static enum step fail(struct h1_parser *p, enum h1_error e)
{
    p->error = e;
    p->phase = FAILED;
    return FAIL;
}

static void begin_line(struct h1_parser *p, uint32_t at, enum phase phase)
{
    p->at = p->line = p->mark = at;
    p->stop = p->max_head - at > p->max_line ? at + p->max_line : p->max_head; /* at <= max_head */
    p->phase = (uint8_t)phase;
}

static void begin_part(struct h1_parser *p, uint32_t at, enum phase phase)
{
    p->at = p->mark = at;
    p->phase = (uint8_t)phase;
}

/* The phase has judged all of [.., end) and needs the byte at `end`. */
static enum step starve(struct h1_parser *p, size_t end)
{
    p->at = (uint32_t)end;
    if (end < p->stop)
        return MORE;
    if (p->kind == H1_REQUEST && p->phase < NAME)
        return fail(p, H1_E_TARGET_TOO_LONG);
    return fail(p, p->stop == p->max_head ? H1_E_HEAD_TOO_LONG : H1_E_LINE_TOO_LONG);
}

/* The byte ends a line too early or stands where it may not. */
static enum step fail_at(struct h1_parser *p, char c, enum h1_error otherwise)
{
    return fail(p, c == '\n' ? H1_E_BARE_LF : otherwise);
}

/* d[at] is a CR: with its LF it ends the line. */
static enum step end_of_line(struct h1_parser *p, const char *d, size_t at, size_t end)
{
    if (at + 1 == end) {
        enum step s = starve(p, end);
        p->at = (uint32_t)at;
        return s;
    }
    return d[at + 1] == '\n' ? NEXT : fail(p, H1_E_BARE_CR);
}

/* One CRLF may precede a request: old clients send it behind a body (RFC 9112 2.2). */
static enum step parse_empty(struct h1_parser *p, const char *d, size_t end)
{
    if (p->at == end)
        return starve(p, end);
    uint32_t at = p->at;
    if (d[at] == '\r') {
        enum step s = end_of_line(p, d, at, end);
        if (s != NEXT)
            return s;
        begin_line(p, at + 2, METHOD);
        return NEXT;
    }
    p->phase = METHOD;
    return NEXT;
}

static enum step parse_method(struct h1_parser *p, const char *d, size_t end)
{
    size_t at = p->at;
    while (at < end && token_is(d[at], TOKEN_TCHAR) && at - p->line <= H1_MAX_METHOD)
        at++;
    if (at - p->line > H1_MAX_METHOD)
        return fail(p, H1_E_METHOD_TOO_LONG);
    if (at == end)
        return starve(p, end);
    if (at == p->line && d[at] == '\r')
        return fail(p, H1_E_EMPTY_LINES);
    if (d[at] != ' ' || at == p->line)
        return fail_at(p, d[at], H1_E_METHOD);
    p->head->method = str_of(d + p->line, at - p->line);
    p->head->method_id = http_method_of(p->head->method);
    if (p->head->method_id == METHOD_CONNECT)
        return fail(p, H1_E_CONNECT);
    begin_part(p, (uint32_t)at + 1, TARGET);
    return NEXT;
}

static enum step parse_target(struct h1_parser *p, const char *d, size_t end)
{
    size_t at = token_target_end(d, p->at, end);
    if (at == end)
        return starve(p, end);
    if (d[at] != ' ' || at == p->mark) {
        if (d[at] == ' ' || d[at] == '\t' || d[at] == '\r')
            return fail(p, H1_E_REQUEST_LINE);
        p->uri_fault = URI_TARGET_BYTE;
        return fail_at(p, d[at], H1_E_TARGET);
    }
    p->head->target = str_of(d + p->mark, at - p->mark);
    begin_part(p, (uint32_t)at + 1, VERSION);
    return NEXT;
}

/* Compares with a pattern in which 'd' stands for a digit. The bytes that fit; judged in order. */
static size_t fits(const char *d, size_t n, const char *pattern, size_t len)
{
    size_t i = 0;
    for (; i < n && i < len; i++)
        if (pattern[i] == 'd' ? !ascii_is_digit(d[i]) : d[i] != pattern[i])
            break;
    return i;
}

#define VERSION_LEN 8 /* HTTP/1.1 */

/* Of the first `fit` bytes at `v`: is the version one of ours? Unknown counts as yes. */
static bool version_served(const char *v, size_t fit)
{
    return (fit < 6 || v[5] == '1') && (fit < VERSION_LEN || v[7] == '0' || v[7] == '1');
}

static enum step parse_version(struct h1_parser *p, const char *d, size_t end)
{
    static const char pattern[] = "HTTP/d.d\r\n";
    const char *v = d + p->mark;
    const size_t len = sizeof(pattern) - 1, got = end - p->mark;
    if (likely(got >= len) && memcmp(v, "HTTP/1.1\r\n", len) == 0) {
        p->head->minor = 1;
        begin_line(p, p->mark + (uint32_t)len, NAME);
        return NEXT;
    }
    size_t fit = fits(v, got, pattern, len);
    if (fit >= VERSION_LEN && !version_served(v, fit))
        return fail(p, H1_E_VERSION);
    if (fit == len) {
        p->head->minor = (uint8_t)(v[7] - '0');
        begin_line(p, p->mark + (uint32_t)len, NAME);
        return NEXT;
    }
    if (fit == got)
        return starve(p, end);
    return fit == len - 1 ? fail(p, H1_E_BARE_CR) : fail_at(p, v[fit], H1_E_REQUEST_LINE);
}

static enum step parse_status(struct h1_parser *p, const char *d, size_t end)
{
    static const char pattern[] = "HTTP/d.d ddd";
    const char *v = d + p->mark;
    const size_t len = sizeof(pattern) - 1, got = end - p->mark;
    bool usual = got > len && memcmp(v, "HTTP/1.1 ", 9) == 0 && ascii_is_digit(v[9]) && ascii_is_digit(v[10]) &&
                 ascii_is_digit(v[11]);
    size_t fit = usual ? len : fits(v, got, pattern, len);
    if (fit >= VERSION_LEN && !version_served(v, fit))
        return fail(p, H1_E_VERSION);
    if (fit < len)
        return fit == got ? starve(p, end) : fail_at(p, v[fit], H1_E_STATUS_LINE);
    if (got == len)
        return starve(p, end);
    if (v[9] == '0' || (v[len] != ' ' && v[len] != '\r')) /* servers leave the last space out */
        return fail_at(p, v[len], H1_E_STATUS_LINE);
    p->head->minor = (uint8_t)(v[7] - '0');
    p->head->status = (uint16_t)((v[9] - '0') * 100 + (v[10] - '0') * 10 + (v[11] - '0'));
    begin_part(p, p->mark + (uint32_t)len + (v[len] == ' '), REASON);
    return NEXT;
}

static enum step parse_reason(struct h1_parser *p, const char *d, size_t end)
{
    size_t at = token_value_end(d, p->at, end);
    if (at == end)
        return starve(p, end);
    if (d[at] != '\r')
        return fail_at(p, d[at], H1_E_STATUS_LINE);
    enum step s = end_of_line(p, d, at, end);
    if (s != NEXT)
        return s;
    p->head->reason = str_of(d + p->mark, at - p->mark);
    begin_line(p, (uint32_t)at + 2, NAME);
    return NEXT;
}

static enum step finish(struct h1_parser *p, size_t at)
{
    enum h1_error e = h1_frame_finish(p);
    if (e != H1_E_NONE)
        return fail(p, e);
    p->used = p->at = (uint32_t)at;
    p->phase = DONE;
    return NEXT;
}

/* The name begins with `c`, or it is the end, or it is nothing. */
static enum step begin_field(struct h1_parser *p, const char *d, size_t end)
{
    char c = d[p->line];
    if (c == '\r') {
        enum step s = end_of_line(p, d, p->line, end);
        return s == NEXT ? finish(p, p->line + 2) : s;
    }
    if (c == ' ' || c == '\t')
        return fail(p, H1_E_FOLDED);
    if (p->head->n_fields == p->max_fields)
        return fail(p, H1_E_TOO_MANY_FIELDS);
    return NEXT;
}

/* d[at] is the first byte of the line that is not of a token, and no colon. */
static enum step bad_name(struct h1_parser *p, const char *d, size_t at)
{
    if (d[at] == ' ' || d[at] == '\t')
        return fail(p, H1_E_NAME_SPACE);
    return d[at] == '\r' ? fail(p, H1_E_NO_COLON) : fail_at(p, d[at], H1_E_NAME);
}

/* Judges a name that is not in the table: false if it is no token. */
static bool judge_other(struct http_field *f)
{
    if (!token_valid(f->name))
        return false;
    if (unlikely(token_has(f->name, '_')))
        f->flags |= FIELD_F_UNDERSCORE | (http_field_alias_of(f->name) != FIELD_OTHER ? FIELD_F_ALIAS : 0);
    return true;
}

_Static_assert((int)FIELD_P_HOP == FIELD_F_HOP && (int)FIELD_P_FRAMING == FIELD_F_FRAMING,
               "properties of a name become flags of its field");

static uint16_t flags_of_known(enum http_field_id id)
{
    return http_field_properties(id) & (FIELD_F_HOP | FIELD_F_FRAMING);
}

static size_t token_end(const char *d, size_t from, size_t n)
{
    while (from < n && token_is(d[from], TOKEN_TCHAR))
        from++;
    return from;
}

/*
 * The colon is searched first, without a look at the bytes before it: a name that is in the table
 * consists of token bytes only. The others are judged afterwards, byte by byte.
 */
static enum step parse_name(struct h1_parser *p, const char *d, size_t end)
{
    if (p->at == end)
        return starve(p, end);
    if (p->at == p->line) {
        enum step s = begin_field(p, d, end);
        if (s != NEXT || p->phase == DONE)
            return s;
    }
    size_t stop = GH_MIN(end, (size_t)p->line + HTTP_FIELD_NAME_MAX + 1);
    size_t colon = token_find(d, p->at, stop, ':');
    struct http_field *f = &p->head->fields[p->head->n_fields];
    if (likely(colon < stop)) {
        f->name = str_of(d + p->line, colon - p->line);
        f->id = http_field_of(f->name);
        f->flags = flags_of_known(f->id);
    }
    if (colon == stop || f->id == FIELD_OTHER) {
        size_t at = token_end(d, p->at, colon);
        if (at < colon)
            return bad_name(p, d, at);
        if (colon - p->line > HTTP_FIELD_NAME_MAX)
            return fail(p, H1_E_NAME_TOO_LONG);
        if (colon == stop)
            return starve(p, end);
        if (!judge_other(f)) /* the empty name */
            return fail(p, H1_E_NAME);
    }
    begin_part(p, (uint32_t)colon + 1, VALUE);
    return NEXT;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

/* Field n_fields is complete: its value lies in d[mark, at), without white space at its end. `line`: FIELD_F_LINE or 0. */
static inline enum h1_error add_field(struct h1_parser *p, const char *d, size_t mark, size_t at, uint16_t line)
{
    struct http_field *f = &p->head->fields[p->head->n_fields++];
    f->value = str_of(d + mark, at - mark);
    f->flags |= line;
    if (f->id == FIELD_OTHER)
        p->head->any_flags |= f->flags;
    field_set_add(&p->head->ids, f->id);
    return h1_frame_wants(p, f->id) ? h1_frame_field(p) : H1_E_NONE;
}

static enum step parse_value(struct h1_parser *p, const char *d, size_t end)
{
    size_t at = token_value_end(d, p->at, end);
    if (at == end)
        return starve(p, end);
    if (d[at] != '\r')
        return fail_at(p, d[at], H1_E_VALUE);
    enum step s = end_of_line(p, d, at, end);
    if (s != NEXT)
        return s;
    size_t from = p->mark, to = at;
    while (from < to && is_ows(d[from]))
        from++;
    while (from < to && is_ows(d[to - 1]))
        to--;
    bool usual = d[from - 1] == ' ' && d[from - 2] == ':' && d[to] == '\r';
    enum h1_error e = add_field(p, d, from, to, usual ? FIELD_F_LINE : 0);
    if (e != H1_E_NONE)
        return fail(p, e);
    begin_line(p, (uint32_t)at + 2, NAME);
    return NEXT;
}

#if defined(GH_WIDE)
/* What stands at `p`, at most sixteen bytes before `end`, and zeros behind them. */
static inline __m128i load_part(const char *p, const char *end)
{
    return likely(end - p >= 16) ? wide_load(p) : wide_short(p, (size_t)(end - p));
}

/* A bit for each byte that is not of 0x20 to 0x7e: a control, the zeros behind the end, or what is rare. */
static inline unsigned not_plain(__m128i v)
{
    const __m128i one = _mm_set1_epi8(1), space = _mm_set1_epi8(' ');
    return wide_mask(_mm_cmpgt_epi8(_mm_add_epi8(v, one), space)) ^ 0xffffu; /* signed */
}

static inline bool is_pair(const char *p, const char pair[3])
{
    uint16_t a, b;
    memcpy(&a, p, sizeof(a));
    memcpy(&b, pair, sizeof(b));
    return a == b;
}

/*
 * One line, `name: value CRLF`, that begins at `line` and is all there before `end`; the flags are left to the caller.
 * Returns where the next one begins, or NULL if it is not so: a longer name than forty or so bytes is left to the phases, too.
 *
 * No byte is looked at twice: the sixteen in which the name ends are those in which the value begins. The scan stops at
 * controls, so no byte of the name is one and the table needs no other look at it.
 */
static inline const char *usual_line(const char *line, const char *end, struct http_field *f)
{
    const __m128i first = load_part(line, end), colons = _mm_set1_epi8(':');
    unsigned stop = not_plain(first), colon = wide_mask(_mm_cmpeq_epi8(first, colons));
    const char *at = line;
    while (unlikely(!colon)) {
        if (stop || at - line > 32)
            return NULL;
        __m128i v = load_part(at += 16, end);
        stop = not_plain(v);
        colon = wide_mask(_mm_cmpeq_epi8(v, colons));
    }
    const char *name_end = at + (unsigned)__builtin_ctz(colon);
    if (unlikely(stop & (colon ^ (colon - 1)))) /* a control before the colon */
        return NULL;
    while (!stop)
        stop = not_plain(load_part(at += 16, end));
    const char *to = at + (unsigned)__builtin_ctz(stop), *from = name_end + 2;
    if (unlikely(end - to < 2))
        return NULL;
    if (unlikely(!is_pair(to, "\r\n"))) { /* HTAB or a byte from 0x80 on belongs to the value */
        to += token_value_end(to, 0, (size_t)(end - to));
        if (end - to < 2 || !is_pair(to, "\r\n"))
            return NULL;
    }
    /* Of a value's bytes only those of white space are not above ' '; nor is the CR of an empty value. */
    if (unlikely(name_end[1] != ' ' || (unsigned char)*from <= ' ' ||
                 (unsigned char)to[-1] <= ' ' || name_end == line))
        return NULL;
    f->name = str_of(line, (size_t)(name_end - line));
    f->value = str_of(from, (size_t)(to - from));
    f->id = (uint16_t)field_lookup_wide(line, f->name.n, first);
    return to + 2;
}

/*
 * Whole lines as they usually are, without a step through the phases: takes what these would take in the same way, and
 * leaves the first line that is not so (or not all there, too long, or the last) to them.
 */
static enum step parse_usual_lines(struct h1_parser *p, const char *d, size_t n)
{
    struct h1_head *h = p->head;
    struct http_field *f = h->fields + h->n_fields, *last = h->fields + p->max_fields;
    const char *line = d + p->line, *next, *end = d + GH_MIN(n, (size_t)p->max_head);
    const size_t max_line = p->max_line;
    struct field_set ids = h->ids;
    enum h1_error e = H1_E_NONE;
    if (p->kind == H1_TRAILERS) /* of which h1_frame_field judges each line; there are few */
        return NEXT;
    for (; f < last; line = next) {
        next = usual_line(line, end, f);
        if (!next || (size_t)(next - line) > max_line)
            break;
        unsigned facts = field_names[f->id].facts;
        f->flags = (uint16_t)((facts & (FIELD_F_HOP | FIELD_F_FRAMING)) | FIELD_F_LINE);
        if (unlikely(f->id == FIELD_OTHER)) {
            if (!judge_other(f))
                break;
            h->any_flags |= f->flags;
        }
        field_set_add(&ids, f->id);
        f++;
        if (facts & FIELD_IS_OF_MESSAGE) {
            h->n_fields = (uint16_t)(f - h->fields);
            e = h1_frame_field(p);
            if (e != H1_E_NONE)
                break;
        }
    }
    h->n_fields = (uint16_t)(f - h->fields);
    h->ids = ids;
    begin_line(p, (uint32_t)(line - d), NAME);
    return e == H1_E_NONE ? NEXT : fail(p, e);
}
#else
static enum step parse_usual_lines(struct h1_parser *p, const char *d, size_t n)
{
    (void)p, (void)d, (void)n;
    return NEXT; /* the phases are the portable way, which the tests hold the other one to */
}
#endif

static void move_slice(struct str *s, const char *from, const char *to)
{
    if (s->p)
        s->p = to + ((uintptr_t)s->p - (uintptr_t)from);
}

/* The buffer has moved: so do the slices found so far. */
static void follow(struct h1_parser *p, const char *data)
{
    struct h1_head *h = p->head;
    uint16_t n = h->n_fields + (p->phase == VALUE);
    if (p->kind != H1_TRAILERS) { /* then these are of the head, and in its buffer */
        move_slice(&h->method, p->base, data);
        move_slice(&h->target, p->base, data);
        move_slice(&h->reason, p->base, data);
    }
    for (uint16_t i = 0; i < n; i++) {
        move_slice(&h->fields[i].name, p->base, data);
        if (i < h->n_fields)
            move_slice(&h->fields[i].value, p->base, data);
    }
}

static enum step parse_phase(struct h1_parser *p, const char *data, size_t n)
{
    size_t end = GH_MIN(n, (size_t)p->stop);
    switch ((enum phase)p->phase) {
    case EMPTY:
        return parse_empty(p, data, end);
    case METHOD:
        return parse_method(p, data, end);
    case TARGET:
        return parse_target(p, data, end);
    case VERSION:
        return parse_version(p, data, end);
    case STATUS:
        return parse_status(p, data, end);
    case REASON:
        return parse_reason(p, data, end);
    case NAME:
        if (p->at == p->line && parse_usual_lines(p, data, n) == FAIL)
            return FAIL;
        return parse_name(p, data, GH_MIN(n, (size_t)p->stop)); /* `stop` may be another one now */
    case VALUE:
        return parse_value(p, data, end);
    case DONE:
        return NEXT;
    case FAILED:
        break;
    }
    return FAIL;
}

enum h1_result h1_parse(struct h1_parser *p, const char *data, size_t n)
{
    if (p->base != data) {
        if (p->base)
            follow(p, data);
        p->base = data;
    }
    while (p->phase != DONE) {
        enum step s = parse_phase(p, data, n);
        if (s != NEXT)
            return s == MORE ? H1_MORE : H1_ERROR;
    }
    return H1_DONE;
}

static void init(struct h1_parser *p, struct h1_head *head, struct http_field *fields, uint16_t n,
                 const struct h1_limits *limits, enum h1_kind kind, enum phase phase)
{
    *p = (struct h1_parser){
        .head = head,
        .max_head = limits->max_head,
        .max_line = limits->max_line,
        .max_fields = GH_MIN(n, limits->max_fields),
        .kind = (uint8_t)kind,
    };
    head->fields = fields;
    head->n_fields = head->any_flags = 0;
    head->ids = (struct field_set){{0, 0}};
    begin_line(p, 0, phase);
}

void h1_parser_request(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                       uint16_t n, const struct h1_limits *limits)
{
    *head = (struct h1_head){0};
    init(p, head, fields, n, limits, H1_REQUEST, EMPTY);
}

void h1_parser_response(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                        uint16_t n, const struct h1_limits *limits, enum http_method method)
{
    *head = (struct h1_head){0};
    init(p, head, fields, n, limits, H1_RESPONSE, STATUS);
    p->request_method = (uint8_t)method;
}

void h1_parser_trailers(struct h1_parser *p, struct h1_head *head, struct http_field *fields,
                        uint16_t n, const struct h1_limits *limits)
{
    init(p, head, fields, n, limits, H1_TRAILERS, NAME);
}

const struct http_field *h1_head_find(const struct h1_head *head, enum http_field_id id)
{
    for (uint16_t i = 0; i < head->n_fields; i++)
        if (head->fields[i].id == id)
            return &head->fields[i];
    return NULL;
}
