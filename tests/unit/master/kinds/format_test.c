#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "master/kinds/format.h"

struct row {
    enum field_format f;
    const char *good[10], *bad[12];
};

static const struct row ROWS[] = {
    {FMT_DNS_LABEL, {"a", "a-b", "0a"}, {"", "A", "a.b", "-a", "a-", "a_b", "a b"}},
    {FMT_DNS_SUBDOMAIN, {"a", "a.b", "a-1.b"}, {"", ".", "a..b", "A.b", "a.-b", "a.b."}},
    {FMT_OBJECT_NAME, {"shop", "shop.v2", "1"}, {"", "Shop", "shop_2", "a/b"}},
    {FMT_HOSTNAME, {"a.example.com", "*.example.com", "localhost"}, {"", "*", "*.", "a.*.com", "*a.com", "A.com", "1.2.3.4", "*.1.2.3.4", "a.com.", "a b", "::1"}},
    {FMT_PRECISE_HOSTNAME, {"a.example.com"}, {"*.example.com", "10.0.0.1", ""}},
    {FMT_FQDN_WILDCARD, {"*", "*.foo.com", "*foo.com", "*-foo.com", "Foo.com", "foo.com.", "foo", "1.2.3.4"}, {"", "a*.com", "foo.*", "*.*", "foo..com", "foo.123", "foo bar"}},
    {FMT_HEADER_NAME, {"x-a", "X_1", "!#$%&'*+-.^`|~"}, {"", ":path", "a b", "a:", "\xc3\xa4", "a\"b"}},
    {FMT_HEADER_VALUE, {"", "a b", "\xc3\xa4", "a\tb"}, {"a\nb", "a\rb", "\x01", "\x7f"}},
    {FMT_PATH, {"/", "/a/b", "/a/", "/a%20b", "/a:b@c;d=e", "/~a"}, {"", "a", "//", "/a//b", "/./a", "/a/../b", "/a%2fb", "/a%2Fb", "/a#b", "/a/..", "/a?b", "/a%zz"}},
    {FMT_IP, {"1.2.3.4", "::1", "2001:db8::1"}, {"", "1.2.3", "1.2.3.4.5", "1.2.3.04", "[::1]", "1.2.3.4/8", "localhost"}},
    {FMT_CIDR, {"10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32"}, {"", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "x/8", "10.0.0.0/"}},
    {FMT_REGEX, {"a.*b", "[0-9]+", "(a|b)"}, {"", "(", "a**", "(?=x)", "\\1"}},
    {FMT_LABEL_KEY, {"a", "app.kubernetes.io/name", "A_b.c-d"}, {"", "/a", "a/", "A.io/x", "a b", "-a", "a/b/c"}},
    {FMT_LABEL_VALUE, {"", "a", "A_b.c-d"}, {"-a", "a-", "a b", "a/b"}},
};

static void every_format_knows_right_from_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        for (size_t k = 0; k < ARRAY_LEN(ROWS[i].good) && ROWS[i].good[k]; k++)
            if (!format_check(ROWS[i].f, str_c(ROWS[i].good[k]), NULL))
                fail_msg("%s: \"%s\" was refused", format_name(ROWS[i].f), ROWS[i].good[k]);
        for (size_t k = 0; k < ARRAY_LEN(ROWS[i].bad) && ROWS[i].bad[k]; k++) {
            struct buf why = {0};
            if (format_check(ROWS[i].f, str_c(ROWS[i].bad[k]), &why))
                fail_msg("%s: \"%s\" was accepted", format_name(ROWS[i].f), ROWS[i].bad[k]);
            assert_true(why.n > 0);
            buf_fini(&why);
        }
    }
}

static void lengths_are_limited(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'a', sizeof(text));
    assert_true(format_check(FMT_DNS_LABEL, str_of(text, 63), NULL));
    assert_false(format_check(FMT_DNS_LABEL, str_of(text, 64), NULL));
    assert_true(format_check(FMT_LABEL_VALUE, str_of(text, 63), NULL));
    assert_false(format_check(FMT_LABEL_VALUE, str_of(text, 64), NULL));
    for (size_t i = 50; i < sizeof(text); i += 51)
        text[i] = '.';
    assert_true(format_check(FMT_DNS_SUBDOMAIN, str_of(text, 253), NULL));
    assert_false(format_check(FMT_DNS_SUBDOMAIN, str_of(text, 254), NULL));
    assert_false(format_check(FMT_IP, STR("1.2.3.4\0"), NULL));
}

static void durations_of_both_languages(void **state)
{
    (void)state;
    static const struct { const char *text; bool gep, go; uint64_t ms; } rows[] = {
        {"10s", true, true, 10000},     {"1m30s", true, true, 90000},   {"0s", true, true, 0},      {"250ms", true, true, 250},
        {"1h2m3s4ms", true, true, 3723004}, {"99999h", true, true, 359996400000}, {"100000h", false, true, 360000000000},
        {"0", false, true, 0},          {"1.5s", false, true, 1500},    {".5s", false, true, 500},  {"+1s", false, true, 1000},
        {"1s1s1s1s1s", false, true, 5000}, {"1000us", false, true, 1},   {"", false, false, 0},      {"10", false, false, 0},
        {"-1s", false, false, 0},       {"1d", false, false, 0},        {"s", false, false, 0},     {"1 s", false, false, 0},
        {"1.s", false, true, 1000},     {".s", false, false, 0},        {"9999999999999999999s", false, false, 0}, {"1s2", false, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t gep = 0, go = 0;
        bool exact;
        if (format_gep_duration(str_c(rows[i].text), &gep) != rows[i].gep || (rows[i].gep && gep != rows[i].ms))
            fail_msg("GEP-2257: \"%s\"", rows[i].text);
        if (format_go_duration(str_c(rows[i].text), &go, &exact) != rows[i].go || (rows[i].go && go != rows[i].ms))
            fail_msg("Go: \"%s\" is %llu", rows[i].text, (unsigned long long)go);
    }
    uint64_t ms;
    bool exact;
    assert_true(format_go_duration(STR("1.0005s"), &ms, &exact) && !exact && ms == 1000);
    assert_true(format_go_duration(STR("1ns"), &ms, &exact) && !exact && ms == 0);
}

static void base64_is_strict_but_for_line_breaks(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } rows[] = {
        {"", ""}, {"YQ==", "a"}, {"YWI=", "ab"}, {"YWJj", "abc"}, {"YWJj\nZGVm\n", "abcdef"}, {"+/+/", "\xfb\xff\xbf"},
        {"YQ", NULL}, {"YQ=", NULL}, {"Y===", NULL}, {"Y Q==", NULL}, {"YQ==YQ==", NULL}, {"Y-==", NULL}, {"=YQ=", NULL},
    };
    struct arena a;
    arena_init(&a, 0, test_oom);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str out = STR_NONE;
        bool ok = format_base64(&a, str_c(rows[i].text), &out);
        if (ok != (rows[i].want != NULL) || (ok && !str_eqc(out, rows[i].want)))
            fail_msg("%s", rows[i].text);
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_knows_right_from_wrong),
        cmocka_unit_test(lengths_are_limited),
        cmocka_unit_test(durations_of_both_languages),
        cmocka_unit_test(base64_is_strict_but_for_line_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
