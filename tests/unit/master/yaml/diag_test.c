#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"

static const char OBJECT[] = "apiVersion: v1\nkind: Service\nmetadata:\n  name: shop\nspec:\n  ports:\n  - port: 1\n";

static void a_finding_names_the_object_the_path_and_the_place(void **state)
{
    (void)state;
    struct parsed p;
    struct buf json = {0};
    parse_text(&p, OBJECT);
    const struct node *root = p.docs.v[0].root;
    node_document(root)->ns = STR("default");
    diag_at(&p.diags, DIAG_OutOfRange, node_walk(root, "spec.ports[0].port"), "a hint", "must be %d", 7);
    diag_at_key(&p.diags, DIAG_Required, node_walk(root, "spec.ports[0]"), "name", NULL, "missing");
    diag_file(&p.diags, DIAG_FileTooLarge, STR("b.yaml"), 0, 0, "too large");
    diag_file(&p.diags, DIAG_Syntax, STR("a.yaml"), 3, 4, "what");
    diags_sort(&p.diags);
    assert_string_equal(findings(&p), "a.yaml:3:4: error: what\n"
                                      "b.yaml: error: too large\n"
                                      "in.yaml:7:5: error: Service default/shop: spec.ports[0].name: missing\n"
                                      "in.yaml:7:11: error: Service default/shop: spec.ports[0].port: must be 7 (a hint)\n");
    diag_json(&p.diags.v[3], &json);
    assert_string_equal(buf_cstr(&json),
                        "{\"severity\":\"error\",\"code\":\"OutOfRange\",\"file\":\"in.yaml\",\"line\":7,\"column\":11,"
                        "\"apiVersion\":\"v1\",\"kind\":\"Service\",\"namespace\":\"default\",\"name\":\"shop\","
                        "\"path\":\"spec.ports[0].port\",\"message\":\"must be 7\",\"hint\":\"a hint\"}");
    assert_int_equal(p.diags.n_errors, 4);
    buf_fini(&json);
    parsed_fini(&p);
}

static void repetitions_are_dropped_and_order_of_arrival_kept(void **state)
{
    (void)state;
    struct parsed p;
    parse_text(&p, OBJECT);
    const struct node *root = p.docs.v[0].root;
    diag_at(&p.diags, DIAG_Conflict, root, NULL, "second");
    diag_at(&p.diags, DIAG_Conflict, root, NULL, "first");
    diag_at(&p.diags, DIAG_Conflict, root, NULL, "second");
    diags_sort(&p.diags);
    assert_int_equal(p.diags.n, 2);
    assert_int_equal(p.diags.n_warnings, 2);
    assert_true(str_eqc(p.diags.v[0].message, "second"));
    parsed_fini(&p);
}

static void what_a_file_says_can_not_move_the_cursor(void **state)
{
    (void)state;
    struct parsed p;
    parse_text(&p, "\"a\\e[2J\": 1\n");
    diag_at(&p.diags, DIAG_UnknownField, p.docs.v[0].root->kids[0], NULL, "%s", diag_quote(&p.arena, STR("x\ny\x1b\t")));
    assert_string_equal(findings(&p), "in.yaml:1:11: error: [\"a\\u001b[2J\"]: \"x\\ny\\x1b\\t\"\n");
    parsed_fini(&p);
}

static void long_values_are_cut_between_characters(void **state)
{
    (void)state;
    struct arena a;
    char text[200];
    arena_init(&a, 0, test_oom);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i < 59 ? 'x' : (char)(i % 2 ? 0xc3 : 0xa4);
    const char *q = diag_quote(&a, str_of(text, sizeof(text)));
    assert_int_equal(strlen(q), 59 + 2 + 3);
    assert_string_equal(q + 59, "x...\"");
    arena_fini(&a);
}

static void one_document_can_not_fill_the_memory_with_findings(void **state)
{
    (void)state;
    struct parsed p;
    parse_text(&p, OBJECT);
    const struct node *root = p.docs.v[0].root;
    for (int i = 0; i < 10000; i++)
        diag_at(&p.diags, DIAG_UnknownField, root, NULL, "finding %d", i)->hint = STR("changed by the caller");
    assert_int_equal(p.diags.n_errors, 10000);
    diags_sort(&p.diags);
    assert_int_equal(p.diags.n, DIAGS_PER_DOCUMENT + 1);
    struct diag *last = &p.diags.v[DIAGS_PER_DOCUMENT];
    assert_true(str_eqc(last->message, "9800 more findings of this document are not listed"));
    assert_int_equal(last->severity, DIAG_ERROR);
    parsed_fini(&p);
}

static void all_findings_together_have_a_limit(void **state)
{
    (void)state;
    struct arena a;
    struct diags ds;
    arena_init(&a, 0, test_oom);
    diags_init(&ds, &a);
    for (int i = 0; i < DIAGS_MAX + 1000; i++)
        diag_file(&ds, DIAG_Syntax, STR("a.yaml"), (uint32_t)i, 1, "x")->hint = STR("h");
    assert_int_equal(ds.n_errors, DIAGS_MAX + 1000);
    diags_sort(&ds);
    assert_int_equal(ds.n, DIAGS_MAX + 1);
    assert_true(str_eqc(ds.v[0].message, "1000 more findings are not listed"));
    arena_fini(&a);
}

static void hashes_ignore_order_of_keys_and_formatting(void **state)
{
    (void)state;
    static const char *const same[] = {"a: 1\nb: [x, {c: d, e: f}]\n", "b:\n- x\n- e: f # c\n  c: \"d\"\na: 0x1\n"};
    static const char *const other[] = {"a: 1\nb: [{c: d, e: f}, x]\n", "a: '1'\nb: [x, {c: d, e: f}]\n", "a: 1\n", "a: {}\n", "a: []\n"};
    uint64_t h[2];
    struct parsed p;
    for (int i = 0; i < 2; i++) {
        parse_text(&p, same[i]);
        h[i] = node_hash(p.docs.v[0].root);
        parsed_fini(&p);
    }
    assert_true(h[0] == h[1]);
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        parse_text(&p, other[i]);
        assert_true(node_hash(p.docs.v[0].root) != h[0]);
        parsed_fini(&p);
    }
}

static void an_element_of_a_list_becomes_a_document(void **state)
{
    (void)state;
    struct parsed p;
    struct buf path = {0};
    parse_text(&p, "items:\n- kind: A\n  metadata: {name: n, namespace: s}\n  spec: {x: [1]}\n");
    struct node_document *d = node_detach(&p.arena, node_walk(p.docs.v[0].root, "items[0]"));
    assert_true(str_eqc(d->kind, "A") && str_eqc(d->name, "n") && str_eqc(d->ns, "s"));
    const struct node *x = node_walk(&d->root, "spec.x[0]");
    assert_ptr_equal(node_document(x), d);
    node_path(x, &path);
    assert_string_equal(buf_cstr(&path), "spec.x[0]");
    assert_null(d->root.parent);
    buf_fini(&path);
    parsed_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finding_names_the_object_the_path_and_the_place),
        cmocka_unit_test(repetitions_are_dropped_and_order_of_arrival_kept),
        cmocka_unit_test(what_a_file_says_can_not_move_the_cursor),
        cmocka_unit_test(long_values_are_cut_between_characters),
        cmocka_unit_test(one_document_can_not_fill_the_memory_with_findings),
        cmocka_unit_test(all_findings_together_have_a_limit),
        cmocka_unit_test(hashes_ignore_order_of_keys_and_formatting),
        cmocka_unit_test(an_element_of_a_list_becomes_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
