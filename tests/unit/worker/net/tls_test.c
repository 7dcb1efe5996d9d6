/* tls_test.c - who gets a connection in TLS: certificates, versions, ALPN, clients' certificates, contexts, sessions. */
#include "tests/unit/worker/net/tls_rig.h"

static void both_sides_connect_and_speak(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    rig_assert_fact(&r->server, "TLSv1.3 TLS_AES_128_GCM_SHA256");
    assert_int_equal(r->server.facts.alpn, TLS_PROTO_H2);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_H2);
    assert_str(r->server.facts.server_name, "a.example.com");
    rig_put(&r->client, "ping");
    rig_put(&r->server, "pong");
    rig_turns(r, 3);
    assert_str(buf_str(&r->server.got), "ping");
    assert_str(buf_str(&r->client.got), "pong");
    assert_int_equal(r->net.chunks.bytes, 0); /* nothing is held between messages */
}

static void the_certificate_follows_what_the_client_can_verify(void **state)
{
    struct rig *r = *state;
    struct hello h = {.has_1_3 = true, .has_1_2 = true};
    struct tls_context *a, *b;
    rig_use_cert(&r->f, CERT_EC);
    rig_use_cert(&r->f, CERT_RSA);
    h.signatures = str_of("\x08\x04", 2); /* RSA-PSS alone */
    assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &a), TLS_FAULT_NONE);
    h.signatures = str_of("\x04\x03\x08\x04", 4);
    assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &b), TLS_FAULT_NONE);
    assert_ptr_not_equal(a, b);
    assert_int_equal(r->contexts.n, 2);
    tls_context_drop(a);
    tls_context_drop(b);
    h.signatures = str_of("\x08\x07", 2);
    assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &a), TLS_FAULT_CIPHER);
    h.has_1_3 = h.has_1_2 = false;
    assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &a), TLS_FAULT_VERSION);
    h.has_1_2 = h.fallback = true; /* it had tried a higher one */
    assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &a), TLS_FAULT_VERSION);
}

static void rsa_p384_and_chains_work(void **state)
{
    struct rig *r = *state;
    static const struct { unsigned cert; const char *name; } rows[] = {
        {CERT_RSA, "b.example.com"}, {CERT_P384, "a.example.com"}, {CERT_CHAINED, "c.example.com"},
        {CERT_EC, "x.wild.example.com"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r->f.n_indexes = 0;
        r->f.server.id = 10 + i;
        rig_use_cert(&r->f, rows[i].cert);
        r->name = rows[i].name;
        rig_expect_fine(r);
    }
}

static void versions_can_be_limited(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    r->f.server.max_version = TLS_VERSION_1_2;
    rig_expect_fine(r);
    rig_assert_fact(&r->client, "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    rig_put(&r->client, "ping");
    rig_put(&r->server, "pong");
    rig_turns(r, 3);
    assert_str(buf_str(&r->server.got), "ping");
    assert_str(buf_str(&r->client.got), "pong");
    r->f.server.id = 7;
    r->f.server.ciphers = rig_text(&r->f, "ECDHE-ECDSA-AES256-GCM-SHA384");
    rig_expect_fine(r);
    rig_assert_fact(&r->client, "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
}

static void alpn_is_strict(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    r->f.server.alpn = TLS_ALPN_HTTP1;
    rig_expect_fine(r);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_HTTP1);
    r->client_alpn = 0;
    rig_expect_fine(r);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_NONE);
    assert_int_equal(r->server.facts.alpn, TLS_PROTO_NONE);
    r->client_alpn = TLS_ALPN_H2;
    rig_handshake(r);
    assert_int_equal(r->server.start, TLS_FAULT_ALPN);
}

static void expect_client_fault(struct rig *r, unsigned cert, enum tls_fault want)
{
    r->f.n_indexes = 0;
    r->f.server.id++;
    rig_use_cert(&r->f, cert);
    rig_handshake(r);
    assert_false(r->client.connected);
    if (r->client.fault != want)
        fail_msg("cert %u: %s instead of %s", cert, tls_fault_word(r->client.fault), tls_fault_word(want));
    assert_true(r->client.connect_err != 0 && r->client.closed);
    assert_true(r->server.closed && r->server.fault == TLS_FAULT_ALERT);
}

static void bad_server_certificates_break_the_handshake(void **state)
{
    struct rig *r = *state;
    expect_client_fault(r, CERT_EXPIRED, TLS_FAULT_EXPIRED);
    expect_client_fault(r, CERT_FUTURE, TLS_FAULT_NOT_YET);
    expect_client_fault(r, CERT_STRANGER, TLS_FAULT_UNKNOWN_CA);
    expect_client_fault(r, CERT_SPIFFE, TLS_FAULT_WRONG_NAME);
    r->name = "b.example.com";
    expect_client_fault(r, CERT_EC, TLS_FAULT_WRONG_NAME);
}

static void names_come_from_sans_identity_or_server_name(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_SPIFFE);
    r->f.client.sans = rig_one_name(&r->f, "spiffe://cluster.local/ns/default/sa/web");
    rig_expect_fine(r);
    r->f.client.id++;
    r->f.client.sans = rig_one_name(&r->f, "spiffe://cluster.local/ns/default/sa/other");
    expect_client_fault(r, CERT_SPIFFE, TLS_FAULT_WRONG_NAME);
    r->f.client.id++;
    r->f.client.sans.n = 0;
    r->f.client.identity = rig_text(&r->f, "web.default.svc");
    rig_expect_fine(r);
    r->f.client.id++;
    r->f.client.flags = SNAP_TLS_INSECURE;
    r->f.client.identity.len = 0;
    rig_expect_fine(r);
}

