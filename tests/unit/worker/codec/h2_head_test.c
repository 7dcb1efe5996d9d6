#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h1_write.h"
#include "worker/codec/h2_head.h"
#include "worker/codec/h2_hpack.h"
#include <stdio.h>
#include <stdlib.h>

static const struct h2_limits LIMITS = {.max_bytes = 4096, .max_uri = 200, .max_fields = 20};

struct rig {
    struct arena arena;
    struct h2_head d;
    bool bomb;
};

static bool field(struct h2_head *d, struct str name, struct str value)
{
    struct hpack_field f = {name, value, FIELD_OTHER, 0, 0};
    return h2_head_field(d, &f);
}

/* Lines "name\0value\0" ... of the literal, behind each other. */
static void feed(struct rig *r, enum h2_head_kind kind, const char *text, size_t n, bool end)
{
    h2_head_begin(&r->d, kind, &r->arena, &LIMITS);
    for (const char *at = text, *stop = text + n; at < stop;) {
        struct str name = str_c(at);
        at += name.n + 1;
        struct str value = str_c(at);
        at += value.n + 1;
        if (!field(&r->d, name, value))
            r->bomb = true;
    }
    h2_head_end(&r->d, end);
}
#define REQ ":method\0GET\0:scheme\0http\0:authority\0example.com\0:path\0/a?b=c\0"

static void with(void (*fn)(struct rig *r))
{
    struct rig r = {0};
    arena_init(&r.arena, 4096, NULL);
    fn(&r);
    arena_fini(&r.arena);
}
#define FEED(r, kind, text, end) feed(r, kind, text, sizeof(text) - 1, end)

static void request(struct rig *r)
{
    FEED(r, H2_REQUEST, REQ "user-agent\0x\0cookie\0a=1\0accept\0*/*\0cookie\0b=2\0te\0trailers\0cookie\0c=3\0", true);
    const struct http_head *h = &r->d.head;
    assert_int_equal(r->d.why, REASON_OK);
    assert_true(str_eqc(h->method, "GET"));
    assert_int_equal(h->method_id, METHOD_GET);
    assert_true(str_eqc(h->path, "/a"));
    assert_true(str_eqc(h->query, "b=c"));
    assert_true(str_eqc(h->authority, "example.com"));
    assert_true(str_eqc(h->host.name, "example.com"));
    assert_int_equal(h->major, 2);
    assert_int_equal(h->body, BODY_NONE);
    assert_true(h->te_trailers);
    char out[512];
    struct h1_writer w = h1_writer_on(out, sizeof(out));
    h1_write_parsed(&w, h->fields, h->n_fields, HEAD_F_SKIP);
    out[h1_writer_len(&w)] = '\0';
    assert_string_equal(out, "host: example.com\r\nuser-agent: x\r\ncookie: a=1; b=2; c=3\r\naccept: */*\r\n");
}
static void fields_become_a_head_as_http_1_has_them(void **state)
{
    (void)state;
    with(request);
}

static void content(struct rig *r)
{
    FEED(r, H2_REQUEST, REQ "content-length\0" "5\0", false);
    assert_int_equal(r->d.head.body, BODY_LENGTH);
    assert_int_equal(r->d.head.length, 5);
    FEED(r, H2_REQUEST, REQ, false);
    assert_int_equal(r->d.head.body, BODY_STREAM);
    FEED(r, H2_REQUEST, ":method\0POST\0:scheme\0http\0:authority\0a\0:path\0/\0", true);
    assert_int_equal(r->d.head.body, BODY_LENGTH); /* of nothing: some servers insist on the length */
    FEED(r, H2_REQUEST, REQ "expect\0" "100-continue\0", false);
    assert_true(r->d.head.expect_continue);
    FEED(r, H2_RESPONSE, ":status\0" "200\0content-length\0" "5\0", false);
    assert_int_equal(r->d.head.body, BODY_LENGTH);
    FEED(r, H2_RESPONSE, ":status\0" "200\0", false);
    assert_int_equal(r->d.head.body, BODY_STREAM);
    FEED(r, H2_RESPONSE, ":status\0" "304\0content-length\0" "5\0", true);
    assert_int_equal(r->d.why, REASON_OK);
    assert_int_equal(r->d.head.body, BODY_NONE);
    assert_true(r->d.head.has_length);
    FEED(r, H2_RESPONSE, ":status\0" "103\0link\0x\0", false);
    assert_int_equal(r->d.why, REASON_OK);
}
static void what_follows_is_known(void **state)
{
    (void)state;
    with(content);
}

