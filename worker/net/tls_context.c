/*
 * tls_context.c - contexts: found by id, made, given up. What is asked of a peer is in tls_verify.c, tickets are in
 * tls_ticket.c.
 */
#include "worker/net/tls_context.h"
#include "worker/net/tls_internal.h"
#include "shared/base/clock.h"
#include "shared/base/err.h"
#include "shared/tls/tls_build.h"
#include "shared/tls/x509.h"

#include <stdlib.h>
#include <unistd.h>
#include <wolfssl/error-ssl.h>

#define SYSTEM_CA_MAX (8u * 1024 * 1024)

/* Forward secrecy and AEAD only. Of TLS 1.3 all three, then those of 1.2; ours decides, not the client's order. */
static const char SUITES_1_3[] = "TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256";
static const char SUITES_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

static struct tls_context **slot(struct tls_contexts *all, uint64_t id)
{
    struct tls_context **p = &all->table[hash_mix(id, 0) >> (64 - all->log2)];
    while (*p && (*p)->id != id)
        p = &(*p)->next;
    return p;
}

int tls_contexts_init(struct tls_contexts *all, struct net *n, struct board *b, int system_ca_fd)
{
    *all = (struct tls_contexts){.net = n, .board = b, .log2 = 4, .system_ca_fd = system_ca_fd};
    all->table = calloc(1u << all->log2, sizeof(struct tls_context *));
    all->tickets = tls_tickets_new(b);
    if (all->table && all->tickets)
        return 0;
    tls_contexts_fini(all);
    return GH_E_NOMEM;
}

static void forget(struct tls_contexts *all, struct tls_context **p)
{
    struct tls_context *x = *p;
    *p = x->next;
    x->next = NULL;
    all->n--;
    tls_context_drop(x);
}

void tls_contexts_fini(struct tls_contexts *all)
{
    for (uint32_t i = 0; all->table && i < 1u << all->log2; i++)
        while (all->table[i])
            forget(all, &all->table[i]);
    free(all->table);
    tls_tickets_free(all->tickets);
    if (all->system_ca_fd >= 0)
        close(all->system_ca_fd);
    *all = (struct tls_contexts){.system_ca_fd = -1};
}

static void grow(struct tls_contexts *all)
{
    uint32_t log2 = all->log2 + 2;
    struct tls_context **bigger = calloc(1u << log2, sizeof(*bigger));
    if (!bigger)
        return; /* longer chains, then */
    struct tls_contexts old = *all;
    all->table = bigger;
    all->log2 = log2;
    for (uint32_t i = 0; i < 1u << old.log2; i++)
        for (struct tls_context *x = old.table[i], *next; x; x = next) {
            next = x->next;
            x->next = NULL;
            *slot(all, x->id) = x;
        }
    free(old.table);
}

static struct tls_context *add(struct tls_contexts *all, uint64_t id, uint64_t row_id)
{
    struct tls_context *x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    x->id = id;
    x->row_id = row_id;
    x->refs = 1; /* of the table */
    x->all = all;
    if (all->n >= 2u << all->log2)
        grow(all);
    *slot(all, id) = x;
    all->n++;
    return x;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void tls_contexts_keep(struct tls_contexts *all, const struct snap *s)
{
    size_t n = (size_t)s->n[SNAP_TLS_SERVERS] + s->n[SNAP_TLS_CLIENTS], k = 0;
    uint64_t *ids = all->n ? malloc((n + 1) * sizeof(*ids)) : NULL;
    if (!ids)
        return; /* none, or later */
    for (uint32_t i = 0; i < s->n[SNAP_TLS_SERVERS]; i++)
        ids[k++] = s->TLS_SERVERS[i].id;
    for (uint32_t i = 0; i < s->n[SNAP_TLS_CLIENTS]; i++)
        ids[k++] = s->TLS_CLIENTS[i].id;
    qsort(ids, k, sizeof(*ids), by_id);
    for (uint32_t i = 0; i < 1u << all->log2; i++)
        for (struct tls_context **p = &all->table[i]; *p;) {
            /* One that could not be made is tried again with every generation: memory may have been the reason. */
            if ((*p)->broken || !bsearch(&(*p)->row_id, ids, k, sizeof(*ids), by_id))
                forget(all, p);
            else
                p = &(*p)->next;
        }
    free(ids);
}

struct tls_context *tls_context_hold(struct tls_context *x)
{
    x->refs++;
    return x;
}

void tls_context_drop(struct tls_context *x)
{
    if (!x || --x->refs)
        return;
    wolfSSL_CTX_free(x->ctx);
    tls_demands_fini(&x->want);
    free((char *)(uintptr_t)x->own_uri.p);
    free(x);
}

WOLFSSL_CTX *tls_context_ctx(const struct tls_context *x)
{
    return x->ctx;
}

uint64_t tls_context_id(const struct tls_context *x)
{
    return x->id;
}

/* --- making ---------------------------------------------------------------------------------------------------- */

static bool add_cert(WOLFSSL_CTX *ctx, const struct snap *s, const struct keys *k, const struct snap_cert *c, const char **why)
{
    struct str chain = snap_text(s, c->chain), key = k ? keys_find(k, c->id) : STR_NONE;
    if (!key.p) {
        *why = "its private key was not passed";
        return false;
    }
    if (wolfSSL_CTX_use_certificate_chain_buffer_format(ctx, (const unsigned char *)chain.p, (long)chain.n,
                                                        WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        *why = "its certificate can't be used";
        return false;
    }
    if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)key.p, (long)key.n, WOLFSSL_FILETYPE_PEM) !=
        WOLFSSL_SUCCESS) {
        *why = "its private key can't be used";
        return false;
    }
    return true;
}

