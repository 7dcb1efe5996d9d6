#include "tests/unit/shared/base/base_test.h"
#include "worker/net/conn.h"
#include "worker/net/conn_internal.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* Connections a, b, c ... over socketpairs. What happens to them is written down: 'a' was read, 'A' was kicked. */
#define SIDES 6
#define PIECE NET_PIECE

struct rig;
struct side {
    struct conn c;
    struct rig *rig;
    char name;
    int peer;
    size_t got;
    unsigned closed;
    unsigned errors;
    int then; /* when it was read, this other one hears something; -1 = none */
};
struct rig {
    uv_loop_t loop;
    struct net net;
    struct board_counters count;
    struct log log;
    struct side v[SIDES];
    uint64_t small_until_ns; /* at the beginning of each turn */
    char said[64];
    unsigned n;
};

static void say(struct side *s, char what)
{
    struct rig *r = s->rig;
    if (r->n < sizeof(r->said) - 1)
        r->said[r->n++] = what;
}

static void feed(struct side *s, size_t n)
{
    static char bytes[1 << 20];
    while (n) {
        ssize_t k = write(s->peer, bytes, GH_MIN(n, sizeof(bytes)));
        assert_true(k > 0);
        n -= (size_t)k;
    }
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    (void)data;
    s->got += n;
    say(s, s->name);
    if (s->then >= 0) {
        feed(&s->rig->v[s->then], 1);
        s->then = -1;
    }
}
static void on_end(struct conn *c)
{
    say(CONTAINER_OF(c, struct side, c), '.');
    conn_close(c);
}
static void on_kick(struct conn *c)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    say(s, (char)(s->name - 'a' + 'A'));
}
static void on_error(struct conn *c, int err)
{
    (void)err;
    CONTAINER_OF(c, struct side, c)->errors++;
    conn_close(c);
}
static void on_closed(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->closed++;
}
static const struct conn_events EVENTS = {.on_read = on_read, .on_end = on_end, .on_kick = on_kick, .on_error = on_error, .on_closed = on_closed};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(net_init(&r->net, &r->loop, &r->count, &r->log), 0);
    r->net.bulk_ns = 0; /* one piece: what a clock would say is not for a test */
    for (int i = 0; i < SIDES; i++) {
        int v[2];
        struct side *s = &r->v[i];
        *s = (struct side){.rig = r, .name = (char)('a' + i), .then = -1};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, v), 0);
        for (int k = 0; k < 2; k++)
            assert_int_equal(setsockopt(v[k], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
        s->peer = v[1];
        assert_int_equal(setsockopt(v[0], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int)), 0);
        assert_int_equal(fcntl(v[0], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(conn_open(&s->c, &r->net, v[0], &EVENTS), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < SIDES; i++)
        conn_close(&r->v[i].c);
    net_fini(&r->net);
    for (int i = 0; i < SIDES; i++) {
        assert_int_equal(r->v[i].closed, 1);
        close(r->v[i].peer);
    }
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

static const char *turn(struct rig *r)
{
    r->n = 0;
    memset(r->said, 0, sizeof(r->said));
    r->net.small_until_ns = r->small_until_ns;
    net_turn(&r->net, 0);
    return r->said;
}

/* Somebody who wants little was here a moment ago, and will have been whatever the machine does meanwhile. */
static void small_ones_are_about(struct rig *r)
{
    r->small_until_ns = UINT64_MAX;
}

static void nobody_is_about(struct rig *r)
{
    r->small_until_ns = 0;
}

static void who_wants_little_goes_before_bulk_that_was_ready_first(void **state)
{
    struct rig *r = *state;
    conn_set_bulk(&r->v[0].c, true);
    feed(&r->v[0], 10);
    feed(&r->v[1], 10);
    feed(&r->v[2], 10);
    assert_string_equal(turn(r), "bca");
    /* It moved little: it is like the others again. */
    feed(&r->v[0], 10);
    feed(&r->v[1], 10);
    assert_string_equal(turn(r), "ab");
}

static void the_loop_looks_who_is_ready_behind_each_piece_of_bulk(void **state)
{
    struct rig *r = *state;
    feed(&r->v[0], 3 * PIECE);
    feed(&r->v[1], 3 * PIECE);
    small_ones_are_about(r);
    r->v[1].then = 2;
    /* Nobody knew that they were large. */
    assert_string_equal(turn(r), "aba");
    assert_string_equal(turn(r), "cb");
    r->v[0].then = 3;
    assert_string_equal(turn(r), "a");
    assert_string_equal(turn(r), "db");
    turn(r);
    assert_int_equal(r->v[0].got, 3 * PIECE);
    assert_int_equal(r->v[1].got, 3 * PIECE);
}

static void bulk_has_a_turn_however_many_others_are_ready(void **state)
{
    struct rig *r = *state;
    small_ones_are_about(r);
    feed(&r->v[0], 5 * PIECE);
    turn(r);
    for (int i = 1; i < 4; i++) {
        feed(&r->v[1], 1);
        feed(&r->v[2], 1);
        const char *said = turn(r);
        assert_int_equal(said[r->n - 1], 'a');
    }
    assert_int_equal(r->v[0].got, 5 * PIECE);
}

static void bulk_goes_on_for_longer_when_nobody_waits(void **state)
{
    struct rig *r = *state;
    feed(&r->v[0], 3 * NET_SCRATCH);
    conn_set_bulk(&r->v[0].c, true);
    nobody_is_about(r);
    assert_string_equal(turn(r), "aaa");
    assert_int_equal(r->v[0].got, 3 * NET_SCRATCH);
}

static void a_window_that_is_renewed_during_a_download_is_not_somebody_who_waits(void **state)
{
    struct rig *r = *state;
    nobody_is_about(r);
    conn_set_bulk(&r->v[0].c, true);
    feed(&r->v[0], 10);
    turn(r);
    feed(&r->v[0], 10);
    turn(r);
    assert_false(net_turn_short(&r->net));
    feed(&r->v[0], 10);
    turn(r);
    assert_true(net_turn_short(&r->net));
}

static void a_kick_waits_for_no_bulk(void **state)
{
    struct rig *r = *state;
    small_ones_are_about(r);
    feed(&r->v[0], 3 * PIECE);
    feed(&r->v[1], 3 * PIECE);
    turn(r);
    conn_kick(&r->v[1].c); /* it is in the queue of bulk */
    conn_kick(&r->v[2].c);
    assert_string_equal(turn(r), "BCa");
    assert_string_equal(turn(r), "b");
}

static void a_long_queue_is_written_in_pieces_between_which_others_have_their_turn(void **state)
{
    struct rig *r = *state;
    static char bytes[1 << 20], sink[1 << 20];
    size_t got = 0;
    net_enter(&r->net);
    for (int i = 0; i < 3; i++) {
        conn_write(&r->v[0].c, bytes, sizeof(bytes));
        net_flush(&r->net);
    }
    net_leave(&r->net);
    size_t queued = conn_queued(&r->v[0].c);
    assert_true(queued >= PIECE);
    small_ones_are_about(r);
    for (ssize_t k; (k = recv(r->v[0].peer, sink, sizeof(sink), MSG_DONTWAIT)) > 0;)
        got += (size_t)k;
    turn(r);
    assert_in_range(queued - conn_queued(&r->v[0].c), 1, CONN_CHUNKS_SHORT * CHUNK_LARGE);
    feed(&r->v[1], 1);
    assert_string_equal(turn(r), "b");
    for (int i = 0; i < 1000 && got < 3 * sizeof(bytes); i++) {
        for (ssize_t k; (k = recv(r->v[0].peer, sink, sizeof(sink), MSG_DONTWAIT)) > 0;)
            got += (size_t)k;
        turn(r);
    }
    assert_int_equal(got, 3 * sizeof(bytes));
    assert_int_equal(r->net.chunks.bytes, 0);
}

static void who_is_closed_while_it_waits_hears_nothing_more(void **state)
{
    struct rig *r = *state;
    small_ones_are_about(r);
    feed(&r->v[0], 3 * PIECE);
    turn(r);
    conn_close(&r->v[0].c);
    assert_string_equal(turn(r), "");
    assert_int_equal(r->v[0].closed, 1);
}

static void who_is_paused_while_it_waits_goes_on_when_it_is_resumed(void **state)
{
    struct rig *r = *state;
    small_ones_are_about(r);
    feed(&r->v[0], 3 * PIECE);
    turn(r);
    conn_pause(&r->v[0].c, CONN_PAUSE_PEER);
    assert_string_equal(turn(r), "");
    conn_resume(&r->v[0].c, CONN_PAUSE_PEER);
    assert_string_equal(turn(r), "a");
}

/* --- more than can be done ------------------------------------------------------------------------- */

/* Two events are a crowd, and one client is served in a turn. The first `n` sides are endpoints. */
static void crowd(struct rig *r, int n)
{
    r->net.batch = 2;
    r->net.asks_most = 1;
    for (int i = 0; i < n; i++) {
        r->v[i].c.flags &= ~(uint32_t)CONN_F_TAKEN;
        r->v[i].c.watch.asks = false;
    }
    for (int i = n; i < SIDES; i++)
        r->v[i].c.flags |= CONN_F_RESTS;
}

static void leave(struct side *s)
{
    assert_int_equal(shutdown(s->peer, SHUT_WR), 0);
}

static void answers_go_before_requests_that_came_first(void **state)
{
    struct rig *r = *state;
    crowd(r, 2);
    for (int i = SIDES; i--;)
        feed(&r->v[i], 1);
    assert_string_equal(turn(r), "baf");
    /* Later ones, too. */
    feed(&r->v[0], 1);
    assert_string_equal(turn(r), "ae");
    assert_string_equal(turn(r), "d");
    assert_string_equal(turn(r), "c");
    assert_string_equal(turn(r), "");
    assert_false(r->net.crowded);
}

static void without_a_crowd_nobody_waits(void **state)
{
    struct rig *r = *state;
    crowd(r, 1);
    r->net.batch = NET_BATCH;
    for (int i = SIDES; i--;)
        feed(&r->v[i], 1);
    assert_string_equal(turn(r), "afedcb");
}

static void who_gives_up_waiting_is_dropped_and_then_the_newest_go_first(void **state)
{
    struct rig *r = *state;
    crowd(r, 1);
    for (int i = 1; i < SIDES; i++)
        feed(&r->v[i], 1);
    assert_string_equal(turn(r), "b");
    assert_int_equal(r->net.newest_until_ms, 0);
    leave(&r->v[3]);
    assert_string_equal(turn(r), "f");
    assert_int_equal(r->v[3].errors, 1);
    assert_int_equal(r->v[3].got, 0);
    assert_int_equal(r->count.client_abandoned, 1);
    r->net.newest_until_ms = 0; /* patience again */
    assert_string_equal(turn(r), "c");
    assert_string_equal(turn(r), "e");
}

static void who_ends_without_a_request_has_not_given_up(void **state)
{
    struct rig *r = *state;
    crowd(r, 1);
    feed(&r->v[1], 1);
    feed(&r->v[2], 1);
    leave(&r->v[3]);
    assert_string_equal(turn(r), "b");
    assert_string_equal(turn(r), "c");
    assert_string_equal(turn(r), ".");
    assert_int_equal(r->count.client_abandoned, 0);
    assert_int_equal(r->v[3].errors, 0);
}

static void the_end_of_what_a_client_says_in_a_request_is_not_giving_up(void **state)
{
    struct rig *r = *state;
    crowd(r, 1);
    for (int i = 1; i < SIDES; i++)
        feed(&r->v[i], 1);
    turn(r);
    r->v[4].c.flags &= ~(uint32_t)CONN_F_RESTS; /* its owner has read something of a request */
    leave(&r->v[4]);
    /* It is heard at once: there may be work to be called off. */
    assert_string_equal(turn(r), "e.c");
    assert_int_equal(r->count.client_abandoned, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(who_wants_little_goes_before_bulk_that_was_ready_first),
        T(the_loop_looks_who_is_ready_behind_each_piece_of_bulk),
        T(bulk_has_a_turn_however_many_others_are_ready),
        T(bulk_goes_on_for_longer_when_nobody_waits),
        T(a_window_that_is_renewed_during_a_download_is_not_somebody_who_waits),
        T(a_kick_waits_for_no_bulk),
        T(a_long_queue_is_written_in_pieces_between_which_others_have_their_turn),
        T(who_is_closed_while_it_waits_hears_nothing_more),
        T(who_is_paused_while_it_waits_goes_on_when_it_is_resumed),
        T(answers_go_before_requests_that_came_first),
        T(without_a_crowd_nobody_waits),
        T(who_gives_up_waiting_is_dropped_and_then_the_newest_go_first),
        T(who_ends_without_a_request_has_not_given_up),
        T(the_end_of_what_a_client_says_in_a_request_is_not_giving_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
