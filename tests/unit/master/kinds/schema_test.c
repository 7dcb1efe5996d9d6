/* The interpreter of field tables, on tables made for it. */
#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "master/kinds/kinds.h"

struct leaf {
    const struct node *node;
    struct str name;
    struct opt_int port;
    int32_t mode;
};
static const struct enum_row MODES[] = {{"Exact", 1}, {"Prefix", 2}, {"RegularExpression", 3}, {0}};
#define T struct leaf
static const struct field LEAF_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "The name.", .max = 10, .format = FMT_OBJECT_NAME),
    FIELD_INT(T, port, "port", 0, 1, 65535, "The port.", .def = 80, .has_def = true),
    FIELD_ENUM(T, mode, "mode", MODES, 2, "The mode."),
};
#undef T
static const struct schema SCHEMA_LEAF = SCHEMA(struct leaf, LEAF_FIELDS, NULL, "A leaf.");

struct tree {
    const struct node *node;
    struct str text, secret;
    struct str_list words, unique;
    struct str_map labels, bytes, headers;
    struct opt_bool flag;
    struct opt_num ratio;
    struct opt_ms gep, go, go0;
    struct opt_time at;
    struct int_or_str target;
    struct int_list codes;
    int32_t loose;
    const struct node *any;
    struct leaf *leaf, *unserved;
    LIST_OF(struct leaf) leaves;
    LIST_OF(struct leaf) by_name;
    unsigned checks;
};
#define T struct tree
static const struct field TREE_FIELDS[] = {
    FIELD_STR(T, text, "textValue", 0, "Text.", .min = 2, .max = 4),
    FIELD_STR(T, secret, "secret", FIELD_SECRET, "Text."),
    FIELD_STR_LIST(T, words, "words", FIELD_NONEMPTY, "Words.", .format = FMT_DNS_LABEL, .max = 3),
    FIELD_STR_LIST(T, unique, "unique", FIELD_UNIQUE, "Words."),
    FIELD_STR_MAP(T, labels, "labels", FIELD_NULL_OK, "Labels.", .format = FMT_LABEL_KEY),
    FIELD_STR_MAP(T, headers, "headers", 0, "Headers.", .format = FMT_HEADER_NAME),
    FIELD_BYTES_MAP(T, bytes, "bytes", 0, "Bytes."),
    FIELD_BOOL(T, flag, "flag", 0, "Flag."),
    FIELD_NUMBER(T, ratio, "ratio", 0, "Ratio.", .min = 0, .max = 1),
    FIELD_DURATION(T, gep, "gep", 0, FMT_GEP_DURATION, "Duration."),
    FIELD_DURATION(T, go, "go", 0, FMT_GO_DURATION, "Duration."),
    FIELD_DURATION(T, go0, "go0", 0, FMT_GO_DURATION, "Duration.", .min = -1, .max = 1000),
    FIELD_TIME(T, at, "at", 0, "Time."),
    FIELD_INT_OR_STR(T, target, "target", 0, "Target.", .min = 1, .max = 99),
    FIELD_INT_LIST(T, codes, "codes", 0, 100, 599, "Codes."),
    FIELD_ENUM(T, loose, "loose", MODES, 0, "Mode.", .flags = FIELD_LOWER_ENUM),
    FIELD_NODE(T, any, "any", 0, "Anything."),
    FIELD_OBJ(T, leaf, "leaf", 0, &SCHEMA_LEAF, "A leaf."),
    FIELD_OBJ(T, unserved, "unserved", FIELD_NOT_SERVED, &SCHEMA_LEAF, "A leaf.", .hint = "later"),
    FIELD_LIST(T, leaves, "leaves", 0, &SCHEMA_LEAF, "Leaves.", .min = 1, .max = 2),
    FIELD_OBJ_MAP(T, by_name, "byName", 0, &SCHEMA_LEAF, "Leaves."),
    FIELD_NAMED("quiet", FIELD_SILENT, "Bookkeeping."),
    FIELD_NAMED("old", FIELD_DEPRECATED, "Old.", .hint = "use new"),
    FIELD_NAMED("without", FIELD_IGNORED, "Ignored."),
};
#undef T
static void check_tree(struct decoder *d, void *obj)
{
    struct tree *t = obj;
    t->checks++;
    if (t->flag.set && t->ratio.set)
        diag_at_key(d->diags, DIAG_Exclusive, t->node, "ratio", NULL, "not with flag");
}
static const struct schema SCHEMA_TREE = SCHEMA(struct tree, TREE_FIELDS, check_tree, "A tree.");

