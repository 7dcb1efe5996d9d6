/*
 * tls_test.c - two connections of one loop, a client and a server, over a socketpair. Contexts are made of a snapshot
 * that is put together here by hand.
 */
#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/shared/tls/test_certs.h"
#include "shared/base/err.h"
#include "worker/net/tls_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { CERT_EC, CERT_RSA, CERT_P384, CERT_CHAINED, CERT_EXPIRED, CERT_STRANGER, CERT_SPIFFE, CERT_CLIENT, CERT_REVOKED,
       CERT_CLIENT_OTHER, CERT_CLIENT_EXPIRED, CERT_FUTURE, N_CERTS };
static const struct { const char *chain, *key; enum key_type type; unsigned bits; } CERTS[N_CERTS] = {
    {PEM_EC, PEM_EC_KEY, KEY_ECDSA, 256}, {PEM_RSA, PEM_RSA_KEY, KEY_RSA, 2048}, {PEM_P384, PEM_P384_KEY, KEY_ECDSA, 384},
    {PEM_CHAINED, PEM_CHAINED_KEY, KEY_ECDSA, 256}, {PEM_EXPIRED, PEM_EXPIRED_KEY, KEY_ECDSA, 256},
    {PEM_STRANGER, PEM_STRANGER_KEY, KEY_ECDSA, 256}, {PEM_SPIFFE, PEM_SPIFFE_KEY, KEY_ECDSA, 256},
    {PEM_CLIENT, PEM_CLIENT_KEY, KEY_ECDSA, 256}, {PEM_REVOKED, PEM_REVOKED_KEY, KEY_ECDSA, 256},
    {PEM_CLIENT_OTHER, PEM_CLIENT_OTHER_KEY, KEY_ECDSA, 256}, {PEM_CLIENT_EXPIRED, PEM_CLIENT_EXPIRED_KEY, KEY_ECDSA, 256},
    {PEM_FUTURE, PEM_FUTURE_KEY, KEY_ECDSA, 256},
};

/* What would be a generation: strings, certificates, one server row, one client row. */
struct fake {
    struct snap s;
    struct buf strings, keys_image;
    struct snap_cert certs[N_CERTS];
    struct snap_tls_server server;
    struct snap_tls_client client;
    struct snap_str names[16];
    uint32_t indexes[N_CERTS];
    uint32_t n_names, n_indexes;
    struct keys *keys;
};

static struct snap_str text(struct fake *f, const char *t)
{
    struct snap_str r = {(uint32_t)f->strings.n, (uint32_t)strlen(t)};
    buf_add(&f->strings, t, r.len + 1);
    f->s.STRINGS = f->strings.p;
    return r;
}

static struct snap_range one_name(struct fake *f, const char *t)
{
    f->names[f->n_names] = text(f, t);
    return (struct snap_range){f->n_names++, 1};
}

static void use_cert(struct fake *f, unsigned i)
{
    f->indexes[f->n_indexes++] = i;
    f->server.certs.n = f->n_indexes;
}

static void fake_init(struct fake *f)
{
    struct keys_entry entries[N_CERTS];
    memset(f, 0, sizeof(*f));
    buf_addch(&f->strings, '\0');
    for (unsigned i = 0; i < N_CERTS; i++) {
        f->certs[i] = (struct snap_cert){.id = 100 + i, .chain = text(f, CERTS[i].chain), .key_type = (uint8_t)CERTS[i].type,
                                         .key_bits = (uint16_t)CERTS[i].bits, .origin = SNAP_NONE};
        entries[i] = (struct keys_entry){100 + i, str_c(CERTS[i].key)};
    }
    assert_int_equal(keys_bytes(entries, N_CERTS, 1, &f->keys_image), 0);
    assert_int_equal(keys_open_bytes(&f->keys, buf_str(&f->keys_image), NULL), 0);
    f->server = (struct snap_tls_server){.id = 1, .alpn = TLS_ALPN_H2 | TLS_ALPN_HTTP1, .origin = SNAP_NONE};
    f->client = (struct snap_tls_client){.id = 2, .cert = SNAP_NONE, .origin = SNAP_NONE, .ca = text(f, PEM_CA)};
    f->s.CERTS = f->certs;
    f->s.TLS_SERVERS = &f->server;
    f->s.TLS_CLIENTS = &f->client;
    f->s.NAMES = f->names;
    f->s.INDEXES = f->indexes;
    f->s.n[SNAP_TLS_SERVERS] = f->s.n[SNAP_TLS_CLIENTS] = 1;
}

