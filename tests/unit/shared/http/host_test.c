#include "tests/unit/shared/base/base_test.h"
#include "shared/http/host.h"

#include <stdio.h>

static void accepted_hosts_are_cut_into_name_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name, *canonical;
        uint16_t port;
        enum http_host_kind kind;
    } rows[] = {
        {"", "", "", 0, HOST_EMPTY},
        {"example.com", "example.com", "example.com", 0, HOST_NAME},
        {"Example.COM:8080", "Example.COM", "example.com", 8080, HOST_NAME},
        {"example.com.", "example.com", "example.com", 0, HOST_NAME},
        {"example.com.:443", "example.com", "example.com", 443, HOST_NAME},
        {"example.com:", "example.com", "example.com", 0, HOST_NAME},
        {"localhost", "localhost", "localhost", 0, HOST_NAME},
        {"my_service.local", "my_service.local", "my_service.local", 0, HOST_NAME},
        {"xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example", 0, HOST_NAME},
        {"4ever.example", "4ever.example", "4ever.example", 0, HOST_NAME},
        {"10.0.0.1", "10.0.0.1", "10.0.0.1", 0, HOST_IPV4},
        {"127.0.0.1:65535", "127.0.0.1", "127.0.0.1", 65535, HOST_IPV4},
        {"[::1]", "[::1]", "[::1]", 0, HOST_IPV6},
        {"[2001:DB8::A]:80", "[2001:DB8::A]", "[2001:db8::a]", 80, HOST_IPV6},
        {"[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", 0, HOST_IPV6},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_host h;
        char buf[HTTP_HOST_MAX];
        if (!http_host_parse(str_c(rows[i].text), &h))
            fail_msg("refused: %s", rows[i].text);
        assert_str(h.name, rows[i].name);
        assert_int_equal(h.port, rows[i].port);
        assert_int_equal(h.kind, rows[i].kind);
        struct str canonical = http_host_canonical(&h, buf);
        assert_str(canonical, rows[i].canonical);
        if (h.lower)
            assert_ptr_equal(canonical.p, h.name.p);
    }
}

static void what_readers_differ_about_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "a b", "a,b", "a\tb", "a/b", "a@b", "user:pw@a", "a?b", "a#b", "a\\b", "a%20b", "a%2eb", "a!",
        "a*b", "*", "*.a", ".", "..", ".a", "a..b", "a..", ":80", "a:b", "a:80x", "a:-1", "a:+1",
        "a:65536", "a:0", "a:000080", "a:80:80", "a: 80", "[::1", "::1", "[]", "[::1]x", "[::1]:x",
        "[::1%eth0]", "[v1.a]", "[1.2.3.4]", "[::1]]", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4",
        "1.2.3.0x4", "0x7f.1", "2130706433", "0x7f000001", "a.1", "\xc3\xa4.example", "a\x7f", "[:::1]",
    };
    struct http_host h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (http_host_parse(str_c(rows[i]), &h))
            fail_msg("accepted: %s", rows[i]);
    assert_false(http_host_parse(str_of("a\0b", 3), &h));
    assert_false(http_host_parse(str_of("[::1\0]", 6), &h));
}

static void lengths_are_those_of_dns(void **state)
{
    (void)state;
    struct http_host h;
    char name[300];
    memset(name, 'a', sizeof(name));
    assert_true(http_host_parse(str_of(name, 63), &h));
    assert_false(http_host_parse(str_of(name, 64), &h));
    for (size_t i = 49; i < sizeof(name); i += 50)
        name[i] = '.';
    assert_true(http_host_parse(str_of(name, 253), &h));
    assert_false(http_host_parse(str_of(name, 254), &h));
    char buf[HTTP_HOST_MAX];
    name[0] = 'A';
    assert_true(http_host_parse(str_of(name, 253), &h));
    assert_int_equal(http_host_canonical(&h, buf).n, 253);
}