struct decoded {
    struct parsed p;
    struct tree t;
    bool ok;
};

static const char *decode_spelled(struct decoded *x, const char *text, bool snake)
{
    parse_text(&x->p, text);
    assert_int_equal(x->p.diags.n, 0);
    struct decoder d = {.arena = &x->p.arena, .diags = &x->p.diags, .snake_case_ok = snake};
    memset(&x->t, 0, sizeof(x->t));
    x->ok = schema_decode(&d, &SCHEMA_TREE, x->p.docs.v[0].root, &x->t);
    assert_true(x->ok == (x->p.diags.n_errors == 0));
    assert_int_equal(d.errors, x->p.diags.n_errors);
    diags_sort(&x->p.diags);
    return findings(&x->p);
}

static const char *decode(struct decoded *x, const char *text)
{
    return decode_spelled(x, text, false);
}

static void every_type_reaches_its_member(void **state)
{
    (void)state;
    struct decoded x;
    assert_string_equal(decode(&x, "textValue: abc\nwords: [a, b]\nunique: [a]\nlabels: {a/b: c}\nheaders: {x-a: b c}\nbytes: {k: YWJj}\nflag: true\n"
                                   "gep: 1m\ngo: 0.5s\ngo0: 0s\nat: 2026-01-31T12:00:00Z\ntarget: 7\ncodes: [200, 404]\nloose: exact\n"
                                   "any: [1, {x: y}]\nleaf: {name: a}\nleaves: [{name: b, port: 1, mode: Exact}, {name: c}]\nbyName: {k: {name: d}}\nquiet: {a: 1}\n"), "");
    assert_true(x.ok);
    assert_str(x.t.text, "abc");
    assert_int_equal(x.t.words.n, 2);
    assert_str(x.t.words.v[1], "b");
    assert_str(x.t.labels.v[0].key, "a/b");
    assert_str(x.t.bytes.v[0].val, "abc");
    assert_true(x.t.flag.set && x.t.flag.v);
    assert_int_equal(x.t.gep.ms, 60000);
    assert_int_equal(x.t.go.ms, 500);
    assert_true(x.t.go0.set && x.t.go0.ms == 0);
    assert_true(x.t.at.set && x.t.at.us == UINT64_C(1769860800000000));
    assert_true(x.t.target.set && x.t.target.is_int && x.t.target.i == 7);
    assert_int_equal(x.t.codes.v[1], 404);
    assert_int_equal(x.t.loose, 1);
    assert_int_equal(x.t.any->n_kids, 2);
    assert_str(x.t.leaf->name, "a");
    assert_int_equal(x.t.leaves.n, 2);
    assert_int_equal(x.t.leaves.v[0].port.v, 1);
    assert_int_equal(x.t.by_name.n, 1);
    assert_str(node_key(x.t.by_name.v[0].node), "k");
    assert_int_equal(x.t.checks, 1);
    parsed_fini(&x.p);
}

static void what_is_absent_is_zero_or_the_default(void **state)
{
    (void)state;
    struct decoded x;
    assert_string_equal(decode(&x, "leaf: {name: a}\n"), "");
    assert_null(x.t.text.p);
    assert_false(x.t.flag.set);
    assert_null(x.t.unserved);
    assert_false(x.t.leaf->port.set);
    assert_int_equal(x.t.leaf->port.v, 80);
    assert_int_equal(x.t.leaf->mode, 2);
    parsed_fini(&x.p);
    assert_string_equal(decode(&x, "labels:\nflag:\nleaf: ~\n"), "in.yaml:2:6: warning: flag: has no value; it counts as not written\n"
                                                                  "in.yaml:3:7: warning: leaf: has no value; it counts as not written\n");
    assert_true(x.ok);
    assert_false(x.t.flag.set);
    parsed_fini(&x.p);
}

