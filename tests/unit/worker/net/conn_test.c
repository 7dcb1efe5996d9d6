#include "tests/unit/shared/base/base_test.h"
#include "worker/net/conn.h"
#include "worker/net/conn_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* One connection over a socketpair; the other end is a plain descriptor of the test. */
struct side {
    struct conn c;
    struct buf got;
    unsigned ends, writables, closed;
    int error;
    bool echo, calm;
};
struct rig {
    uv_loop_t loop;
    struct net net;
    struct board_counters count;
    struct log log;
    struct side s;
    int peer;
};

static void on_read(struct conn *c, char *data, size_t n)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    buf_add(&s->got, data, n);
    if (s->echo)
        conn_write(c, data, n);
    if (s->calm)
        conn_calm(c);
}
static void on_end(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->ends++;
}
static void on_writable(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->writables++;
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
static const struct conn_events EVENTS = {
    .on_read = on_read, .on_end = on_end, .on_writable = on_writable, .on_error = on_error, .on_closed = on_closed};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    int v[2];
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(net_init(&r->net, &r->loop, &r->count, &r->log), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    assert_int_equal(conn_open(&r->s.c, &r->net, v[0], &EVENTS), 0);
    r->peer = v[1];
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

static void turns(struct rig *r, int n)
{
    while (n-- > 0)
        net_turn(&r->net, 0);
}

static size_t drain_peer(struct rig *r)
{
    static char b[1 << 16];
    size_t n = 0;
    for (ssize_t k; (k = read(r->peer, b, sizeof(b))) > 0;)
        n += (size_t)k;
    return n;
}

static void bytes_come_and_slices_of_them_go_out_in_one_write(void **state)
{
    struct rig *r = *state;
    r->s.echo = true;
    assert_int_equal(write(r->peer, "hello", 5), 5);
    turns(r, 2);
    char b[16];
    assert_int_equal(read(r->peer, b, sizeof(b)), 5);
    assert_memory_equal(b, "hello", 5);
    assert_null(r->s.c.out);
    assert_int_equal(r->net.chunks.bytes, 0);
}

static void what_the_kernel_does_not_take_is_queued_and_follows(void **state)
{
    struct rig *r = *state;
    size_t size = 1 << 20, got = 0;
    char *big = malloc(size);
    for (size_t i = 0; i < size; i++)
        big[i] = (char)(i * 31 >> 3);
    net_enter(&r->net);
    conn_write(&r->s.c, big, size);
    assert_true(conn_full(&r->s.c));
    net_leave(&r->net);
    assert_true(conn_queued(&r->s.c) > 0);
    assert_true(r->net.chunks.bytes > 0);
    char *all = malloc(size);
    memset(big, 0, 16); /* the slice is free: the queue has copies of the rest */
    while (got < size) {
        ssize_t k = read(r->peer, all + got, size - got);
        if (k > 0)
            got += (size_t)k;
        net_turn(&r->net, 0);
    }
    for (size_t i = 0; i < size; i++)
        assert_int_equal(all[i], (char)(i * 31 >> 3));
    assert_int_equal(r->s.writables, 1);
    assert_int_equal(r->net.chunks.bytes, 0);
    free(big);
    free(all);
}

static void more_pieces_than_one_system_call_takes(void **state)
{
    struct rig *r = *state;
    static char pieces[200][2];
    net_enter(&r->net);
    for (int i = 0; i < 200; i++) {
        pieces[i][0] = (char)i;
        conn_write(&r->s.c, pieces[i], 1);
    }
    net_leave(&r->net);
    unsigned char b[300];
    assert_int_equal(read(r->peer, b, sizeof(b)), 200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(b[i], i);
}

static void what_was_flushed_is_gone_though_the_owner_is_to_hear_of_room(void **state)
{
    struct rig *r = *state;
    char piece[4], b[32] = "";
    r->s.c.full_at = 8;
    net_enter(&r->net);
    conn_write(&r->s.c, "0123456789abcdef", 16);
    assert_true(conn_full(&r->s.c));
    net_flush(&r->net); /* there is room again, which is to be told */
    memcpy(piece, "wxyz", 4);
    conn_write(&r->s.c, piece, 4);
    net_flush(&r->net);
    memcpy(piece, "----", 4);
    net_leave(&r->net);
    assert_int_equal(read(r->peer, b, sizeof(b)), 20);
    assert_memory_equal(b + 16, "wxyz", 4);
    assert_int_equal(r->s.writables, 1);
}

static void a_paused_connection_reads_nothing_until_it_resumes(void **state)
{
    struct rig *r = *state;
    conn_pause(&r->s.c, CONN_PAUSE_PEER);
    conn_pause(&r->s.c, CONN_PAUSE_CODEC);
    assert_int_equal(write(r->peer, "abc", 3), 3);
    turns(r, 3);
    assert_int_equal(r->s.got.n, 0);
    conn_resume(&r->s.c, CONN_PAUSE_PEER);
    turns(r, 3);
    assert_int_equal(r->s.got.n, 0);
    conn_resume(&r->s.c, CONN_PAUSE_CODEC);
    assert_int_equal(r->s.got.n, 0); /* never from inside resume */
    turns(r, 1);
    assert_int_equal(r->s.got.n, 3);
}

static void a_pause_in_the_middle_of_much_data_loses_nothing(void **state)
{
    struct rig *r = *state;
    static char block[150000];
    ssize_t k = write(r->peer, block, sizeof(block));
    assert_true(k > (ssize_t)NET_SCRATCH);
    r->s.c.read_max = 1000;
    turns(r, 1);
    size_t part = r->s.got.n;
    assert_int_equal(part, 4000 + 4000); /* a fair share in the event, one more in the round behind it */
    conn_pause(&r->s.c, CONN_PAUSE_PEER);
    turns(r, 3);
    assert_int_equal(r->s.got.n, part);
    conn_resume(&r->s.c, CONN_PAUSE_PEER);
    turns(r, 200);
    assert_int_equal(r->s.got.n, k);
}

static void the_end_comes_behind_the_last_bytes(void **state)
{
    struct rig *r = *state;
    assert_int_equal(write(r->peer, "bye", 3), 3);
    shutdown(r->peer, SHUT_WR);
    turns(r, 2);
    assert_int_equal(r->s.got.n, 3);
    assert_int_equal(r->s.ends, 1);
    net_enter(&r->net);
    conn_write(&r->s.c, "answer", 6); /* half-closed: writing goes on */
    conn_shutdown(&r->s.c);
    net_leave(&r->net);
    char b[16];
    assert_int_equal(read(r->peer, b, sizeof(b)), 6);
    assert_int_equal(read(r->peer, b, sizeof(b)), 0);
    assert_int_equal(r->s.error, 0);
}

static void shutdown_waits_for_the_queue(void **state)
{
    struct rig *r = *state;
    static char block[1 << 20];
    net_enter(&r->net);
    conn_write(&r->s.c, block, sizeof(block));
    conn_shutdown(&r->s.c);
    conn_write(&r->s.c, "ignored", 7);
    net_leave(&r->net);
    size_t n = 0;
    for (int i = 0; i < 100 && n < sizeof(block); i++) {
        n += drain_peer(r);
        turns(r, 1);
    }
    assert_int_equal(n, sizeof(block));
    char b[8];
    assert_int_equal(read(r->peer, b, sizeof(b)), 0);
}

static void finish_closes_when_all_is_written(void **state)
{
    struct rig *r = *state;
    static char block[1 << 20];
    net_enter(&r->net);
    conn_write(&r->s.c, block, sizeof(block));
    conn_finish(&r->s.c);
    net_leave(&r->net);
    assert_int_equal(r->s.closed, 0);
    size_t n = 0;
    for (int i = 0; i < 100 && !r->s.closed; i++) {
        n += drain_peer(r);
        turns(r, 1);
    }
    n += drain_peer(r);
    assert_int_equal(n, sizeof(block));
    assert_int_equal(r->s.closed, 1);
}

static void a_peer_that_is_gone_is_an_error_told_once_and_from_the_loop(void **state)
{
    struct rig *r = *state;
    r->s.c.flags |= CONN_F_EAGER;
    close(r->peer);
    net_enter(&r->net);
    conn_write(&r->s.c, "x", 1);
    conn_write(&r->s.c, "y", 1);
    assert_int_equal(r->s.error, 0);
    net_leave(&r->net);
    assert_int_equal(r->s.error, EPIPE);
    turns(r, 2);
    assert_int_equal(r->s.closed, 1);
    r->peer = dup(0);
}

static void write_now(struct rig *r, const char *text)
{
    net_enter(&r->net);
    conn_write(&r->s.c, text, strlen(text));
    net_leave(&r->net);
}

static void last_words_are_read_before_a_reset_is_told(void **state)
{
    struct rig *r = *state;
    write_now(r, "unread");
    assert_int_equal(write(r->peer, "sorry", 5), 5);
    close(r->peer); /* with something unread: a reset */
    write_now(r, "more");
    write_now(r, "and more");
    assert_int_equal(r->s.error, 0);
    turns(r, 2);
    assert_int_equal(r->s.got.n, 5);
    assert_int_equal(r->s.ends, 0);
    assert_int_equal(r->s.error, ECONNRESET);
    r->peer = dup(0);
}

static void the_end_stays_the_end_when_a_write_behind_it_fails(void **state)
{
    struct rig *r = *state;
    assert_int_equal(write(r->peer, "bye", 3), 3);
    close(r->peer);
    write_now(r, "too late");
    turns(r, 2);
    assert_int_equal(r->s.got.n, 3);
    assert_int_equal(r->s.ends, 1);
    assert_int_equal(r->s.error, 0);
    r->peer = dup(0);
}

static void last_words_wait_for_the_end_of_a_pause(void **state)
{
    struct rig *r = *state;
    write_now(r, "unread");
    conn_pause(&r->s.c, CONN_PAUSE_PEER);
    assert_int_equal(write(r->peer, "sorry", 5), 5);
    close(r->peer);
    turns(r, 3);
    assert_int_equal(r->s.error, 0);
    conn_resume(&r->s.c, CONN_PAUSE_PEER);
    turns(r, 2);
    assert_int_equal(r->s.got.n, 5);
    assert_int_equal(r->s.error, ECONNRESET);
    r->peer = dup(0);
}

static void after_our_last_words_the_peer_may_go_on_and_its_end_is_the_end(void **state)
{
    struct rig *r = *state;
    char b[8];
    net_enter(&r->net);
    conn_fail(&r->s.c, EPROTO);
    conn_last_words(&r->s.c);
    net_leave(&r->net);
    assert_int_equal(read(r->peer, b, sizeof(b)), 0); /* our end */
    assert_int_equal(write(r->peer, "unheard", 7), 7);
    turns(r, 2);
    assert_false(conn_is_closed(&r->s.c));
    shutdown(r->peer, SHUT_WR);
    turns(r, 2);
    assert_int_equal(r->s.closed, 1);
    assert_int_equal(r->s.got.n + r->s.ends, 0);
}

static void what_the_kernel_has_is_heard_before_it_is_read(void **state)
{
    struct rig *r = *state;
    assert_false(conn_heard(&r->s.c, true));
    assert_int_equal(write(r->peer, "x", 1), 1);
    assert_false(conn_heard(&r->s.c, false));
    assert_true(conn_heard(&r->s.c, true));
    turns(r, 1);
    assert_false(conn_heard(&r->s.c, true));
    shutdown(r->peer, SHUT_WR);
    assert_true(conn_heard(&r->s.c, true));
    turns(r, 1);
    assert_true(conn_heard(&r->s.c, false));
}

/* --- libuv inside this loop --- */

struct piped {
    uv_poll_t poll;
    struct timer timer;
    struct rig *rig;
    int fd[2];
    unsigned heard;
};

static void on_pipe(uv_poll_t *p, int status, int events)
{
    struct piped *w = p->data;
    char byte;
    (void)events;
    assert_int_equal(status, 0);
    assert_int_equal(read(w->fd[0], &byte, 1), 1);
    w->heard++;
}

static void start_watching(struct timer *t)
{
    struct piped *w = CONTAINER_OF(t, struct piped, timer);
    assert_int_equal(uv_poll_start(&w->poll, UV_READABLE, on_pipe), 0);
    assert_int_equal(write(w->fd[1], "x", 1), 1);
}

/* libuv puts a new watcher into its epoll set at the next uv_run only: that must not wait for other news. */
static void what_libuv_is_told_to_watch_from_a_callback_is_heard(void **state)
{
    struct rig *r = *state;
    struct piped w = {.rig = r};
    assert_int_equal(pipe(w.fd), 0);
    uv_poll_init(&r->loop, &w.poll, w.fd[0]);
    w.poll.data = &w;
    timer_init(&w.timer, start_watching);
    timer_set(&r->net.timers, &w.timer, r->net.now_ms + 1);
    for (int i = 0; i < 4 && !w.heard; i++)
        net_turn(&r->net, 2000);
    assert_int_equal(w.heard, 1);
    uv_close((uv_handle_t *)&w.poll, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    timer_close(&w.timer);
    close(w.fd[0]);
    close(w.fd[1]);
}

static void nothing_listens_there(void **state)
{
    struct rig *r = *state;
    struct sockaddr_storage none = {.ss_family = AF_UNIX};
    struct conn c;
    assert_true(conn_connect(&c, &r->net, (struct sockaddr *)&none, sizeof(sa_family_t) + 2, &EVENTS) < 0);
}

/* A second owner, for conn_move. */
static struct side next_owner;

static void give_away(struct conn *c, char *data, size_t n)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    memset(&next_owner, 0, sizeof(next_owner));
    conn_write(c, "old ", 4);
    conn_move(c, &next_owner.c, &EVENTS);
    buf_add(&s->got, data, n);
    conn_write(&next_owner.c, "new", 3);
}

static void a_connection_goes_on_with_another_owner(void **state)
{
    static const struct conn_events GIVER = {.on_read = give_away, .on_error = on_error, .on_closed = on_closed};
    struct rig *r = *state;
    char b[16];
    r->s.c.ev = &GIVER;
    assert_int_equal(write(r->peer, "hello", 5), 5);
    turns(r, 1);
    assert_int_equal(r->s.got.n, 5);
    assert_int_equal(r->s.closed, 1); /* its memory may go */
    assert_int_equal(read(r->peer, b, sizeof(b)), 7);
    assert_memory_equal(b, "old new", 7);
    assert_int_equal(write(r->peer, "more", 4), 4);
    shutdown(r->peer, SHUT_WR);
    turns(r, 2);
    assert_int_equal(r->s.got.n, 5);
    assert_int_equal(next_owner.got.n, 4);
    assert_int_equal(next_owner.ends, 1);
    conn_close(&next_owner.c);
    turns(r, 1);
    assert_int_equal(next_owner.closed, 1);
    buf_fini(&next_owner.got);
}

static void unread_bytes_the_queue_and_pauses_when_the_owner_changes(void **state)
{
    struct rig *r = *state;
    static char big[1 << 20];
    size_t got = 0;
    memset(&next_owner, 0, sizeof(next_owner));
    net_enter(&r->net);
    conn_write(&r->s.c, big, sizeof(big));
    assert_true(conn_full(&r->s.c));
    net_leave(&r->net);
    conn_pause(&r->s.c, CONN_PAUSE_PEER);
    assert_int_equal(write(r->peer, "abc", 3), 3);
    turns(r, 1);
    net_enter(&r->net);
    conn_move(&r->s.c, &next_owner.c, &EVENTS);
    assert_int_equal(conn_queued(&r->s.c), 0);
    net_leave(&r->net);
    turns(r, 2);
    assert_int_equal(r->s.closed, 1);
    assert_int_equal(next_owner.got.n, 3); /* no pause of the old owner holds the new one */
    assert_int_equal(r->s.got.n, 0);
    for (int i = 0; got < sizeof(big) && i < 1000; i++) {
        got += drain_peer(r);
        net_turn(&r->net, 0);
    }
    assert_int_equal(got, sizeof(big));
    assert_int_equal(next_owner.writables, 0); /* it had not asked */
    assert_int_equal(r->net.chunks.bytes, 0);
    conn_close(&next_owner.c);
    turns(r, 1);
    buf_fini(&next_owner.got);
}

static void news_of_the_turn_in_which_the_owner_changes_are_not_lost(void **state)
{
    struct rig *r = *state;
    memset(&next_owner, 0, sizeof(next_owner));
    assert_int_equal(write(r->peer, "abc", 3), 3);
    shutdown(r->peer, SHUT_WR);
    net_enter(&r->net); /* the loop has not told yet */
    conn_move(&r->s.c, &next_owner.c, &EVENTS);
    net_leave(&r->net);
    turns(r, 2);
    assert_int_equal(next_owner.got.n, 3);
    assert_int_equal(next_owner.ends, 1);
    assert_int_equal(r->s.got.n, 0);
    conn_close(&next_owner.c);
    turns(r, 1);
    buf_fini(&next_owner.got);
}

/* The same rig with a connection that was just accepted, `said` to it already. */
static struct rig *accepted(void **state, const char *said)
{
    struct rig *r = *state;
    int v[2];
    conn_close(&r->s.c);
    turns(r, 1);
    close(r->peer);
    r->s.closed = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    r->peer = v[1];
    r->net.luck = 1;
    if (*said)
        assert_int_equal(write(r->peer, said, strlen(said)), strlen(said));
    assert_int_equal(conn_accept(&r->s.c, &r->net, v[0], &EVENTS), 0);
    return r;
}

static void what_was_said_before_it_was_accepted_is_read_at_once_and_the_rest_follows(void **state)
{
    struct rig *r = accepted(state, "hello");
    assert_true(conn_is_deaf(&r->s.c));
    turns(r, 1);
    assert_int_equal(r->s.got.n, 5);
    assert_false(conn_is_deaf(&r->s.c));
    assert_int_equal(write(r->peer, " world", 6), 6);
    turns(r, 1);
    assert_int_equal(r->s.got.n, 11);
    shutdown(r->peer, SHUT_WR);
    turns(r, 1);
    assert_int_equal(r->s.ends, 1);
}

static void who_has_said_nothing_yet_is_heard_when_he_does(void **state)
{
    struct rig *r = accepted(state, "");
    turns(r, 1);
    assert_false(conn_is_deaf(&r->s.c));
    assert_int_equal(r->net.luck, 0); /* that read was in vain: the next one does not try */
    assert_int_equal(write(r->peer, "hello", 5), 5);
    turns(r, 1);
    assert_int_equal(r->s.got.n, 5);
}

static void a_calm_owner_hears_nothing_until_it_asks(void **state)
{
    struct rig *r = accepted(state, "hello");
    r->s.calm = true;
    turns(r, 1);
    assert_int_equal(r->s.got.n, 5);
    assert_false(conn_heard(&r->s.c, true));
    assert_int_equal(write(r->peer, "more", 4), 4);
    turns(r, 3);
    assert_int_equal(r->s.got.n, 5);
    assert_true(conn_heard(&r->s.c, true));
    conn_hear(&r->s.c);
    turns(r, 1);
    assert_int_equal(r->s.got.n, 9);
    shutdown(r->peer, SHUT_RDWR);
    turns(r, 1);
    assert_int_equal(r->s.ends, 1);
}

static void a_message_that_nothing_precedes_leaves_at_once(void **state)
{
    struct rig *r = *state;
    char b[1 << 16] = "";
    net_enter(&r->net);
    assert_true(conn_write_now(&r->s.c, "one", 3));
    assert_int_equal(read(r->peer, b, sizeof(b)), 3);
    conn_write(&r->s.c, "two", 3);
    assert_false(conn_write_now(&r->s.c, "three", 5)); /* it would come before the second */
    net_leave(&r->net);
    assert_int_equal(read(r->peer, b, sizeof(b)), 3);

    size_t said = 0, got = 0;
    net_enter(&r->net);
    for (; !conn_queued(&r->s.c); said += 20000) /* until the kernel takes no more, or not all of one */
        assert_true(conn_write_now(&r->s.c, b, 20000));
    assert_false(conn_write_now(&r->s.c, b, 1));
    net_leave(&r->net);
    for (int i = 0; i < 100 && got < said; i++) {
        got += drain_peer(r);
        turns(r, 1);
    }
    assert_int_equal(got, said);
}

static void a_message_to_who_is_gone_is_an_error_told_from_the_loop(void **state)
{
    struct rig *r = *state;
    r->s.c.flags |= CONN_F_EAGER;
    close(r->peer);
    net_enter(&r->net);
    assert_true(conn_write_now(&r->s.c, "one", 3));
    assert_int_equal(r->s.error, 0);
    net_leave(&r->net);
    turns(r, 1);
    assert_int_equal(r->s.error, EPIPE);
    turns(r, 1);
    r->peer = dup(0);
}

static void a_calm_owner_s_answer_leaves_in_any_size(void **state)
{
    struct rig *r = accepted(state, "hello");
    size_t size = 1 << 20, got = 0;
    char *big = calloc(1, size);
    r->s.calm = true;
    turns(r, 1);
    net_enter(&r->net);
    conn_write(&r->s.c, big, size);
    conn_finish(&r->s.c);
    net_leave(&r->net);
    assert_true(conn_queued(&r->s.c) > 0);
    for (int i = 0; i < 10000 && !r->s.closed; i++) {
        got += drain_peer(r);
        turns(r, 1);
    }
    assert_int_equal(got + drain_peer(r), size);
    assert_int_equal(r->s.closed, 1);
    free(big);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(bytes_come_and_slices_of_them_go_out_in_one_write),
        T(what_the_kernel_does_not_take_is_queued_and_follows),
        T(more_pieces_than_one_system_call_takes),
        T(what_was_flushed_is_gone_though_the_owner_is_to_hear_of_room),
        T(a_paused_connection_reads_nothing_until_it_resumes),
        T(a_pause_in_the_middle_of_much_data_loses_nothing),
        T(the_end_comes_behind_the_last_bytes),
        T(shutdown_waits_for_the_queue),
        T(finish_closes_when_all_is_written),
        T(a_peer_that_is_gone_is_an_error_told_once_and_from_the_loop),
        T(last_words_are_read_before_a_reset_is_told),
        T(the_end_stays_the_end_when_a_write_behind_it_fails),
        T(last_words_wait_for_the_end_of_a_pause),
        T(after_our_last_words_the_peer_may_go_on_and_its_end_is_the_end),
        T(what_the_kernel_has_is_heard_before_it_is_read),
        T(what_libuv_is_told_to_watch_from_a_callback_is_heard),
        T(a_connection_goes_on_with_another_owner),
        T(unread_bytes_the_queue_and_pauses_when_the_owner_changes),
        T(news_of_the_turn_in_which_the_owner_changes_are_not_lost),
        T(nothing_listens_there),
        T(what_was_said_before_it_was_accepted_is_read_at_once_and_the_rest_follows),
        T(who_has_said_nothing_yet_is_heard_when_he_does),
        T(a_calm_owner_hears_nothing_until_it_asks),
        T(a_calm_owner_s_answer_leaves_in_any_size),
        T(a_message_that_nothing_precedes_leaves_at_once),
        T(a_message_to_who_is_gone_is_an_error_told_from_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
