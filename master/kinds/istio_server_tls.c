/*
 * istio_server_tls.c - the `tls` block of a Gateway's server: table and rules (ISTIO-RULES 2.2, 2.3).
 */
#include "master/kinds/istio_credential.h"
#include "master/kinds/istio_gateway.h"

bool istio_tls_terminates(int32_t mode)
{
    return mode != ISTIO_TLS_PASSTHROUGH && mode != ISTIO_TLS_AUTO_PASSTHROUGH;
}

bool istio_tls_wants_client_certificate(int32_t mode)
{
    return mode == ISTIO_TLS_MUTUAL || mode == ISTIO_TLS_OPTIONAL_MUTUAL || mode == ISTIO_TLS_ISTIO_MUTUAL;
}

/* ---- table ------------------------------------------------------------------------------------ */

static const struct enum_row ENUM_TLS_MODE[] = {
    {"PASSTHROUGH", ISTIO_TLS_PASSTHROUGH},
    {"SIMPLE", ISTIO_TLS_SIMPLE},
    {"MUTUAL", ISTIO_TLS_MUTUAL},
    {"AUTO_PASSTHROUGH", ISTIO_TLS_AUTO_PASSTHROUGH},
    {"ISTIO_MUTUAL", ISTIO_TLS_ISTIO_MUTUAL},
    {"OPTIONAL_MUTUAL", ISTIO_TLS_OPTIONAL_MUTUAL},
    {0},
};
static const struct enum_row ENUM_TLS_VERSION[] = {
    {"TLS_AUTO", ISTIO_TLS_AUTO}, {"TLSV1_0", ISTIO_TLSV1_0}, {"TLSV1_1", ISTIO_TLSV1_1},
    {"TLSV1_2", ISTIO_TLSV1_2},   {"TLSV1_3", ISTIO_TLSV1_3}, {0},
};

static const struct field TLS_PAIR_FIELDS[] = {
    FIELD_STR(struct istio_tls_pair, server_certificate, "serverCertificate", FIELD_NONEMPTY | FIELD_REQUIRED,
              "File with the certificate chain, PEM.", .max = 4096),
    FIELD_STR(struct istio_tls_pair, private_key, "privateKey", FIELD_NONEMPTY | FIELD_REQUIRED,
              "File with the private key, PEM.", .max = 4096),
    FIELD_NAMED("caCertificates", FIELD_IGNORED, "Has no effect here; the CA of a server stands in tls.caCertificates."),
};
static const struct schema SCHEMA_TLS_PAIR =
    SCHEMA(struct istio_tls_pair, TLS_PAIR_FIELDS, NULL, "A certificate and its key, as files.");

#define T struct istio_server_tls
static const struct field SERVER_TLS_FIELDS[] = {
    FIELD_BOOL(T, https_redirect, "httpsRedirect", 0,
               "Answer every request of the server's hosts with 301 to https. For HTTP servers."),
    FIELD_ENUM(T, mode, "mode", ENUM_TLS_MODE, ISTIO_TLS_PASSTHROUGH,
               "SIMPLE, MUTUAL (client certificate required) and OPTIONAL_MUTUAL end TLS here; ISTIO_MUTUAL does so with the "
               "certificate of the instance (mesh in gatehouse.yaml); PASSTHROUGH leads connections by their SNI to the tls "
               "rules of VirtualServices, AUTO_PASSTHROUGH to the services it names."),
    FIELD_STR(T, credential_name, "credentialName", 0,
              "Secret with the certificate (tls.crt, tls.key, or cert, key) and perhaps the CA (ca.crt or cacert), in the "
              "namespace of the instance. Also kubernetes://name and builtin://."),
    FIELD_STR_LIST(T, credential_names, "credentialNames", 0, "One or two Secrets: an RSA and an ECDSA pair.", .max = 2),
    FIELD_STR(T, server_certificate, "serverCertificate", 0, "File with the certificate chain, PEM; watched.", .max = 4096),
    FIELD_STR(T, private_key, "privateKey", 0, "File with the private key, PEM; watched.", .max = 4096),
    FIELD_STR(T, ca_certificates, "caCertificates", 0, "File with the CA that client certificates are checked against.",
              .max = 4096),
    FIELD_STR(T, ca_crl, "caCrl", 0, "File with revoked client certificates.", .max = 4096),
    FIELD_LIST(T, certificates, "tlsCertificates", 0, &SCHEMA_TLS_PAIR, "One or two pairs of certificate and key, as files."),
    FIELD_STR(T, ca_cert_credential_name, "caCertCredentialName", 0,
              "Secret, or configmap://namespace/name, with the CA for client certificates; wins over the one of "
              "credentialName."),
    FIELD_STR_LIST(T, subject_alt_names, "subjectAltNames", 0, "Names of which a client certificate must have one, exactly.",
                   .max = 256),
    FIELD_STR_LIST(T, spki, "verifyCertificateSpki", 0,
                   "Base64 SHA-256 of public keys. With verifyCertificateHash: one entry of the two lists must fit.", .max = 256),
    FIELD_STR_LIST(T, hash, "verifyCertificateHash", 0, "Hex SHA-256 of client certificates, with or without colons.", .max = 256),
    FIELD_ENUM(T, min_version, "minProtocolVersion", ENUM_TLS_VERSION, ISTIO_TLS_AUTO,
               "Oldest TLS version; TLS_AUTO is 1.2, and nothing older is served."),
    FIELD_ENUM(T, max_version, "maxProtocolVersion", ENUM_TLS_VERSION, ISTIO_TLS_AUTO, "Newest TLS version; TLS_AUTO is 1.3."),
    FIELD_STR_LIST(T, cipher_suites, "cipherSuites", 0,
                   "OpenSSL names of cipher suites for TLS 1.2. Only those with forward secrecy and AEAD are served.", .max = 64),
    FIELD_BOOL(T, insecure_skip_verify, "insecureSkipVerify", 0,
               "Ask for a client certificate, but let connections in whose certificate does not verify."),
};
#undef T
const struct schema SCHEMA_ISTIO_SERVER_TLS =
    SCHEMA(struct istio_server_tls, SERVER_TLS_FIELDS, NULL, "TLS of a server; on HTTP ports only httpsRedirect.");