/* Certificates that can't be read are passed over, as long as one is good (the compiler has said which). */
static bool add_ca(WOLFSSL_CTX *ctx, struct str pem, const char **why)
{
    if (wolfSSL_CTX_load_verify_buffer_ex(ctx, (const unsigned char *)pem.p, (long)pem.n, WOLFSSL_FILETYPE_PEM, 0,
                                          WOLFSSL_LOAD_FLAG_IGNORE_ERR | WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) == WOLFSSL_SUCCESS)
        return true;
    *why = "its CA certificates can't be used";
    return false;
}

static bool add_crl(WOLFSSL_CTX *ctx, struct str crl, const char **why)
{
    if (!crl.n)
        return true;
    int type = str_find(crl, STR("-----BEGIN")) >= 0 ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1;
    if (wolfSSL_CTX_EnableCRL(ctx, WOLFSSL_CRL_CHECK) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_LoadCRLBuffer(ctx, (const unsigned char *)crl.p, (long)crl.n, type) == WOLFSSL_SUCCESS)
        return true;
    *why = "its revocation list can't be used";
    return false;
}

static bool add_suites(WOLFSSL_CTX *ctx, struct str wanted, const char **why)
{
    char list[2048];
    struct str of_1_2 = wanted.n ? wanted : str_c(SUITES_1_2);
    int n = snprintf(list, sizeof(list), "%s:" STR_FMT, SUITES_1_3, STR_ARG(of_1_2));
    if (n > 0 && (size_t)n < sizeof(list) && wolfSSL_CTX_set_cipher_list(ctx, list) == WOLFSSL_SUCCESS)
        return true;
    *why = "none of its cipher suites is known";
    return false;
}

static bool common(WOLFSSL_CTX *ctx, struct str ciphers, const char **why)
{
    int groups[] = {WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1, WOLFSSL_ECC_SECP521R1};
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_SetDevId(ctx, tls_build_device());
    *why = "out of memory";
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (wolfSSL_CTX_UseSupportedCurve(ctx, (word16)groups[i]) != WOLFSSL_SUCCESS)
            return false;
    (void)wolfSSL_CTX_set_groups(ctx, groups, ARRAY_LEN(groups)); /* older ones refuse it where 1.3 is not spoken */
    return add_suites(ctx, ciphers, why);
}

static WOLFSSL_METHOD *server_method(const struct snap_tls_server *r)
{
    if (r->min_version == TLS_VERSION_1_3)
        return wolfTLSv1_3_server_method();
    if (r->max_version == TLS_VERSION_1_2)
        return wolfTLSv1_2_server_method();
    return wolfTLS_server_method();
}

/* For X-Forwarded-Client-Cert. Without memory it is left out. */
static void keep_own_uri(struct tls_context *x, struct str chain)
{
    struct str base64, value, rest;
    enum x509_name_type type;
    struct x509 c;
    size_t n;
    if (!pem_next(&chain, STR("CERTIFICATE"), &base64))
        return;
    char *der = malloc(base64.n), *copy = NULL;
    if (der && pem_decode(base64, der, &n) && x509_read(str_of(der, n), &c))
        for (rest = c.names; !copy && x509_next_name(&rest, &type, &value);)
            if (type == X509_URI && value.n && (copy = malloc(value.n))) {
                memcpy(copy, value.p, value.n);
                x->own_uri = str_of(copy, value.n);
            }
    free(der);
}