static void wrong_values_say_what_was_expected_and_how_to_mend_it(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } rows[] = {
        {"textValue: 12\n", "1:12: error: textValue: expected a string, found 12 (put it in quotes: \"12\")"},
        {"textValue: [a]\n", "1:12: error: textValue: expected a string, found a list"},
        {"textValue: a\n", "1:12: error: textValue: has 1 characters, at least 2 are needed"},
        {"textValue: \xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\n", "1:12: error: textValue: has 5 characters, at most 4 are allowed"},
        {"secret: 123\n", "1:9: error: secret: expected a string, found an integer"},
        {"words: a\n", "1:8: error: words: expected a list of strings, found the string \"a\" (write it as a list: [\"a\"])"},
        {"words: []\n", "1:8: error: words: must not be empty"},
        {"words: [a, b, c, d]\n", "1:8: error: words: has 4 elements, at most 3 are allowed"},
        {"words: [a, B]\n", "1:12: error: words[1]: \"B\" is not a DNS label: must be lower case"},
        {"words: [a, 1]\n", "1:12: error: words[1]: expected a string, found 1 (put it in quotes: \"1\")"},
        {"unique: [a, b, a]\n", "1:16: error: unique[2]: \"a\" stands twice in this list"},
        {"labels: {a: 1}\n", "1:13: error: labels.a: expected a string, found 1 (put it in quotes: \"1\")"},
        {"labels: [a]\n", "1:9: error: labels: expected a map of strings, found a list (take the '-' away: one map is expected)"},
        {"labels: {a: b c}\n", "1:13: error: labels.a: \"b c\" is not a label value: may hold only letters, digits, '-', '_' and '.'"},
        {"headers: {\"a b\": c}\n", "1:18: error: headers[\"a b\"]: \"a b\" is not a header name: a header name has no spaces or colons"},
        {"bytes: {a: YQ}\n", "1:12: error: bytes.a: is not base64 (plain text belongs into stringData)"},
        {"bytes: {a: 12}\n", "1:12: error: bytes.a: expected a string, found an integer"},
        {"flag: yes\n", "1:7: error: flag: expected true or false, found the string \"yes\" (only true and false are boolean)"},
        {"flag: \"true\"\n", "1:7: error: flag: expected true or false, found the string \"true\" (take the quotes away)"},
        {"ratio: 1.5\n", "1:8: error: ratio: 1.5 is out of range: 0 to 1 are allowed"},
        {"ratio: .nan\n", "1:8: error: ratio: is not a number"},
        {"gep: 1.5s\n", "1:6: error: gep: \"1.5s\" is not a duration: must be numbers with units h, m, s or ms, such as \"1m30s\" (no fractions)"},
        {"gep: 10\n", "1:6: error: gep: expected a duration such as \"30s\", found an integer (add a unit: \"10s\")"},
        {"go: 0s\n", "1:5: error: go: 0s is too small: at least 1 milliseconds"},
        {"go: 1.0005s\n", "1:5: error: go: 1.0005s is no multiple of 1ms"},
        {"go0: 2s\n", "1:6: error: go0: 2s is out of range: 0 to 1000 milliseconds are allowed"},
        {"at: today\n", "1:5: error: at: \"today\" is not a time such as \"2026-01-31T12:00:00Z\""},
        {"target: 100\n", "1:9: error: target: 100 is out of range: 1 to 99 are allowed"},
        {"target: {}\n", "1:9: error: target: expected an integer or a string, found a map"},
        {"codes: [99]\n", "1:9: error: codes[0]: 99 is out of range: 100 to 599 are allowed"},
        {"codes: 200\n", "1:8: error: codes: expected a list of integers, found 200"},
        {"loose: Exakt\n", "1:8: error: loose: \"Exakt\" is not allowed; it must be one of \"Exact\", \"Prefix\", \"RegularExpression\" (did you mean \"Exact\"?)"},
        {"leaf: a\n", "1:7: error: leaf: expected a map, found the string \"a\" (its fields are name, port, mode)"},
        {"leaf: {port: \"80\", name: a}\n", "1:14: error: leaf.port: expected an integer, found the string \"80\" (take the quotes away)"},
        {"leaf: {port: 080, name: a}\n", "1:14: error: leaf.port: expected an integer, found the string \"080\" (a leading zero means octal to some readers: leave it out)"},
        {"leaf: {port: 0, name: a}\n", "1:14: error: leaf.port: 0 is out of range: 1 to 65535 are allowed"},
        {"leaf: {}\n", "1:7: error: leaf.name: this required field is missing"},
        {"leaf:\n  name:\n", "2:3: error: leaf.name: this required field is missing"},
        {"leaves: {name: a}\n", "1:9: error: leaves: expected a list, found a map (begin every element with \"- \")"},
        {"leaves: [a]\n", "1:10: error: leaves[0]: expected a map, found the string \"a\" (its fields are name, port, mode)"},
        {"leaves: []\n", "1:9: error: leaves: has 0 elements, at least 1 are needed"},
        {"[a]\n", "1:1: error: expected a map, found a list"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decoded x;
        char want[512];
        snprintf(want, sizeof(want), "in.yaml:%s\n", rows[i].want);
        assert_string_equal(decode(&x, rows[i].text), want);
        assert_false(x.ok);
        parsed_fini(&x.p);
    }
}

