#include "tests/unit/shared/base/base_test.h"
#include "shared/http/uri.h"

static void targets_are_cut_by_their_form(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *raw;
        enum http_target_form form;
        const char *authority, *path, *query; /* NULL: not there */
        bool https;
    } rows[] = {
        {METHOD_GET, "/", TARGET_ORIGIN, NULL, "/", NULL, false},
        {METHOD_GET, "/a/b?x=1?y", TARGET_ORIGIN, NULL, "/a/b", "x=1?y", false},
        {METHOD_GET, "/a?", TARGET_ORIGIN, NULL, "/a", "", false},
        {METHOD_GET, "//a", TARGET_ORIGIN, NULL, "//a", NULL, false},
        {METHOD_GET, "http://h/a?b", TARGET_ABSOLUTE, "h", "/a", "b", false},
        {METHOD_GET, "HTTP://h", TARGET_ABSOLUTE, "h", "/", NULL, false},
        {METHOD_GET, "https://h:8443?q", TARGET_ABSOLUTE, "h:8443", "/", "q", true},
        {METHOD_OPTIONS, "*", TARGET_ASTERISK, NULL, "*", NULL, false},
        {METHOD_OPTIONS, "http://h", TARGET_ABSOLUTE, "h", "*", NULL, false},
        {METHOD_OPTIONS, "http://h/", TARGET_ABSOLUTE, "h", "/", NULL, false},
        {METHOD_CONNECT, "h:443", TARGET_AUTHORITY, "h:443", "", NULL, false},
        {METHOD_CONNECT, "[::1]:443", TARGET_AUTHORITY, "[::1]:443", "", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_target t;
        assert_int_equal(http_target_parse(rows[i].method, str_c(rows[i].raw), &t), URI_OK);
        assert_int_equal(t.form, rows[i].form);
        assert_int_equal(t.https, rows[i].https);
        assert_str(t.path, rows[i].path);
        assert_int_equal(t.authority.p != NULL, rows[i].authority != NULL);
        assert_int_equal(t.query.p != NULL, rows[i].query != NULL);
        if (rows[i].authority)
            assert_str(t.authority, rows[i].authority);
        if (rows[i].query)
            assert_str(t.query, rows[i].query);
    }
}

static void other_targets_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *raw;
        enum uri_fault fault;
    } rows[] = {
        {METHOD_GET, "", URI_TARGET_FORM},
        {METHOD_GET, "a", URI_TARGET_FORM},
        {METHOD_GET, "*", URI_TARGET_FORM},
        {METHOD_OPTIONS, "*x", URI_TARGET_FORM},
        {METHOD_GET, "?a", URI_TARGET_FORM},
        {METHOD_GET, "h:443", URI_TARGET_FORM},
        {METHOD_GET, "ftp://h/", URI_SCHEME},
        {METHOD_GET, "http:/h/", URI_TARGET_FORM},
        {METHOD_GET, "http://", URI_AUTHORITY},
        {METHOD_GET, "http:///a", URI_AUTHORITY},
        {METHOD_GET, "http://u@h/", URI_AUTHORITY},
        {METHOD_GET, "http://h:x/", URI_AUTHORITY},
        {METHOD_GET, "http://a,b/", URI_AUTHORITY},
        {METHOD_GET, "/a#b", URI_TARGET_BYTE},
        {METHOD_GET, "/a b", URI_TARGET_BYTE},
        {METHOD_GET, "/a\x01", URI_TARGET_BYTE},
        {METHOD_GET, "/\xc3\xa4", URI_TARGET_BYTE},
        {METHOD_GET, "/a\x7f", URI_TARGET_BYTE},
        {METHOD_CONNECT, "/", URI_AUTHORITY},
        {METHOD_CONNECT, "h", URI_AUTHORITY},
        {METHOD_CONNECT, "http://h:443/", URI_AUTHORITY},
        {METHOD_CONNECT, "u@h:443", URI_AUTHORITY},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_target t;
        enum uri_fault f = http_target_parse(rows[i].method, str_c(rows[i].raw), &t);
        if (f != rows[i].fault)
            fail_msg("%s: %s", rows[i].raw, uri_fault_text(f));
    }
}