/* ---- where the certificate comes from ------------------------------------------------------------- */

/* At most one way to say it. */
static void sources_check(struct decoder *d, const struct istio_server_tls *t)
{
    bool files = t->server_certificate.n || t->private_key.n;
    const struct { bool set; const char *field; } SOURCES[] = {
        {t->credential_name.n > 0, "credentialName"},
        {t->credential_names.n > 0, "credentialNames"},
        {files, t->server_certificate.n ? "serverCertificate" : "privateKey"},
        {t->certificates.n > 0, "tlsCertificates"},
    };
    const char *first = NULL;
    for (size_t i = 0; i < ARRAY_LEN(SOURCES); i++) {
        if (!SOURCES[i].set)
            continue;
        if (first)
            diag_at(d->diags, DIAG_Exclusive, istio_at(t->node, SOURCES[i].field),
                    "one of credentialName, credentialNames, serverCertificate + privateKey, tlsCertificates",
                    "%s gives the certificate already", first);
        else
            first = SOURCES[i].field;
    }
    if (t->certificates.n > 2)
        diag_at(d->diags, DIAG_Suspicious, istio_item(t->node, "tlsCertificates", 2), NULL,
                "only one RSA and one ECDSA pair are used");
}

static void names_check(struct decoder *d, const struct istio_server_tls *t)
{
    if (t->credential_name.n)
        istio_credential_check(d, istio_at(t->node, "credentialName"), t->credential_name, ISTIO_CREDENTIAL_PAIR);
    for (size_t i = 0; i < t->credential_names.n; i++)
        istio_credential_check(d, istio_item(t->node, "credentialNames", i), t->credential_names.v[i], ISTIO_CREDENTIAL_PAIR);
    if (t->ca_cert_credential_name.n)
        istio_credential_check(d, istio_at(t->node, "caCertCredentialName"), t->ca_cert_credential_name, ISTIO_CREDENTIAL_CA);
}

/* What a terminating mode needs when no Secret is named. */
static void files_check(struct decoder *d, const struct istio_server_tls *t)
{
    const struct node *names = istio_get(t->node, "credentialNames"); /* too many of them are none */
    bool secret = t->credential_name.n || (names && names->n_kids);
    bool mutual = istio_tls_wants_client_certificate(t->mode);
    if (!secret && t->certificates.n == 0 && (!t->server_certificate.n || !t->private_key.n))
        diag_at(d->diags, DIAG_Required, t->node, "name a Secret in credentialName, or two files",
                "a terminating server needs a certificate: %s is missing",
                t->server_certificate.n ? "privateKey" : t->private_key.n ? "serverCertificate" : "credentialName");
    if (mutual && !secret && !t->ca_certificates.n && !t->ca_cert_credential_name.n)
        diag_at(d->diags, DIAG_Required, t->node, NULL, "client certificates need a CA: caCertificates is missing");
    if (t->ca_crl.n && secret)
        diag_at(d->diags, DIAG_Exclusive, istio_at(t->node, "caCrl"), "put the list into the Secret, key ca.crl",
                "caCrl and a Secret exclude each other");
    if (t->ca_crl.n && t->mode == ISTIO_TLS_SIMPLE)
        diag_at(d->diags, DIAG_Exclusive, istio_at(t->node, "caCrl"), NULL,
                "mode SIMPLE asks for no client certificate that could be revoked");
}

/* ---- what is demanded of clients --------------------------------------------------------------------- */

