#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/tls/cert.h"
#include "shared/tls/x509.h"

#define AUTHORITY_DAYS 36500

static struct str file(struct arena *a, const char *name)
{
    char path[512];
    const char *dir = getenv("srcdir");
    snprintf(path, sizeof(path), "%s/tests/certs/%s", dir ? dir : ".", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s can't be opened", path);
    char *p = arena_alloc(a, 64 * 1024);
    size_t n = fread(p, 1, 64 * 1024, f);
    fclose(f);
    return str_of(p, n);
}

static struct str joined(struct arena *a, struct str x, struct str y)
{
    return arena_strf(a, STR_FMT STR_FMT, STR_ARG(x), STR_ARG(y));
}

static int setup(void **state)
{
    struct arena *a = calloc(1, sizeof(*a));
    arena_init(a, 0, NULL);
    *state = a;
    return 0;
}

static int teardown(void **state)
{
    arena_fini(*state);
    free(*state);
    return 0;
}

static void expect(enum cert_fault got, enum cert_fault want, struct buf *why, const char *word)
{
    assert_int_equal(got, want);
    if (word && !strstr(buf_cstr(why), word))
        fail_msg("\"%s\" does not say \"%s\"", buf_cstr(why), word);
    buf_fini(why);
    *why = (struct buf){0};
}

static void names_dates_and_key_of_a_certificate_are_read(void **state)
{
    struct arena *a = *state;
    struct cert_info c;
    assert_int_equal(cert_read(file(a, "rsa.pem"), a, &c, NULL), CERT_OK);
    assert_true(str_eqc(c.subject, "CN=a.example.com"));
    assert_true(str_eqc(c.issuer, "CN=tests CA,O=gatehouse tests"));
    assert_int_equal(c.n_names, 4);
    assert_true(str_eqc(c.names[0], "a.example.com"));
    assert_true(str_eqc(c.names[1], "*.a.example.com"));
    assert_true(str_eqc(c.names[2], "127.0.0.1"));
    assert_true(str_eqc(c.names[3], "::1"));
    assert_int_equal(c.key_type, KEY_RSA);
    assert_int_equal(c.key_bits, 2048);
    assert_int_equal(c.not_after_s - c.not_before_s, (int64_t)AUTHORITY_DAYS * 86400);
    assert_int_equal(c.n_chain, 1);
    assert_false(c.is_ca);
    assert_int_equal(cert_read(file(a, "ecdsa.pem"), a, &c, NULL), CERT_OK);
    assert_int_equal(c.key_type, KEY_ECDSA);
    assert_int_equal(c.key_bits, 256);
    assert_int_equal(cert_read(file(a, "ca.pem"), a, &c, NULL), CERT_OK);
    assert_true(c.is_ca && c.self_signed);
    assert_int_equal(cert_read(file(a, "client.pem"), a, &c, NULL), CERT_OK);
    assert_true(str_eqc(c.names[0], "spiffe://cluster.local/ns/default/sa/client"));
}

static void an_expired_certificate_is_told_from_a_valid_and_a_coming_one(void **state)
{
    struct arena *a = *state;
    struct cert_info c;
    assert_int_equal(cert_read(file(a, "expired.pem"), a, &c, NULL), CERT_OK);
    assert_int_equal(c.not_before_s, 1546300800); /* 2019-01-01 */
    assert_int_equal(c.not_after_s, 1577836800);  /* 2020-01-01 */
    assert_int_equal(cert_at(&c, 1546300799), -1);
    assert_int_equal(cert_at(&c, 1546300800), 0);
    assert_int_equal(cert_at(&c, 1577836801), 1);
}

static void a_chain_must_be_in_order(void **state)
{
    struct arena *a = *state;
    struct cert_info c;
    struct buf why = {0};
    assert_int_equal(cert_read(file(a, "b.pem"), a, &c, NULL), CERT_OK);
    assert_int_equal(c.n_chain, 2);
    expect(cert_read(joined(a, file(a, "b.pem"), file(a, "ecdsa.pem")), a, &c, &why), CERT_ORDER, &why, "certificate 3");
    expect(cert_read(joined(a, file(a, "rsa.pem"), file(a, "other-ca.pem")), a, &c, &why), CERT_ORDER, &why, "comes first");
}

static void a_key_fits_its_certificate_and_no_other(void **state)
{
    struct arena *a = *state;
    struct buf why = {0};
    static const char *const PAIRS[] = {"rsa", "ecdsa", "b"};
    char cert[32], key[32];
    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
        for (size_t k = 0; k < ARRAY_LEN(PAIRS); k++) {
            snprintf(cert, sizeof(cert), "%s.pem", PAIRS[i]);
            snprintf(key, sizeof(key), "%s.key.pem", PAIRS[k]);
            enum cert_fault f = cert_key_check(file(a, cert), file(a, key), &why);
            if (i == k)
                assert_int_equal(f, CERT_OK);
            else if (f != CERT_MISMATCH)
                fail_msg("%s and %s: %d, %s", cert, key, f, buf_cstr(&why));
            buf_clear(&why);
        }
    buf_fini(&why);
}

static void what_is_wrong_with_a_text_is_said(void **state)
{
    struct arena *a = *state;
    struct cert_info c;
    struct buf why = {0};
    struct str good = file(a, "rsa.pem"), key = file(a, "rsa.key.pem");
    expect(cert_read(STR(""), a, &c, &why), CERT_EMPTY, &why, "empty");
    expect(cert_read(STR(" \n"), a, &c, &why), CERT_EMPTY, &why, "empty");
    expect(cert_read(STR("hello"), a, &c, &why), CERT_NOT_PEM, &why, "BEGIN CERTIFICATE");
    expect(cert_read(key, a, &c, &why), CERT_NOT_PEM, &why, "private key where a certificate");
    expect(cert_read(str_head(good, good.n - 30), a, &c, &why), CERT_NOT_PEM, &why, "complete block");
    expect(cert_read(STR("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"), a, &c, &why), CERT_NOT_PEM, &why,
           "base64");
    expect(cert_read(STR("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"), a, &c, &why), CERT_BAD, &why,
           "damaged");
    expect(cert_key_check(good, STR(""), &why), CERT_EMPTY, &why, "empty");
    expect(cert_key_check(good, good, &why), CERT_NOT_PEM, &why, "certificate where the private key");
    expect(cert_key_check(good, STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), &why),
           CERT_UNSUPPORTED, &why, "encrypted");
    enum cert_fault f = cert_key_check(good, STR("-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n"), &why);
    assert_true(f == CERT_BAD || f == CERT_MISMATCH);
    buf_fini(&why);
}

