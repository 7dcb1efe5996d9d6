/* credential_test.c - what Secrets, ConfigMaps and texts become, and what is said about them. */
#include "tests/unit/shared/base/base_test.h"
#include "master/lower/credential.h"
#include "master/lower/tls_words.h"
#include "master/store/load.h"
#include <stdio.h>
#include <stdlib.h>

#define NOW 1767225600000000u /* 2026-01-01 */

struct world {
    struct arena arena;
    struct diags diags;
    struct store store;
    struct model model;
    struct lower lower;
};

static const char *from_top(char path[512], const char *name)
{
    const char *top = getenv("srcdir");
    snprintf(path, 512, "%s/%s", top ? top : ".", name);
    return path;
}

static void world_init(struct world *w)
{
    char good[512], bad[512];
    const char *paths[] = {from_top(good, "tests/golden/certs/certs.yaml"), from_top(bad, "tests/golden/certs/bad.yaml")};
    struct load_stats stats;
    memset(w, 0, sizeof(*w));
    arena_init(&w->arena, 0, NULL);
    diags_init(&w->diags, &w->arena);
    struct credentials *c = credentials_new(&w->arena, NOW);
    struct load_input in = {.paths = paths, .n_paths = 2, .vet = credentials_vet, .vet_ctx = c};
    load_all(&w->store, &w->arena, &w->diags, &in, &stats);
    model_init(&w->model, &w->arena);
    w->lower = (struct lower){.arena = &w->arena, .store = &w->store, .model = &w->model, .diags = &w->diags,
                              .credentials = c, .now_wall_us = NOW};
    if (w->store.n_all < 20)
        fail_msg("the Secrets of tests/golden/certs are missing: %zu objects", w->store.n_all);
}

static const struct object *secret(const struct world *w, const char *name)
{
    const struct object *o = store_get(&w->store, KIND_SECRET, STR("default"), str_c(name));
    assert_non_null(o);
    return o;
}

static const struct object *config_map(const struct world *w, const char *name)
{
    const struct object *o = store_get(&w->store, KIND_CONFIG_MAP, STR("default"), str_c(name));
    assert_non_null(o);
    return o;
}

/* Is there a finding with these words? */
static bool told(struct world *w, const char *a, const char *b)
{
    for (size_t i = 0; i < w->diags.n; i++)
        if (strstr(w->diags.v[i].message.p, a) && str_eqc(w->diags.v[i].name, b))
            return true;
    return false;
}

static void equal_pairs_are_one_certificate(void **state)
{
    struct world w;
    struct credential_fault why;
    (void)state;
    world_init(&w);
    struct model_cert *web = credential_pair(&w.lower, secret(&w, "web"), &why);
    assert_non_null(web);
    assert_int_equal(why.kind, CERT_OK);
    assert_ptr_equal(credential_pair(&w.lower, secret(&w, "web"), &why), web);
    assert_int_equal(web->ocsp.n, 0);
    assert_ptr_equal(credential_pair(&w.lower, secret(&w, "stapled"), &why), web);
    assert_int_equal(web->ocsp.n, 296); /* the staple of the one that has it */
    assert_ptr_equal(credential_pair(&w.lower, store_get(&w.store, KIND_SECRET, STR("certs"), STR("shared")), &why), web);
    assert_string_equal(web->origin.source->name.p, "web");
    assert_int_equal(w.model.certs.n, 1);
    assert_int_equal(web->info->key_type, KEY_ECDSA);
    assert_true(cert_fits_host(web->info, STR("a.example.com")));
    struct model_cert *api = credential_pair(&w.lower, secret(&w, "generic"), &why); /* cert and key */
    assert_non_null(api);
    assert_ptr_equal(credential_pair(&w.lower, secret(&w, "api"), &why), api);
    assert_int_equal(w.model.certs.n, 2);
    arena_fini(&w.arena);
}

