#include "tests/unit/shared/base/base_test.h"
#include "worker/codec/h2_budget.h"

static uint32_t until_empty(struct h2_budget *b, enum h2_glitch g, uint64_t now)
{
    uint32_t n = 0;
    while (n < 100000 && h2_budget_spend(b, g, 1, now))
        n++;
    return n;
}

static void a_burst_ends_and_time_gives_back(void **state)
{
    struct h2_budget b;
    (void)state;
    h2_budget_init(&b, 1, 1000);
    assert_int_equal(until_empty(&b, H2_GLITCH_fault, 1000), 250);
    assert_int_equal(until_empty(&b, H2_GLITCH_fault, 2000), 33);
    assert_int_equal(until_empty(&b, H2_GLITCH_fault, 1000000), 250);
}

static void a_steady_rate_below_the_limit_never_ends(void **state)
{
    struct h2_budget b;
    uint64_t now = 5;
    (void)state;
    h2_budget_init(&b, 1, now);
    for (int i = 0; i < 100000; i++, now += 31) /* 32 in a second */
        assert_true(h2_budget_spend(&b, H2_GLITCH_reset, H2_RESET_AT_ONCE, now));
}

static void requests_that_are_completed_pay_for_others_that_are_not(void **state)
{
    struct h2_budget b;
    (void)state;
    h2_budget_init(&b, 1, 0);
    for (int i = 0; i < 10000; i++) {
        assert_true(h2_budget_spend(&b, H2_GLITCH_reset, H2_RESET_AT_ONCE, 0));
        h2_budget_done(&b);
    }
    h2_budget_init(&b, 1, 0); /* but there is never more than at the beginning */
    for (int i = 0; i < 1000; i++)
        h2_budget_done(&b);
    assert_int_equal(until_empty(&b, H2_GLITCH_reset, 0), 1000);
}

static void what_answers_our_content_is_free(void **state)
{
    struct h2_budget b;
    (void)state;
    h2_budget_init(&b, 1, 0);
    for (int i = 0; i < 10000; i++) {
        h2_budget_sent(&b, 1);
        assert_true(h2_budget_spend(&b, H2_GLITCH_ping, 1, 0));
        assert_true(h2_budget_spend(&b, H2_GLITCH_window, 1, 0));
        assert_true(h2_budget_spend(&b, H2_GLITCH_window, 1, 0));
    }
    assert_int_equal(b.milli, 1000 * H2_BUDGET_POINTS);
    assert_in_range(until_empty(&b, H2_GLITCH_window, 0), H2_BUDGET_POINTS, H2_BUDGET_POINTS + H2_BUDGET_FREE_MAX);
    h2_budget_init(&b, 1, 0);
    assert_int_equal(until_empty(&b, H2_GLITCH_ping, 0), 251);
}

static void time_counts_once_however_often_it_is_asked(void **state)
{
    struct h2_budget b;
    uint64_t now = 0;
    uint32_t n = 0;
    (void)state;
    h2_budget_init(&b, 8, now); /* more than a point each millisecond */
    for (b.window_free = 0; n < 100000 && h2_budget_spend(&b, H2_GLITCH_window, 1, now); n++)
        now += n % 100 == 99; /* 100 of them in each */
    assert_in_range(n, 8 * H2_BUDGET_POINTS, 8 * H2_BUDGET_POINTS + 120);
}

static void many_at_once_cost_as_many(void **state)
{
    struct h2_budget b;
    (void)state;
    h2_budget_init(&b, 2, 0);
    assert_true(h2_budget_spend(&b, H2_GLITCH_dribble, 1000, 0));
    assert_false(h2_budget_spend(&b, H2_GLITCH_dribble, 1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_ends_and_time_gives_back),
        cmocka_unit_test(a_steady_rate_below_the_limit_never_ends),
        cmocka_unit_test(requests_that_are_completed_pay_for_others_that_are_not),
        cmocka_unit_test(what_answers_our_content_is_free),
        cmocka_unit_test(time_counts_once_however_often_it_is_asked),
        cmocka_unit_test(many_at_once_cost_as_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
