/*
 * library_test.c - what we rely on of wolfSSL, held against whichever library is linked: ours, a newer one of the
 * mirror's, or the system's. What stands under GATEHOUSE_WOLFSSL or GATEHOUSE_PATCH is not to be expected of the
 * system's (in 5.5.4 of Debian, keys of other certificates are taken, and errors have OpenSSL's numbers).
 */
#include "shared/base/str.h"
#include "shared/tls/key_fits.h"
#include "shared/tls/tls_build.h"
#include "tests/unit/shared/tls/loop.h"
#include "tests/unit/shared/tls/pki.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>
#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#define RESUMED true
#define FULL    false

struct fixture {
    WOLFSSL_CTX *client, *server;
    struct loop l;
};

static void fixture_open(struct fixture *f, const char *roots, bool tls12)
{
    memset(f, 0, sizeof(*f));
    f->server = loop_server(PKI_SERVER, PKI_SERVER_KEY, PKI_ROOT);
    f->client = loop_client(roots, tls12);
    assert_non_null(f->server);
    assert_non_null(f->client);
    wolfSSL_CTX_UseSessionTicket(f->client);
}

static void connection_open(struct fixture *f)
{
    memset(&f->l, 0, sizeof(f->l));
    assert_true(loop_open(&f->l, f->client, f->server));
}

static void fixture_close(struct fixture *f)
{
    loop_close(&f->l);
    wolfSSL_CTX_free(f->client);
    wolfSSL_CTX_free(f->server);
}

/* ---- versions, ciphers, names ---- */

static void speaks_tls_1_3_and_1_2(void **state)
{
    static const struct { bool tls12; const char *version; } cases[] = {{false, "TLSv1.3"}, {true, "TLSv1.2"}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        fixture_open(&f, PKI_ROOT, cases[i].tls12);
        wolfSSL_CTX_set_cipher_list(f.client, cases[i].tls12 ? "ECDHE-ECDSA-AES128-GCM-SHA256" : "TLS13-AES128-GCM-SHA256");
        connection_open(&f);
        assert_true(loop_shake(&f.l));
        assert_string_equal(wolfSSL_get_version(f.l.server.ssl), cases[i].version);
        assert_non_null(strstr(wolfSSL_get_cipher(f.l.server.ssl), "GCM"));
        assert_true(loop_send(&f.l, true, "hello", 5) && loop_send(&f.l, false, "world!", 6));
        fixture_close(&f);
    }
}

static void the_least_version_is_kept(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, PKI_ROOT, true);
    assert_int_equal(wolfSSL_CTX_SetMinVersion(f.server, WOLFSSL_TLSV1_3), WOLFSSL_SUCCESS);
    connection_open(&f);
    assert_false(loop_shake(&f.l));
    assert_int_equal(f.l.server.error, VERSION_ERROR);
    fixture_close(&f);
}

static void alpn(struct fixture *f, const char *client, const char *server)
{
    fixture_open(f, PKI_ROOT, false);
    connection_open(f);
    if (client)
        assert_int_equal(wolfSSL_UseALPN(f->l.client.ssl, (char *)(size_t)client, (unsigned)strlen(client),
                                         WOLFSSL_ALPN_CONTINUE_ON_MISMATCH), WOLFSSL_SUCCESS);
    assert_int_equal(wolfSSL_UseALPN(f->l.server.ssl, (char *)(size_t)server, (unsigned)strlen(server),
                                     WOLFSSL_ALPN_FAILED_ON_MISMATCH), WOLFSSL_SUCCESS);
}

static void alpn_takes_a_common_protocol_or_fails(void **state)
{
    struct fixture f;
    char *p = NULL;
    unsigned short n = 0;
    (void)state;
    alpn(&f, "http/1.1,h2", "h2");
    assert_true(loop_shake(&f.l));
    assert_int_equal(wolfSSL_ALPN_GetProtocol(f.l.server.ssl, &p, &n), WOLFSSL_SUCCESS);
    assert_int_equal(n, 2);
    assert_memory_equal(p, "h2", 2);
    fixture_close(&f);

    alpn(&f, "http/1.1,h2", "h2,http/1.1"); /* of two, the client's order decides: who wants ours gives one */
    assert_true(loop_shake(&f.l));
    assert_int_equal(wolfSSL_ALPN_GetProtocol(f.l.server.ssl, &p, &n), WOLFSSL_SUCCESS);
    assert_memory_equal(p, "http/1.1", 8);
    fixture_close(&f);

    alpn(&f, "spdy/1", "h2,http/1.1");
    assert_false(loop_shake(&f.l));
    assert_int_equal(f.l.server.error, UNKNOWN_ALPN_PROTOCOL_NAME_E);
    fixture_close(&f);

    alpn(&f, NULL, "h2,http/1.1");
    assert_true(loop_shake(&f.l)); /* a client that names none is free to speak HTTP/1.1 */
    fixture_close(&f);
}

