#include "shared/tls/key_fits.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include <stdlib.h>
#include <string.h>

/* Bytes of a public number: of RSA 16384, or of a point on P-521. */
#define PUBLIC_MAX 2048

struct number {
    byte p[PUBLIC_MAX];
    word32 n;
};

static bool modulus_of(RsaKey *k, struct number *out)
{
    byte e[64];
    word32 e_len = sizeof(e);
    out->n = sizeof(out->p);
    return wc_RsaFlattenPublicKey(k, e, &e_len, out->p, &out->n) == 0;
}

static bool rsa_fits(struct str spki, const byte *der, word32 n)
{
    struct number mine, its;
    RsaKey private, public;
    word32 at = 0, its_at = 0;
    bool fits = false;
    if (wc_InitRsaKey(&private, NULL) != 0)
        return false;
    if (wc_InitRsaKey(&public, NULL) == 0) {
        fits = wc_RsaPrivateKeyDecode(der, &at, &private, n) == 0 &&
               wc_RsaPublicKeyDecode((const byte *)spki.p, &its_at, &public, (word32)spki.n) == 0 &&
               modulus_of(&private, &mine) && modulus_of(&public, &its) && mine.n == its.n &&
               memcmp(mine.p, its.p, mine.n) == 0;
        wc_FreeRsaKey(&public);
    }
    wc_FreeRsaKey(&private);
    return fits;
}

/* The point ends the SubjectPublicKeyInfo, uncompressed. */
static bool ecc_fits(struct str spki, const byte *der, word32 n)
{
    struct number mine = {.n = sizeof(mine.p)};
    ecc_key k;
    word32 at = 0;
    if (wc_ecc_init(&k) != 0)
        return false;
    bool fits = wc_EccPrivateKeyDecode(der, &at, &k, n) == 0 && wc_ecc_make_pub(&k, NULL) == 0 &&
                wc_ecc_export_x963(&k, mine.p, &mine.n) == 0 && mine.n < spki.n &&
                memcmp(spki.p + spki.n - mine.n, mine.p, mine.n) == 0;
    wc_ecc_free(&k);
    return fits;
}

bool tls_key_fits(struct str spki, struct str key)
{
    byte *der = malloc(key.n + 1);
    int n = der ? wc_KeyPemToDer((const byte *)key.p, (int)key.n, der, (int)key.n, NULL) : -1;
    bool fits = n > 0 && (ecc_fits(spki, der, (word32)n) || rsa_fits(spki, der, (word32)n));
    if (der)
        explicit_bzero(der, key.n);
    free(der);
    return fits;
}
