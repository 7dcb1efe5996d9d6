#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h1_parse.h"
#include <stdio.h>
#include <stdlib.h>

#define MAX_FIELDS 100

enum kind { REQUEST, RESPONSE, TO_HEAD, TRAILERS };

struct parsed {
    enum h1_result result;
    struct h1_parser p;
    struct h1_head head;
    struct http_field fields[MAX_FIELDS];
    char *data;
};

static void begin(struct parsed *r, enum kind kind, const struct h1_limits *limits)
{
    if (kind == REQUEST)
        h1_parser_request(&r->p, &r->head, r->fields, MAX_FIELDS, limits);
    else if (kind == TRAILERS)
        h1_parser_trailers(&r->p, &r->head, r->fields, MAX_FIELDS, limits);
    else
        h1_parser_response(&r->p, &r->head, r->fields, MAX_FIELDS, limits,
                           kind == TO_HEAD ? METHOD_HEAD : METHOD_GET);
}

/* In steps of `step` bytes, each time in another buffer of exactly the right size. */
static void parse_in_steps(struct parsed *r, enum kind kind, struct str text, size_t step,
                           const struct h1_limits *limits)
{
    memset(r, 0, sizeof(*r));
    begin(r, kind, limits);
    r->result = H1_MORE;
    for (size_t n = GH_MIN(step, text.n); r->result == H1_MORE; n = GH_MIN(n + step, text.n)) {
        char *next = malloc(n + 1); /* malloc(0) may be NULL */
        memcpy(next, text.p, n);
        r->result = h1_parse(&r->p, next, n);
        free(r->data);
        r->data = next;
        if (n == text.n)
            break;
    }
}

static void compare(const struct parsed *a, const struct parsed *b, size_t step)
{
    if (a->result != b->result || a->p.error != b->p.error || a->p.used != b->p.used)
        fail_msg("in steps of %zu: %s, in one: %s", step, h1_error_name(b->p.error),
                 h1_error_name(a->p.error));
    if (a->result != H1_DONE)
        return;
    const struct h1_head *x = &a->head, *y = &b->head;
    assert_true(str_eq(x->method, y->method) && str_eq(x->target, y->target));
    assert_true(str_eq(x->authority, y->authority) && str_eq(x->reason, y->reason));
    assert_true(str_eq(x->upgrade_to, y->upgrade_to) && str_eq(x->parts.path, y->parts.path));
    assert_true(str_eq(x->host.name, y->host.name) && x->host.port == y->host.port);
    assert_true(x->body == y->body && x->length == y->length && x->keep_alive == y->keep_alive);
    assert_true(x->upgrade == y->upgrade && x->expect_continue == y->expect_continue);
    assert_int_equal(x->n_fields, y->n_fields);
    assert_true(x->any_flags == y->any_flags && memcmp(&x->ids, &y->ids, sizeof(x->ids)) == 0);
    for (int i = 0; i < x->n_fields; i++) {
        assert_true(str_eq(x->fields[i].name, y->fields[i].name));
        assert_true(str_eq(x->fields[i].value, y->fields[i].value));
        assert_int_equal(x->fields[i].id, y->fields[i].id);
        assert_int_equal(x->fields[i].flags, y->fields[i].flags);
    }
}

/* Parses in one piece, and checks that any other cut gives the same. The caller frees r->data. */
static void parse(struct parsed *r, enum kind kind, struct str text)
{
    static const size_t steps[] = {1, 2, 3, 5, 7, 13, 16, 17, 33, 64};
    const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct parsed cut;
    parse_in_steps(r, kind, text, SIZE_MAX / 2, &limits);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        parse_in_steps(&cut, kind, text, steps[i], &limits);
        compare(r, &cut, steps[i]);
        free(cut.data);
    }
}

static void expect_error(enum kind kind, struct str text, enum h1_error e)
{
    struct parsed r;
    parse(&r, kind, text);
    if (r.result != H1_ERROR || r.p.error != e)
        fail_msg(STR_FMT ": %s, not %s", STR_ARG(text), h1_error_name(r.p.error), h1_error_name(e));
    assert_int_equal(h1_parse(&r.p, r.data, 1), H1_ERROR); /* and so it stays */
    free(r.data);
}

static void expect_done(struct parsed *r, enum kind kind, struct str text)
{
    parse(r, kind, text);
    if (r->result != H1_DONE)
        fail_msg(STR_FMT ": %s", STR_ARG(text), h1_error_name(r->p.error));
}

