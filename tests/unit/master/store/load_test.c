/* What becomes of documents: identity, verdicts, duplicates, last good versions. */
#include "tests/unit/master/store/load_test.h"
#include "master/kinds/core_config.h"

static void objects_get_their_namespace_from_file_directory_or_default(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    put(&s, "ns/team-a/b.yaml", CONFIG_MAP("two", "v"));
    put(&s, "ns/team-a/sub/c.yml", CONFIG_MAP("three", "v"));
    put(&s, "ns/team-a/d.json", "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"four\", \"namespace\": \"own\"}}\n");
    put(&s, "ns/team-a/e.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: team-a\n  namespace: odd\n");
    put(&s, "ns/Bad_Name/f.yaml", CONFIG_MAP("five", "v"));
    put(&s, "ns/g.yaml", CONFIG_MAP("six", "v"));
    put(&s, "sub/ns/team-b/h.yaml", CONFIG_MAP("seven", "v"));
    put(&s, "README.txt", "no configuration");
    put(&s, ".hidden.yaml", "a: [");
    put(&s, "backup.yaml~", "a: [");
    load(&s);
    assert_string_equal(found(&s), "ns/Bad_Name/: warning: the directory's name is no namespace; its objects go to \"default\"\n"
                                   "ns/team-a/e.yaml:5:14: warning: Namespace team-a: metadata.namespace: a Namespace belongs to no namespace\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/five accepted\nConfigMap default/six accepted\n"
                                    "ConfigMap team-a/two accepted\nConfigMap own/four accepted\nNamespace /team-a accepted\n"
                                    "ConfigMap team-a/three accepted\nConfigMap default/seven accepted\n");
    assert_int_equal(s.stats.files, 8);
    assert_non_null(store_get(&s.store, KIND_CONFIG_MAP, STR("team-a"), STR("three")));
    assert_null(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two")));
    site_fini(&s);
}

static void documents_that_are_no_objects_are_told_what_they_look_like(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } rows[] = {
        {"# nothing\n", ""},
        {"gateways:\n  x: 1\n", "1:1: error: this is no object: apiVersion and kind are missing (this looks like Helm values: render the chart with helm template)"},
        {"a: 1\n", "1:1: error: this is no object: apiVersion and kind are missing (an object begins with apiVersion: and kind:)"},
        {"kind: Service\n", "1:1: error: Service: this is no object: apiVersion is missing"},
        {"apiversion: v1\nkind: Service\n", "1:13: error: Service: apiversion: this is no object: apiVersion is missing (it is written apiVersion)"},
        {"- a: 1\n", "1:1: error: expected an object, found a list (write the objects as documents with --- between them, or as kind: List)"},
        {"just text\n", "1:1: error: expected an object, found a string"},
        {"apiVersion: 1\nkind: Service\n", "1:13: error: Service: apiVersion: expected a string, found an integer"},
        {"apiVersion: v1\nkind: \"\"\n", "2:7: error: kind: expected a string, found an empty one"},
        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n", "2:1: warning: Deployment x: \"Deployment\" of \"apps/v1\" is no kind that gatehouse knows"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRout\nmetadata: {name: x}\n",
         "2:1: warning: HTTPRout x: \"HTTPRout\" of \"gateway.networking.k8s.io/v1\" is no kind that gatehouse knows (did you mean kind: HTTPRoute?)"},
        {"apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\n",
         "2:1: warning: Instance: \"Instance\" of \"gatehouse.dev/v1alpha1\" is no kind that gatehouse knows (settings of the process belong into gatehouse.yaml, outside of conf.d)"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: x}\nspec: {whatever: 1}\n",
         "2:1: warning: ListenerSet default/x: ListenerSet is not served yet by this release"},
        {"apiVersion: v1\nkind: ConfigMap\n", "1:1: error: ConfigMap: metadata: this required field is missing (an object needs at least metadata.name)"},
        {"apiVersion: v1\nkind: List\n", "1:1: error: List: items: a List has its objects in a list called items"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct site s;
        char want[512];
        site_init(&s);
        put(&s, "a.yaml", rows[i].text);
        load(&s);
        snprintf(want, sizeof(want), "a.yaml:%s\n", rows[i].want);
        assert_string_equal(found(&s), rows[i].want[0] ? want : "");
        site_fini(&s);
    }
}

static void lists_are_unpacked(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n  data: {k: v}\n"
                      "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: two}\n  data: [v]\n- 7\n");
    load(&s);
    assert_string_equal(found(&s), "a.yaml:12:9: error: ConfigMap default/two: data: expected a map of strings, found a list (take the '-' away: one map is expected)\n"
                                   "a.yaml:13:3: error: expected an object, found an integer\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/two rejected\n");
    /* The text kept for the element is a document of its own. */
    put(&s, "a.yaml", "apiVersion: v1\nkind: List\nitems: [\n");
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted stale\n");
    site_fini(&s);
}

