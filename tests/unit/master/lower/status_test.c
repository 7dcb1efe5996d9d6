/* The parts below the conditions: the JSON reader, the address pool, times that are kept. */
#include "master/lower/json_read.h"
#include "master/lower/pool.h"
#include "master/lower/status.h"
#include "shared/base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void json_is_read_or_refused(void **state)
{
    static const char *const GOOD[] = {"{}", "[]", "null", "-1.5e3", "\"a\\\"b\"", " { \"a\" : [ 1 , { } , true ] } ", "[[[[]]]]"};
    static const char *const BAD[] = {"",      "{",       "}",        "[1,]",       "{\"a\"}",    "{\"a\":}", "{\"a\":1,}", "\"a",
                                      "\"a\n\"", "[1] x", "nul",      "{a:1}",      "\"\\",       ",",
                                      "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]"};
    struct arena a;
    (void)state;
    arena_init(&a, 0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++)
        if (!json_read(&a, str_c(GOOD[i])))
            fail_msg("refused: %s", GOOD[i]);
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        if (json_read(&a, str_c(BAD[i])))
            fail_msg("taken: %s", BAD[i]);
    const struct json_node *n = json_read(&a, STR("{\"a\":{\"b\":\"c\"},\"l\":[{\"x\":1},2]}"));
    assert_true(str_eqc(json_text(json_get(n, "a"), "b"), "c"));
    assert_true(str_eqc(json_get(n, "l")->first->raw, "{\"x\":1}"));
    assert_true(str_eqc(json_get(n, "l")->first->next->text, "2"));
    assert_null(json_get(n, "z"));
    assert_null(json_get(NULL, "z"));
    arena_fini(&a);
}

static void pools_deal_out_host_addresses(void **state)
{
    struct arena a;
    struct pool p;
    (void)state;
    arena_init(&a, 0, NULL);
    assert_true(pool_init(&p, &a, STR("10.0.0.8/30")));
    assert_true(pool_take(&p, STR("10.0.0.9")));
    assert_false(pool_take(&p, STR("10.0.0.9")));
    assert_false(pool_take(&p, STR("10.0.0.12"))); /* outside */
    assert_false(pool_take(&p, STR("::1")));
    assert_string_equal(pool_next(&p).p, "10.0.0.10");
    assert_int_equal(pool_next(&p).n, 0); /* .11 is the broadcast address */

    assert_true(pool_init(&p, &a, STR("10.1.2.255/31")));
    assert_string_equal(pool_next(&p).p, "10.1.2.254");
    assert_string_equal(pool_next(&p).p, "10.1.2.255");
    assert_int_equal(pool_next(&p).n, 0);

    assert_true(pool_init(&p, &a, STR("10.1.2.3/32")));
    assert_string_equal(pool_next(&p).p, "10.1.2.3");

    assert_true(pool_init(&p, &a, STR("10.200.255.0/15")));
    for (int i = 0; i < 255; i++)
        pool_next(&p);
    assert_string_equal(pool_next(&p).p, "10.200.1.0");

    assert_true(pool_init(&p, &a, STR("fd00::/64")));
    assert_string_equal(pool_next(&p).p, "fd00::1");
    assert_true(pool_take(&p, STR("fd00::2")));
    assert_string_equal(pool_next(&p).p, "fd00::3");

    assert_true(pool_init(&p, &a, STR("")));
    assert_false(pool_is(&p));
    assert_int_equal(pool_next(&p).n, 0);
    static const char *const BAD[] = {"10.0.0.0", "10.0.0.0/33", "10.0.0.0/", "x/8", "fd00::/129", "10.0.0.0/-1"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        if (pool_init(&p, &a, str_c(BAD[i])) || pool_is(&p))
            fail_msg("taken: %s", BAD[i]);
    assert_string_equal(ip_canonical(&a, STR("0:0::1")).p, "::1");
    assert_int_equal(ip_canonical(&a, STR("1.2.3")).n, 0);
    arena_fini(&a);
}

/* ---- status ---------------------------------------------------------------------------------- */

#define NOW    "2026-01-01T00:00:00Z"
#define BEFORE "2025-01-01T00:00:00Z"

struct fixture {
    struct arena arena;
    struct status_writer w;
    struct object o;
};

static void setup(struct fixture *f)
{
    uint64_t now;
    assert_true(clock_parse(STR(NOW), &now));
    *f = (struct fixture){.o = {.generation = 7}};
    arena_init(&f->arena, 0, NULL);
    status_init(&f->w, &f->arena, now);
}

static void teardown(struct fixture *f)
{
    status_fini(&f->w);
    arena_fini(&f->arena);
}

static void write_one(struct fixture *f, enum cond_status status, const char *message)
{
    struct conds cs = {.n = 0};
    cond_set(&cs, "Accepted", COND_UNKNOWN, "Pending", STR("replaced"));
    cond_set(&cs, "Accepted", status, "Why", str_c(message));
    status_begin(&f->w, &f->o);
    buf_addc(&f->w.out, "\"parents\":[{\"parentRef\":{\"name\":\"g\"},\"conditions\":");
    status_conditions(&f->w, &cs, STR("parents"), STR("{\"name\":\"g\"}"));
    buf_addc(&f->w.out, "}]");
    status_end(&f->w);
}

#define STATUS(status, generation, time, message)                                                  \
    "{\"parents\":[{\"parentRef\":{\"name\":\"g\"},\"conditions\":[{\"type\":\"Accepted\",\"status\":\"" status               \
    "\",\"observedGeneration\":" generation ",\"lastTransitionTime\":\"" time "\",\"reason\":\"Why\",\"message\":\"" message "\"}]}]}"

static void times_change_only_with_the_status(void **state)
{
    static const struct {
        const char *prev, *want;
    } ROWS[] = {
        {"", STATUS("True", "7", NOW, "m")},
        {STATUS("True", "6", BEFORE, "other"), STATUS("True", "7", BEFORE, "m")},
        {STATUS("False", "7", BEFORE, "m"), STATUS("True", "7", NOW, "m")},
        {"not json", STATUS("True", "7", NOW, "m")},
        {"[]", STATUS("True", "7", NOW, "m")},
        {"{\"parents\":[{\"parentRef\":{\"name\":\"h\"},\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"lastTransitionTime\":\"" BEFORE
         "\"}]}]}",
         STATUS("True", "7", NOW, "m")},
        {"{\"parents\":[{\"parentRef\":{\"name\":\"g\"},\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"lastTransitionTime\":\"soon\"}]}]}",
         STATUS("True", "7", NOW, "m")},
    };
    struct fixture f;
    (void)state;
    setup(&f);
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        f.o.prev_status_json = str_c(ROWS[i].prev);
        write_one(&f, COND_TRUE, "m");
        if (!str_eqc(f.o.status_json, ROWS[i].want))
            fail_msg("%zu: " STR_FMT, i, STR_ARG(f.o.status_json));
    }
    teardown(&f);
}

