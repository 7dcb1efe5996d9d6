#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "shared/base/clock.h"

static void check_trees(const char *text, const char *want)
{
    struct parsed p;
    parse_text(&p, text);
    assert_string_equal(findings(&p), "");
    assert_string_equal(trees(&p), want);
    parsed_fini(&p);
}

static void check_finding(const char *text, const char *want)
{
    struct parsed p;
    parse_text(&p, text);
    assert_string_equal(findings(&p), want);
    parsed_fini(&p);
}

static void documents_are_cut_at_their_markers(void **state)
{
    (void)state;
    check_trees("a: 1\n---\nb: 2\n...\n# c\n---\n# nothing\n---\n--- {c: 3}\n--- # d\nd: 4\n---\n", "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n{\"d\":4}\n");
    check_trees("%YAML 1.1\n---\na: 1\n...\n%YAML 1.2\n---\nb: 1\n", "{\"a\":1}\n{\"b\":1}\n");
    check_trees("a: |\n  x\n  ---\n  y\n---\nb: 1\n", "{\"a\":\"x\\n---\\ny\\n\"}\n{\"b\":1}\n");
    check_trees("---x: 1\n", "{\"---x\":1}\n");
    check_trees("", "");
    check_trees("---\n", "");
    check_trees("# comment\n", "");
    check_trees("---\r\na: 1\r\n---\r\nb: 2\r\n", "{\"a\":1}\n{\"b\":2}\n");
    check_trees("\xef\xbb\xbf" "a: 1\n", "{\"a\":1}\n");
}

static void a_syntax_error_costs_one_document(void **state)
{
    (void)state;
    struct parsed p;
    parse_text(&p, "a: 1\n---\nb: [\n---\nc: 3\n---\nd: @\n---\ne: 5\n");
    assert_string_equal(trees(&p), "{\"a\":1}\nbroken\n{\"c\":3}\nbroken\n{\"e\":5}\n");
    assert_string_equal(findings(&p), "in.yaml:4:1: error: the text ends where a value is expected\n"
                                      "in.yaml:7:4: error: a value can't begin with '@' (put it in quotes)\n");
    assert_true(p.docs.broken);
    assert_int_equal(p.docs.v[2].first_line, 5);
    assert_int_equal(p.docs.v[2].root->line, 5);
    parsed_fini(&p);
}

static void plain_scalars_get_the_types_of_the_core_schema(void **state)
{
    (void)state;
    check_trees("a: [0, -3, +4, 0x1F, 0o17, 017, 00, 9223372036854775807, -9223372036854775808, 9223372036854775808]\n",
                "{\"a\":[0,-3,4,31,15,\"017\",\"00\",9223372036854775807,-9223372036854775808,9.2233720368547758e+18]}\n");
    check_trees("a: [1.5, 1e3, .5, 1., -1.5E-2, ., .e1, 1e, +.inf, .nan, 1_000, 1:30]\n",
                "{\"a\":[1.5,1000,0.5,1,-0.014999999999999999,\".\",\".e1\",\"1e\",\"+.inf\",\".nan\",\"1_000\",\"1:30\"]}\n");
    check_trees("a: [true, False, TRUE, yes, on, ~, null, Null, nULL, '', 'true', \"1\", !!str 1, !!int '2']\n",
                "{\"a\":[true,false,true,\"yes\",\"on\",null,null,null,\"nULL\",\"\",\"true\",\"1\",\"1\",\"2\"]}\n");
}

static void every_node_knows_its_place(void **state)
{
    (void)state;
    struct parsed p;
    struct buf path = {0};
    parse_text(&p, "# c\nspec:\n  rules:\n  - name: x\n    \"odd key\": [1, {z: 2}]\n");
    const struct node *root = p.docs.v[0].root;
    const struct node *z = node_walk(root, "spec.rules[0][\"odd key\"][1].z");
    assert_non_null(z);
    node_path(z, &path);
    assert_string_equal(buf_cstr(&path), "spec.rules[0][\"odd key\"][1].z");
    assert_int_equal(z->line, 5);
    assert_int_equal(z->column, 24);
    assert_int_equal(z->key_column, 21);
    const struct node *name = node_walk(root, "spec.rules[0].name");
    assert_int_equal(name->line, 4);
    assert_int_equal(name->column, 11);
    assert_int_equal(name->key_column, 5);
    assert_null(node_walk(root, "spec.rules[1]"));
    assert_null(node_walk(root, "spec.rules.x"));
    assert_null(node_walk(root, "spec[x"));
    assert_null(node_get(NULL, "a"));
    buf_fini(&path);
    parsed_fini(&p);
}

