#include "worker/codec/h2_head.h"
#include "shared/http/token.h"
#include "shared/http/uri.h"

#define LINES_FIRST  1024 /* room for the lines of most heads */
#define FIELDS_FIRST 24
#define FIELD_COSTS  32   /* RFC 9113 10.5.1 */

enum {
    SEEN_METHOD = 1 << 0,
    SEEN_SCHEME = 1 << 1,
    SEEN_PATH = 1 << 2,
    SEEN_AUTHORITY = 1 << 3,
    SEEN_PROTOCOL = 1 << 4,
    SEEN_STATUS = 1 << 5,
    SEEN_HOST = 1 << 6,
    SEEN_LENGTH = 1 << 7,
    SEEN_EXPECT = 1 << 8,
};

void h2_head_begin(struct h2_head *d, enum h2_head_kind kind, struct arena *arena, const struct h2_limits *limits)
{
    memset(d, 0, sizeof(*d));
    d->kind = (uint8_t)kind;
    d->arena = arena;
    d->limits = limits;
    d->why = REASON_OK;
    d->head.major = 2;
}

/* The first thing that is wrong stays. */
static void refuse(struct h2_head *d, enum reason why, const char *text)
{
    if (d->why != REASON_OK)
        return;
    d->why = why;
    d->text = text;
}

static void malformed(struct h2_head *d, const char *text)
{
    if (d->why == REASON_OK)
        d->malformed = true;
    refuse(d, REASON_BAD_REQUEST, text);
}

/* --- memory ------------------------------------------------------------------------------------------- */

/* Room for n bytes behind the last line, or at the beginning of a new piece. NULL: there is none. */
static char *room(struct h2_head *d, size_t n)
{
    if (!d->arena)
        return NULL;
    if ((size_t)(d->end - d->at) < n) {
        size_t size = GH_MAX(n, (size_t)LINES_FIRST);
        d->at = arena_room(d->arena, size);
        if (!d->at) {
            d->end = NULL;
            refuse(d, REASON_MEMORY, NULL);
            return NULL;
        }
        d->end = d->at + size;
    }
    char *p = d->at;
    d->at += n;
    return p;
}

static struct str keep(struct h2_head *d, const struct hpack_field *in)
{
    struct str s = in->value;
    if (in->flags & HPACK_F_CONST)
        return s;
    char *p = s.n ? room(d, s.n) : NULL;
    if (!p)
        return STR_NONE;
    memcpy(p, s.p, s.n);
    return str_of(p, s.n);
}

static struct http_field *new_field(struct h2_head *d)
{
    struct http_head *h = &d->head;
    if (h->n_fields == h->cap_fields) {
        uint16_t cap = (uint16_t)(h->cap_fields ? h->cap_fields * 2 : FIELDS_FIRST);
        struct http_field *more = arena_room(d->arena, cap * sizeof(*more));
        if (!more) {
            refuse(d, REASON_MEMORY, NULL);
            return NULL;
        }
        if (h->n_fields)
            memcpy(more, h->fields, h->n_fields * sizeof(*more));
        h->fields = more;
        h->cap_fields = cap;
    }
    return &h->fields[h->n_fields++];
}

/* As a line, so that what stays unchanged can be copied with its neighbours. */
static struct http_field *add_line(struct h2_head *d, enum http_field_id id, struct str name, struct str value,
                                   unsigned flags, bool is_line)
{
    size_t n = name.n + 2 + value.n + 2;
    char *p = room(d, n);
    struct http_field *f = p ? new_field(d) : NULL;
    if (!f)
        return NULL;
    char *v = p + name.n + 2;
    if (is_line) {
        memcpy(p, name.p, n);
    } else {
        memcpy(p, name.p, name.n);
        memcpy(p + name.n, ": ", 2);
        if (value.n)
            memcpy(v, value.p, value.n);
        memcpy(v + value.n, "\r\n", 2);
    }
    *f = (struct http_field){
        .name = str_of(p, name.n),
        .value = str_of(v, value.n),
        .id = (uint16_t)id,
        .flags = (uint16_t)(flags | FIELD_F_LINE),
    };
    return f;
}

