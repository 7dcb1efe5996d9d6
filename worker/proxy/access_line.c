#include "worker/proxy/access_line.h"
#include "shared/base/clock.h"
#include "shared/base/utf8.h"
#include "shared/base/wide.h"
#include "worker/proxy/grpc.h"

#include <stdlib.h>
#include <unistd.h>

/* A byte becomes at most six ("\u001f", or three for U+FFFD). */
#define VALUE_ROOM (6 * ACCESS_VALUE_MAX + 8)
#define JSON_VALUES 32
#define JSON_ROOM  (JSON_VALUES * (VALUE_ROOM + 32))

static const struct str REASON_WORDS[REASON_COUNT] = {
#define X(name, word, status, text) {word, sizeof(word) - 1},
#include "shared/tbl/reason.def"
#undef X
};

static const struct str FLAGS[REASON_COUNT] = {
    [REASON_NO_LISTENER_HOST] = {"NR", 2}, [REASON_NO_ROUTE] = {"NR", 2},
    [REASON_INVALID_BACKEND] = {"NC", 2}, [REASON_NO_BACKEND] = {"NC", 2},
    [REASON_UNKNOWN_CLUSTER] = {"NC", 2}, [REASON_NO_ENDPOINTS] = {"UH", 2},
    [REASON_CONNECT_FAILED] = {"UF", 2}, [REASON_CONNECT_TIMEOUT] = {"UF", 2},
    [REASON_UPSTREAM_RESET] = {"UC", 2}, [REASON_UPSTREAM_PROTOCOL] = {"UPE", 3},
    [REASON_UPSTREAM_TIMEOUT] = {"UT", 2}, [REASON_REQUEST_TIMEOUT] = {"UT", 2},
    [REASON_OVERFLOW] = {"UO", 2}, [REASON_RETRIES_EXHAUSTED] = {"URX", 3},
    [REASON_BAD_REQUEST] = {"DPE", 3}, [REASON_BAD_PATH] = {"DPE", 3}, [REASON_BAD_HOST] = {"DPE", 3},
    [REASON_URI_TOO_LONG] = {"DPE", 3}, [REASON_HEADERS_TOO_LARGE] = {"DPE", 3},
    [REASON_CLIENT_TIMEOUT] = {"SI", 2}, [REASON_CLIENT_SLOW_READER] = {"SI", 2},
    [REASON_CLIENT_ABORT] = {"DC", 2}, [REASON_MEMORY] = {"OM", 2}, [REASON_INTERNAL] = {"LR", 2},
    [REASON_CLIENT_FLOOD] = {"DPE", 3}, [REASON_IDLE] = {"SI", 2}, [REASON_UPSTREAM_TLS] = {"UF", 2},
};

struct str access_flag_of(enum reason r)
{
    return (unsigned)r < REASON_COUNT && FLAGS[r].n ? FLAGS[r] : STR("-");
}

static struct str reason_word(enum reason r)
{
    return (unsigned)r < REASON_COUNT ? REASON_WORDS[r] : STR("-");
}

/* ---- pieces; each returns the end ---- */

static inline char *put(char *to, struct str s)
{
    if (s.n)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static char *put_u64(char *to, uint64_t v)
{
    return to + str_put_u64(to, v);
}

/* Three digits. */
static inline char *put_3(char *to, uint32_t v)
{
    to[0] = (char)('0' + v / 100);
    to[1] = (char)('0' + v / 10 % 10);
    to[2] = (char)('0' + v % 10);
    return to + 3;
}

/* Microseconds as milliseconds with three decimals. */
static char *put_ms(char *to, uint64_t us)
{
    uint64_t ms = us / 1000;
    to = put_u64(to, ms);
    *to++ = '.';
    return put_3(to, (uint32_t)(us - ms * 1000));
}

/* RFC 3339 with milliseconds; the text of the second is kept. */
static char *put_time(struct access_line *l, char *to, uint64_t wall_us)
{
    uint64_t second = wall_us / 1000000;
    if (unlikely(second != l->second || l->stamp[0] == '\0')) {
        char text[32];
        clock_format(second * 1000000, 3, text);
        memcpy(l->stamp, text, 20);
        l->second = second;
    }
    uint32_t ms = (uint32_t)(wall_us / 1000 % 1000);
    memcpy(to, l->stamp, 20);
    to = put_3(to + 20, ms);
    *to++ = 'Z';
    return to;
}

#if defined(GH_WIDE)
static inline unsigned special(__m128i v)
{
    const __m128i space = _mm_set1_epi8(0x20), quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    /* signed: bytes from 0x80 on are negative */
    return wide_mask(_mm_or_si128(_mm_cmplt_epi8(v, space),
                                  _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash))));
}

