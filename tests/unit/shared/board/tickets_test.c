/* Keys of session tickets: read whole, turned in time, and nowhere when they are given up. */
#include "shared/board/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define DAY 86400u

static int setup(void **state)
{
    int fd;
    struct board *b;
    assert_int_equal(board_make(&b, &fd), 0);
    close(fd);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    board_close(*state);
    return 0;
}

static void without_keys_there_is_nothing_to_read(void **state)
{
    struct board_ticket_keys k;
    assert_int_equal(board_tickets_read(board_tickets(*state), &k), 0);
    assert_int_equal(k.n, 0);
    assert_int_equal(board_tickets_turn(board_tickets(*state)), 0);
}

static void keys_are_read_as_written(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    struct board_ticket_keys k, again;
    assert_true(board_tickets_rotate(t, 1000, DAY));
    uint32_t turn = board_tickets_read(t, &k);
    assert_int_not_equal(turn, 0);
    assert_int_equal(turn, board_tickets_turn(t));
    assert_int_equal(k.n, 1);
    assert_int_equal(k.v[0].made_wall_s, 1000);
    assert_false(board_tickets_rotate(t, 1000 + DAY / 2 - 1, DAY));
    assert_int_equal(board_tickets_read(t, &again), turn);
    assert_memory_equal(&k, &again, sizeof(k));
}

/* For every ticket that may still be alive its key is there, and no key is there for longer. */
static void every_living_ticket_has_its_key_and_no_key_lives_on(void **state)
{
    struct board_ticket_keys k = {0};
    (void)state;
    struct { uint64_t made; uint8_t name[16]; } tickets[400];
    for (uint64_t now = 0; now < 400; now++) { /* hours; a ticket each */
        board_ticket_keys_turn(&k, now, 24);
        tickets[now].made = now;
        memcpy(tickets[now].name, k.v[0].name, 16);
        for (uint64_t i = 0; i <= now; i++) {
            bool there = false;
            for (uint32_t j = 0; j < k.n; j++)
                there = there || memcmp(k.v[j].name, tickets[i].name, 16) == 0;
            if (now - i < 24)
                assert_true(there);
            if (now - i >= 36)
                assert_false(there);
        }
        assert_true(k.n <= BOARD_TICKET_KEYS);
        for (uint32_t j = k.n; j < BOARD_TICKET_KEYS; j++)
            for (size_t i = 0; i < 32; i++)
                assert_int_equal(k.v[j].key[i], 0);
    }
}

static void a_clock_that_jumps_makes_no_key_live_for_ever(void **state)
{
    struct board_ticket_keys k = {0};
    (void)state;
    board_ticket_keys_turn(&k, 100 * DAY, DAY);
    struct board_ticket_key first = k.v[0];
    assert_true(board_ticket_keys_turn(&k, 10 * DAY, DAY)); /* back: it stays, made now */
    assert_int_equal(k.n, 1);
    assert_memory_equal(k.v[0].key, first.key, 32);
    assert_int_equal(k.v[0].made_wall_s, 10 * DAY);
    assert_true(board_ticket_keys_turn(&k, 10 * DAY + DAY / 2, DAY));
    assert_int_equal(k.n, 2);
    assert_true(board_ticket_keys_turn(&k, 400 * DAY, DAY)); /* far ahead: nothing old is alive but what was used until now */
    assert_int_equal(k.n, 2);
    assert_int_equal(k.v[1].made_wall_s, 10 * DAY + DAY / 2);
    assert_false(board_ticket_keys_turn(&k, 400 * DAY, DAY));
}

static void no_lifetime_means_no_keys(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    struct board_ticket_keys k;
    board_tickets_rotate(t, 1000, DAY);
    assert_true(board_tickets_rotate(t, 1000, 0));
    assert_int_not_equal(board_tickets_read(t, &k), 0);
    assert_int_equal(k.n, 0);
    assert_false(board_tickets_rotate(t, 1000, 0));
    assert_true(board_tickets_rotate(t, 1000, 1));
}

static void rubbish_on_the_board_is_no_key(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    struct board_ticket_keys k;
    memset(t, 0xff, sizeof(*t));
    assert_int_equal(board_tickets_read(t, &k), 0);
    assert_int_equal(k.n, 0);
    assert_true(board_tickets_rotate(t, 1000, DAY));
    assert_int_not_equal(board_tickets_read(t, &k), 0);
    assert_int_equal(k.n, 1);
}

/* Every byte of a set of keys has one value here; a torn read would have two. */
static void a_reader_never_sees_half_a_set(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    madvise((void *)((uintptr_t)t & ~4095ul), 4096, MADV_DOFORK); /* the other process of this test is a fork */
    pid_t writer = fork();
    if (writer == 0) {
        for (unsigned i = 0; i < 20000; i++) {
            struct board_ticket_keys k;
            memset(&k, (int)(i & 0xff), sizeof(k));
            k.n = BOARD_TICKET_KEYS;
            board_tickets_write(t, &k);
        }
        _exit(0);
    }
    int status = 0;
    while (waitpid(writer, &status, WNOHANG) == 0) {
        struct board_ticket_keys k;
        if (!board_tickets_read(t, &k))
            continue;
        for (int i = 0; i < BOARD_TICKET_KEYS; i++) {
            assert_int_equal(k.v[i].key[31], k.v[0].name[0]);
            assert_int_equal(k.v[i].name[15], k.v[0].name[0]);
        }
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Rule 7: what the master forks and does not exec has no mapping of the keys. */
static void a_fork_does_not_inherit_them(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    board_tickets_rotate(t, 1000, DAY);
    pid_t child = fork();
    if (child == 0) {
        unsigned char resident;
        _exit(mincore((void *)((uintptr_t)t & ~4095ul), 4096, &resident) == 0 ? 1 : 0); /* ENOMEM: nothing is there */
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void given_up_keys_are_in_neither_copy(void **state)
{
    struct board_tickets *t = board_tickets(*state);
    struct board_ticket_keys k;
    board_tickets_rotate(t, 1000, DAY);
    board_tickets_read(t, &k);
    board_tickets_rotate(t, 1000, 0);
    for (size_t i = 0; i + 32 <= sizeof(*t); i++)
        assert_memory_not_equal((const char *)t + i, k.v[0].key, 32);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_keys_there_is_nothing_to_read),
        TEST(keys_are_read_as_written),
        TEST(every_living_ticket_has_its_key_and_no_key_lives_on),
        TEST(a_clock_that_jumps_makes_no_key_live_for_ever),
        TEST(no_lifetime_means_no_keys),
        TEST(rubbish_on_the_board_is_no_key),
        TEST(a_reader_never_sees_half_a_set),
        TEST(a_fork_does_not_inherit_them),
        TEST(given_up_keys_are_in_neither_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