static void server_side(struct rig *r, enum client_auth auth, int client_cert)
{
    r->f.server.id++;
    r->f.client.id++;
    r->f.server.client_auth = (uint8_t)auth;
    r->f.client.cert = client_cert < 0 ? SNAP_NONE : (uint32_t)client_cert;
    rig_handshake(r);
}

/* With TLS 1.3 the client has connected before the server has judged: it hears the alert. */
static void expect_refused(struct rig *r, enum client_auth auth, int client_cert, enum tls_fault want)
{
    server_side(r, auth, client_cert);
    rig_turns(r, 5);
    assert_false(r->server.connected);
    if (r->server.fault != want)
        fail_msg("auth %d cert %d: %s instead of %s", auth, client_cert, tls_fault_word(r->server.fault), tls_fault_word(want));
    assert_true(r->client.closed);
#ifdef GATEHOUSE_WOLFSSL
    assert_int_equal(r->client.fault, TLS_FAULT_ALERT);
#endif
}

static void expect_accepted(struct rig *r, enum client_auth auth, int client_cert, bool shown, bool verified)
{
    server_side(r, auth, client_cert);
    assert_true(r->server.connected && r->client.connected);
    assert_int_equal(r->server.facts.peer.n > 0, shown);
    assert_int_equal(r->server.facts.peer_verified, verified);
}

static void client_certificates_as_demanded(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    r->f.server.ca = rig_text(&r->f, PEM_CA);
    for (int max = TLS_VERSION_1_2; max <= TLS_VERSION_1_3; max++) {
        r->f.server.max_version = (uint8_t)max;
        expect_accepted(r, CLIENT_AUTH_NONE, CERT_CLIENT, false, false);
        expect_accepted(r, CLIENT_AUTH_OPTIONAL, -1, false, false);
        expect_accepted(r, CLIENT_AUTH_OPTIONAL, CERT_CLIENT, true, true);
        expect_refused(r, CLIENT_AUTH_OPTIONAL, CERT_CLIENT_OTHER, TLS_FAULT_UNKNOWN_CA);
        expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, true, true);
        expect_refused(r, CLIENT_AUTH_REQUIRED, -1, TLS_FAULT_NO_CERT);
        expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT_OTHER, TLS_FAULT_UNKNOWN_CA);
        expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT_EXPIRED, TLS_FAULT_EXPIRED);
        expect_accepted(r, CLIENT_AUTH_TOLERANT, -1, false, false);
        expect_accepted(r, CLIENT_AUTH_TOLERANT, CERT_CLIENT, true, true);
        expect_accepted(r, CLIENT_AUTH_TOLERANT, CERT_CLIENT_OTHER, true, false);
        expect_accepted(r, CLIENT_AUTH_TOLERANT, CERT_CLIENT_EXPIRED, true, false);
    }
}

static void client_certificates_can_be_revoked_named_and_pinned(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    r->f.server.ca = rig_text(&r->f, PEM_CA);
    r->f.server.crl = rig_text(&r->f, PEM_CRL);
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, true, true);
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, TLS_FAULT_REVOKED);
    r->f.server.crl.len = 0;
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, true, true);
    r->f.server.sans = rig_one_name(&r->f, "spiffe://cluster.local/ns/default/sa/one");
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, true, true);
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, TLS_FAULT_WRONG_NAME);
    r->f.server.sans.n = 0;
    r->f.server.hashes = rig_one_name(&r->f, "0000000000000000000000000000000000000000000000000000000000000000");
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, TLS_FAULT_WRONG_PIN);
}

