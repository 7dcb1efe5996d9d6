#include "tests/unit/master/store/load_test.h"

static void objects_are_in_order_of_age_then_name(void **state)
{
    (void)state;
    struct object a = {.ns = STR("x"), .name = STR("b"), .created_us = 5}, b = {.ns = STR("a-b"), .name = STR("x"), .created_us = 5},
                  c = {.ns = STR("a"), .name = STR("y"), .created_us = 5}, d = {.ns = STR("z"), .name = STR("z"), .created_us = 1};
    assert_true(object_cmp_istio(&d, &a) < 0);
    assert_true(object_cmp_istio(&a, &b) < 0); /* by name: b, x */
    assert_true(object_cmp_gapi(&a, &b) > 0);  /* by "x/b", "a-b/x" */
    assert_true(object_cmp_gapi(&b, &c) < 0);  /* '-' sorts before '/' */
    assert_true(object_cmp_gapi(&c, &c) == 0);
}

static const char FILES[] =
    "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team-a\n  labels: {shared: \"true\", tier: gold}\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: backends}\nspec:\n"
    "  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team-a}]\n"
    "  to: [{group: \"\", kind: Service, name: shop}]\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: h, namespace: backends}\nspec:\n"
    "  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: team-b}]\n"
    "  to: [{group: \"\", kind: Service}]\n";

static bool allowed(struct site *s, const char *from, const char *to_ns, const char *to)
{
    return grant_allows(&s->store, "gateway.networking.k8s.io", "HTTPRoute", str_c(from), "", "Service", str_c(to_ns), str_c(to));
}

static void grants_allow_what_they_name_and_no_more(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", FILES);
    load(&s);
    assert_string_equal(found(&s), "");
    assert_true(allowed(&s, "team-a", "team-a", "x"));
    assert_true(allowed(&s, "team-a", "backends", "shop"));
    assert_false(allowed(&s, "team-a", "backends", "other"));
    assert_true(allowed(&s, "team-b", "backends", "other"));
    assert_false(allowed(&s, "team-c", "backends", "shop"));
    assert_false(allowed(&s, "team-a", "elsewhere", "shop"));
    assert_false(grant_allows(&s.store, "gateway.networking.k8s.io", "GRPCRoute", STR("team-a"), "", "Service", STR("backends"), STR("shop")));
    assert_false(grant_allows(&s.store, "gateway.networking.k8s.io", "HTTPRoute", STR("team-a"), "", "Secret", STR("backends"), STR("shop")));
    site_fini(&s);
}

static bool selects(struct site *s, const char *selector, const char *ns)
{
    struct parsed p;
    parse_text(&p, selector);
    bool hit = selector_matches_namespace(&s->store, p.docs.n ? p.docs.v[0].root : NULL, str_c(ns));
    parsed_fini(&p);
    return hit;
}

static void selectors_see_labels_of_namespaces(void **state)
{
    (void)state;
    struct site s;
    bool there;
    site_init(&s);
    put(&s, "a.yaml", FILES);
    load(&s);
    static const struct { const char *selector; bool a, b; } rows[] = {
        {"", true, true}, {"{}", true, true}, {"matchLabels: {shared: \"true\"}", true, false}, {"matchLabels: {shared: \"false\"}", false, false},
        {"matchLabels: {kubernetes.io/metadata.name: team-b}", false, true},
        {"matchExpressions: [{key: tier, operator: In, values: [silver, gold]}]", true, false},
        {"matchExpressions: [{key: tier, operator: NotIn, values: [gold]}]", false, true},
        {"matchExpressions: [{key: tier, operator: Exists}]", true, false},
        {"matchExpressions: [{key: tier, operator: DoesNotExist}]", false, true},
        {"matchExpressions: [{key: tier, operator: Odd}]", false, false},
        {"matchLabels: {shared: \"true\"}\nmatchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [x]}]", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (selects(&s, rows[i].selector, "team-a") != rows[i].a || selects(&s, rows[i].selector, "team-b") != rows[i].b)
            fail_msg("%s", rows[i].selector);
    assert_str(namespace_label(&s.store, STR("team-a"), STR("tier"), &there), "gold");
    assert_true(there);
    namespace_label(&s.store, STR("team-b"), STR("tier"), &there);
    assert_false(there);
    assert_str(object_label(store_get(&s.store, KIND_NAMESPACE, STR_NONE, STR("team-a")), "shared"), "true");
    site_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_in_order_of_age_then_name),
        cmocka_unit_test(grants_allow_what_they_name_and_no_more),
        cmocka_unit_test(selectors_see_labels_of_namespaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
