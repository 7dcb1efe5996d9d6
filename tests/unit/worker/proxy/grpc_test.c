/* grpc_test.c - what is gRPC, its statuses, deadlines and messages; and what gRPC-Web makes of them. */
#include "shared/base/arena.h"
#include "tests/unit/shared/base/base_test.h"
#include "worker/proxy/grpc_web.h"

static void content_types_say_what_is_grpc(void **unused)
{
    (void)unused;
    static const struct {
        const char *type;
        enum grpc_kind kind;
        const char *suffix;
    } ROWS[] = {
        {"application/grpc", GRPC_CALL, ""},
        {"Application/gRPC+proto", GRPC_CALL, "+proto"},
        {"application/grpc; charset=utf-8", GRPC_CALL, ""},
        {"application/grpc+json ; a=b", GRPC_CALL, "+json"},
        {"application/grpc-web", GRPC_WEB, ""},
        {"application/grpc-web+proto", GRPC_WEB, "+proto"},
        {"application/grpc-web-text", GRPC_WEB_TEXT, ""},
        {"application/grpc-web-text+proto;x", GRPC_WEB_TEXT, "+proto"},
        {"application/grpc-webby", GRPC_NO, ""},
        {"application/grpcx", GRPC_NO, ""},
        {"application/grp", GRPC_NO, ""},
        {"application/json", GRPC_NO, ""},
        {"", GRPC_NO, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct str suffix;
        assert_int_equal(grpc_kind_of(str_c(ROWS[i].type), &suffix), ROWS[i].kind);
        assert_str(suffix, ROWS[i].suffix);
    }
}

static void failures_have_the_status_that_clients_expect(void **unused)
{
    (void)unused;
    static const struct {
        enum reason why;
        uint16_t http;
        enum grpc_status status;
    } ROWS[] = {
        {REASON_NO_ROUTE, 404, GRPC_STATUS_UNIMPLEMENTED},   {REASON_NO_LISTENER_HOST, 404, GRPC_STATUS_UNIMPLEMENTED},
        {REASON_NO_ENDPOINTS, 503, GRPC_STATUS_UNAVAILABLE}, {REASON_INVALID_BACKEND, 500, GRPC_STATUS_UNAVAILABLE},
        {REASON_NO_BACKEND, 500, GRPC_STATUS_UNAVAILABLE},   {REASON_UPSTREAM_RESET, 502, GRPC_STATUS_UNAVAILABLE},
        {REASON_OVERFLOW, 503, GRPC_STATUS_UNAVAILABLE},     {REASON_DRAINING, 503, GRPC_STATUS_UNAVAILABLE},
        {REASON_CONNECT_TIMEOUT, 504, GRPC_STATUS_UNAVAILABLE},
        {REASON_UPSTREAM_TIMEOUT, 504, GRPC_STATUS_DEADLINE_EXCEEDED},
        {REASON_REQUEST_TIMEOUT, 504, GRPC_STATUS_DEADLINE_EXCEEDED},
        {REASON_BAD_REQUEST, 400, GRPC_STATUS_INTERNAL},     {REASON_INTERNAL, 500, GRPC_STATUS_INTERNAL},
        {REASON_BODY_TOO_LARGE, 413, GRPC_STATUS_RESOURCE_EXHAUSTED},
        {REASON_DIRECT, 401, GRPC_STATUS_UNAUTHENTICATED},   {REASON_DIRECT, 403, GRPC_STATUS_PERMISSION_DENIED},
        {REASON_DIRECT, 429, GRPC_STATUS_UNAVAILABLE},       {REASON_DIRECT, 200, GRPC_STATUS_UNKNOWN},
    };
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++)
        assert_int_equal(grpc_status_of(ROWS[i].why, ROWS[i].http), ROWS[i].status);
    /* No failure is ever said to be fine. */
    for (uint16_t status = 0; status < 1000; status++)
        assert_int_not_equal(grpc_status_of_http(status), GRPC_STATUS_OK);
    uint16_t n;
    assert_true(grpc_status_read(STR("16"), &n) && n == 16);
    assert_true(grpc_status_read(STR("65535"), &n) && n == 65535);
    assert_false(grpc_status_read(STR("65536"), &n) || grpc_status_read(STR(""), &n) || grpc_status_read(STR("-1"), &n));
    assert_str(grpc_status_word(5), "NOT_FOUND");
    assert_str(grpc_status_camel(1), "Canceled");
    assert_str(grpc_status_word(17), "");
}

