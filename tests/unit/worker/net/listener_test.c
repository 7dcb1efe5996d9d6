#include "tests/unit/shared/base/base_test.h"
#include "worker/net/listener.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

struct rig {
    uv_loop_t loop;
    struct log log;
    struct net net;
    struct board *board;
    struct listeners l;
    struct sockaddr_in at;
    unsigned n, closed_idle;
    struct accepted last;
    bool full, unwanted;
    uint32_t silent_s;
};

static void accepted(struct listeners *l, const struct accepted *a)
{
    struct rig *r = CONTAINER_OF(l, struct rig, l);
    r->n++;
    r->last = *a;
    close(a->fd);
    atomic_fetch_add(&board_proc(r->board, 1)->connections, 1);
}
static bool room(struct listeners *l, bool kernel_is_out)
{
    struct rig *r = CONTAINER_OF(l, struct rig, l);
    (void)kernel_is_out;
    return !r->full;
}
static bool wanted(struct listeners *l, uint64_t bind_id)
{
    (void)bind_id;
    return !CONTAINER_OF(l, struct rig, l)->unwanted;
}
static uint32_t silent_s(struct listeners *l, uint64_t bind_id)
{
    (void)bind_id;
    return CONTAINER_OF(l, struct rig, l)->silent_s;
}
static const struct listeners_owner OWNER = {accepted, room, wanted, silent_s};

static void row(struct rig *r, uint32_t i, uint32_t connections, uint64_t beat_ns)
{
    struct board_proc *p = board_proc(r->board, i);
    p->role = ROLE_WORKER;
    p->state = PROC_ACTIVE;
    p->connections = connections;
    p->heartbeat_ns = beat_ns;
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    socklen_t len = sizeof(r->at);
    int fd, board_fd = -1;
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(board_make(&r->board, &board_fd), 0);
    close(board_fd);
    row(r, 1, 0, clock_ns());
    assert_int_equal(net_init(&r->net, &r->loop, &board_proc(r->board, 1)->counters, &r->log), 0);
    listeners_init(&r->l, &r->net, r->board, 1, &OWNER);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    r->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&r->at, len), 0);
    assert_int_equal(listen(fd, 100), 0);
    getsockname(fd, (struct sockaddr *)&r->at, &len);
    assert_int_equal(listeners_add(&r->l, 7, fd), 0);
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    listeners_fini(&r->l);
    net_fini(&r->net);
    board_close(r->board);
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

static void dial(struct rig *r, int n)
{
    while (n-- > 0) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&r->at, sizeof(r->at)), 0);
        close(fd);
    }
}

static void turns(struct rig *r, unsigned n)
{
    while (n-- > 0)
        net_turn(&r->net, 0);
}

static void the_rule_lets_a_worker_be_a_little_above_the_least(void **state)
{
    (void)state;
    assert_true(accept_goes_on(0, UINT32_MAX));
    assert_true(accept_goes_on(4, 0));
    assert_false(accept_goes_on(5, 0));
    assert_true(accept_goes_on(1054, 1000));
    assert_false(accept_goes_on(1055, 1000));
    assert_true(accept_goes_on(UINT32_MAX, UINT32_MAX));
}

static void only_live_workers_count(void **state)
{
    struct rig *r = *state;
    const uint32_t rows[] = {2, 3, 4, 5};
    uint64_t now = clock_ns();
    assert_int_equal(accept_least(r->board, rows, 4, now), UINT32_MAX);
    row(r, 2, 10, now);
    row(r, 3, 5, now - 200 * UINT64_C(1000000)); /* stopped, stuck or dead */
    row(r, 4, 7, now);
    row(r, 5, 1, now);
    board_proc(r->board, 5)->state = PROC_SPARE;
    assert_int_equal(accept_least(r->board, rows, 4, now), 7);
}

static void connections_come_with_their_addresses(void **state)
{
    struct rig *r = *state;
    listeners_set_active(&r->l, true);
    dial(r, 3);
    turns(r, 5);
    assert_int_equal(r->n, 3);
    assert_int_equal(r->last.bind_id, 7);
    assert_int_equal(r->last.peer_family, 4);
    assert_memory_equal(r->last.peer, "\x7f\0\0\1", 4);
    assert_memory_equal(r->last.local, "\x7f\0\0\1", 4);
    assert_int_equal(r->last.local_port, ntohs(r->at.sin_port));
}

/* Another worker: it is woken for the connection, and stopped before it can accept it. */
struct victim {
    int epoll, fd;
    _Atomic pid_t tid;
};

static void *be_woken(void *arg)
{
    struct victim *v = arg;
    struct epoll_event e;
    v->tid = (pid_t)syscall(SYS_gettid);
    (void)!epoll_wait(v->epoll, &e, 1, 10000);
    return NULL;
}

