/*
 * istio_destination_rule.c - the field tables of DestinationRule (ISTIO-RULES section 4). Rules between fields are in
 * istio_dr_check.c.
 */
#include "master/kinds/istio_destination_rule.h"

/* ---- loadBalancer: only `simple` is served ----------------------------------------------------------- */

static const struct enum_row ENUM_SIMPLE[] = {
    {"UNSPECIFIED", ISTIO_LB_UNSPECIFIED}, {"LEAST_CONN", ISTIO_LB_LEAST_CONN},     {"RANDOM", ISTIO_LB_RANDOM},
    {"PASSTHROUGH", ISTIO_LB_PASSTHROUGH}, {"ROUND_ROBIN", ISTIO_LB_ROUND_ROBIN}, {"LEAST_REQUEST", ISTIO_LB_LEAST_REQUEST},
    {0},
};

#define T struct istio_cookie_attribute
static const struct field COOKIE_ATTRIBUTE_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "Name of the attribute, such as SameSite."),
    FIELD_STR(T, value, "value", 0, "Its value."),
};
static const struct schema SCHEMA_COOKIE_ATTRIBUTE = SCHEMA(T, COOKIE_ATTRIBUTE_FIELDS, NULL, "An attribute of the cookie.");
#undef T
#define T struct istio_hash_cookie
static const struct field COOKIE_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "Name of the cookie."),
    FIELD_STR(T, path, "path", 0, "Path of a cookie that is made here."),
    FIELD_DURATION(T, ttl, "ttl", 0, FMT_GO_DURATION, "Life of a cookie that is made here; 0s: as long as the browser runs.",
                   .min = -1),
    FIELD_LIST(T, attributes, "attributes", 0, &SCHEMA_COOKIE_ATTRIBUTE, "Further attributes."),
};
static const struct schema SCHEMA_COOKIE = SCHEMA(T, COOKIE_FIELDS, NULL, "The cookie whose value is hashed.");
#undef T
static const struct field RING_FIELDS[] = {
    FIELD_INT(struct istio_ring_hash, minimum, "minimumRingSize", 0, 0, INT64_MAX, "Places on the ring, at least."),
};
static const struct schema SCHEMA_RING = SCHEMA(struct istio_ring_hash, RING_FIELDS, NULL, "Ring hash.");
static const struct field MAGLEV_FIELDS[] = {
    FIELD_INT(struct istio_maglev, table_size, "tableSize", 0, 0, INT64_MAX, "A prime number below 5000011."),
};
static const struct schema SCHEMA_MAGLEV = SCHEMA(struct istio_maglev, MAGLEV_FIELDS, NULL, "Maglev hash.");
#define T struct istio_consistent_hash
static const struct field HASH_FIELDS[] = {
    FIELD_STR(T, header, "httpHeaderName", 0, "Header whose value is hashed."),
    FIELD_OBJ(T, cookie, "httpCookie", 0, &SCHEMA_COOKIE, "Cookie whose value is hashed."),
    FIELD_BOOL(T, source_ip, "useSourceIp", 0, "Hash the client's address."),
    FIELD_STR(T, query, "httpQueryParameterName", 0, "Query parameter whose value is hashed."),
    FIELD_OBJ(T, ring, "ringHash", 0, &SCHEMA_RING, "Ring hash, the default."),
    FIELD_OBJ(T, maglev, "maglev", 0, &SCHEMA_MAGLEV, "Maglev hash."),
    FIELD_INT(T, minimum_ring_size, "minimumRingSize", FIELD_DEPRECATED, 0, INT64_MAX, "Use ringHash.minimumRingSize."),
};
static const struct schema SCHEMA_HASH = SCHEMA(T, HASH_FIELDS, istio_hash_check, "Equal keys go to the same endpoint.");
#undef T
#define T struct istio_warmup
static const struct field WARMUP_FIELDS[] = {
    FIELD_DURATION(T, duration, "duration", FIELD_REQUIRED, FMT_GO_DURATION, "Time after which an endpoint has its full share."),
    FIELD_NUMBER(T, minimum_percent, "minimumPercent", 0, "Share to begin with; 10 when absent.", .max = 100),
    FIELD_NUMBER(T, aggression, "aggression", 0, "How the share grows; 1.0 is linear.", .min = 0, .max = INT32_MAX),
};
static const struct schema SCHEMA_WARMUP = SCHEMA(T, WARMUP_FIELDS, NULL, "New endpoints get their share bit by bit.");
#undef T
static const struct field DISTRIBUTE_FIELDS[] = {
    FIELD_STR(struct istio_distribute, from, "from", 0, "Locality of the gateway."),
    FIELD_NODE(struct istio_distribute, to, "to", 0, "Weight by locality; 100 in all."),
};
static const struct schema SCHEMA_DISTRIBUTE = SCHEMA(struct istio_distribute, DISTRIBUTE_FIELDS, NULL, "Shares of localities.");
static const struct field FAILOVER_FIELDS[] = {
    FIELD_STR(struct istio_failover, from, "from", 0, "A region."),
    FIELD_STR(struct istio_failover, to, "to", 0, "The region that stands in for it."),
};
static const struct schema SCHEMA_FAILOVER = SCHEMA(struct istio_failover, FAILOVER_FIELDS, NULL, "A region's stand-in.");
#define T struct istio_locality_lb
static const struct field LOCALITY_FIELDS[] = {
    FIELD_LIST(T, distribute, "distribute", 0, &SCHEMA_DISTRIBUTE, "Shares of localities."),
    FIELD_LIST(T, failover, "failover", 0, &SCHEMA_FAILOVER, "Which region stands in for which."),
    FIELD_STR_LIST(T, failover_priority, "failoverPriority", 0, "Labels by which near endpoints are preferred."),
    FIELD_BOOL(T, enabled, "enabled", 0, "Whether localities count."),
};
static const struct schema SCHEMA_LOCALITY = SCHEMA(T, LOCALITY_FIELDS, istio_locality_lb_check, "Near endpoints first.");
#undef T
#define T struct istio_load_balancer
static const struct field LB_FIELDS[] = {
    FIELD_ENUM(T, simple, "simple", ENUM_SIMPLE, ISTIO_LB_UNSPECIFIED,
               "LEAST_REQUEST (also LEAST_CONN), ROUND_ROBIN or RANDOM; that of the instance when absent."),
    FIELD_OBJ(T, hash, "consistentHash", FIELD_NOT_SERVED, &SCHEMA_HASH, "Equal keys go to the same endpoint.",
              .hint = "endpoints are picked without regard to the key"),
    FIELD_OBJ(T, locality, "localityLbSetting", FIELD_NOT_SERVED, &SCHEMA_LOCALITY, "Near endpoints first.",
              .hint = "all endpoints are equally near"),
    FIELD_NAMED("zoneAwareLbSetting", FIELD_NOT_SERVED, "Near endpoints first, by zones.", .hint = "all endpoints are equally near"),
    FIELD_OBJ(T, warmup, "warmup", FIELD_NOT_SERVED, &SCHEMA_WARMUP, "New endpoints get their share bit by bit.",
              .hint = "new endpoints get their full share at once"),
    FIELD_DURATION(T, warmup_secs, "warmupDurationSecs", FIELD_DEPRECATED | FIELD_NOT_SERVED, FMT_GO_DURATION, "Use warmup."),
};
static const struct schema SCHEMA_LB = SCHEMA(T, LB_FIELDS, istio_lb_check, "How an endpoint is picked.");
#undef T