#define GET  "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define ROW(text, e) {STR_INIT(text), H1_E_##e}
#define STR_INIT(lit) {"" lit, sizeof(lit) - 1}

struct row {
    struct str text;
    enum h1_error e;
};

static void expect_errors(enum kind kind, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect_error(kind, rows[i].text, rows[i].e);
}

static void a_request_is_cut_into_its_parts(void **state)
{
    (void)state;
    struct parsed r;
    struct str text = STR("PATCH /a/b?c=d HTTP/1.1\r\nHost:  Example.com:8080 \r\nX-Empty:\r\n"
                          "X-Tab:\ta\t b \t\r\nContent-Length: 5\r\n\r\nhello");
    expect_done(&r, REQUEST, text);
    assert_int_equal(r.p.used, text.n - 5);
    assert_str(r.head.method, "PATCH");
    assert_int_equal(r.head.method_id, METHOD_PATCH);
    assert_str(r.head.target, "/a/b?c=d");
    assert_str(r.head.parts.path, "/a/b");
    assert_str(r.head.parts.query, "c=d");
    assert_int_equal(r.head.minor, 1);
    assert_str(r.head.authority, "Example.com:8080");
    assert_str(r.head.host.name, "Example.com");
    assert_int_equal(r.head.host.port, 8080);
    assert_int_equal(r.head.n_fields, 4);
    assert_str(r.head.fields[1].name, "X-Empty");
    assert_str(r.head.fields[1].value, "");
    assert_str(r.head.fields[2].value, "a\t b");
    assert_int_equal(r.head.body, H1_BODY_LENGTH);
    assert_int_equal(r.head.length, 5);
    assert_true(r.head.keep_alive);
    assert_ptr_equal(h1_head_find(&r.head, FIELD_CONTENT_LENGTH), &r.fields[3]);
    assert_null(h1_head_find(&r.head, FIELD_COOKIE));
    free(r.data);
}

static void an_unfinished_head_needs_more(void **state)
{
    (void)state;
    struct str text = STR("\r\n" POST "Content-Length: 3\r\nX: y\r\n\r\n");
    const struct h1_limits limits = H1_LIMITS_DEFAULT;
    for (size_t n = 0; n < text.n; n++) {
        struct parsed r;
        parse_in_steps(&r, REQUEST, str_head(text, n), SIZE_MAX / 2, &limits);
        assert_int_equal(r.result, H1_MORE);
        free(r.data);
    }
}

static void pipelined_requests_follow_each_other(void **state)
{
    (void)state;
    struct parsed r;
    struct str text = STR(GET "\r\nGET /2 HTTP/1.0\r\n\r\n");
    expect_done(&r, REQUEST, text);
    size_t first = r.p.used;
    free(r.data);
    expect_done(&r, REQUEST, str_skip(text, first));
    assert_str(r.head.target, "/2");
    assert_int_equal(first + r.p.used, text.n);
    free(r.data);
}

static void the_target_says_whom_a_request_is_for(void **state)
{
    (void)state;
    struct parsed r;
    expect_done(&r, REQUEST, STR("GET http://real:81/x?y HTTP/1.1\r\nHost: other\r\n\r\n"));
    assert_str(r.head.authority, "real:81");
    assert_str(r.head.host.name, "real");
    assert_str(r.head.parts.path, "/x");
    free(r.data);
    expect_done(&r, REQUEST, STR("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n"));
    assert_int_equal(r.head.host.kind, HOST_EMPTY);
    assert_int_equal(r.head.parts.form, TARGET_ASTERISK);
    free(r.data);
    expect_done(&r, REQUEST, STR("GET / HTTP/1.0\r\n\r\n"));
    assert_int_equal(r.head.host.kind, HOST_EMPTY);
    assert_false(r.head.keep_alive);
    assert_int_equal(r.head.body, H1_BODY_NONE);
    free(r.data);
}

