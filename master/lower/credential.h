/*
 * credential.h - certificates, keys, CA bundles and revocation lists out of Secrets, ConfigMaps and files.
 *
 * Both APIs come here with what a reference found (the reference itself, its kind, its grant and whether the object
 * exists are the caller's questions). Keys of the objects (ISTIO-RULES 2.5, GATEWAY-API-RULES 14):
 *
 *   pair   cert + key, else tls.crt + tls.key; with an optional tls.ocsp-staple     Secret
 *   CA     cacert, else ca.crt                                                      Secret; ConfigMap: ca.crt
 *   CRL    crl beside cert or cacert, else ca.crl                                   Secret; ConfigMap: ca.crl
 *
 * Rules
 *  1. Equal text is read once in a load, whoever asks; the second answer is the first one's. A pair that has been
 *     asked for is a model_cert, so ask only for what will be used.
 *  2. A fault is a value: what it means to a listener or a cluster (a condition, a chain that refuses) and the finding
 *     at the reference are the caller's. What is no fault and still worth knowing (expired, not yet valid, a staple
 *     that clients would refuse, certificates of a bundle that can't be read) is found here, once, at the object or at credential_source.at.
 *  3. No text of a fault or finding holds any of a key.
 *  4. An object whose pair can't be used is refused when it is loaded (credentials_vet), so that its last good version
 *     goes on serving (store/load.h): the old pair stays. What was never good is not in the store at all.
 */
#ifndef GH_LOWER_CREDENTIAL_H
#define GH_LOWER_CREDENTIAL_H

#include "master/lower/lower.h"

struct credentials; /* what has been read in this load */

struct credential_fault {
    enum cert_fault kind; /* CERT_OK: none */
    struct str text;      /* "Secret ns/name: tls.crt is missing", "FILE: the text has no certificate"; no full stop */
};

/* Where a text comes from that is in no object: a file. */
struct credential_source {
    const struct node *at;      /* who names it; findings stand there */
    struct model_origin origin; /* of the certificate */
    struct str name;            /* how faults call it: the path */
};

/* ---- from objects (Secret; CA and CRL also ConfigMap) ---- */

/* Are the keys there at all? Empty values count. */
bool credential_has_pair(const struct object *o);
bool credential_has_ca(const struct object *o);

/* NULL and *why when there is no usable pair. */
struct model_cert *credential_pair(struct lower *l, const struct object *secret, struct credential_fault *why);
/* A PEM bundle with at least one usable certificate; p is NULL and *why says it otherwise. Lives as long as the load. */
struct str credential_ca(struct lower *l, const struct object *o, struct credential_fault *why);
/* p NULL with CERT_OK: it has none. */
struct str credential_crl(struct lower *l, const struct object *o, struct credential_fault *why);

/* ---- from texts that the caller has read; `ocsp` may be empty. Texts must live as long as the load. ---- */

struct model_cert *credential_pair_text(struct lower *l, const struct credential_source *src, struct str chain,
                                        struct str key, struct str ocsp, struct credential_fault *why);
struct str credential_ca_text(struct lower *l, const struct credential_source *src, struct str pem,
                              struct credential_fault *why);
struct str credential_crl_text(struct lower *l, const struct credential_source *src, struct str text,
                               struct credential_fault *why);

/* ---- while objects are loaded ---- */

struct credentials *credentials_new(struct arena *a, uint64_t now_wall_us);
/*
 * load_input.vet with a struct credentials as its context: false, and an error in `ds`, for a Secret of type
 * kubernetes.io/tls, or one with the keys of a pair, whose pair can't be used. Everything else is fine.
 * Give the same struct to lower.credentials, and nothing is read twice.
 */
bool credentials_vet(void *ctx, const struct object *o, struct diags *ds);
/* Why the Secret of this name, as it stands in its file, was refused so; empty when it was not. */
struct str credential_rejection(struct lower *l, struct str ns, struct str name);

#endif