static void fake_fini(struct fake *f)
{
    keys_close(f->keys);
    buf_fini(&f->keys_image);
    buf_fini(&f->strings);
}

struct side {
    struct conn c;
    struct rig *r;
    struct buf got;
    bool server, connected, ended, closed, open;
    int connect_err, error;
    enum tls_fault fault;
    enum tls_fault start;    /* server: what tls_context_server said */
    struct tls_facts facts;
    char fact_text[512];
    unsigned writables;
};

struct rig {
    uv_loop_t loop;
    struct net net;
    struct board *board;
    struct board_counters count;
    struct log log;
    struct tls_contexts contexts;
    struct fake f;
    struct side client, server;
    struct buf hello;
    struct tls_session session;
    uint8_t client_alpn;
    const char *name;
};

static void note(struct side *s)
{
    const char *detail;
    s->fault = conn_tls_fault(&s->c, &detail);
    if (!conn_tls_facts(&s->c, &s->facts))
        return;
    snprintf(s->fact_text, sizeof(s->fact_text), "%s %s", s->facts.version, s->facts.cipher);
}

static void on_connect(struct conn *c, int err)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    s->connected = err == 0;
    s->connect_err = err;
    note(s);
    if (err)
        conn_close(c);
}

/* The server's first bytes: the ClientHello. */
static void greet(struct side *s, const char *data, size_t n)
{
    static char room[HELLO_BYTES_MAX];
    struct rig *r = s->r;
    struct hello h;
    struct tls_context *x;
    buf_add(&r->hello, data, n);
    enum hello_verdict v = hello_parse(buf_str(&r->hello), room, &h);
    if (v == HELLO_MORE)
        return;
    assert_int_equal(v, HELLO_OK);
    uint8_t alpn;
    s->start = tls_context_server(&r->contexts, &r->f.s, r->f.keys, 0, &h, &x);
    if (s->start == TLS_FAULT_NONE && !tls_choose_alpn(&h, r->f.server.alpn, &alpn)) {
        s->start = TLS_FAULT_ALPN;
        tls_context_drop(x);
    }
    if (s->start != TLS_FAULT_NONE) {
        conn_close(&s->c);
        return;
    }
    struct tls_start how = {.context = x, .server_name = h.server_name, .alpn = alpn};
    int err = conn_tls_server(&s->c, &how, r->hello.p, r->hello.n);
    tls_context_drop(x);
    if (err) {
        note(s);
        conn_close(&s->c);
    }
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    if (s->server && !c->tls)
        greet(s, data, n);
    else
        buf_add(&s->got, data, n);
}

static void on_end(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->ended = true;
}
static void on_writable(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->writables++;
}
static void on_error(struct conn *c, int err)
{
    struct side *s = CONTAINER_OF(c, struct side, c);
    s->error = err;
    note(s);
    conn_close(c);
}
static void on_closed(struct conn *c)
{
    CONTAINER_OF(c, struct side, c)->closed = true;
}
static const struct conn_events EVENTS = {.on_connect = on_connect, .on_read = on_read, .on_end = on_end,
                                          .on_writable = on_writable, .on_error = on_error, .on_closed = on_closed};

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof(*r));
    int fd;
    *state = r;
    uv_loop_init(&r->loop);
    log_init(&r->log, 0, "test");
    assert_int_equal(board_make(&r->board, &fd), 0);
    close(fd);
    board_tickets_rotate(board_tickets(r->board), 1000, 86400);
    assert_int_equal(net_init(&r->net, &r->loop, &r->count, &r->log), 0);
    assert_int_equal(tls_contexts_init(&r->contexts, &r->net, r->board, -1), 0);
    r->contexts.ticket_lifetime_s = 3600;
    fake_init(&r->f);
    r->name = "a.example.com";
    r->client_alpn = TLS_ALPN_H2 | TLS_ALPN_HTTP1;
    return 0;
}