/* An OCSP response for clients that ask. Without it they get none, as RFC 6066 allows. */
static void staple(struct tls_context *x, struct str der, int64_t until_s)
{
#ifdef GATEHOUSE_PATCH
    x->staple_until_s = der.n ? until_s : 0;
    if (wolfSSL_CTX_SetOcspStaple(x->ctx, (const unsigned char *)der.p, (unsigned)der.n) != WOLFSSL_SUCCESS)
        log_warn(x->all->net->log, "an OCSP response of %zu bytes is not stapled", der.n);
#else
    (void)x;
    (void)der;
    (void)until_s;
#endif
}

/* No reload may come in time: one that has run out is not shown on. */
static void check_staple(struct tls_context *x)
{
    if (x->staple_until_s && (int64_t)(clock_wall_us() / 1000000) >= x->staple_until_s)
        staple(x, STR_NONE, 0);
}

static bool make_server(struct tls_context *x, const struct snap *s, const struct keys *k, const struct snap_tls_server *r,
                        const struct snap_cert *c, const char **why)
{
    x->server = true;
    x->tickets = r->client_auth == CLIENT_AUTH_NONE;
    x->ctx = wolfSSL_CTX_new(server_method(r));
    *why = "out of memory";
    if (!x->ctx || wolfSSL_CTX_SetMinVersion(x->ctx, r->min_version == TLS_VERSION_1_3 ? WOLFSSL_TLSV1_3 : WOLFSSL_TLSV1_2) !=
                       WOLFSSL_SUCCESS)
        return false;
    if (!common(x->ctx, snap_text(s, r->ciphers), why) || !add_cert(x->ctx, s, k, c, why))
        return false;
    tls_tickets_use(x);
    keep_own_uri(x, snap_text(s, c->chain));
    staple(x, snap_text(s, c->ocsp), c->ocsp_until_s);
    if (r->client_auth == CLIENT_AUTH_NONE) {
        wolfSSL_CTX_set_verify(x->ctx, WOLFSSL_VERIFY_NONE, NULL);
        return true;
    }
    int mode = r->client_auth == CLIENT_AUTH_REQUIRED ? WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                                      : WOLFSSL_VERIFY_PEER;
    x->want.tolerant = r->client_auth == CLIENT_AUTH_TOLERANT;
    wolfSSL_CTX_set_verify(x->ctx, mode, tls_verify_peer);
    struct str ca = snap_text(s, r->ca);
    if (ca.n ? !add_ca(x->ctx, ca, why) : !x->want.tolerant) {
        *why = ca.n ? *why : "it demands client certificates and has no CA to verify them";
        return false;
    }
    *why = "out of memory";
    return tls_demands_set(&x->want, s, r->sans, r->spki, r->hashes, STR_NONE) && add_crl(x->ctx, snap_text(s, r->crl), why);
}

static bool system_ca(struct tls_context *x, const char **why)
{
    struct buf pem = {0};
    ssize_t n = 1;
    *why = "this system has no bundle of CA certificates";
    while (x->all->system_ca_fd >= 0 && n > 0 && pem.n < SYSTEM_CA_MAX && buf_reserve(&pem, 64 * 1024)) {
        n = pread(x->all->system_ca_fd, pem.p + pem.n, 64 * 1024, (off_t)pem.n);
        pem.n += n > 0 ? (size_t)n : 0;
    }
    bool ok = pem.n && add_ca(x->ctx, buf_str(&pem), why);
    buf_fini(&pem);
    return ok;
}

static bool make_client(struct tls_context *x, const struct snap *s, const struct keys *k, const struct snap_tls_client *r,
                        const char **why)
{
    struct str ca = snap_text(s, r->ca);
    const struct snap_range none = {0, 0};
    x->ctx = wolfSSL_CTX_new(wolfTLS_client_method());
    *why = "out of memory";
    if (!x->ctx || wolfSSL_CTX_SetMinVersion(x->ctx, WOLFSSL_TLSV1_2) != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_UseSessionTicket(x->ctx) != WOLFSSL_SUCCESS || !common(x->ctx, STR_NONE, why))
        return false;
    if (r->cert != SNAP_NONE && !add_cert(x->ctx, s, k, &s->CERTS[r->cert], why))
        return false;
    if (r->flags & SNAP_TLS_INSECURE) {
        wolfSSL_CTX_set_verify(x->ctx, WOLFSSL_VERIFY_NONE, NULL);
        return true;
    }
    wolfSSL_CTX_set_verify(x->ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_verify_peer);
    x->want.name = !(r->flags & SNAP_TLS_ANY_NAME);
    *why = "it has no CA to verify with";
    if (ca.n ? !add_ca(x->ctx, ca, why) : !(r->flags & SNAP_TLS_SYSTEM_CA))
        return false;
    if ((r->flags & SNAP_TLS_SYSTEM_CA) && !system_ca(x, why))
        return false;
    *why = "out of memory";
    return tls_demands_set(&x->want, s, r->sans, none, none, snap_text(s, r->identity)) &&
           add_crl(x->ctx, snap_text(s, r->crl), why);
}