struct path_row {
    const char *raw;
    const char *path; /* NULL: refused ... */
    enum uri_fault fault; /* ... with this */
};

static void check_paths(const struct path_row *rows, size_t n, unsigned flags)
{
    for (size_t i = 0; i < n; i++) {
        char out[HTTP_PATH_ROOM(256)], again[HTTP_PATH_ROOM(3 * 256)];
        struct str path = STR("(none)"), twice, raw = str_c(rows[i].raw);
        enum uri_fault f = http_path_canonical(raw, flags, out, &path);
        if (f != rows[i].fault)
            fail_msg("%s: %s", rows[i].raw, uri_fault_text(f));
        if (f != URI_OK)
            continue;
        if (!str_eqc(path, rows[i].path))
            fail_msg("%s: " STR_FMT ", not %s", rows[i].raw, STR_ARG(path), rows[i].path);
        assert_int_equal(http_path_canonical(path, flags, again, &twice), URI_OK);
        assert_ptr_equal(twice.p, path.p);
        assert_true(str_eq(path, twice));
        assert_int_equal(path.p == raw.p, str_eq(raw, path));
    }
}

static const struct path_row CANONICAL[] = {
    {"/", "/", 0},
    {"/a/b/c", "/a/b/c", 0},
    {"/a/b/", "/a/b/", 0},
    {"/.well-known/x", "/.well-known/x", 0},
    {"/..a/b../...", "/..a/b../...", 0},
    {"/~user/-_.!$&'()*+,=:@", "/~user/-_.!$&'()*+,=:@", 0},
    /* dot segments */
    {"/a/./b", "/a/b", 0},
    {"/a/../b", "/b", 0},
    {"/a/b/..", "/a/", 0},
    {"/a/b/.", "/a/b/", 0},
    {"/a/b/../..", "/", 0},
    {"/a/b/c/./../../g", "/a/g", 0},
    {"/.", "/", 0},
    {"/./././a", "/a", 0},
    {"/a/..", "/", 0},
    {"/..", NULL, URI_PATH_ABOVE_ROOT},
    {"/../a", NULL, URI_PATH_ABOVE_ROOT},
    {"/a/../../b", NULL, URI_PATH_ABOVE_ROOT},
    {"/a/..//../b", NULL, URI_PATH_ABOVE_ROOT},
    /* dot segments in disguise */
    {"/a/%2e%2e/b", "/b", 0},
    {"/a/%2E./b", "/b", 0},
    {"/a/.%2e", "/", 0},
    {"/%2e/a", "/a", 0},
    {"/%2e%2e/a", NULL, URI_PATH_ABOVE_ROOT},
    {"/a/%252e%252e/b", "/a/%252e%252e/b", 0},
    {"/a/%2e%2e%2e", "/a/...", 0},
    /* empty segments */
    {"//a", "/a", 0},
    {"/a//b///c", "/a/b/c", 0},
    {"/a//", "/a/", 0},
    {"//", "/", 0},
    {"/a//../b", "/b", 0},
    {"/a/.//b", "/a/b", 0},
    /* escapes */
    {"/%61%7A%41%5a%30%2d%5F%7e", "/azAZ0-_~", 0},
    {"/a%20b", "/a%20b", 0},
    {"/a%c3%a4", "/a%C3%A4", 0},
    {"/a%21%3a%40", "/a%21%3A%40", 0},
    {"/a%25", "/a%25", 0},
    {"/a%2", NULL, URI_PATH_ESCAPE},
    {"/a%", NULL, URI_PATH_ESCAPE},
    {"/a%zz", NULL, URI_PATH_ESCAPE},
    {"/a%%20", NULL, URI_PATH_ESCAPE},
    {"/%u002e", NULL, URI_PATH_ESCAPE},
    /* not pchar: one spelling, the escaped one */
    {"/a\"<>[]^`{|}", "/a%22%3C%3E%5B%5D%5E%60%7B%7C%7D", 0},
    /* hidden separators and ends */
    {"/a%2fb", NULL, URI_PATH_ENCODED_SLASH},
    {"/a%2Fb", NULL, URI_PATH_ENCODED_SLASH},
    {"/a%5cb", NULL, URI_PATH_ENCODED_BACKSLASH},
    {"/a\\b", NULL, URI_PATH_BACKSLASH},
    {"/..\\a", NULL, URI_PATH_BACKSLASH},
    {"/a%00", NULL, URI_PATH_CONTROL},
    {"/a%0d%0aX", NULL, URI_PATH_CONTROL},
    {"/a%7f", NULL, URI_PATH_CONTROL},
    {"/a;b", NULL, URI_PATH_PARAMETERS},
    {"/..;/a", NULL, URI_PATH_PARAMETERS},
    {"/a%3bb", "/a%3Bb", 0},
    {"/..%3B/a", NULL, URI_PATH_PARAMETERS}, /* to servers that decode before they cut */
    {"/a/%2e%3bx", NULL, URI_PATH_PARAMETERS},
    {"/%3bx/a", NULL, URI_PATH_PARAMETERS},
    {"/a?b", NULL, URI_PATH_BYTE},
    {"/a#b", NULL, URI_PATH_BYTE},
    {"/a b", NULL, URI_PATH_BYTE},
    {"/a\t", NULL, URI_PATH_BYTE},
    {"/\xc3\xa4", NULL, URI_PATH_BYTE},
    {"/\x7f", NULL, URI_PATH_BYTE},
    /* over-long UTF-8 */
    {"/%c0%af", NULL, URI_PATH_OVERLONG},
    {"/%c0%ae%c0%ae/a", NULL, URI_PATH_OVERLONG},
    {"/%c1%9c", NULL, URI_PATH_OVERLONG},
    {"/%e0%80%af", NULL, URI_PATH_OVERLONG},
    {"/%f0%80%80%af", NULL, URI_PATH_OVERLONG},
    {"/%f8%80%80%80%af", NULL, URI_PATH_OVERLONG},
    {"/%fc%80%80%80%80%af", NULL, URI_PATH_OVERLONG},
    {"/%e2%82%ac", "/%E2%82%AC", 0},
    {"/caf%E9", "/caf%E9", 0}, /* Latin-1 */
    {"/%C0", "/%C0", 0},
    {"/%C0%41", "/%C0A", 0},
    /* no path at all */
    {"", NULL, URI_TARGET_FORM},
    {"a", NULL, URI_TARGET_FORM},
    {"*", NULL, URI_TARGET_FORM},
};

