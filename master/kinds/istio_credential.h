/*
 * istio_credential.h - how Istio names certificates: credentialName and its relatives (ISTIO-RULES 2.5), digests of
 * certificates, and the cipher suites of a server.
 *
 * All functions are pure over slices; findings go to the decoder.
 */
#ifndef GH_KINDS_ISTIO_CREDENTIAL_H
#define GH_KINDS_ISTIO_CREDENTIAL_H

#include "master/kinds/schema.h"

enum istio_credential_kind {
    ISTIO_CREDENTIAL_BAD,        /* none of these forms */
    ISTIO_CREDENTIAL_SECRET,     /* "name", "kubernetes://name", "kubernetes://ns/name" */
    ISTIO_CREDENTIAL_GATEWAY,    /* "kubernetes-gateway://ns/name": a Secret of another namespace, with a grant */
    ISTIO_CREDENTIAL_CONFIG_MAP, /* "configmap://ns/name": a CA */
    ISTIO_CREDENTIAL_SDS,        /* "sds://resource": from a server of secrets */
    ISTIO_CREDENTIAL_BUILTIN,    /* "builtin://": the certificate of the instance itself */
    ISTIO_CREDENTIAL_INVALID,    /* "invalid://...": never there */
};
struct istio_credential {
    enum istio_credential_kind kind;
    struct str ns, name; /* ns empty: not named */
};
struct istio_credential istio_credential_parse(struct str text);

/* What may stand in a place. */
enum {
    ISTIO_CREDENTIAL_PAIR = 1 << 0, /* a certificate with its key: no ConfigMap */
    ISTIO_CREDENTIAL_CA = 1 << 1,   /* a CA: no "builtin://" */
};
void istio_credential_check(struct decoder *d, const struct node *at, struct str text, unsigned flags);

/* The 32 bytes of a digest in base64; in hex, with or without colons. `out` has 64 bytes and gets the hex form in lower
 * case. */
bool istio_digest_base64(struct str text);
bool istio_digest_hex(struct str text, char out[64]);

/* A suite of tls.cipherSuites. */
enum istio_cipher {
    ISTIO_CIPHER_UNKNOWN,  /* dropped, with a warning */
    ISTIO_CIPHER_SERVED,   /* with forward secrecy and AEAD */
    ISTIO_CIPHER_UNSAFE,   /* Istio takes it, this program never does */
    ISTIO_CIPHER_OPERATOR, /* "ALL", "+x", "-x", "!x", "@x", "[x": a word of OpenSSL's language */
};
enum istio_cipher istio_cipher_of(struct str name);

#endif
