#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/shared/tls/hello_build.h"

static char room[HELLO_BYTES_MAX];

/* Parses, and checks that the verdict comes with the last byte that is needed and not before. */
static enum hello_verdict parse(const struct buf *b, struct hello *h)
{
    enum hello_verdict whole = hello_parse(buf_str(b), room, h);
    for (size_t n = 0; n < b->n; n++) {
        struct hello part;
        enum hello_verdict v = hello_parse(str_of(b->p, n), room, &part);
        if (v == HELLO_MORE)
            continue;
        assert_int_equal(v, whole);
        if (v == HELLO_OK)
            assert_true(n >= part.used);
        else if (v == HELLO_BAD)
            assert_string_equal(part.fault, h->fault);
        break;
    }
    return hello_parse(buf_str(b), room, h);
}

static void a_usual_hello_is_understood(void **state)
{
    (void)state;
    struct hello h;
    struct buf b = hello_usual("Shop.Example.COM", "h2,http/1.1");
    size_t n = b.n;
    buf_addc(&b, "next flight");
    assert_int_equal(parse(&b, &h), HELLO_OK);
    assert_int_equal(h.used, n);
    assert_str(h.server_name, "shop.example.com");
    assert_true(h.has_1_3 && h.has_1_2);
    assert_false(h.has_older || h.tickets || h.resumes || h.early_data || h.fallback);
    assert_true(hello_alpn_has(&h, STR("h2")) && hello_alpn_has(&h, STR("http/1.1")));
    assert_false(hello_alpn_has(&h, STR("h3")) || hello_alpn_has(&h, STR("h")) || hello_alpn_starts(&h, STR("istio")));
    assert_true(hello_takes_key(&h, KEY_ECDSA, 256, true) && hello_takes_key(&h, KEY_ECDSA, 256, false));
    assert_true(hello_takes_key(&h, KEY_ECDSA, 384, true));
    assert_false(hello_takes_key(&h, KEY_ECDSA, 521, true) || hello_takes_key(&h, KEY_ED25519, 256, true));
    assert_true(hello_takes_key(&h, KEY_RSA, 2048, true) && hello_takes_key(&h, KEY_RSA, 4096, false));
    assert_int_equal(h.message.n + 5, n);
    assert_ptr_equal(h.message.p, b.p + 5); /* not copied */
    buf_fini(&b);
}

static void it_may_be_cut_into_records_anywhere(void **state)
{
    (void)state;
    for (size_t piece = 8; piece < 200; piece++) {
        struct buf ext = {0};
        struct hello h;
        put_sni(&ext, STR("a.example.com"));
        put_usual(&ext);
        struct buf m = hello_message(&ext), b = hello_records(&m, piece);
        assert_int_equal(parse(&b, &h), HELLO_OK);
        assert_str(h.server_name, "a.example.com");
        assert_int_equal(h.used, b.n);
        buf_fini(&b);
    }
}

static void too_many_pieces_are_refused(void **state)
{
    (void)state;
    struct hello h;
    struct buf ext = {0};
    put_usual(&ext);
    struct buf m = hello_message(&ext), b = hello_records(&m, 1);
    assert_int_equal(parse(&b, &h), HELLO_BAD);
    assert_int_equal(h.n_records, HELLO_RECORDS_MAX + 1);
    buf_fini(&b);
}

static void other_protocols_are_recognised_by_their_first_bytes(void **state)
{
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0", "PROXY TCP4 ", "\x80\x2e\x01\x03\x01",
                                        "\x16\x02", "\x16\x03\x07", "\x15\x03\x03", "\x17"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct hello h;
        assert_int_equal(hello_parse(str_c(texts[i]), room, &h), HELLO_NOT_TLS);
    }
    struct hello h;
    assert_int_equal(hello_parse(STR_NONE, room, &h), HELLO_MORE);
    assert_int_equal(hello_parse(STR("\x16\x03\x01"), room, &h), HELLO_MORE);
}