static void a_bundle_is_good_as_long_as_one_certificate_is(void **state)
{
    struct arena *a = *state;
    struct str bad = STR("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n");
    struct buf why = {0};
    size_t n, n_bad;
    assert_int_equal(cert_bundle_check(joined(a, file(a, "ca.pem"), file(a, "other-ca.pem")), &n, &n_bad, NULL), CERT_OK);
    assert_true(n == 2 && n_bad == 0);
    assert_int_equal(cert_bundle_check(joined(a, bad, file(a, "ca.pem")), &n, &n_bad, NULL), CERT_OK);
    assert_true(n == 2 && n_bad == 1);
    expect(cert_bundle_check(bad, &n, &n_bad, &why), CERT_BAD, &why, "none of its 1");
    expect(cert_bundle_check(STR("x"), &n, &n_bad, &why), CERT_NOT_PEM, &why, "BEGIN CERTIFICATE");
}

static void revocation_lists_are_told_from_rubbish(void **state)
{
    struct buf why = {0};
    struct arena *a = *state;
    assert_int_equal(cert_crl_check(file(a, "crl.pem"), NULL), CERT_OK);
    expect(cert_crl_check(STR("rubbish"), &why), CERT_NOT_PEM, &why, "X509 CRL");
    expect(cert_crl_check(STR("-----BEGIN X509 CRL-----\nMAAA\n-----END X509 CRL-----\n"), &why), CERT_BAD, &why, "damaged");
}

static void hosts_fit_names_as_browsers_say(void **state)
{
    struct arena *a = *state;
    struct cert_info c;
    assert_int_equal(cert_read(file(a, "rsa.pem"), a, &c, NULL), CERT_OK);
    assert_true(cert_fits_host(&c, STR("a.example.com")));
    assert_true(cert_fits_host(&c, STR("x.a.example.com")));
    assert_false(cert_fits_host(&c, STR("y.x.a.example.com")));
    assert_false(cert_fits_host(&c, STR("b.example.com")));
    assert_false(cert_fits_host(&c, STR(".a.example.com")));
    assert_true(cert_fits_host(&c, STR("127.0.0.1")));
    assert_true(cert_fits_host(&c, STR("0:0:0:0:0:0:0:1")));
    assert_false(cert_fits_host(&c, STR("127.0.0.2")));
}

static void names_of_people_are_escaped(void **state)
{
    (void)state;
    /* SEQUENCE { SET { SEQUENCE { CN, "a,b\n" } } } */
    static const char NAME[] = "\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04" "a,b\n";
    struct buf b = {0};
    x509_name_text(str_of(NAME, sizeof(NAME) - 1), &b);
    assert_string_equal(buf_cstr(&b), "CN=a\\,b\\0A");
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_dates_and_key_of_a_certificate_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expired_certificate_is_told_from_a_valid_and_a_coming_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chain_must_be_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_fits_its_certificate_and_no_other, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_text_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bundle_is_good_as_long_as_one_certificate_is, setup, teardown),
        cmocka_unit_test_setup_teardown(revocation_lists_are_told_from_rubbish, setup, teardown),
        cmocka_unit_test_setup_teardown(hosts_fit_names_as_browsers_say, setup, teardown),
        cmocka_unit_test(names_of_people_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