/* It sleeps, and there is nothing else it could sleep in. */
static bool is_waiting(struct victim *v)
{
    char path[64], text[256] = "";
    if (!v->tid)
        return false;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)v->tid);
    FILE *f = fopen(path, "r");
    if (f && !fgets(text, sizeof(text), f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return strstr(text, ") S ") != NULL;
}

static void a_connection_whose_wake_up_was_lost_is_found(void **state)
{
    struct rig *r = *state;
    struct victim other = {epoll_create1(EPOLL_CLOEXEC), socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    pthread_t thread;
    assert_int_equal(bind(other.fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(other.fd, 100), 0);
    getsockname(other.fd, (struct sockaddr *)&r->at, &len);
    assert_int_equal(epoll_ctl(other.epoll, EPOLL_CTL_ADD, other.fd, &e), 0);
    assert_int_equal(listeners_add(&r->l, 7, dup(other.fd)), 0);
    row(r, 2, 0, clock_ns());
    listeners_set_active(&r->l, true); /* behind the other in the kernel's list */
    assert_int_equal(pthread_create(&thread, NULL, be_woken, &other), 0);
    while (!is_waiting(&other))
        sched_yield();
    dial(r, 1);
    pthread_join(thread, NULL);
    for (uint64_t end = clock_ms() + 10000; !r->n && clock_ms() < end;)
        net_turn(&r->net, 1000);
    assert_int_equal(r->n, 1);
    close(other.epoll);
    close(other.fd);
}

static void a_spare_and_an_unwanted_socket_accept_nothing(void **state)
{
    struct rig *r = *state;
    dial(r, 1);
    turns(r, 3);
    assert_int_equal(r->n, 0);
    r->unwanted = true;
    listeners_set_active(&r->l, true);
    turns(r, 3);
    assert_int_equal(r->n, 0);
    r->unwanted = false;
    listeners_refresh(&r->l);
    turns(r, 3);
    assert_int_equal(r->n, 1);
}

static void a_busy_worker_leaves_the_rest_to_others_for_a_moment(void **state)
{
    struct rig *r = *state;
    row(r, 2, 0, clock_ns());
    listeners_set_active(&r->l, true);
    dial(r, 20);
    turns(r, 5);
    assert_int_equal(r->n, 5); /* the slack, and the one that went beyond it */
    assert_int_equal(board_proc(r->board, 1)->accepting, 0);
    row(r, 2, 0, 1); /* the other one is gone: nobody is left to yield to */
    while (r->n < 20)
        net_turn(&r->net, 10);
    assert_int_equal(board_proc(r->board, 1)->accepting, 1);
}

static void without_room_the_backlog_waits(void **state)
{
    struct rig *r = *state;
    r->full = true;
    listeners_set_active(&r->l, true);
    dial(r, 2);
    turns(r, 5);
    assert_int_equal(r->n, 0);
    assert_int_equal(board_get(&board_proc(r->board, 1)->counters.accept_paused), 1);
    r->full = false;
    while (r->n < 2)
        net_turn(&r->net, 10);
}

static int dial_one(struct rig *r)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&r->at, sizeof(r->at)), 0);
    return fd;
}

static void who_says_nothing_is_not_accepted_yet_where_clients_speak_first(void **state)
{
    struct rig *r = *state;
    r->silent_s = 30;
    listeners_set_active(&r->l, true);
    int silent = dial_one(r), speaks = dial_one(r);
    turns(r, 3);
    assert_int_equal(r->n, 0);
    assert_int_equal(send(speaks, "GET", 3, 0), 3);
    turns(r, 3);
    assert_int_equal(r->n, 1);
    r->silent_s = 0; /* another configuration */
    listeners_refresh(&r->l);
    int other = dial_one(r);
    turns(r, 3);
    assert_int_equal(r->n, 2);
    close(silent);
    close(speaks);
    close(other);
}

static void a_burst_is_taken_in_growing_batches(void **state)
{
    struct rig *r = *state;
    listeners_set_active(&r->l, true);
    dial(r, 20);
    unsigned turn = 0;
    for (unsigned most = 1; r->n < 15; most *= 2, turn++) {
        unsigned before = r->n;
        turns(r, 1);
        assert_int_equal(r->n - before, most);
    }
    assert_int_equal(turn, 4);
    turns(r, 2);
    assert_int_equal(r->n, 20);
}

static void a_drain_takes_what_waits_and_closes(void **state)
{
    struct rig *r = *state;
    listeners_set_active(&r->l, true);
    dial(r, 10);
    listeners_drain(&r->l);
    assert_int_equal(r->n, 10);
    assert_false(listeners_has(&r->l, 7));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&r->at, sizeof(r->at)), -1);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_lets_a_worker_be_a_little_above_the_least),
        T(only_live_workers_count),
        T(connections_come_with_their_addresses),
        T(a_connection_whose_wake_up_was_lost_is_found),
        T(a_spare_and_an_unwanted_socket_accept_nothing),
        T(a_busy_worker_leaves_the_rest_to_others_for_a_moment),
        T(without_room_the_backlog_waits),
        T(who_says_nothing_is_not_accepted_yet_where_clients_speak_first),
        T(a_burst_is_taken_in_growing_batches),
        T(a_drain_takes_what_waits_and_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