static void aliases_and_merge_keys_are_copies(void **state)
{
    (void)state;
    check_trees("a: &x {b: 1, c: [2]}\nd: *x\ne:\n  <<: *x\n  b: 3\nf: {<<: [*x, {z: 1}]}\n\"<<\": 1\n",
                "{\"a\":{\"b\":1,\"c\":[2]},\"d\":{\"b\":1,\"c\":[2]},\"e\":{\"b\":3,\"c\":[2]},\"f\":{\"b\":1,\"c\":[2],\"z\":1},\"<<\":1}\n");
    check_finding("a: &x [*x]\n", "in.yaml:1:8: error: the alias *x stands inside what it names\n");
    check_finding("a: *y\n", "in.yaml:1:4: error: the alias *y has no anchor &y before it\n");
    check_finding("a: {<<: 1}\n", "in.yaml:1:5: error: \"<<\" takes a map or a list of maps\n");
}

static void a_key_twice_is_reported_and_leaves_a_faulty_tree(void **state)
{
    (void)state;
    struct parsed p;
    parse_text(&p, "a: 1\nb: 2\na: 3\n");
    assert_true(p.docs.v[0].faulty);
    assert_non_null(p.docs.v[0].root);
    assert_string_equal(findings(&p), "in.yaml:3:1: error: the key \"a\" stands here twice, first in line 1 (the values would hide each "
                                      "other; merge them or take one away)\n");
    parsed_fini(&p);
    struct buf big = {0};
    for (int i = 0; i < 100; i++)
        buf_addf(&big, "k%d: 1\n", i % 99);
    parse_limited(&p, buf_str(&big), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.diags.n, 1);
    assert_int_equal(p.diags.v[0].line, 100);
    parsed_fini(&p);
    buf_fini(&big);
}

static void syntax_errors_are_told_in_human_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a:\n\tb: 1\n", "2:1: error: a tab can't be used for indentation (use spaces)"},
        {"a: 1\n\tb: 1\n", "2:1: error: a tab can't be used for indentation (use spaces)"},
        {"kind Gateway\nmetadata:\n  name: x\n", "1:1: error: this line has no ':' after its key (a key is followed by a colon and a space)"},
        {"a: 1\nb\nc: 2\n", "2:1: error: this line has no ':' after its key (a key is followed by a colon and a space)"},
        {"a: 1\nb:2\nc: 3\n", "2:1: error: a space is missing after ':'"},
        {"a: 1\n b: 2\n", "2:2: error: this line is indented deeper than the one above, which has a value already (keys of one map stand in the same column)"},
        {" a: 1\nb: 2\n", "2:1: error: this line stands in column 1, while the document (line 1) begins in column 2 (is the indentation wrong, or a \"---\" line missing?)"},
        {"a:\n  b: 1\n c: 2\n", "3:2: error: the indentation fits nothing above: column 2, while the map around it (line 1) has its keys in column 1 (keys of one map stand in the same column)"},
        {"a:\n  - b\n  c: 2\n", "3:3: error: expected '- ' as in the list that begins in line 2 (a key can't stand among the elements of a list; is it indented wrongly?)"},
        {"a:\n  b: 1\n  - c\n", "3:3: error: a list element stands among the keys of the map that begins in line 2 (a list stands under a key of its own)"},
        {"a: b: c\n", "1:5: error: a second ':' stands in this line (a value that holds \": \" needs quotes)"},
        {"a: - b\n", "1:4: error: a '- ' can't stand here (a list begins in the line after its key)"},
        {"hosts: *\n", "1:8: error: a value that begins with '*' or '&' is an alias or anchor (put it in quotes: \"*\")"},
        {"a: \"x\nb: 1\n", "1:4: error: this quote is never closed"},
        {"a: 'it's'\n", "1:8: error: unexpected text behind a value (inside single quotes write '' for a quote, inside double quotes \\\")"},
        {"a: \"\\d\"\n", "1:5: error: \"\\d\" is no escape of a double-quoted string (write a backslash as \\\\, or use single quotes, where it is an ordinary character)"},
        {"a: [1, 2\nb: 3\n", "2:2: error: expected ',' or ']' for the list that begins in line 1"},
        {"a: {{ .Values.x }}\n", "1:5: error: a map can't be a key (a template such as {{ ... }} must be rendered first; text with braces needs quotes)"},
        {"a: !x y\n", "1:4: error: this YAML tag is not supported here (write the value without a tag; text that begins with '!' needs quotes)"},
        {"a: |x\n b\n", "1:5: error: only an indentation number, '+' or '-' may follow '|' or '>' (the text begins in the next line)"},
        {"a: \x01\n", "1:4: error: the character U+0001 is not allowed in YAML (inside double quotes it can be written as \\x.. or \\u....)"},
        {"%YAML 3.0\n---\na: 1\n", "1:1: error: only YAML 1.1 and 1.2 are read"},
        {"{\"a\": \"\\ud83d\\ude00\"}", "1:10: error: a \\u escape of half a character (write the character itself, or as one \\U escape of eight digits)"},
        {"<<<<<<< HEAD\na: 1\n=======\n", "1:1: error: an unresolved merge conflict"},
        {"a: 1\r---\rb: 1\n", "2:1: error: a second document begins here after an unusual line break (use LF or CRLF line ends)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed p;
        char want[512];
        snprintf(want, sizeof(want), "in.yaml:%s\n", rows[i].want);
        parse_text(&p, rows[i].text);
        assert_string_equal(findings(&p), want);
        parsed_fini(&p);
    }
}