/* Names of less than 64 bytes are read in another way than longer ones: both say the same about the same ending. */
static void short_and_long_names_are_cut_alike(void **state)
{
    static const char *const ENDS[] = {"a.b", "a.b.", "a.b:80", "a..b", "A.b", "a.B.:1", "1.2.3", "a.7", "a_b", "a/b", ".", "", "x"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
        for (size_t n = 1; n < 62; n++) {
            char text[2][160];
            struct http_host h[2];
            bool fine[2];
            for (int k = 0; k < 2; k++) {
                size_t at = 0;
                if (k) { /* one more label in front */
                    memset(text[k], 'y', 60);
                    text[k][60] = '.';
                    at = 61;
                }
                memset(text[k] + at, 'z', n);
                snprintf(text[k] + at + n, 20, ".%s", ENDS[i]);
                fine[k] = http_host_parse(str_c(text[k]), &h[k]);
            }
            assert_int_equal(fine[0], fine[1]);
            if (!fine[0])
                continue;
            assert_int_equal(h[0].kind, h[1].kind);
            assert_int_equal(h[0].lower, h[1].lower);
            assert_int_equal(h[0].port, h[1].port);
            assert_true(str_eq(h[0].name, str_skip(h[1].name, 61)));
        }
}

static void patterns_are_names_with_an_optional_first_star(void **state)
{
    (void)state;
    static const char *const good[] = {"", "*", "*.example.com", "example.com", "*.com", "a"};
    static const char *const bad[] = {"*.", "*a.com", "a.*.com", "*.*.com", "**", "Example.com", "a.com.",
                                      "a.com:80", "10.0.0.1", "[::1]", "*.1.2.3.4", "a b", "*.example.com."};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(http_host_pattern_valid(str_c(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (http_host_pattern_valid(str_c(bad[i])))
            fail_msg("accepted: %s", bad[i]);
}

static void a_wildcard_matches_any_number_of_labels_but_not_none(void **state)
{
    (void)state;
    assert_true(http_host_matches(STR("*.example.com"), STR("a.example.com")));
    assert_true(http_host_matches(STR("*.example.com"), STR("a.b.example.com")));
    assert_false(http_host_matches(STR("*.example.com"), STR("example.com")));
    assert_false(http_host_matches(STR("*.example.com"), STR(".example.com")));
    assert_false(http_host_matches(STR("*.example.com"), STR("badexample.com")));
    assert_true(http_host_matches(STR("example.com"), STR("example.com")));
    assert_false(http_host_matches(STR("example.com"), STR("a.example.com")));
    assert_true(http_host_matches(STR(""), STR("x")));
    assert_true(http_host_matches(STR("*"), STR("")));
    assert_false(http_host_matches(STR("*.a"), STR("")));
}

static void specificity_counts_labels_below_exact(void **state)
{
    (void)state;
    static const char *const order[] = {"a.b.example.com", "*.b.example.com", "*.example.com", "*.com", ""};
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t k = 0; k < ARRAY_LEN(order); k++) {
            int c = http_host_compare(str_c(order[i]), str_c(order[k]));
            assert_true(i < k ? c > 0 : i > k ? c < 0 : c == 0);
        }
    assert_int_equal(http_host_compare(STR("a.com"), STR("very.long.name.com")), 0);
    assert_int_equal(http_host_compare(STR("*"), STR("")), 0);
}

static void the_intersection_is_what_both_match(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *both; /* NULL: none */
    } rows[] = {
        {"", "", ""},
        {"", "a.com", "a.com"},
        {"*", "*.a.com", "*.a.com"},
        {"a.com", "a.com", "a.com"},
        {"a.com", "b.com", NULL},
        {"*.a.com", "x.a.com", "x.a.com"},
        {"*.a.com", "a.com", NULL},
        {"*.a.com", "*.b.a.com", "*.b.a.com"},
        {"*.a.com", "*.a.com", "*.a.com"},
        {"*.a.com", "*.b.com", NULL},
        {"*.a.com", "*.ba.com", NULL},
        {"very.specific.com", "*.specific.com", "very.specific.com"},
        {"*.com", "*.x.com", "*.x.com"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int swap = 0; swap < 2; swap++) {
            struct str both, a = str_c(swap ? rows[i].b : rows[i].a);
            struct str b = str_c(swap ? rows[i].a : rows[i].b);
            assert_int_equal(http_host_intersect(a, b, &both), rows[i].both != NULL);
            if (rows[i].both)
                assert_str(both, rows[i].both);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_hosts_are_cut_into_name_and_port),
        cmocka_unit_test(what_readers_differ_about_is_refused),
        cmocka_unit_test(lengths_are_those_of_dns),
        cmocka_unit_test(short_and_long_names_are_cut_alike),
        cmocka_unit_test(patterns_are_names_with_an_optional_first_star),
        cmocka_unit_test(a_wildcard_matches_any_number_of_labels_but_not_none),
        cmocka_unit_test(specificity_counts_labels_below_exact),
        cmocka_unit_test(the_intersection_is_what_both_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