static void tunnel(struct rig *r)
{
    FEED(r, H2_REQUEST, ":method\0CONNECT\0:protocol\0websocket\0:scheme\0https\0:authority\0a:443\0:path\0/chat\0sec-websocket-version\0" "13\0", false);
    assert_int_equal(r->d.why, REASON_OK);
    assert_true(r->d.head.upgrade);
    assert_true(str_eqc(r->d.head.upgrade_to, "websocket"));
    assert_int_equal(r->d.head.method_id, METHOD_GET);
    assert_int_equal(r->d.head.body, BODY_NONE);
    assert_true(r->d.head.https);
    FEED(r, H2_REQUEST, ":method\0CONNECT\0:authority\0a:443\0", false);
    assert_int_equal(r->d.why, REASON_CONNECT_REFUSED);
    assert_false(r->d.malformed);
    FEED(r, H2_REQUEST, ":method\0CONNECT\0:protocol\0connect-udp\0:scheme\0https\0:authority\0a\0:path\0/\0", false);
    assert_int_equal(r->d.why, REASON_UNSUPPORTED);
}
static void connect_is_for_websockets_only(void **state)
{
    (void)state;
    with(tunnel);
}

/* Every one of them is malformed: no answer, a reset. */
static const struct {
    enum h2_head_kind kind;
    bool end;
    const char *text;
    size_t n;
} MALFORMED[] = {
#define M(kind, end, text) {kind, end, text, sizeof(text) - 1}
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0"),
    M(H2_REQUEST, true, ":method\0GET\0:path\0/\0:authority\0a\0"),
    M(H2_REQUEST, true, ":scheme\0http\0:path\0/\0:authority\0a\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:path\0/\0"),
    M(H2_REQUEST, true, REQ ":path\0/b\0"),
    M(H2_REQUEST, true, REQ ":unknown\0x\0"),
    M(H2_REQUEST, true, REQ ":status\0" "200\0"),
    M(H2_REQUEST, true, ":method\0GET\0accept\0x\0:scheme\0http\0:authority\0a\0:path\0/\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0ftp\0:authority\0a\0:path\0/\0"),
    M(H2_REQUEST, true, ":method\0G T\0:scheme\0http\0:authority\0a\0:path\0/\0"),
    M(H2_REQUEST, true, ":method\0G\r\nT\0:scheme\0http\0:authority\0a\0:path\0/\0"),
    M(H2_REQUEST, true, ":method\0\0:scheme\0http\0:authority\0a\0:path\0/\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0a\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0http://a/\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0*\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0/ HTTP/1.1\r\nx: y\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0/\x7f\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0/a#b\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:authority\0a\r\nx: y\0:path\0/\0"),
    M(H2_REQUEST, true, REQ "host\0other.example\0"),
    M(H2_REQUEST, true, ":method\0GET\0:scheme\0http\0:path\0/\0host\0a\0host\0a\0"),
    M(H2_REQUEST, true, REQ "connection\0close\0"),
    M(H2_REQUEST, true, REQ "keep-alive\0" "5\0"),
    M(H2_REQUEST, true, REQ "proxy-connection\0x\0"),
    M(H2_REQUEST, true, REQ "upgrade\0h2c\0"),
    M(H2_REQUEST, false, REQ "transfer-encoding\0chunked\0"),
    M(H2_REQUEST, true, REQ "te\0gzip\0"),
    M(H2_REQUEST, true, REQ "te\0trailers, gzip\0"),
    M(H2_REQUEST, true, REQ "Accept\0x\0"),
    M(H2_REQUEST, true, REQ "x-Y\0x\0"),
    M(H2_REQUEST, true, REQ "\0x\0"),
    M(H2_REQUEST, true, REQ "a:b\0x\0"),
    M(H2_REQUEST, true, REQ "a b\0x\0"),
    M(H2_REQUEST, true, REQ "a\r\nb\0x\0"),
    M(H2_REQUEST, true, REQ "a\0x\r\ny: z\0"),
    M(H2_REQUEST, true, REQ "a\0x\ny\0"),
    M(H2_REQUEST, true, REQ "a\0x\ry\0"),
    M(H2_REQUEST, true, REQ "a\0 x\0"),
    M(H2_REQUEST, true, REQ "a\0x\t\0"),
    M(H2_REQUEST, false, REQ "content-length\0" "5\0content-length\0" "5\0"),
    M(H2_REQUEST, false, REQ "content-length\0" "5, 5\0"),
    M(H2_REQUEST, false, REQ "content-length\0+5\0"),
    M(H2_REQUEST, false, REQ "content-length\0" "18446744073709551621\0"),
    M(H2_REQUEST, true, REQ "content-length\0" "5\0"),
    M(H2_REQUEST, true, ":method\0GET\0:protocol\0websocket\0:scheme\0http\0:authority\0a\0:path\0/\0"),
    M(H2_RESPONSE, true, "server\0x\0"),
    M(H2_RESPONSE, true, ":status\0" "20\0"),
    M(H2_RESPONSE, true, ":status\0" "2000\0"),
    M(H2_RESPONSE, true, ":status\0+20\0"),
    M(H2_RESPONSE, true, ":status\0" "101\0"),
    M(H2_RESPONSE, true, ":status\0" "200\0:status\0" "200\0"),
    M(H2_RESPONSE, true, ":status\0" "200\0:path\0/\0"),
    M(H2_RESPONSE, true, ":status\0" "100\0"),
    M(H2_RESPONSE, false, ":status\0" "200\0transfer-encoding\0chunked\0"),
    M(H2_RESPONSE, true, ":status\0" "200\0content-length\0" "5\0"),
    M(H2_TRAILERS, false, "a\0b\0"),
    M(H2_TRAILERS, true, ":path\0/\0"),
    M(H2_TRAILERS, true, "content-length\0" "5\0"),
    M(H2_TRAILERS, true, "transfer-encoding\0chunked\0"),
    M(H2_TRAILERS, true, "host\0a\0"),
    M(H2_TRAILERS, true, "A\0b\0"),
    M(H2_TRAILERS, true, "a\0b\r\nc: d\0"),
};

