#include "tests/unit/shared/tls/loop.h"
#ifdef TLS_BENCH_SYSTEM
#define tls_build_device() INVALID_DEVID
#else
#include "shared/tls/tls_build.h"
#endif

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/aes.h>

#define TURNS 100

/* ---- wires ---- */

static int wire_put(struct loop_wire *w, const char *p, int n)
{
    if (w->at == w->n)
        w->at = w->n = 0;
    if (w->n + (size_t)n > w->cap) {
        w->cap = w->n + (size_t)n + 32768;
        w->p = realloc(w->p, w->cap);
        if (!w->p)
            abort();
    }
    memcpy(w->p + w->n, p, (size_t)n);
    w->n += (size_t)n;
    return n;
}

static int on_recv(WOLFSSL *ssl, char *p, int n, void *arg)
{
    struct loop_wire *w = ((struct loop_end *)arg)->in;
    size_t have = w->n - w->at;
    (void)ssl;
    if (have == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    if ((size_t)n > have)
        n = (int)have;
    memcpy(p, w->p + w->at, (size_t)n);
    w->at += (size_t)n;
    return n;
}

static int on_send(WOLFSSL *ssl, char *p, int n, void *arg)
{
    (void)ssl;
    return wire_put(((struct loop_end *)arg)->out, p, n);
}

void loop_prepare(WOLFSSL_CTX *ctx)
{
    wolfSSL_CTX_SetDevId(ctx, tls_build_device());
    wolfSSL_CTX_SetIORecv(ctx, on_recv);
    wolfSSL_CTX_SetIOSend(ctx, on_send);
}

/* ---- tickets ---- */

static const unsigned char KEY[32] = "a key for tests and benchmarks";
static const unsigned char KEY_NAME[WOLFSSL_TICKET_NAME_SZ] = "tests";

/* The tag takes the first 16 bytes of `mac`; the key's name and `aad` are authenticated. */
static int on_ticket(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ], unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int enc, unsigned char *ticket, int n, int *out, void *arg)
{
    const char *aad = arg ? arg : "";
    Aes aes;
    int rc;
    if (!enc && memcmp(name, KEY_NAME, sizeof(KEY_NAME)) != 0)
        return WOLFSSL_TICKET_RET_REJECT;
    if (enc) {
        memcpy(name, KEY_NAME, sizeof(KEY_NAME));
        memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
        if (wc_RNG_GenerateBlock(wolfSSL_GetRNG(ssl), iv, WOLFSSL_TICKET_IV_SZ) != 0)
            return WOLFSSL_TICKET_RET_REJECT;
    }
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0 || wc_AesGcmSetKey(&aes, KEY, sizeof(KEY)) != 0)
        return WOLFSSL_TICKET_RET_REJECT;
    rc = enc ? wc_AesGcmEncrypt(&aes, ticket, ticket, (word32)n, iv, 12, mac, 16, (const byte *)aad, (word32)strlen(aad))
             : wc_AesGcmDecrypt(&aes, ticket, ticket, (word32)n, iv, 12, mac, 16, (const byte *)aad, (word32)strlen(aad));
    wc_AesFree(&aes);
    *out = n;
    return rc == 0 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT;
}

void loop_tickets(WOLFSSL_CTX *ctx, const char *aad)
{
    wolfSSL_CTX_set_TicketEncCb(ctx, on_ticket);
    wolfSSL_CTX_set_TicketEncCtx(ctx, (void *)(size_t)aad);
}

/* ---- contexts ---- */

static bool add_roots(WOLFSSL_CTX *ctx, const char *roots)
{
    return wolfSSL_CTX_load_verify_buffer(ctx, (const unsigned char *)roots, (long)strlen(roots), WOLFSSL_FILETYPE_PEM) ==
           WOLFSSL_SUCCESS;
}

static bool add_pair(WOLFSSL_CTX *ctx, const char *chain, const char *key)
{
    return wolfSSL_CTX_use_certificate_chain_buffer(ctx, (const unsigned char *)chain, (long)strlen(chain)) ==
               WOLFSSL_SUCCESS &&
           wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)key, (long)strlen(key), WOLFSSL_FILETYPE_PEM) ==
               WOLFSSL_SUCCESS;
}

