#include "worker/codec/h2_hpack.h"
#include "shared/http/token.h"

#define EACH 12u /* bytes that lengths and indices of a field take, at most */

/* Entries of the static table, and where it has the name of a field. */
enum { AT_AUTHORITY = 1, AT_GET, AT_POST, AT_PATH, AT_INDEX_HTML, AT_HTTP, AT_HTTPS, AT_STATUS, AT_GZIP = 16 };
static const uint8_t name_at[FIELD_COUNT] = {
#define X(at, id, name, value) [FIELD_##id] = at,
#define NO_ID(at, name, value)
#include "worker/codec/hpack_static.def"
#undef X
#undef NO_ID
};

size_t h2_head_bound(const struct http_head *h)
{
    size_t n = 256 + h->method.n + 2 * (h->path.n + h->query.n) + h->authority.n + h->upgrade_to.n;
    for (uint16_t i = 0; i < h->n_fields; i++)
        n += h->fields[i].name.n + h->fields[i].value.n + EACH;
    return n;
}

/* --- representations (RFC 7541 section 6) ------------------------------------------------------------------- */

static bool has_room(struct h2_block *b, size_t n)
{
    b->full = b->full || (size_t)(b->end - b->at) < n;
    return !b->full;
}

static void put_large(struct h2_block *b, unsigned first, size_t max, size_t v)
{
    *b->at++ = (char)(first | max);
    for (v -= max; v >= 0x80; v >>= 7)
        *b->at++ = (char)(v | 0x80);
    *b->at++ = (char)v;
}

static inline void put_int(struct h2_block *b, unsigned first, unsigned bits, size_t v)
{
    size_t max = (1u << bits) - 1;
    if (likely(v < max))
        *b->at++ = (char)(first | v);
    else
        put_large(b, first, max, v);
}

/* False: the Huffman code is not shorter. Short strings are tried at once, the length of others is counted first. */
static bool put_huffman(struct h2_block *b, struct str s)
{
    char *end;
    if (likely(s.n <= 0x7f)) {
        end = s.n ? hpack_huffman_put(b->at + 1, s, b->at + s.n) : NULL;
        if (!end)
            return false;
        *b->at = (char)(0x80 | (end - b->at - 1));
        b->at = end;
        return true;
    }
    size_t n = hpack_huffman_len(s);
    if (n >= s.n)
        return false;
    put_int(b, 0x80, 7, n);
    b->at = hpack_huffman_put(b->at, s, b->at + n);
    return true;
}

static inline void put_string(struct h2_block *b, struct str s)
{
    if (b->huffman && put_huffman(b, s))
        return;
    put_int(b, 0, 7, s.n);
    if (s.n)
        memcpy(b->at, s.p, s.n);
    b->at += s.n;
}

static void put_indexed(struct h2_block *b, unsigned at)
{
    if (has_room(b, 1))
        *b->at++ = (char)(0x80 | at);
}

/* A name of the static table (`at`), or its own. */
static void put(struct h2_block *b, unsigned at, struct str name, struct str value, bool secret)
{
    if (!has_room(b, (at ? 0 : name.n) + value.n + EACH))
        return;
    put_int(b, secret ? 0x10 : 0, 4, at);
    if (!at)
        put_string(b, name);
    put_string(b, value);
}

static void put_text(struct h2_block *b, unsigned at, struct str name, struct str value)
{
    if (!token_value_valid(value))
        b->bad = true;
    put(b, at, name, value, false);
}

/* --- fields ----------------------------------------------------------------------------------------------- */

/* The name as HTTP/2 wants it, perhaps in `room`. Empty: it can't be one. */
static struct str lower_name(const struct http_field *f, char room[HTTP_FIELD_NAME_MAX])
{
    if (f->id != FIELD_OTHER)
        return http_field_name((enum http_field_id)f->id);
    if (!http_field_name_valid(f->name))
        return STR_NONE;
    for (size_t i = 0; i < f->name.n; i++)
        room[i] = ascii_lower(f->name.p[i]);
    return str_of(room, f->name.n);
}