static void a_malformed_request_line_is_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW("\r\n\r\nGET / HTTP/1.1\r\n", EMPTY_LINES),
        ROW("\n", BARE_LF),
        ROW("\rGET", BARE_CR),
        ROW(" GET", METHOD),
        ROW("G\tT", METHOD),
        ROW("G(T", METHOD),
        ROW("\x16\x03\x01", METHOD),
        ROW("GET\r\n", METHOD),
        ROW("GET\n", BARE_LF),
        ROW("GETGETGETGETGETGETGETGETGETGETGET", METHOD_TOO_LONG),
        ROW("CONNECT a:443 HTTP/1.1\r\n", CONNECT),
        ROW("GET  / HTTP/1.1\r\n", REQUEST_LINE),
        ROW("GET /\r\n", REQUEST_LINE),
        ROW("GET /\n", BARE_LF),
        ROW("GET /\tHTTP/1.1\r\n", REQUEST_LINE),
        ROW("GET /a b HTTP/1.1\r\n", REQUEST_LINE),
        ROW("GET / HTTP/1.1 \r\n", REQUEST_LINE),
        ROW("GET /  HTTP/1.1\r\n", REQUEST_LINE),
        ROW("GET / http/1.1\r\n", REQUEST_LINE),
        ROW("GET / HTTP/1.1x\r\n", REQUEST_LINE),
        ROW("GET / HTTP/1.01\r\n", REQUEST_LINE),
        ROW("GET / HTTP/1,1\r\n", REQUEST_LINE),
        ROW("GET / HTTP/x.1\r\n", REQUEST_LINE),
        ROW("GET / HTTP/1.1\n", BARE_LF),
        ROW("GET / HTTP/1.1\r\r\n", BARE_CR),
        ROW("GET / HTTP/1.2\r\n", VERSION),
        ROW("GET / HTTP/2.0\r\n", VERSION),
        ROW("GET / HTTP/0.9\r\n", VERSION),
        ROW("PRI * HTTP/2.0\r\n", VERSION),
        ROW("GET /a#b HTTP/1.1\r\n", TARGET),
        ROW("GET /a\0b HTTP/1.1\r\n", TARGET),
        ROW("GET /a\x7f HTTP/1.1\r\n", TARGET),
        ROW("GET /\xc3\xa4 HTTP/1.1\r\n", TARGET),
        ROW("GET a HTTP/1.1\r\nHost: a\r\n\r\n", TARGET),
        ROW("GET * HTTP/1.1\r\nHost: a\r\n\r\n", TARGET),
        ROW("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", TARGET),
        ROW("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", TARGET),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(GET "A B: c\r\n\r\n", NAME_SPACE),
        ROW(GET "A : c\r\n\r\n", NAME_SPACE),
        ROW(GET "A\t: c\r\n\r\n", NAME_SPACE),
        ROW(GET ": c\r\n\r\n", NAME),
        ROW(GET "A\0: c\r\n\r\n", NAME),
        ROW(GET "\xc3: c\r\n\r\n", NAME),
        ROW(GET "A(: c\r\n\r\n", NAME),
        ROW(GET "A\x0b: c\r\n\r\n", NAME),
        ROW(GET "Content-Length\r: 1\r\n\r\n", NO_COLON),
        ROW(GET "no colon here\r\n\r\n", NAME_SPACE),
        ROW(GET "nocolon\r\nA: b\r\n\r\n", NO_COLON),
        ROW(GET "nocolon\nA: b\r\n\r\n", BARE_LF),
        ROW(GET " A: b\r\n\r\n", FOLDED),
        ROW(GET "A: b\r\n c\r\n\r\n", FOLDED),
        ROW(GET "A: b\r\n\tc\r\n\r\n", FOLDED),
        ROW(GET "A: b\nC: d\r\n\r\n", BARE_LF),
        ROW(GET "A: b\rC: d\r\n\r\n", BARE_CR),
        ROW(GET "A: b\r\r\n\r\n", BARE_CR),
        ROW(GET "A: b\0\r\n\r\n", VALUE),
        ROW(GET "A: \x01\r\n\r\n", VALUE),
        ROW(GET "A: \x7f\r\n\r\n", VALUE),
        ROW(GET "A: \x0b\r\n\r\n", VALUE),
        ROW(GET "\n", BARE_LF),
        ROW(GET "\r\r\n", BARE_CR),
        ROW(GET "\rX", BARE_CR),
        ROW("GET / HTTP/1.1\r\n Host: a\r\n\r\n", FOLDED),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));
}