static void bad_names_are_refused_and_addresses_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"a b", "a..b", "*.example.com", "a:443", "a\n", "\xc3\xa4.de", "[::1]", "1.2.3", "."};
    static const char *const none[] = {"127.0.0.1", "::1", "fe80::1"};
    struct hello h;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf b = hello_usual(bad[i], NULL);
        if (parse(&b, &h) != HELLO_BAD)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(h.alert, TLS_ALERT_ILLEGAL_PARAMETER);
        buf_fini(&b);
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct buf b = hello_usual(none[i], NULL);
        assert_int_equal(parse(&b, &h), HELLO_OK);
        assert_int_equal(h.server_name.n, 0);
        buf_fini(&b);
    }
    struct buf b = hello_usual("a.example.com.", NULL);
    assert_int_equal(parse(&b, &h), HELLO_OK);
    assert_str(h.server_name, "a.example.com");
    buf_fini(&b);
    b = hello_usual("", NULL);
    assert_int_equal(parse(&b, &h), HELLO_BAD);
    buf_fini(&b);
}

static void expect_bad(struct buf *ext, enum tls_alert alert)
{
    struct hello h;
    struct buf m = hello_message(ext), b = hello_records(&m, 16384);
    assert_int_equal(parse(&b, &h), HELLO_BAD);
    assert_int_equal(h.alert, alert);
    assert_non_null(h.fault);
    buf_fini(&b);
}

static void what_does_not_fit_exactly_is_refused(void **state)
{
    (void)state;
    struct buf ext = {0};
    put_usual(&ext);
    put_usual(&ext); /* twice */
    expect_bad(&ext, TLS_ALERT_ILLEGAL_PARAMETER);
    ext = (struct buf){0};
    put_ext(&ext, 41, STR("x")); /* a pre-shared key before another extension */
    put_usual(&ext);
    expect_bad(&ext, TLS_ALERT_ILLEGAL_PARAMETER);
    ext = (struct buf){0};
    put_ext(&ext, 10, str_of("\0\3\0\1\2", 5)); /* an odd list */
    expect_bad(&ext, TLS_ALERT_DECODE_ERROR);
    ext = (struct buf){0};
    put_ext(&ext, 16, str_of("\0\3\2h", 4)); /* a name longer than the list */
    expect_bad(&ext, TLS_ALERT_DECODE_ERROR);
    ext = (struct buf){0};
    put_ext(&ext, 16, str_of("\0\2\0\0", 4)); /* names without a byte */
    expect_bad(&ext, TLS_ALERT_DECODE_ERROR);
    ext = (struct buf){0};
    put_ext(&ext, 0, str_of("\0\6\1\0\3abc", 8)); /* a name of type 1, */
    expect_bad(&ext, TLS_ALERT_ILLEGAL_PARAMETER);
    ext = (struct buf){0};
    put_ext(&ext, 0, str_of("\0\10\0\0\1a\0\0\1b", 10)); /* and two */
    expect_bad(&ext, TLS_ALERT_DECODE_ERROR);
    ext = (struct buf){0};
    for (unsigned i = 0; i < 129; i++)
        put_ext(&ext, 1000 + i, STR_NONE);
    expect_bad(&ext, TLS_ALERT_ILLEGAL_PARAMETER);
    ext = (struct buf){0};
    put16(&ext, 5);
    put16(&ext, 2);
    expect_bad(&ext, TLS_ALERT_DECODE_ERROR); /* longer than there is */
}

static void expect_raw_bad(struct str raw, enum tls_alert alert)
{
    struct hello h;
    struct buf b = {0};
    buf_adds(&b, raw);
    assert_int_equal(parse(&b, &h), HELLO_BAD);
    assert_int_equal(h.alert, alert);
    buf_fini(&b);
}