static void a_broken_object_keeps_its_last_good_version(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "good") "---\n" CONFIG_MAP("two", "good"));
    load(&s);
    struct str uid = arena_str(&s.arena, store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"))->uid);
    char kept[40];
    memcpy(kept, uid.p, 36);
    put(&s, "a.yaml", "# a comment more\n" CONFIG_MAP("one", "v") "dta: 1\n---\n" CONFIG_MAP("two", "better"));
    load(&s);
    assert_string_equal(found(&s), "a.yaml:2:1: warning: ConfigMap default/one: the last good version keeps serving until this is mended\n"
                                   "a.yaml:8:1: error: ConfigMap default/one: dta: unknown field (did you mean \"data\"?)\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted stale\nConfigMap default/one rejected\nConfigMap default/two accepted\n");
    const struct object *o = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"));
    assert_true(o->stale);
    assert_str(node_text(node_walk(o->root, "data.k")), "good");
    assert_memory_equal(o->uid.p, kept, 36);
    assert_int_equal(o->generation, 1);
    assert_int_equal(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two"))->generation, 2);
    /* and again: the state still has it */
    load(&s);
    assert_non_null(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one")));
    put(&s, "a.yaml", CONFIG_MAP("one", "mended"));
    load(&s);
    assert_string_equal(found(&s), "");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    assert_int_equal(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"))->generation, 2);
    site_fini(&s);
}

static void a_broken_file_keeps_what_it_held(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "v") "---\n" CONFIG_MAP("two", "v") "---\n" CONFIG_MAP("three", "v"));
    put(&s, "b.yaml", CONFIG_MAP("four", "v"));
    load(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "w") "---\n" "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two\n data: x\n---\n" CONFIG_MAP("new", "v"));
    load(&s);
    assert_string_equal(found(&s), "a.yaml: warning: ConfigMap default/two: the last good version keeps serving until this is mended\n"
                                   "a.yaml: warning: ConfigMap default/three: the last good version keeps serving until this is mended\n"
                                   "a.yaml:12:2: error: the indentation fits nothing above: column 2, while the map around it (line 8) has its keys in column 1 (keys of one map stand in the same column)\n");
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/two accepted stale\nConfigMap default/new accepted\n"
                                    "ConfigMap default/three accepted stale\nConfigMap default/four accepted\n");
    /* A file that is gone takes its objects along, the good ones and the stale ones. */
    site_remove(&s, "a.yaml");
    load(&s);
    assert_string_equal(found(&s), "");
    assert_string_equal(listed(&s), "ConfigMap default/four accepted\n");
    site_fini(&s);
}

static void without_a_last_good_version_the_rest_still_loads(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", "a: [\n---\n" CONFIG_MAP("one", "v"));
    put(&s, "b.yaml", CONFIG_MAP("two", "v"));
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/two accepted\n");
    assert_int_equal(s.diags.n_errors, 1);
    site_fini(&s);
}

static void of_duplicates_the_one_that_served_wins_else_the_oldest_else_the_first(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "b.yaml", CONFIG_MAP("one", "b"));
    load(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "a"));
    put(&s, "c.yaml", CONFIG_MAP("one", "c"));
    load(&s);
    assert_string_equal(found(&s), "a.yaml:1:1: error: ConfigMap default/one: the same object stands in b.yaml line 1, and that one is used (remove one of them, or give it another name or namespace)\n"
                                   "c.yaml:1:1: error: ConfigMap default/one: the same object stands in b.yaml line 1, and that one is used (remove one of them, or give it another name or namespace)\n");
    assert_string_equal(listed(&s), "ConfigMap default/one rejected\nConfigMap default/one accepted\nConfigMap default/one rejected\n");
    /* Without a past: the first by file and line, unless another one says that it is older. */
    load_with(&s, NULL, false);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\nConfigMap default/one rejected\nConfigMap default/one rejected\n");
    put(&s, "c.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, creationTimestamp: 2020-01-01T00:00:00Z}\n");
    load_with(&s, NULL, false);
    assert_string_equal(listed(&s), "ConfigMap default/one rejected\nConfigMap default/one rejected\nConfigMap default/one accepted\n");
    /* The winner leaves: the next one takes its place. */
    site_remove(&s, "b.yaml");
    site_remove(&s, "c.yaml");
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    assert_string_equal(found(&s), "");
    site_fini(&s);
}

