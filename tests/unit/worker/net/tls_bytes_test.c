/* tls_bytes_test.c - what passes in TLS: much and little, ends, rubbish, pieces, aborted handshakes. */
#include "tests/unit/worker/net/tls_rig.h"

static char *pattern(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 >> 3);
    return p;
}

static void much_goes_both_ways_with_back_pressure(void **state)
{
    struct rig *r = *state;
    size_t size = 3u << 20;
    char *big = pattern(size);
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    net_enter(&r->net);
    conn_pause(&r->client.c, CONN_PAUSE_PEER);
    conn_write(&r->server.c, big, size);
    conn_write(&r->client.c, big, size);
    assert_true(conn_full(&r->server.c));
    net_leave(&r->net);
    rig_turns(r, 20);
    assert_true(conn_queued(&r->server.c) > 0 && r->client.got.n == 0 && r->server.writables == 0);
    net_enter(&r->net);
    conn_resume(&r->client.c, CONN_PAUSE_PEER);
    net_leave(&r->net);
    for (int i = 0; i < 2000 && (r->client.got.n < size || r->server.got.n < size); i++)
        rig_turns(r, 1);
    assert_int_equal(r->client.got.n, size);
    assert_memory_equal(r->client.got.p, big, size);
    assert_int_equal(r->server.got.n, size);
    assert_memory_equal(r->server.got.p, big, size);
    assert_int_equal(r->server.writables, 1);
    assert_int_equal(r->net.chunks.bytes, 0);
    free(big);
}

static void many_small_pieces_become_few_records(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    static char piece[100][40];
    uint64_t before = r->server.c.sent;
    net_enter(&r->net);
    for (int i = 0; i < 100; i++) {
        memset(piece[i], 'a' + i % 26, sizeof(piece[i]));
        conn_write(&r->server.c, piece[i], i % 2 ? 40 : 39);
    }
    net_leave(&r->net);
    rig_turns(r, 3);
    assert_int_equal(r->client.got.n, 100 * 39 + 50);
    assert_true(r->server.c.sent - before < r->client.got.n + 4 * 30 + 400);
}

static void what_is_written_before_the_handshake_waits_for_it(void **state)
{
    struct rig *r = *state;
    size_t size = 200000;
    char *big = pattern(size);
    rig_use_cert(&r->f, CERT_EC);
    rig_begin(r);
    net_enter(&r->net);
    conn_write(&r->client.c, big, size);
    net_leave(&r->net);
    assert_int_equal(conn_queued(&r->client.c), size);
    for (int i = 0; i < 200 && r->server.got.n < size; i++)
        rig_turns(r, 1);
    assert_int_equal(r->server.got.n, size);
    assert_memory_equal(r->server.got.p, big, size);
    free(big);
}

static void an_end_that_is_announced_is_an_end(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    net_enter(&r->net);
    conn_write(&r->client.c, "last", 4);
    conn_shutdown(&r->client.c);
    net_leave(&r->net);
    rig_turns(r, 3);
    assert_str(buf_str(&r->server.got), "last");
    assert_true(r->server.ended && !conn_cut(&r->server.c));
    rig_put(&r->server, "answer"); /* half-closed: the other half lives */
    rig_turns(r, 3);
    assert_str(buf_str(&r->client.got), "answer");
    net_enter(&r->net);
    conn_finish(&r->server.c);
    net_leave(&r->net);
    rig_turns(r, 3);
    assert_true(r->server.closed && r->client.ended && !conn_cut(&r->client.c));
}

static void an_end_that_is_not_announced_shows(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    rig_put(&r->client, "half a bo");
    shutdown(r->client.c.fd, SHUT_WR);
    rig_turns(r, 3);
    assert_str(buf_str(&r->server.got), "half a bo");
    assert_true(r->server.ended && conn_cut(&r->server.c));
    rig_expect_fine(r);
    net_enter(&r->net);
    conn_reset(&r->server.c);
    r->server.open = false;
    net_leave(&r->net);
    rig_turns(r, 3);
    assert_true(r->client.error || (r->client.ended && conn_cut(&r->client.c)));
}