static inline void store(char *to, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)to, v);
}
#endif

/* Copies bytes that stand for themselves; stops at '"', '\\', controls and non-ASCII. May write up to 15
 * bytes behind the end. */
static inline size_t copy_plain(char *to, struct str s)
{
    size_t i = 0;
#if defined(GH_WIDE)
    unsigned mask;
    if (s.n < 16) {
        if (s.n == 0)
            return 0;
        __m128i v = wide_short(s.p, s.n);
        store(to, v);
        return (size_t)__builtin_ctz(special(v) | 1u << s.n); /* the zeros behind the end count as special, too */
    }
    for (;; i = GH_MIN(i + 16, s.n - 16)) { /* the last sixteen may be some that were copied already */
        __m128i v = wide_load(s.p + i);
        store(to + i, v);
        mask = special(v);
        if (mask || i == s.n - 16)
            return i + (size_t)__builtin_ctz(mask | 1u << 16);
    }
#else
    for (; s.n - i >= 8; i += 8) {
        const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
        uint64_t v, quotes, slashes;
        memcpy(&v, s.p + i, 8);
        quotes = v ^ (ones * '"');
        slashes = v ^ (ones * '\\');
        /* A borrow may mark too many bytes, never too few; the loop below looks closer. */
        if ((v | (v - ones * 0x20) | (quotes - ones) | (slashes - ones)) & high)
            break;
        memcpy(to + i, &v, 8);
    }
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        to[i] = (char)c;
    }
    return i;
#endif
}

static char *put_escape(char *to, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *to++ = '\\';
    switch (c) {
    case '"': case '\\': *to++ = (char)c; return to;
    case '\n': *to++ = 'n'; return to;
    case '\r': *to++ = 'r'; return to;
    case '\t': *to++ = 't'; return to;
    default: break;
    }
    to = put(to, STR("u00"));
    *to++ = hex[c >> 4];
    *to++ = hex[c & 15];
    return to;
}

/* As put_escaped, for texts in which something is to be escaped. */
static __attribute__((noinline)) char *put_escapes(char *to, struct str s)
{
    for (;;) {
        size_t n = copy_plain(to, s);
        to += n;
        s = str_skip(s, n);
        if (s.n == 0)
            return to;
        size_t wide = (unsigned char)s.p[0] >= 0x80 ? utf8_len(s) : 0;
        if (wide) {
            to = put(to, str_head(s, wide));
            s = str_skip(s, wide);
            continue;
        }
        to = (unsigned char)s.p[0] >= 0x80 ? put(to, STR("\xef\xbf\xbd")) : put_escape(to, (unsigned char)s.p[0]);
        s = str_skip(s, 1);
    }
}

/* The contents of a JSON string (RFC 8259); bytes that are no UTF-8 become U+FFFD. Nearly always there is nothing to
 * escape: that way calls nothing, so that no register has to be saved. */
static __attribute__((noinline)) char *put_escaped(char *to, struct str s)
{
    s = str_head(s, ACCESS_VALUE_MAX);
    size_t n = copy_plain(to, s);
    return likely(n == s.n) ? to + n : put_escapes(to, s);
}