static void identity_is_kept_and_what_the_file_says_is_honoured(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    put(&s, "b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two, uid: own-uid, generation: 9, creationTimestamp: 2020-01-01T00:00:00Z}\n");
    load(&s);
    const struct object *one = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"));
    const struct object *two = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two"));
    assert_int_equal(one->uid.n, 36);
    assert_true(one->uid.p[14] == '4' && one->generation == 1 && one->created_us > 0 && one->created_us % 1000000 == 0);
    assert_str(two->uid, "own-uid");
    assert_true(two->generation == 9 && two->created_us == UINT64_C(1577836800000000));
    assert_ptr_equal(s.store.by_kind[KIND_CONFIG_MAP][0], two); /* the oldest first */
    uint64_t created = one->created_us;
    char uid[36];
    memcpy(uid, one->uid.p, 36);
    /* Comments, order of keys and metadata are no change of the spec; moving the file keeps the identity. */
    site_remove(&s, "a.yaml");
    put(&s, "z/other.yaml", "# c\nkind: ConfigMap\napiVersion: v1\nmetadata: {name: one, labels: {x: y}}\ndata: {k: 'v'}\n");
    load(&s);
    one = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"));
    assert_memory_equal(one->uid.p, uid, 36);
    assert_true(one->generation == 1 && one->created_us == created);
    put(&s, "z/other.yaml", CONFIG_MAP("one", "w"));
    load(&s);
    assert_int_equal(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"))->generation, 2);
    site_fini(&s);
}

static void status_of_the_last_generation_comes_back(void **state)
{
    (void)state;
    struct site s;
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "v"));
    load(&s);
    struct object *o = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"));
    assert_int_equal(o->prev_status_json.n, 0);
    o->status_json = STR("{\"x\":1}");
    load_keep_status(&s.store, &s.state);
    buf_clear(&s.image);
    state_write(&s.state, &s.image);
    load(&s);
    assert_str(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"))->prev_status_json, "{\"x\":1}");
    site_fini(&s);
}

static void one_broken_file_of_a_thousand_costs_one_file(void **state)
{
    (void)state;
    struct site s;
    char name[64], text[256];
    site_init(&s);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "f%03d.yaml", i);
        snprintf(text, sizeof(text), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m%d}\ndata: {k: v}\n", i);
        put(&s, name, text);
    }
    load(&s);
    assert_int_equal(s.store.n_by_kind[KIND_CONFIG_MAP], 1000);
    uint32_t seed = 7;
    for (int round = 0; round < 5; round++) {
        seed = seed * 1664525 + 1013904223;
        unsigned victim = (seed >> 16) % 1000;
        snprintf(name, sizeof(name), "f%03u.yaml", victim);
        put(&s, name, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n");
        load(&s);
        assert_int_equal(s.store.n_by_kind[KIND_CONFIG_MAP], 1000);
        assert_int_equal(s.diags.n_errors, 1);
        snprintf(text, sizeof(text), "m%u", victim);
        assert_true(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), str_c(text))->stale);
        snprintf(text, sizeof(text), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m%u}\ndata: {k: v%d}\n", victim, round);
        put(&s, name, text);
    }
    load(&s);
    assert_string_equal(found(&s), "");
    site_fini(&s);
}

static void the_report_is_the_contract_of_check(void **state)
{
    (void)state;
    struct site s;
    struct buf out = {0};
    site_init(&s);
    put(&s, "a.yaml", CONFIG_MAP("one", "v") "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {name: t}\n");
    load(&s);
    load_report_json(&s.store, &s.diags, &s.stats, &out);
    char want[2048];
    snprintf(want, sizeof(want),
             "{\"objects\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"namespace\":\"default\",\"name\":\"one\",\"file\":\"%s/a.yaml\",\"line\":1,\"verdict\":\"accepted\"},"
             "{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"ListenerSet\",\"namespace\":\"default\",\"name\":\"t\",\"file\":\"%s/a.yaml\",\"line\":8,\"verdict\":\"unserved\"}],"
             "\"diagnostics\":[{\"severity\":\"warning\",\"code\":\"NotServed\",\"file\":\"%s/a.yaml\",\"line\":9,\"column\":1,\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"ListenerSet\","
             "\"namespace\":\"default\",\"name\":\"t\",\"path\":\"\",\"message\":\"ListenerSet is not served yet by this release\",\"hint\":\"\"}],"
             "\"summary\":{\"files\":1,\"objects\":2,\"errors\":0,\"warnings\":1}}",
             s.dir, s.dir, s.dir);
    assert_string_equal(buf_cstr(&out), want);
    buf_fini(&out);
    site_fini(&s);
}