static void turns(struct rig *r, int n)
{
    while (n-- > 0)
        net_turn(&r->net, 0);
}

static void close_sides(struct rig *r)
{
    net_enter(&r->net);
    for (int i = 0; i < 2; i++) {
        struct side *s = i ? &r->server : &r->client;
        if (s->open)
            conn_close(&s->c);
        s->open = false;
    }
    net_leave(&r->net);
    turns(r, 2);
    buf_fini(&r->client.got);
    buf_fini(&r->server.got);
    buf_fini(&r->hello);
}

static int teardown(void **state)
{
    struct rig *r = *state;
    close_sides(r);
    assert_int_equal(r->net.chunks.bytes, 0);
    tls_session_clear(&r->session);
    tls_contexts_fini(&r->contexts);
    net_fini(&r->net);
    fake_fini(&r->f);
    board_close(r->board);
    uv_loop_close(&r->loop);
    free(r);
    return 0;
}

/* A pair, the client's handshake begun. */
static void begin(struct rig *r)
{
    int v[2];
    struct tls_context *x;
    close_sides(r);
    memset(&r->client, 0, sizeof(r->client));
    memset(&r->server, 0, sizeof(r->server));
    r->hello = (struct buf){0};
    r->client.r = r->server.r = r;
    r->server.server = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    assert_int_equal(conn_open(&r->client.c, &r->net, v[0], &EVENTS), 0);
    assert_int_equal(conn_open(&r->server.c, &r->net, v[1], &EVENTS), 0);
    r->client.open = r->server.open = true;
    assert_int_equal(tls_context_client(&r->contexts, &r->f.s, r->f.keys, 0, &x), TLS_FAULT_NONE);
    struct tls_start how = {.context = x, .server_name = str_c(r->name), .alpn = r->client_alpn, .session = &r->session};
    net_enter(&r->net);
    assert_int_equal(conn_tls_client(&r->client.c, &how), 0);
    net_leave(&r->net);
    tls_context_drop(x);
}

static void handshake(struct rig *r)
{
    begin(r);
    turns(r, 12);
}

/* The system's library has OpenSSL's names for ciphers. */
static void assert_fact(const struct side *s, const char *version_and_cipher)
{
#ifdef GATEHOUSE_WOLFSSL
    assert_string_equal(s->fact_text, version_and_cipher);
#else
    assert_memory_equal(s->fact_text, version_and_cipher, 8);
#endif
}

static void expect_fine(struct rig *r)
{
    handshake(r);
    if (!r->client.connected || !r->server.connected)
        fail_msg("client %d %s, server %d %s", r->client.connect_err, tls_fault_word(r->client.fault),
                 r->server.connect_err, tls_fault_word(r->server.fault));
}

static void put(struct side *s, const char *t)
{
    net_enter(&s->r->net);
    conn_write(&s->c, t, strlen(t));
    net_leave(&s->r->net);
}

/* --- the tests ------------------------------------------------------------------------------------------------- */

static void both_sides_connect_and_speak(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    assert_fact(&r->server, "TLSv1.3 TLS_AES_128_GCM_SHA256");
    assert_int_equal(r->server.facts.alpn, TLS_PROTO_H2);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_H2);
    assert_str(r->server.facts.server_name, "a.example.com");
    put(&r->client, "ping");
    put(&r->server, "pong");
    turns(r, 3);
    assert_str(buf_str(&r->server.got), "ping");
    assert_str(buf_str(&r->client.got), "pong");
    assert_int_equal(r->net.chunks.bytes, 0); /* nothing is held between messages */
}

