#include "master/supervise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void check(enum child_state from, enum child_event e, enum child_state to, enum child_act act)
{
    struct child_step s = child_step(from, e);
    assert_int_equal(s.next, to);
    assert_int_equal(s.act, act);
}

static void the_usual_life(void **state)
{
    (void)state;
    check(CHILD_STARTING, EV_READY, CHILD_READY, ACT_NONE);
    check(CHILD_READY, EV_PROMOTE, CHILD_ACTIVE, ACT_PROMOTE);
    check(CHILD_ACTIVE, EV_DRAIN, CHILD_DRAINING, ACT_DRAIN);
    check(CHILD_DRAINING, EV_BROKEN, CHILD_DRAINING, ACT_NONE);
    check(CHILD_DRAINING, EV_EXIT, CHILD_GONE, ACT_BURY);
}

static void who_is_stuck_is_aborted_then_killed(void **state)
{
    (void)state;
    static const enum child_state alive[] = {CHILD_STARTING, CHILD_READY, CHILD_ACTIVE, CHILD_DRAINING};
    for (size_t i = 0; i < ARRAY_LEN(alive); i++)
        check(alive[i], EV_STUCK, CHILD_ENDING, ACT_ABORT);
    check(CHILD_ENDING, EV_TIMEOUT, CHILD_ENDING, ACT_KILL);
    check(CHILD_ENDING, EV_STUCK, CHILD_ENDING, ACT_NONE);
    check(CHILD_DRAINING, EV_TIMEOUT, CHILD_ENDING, ACT_KILL);
    check(CHILD_STARTING, EV_TIMEOUT, CHILD_ENDING, ACT_ABORT);
}

static void every_state_ends_with_exit_and_stays_gone(void **state)
{
    (void)state;
    for (int s = 0; s < CHILD_GONE; s++)
        check((enum child_state)s, EV_EXIT, CHILD_GONE, ACT_BURY);
    for (int e = 0; e < EV_COUNT; e++)
        check(CHILD_GONE, (enum child_event)e, CHILD_GONE, ACT_NONE);
}

static void nobody_comes_back_from_ending(void **state)
{
    (void)state;
    for (int e = 0; e < EV_COUNT; e++) {
        struct child_step s = child_step(CHILD_ENDING, (enum child_event)e);
        assert_true(s.next == CHILD_ENDING || s.next == CHILD_GONE);
        assert_true(s.act == ACT_NONE || s.act == ACT_KILL || s.act == ACT_BURY);
    }
}

static void only_the_ready_are_promoted(void **state)
{
    (void)state;
    for (int s = 0; s < CHILD_STATE_COUNT; s++) {
        struct child_step step = child_step((enum child_state)s, EV_PROMOTE);
        assert_int_equal(step.act == ACT_PROMOTE, s == CHILD_READY);
    }
}

static void a_process_that_lived_is_replaced_without_delay(void **state)
{
    (void)state;
    struct backoff b = {0};
    backoff_died(&b, 1000, 1050, 3000);
    assert_int_equal(b.not_before_ms, 0);
    backoff_died(&b, 1000, 1050, 1500); /* ready, but gone within a second */
    assert_int_equal(b.not_before_ms, 1600);
    backoff_died(&b, 2000, 2010, 5000);
    assert_int_equal(b.failures, 0);
    assert_int_equal(b.not_before_ms, 0);
}

static void failures_wait_longer_and_longer_but_never_give_up(void **state)
{
    (void)state;
    struct backoff b = {0};
    uint64_t now = 1000;
    static const uint64_t waits[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000};
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        backoff_died(&b, now, 0, now + 20); /* never ready */
        assert_int_equal(b.not_before_ms - (now + 20), waits[i]);
        now = b.not_before_ms;
    }
    for (int i = 0; i < 1000; i++) {
        backoff_died(&b, now, 0, now + 20);
        assert_int_equal(b.not_before_ms - (now + 20), 5000);
        now = b.not_before_ms;
    }
}

static void many_that_were_started_together_fail_once(void **state)
{
    (void)state;
    struct backoff b = {0};
    for (int i = 0; i < 64; i++)
        backoff_died(&b, 1000, 0, 1010 + (uint64_t)i);
    assert_int_equal(b.failures, 1);
    assert_int_equal(b.not_before_ms, 1110);
}

static struct role_plan plan(uint32_t wanted, uint32_t spares, uint32_t active, uint32_t ready, uint32_t starting)
{
    struct role_counts c = {wanted, spares, active, ready, starting};
    return role_plan(&c);
}

static void places_are_filled_and_one_waits(void **state)
{
    (void)state;
    struct role_plan p = plan(2, 1, 0, 0, 0);
    assert_int_equal(p.start, 3);
    p = plan(2, 1, 0, 1, 2);
    assert_int_equal(p.promote, 1);
    assert_int_equal(p.start, 0);
    p = plan(2, 1, 1, 1, 0); /* an active one died: the spare takes over, another is started */
    assert_int_equal(p.promote, 1);
    assert_int_equal(p.start, 1);
    p = plan(2, 1, 2, 1, 0);
    assert_int_equal(p.promote + p.start + p.drain_active + p.drain_waiting, 0);
}

static void fewer_wanted_drain_the_rest(void **state)
{
    (void)state;
    struct role_plan p = plan(1, 1, 3, 1, 0);
    assert_int_equal(p.drain_active, 2);
    assert_int_equal(p.start + p.promote + p.drain_waiting, 0);
    p = plan(1, 1, 1, 2, 1);
    assert_int_equal(p.drain_waiting, 2);
}

static void every_plan_leads_to_the_wanted_numbers(void **state)
{
    (void)state;
    for (uint32_t wanted = 1; wanted < 6; wanted++)
        for (uint32_t spares = 0; spares < 2; spares++)
            for (uint32_t i = 0; i < 512; i++) {
                uint32_t active = i & 7, ready = i >> 3 & 7, starting = i >> 6 & 7;
                for (int step = 0; step < 64; step++) { /* one thing at a time, as supervise.c does */
                    struct role_plan p = plan(wanted, spares, active, ready, starting);
                    if (p.promote)
                        active++, ready--;
                    else if (p.drain_active)
                        active--;
                    else if (p.drain_waiting && ready)
                        ready--;
                    else if (p.drain_waiting)
                        starting--;
                    else if (p.start)
                        starting++;
                    else if (starting)
                        starting--, ready++; /* time passes */
                    else
                        break;
                }
                assert_int_equal(active, wanted);
                assert_int_equal(ready, spares);
                assert_int_equal(starting, 0);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_life),
        cmocka_unit_test(who_is_stuck_is_aborted_then_killed),
        cmocka_unit_test(every_state_ends_with_exit_and_stays_gone),
        cmocka_unit_test(nobody_comes_back_from_ending),
        cmocka_unit_test(only_the_ready_are_promoted),
        cmocka_unit_test(a_process_that_lived_is_replaced_without_delay),
        cmocka_unit_test(failures_wait_longer_and_longer_but_never_give_up),
        cmocka_unit_test(many_that_were_started_together_fail_once),
        cmocka_unit_test(places_are_filled_and_one_waits),
        cmocka_unit_test(fewer_wanted_drain_the_rest),
        cmocka_unit_test(every_plan_leads_to_the_wanted_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