static void broken(struct tls_context *x, const struct snap *s, uint32_t origin, const char *why)
{
    const struct snap_origin *o = SNAP_AT(s, ORIGINS, origin);
    const struct snap_object *b = o ? SNAP_AT(s, OBJECTS, o->object) : NULL;
    x->broken = true;
    wolfSSL_CTX_free(x->ctx);
    x->ctx = NULL;
    board_add(&x->all->net->count->tls_contexts_broken, 1);
    if (b)
        log_error(x->all->net->log, "TLS of " STR_FMT " " STR_FMT "/" STR_FMT " (" STR_FMT ":%u) refuses: %s",
                  STR_ARG(snap_name(s, b->kind)), STR_ARG(snap_name(s, b->ns)), STR_ARG(snap_name(s, b->name)),
                  STR_ARG(snap_name(s, b->file)), o->line, why);
    else
        log_error(x->all->net->log, "TLS refuses: %s", why);
}

static enum tls_fault result(struct tls_context *x, struct tls_context **out)
{
    if (!x)
        return TLS_FAULT_MEMORY;
    if (x->broken)
        return TLS_FAULT_CONTEXT;
    *out = tls_context_hold(x);
    return TLS_FAULT_NONE;
}

/* --- asking ---------------------------------------------------------------------------------------------------- */

/* The first one the client can verify. */
static const struct snap_cert *choose_cert(const struct snap *s, const struct snap_tls_server *r, const struct hello *h,
                                           bool tls13)
{
    SNAP_EACH(i, r->certs)
    {
        const struct snap_cert *c = &s->CERTS[s->INDEXES[i]];
        if (hello_takes_key(h, (enum key_type)c->key_type, c->key_bits, tls13))
            return c;
    }
    return NULL;
}

enum tls_fault tls_context_server(struct tls_contexts *all, const struct snap *s, const struct keys *k, uint32_t server,
                                  const struct hello *h, struct tls_context **out)
{
    const struct snap_tls_server *r = &s->TLS_SERVERS[server];
    bool tls13 = h->has_1_3 && r->max_version != TLS_VERSION_1_2;
    const char *why = NULL;
    if (!tls13 && !(h->has_1_2 && r->min_version != TLS_VERSION_1_3))
        return TLS_FAULT_VERSION;
    if (!tls13 && h->fallback && r->max_version != TLS_VERSION_1_2)
        return TLS_FAULT_VERSION; /* RFC 7507: somebody made it try a lower version */
    const struct snap_cert *c = choose_cert(s, r, h, tls13);
    if (!c)
        return TLS_FAULT_CIPHER;
    uint64_t id = hash_mix(r->id, c->id);
    struct tls_context *x = *slot(all, id);
    if (!x && (x = add(all, id, r->id)) && !make_server(x, s, k, r, c, &why))
        broken(x, s, r->origin, why);
    if (x && !x->broken)
        check_staple(x);
    return result(x, out);
}

enum tls_fault tls_context_client(struct tls_contexts *all, const struct snap *s, const struct keys *k, uint32_t client,
                                  struct tls_context **out)
{
    const struct snap_tls_client *r = &s->TLS_CLIENTS[client];
    const char *why = NULL;
    if (r->flags & SNAP_TLS_BROKEN)
        return r->flags & SNAP_TLS_NO_CERT ? TLS_FAULT_OWN_CERT : TLS_FAULT_CONTEXT;
    struct tls_context *x = *slot(all, r->id);
    if (!x && (x = add(all, r->id, r->id)) && !make_client(x, s, k, r, &why))
        broken(x, s, r->origin, why);
    return result(x, out);
}

bool tls_choose_alpn(const struct hello *h, uint8_t offered, uint8_t *chosen)
{
    *chosen = 0;
    if (!h->alpn.n || !offered)
        return true;
    if ((offered & TLS_ALPN_H2) && hello_alpn_has(h, STR("h2")))
        *chosen = TLS_ALPN_H2;
    else if ((offered & TLS_ALPN_HTTP1) && hello_alpn_has(h, STR("http/1.1")))
        *chosen = TLS_ALPN_HTTP1;
    return *chosen != 0;
}

bool tls_context_apply(struct tls_context *x, struct tls *t)
{
    if (!x->server)
        return true;
    wolfSSL_set_timeout(t->ssl, x->all->ticket_lifetime_s);
    if (!x->tickets || !tls_tickets_ready(x->all)) {
        wolfSSL_NoTicketTLSv12(t->ssl);
        wolfSSL_no_ticket_TLSv13(t->ssl);
    }
    return true;
}