static void client_check(struct decoder *d, const struct istio_server_tls *t)
{
    static const char *const OF_CLIENTS[] = {"caCertCredentialName", "subjectAltNames", "verifyCertificateSpki",
                                             "verifyCertificateHash", "insecureSkipVerify"};
    char hex[64];
    for (size_t i = 0; i < t->spki.n; i++)
        if (!istio_digest_base64(t->spki.v[i]))
            diag_at(d->diags, DIAG_BadValue, istio_item(t->node, "verifyCertificateSpki", i), "44 characters, the last one is '='",
                    "is no SHA-256 in base64");
    for (size_t i = 0; i < t->hash.n; i++)
        if (!istio_digest_hex(t->hash.v[i], hex))
            diag_at(d->diags, DIAG_BadValue, istio_item(t->node, "verifyCertificateHash", i),
                    "64 hex digits, or 32 pairs of them with colons between", "is no SHA-256 in hex");
    for (size_t i = 0; i < ARRAY_LEN(OF_CLIENTS) && !istio_tls_wants_client_certificate(t->mode); i++) {
        const struct node *v = istio_get(t->node, OF_CLIENTS[i]);
        if (v && v->type != NODE_NULL)
            diag_at(d->diags, DIAG_Ignored, v, "mode: MUTUAL or OPTIONAL_MUTUAL", "this mode asks for no client certificate");
    }
    if (istio_tls_wants_client_certificate(t->mode) && t->insecure_skip_verify.v)
        diag_at(d->diags, DIAG_Suspicious, istio_at(t->node, "insecureSkipVerify"), "backends must judge X-Forwarded-Client-Cert",
                "clients get in with any certificate, and with none");
}

static void versions_check(struct decoder *d, const struct istio_server_tls *t)
{
    const struct node *min = istio_at(t->node, "minProtocolVersion"), *max = istio_at(t->node, "maxProtocolVersion");
    if (t->max_version != ISTIO_TLS_AUTO && t->min_version > t->max_version)
        diag_at(d->diags, DIAG_BadValue, min, NULL, "the oldest version is newer than the newest");
    else if (t->max_version != ISTIO_TLS_AUTO && t->max_version < ISTIO_TLSV1_2)
        diag_at(d->diags, DIAG_Ignored, max, "TLSV1_2 or TLSV1_3", "nothing older than TLS 1.2 is served: it is the only version then");
    if (t->min_version != ISTIO_TLS_AUTO && t->min_version < ISTIO_TLSV1_2)
        diag_at(d->diags, DIAG_Ignored, min, NULL, "nothing older than TLS 1.2 is served");
}

static void ciphers_check(struct decoder *d, const struct istio_server_tls *t)
{
    static const char *const WHY[] = {
        [ISTIO_CIPHER_UNKNOWN] = "is not known",
        [ISTIO_CIPHER_SERVED] = "is listed twice",
        [ISTIO_CIPHER_UNSAFE] = "is not served: it has no forward secrecy, or no authenticated encryption",
        [ISTIO_CIPHER_OPERATOR] = "is no name of a suite",
    };
    size_t served = 0;
    for (size_t i = 0; i < t->cipher_suites.n; i++) {
        struct str c = t->cipher_suites.v[i];
        enum istio_cipher what = istio_cipher_of(c);
        bool twice = false;
        for (size_t k = 0; k < i && !twice; k++)
            twice = str_eq(t->cipher_suites.v[k], c);
        served += what == ISTIO_CIPHER_SERVED;
        if (what != ISTIO_CIPHER_SERVED || twice)
            diag_at(d->diags, DIAG_Ignored, istio_item(t->node, "cipherSuites", i), NULL, "cipher suite %s %s",
                    diag_quote(d->arena, c), WHY[twice ? ISTIO_CIPHER_SERVED : what]);
    }
    if (t->cipher_suites.n && !served)
        diag_at(d->diags, DIAG_Suspicious, istio_at(t->node, "cipherSuites"), "leave the field out to say so",
                "none of the suites is served, so the default ones are offered");
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

void istio_server_tls_check(struct decoder *d, const struct istio_server_tls *t)
{
    static const char *const CERTIFICATES[] = {"serverCertificate", "privateKey", "caCertificates",
                                               "tlsCertificates", "credentialName", "credentialNames", NULL};
    const struct node *cert = istio_any(t->node, CERTIFICATES);
    versions_check(d, t);
    ciphers_check(d, t);
    client_check(d, t);
    if (!istio_tls_terminates(t->mode)) {
        if (cert)
            diag_at(d->diags, DIAG_Ignored, cert, NULL, "without terminating TLS no certificate is used");
    } else if (t->mode == ISTIO_TLS_ISTIO_MUTUAL) {
        if (cert)
            diag_at(d->diags, DIAG_Exclusive, cert, NULL,
                    "mode ISTIO_MUTUAL uses the instance's own certificate; \"" STR_FMT "\" can't be set", STR_ARG(node_key(cert)));
    } else {
        sources_check(d, t);
        names_check(d, t);
        files_check(d, t);
    }
    if (t->https_redirect.v)
        diag_at(d->diags, DIAG_Ignored, istio_at(t->node, "httpsRedirect"), "set it on the HTTP server",
                "httpsRedirect has no effect on a TLS port");
}