static void a_host_is_needed_once_and_well_formed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW("GET / HTTP/1.1\r\n\r\n", HOST_MISSING),
        ROW("GET http://a/ HTTP/1.1\r\n\r\n", HOST_MISSING),
        ROW(GET "Host: a\r\n\r\n", HOST_TWICE),
        ROW(GET "hOST: b\r\n\r\n", HOST_TWICE),
        ROW("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HOST),
        ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HOST),
        ROW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HOST),
        ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HOST),
        ROW("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", HOST),
        ROW("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", HOST),
        ROW("GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", HOST),
        ROW("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", HOST),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));
}

static void ambiguous_lengths_are_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(POST "Content-Length: +5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: -5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: -0\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 0x5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 0o5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 0_5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5.0\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5a\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5 5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5, 5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5,\r\n\r\n", LENGTH),
        ROW(POST "Content-Length:\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 18446744073709551621\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 9223372036854775808\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5\0\r\n\r\n", VALUE),
        ROW(POST "Content-Length: \x0b" "5\r\n\r\n", VALUE),
        ROW(POST "Content-Length: \xa0" "5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", LENGTH_TWICE),
        ROW(POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n", LENGTH_TWICE),
        ROW(POST "Content-Length:\r\nContent-Length: 5\r\n\r\n", LENGTH),
        ROW(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CODING),
        ROW(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", LENGTH_AND_CODING),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));
}

static void only_chunked_alone_is_a_coding(void **state)
{
    (void)state;
    static const struct row rows[] = {
#define TE "Transfer-Encoding: "
        ROW(POST TE "xchunked\r\n\r\n", CODING_UNKNOWN),
        ROW(POST TE "gzip\r\n\r\n", CODING_UNKNOWN),
        ROW(POST TE "gzip, chunked\r\n\r\n", CODING_UNKNOWN),
        ROW(POST TE "identity\r\n\r\n", CODING_UNKNOWN),
        ROW(POST TE "chunked, identity\r\n\r\n", CODING),
        ROW(POST TE "chunked, chunked\r\n\r\n", CODING),
        ROW(POST TE ",chunked\r\n\r\n", CODING),
        ROW(POST TE "chunked,\r\n\r\n", CODING),
        ROW(POST TE "\"chunked\"\r\n\r\n", CODING),
        ROW(POST TE "chunked;q=1\r\n\r\n", CODING),
        ROW(POST TE "chun ked\r\n\r\n", CODING),
        ROW(POST TE "\xa0" "chunked\r\n\r\n", CODING),
        ROW(POST TE "\r\n\r\n", CODING),
        ROW(POST TE "\x0b" "chunked\r\n\r\n", VALUE),
        ROW(POST TE "chunked\x0c\r\n\r\n", VALUE),
        ROW(POST TE "chunked\0\r\n\r\n", VALUE),
        ROW(POST TE "chunked\r\n" TE "chunked\r\n\r\n", CODING),
        ROW(POST TE "\r\n chunked\r\n\r\n", CODING),
        ROW(POST "Transfer-Encoding : chunked\r\n\r\n", NAME_SPACE),
        ROW("POST / HTTP/1.0\r\n" TE "chunked\r\n\r\n", CODING_IN_10),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));

    struct parsed r;
    expect_done(&r, REQUEST, STR(POST TE "\t CHUnked \t\r\n\r\n"));
    assert_int_equal(r.head.body, H1_BODY_CHUNKED);
    assert_true(r.fields[1].flags & FIELD_F_FRAMING);
    free(r.data);
    expect_done(&r, REQUEST, STR(POST "Content-Length: 00007\r\n\r\n"));
    assert_int_equal(r.head.length, 7);
    free(r.data);
    expect_done(&r, REQUEST, STR(GET "Content-Length: 0\r\n\r\n"));
    assert_int_equal(r.head.body, H1_BODY_LENGTH);
    free(r.data);
}