/* ---- connectionPool ------------------------------------------------------------------------------------ */

#define T struct istio_keepalive
static const struct field KEEPALIVE_FIELDS[] = {
    FIELD_INT(T, probes, "probes", 0, 0, UINT32_MAX, "Probes without an answer until the connection is dead."),
    FIELD_DURATION(T, time, "time", 0, FMT_GO_DURATION, "Silence before the first probe."),
    FIELD_DURATION(T, interval, "interval", 0, FMT_GO_DURATION, "Time between probes."),
};
static const struct schema SCHEMA_KEEPALIVE = SCHEMA(T, KEEPALIVE_FIELDS, NULL, "Probes of TCP.");
#undef T
#define T struct istio_pool_tcp
static const struct field POOL_TCP_FIELDS[] = {
    FIELD_INT(T, max_connections, "maxConnections", 0, 0, INT32_MAX, "Connections to all endpoints together; unlimited when absent."),
    FIELD_DURATION(T, connect_timeout, "connectTimeout", 0, FMT_GO_DURATION, "Time to connect; that of the instance when absent."),
    FIELD_OBJ(T, keepalive, "tcpKeepalive", FIELD_NOT_SERVED, &SCHEMA_KEEPALIVE, "Probes of TCP.",
              .hint = "the system's values are used"),
    FIELD_DURATION(T, max_duration, "maxConnectionDuration", FIELD_NOT_SERVED, FMT_GO_DURATION, "Age at which a connection ends."),
    FIELD_DURATION(T, idle_timeout, "idleTimeout", 0, FMT_GO_DURATION,
                   "A connection of a tcp or tls rule without a byte in either direction ends after this; 0s: never.", .min = -1),
};
static const struct schema SCHEMA_POOL_TCP = SCHEMA(T, POOL_TCP_FIELDS, NULL, "Of connections.");
#undef T
static const struct enum_row ENUM_UPGRADE[] = {
    {"DEFAULT", ISTIO_H2_DEFAULT}, {"DO_NOT_UPGRADE", ISTIO_H2_DO_NOT_UPGRADE}, {"UPGRADE", ISTIO_H2_UPGRADE}, {0}};