static void records_are_judged_as_soon_as_they_can_be(void **state)
{
    (void)state;
    expect_raw_bad(str_of("\x16\x03\x01\x40\x01", 5), TLS_ALERT_RECORD_OVERFLOW);
    expect_raw_bad(str_of("\x16\x03\x01\0\0", 5), TLS_ALERT_UNEXPECTED_MESSAGE);
    expect_raw_bad(str_of("\x16\x03\x01\0\x10\2", 6), TLS_ALERT_UNEXPECTED_MESSAGE);           /* a ServerHello */
    expect_raw_bad(str_of("\x16\x03\x01\0\x10\1\1\0\0", 9), TLS_ALERT_ILLEGAL_PARAMETER);      /* of 64 KiB */
    expect_raw_bad(str_of("\x16\x03\x01\0\x10\1\0\0\4", 9), TLS_ALERT_DECODE_ERROR);           /* more in the record */
    expect_raw_bad(str_of("\x16\x03\x01\0\1\1\x17\x03\x03", 9), TLS_ALERT_UNEXPECTED_MESSAGE); /* another in between */
    expect_raw_bad(str_of("\x16\x03\x01\0\1\1\x16\x03\x01\0\3\0\0\0", 14), TLS_ALERT_DECODE_ERROR); /* empty */
    /* The head of the message in pieces, and then far more than there may be. */
    expect_raw_bad(str_of("\x16\x03\x01\0\3\1\1\0\x16\x03\x01\x40\0\1", 14), TLS_ALERT_ILLEGAL_PARAMETER);
}

static void old_clients_say_less(void **state)
{
    (void)state;
    struct hello h;
    struct buf ext = {0}, m = hello_message(&ext), b = hello_records(&m, 16384);
    assert_int_equal(parse(&b, &h), HELLO_OK); /* no extensions at all */
    assert_true(h.has_1_2 && !h.has_1_3 && !h.has_older);
    assert_false(hello_takes_key(&h, KEY_RSA, 2048, false)); /* SHA-1 is not done */
    b.p[5 + 5] = 1;                                           /* TLS 1.0 */
    assert_int_equal(parse(&b, &h), HELLO_OK);
    assert_true(!h.has_1_2 && h.has_older);
    buf_fini(&b);
}

static void fallback_and_tickets_show(void **state)
{
    (void)state;
    struct hello h;
    struct buf ext = {0};
    put_usual(&ext);
    put_ext(&ext, 35, STR("ticket"));
    put_ext(&ext, 42, STR_NONE);
    struct buf m = hello_message(&ext), b = hello_records(&m, 16384);
    size_t ciphers = 5 + 4 + 2 + 32 + 1 + 2;
    b.p[ciphers] = 0x56;
    b.p[ciphers + 1] = 0;
    assert_int_equal(parse(&b, &h), HELLO_OK);
    assert_true(h.tickets && h.resumes && h.early_data && h.fallback);
    buf_fini(&b);
}

static void alerts_are_records(void **state)
{
    (void)state;
    char out[TLS_ALERT_BYTES];
    assert_int_equal(tls_alert_write(TLS_ALERT_UNRECOGNIZED_NAME, out), 7);
    assert_memory_equal(out, "\x15\x03\x03\0\2\2\x70", 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_hello_is_understood),
        cmocka_unit_test(it_may_be_cut_into_records_anywhere),
        cmocka_unit_test(too_many_pieces_are_refused),
        cmocka_unit_test(other_protocols_are_recognised_by_their_first_bytes),
        cmocka_unit_test(bad_names_are_refused_and_addresses_are_none),
        cmocka_unit_test(what_does_not_fit_exactly_is_refused),
        cmocka_unit_test(records_are_judged_as_soon_as_they_can_be),
        cmocka_unit_test(old_clients_say_less),
        cmocka_unit_test(fallback_and_tickets_show),
        cmocka_unit_test(alerts_are_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
