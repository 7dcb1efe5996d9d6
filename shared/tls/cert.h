/*
 * cert.h - what a certificate, a private key, a CA bundle and a revocation list say; and whether they fit.
 *
 * Used by the compiler (is this Secret usable, and if not, why), by `certs`, and by tests. Nothing here trusts its
 * input: PEM and DER come from people. All functions are pure; texts made go to the arena given. wolfSSL's structures
 * stay inside cert.c.
 *
 * Faults are sentences that a person can act on ("the key does not belong to the certificate"), in `why`.
 */
#ifndef GH_TLS_CERT_H
#define GH_TLS_CERT_H

#include "shared/base/arena.h"
#include "shared/tbl/enums.h"

#define CERT_CHAIN_MAX 16          /* certificates of one chain */
#define CERT_BYTES_MAX (64 * 1024) /* of one PEM text with a chain or key; a CA bundle may have 4 MiB */

/* Of one certificate. Slices are in the arena given to cert_read. */
struct cert_info {
    struct str subject, issuer;    /* "CN=a,O=b", for people */
    struct str serial;             /* hex */
    struct str *names;             /* DNS names in lower case ("*.x" possible), IP addresses as text, URIs */
    size_t n_names;
    int64_t not_before_s, not_after_s; /* Unix time */
    enum key_type key_type;
    uint16_t key_bits;
    uint8_t sha256[32];            /* of the DER */
    uint8_t spki_sha256[32];       /* of the SubjectPublicKeyInfo */
    bool is_ca, self_signed;
    uint32_t n_chain;              /* certificates in the text, this one included */
};

/* What is wrong, as a class: decides the status condition and the severity. */
enum cert_fault {
    CERT_OK,
    CERT_EMPTY,       /* nothing there */
    CERT_NOT_PEM,     /* no PEM block of the wanted kind, or one that can't be decoded */
    CERT_BAD,         /* decodes to something that is no certificate, key or list */
    CERT_UNSUPPORTED, /* a key type or size that is not served (DSA, RSA below 2048, unknown curve), an encrypted key */
    CERT_ORDER,       /* the chain's certificates do not sign each other in order */
    CERT_MISMATCH,    /* the key does not belong to the certificate */
    CERT_TOO_LONG,    /* more bytes or certificates than the limits */
    CERT_NO_MEMORY,
};

/* The leaf of a PEM chain; the rest is checked for order. */
enum cert_fault cert_read(struct str pem, struct arena *a, struct cert_info *out, struct buf *why);
/* A PEM private key (PKCS#8, PKCS#1, SEC1; not encrypted), and whether it belongs to the leaf of `chain`. */
enum cert_fault cert_key_check(struct str chain, struct str key, struct buf *why);
/* A PEM bundle of CA certificates; *n is how many it has (at least one when CERT_OK). Those that can't be read are
 * counted in *n_bad and passed over, as long as one is good. */
enum cert_fault cert_bundle_check(struct str pem, size_t *n, size_t *n_bad, struct buf *why);
enum cert_fault cert_crl_check(struct str text, struct buf *why);
/* Is it, at this time, valid: 0 yes, -1 not yet, 1 no longer. */
int cert_at(const struct cert_info *c, int64_t now_s);
/* Does one of its DNS names fit `host` (lower case; "*." covers one label)? IP text compares as an address. */
bool cert_fits_host(const struct cert_info *c, struct str host);

#endif