static void the_server_knows_the_name_afterwards(void **state)
{
    struct fixture f;
    void *name = NULL;
    (void)state;
    fixture_open(&f, PKI_ROOT, false);
    connection_open(&f);
    assert_int_equal(wolfSSL_UseSNI(f.l.client.ssl, WOLFSSL_SNI_HOST_NAME, "shop.example.com", 16), WOLFSSL_SUCCESS);
    assert_true(loop_shake(&f.l));
    assert_int_equal(wolfSSL_SNI_GetRequest(f.l.server.ssl, WOLFSSL_SNI_HOST_NAME, &name), 16);
    assert_memory_equal(name, "shop.example.com", 16);
    fixture_close(&f);
}

#ifdef GATEHOUSE_WOLFSSL
static void a_key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    WOLFSSL_CTX *ctx = loop_server(PKI_SERVER, PKI_CLIENT_KEY, NULL);
    assert_true(!ctx || wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS);
    wolfSSL_CTX_free(ctx);
}
#endif

static struct str spki_of(const char *chain, unsigned char *out, word32 n)
{
    DerBuffer *der = NULL;
    DecodedCert cert;
    assert_int_equal(wc_PemToDer((const unsigned char *)chain, (long)strlen(chain), CERT_TYPE, &der, NULL, NULL, NULL), 0);
    wc_InitDecodedCert(&cert, der->buffer, der->length, NULL);
    assert_int_equal(wc_ParseCert(&cert, CERT_TYPE, NO_VERIFY, NULL), 0);
    assert_int_equal(wc_GetPubKeyDerFromCert(&cert, out, &n), 0);
    wc_FreeDecodedCert(&cert);
    wc_FreeDer(&der);
    return str_of((char *)out, n);
}

static void a_key_fits_its_certificate_alone(void **state)
{
    static const struct { const char *chain, *key; } pairs[] = {
        {PKI_SERVER, PKI_SERVER_KEY}, {PKI_SERVER_RSA, PKI_SERVER_RSA_KEY}, {PKI_CLIENT, PKI_CLIENT_KEY}};
    unsigned char der[512];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        for (size_t k = 0; k < ARRAY_LEN(pairs); k++)
            assert_int_equal(tls_key_fits(spki_of(pairs[i].chain, der, sizeof(der)), str_c(pairs[k].key)), i == k);
    assert_false(tls_key_fits(spki_of(PKI_SERVER, der, sizeof(der)), STR("")));
    assert_false(tls_key_fits(STR(""), str_c(PKI_SERVER_KEY)));
}

/* ---- resumption ---- */

/* Connects, takes the session, and comes back to `again` with it: true when that one resumed. */
static bool comes_back(struct fixture *f, WOLFSSL_CTX *again)
{
    WOLFSSL_SESSION *s;
    WOLFSSL_CTX *first = f->server;
    bool reused;
    connection_open(f);
    assert_true(loop_shake(&f->l));
    assert_true(loop_send(&f->l, true, "x", 1)); /* the ticket of TLS 1.3 lies before it */
    s = wolfSSL_get1_session(f->l.client.ssl);
    assert_non_null(s);
    loop_close(&f->l);

    f->server = again;
    connection_open(f);
    f->server = first;
    wolfSSL_set_session(f->l.client.ssl, s);
    if (!loop_shake(&f->l))
        fail_msg("client %d, server %d", f->l.client.error, f->l.server.error);
    reused = wolfSSL_session_reused(f->l.server.ssl);
    assert_int_equal(reused, !!wolfSSL_session_reused(f->l.client.ssl));
    assert_true(loop_send(&f->l, true, "x", 1));
    wolfSSL_SESSION_free(s);
    return reused;
}

