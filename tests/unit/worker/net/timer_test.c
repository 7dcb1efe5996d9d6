#include "tests/unit/shared/base/base_test.h"
#include "shared/base/clock.h"
#include "worker/net/timer.h"

struct probe {
    struct timer t;
    struct timers *w;
    uint64_t fired_ms;
    unsigned n;
    uint64_t again_ms;   /* set anew from the callback */
    struct probe *stops; /* stopped from the callback */
};

static void fired(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, t);
    p->fired_ms = p->w->now_ms;
    p->n++;
    if (p->stops)
        timer_stop(&p->stops->t);
    if (p->again_ms) {
        uint64_t at = p->w->now_ms + p->again_ms;
        p->again_ms = 0;
        timer_set(p->w, t, at);
    }
}

static void ask(void *ctx, uint64_t at_ms)
{
    *(uint64_t *)ctx = at_ms;
}

static void make(struct probe *p, struct timers *w)
{
    *p = (struct probe){.w = w};
    timer_init(&p->t, fired);
}

static void fires_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    static const uint64_t AFTER[] = {1, 2, 63, 64, 65, 100, 4095, 4096, 4097, 262143, 262144, 1000000,
                                     16777215, 16777216, 40000000};
    for (size_t i = 0; i < ARRAY_LEN(AFTER); i++)
        for (uint64_t start = 1000; start < 1000 + 200; start += 13) {
            struct timers w;
            struct probe p;
            uint64_t asked = 0;
            timers_init(&w, start, ask, &asked);
            make(&p, &w);
            timer_set(&w, &p.t, start + AFTER[i]);
            while (!p.n) {
                uint64_t next = timers_next(&w);
                assert_true(next <= start + AFTER[i]);
                assert_true(next > w.now_ms);
                assert_int_equal(asked, next);
                timers_run(&w, next);
            }
            assert_int_equal(p.fired_ms, start + AFTER[i]);
            assert_int_equal(timers_next(&w), UINT64_MAX);
        }
}

static void a_late_turn_fires_everything_that_is_due(void **state)
{
    (void)state;
    struct timers w;
    struct probe p[300];
    uint64_t asked;
    timers_init(&w, 5, ask, &asked);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        make(&p[i], &w);
        timer_set(&w, &p[i].t, 6 + i * i);
    }
    assert_int_equal(timers_run(&w, 50000), 224);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        assert_int_equal(p[i].n, 6 + i * i <= 50000);
    timers_run(&w, 1000000);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        assert_int_equal(p[i].n, 1);
}

static void moving_it_later_or_stopping_it_does_not_touch_the_wheel(void **state)
{
    (void)state;
    struct timers w;
    struct probe p;
    uint64_t asked;
    timers_init(&w, 0, ask, &asked);
    make(&p, &w);
    timer_set(&w, &p.t, 50);
    struct list *at = p.t.node.prev;
    for (uint64_t later = 51; later < 10000; later += 100)
        timer_set(&w, &p.t, later);
    assert_ptr_equal(at, p.t.node.prev);
    timer_stop(&p.t);
    assert_ptr_equal(at, p.t.node.prev);
    timer_set(&w, &p.t, 700);
    assert_ptr_equal(at, p.t.node.prev);
    timers_run(&w, 699);
    assert_int_equal(p.n, 0);
    timers_run(&w, 700);
    assert_int_equal(p.n, 1);
    timer_set(&w, &p.t, 800);
    timer_stop(&p.t);
    timers_run(&w, 900);
    assert_int_equal(p.n, 1);
}

static void moving_it_earlier_counts(void **state)
{
    (void)state;
    struct timers w;
    struct probe p;
    uint64_t asked;
    timers_init(&w, 0, ask, &asked);
    make(&p, &w);
    timer_set(&w, &p.t, 75000);
    timer_set(&w, &p.t, 10);
    assert_int_equal(asked, 10);
    timers_run(&w, 10);
    assert_int_equal(p.n, 1);
}

static void callbacks_may_set_and_stop(void **state)
{
    (void)state;
    struct timers w;
    struct probe a, b, c;
    uint64_t asked;
    timers_init(&w, 0, ask, &asked);
    make(&a, &w);
    make(&b, &w);
    make(&c, &w);
    a.stops = &b;
    a.again_ms = 5;
    timer_set(&w, &a.t, 20);
    timer_set(&w, &b.t, 20); /* due in the same slot, behind a */
    timer_set(&w, &c.t, 20);
    timers_run(&w, 20);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.n, 0);
    assert_int_equal(c.n, 1);
    timers_run(&w, 25);
    assert_int_equal(a.n, 2);
    timer_close(&a.t);
    timer_close(&b.t);
    timer_close(&c.t);
    assert_int_equal(timers_run(&w, 1000), 0);
}

static void a_deadline_in_the_past_fires_at_the_next_turn(void **state)
{
    (void)state;
    struct timers w;
    struct probe p;
    uint64_t asked;
    timers_init(&w, 1000, ask, &asked);
    make(&p, &w);
    timer_set(&w, &p.t, 3);
    assert_int_equal(asked, 1001);
    timers_run(&w, 1001);
    assert_int_equal(p.n, 1);
}

/* Against a plain list of deadlines: random sets, stops and turns. */
static void agrees_with_a_simple_model(void **state)
{
    (void)state;
    struct rng r = {{1, 2}};
    struct timers w;
    struct probe p[64];
    uint64_t deadline[64] = {0};
    uint64_t asked, now = 12345;
    timers_init(&w, now, ask, &asked);
    for (size_t i = 0; i < 64; i++)
        make(&p[i], &w);
    for (int step = 0; step < 20000; step++) {
        size_t i = rng_below(&r, 64);
        uint32_t kind = rng_below(&r, 10);
        if (kind < 6) {
            deadline[i] = now + 1 + (rng_next(&r) >> (44 + rng_below(&r, 18)));
            timer_set(&w, &p[i].t, deadline[i]);
        } else if (kind < 7) {
            deadline[i] = 0;
            timer_stop(&p[i].t);
        } else if (kind < 8) {
            deadline[i] = 0;
            timer_close(&p[i].t);
        } else {
            now += rng_next(&r) >> (46 + rng_below(&r, 16));
            for (size_t k = 0; k < 64; k++)
                p[k].n = 0;
            timers_run(&w, now);
            for (size_t k = 0; k < 64; k++) {
                bool due = deadline[k] && deadline[k] <= now;
                assert_int_equal(p[k].n, due);
                if (due)
                    deadline[k] = 0;
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_its_deadline_and_not_before),
        cmocka_unit_test(a_late_turn_fires_everything_that_is_due),
        cmocka_unit_test(moving_it_later_or_stopping_it_does_not_touch_the_wheel),
        cmocka_unit_test(moving_it_earlier_counts),
        cmocka_unit_test(callbacks_may_set_and_stop),
        cmocka_unit_test(a_deadline_in_the_past_fires_at_the_next_turn),
        cmocka_unit_test(agrees_with_a_simple_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