/* In a text line: control bytes as \xNN, '"' as \", so that quoted values stay quoted (rule 4). */
static char *put_text(char *to, struct str s, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    if (s.n == 0) {
        *to++ = '-';
        return to;
    }
    s = str_head(s, GH_MIN(max ? max : ACCESS_VALUE_MAX, (size_t)ACCESS_VALUE_MAX));
    for (;;) {
        size_t n = copy_plain(to, s);
        to += n;
        s = str_skip(s, n);
        if (s.n == 0)
            return to;
        unsigned char c = (unsigned char)s.p[0];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20) {
            to = put(to, STR("\\x"));
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        } else {
            *to++ = (char)c;
        }
        s = str_skip(s, 1);
    }
}

/* ---- JSON ---- */

/* `key` is `,"name":"`: the comma before it, and the quote that texts begin with. */
static inline char *json_text(char *to, struct str key, struct str value)
{
    to = put(to, key);
    if (value.n == 0)
        return put(to - 1, STR("null"));
    to = put_escaped(to, value);
    *to++ = '"';
    return to;
}

static inline char *json_u64(char *to, struct str key, uint64_t value)
{
    return put_u64(put(to, key), value);
}

/* The members are documented in docs/access-log.md; they may grow, never change. */
static char *make_json(struct access_line *l, char *to, const struct access_record *r)
{
    to = put(to, STR("{\"time\":\""));
    to = put_time(l, to, r->start_wall_us);
    *to++ = '"';
    to = json_text(to, STR(",\"client\":\""), r->client_address);
    to = json_u64(to, STR(",\"client_port\":"), r->client_port);
    to = json_text(to, STR(",\"peer\":\""), r->peer_address);
    to = json_text(to, STR(",\"method\":\""), r->method);
    to = json_text(to, STR(",\"host\":\""), r->host);
    to = json_text(to, STR(",\"path\":\""), r->path);
    to = json_text(to, STR(",\"protocol\":\""), r->protocol);
    to = json_u64(to, STR(",\"status\":"), r->status);
    to = json_text(to, STR(",\"reason\":\""), r->reason == REASON_OK ? STR_NONE : reason_word(r->reason));
    to = put(to, STR(",\"grpc_status\":"));
    to = r->has_grpc_status ? put_u64(to, r->grpc_status) : put(to, STR("null"));
    to = json_text(to, STR(",\"detail\":\""), r->detail);
    to = json_u64(to, STR(",\"bytes_in\":"), r->bytes_in);
    to = json_u64(to, STR(",\"bytes_out\":"), r->bytes_out);
    to = put_ms(put(to, STR(",\"duration_ms\":")), r->duration_us);
    to = put(to, STR(",\"upstream_ms\":"));
    to = r->upstream_us ? put_ms(to, r->upstream_us) : put(to, STR("null"));
    to = json_text(to, STR(",\"listener\":\""), r->listener);
    to = json_text(to, STR(",\"route\":\""), r->route);
    to = json_text(to, STR(",\"cluster\":\""), r->cluster);
    to = json_text(to, STR(",\"endpoint\":\""), r->endpoint);
    to = json_u64(to, STR(",\"tries\":"), r->tries);
    if (likely(!(r->server_name.n | r->tls_version.n | r->tls_cipher.n | r->client_cert.n))) {
        to = put(to, STR(",\"sni\":null,\"tls_version\":null,\"tls_cipher\":null,\"client_cert\":null"));
    } else {
        to = json_text(to, STR(",\"sni\":\""), r->server_name);
        to = json_text(to, STR(",\"tls_version\":\""), r->tls_version);
        to = json_text(to, STR(",\"tls_cipher\":\""), r->tls_cipher);
        to = json_text(to, STR(",\"client_cert\":\""), r->client_cert);
    }
    to = json_text(to, STR(",\"request_id\":\""), r->request_id);
    to = json_text(to, STR(",\"user_agent\":\""), r->user_agent);
    to = json_text(to, STR(",\"referer\":\""), r->referer);
    to = json_text(to, STR(",\"x_forwarded_for\":\""), r->x_forwarded_for);
    to = json_u64(to, STR(",\"generation\":"), r->generation);
    return put(to, STR("}\n"));
}