static void paths_become_canonical(void **state)
{
    (void)state;
    check_paths(CANONICAL, ARRAY_LEN(CANONICAL), PATH_DEFAULT);
}

static void empty_segments_can_be_kept(void **state)
{
    (void)state;
    static const struct path_row rows[] = {
        {"//a", "//a", 0},           {"/a//b", "/a//b", 0},  {"/a//../b", "/a/b", 0},
        {"/a//", "/a//", 0},         {"//", "//", 0},        {"/a/..//b", "//b", 0},
        {"/a/.//b", "/a//b", 0},     {"//..", "/", 0},       {"//../..", NULL, URI_PATH_ABOVE_ROOT},
        {"/%2e//a", "//a", 0},
    };
    check_paths(rows, ARRAY_LEN(rows), 0);
}

static void kept_separators_hide_no_dots(void **state)
{
    (void)state;
    static const struct path_row rows[] = {
        {"/a%2fb", "/a%2Fb", 0},
        {"/a%5cb", "/a%5Cb", 0},
        {"/a;v=1/b", "/a;v=1/b", 0},
        {"/a;", "/a;", 0},
        {"/..a;x", "/..a;x", 0},
        {"/a;..", "/a;..", 0},
        {"/x%2F%2Fy", "/x%2F%2Fy", 0},
        {"/..%2fb", NULL, URI_PATH_ENCODED_SLASH},
        {"/a%2f..", NULL, URI_PATH_ENCODED_SLASH},
        {"/a%2f%2e%2e%2fb", NULL, URI_PATH_ENCODED_SLASH},
        {"/a%5c..%5cb", NULL, URI_PATH_ENCODED_SLASH},
        {"/a%2f.", NULL, URI_PATH_ENCODED_SLASH},
        {"/..;/b", NULL, URI_PATH_PARAMETERS},
        {"/.;x/b", NULL, URI_PATH_PARAMETERS},
        {"/%2e%2e;x/b", NULL, URI_PATH_PARAMETERS},
        {"/;x/b", NULL, URI_PATH_PARAMETERS},
        {"/a%2f..;x", NULL, URI_PATH_PARAMETERS},
        {"/a;x%2f..", NULL, URI_PATH_ENCODED_SLASH},
        {"/a\\b", NULL, URI_PATH_BACKSLASH},
        {"/a/../b;c", "/b;c", 0},
    };
    check_paths(rows, ARRAY_LEN(rows),
                PATH_MERGE_SLASHES | PATH_KEEP_ENCODED_SLASH | PATH_KEEP_ENCODED_BACKSLASH |
                    PATH_KEEP_PARAMETERS);
}

