/* What `gatehouse explain` says, for a configuration that has one of every way to lose. */
#include "master/build.h"
#include "master/ctl/explain.h"
#include "shared/base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static const char CONF[] =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n"
    "  gatewayClassName: gatehouse\n"
    "  listeners:\n"
    "  - {name: http, port: 8080, protocol: HTTP}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: shop}\nspec:\n"
    "  parentRefs: [{name: edge}]\n"
    "  hostnames: [shop.example.com]\n"
    "  rules:\n"
    "  - matches: [{path: {type: Exact, value: /cart}, method: POST}]\n"
    "    backendRefs: [{name: web, port: 80}]\n"
    "  - matches: [{path: {value: /cart}, headers: [{name: X-Canary, value: 'yes'}]}]\n"
    "    backendRefs: [{name: web, port: 80}]\n"
    "  - matches: [{path: {value: /cart}, queryParams: [{name: v, value: '2'}]}]\n"
    "    backendRefs: [{name: web, port: 80}]\n"
    "  - matches: [{path: {value: /cart}}]\n"
    "    filters:\n"
    "    - type: RequestHeaderModifier\n"
    "      requestHeaderModifier: {set: [{name: X-Via, value: edge}], remove: [X-Old]}\n"
    "    timeouts: {request: 3s}\n"
    "    backendRefs: [{name: web, port: 80, weight: 3}, {name: gone, port: 80, weight: 1}]\n"
    "  - matches: [{path: {value: /gone}}]\n"
    "    backendRefs: [{name: gone, port: 80}]\n"
    "  - matches: [{path: {value: /empty}}]\n"
    "    backendRefs: [{name: empty, port: 80}]\n"
    "  - matches: [{path: {value: /nothing}}]\n"
    "  - matches: [{path: {value: /old}}]\n"
    "    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]\n"
    "---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {ports: [{port: 80}]}\n---\n"
    "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
    "metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}\naddressType: IPv4\n"
    "ports: [{port: 9000}]\nendpoints: [{addresses: [10.1.2.3]}]\n";

struct world {
    char file[64];
    struct build build;
    struct snap *snap;
    struct snap_regexes *regexes;
    struct explain x;
    struct buf text, json;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    snprintf(w->file, sizeof(w->file), "/tmp/gatehouse-explain-XXXXXX.yaml");
    int fd = mkstemps(w->file, 5);
    assert_true(fd >= 0 && write(fd, CONF, sizeof(CONF) - 1) == (ssize_t)sizeof(CONF) - 1);
    close(fd);
    const char *paths[] = {w->file};
    struct build_input in = {.paths = paths, .n_paths = 1, .generation = 1};
    assert_int_equal(build_run(&w->build, &in), 0);
    assert_int_equal(w->build.diags.n_errors, 0);
    assert_int_equal(snap_open_bytes(&w->snap, buf_str(&w->build.snapshot), NULL), 0);
    w->regexes = snap_regexes_new(w->snap);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    snap_regexes_free(w->regexes);
    snap_drop(w->snap);
    build_free(&w->build);
    arena_fini(&w->x.arena);
    buf_fini(&w->text);
    buf_fini(&w->json);
    unlink(w->file);
    free(w);
    return 0;
}

/* `header` may be NULL. */
static const struct explain *ask(struct world *w, const char *method, const char *url, const char *name, const char *value)
{
    arena_fini(&w->x.arena);
    buf_clear(&w->text);
    buf_clear(&w->json);
    w->x = (struct explain){.snap = w->snap, .regexes = w->regexes, .method = str_c(method), .url = str_c(url)};
    arena_init(&w->x.arena, 0, NULL);
    if (name)
        *ARENA_PUSH(&w->x.arena, &w->x.headers) = (struct explain_header){str_c(name), str_c(value)};
    explain_run(&w->x);
    explain_text(&w->x, false, &w->text);
    explain_json(&w->x, &w->json);
    return &w->x;
}

static void says(struct world *w, const char *phrase)
{
    if (str_find(buf_str(&w->text), str_c(phrase)) < 0)
        fail_msg("'%s' is not in:\n%s", phrase, buf_cstr(&w->text));
}

static void json_says(struct world *w, const char *phrase)
{
    if (str_find(buf_str(&w->json), str_c(phrase)) < 0)
        fail_msg("'%s' is not in:\n%s", phrase, buf_cstr(&w->json));
}