static inline bool is_secret(const struct http_field *f)
{
    static const bool ALWAYS[FIELD_COUNT] = {[FIELD_AUTHORIZATION] = true, [FIELD_COOKIE] = true, [FIELD_SET_COOKIE] = true};
    return (f->flags & HEAD_F_SECRET) || ALWAYS[f->id];
}

static GH_NOINLINE void put_field(struct h2_block *b, const struct http_field *f)
{
    char room[HTTP_FIELD_NAME_MAX];
    struct str name = lower_name(f, room), value = http_trim_ows(f->value);
    if (!name.n || !token_value_valid(value))
        b->bad = true;
    else if (f->id == FIELD_ACCEPT_ENCODING && str_eq(value, hpack_static[AT_GZIP].value))
        put_indexed(b, AT_GZIP);
    else
        put(b, name_at[f->id], name, value, is_secret(f));
}

/* What somebody here has added (Date) as the line that it would be: worth it where there is a code to be saved. */
static GH_NOINLINE struct str make_line(const struct h2_block *b, const struct http_field *f, char room[H2_MEMO_LINE])
{
    struct str name = http_field_name((enum http_field_id)f->id);
    if (!b->huffman || f->id == FIELD_OTHER || name.n != f->name.n)
        return STR_NONE;
    memcpy(room, name.p, name.n);
    memcpy(room + name.n, ": ", 2);
    if (f->value.n)
        memcpy(room + name.n + 2, f->value.p, f->value.n);
    return str_of(room, name.n + 2 + f->value.n);
}

/* The line that the field stands in, or could; empty: it is not to be remembered. */
static inline struct str memo_line(const struct h2_block *b, const struct http_field *f, char room[H2_MEMO_LINE])
{
    size_t n = f->name.n + 2 + f->value.n;
    if (n < H2_MEMO_LEAST || n > H2_MEMO_LINE || is_secret(f))
        return STR_NONE;
    bool is_line = (f->flags & FIELD_F_LINE) && f->value.p == f->name.p + f->name.n + 2;
    return is_line ? str_of(f->name.p, n) : make_line(b, f, room);
}

static GH_NOINLINE void put_new_line(struct h2_block *b, const struct http_field *f, struct h2_memo_row *r, struct str line)
{
    const char *at = b->at;
    put_field(b, f);
    if (h2_block_ok(b))
        h2_memo_learn(r, line, str_of(at, (size_t)(b->at - at)));
}

static inline void put_line(struct h2_block *b, const struct http_field *f)
{
    char room[H2_MEMO_LINE];
    struct str line = memo_line(b, f, room);
    if (!line.n) {
        put_field(b, f);
        return;
    }
    struct h2_memo_row *r = h2_memo_row(b->memo, line);
    if (!h2_memo_is(r, line)) {
        put_new_line(b, f, r, line);
        return;
    }
    r->worth = H2_MEMO_WORTH;
    if (likely(b->end - b->at >= (ptrdiff_t)sizeof(r->code)))
        memcpy(b->at, r->code, sizeof(r->code)); /* of one size: that is no loop, and no call */
    else if (has_room(b, r->code_n))
        memcpy(b->at, r->code, r->code_n);
    else
        return;
    b->at += r->code_n;
}

/* Those that may go on, but `except`. */
static void put_fields(struct h2_block *b, const struct http_field *f, size_t n, enum http_field_id except)
{
    for (size_t i = 0; i < n && !b->bad; i++, f++)
        if ((f->flags & HEAD_F_SKIP) || (except && f->id == except))
            continue;
        else if (b->memo)
            put_line(b, f);
        else
            put_field(b, f);
}

