/*
 * istio_gateway.c - the field table of Istio's Gateway and its rules (ISTIO-RULES 2.1 and 2.2).
 */
#include "master/kinds/istio_gateway.h"
#include "shared/base/hash.h"

/* ---- tls ------------------------------------------------------------------------------------ */

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
              "File with the certificate chain, PEM."),
    FIELD_STR(struct istio_tls_pair, private_key, "privateKey", FIELD_NONEMPTY | FIELD_REQUIRED,
              "File with the private key, PEM."),
    FIELD_STR(struct istio_tls_pair, ca_certificates, "caCertificates", FIELD_IGNORED,
              "Has no effect here; the CA of a server stands in tls.caCertificates."),
};
static const struct schema SCHEMA_TLS_PAIR =
    SCHEMA(struct istio_tls_pair, TLS_PAIR_FIELDS, NULL, "A certificate and its key, as files.");

#define TLS_LATER FIELD_NOT_SERVED
static const struct field SERVER_TLS_FIELDS[] = {
    FIELD_BOOL(struct istio_server_tls, https_redirect, "httpsRedirect", 0,
               "Answer every request of the server's hosts with 301 to https. For HTTP servers."),
    FIELD_ENUM(struct istio_server_tls, mode, "mode", ENUM_TLS_MODE, ISTIO_TLS_PASSTHROUGH,
               "Who terminates TLS and whether clients need a certificate.", .flags = TLS_LATER),
    FIELD_STR(struct istio_server_tls, credential_name, "credentialName", TLS_LATER,
              "Secret with the certificate (tls.crt, tls.key) and perhaps the CA (ca.crt), in the namespace of the instance."),
    FIELD_STR_LIST(struct istio_server_tls, credential_names, "credentialNames", TLS_LATER,
                   "One or two Secrets: an RSA and an ECDSA pair.", .max = 2),
    FIELD_STR(struct istio_server_tls, server_certificate, "serverCertificate", TLS_LATER,
              "File with the certificate chain, PEM."),
    FIELD_STR(struct istio_server_tls, private_key, "privateKey", TLS_LATER, "File with the private key, PEM."),
    FIELD_STR(struct istio_server_tls, ca_certificates, "caCertificates", TLS_LATER,
              "File with the CA that client certificates are checked against."),
    FIELD_STR(struct istio_server_tls, ca_crl, "caCrl", TLS_LATER, "File with revoked client certificates."),
    FIELD_LIST(struct istio_server_tls, certificates, "tlsCertificates", TLS_LATER, &SCHEMA_TLS_PAIR,
               "One or two pairs of certificate and key."),
    FIELD_STR(struct istio_server_tls, ca_cert_credential_name, "caCertCredentialName", TLS_LATER,
              "Secret or ConfigMap with the CA for client certificates; wins over the one beside credentialName."),
    FIELD_STR_LIST(struct istio_server_tls, subject_alt_names, "subjectAltNames", TLS_LATER,
                   "Names of which a client certificate must have one."),
    FIELD_STR_LIST(struct istio_server_tls, spki, "verifyCertificateSpki", TLS_LATER,
                   "Base64 SHA-256 of the public keys that are accepted."),
    FIELD_STR_LIST(struct istio_server_tls, hash, "verifyCertificateHash", TLS_LATER,
                   "Hex SHA-256 of the client certificates that are accepted."),
    FIELD_ENUM(struct istio_server_tls, min_version, "minProtocolVersion", ENUM_TLS_VERSION, ISTIO_TLS_AUTO,
               "Oldest TLS version; TLS_AUTO is 1.2.", .flags = TLS_LATER),
    FIELD_ENUM(struct istio_server_tls, max_version, "maxProtocolVersion", ENUM_TLS_VERSION, ISTIO_TLS_AUTO,
               "Newest TLS version; TLS_AUTO is 1.3.", .flags = TLS_LATER),
    FIELD_STR_LIST(struct istio_server_tls, cipher_suites, "cipherSuites", TLS_LATER,
                   "OpenSSL names of cipher suites for TLS 1.2 and older."),
    FIELD_BOOL(struct istio_server_tls, insecure_skip_verify, "insecureSkipVerify", TLS_LATER,
               "Ask for a client certificate, but let connections in whose certificate does not verify."),
};