static void malformed(struct rig *r)
{
    for (size_t i = 0; i < ARRAY_LEN(MALFORMED); i++) {
        feed(r, MALFORMED[i].kind, MALFORMED[i].text, MALFORMED[i].n, MALFORMED[i].end);
        if (r->d.why != REASON_BAD_REQUEST || !r->d.malformed)
            fail_msg("row %zu is taken", i);
        assert_non_null(r->d.text);
    }
}
static void malformed_messages_are_not_repaired(void **state)
{
    (void)state;
    with(malformed);
}

static void answered(struct rig *r)
{
    char text[600] = ":method\0GET\0:scheme\0http\0:authority\0a\0:path\0/";
    memset(text + 44, 'x', 300);
    feed(r, H2_REQUEST, text, 346, true);
    assert_int_equal(r->d.why, REASON_URI_TOO_LONG);
    FEED(r, H2_REQUEST, ":method\0GET\0:scheme\0http\0:authority\0u@a\0:path\0/\0", true);
    assert_int_equal(r->d.why, REASON_BAD_HOST);
    FEED(r, H2_REQUEST, REQ "expect\0more\0", false);
    assert_int_equal(r->d.why, REASON_EXPECTATION);
}
static void what_is_well_formed_but_not_served_has_an_answer(void **state)
{
    (void)state;
    with(answered);
}