static void unknown_fields_get_a_useful_hint(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } rows[] = {
        {"textvalue: ab\n", "1:1: error: textvalue: unknown field (did you mean \"textValue\"?)"},
        {"text_value: ab\n", "1:1: error: text_value: unknown field (did you mean \"textValue\"?)"},
        {"leafs: 1\n", "1:1: error: leafs: unknown field (did you mean \"leaf\"?)"},
        {"port: 1\n", "1:1: error: port: unknown field (it belongs under \"leaf\")"},
        {"leaf:\n  name: a\n  words: [b]\n", "3:3: error: leaf.words: unknown field (it belongs one level up; is it indented too far?)"},
        {"leaf:\n  name: a\n  qqqqqq: 1\n", "3:3: error: leaf.qqqqqq: unknown field (known here: name, port, mode)"},
        {"qqqqqqqqqq: 1\n", "1:1: error: qqqqqqqqqq: unknown field"},
        {"\"\": 1\n", "1:1: error: [\"\"]: unknown field"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decoded x;
        char want[512];
        snprintf(want, sizeof(want), "in.yaml:%s\n", rows[i].want);
        assert_string_equal(decode(&x, rows[i].text), want);
        parsed_fini(&x.p);
    }
}

static void snake_case_is_accepted_where_it_is_told_to_be(void **state)
{
    (void)state;
    struct decoded x;
    assert_string_equal(decode_spelled(&x, "text_value: abc\n", true),
                        "in.yaml:1:1: warning: text_value: old spelling, still accepted (write \"textValue\")\n");
    assert_true(x.ok);
    assert_str(x.t.text, "abc");
    parsed_fini(&x.p);
    assert_string_equal(decode_spelled(&x, "textValue: abc\ntext_value: abd\n", true),
                        "in.yaml:2:1: warning: text_value: old spelling, still accepted (write \"textValue\")\n"
                        "in.yaml:2:1: error: text_value: \"textValue\" stands here twice\n");
    assert_false(x.ok);
    parsed_fini(&x.p);
}

static void flags_are_told_once_and_values_still_checked(void **state)
{
    (void)state;
    struct decoded x;
    assert_string_equal(decode(&x, "unserved:\n  name: a\n  prot: 1\nold: 1\nwithout: 2\n"),
                        "in.yaml:1:1: warning: unserved: not served yet by this release (later)\n"
                        "in.yaml:3:3: error: unserved.prot: unknown field (did you mean \"port\"?)\n"
                        "in.yaml:4:1: warning: old: deprecated, still accepted (use new)\n"
                        "in.yaml:5:1: warning: without: accepted without effect\n");
    assert_false(x.ok);
    parsed_fini(&x.p);
}

static void checks_see_decoded_members_and_can_refuse(void **state)
{
    (void)state;
    struct decoded x;
    assert_string_equal(decode(&x, "flag: true\nratio: 0.5\n"), "in.yaml:2:1: error: ratio: not with flag\n");
    assert_false(x.ok);
    parsed_fini(&x.p);
}

static void tables_are_data_for_others(void **state)
{
    (void)state;
    const struct field *f = schema_field(&SCHEMA_TREE, "leaves.port");
    assert_string_equal(f->doc, "The port.");
    assert_ptr_equal(schema_field(&SCHEMA_TREE, "leaves[0].port"), f);
    assert_null(schema_field(&SCHEMA_TREE, "leaves.porc"));
    assert_null(schema_field(&SCHEMA_TREE, "textValue.x"));
    assert_null(schema_field(&SCHEMA_TREE, ""));
    struct buf why = {0};
    assert_true(schema_verify(&SCHEMA_TREE, &why));
    static const struct field twice[] = {FIELD_STR(struct leaf, name, "a", 0, "x"), FIELD_STR(struct leaf, name, "a", 0, "x")};
    const struct schema bad = SCHEMA(struct leaf, twice, NULL, "x");
    assert_false(schema_verify(&bad, &why));
    assert_non_null(strstr(buf_cstr(&why), "stands twice"));
    buf_fini(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_reaches_its_member),
        cmocka_unit_test(what_is_absent_is_zero_or_the_default),
        cmocka_unit_test(wrong_values_say_what_was_expected_and_how_to_mend_it),
        cmocka_unit_test(unknown_fields_get_a_useful_hint),
        cmocka_unit_test(snake_case_is_accepted_where_it_is_told_to_be),
        cmocka_unit_test(flags_are_told_once_and_values_still_checked),
        cmocka_unit_test(checks_see_decoded_members_and_can_refuse),
        cmocka_unit_test(tables_are_data_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