static void a_ticket_is_good_at_any_worker_with_the_key(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        struct fixture f;
        fixture_open(&f, PKI_ROOT, tls12);
        WOLFSSL_CTX *other = loop_server(PKI_SERVER, PKI_SERVER_KEY, NULL);
        loop_tickets(f.server, "listener 1");
        loop_tickets(other, "listener 1");
        assert_int_equal(comes_back(&f, other), RESUMED);
        fixture_close(&f);
        wolfSSL_CTX_free(other);
    }
}

static void a_ticket_of_another_listener_leads_to_a_full_handshake(void **state)
{
    int versions = 1; /* without our patch the library's client of TLS 1.2 gives up */
    (void)state;
#ifdef GATEHOUSE_PATCH
    versions = 2;
#endif
    for (int tls12 = 0; tls12 < versions; tls12++) {
        struct fixture f;
        fixture_open(&f, PKI_ROOT, tls12);
        WOLFSSL_CTX *other = loop_server(PKI_SERVER, PKI_SERVER_KEY, NULL);
        loop_tickets(f.server, "listener 1");
        loop_tickets(other, "listener 2");
        assert_int_equal(comes_back(&f, other), FULL);
        fixture_close(&f);
        wolfSSL_CTX_free(other);
    }
}

#ifdef GATEHOUSE_PATCH
/* Connects with what the client has at hand and keeps the session of this connection. */
static bool connects_resumed(struct fixture *f, WOLFSSL_SESSION **s, const unsigned char *ticket, unsigned n)
{
    bool reused;
    connection_open(f);
    if (*s)
        wolfSSL_set_session(f->l.client.ssl, *s);
    if (ticket)
        wolfSSL_set_SessionTicket(f->l.client.ssl, ticket, n);
    if (!loop_shake(&f->l))
        fail_msg("client %d, server %d", f->l.client.error, f->l.server.error);
    reused = wolfSSL_session_reused(f->l.server.ssl);
    if (*s)
        wolfSSL_SESSION_free(*s);
    *s = wolfSSL_get1_session(f->l.client.ssl);
    loop_close(&f->l);
    return reused;
}

static void a_foreign_ticket_is_replaced_by_one_of_ours(void **state)
{
    static const unsigned char foreign[900] = "a ticket of the server that was here before";
    static const unsigned lengths[] = {100, 200, sizeof(foreign)};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct fixture f;
        WOLFSSL_SESSION *s = NULL;
        fixture_open(&f, PKI_ROOT, true);
        loop_tickets(f.server, "listener 1");
        assert_int_equal(connects_resumed(&f, &s, NULL, 0), FULL);
        assert_int_equal(connects_resumed(&f, &s, foreign, lengths[i]), FULL);
        assert_int_equal(connects_resumed(&f, &s, NULL, 0), RESUMED);
        wolfSSL_SESSION_free(s);
        fixture_close(&f);
    }
}
#endif

#ifdef GATEHOUSE_WOLFSSL
static void no_key_means_no_tickets(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, PKI_ROOT, false);
    wolfSSL_CTX_set_session_cache_mode(f.server, WOLFSSL_SESS_CACHE_OFF);
    assert_int_equal(comes_back(&f, f.server), FULL);
    fixture_close(&f);
}
#endif

/* ---- the client's look at the server ---- */

static bool client_accepts(const char *roots, const char *name, bool tls12)
{
    struct fixture f;
    bool ok;
    fixture_open(&f, roots, tls12);
    connection_open(&f);
    if (name)
        assert_int_equal(wolfSSL_check_domain_name(f.l.client.ssl, name), WOLFSSL_SUCCESS);
    ok = loop_shake(&f.l);
    fixture_close(&f);
    return ok;
}

static void a_client_checks_chain_and_name(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        assert_true(client_accepts(PKI_ROOT, "shop.example.com", tls12));
        assert_true(client_accepts(PKI_ROOT, "a.wild.example.com", tls12));
        assert_false(client_accepts(PKI_ROOT, "a.b.wild.example.com", tls12));
        assert_false(client_accepts(PKI_ROOT, "other.example.com", tls12));
        assert_false(client_accepts(PKI_OTHER_ROOT, NULL, tls12));
    }
}