#define T struct istio_h2_keepalive
static const struct field H2_KEEPALIVE_FIELDS[] = {
    FIELD_DURATION(T, interval, "interval", FIELD_REQUIRED, FMT_GO_DURATION, "Time between PING frames."),
    FIELD_DURATION(T, timeout, "timeout", FIELD_REQUIRED, FMT_GO_DURATION, "Time to answer one."),
};
static const struct schema SCHEMA_H2_KEEPALIVE = SCHEMA(T, H2_KEEPALIVE_FIELDS, NULL, "PING frames of HTTP/2.");
#undef T
#define T struct istio_pool_http
static const struct field POOL_HTTP_FIELDS[] = {
    FIELD_INT(T, max_pending, "http1MaxPendingRequests", 0, 0, INT32_MAX, "Requests that wait for a connection, of any HTTP version."),
    FIELD_INT(T, max_requests, "http2MaxRequests", 0, 0, INT32_MAX, "Requests at a time, of any HTTP version."),
    FIELD_INT(T, max_requests_per_connection, "maxRequestsPerConnection", FIELD_NOT_SERVED, 0, INT32_MAX,
              "Requests after which a connection is closed; 1: no keep-alive.", .hint = "connections are kept"),
    FIELD_INT(T, max_retries, "maxRetries", FIELD_NOT_SERVED, 0, INT32_MAX, "Retries at a time."),
    FIELD_DURATION(T, idle_timeout, "idleTimeout", 0, FMT_GO_DURATION,
                   "A pooled connection without a request is closed after this; that of the instance when absent."),
    FIELD_ENUM(T, upgrade, "h2UpgradePolicy", ENUM_UPGRADE, ISTIO_H2_DEFAULT,
               "UPGRADE speaks HTTP/2 to a service whose port says http, and lets ALPN decide where there is TLS."),
    FIELD_BOOL(T, client_protocol, "useClientProtocol", FIELD_NOT_SERVED, "Speak the HTTP version of the client.",
               .hint = "the port decides"),
    FIELD_INT(T, max_streams, "maxConcurrentStreams", FIELD_NOT_SERVED, 0, INT32_MAX, "Streams of an HTTP/2 connection.",
              .hint = "the endpoint's own limit counts"),
    FIELD_OBJ(T, keepalive, "http2KeepAlive", FIELD_NOT_SERVED, &SCHEMA_H2_KEEPALIVE, "PING frames of HTTP/2."),
};
static const struct schema SCHEMA_POOL_HTTP = SCHEMA(T, POOL_HTTP_FIELDS, istio_pool_http_check, "Of HTTP.");
#undef T
static const struct field POOL_FIELDS[] = {
    FIELD_OBJ(struct istio_pool, tcp, "tcp", 0, &SCHEMA_POOL_TCP, "Of connections, HTTP or not."),
    FIELD_OBJ(struct istio_pool, http, "http", 0, &SCHEMA_POOL_HTTP, "Of HTTP."),
};
static const struct schema SCHEMA_POOL = SCHEMA(struct istio_pool, POOL_FIELDS, istio_pool_check, "Limits and time-outs.");