/* A field of `tls` that is written in the file, for positions; NULL when none of `names` is. */
static const struct node *any_of(const struct node *n, const char *const *names)
{
    for (; *names; names++) {
        const struct node *v = istio_get(n, *names);
        if (v && v->type != NODE_NULL)
            return v;
    }
    return NULL;
}

/* At most one way to say where the certificate comes from. */
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
}

/* What a terminating mode needs when no Secret is named. */
static void files_check(struct decoder *d, const struct istio_server_tls *t)
{
    bool secret = t->credential_name.n || t->credential_names.n;
    bool mutual = t->mode == ISTIO_TLS_MUTUAL || t->mode == ISTIO_TLS_OPTIONAL_MUTUAL;
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

static void versions_check(struct decoder *d, const struct istio_server_tls *t)
{
    if (t->max_version != ISTIO_TLS_AUTO && t->min_version > t->max_version)
        diag_at(d->diags, DIAG_BadValue, istio_at(t->node, "minProtocolVersion"), NULL,
                "the oldest version is newer than the newest");
    if (t->min_version != ISTIO_TLS_AUTO && t->min_version < ISTIO_TLSV1_2 && t->cipher_suites.n == 0)
        diag_at(d->diags, DIAG_Suspicious, istio_at(t->node, "minProtocolVersion"), "list cipherSuites",
                "no default cipher suite works with this version");
}

static void ciphers_check(struct decoder *d, const struct istio_server_tls *t)
{
    static const char *const KNOWN[] = {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",   "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-SHA",        "ECDHE-RSA-AES128-SHA",          "ECDHE-ECDSA-AES256-SHA",
        "ECDHE-RSA-AES256-SHA",          "AES128-GCM-SHA256",             "AES256-GCM-SHA384",
        "AES128-SHA",                    "AES256-SHA",                    "DES-CBC3-SHA",
    };
    for (size_t i = 0; i < t->cipher_suites.n; i++) {
        struct str c = t->cipher_suites.v[i];
        const struct node *at = istio_item(t->node, "cipherSuites", i);
        bool known = str_eqc(c, "ALL") || (c.n && strchr("+-!@[", c.p[0]));
        for (size_t k = 0; k < ARRAY_LEN(KNOWN) && !known; k++)
            known = str_eqc(c, KNOWN[k]);
        bool twice = false;
        for (size_t k = 0; k < i && !twice; k++)
            twice = str_eq(t->cipher_suites.v[k], c);
        if (!known || twice)
            diag_at(d->diags, DIAG_Ignored, at, NULL, "cipher suite \"" STR_FMT "\" is %s", STR_ARG(c),
                    known ? "listed twice" : "not known");
    }
}

/* The rules of `tls` on a port that speaks TLS. */
static void tls_check(struct decoder *d, const struct istio_server_tls *t)
{
    static const char *const CERTIFICATES[] = {"serverCertificate", "privateKey", "caCertificates",
                                               "tlsCertificates", "credentialName", "credentialNames", NULL};
    sources_check(d, t);
    versions_check(d, t);
    ciphers_check(d, t);
    const struct node *cert = any_of(t->node, CERTIFICATES);
    switch (t->mode) {
    case ISTIO_TLS_SIMPLE:
    case ISTIO_TLS_MUTUAL:
    case ISTIO_TLS_OPTIONAL_MUTUAL:
        files_check(d, t);
        break;
    case ISTIO_TLS_ISTIO_MUTUAL:
        if (cert)
            diag_at(d->diags, DIAG_Exclusive, cert, NULL,
                    "mode ISTIO_MUTUAL uses the instance's own certificate; \"" STR_FMT "\" can't be set",
                    STR_ARG(cert->key));
        break;
    default:
        if (cert)
            diag_at(d->diags, DIAG_Ignored, cert, NULL, "without terminating TLS no certificate is used");
        break;
    }
    if (t->certificates.n > 2)
        diag_at(d->diags, DIAG_Suspicious, istio_item(t->node, "tlsCertificates", 2), NULL,
                "only one RSA and one ECDSA pair are used");
    if (t->https_redirect.v)
        diag_at(d->diags, DIAG_Ignored, istio_at(t->node, "httpsRedirect"), "set it on the HTTP server",
                "httpsRedirect has no effect on a TLS port");
}

static const struct schema SCHEMA_SERVER_TLS =
    SCHEMA(struct istio_server_tls, SERVER_TLS_FIELDS, NULL, "TLS of a server; on HTTP ports only httpsRedirect.");

/* ---- servers --------------------------------------------------------------------------------- */

static const struct field PORT_FIELDS[] = {
    FIELD_INT(struct istio_port, number, "number", 0, 0, 65535, "The port to listen on; 0 only with a unix bind."),
    FIELD_STR(struct istio_port, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY,
              "Name of the port, unique in the Gateway; part of names in metrics."),
    FIELD_STR(struct istio_port, protocol, "protocol", FIELD_REQUIRED | FIELD_NONEMPTY,
              "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL, in any case."),
    FIELD_INT(struct istio_port, target_port, "targetPort", FIELD_DEPRECATED, 0, 65535, "Not possible in a Gateway."),
};
static const struct schema SCHEMA_PORT = SCHEMA(struct istio_port, PORT_FIELDS, NULL, "The port of a server.");

static const struct field SERVER_FIELDS[] = {
    FIELD_OBJ(struct istio_server, port, "port", FIELD_REQUIRED, &SCHEMA_PORT, "Where to listen and what is spoken there."),
    FIELD_STR_LIST(struct istio_server, hosts, "hosts", FIELD_REQUIRED | FIELD_NONEMPTY,
                   "Hosts of this server, \"[namespace/]host\": \"*\" or \".\" (own) as namespace, \"*.\" before the host."),
    FIELD_STR(struct istio_server, bind, "bind", 0,
              "Address to listen on: an IP address, unix:///path or unix://@name. All addresses when absent."),
    FIELD_OBJ(struct istio_server, tls, "tls", 0, &SCHEMA_SERVER_TLS, "TLS; required for HTTPS and TLS ports."),
    FIELD_STR(struct istio_server, name, "name", 0, "Name of the server, for statistics; unique in the Gateway."),
    FIELD_STR(struct istio_server, default_endpoint, "defaultEndpoint", FIELD_IGNORED, "Has no effect, as in Istio."),
};

static bool is_unix(struct str bind)
{
    return str_starts(bind, STR("unix://"));
}

static void bind_check(struct decoder *d, const struct istio_server *s)
{
    const struct node *at = istio_at(s->node, "bind");
    if (s->bind.n == 0)
        return;
    if (!is_unix(s->bind)) {
        if (!istio_ip_valid(s->bind))
            diag_at(d->diags, DIAG_BadValue, at, "an IP address, unix:///path or unix://@name",
                    "\"" STR_FMT "\" is no address to listen on", STR_ARG(s->bind));
        return;
    }
    struct str path = str_skip(s->bind, strlen("unix://"));
    if (path.n < 2 || (path.p[0] != '/' && path.p[0] != '@') || path.p[path.n - 1] == '/')
        diag_at(d->diags, DIAG_BadValue, at, NULL,
                "the path of a unix socket is absolute and does not end in '/'");
}

static void port_check(struct decoder *d, const struct istio_server *s)
{
    const struct istio_port *p = s->port;
    const struct node *at = istio_at(p->node, "number");
    if (is_unix(s->bind)) {
        if (p->number.v != 0)
            diag_at(d->diags, DIAG_Exclusive, at, NULL, "a unix socket has no port; the number must be 0");
    } else if (!istio_get(p->node, "number"))
        diag_at(d->diags, DIAG_Required, p->node, NULL, "a server needs a port number");
    else if (p->number.set && p->number.v == 0)
        diag_at(d->diags, DIAG_OutOfRange, at, "1 to 65535", "0 is no port to listen on");
    if (p->target_port.set && p->target_port.v != 0)
        diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "targetPort"), NULL,
                "targetPort is only possible in a ServiceEntry");
    if (p->protocol.n && istio_protocol_of(p->protocol) == ISTIO_PROTO_UNKNOWN)
        diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "protocol"),
                "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL",
                "protocol \"" STR_FMT "\" is not known", STR_ARG(p->protocol));
}

