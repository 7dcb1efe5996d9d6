#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/board/board.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static void two_mappings_see_one_memory(void **state)
{
    (void)state;
    struct board *a, *b;
    int fd;
    assert_int_equal(board_make(&a, &fd), 0);
    assert_int_equal(board_open(&b, fd), 0);
    close(fd);
    board_add(&board_series(a, 3, 17)->requests[2], 5);
    assert_int_equal(board_get(&board_series(b, 3, 17)->requests[2]), 5);
    assert_int_equal(board_get(&board_series(b, 4, 17)->requests[2]), 0);
    atomic_store(&board_proc(b, 159)->pid, 42);
    assert_int_equal(atomic_load(&board_proc(a, 159)->pid), 42);
    board_close(a);
    board_close(b);
}

static void an_empty_board_uses_hardly_any_memory(void **state)
{
    (void)state;
    struct board *b;
    struct stat st;
    int fd;
    assert_int_equal(board_make(&b, &fd), 0);
    board_row_reset(b, 0); /* looks at gauges without touching what was never used */
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
    close(fd);
    board_close(b);
}

static void its_size_is_sealed(void **state)
{
    (void)state;
    struct board *b;
    int fd;
    assert_int_equal(board_make(&b, &fd), 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    close(fd);
    board_close(b);
}

static void what_is_no_board_is_refused(void **state)
{
    (void)state;
    struct board *b = NULL, *other;
    int p[2], fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(board_open(&b, p[0]), GH_E_FORMAT);
    assert_int_equal(board_open(&b, fd), GH_E_UNSEALED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    assert_int_equal(board_open(&b, fd), GH_E_VERSION);
    close(fd);
    close(p[0]);
    close(p[1]);

    assert_int_equal(board_make(&other, &fd), 0);
    board_head(other)->version++;
    assert_int_equal(board_open(&b, fd), GH_E_VERSION);
    board_head(other)->magic++;
    assert_int_equal(board_open(&b, fd), GH_E_FORMAT);
    assert_null(b);
    close(fd);
    board_close(other);
    board_close(NULL);
}

static void places_out_of_range_are_nothing_or_the_overflow_place(void **state)
{
    struct board *b = *state;
    assert_null(board_proc(b, BOARD_MAX_PROC));
    assert_null(board_endpoint(b, BOARD_MAX_ENDPOINTS));
    assert_null(board_dns(b, BOARD_MAX_DNS));
    assert_ptr_equal(board_series(b, 1, BOARD_MAX_SLOTS), board_series(b, 1, 0));
    board_endpoint_enter(b, 0, BOARD_MAX_ENDPOINTS); /* nothing happens */
    board_endpoint_leave(b, 0, UINT32_MAX);
    board_add(&board_series(b, BOARD_MAX_PROC - 1, BOARD_MAX_SLOTS - 1)->retries, 1); /* the last byte is mapped */
}

static void a_reset_zeroes_gauges_and_keeps_counters(void **state)
{
    struct board *b = *state;
    struct board_proc *p = board_proc(b, 2);
    board_add(&p->counters.accepted, 9);
    board_add(&p->counters.client_active, 3);
    atomic_store(&p->connections, 3);
    atomic_store(&p->accepting, 1);
    static const uint32_t slots[] = {0, 1, 6, 7, 8, 4095, BOARD_MAX_SLOTS - 1};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        board_add(&board_series(b, 2, slots[i])->requests[2], 11);
        board_add(&board_series(b, 2, slots[i])->active, 4);
        board_add(&board_series(b, 3, slots[i])->active, 5);
    }
    board_row_reset(b, 2);
    assert_int_equal(board_get(&p->counters.accepted), 9);
    assert_int_equal(board_get(&p->counters.client_active), 0);
    assert_int_equal(atomic_load(&p->connections), 0);
    assert_int_equal(atomic_load(&p->accepting), 0);
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        assert_int_equal(board_get(&board_series(b, 2, slots[i])->requests[2]), 11);
        assert_int_equal(board_get(&board_series(b, 2, slots[i])->active), 0);
        assert_int_equal(board_get(&board_series(b, 3, slots[i])->active), 5);
    }
}

