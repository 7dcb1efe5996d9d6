#include "tests/unit/shared/base/base_test.h"
#include "worker/http/pipe.h"

#include <stdlib.h>
#include <uv.h>

/* The two ends of a pipe, as codecs that only remember. */
struct end {
    struct stream s;
    struct buf got;
    struct str trailer;
    bool paused, ended, full;
};
struct rig {
    uv_loop_t loop;
    struct log log;
    struct board_counters count;
    struct net net;
    struct end client, up;
    struct arena arena;
    struct pipe p;
};

static struct end *of(struct stream *s)
{
    return CONTAINER_OF(s, struct end, s);
}
static bool send_body(struct stream *s, const char *data, size_t n, bool end)
{
    assert_false(of(s)->ended);
    buf_add(&of(s)->got, data, n);
    of(s)->ended = end;
    return of(s)->full;
}
static void send_trailers(struct stream *s, const struct http_field *f, size_t n)
{
    assert_false(of(s)->ended);
    assert_int_equal(n, 1);
    of(s)->trailer = f[0].value;
    of(s)->ended = true;
}
static void pause_end(struct stream *s)
{
    of(s)->paused = true;
}
static void resume_end(struct stream *s)
{
    of(s)->paused = false;
}
static const struct stream_ops OPS = {
    .send_body = send_body, .send_trailers = send_trailers, .pause = pause_end, .resume = resume_end};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 2, "test");
    assert_int_equal(net_init(&r->net, &r->loop, &r->count, &r->log), 0);
    net_enter(&r->net);
    arena_init(&r->arena, 0, NULL);
    r->client.s.ops = r->up.s.ops = &OPS;
    pipe_init(&r->p, &r->net, &r->client.s, 1000, 300);
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    pipe_fini(&r->p);
    assert_int_equal(r->net.chunks.bytes, 0);
    net_leave(&r->net);
    net_fini(&r->net);
    uv_loop_close(&r->loop);
    buf_fini(&r->client.got);
    buf_fini(&r->up.got);
    arena_fini(&r->arena);
    free(r);
    return 0;
}

static void take(struct rig *r, size_t n, char c, bool end)
{
    char text[4096];
    memset(text, c, n);
    assert_true(pipe_take(&r->p, text, n, end));
}

static void what_comes_before_a_try_waits_for_it(void **state)
{
    struct rig *r = *state;
    take(r, 10, 'a', false);
    take(r, 5, 'b', true);
    assert_int_equal(r->up.got.n, 0);
    pipe_attach(&r->p, &r->up.s);
    assert_str(buf_str(&r->up.got), "aaaaaaaaaabbbbb");
    assert_true(r->up.ended);
}

static void what_comes_later_goes_through(void **state)
{
    struct rig *r = *state;
    pipe_attach(&r->p, &r->up.s);
    take(r, 3, 'a', false);
    take(r, 3, 'b', false);
    take(r, 0, 0, true);
    assert_str(buf_str(&r->up.got), "aaabbb");
    assert_true(r->up.ended);
}

static void another_try_gets_all_of_it_again(void **state)
{
    struct rig *r = *state;
    pipe_attach(&r->p, &r->up.s);
    take(r, 3, 'a', false);
    pipe_detach(&r->p);
    take(r, 3, 'b', true);
    assert_true(pipe_replayable(&r->p));
    buf_clear(&r->up.got);
    r->up.ended = false;
    pipe_attach(&r->p, &r->up.s);
    assert_str(buf_str(&r->up.got), "aaabbb");
    assert_true(r->up.ended);
}

static void what_is_too_much_to_keep_is_forgotten(void **state)
{
    struct rig *r = *state;
    pipe_attach(&r->p, &r->up.s);
    take(r, 299, 'a', false);
    assert_true(pipe_replayable(&r->p));
    take(r, 2, 'b', false);
    assert_false(pipe_replayable(&r->p));
    assert_int_equal(r->up.got.n, 301);
    assert_int_equal(r->net.chunks.bytes, 0);
}

static void the_answer_decides_that_nothing_is_kept(void **state)
{
    struct rig *r = *state;
    pipe_attach(&r->p, &r->up.s);
    take(r, 100, 'a', false);
    assert_true(r->net.chunks.bytes > 0);
    pipe_commit(&r->p);
    assert_int_equal(r->net.chunks.bytes, 0);
    take(r, 100, 'b', true);
    assert_int_equal(r->up.got.n, 200);
    assert_int_equal(r->net.chunks.bytes, 0);
}

static void too_much_that_waits_pauses_the_client(void **state)
{
    struct rig *r = *state;
    take(r, 1000, 'a', false);
    assert_false(r->client.paused);
    take(r, 1, 'b', false);
    assert_true(r->client.paused);
    pipe_attach(&r->p, &r->up.s);
    assert_false(r->client.paused);
    assert_int_equal(r->up.got.n, 1001);
}

static void a_full_endpoint_pauses_the_client_until_it_has_room(void **state)
{
    struct rig *r = *state;
    pipe_attach(&r->p, &r->up.s);
    r->up.full = true;
    take(r, 400, 'a', false);
    assert_true(r->client.paused);
    take(r, 100, 'b', true); /* was read before the pause */
    r->up.full = false;
    pipe_writable(&r->p);
    assert_false(r->client.paused);
    assert_int_equal(r->up.got.n, 500);
    assert_true(r->up.ended);
}

static void trailers_end_it_and_are_sent_again_with_the_rest(void **state)
{
    struct rig *r = *state;
    char value[] = "6";
    struct http_field f[2] = {{.name = STR("x-sum"), .value = str_of(value, 1)}, {.name = STR("host"), .flags = FIELD_F_NO_TRAILER}};
    pipe_attach(&r->p, &r->up.s);
    take(r, 3, 'a', false);
    assert_true(pipe_take_trailers(&r->p, &r->arena, f, 2));
    value[0] = '?'; /* the codec's buffer is another's now */
    assert_str(r->up.trailer, "6");
    buf_clear(&r->up.got);
    r->up.ended = false;
    r->up.trailer = STR_NONE;
    pipe_detach(&r->p);
    pipe_attach(&r->p, &r->up.s);
    assert_str(buf_str(&r->up.got), "aaa");
    assert_str(r->up.trailer, "6");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_comes_before_a_try_waits_for_it),
        T(what_comes_later_goes_through),
        T(another_try_gets_all_of_it_again),
        T(what_is_too_much_to_keep_is_forgotten),
        T(the_answer_decides_that_nothing_is_kept),
        T(too_much_that_waits_pauses_the_client),
        T(a_full_endpoint_pauses_the_client_until_it_has_room),
        T(trailers_end_it_and_are_sent_again_with_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