static void a_context_that_cannot_be_made_refuses(void **state)
{
    struct rig *r = *state;
    struct hello h = {.has_1_3 = true, .signatures = str_of("\x04\x03", 2)};
    struct tls_context *x;
    rig_use_cert(&r->f, CERT_EC);
    r->f.certs[CERT_EC].id = 999; /* of no key */
    for (int i = 0; i < 3; i++)
        assert_int_equal(tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &x), TLS_FAULT_CONTEXT);
    assert_int_equal(board_get(&r->count.tls_contexts_broken), 1);
    r->f.client.flags = SNAP_TLS_BROKEN;
    assert_int_equal(tls_context_client(&r->contexts, &r->f.s, r->f.keys, 0, &x), TLS_FAULT_CONTEXT);
    r->f.client.flags = SNAP_TLS_SYSTEM_CA; /* there is no bundle here */
    r->f.client.ca.len = 0;
    assert_int_equal(tls_context_client(&r->contexts, &r->f.s, r->f.keys, 0, &x), TLS_FAULT_CONTEXT);
}

static void contexts_outlive_generations_that_have_them(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    rig_expect_fine(r);
    assert_int_equal(r->contexts.n, 2);
    tls_contexts_keep(&r->contexts, &r->f.s);
    assert_int_equal(r->contexts.n, 2);
    r->f.server.id = 77;
    tls_contexts_keep(&r->contexts, &r->f.s);
    assert_int_equal(r->contexts.n, 1);
    rig_put(&r->client, "still here"); /* the connection holds its own */
    rig_turns(r, 3);
    assert_str(buf_str(&r->server.got), "still here");
}

static void speak_once(struct rig *r)
{
    rig_put(&r->client, "x"); /* a client of TLS 1.3 gets its ticket while it reads */
    rig_put(&r->server, "y");
    rig_turns(r, 5);
}

static void sessions_resume(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
#ifdef GATEHOUSE_PATCH
    int max = TLS_VERSION_1_2;
#else
    int max = TLS_VERSION_1_3;
#endif
    for (; max <= TLS_VERSION_1_3; max++) {
        r->f.server.max_version = (uint8_t)max;
        r->f.server.id++;
        rig_expect_fine(r);
        assert_false(r->server.facts.resumed);
        speak_once(r);
        assert_non_null(r->session.held);
        for (int i = 0; i < 3; i++) {
            rig_expect_fine(r);
            assert_true(r->server.facts.resumed && r->client.facts.resumed);
            speak_once(r);
            assert_str(buf_str(&r->server.got), "x");
        }
        board_tickets_rotate(board_tickets(r->board), 1000 + 50000, 86400); /* a new key; the old one still opens */
        rig_expect_fine(r);
        assert_true(r->server.facts.resumed);
        speak_once(r);
        struct board_ticket_keys none = {0};
        board_tickets_write(board_tickets(r->board), &none);
        rig_expect_fine(r);
        assert_false(r->server.facts.resumed);
        board_tickets_rotate(board_tickets(r->board), 1000, 86400);
        tls_session_clear(&r->session);
    }
}

static void sessions_do_not_cross_names_contexts_or_client_certificates(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_RSA);
    rig_expect_fine(r);
    speak_once(r);
    struct tls_session first = r->session;
    r->session.name_hash = hash_str(STR("b.example.com"), 0); /* a client that does not care */
    r->name = "b.example.com";
    rig_expect_fine(r);
    assert_false(r->server.facts.resumed);
    (void)first;
    speak_once(r);
    r->f.server.id++; /* other demands */
    rig_expect_fine(r);
    assert_false(r->server.facts.resumed);
    speak_once(r);
    r->f.server.id++;
    r->f.server.client_auth = CLIENT_AUTH_OPTIONAL;
    r->f.server.ca = rig_text(&r->f, PEM_CA);
    rig_expect_fine(r);
    speak_once(r);
    rig_expect_fine(r);
    assert_false(r->server.facts.resumed);
}

static void without_keys_or_lifetime_there_are_no_tickets(void **state)
{
    struct rig *r = *state;
    rig_use_cert(&r->f, CERT_EC);
    r->contexts.ticket_lifetime_s = 0;
    for (int i = 0; i < 2; i++) {
        rig_expect_fine(r);
        speak_once(r);
        assert_str(buf_str(&r->client.got), "y");
        assert_false(r->server.facts.resumed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
        T(both_sides_connect_and_speak),
        T(the_certificate_follows_what_the_client_can_verify),
        T(rsa_p384_and_chains_work),
        T(versions_can_be_limited),
        T(alpn_is_strict),
        T(bad_server_certificates_break_the_handshake),
        T(names_come_from_sans_identity_or_server_name),
        T(client_certificates_as_demanded),
        T(client_certificates_can_be_revoked_named_and_pinned),
        T(a_context_that_cannot_be_made_refuses),
        T(contexts_outlive_generations_that_have_them),
        T(sessions_resume),
        T(sessions_do_not_cross_names_contexts_or_client_certificates),
        T(without_keys_or_lifetime_there_are_no_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
