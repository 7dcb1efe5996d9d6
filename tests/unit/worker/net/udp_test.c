#include "tests/unit/shared/base/base_test.h"
#include "worker/net/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define WORKERS 2

/* Two workers in one process: each with its row, its sockets, duplicates of the same ones. */
struct rig;
struct side {
    struct udp_sockets u;
    struct rig *rig;
    unsigned n, gone;
    char last[16];
};
struct rig {
    uv_loop_t loop;
    struct log log;
    struct net net;
    struct board *board;
    struct side w[WORKERS];
    struct sockaddr_in at;
    bool unwanted;
};

static struct side *side_of(struct udp_socket *s)
{
    return CONTAINER_OF(s->all, struct side, u);
}

static void received(struct udp_socket *s, struct udp_packet *v, unsigned n)
{
    struct side *w = side_of(s);
    w->n += n;
    memcpy(w->last, v[n - 1].data, GH_MIN(v[n - 1].n, (uint32_t)sizeof(w->last)));
}
static bool wanted(struct udp_socket *s)
{
    return !side_of(s)->rig->unwanted;
}
static void gone(struct udp_socket *s)
{
    side_of(s)->gone++;
}
static const struct udp_owner OWNER = {received, wanted, gone};

static void beat(struct rig *r, uint32_t row, enum board_state state)
{
    struct board_proc *p = board_proc(r->board, row);
    p->role = ROLE_WORKER;
    p->state = state;
    p->heartbeat_ns = clock_ns();
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    int fd;
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(board_make(&r->board, &fd), 0);
    close(fd);
    board_head(r->board)->workers_wanted = WORKERS;
    assert_int_equal(net_init(&r->net, &r->loop, &board_proc(r->board, 0)->counters, &r->log), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        r->w[i].rig = r;
        udp_sockets_init(&r->w[i].u, &r->net, r->board, i, &OWNER);
        beat(r, i, PROC_ACTIVE);
    }
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    for (uint32_t i = 0; i < WORKERS; i++)
        udp_sockets_fini(&r->w[i].u);
    net_fini(&r->net);
    board_close(r->board);
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

/* `n` sockets of one address, both workers have all of them. */
static void sockets(struct rig *r, uint64_t bind_id, unsigned n)
{
    socklen_t len = sizeof(r->at);
    r->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < n; i++) {
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
        assert_int_equal(bind(fd, (struct sockaddr *)&r->at, sizeof(r->at)), 0);
        getsockname(fd, (struct sockaddr *)&r->at, &len);
        for (uint32_t k = 0; k < WORKERS; k++)
            assert_int_equal(udp_sockets_add(&r->w[k].u, bind_id, dup(fd)), 0);
        close(fd);
    }
}

static unsigned mine(const struct side *w)
{
    unsigned n = 0;
    LIST_EACH(it, (struct list *)(uintptr_t)&w->u.all)
        n += LIST_ITEM(it, struct udp_socket, node)->mine;
    return n;
}

static void say(struct rig *r, const char *text)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&r->at, sizeof(r->at)), (ssize_t)strlen(text));
    close(fd);
}

/* Turns until `n` datagrams were read in all, or for a while. */
static unsigned heard(struct rig *r, unsigned n)
{
    for (int i = 0; i < 200 && r->w[0].n + r->w[1].n < n; i++)
        net_turn(&r->net, 10);
    return r->w[0].n + r->w[1].n;
}

static void activate(struct rig *r)
{
    for (uint32_t i = 0; i < WORKERS; i++)
        udp_sockets_set_active(&r->w[i].u, true);
}

static void each_socket_has_one_reader(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 4);
    assert_int_equal(mine(&r->w[0]) + mine(&r->w[1]), 0);
    activate(r);
    assert_int_equal(mine(&r->w[0]), 2);
    assert_int_equal(mine(&r->w[1]), 2);
    for (int i = 0; i < 100; i++)
        say(r, "x");
    assert_int_equal(heard(r, 100), 100);
    assert_true(r->w[0].n > 10 && r->w[1].n > 10);
}

static void a_single_socket_is_read_by_one(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 1);
    activate(r);
    for (int i = 0; i < 20; i++)
        say(r, "x");
    assert_int_equal(heard(r, 20), 20);
    assert_true(r->w[0].n == 20 || r->w[1].n == 20);
}

static void a_dead_reader_s_datagrams_are_read_by_another(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 2);
    activate(r);
    udp_sockets_fini(&r->w[0].u); /* as a killed process: its descriptors close ... */
    udp_sockets_init(&r->w[0].u, &r->net, r->board, 0, &OWNER);
    r->w[0].gone = 0;
    beat(r, 0, PROC_GONE);
    for (int i = 0; i < 50; i++)
        say(r, "x");
    assert_int_equal(heard(r, 50), 50);
    assert_int_equal(r->w[1].n, 50);
    assert_int_equal(mine(&r->w[1]), 2);
}

static void what_a_dead_reader_claimed_is_taken_from_it(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 1);
    udp_sockets_set_active(&r->w[0].u, true);
    assert_int_equal(mine(&r->w[0]), 1);
    beat(r, 0, PROC_ACTIVE);
    board_proc(r->board, 0)->heartbeat_ns = clock_ns() - (UDP_DEAD_MS + 100) * UINT64_C(1000000); /* stopped */
    udp_sockets_set_active(&r->w[1].u, true);
    for (int i = 0; i < 100 && !mine(&r->w[1]); i++)
        net_turn(&r->net, 10);
    assert_int_equal(mine(&r->w[1]), 1);
    say(r, "x"); /* the first one is awake again, but it is not its any more */
    assert_int_equal(heard(r, 1), 1);
    assert_int_equal(r->w[1].n, 1);
    assert_int_equal(mine(&r->w[0]), 0);
}

