/* Filters: the rewrite and redirect tables of both APIs, header operations, commands, forwarding fields. */
#include "shared/base/clock.h"
#include "worker/filter/filter.h"


#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct snap snap;
    struct snap_settings settings;
    struct snap_listener listener;
    struct snap_entry entry;
    struct snap_rule rule;
    struct route_hit hit;
    struct http_head request, response;
    struct http_field fields[32];
    struct filter_facts facts;
    struct filter_ctx ctx;
    char strings[4096];
    uint32_t n_strings;
};

static struct snap_str put(struct fixture *f, const char *text)
{
    struct snap_str s = {f->n_strings, (uint32_t)strlen(text)};
    memcpy(f->strings + f->n_strings, text, s.len + 1);
    f->n_strings += s.len + 1;
    return s;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    arena_init(&f->arena, 4096, NULL);
    f->snap.STRINGS = f->strings;
    f->snap.SETTINGS = &f->settings;
    f->settings.merge_slashes = 1;
    f->hit = (struct route_hit){.listener = &f->listener, .entry = &f->entry, .rule = &f->rule};
    f->request = (struct http_head){.method = STR("GET"), .path = STR("/"), .fields = f->fields, .cap_fields = 32, .minor = 1};
    f->ctx = (struct filter_ctx){.snap = &f->snap, .arena = &f->arena, .request = &f->request, .hit = &f->hit, .facts = &f->facts};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_fini(&f->arena);
    free(f);
    return 0;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_eqc(got, want))
        fail_msg("got \"" STR_FMT "\", wanted \"%s\"", STR_ARG(got), want);
}

