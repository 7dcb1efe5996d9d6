#include "shared/base/hash.h"
#include "shared/board/board.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

static int setup(void **state)
{
    struct board *b;
    int fd;
    if (board_make(&b, &fd) != 0)
        return -1;
    close(fd);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    board_close(*state);
    return 0;
}

static void one_process_has_it_until_it_lets_go(void **state)
{
    struct board *b = *state;
    assert_int_equal(board_claimed(b, 7), BOARD_NOBODY);
    assert_true(board_claim(b, 3, 7, BOARD_NOBODY));
    assert_int_equal(board_claimed(b, 7), 3);
    assert_false(board_claim(b, 4, 7, BOARD_NOBODY));
    board_unclaim(b, 4, 7); /* not its own */
    assert_int_equal(board_claimed(b, 7), 3);
    board_unclaim(b, 3, 7);
    assert_int_equal(board_claimed(b, 7), BOARD_NOBODY);
    assert_true(board_claim(b, 4, 7, BOARD_NOBODY));
}

static void it_is_taken_from_who_has_it_not_from_another(void **state)
{
    struct board *b = *state;
    assert_true(board_claim(b, 3, 7, BOARD_NOBODY));
    assert_false(board_claim(b, 5, 7, 4));
    assert_true(board_claim(b, 5, 7, 3));
    assert_int_equal(board_claimed(b, 7), 5);
    assert_false(board_claim(b, 6, 8, 5)); /* another socket, which nobody has */
}

static void a_dead_process_has_nothing(void **state)
{
    struct board *b = *state;
    for (uint64_t key = 1; key <= 50; key++)
        assert_true(board_claim(b, key % 2 ? 3 : 4, key, BOARD_NOBODY));
    board_row_reset(b, 3);
    for (uint64_t key = 1; key <= 50; key++)
        assert_int_equal(board_claimed(b, key), key % 2 ? BOARD_NOBODY : 4);
}

static void nonsense_in_the_memory_is_nobody(void **state)
{
    struct board *b = *state;
    for (uint32_t i = 0; i < BOARD_CLAIMS; i++)
        atomic_store(&board_claims(b)[i], UINT64_C(9) << 8 | 0xff);
    assert_int_equal(board_claimed(b, 9), BOARD_NOBODY);
    assert_false(board_claim(b, 1, 10, BOARD_NOBODY)); /* full */
}

struct racer {
    struct board *b;
    uint32_t row;
    uint32_t won;
    pthread_t thread;
};

#define KEYS 2000

static void *race(void *arg)
{
    struct racer *r = arg;
    for (uint64_t key = 1; key <= KEYS; key++)
        r->won += board_claim(r->b, r->row, key, BOARD_NOBODY);
    return NULL;
}

static void of_many_that_want_it_one_gets_it(void **state)
{
    struct board *b = *state;
    struct racer r[4];
    uint32_t sum = 0, claimed = 0;
    for (uint32_t i = 0; i < 4; i++) {
        r[i] = (struct racer){.b = b, .row = i + 1};
        assert_int_equal(pthread_create(&r[i].thread, NULL, race, &r[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(r[i].thread, NULL);
        sum += r[i].won;
    }
    for (uint64_t key = 1; key <= KEYS; key++)
        claimed += board_claimed(b, key) != BOARD_NOBODY;
    assert_int_equal(sum, claimed); /* two that met may both have stepped back; then the next try gets it */
    assert_true(claimed > KEYS * 9 / 10);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(one_process_has_it_until_it_lets_go),
        T(it_is_taken_from_who_has_it_not_from_another),
        T(a_dead_process_has_nothing),
        T(nonsense_in_the_memory_is_nobody),
        T(of_many_that_want_it_one_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