/* ---- outlierDetection: checked, not served yet ------------------------------------------------------------ */

#define T struct istio_outlier
static const struct field OUTLIER_FIELDS[] = {
    FIELD_INT(T, errors, "consecutiveErrors", FIELD_DEPRECATED, 0, INT32_MAX, "Use consecutive5xxErrors."),
    FIELD_BOOL(T, split, "splitExternalLocalOriginErrors", 0, "Count failures to connect apart."),
    FIELD_INT(T, local_failures, "consecutiveLocalOriginFailures", 0, 0, UINT32_MAX, "Failures to connect in a row."),
    FIELD_INT(T, gateway_errors, "consecutiveGatewayErrors", 0, 0, UINT32_MAX, "502, 503 and 504 in a row."),
    FIELD_INT(T, consecutive_5xx, "consecutive5xxErrors", 0, 0, UINT32_MAX, "Statuses of 500 and more in a row."),
    FIELD_DURATION(T, interval, "interval", 0, FMT_GO_DURATION, "How often is looked."),
    FIELD_DURATION(T, base_ejection, "baseEjectionTime", 0, FMT_GO_DURATION, "How long an endpoint is left out, times how often it was."),
    FIELD_INT(T, max_ejection_percent, "maxEjectionPercent", 0, 0, 100, "Share of the endpoints that may be left out."),
    FIELD_INT(T, min_health_percent, "minHealthPercent", 0, 0, 100, "Share of good endpoints below which all are used."),
    FIELD_INT_LIST(T, codes, "outlierDetectionHttpErrorCodes", 0, 100, 599, "Statuses that count as errors."),
};
static const struct schema SCHEMA_OUTLIER = SCHEMA(T, OUTLIER_FIELDS, istio_outlier_check, "Leaves out endpoints that fail.");
#undef T

/* ---- tls -------------------------------------------------------------------------------------------------- */

static const struct enum_row ENUM_CLIENT_MODE[] = {
    {"DISABLE", ISTIO_CLIENT_DISABLE},
    {"SIMPLE", ISTIO_CLIENT_SIMPLE},
    {"MUTUAL", ISTIO_CLIENT_MUTUAL},
    {"ISTIO_MUTUAL", ISTIO_CLIENT_ISTIO_MUTUAL},
    {0},
};
#define T struct istio_client_tls
static const struct field CLIENT_TLS_FIELDS[] = {
    FIELD_ENUM(T, mode, "mode", ENUM_CLIENT_MODE, ISTIO_CLIENT_DISABLE,
               "SIMPLE speaks TLS, MUTUAL shows a certificate, ISTIO_MUTUAL that of the instance (mesh in gatehouse.yaml)."),
    FIELD_STR(T, client_certificate, "clientCertificate", 0, "File with the certificate that is shown, PEM; watched.", .max = 4096),
    FIELD_STR(T, private_key, "privateKey", 0, "File with its key, PEM; watched.", .max = 4096),
    FIELD_STR(T, ca_certificates, "caCertificates", 0, "File with the CA of the endpoints; the system's CAs when absent.", .max = 4096),
    FIELD_STR(T, ca_crl, "caCrl", 0, "File with revoked certificates.", .max = 4096),
    FIELD_STR(T, credential_name, "credentialName", 0,
              "Secret with CA (ca.crt or cacert) and, for MUTUAL, certificate and key, in the namespace of the instance; or "
              "configmap://namespace/name with the CA."),
    FIELD_STR_LIST(T, subject_alt_names, "subjectAltNames", 0, "Names of which the endpoint's certificate must have one, exactly.",
                   .max = 256),
    FIELD_STR(T, sni, "sni", 0, "Name in the ClientHello; the Host that is sent when absent."),
    FIELD_BOOL(T, insecure, "insecureSkipVerify", 0, "Verify nothing."),
};
static const struct schema SCHEMA_CLIENT_TLS = SCHEMA(T, CLIENT_TLS_FIELDS, istio_client_tls_check, "TLS to the endpoints.");
#undef T