static void the_chain_may_hold_more_than_it_needs(void **state)
{
    struct fixture f;
    (void)state;
    /* As with a cross-signed root at the end that only other clients know: the intermediate is trusted here. */
    fixture_open(&f, PKI_MID, false);
    connection_open(&f);
    assert_true(loop_shake(&f.l));
    fixture_close(&f);
}

/* ---- the server's look at the client ---- */

/* What the callback saw of the leaf. */
static struct seen {
    int calls, error, n_certs;
    size_t leaf_len;
    unsigned char leaf[4096];
} seen;

static int on_verify(int ok, WOLFSSL_X509_STORE_CTX *store)
{
    if (store->error_depth != 0 || store->totalCerts == 0) /* it is called, too, when there is no certificate */
        return ok;
    seen.calls++;
    seen.error = store->error;
    seen.n_certs = store->totalCerts;
    assert_true(store->certs && store->certs[0].length <= sizeof(seen.leaf));
    seen.leaf_len = store->certs[0].length;
    memcpy(seen.leaf, store->certs[0].buffer, seen.leaf_len);
    return ok;
}

static bool server_accepts(const char *chain, int mode, bool crl, bool tls12, int *error)
{
    struct fixture f;
    bool ok;
    memset(&seen, 0, sizeof(seen));
    fixture_open(&f, PKI_ROOT, tls12);
    wolfSSL_CTX_set_verify(f.server, mode, on_verify);
    if (chain) {
        wolfSSL_CTX_use_certificate_chain_buffer(f.client, (const unsigned char *)chain, (long)strlen(chain));
        wolfSSL_CTX_use_PrivateKey_buffer(f.client, (const unsigned char *)PKI_CLIENT_KEY, (long)strlen(PKI_CLIENT_KEY),
                                          WOLFSSL_FILETYPE_PEM);
    }
    if (crl) { /* a list is taken only when its signer is among the roots */
        assert_int_equal(wolfSSL_CTX_load_verify_buffer(f.server, (const unsigned char *)PKI_MID, (long)strlen(PKI_MID),
                                                        WOLFSSL_FILETYPE_PEM), WOLFSSL_SUCCESS);
        assert_int_equal(wolfSSL_CTX_EnableCRL(f.server, 0), WOLFSSL_SUCCESS);
        assert_int_equal(wolfSSL_CTX_LoadCRLBuffer(f.server, (const unsigned char *)PKI_CRL, (long)strlen(PKI_CRL),
                                                   WOLFSSL_FILETYPE_PEM), WOLFSSL_SUCCESS);
    }
    connection_open(&f);
    ok = loop_shake(&f.l) && loop_send(&f.l, true, "x", 1);
    *error = f.l.server.error;
    fixture_close(&f);
    return ok;
}

#ifdef GATEHOUSE_WOLFSSL
#define EXPIRED_E ASN_AFTER_DATE_E
#define REVOKED_E CRL_CERT_REVOKED
#else
#define EXPIRED_E seen.error
#define REVOKED_E seen.error
#endif
#define REQUIRED (WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT)
#define OPTIONAL WOLFSSL_VERIFY_PEER

static void client_certificates_are_checked(void **state)
{
    int error;
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        assert_true(server_accepts(PKI_CLIENT, REQUIRED, false, tls12, &error));
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.n_certs, 2);
        assert_true(server_accepts(NULL, OPTIONAL, false, tls12, &error));
        assert_int_equal(seen.calls, 0);
        assert_false(server_accepts(NULL, REQUIRED, false, tls12, &error));
        assert_int_equal(error, NO_PEER_CERT);
        assert_false(server_accepts(PKI_EXPIRED, OPTIONAL, false, tls12, &error));
        assert_int_equal(seen.error, EXPIRED_E);
        assert_true(server_accepts(PKI_CLIENT, REQUIRED, true, tls12, &error));
        assert_false(server_accepts(PKI_REVOKED, REQUIRED, true, tls12, &error));
        assert_int_equal(seen.error, REVOKED_E);
    }
}

