#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/shared/tls/test_certs.h"
#include "shared/tls/peer_name.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static unsigned char der[4096];

static struct str decode(const char *pem)
{
    int n = wolfSSL_CertPemToDer((const unsigned char *)pem, (int)strlen(pem), der, sizeof(der), CERT_TYPE);
    assert_true(n > 0);
    return str_of((const char *)der, (size_t)n);
}

static void a_certificate_says_who_it_is(void **state)
{
    (void)state;
    struct x509 c;
    struct buf b = {0};
    assert_true(x509_read(decode(PEM_CLIENT), &c));
    x509_name_text(c.subject, &b);
    assert_str(buf_str(&b), "CN=client one,O=gatehouse\\, test,C=DE");
    buf_clear(&b);
    x509_name_text(c.issuer, &b);
    assert_str(buf_str(&b), "CN=test CA,O=gatehouse\\, test,C=DE");
    buf_clear(&b);
    x509_serial_text(c.serial, &b);
    assert_str(buf_str(&b), "010101010101434c49454e54");
    assert_int_equal(c.not_before_s, 1577836800); /* 2020-01-01 */
    assert_int_equal(c.not_after_s, 4733510400);  /* 2120-01-01, a GeneralizedTime */
    assert_false(c.is_ca);
    assert_true(x509_read(decode(PEM_CA), &c) && c.is_ca && c.names.n == 0);
    buf_fini(&b);
}

static void its_names_come_one_by_one(void **state)
{
    (void)state;
    struct x509 c;
    enum x509_name_type type;
    struct str value;
    assert_true(x509_read(decode(PEM_CLIENT), &c));
    struct str rest = c.names;
    assert_true(x509_next_name(&rest, &type, &value) && type == X509_DNS);
    assert_str(value, "client.example.com");
    assert_true(x509_next_name(&rest, &type, &value) && type == X509_URI);
    assert_str(value, "spiffe://cluster.local/ns/default/sa/one");
    assert_true(x509_next_name(&rest, &type, &value) && type == X509_EMAIL);
    assert_str(value, "one@example.com");
    assert_false(x509_next_name(&rest, &type, &value));
}

static void a_wildcard_stands_for_one_label(void **state)
{
    (void)state;
    struct x509 c;
    assert_true(x509_read(decode(PEM_EC), &c));
    static const char *const good[] = {"a.example.com", "a.example.com.", "x.wild.example.com", "127.0.0.1", "::1", "[::1]"};
    static const char *const bad[] = {"b.example.com", "wild.example.com", "x.y.wild.example.com", ".wild.example.com",
                                      "ignored.example.com", "127.0.0.2", "::2", "", "*.wild.example.co"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!x509_fits_host(&c, str_c(good[i])))
            fail_msg("does not fit: %s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (x509_fits_host(&c, str_c(bad[i])))
            fail_msg("fits: %s", bad[i]);
    assert_true(x509_has_name(&c, STR("A.example.com")) && x509_has_name(&c, STR("127.0.0.1")));
    assert_true(x509_has_name(&c, STR("*.wild.example.com")));
    assert_false(x509_has_name(&c, STR("x.wild.example.com")) || x509_has_name(&c, STR("ignored.example.com")));
    assert_true(x509_read(decode(PEM_SPIFFE), &c));
    assert_true(x509_has_name(&c, STR("spiffe://cluster.local/ns/default/sa/web")));
    assert_false(x509_has_name(&c, STR("spiffe://cluster.local/ns/default/sa/WEB")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_says_who_it_is),
        cmocka_unit_test(its_names_come_one_by_one),
        cmocka_unit_test(a_wildcard_stands_for_one_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
