#include "shared/tls/cert.h"
#include "shared/tls/key_fits.h"
#include "shared/tls/x509.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <arpa/inet.h>
#include <stdlib.h>

#define RSA_BITS_MIN 2048
#define BUNDLE_BYTES_MAX (4u * 1024 * 1024)
#define CERTIFICATE STR("CERTIFICATE")

/* A decoded certificate, on the heap; freed with der_free. */
struct der_cert {
    char *p;
    size_t n;
    struct x509 x;
};

static enum cert_fault say(struct buf *why, enum cert_fault f, const char *fmt, ...) GH_PRINTF(3, 4);
static enum cert_fault say(struct buf *why, enum cert_fault f, const char *fmt, ...)
{
    va_list ap;
    if (!why)
        return f;
    va_start(ap, fmt);
    buf_vaddf(why, fmt, ap);
    va_end(ap);
    return f;
}

static void der_free(struct der_cert *d)
{
    free(d->p);
    d->p = NULL;
}

/* One certificate out of the base64 of a PEM block; `number` counts from 1, for people. */
static enum cert_fault decode(struct str base64, unsigned number, struct der_cert *out, struct buf *why)
{
    *out = (struct der_cert){.p = malloc(base64.n + 1)};
    if (!out->p)
        return say(why, CERT_NO_MEMORY, "no memory to read it");
    if (!pem_decode(base64, out->p, &out->n)) {
        der_free(out);
        return say(why, CERT_NOT_PEM, "certificate %u is not valid base64", number);
    }
    if (!x509_read(str_of(out->p, out->n), &out->x)) {
        der_free(out);
        return say(why, CERT_BAD, "certificate %u is damaged: it does not decode to an X.509 certificate", number);
    }
    return CERT_OK;
}

static bool blank(struct str s)
{
    return str_trim(s, " \t\r\n").n == 0;
}

static enum cert_fault no_block(struct str pem, struct buf *why)
{
    if (blank(pem))
        return say(why, CERT_EMPTY, "it is empty");
    if (str_find(pem, STR("PRIVATE KEY-----")) >= 0)
        return say(why, CERT_NOT_PEM, "the text has a private key where a certificate belongs");
    return say(why, CERT_NOT_PEM, "the text has no complete block -----BEGIN CERTIFICATE-----");
}

/* --- the leaf ---------------------------------------------------------------------------------------- */

static enum cert_fault key_served(const struct x509 *x, struct buf *why)
{
    if (x->key_type == KEY_NONE)
        return say(why, CERT_UNSUPPORTED, "its public key is of a kind that is not served (RSA, and ECDSA on P-256, P-384 "
                                          "and P-521 are)");
    if (x->key_type == KEY_ED25519)
        return say(why, CERT_UNSUPPORTED, "Ed25519 keys are not served (browsers do not take them); use ECDSA P-256");
    if (x->key_type == KEY_RSA && x->key_bits < RSA_BITS_MIN)
        return say(why, CERT_UNSUPPORTED, "its RSA key has %u bits; %d are the least that clients accept", x->key_bits,
                   RSA_BITS_MIN);
    return CERT_OK;
}

static struct str text_of(struct arena *a, struct str name)
{
    struct buf b = {0};
    x509_name_text(name, &b);
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static struct str hex_of(struct arena *a, struct str bytes)
{
    struct buf b = {0};
    for (size_t i = 0; i < bytes.n; i++)
        buf_addf(&b, "%02x", (unsigned char)bytes.p[i]);
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static struct str name_text(struct arena *a, enum x509_name_type type, struct str v)
{
    char ip[INET6_ADDRSTRLEN];
    if (type == X509_IP)
        return inet_ntop(v.n == 4 ? AF_INET : AF_INET6, v.p, ip, sizeof(ip)) ? arena_str(a, str_c(ip)) : STR_NONE;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] >= 0x7f)
            return STR_NONE; /* no name: it could only deceive who reads it */
    struct str s = arena_str(a, v);
    for (size_t i = 0; s.p && type == X509_DNS && i < s.n; i++)
        ((char *)(uintptr_t)s.p)[i] = ascii_lower(s.p[i]);
    return s;
}

static bool read_names(struct arena *a, const struct x509 *x, struct cert_info *out)
{
    enum x509_name_type type;
    struct str rest = x->names, v;
    size_t n = 0;
    while (x509_next_name(&rest, &type, &v))
        n++;
    out->names = arena_new_n(a, struct str, n + 1);
    for (rest = x->names; out->names && x509_next_name(&rest, &type, &v);) {
        struct str s = type == X509_EMAIL ? STR_NONE : name_text(a, type, v);
        if (s.n)
            out->names[out->n_names++] = s;
    }
    return out->names != NULL;
}