#ifdef GATEHOUSE_PATCH
/* With the first n bytes of PKI_CLIENT: the leaf alone, or the chain. */
static bool accepts(WOLFSSL_CTX *server, size_t n)
{
    struct fixture f = {.server = server, .client = loop_client(PKI_ROOT, false)};
    bool ok;
    wolfSSL_CTX_use_certificate_chain_buffer(f.client, (const unsigned char *)PKI_CLIENT, (long)n);
    wolfSSL_CTX_use_PrivateKey_buffer(f.client, (const unsigned char *)PKI_CLIENT_KEY, (long)strlen(PKI_CLIENT_KEY),
                                      WOLFSSL_FILETYPE_PEM);
    connection_open(&f);
    ok = loop_shake(&f.l) && loop_send(&f.l, true, "x", 1);
    loop_close(&f.l);
    wolfSSL_CTX_free(f.client);
    return ok;
}

static void intermediates_of_one_client_are_forgotten(void **state)
{
    const char end[] = "-----END CERTIFICATE-----\n";
    size_t leaf = (size_t)(strstr(PKI_CLIENT, end) - PKI_CLIENT) + strlen(end);
    WOLFSSL_CTX *server = loop_server(PKI_SERVER, PKI_SERVER_KEY, PKI_ROOT);
    (void)state;
    wolfSSL_CTX_set_verify(server, REQUIRED, NULL);
    assert_false(accepts(server, leaf));
    assert_true(accepts(server, strlen(PKI_CLIENT)));
    assert_false(accepts(server, leaf));
    wolfSSL_CTX_free(server);
}
#endif

/* Names as they stand in the certificate, with the type of X.509. */
static void add_names(const DecodedCert *cert, struct buf *out)
{
    for (const DNS_entry *e = cert->altNames; e; e = e->next)
        if (e->type == ASN_DNS_TYPE || e->type == ASN_URI_TYPE)
            buf_addf(out, "%d:%.*s ", e->type, e->len, e->name);
        else if (e->type == ASN_IP_TYPE)
            buf_addf(out, "%d:%d bytes ", e->type, e->len);
}

static void a_certificate_can_be_taken_apart(void **state)
{
    int error;
    struct buf names = {0};
    DecodedCert cert;
    unsigned char spki[256];
    word32 spki_len = sizeof(spki);
    (void)state;
    assert_true(server_accepts(PKI_CLIENT, REQUIRED, false, false, &error));
    wc_InitDecodedCert(&cert, seen.leaf, (word32)seen.leaf_len, NULL);
    assert_int_equal(wc_ParseCert(&cert, CERT_TYPE, NO_VERIFY, NULL), 0);
    add_names(&cert, &names);
    assert_non_null(strstr(buf_cstr(&names), "6:spiffe://example.com/ns/shop/sa/client "));
    assert_non_null(strstr(buf_cstr(&names), "2:client.example.com "));
    assert_string_equal(cert.subject, "/O=gatehouse tests/CN=client");
    assert_int_equal(cert.serialSz, 1);
    assert_int_equal(cert.serial[0], 18);
    assert_true(cert.beforeDateLen > 0 && cert.afterDateLen > 0);
    assert_int_equal(wc_GetPubKeyDerFromCert(&cert, spki, &spki_len), 0);
    assert_int_equal(spki_len, 91); /* SubjectPublicKeyInfo of P-256, what pins are hashes of */
    wc_FreeDecodedCert(&cert);
    buf_fini(&names);
}

/* ---- staples ---- */

#ifdef GATEHOUSE_PATCH
static bool client_gets_staple(bool staple, bool tls12)
{
    struct fixture f;
    bool ok;
    fixture_open(&f, PKI_ROOT, tls12);
    if (staple)
        assert_int_equal(wolfSSL_CTX_SetOcspStaple(f.server, PKI_STAPLE, sizeof(PKI_STAPLE)), WOLFSSL_SUCCESS);
    assert_int_equal(wolfSSL_CTX_EnableOCSPStapling(f.client), WOLFSSL_SUCCESS);
    assert_int_equal(wolfSSL_CTX_EnableOCSPMustStaple(f.client), WOLFSSL_SUCCESS);
    connection_open(&f);
    assert_int_equal(wolfSSL_UseOCSPStapling(f.l.client.ssl, WOLFSSL_CSR_OCSP, 0), WOLFSSL_SUCCESS);
    ok = loop_shake(&f.l);
    fixture_close(&f);
    return ok;
}