/* --- pseudo-fields ------------------------------------------------------------------------------------- */

static const struct {
    struct str name;
    uint16_t seen;
    uint8_t kind;
} PSEUDO[] = {
    {{":method", 7}, SEEN_METHOD, H2_REQUEST},       {{":scheme", 7}, SEEN_SCHEME, H2_REQUEST},
    {{":path", 5}, SEEN_PATH, H2_REQUEST},           {{":authority", 10}, SEEN_AUTHORITY, H2_REQUEST},
    {{":protocol", 9}, SEEN_PROTOCOL, H2_REQUEST},   {{":status", 7}, SEEN_STATUS, H2_RESPONSE},
};

static void take_status(struct h2_head *d, struct str v)
{
    bool ok = v.n == 3 && v.p[0] >= '1' && v.p[0] <= '9' && ascii_is_digit(v.p[1]) && ascii_is_digit(v.p[2]);
    if (!ok) {
        malformed(d, "a :status that is not three digits");
        return;
    }
    d->head.status = (uint16_t)((v.p[0] - '0') * 100 + (v.p[1] - '0') * 10 + (v.p[2] - '0'));
    if (d->head.status == 101)
        malformed(d, "status 101");
}

/* By the table that all peers have; or by name. 0: none that may be here. */
static uint16_t pseudo_of(const struct h2_head *d, const struct hpack_field *f)
{
    static const uint8_t row[HPACK_PSEUDO + 1] = {0, 3, 0, 0, 2, 2, 1, 1, 5, 5, 5, 5, 5, 5, 5};
    if (f->at)
        return PSEUDO[row[f->at]].kind == d->kind ? PSEUDO[row[f->at]].seen : 0;
    for (size_t i = 0; i < ARRAY_LEN(PSEUDO); i++)
        if (PSEUDO[i].kind == d->kind && str_eq(PSEUDO[i].name, f->name))
            return PSEUDO[i].seen;
    return 0;
}

static GH_NOINLINE void take_pseudo(struct h2_head *d, const struct hpack_field *in)
{
    struct str value = in->value;
    uint16_t seen = pseudo_of(d, in);
    if (!seen || d->regular || (d->seen & seen)) {
        malformed(d, !seen         ? "a pseudo-field that may not be here"
                     : d->regular ? "a pseudo-field behind other fields"
                                  : "a pseudo-field twice");
        return;
    }
    d->seen |= seen;
    switch (seen) {
    case SEEN_STATUS:
        take_status(d, value);
        break;
    case SEEN_METHOD:
        d->head.method = keep(d, in);
        break;
    case SEEN_SCHEME:
        d->scheme = keep(d, in);
        break;
    case SEEN_AUTHORITY: /* as the line that HTTP/1.1 has for it */
        if (value.n && token_value_valid(value)) {
            struct http_field *f = add_line(d, FIELD_HOST, STR("host"), value, 0, false);
            d->head.authority = f ? f->value : STR_NONE;
        } else if (value.n) {
            malformed(d, "a byte in :authority that may not be there");
        }
        break;
    case SEEN_PROTOCOL:
        d->protocol = keep(d, in);
        break;
    default:
        if (value.n > d->limits->max_uri)
            refuse(d, REASON_URI_TOO_LONG, ":path is too long");
        else
            d->path = keep(d, in);
    }
}

/* --- other fields --------------------------------------------------------------------------------------- */

/* Lower-case tokens only; *flags is what a name says that is not in our table. */
static bool name_valid(struct str name, enum http_field_id id, unsigned *flags)
{
    bool underscore = false;
    *flags = 0;
    if (id != FIELD_OTHER)
        return str_eq(name, http_field_name(id));
    for (size_t i = 0; i < name.n; i++) {
        if (!token_is(name.p[i], TOKEN_TCHAR) || (name.p[i] >= 'A' && name.p[i] <= 'Z'))
            return false;
        underscore |= name.p[i] == '_';
    }
    if (underscore)
        *flags = FIELD_F_UNDERSCORE | (http_field_alias_of(name) != FIELD_OTHER ? FIELD_F_ALIAS : 0);
    return name.n > 0;
}