WOLFSSL_CTX *loop_server(const char *chain, const char *key, const char *roots)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLS_server_method());
    if (!ctx)
        return NULL;
    loop_prepare(ctx);
    if (!add_pair(ctx, chain, key) || wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
        (roots && !add_roots(ctx, roots))) {
        wolfSSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

WOLFSSL_CTX *loop_client(const char *roots, bool tls12)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(tls12 ? wolfTLSv1_2_client_method() : wolfTLS_client_method());
    if (!ctx)
        return NULL;
    loop_prepare(ctx);
    if (roots && !add_roots(ctx, roots)) {
        wolfSSL_CTX_free(ctx);
        return NULL;
    }
    wolfSSL_CTX_set_verify(ctx, roots ? WOLFSSL_VERIFY_PEER : WOLFSSL_VERIFY_NONE, NULL); /* there is no one default */
    return ctx;
}

/* ---- connections ---- */

static void enter(struct loop *l, bool server)
{
    if (l->enter)
        l->enter(server, l->arg);
}

static void leave(struct loop *l, bool server)
{
    if (l->leave)
        l->leave(server, l->arg);
}

static bool open_end(struct loop *l, struct loop_end *e, WOLFSSL_CTX *ctx, bool server)
{
    enter(l, server);
    e->ssl = wolfSSL_new(ctx);
    leave(l, server);
    if (!e->ssl)
        return false;
    wolfSSL_SetIOReadCtx(e->ssl, e);
    wolfSSL_SetIOWriteCtx(e->ssl, e);
    return true;
}

bool loop_open(struct loop *l, WOLFSSL_CTX *client, WOLFSSL_CTX *server)
{
    l->client.in = l->server.out = &l->to_client;
    l->server.in = l->client.out = &l->to_server;
    l->to_client.at = l->to_client.n = l->to_server.at = l->to_server.n = 0;
    l->client.error = l->server.error = 0;
    return open_end(l, &l->client, client, false) && open_end(l, &l->server, server, true);
}

/* True when this end is done. */
static bool turn(struct loop *l, bool server)
{
    struct loop_end *e = server ? &l->server : &l->client;
    int rc, error;
    enter(l, server);
    rc = server ? wolfSSL_accept(e->ssl) : wolfSSL_connect(e->ssl);
    error = rc == WOLFSSL_SUCCESS ? 0 : wolfSSL_get_error(e->ssl, rc);
    leave(l, server);
    if (rc != WOLFSSL_SUCCESS && error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_WANT_WRITE)
        e->error = error;
    return rc == WOLFSSL_SUCCESS;
}

bool loop_shake(struct loop *l)
{
    bool client = false, server = false;
    for (int i = 0; i < TURNS && !(client && server); i++) {
        client = client || turn(l, false);
        server = server || turn(l, true);
        if (l->server.error && !l->client.error) /* the alert on its way is for the client to see */
            turn(l, false);
        if (l->client.error && !l->server.error)
            turn(l, true);
        if (l->client.error || l->server.error)
            return false;
    }
    return client && server;
}

static void close_end(struct loop *l, struct loop_end *e, bool server)
{
    enter(l, server);
    wolfSSL_free(e->ssl);
    leave(l, server);
    e->ssl = NULL;
}

void loop_close(struct loop *l)
{
    close_end(l, &l->client, false);
    close_end(l, &l->server, true);
    free(l->to_client.p);
    free(l->to_server.p);
    l->to_client = l->to_server = (struct loop_wire){0};
}

bool loop_send(struct loop *l, bool from_server, const void *p, size_t n)
{
    struct loop_end *from = from_server ? &l->server : &l->client, *to = from_server ? &l->client : &l->server;
    char sink[16384];
    size_t got = 0;
    enter(l, from_server);
    int wrote = wolfSSL_write(from->ssl, p, (int)n);
    leave(l, from_server);
    if (wrote != (int)n)
        return false;
    while (got < n) {
        enter(l, !from_server);
        int rc = wolfSSL_read(to->ssl, sink, sizeof(sink));
        leave(l, !from_server);
        if (rc <= 0)
            return false;
        got += (size_t)rc;
    }
    return got == n;
}