static void the_certificate_follows_what_the_client_can_verify(void **state)
{
    struct rig *r = *state;
    struct hello h = {.has_1_3 = true, .has_1_2 = true};
    struct tls_context *a, *b;
    use_cert(&r->f, CERT_EC);
    use_cert(&r->f, CERT_RSA);
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
        use_cert(&r->f, rows[i].cert);
        r->name = rows[i].name;
        expect_fine(r);
    }
}

static void versions_can_be_limited(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    r->f.server.max_version = TLS_VERSION_1_2;
    expect_fine(r);
    assert_fact(&r->client, "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    put(&r->client, "ping");
    put(&r->server, "pong");
    turns(r, 3);
    assert_str(buf_str(&r->server.got), "ping");
    assert_str(buf_str(&r->client.got), "pong");
    r->f.server.id = 7;
    r->f.server.ciphers = text(&r->f, "ECDHE-ECDSA-AES256-GCM-SHA384");
    expect_fine(r);
    assert_fact(&r->client, "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
}

static void alpn_is_strict(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    r->f.server.alpn = TLS_ALPN_HTTP1;
    expect_fine(r);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_HTTP1);
    r->client_alpn = 0;
    expect_fine(r);
    assert_int_equal(r->client.facts.alpn, TLS_PROTO_NONE);
    assert_int_equal(r->server.facts.alpn, TLS_PROTO_NONE);
    r->client_alpn = TLS_ALPN_H2;
    handshake(r);
    assert_int_equal(r->server.start, TLS_FAULT_ALPN);
}

static void expect_client_fault(struct rig *r, unsigned cert, enum tls_fault want)
{
    r->f.n_indexes = 0;
    r->f.server.id++;
    use_cert(&r->f, cert);
    handshake(r);
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
    use_cert(&r->f, CERT_SPIFFE);
    r->f.client.sans = one_name(&r->f, "spiffe://cluster.local/ns/default/sa/web");
    expect_fine(r);
    r->f.client.id++;
    r->f.client.sans = one_name(&r->f, "spiffe://cluster.local/ns/default/sa/other");
    expect_client_fault(r, CERT_SPIFFE, TLS_FAULT_WRONG_NAME);
    r->f.client.id++;
    r->f.client.sans.n = 0;
    r->f.client.identity = text(&r->f, "web.default.svc");
    expect_fine(r);
    r->f.client.id++;
    r->f.client.flags = SNAP_TLS_INSECURE;
    r->f.client.identity.len = 0;
    expect_fine(r);
}

static void server_side(struct rig *r, enum client_auth auth, int client_cert)
{
    r->f.server.id++;
    r->f.client.id++;
    r->f.server.client_auth = (uint8_t)auth;
    r->f.client.cert = client_cert < 0 ? SNAP_NONE : (uint32_t)client_cert;
    handshake(r);
}

/* With TLS 1.3 the client has connected before the server has judged: it hears the alert. */
static void expect_refused(struct rig *r, enum client_auth auth, int client_cert, enum tls_fault want)
{
    server_side(r, auth, client_cert);
    turns(r, 5);
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
    use_cert(&r->f, CERT_EC);
    r->f.server.ca = text(&r->f, PEM_CA);
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
    use_cert(&r->f, CERT_EC);
    r->f.server.ca = text(&r->f, PEM_CA);
    r->f.server.crl = text(&r->f, PEM_CRL);
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, true, true);
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, TLS_FAULT_REVOKED);
    r->f.server.crl.len = 0;
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, true, true);
    r->f.server.sans = one_name(&r->f, "spiffe://cluster.local/ns/default/sa/one");
    expect_accepted(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, true, true);
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_REVOKED, TLS_FAULT_WRONG_NAME);
    r->f.server.sans.n = 0;
    r->f.server.hashes = one_name(&r->f, "0000000000000000000000000000000000000000000000000000000000000000");
    expect_refused(r, CLIENT_AUTH_REQUIRED, CERT_CLIENT, TLS_FAULT_WRONG_PIN);
}

