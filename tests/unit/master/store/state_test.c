#include "tests/unit/master/store/load_test.h"
#include "shared/base/err.h"

static struct state_object *add_object(struct state *st, const char *name, const char *text)
{
    struct state_object *o = arena_new(st->arena, struct state_object);
    *o = (struct state_object){.kind_group = STR("g.io"), .kind = STR("Kind"), .ns = STR("ns"), .name = str_c(name), .uid = STR("u-1"),
                               .generation = 7, .created_us = 1700000000000000, .spec_hash = 0x123456789abcdef0, .file = STR("a.yaml"), .line = 3,
                               .text = str_c(text), .status_json = STR("{}")};
    map_put(&st->objects, state_key(st->arena, o), o);
    return o;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct arena a;
    struct state st, back;
    struct buf image = {0}, again = {0};
    arena_init(&a, 0, test_oom);
    state_init(&st, &a);
    st.generation = 42;
    add_object(&st, "one", "text\n");
    add_object(&st, "two", "");
    assert_int_equal(state_slot(&st, "series", STR("rule/x/0"), 10), 1);
    assert_int_equal(state_slot(&st, "dns", STR("a.example"), 10), 1);
    assert_int_equal(state_slot(&st, "series", STR("rule/x/1"), 10), 2);
    state_write(&st, &image);
    state_init(&back, &a);
    assert_int_equal(state_read(&back, buf_str(&image)), 0);
    assert_int_equal(back.generation, 42);
    assert_int_equal(back.objects.n, 2);
    struct state_object *o = state_find(&back, STR("g.io"), STR("Kind"), STR("ns"), STR("one"));
    assert_non_null(o);
    assert_str(o->uid, "u-1");
    assert_str(o->text, "text\n");
    assert_true(o->generation == 7 && o->created_us == 1700000000000000 && o->spec_hash == 0x123456789abcdef0 && o->line == 3);
    assert_int_equal(state_slot(&back, "series", STR("rule/x/1"), 10), 2);
    assert_int_equal(state_slot(&back, "series", STR("rule/new"), 10), 3);
    assert_null(state_find(&back, STR("g.io"), STR("Kind"), STR("ns"), STR("three")));
    state_init(&back, &a);
    assert_int_equal(state_read(&back, buf_str(&image)), 0);
    state_write(&back, &again);
    assert_int_equal(again.n, image.n);
    assert_memory_equal(again.p, image.p, image.n);
    buf_fini(&image);
    buf_fini(&again);
    arena_fini(&a);
}

static void a_damaged_image_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct arena a;
    struct state st;
    struct buf image = {0};
    arena_init(&a, 0, test_oom);
    state_init(&st, &a);
    add_object(&st, "one", "text");
    state_slot(&st, "series", STR("x"), 10);
    state_write(&st, &image);
    for (size_t cut = 0; cut < image.n; cut++) {
        struct arena b;
        arena_init(&b, 0, test_oom);
        struct state back;
        state_init(&back, &b);
        assert_true(state_read(&back, str_of(image.p, cut)) < 0);
        assert_int_equal(back.objects.n, 0);
        arena_fini(&b);
    }
    for (size_t i = 0; i < image.n; i++) {
        struct arena b;
        arena_init(&b, 0, test_oom);
        struct state back;
        state_init(&back, &b);
        image.p[i] ^= 0x40;
        assert_true(state_read(&back, buf_str(&image)) < 0);
        image.p[i] ^= 0x40;
        arena_fini(&b);
    }
    assert_int_equal(state_read(&st, STR("")), GH_E_TRUNCATED);
    assert_int_equal(state_read(&st, STR("GHSTATE9xxxxxxxxxxxxxxxx")), GH_E_VERSION);
    assert_int_equal(state_read(&st, STR("GHSTATE1xxxxxxxxxxxxxxxx")), GH_E_CHECKSUM);
    buf_fini(&image);
    arena_fini(&a);
}

static void places_are_kept_for_long_and_then_given_away(void **state)
{
    (void)state;
    struct arena a;
    struct state st;
    arena_init(&a, 0, test_oom);
    state_init(&st, &a);
    st.generation = 1;
    assert_int_equal(state_slot(&st, "t", STR("a"), 2), 1);
    assert_int_equal(state_slot(&st, "t", STR("b"), 2), 2);
    assert_int_equal(state_slot(&st, "t", STR("c"), 2), 0); /* all taken: the overflow place */
    st.generation = 1 + STATE_SLOT_KEEP;
    assert_int_equal(state_slot(&st, "t", STR("a"), 2), 1);
    struct buf image = {0};
    state_write(&st, &image);
    struct state later;
    state_init(&later, &a);
    assert_int_equal(state_read(&later, buf_str(&image)), 0);
    later.generation = 2 + STATE_SLOT_KEEP;
    assert_int_equal(state_slot(&later, "t", STR("d"), 2), 2); /* b was not used for 64 generations */
    assert_int_equal(state_slot(&later, "t", STR("a"), 2), 1);
    assert_int_equal(state_slot(&later, "t", STR("b"), 2), 0);
    assert_int_equal(state_slot(&later, "t", STR("d"), 2), 2);
    buf_fini(&image);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_damaged_image_is_refused_as_a_whole),
        cmocka_unit_test(places_are_kept_for_long_and_then_given_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
