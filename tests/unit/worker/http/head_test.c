#include "tests/unit/shared/base/base_test.h"
#include "worker/http/exchange.h"

struct fixture {
    struct arena a;
    struct http_head h;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    arena_init(&f.a, 4096, NULL);
    head_add(&f.h, &f.a, STR("Accept"), STR("a"));
    head_add(&f.h, &f.a, STR("X-One"), STR("1"));
    head_add(&f.h, &f.a, STR("accept"), STR("b"));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    arena_fini(&((struct fixture *)*state)->a);
    return 0;
}

static void names_are_found_in_any_case_and_lines_are_joined(void **state)
{
    struct fixture *f = *state;
    struct str v;
    assert_true(head_value(&f->h, &f->a, STR("ACCEPT"), &v));
    assert_str(v, "a,b");
    assert_true(head_value(&f->h, &f->a, STR("x-one"), &v));
    assert_str(v, "1");
    assert_false(head_value(&f->h, &f->a, STR("x-two"), &v));
    assert_str(head_find(&f->h, FIELD_ACCEPT)->value, "a");
    assert_ptr_equal(head_find_name(&f->h, STR("X-ONE")), &f->h.fields[1]);
}

static void set_replaces_all_and_remove_removes_all(void **state)
{
    struct fixture *f = *state;
    struct str v;
    assert_true(head_set(&f->h, &f->a, STR("Accept"), STR("c")));
    assert_true(head_value(&f->h, &f->a, STR("accept"), &v));
    assert_str(v, "c");
    head_remove(&f->h, STR("accept"));
    assert_null(head_find(&f->h, FIELD_ACCEPT));
    head_remove(&f->h, STR("x-one"));
    assert_null(head_find_name(&f->h, STR("x-one")));
}

static void framing_and_hop_by_hop_names_are_never_sent_whoever_adds_them(void **state)
{
    struct fixture *f = *state;
    static const char *const NAMES[] = {"content-length", "Transfer-Encoding", "connection", "Upgrade", "keep-alive", "TE"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        assert_true(head_add(&f->h, &f->a, str_c(NAMES[i]), STR("x")));
        assert_true(f->h.fields[f->h.n_fields - 1].flags & HEAD_F_SKIP);
        assert_null(head_find_name(&f->h, str_c(NAMES[i])));
    }
}

static void many_fields_find_room(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 500; i++)
        assert_true(head_add(&f->h, &f->a, arena_strf(&f->a, "x-%d", i), STR("v")));
    assert_non_null(head_find_name(&f->h, STR("X-499")));
    assert_non_null(head_find_name(&f->h, STR("x-one")));
}

static void what_the_codec_says_is_absent_is_not_searched_until_it_is_added(void **state)
{
    struct fixture *f = *state;
    struct str v;
    struct field_set present = {{0, 0}};
    field_set_add(&present, FIELD_OTHER);
    field_set_add(&present, FIELD_ACCEPT);
    f->h.absent = field_set_others(&present);
    assert_null(head_find(&f->h, FIELD_DATE));
    assert_null(head_find_name(&f->h, STR("date")));
    assert_false(head_value(&f->h, &f->a, STR("date"), &v));
    assert_str(head_find(&f->h, FIELD_ACCEPT)->value, "a");
    assert_non_null(head_find_name(&f->h, STR("x-one")));
    assert_true(head_add_id(&f->h, &f->a, FIELD_DATE, STR("now")));
    assert_str(head_find(&f->h, FIELD_DATE)->value, "now");
    assert_true(head_set_id(&f->h, &f->a, FIELD_DATE, STR("then")));
    assert_str(head_find(&f->h, FIELD_DATE)->value, "then");
    head_remove(&f->h, STR("DATE"));
    assert_null(head_find(&f->h, FIELD_DATE));
}

static void addresses_as_text(void **state)
{
    char out[PEER_TEXT_MAX];
    (void)state;
    static const uint8_t four[16] = {192, 0, 2, 10}, six[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    assert_str(str_of(out, address_text(4, four, out)), "192.0.2.10");
    assert_str(str_of(out, address_text(6, six, out)), "2001:db8::1");
    assert_int_equal(address_text(1, four, out), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_are_found_in_any_case_and_lines_are_joined),
        T(set_replaces_all_and_remove_removes_all),
        T(framing_and_hop_by_hop_names_are_never_sent_whoever_adds_them),
        T(many_fields_find_room),
        T(what_the_codec_says_is_absent_is_not_searched_until_it_is_added),
        T(addresses_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