static void a_context_that_cannot_be_made_refuses(void **state)
{
    struct rig *r = *state;
    struct hello h = {.has_1_3 = true, .signatures = str_of("\x04\x03", 2)};
    struct tls_context *x;
    use_cert(&r->f, CERT_EC);
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
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    assert_int_equal(r->contexts.n, 2);
    tls_contexts_keep(&r->contexts, &r->f.s);
    assert_int_equal(r->contexts.n, 2);
    r->f.server.id = 77;
    tls_contexts_keep(&r->contexts, &r->f.s);
    assert_int_equal(r->contexts.n, 1);
    put(&r->client, "still here"); /* the connection holds its own */
    turns(r, 3);
    assert_str(buf_str(&r->server.got), "still here");
}

static void speak_once(struct rig *r)
{
    put(&r->client, "x"); /* a client of TLS 1.3 gets its ticket while it reads */
    put(&r->server, "y");
    turns(r, 5);
}

static void sessions_resume(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
#ifdef GATEHOUSE_PATCH
    int max = TLS_VERSION_1_2;
#else
    int max = TLS_VERSION_1_3;
#endif
    for (; max <= TLS_VERSION_1_3; max++) {
        r->f.server.max_version = (uint8_t)max;
        r->f.server.id++;
        expect_fine(r);
        assert_false(r->server.facts.resumed);
        speak_once(r);
        assert_non_null(r->session.held);
        for (int i = 0; i < 3; i++) {
            expect_fine(r);
            assert_true(r->server.facts.resumed && r->client.facts.resumed);
            speak_once(r);
            assert_str(buf_str(&r->server.got), "x");
        }
        board_tickets_rotate(board_tickets(r->board), 1000 + 50000, 86400); /* a new key; the old one still opens */
        expect_fine(r);
        assert_true(r->server.facts.resumed);
        speak_once(r);
        struct board_ticket_keys none = {0};
        board_tickets_write(board_tickets(r->board), &none);
        expect_fine(r);
        assert_false(r->server.facts.resumed);
        board_tickets_rotate(board_tickets(r->board), 1000, 86400);
        tls_session_clear(&r->session);
    }
}

static void sessions_do_not_cross_names_contexts_or_client_certificates(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_RSA);
    expect_fine(r);
    speak_once(r);
    struct tls_session first = r->session;
    r->session.name_hash = hash_str(STR("b.example.com"), 0); /* a client that does not care */
    r->name = "b.example.com";
    expect_fine(r);
    assert_false(r->server.facts.resumed);
    (void)first;
    speak_once(r);
    r->f.server.id++; /* other demands */
    expect_fine(r);
    assert_false(r->server.facts.resumed);
    speak_once(r);
    r->f.server.id++;
    r->f.server.client_auth = CLIENT_AUTH_OPTIONAL;
    r->f.server.ca = text(&r->f, PEM_CA);
    expect_fine(r);
    speak_once(r);
    expect_fine(r);
    assert_false(r->server.facts.resumed);
}

static void without_keys_or_lifetime_there_are_no_tickets(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    r->contexts.ticket_lifetime_s = 0;
    for (int i = 0; i < 2; i++) {
        expect_fine(r);
        speak_once(r);
        assert_str(buf_str(&r->client.got), "y");
        assert_false(r->server.facts.resumed);
    }
}

static char *pattern(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 >> 3);
    return p;
}

