#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h1_parse.h"
#include "worker/codec/h1_write.h"
#include <stdlib.h>

static void heads_are_written_from_pieces(void **state)
{
    (void)state;
    char out[512];
    struct h1_writer w = h1_writer_on(out, sizeof(out));
    h1_write_request_line(&w, STR("GET"), STR("/a"), STR("b=c"));
    h1_write_field(&w, STR("Host"), STR("example.com"));
    h1_write_field(&w, STR("X-Empty"), STR_NONE);
    h1_write_length(&w, UINT64_MAX);
    h1_write_end(&w);
    assert_true(h1_writer_ok(&w));
    assert_str(str_of(out, h1_writer_len(&w)),
               "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Empty: \r\n"
               "Content-Length: 18446744073709551615\r\n\r\n");
    w = h1_writer_on(out, sizeof(out));
    h1_write_request_line(&w, STR("OPTIONS"), STR("*"), STR_NONE);
    assert_str(str_of(out, h1_writer_len(&w)), "OPTIONS * HTTP/1.1\r\n");
    w = h1_writer_on(out, sizeof(out));
    h1_write_request_line(&w, STR("GET"), STR("/"), STR(""));
    assert_str(str_of(out, h1_writer_len(&w)), "GET /? HTTP/1.1\r\n");
}

static void status_lines_take_the_reason_given_or_the_usual_one(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *reason, *line;
    } rows[] = {
        {200, "", "HTTP/1.1 200 OK\r\n"},
        {200, "Fine", "HTTP/1.1 200 Fine\r\n"},
        {599, "", "HTTP/1.1 599 \r\n"},
        {999, "x", "HTTP/1.1 999 x\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[64];
        struct h1_writer w = h1_writer_on(out, sizeof(out));
        h1_write_status_line(&w, rows[i].status, str_c(rows[i].reason));
        assert_str(str_of(out, h1_writer_len(&w)), rows[i].line);
        assert_true(h1_writer_ok(&w));
    }
}

static void nothing_is_written_beyond_the_end(void **state)
{
    (void)state;
    char out[40];
    for (size_t cap = 0; cap < 36; cap++) {
        memset(out, '#', sizeof(out));
        struct h1_writer w = h1_writer_on(out, cap);
        h1_write_status_line(&w, 200, STR_NONE); /* 17 */
        h1_write_field(&w, STR("Name"), STR("a value")); /* 15 */
        h1_write_end(&w);
        h1_write_raw(&w, STR("!!"));
        assert_true(w.full);
        assert_true(h1_writer_len(&w) <= cap);
        for (size_t i = h1_writer_len(&w); i < sizeof(out); i++)
            assert_int_equal(out[i], '#');
    }
    struct h1_writer w = h1_writer_on(out, 36);
    h1_write_status_line(&w, 200, STR_NONE);
    h1_write_field(&w, STR("Name"), STR("a value"));
    h1_write_end(&w);
    h1_write_raw(&w, STR("!!"));
    assert_true(h1_writer_ok(&w));
}

static void what_would_break_the_framing_is_marked(void **state)
{
    (void)state;
    char out[256];
    struct h1_writer w;
#define EXPECT_BAD(call)                                                                           \
    do {                                                                                           \
        w = h1_writer_on(out, sizeof(out));                                                        \
        call;                                                                                      \
        assert_true(w.bad);                                                                        \
    } while (0)
    EXPECT_BAD(h1_write_field(&w, STR("X"), STR("a\r\nY: b")));
    EXPECT_BAD(h1_write_field(&w, STR("X"), STR("a\n")));
    EXPECT_BAD(h1_write_field(&w, STR("X"), str_of("a\0", 2)));
    EXPECT_BAD(h1_write_field(&w, STR("X: y"), STR("a")));
    EXPECT_BAD(h1_write_field(&w, STR(""), STR("a")));
    EXPECT_BAD(h1_write_field(&w, STR("X\r\n"), STR("a")));
    EXPECT_BAD(h1_write_request_line(&w, STR("GET"), STR("/a HTTP/1.1\r\nX: y"), STR_NONE));
    EXPECT_BAD(h1_write_request_line(&w, STR("GET"), STR(""), STR_NONE));
    EXPECT_BAD(h1_write_request_line(&w, STR("GET"), STR("/"), STR("a b")));
    EXPECT_BAD(h1_write_request_line(&w, STR("G T"), STR("/"), STR_NONE));
    EXPECT_BAD(h1_write_request_line(&w, STR(""), STR("/"), STR_NONE));
    EXPECT_BAD(h1_write_status_line(&w, 200, STR("a\r\nb")));
    EXPECT_BAD(h1_write_status_line(&w, 1000, STR("a")));
    EXPECT_BAD(h1_write_status_line(&w, 99, STR_NONE));
}

/* Parses a request, lets `change` have its fields, and compares what is written. */
static void expect_written(struct str request, void (*change)(struct http_field *f), const char *want)
{
    const struct h1_limits limits = H1_LIMITS_DEFAULT;
    struct http_field fields[20];
    struct h1_head head;
    struct h1_parser p;
    char out[512], *data = malloc(request.n); /* of the right size: nothing may be read behind it */
    memcpy(data, request.p, request.n);
    h1_parser_request(&p, &head, fields, ARRAY_LEN(fields), &limits);
    assert_int_equal(h1_parse(&p, data, request.n), H1_DONE);
    if (change)
        change(fields);
    struct h1_writer w = h1_writer_on(out, sizeof(out));
    h1_write_parsed(&w, fields, head.n_fields, FIELD_F_NEVER);
    assert_true(h1_writer_ok(&w));
    assert_str(str_of(out, h1_writer_len(&w)), want);
    free(data);
}

static void exchange_and_shorten(struct http_field *f)
{
    f[0].value = STR("other");
    f[1].value.n -= 1;
    f[2].name = STR("X-Renamed");
    f[3].value = str_skip(f[3].value, 1);
    f[4].flags |= FIELD_F_HOP;
}

static void parsed_fields_are_copied_but_for_those_that_stay_here(void **state)
{
    (void)state;
    expect_written(STR("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nConnection: close\r\nB:2\r\nC: 3\r\nD: \t4\r\n"
                       "Content_Length: 5\r\nContent-Length: 5\r\nE: 5\r\n\r\n"),
                   NULL, "Host: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n");
    expect_written(STR("GET / HTTP/1.1\r\nHost: a\r\nA: 12\r\nB: 34\r\nC: 56\r\nD: 78\r\nE: 9\r\n\r\n"),
                   exchange_and_shorten,
                   "Host: other\r\nA: 1\r\nX-Renamed: 34\r\nC: 6\r\nE: 9\r\n");
    expect_written(STR("GET / HTTP/1.0\r\n\r\n"), NULL, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_written_from_pieces),
        cmocka_unit_test(status_lines_take_the_reason_given_or_the_usual_one),
        cmocka_unit_test(nothing_is_written_beyond_the_end),
        cmocka_unit_test(parsed_fields_are_copied_but_for_those_that_stay_here),
        cmocka_unit_test(what_would_break_the_framing_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
