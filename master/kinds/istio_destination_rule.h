/*
 * istio_destination_rule.h - networking.istio.io DestinationRule: how a service is spoken to once routing has chosen it.
 * Rules: ISTIO-RULES section 4.
 *
 * istio_destination_rule.c holds the tables, istio_dr_check.c the rules between fields.
 */
#ifndef GH_KINDS_ISTIO_DESTINATION_RULE_H
#define GH_KINDS_ISTIO_DESTINATION_RULE_H

#include "master/kinds/istio_common.h"

/* ---- loadBalancer -------------------------------------------------------------------------------- */

enum istio_lb_simple {
    ISTIO_LB_UNSPECIFIED,
    ISTIO_LB_LEAST_CONN,
    ISTIO_LB_RANDOM,
    ISTIO_LB_PASSTHROUGH,
    ISTIO_LB_ROUND_ROBIN,
    ISTIO_LB_LEAST_REQUEST,
};
struct istio_cookie_attribute {
    const struct node *node;
    struct str name, value;
};
struct istio_hash_cookie {
    const struct node *node;
    struct str name, path;
    struct opt_ms ttl;
    LIST_OF(struct istio_cookie_attribute) attributes;
};
struct istio_ring_hash {
    const struct node *node;
    struct opt_int minimum;
};
struct istio_maglev {
    const struct node *node;
    struct opt_int table_size;
};
struct istio_consistent_hash {
    const struct node *node;
    struct str header, query;
    struct istio_hash_cookie *cookie;
    struct opt_bool source_ip;
    struct istio_ring_hash *ring;
    struct istio_maglev *maglev;
    struct opt_int minimum_ring_size;
};
struct istio_warmup {
    const struct node *node;
    struct opt_ms duration;
    struct opt_num minimum_percent, aggression;
};
struct istio_distribute {
    const struct node *node;
    struct str from;
    const struct node *to; /* map of locality to weight */
};
struct istio_failover {
    const struct node *node;
    struct str from, to;
};
struct istio_locality_lb {
    const struct node *node;
    LIST_OF(struct istio_distribute) distribute;
    LIST_OF(struct istio_failover) failover;
    struct str_list failover_priority;
    struct opt_bool enabled;
};
struct istio_load_balancer {
    const struct node *node;
    int32_t simple; /* enum istio_lb_simple */
    struct istio_consistent_hash *hash;
    struct istio_locality_lb *locality;
    struct istio_warmup *warmup;
    struct opt_ms warmup_secs;
};

/* ---- connectionPool -------------------------------------------------------------------------------- */

struct istio_keepalive {
    const struct node *node;
    struct opt_int probes;
    struct opt_ms time, interval;
};
struct istio_pool_tcp {
    const struct node *node;
    struct opt_int max_connections;
    struct opt_ms connect_timeout, idle_timeout, max_duration;
    struct istio_keepalive *keepalive;
};
enum istio_h2_upgrade { ISTIO_H2_DEFAULT, ISTIO_H2_DO_NOT_UPGRADE, ISTIO_H2_UPGRADE };
struct istio_h2_keepalive {
    const struct node *node;
    struct opt_ms interval, timeout;
};
struct istio_pool_http {
    const struct node *node;
    struct opt_int max_pending, max_requests, max_requests_per_connection, max_retries, max_streams;
    struct opt_ms idle_timeout;
    int32_t upgrade; /* enum istio_h2_upgrade */
    struct opt_bool client_protocol;
    struct istio_h2_keepalive *keepalive;
};
struct istio_pool {
    const struct node *node;
    struct istio_pool_tcp *tcp;
    struct istio_pool_http *http;
};

/* ---- the rest ---------------------------------------------------------------------------------------- */

struct istio_outlier {
    const struct node *node;
    struct opt_int errors, consecutive_5xx, gateway_errors, local_failures, max_ejection_percent, min_health_percent;
    struct opt_bool split;
    struct opt_ms interval, base_ejection;
    struct int_list codes;
};

enum istio_client_tls_mode { ISTIO_CLIENT_DISABLE, ISTIO_CLIENT_SIMPLE, ISTIO_CLIENT_MUTUAL, ISTIO_CLIENT_ISTIO_MUTUAL };
struct istio_client_tls {
    const struct node *node;
    int32_t mode; /* enum istio_client_tls_mode */
    struct str client_certificate, private_key, ca_certificates, ca_crl, credential_name, sni;
    struct str_list subject_alt_names;
    struct opt_bool insecure;
};

enum istio_proxy_version { ISTIO_PROXY_V1, ISTIO_PROXY_V2 };
struct istio_proxy_protocol {
    const struct node *node;
    int32_t version; /* enum istio_proxy_version */
};
struct istio_tunnel {
    const struct node *node;
    struct str protocol, target_host;
    struct opt_int target_port;
};
struct istio_retry_budget {
    const struct node *node;
    struct opt_num percent;
    struct opt_int min_concurrency;
    struct opt_ms interval;
};

/* What a port, a subset or the whole rule says; NULL = nothing. */
struct istio_port_policy {
    const struct node *node;
    struct istio_port_selector *port;
    struct istio_load_balancer *lb;
    struct istio_pool *pool;
    struct istio_outlier *outlier;
    struct istio_client_tls *tls;
};
struct istio_traffic_policy {
    const struct node *node;
    struct istio_load_balancer *lb;
    struct istio_pool *pool;
    struct istio_outlier *outlier;
    struct istio_client_tls *tls;
    LIST_OF(struct istio_port_policy) ports;
    struct istio_tunnel *tunnel;
    struct istio_proxy_protocol *proxy;
    struct istio_retry_budget *retry_budget;
};

struct istio_subset {
    const struct node *node;
    struct str name;
    struct str_map labels;
    struct istio_traffic_policy *policy;
};

struct istio_dr_selector {
    const struct node *node;
    struct str_map labels;
};
struct istio_dr_spec {
    const struct node *node;
    struct str host;
    struct istio_traffic_policy *policy;
    LIST_OF(struct istio_subset) subsets;
    struct str_list export_to;
    struct istio_dr_selector *selector;
};

struct istio_destination_rule { /* object->spec */
    const struct node *node;
    struct istio_dr_spec *spec;
};
extern const struct schema SCHEMA_DESTINATION_RULE;

/* ---- between the files of this kind ---- */
void istio_dr_check(struct decoder *d, void *spec);
void istio_lb_check(struct decoder *d, void *load_balancer);
void istio_hash_check(struct decoder *d, void *hash);
void istio_locality_lb_check(struct decoder *d, void *locality);
void istio_pool_check(struct decoder *d, void *pool);
void istio_pool_http_check(struct decoder *d, void *http);
void istio_outlier_check(struct decoder *d, void *outlier);
void istio_client_tls_check(struct decoder *d, void *tls);
void istio_tunnel_check(struct decoder *d, void *tunnel);

#endif
