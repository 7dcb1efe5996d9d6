#include "tests/unit/shared/base/base_test.h"
#include "shared/base/arena.h"

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena a;
    char *pieces[200];
    arena_init(&a, 1024, NULL);
    for (size_t i = 0; i < 200; i++) {
        size_t n = i * 7 % 600; /* some need a block of their own */
        pieces[i] = arena_alloc(&a, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % (n % 16 == 8 ? 8 : _Alignof(max_align_t)), 0);
        assert_true(all_zero(pieces[i], n));
        memset(pieces[i], (int)(i + 1), n);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i * 7 % 600; k++)
            assert_int_equal((unsigned char)pieces[i][k], i + 1);
    arena_fini(&a);
    assert_int_equal(a.total, 0);
}

static void reset_keeps_one_block_and_zeroes_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024, NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            char *p = arena_alloc(&a, 200);
            assert_true(all_zero(p, 200));
            memset(p, 0xff, 200);
        }
        memset(arena_alloc(&a, 5000), 0xff, 5000);
        assert_true(a.total > 9000);
        arena_reset(&a);
        assert_int_equal(a.total, 1024);
    }
    size_t before = a.total;
    arena_alloc(&a, 200);
    assert_int_equal(a.total, before);
    arena_fini(&a);
}

static void reset_of_an_arena_with_only_a_large_piece(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024, NULL);
    arena_alloc(&a, 100000);
    arena_reset(&a);
    assert_int_equal(a.total, 0);
    assert_non_null(arena_alloc(&a, 10));
    arena_fini(&a);
    arena_fini(&a);
}

static void strings_are_copied_and_terminated(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0, NULL);
    char text[] = "hello";
    struct str s = arena_str(&a, str_c(text));
    text[0] = 'j';
    assert_string_equal(s.p, "hello");
    assert_str(arena_strf(&a, "%s-%d", "n", 42), "n-42");
    s = arena_str(&a, STR_NONE);
    assert_non_null(s.p);
    assert_int_equal(s.n, 0);
    s = arena_strf(&a, "%*d", 3000, 1);
    assert_int_equal(s.n, 3000);
    assert_int_equal(s.p[3000], '\0');
    arena_fini(&a);
}

struct numbers {
    uint64_t *v;
    size_t n, cap;
};

static void arrays_grow_with_zeroed_elements(void **state)
{
    (void)state;
    struct arena a;
    struct numbers list = {0};
    arena_init(&a, 0, NULL);
    for (uint64_t i = 0; i < 10000; i++) {
        uint64_t *e = ARENA_PUSH(&a, &list);
        assert_int_equal(*e, 0);
        *e = i;
    }
    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(list.v[i], i);
    arena_fini(&a);
}

static void memory_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    struct arena a;
    size_t cap = 0;
    arena_init(&a, 1024, NULL);
    a.limit = 4096;
    int got = 0;
    while (arena_alloc(&a, 100))
        got++;
    assert_true(got > 20 && got < 41);
    assert_null(arena_alloc(&a, 5000));
    assert_null(arena_grow(&a, NULL, 0, &cap, 1000));
    assert_int_equal(cap, 0);
    assert_true(a.total <= 4096);
    arena_fini(&a);
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    struct arena a;
    size_t cap = 0;
    arena_init(&a, 0, NULL);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX / 2 + 1));
    assert_null(arena_array(&a, SIZE_MAX / 8, 16));
    assert_null(arena_str(&a, str_of("", SIZE_MAX)).p);
    assert_null(arena_grow(&a, NULL, 0, &cap, SIZE_MAX / 4));
    arena_fini(&a);
}

static jmp_buf out_of_memory;

static void on_oom(void)
{
    longjmp(out_of_memory, 1);
}

static void the_handler_is_called_when_memory_runs_out(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1024, on_oom);
    a.limit = 100;
    if (setjmp(out_of_memory) == 0) {
        arena_alloc(&a, 1);
        fail_msg("arena_alloc came back");
    }
    arena_fini(&a);
}

struct trace {
    char order[8];
    size_t n;
    struct arena *a;
};

static void note_a(void *arg)
{
    struct trace *t = arg;
    t->order[t->n++] = 'a';
}

static void note_b_and_more(void *arg)
{
    struct trace *t = arg;
    t->order[t->n++] = 'b';
    assert_true(arena_defer(t->a, note_a, t));
}

static void destructors_run_newest_first(void **state)
{
    (void)state;
    struct arena a;
    struct trace t = {.a = &a};
    arena_init(&a, 0, NULL);
    arena_defer(&a, note_a, &t);
    arena_defer(&a, note_b_and_more, &t);
    arena_reset(&a);
    assert_string_equal(t.order, "baa");
    arena_reset(&a);
    arena_fini(&a);
    assert_int_equal(t.n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(reset_keeps_one_block_and_zeroes_again),
        cmocka_unit_test(reset_of_an_arena_with_only_a_large_piece),
        cmocka_unit_test(strings_are_copied_and_terminated),
        cmocka_unit_test(arrays_grow_with_zeroed_elements),
        cmocka_unit_test(memory_beyond_the_limit_is_refused),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(the_handler_is_called_when_memory_runs_out),
        cmocka_unit_test(destructors_run_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