static void much_goes_both_ways_with_back_pressure(void **state)
{
    struct rig *r = *state;
    size_t size = 3u << 20;
    char *big = pattern(size);
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    net_enter(&r->net);
    conn_pause(&r->client.c, CONN_PAUSE_PEER);
    conn_write(&r->server.c, big, size);
    conn_write(&r->client.c, big, size);
    assert_true(conn_full(&r->server.c));
    net_leave(&r->net);
    turns(r, 20);
    assert_true(conn_queued(&r->server.c) > 0 && r->client.got.n == 0 && r->server.writables == 0);
    net_enter(&r->net);
    conn_resume(&r->client.c, CONN_PAUSE_PEER);
    net_leave(&r->net);
    for (int i = 0; i < 2000 && (r->client.got.n < size || r->server.got.n < size); i++)
        turns(r, 1);
    assert_int_equal(r->client.got.n, size);
    assert_memory_equal(r->client.got.p, big, size);
    assert_int_equal(r->server.got.n, size);
    assert_memory_equal(r->server.got.p, big, size);
    assert_int_equal(r->server.writables, 1);
    assert_int_equal(r->net.chunks.bytes, 0);
    free(big);
}

static void many_small_pieces_become_few_records(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    static char piece[100][40];
    uint64_t before = r->server.c.sent;
    net_enter(&r->net);
    for (int i = 0; i < 100; i++) {
        memset(piece[i], 'a' + i % 26, sizeof(piece[i]));
        conn_write(&r->server.c, piece[i], i % 2 ? 40 : 39);
    }
    net_leave(&r->net);
    turns(r, 3);
    assert_int_equal(r->client.got.n, 100 * 39 + 50);
    assert_true(r->server.c.sent - before < r->client.got.n + 4 * 30 + 400);
}

static void what_is_written_before_the_handshake_waits_for_it(void **state)
{
    struct rig *r = *state;
    size_t size = 200000;
    char *big = pattern(size);
    use_cert(&r->f, CERT_EC);
    begin(r);
    net_enter(&r->net);
    conn_write(&r->client.c, big, size);
    net_leave(&r->net);
    assert_int_equal(conn_queued(&r->client.c), size);
    for (int i = 0; i < 200 && r->server.got.n < size; i++)
        turns(r, 1);
    assert_int_equal(r->server.got.n, size);
    assert_memory_equal(r->server.got.p, big, size);
    free(big);
}

static void an_end_that_is_announced_is_an_end(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    net_enter(&r->net);
    conn_write(&r->client.c, "last", 4);
    conn_shutdown(&r->client.c);
    net_leave(&r->net);
    turns(r, 3);
    assert_str(buf_str(&r->server.got), "last");
    assert_true(r->server.ended && !conn_cut(&r->server.c));
    put(&r->server, "answer"); /* half-closed: the other half lives */
    turns(r, 3);
    assert_str(buf_str(&r->client.got), "answer");
    net_enter(&r->net);
    conn_finish(&r->server.c);
    net_leave(&r->net);
    turns(r, 3);
    assert_true(r->server.closed && r->client.ended && !conn_cut(&r->client.c));
}

static void an_end_that_is_not_announced_shows(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    put(&r->client, "half a bo");
    shutdown(r->client.c.fd, SHUT_WR);
    turns(r, 3);
    assert_str(buf_str(&r->server.got), "half a bo");
    assert_true(r->server.ended && conn_cut(&r->server.c));
    expect_fine(r);
    net_enter(&r->net);
    conn_reset(&r->server.c);
    r->server.open = false;
    net_leave(&r->net);
    turns(r, 3);
    assert_true(r->client.error || (r->client.ended && conn_cut(&r->client.c)));
}

static void closing_says_goodbye(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    net_enter(&r->net);
    conn_close(&r->server.c);
    net_leave(&r->net);
    turns(r, 3);
    assert_true(r->client.ended && !conn_cut(&r->client.c));
}