static void an_unchanged_status_is_the_previous_text(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    f.o.prev_status_json = STR(STATUS("True", "7", BEFORE, "m"));
    write_one(&f, COND_TRUE, "m");
    assert_ptr_equal(f.o.status_json.p, f.o.prev_status_json.p);
    write_one(&f, COND_TRUE, "n"); /* of equal length, with another text */
    assert_ptr_not_equal(f.o.status_json.p, f.o.prev_status_json.p);
    assert_true(str_eqc(f.o.status_json, STATUS("True", "7", BEFORE, "n")));
    teardown(&f);
}

static void the_same_again_need_not_be_written(void **state)
{
    struct fixture f;
    struct object same = {.generation = 7}, before = {.generation = 7, .prev_status_json = STR(STATUS("True", "7", BEFORE, "m"))};
    struct object changed = {.generation = 7, .prev_status_json = STR(STATUS("True", "6", BEFORE, "m"))}, later = {.generation = 8};
    (void)state;
    setup(&f);
    assert_false(status_again(&f.w, &same)); /* there is nothing yet */
    write_one(&f, COND_TRUE, "m");
    assert_true(status_again(&f.w, &same));
    assert_ptr_equal(same.status_json.p, f.o.status_json.p);
    assert_true(status_again(&f.w, &before));
    assert_ptr_equal(before.status_json.p, before.prev_status_json.p);
    assert_false(status_again(&f.w, &later));
    assert_false(status_again(&f.w, &changed)); /* its time is to be kept */
    f.o.prev_status_json = changed.prev_status_json;
    write_one(&f, COND_TRUE, "m");
    assert_true(str_eqc(f.o.status_json, STATUS("True", "7", BEFORE, "m")));
    assert_false(status_again(&f.w, &same)); /* and would be that of others now */
    teardown(&f);
}

static void messages_are_escaped(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    write_one(&f, COND_TRUE, "say \"x\"\n");
    assert_non_null(json_read(&f.arena, f.o.status_json));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_read_or_refused),
        cmocka_unit_test(pools_deal_out_host_addresses),
        cmocka_unit_test(times_change_only_with_the_status),
        cmocka_unit_test(an_unchanged_status_is_the_previous_text),
        cmocka_unit_test(the_same_again_need_not_be_written),
        cmocka_unit_test(messages_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
