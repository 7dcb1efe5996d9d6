/* What differs between TCP and other stream sockets: segments, ends, urgent data, Nagle's algorithm. */
#include "tests/unit/shared/base/base_test.h"
#include "worker/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* One connection over TCP, dialled by it or by the test; the other end is a plain descriptor of the test. */
struct side {
    struct conn c;
    struct buf got;
    unsigned connects, ends, closed;
    int error;
    bool echo, pause, pass_end;
};
struct rig {
    uv_loop_t loop;
    struct net net;
    struct board_counters count;
    struct log log;
    struct side s;
    int peer;
};

static void on_connect(struct conn *c, int err)
{
    assert_int_equal(err, 0);
    CONTAINER_OF(c, struct side, c)->connects++;
}
static void on_read(struct conn *c, char *data, size_t n)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    buf_add(&s->got, data, n);
    if (s->echo)
        conn_write(c, data, n);
    if (s->pause)
        conn_pause(c, CONN_PAUSE_PEER);
}
static void on_end(struct conn *c)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    s->ends++;
    if (s->pass_end)
        conn_shutdown(c);
}
static void on_error(struct conn *c, int err)
{
    CONTAINER_OF(c, struct side, c)->error = err;
    conn_close(c);
}
static void on_closed(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->closed++;
}
static const struct conn_events EVENTS = {.on_connect = on_connect, .on_read = on_read, .on_end = on_end, .on_error = on_error,
                                          .on_closed = on_closed};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(net_init(&r->net, &r->loop, &r->count, &r->log), 0);
    assert_int_equal(bind(l, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(l, 1), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(conn_connect(&r->s.c, &r->net, (struct sockaddr *)&at, len, &EVENTS), 0);
    r->peer = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    assert_true(r->peer >= 0);
    close(l);
    for (int i = 0; i < 100 && !r->s.connects; i++)
        net_turn(&r->net, 1000);
    assert_int_equal(r->s.connects, 1);
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    conn_close(&r->s.c);
    net_fini(&r->net);
    assert_int_equal(r->s.closed, 1);
    close(r->peer);
    buf_fini(&r->s.got);
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

/* Until `n` bytes and `ends` ends have come. */
static void turns_until(struct rig *r, size_t n, unsigned ends)
{
    for (int i = 0; i < 100 && (r->s.got.n < n || r->s.ends < ends); i++)
        net_turn(&r->net, 1000);
    assert_int_equal(r->s.got.n, n);
    assert_int_equal(r->s.ends, ends);
}

/* That have come, as the kernel counts them: tcpi_segs_in, which the C library's struct tcp_info ends before; and
 * linux/tcp.h does not go together with libuv's headers. */
static uint32_t segments(int fd)
{
    uint32_t info[64];
    socklen_t len = sizeof(info);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
    assert_true(len >= 144);
    return info[140 / 4];
}

static int nodelay(const struct conn *c)
{
    int v = -1;
    socklen_t len = sizeof(v);
    assert_int_equal(getsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
    return v;
}

static void write_now(struct rig *r, const char *data, size_t n)
{
    net_enter(&r->net);
    conn_write(&r->s.c, data, n);
    net_leave(&r->net);
}

static void expect(int fd, const char *text)
{
    char b[64];
    size_t n = strlen(text), got = 0;
    for (ssize_t k; got < n && (k = read(fd, b + got, n - got)) > 0;)
        got += (size_t)k;
    assert_int_equal(got, n);
    assert_memory_equal(b, text, n);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(read(fd, &byte, 1), 0);
}

static void the_last_bytes_and_our_end_are_one_segment(void **state)
{
    struct rig *r = *state;
    uint32_t before = segments(r->peer);
    net_enter(&r->net);
    conn_write(&r->s.c, "bye", 3);
    conn_shutdown(&r->s.c);
    net_leave(&r->net);
    assert_int_equal(segments(r->peer) - before, 1);
    expect(r->peer, "bye");
    expect_end(r->peer);
}

static void so_it_is_when_the_connection_closes(void **state)
{
    struct rig *r = *state;
    uint32_t before = segments(r->peer);
    net_enter(&r->net);
    conn_write(&r->s.c, "bye", 3);
    conn_finish(&r->s.c);
    net_leave(&r->net);
    assert_int_equal(segments(r->peer) - before, 1);
    expect(r->peer, "bye");
    expect_end(r->peer);
}

static void an_end_that_is_passed_on_goes_with_the_bytes_before_it(void **state)
{
    struct rig *r = *state;
    r->s.echo = r->s.pass_end = true;
    assert_int_equal(write(r->peer, "bye", 3), 3);
    shutdown(r->peer, SHUT_WR);
    uint32_t before = segments(r->peer);
    turns_until(r, 3, 1);
    assert_int_equal(segments(r->peer) - before, 1);
    expect(r->peer, "bye");
    expect_end(r->peer);
}

static void a_peer_that_still_talks_gets_the_last_bytes(void **state)
{
    struct rig *r = *state;
    assert_int_equal(write(r->peer, "more", 4), 4); /* nobody reads it: closing resets */
    net_enter(&r->net);
    conn_write(&r->s.c, "answer", 6);
    conn_finish(&r->s.c);
    net_leave(&r->net);
    expect(r->peer, "answer");
}

static void bytes_before_a_reset_are_sent(void **state)
{
    struct rig *r = *state;
    net_enter(&r->net);
    conn_write(&r->s.c, "cut", 3);
    conn_finish_reset(&r->s.c);
    net_leave(&r->net);
    char byte;
    expect(r->peer, "cut");
    assert_int_equal(read(r->peer, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void an_end_behind_bytes_waits_for_a_pause(void **state)
{
    struct rig *r = *state;
    r->s.pause = true;
    assert_int_equal(write(r->peer, "bye", 3), 3);
    shutdown(r->peer, SHUT_WR);
    turns_until(r, 3, 0);
    net_turn(&r->net, 0);
    assert_int_equal(r->s.ends, 0);
    conn_resume(&r->s.c, CONN_PAUSE_PEER);
    turns_until(r, 3, 1);
    net_turn(&r->net, 0);
    assert_int_equal(r->s.ends, 1);
}

static void the_end_is_told_once_when_the_buffer_was_full(void **state)
{
    struct rig *r = *state;
    r->s.c.read_max = 3;
    assert_int_equal(write(r->peer, "abcdefg", 7), 7);
    shutdown(r->peer, SHUT_WR);
    turns_until(r, 7, 1);
    net_turn(&r->net, 0);
    assert_int_equal(r->s.ends, 1);
}

/* recv() stops at urgent data: a short read there does not mean that nothing follows. */
static void urgent_data_hides_nothing_behind_it(void **state)
{
    struct rig *r = *state;
    assert_int_equal(send(r->peer, "ab", 2, 0), 2);
    assert_int_equal(send(r->peer, "!", 1, MSG_OOB), 1);
    assert_int_equal(send(r->peer, "cd", 2, 0), 2);
    turns_until(r, 4, 0);
    assert_memory_equal(r->s.got.p, "abcd", 4);
    assert_int_equal(send(r->peer, "!", 1, MSG_OOB), 1);
    assert_int_equal(send(r->peer, "ef", 2, 0), 2);
    shutdown(r->peer, SHUT_WR);
    turns_until(r, 6, 1);
    assert_memory_equal(r->s.got.p, "abcdef", 6);
}

static void small_first_bytes_need_no_nodelay_and_all_others_have_it(void **state)
{
    struct rig *r = *state;
    char b[8];
    assert_int_equal(nodelay(&r->s.c), 0);
    write_now(r, "first", 5);
    assert_int_equal(nodelay(&r->s.c), 0);
    assert_int_equal(recv(r->peer, b, sizeof(b), MSG_DONTWAIT), 5);
    write_now(r, "second", 6);
    assert_int_equal(nodelay(&r->s.c), 1);
    assert_int_equal(recv(r->peer, b, sizeof(b), MSG_DONTWAIT), 6);
}

static void many_first_bytes_have_it_at_once(void **state)
{
    static const char big[4000];
    struct rig *r = *state;
    write_now(r, big, sizeof(big));
    assert_int_equal(nodelay(&r->s.c), 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_last_bytes_and_our_end_are_one_segment),
        T(so_it_is_when_the_connection_closes),
        T(an_end_that_is_passed_on_goes_with_the_bytes_before_it),
        T(a_peer_that_still_talks_gets_the_last_bytes),
        T(bytes_before_a_reset_are_sent),
        T(an_end_behind_bytes_waits_for_a_pause),
        T(the_end_is_told_once_when_the_buffer_was_full),
        T(urgent_data_hides_nothing_behind_it),
        T(small_first_bytes_need_no_nodelay_and_all_others_have_it),
        T(many_first_bytes_have_it_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