/* ---- format strings ---- */

/* Headers that the record has anyway, and HTTP/2's names for the start line. */
static const struct {
    struct str name;
    size_t offset; /* of the struct str in the record */
} KNOWN_HEADERS[] = {
#define ROW(text, member) {{text, sizeof(text) - 1}, offsetof(struct access_record, member)}
    ROW(":method", method), ROW(":path", path), ROW(":authority", host), ROW("host", host),
    ROW("user-agent", user_agent), ROW("referer", referer), ROW("x-request-id", request_id),
    ROW("x-forwarded-for", x_forwarded_for),
#undef ROW
};

static int16_t known_header(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(KNOWN_HEADERS); i++)
        if (str_eq(KNOWN_HEADERS[i].name, name))
            return (int16_t)KNOWN_HEADERS[i].offset;
    return -1;
}

static struct str header_value(const struct access_line *l, const struct access_record *r, size_t op)
{
    const struct log_op *o = &l->format->ops[op];
    struct str v = STR_NONE, names[2] = {o->text, o->alt};
    for (int i = 0; i < 2 && v.n == 0 && names[i].n; i++) {
        if (l->known[op][i] >= 0)
            v = *(const struct str *)(const void *)((const char *)r + l->known[op][i]);
        else if (!r->header || !r->header(r->header_ctx, o->id == LOG_OP_RESP, names[i], &v))
            v = STR_NONE;
    }
    return v;
}

static char *put_address(char *to, struct str address, uint16_t port)
{
    bool v6 = str_chr(address, ':') >= 0;
    if (address.n == 0)
        return put(to, STR("-"));
    if (port == 0)
        return put_text(to, address, 0);
    if (v6)
        *to++ = '[';
    to = put_text(to, address, 0);
    if (v6)
        *to++ = ']';
    *to++ = ':';
    return put_u64(to, port);
}

/* The operators whose value is a text of the record. */
static struct str text_value(const struct access_line *l, const struct access_record *r, size_t op)
{
    switch (l->format->ops[op].id) {
    case LOG_OP_METHOD: return r->method;
    case LOG_OP_PATH: return r->path;
    case LOG_OP_PROTOCOL: return r->protocol;
    case LOG_OP_REQ:
    case LOG_OP_RESP: return header_value(l, r, op);
    case LOG_OP_RESPONSE_FLAGS: return access_flag_of(r->reason);
    case LOG_OP_RESPONSE_CODE_DETAILS:
    case LOG_OP_REASON: return reason_word(r->reason);
    case LOG_OP_UPSTREAM_HOST: return r->endpoint;
    case LOG_OP_UPSTREAM_CLUSTER: return r->cluster;
    case LOG_OP_ROUTE_NAME: return r->route;
    case LOG_OP_LISTENER: return r->listener;
    case LOG_OP_CLIENT_IP: return r->client_address;
    case LOG_OP_PEER_IP:
    case LOG_OP_PEER: return r->peer_address;
    case LOG_OP_LOCAL: return r->local_address;
    case LOG_OP_HOSTNAME: return str_c(l->hostname);
    case LOG_OP_SNI: return r->server_name;
    case LOG_OP_TLS_VERSION: return r->tls_version;
    case LOG_OP_TLS_CIPHER: return r->tls_cipher;
    case LOG_OP_PEER_SUBJECT: return r->client_cert;
    case LOG_OP_DETAIL: return r->detail;
    case LOG_OP_TLS_FAULT: return r->reason == REASON_UPSTREAM_TLS ? r->detail : STR_NONE;
    default: return STR_NONE;
    }
}