static bool value_valid(struct str v)
{
    if (v.n == 0)
        return true;
    char a = v.p[0], z = v.p[v.n - 1];
    return a != ' ' && a != '\t' && z != ' ' && z != '\t' && token_value_valid(v);
}

static void take_length(struct h2_head *d, struct str value)
{
    if (d->seen & SEEN_LENGTH)
        malformed(d, "more than one content-length");
    else if (!str_u64(value, &d->head.length) || d->head.length > INT64_MAX)
        malformed(d, "content-length is not one decimal number");
    d->seen |= SEEN_LENGTH;
    d->head.has_length = true;
}

/* Host beside :authority must say the same, and does not go on. True: it is to be kept. */
static bool take_host(struct h2_head *d, struct str value)
{
    struct http_host a, b;
    if (d->kind != H2_REQUEST)
        return true;
    if (d->seen & SEEN_HOST) {
        malformed(d, "more than one host field");
        return false;
    }
    d->seen |= SEEN_HOST;
    if (!d->head.authority.n)
        return true;
    if (!str_eq(value, d->head.authority) &&
        !(http_host_parse(value, &a) && http_host_parse(d->head.authority, &b) && a.kind == b.kind &&
          a.port == b.port && str_ieq(a.name, b.name)))
        malformed(d, "host and :authority differ");
    return false;
}

/* What some fields mean. True: the field is to be kept. */
static bool judge_field(struct h2_head *d, enum http_field_id id, struct str value, unsigned *flags)
{
    unsigned p = http_field_properties(id);
    *flags |= p & (FIELD_P_HOP | FIELD_P_FRAMING);
    if (d->kind == H2_TRAILERS) {
        if (p & (FIELD_P_HOP | FIELD_P_FRAMING) || id == FIELD_HOST)
            malformed(d, "a field of the framing in trailers");
        if (p & FIELD_P_NO_TRAILER)
            *flags |= FIELD_F_NO_TRAILER;
        return true;
    }
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
        malformed(d, "a field of the connection");
        return false;
    case FIELD_TE:
        if (!str_eq(value, STR("trailers")) && !str_ieq(value, STR("trailers")))
            malformed(d, "te with something else than trailers");
        d->head.te_trailers = true;
        return true;
    case FIELD_CONTENT_LENGTH:
        take_length(d, value);
        return true;
    case FIELD_HOST:
        return take_host(d, value);
    case FIELD_EXPECT:
        if (d->kind == H2_REQUEST && !str_ieq(value, STR("100-continue")))
            refuse(d, REASON_EXPECTATION, "an expectation other than 100-continue");
        d->seen |= SEEN_EXPECT;
        return true;
    case FIELD_COOKIE:
        d->cookies++;
        return true;
    default:
        return true;
    }
}

/* judge_field has nothing to say about it, but in trailers. */
static bool is_plain(enum http_field_id id)
{
    switch (id) {
    case FIELD_TE:
    case FIELD_HOST:
    case FIELD_EXPECT:
    case FIELD_COOKIE:
        return false;
    default:
        return !(http_field_properties(id) & (FIELD_P_HOP | FIELD_P_FRAMING));
    }
}

/* False: it can't be one. */
static bool judge_name(struct h2_head *d, struct hpack_field *in, unsigned *flags)
{
    *flags = 0;
    if (in->flags & HPACK_F_NAME)
        return true;
    enum http_field_id id = http_field_of(in->name);
    if (in->name.n > HTTP_FIELD_NAME_MAX) {
        refuse(d, REASON_HEADERS_TOO_LARGE, "a field name is too long");
        return false;
    }
    if (!name_valid(in->name, id, flags)) {
        malformed(d, "a field name that is not a token in lower case");
        return false;
    }
    in->id = (uint16_t)id;
    in->flags |= *flags ? 0 : HPACK_F_NAME;
    return true;
}

static bool judge_value(struct h2_head *d, struct hpack_field *in)
{
    if (!(in->flags & HPACK_F_VALUE) && !value_valid(in->value)) {
        malformed(d, "a byte in a field value that may not be there");
        return false;
    }
    in->flags |= HPACK_F_VALUE;
    return true;
}