static void bomb(struct rig *r)
{
    h2_head_begin(&r->d, H2_REQUEST, &r->arena, &LIMITS);
    for (unsigned i = 0; i < LIMITS.max_fields; i++)
        assert_true(field(&r->d, STR("cookie"), STR("a")));
    assert_int_equal(r->d.why, REASON_OK);
    size_t before = r->arena.total;
    for (unsigned i = LIMITS.max_fields; i < H2_BOMB * LIMITS.max_fields; i++)
        assert_true(field(&r->d, STR("cookie"), STR("a")));
    assert_int_equal(r->d.why, REASON_HEADERS_TOO_LARGE);
    assert_int_equal(r->arena.total, before); /* nothing is kept any more */
    assert_false(field(&r->d, STR("cookie"), STR("a")));
    char big[3000];
    memset(big, 'x', sizeof(big));
    h2_head_begin(&r->d, H2_REQUEST, NULL, &LIMITS);
    for (int i = 0; i < 5; i++)
        assert_true(field(&r->d, STR("x"), str_of(big, sizeof(big))));
    assert_false(field(&r->d, STR("x"), str_of(big, sizeof(big))));
}
static void fields_are_counted_while_they_are_decoded(void **state)
{
    (void)state;
    with(bomb);
}

/* --- compression --------------------------------------------------------------------------------------- */

struct text {
    char s[2000];
    size_t n;
};

static bool add_field(void *ctx, struct hpack_field *f)
{
    struct text *t = ctx;
    t->n += (size_t)snprintf(t->s + t->n, sizeof(t->s) - t->n, "%s" STR_FMT "=" STR_FMT ";", f->flags & HPACK_F_SECRET ? "!" : "", STR_ARG(f->name), STR_ARG(f->value));
    return true;
}

static void decode(const char *p, size_t n, size_t step, struct text *t)
{
    struct hpack_decoder d;
    hpack_init(&d);
    t->n = 0;
    for (size_t at = 0; at < n; at += GH_MIN(step, n - at))
        assert_int_equal(hpack_decode(&d, str_of(p + at, GH_MIN(step, n - at)), false, add_field, t), 0);
    assert_int_equal(hpack_decode(&d, STR(""), true, add_field, t), 0);
    hpack_fini(&d);
}

static void heads_go_out_in_lower_case_and_without_what_stays_here(void **state)
{
    struct http_field f[] = {
        {STR("Server"), STR("x"), FIELD_SERVER, 0},
        {STR("Connection"), STR("close"), FIELD_CONNECTION, FIELD_F_HOP},
        {STR("X-My-Own"), STR("1"), FIELD_OTHER, 0},
        {STR("Set-Cookie"), STR("a=b"), FIELD_SET_COOKIE, 0},
        {STR("x-gone"), STR("1"), FIELD_OTHER, HEAD_F_REMOVED},
        {STR("x-secret"), STR("1"), FIELD_OTHER, HEAD_F_SECRET},
    };
    struct http_head h = {.status = 200, .fields = f, .n_fields = ARRAY_LEN(f), .body = BODY_LENGTH, .length = 123};
    struct text t;
    char out[1000];
    (void)state;
    for (int round = 0; round < 3; round++) { /* no table: every block stands for itself */
        struct h2_block b = h2_block_on(out, sizeof(out));
        h2_write_answer(&b, &h);
        assert_true(h2_block_ok(&b));
        assert_true((size_t)(b.at - out) <= h2_head_bound(&h));
        for (size_t step = 1; step < 100; step += 7) {
            decode(out, (size_t)(b.at - out), step, &t);
            assert_string_equal(t.s, ":status=200;server=x;x-my-own=1;!set-cookie=a=b;!x-secret=1;content-length=123;");
        }
    }
}

static void requests_go_out_with_their_pseudo_fields(void **state)
{
    struct http_field f[] = {
        {STR("Host"), STR("a.example"), FIELD_HOST, 0},
        {STR("Sec-WebSocket-Key"), STR("x"), FIELD_SEC_WEBSOCKET_KEY, 0},
        {STR("Accept"), STR("*/*"), FIELD_ACCEPT, 0},
    };
    struct http_head h = {.method = STR("GET"), .method_id = METHOD_GET, .path = STR("/x"), .query = STR("q"), .authority = STR("b"),
                          .fields = f, .n_fields = ARRAY_LEN(f), .te_trailers = true};
    struct text t;
    char out[1000];
    (void)state;
    struct h2_block b = h2_block_on(out, sizeof(out));
    h2_write_request(&b, &h, false);
    assert_true(h2_block_ok(&b));
    decode(out, (size_t)(b.at - out), 1000, &t);
    assert_string_equal(t.s, ":method=GET;:scheme=http;:path=/x?q;:authority=b;sec-websocket-key=x;accept=*/*;te=trailers;");
    h.upgrade = true;
    h.upgrade_to = STR("websocket");
    h.te_trailers = false;
    b = h2_block_on(out, sizeof(out));
    h2_write_request(&b, &h, true);
    decode(out, (size_t)(b.at - out), 1000, &t);
    assert_string_equal(t.s, ":method=CONNECT;:scheme=https;:path=/x?q;:authority=b;:protocol=websocket;accept=*/*;");
}