static void a_given_response_is_stapled(void **state)
{
    (void)state;
    for (int tls12 = 0; tls12 < 2; tls12++) {
        assert_true(client_gets_staple(true, tls12)); /* and the client finds it good */
        assert_false(client_gets_staple(false, tls12));
    }
}
#endif

/* ---- files ---- */

static void a_handshake_opens_no_file(void **state)
{
    struct rlimit before, none;
    struct fixture f;
    bool ok;
    (void)state;
    fixture_open(&f, PKI_ROOT, false);
    loop_tickets(f.server, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    connection_open(&f);
    ok = loop_shake(&f.l) && loop_send(&f.l, true, "x", 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(ok);
    fixture_close(&f);
}

/* ---- memory ---- */

#ifdef GATEHOUSE_WOLFSSL
static long held;

static void *count_malloc(size_t n)
{
    void *p = malloc(n);
    held += p ? (long)malloc_usable_size(p) : 0;
    return p;
}

static void count_free(void *p)
{
    held -= p ? (long)malloc_usable_size(p) : 0;
    free(p);
}

static void *count_realloc(void *p, size_t n)
{
    held -= p ? (long)malloc_usable_size(p) : 0;
    p = realloc(p, n);
    held += p ? (long)malloc_usable_size(p) : 0;
    return p;
}

static void an_idle_connection_is_small(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f, PKI_ROOT, false);
    loop_tickets(f.server, NULL);
    connection_open(&f);
    assert_true(loop_shake(&f.l));
    loop_close(&f.l); /* the contexts have what they make at first use */
    held = 0;
    connection_open(&f);
    assert_true(loop_shake(&f.l) && loop_send(&f.l, true, "x", 1) && loop_send(&f.l, false, "x", 1));
    assert_true(held > 0);
    assert_true(held < 2 * 6000); /* client and server */
    fixture_close(&f);
}
#endif

/* ---- which library ---- */

static void the_library_is_named(void **state)
{
    struct buf b = {0};
    (void)state;
    tls_build_describe(&b);
    assert_non_null(strstr(buf_cstr(&b), "wolfSSL "));
    assert_non_null(strstr(buf_cstr(&b), wolfSSL_lib_version()));
#ifdef GATEHOUSE_WOLFSSL
    assert_non_null(strstr(buf_cstr(&b), "built for speed"));
#endif
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_tls_1_3_and_1_2),
        cmocka_unit_test(the_least_version_is_kept),
        cmocka_unit_test(alpn_takes_a_common_protocol_or_fails),
        cmocka_unit_test(the_server_knows_the_name_afterwards),
#ifdef GATEHOUSE_WOLFSSL
        cmocka_unit_test(a_key_of_another_certificate_is_refused),
        cmocka_unit_test(no_key_means_no_tickets),
#endif
        cmocka_unit_test(a_key_fits_its_certificate_alone),
        cmocka_unit_test(a_ticket_is_good_at_any_worker_with_the_key),
        cmocka_unit_test(a_ticket_of_another_listener_leads_to_a_full_handshake),
#ifdef GATEHOUSE_PATCH
        cmocka_unit_test(a_foreign_ticket_is_replaced_by_one_of_ours),
#endif
        cmocka_unit_test(a_client_checks_chain_and_name),
        cmocka_unit_test(the_chain_may_hold_more_than_it_needs),
        cmocka_unit_test(client_certificates_are_checked),
        cmocka_unit_test(a_certificate_can_be_taken_apart),
#ifdef GATEHOUSE_PATCH
        cmocka_unit_test(intermediates_of_one_client_are_forgotten),
#endif
#ifdef GATEHOUSE_PATCH
        cmocka_unit_test(a_given_response_is_stapled),
#endif
#ifdef GATEHOUSE_WOLFSSL
        cmocka_unit_test(an_idle_connection_is_small),
#endif
        cmocka_unit_test(a_handshake_opens_no_file),
        cmocka_unit_test(the_library_is_named),
    };
#ifdef GATEHOUSE_WOLFSSL
    wolfSSL_SetAllocators(count_malloc, count_free, count_realloc);
#endif
    tls_build_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