static GH_NOINLINE void take_field(struct h2_head *d, struct hpack_field *in)
{
    unsigned flags;
    d->regular = true;
    if (!judge_name(d, in, &flags) || !judge_value(d, in))
        return;
    enum http_field_id id = (enum http_field_id)in->id;
    bool keep = judge_field(d, id, in->value, &flags);
    in->flags |= is_plain(id) && !flags ? HPACK_F_PLAIN : 0;
    if (keep && d->why == REASON_OK) {
        flags |= in->flags & HPACK_F_SECRET ? HEAD_F_SECRET : 0;
        struct http_field *f = add_line(d, id, in->name, in->value, flags, in->flags & HPACK_F_LINE);
        if (f && id == FIELD_HOST && d->kind == H2_REQUEST)
            d->head.authority = f->value;
    }
}

/* A line of a head of which all is known, where there is room: what most fields are. */
static inline bool take_known(struct h2_head *d, const struct hpack_field *in)
{
    const unsigned all = HPACK_F_NAME | HPACK_F_VALUE | HPACK_F_PLAIN | HPACK_F_LINE;
    struct http_head *h = &d->head;
    size_t n = in->name.n + in->value.n + 4;
    char *p = d->at;
    if ((in->flags & (all | HPACK_F_SECRET)) != all || d->kind == H2_TRAILERS || (size_t)(d->end - p) < n || h->n_fields == h->cap_fields)
        return false;
    memcpy(p, in->name.p, n);
    h->fields[h->n_fields++] = (struct http_field){
        .name = str_of(p, in->name.n),
        .value = str_of(p + in->name.n + 2, in->value.n),
        .id = in->id,
        .flags = FIELD_F_LINE,
    };
    d->at = p + n;
    d->regular = true;
    return true;
}

bool h2_head_field(struct h2_head *d, struct hpack_field *f)
{
    const struct h2_limits *l = d->limits;
    bool pseudo = f->name.n && f->name.p[0] == ':';
    d->n += !pseudo;
    d->bytes += (uint32_t)(f->name.n + f->value.n + FIELD_COSTS);
    if (d->n > l->max_fields || d->bytes > l->max_bytes) {
        refuse(d, REASON_HEADERS_TOO_LARGE, d->n > l->max_fields ? "too many fields" : "the head is too large");
        return d->n <= (uint32_t)l->max_fields * H2_BOMB && d->bytes <= l->max_bytes * H2_BOMB;
    }
    if (d->why != REASON_OK)
        return true;
    if (pseudo)
        take_pseudo(d, f);
    else if (!take_known(d, f))
        take_field(d, f);
    return true;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

/* Crumbs become one line again before they meet anything that is not HTTP/2 (8.2.3). */
static void join_cookies(struct h2_head *d)
{
    struct http_head *h = &d->head;
    struct http_field *first = NULL;
    size_t size = 0, n = 0;
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == FIELD_COOKIE)
            size += h->fields[i].value.n + 2;
    char *p = room(d, size);
    if (!p)
        return;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        struct http_field *f = &h->fields[i];
        if (f->id != FIELD_COOKIE)
            continue;
        if (first) {
            memcpy(p + n, "; ", 2);
            n += 2;
            f->flags |= HEAD_F_REMOVED;
            first->flags |= f->flags & HEAD_F_SECRET;
        } else {
            first = f;
        }
        if (f->value.n)
            memcpy(p + n, f->value.p, f->value.n);
        n += f->value.n;
    }
    first->value = str_of(p, n);
}

static void judge_authority(struct h2_head *d)
{
    struct http_head *h = &d->head;
    if (!h->authority.n)
        malformed(d, "neither :authority nor host");
    else if (!http_host_parse(h->authority, &h->host) || h->host.kind == HOST_EMPTY)
        refuse(d, REASON_BAD_HOST, "the authority is malformed");
}

static void judge_target(struct h2_head *d)
{
    struct http_head *h = &d->head;
    struct http_target t;
    if (!d->path.n || !token_target_valid(d->path))
        malformed(d, "a byte in :path that may not be there");
    else if (http_target_split(h->method_id, d->path, &t) != URI_OK ||
             (t.form != TARGET_ORIGIN && t.form != TARGET_ASTERISK))
        malformed(d, ":path is not a path");
    else {
        h->path = t.path;
        h->query = t.query;
    }
}