/* By name, as Envoy: "NotFound", or "NOT_FOUND" for the form SNAKE_STRING; a number where there is no name. */
static char *put_grpc(char *to, const struct access_record *r, struct str form)
{
    struct str word = STR_NONE;
    if (!r->has_grpc_status)
        return put(to, STR("-"));
    if (str_eqc(form, "SNAKE_STRING"))
        word = grpc_status_word(r->grpc_status);
    else if (!str_eqc(form, "NUMBER"))
        word = grpc_status_camel(r->grpc_status);
    return word.n ? put(to, word) : put_u64(to, r->grpc_status);
}

static char *put_op(struct access_line *l, char *to, const struct access_record *r, size_t i)
{
    const struct log_op *op = &l->format->ops[i];
    switch (op->id) {
    case LOG_OP_TEXT: return put(to, op->text);
    case LOG_OP_START_TIME:
        return op->text.n ? to + log_format_time(op->text, r->start_wall_us, to, VALUE_ROOM)
                          : put_time(l, to, r->start_wall_us);
    case LOG_OP_RESPONSE_CODE: return put_u64(to, r->status);
    case LOG_OP_BYTES_RECEIVED: return put_u64(to, r->bytes_in);
    case LOG_OP_BYTES_SENT: return put_u64(to, r->bytes_out);
    case LOG_OP_DURATION: return put_u64(to, r->duration_us / 1000);
    case LOG_OP_DURATION_US: return put_u64(to, r->duration_us);
    case LOG_OP_RESPONSE_DURATION: return r->upstream_us ? put_u64(to, r->upstream_us / 1000) : put(to, STR("-"));
    case LOG_OP_UPSTREAM_ATTEMPTS: return put_u64(to, r->tries);
    case LOG_OP_GENERATION: return put_u64(to, r->generation);
    case LOG_OP_GRPC_STATUS: return put_grpc(to, r, op->text);
    case LOG_OP_GRPC_STATUS_NUMBER: return put_grpc(to, r, STR("NUMBER"));
    case LOG_OP_CLIENT: return put_address(to, r->client_address, r->client_port);
    default: return put_text(to, text_value(l, r, i), op->max);
    }
}

/* ---- life ---- */

static void want(struct access_line *l, struct str name)
{
    for (size_t i = 0; i < l->n_wanted; i++)
        if (str_eq(l->wanted[i], name))
            return;
    if (name.n && l->n_wanted < ACCESS_WANTED_MAX)
        l->wanted[l->n_wanted++] = name;
}

bool access_line_init(struct access_line *l, struct str format)
{
    size_t room = JSON_ROOM;
    *l = (struct access_line){0};
    if (gethostname(l->hostname, sizeof(l->hostname) - 1) != 0)
        l->hostname[0] = '\0';
    if (format.p) {
        l->format = malloc(sizeof(*l->format));
        if (!l->format || log_format_parse(format, l->format, NULL) < 0)
            return false;
        room = LOG_FORMAT_MAX + l->format->n * (VALUE_ROOM + 32);
        for (size_t i = 0; i < l->format->n; i++) {
            const struct log_op *op = &l->format->ops[i];
            l->known[i][0] = op->id == LOG_OP_REQ ? known_header(op->text) : -1;
            l->known[i][1] = op->id == LOG_OP_REQ ? known_header(op->alt) : -1;
            l->shows_local = l->shows_local || op->id == LOG_OP_LOCAL;
            if (op->id == LOG_OP_RESP) {
                want(l, op->text);
                want(l, op->alt);
            }
        }
    }
    l->scratch = malloc(room);
    return l->scratch != NULL;
}

void access_line_fini(struct access_line *l)
{
    free(l->format);
    free(l->scratch);
}

struct str access_line_make(struct access_line *l, const struct access_record *r)
{
    char *to = l->scratch;
    if (!l->format)
        to = make_json(l, to, r);
    else
        for (size_t i = 0; i < l->format->n; i++)
            to = put_op(l, to, r, i);
    return str_of(l->scratch, (size_t)(to - l->scratch));
}
