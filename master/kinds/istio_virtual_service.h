/*
 * istio_virtual_service.h - networking.istio.io VirtualService: what happens to requests of some hosts.
 * Rules: ISTIO-RULES section 3.
 *
 * istio_virtual_service.c holds the tables, istio_vs_check.c the rules between fields, istio_vs_lint.c the
 * findings about rules that can't match.
 */
#ifndef GH_KINDS_ISTIO_VIRTUAL_SERVICE_H
#define GH_KINDS_ISTIO_VIRTUAL_SERVICE_H

#include "master/kinds/istio_common.h"

struct istio_destination {
    const struct node *node;
    struct str host, subset;
    struct istio_port_selector *port;
};

struct istio_http_destination {
    const struct node *node;
    struct istio_destination *destination;
    struct opt_int weight;
    struct istio_headers *headers;
};

struct istio_http_match {
    const struct node *node;
    struct str name, source_namespace, stat_prefix;
    struct istio_string_match *uri, *scheme, *method, *authority;
    LIST_OF(struct istio_string_match) headers, without_headers, query_params; /* name: .node->key */
    struct opt_int port;
    struct str_map source_labels;
    struct str_list gateways;
    struct opt_bool ignore_uri_case;
};

struct istio_regex_rewrite {
    const struct node *node;
    struct str match, rewrite;
};
struct istio_rewrite {
    const struct node *node;
    struct str uri, authority;
    struct istio_regex_rewrite *regex;
};

enum istio_derive_port { ISTIO_FROM_PROTOCOL_DEFAULT, ISTIO_FROM_REQUEST_PORT };
struct istio_redirect {
    const struct node *node;
    struct str uri, prefix_rewrite, authority, scheme;
    struct opt_int port, code;
    int32_t derive_port; /* enum istio_derive_port; ask istio_get(node, "derivePort") whether it is set */
};

struct istio_body {
    const struct node *node;
    struct str string, bytes; /* bytes: base64 as written */
    struct str content;       /* what is sent; set by the check */
};
struct istio_direct {
    const struct node *node;
    struct opt_int status;
    struct istio_body *body;
};

struct istio_delegate {
    const struct node *node;
    struct str name, ns;
};

struct istio_retries {
    const struct node *node;
    struct opt_int attempts;
    struct opt_ms per_try_timeout, backoff;
    struct str retry_on;
    struct opt_bool remote_localities, ignore_previous_hosts;
    /* from retryOn, set by the check */
    uint32_t on;     /* RETRY_ON_* of tbl/enums.h */
    uint16_t *codes;
    size_t n_codes;
};

struct istio_percent {
    const struct node *node;
    struct opt_num value;
};
struct istio_delay {
    const struct node *node;
    struct opt_ms fixed, exponential;
    struct opt_int percent;
    struct istio_percent *percentage;
};
struct istio_abort {
    const struct node *node;
    struct opt_int http_status;
    struct str grpc_status, http2_error;
    struct istio_percent *percentage;
};
struct istio_fault {
    const struct node *node;
    struct istio_delay *delay;
    struct istio_abort *abort;
};

struct istio_mirror {
    const struct node *node;
    struct istio_destination *destination;
    struct istio_percent *percentage;
};

enum istio_preflight { ISTIO_PREFLIGHT_UNSPECIFIED, ISTIO_PREFLIGHT_FORWARD, ISTIO_PREFLIGHT_IGNORE };
struct istio_cors {
    const struct node *node;
    LIST_OF(struct istio_string_match) allow_origins;
    struct str_list allow_origin, allow_methods, allow_headers, expose_headers;
    struct opt_ms max_age;
    struct opt_bool allow_credentials;
    int32_t unmatched_preflights;
};

struct istio_http_rule {
    const struct node *node;
    struct str name;
    LIST_OF(struct istio_http_match) match;
    LIST_OF(struct istio_http_destination) route;
    struct istio_redirect *redirect;
    struct istio_direct *direct;
    struct istio_delegate *delegate;
    struct istio_rewrite *rewrite;
    struct opt_ms timeout;
    struct istio_retries *retries;
    struct istio_fault *fault;
    struct istio_destination *mirror;
    LIST_OF(struct istio_mirror) mirrors;
    struct opt_int mirror_percent;
    struct istio_percent *mirror_percentage;
    struct istio_cors *cors;
    struct istio_headers *headers;
};

struct istio_l4_match { /* of tls[] and tcp[] */
    const struct node *node;
    struct str_list sni_hosts, destination_subnets, gateways;
    struct opt_int port;
    struct str source_subnet, source_namespace;
    struct str_map source_labels;
};
struct istio_l4_destination {
    const struct node *node;
    struct istio_destination *destination;
    struct opt_int weight;
};
struct istio_l4_rule {
    const struct node *node;
    LIST_OF(struct istio_l4_match) match;
    LIST_OF(struct istio_l4_destination) route;
};

struct istio_vs_spec {
    const struct node *node;
    struct str_list hosts, gateways, export_to;
    LIST_OF(struct istio_http_rule) http;
    LIST_OF(struct istio_l4_rule) tls, tcp;
};

struct istio_virtual_service { /* object->spec */
    const struct node *node;
    struct istio_vs_spec *spec;
};

extern const struct schema SCHEMA_VIRTUAL_SERVICE;

/* Does the block match every request (a prefix "/" or regex ".*" and no other condition)? Such a block ends
 * what can be reached of its object (3.2). */
bool istio_match_is_catch_all(const struct istio_http_match *m);
/* Is a header condition one that reads a verified JWT ("@request.auth.claims...")? */
bool istio_is_claim(struct str header_name);

/* ---- between the files of this kind ---- */
void istio_vs_check(struct decoder *d, void *spec);
void istio_http_rule_check(struct decoder *d, void *rule);
void istio_http_match_check(struct decoder *d, void *match);
void istio_l4_match_check(struct decoder *d, void *match);
void istio_destination_check(struct decoder *d, void *destination);
void istio_rewrite_check(struct decoder *d, void *rewrite);
void istio_redirect_check(struct decoder *d, void *redirect);
void istio_direct_check(struct decoder *d, void *direct);
void istio_retries_check(struct decoder *d, void *retries);
void istio_delay_check(struct decoder *d, void *delay);
void istio_abort_check(struct decoder *d, void *abort_);
void istio_fault_check(struct decoder *d, void *fault);
void istio_cors_check(struct decoder *d, void *cors);
void istio_vs_lint(struct decoder *d, const struct istio_vs_spec *spec);

#endif