static void a_pair_that_can_not_be_used_is_refused_when_it_is_loaded(void **state)
{
    static const struct { const char *name, *finding, *rejection; } CASES[] = {
        {"mismatched", "the private key does not belong to the certificate",
         "Secret default/mismatched: tls.key: the private key does not belong to the certificate"},
        {"junk", "no complete block", "Secret default/junk: tls.crt: the text has no complete block -----BEGIN CERTIFICATE-----"},
        {"disorder", "is not the issuer", NULL},
    };
    struct world w;
    (void)state;
    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        assert_null(store_get(&w.store, KIND_SECRET, STR("default"), str_c(CASES[i].name)));
        assert_non_null(store_get_broken(&w.store, KIND_SECRET, STR("default"), str_c(CASES[i].name)));
        assert_true(told(&w, CASES[i].finding, CASES[i].name));
        struct str why = credential_rejection(&w.lower, STR("default"), str_c(CASES[i].name));
        assert_true(why.n > 0);
        if (CASES[i].rejection)
            assert_string_equal(why.p, CASES[i].rejection);
    }
    assert_int_equal(credential_rejection(&w.lower, STR("default"), STR("web")).n, 0);
    assert_false(told(&w, "", "unrelated")); /* a Secret without a pair is nobody's business */
    arena_fini(&w.arena);
}

static void what_is_missing_is_named(void **state)
{
    struct world w;
    struct credential_fault why;
    (void)state;
    world_init(&w);
    assert_false(credential_has_pair(secret(&w, "unrelated")));
    assert_null(credential_pair(&w.lower, secret(&w, "unrelated"), &why));
    assert_int_equal(why.kind, CERT_EMPTY);
    assert_string_equal(why.text.p, "Secret default/unrelated: tls.crt is missing");
    assert_false(credential_has_ca(secret(&w, "web")));
    assert_null(credential_ca(&w.lower, secret(&w, "web"), &why).p);
    assert_string_equal(why.text.p, "Secret default/web: key ca.crt is missing");
    arena_fini(&w.arena);
}

static void dates_are_told_once_and_the_certificate_is_used(void **state)
{
    struct world w;
    struct credential_fault why;
    (void)state;
    world_init(&w);
    assert_false(told(&w, "expired", "expired")); /* nobody uses it yet */
    assert_non_null(credential_pair(&w.lower, secret(&w, "expired"), &why));
    assert_true(told(&w, "expired at 2016-01-01T00:00:00Z", "expired"));
    assert_non_null(credential_pair(&w.lower, secret(&w, "future"), &why));
    assert_true(told(&w, "is not valid before 2119-01-01T00:00:00Z", "future"));
    size_t n = w.diags.n;
    assert_non_null(credential_pair(&w.lower, secret(&w, "expired"), &why));
    assert_int_equal(w.diags.n, n);
    arena_fini(&w.arena);
}

static void bundles_come_from_secrets_and_config_maps(void **state)
{
    struct world w;
    struct credential_fault why;
    (void)state;
    world_init(&w);
    struct str root = credential_ca(&w.lower, config_map(&w, "root"), &why);
    assert_true(root.n > 0 && why.kind == CERT_OK);
    assert_true(str_eq(credential_ca(&w.lower, secret(&w, "mutual"), &why), root));     /* ca.crt */
    assert_true(str_eq(credential_ca(&w.lower, secret(&w, "web-cacert"), &why), root)); /* cacert */
    assert_true(credential_ca(&w.lower, config_map(&w, "half-ca"), &why).n > 0);
    assert_true(told(&w, "1 of 3 certificates can't be read", "half-ca"));
    assert_null(credential_ca(&w.lower, config_map(&w, "junk-ca"), &why).p);
    assert_int_equal(why.kind, CERT_NOT_PEM);
    assert_null(credential_ca(&w.lower, config_map(&w, "no-ca"), &why).p);
    assert_int_equal(why.kind, CERT_EMPTY);
    assert_null(credential_crl(&w.lower, config_map(&w, "root"), &why).p); /* none, and that is fine */
    assert_int_equal(why.kind, CERT_OK);
    arena_fini(&w.arena);
}

static void texts_of_files_are_judged_like_those_of_objects(void **state)
{
    struct world w;
    struct credential_fault why;
    (void)state;
    world_init(&w);
    struct model_cert *web = credential_pair(&w.lower, secret(&w, "web"), &why);
    const struct object *o = secret(&w, "unrelated");
    struct credential_source src = {.at = o->root, .name = STR("/etc/certs/tls.crt")};
    assert_ptr_equal(credential_pair_text(&w.lower, &src, web->chain, web->private_key, STR(""), &why), web);
    assert_null(credential_pair_text(&w.lower, &src, web->chain, STR("x"), STR(""), &why));
    assert_true(str_starts(why.text, STR("/etc/certs/tls.crt: ")));
    assert_null(credential_ca_text(&w.lower, &src, STR("nothing"), &why).p);
    assert_true(str_starts(why.text, STR("/etc/certs/tls.crt: ")));
    assert_null(credential_crl_text(&w.lower, &src, STR("nothing"), &why).p);
    assert_true(why.kind != CERT_OK);
    arena_fini(&w.arena);
}