static void hosts_check(struct decoder *d, const struct istio_server *s)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str h = s->hosts.v[i], ns = STR_NONE;
        const struct node *at = istio_item(s->node, "hosts", i);
        ptrdiff_t slash = str_chr(h, '/');
        if (slash >= 0) {
            ns = str_head(h, (size_t)slash);
            h = str_skip(h, (size_t)slash + 1);
            if (!str_eqc(ns, "*") && !str_eqc(ns, ".") && !istio_label_valid(ns))
                diag_at(d->diags, DIAG_BadValue, at, "\"namespace/host\", with \"*\" for all namespaces and \".\" for the own one",
                        "\"" STR_FMT "\" is no namespace", STR_ARG(ns));
        }
        if (!istio_wildcard_domain_valid(h))
            diag_at(d->diags, DIAG_BadValue, at, "a DNS name; '*' only as the whole first label",
                    "\"" STR_FMT "\" is no host name", STR_ARG(h));
        else if (istio_host_is_partial_wildcard(h))
            diag_at(d->diags, DIAG_NotServed, at, "write \"*.\" before a domain",
                    "a wildcard that is only part of a label matches nothing here");
    }
}

/* What of a valid server this release can't do yet. */
static void served_check(struct decoder *d, const struct istio_server *s, enum istio_protocol p)
{
    const struct node *at = istio_at(s->port->node, "protocol");
    if (p == ISTIO_PROTO_HTTP || p == ISTIO_PROTO_UNKNOWN)
        return;
    if (p == ISTIO_PROTO_UDP)
        diag_at(d->diags, DIAG_Ignored, at, NULL, "UDP servers have no effect, as in Istio");
    else if (istio_protocol_is_http(p))
        diag_at(d->diags, DIAG_NotServed, at, "HTTP/1.1 clients are served on this port",
                "HTTP/2 without TLS is not served yet");
    else
        diag_at(d->diags, DIAG_NotServed, at, NULL, "%s servers are not served yet: nothing listens here",
                istio_protocol_is_tls(p) ? "TLS" : "TCP");
}