static void a_dead_process_gives_back_its_part_of_the_endpoints(void **state)
{
    struct board *b = *state;
    for (int i = 0; i < 3; i++)
        board_endpoint_enter(b, 1, 100);
    board_endpoint_enter(b, 2, 100);
    board_endpoint_enter(b, 1, BOARD_MAX_ENDPOINTS - 1);
    board_endpoint_leave(b, 1, 100);
    assert_int_equal(atomic_load(&board_endpoint(b, 100)->active), 3);
    board_row_reset(b, 1);
    assert_int_equal(atomic_load(&board_endpoint(b, 100)->active), 1);
    assert_int_equal(atomic_load(&board_endpoint(b, BOARD_MAX_ENDPOINTS - 1)->active), 0);
    board_row_reset(b, 1); /* twice is once */
    assert_int_equal(atomic_load(&board_endpoint(b, 100)->active), 1);
    board_endpoint_leave(b, 2, 100);
    board_endpoint_leave(b, 2, 100); /* one too many */
    assert_int_equal(atomic_load(&board_endpoint(b, 100)->active), 0);
}

static void a_share_that_lies_takes_no_more_than_there_is(void **state)
{
    struct board *b = *state;
    board_endpoint_enter(b, 5, 9);
    atomic_store(&board_endpoint(b, 9)->active, 0);
    board_row_reset(b, 5);
    assert_int_equal(atomic_load(&board_endpoint(b, 9)->active), 0);
}

static void a_heartbeat_from_the_future_counts_as_now(void **state)
{
    struct board *b = *state;
    atomic_store(&board_proc(b, 0)->heartbeat_ns, UINT64_MAX);
    assert_int_equal(board_heartbeat(b, 0, 1000), 1000);
    atomic_store(&board_proc(b, 0)->heartbeat_ns, 10);
    assert_int_equal(board_heartbeat(b, 0, 1000), 10);
}

static void dns_answers_are_read_as_written(void **state)
{
    struct board *b = *state;
    struct board_dns *d = board_dns(b, 4);
    struct board_dns_answer a = {.n = 2, .expires_wall_s = 77}, got;
    assert_false(board_dns_read(d, &got));
    for (uint32_t i = 1; i < 5; i++) {
        a.v[0].addr[0] = (uint8_t)i;
        a.v[0].family = 4;
        board_dns_write(d, &a);
        assert_true(board_dns_read(d, &got));
        assert_memory_equal(&got, &a, sizeof(a));
    }
    a.n = BOARD_DNS_ADDRS + 1; /* a scout gone bad */
    board_dns_write(d, &a);
    assert_false(board_dns_read(d, &got));
}

static void a_dns_reader_never_sees_half_an_answer(void **state)
{
    struct board *b = *state;
    struct board_dns *d = board_dns(b, 0);
    pid_t writer = fork();
    if (writer == 0) {
        struct board_dns_answer a;
        for (unsigned i = 0; i < 20000; i++) {
            memset(&a, (int)(i & 0x1f), sizeof(a));
            a.n = i & 0x1f;
            board_dns_write(d, &a);
        }
        _exit(0);
    }
    int status = 0;
    while (waitpid(writer, &status, WNOHANG) == 0) {
        struct board_dns_answer got;
        if (!board_dns_read(d, &got))
            continue;
        assert_int_equal(got.v[0].addr[3], got.n);
        assert_int_equal(got.v[BOARD_DNS_ADDRS - 1].addr[15], got.n);
    }
    assert_true(WIFEXITED(status));
}

static void buckets_are_ordered_and_bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BOARD_HIST_BUCKETS; i++) {
        assert_int_equal(board_hist_bucket(BOARD_HIST_US[i]), i);
        assert_int_equal(board_hist_bucket((uint64_t)BOARD_HIST_US[i] + 1), i + 1);
    }
    assert_int_equal(board_hist_bucket(0), 0);
    assert_int_equal(board_hist_bucket(UINT64_MAX), BOARD_HIST_BUCKETS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_mappings_see_one_memory),
        cmocka_unit_test(an_empty_board_uses_hardly_any_memory),
        cmocka_unit_test(its_size_is_sealed),
        cmocka_unit_test(what_is_no_board_is_refused),
        TEST(places_out_of_range_are_nothing_or_the_overflow_place),
        TEST(a_reset_zeroes_gauges_and_keeps_counters),
        TEST(a_dead_process_gives_back_its_part_of_the_endpoints),
        TEST(a_share_that_lies_takes_no_more_than_there_is),
        TEST(a_heartbeat_from_the_future_counts_as_now),
        TEST(dns_answers_are_read_as_written),
        TEST(a_dns_reader_never_sees_half_an_answer),
        TEST(buckets_are_ordered_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