static void closing_says_goodbye(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    net_enter(&r->net);
    conn_close(&r->server.c);
    net_leave(&r->net);
    rig_turns(r, 3);
    assert_true(r->client.ended && !conn_cut(&r->client.c));
}

/* A peer that is no TLS library: the test writes to the socket. */
static int raw_server(struct rig *r)
{
    int v[2];
    rig_close_sides(r);
    memset(&r->client, 0, sizeof(r->client));
    memset(&r->server, 0, sizeof(r->server));
    r->hello = (struct buf){0};
    r->server.r = r;
    r->server.server = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    assert_int_equal(conn_open(&r->server.c, &r->net, v[1], &RIG_EVENTS), 0);
    r->server.open = true;
    return v[0];
}

static void rubbish_breaks_a_connection(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    assert_int_equal(write(r->client.c.fd, "\x17\x03\x03\0\x20this is no record that fits.....", 37), 37);
    rig_turns(r, 4);
    assert_true(r->server.closed && r->server.error == EPROTO && r->server.fault == TLS_FAULT_PROTOCOL);
    rig_expect_fine(r);
    assert_int_equal(write(r->client.c.fd, "GET / HTTP/1.1\r\n", 16), 16);
    rig_turns(r, 4);
    assert_true(r->server.closed && r->server.fault == TLS_FAULT_PROTOCOL);
}

static void a_slow_record_is_held_in_chunks(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    static char head[5] = {0x17, 3, 3, 0x40, 0}, some[1000];
    assert_int_equal(write(r->client.c.fd, head, 5), 5);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(write(r->client.c.fd, some, sizeof(some)), sizeof(some));
        rig_turns(r, 1);
    }
    assert_true(r->net.chunks.bytes >= 16005 && r->net.chunks.bytes < 40000);
    assert_true(r->server.connected && !r->server.closed);
    assert_true(conn_queued(&r->server.c) == 0);
}

static void a_handshake_cut_in_pieces_works(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_begin(r);
    /* The client's bytes go through the test, one by one. */
    int v[2], dir, n = 0;
    char b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    dir = dup(r->server.c.fd);
    assert_true(dup2(v[0], r->server.c.fd) >= 0); /* the server's end is another socket now */
    net_watch(&r->net, r->server.c.fd, &r->server.c.watch, 1 | 0x80000000u | 0x2000u);
    close(v[0]);
    for (int i = 0; i < 20000 && !(r->server.connected && r->client.connected); i++) {
        bool moved = false;
        if (read(dir, &b, 1) == 1) {
            assert_int_equal(write(v[1], &b, 1), 1);
            moved = true;
            n++;
        }
        char more[4096];
        ssize_t k = read(v[1], more, sizeof(more));
        if (k > 0) {
            assert_int_equal(write(dir, more, (size_t)k), k);
            moved = true;
        }
        (void)moved;
        rig_turns(r, 1);
    }
    assert_true(r->server.connected && r->client.connected && n > 200);
    close(dir);
    close(v[1]);
}

static void a_client_that_leaves_in_the_handshake_is_an_error(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_begin(r);
    rig_turns(r, 1);
    net_enter(&r->net);
    conn_close(&r->client.c);
    r->client.open = false;
    net_leave(&r->net);
    rig_turns(r, 5);
    assert_false(r->server.connected);
    assert_true(r->server.closed && r->server.connect_err != 0);
}

static void a_thousand_aborted_handshakes_leave_nothing(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    for (int i = 0; i < 100; i++) {
        rig_begin(r);
        rig_turns(r, i % 6);
    }
    rig_close_sides(r);
    assert_int_equal(r->net.chunks.bytes, 0);
    int peer = raw_server(r);
    close(peer);
    rig_turns(r, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(much_goes_both_ways_with_back_pressure),
        T(many_small_pieces_become_few_records),
        T(what_is_written_before_the_handshake_waits_for_it),
        T(an_end_that_is_announced_is_an_end),
        T(an_end_that_is_not_announced_shows),
        T(closing_says_goodbye),
        T(rubbish_breaks_a_connection),
        T(a_slow_record_is_held_in_chunks),
        T(a_handshake_cut_in_pieces_works),
        T(a_client_that_leaves_in_the_handshake_is_an_error),
        T(a_thousand_aborted_handshakes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