static enum cert_fault fill(struct arena *a, const struct der_cert *d, struct cert_info *out, struct buf *why)
{
    const struct x509 *x = &d->x;
    *out = (struct cert_info){
        .subject = text_of(a, x->subject),
        .issuer = text_of(a, x->issuer),
        .serial = hex_of(a, x->serial),
        .not_before_s = x->not_before_s,
        .not_after_s = x->not_after_s,
        .key_type = x->key_type,
        .key_bits = x->key_bits,
        .is_ca = x->is_ca,
        .self_signed = str_eq(x->subject, x->issuer),
        .n_chain = 1,
    };
    if (!read_names(a, x, out))
        return say(why, CERT_NO_MEMORY, "no memory to read it");
    if (wc_Sha256Hash((const byte *)d->p, (word32)d->n, out->sha256) ||
        wc_Sha256Hash((const byte *)x->spki.p, (word32)x->spki.n, out->spki_sha256))
        return say(why, CERT_NO_MEMORY, "it could not be hashed");
    return CERT_OK;
}

/* --- chains ------------------------------------------------------------------------------------------- */

/* The certificates behind the first one: each must have issued the one before it. */
static enum cert_fault read_rest(struct str rest, struct der_cert *before, uint32_t *n, struct buf *why)
{
    struct str base64;
    while (pem_next(&rest, CERTIFICATE, &base64)) {
        struct der_cert next;
        if (++*n > CERT_CHAIN_MAX)
            return say(why, CERT_TOO_LONG, "the chain has more than %d certificates", CERT_CHAIN_MAX);
        enum cert_fault f = decode(base64, *n, &next, why);
        if (f)
            return f;
        bool fits = str_eq(before->x.issuer, next.x.subject);
        der_free(before);
        *before = next;
        if (!fits)
            return say(why, CERT_ORDER, "certificate %u is not the issuer of certificate %u: the server's certificate "
                                        "comes first, each followed by the one that signed it",
                       *n, *n - 1);
    }
    return CERT_OK;
}

enum cert_fault cert_read(struct str pem, struct arena *a, struct cert_info *out, struct buf *why)
{
    struct str base64, rest = pem;
    struct der_cert d;
    if (pem.n > CERT_BYTES_MAX)
        return say(why, CERT_TOO_LONG, "the text is longer than %d bytes", CERT_BYTES_MAX);
    if (!pem_next(&rest, CERTIFICATE, &base64))
        return no_block(pem, why);
    enum cert_fault f = decode(base64, 1, &d, why);
    if (f)
        return f;
    f = key_served(&d.x, why);
    if (!f)
        f = fill(a, &d, out, why);
    if (!f)
        f = read_rest(rest, &d, &out->n_chain, why);
    der_free(&d);
    return f;
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static enum cert_fault key_shape(struct str key, struct buf *why)
{
    static const char *const LABELS[] = {"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"};
    struct str rest, base64;
    if (blank(key))
        return say(why, CERT_EMPTY, "it is empty");
    if (key.n > CERT_BYTES_MAX)
        return say(why, CERT_TOO_LONG, "the text is longer than %d bytes", CERT_BYTES_MAX);
    if (str_find(key, STR("-----BEGIN ENCRYPTED PRIVATE KEY-----")) >= 0 || str_find(key, STR("Proc-Type: 4,ENCRYPTED")) >= 0)
        return say(why, CERT_UNSUPPORTED, "the key is encrypted; store it decrypted (openssl pkey -in KEY -out PLAIN)");
    for (size_t i = 0; i < ARRAY_LEN(LABELS); i++) {
        rest = key;
        if (pem_next(&rest, str_c(LABELS[i]), &base64))
            return CERT_OK;
    }
    if (str_find(key, STR("-----BEGIN CERTIFICATE-----")) >= 0)
        return say(why, CERT_NOT_PEM, "the text has a certificate where the private key belongs");
    return say(why, CERT_NOT_PEM, "the text has no complete block -----BEGIN PRIVATE KEY-----");
}

/* The library's own judgement, on a context that is thrown away. */
static enum cert_fault try_pair(WOLFSSL_CTX *ctx, struct str chain, struct str key, struct buf *why)
{
    if (wolfSSL_CTX_use_certificate_chain_buffer(ctx, (const byte *)chain.p, (long)chain.n) != WOLFSSL_SUCCESS)
        return say(why, CERT_BAD, "the certificate is damaged, or of a kind that the TLS library does not take");
    int rc = wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const byte *)key.p, (long)key.n, WOLFSSL_FILETYPE_PEM);
    if (rc == MEMORY_E)
        return say(why, CERT_NO_MEMORY, "no memory to read it");
    if (rc != WOLFSSL_SUCCESS) {
        /* Of another type than the certificate's: the library can't tell that from a damaged one. */
        return say(why, rc == WOLFSSL_BAD_FILE ? CERT_MISMATCH : CERT_BAD,
                   rc == WOLFSSL_BAD_FILE ? "the private key does not belong to the certificate (or is damaged)"
                                          : "the private key is damaged, or of a kind that is not served");
    }
    if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS)
        return say(why, CERT_MISMATCH, "the private key does not belong to the certificate");
    return CERT_OK;
}