static void who_drains_lets_go_when_another_is_there(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 2);
    activate(r);
    beat(r, 0, PROC_DRAINING);
    udp_sockets_drain(&r->w[0].u);
    assert_int_equal(mine(&r->w[0]), 0);
    for (int i = 0; i < 30; i++)
        say(r, "x");
    assert_int_equal(heard(r, 30), 30);
    assert_int_equal(r->w[1].n, 30);
}

static void who_drains_alone_reads_on(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 1);
    beat(r, 1, PROC_GONE);
    udp_sockets_set_active(&r->w[0].u, true);
    beat(r, 0, PROC_DRAINING);
    udp_sockets_drain(&r->w[0].u);
    say(r, "x");
    assert_int_equal(heard(r, 1), 1);
    beat(r, 1, PROC_ACTIVE); /* until somebody comes */
    udp_sockets_set_active(&r->w[1].u, true);
    for (int i = 0; i < 100 && (mine(&r->w[0]) || !mine(&r->w[1])); i++)
        net_turn(&r->net, 10);
    assert_int_equal(mine(&r->w[0]), 0);
    assert_int_equal(mine(&r->w[1]), 1);
}

static void a_latecomer_gets_what_nobody_uses(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 4);
    beat(r, 1, PROC_GONE);
    udp_sockets_set_active(&r->w[0].u, true);
    for (int i = 0; i < 200 && mine(&r->w[0]) < 4; i++)
        net_turn(&r->net, 10);
    assert_int_equal(mine(&r->w[0]), 4);
    unsigned busy = 0;
    LIST_EACH(it, &r->w[0].u.all)
        LIST_ITEM(it, struct udp_socket, node)->users = busy++ < 3; /* flows stay where they are */
    beat(r, 1, PROC_ACTIVE);
    udp_sockets_set_active(&r->w[1].u, true);
    for (int i = 0; i < 200 && mine(&r->w[1]) < 1; i++)
        net_turn(&r->net, 10);
    assert_int_equal(mine(&r->w[0]), 3);
    assert_int_equal(mine(&r->w[1]), 1);
}

static void a_socket_that_is_not_wanted_is_not_read(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 1);
    r->unwanted = true;
    activate(r);
    assert_int_equal(mine(&r->w[0]) + mine(&r->w[1]), 0);
    r->unwanted = false;
    udp_sockets_refresh(&r->w[0].u);
    assert_int_equal(mine(&r->w[0]), 1);
}

static void removing_and_adding(void **state)
{
    struct rig *r = *state;
    sockets(r, 7, 2);
    sockets(r, 8, 1);
    activate(r);
    struct udp_socket *first = LIST_ITEM(r->w[0].u.all.next, struct udp_socket, node);
    assert_int_equal(udp_sockets_add(&r->w[0].u, 7, dup(first->fd)), 0); /* the same socket */
    assert_int_equal(r->w[0].u.n, 3);
    assert_true(udp_sockets_remove(&r->w[0].u, 7));
    assert_int_equal(r->w[0].u.n, 1);
    assert_int_equal(r->w[0].gone, 2);
    assert_false(udp_sockets_remove(&r->w[0].u, 7));
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(udp_sockets_add(&r->w[0].u, 9, tcp) < 0);
}

static void the_rule_of_the_claims(void **state)
{
    (void)state;
    assert_true(udp_may_claim(4, 1, 2, 0));
    assert_false(udp_may_claim(4, 2, 2, 0));
    assert_true(udp_may_claim(4, 2, 2, UDP_WAIT_MS));
    assert_true(udp_may_claim(1, 0, 8, 0));
    assert_false(udp_may_give(4, 2, 2, 0));
    assert_true(udp_may_give(4, 3, 2, 1));
    assert_false(udp_may_give(4, 3, 2, 2));
    assert_false(udp_may_give(1, 1, 8, 0));
}

static void a_connected_socket_hears_that_nobody_is_there(void **state)
{
    struct rig *r = *state;
    struct udp_packet p = {.data = (char[]){'x'}, .n = 1}, *v;
    int err;
    sockets(r, 7, 1);
    udp_sockets_remove(&r->w[0].u, 7);
    udp_sockets_remove(&r->w[1].u, 7);
    int fd = udp_connect((struct sockaddr *)&r->at, sizeof(r->at));
    assert_true(fd >= 0);
    assert_int_equal(udp_send(fd, &p, 1, &err), 1);
    sockets(r, 8, 1); /* makes the batch of the next call, if there was none */
    assert_int_equal(udp_recv(&r->w[0].u, fd, &v), -ECONNREFUSED);
    assert_int_equal(udp_recv(&r->w[0].u, fd, &v), -EAGAIN);
    close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_socket_has_one_reader),
        T(a_single_socket_is_read_by_one),
        T(a_dead_reader_s_datagrams_are_read_by_another),
        T(what_a_dead_reader_claimed_is_taken_from_it),
        T(who_drains_lets_go_when_another_is_there),
        T(who_drains_alone_reads_on),
        T(a_latecomer_gets_what_nobody_uses),
        T(a_socket_that_is_not_wanted_is_not_read),
        T(removing_and_adding),
        T(the_rule_of_the_claims),
        T(a_connected_socket_hears_that_nobody_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