static void no_key_is_in_any_text(void **state)
{
    struct world w;
    struct credential_fault why;
    struct buf all = {0};
    (void)state;
    world_init(&w);
    for (size_t i = 0; i < w.store.n_by_kind[KIND_SECRET]; i++)
        credential_pair(&w.lower, w.store.by_kind[KIND_SECRET][i], &why);
    for (size_t i = 0; i < w.diags.n; i++)
        diag_text(&w.diags.v[i], &all);
    model_dump(&w.model, &all);
    assert_null(strstr(buf_cstr(&all), "PRIVATE"));
    for (size_t i = 0; i < w.model.certs.n; i++) {
        struct str key = w.model.certs.v[i]->private_key; /* its second line is of the key itself */
        ptrdiff_t at = str_chr(key, '\n');
        assert_true(at > 0 && str_find(buf_str(&all), str_of(key.p + at + 1, 40)) < 0);
    }
    buf_fini(&all);
    arena_fini(&w.arena);
}

static void versions_and_suites_are_words(void **state)
{
    static const struct { const char *word; enum tls_word what; enum tls_version v; } VERSIONS[] = {
        {"", TLS_WORD_OK, TLS_VERSION_AUTO},        {"TLS_AUTO", TLS_WORD_OK, TLS_VERSION_AUTO},
        {"1.2", TLS_WORD_OK, TLS_VERSION_1_2},      {"TLSV1_2", TLS_WORD_OK, TLS_VERSION_1_2},
        {"tlsv1.3", TLS_WORD_OK, TLS_VERSION_1_3},  {"TLS1.3", TLS_WORD_OK, TLS_VERSION_1_3},
        {"TLSV1_0", TLS_WORD_OLD, TLS_VERSION_1_2}, {"1.1", TLS_WORD_OLD, TLS_VERSION_1_2},
        {"1.4", TLS_WORD_UNKNOWN, TLS_VERSION_AUTO}, {"SSLv3", TLS_WORD_UNKNOWN, TLS_VERSION_AUTO},
        {"1.2.3.4.5.6", TLS_WORD_UNKNOWN, TLS_VERSION_AUTO}, {"TLS", TLS_WORD_OK, TLS_VERSION_AUTO},
    };
    enum tls_version v;
    const char *name;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++) {
        enum tls_word w = tls_version_word(str_c(VERSIONS[i].word), &v);
        if (w != VERSIONS[i].what || v != VERSIONS[i].v)
            fail_msg("%s: %d %d", VERSIONS[i].word, w, v);
    }
    assert_int_equal(tls_cipher_word(STR("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"), &name), TLS_WORD_OK);
    assert_string_equal(name, "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert_int_equal(tls_cipher_word(STR("ecdhe-rsa-chacha20-poly1305"), &name), TLS_WORD_OK);
    assert_string_equal(name, "ECDHE-RSA-CHACHA20-POLY1305");
    assert_int_equal(tls_cipher_word(STR("AES128-SHA"), &name), TLS_WORD_OLD);
    assert_int_equal(tls_cipher_word(STR("ECDHE-RSA-AES128-SHA"), &name), TLS_WORD_OLD);
    assert_int_equal(tls_cipher_word(STR("TLS_AES_128_GCM_SHA256"), &name), TLS_WORD_FIXED);
    assert_int_equal(tls_cipher_word(STR("ALL"), &name), TLS_WORD_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_pairs_are_one_certificate),
        cmocka_unit_test(a_pair_that_can_not_be_used_is_refused_when_it_is_loaded),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(dates_are_told_once_and_the_certificate_is_used),
        cmocka_unit_test(bundles_come_from_secrets_and_config_maps),
        cmocka_unit_test(texts_of_files_are_judged_like_those_of_objects),
        cmocka_unit_test(no_key_is_in_any_text),
        cmocka_unit_test(versions_and_suites_are_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