static void server_check(struct decoder *d, void *obj)
{
    static const char *const PLAIN_BAD[] = {"serverCertificate", "privateKey", "caCertificates",
                                            "tlsCertificates", "caCrl", NULL};
    static const char *const PLAIN_IDLE[] = {"credentialName", "credentialNames", "caCertCredentialName", NULL};
    struct istio_server *s = obj;
    bind_check(d, s);
    hosts_check(d, s);
    if (!s->port)
        return;
    port_check(d, s);
    enum istio_protocol p = istio_protocol_of(s->port->protocol);
    served_check(d, s, p);
    if (istio_protocol_is_tls(p)) {
        if (s->tls)
            tls_check(d, s->tls);
        else
            diag_at(d->diags, DIAG_Required, s->node, "mode: SIMPLE and credentialName, or mode: PASSTHROUGH",
                    "a server of protocol " STR_FMT " needs \"tls\"", STR_ARG(s->port->protocol));
        return;
    }
    if (!s->tls)
        return;
    const struct node *bad = any_of(s->tls->node, PLAIN_BAD), *idle = any_of(s->tls->node, PLAIN_IDLE);
    if (!istio_protocol_is_http(p))
        bad = s->tls->node;
    else if (s->tls->mode != ISTIO_TLS_PASSTHROUGH)
        bad = istio_at(s->tls->node, "mode");
    if (bad && p != ISTIO_PROTO_UNKNOWN)
        diag_at(d->diags, DIAG_Exclusive, bad, "protocol HTTPS terminates TLS",
                "a server of protocol " STR_FMT " has no TLS%s", STR_ARG(s->port->protocol),
                istio_protocol_is_http(p) ? " but httpsRedirect" : "");
    else if (idle)
        diag_at(d->diags, DIAG_Ignored, idle, "protocol HTTPS terminates TLS", "a plain HTTP server uses no certificate");
}

