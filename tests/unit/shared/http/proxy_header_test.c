#include "tests/unit/shared/base/base_test.h"
#include "shared/http/proxy_header.h"
#include <arpa/inet.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static enum proxy_head_verdict parse(struct str s, struct proxy_head *h)
{
    enum proxy_head_verdict whole = proxy_head_parse(s, h);
    for (size_t n = 0; n < s.n; n++) {
        struct proxy_head part;
        enum proxy_head_verdict v = proxy_head_parse(str_head(s, n), &part);
        if (v == PROXY_HEAD_MORE)
            continue;
        assert_int_equal(v, whole);
        break;
    }
    return proxy_head_parse(s, h);
}

static void assert_ip(int family, const uint8_t *ip, const char *text)
{
    char out[INET6_ADDRSTRLEN];
    assert_string_equal(inet_ntop(family, ip, out, sizeof(out)), text);
}

static void lines_of_version_1_are_read(void **state)
{
    (void)state;
    struct proxy_head h;
    assert_int_equal(parse(STR("PROXY TCP4 192.0.2.1 198.51.100.2 51234 443\r\nGET /"), &h), PROXY_HEAD_OK);
    assert_int_equal(h.used, 45);
    assert_int_equal(h.family, 4);
    assert_ip(AF_INET, h.from, "192.0.2.1");
    assert_ip(AF_INET, h.to, "198.51.100.2");
    assert_int_equal(h.from_port, 51234);
    assert_int_equal(h.to_port, 443);
    assert_int_equal(parse(STR("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), &h), PROXY_HEAD_OK);
    assert_int_equal(h.family, 6);
    assert_ip(AF_INET6, h.from, "2001:db8::1");
    assert_int_equal(parse(STR("PROXY UNKNOWN\r\n"), &h), PROXY_HEAD_OK);
    assert_int_equal(h.family, 0);
    assert_int_equal(parse(STR("PROXY UNKNOWN ffff::1 what ever\r\nx"), &h), PROXY_HEAD_OK);
    assert_int_equal(h.used, 33);
}

static void bad_lines_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "PROXY TCP4 192.0.2.1 198.51.100.2 51234\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 51234 443 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 51234 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 051 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP4\t192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\rX",
        "PROXY \r\n",
        "PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
    };
    struct proxy_head h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (parse(str_c(rows[i]), &h) != PROXY_HEAD_BAD)
            fail_msg("accepted: %s", rows[i]);
        assert_non_null(h.fault);
    }
    assert_int_equal(parse(str_of("PROXY TCP4 192.0.2.1\0 1.1.1.1 1 443\r\n", 37), &h), PROXY_HEAD_BAD);
}

static void other_beginnings_are_no_header(void **state)
{
    (void)state;
    static const char *const rows[] = {"GET / HTTP/1.1\r\n", "PROXX", "PRI * HTTP/2.0", "\x16\x03\x01", "\r\n\r\nX", "proxy "};
    struct proxy_head h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(parse(str_c(rows[i]), &h), PROXY_HEAD_ABSENT);
    assert_int_equal(parse(STR("PROX"), &h), PROXY_HEAD_MORE);
    assert_int_equal(parse(STR_NONE, &h), PROXY_HEAD_MORE);
}

static struct buf v2(unsigned command, unsigned family, struct str block)
{
    struct buf b = {0};
    buf_add(&b, V2, 12);
    buf_addch(&b, (char)command);
    buf_addch(&b, (char)family);
    buf_addch(&b, (char)(block.n >> 8));
    buf_addch(&b, (char)block.n);
    buf_adds(&b, block);
    return b;
}

static void expect_v2(unsigned command, unsigned family, struct str block, enum proxy_head_verdict want,
                      struct proxy_head *h)
{
    struct buf b = v2(command, family, block);
    assert_int_equal(parse(buf_str(&b), h), want);
    if (want == PROXY_HEAD_OK)
        assert_int_equal(h->used, b.n);
    buf_fini(&b);
}