/* ---- policies ------------------------------------------------------------------------------------------------ */

static const struct enum_row ENUM_PROXY_VERSION[] = {{"V1", ISTIO_PROXY_V1}, {"V2", ISTIO_PROXY_V2}, {0}};
static const struct field PROXY_FIELDS[] = {
    FIELD_ENUM(struct istio_proxy_protocol, version, "version", ENUM_PROXY_VERSION, ISTIO_PROXY_V1, "V1, as text, or V2."),
};
static const struct schema SCHEMA_PROXY =
    SCHEMA(struct istio_proxy_protocol, PROXY_FIELDS, NULL, "A PROXY header with the client's address, before anything else.");
#define T struct istio_tunnel
static const struct field TUNNEL_FIELDS[] = {
    FIELD_STR(T, protocol, "protocol", 0, "CONNECT or POST."),
    FIELD_STR(T, target_host, "targetHost", FIELD_REQUIRED | FIELD_NONEMPTY, "Where the other end connects to."),
    FIELD_INT(T, target_port, "targetPort", FIELD_REQUIRED, 1, 65535, "Port of it."),
};
static const struct schema SCHEMA_TUNNEL = SCHEMA(T, TUNNEL_FIELDS, istio_tunnel_check, "Connections go through an HTTP proxy.");
#undef T
#define T struct istio_retry_budget
static const struct field RETRY_BUDGET_FIELDS[] = {
    FIELD_NUMBER(T, percent, "percent", 0, "Share of the requests that may be retries.", .max = 100),
    FIELD_INT(T, min_concurrency, "minRetryConcurrency", 0, 0, UINT32_MAX, "Retries that are always possible."),
    FIELD_DURATION(T, interval, "budgetInterval", 0, FMT_GO_DURATION, "Time over which is counted.", .min = -1),
};
static const struct schema SCHEMA_RETRY_BUDGET = SCHEMA(T, RETRY_BUDGET_FIELDS, NULL, "A limit for retries.");
#undef T

#define POLICY_FIELDS(T)                                                                                                   \
    FIELD_OBJ(T, lb, "loadBalancer", 0, &SCHEMA_LB, "How an endpoint is picked."),                                         \
        FIELD_OBJ(T, pool, "connectionPool", 0, &SCHEMA_POOL, "Limits and time-outs."),                                    \
        FIELD_OBJ(T, outlier, "outlierDetection", FIELD_NOT_SERVED, &SCHEMA_OUTLIER, "Leaves out endpoints that fail.",    \
                  .hint = "failing endpoints keep their share; retries go to another one"),                                \
        FIELD_OBJ(T, tls, "tls", 0, &SCHEMA_CLIENT_TLS, "TLS to the endpoints; plain text when absent.")
static const struct field PORT_POLICY_FIELDS[] = {
    FIELD_OBJ(struct istio_port_policy, port, "port", FIELD_REQUIRED, &SCHEMA_ISTIO_PORT_SELECTOR, "The port of the service."),
    POLICY_FIELDS(struct istio_port_policy),
};
static const struct schema SCHEMA_PORT_POLICY =
    SCHEMA(struct istio_port_policy, PORT_POLICY_FIELDS, NULL,
           "Takes the place of loadBalancer, connectionPool, outlierDetection and tls for one port; what it leaves out has its default.");

