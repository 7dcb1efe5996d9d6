#include "master/settle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void nothing_changed_is_never_due(void **state)
{
    (void)state;
    struct settle s = {0};
    assert_true(settle_due_ms(&s) == UINT64_MAX);
    settle_event(&s, 5);
    settle_clear(&s);
    assert_true(settle_due_ms(&s) == UINT64_MAX);
}

static void one_change_is_due_when_it_was_quiet(void **state)
{
    (void)state;
    struct settle s = {0};
    settle_event(&s, 1000);
    assert_int_equal(settle_due_ms(&s), 1020);
    settle_event(&s, 1015);
    assert_int_equal(settle_due_ms(&s), 1035);
}

static void constant_change_waits_no_longer_than_the_maximum(void **state)
{
    (void)state;
    struct settle s = {0};
    for (uint64_t t = 1000; t < 1200; t += 10)
        settle_event(&s, t);
    assert_int_equal(settle_due_ms(&s), 1200);
}

static void one_file_that_is_done_is_due_soon(void **state)
{
    (void)state;
    struct settle s = {0};
    settle_renamed(&s, 1, 1000);
    assert_int_equal(settle_due_ms(&s), 1002);
    settle_clear(&s);
    settle_renamed_from(&s, 2000); /* of its temporary name */
    settle_renamed(&s, 1, 2000);
    assert_int_equal(settle_due_ms(&s), 2002);
    settle_clear(&s);
    settle_writing(&s, 1, 3000);
    settle_closed(&s, 1, 3001);
    assert_int_equal(settle_due_ms(&s), 3005);
}

static void several_files_are_a_burst(void **state)
{
    (void)state;
    struct settle s = {0};
    settle_renamed(&s, 1, 1000);
    settle_renamed(&s, 2, 1001);
    assert_int_equal(settle_due_ms(&s), 1021);
    settle_clear(&s);
    settle_renamed(&s, 1, 2000);
    settle_event(&s, 2000);
    assert_int_equal(settle_due_ms(&s), 2020);
}

static void what_follows_a_load_closely_is_a_burst(void **state)
{
    (void)state;
    struct settle s = {0};
    settle_renamed(&s, 1, 1000);
    settle_clear(&s);
    settle_clear(&s); /* a load for another reason */
    settle_renamed(&s, 2, 1100);
    assert_int_equal(settle_due_ms(&s), 1120);
    settle_clear(&s);
    settle_renamed(&s, 3, 1350);
    assert_int_equal(settle_due_ms(&s), 1352);
}

static void a_file_written_in_pieces_is_not_loaded_before_its_writer_is_done(void **state)
{
    (void)state;
    struct settle s = {0};
    for (uint64_t t = 1000; t <= 1500; t += 50) {
        settle_writing(&s, 7, t);
        assert_true(settle_due_ms(&s) > t + 50);
    }
    settle_closed(&s, 7, 1510);
    assert_true(settle_due_ms(&s) <= 1530);
}

static void a_writer_that_never_closes_holds_nobody_for_ever(void **state)
{
    (void)state;
    struct settle s = {0};
    for (uint64_t t = 1000; t < 4000; t += 50)
        settle_writing(&s, 7, t);
    assert_int_equal(settle_due_ms(&s), 3000);
    settle_clear(&s);
    settle_writing(&s, 7, 5000);
    assert_int_equal(settle_due_ms(&s), 5100);
}

static void a_file_that_vanished_has_time_to_come_back(void **state)
{
    (void)state;
    struct settle s = {0};
    settle_vanished(&s, 7, 1000);
    assert_int_equal(settle_due_ms(&s), 1100);
    settle_writing(&s, 7, 1040);
    settle_closed(&s, 7, 1042);
    assert_int_equal(settle_due_ms(&s), 1062);
}

static void many_that_vanish_are_still_bounded(void **state)
{
    (void)state;
    struct settle s = {0};
    for (uint64_t t = 1000; t < 1199; t++)
        settle_vanished(&s, t, t);
    assert_int_equal(settle_due_ms(&s), 1200);
}

static void more_writers_than_remembered_count_as_writing(void **state)
{
    (void)state;
    struct settle s = {0};
    for (uint64_t i = 0; i < SETTLE_FILES + 1; i++)
        settle_writing(&s, i, 1000);
    for (uint64_t i = 0; i < SETTLE_FILES + 1; i++)
        settle_closed(&s, i, 1000);
    assert_int_equal(settle_due_ms(&s), 1100);
    settle_clear(&s);
    settle_event(&s, 2000);
    assert_int_equal(settle_due_ms(&s), 2020);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_changed_is_never_due),
        cmocka_unit_test(one_change_is_due_when_it_was_quiet),
        cmocka_unit_test(constant_change_waits_no_longer_than_the_maximum),
        cmocka_unit_test(one_file_that_is_done_is_due_soon),
        cmocka_unit_test(several_files_are_a_burst),
        cmocka_unit_test(what_follows_a_load_closely_is_a_burst),
        cmocka_unit_test(a_file_written_in_pieces_is_not_loaded_before_its_writer_is_done),
        cmocka_unit_test(a_writer_that_never_closes_holds_nobody_for_ever),
        cmocka_unit_test(a_file_that_vanished_has_time_to_come_back),
        cmocka_unit_test(many_that_vanish_are_still_bounded),
        cmocka_unit_test(more_writers_than_remembered_count_as_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
