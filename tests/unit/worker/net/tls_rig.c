#include "tests/unit/worker/net/tls_rig.h"

static const struct { const char *chain, *key; enum key_type type; unsigned bits; } CERTS[N_CERTS] = {
    {PEM_EC, PEM_EC_KEY, KEY_ECDSA, 256}, {PEM_RSA, PEM_RSA_KEY, KEY_RSA, 2048}, {PEM_P384, PEM_P384_KEY, KEY_ECDSA, 384},
    {PEM_CHAINED, PEM_CHAINED_KEY, KEY_ECDSA, 256}, {PEM_EXPIRED, PEM_EXPIRED_KEY, KEY_ECDSA, 256},
    {PEM_STRANGER, PEM_STRANGER_KEY, KEY_ECDSA, 256}, {PEM_SPIFFE, PEM_SPIFFE_KEY, KEY_ECDSA, 256},
    {PEM_CLIENT, PEM_CLIENT_KEY, KEY_ECDSA, 256}, {PEM_REVOKED, PEM_REVOKED_KEY, KEY_ECDSA, 256},
    {PEM_CLIENT_OTHER, PEM_CLIENT_OTHER_KEY, KEY_ECDSA, 256}, {PEM_CLIENT_EXPIRED, PEM_CLIENT_EXPIRED_KEY, KEY_ECDSA, 256},
    {PEM_FUTURE, PEM_FUTURE_KEY, KEY_ECDSA, 256},
};

struct snap_str rig_text(struct fake *f, const char *t)
{
    struct snap_str r = {(uint32_t)f->strings.n, (uint32_t)strlen(t)};
    buf_add(&f->strings, t, r.len + 1);
    f->s.STRINGS = f->strings.p;
    return r;
}

struct snap_range rig_one_name(struct fake *f, const char *t)
{
    f->names[f->n_names] = rig_text(f, t);
    return (struct snap_range){f->n_names++, 1};
}

void rig_use_cert(struct fake *f, unsigned i)
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
        f->certs[i] = (struct snap_cert){.id = 100 + i, .chain = rig_text(f, CERTS[i].chain), .key_type = (uint8_t)CERTS[i].type,
                                         .key_bits = (uint16_t)CERTS[i].bits, .origin = SNAP_NONE};
        entries[i] = (struct keys_entry){100 + i, str_c(CERTS[i].key)};
    }
    assert_int_equal(keys_bytes(entries, N_CERTS, 1, &f->keys_image), 0);
    assert_int_equal(keys_open_bytes(&f->keys, buf_str(&f->keys_image), NULL), 0);
    f->server = (struct snap_tls_server){.id = 1, .alpn = TLS_ALPN_H2 | TLS_ALPN_HTTP1, .origin = SNAP_NONE};
    f->client = (struct snap_tls_client){.id = 2, .cert = SNAP_NONE, .origin = SNAP_NONE, .ca = rig_text(f, PEM_CA)};
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
const struct conn_events RIG_EVENTS = {.on_connect = on_connect, .on_read = on_read, .on_end = on_end,
                                          .on_writable = on_writable, .on_error = on_error, .on_closed = on_closed};

int rig_setup(void **state)
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

void rig_turns(struct rig *r, int n)
{
    while (n-- > 0)
        net_turn(&r->net, 0);
}

void rig_close_sides(struct rig *r)
{
    net_enter(&r->net);
    for (int i = 0; i < 2; i++) {
        struct side *s = i ? &r->server : &r->client;
        if (s->open)
            conn_close(&s->c);
        s->open = false;
    }
    net_leave(&r->net);
    rig_turns(r, 2);
    buf_fini(&r->client.got);
    buf_fini(&r->server.got);
    buf_fini(&r->hello);
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    rig_close_sides(r);
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

void rig_begin(struct rig *r)
{
    int v[2];
    struct tls_context *x;
    rig_close_sides(r);
    memset(&r->client, 0, sizeof(r->client));
    memset(&r->server, 0, sizeof(r->server));
    r->hello = (struct buf){0};
    r->client.r = r->server.r = r;
    r->server.server = true;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, v), 0);
    assert_int_equal(conn_open(&r->client.c, &r->net, v[0], &RIG_EVENTS), 0);
    assert_int_equal(conn_open(&r->server.c, &r->net, v[1], &RIG_EVENTS), 0);
    r->client.open = r->server.open = true;
    assert_int_equal(tls_context_client(&r->contexts, &r->f.s, r->f.keys, 0, &x), TLS_FAULT_NONE);
    struct tls_start how = {.context = x, .server_name = str_c(r->name), .alpn = r->client_alpn, .session = &r->session};
    net_enter(&r->net);
    assert_int_equal(conn_tls_client(&r->client.c, &how), 0);
    net_leave(&r->net);
    tls_context_drop(x);
}

void rig_handshake(struct rig *r)
{
    rig_begin(r);
    rig_turns(r, 12);
}

void rig_assert_fact(const struct side *s, const char *version_and_cipher)
{
#ifdef GATEHOUSE_WOLFSSL
    assert_string_equal(s->fact_text, version_and_cipher);
#else
    assert_memory_equal(s->fact_text, version_and_cipher, 8);
#endif
}

void rig_expect_fine(struct rig *r)
{
    rig_handshake(r);
    if (!r->client.connected || !r->server.connected)
        fail_msg("client %d %s, server %d %s", r->client.connect_err, tls_fault_word(r->client.fault),
                 r->server.connect_err, tls_fault_word(r->server.fault));
}

void rig_put(struct side *s, const char *t)
{
    net_enter(&s->r->net);
    conn_write(&s->c, t, strlen(t));
    net_leave(&s->r->net);
}