static void what_would_break_a_message_is_not_written(void **state)
{
    struct http_field good = {STR("x"), STR("y"), FIELD_OTHER, 0}, f = {STR("x"), STR("a\r\nb"), FIELD_OTHER, 0};
    struct http_head h = {.status = 200, .fields = &f, .n_fields = 1};
    char out[100];
    (void)state;
    struct h2_block b = h2_block_on(out, sizeof(out));
    h2_write_answer(&b, &h);
    assert_true(b.bad);
    h.fields = &good;
    b = h2_block_on(out, 3);
    h2_write_answer(&b, &h);
    assert_true(b.full && !b.bad);
    b = h2_block_on(out, sizeof(out)); /* it is none the worse for it */
    h2_write_answer(&b, &h);
    assert_true(h2_block_ok(&b));
}

/* A field as it lies in a buffer. */
static struct http_field as_line(const char *text, size_t name, enum http_field_id id, unsigned flags)
{
    size_t n = strlen(text);
    return (struct http_field){str_of(text, name), str_of(text + name + 2, n - name - 2), (uint16_t)id, (uint16_t)(FIELD_F_LINE | flags)};
}

static void blocks_are_the_same_whatever_the_memo_knows(void **state)
{
    struct h2_memo *memo = calloc(1, sizeof(*memo));
    char plain[1000], out[1000], own[64];
    (void)state;
    assert_non_null(memo);
    for (unsigned i = 0; i < 600; i++) {
        snprintf(own, sizeof(own), "x-own: %u", i % 200); /* more than it has rows */
        struct http_field f[] = {
            as_line("Server: nginx/1.22.1", 6, FIELD_SERVER, 0),
            as_line("content-type: text/html; charset=utf-8", 12, FIELD_CONTENT_TYPE, 0),
            as_line(own, 5, FIELD_OTHER, 0),
            as_line("x-secret: 12345678", 8, FIELD_OTHER, HEAD_F_SECRET),
            as_line("set-cookie: id=1234567", 10, FIELD_SET_COOKIE, 0),
            as_line("x-gone: 12345678", 6, FIELD_OTHER, HEAD_F_REMOVED),
            {STR("Date"), i % 2 ? STR("Fri, 01 Jan 2027 00:00:01 GMT") : STR("Fri, 01 Jan 2027 00:00:02 GMT"), FIELD_DATE, HEAD_F_ADDED},
        };
        f[1].value = i % 3 ? f[1].value : STR("text/plain"); /* a filter's: no line any more */
        struct http_head h = {.status = 200, .fields = f, .n_fields = ARRAY_LEN(f)};
        struct h2_block a = h2_block_on(plain, sizeof(plain)), b = h2_block_on(out, i % 7 ? sizeof(out) : 90);
        b.memo = memo;
        h2_write_answer(&a, &h);
        h2_write_answer(&b, &h);
        assert_true(h2_block_ok(&a) && !b.bad);
        if (i % 7) {
            assert_int_equal(b.at - out, a.at - plain);
            assert_memory_equal(out, plain, (size_t)(a.at - plain));
        }
        for (unsigned r = 0; r < H2_MEMO_ROWS; r++)
            assert_true(memcmp(memo->rows[r].line, "set-", 4) != 0 && memcmp(memo->rows[r].line, "x-se", 4) != 0);
    }
    free(memo);
}