/* A peer that is no TLS library: the test writes to the socket. */
static int raw_server(struct rig *r)
{
    int v[2];
    close_sides(r);
    memset(&r->client, 0, sizeof(r->client));
    memset(&r->server, 0, sizeof(r->server));
    r->hello = (struct buf){0};
    r->server.r = r;
    r->server.server = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    assert_int_equal(conn_open(&r->server.c, &r->net, v[1], &EVENTS), 0);
    r->server.open = true;
    return v[0];
}

static void rubbish_breaks_a_connection(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    assert_int_equal(write(r->client.c.fd, "\x17\x03\x03\0\x20this is no record that fits.....", 37), 37);
    turns(r, 4);
    assert_true(r->server.closed && r->server.error == EPROTO && r->server.fault == TLS_FAULT_PROTOCOL);
    expect_fine(r);
    assert_int_equal(write(r->client.c.fd, "GET / HTTP/1.1\r\n", 16), 16);
    turns(r, 4);
    assert_true(r->server.closed && r->server.fault == TLS_FAULT_PROTOCOL);
}

static void a_slow_record_is_held_in_chunks(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    expect_fine(r);
    static char head[5] = {0x17, 3, 3, 0x40, 0}, some[1000];
    assert_int_equal(write(r->client.c.fd, head, 5), 5);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(write(r->client.c.fd, some, sizeof(some)), sizeof(some));
        turns(r, 1);
    }
    assert_true(r->net.chunks.bytes >= 16005 && r->net.chunks.bytes < 40000);
    assert_true(r->server.connected && !r->server.closed);
    assert_true(conn_queued(&r->server.c) == 0);
}

static void a_handshake_cut_in_pieces_works(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    begin(r);
    /* The client's bytes go through the test, one by one. */
    int v[2], dir, n = 0;
    char b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    dir = dup(r->server.c.fd);
    assert_true(dup2(v[0], r->server.c.fd) >= 0); /* the server's end is another socket now */
    net_watch(&r->net, r->server.c.fd, &r->server.c.watch, 1 | 0x80000000u | 0x2000u);
    close(v[0]);
    for (int i = 0; i < 20000 && !(r->server.connected && r->client.connected); i++) {
        bool moved = false;
        if (read(dir, &b, 1) == 1) {
            assert_int_equal(write(v[1], &b, 1), 1);
            moved = true;
            n++;
        }
        char more[4096];
        ssize_t k = read(v[1], more, sizeof(more));
        if (k > 0) {
            assert_int_equal(write(dir, more, (size_t)k), k);
            moved = true;
        }
        (void)moved;
        turns(r, 1);
    }
    assert_true(r->server.connected && r->client.connected && n > 200);
    close(dir);
    close(v[1]);
}

static void a_client_that_leaves_in_the_handshake_is_an_error(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    begin(r);
    turns(r, 1);
    net_enter(&r->net);
    conn_close(&r->client.c);
    r->client.open = false;
    net_leave(&r->net);
    turns(r, 5);
    assert_false(r->server.connected);
    assert_true(r->server.closed && r->server.connect_err != 0);
}

static void a_thousand_aborted_handshakes_leave_nothing(void **state)
{
    struct rig *r = *state;
    use_cert(&r->f, CERT_EC);
    for (int i = 0; i < 100; i++) {
        begin(r);
        turns(r, i % 6);
    }
    close_sides(r);
    assert_int_equal(r->net.chunks.bytes, 0);
    int peer = raw_server(r);
    close(peer);
    turns(r, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
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
        T(much_goes_both_ways_with_back_pressure),
        T(many_small_pieces_become_few_records),
        T(what_is_written_before_the_handshake_waits_for_it),
        T(an_end_that_is_announced_is_an_end),
        T(an_end_that_is_not_announced_shows),
        T(closing_says_goodbye),
        T(rubbish_breaks_a_connection),
        T(a_slow_record_is_held_in_chunks),
        T(a_handshake_cut_in_pieces_works),
        T(a_client_that_leaves_in_the_handshake_is_an_error),
        T(a_thousand_aborted_handshakes_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