static void a_canonical_path_is_not_copied(void **state)
{
    (void)state;
    struct str raw = STR("/shop/catalog/items/8371/.hidden/..x/a.b/"), path;
    assert_int_equal(http_path_canonical(raw, PATH_DEFAULT, NULL, &path), URI_OK);
    assert_ptr_equal(path.p, raw.p);
    assert_int_equal(path.n, raw.n);
}

static void query_parameters_are_walked_raw_and_compared_decoded(void **state)
{
    (void)state;
    struct str rest = STR("a=1&&b&c=%20x=y&=z&a=2&"), name, value;
    static const char *const want[][2] = {{"a", "1"}, {"b", ""}, {"c", "%20x=y"}, {"", "z"}, {"a", "2"}};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(http_query_next(&rest, &name, &value));
        assert_str(name, want[i][0]);
        assert_str(value, want[i][1]);
    }
    assert_false(http_query_next(&rest, &name, &value));

    assert_true(http_query_get(STR("x=0&a%62=1&ab=2"), STR("ab"), &value));
    assert_str(value, "1");
    assert_false(http_query_get(STR("x=0"), STR("y"), &value));
    assert_false(http_query_get(STR_NONE, STR("y"), &value));
    assert_true(http_query_equal(STR("a+b%20c"), STR("a b c")));
    assert_true(http_query_equal(STR("100%"), STR("100%")));
    assert_true(http_query_equal(STR("%zz%4"), STR("%zz%4")));
    assert_false(http_query_equal(STR("ab"), STR("a")));
    assert_false(http_query_equal(STR("a"), STR("ab")));
    char out[16];
    assert_int_equal(http_query_decode(STR("a%2Bb+%"), out), 5);
    assert_memory_equal(out, "a+b %", 5);
    assert_true(http_query_valid(STR("a=%00&b=\"{}|\\")));
    assert_false(http_query_valid(STR("a=b c")));
    assert_false(http_query_valid(STR("a=\xc3\xa4")));
    assert_false(http_query_valid(STR("a#b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_cut_by_their_form),
        cmocka_unit_test(other_targets_are_refused),
        cmocka_unit_test(paths_become_canonical),
        cmocka_unit_test(empty_segments_can_be_kept),
        cmocka_unit_test(kept_separators_hide_no_dots),
        cmocka_unit_test(a_canonical_path_is_not_copied),
        cmocka_unit_test(query_parameters_are_walked_raw_and_compared_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