/* A field that came before, by the table of the peer, is what it was when it was looked at. */
static void what_is_known_of_a_field_is_not_asked_again(void **state)
{
    static const struct h2_limits limits = {4096, 200, 20};
    struct hpack_field good = {STR("x-a"), STR("1"), FIELD_OTHER, 0, 0}, bad = {STR("x-b"), STR("a\nb"), FIELD_OTHER, 0, 0};
    struct hpack_field line = {str_of("server: x\r\n", 6), STR_NONE, FIELD_OTHER, 0, HPACK_F_LINE};
    struct hpack_field alias = {STR("x_a"), STR("1"), FIELD_OTHER, 0, 0};
    struct arena a;
    struct h2_head d;
    (void)state;
    arena_init(&a, 4096, NULL);
    h2_head_begin(&d, H2_RESPONSE, &a, &limits);
    assert_true(field(&d, STR(":status"), STR("200")));
    line.value = str_of(line.name.p + 8, 1);
    for (int i = 0; i < 2; i++)
        assert_true(h2_head_field(&d, &good) && h2_head_field(&d, &line) && h2_head_field(&d, &alias));
    assert_int_equal(good.flags, HPACK_F_KEPT);
    assert_int_equal(line.flags, HPACK_F_KEPT | HPACK_F_LINE);
    assert_int_equal(line.id, FIELD_SERVER);
    assert_int_equal(alias.flags, HPACK_F_VALUE); /* there is more to say about the name */
    assert_int_equal(d.head.n_fields, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(d.head.fields[i].flags, FIELD_F_LINE | (i % 3 == 2 ? FIELD_F_UNDERSCORE : 0));
    assert_memory_equal(d.head.fields[0].name.p, "x-a: 1\r\nserver: x\r\nx_a: 1\r\nx-a: 1\r\nserver: x\r\n", 46);
    assert_true(h2_head_field(&d, &bad));
    assert_true(d.malformed);
    assert_int_equal(bad.flags & HPACK_F_VALUE, 0);
    arena_fini(&a);
}

/* ... but for those that mean something to the head they are in. */
static void what_has_a_meaning_is_judged_each_time(void **state)
{
    struct hpack_field f[] = {{STR("cookie"), STR("a=b"), FIELD_OTHER, 0, 0}, {STR("content-length"), STR("1"), FIELD_OTHER, 0, 0},
                              {STR("te"), STR("trailers"), FIELD_OTHER, 0, 0}, {STR("host"), STR("a"), FIELD_OTHER, 0, 0},
                              {STR("expect"), STR("100-continue"), FIELD_OTHER, 0, 0}};
    struct hpack_field date = {str_of("date: x\r\n", 4), str_of("x", 1), FIELD_OTHER, 0, HPACK_F_LINE};
    struct arena a;
    struct h2_head d;
    (void)state;
    arena_init(&a, 4096, NULL);
    h2_head_begin(&d, H2_RESPONSE, &a, &LIMITS);
    date.value.p = date.name.p + 6;
    assert_true(field(&d, STR(":status"), STR("200")));
    for (size_t i = 0; i < ARRAY_LEN(f); i++) {
        assert_true(h2_head_field(&d, &f[i]));
        assert_int_equal(f[i].flags, HPACK_F_NAME | HPACK_F_VALUE);
    }
    assert_true(h2_head_field(&d, &date));
    assert_int_equal(date.flags, HPACK_F_KEPT | HPACK_F_LINE);
    assert_int_equal(d.why, REASON_OK);
    h2_head_begin(&d, H2_TRAILERS, &a, &LIMITS);
    assert_true(h2_head_field(&d, &date));
    assert_int_equal(d.head.fields[0].flags, FIELD_F_LINE | FIELD_F_NO_TRAILER);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_become_a_head_as_http_1_has_them),
        cmocka_unit_test(what_follows_is_known),
        cmocka_unit_test(connect_is_for_websockets_only),
        cmocka_unit_test(malformed_messages_are_not_repaired),
        cmocka_unit_test(what_is_well_formed_but_not_served_has_an_answer),
        cmocka_unit_test(fields_are_counted_while_they_are_decoded),
        cmocka_unit_test(heads_go_out_in_lower_case_and_without_what_stays_here),
        cmocka_unit_test(requests_go_out_with_their_pseudo_fields),
        cmocka_unit_test(what_would_break_a_message_is_not_written),
        cmocka_unit_test(blocks_are_the_same_whatever_the_memo_knows),
        cmocka_unit_test(what_is_known_of_a_field_is_not_asked_again),
        cmocka_unit_test(what_has_a_meaning_is_judged_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