/* Not every build of the library compares them. */
static enum cert_fault compare(struct str chain, struct str key, struct buf *why)
{
    struct str rest = chain, base64;
    struct der_cert d;
    if (!pem_next(&rest, CERTIFICATE, &base64))
        return no_block(chain, why);
    enum cert_fault f = decode(base64, 1, &d, why);
    if (f)
        return f;
    if (!tls_key_fits(d.x.spki, key))
        f = say(why, CERT_MISMATCH, "the private key does not belong to the certificate");
    der_free(&d);
    return f;
}

enum cert_fault cert_key_check(struct str chain, struct str key, struct buf *why)
{
    enum cert_fault f = key_shape(key, why);
    if (f)
        return f;
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return say(why, CERT_NO_MEMORY, "the TLS library did not start");
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(wolfTLS_server_method());
    f = ctx ? try_pair(ctx, chain, key, why) : say(why, CERT_NO_MEMORY, "no memory to check it");
    f = f ? f : compare(chain, key, why);
    wolfSSL_CTX_free(ctx);
    wolfSSL_Cleanup();
    return f;
}

/* --- CA bundles and revocation lists ------------------------------------------------------------------- */

enum cert_fault cert_bundle_check(struct str pem, size_t *n, size_t *n_bad, struct buf *why)
{
    struct str rest = pem, base64;
    struct der_cert d;
    *n = *n_bad = 0;
    if (pem.n > BUNDLE_BYTES_MAX)
        return say(why, CERT_TOO_LONG, "the bundle is longer than %u bytes", BUNDLE_BYTES_MAX);
    while (pem_next(&rest, CERTIFICATE, &base64)) {
        enum cert_fault f = decode(base64, (unsigned)(*n + 1), &d, NULL);
        if (f == CERT_NO_MEMORY)
            return say(why, f, "no memory to read it");
        if (!f)
            der_free(&d);
        *n += 1;
        *n_bad += f != CERT_OK;
    }
    if (*n == 0)
        return no_block(pem, why);
    if (*n == *n_bad)
        return say(why, CERT_BAD, "none of its %zu certificates can be read", *n);
    return CERT_OK;
}

enum cert_fault cert_crl_check(struct str text, struct buf *why)
{
    if (blank(text))
        return say(why, CERT_EMPTY, "it is empty");
    if (text.n > BUNDLE_BYTES_MAX)
        return say(why, CERT_TOO_LONG, "the list is longer than %u bytes", BUNDLE_BYTES_MAX);
    bool pem = str_find(text, STR("-----BEGIN X509 CRL-----")) >= 0;
    if (!pem && text.p[0] != 0x30)
        return say(why, CERT_NOT_PEM, "the text has no block -----BEGIN X509 CRL-----, and is no DER either");
    if (wolfSSL_Init() != WOLFSSL_SUCCESS)
        return say(why, CERT_NO_MEMORY, "the TLS library did not start");
    WOLFSSL_CERT_MANAGER *cm = wolfSSL_CertManagerNew();
    enum cert_fault f = CERT_NO_MEMORY;
    /* Without its CA a list can be read, not verified: that error says that the shape is right. */
    if (cm) {
        int rc = wolfSSL_CertManagerLoadCRLBuffer(cm, (const byte *)text.p, (long)text.n,
                                                  pem ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1);
        f = rc == WOLFSSL_SUCCESS || rc == ASN_CRL_NO_SIGNER_E || rc == ASN_CRL_CONFIRM_E ? CERT_OK : CERT_BAD;
        if (f)
            say(why, f, "the revocation list is damaged");
    } else {
        say(why, f, "no memory to check it");
    }
    wolfSSL_CertManagerFree(cm);
    wolfSSL_Cleanup();
    return f;
}

/* --- judgements ------------------------------------------------------------------------------------------ */

int cert_at(const struct cert_info *c, int64_t now_s)
{
    return now_s < c->not_before_s ? -1 : now_s > c->not_after_s;
}

/* RFC 6125 6.4.3: '*' is the whole first label and stands for exactly one. */
static bool name_fits(struct str name, struct str host)
{
    if (str_eq(name, host))
        return true;
    ptrdiff_t dot = str_chr(host, '.');
    return str_starts(name, STR("*.")) && dot > 0 && str_eq(str_skip(name, 1), str_skip(host, (size_t)dot)) &&
           str_chr(str_skip(name, 2), '.') > 0;
}

static bool address_of(struct str s, uint8_t *out, size_t *n)
{
    char text[INET6_ADDRSTRLEN];
    if (s.n >= sizeof(text) || !s.n)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *n = inet_pton(AF_INET, text, out) == 1 ? 4 : inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
    return *n != 0;
}

bool cert_fits_host(const struct cert_info *c, struct str host)
{
    uint8_t want[16], have[16];
    size_t n = 0, m;
    bool ip = address_of(host, want, &n);
    for (size_t i = 0; i < c->n_names; i++) {
        if (ip ? address_of(c->names[i], have, &m) && m == n && memcmp(have, want, n) == 0 : name_fits(c->names[i], host))
            return true;
    }
    return false;
}