static void prefix_rewrites_follow_the_table_of_the_gateway_api(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *path, *prefix, *value, *want; } rows[] = {
        {"/foo/bar", "/foo", "/xyz", "/xyz/bar"}, {"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
        {"/foo", "/foo", "/xyz", "/xyz"},         {"/foo/", "/foo", "/xyz", "/xyz/"},
        {"/foo/bar", "/foo", "", "/bar"},         {"/foo/bar", "/foo", "/", "/bar"},
        {"/foo", "/foo", "", "/"},                {"/foo/", "/foo", "/", "/"},
        {"/a/b", "", "/new", "/new/a/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str out;
        assert_true(rewrite_path(&f->arena, REWRITE_PREFIX_ELEMENT, str_c(rows[i].path), strlen(rows[i].prefix), false,
                                 str_c(rows[i].value), NULL, &out));
        assert_str(out, rows[i].want);
    }
}

static void string_prefix_rewrites_follow_istio(void **state)
{
    struct fixture *f = *state;
    struct str out;
    assert_true(rewrite_path(&f->arena, REWRITE_PREFIX_STRING, STR("/apiX/y"), 4, false, STR("/v2"), NULL, &out));
    assert_str(out, "/v2X/y");
    assert_true(rewrite_path(&f->arena, REWRITE_PREFIX_STRING, STR("/any"), 0, true, STR("/whole"), NULL, &out));
    assert_str(out, "/whole");
    f->entry.path = PATH_ANY;
    size_t covered;
    bool whole;
    rewrite_covered(&f->hit, STR("/a"), &covered, &whole);
    assert_true(rewrite_path(&f->arena, REWRITE_PREFIX_STRING, STR("/a"), covered, whole, STR("/new"), NULL, &out));
    assert_str(out, "/newa");
}

static void a_rewritten_path_is_made_canonical_again(void **state)
{
    struct fixture *f = *state;
    struct snap_rewrite rw = {.type = REWRITE_PREFIX_STRING, .regex = SNAP_NONE, .path = put(f, "/")};
    struct snap_filter filter = {.type = FILTER_REWRITE, .arg = 0};
    f->snap.REWRITES = &rw;
    f->entry.path = PATH_PREFIX_STRING;
    f->hit.prefix_len = 4;
    f->request.path = STR("/api/x");
    assert_int_equal(filter_rewrite(&f->ctx, &filter), REASON_OK);
    assert_str(f->request.path, "/x");
}

static void a_rewritten_host_is_what_is_sent(void **state)
{
    struct fixture *f = *state;
    struct snap_rewrite rw = {.type = REWRITE_NONE, .regex = SNAP_NONE, .host = put(f, "inner.example.com")};
    struct snap_filter filter = {.type = FILTER_REWRITE, .arg = 0};
    f->snap.REWRITES = &rw;
    assert_int_equal(filter_rewrite(&f->ctx, &filter), REASON_OK);
    assert_str(f->request.authority, "inner.example.com");
    assert_str(f->request.path, "/");
}

struct redirect_row {
    unsigned listener;
    const char *host, *scheme, *new_host;
    int mode;
    unsigned port;
    const char *want;
};

static void check_redirects(struct fixture *f, const struct redirect_row *rows, size_t n, bool https)
{
    for (size_t i = 0; i < n; i++) {
        f->n_strings = 0;
        f->listener.port = (uint16_t)rows[i].listener;
        f->facts.https = https;
        assert_true(http_host_parse(str_c(rows[i].host), &f->request.host));
        struct snap_redirect r = {.scheme = put(f, rows[i].scheme), .host = put(f, rows[i].new_host), .port = (uint16_t)rows[i].port,
                                  .port_mode = (uint8_t)rows[i].mode, .path_type = REWRITE_NONE, .regex = SNAP_NONE, .status = 302};
        struct str location;
        assert_true(redirect_location(&f->ctx, &r, &location));
        assert_str(location, rows[i].want);
    }
}

static void redirect_ports_follow_the_table_of_the_gateway_api(void **state)
{
    static const struct redirect_row http[] = {
        {80, "h:9999", "", "", PORT_LISTENER, 0, "http://h/"},      {80, "h", "", "", PORT_FIXED, 80, "http://h/"},
        {80, "h", "", "", PORT_FIXED, 8080, "http://h:8080/"},      {80, "h", "https", "", PORT_LISTENER, 0, "https://h/"},
        {80, "h", "https", "", PORT_FIXED, 443, "https://h/"},      {80, "h", "https", "", PORT_FIXED, 8443, "https://h:8443/"},
        {8080, "h", "", "", PORT_LISTENER, 0, "http://h:8080/"},    {8080, "h", "", "", PORT_FIXED, 80, "http://h/"},
        {8080, "h", "https", "", PORT_LISTENER, 0, "https://h/"},   {8080, "h", "", "o.example.com", PORT_LISTENER, 0, "http://o.example.com:8080/"},
    };
    static const struct redirect_row https[] = {
        {443, "h", "", "", PORT_LISTENER, 0, "https://h/"},         {443, "h", "", "", PORT_FIXED, 8443, "https://h:8443/"},
        {443, "h", "http", "", PORT_LISTENER, 0, "http://h/"},      {443, "h", "http", "", PORT_FIXED, 8080, "http://h:8080/"},
    };
    check_redirects(*state, http, ARRAY_LEN(http), false);
    check_redirects(*state, https, ARRAY_LEN(https), true);
}

static void redirect_ports_follow_istio(void **state)
{
    static const struct redirect_row rows[] = {
        {80, "b", "", "", PORT_REQUEST, 0, "http://b/"},            {80, "b:80", "", "", PORT_REQUEST, 0, "http://b:80/"},
        {85, "b", "", "", PORT_REQUEST, 0, "http://b:85/"},         {80, "b:80", "https", "", PORT_REQUEST, 0, "https://b:80/"},
        {80, "b:8080", "", "", PORT_KEEP_HOST, 0, "http://b:8080/"},{80, "b:80", "https", "", PORT_KEEP_HOST, 0, "https://b/"},
        {80, "b:8080", "https", "", PORT_KEEP_HOST, 0, "https://b:8080/"}, {80, "b", "", "n.example.com", PORT_KEEP_HOST, 0, "http://n.example.com/"},
        {85, "b", "https", "", PORT_NONE, 0, "https://b/"},
    };
    check_redirects(*state, rows, ARRAY_LEN(rows), false);
}

static void a_redirect_keeps_the_query_unless_the_new_path_brings_one(void **state)
{
    struct fixture *f = *state;
    f->listener.port = 80;
    f->request.path = STR("/a/b");
    f->request.query = STR("x=1");
    http_host_parse(STR("h"), &f->request.host);
    struct snap_redirect r = {.port_mode = PORT_LISTENER, .path_type = REWRITE_FULL, .path = put(f, "/new"), .regex = SNAP_NONE};
    struct str location;
    assert_true(redirect_location(&f->ctx, &r, &location));
    assert_str(location, "http://h/new?x=1");
    r.path = put(f, "/new?y=2");
    r.value_has_query = 1;
    assert_true(redirect_location(&f->ctx, &r, &location));
    assert_str(location, "http://h/new?y=2");
    assert_true(redirect_https(&f->ctx, &location));
    assert_str(location, "https://h/a/b?x=1");
}

static void header_operations_set_add_and_remove(void **state)
{
    struct fixture *f = *state;
    struct snap_header_op ops[] = {
        {.op = HEADER_REMOVE, .name = put(f, "X-Gone")},
        {.op = HEADER_SET, .name = put(f, "x-set"), .value = put(f, "new")},
        {.op = HEADER_ADD, .name = put(f, "X-List"), .value = put(f, "two")},
        {.op = HEADER_ADD, .name = put(f, "x-fresh"), .value = put(f, "1")},
        {.op = HEADER_SET, .name = put(f, "Host"), .value = put(f, "other.example.com")},
        {.op = HEADER_SET, .name = put(f, "x-empty"), .value = put(f, "")},
    };
    f->snap.HEADER_OPS = ops;
    struct snap_filter filter = {.type = FILTER_REQUEST_HEADERS, .ops = {0, ARRAY_LEN(ops)}};
    head_add(&f->request, &f->arena, STR("x-gone"), STR("1"));
    head_add(&f->request, &f->arena, STR("X-Set"), STR("a"));
    head_add(&f->request, &f->arena, STR("X-Set"), STR("b"));
    head_add(&f->request, &f->arena, STR("x-list"), STR("one"));
    assert_int_equal(filter_headers(&f->ctx, &filter, &f->request), REASON_OK);
    assert_null(head_find_name(&f->request, STR("x-gone")));
    struct str v;
    assert_true(head_value(&f->request, &f->arena, STR("x-set"), &v));
    assert_str(v, "new");
    assert_true(head_value(&f->request, &f->arena, STR("x-list"), &v));
    assert_str(v, "one,two");
    assert_true(head_value(&f->request, &f->arena, STR("x-fresh"), &v));
    assert_true(head_value(&f->request, &f->arena, STR("x-empty"), &v));
    assert_int_equal(v.n, 0);
    assert_str(f->request.authority, "other.example.com");
}

static void set_cookie_lines_are_never_joined(void **state)
{
    struct fixture *f = *state;
    struct http_field fields[4];
    f->response = (struct http_head){.status = 200, .fields = fields, .cap_fields = 4};
    f->ctx.response = &f->response;
    struct snap_header_op op = {.op = HEADER_ADD, .name = put(f, "Set-Cookie"), .value = put(f, "b=2")};
    f->snap.HEADER_OPS = &op;
    struct snap_filter filter = {.type = FILTER_RESPONSE_HEADERS, .ops = {0, 1}};
    head_add(&f->response, &f->arena, STR("set-cookie"), STR("a=1"));
    assert_int_equal(filter_headers(&f->ctx, &filter, &f->response), REASON_OK);
    assert_int_equal(f->response.n_fields, 2);
}

static void commands_in_values_are_replaced(void **state)
{
    struct fixture *f = *state;
    head_add(&f->request, &f->arena, STR("x-a"), STR("alpha"));
    f->facts.client_address = STR("10.1.2.3");
    f->facts.client_port = 4711;
    static const struct { const char *text, *want; } rows[] = {
        {"plain", "plain"},
        {"100%%", "100%"},
        {"%REQ(x-a)%", "alpha"},
        {"<%REQ(X-A)%>", "<alpha>"},
        {"%REQ(x-none)%", "-"},
        {"%REQ(x-none?x-a)%", "alpha"},
        {"%REQ(x-a):2%", "al"},
        {"%REQ(:method)%", "GET"},
        {"%DOWNSTREAM_REMOTE_ADDRESS%", "10.1.2.3:4711"},
        {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%!", "10.1.2.3!"},
        {"%NO_SUCH%", "%NO_SUCH%"},
        {"50% off", "50% off"},
        {"%", "%"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str out;
        assert_true(filter_expand(&f->ctx, str_c(rows[i].text), &out));
        assert_str(out, rows[i].want);
    }
}

static void the_rule_wins_over_the_split_where_it_says_so(void **state)
{
    struct fixture *f = *state;
    struct snap_header_op ops[] = {{.op = HEADER_SET, .name = put(f, "x"), .value = put(f, "rule")},
                                   {.op = HEADER_SET, .name = put(f, "x"), .value = put(f, "split")}};
    struct snap_filter filters[] = {{.type = FILTER_REQUEST_HEADERS, .ops = {0, 1}}, {.type = FILTER_REQUEST_HEADERS, .ops = {1, 1}}};
    struct snap_split split = {.filters = {1, 1}};
    f->snap.HEADER_OPS = ops;
    f->snap.FILTERS = filters;
    f->rule.filters = (struct snap_range){0, 1};
    f->ctx.split = &split;
    f->rule.header_merge = HEADER_MERGE_RULE_FIRST;
    assert_int_equal(filter_request(&f->ctx), REASON_OK);
    struct str v;
    assert_true(head_value(&f->request, &f->arena, STR("x"), &v));
    assert_str(v, "split");
    f->rule.header_merge = HEADER_MERGE_SPLIT_FIRST;
    assert_int_equal(filter_request(&f->ctx), REASON_OK);
    assert_true(head_value(&f->request, &f->arena, STR("x"), &v));
    assert_str(v, "rule");
}

static void the_clients_address_follows_the_trust_rule(void **state)
{
    struct fixture *f = *state;
    struct str peer = STR("127.0.0.1");
    head_add(&f->request, &f->arena, STR("x-forwarded-for"), STR("6.6.6.6, 1.1.1.1"));
    head_add(&f->request, &f->arena, STR("x-forwarded-for"), STR("2.2.2.2,2001:db8::1"));
    assert_str(forward_client_address(&f->request, 0, peer), "127.0.0.1");
    assert_str(forward_client_address(&f->request, 1, peer), "2001:db8::1");
    assert_str(forward_client_address(&f->request, 2, peer), "2.2.2.2");
    assert_str(forward_client_address(&f->request, 4, peer), "6.6.6.6");
    assert_str(forward_client_address(&f->request, 5, peer), "127.0.0.1");
    head_set(&f->request, &f->arena, STR("x-forwarded-for"), STR("not an address"));
    assert_str(forward_client_address(&f->request, 1, peer), "127.0.0.1");
}

static void forwarding_fields_do_not_believe_the_client(void **state)
{
    struct fixture *f = *state;
    struct rng rng;
    rng_seed(&rng);
    f->settings.request_id = 1;
    f->settings.via = 1;
    f->facts.peer_address = STR("9.9.9.9");
    f->request.authority = STR("a.example.com");
    head_add(&f->request, &f->arena, STR("x-forwarded-for"), STR("6.6.6.6"));
    head_add(&f->request, &f->arena, STR("x-forwarded-proto"), STR("https"));
    head_add(&f->request, &f->arena, STR("x-forwarded-host"), STR("evil"));
    struct str id, v;
    assert_true(forward_request(&f->ctx, &rng, &id));
    assert_true(head_value(&f->request, &f->arena, STR("x-forwarded-for"), &v));
    assert_str(v, "6.6.6.6, 9.9.9.9");
    assert_true(head_value(&f->request, &f->arena, STR("x-forwarded-proto"), &v));
    assert_str(v, "http");
    assert_true(head_value(&f->request, &f->arena, STR("x-forwarded-host"), &v));
    assert_str(v, "a.example.com");
    assert_true(head_value(&f->request, &f->arena, STR("via"), &v));
    assert_str(v, "1.1 gatehouse");
    assert_int_equal(id.n, 36);
    assert_int_equal(id.p[14], '4');
    assert_non_null(memchr("89ab", id.p[19], 4));
    for (size_t i = 0; i < id.n; i++)
        assert_true((i == 8 || i == 13 || i == 18 || i == 23) == (id.p[i] == '-') && (id.p[i] == '-' || ascii_hex(id.p[i]) >= 0));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(prefix_rewrites_follow_the_table_of_the_gateway_api),
        TEST(string_prefix_rewrites_follow_istio),
        TEST(a_rewritten_path_is_made_canonical_again),
        TEST(a_rewritten_host_is_what_is_sent),
        TEST(redirect_ports_follow_the_table_of_the_gateway_api),
        TEST(redirect_ports_follow_istio),
        TEST(a_redirect_keeps_the_query_unless_the_new_path_brings_one),
        TEST(header_operations_set_add_and_remove),
        TEST(set_cookie_lines_are_never_joined),
        TEST(commands_in_values_are_replaced),
        TEST(the_rule_wins_over_the_split_where_it_says_so),
        TEST(the_clients_address_follows_the_trust_rule),
        TEST(forwarding_fields_do_not_believe_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
