#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/master/yaml/yaml_test.h"
#include "master/kinds/kinds.h"

static void the_tables_of_all_kinds_have_no_slips(void **state)
{
    (void)state;
    struct buf why = {0};
    schema_verify(&SCHEMA_OBJECT_META, &why);
    for (int id = 0; id < KIND_COUNT; id++) {
        const struct kind_info *k = kind_info((enum kind_id)id);
        assert_int_equal(k->id, id);
        if (k->schema)
            schema_verify(k->schema, &why);
        assert_string_equal(buf_cstr(&why), "");
    }
    buf_fini(&why);
}

static void kinds_are_found_by_group_version_and_kind(void **state)
{
    (void)state;
    bool known;
    assert_int_equal(kind_find(STR("gateway.networking.k8s.io/v1beta1"), STR("HTTPRoute"), &known)->id, KIND_HTTP_ROUTE);
    assert_true(known);
    assert_int_equal(kind_find(STR("v1"), STR("Service"), NULL)->id, KIND_SERVICE);
    assert_int_equal(kind_find(STR("networking.istio.io/v1alpha3"), STR("Gateway"), NULL)->id, KIND_ISTIO_GATEWAY);
    assert_int_equal(kind_find(STR("gateway.networking.k8s.io/v1"), STR("Gateway"), NULL)->id, KIND_GATEWAY);
    assert_null(kind_find(STR("gateway.networking.k8s.io/v3"), STR("HTTPRoute"), &known));
    assert_true(known);
    assert_null(kind_find(STR("example.com/v1"), STR("HTTPRoute"), &known));
    assert_false(known);
    assert_null(kind_find(STR("v1beta1"), STR("Service"), NULL));
    assert_null(kind_find(STR(""), STR(""), NULL));
}

static void people_type_kinds_in_many_ways(void **state)
{
    (void)state;
    static const struct { const char *word; int id; } rows[] = {
        {"httproute", KIND_HTTP_ROUTE}, {"HTTPRoutes", KIND_HTTP_ROUTE}, {"vs", KIND_VIRTUAL_SERVICE}, {"gateway", KIND_GATEWAY},
        {"gateways.networking.istio.io", KIND_ISTIO_GATEWAY}, {"gateway.gateway.networking.k8s.io", KIND_GATEWAY}, {"svc", KIND_SERVICE},
        {"httproutes.gateway.networking.k8s.io", KIND_HTTP_ROUTE}, {"ns", KIND_NAMESPACE}, {"nothing", -1}, {"", -1}, {"vs.x", -1}, {".", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct kind_info *k = kind_by_word(str_c(rows[i].word));
        if ((k ? (int)k->id : -1) != rows[i].id)
            fail_msg("%s", rows[i].word);
    }
}

static void unknown_kinds_get_a_hint(void **state)
{
    (void)state;
    static const struct { const char *version, *kind, *want; } rows[] = {
        {"gateway.networking.k8s.io/v3", "HTTPRoute", "known versions of HTTPRoute: v1,v1beta1"},
        {"gateway.networking.k8s.io/v1", "HttpRoute", "did you mean kind: HTTPRoute?"},
        {"gateway.networking.k8s.io/v1", "HTTPRout", "did you mean kind: HTTPRoute?"},
        {"networking.k8s.io/v1", "HTTPRoute", "did you mean apiVersion: gateway.networking.k8s.io/v1?"},
        {"networking.istio.oi/v1", "Gateway", "did you mean apiVersion: networking.istio.io/v1?"},
        {"gateway.networking.k8s.oi/v1", "Gateway", "did you mean apiVersion: gateway.networking.k8s.io/v1?"},
        {"apps/v1", "Deployment", ""},
    };
    struct arena a;
    arena_init(&a, 0, test_oom);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(kind_hint(&a, str_c(rows[i].version), str_c(rows[i].kind)), rows[i].want);
    assert_string_equal(kind_suggest(STR("VirtualServce")), "VirtualService");
    assert_null(kind_suggest(STR("Pod")));
    arena_fini(&a);
}

static void metadata_is_read_and_bookkeeping_passed_over(void **state)
{
    (void)state;
    struct parsed p;
    struct object_meta meta;
    void *spec;
    parse_text(&p, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  namespace: n\n  labels: {a: b}\n  annotations: {c.d/e: \"any thing\"}\n"
                   "  uid: u\n  generation: 3\n  creationTimestamp: 2026-01-01T00:00:00Z\n  managedFields: [1]\n  resourceVersion: \"7\"\n"
                   "data: {k: v}\nstatus: {x: 1}\n");
    struct decoder d = {.arena = &p.arena, .diags = &p.diags};
    assert_true(kind_decode(&d, kind_info(KIND_CONFIG_MAP), p.docs.v[0].root, &meta, &spec));
    assert_string_equal(findings(&p), "");
    assert_str(meta.name, "x");
    assert_str(meta.ns, "n");
    assert_str(meta.annotations.v[0].val, "any thing");
    assert_int_equal(meta.generation.v, 3);
    assert_true(meta.created.set);
    assert_non_null(spec);
    parsed_fini(&p);
    parse_text(&p, "apiVersion: v1\nkind: ConfigMap\nmetadata: {creationTimestamp: null, lables: {}}\n");
    d = (struct decoder){.arena = &p.arena, .diags = &p.diags};
    assert_false(kind_decode(&d, kind_info(KIND_CONFIG_MAP), p.docs.v[0].root, &meta, &spec));
    diags_sort(&p.diags);
    assert_string_equal(findings(&p), "in.yaml:3:11: error: ConfigMap: metadata.name: this required field is missing\n"
                                      "in.yaml:3:37: error: ConfigMap: metadata.lables: unknown field (did you mean \"labels\"?)\n");
    parsed_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tables_of_all_kinds_have_no_slips),
        cmocka_unit_test(kinds_are_found_by_group_version_and_kind),
        cmocka_unit_test(people_type_kinds_in_many_ways),
        cmocka_unit_test(unknown_kinds_get_a_hint),
        cmocka_unit_test(metadata_is_read_and_bookkeeping_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