/* CONNECT makes tunnels, which only RFC 8441 gives a place here: WebSocket is what HTTP/1.1 asks for with Upgrade. */
static void judge_connect(struct h2_head *d)
{
    struct http_head *h = &d->head;
    if (!(d->seen & SEEN_PROTOCOL)) {
        if (h->method_id == METHOD_CONNECT)
            refuse(d, REASON_CONNECT_REFUSED, "CONNECT is not served");
        return;
    }
    if (h->method_id != METHOD_CONNECT)
        malformed(d, ":protocol without CONNECT");
    else if (!str_ieq(d->protocol, STR("websocket")))
        refuse(d, REASON_UNSUPPORTED, "a protocol other than websocket");
    h->method_id = METHOD_GET;
    h->method = STR("GET");
    h->upgrade = true;
    h->upgrade_to = STR("websocket");
    if (d->seen & SEEN_LENGTH)
        malformed(d, "content-length in a request for a tunnel");
}

/* Methods that are nothing without content say that it is empty: some servers insist. */
static bool has_meaning(enum http_method m)
{
    return m == METHOD_POST || m == METHOD_PUT || m == METHOD_PATCH;
}

static void finish_request(struct h2_head *d, bool end)
{
    struct http_head *h = &d->head;
    bool plain_connect = str_eq(h->method, STR("CONNECT")) && !(d->seen & SEEN_PROTOCOL);
    uint16_t need = SEEN_METHOD | (plain_connect ? 0 : SEEN_SCHEME | SEEN_PATH);
    if ((d->seen & need) != need) {
        malformed(d, "a pseudo-field is missing");
        return;
    }
    if (!token_valid(h->method))
        malformed(d, ":method is not a token");
    h->method_id = http_method_of(h->method);
    judge_connect(d);
    if (d->why != REASON_OK)
        return;
    h->https = str_eq(d->scheme, STR("https")) || str_ieq(d->scheme, STR("https"));
    if (!h->https && !str_eq(d->scheme, STR("http")) && !str_ieq(d->scheme, STR("http")))
        malformed(d, ":scheme is neither http nor https");
    judge_authority(d);
    judge_target(d);
    if (end && (d->seen & SEEN_LENGTH) && h->length)
        malformed(d, "content-length and no content");
    if (d->seen & SEEN_LENGTH)
        h->body = BODY_LENGTH;
    else if (!end && !h->upgrade)
        h->body = BODY_STREAM;
    else if (has_meaning(h->method_id))
        h->body = BODY_LENGTH; /* of nothing */
    bool content = h->body == BODY_STREAM || h->length > 0;
    if (content && h->method_id == METHOD_TRACE)
        refuse(d, REASON_BAD_REQUEST, "content where none may be");
    h->expect_continue = (d->seen & SEEN_EXPECT) && content;
    if (d->cookies > 1 && d->why == REASON_OK)
        join_cookies(d);
}

static void finish_response(struct h2_head *d, bool end)
{
    struct http_head *h = &d->head;
    bool none = d->method == METHOD_HEAD || h->status == 204 || h->status == 304;
    if (!(d->seen & SEEN_STATUS)) {
        malformed(d, "no :status");
        return;
    }
    if (h->status < 200 && (end || (d->seen & SEEN_LENGTH && h->length)))
        malformed(d, "an interim answer with content, or the last word");
    if (end && !none && h->length)
        malformed(d, "content-length and no content");
    if (h->status == 204 || h->status < 200)
        h->has_length = false;
    h->body = end || none || h->status < 200 ? BODY_NONE : d->seen & SEEN_LENGTH ? BODY_LENGTH : BODY_STREAM;
}

void h2_head_end(struct h2_head *d, bool end)
{
    if (d->why != REASON_OK)
        return;
    if (d->kind == H2_TRAILERS && !end)
        malformed(d, "trailers that are not the end");
    else if (d->kind == H2_REQUEST && d->arena)
        finish_request(d, end);
    else if (d->kind == H2_RESPONSE && d->arena)
        finish_response(d, end);
}