static void connection_decides_about_its_own_hop(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(POST "Connection: Content-Length\r\nContent-Length: 1\r\n\r\n", CONNECTION),
        ROW(POST "Connection: close, transfer-encoding\r\n\r\n", CONNECTION),
        ROW(GET "Connection: Host\r\n\r\n", CONNECTION),
        ROW(GET "Connection: a b\r\n\r\n", CONNECTION),
        ROW(GET "Connection: \"close\"\r\n\r\n", CONNECTION),
        ROW(GET "Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n\r\n",
            CONNECTION),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));

    struct parsed r;
    expect_done(&r, REQUEST, STR(GET "X-Hop: 1\r\nConnection: x-hop, ,\tCookie,X-Forwarded-For\r\nCookie: a\r\n"
                                     "X-Forwarded-For: b\r\nx-HOP: 2\r\nX-Stays: 3\r\n\r\n"));
    static const unsigned flags[] = {0, FIELD_F_HOP, FIELD_F_HOP, 0, 0, FIELD_F_HOP, 0};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        assert_int_equal(r.fields[i].flags & ~FIELD_F_LINE, flags[i]);
    assert_true(r.head.keep_alive);
    free(r.data);

    expect_done(&r, REQUEST, STR(GET "Connection: keep-alive\r\nConnection: Close\r\n\r\n"));
    assert_false(r.head.keep_alive);
    free(r.data);
    expect_done(&r, REQUEST, STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert_true(r.head.keep_alive);
    free(r.data);
    expect_done(&r, REQUEST, STR(GET "TE: Trailers\r\nConnection: TE\r\n\r\n"));
    assert_true(r.head.te_trailers);
    free(r.data);
    expect_done(&r, REQUEST, STR(GET "TE: trailers\r\n\r\n"));
    assert_false(r.head.te_trailers);
    free(r.data);
}

static void names_with_an_underscore_are_marked(void **state)
{
    (void)state;
    struct parsed r;
    expect_done(&r, REQUEST, STR(POST "Content_Length: 5\r\nTransfer_Encoding: chunked\r\nmy_name: x\r\n"
                                      "X-Forwarded_For: 1\r\nmy-name: x\r\n\r\n"));
    const unsigned alias = FIELD_F_ALIAS | FIELD_F_UNDERSCORE;
    const unsigned flags[] = {0, alias, alias, FIELD_F_UNDERSCORE, alias, 0};
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        assert_int_equal(r.fields[i].flags & ~FIELD_F_LINE, flags[i]);
    assert_int_equal(r.head.body, H1_BODY_NONE);
    free(r.data);
}

/* Usual lines are read sixteen bytes at a time: names and values of any length, and each odd byte at each place of them,
 * are judged as byte by byte (`parse` compares). */
static void lines_are_judged_alike_however_they_lie(void **state)
{
    static const char *const NAMES[] = {"te", "date", "x-b3-traceid", "strict-transport-security", "x-unknown",
                                        "access-control-allow-credentials", "x_real_ip", "a-name-of-more-than-forty-eight-bytes-nobody-knows"};
    static const char ODD[] = "\0\t\n\r\x1f \"-:_\x7f\x80\xff\x11\x19";
    char text[200];
    struct parsed r;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        for (size_t n = 0; n < 36; n += n < 18 ? 1 : 5) {
            size_t len = (size_t)snprintf(text, sizeof(text), GET "%s: %.*s\r\n", NAMES[i], (int)n,
                                          "abcdefghijklmnopqrstuvwxyz0123456789");
            size_t line = sizeof(GET) - 1, end = len;
            memcpy(text + len, "Accept: */*\r\n\r\n", 15);
            len += 15;
            parse(&r, REQUEST, str_of(text, len));
            free(r.data);
            for (size_t at = line; n % 6 == 1 && at < end; at++)
                for (size_t k = 0; k < sizeof(ODD) - 1; k++) {
                    char was = text[at];
                    text[at] = ODD[k];
                    parse(&r, REQUEST, str_of(text, len));
                    free(r.data);
                    text[at] = was;
                }
        }
}

static void lines_without_more_white_space_can_be_copied(void **state)
{
    (void)state;
    struct parsed r;
    expect_done(&r, REQUEST, STR(GET "A: b\r\nB:b\r\nC:  b\r\nD: b \r\nE:\tb\r\nF: \r\nG:\r\n"
                                     "A-name-longer-than-those-that-are-taken-fast: b\r\n\r\n"));
    static const bool line[] = {true, true, false, false, false, false, true, false, true};
    for (size_t i = 0; i < ARRAY_LEN(line); i++)
        assert_int_equal((r.fields[i].flags & FIELD_F_LINE) != 0, line[i]);
    free(r.data);
}