static const struct schema SCHEMA_SERVER =
    SCHEMA(struct istio_server, SERVER_FIELDS, server_check, "One port of the gateway: protocol, hosts, TLS.");

bool istio_server_redirects(const struct istio_server *s)
{
    return s->tls && s->tls->https_redirect.v && s->port &&
           istio_protocol_is_http(istio_protocol_of(s->port->protocol));
}

/* ---- the object ------------------------------------------------------------------------------ */

/* `name` of servers[i]; the map remembers the first server of each name as its number plus one. */
static size_t named_before(struct map *names, struct str name, size_t i)
{
    if (name.n == 0)
        return 0;
    void *first = map_get(names, name);
    if (!first)
        map_put(names, name, (void *)(uintptr_t)(i + 1));
    return (uintptr_t)first;
}

static void names_check(struct decoder *d, const struct istio_gateway_spec *g)
{
    struct map ports, servers;
    map_init(&ports, d->arena);
    map_init(&servers, d->arena);
    for (size_t i = 0; i < g->servers.n; i++) {
        const struct istio_server *s = &g->servers.v[i];
        size_t first = named_before(&servers, s->name, i);
        if (first)
            diag_at(d->diags, DIAG_Suspicious, istio_at(s->node, "name"), NULL,
                    "server name \"" STR_FMT "\" is that of servers[%zu]: their statistics mix",
                    STR_ARG(s->name), first - 1);
        first = s->port ? named_before(&ports, s->port->name, i) : 0;
        if (first)
            diag_at(d->diags, DIAG_BadValue, istio_at(s->port->node, "name"),
                    "port names are unique within a Gateway", "port name \"" STR_FMT "\" is that of servers[%zu]",
                    STR_ARG(s->port->name), first - 1);
    }
}

static void spec_check(struct decoder *d, void *obj)
{
    struct istio_gateway_spec *g = obj;
    istio_selector_check(d, g->node, "selector", &g->selector);
    names_check(d, g);
}

static const struct field SPEC_FIELDS[] = {
    FIELD_STR_MAP(struct istio_gateway_spec, selector, "selector", 0,
                  "Labels that an instance must have (see labels of the Instance kind); absent: every instance."),
    FIELD_LIST(struct istio_gateway_spec, servers, "servers", FIELD_REQUIRED | FIELD_NONEMPTY, &SCHEMA_SERVER,
               "The ports of the gateway."),
};
static const struct schema SCHEMA_SPEC = SCHEMA(struct istio_gateway_spec, SPEC_FIELDS, spec_check,
                                                "The instances that are meant, and their ports.");

static void gateway_check(struct decoder *d, void *obj)
{
    struct istio_gateway *g = obj;
    const struct node *name = node_get(node_get(g->node, "metadata"), "name");
    if (name && name->text.n && !istio_label_valid(name->text))
        diag_at(d->diags, DIAG_BadValue, name, "lower case letters, digits and '-', at most 63 of them",
                "the name of a Gateway is one DNS label");
}

static const struct field GATEWAY_FIELDS[] = {
    FIELD_OBJ(struct istio_gateway, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "What the gateway does."),
};
const struct schema SCHEMA_ISTIO_GATEWAY =
    SCHEMA(struct istio_gateway, GATEWAY_FIELDS, gateway_check,
           "Ports of the edge, in Istio's API: which hosts are accepted where. VirtualServices say what happens then.");
