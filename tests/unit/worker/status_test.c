/* status_test.c - the scan of the STATUS image, readiness, the hosts file. */
#include "shared/base/clock.h"
#include "worker/hosts.h"
#include "worker/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static bool scan(const char *text)
{
    struct json_members m;
    return json_scan(str_c(text), &m);
}

static void one_object_and_nothing_else_is_taken(void **state)
{
    (void)state;
    assert_true(scan("{}"));
    assert_true(scan(" { \"a\" : 1 , \"b\":[ ] } \n"));
    assert_true(scan("{\"a\":{\"b\":[[],{},\"]}\\\"\",-1.5e3,true,null]}}"));
    static const char *const bad[] = {
        "", "{", "}", "[]", "1", "{}x", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{a:1}", "{\"a\":1 \"b\":2}",
        "{\"a\":[1,]}", "{\"a\":[,1]}", "{\"a\":[1 2]}", "{\"a\":[}", "{\"a\":{]}", "{\"a\":{\"b\"}}", "{\"a\":{1:2}}",
        "{\"a\":\"x}", "{\"a\":\"\\", "{\"a\":\"\n\"}", "{\"a\":1}}", "{\"a\":<}", "{\"a\":{},}", "{\"a\":{\"b\":1,}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (scan(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

static void depth_and_members_have_a_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_addc(&b, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_addch(&b, '[');
    assert_false(scan(buf_cstr(&b)));
    buf_clear(&b);
    buf_addch(&b, '{');
    for (int i = 0; i < STATUS_MEMBERS + 1; i++)
        buf_addf(&b, "%s\"%d\":%d", i ? "," : "", i, i);
    buf_addch(&b, '}');
    assert_false(scan(buf_cstr(&b)));
    buf_fini(&b);
}

static void members_are_slices_of_the_text(void **state)
{
    (void)state;
    struct json_members m;
    assert_true(json_scan(STR("{\"generation\" : 7,\"x\":[1, {\"y\":2} ] , \"z\":\"q\"}"), &m));
    assert_int_equal(m.n, 3);
    assert_true(str_eqc(json_member(&m, "generation"), "7"));
    assert_true(str_eqc(json_member(&m, "x"), "[1, {\"y\":2} ]"));
    assert_true(str_eqc(m.v[0].whole, "\"generation\" : 7"));
    assert_true(str_eqc(json_member(&m, "z"), "\"q\""));
    assert_null(json_member(&m, "y").p);
}

static void arrays_are_walked(void **state)
{
    (void)state;
    struct str rest = STR(" [ 1 , {\"a\":[2,3]},\"x,]\" ]"), e;
    assert_true(json_next(&rest, &e) && str_eqc(e, "1"));
    assert_true(json_next(&rest, &e) && str_eqc(e, "{\"a\":[2,3]}"));
    assert_true(json_next(&rest, &e) && str_eqc(e, "\"x,]\""));
    assert_false(json_next(&rest, &e));
    rest = STR("[]");
    assert_false(json_next(&rest, &e));
    rest = STR("7");
    assert_false(json_next(&rest, &e));
}

static void hosts_are_read_as_hosts_5_says(void **state)
{
    (void)state;
    struct board_dns_answer a = {0};
    struct str text = STR("# comment\n127.0.0.1\tlocalhost\r\n10.0.0.1  Web.Internal web # 10.9.9.9 web\n"
                          "2001:db8::1 web\n10.0.0.1 web\nnonsense web\n10.1 web\nfe80::1%eth0 web\n\n  \n10.0.0.7\n10.0.0.2 web.");
    assert_int_equal(hosts_lookup(text, STR("WEB"), &a), 3);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.v[0].family, 4);
    assert_memory_equal(a.v[0].addr, "\x0a\0\0\x01", 4);
    assert_int_equal(a.v[1].family, 6);
    assert_memory_equal(a.v[2].addr, "\x0a\0\0\x02", 4);
    a.n = 0;
    assert_int_equal(hosts_lookup(text, STR("web.internal."), &a), 1);
    assert_int_equal(hosts_lookup(text, STR("10.0.0.7"), &a), 0);
    assert_int_equal(hosts_lookup(text, STR("internal"), &a), 0);
    assert_int_equal(hosts_lookup(STR(""), STR("web"), &a), 0);
    struct buf many = {0};
    for (int i = 0; i < 100; i++)
        buf_addf(&many, "10.1.0.%d many\n", i);
    a.n = 0;
    assert_int_equal(hosts_lookup(buf_str(&many), STR("many"), &a), BOARD_DNS_ADDRS);
    buf_fini(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_and_nothing_else_is_taken),
        cmocka_unit_test(depth_and_members_have_a_limit),
        cmocka_unit_test(members_are_slices_of_the_text),
        cmocka_unit_test(arrays_are_walked),
        cmocka_unit_test(hosts_are_read_as_hosts_5_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
