/*
 * tls_ticket.c - session tickets (RFC 5077, RFC 8446 4.6.1): encrypted with the keys on the board, bound to the context
 * and to the server name.
 *
 *   name of the key (16) | nonce (12), zeros (4) | AES-256-GCM(session) | tag (16), zeros (16)
 *   authenticated too: the key's name, the context's id, the server name
 */
#include "worker/net/tls_context.h"
#include "worker/net/tls_internal.h"
#include "shared/tls/tls_build.h"

#include <stdlib.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

#define NONCE 12
#define TAG   16

struct tls_tickets {
    struct board_ticket_keys keys;  /* of `turn` */
    uint32_t turn;
    bool has_rng;
    WC_RNG rng;
};

struct tls_tickets *tls_tickets_new(struct board *b)
{
    struct tls_tickets *k = calloc(1, sizeof(*k));
    if (k && b)
        k->has_rng = wc_InitRng_ex(&k->rng, NULL, tls_build_device()) == 0;
    return k;
}

void tls_tickets_free(struct tls_tickets *k)
{
    if (!k)
        return;
    if (k->has_rng)
        wc_FreeRng(&k->rng);
    explicit_bzero(k, sizeof(*k));
    free(k);
}

/* The keys of now. */
static const struct board_ticket_keys *keys_now(struct tls_contexts *all)
{
    struct tls_tickets *k = all->tickets;
    struct board_tickets *t = board_tickets(all->board);
    if (board_tickets_turn(t) != k->turn)
        k->turn = board_tickets_read(t, &k->keys);
    return &k->keys;
}

bool tls_tickets_ready(struct tls_contexts *all)
{
    return all->board && all->ticket_lifetime_s && all->tickets->has_rng && keys_now(all)->n > 0;
}

static size_t bound_to(const struct tls_context *x, const struct tls *t, const unsigned char *name, unsigned char *out)
{
    size_t n = 0;
    memcpy(out, name, 16);
    n += 16;
    memcpy(out + n, &x->id, sizeof(x->id));
    n += sizeof(x->id);
    memcpy(out + n, t->name, t->name_n);
    return n + t->name_n;
}

static int seal(struct tls_tickets *k, Aes *aes, const unsigned char *aad, size_t aad_n, unsigned char *nonce,
                unsigned char *tag, unsigned char *text, word32 n)
{
    memset(nonce, 0, WOLFSSL_TICKET_IV_SZ);
    memset(tag, 0, WOLFSSL_TICKET_MAC_SZ);
    if (wc_RNG_GenerateBlock(&k->rng, nonce, NONCE) != 0)
        return -1;
    return wc_AesGcmEncrypt(aes, text, text, n, nonce, NONCE, tag, TAG, aad, (word32)aad_n);
}

static const struct board_ticket_key *find(const struct board_ticket_keys *keys, const unsigned char *name)
{
    for (uint32_t i = 0; i < keys->n; i++)
        if (memcmp(keys->v[i].name, name, sizeof(keys->v[i].name)) == 0)
            return &keys->v[i];
    return NULL;
}

static int on_ticket(WOLFSSL *ssl, unsigned char name[16], unsigned char iv[16], unsigned char mac[32], int enc,
                     unsigned char *text, int n, int *out_n, void *ctx)
{
    struct tls_context *x = ctx;
    const struct tls *t = wolfSSL_GetIOReadCtx(ssl);
    if (!x->tickets || !tls_tickets_ready(x->all))
        return enc ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    const struct board_ticket_keys *keys = keys_now(x->all);
    const struct board_ticket_key *key = enc ? &keys->v[0] : find(keys, name);
    unsigned char aad[16 + 8 + HELLO_NAME_MAX];
    Aes aes;
    if (!key)
        return WOLFSSL_TICKET_RET_REJECT;
    if (enc)
        memcpy(name, key->name, sizeof(key->name));
    size_t aad_n = bound_to(x, t, name, aad);
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0)
        return enc ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    int err = wc_AesGcmSetKey(&aes, key->key, sizeof(key->key));
    if (!err && enc)
        err = seal(x->all->tickets, &aes, aad, aad_n, iv, mac, text, (word32)n);
    else if (!err)
        err = wc_AesGcmDecrypt(&aes, text, text, (word32)n, iv, NONCE, mac, TAG, aad, (word32)aad_n);
    wc_AesFree(&aes);
    explicit_bzero(&aes, sizeof(aes));
    *out_n = n;
    if (err)
        return enc ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_REJECT;
    /* TLS 1.3 sends new tickets anyway (and would not resume if asked to). */
    bool renew = !enc && key != &keys->v[0] && wolfSSL_version(ssl) == TLS1_2_VERSION;
    return renew ? WOLFSSL_TICKET_RET_CREATE : WOLFSSL_TICKET_RET_OK;
}

void tls_tickets_use(struct tls_context *x)
{
    uint32_t hint = GH_MIN(x->all->ticket_lifetime_s, 86400u);
    wolfSSL_CTX_set_TicketEncCb(x->ctx, on_ticket);
    wolfSSL_CTX_set_TicketEncCtx(x->ctx, x);
    wolfSSL_CTX_set_TicketHint(x->ctx, (int)hint);
}