static void what_is_no_utf8_text_is_refused_with_the_byte(void **state)
{
    (void)state;
    static const struct {
        struct str text;
        const char *want;
    } rows[] = {
        {STR("\xff\xfe" "a\0:\0"), "in.yaml:1:1: error: UTF-16 text at byte 0 (save the file as UTF-8)\n"},
        {STR("a\0:\0 \0b\0"), "in.yaml:1:1: error: UTF-16 text at byte 0 (save the file as UTF-8)\n"},
        {STR("a: 1\nb: \0\n"), "in.yaml:2:4: error: a NUL byte at byte 8 (is this a text file?)\n"},
        {STR("a: 1\nb: \xc3\x28\n"), "in.yaml:2:4: error: invalid UTF-8 at byte 8 (save the file as UTF-8)\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parsed p;
        parse_limited(&p, rows[i].text, &YAML_LIMITS_DEFAULT);
        assert_string_equal(findings(&p), rows[i].want);
        assert_true(p.docs.broken);
        assert_int_equal(p.docs.n, 0);
        parsed_fini(&p);
    }
}

/* ---- limits ---- */

static struct buf repeat(const char *piece, size_t n, const char *end)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        buf_addc(&b, piece);
    buf_addc(&b, end);
    return b;
}

static void check_limit(struct buf *text, enum diag_code code, size_t max_memory)
{
    struct parsed p;
    parse_limited(&p, buf_str(text), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.diags.n, 1);
    assert_int_equal(p.diags.v[0].code, code);
    assert_true(p.arena.total - text->n < max_memory);
    parsed_fini(&p);
    buf_fini(text);
}

static void billion_laughs_end_early_and_small(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_addc(&b, "a: &a [\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\"]\n");
    for (char c = 'b'; c <= 'i'; c++)
        buf_addf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    check_limit(&b, DIAG_LimitExceeded, 1u << 20);
}

static void deep_nesting_is_refused_without_a_deep_stack(void **state)
{
    (void)state;
    struct buf flow = repeat("[", 100000, "");
    struct buf block = repeat("- ", 100000, "a\n");
    check_limit(&flow, DIAG_LimitExceeded, 1u << 20);
    check_limit(&block, DIAG_LimitExceeded, 1u << 20);
    struct buf deep = {0};
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < i; k++)
            buf_addch(&deep, ' ');
        buf_addc(&deep, "a:\n");
    }
    check_limit(&deep, DIAG_LimitExceeded, 1u << 20);
}

