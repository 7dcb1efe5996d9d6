/* What `gatehouse diff` finds between two configurations, and what it rightly does not mention. */
#include "master/build.h"
#include "master/ctl/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define GATEWAY                                                                                    \
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n"           \
    "  selector: {istio: ingressgateway}\n"                                                        \
    "  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ['*']}]\n---\n"
#define SERVICES                                                                                   \
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n"                \
    "spec: {hosts: [a.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.1}]}\n---\n" \
    "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: b}\n"                \
    "spec: {hosts: [b.test], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.2}]}\n---\n"
#define VS(rules)                                                                                  \
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop}\nspec:\n"    \
    "  hosts: [shop.test]\n  gateways: [edge]\n  http:\n" rules
#define TO_A(match) "  - match: [{uri: {" match "}}]\n    route: [{destination: {host: a.test}}]\n"
#define TO_B(match) "  - match: [{uri: {" match "}}]\n    route: [{destination: {host: b.test}}]\n"

struct side {
    struct build build;
    struct snap *snap;
    struct str resources;
};

static void make(struct side *s, const char *yaml)
{
    char file[] = "/tmp/gatehouse-diff-XXXXXX.yaml";
    int fd = mkstemps(file, 5);
    assert_true(fd >= 0 && write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
    close(fd);
    const char *paths[] = {file};
    struct build_input in = {.paths = paths, .n_paths = 1, .generation = 1};
    assert_int_equal(build_run(&s->build, &in), 0);
    unlink(file);
    assert_int_equal(snap_open_bytes(&s->snap, buf_str(&s->build.snapshot), NULL), 0);
    struct str status = buf_str(&s->build.status);
    ptrdiff_t at = str_find(status, STR("\n\"resources\":["));
    assert_true(at > 0);
    s->resources = str_skip(status, (size_t)at + sizeof("\n\"resources\":") - 1);
}

/* The text of the difference; the caller frees it. */
static struct buf text_of(const char *old, const char *now)
{
    struct side a, b;
    struct arena arena;
    struct buf text = {0}, json = {0};
    make(&a, old);
    make(&b, now);
    arena_init(&arena, 0, NULL);
    struct diff d = {.arena = &arena, .old = {a.resources, a.snap}, .now = {b.resources, b.snap}};
    assert_true(diff_run(&d));
    diff_text(&d, false, &text);
    diff_json(&d, &json);
    assert_true(str_starts(buf_str(&json), diff_is_same(&d) ? STR("{\"same\":true") : STR("{\"same\":false")));
    buf_fini(&json);
    arena_fini(&arena);
    snap_drop(a.snap);
    snap_drop(b.snap);
    build_free(&a.build);
    build_free(&b.build);
    return text;
}

static void says(const struct buf *text, const char *phrase)
{
    if (str_find(buf_str(text), str_c(phrase)) < 0)
        fail_msg("'%s' is not in:\n" STR_FMT, phrase, STR_ARG(buf_str(text)));
}

static void says_not(const struct buf *text, const char *phrase)
{
    if (str_find(buf_str(text), str_c(phrase)) >= 0)
        fail_msg("'%s' is in:\n" STR_FMT, phrase, STR_ARG(buf_str(text)));
}

static void comments_formatting_and_order_of_documents_are_no_difference(void **state)
{
    (void)state;
    struct buf t = text_of(GATEWAY SERVICES VS(TO_A("prefix: /x") TO_B("prefix: /")),
                           "# a comment\n" SERVICES GATEWAY VS(TO_A("'prefix':   \"/x\"") TO_B("prefix: /")));
    assert_string_equal(buf_cstr(&t), "no difference\n");
    buf_fini(&t);
}

static void objects_and_routes_come_go_and_change(void **state)
{
    (void)state;
    struct buf t = text_of(GATEWAY SERVICES VS(TO_A("exact: /gone") TO_A("prefix: /same") TO_A("prefix: /")),
                           GATEWAY SERVICES VS(TO_A("prefix: /same") TO_B("prefix: /new") TO_B("prefix: /")));
    says(&t, "~ VirtualService default/shop");
    says(&t, "- *:8080 shop.test  path is /gone");
    says(&t, "+ *:8080 shop.test  path begins with /new");
    says(&t, "~ *:8080 shop.test  path begins with /\n");
    says_not(&t, "/same\n");
    buf_fini(&t);
    t = text_of(GATEWAY SERVICES VS(TO_A("prefix: /")), GATEWAY SERVICES);
    says(&t, "- VirtualService default/shop");
    says(&t, "1 object, 1 route would change");
    buf_fini(&t);
}

static void order_matters_only_between_routes_that_can_meet(void **state)
{
    (void)state;
    struct buf t = text_of(GATEWAY SERVICES VS(TO_A("prefix: /a") TO_B("prefix: /b")),
                           GATEWAY SERVICES VS(TO_B("prefix: /b") TO_A("prefix: /a")));
    says_not(&t, "(order)");
    buf_fini(&t);
    t = text_of(GATEWAY SERVICES VS(TO_A("prefix: /a") TO_B("prefix: /a/b")),
                GATEWAY SERVICES VS(TO_B("prefix: /a/b") TO_A("prefix: /a")));
    says(&t, "(order)");
    says(&t, "1 route");
    buf_fini(&t);
    t = text_of(GATEWAY SERVICES VS(TO_A("prefix: /a") TO_A("prefix: /a/b")),
                GATEWAY SERVICES VS(TO_A("prefix: /a/b") TO_A("prefix: /a")));
    says_not(&t, "(order)"); /* the same answer either way */
    buf_fini(&t);
}

static void endpoints_are_backends_and_weights_are_shares(void **state)
{
    (void)state;
    struct buf one = {0}, two = {0};
    buf_addc(&one, GATEWAY SERVICES VS(TO_A("prefix: /")));
    buf_addc(&two, GATEWAY SERVICES VS(TO_A("prefix: /")));
    memcpy(strstr(buf_cstr(&two), "10.0.0.1"), "10.0.0.9", 8);
    struct buf t = text_of(buf_cstr(&one), buf_cstr(&two));
    says(&t, "backends");
    says(&t, "- endpoint: 10.0.0.1:80");
    says(&t, "+ endpoint: 10.0.0.9:80");
    says_not(&t, "routes");
    buf_fini(&t);
    buf_fini(&one);
    buf_fini(&two);
    t = text_of(GATEWAY SERVICES VS("  - route: [{destination: {host: a.test}, weight: 1}, {destination: {host: b.test}, weight: 3}]\n"),
                GATEWAY SERVICES VS("  - route: [{destination: {host: a.test}, weight: 25}, {destination: {host: b.test}, weight: 75}]\n"));
    says(&t, "objects");
    says_not(&t, "routes"); /* the same shares */
    buf_fini(&t);
}

static void the_elements_of_a_list_are_found(void **state)
{
    struct str rest = STR("[{\"a\":\"}\\\"{\"},\n{\"b\":[{}]}]}"), e;
    (void)state;
    assert_true(diff_next_element(&rest, &e) && str_eqc(e, "{\"a\":\"}\\\"{\"}"));
    assert_true(diff_next_element(&rest, &e) && str_eqc(e, "{\"b\":[{}]}"));
    assert_false(diff_next_element(&rest, &e));
    rest = STR("[{\"a\":");
    assert_false(diff_next_element(&rest, &e));
    rest = STR("[]");
    assert_false(diff_next_element(&rest, &e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comments_formatting_and_order_of_documents_are_no_difference),
        cmocka_unit_test(objects_and_routes_come_go_and_change),
        cmocka_unit_test(order_matters_only_between_routes_that_can_meet),
        cmocka_unit_test(endpoints_are_backends_and_weights_are_shares),
        cmocka_unit_test(the_elements_of_a_list_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
