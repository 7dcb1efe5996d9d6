#include "tests/unit/shared/base/base_test.h"
#include "worker/net/gather.h"

#define BEGAN UINT64_C(5000000000)

/* One turn that took `took` ns and moved that much; the wait before the next one. */
static uint32_t turn(struct gather *g, uint32_t took, uint32_t moved)
{
    g->moved = moved;
    return gather_wait(g, BEGAN, BEGAN + took);
}

static void a_short_turn_is_followed_by_the_rest_of_the_time(void **state)
{
    (void)state;
    struct gather g = {0};
    assert_int_equal(turn(&g, 30000, 10), GATHER_NS - 30000);
    assert_int_equal(turn(&g, 1, 10), GATHER_NS - 1);
}

static void nothing_waits_behind_a_long_turn(void **state)
{
    (void)state;
    struct gather g = {0};
    assert_int_equal(turn(&g, GATHER_NS, 10), 0);
    assert_int_equal(turn(&g, GATHER_NS + 500, 0), 0);
    assert_int_equal(turn(&g, 500, 0), GATHER_NS - 500); /* there was no wait that could have been in vain */
}

static void waits_in_vain_become_rare(void **state)
{
    (void)state;
    struct gather g = {0};
    unsigned waits = 0, turns = 1000;
    for (unsigned i = 0; i < turns; i++)
        waits += turn(&g, 500, 1) > 0;
    assert_in_range(waits, 8, 8 + turns / 64);
}

static void a_wait_that_pays_brings_them_back(void **state)
{
    (void)state;
    struct gather g = {0};
    for (unsigned i = 0; i < 300; i++)
        turn(&g, 500, 0);
    while (!turn(&g, 500, 0))
        ;
    for (unsigned i = 0; i < 10; i++)
        assert_true(turn(&g, 500, GATHER_LEAST) > 0);
}

static void every_second_long_turn_writes_for_both(void **state)
{
    (void)state;
    struct gather g = {0};
    for (unsigned i = 0; i < 5; i++) {
        assert_true(gather_hold(&g, BEGAN, BEGAN + GATHER_HOLD_MIN));
        assert_false(gather_hold(&g, BEGAN, BEGAN + GATHER_HOLD_MIN));
    }
    assert_false(gather_hold(&g, BEGAN, BEGAN + GATHER_HOLD_MIN - 1));
    assert_false(gather_hold(&g, BEGAN, BEGAN + GATHER_HOLD_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_turn_is_followed_by_the_rest_of_the_time),
        cmocka_unit_test(nothing_waits_behind_a_long_turn),
        cmocka_unit_test(waits_in_vain_become_rare),
        cmocka_unit_test(a_wait_that_pays_brings_them_back),
        cmocka_unit_test(every_second_long_turn_writes_for_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