static void an_upgrade_has_no_content_and_is_never_h2c(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(POST "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n", UPGRADE_BODY),
        ROW(POST "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n",
            UPGRADE_BODY),
        ROW(GET "Connection: upgrade\r\nUpgrade: web socket\r\n\r\n", UPGRADE),
        ROW(GET "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", UPGRADE),
        ROW(GET "Connection: upgrade\r\nUpgrade:\r\n\r\n", UPGRADE),
        ROW(GET "Connection: upgrade\r\nUpgrade: a/\r\n\r\n", UPGRADE),
    };
    expect_errors(REQUEST, rows, ARRAY_LEN(rows));

    struct parsed r;
    expect_done(&r, REQUEST, STR(GET "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"));
    assert_true(r.head.upgrade);
    assert_str(r.head.upgrade_to, "WebSocket");
    free(r.data);
    static const char *const none[] = {
        POST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
             "Content-Length: 1\r\n\r\n",
        GET "Connection: upgrade\r\nUpgrade: websocket, h2c-14\r\n\r\n",
        GET "Upgrade: websocket\r\n\r\n",
        GET "Connection: upgrade\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        expect_done(&r, REQUEST, str_c(none[i]));
        assert_false(r.head.upgrade);
        free(r.data);
    }
}

static void only_100_continue_is_expected(void **state)
{
    (void)state;
    struct parsed r;
    expect_error(REQUEST, STR(POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"), H1_E_EXPECT);
    expect_error(REQUEST, STR(POST "Expect: 100-continue, x\r\n\r\n"), H1_E_EXPECT);
    expect_done(&r, REQUEST, STR(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"));
    assert_true(r.head.expect_continue);
    free(r.data);
    expect_done(&r, REQUEST, STR(POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"));
    assert_false(r.head.expect_continue);
    free(r.data);
    expect_done(&r, REQUEST, STR("POST / HTTP/1.0\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"));
    assert_false(r.head.expect_continue);
    assert_true(r.fields[0].flags & FIELD_F_HOP);
    free(r.data);
    expect_error(REQUEST, STR("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
                 H1_E_CONTENT_FORBIDDEN);
}

static void a_response_is_cut_into_its_parts(void **state)
{
    (void)state;
    struct parsed r;
    struct str text = STR("HTTP/1.1 404 Not \xe4 here\r\nServer: x\r\nContent-Length: 2\r\n\r\nno");
    expect_done(&r, RESPONSE, text);
    assert_int_equal(r.p.used, text.n - 2);
    assert_int_equal(r.head.status, 404);
    assert_str(r.head.reason, "Not \xe4 here");
    assert_int_equal(r.head.body, H1_BODY_LENGTH);
    assert_true(r.head.keep_alive);
    free(r.data);
    expect_done(&r, RESPONSE, STR("HTTP/1.1 200\r\n\r\n")); /* no space, no reason */
    assert_int_equal(r.head.body, H1_BODY_CLOSE);
    assert_false(r.head.keep_alive);
    assert_str(r.head.reason, "");
    free(r.data);
}

static void the_end_of_a_response_follows_rfc_9112(void **state)
{
    (void)state;
    static const struct {
        enum kind kind;
        const char *text;
        enum h1_body body;
        bool keep_alive;
    } rows[] = {
        {RESPONSE, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H1_BODY_CHUNKED, true},
        {RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", H1_BODY_LENGTH, true},
        {RESPONSE, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", H1_BODY_LENGTH, false},
        {RESPONSE, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
         H1_BODY_LENGTH, true},
        {RESPONSE, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", H1_BODY_CLOSE, false},
        {TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", H1_BODY_NONE, true},
        {TO_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", H1_BODY_NONE, true},
        {TO_HEAD, "HTTP/1.1 200 OK\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 204 x\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", H1_BODY_NONE, false},
        {RESPONSE, "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", H1_BODY_NONE, false},
        {RESPONSE, "HTTP/1.1 100 Continue\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", H1_BODY_NONE, true},
        {RESPONSE, "HTTP/1.1 999 x\r\nContent-Length: 1\r\n\r\n", H1_BODY_LENGTH, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed r;
        expect_done(&r, rows[i].kind, str_c(rows[i].text));
        assert_int_equal(r.head.body, rows[i].body);
        assert_int_equal(r.head.keep_alive, rows[i].keep_alive);
        free(r.data);
    }
    struct parsed r;
    expect_done(&r, RESPONSE, STR("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"));
    assert_true(r.head.upgrade);
    free(r.data);
    expect_done(&r, RESPONSE, STR("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"));
    assert_false(r.head.upgrade);
    free(r.data);
}

static void bad_responses_are_refused(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW("\r\nHTTP/1.1 200 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 20 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 2000 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 099 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1  200 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 200 O\0K\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 200 OK\n\r\n", BARE_LF),
        ROW("HTTP/1.1 200\n\r\n", BARE_LF),
        ROW("HTTP/1.1 200 OK\rX", BARE_CR),
        ROW("HTTP/2.0 200 OK\r\n\r\n", VERSION),
        ROW("ICY 200 OK\r\n\r\n", STATUS_LINE),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            LENGTH_AND_CODING),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", LENGTH_TWICE),
        ROW("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", LENGTH),
        ROW("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", CODING_UNKNOWN),
        ROW("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CODING_IN_10),
        ROW("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n", CONTENT_FORBIDDEN),
        ROW("HTTP/1.1 101 x\r\nTransfer-Encoding: chunked\r\n\r\n", CONTENT_FORBIDDEN),
        ROW("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", NAME_SPACE),
        ROW("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", FOLDED),
        ROW("HTTP/1.1 200 OK\r\nX: y\n\r\n", BARE_LF),
    };
    expect_errors(RESPONSE, rows, ARRAY_LEN(rows));
}

static void trailers_may_not_frame_route_or_authorise(void **state)
{
    (void)state;
    struct parsed r;
    struct str text = STR("X-Sum: 1\r\nContent-Length: 5\r\nHost: b\r\nTransfer-Encoding: chunked\r\n"
                          "Authorization: x\r\nGrpc-Status: 0\r\nContent_Length: 1\r\nConnection: X-Sum\r\n\r\n");
    expect_done(&r, TRAILERS, text);
    assert_int_equal(r.p.used, text.n);
    static const bool kept[] = {true, false, false, false, false, true, false, false};
    assert_int_equal(r.head.n_fields, ARRAY_LEN(kept));
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        assert_int_equal(!(r.fields[i].flags & FIELD_F_NEVER), kept[i]);
    free(r.data);
    expect_done(&r, TRAILERS, STR("\r\nGET / HTTP/1.1\r\n"));
    assert_int_equal(r.p.used, 2);
    assert_int_equal(r.head.n_fields, 0);
    free(r.data);
    expect_error(TRAILERS, STR("nocolon\r\n\r\n"), H1_E_NO_COLON);
    expect_error(TRAILERS, STR("A: b\n\r\n"), H1_E_BARE_LF);
    expect_error(TRAILERS, STR("\n"), H1_E_BARE_LF);
}

/* `n` bytes of one request with a target or a value of that length, and what the limits say. */
static enum h1_error with_limits(struct h1_limits limits, const char *fmt, int fill, bool ends)
{
    char text[4096];
    int n = snprintf(text, sizeof(text), fmt, fill, 0); /* %.*d: that many zeros */
    for (int i = 0; i < n; i++)
        if (text[i] == '0')
            text[i] = 'x';
    struct parsed whole, cut;
    parse_in_steps(&whole, REQUEST, str_of(text, (size_t)n), SIZE_MAX / 2, &limits);
    for (size_t step = 1; step < 20; step += 6) {
        parse_in_steps(&cut, REQUEST, str_of(text, (size_t)n), step, &limits);
        compare(&whole, &cut, step);
        free(cut.data);
    }
    enum h1_error e = whole.result == H1_ERROR ? whole.p.error : H1_E_NONE;
    assert_int_equal(whole.result != H1_ERROR, e == H1_E_NONE);
    if (e == H1_E_NONE)
        assert_int_equal(whole.result, ends ? H1_DONE : H1_MORE);
    free(whole.data);
    return e;
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    const struct h1_limits limits = {.max_head = 300, .max_line = 100, .max_fields = 4};
#define HEAD "\r\nHost: a\r\n"
    /* 16 bytes and the filling */
    assert_int_equal(with_limits(limits, "GET /%.*d HTTP/1.1" HEAD "\r\n", 84, true), H1_E_NONE);
    assert_int_equal(with_limits(limits, "GET /%.*d HTTP/1.1" HEAD "\r\n", 85, true),
                     H1_E_TARGET_TOO_LONG);
    assert_int_equal(with_limits(limits, "GET /%.*d", 500, false), H1_E_TARGET_TOO_LONG);
    assert_int_equal(with_limits(limits, "GET / HTTP/1.1" HEAD "X: %.*d\r\n\r\n", 95, true), H1_E_NONE);
    assert_int_equal(with_limits(limits, "GET / HTTP/1.1" HEAD "X: %.*d\r\n\r\n", 96, true),
                     H1_E_LINE_TOO_LONG);
    assert_int_equal(with_limits(limits, "GET / HTTP/1.1" HEAD "%.*d", 99, false), H1_E_NONE);
    assert_int_equal(with_limits(limits, "GET / HTTP/1.1" HEAD "%.*d", 100, false),
                     H1_E_LINE_TOO_LONG);

    struct h1_limits short_head = {.max_head = 60, .max_line = 1000, .max_fields = 4};
    /* 16 + 9 + 3 + 2 + 2 around the filling */
    assert_int_equal(with_limits(short_head, "GET / HTTP/1.1" HEAD "X: %.*d\r\n\r\n", 28, true), H1_E_NONE);
    assert_int_equal(with_limits(short_head, "GET / HTTP/1.1" HEAD "X: %.*d\r\n\r\n", 29, true),
                     H1_E_HEAD_TOO_LONG);

    const struct h1_limits line_beyond_head = {.max_head = 36, .max_line = 88, .max_fields = 4};
    assert_int_equal(with_limits(line_beyond_head, "GET /%.*d HTTP/1.1" HEAD "\r\n", 21, true),
                     H1_E_TARGET_TOO_LONG);

    const struct h1_limits wide = {.max_head = 4000, .max_line = 1000, .max_fields = 4};
    assert_int_equal(with_limits(wide, "GET / HTTP/1.1" HEAD "%.*d: y\r\n\r\n", 256, true), H1_E_NONE);
    assert_int_equal(with_limits(wide, "GET / HTTP/1.1" HEAD "%.*d: y\r\n\r\n", 257, true),
                     H1_E_NAME_TOO_LONG);
    assert_int_equal(with_limits(wide, "GET / HTTP/1.1" HEAD "A:\r\nB:\r\nC:%.*d\r\n\r\n", 1, true),
                     H1_E_NONE);
    assert_int_equal(with_limits(wide, "GET / HTTP/1.1" HEAD "A:\r\nB:\r\nC:%.*d\r\nD:\r\n\r\n", 1, true),
                     H1_E_TOO_MANY_FIELDS);
}

static void every_error_has_name_text_and_status(void **state)
{
    (void)state;
    for (int e = H1_E_NONE + 1; e < H1_E_COUNT; e++) {
        assert_non_null(h1_error_name((enum h1_error)e));
        assert_true(strlen(h1_error_text((enum h1_error)e)) > 5);
        unsigned status = h1_error_status((enum h1_error)e);
        assert_true(status >= 400 && status <= 505);
    }
    assert_int_equal(h1_error_status(H1_E_VERSION), 505);
    assert_int_equal(h1_error_status(H1_E_TARGET_TOO_LONG), 414);
    assert_int_equal(h1_error_status(H1_E_CODING_UNKNOWN), 501);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_cut_into_its_parts),
        cmocka_unit_test(an_unfinished_head_needs_more),
        cmocka_unit_test(pipelined_requests_follow_each_other),
        cmocka_unit_test(the_target_says_whom_a_request_is_for),
        cmocka_unit_test(a_malformed_request_line_is_refused),
        cmocka_unit_test(malformed_fields_are_refused),
        cmocka_unit_test(a_host_is_needed_once_and_well_formed),
        cmocka_unit_test(ambiguous_lengths_are_refused),
        cmocka_unit_test(only_chunked_alone_is_a_coding),
        cmocka_unit_test(connection_decides_about_its_own_hop),
        cmocka_unit_test(names_with_an_underscore_are_marked),
        cmocka_unit_test(lines_are_judged_alike_however_they_lie),
        cmocka_unit_test(lines_without_more_white_space_can_be_copied),
        cmocka_unit_test(an_upgrade_has_no_content_and_is_never_h2c),
        cmocka_unit_test(only_100_continue_is_expected),
        cmocka_unit_test(a_response_is_cut_into_its_parts),
        cmocka_unit_test(the_end_of_a_response_follows_rfc_9112),
        cmocka_unit_test(bad_responses_are_refused),
        cmocka_unit_test(trailers_may_not_frame_route_or_authorise),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(every_error_has_name_text_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
