/* The builders find what is there, the check names every broken invariant, the dump is stable. */
#include "master/model/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct model m;
    struct model_bind *bind;
    struct model_listener *listener;
    struct model_host *exact, *wild;
    struct model_rule *rule;
    struct model_match match;
};

static void build(struct fixture *f)
{
    arena_init(&f->arena, 0, NULL);
    model_init(&f->m, &f->arena);
    f->bind = model_bind(&f->m, STR(""), 80);
    f->listener = model_listener_add(f->bind, &f->arena, STR("Gateway/default/edge/http"), STR(""));
    f->listener->name = STR("default/edge/http");
    f->exact = model_host(&f->m, f->bind, STR("a.example.com"), f->listener);
    f->wild = model_host(&f->m, f->bind, STR("*.example.com"), f->listener);
    f->exact->fallback = f->wild;
    f->rule = model_rule_add(&f->m, STR("HTTPRoute/default/shop/0"));
    f->rule->no_backend_status = 500;
    f->match = (struct model_match){.path = PATH_PREFIX_ELEMENT};
    *ARENA_PUSH(&f->arena, &f->exact->entries) = (struct model_entry){&f->match, f->rule, 0};
}

static void things_are_found_again_by_key(void **state)
{
    (void)state;
    struct fixture f;
    build(&f);
    bool made;
    assert_ptr_equal(model_bind(&f.m, STR(""), 80), f.bind);
    assert_ptr_not_equal(model_bind(&f.m, STR("127.0.0.1"), 80), f.bind);
    assert_ptr_equal(model_host(&f.m, f.bind, STR("a.example.com"), f.listener), f.exact);
    assert_string_equal(f.listener->hostname.p, "*");
    struct model_cluster *c = model_cluster(&f.m, STR("Service/a/b:80"), &made);
    assert_true(made);
    assert_ptr_equal(model_cluster(&f.m, STR("Service/a/b:80"), &made), c);
    assert_false(made);
    assert_int_equal(f.m.settings.idle_timeout_ms, 75000);
    arena_fini(&f.arena);
}

static void the_check_finds_every_broken_invariant(void **state)
{
    (void)state;
    struct fixture f;
    build(&f);
    assert_null(model_check(&f.m));

    f.exact->name = STR("A.example.com");
    assert_non_null(model_check(&f.m));
    f.exact->name = STR("a.example.com");

    f.exact->entries.v[0].rank = 1;
    assert_non_null(model_check(&f.m));
    f.exact->entries.v[0].rank = 0;

    f.wild->fallback = f.exact; /* a loop */
    assert_non_null(model_check(&f.m));
    f.wild->fallback = f.wild;
    assert_non_null(model_check(&f.m));
    f.wild->fallback = NULL;

    f.rule->no_backend_status = 0;
    assert_non_null(model_check(&f.m));
    f.rule->no_backend_status = 500;

    *ARENA_PUSH(&f.arena, &f.rule->splits) = (struct model_split){.weight = 1};
    assert_non_null(model_check(&f.m)); /* neither cluster nor status */
    f.rule->splits.v[0].status = 500;
    assert_null(model_check(&f.m));
    f.rule->splits.v[0].weight = 1000001;
    assert_non_null(model_check(&f.m));
    f.rule->splits.v[0].weight = 1;

    f.match.path_value = STR("/a/");
    assert_non_null(model_check(&f.m));
    f.match.path_value = STR("/a");
    assert_null(model_check(&f.m));
    arena_fini(&f.arena);
}

static void the_dump_reads_like_the_configuration(void **state)
{
    (void)state;
    struct fixture f;
    struct buf out = {0};
    build(&f);
    f.m.settings.idle_timeout_ms = 1000;
    model_dump(&f.m, &out);
    assert_string_equal(buf_cstr(&out),
                        "setting idle_timeout_ms 1000\n"
                        "bind * port 80\n"
                        "  listener Gateway/default/edge/http named default/edge/http, http *\n"
                        "  host a.example.com of Gateway/default/edge/http, else *.example.com\n"
                        "    0 prefix \"/\" -> HTTPRoute/default/shop/0\n"
                        "  host *.example.com of Gateway/default/edge/http\n"
                        "rule HTTPRoute/default/shop/0\n"
                        "  without backend 500\n");
    buf_fini(&out);
    arena_fini(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(things_are_found_again_by_key),
        cmocka_unit_test(the_check_finds_every_broken_invariant),
        cmocka_unit_test(the_dump_reads_like_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