static void put_length(struct h2_block *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    put(b, name_at[FIELD_CONTENT_LENGTH], STR_NONE, str_of(digits + at, sizeof(digits) - at), false);
}

/* --- heads ------------------------------------------------------------------------------------------------- */

static void put_status(struct h2_block *b, unsigned status)
{
    static const uint16_t KNOWN[] = {200, 204, 206, 304, 400, 404, 500}; /* from AT_STATUS */
    char digits[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    for (unsigned at = 0; at < ARRAY_LEN(KNOWN); at++)
        if (KNOWN[at] == status) {
            put_indexed(b, AT_STATUS + at);
            return;
        }
    put(b, AT_STATUS, STR_NONE, str_of(digits, sizeof(digits)), false);
}

void h2_write_answer(struct h2_block *b, const struct http_head *h)
{
    bool tunnel = h->status == 101;
    b->huffman = true;
    put_status(b, tunnel ? 200 : h->status);
    put_fields(b, h->fields, h->n_fields, tunnel ? FIELD_SEC_WEBSOCKET_ACCEPT : FIELD_OTHER);
    if (h->status >= 200 && h->status != 204 && (h->body == BODY_LENGTH || h->has_length))
        put_length(b, h->length);
}

static struct str join_target(struct h2_block *b, const struct http_head *h)
{
    /* At the end of the block's memory, where h2_head_bound has counted it. */
    if (!h->query.p)
        return h->path;
    size_t n = h->path.n + 1 + h->query.n;
    if (h->query.p == h->path.p + h->path.n + 1 && h->path.p[h->path.n] == '?')
        return str_of(h->path.p, n);
    if ((size_t)(b->end - b->at) < n) {
        b->full = true;
        return STR_NONE;
    }
    b->end -= n;
    memcpy(b->end, h->path.p, h->path.n);
    b->end[h->path.n] = '?';
    if (h->query.n)
        memcpy(b->end + h->path.n + 1, h->query.p, h->query.n);
    return str_of(b->end, n);
}

static void put_method(struct h2_block *b, struct str method)
{
    if (str_eq(method, STR("GET")))
        put_indexed(b, AT_GET);
    else if (str_eq(method, STR("POST")))
        put_indexed(b, AT_POST);
    else if (token_valid(method))
        put(b, AT_GET, STR_NONE, method, false);
    else
        b->bad = true;
}

void h2_write_request(struct h2_block *b, const struct http_head *h, bool https)
{
    struct str target = join_target(b, h);
    if (!target.n || !token_target_valid(target))
        b->bad = true;
    if (!h2_block_ok(b))
        return;
    put_method(b, h->upgrade ? STR("CONNECT") : h->method);
    put_indexed(b, https ? AT_HTTPS : AT_HTTP);
    if (str_eq(target, STR("/")))
        put_indexed(b, AT_PATH);
    else
        put(b, AT_PATH, STR_NONE, target, false);
    if (h->authority.n)
        put_text(b, AT_AUTHORITY, STR_NONE, h->authority);
    if (h->upgrade)
        put_text(b, 0, STR(":protocol"), h->upgrade_to);
    /* Host says what :authority says; the key of a WebSocket has no meaning here (RFC 8441 5). */
    for (uint16_t i = 0, end; i < h->n_fields; i = (uint16_t)(end + 1)) {
        for (end = i; end < h->n_fields && h->fields[end].id != FIELD_HOST; end++)
            ;
        put_fields(b, &h->fields[i], end - i, h->upgrade ? FIELD_SEC_WEBSOCKET_KEY : FIELD_OTHER);
    }
    if (h->te_trailers)
        put(b, 0, STR("te"), STR("trailers"), false);
    if (h->body == BODY_LENGTH)
        put_length(b, h->length);
}

void h2_write_trailers(struct h2_block *b, const struct http_field *f, size_t n, bool huffman)
{
    b->huffman = huffman;
    put_fields(b, f, n, FIELD_OTHER);
}
