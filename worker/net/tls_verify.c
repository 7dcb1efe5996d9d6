/*
 * tls_verify.c - what is demanded of a peer's certificate beyond what the library verifies.
 */
#include "worker/net/tls_context.h"
#include "worker/net/tls_internal.h"
#include "shared/tls/peer_name.h"

#include <stdlib.h>
#include <wolfssl/wolfcrypt/coding.h>
#include <wolfssl/wolfcrypt/sha256.h>

/* Copies: contexts live longer than the snapshot they were made from. */
static bool copy_texts(struct str **out, size_t *n, const struct snap *s, struct snap_range r)
{
    size_t bytes = 0;
    *n = r.n;
    SNAP_EACH(i, r)
    {
        bytes += s->NAMES[i].len;
    }
    if (!r.n)
        return true;
    struct str *v = malloc(r.n * sizeof(*v) + bytes);
    if (!v)
        return false;
    char *at = (char *)(v + r.n);
    for (uint32_t i = 0; i < r.n; i++) {
        struct str t = snap_text(s, s->NAMES[r.first + i]);
        memcpy(at, t.p, t.n);
        v[i] = str_of(at, t.n);
        at += t.n;
    }
    *out = v;
    return true;
}

bool tls_demands_set(struct tls_demands *d, const struct snap *s, struct snap_range sans, struct snap_range spki,
                     struct snap_range hashes, struct str identity)
{
    if (identity.n) {
        char *copy = malloc(identity.n);
        if (!copy)
            return false;
        memcpy(copy, identity.p, identity.n);
        d->identity = str_of(copy, identity.n);
    }
    return copy_texts(&d->sans, &d->n_sans, s, sans) && copy_texts(&d->spki, &d->n_spki, s, spki) &&
           copy_texts(&d->hashes, &d->n_hashes, s, hashes);
}

void tls_demands_fini(struct tls_demands *d)
{
    free(d->sans);
    free(d->spki);
    free(d->hashes);
    free((char *)(uintptr_t)d->identity.p);
}

static bool has_san(const struct tls_demands *d, const struct x509 *c)
{
    for (size_t i = 0; i < d->n_sans; i++)
        if (x509_has_name(c, d->sans[i]) || x509_fits_host(c, d->sans[i]))
            return true;
    return false;
}

static bool listed(const struct str *v, size_t n, struct str text, bool any_case)
{
    for (size_t i = 0; i < n; i++)
        if (any_case ? str_ieq(v[i], text) : str_eq(v[i], text))
            return true;
    return false;
}

/* One of the two lists, unless both are empty. */
static bool pinned(const struct tls_demands *d, const struct x509 *c, struct str der)
{
    unsigned char sum[WC_SHA256_DIGEST_SIZE];
    char text[2 * sizeof(sum) + 1];
    word32 n = sizeof(text);
    if (!d->n_spki && !d->n_hashes)
        return true;
    if (d->n_spki && wc_Sha256Hash((const byte *)c->spki.p, (word32)c->spki.n, sum) == 0 &&
        Base64_Encode_NoNl(sum, sizeof(sum), (byte *)text, &n) == 0 && listed(d->spki, d->n_spki, str_of(text, n), false))
        return true;
    if (!d->n_hashes || wc_Sha256Hash((const byte *)der.p, (word32)der.n, sum) != 0)
        return false;
    for (size_t i = 0; i < sizeof(sum); i++)
        snprintf(text + 2 * i, 3, "%02x", sum[i]);
    return listed(d->hashes, d->n_hashes, str_of(text, 2 * sizeof(sum)), true);
}

static enum tls_fault judge(const struct tls *t, const struct tls_demands *d, struct str der)
{
    struct x509 c;
    if (!x509_read(der, &c))
        return TLS_FAULT_BAD_CERT;
    if (d->n_sans) {
        if (!has_san(d, &c))
            return TLS_FAULT_WRONG_NAME;
    } else if (d->name && !x509_fits_host(&c, d->identity.n ? d->identity : tls_name(t))) {
        return TLS_FAULT_WRONG_NAME;
    }
    return pinned(d, &c, der) ? TLS_FAULT_NONE : TLS_FAULT_WRONG_PIN;
}

static void keep_peer(struct tls *t, struct str der, bool verified)
{
    free(t->peer);
    t->peer = malloc(sizeof(*t->peer) + der.n);
    if (t->peer) {
        t->peer->n = der.n;
        memcpy(t->peer->der, der.p, der.n);
    }
    if (verified)
        t->flags |= TLS_F_VERIFIED;
}

/* For the peer's own certificate in any case, for others when something is wrong with them. */
int tls_verify_peer(int good, WOLFSSL_X509_STORE_CTX *store)
{
    struct tls *t = store->userCtx;
    const struct tls_demands *d = &t->context->want;
    bool own = store->error_depth == 0 && store->totalCerts > 0 && store->certs;
    struct str der = own ? str_of((const char *)store->certs[0].buffer, store->certs[0].length) : STR_NONE;
    enum tls_fault f = TLS_FAULT_NONE;
    if (good && own)
        f = judge(t, d, der);
    if (f != TLS_FAULT_NONE && !d->tolerant)
        t->fault = (uint8_t)f;
    bool fine = good && f == TLS_FAULT_NONE;
    if (own && t->context->server)
        keep_peer(t, der, fine);
    if (!fine && own)
        t->flags &= (uint16_t)~TLS_F_VERIFIED;
    return fine || d->tolerant;
}
