/* Picks: shares over short and long windows, turns, unusable endpoints, the less busy of two. */
#include "worker/balance/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct pool {
    uint32_t n, weight[16], active[16];
    bool down[16];
};

static bool usable(const void *ctx, uint32_t i)
{
    return !((const struct pool *)ctx)->down[i];
}
static uint32_t weight(const void *ctx, uint32_t i)
{
    return ((const struct pool *)ctx)->weight[i];
}
static uint32_t active(const void *ctx, uint32_t i)
{
    return ((const struct pool *)ctx)->active[i];
}

static struct balance_view view(const struct pool *p, bool equal)
{
    return (struct balance_view){p->n, equal, usable, weight, active, p};
}

static void splits_hold_their_weights_over_every_hundred_requests(void **state)
{
    (void)state;
    struct snap_split splits[] = {{.weight = 80}, {.weight = 0}, {.weight = 20}};
    struct snap s = {.SPLITS = splits};
    struct snap_rule r = {.splits = {0, 3}, .total_weight = 100};
    uint32_t at = 12345;
    for (int window = 0; window < 50; window++) {
        unsigned seen[3] = {0};
        for (int i = 0; i < 100; i++)
            seen[balance_split(&s, &r, &at)]++;
        assert_in_range(seen[0], 76, 84);
        assert_int_equal(seen[1], 0);
    }
}

static void a_rule_without_weights_picks_nothing(void **state)
{
    (void)state;
    struct snap_split splits[] = {{.weight = 0}};
    struct snap s = {.SPLITS = splits};
    struct snap_rule r = {.splits = {0, 1}, .total_weight = 0};
    uint32_t at = 0;
    assert_int_equal(balance_split(&s, &r, &at), BALANCE_NONE);
}

static void round_robin_takes_turns_and_skips_the_unusable(void **state)
{
    (void)state;
    struct pool p = {.n = 4, .weight = {1, 1, 1, 1}, .down = {false, false, true, false}};
    struct balance_view v = view(&p, true);
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    const uint32_t expect[] = {0, 1, 3, 0, 1, 3};
    for (size_t i = 0; i < ARRAY_LEN(expect); i++)
        assert_int_equal(balance_pick(LB_ROUND_ROBIN, &v, &st, &rng), expect[i]);
}

static void weighted_round_robin_is_proportional(void **state)
{
    (void)state;
    struct pool p = {.n = 3, .weight = {1, 2, 7}};
    struct balance_view v = view(&p, false);
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    unsigned seen[3] = {0};
    for (int i = 0; i < 1000; i++)
        seen[balance_pick(LB_ROUND_ROBIN, &v, &st, &rng)]++;
    assert_in_range(seen[0], 90, 110);
    assert_in_range(seen[1], 190, 210);
}

static void least_request_prefers_the_idle_one(void **state)
{
    (void)state;
    struct pool p = {.n = 2, .weight = {1, 1}, .active = {10, 0}};
    struct balance_view v = view(&p, true);
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    for (int i = 0; i < 100; i++)
        assert_int_equal(balance_pick(LB_LEAST_REQUEST, &v, &st, &rng), 1);
}

static void least_request_spreads_evenly_when_each_pick_adds_load(void **state)
{
    (void)state;
    struct pool p = {.n = 8, .weight = {1, 1, 1, 1, 1, 1, 1, 1}};
    struct balance_view v = view(&p, true);
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    for (int i = 0; i < 800; i++)
        p.active[balance_pick(LB_LEAST_REQUEST, &v, &st, &rng)]++;
    for (int i = 0; i < 8; i++)
        assert_in_range(p.active[i], 90, 110);
}

static void nothing_usable_is_said_so(void **state)
{
    (void)state;
    struct pool p = {.n = 2, .weight = {1, 5}, .down = {true, true}};
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    for (int policy = LB_ROUND_ROBIN; policy <= LB_RANDOM; policy++)
        for (int equal = 0; equal < 2; equal++) {
            struct balance_view v = view(&p, equal);
            assert_int_equal(balance_pick(policy, &v, &st, &rng), BALANCE_NONE);
        }
    struct balance_view none = view(&(struct pool){0}, true);
    assert_int_equal(balance_pick(LB_RANDOM, &none, &st, &rng), BALANCE_NONE);
}

static void weight_zero_is_never_taken_by_weight(void **state)
{
    (void)state;
    struct pool p = {.n = 2, .weight = {0, 3}};
    struct balance_view v = view(&p, false);
    struct balance_state st = {0};
    struct rng rng;
    rng_seed(&rng);
    for (int i = 0; i < 200; i++)
        assert_int_equal(balance_pick(LB_RANDOM, &v, &st, &rng), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_hold_their_weights_over_every_hundred_requests),
        cmocka_unit_test(a_rule_without_weights_picks_nothing),
        cmocka_unit_test(round_robin_takes_turns_and_skips_the_unusable),
        cmocka_unit_test(weighted_round_robin_is_proportional),
        cmocka_unit_test(least_request_prefers_the_idle_one),
        cmocka_unit_test(least_request_spreads_evenly_when_each_pick_adds_load),
        cmocka_unit_test(nothing_usable_is_said_so),
        cmocka_unit_test(weight_zero_is_never_taken_by_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