static void a_route_is_told_with_its_places_and_backends(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/cart/7", NULL, NULL)->outcome, "route");
    says(w, "=> routed to one of 2 backends");
    says(w, "default/edge/http, HTTP on *:8080");
    says(w, "shop.example.com  ");
    says(w, "HTTPRoute default/shop rules[3].matches[0]");
    says(w, "request header: set X-Via to \"edge\"");
    says(w, "request header: remove X-Old");
    says(w, "request 3000 ms");
    says(w, " 75 %  default/web:80");
    says(w, "10.1.2.3:9000");
    says(w, " 25 %  default/gone:80: answers 500");
    json_says(w, "\"outcome\":\"route\"");
    json_says(w, "\"listener\":\"default/edge/http\"");
    json_says(w, "\"kind\":\"HTTPRoute\",\"namespace\":\"default\",\"name\":\"shop\",\"rule\":\"rules[3]\",\"match\":0");
    json_says(w, "\"endpoint\":\"10.1.2.3:9000\",\"weight\":3,\"share\":75.00,\"state\":\"configured\"");
    json_says(w, "\"endpoint\":null,\"weight\":1,\"share\":25.00,\"state\":\"invalid_backend\",\"status\":500");
}

static void every_loss_has_its_reason(void **state)
{
    struct world *w = *state;
    ask(w, "GET", "http://shop.example.com:8080/cart?v=1", NULL, NULL);
    says(w, "method is \"GET\", which is not \"POST\"");
    says(w, "header x-canary is absent");
    says(w, "query parameter v is \"1\", which is not \"2\"");
    says(w, "the path is not below /gone");
    ask(w, "GET", "http://shop.example.com:8080/cart", "x-CANARY", "no");
    says(w, "header x-canary is \"no\", which is not \"yes\"");
    json_says(w, "\"lost_because\":\"query parameter v is absent\"");
    ask(w, "GET", "http://shop.example.com:8080/cart", "X-Canary", "yes");
    says(w, "would match too, but comes later");
    says(w, "header x-canary is \"yes\"\n");
}

static void answers_of_the_gateway_are_no_routes(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/gone", NULL, NULL)->outcome, "500");
    says(w, "answered with 500 (invalid_backend)");
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/empty", NULL, NULL)->outcome, "503");
    says(w, "no endpoints, answers 503");
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/nothing", NULL, NULL)->outcome, "500");
    says(w, "none: answers 500");
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/old", NULL, NULL)->outcome, "redirect");
    says(w, "301 to https, the same host");
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/", NULL, NULL)->outcome, "404");
    says(w, "(no_route)");
    assert_string_equal(ask(w, "GET", "http://other.example.com:8080/", NULL, NULL)->outcome, "404");
    json_says(w, "\"reason\":\"no_");
}

static void what_is_no_request_is_refused_as_the_worker_does(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, "GET", "http://shop.example.com:8080/a%2fb", NULL, NULL)->outcome, "400");
    json_says(w, "\"reason\":\"bad_path\"");
    assert_string_equal(ask(w, "GET", "http://shop_%/", NULL, NULL)->outcome, "400");
    assert_string_equal(ask(w, "GET", "http://a b/", NULL, NULL)->outcome, "400");
    assert_string_equal(ask(w, "CONNECT", "shop.example.com:8080", NULL, NULL)->outcome, "405");
    assert_string_equal(ask(w, "GET", "/cart", "Host", "Shop.Example.COM")->outcome, "route");
    assert_string_equal(ask(w, "GET", "shop.example.com:8080/x/../cart", NULL, NULL)->outcome, "route");
    says(w, "/cart, in canonical form");
    assert_string_equal(ask(w, "GET", "shop.example.com/cart", "shop_x", "y")->outcome, "route");
    says(w, "port 8080, the only one, is assumed");
    w->x.port = 0;
    assert_int_equal(explain_is_served(&w->x), 1);
}

static void a_port_nobody_listens_on_is_said(void **state)
{
    struct world *w = *state;
    arena_fini(&w->x.arena);
    w->x = (struct explain){.snap = w->snap, .regexes = w->regexes, .method = STR("GET"), .url = STR("http://a/"), .port = 81};
    arena_init(&w->x.arena, 0, NULL);
    buf_clear(&w->text);
    explain_run(&w->x);
    explain_text(&w->x, true, &w->text);
    assert_string_equal(w->x.outcome, "no_listener");
    says(w, "nothing listens on port 81, only on *:8080");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_route_is_told_with_its_places_and_backends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_loss_has_its_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_of_the_gateway_are_no_routes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_request_is_refused_as_the_worker_does, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_port_nobody_listens_on_is_said, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