#define T struct istio_traffic_policy
static const struct field TRAFFIC_POLICY_FIELDS[] = {
    POLICY_FIELDS(T),
    FIELD_LIST(T, ports, "portLevelSettings", 0, &SCHEMA_PORT_POLICY, "Policies of single ports."),
    FIELD_OBJ(T, proxy, "proxyProtocol", 0, &SCHEMA_PROXY, "Sends a PROXY header."),
    FIELD_OBJ(T, tunnel, "tunnel", FIELD_NOT_SERVED, &SCHEMA_TUNNEL, "Connections go through an HTTP proxy.",
              .hint = "connections of tcp and tls rules are closed"),
    FIELD_OBJ(T, retry_budget, "retryBudget", FIELD_NOT_SERVED, &SCHEMA_RETRY_BUDGET, "A limit for retries."),
};
static const struct schema SCHEMA_TRAFFIC_POLICY =
    SCHEMA(T, TRAFFIC_POLICY_FIELDS, NULL, "How the endpoints are spoken to.");
#undef T

/* ---- the object -------------------------------------------------------------------------------------------------- */

static const struct field SUBSET_FIELDS[] = {
    FIELD_STR(struct istio_subset, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "How destinations call it; unique.",
              .format = FMT_DNS_LABEL),
    FIELD_STR_MAP(struct istio_subset, labels, "labels", 0,
                  "Labels an endpoint must have; all endpoints when there is none. Endpoints of a Service have the labels of "
                  "their EndpointSlice, and of the WorkloadEntry that targetRef names.",
                  .format = FMT_LABEL_KEY),
    FIELD_OBJ(struct istio_subset, policy, "trafficPolicy", 0, &SCHEMA_TRAFFIC_POLICY, "Overrides the policy of the rule."),
};
static const struct schema SCHEMA_SUBSET = SCHEMA(struct istio_subset, SUBSET_FIELDS, NULL, "Some endpoints, by label.");

static const struct field SELECTOR_FIELDS[] = {
    FIELD_STR_MAP(struct istio_dr_selector, labels, "matchLabels", 0, "Labels an instance must have."),
};
static const struct schema SCHEMA_SELECTOR = SCHEMA(struct istio_dr_selector, SELECTOR_FIELDS, NULL, "The instances that are meant.");

#define T struct istio_dr_spec
static const struct field SPEC_FIELDS[] = {
    FIELD_STR(T, host, "host", FIELD_REQUIRED | FIELD_NONEMPTY,
              "The service: <name>.<namespace>.svc.<domain>, a host of a ServiceEntry, \"*.\" and the end of such names, or a name "
              "without dots for a service of the object's own namespace."),
    FIELD_OBJ(T, policy, "trafficPolicy", 0, &SCHEMA_TRAFFIC_POLICY, "How its endpoints are spoken to."),
    FIELD_LIST(T, subsets, "subsets", 0, &SCHEMA_SUBSET, "Named parts of its endpoints."),
    FIELD_STR_LIST(T, export_to, "exportTo", 0,
                   "Namespaces whose gateways may use the rule: names, \".\" for the own one, \"*\" (default) for all."),
    FIELD_OBJ(T, selector, "workloadSelector", 0, &SCHEMA_SELECTOR, "Only for instances with these labels."),
};
static const struct schema SCHEMA_SPEC = SCHEMA(T, SPEC_FIELDS, istio_dr_check, "The service and what is said about it.");
#undef T
static const struct field DESTINATION_RULE_FIELDS[] = {
    FIELD_OBJ(struct istio_destination_rule, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "What is said about a service."),
};
const struct schema SCHEMA_DESTINATION_RULE =
    SCHEMA(struct istio_destination_rule, DESTINATION_RULE_FIELDS, NULL,
           "How a service is spoken to once routing has chosen it: TLS, limits, balancing, subsets of its endpoints.");