static void headers_of_version_2_are_read(void **state)
{
    (void)state;
    struct proxy_head h;
    expect_v2(0x21, 0x11, str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb", 12), PROXY_HEAD_OK, &h);
    assert_int_equal(h.family, 4);
    assert_ip(AF_INET, h.from, "10.0.0.1");
    assert_int_equal(h.from_port, 0x1234);
    assert_int_equal(h.to_port, 443);
    /* TLVs: no-op, authority, SSL */
    expect_v2(0x21, 0x11, str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb\4\0\2zz\2\0\3a.b\x20\0\5\1\0\0\0\0", 31),
              PROXY_HEAD_OK, &h);
    assert_str(h.authority, "a.b");
    assert_true(h.tls);
    char six[36] = {0};
    six[15] = 1;
    expect_v2(0x21, 0x21, str_of(six, 36), PROXY_HEAD_OK, &h);
    assert_ip(AF_INET6, h.from, "::1");
    char un[216] = "/run/x";
    expect_v2(0x21, 0x31, str_of(un, 216), PROXY_HEAD_OK, &h);
    assert_int_equal(h.family, 1);
    expect_v2(0x20, 0x11, str_of("rubbish", 7), PROXY_HEAD_OK, &h); /* LOCAL */
    assert_int_equal(h.family, 0);
    expect_v2(0x21, 0x00, STR_NONE, PROXY_HEAD_OK, &h);
    assert_int_equal(h.family, 0);
}

static void bad_headers_of_version_2_are_refused(void **state)
{
    (void)state;
    struct proxy_head h;
    const struct str ends = str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb", 12);
    expect_v2(0x11, 0x11, ends, PROXY_HEAD_BAD, &h);
    expect_v2(0x22, 0x11, ends, PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x12, ends, PROXY_HEAD_BAD, &h); /* datagrams */
    expect_v2(0x21, 0x41, ends, PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x11, str_head(ends, 11), PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x21, ends, PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x11, str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb\4\0", 14), PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x11, str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb\4\0\1", 15), PROXY_HEAD_BAD, &h);
    expect_v2(0x21, 0x11, str_of("\x0a\0\0\1\x0a\0\0\2\x12\x34\x01\xbb\3\0\4abcd", 19), PROXY_HEAD_BAD, &h);
    static char big[PROXY_HEAD_MAX];
    expect_v2(0x21, 0x00, str_of(big, sizeof(big) - 16 + 1), PROXY_HEAD_BAD, &h);
}

static void a_checksum_is_verified(void **state)
{
    (void)state;
    struct proxy_head h;
    /* CRC32c of the header with zeros in its place, computed elsewhere. */
    expect_v2(0x21, 0x00, str_of("\3\0\4\x3e\xc9\x89\x4e", 7), PROXY_HEAD_OK, &h);
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const struct { uint8_t a, b; } families[] = {{4, 4}, {6, 6}, {4, 6}, {1, 1}};
    for (unsigned version = 1; version <= 2; version++)
        for (size_t i = 0; i < ARRAY_LEN(families); i++) {
            struct proxy_ends e = {families[i].a, families[i].b, 50000, 8443, {0x20, 1, 2, 3, [15] = 9}, {0xfe, 0x80, 7}};
            char out[PROXY_HEAD_WRITE];
            struct proxy_head h;
            size_t n = proxy_head_write(version, &e, out);
            assert_true(n <= sizeof(out));
            assert_int_equal(parse(str_of(out, n), &h), PROXY_HEAD_OK);
            assert_int_equal(h.used, n);
            assert_int_equal(h.version, version);
            bool known = families[i].a != 1;
            assert_int_equal(h.family, !known ? 0 : families[i].b);
            if (known) {
                assert_int_equal(h.from_port, 50000);
                assert_int_equal(h.to_port, 8443);
                assert_memory_equal(h.to, e.to, families[i].b == 4 ? 4 : 16);
                assert_memory_equal(h.from + (families[i].a == 4 && families[i].b == 6 ? 12 : 0), e.from, 4);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_version_1_are_read),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(other_beginnings_are_no_header),
        cmocka_unit_test(headers_of_version_2_are_read),
        cmocka_unit_test(bad_headers_of_version_2_are_refused),
        cmocka_unit_test(a_checksum_is_verified),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
