/*
 * istio_gateway.h - networking.istio.io Gateway: servers (ports, hosts, TLS) of the instances that a label
 * selector picks. Rules: ISTIO-RULES section 2.
 */
#ifndef GH_KINDS_ISTIO_GATEWAY_H
#define GH_KINDS_ISTIO_GATEWAY_H

#include "master/kinds/istio_common.h"

enum istio_tls_mode {
    ISTIO_TLS_PASSTHROUGH,
    ISTIO_TLS_SIMPLE,
    ISTIO_TLS_MUTUAL,
    ISTIO_TLS_AUTO_PASSTHROUGH,
    ISTIO_TLS_ISTIO_MUTUAL,
    ISTIO_TLS_OPTIONAL_MUTUAL,
};
enum istio_tls_version { ISTIO_TLS_AUTO, ISTIO_TLSV1_0, ISTIO_TLSV1_1, ISTIO_TLSV1_2, ISTIO_TLSV1_3 };

struct istio_tls_pair {
    const struct node *node;
    struct str server_certificate, private_key;
};

struct istio_server_tls {
    const struct node *node;
    struct opt_bool https_redirect, insecure_skip_verify;
    int32_t mode; /* enum istio_tls_mode */
    struct str server_certificate, private_key, ca_certificates, ca_crl;
    struct str credential_name, ca_cert_credential_name;
    struct str_list credential_names, subject_alt_names, spki, hash, cipher_suites;
    LIST_OF(struct istio_tls_pair) certificates;
    int32_t min_version, max_version; /* enum istio_tls_version */
};

struct istio_server {
    const struct node *node;
    struct str name, bind, default_endpoint;
    struct istio_port *port;
    struct str_list hosts;
    struct istio_server_tls *tls;
};

struct istio_gateway_spec {
    const struct node *node;
    struct str_map selector;
    LIST_OF(struct istio_server) servers;
};

struct istio_gateway { /* object->spec */
    const struct node *node;
    struct istio_gateway_spec *spec;
};

extern const struct schema SCHEMA_ISTIO_GATEWAY;

/* Does the mode end TLS here; does it ask clients for a certificate? */
bool istio_tls_terminates(int32_t mode);
bool istio_tls_wants_client_certificate(int32_t mode);

/* Does every request of the server's hosts get 301 to https? */
bool istio_server_redirects(const struct istio_server *s);

/* ---- between the files of this kind ---- */
extern const struct schema SCHEMA_ISTIO_SERVER_TLS;
/* The rules of `tls` on a port that speaks TLS. */
void istio_server_tls_check(struct decoder *d, const struct istio_server_tls *t);

#endif