static void sizes_and_counts_have_limits(void **state)
{
    (void)state;
    struct yaml_limits small = YAML_LIMITS_DEFAULT;
    struct parsed p;
    small.max_file = 10;
    parse_limited(&p, STR("a: 1234567890\n"), &small);
    assert_string_equal(findings(&p), "in.yaml: error: 14 bytes, at most 10 are read of one file\n");
    parsed_fini(&p);
    small = YAML_LIMITS_DEFAULT;
    small.max_documents = 3;
    parse_limited(&p, STR("a: 1\n---\na: 1\n---\na: 1\n---\na: 1\n---\na: 1\n"), &small);
    assert_string_equal(findings(&p), "in.yaml:7:1: error: more than 3 documents in one file; the rest is not read\n");
    assert_int_equal(p.docs.n, 3);
    parsed_fini(&p);
    small = YAML_LIMITS_DEFAULT;
    small.max_nodes = 5;
    parse_limited(&p, STR("a: [1, 2, 3, 4]\n"), &small);
    assert_string_equal(findings(&p), "in.yaml:1:14: error: this document has more than 5 nodes\n");
    parsed_fini(&p);
}

static void long_lines_and_many_documents_are_no_trouble(void **state)
{
    (void)state;
    struct buf line = repeat("x", 1000000, "\n");
    struct buf text = {0};
    struct parsed p;
    uint64_t before = clock_ms();
    buf_addc(&text, "a: ");
    buf_adds(&text, buf_str(&line));
    parse_limited(&p, buf_str(&text), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.diags.n, 0);
    assert_int_equal(node_text(node_get(p.docs.v[0].root, "a")).n, 1000000);
    parsed_fini(&p);
    struct buf markers = repeat("---\n", 1000000, "");
    parse_limited(&p, buf_str(&markers), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.docs.n, 0);
    parsed_fini(&p);
    struct buf ends = repeat("...\n", 1000000, "");
    parse_limited(&p, buf_str(&ends), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.diags.n, 1);
    parsed_fini(&p);
    /* A key line of a million characters is an error, told at once. */
    struct buf key = repeat("k", 1000000, ": 1\n");
    parse_limited(&p, buf_str(&key), &YAML_LIMITS_DEFAULT);
    assert_string_equal(findings(&p), "in.yaml:1:1000001: error: a key is longer than 1024 characters\n");
    parsed_fini(&p);
    assert_true(clock_ms() - before < 60000); /* not a timing test: a quadratic reader needs hours */
    buf_fini(&line);
    buf_fini(&text);
    buf_fini(&markers);
    buf_fini(&ends);
    buf_fini(&key);
}

static void blank_lines_before_an_error_do_not_cost_the_square(void **state)
{
    (void)state;
    struct buf text = repeat("\n", 4000000, "a: b: c\n");
    struct parsed p;
    parse_limited(&p, buf_str(&text), &YAML_LIMITS_DEFAULT);
    assert_int_equal(p.diags.n, 1);
    assert_int_equal(p.diags.v[0].line, 4000001);
    parsed_fini(&p);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_cut_at_their_markers),
        cmocka_unit_test(a_syntax_error_costs_one_document),
        cmocka_unit_test(plain_scalars_get_the_types_of_the_core_schema),
        cmocka_unit_test(every_node_knows_its_place),
        cmocka_unit_test(aliases_and_merge_keys_are_copies),
        cmocka_unit_test(a_key_twice_is_reported_and_leaves_a_faulty_tree),
        cmocka_unit_test(syntax_errors_are_told_in_human_words),
        cmocka_unit_test(what_is_no_utf8_text_is_refused_with_the_byte),
        cmocka_unit_test(billion_laughs_end_early_and_small),
        cmocka_unit_test(deep_nesting_is_refused_without_a_deep_stack),
        cmocka_unit_test(sizes_and_counts_have_limits),
        cmocka_unit_test(long_lines_and_many_documents_are_no_trouble),
        cmocka_unit_test(blank_lines_before_an_error_do_not_cost_the_square),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