static void deadlines_are_read_in_every_unit_and_rounded_up(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint64_t ms;
    } ROWS[] = {{"1H", 3600000}, {"2M", 120000}, {"3S", 3000}, {"250m", 250}, {"1u", 1}, {"1001u", 2}, {"1000000n", 1},
                {"0m", 1}, {"99999999H", 359999996400000}};
    uint64_t ms;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        assert_true(grpc_timeout_read(str_c(ROWS[i].text), &ms));
        assert_int_equal(ms, ROWS[i].ms);
    }
    static const char *const BAD[] = {"", "1", "S", "1s", "1 S", "-1S", "1.5S", "100000000S", "1SS", "+1S"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(grpc_timeout_read(str_c(BAD[i]), &ms));
}

static void messages_are_printable_ascii(void **unused)
{
    (void)unused;
    char out[64];
    assert_str(str_of(out, grpc_message_write(STR("50% of \xc3\xa9\r\n~ "), out)), "50%25 of %C3%A9%0D%0A~ ");
    assert_int_equal(grpc_message_write(STR(""), out), 0);
}

static void base64_comes_in_any_pieces(void **unused)
{
    (void)unused;
    static const char text[] = "AAECAwQF/+8=AQ==Zm9vYmE=", want[] = "\0\1\2\3\4\5\377\357\1fooba";
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        struct grpc_web_decoder d = {0};
        char out[64];
        size_t n = grpc_web_decode(&d, text, cut, out);
        n += grpc_web_decode(&d, text + cut, sizeof(text) - 1 - cut, out + n);
        assert_int_equal(n, sizeof(want) - 1);
        assert_memory_equal(out, want, n);
        assert_true(grpc_web_decoded(&d));
    }
    static const char *const BAD[] = {"A*AA", "=AAA", "A=AA", "AA=A", "AAAA\n", "AA A", "A=", "==="};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct grpc_web_decoder d = {0};
        char out[64];
        assert_int_equal(grpc_web_decode(&d, BAD[i], strlen(BAD[i]), out), GRPC_WEB_BAD);
    }
    struct grpc_web_decoder d = {0};
    char out[64];
    assert_int_equal(grpc_web_decode(&d, "AAE", 3, out), 0);
    assert_false(grpc_web_decoded(&d));
    assert_str(str_of(out, grpc_web_encode("f", 1, out)), "Zg==");
    assert_str(str_of(out, grpc_web_encode("fo", 2, out)), "Zm8=");
    assert_str(str_of(out, grpc_web_encode("\xff\xff\xfe", 3, out)), "///+");
}

static void trailers_become_a_frame(void **unused)
{
    (void)unused;
    const struct http_field f[] = {
        {.name = STR("Grpc-Status"), .value = STR("0")},
        {.name = STR("dropped"), .value = STR("x"), .flags = FIELD_F_NEVER},
        {.name = STR("x-empty"), .value = STR("")},
    };
    char out[64];
    static const char want[] = "\x80\0\0\0\x1bgrpc-status: 0\r\nx-empty: \r\n";
    assert_int_equal(grpc_web_frame_size(f, 3), sizeof(want) - 1);
    assert_int_equal(grpc_web_frame_write(f, 3, out), sizeof(want) - 1);
    assert_memory_equal(out, want, sizeof(want) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_types_say_what_is_grpc),
        cmocka_unit_test(failures_have_the_status_that_clients_expect),
        cmocka_unit_test(deadlines_are_read_in_every_unit_and_rounded_up),
        cmocka_unit_test(messages_are_printable_ascii),
        cmocka_unit_test(base64_comes_in_any_pieces),
        cmocka_unit_test(trailers_become_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