static void secrets_are_warned_about_but_never_shown(void **state)
{
    (void)state;
    struct site s;
    char path[512];
    site_init(&s);
    put(&s, "a.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: 12345}\ndata: {key: c2VjcmV0!}\n---\n"
                      "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\nstringData: {password: hunter2}\n");
    load(&s);
    assert_null(strstr(found(&s), "12345"));
    assert_null(strstr(found(&s), "c2Vj"));
    assert_int_equal(s.diags.n_errors, 2);
    site_path(&s, "a.yaml", path);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(s.dir, 0755), 0);
    load(&s);
    assert_non_null(strstr(found(&s), "a.yaml:7:1: warning: Secret default/t: everybody on this machine can read this Secret (chmod o-r)"));
    assert_int_equal(chmod(s.dir, 0750), 0); /* nobody else gets in: no need to warn */
    load(&s);
    assert_null(strstr(found(&s), "everybody"));
    site_fini(&s);
}

/* Judges values as certificates are judged: the table of the kind can't say it. */
static bool vet(void *site, const struct object *o, struct diags *ds)
{
    struct site *s = site;
    const struct core_config_map *m = o->spec;
    s->n_vetted++;
    if (o->kind->id != KIND_CONFIG_MAP || !str_eqc(m->data.v[0].val, "bad"))
        return true;
    diag_at(ds, DIAG_BadCertificate, o->root, NULL, "is bad");
    return false;
}

static void what_does_not_pass_vetting_is_rejected_and_the_good_one_serves(void **state)
{
    struct site s;
    (void)state;
    site_init(&s);
    s.vet = vet;
    put(&s, "a.yaml", CONFIG_MAP("one", "good"));
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    assert_int_equal(s.n_vetted, 1);
    load(&s);
    assert_int_equal(s.n_vetted, 0); /* it stands as it stood when it was good */
    put(&s, "a.yaml", CONFIG_MAP("one", "bad"));
    for (int i = 0; i < 2; i++) {
        load(&s);
        assert_int_equal(s.n_vetted, 1);
        assert_string_equal(listed(&s), "ConfigMap default/one rejected\nConfigMap default/one accepted stale\n");
        assert_non_null(strstr(found(&s), "a.yaml:1:1: error: ConfigMap default/one: is bad\n"));
        assert_non_null(strstr(found(&s), "the last good version keeps serving"));
        const struct object *o = store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one"));
        assert_true(o && o->stale);
        assert_string_equal(((const struct core_config_map *)o->spec)->data.v[0].val.p, "good");
        assert_null(store_get_broken(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one")));
    }
    put(&s, "a.yaml", CONFIG_MAP("one", "better"));
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one accepted\n");
    site_fini(&s);
}

static void what_was_never_good_is_missing_but_known(void **state)
{
    struct site s;
    (void)state;
    site_init(&s);
    s.vet = vet;
    put(&s, "a.yaml", CONFIG_MAP("one", "bad"));
    put(&s, "b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndata: 1\n");
    load(&s);
    assert_string_equal(listed(&s), "ConfigMap default/one rejected\nConfigMap default/two rejected\n");
    assert_null(store_get(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one")));
    assert_non_null(store_get_broken(&s.store, KIND_CONFIG_MAP, STR("default"), STR("one")));
    assert_non_null(store_get_broken(&s.store, KIND_CONFIG_MAP, STR("default"), STR("two")));
    assert_null(store_get_broken(&s.store, KIND_SECRET, STR("default"), STR("one")));
    site_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_get_their_namespace_from_file_directory_or_default),
        cmocka_unit_test(documents_that_are_no_objects_are_told_what_they_look_like),
        cmocka_unit_test(lists_are_unpacked),
        cmocka_unit_test(a_broken_object_keeps_its_last_good_version),
        cmocka_unit_test(a_broken_file_keeps_what_it_held),
        cmocka_unit_test(without_a_last_good_version_the_rest_still_loads),
        cmocka_unit_test(of_duplicates_the_one_that_served_wins_else_the_oldest_else_the_first),
        cmocka_unit_test(identity_is_kept_and_what_the_file_says_is_honoured),
        cmocka_unit_test(status_of_the_last_generation_comes_back),
        cmocka_unit_test(one_broken_file_of_a_thousand_costs_one_file),
        cmocka_unit_test(the_report_is_the_contract_of_check),
        cmocka_unit_test(secrets_are_warned_about_but_never_shown),
        cmocka_unit_test(what_does_not_pass_vetting_is_rejected_and_the_good_one_serves),
        cmocka_unit_test(what_was_never_good_is_missing_but_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
