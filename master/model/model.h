/*
 * model.h - THE ONE intermediate model. Both APIs are lowered to it; the compiler sees nothing else.
 *
 *   bind (address, port)                    one listening socket
 *    └ listener (a Gateway listener or an Istio server: names, policy, counters)
 *    └ host (virtual host: exact name, "*.suffix" or "*"), each owned by one listener
 *        └ entry: match + rank -> rule      the lowest rank that matches wins
 *    └ chain: server name of a ClientHello -> what becomes of the connection (TLS binds)
 *    └ stream_rule: where the bytes of a TCP or UDP bind go
 *   rule {filters, action: split | redirect | direct}
 *   split {weight, filters} -> cluster {upstream TLS} -> endpoints
 *
 * Everything is allocated in the arena of the load and never freed singly. Lists are in the order
 * in which dump.c prints them, so golden files are stable.
 *
 * Invariants (check.c verifies them on every build; numbers are cited by code)
 *  1. Names are interned lower-case host names; a host's name is unique within its bind.
 *  2. A host entry's rank is unique within its host and follows the precedence rules of the API that
 *     made it (lower/precedence.c); ranks are dense from 0.
 *  3. host->fallback is a less specific host of the same listener, or NULL; chains end.
 *  4. A rule with ACTION_SPLIT has at least one split, or answers `no_backend_status`.
 *  5. Weights are 0..10^6; the sum of a rule fits 32 bits.
 *  6. A cluster is identified by `key`; equal keys are one cluster.
 *  7. A chain's name is unique within its bind. CHAIN_HTTP and CHAIN_TCP have `tls` with at least one certificate;
 *     CHAIN_TCP and CHAIN_PASSTHROUGH have a rule whose action is a split. CHAIN_REFUSE has neither.
 *  8. A bind has chains, or hosts in plain text, or a stream_rule; only of a TLS bind are two of them set (chains
 *     and the hosts that CHAIN_HTTP leads to). `datagram` only with a stream_rule.
 *  9. Private keys are in model_cert.private_key and nowhere else; dump.c never prints it.
 */
#ifndef GH_MODEL_MODEL_H
#define GH_MODEL_MODEL_H

#include "shared/base/arena.h"
#include "shared/base/hash.h"
#include "shared/tbl/enums.h"
#include "shared/tls/cert.h"

struct str_list_model { struct str *v; size_t n, cap; };

/* An object that something comes from. All that is made of an object shares one of these; two may say the same. */
struct model_source {
    struct str api_version, kind, ns, name;
    struct str file;
    uint32_t number; /* of model_source_add, from 0 */
};

/* Where a thing comes from, for explain, logs and status. A route has three of them. */
struct model_origin {
    const struct model_source *source; /* NULL: of no object */
    struct str section; /* "rules[0]", listener name, server port name; may be empty */
    uint32_t line;
};

struct model_strmatch {
    enum strmatch_type type; /* STRMATCH_ANY: absent, nothing to match */
    bool ignore_case;
    bool invert;             /* withoutHeaders */
    struct str value;        /* exact, prefix or regex */
};

struct model_kv_match { /* one header or query parameter */
    struct str name;    /* headers: lower case */
    struct model_strmatch m;
};

struct model_match {
    struct str name;         /* Istio match name; may be empty */
    uint16_t index;          /* its number among the matches of the rule */
    enum path_match path;    /* PATH_ANY .. PATH_REGEX */
    struct str path_value;   /* element prefixes without the trailing slash ("" = "/") */
    bool path_ignore_case;
    struct model_strmatch method, scheme, authority;
    struct { struct model_kv_match *v; size_t n, cap; } headers, query;
    bool query_raw;          /* parameters are compared as they stand in the URL (Istio 3.4), else decoded */
    struct model_origin origin; /* line of the match */
};

struct model_header_op {
    enum header_op op;   /* HEADER_SET, HEADER_ADD, HEADER_REMOVE */
    struct str name;     /* as written */
    struct str value;    /* may hold %...% substitutions when has_subst */
    bool has_subst;
};

struct model_path_rewrite {
    enum path_rewrite type;   /* REWRITE_NONE, _FULL, _PREFIX_ELEMENT, _PREFIX_STRING, _REGEX */
    struct str value;         /* replacement */
    struct str regex;         /* REWRITE_REGEX: the pattern; value may use \0..\9 */
};

struct model_filter {
    enum filter_type type;    /* filter.def */
    union {
        struct { struct model_header_op *v; size_t n, cap; } headers; /* REQUEST_HEADERS, RESPONSE_HEADERS */
        struct { struct str host; struct model_path_rewrite path; } rewrite;
    } u;
    struct model_origin origin;
};
struct model_filters { struct model_filter *v; size_t n, cap; };

struct model_redirect {
    struct str scheme;           /* empty = of the request */
    struct str host;             /* empty = of the request */
    enum redirect_port port_mode;
    uint16_t port;               /* PORT_FIXED */
    struct model_path_rewrite path;
    bool value_has_query;        /* the replacement path brings its own query: the request's is dropped */
    uint16_t status;             /* 301, 302, 303, 307, 308 */
};

struct model_direct { uint16_t status; struct str body, content_type; };

struct model_retry {
    uint16_t attempts;       /* re-tries after the first; 0 = none */
    uint32_t on;             /* RETRY_ON_* bits */
    uint16_t *codes;         /* response codes that are retried */
    size_t n_codes;
    uint32_t backoff_ms, per_try_ms; /* 0 = default / none */
};

struct model_endpoint {
    struct str key;          /* stable identity: "address:port" */
    struct str address;      /* IP text, "unix:/path", or a DNS name when dns is true */
    uint16_t port;
    uint32_t weight;         /* 1 by default */
    bool dns;                /* the scout resolves `address`; every answer is an endpoint */
    struct model_origin origin;
};

/* A certificate with its key; equal content is one of them (model_cert). */
struct model_cert {
    uint64_t id;             /* of SHA-256 of chain and private key: names the key in the KEYS image */
    struct str chain;        /* PEM, leaf first, in order; certificates only */
    struct str private_key;  /* PEM; key material */
    struct str ocsp;         /* DER response to be stapled; empty = none */
    int64_t ocsp_until_s;    /* Unix time from when on it may not; 0 = it does not say */
    struct cert_info *info;  /* of the leaf: shared/tls/cert.h */
    struct model_origin origin; /* the Secret, or the object that names the files */
    uint32_t index;
};
struct model_certs { struct model_cert **v; size_t n, cap; };

/* What a server demands and offers. Immutable once made: chains share it. */
struct model_tls_server {
    struct model_certs certs;         /* one per key type is used: what the client can verify decides */
    enum client_auth client_auth;
    struct str ca;                    /* PEM bundle for client certificates */
    struct str crl;                   /* PEM or DER; empty = none */
    struct str_list_model sans;       /* exact names of which the client certificate must have one; none = any */
    struct str_list_model spki;       /* base64 SHA-256 of the public key } one of these two lists must fit, */
    struct str_list_model hashes;     /* lower-case hex SHA-256           } unless both are empty */
    enum tls_version min, max;        /* AUTO = 1.2, 1.3 */
    struct str ciphers;               /* of TLS 1.2, IANA or OpenSSL names joined by ':', ours or checked; empty = default */
    uint8_t alpn;                     /* TLS_ALPN_ bits; 0 = none is offered */
    struct model_origin origin;
    uint32_t index;
};

/* How a cluster's endpoints are spoken to in TLS. */
struct model_tls_client {
    struct str sni;                   /* empty: the Host that is sent (HTTP), the client's SNI (layer 4) */
    struct str identity;              /* DNS name that the certificate must have when `sans` is empty; empty: the SNI */
    struct str_list_model sans;       /* exact DNS or URI names, one of which it must have */
    bool any_name;                    /* without sans: a certificate of the CA is enough, whatever its names (Istio's mutual
                                       * TLS, whose identities are accounts, where the accounts are not known) */
    struct str ca;                    /* PEM bundle; empty with system_ca: that of the system */
    bool system_ca;
    struct str crl;
    bool insecure;                    /* nothing is verified */
    struct model_cert *cert;          /* shown when asked; NULL = none */
    bool broken;                      /* its CA or certificate is not usable: no connection is made, never a plain one */
    bool no_cert;                     /* why it is broken: the certificate to be shown */
    struct model_origin origin;
    uint32_t index;
};

struct model_cluster {
    /* "Service/default/httpbin:8000", "ServiceEntry/default/host:80"; a variant (other TLS settings, a subset) has them
     * behind a '#': two clusters with the same endpoints and different settings are two. */
    struct str key;
    struct str name;         /* for people, logs and metrics: "default/httpbin:8000" */
    enum lb_policy lb;
    enum upstream_protocol protocol;
    uint32_t connect_timeout_ms, idle_timeout_ms; /* 0 = instance default */
    uint32_t max_connections, max_pending, max_requests; /* 0 = unlimited */
    struct model_tls_client *tls; /* NULL = plain text */
    enum proxy_header proxy_header; /* sent first on every connection */
    struct { struct model_endpoint **v; size_t n, cap; } endpoints;
    struct model_origin origin;
    uint32_t index;          /* set by compile */
};

struct model_split {
    uint32_t weight;
    struct model_cluster *cluster; /* NULL: invalid, answers `status` for its share */
    uint16_t status;               /* 500 for an invalid backend, 503 for an unknown Istio host */
    enum reason reason;            /* what the log says then (tbl/reason.def) */
    struct model_filters filters;  /* of this backend only, after the rule's */
    struct str name;               /* for explain: "default/httpbin:8000" */
    struct model_origin origin;
};

/* Of layer 4 (stream_rule, chains): ACTION_SPLIT, no filters; request_timeout is none, a split without a cluster and
 * one without endpoints close the connection (or drop the datagram). */
struct model_rule {
    struct str key;          /* counters and stable identity: "HTTPRoute/default/shop/0" */
    struct str name;         /* route name for logs and metrics labels */
    struct model_origin origin;
    struct model_filters filters;
    enum rule_action action;
    struct { struct model_split *v; size_t n, cap; } splits;
    uint16_t no_backend_status; /* ACTION_SPLIT without any usable weight: 500 or 503 */
    struct model_redirect *redirect; /* ACTION_REDIRECT */
    struct model_direct *direct;     /* ACTION_DIRECT */
    bool has_request_timeout, has_backend_timeout; /* false = instance default; 0 ms = none */
    uint32_t request_timeout_ms, backend_timeout_ms;
    struct model_retry retry;
    bool grpc;               /* of a GRPCRoute: answers made here are gRPC statuses whatever the request's content type */
    uint32_t idle_timeout_ms;/* layer 4: no byte in either direction; 0 = instance default */
    enum header_merge header_merge; /* how rule and split header operations combine (Istio 3.10) */
    uint32_t index;
};

struct model_entry {
    struct model_match *match;
    struct model_rule *rule;
    uint32_t rank; /* lowest wins */
};

struct model_listener;
struct model_host {
    struct str name;              /* "a.example.com", "*.example.com", "*" */
    struct model_listener *listener;
    struct model_host *fallback;
    bool https_redirect;          /* every request gets 301 to https */
    struct { struct model_entry *v; size_t n, cap; } entries; /* by rank */
    uint32_t index;
};

struct model_bind;
struct model_listener {
    struct str key;               /* "Gateway/default/edge/http" */
    struct str name;              /* metrics label: "default/edge/http" */
    struct model_bind *bind;
    struct str hostname;          /* the listener's own: "*" when it has none */
    enum listener_protocol protocol;
    struct model_origin origin;
    uint32_t index;
};

/* A server name, "*.suffix" or "*" (every name, and none) on a TLS bind. */
struct model_chain {
    struct str name;
    struct model_listener *listener;
    enum chain_mode mode;
    struct model_tls_server *tls;
    struct model_rule *rule;
    bool istio_alpn;              /* AUTO_PASSTHROUGH: only for clients that offer an ALPN of Istio's */
    struct str why;               /* CHAIN_REFUSE: a sentence for logs and explain */
    struct model_origin origin;
    uint32_t index;
};

struct model_cidr { uint8_t family, bits, ip[16]; }; /* family 4 or 6; host bits are zero */

struct model_bind {
    struct str address;           /* IP text; "" = all addresses, IPv6 and IPv4; "unix:/path" */
    uint16_t port;
    bool datagram;                /* a UDP socket; the same port as a TCP bind is another bind */
    struct { struct model_chain **v; size_t n, cap; } chains;
    struct map chains_by_name;
    struct model_rule *stream_rule; /* TCP and UDP; NULL = none: connections are closed, datagrams dropped */
    /* PROXY protocol: a peer in one of these ranges must begin with a PROXY header, any other may not. */
    struct { struct model_cidr *v; size_t n, cap; } proxy_trusted;
    bool has_trusted_hops;        /* else settings.trusted_hops */
    uint32_t trusted_hops;        /* proxies in front whose X-Forwarded-For is believed */
    struct { struct model_listener **v; size_t n, cap; } listeners;
    struct { struct model_host **v; size_t n, cap; } hosts;
    struct map hosts_by_name;
    int bind_error;               /* errno of the master's attempt; != 0: not served */
    uint32_t index;               /* place in model->binds */
};

/* Instance-wide values that the workers need with each generation (from kind Instance). Milliseconds;
 * 0 = none. Field meanings: docs of the Instance kind. */
struct model_settings {
#define X(name, type, def, text) type name;
#include "shared/tbl/setting.def"
#undef X
};

struct model {
    struct arena *arena;
    struct { struct model_bind **v; size_t n, cap; } binds;
    struct { struct model_cluster **v; size_t n, cap; } clusters;
    struct { struct model_rule **v; size_t n, cap; } rules;
    struct model_certs certs;
    struct { struct model_tls_server **v; size_t n, cap; } tls_servers;
    struct { struct model_tls_client **v; size_t n, cap; } tls_clients;
    struct map clusters_by_key;
    struct map certs_by_text;     /* 16 hex digits of a hash of the texts, '+' per collision -> struct model_cert */
    struct map binds_by_key;
    uint32_t n_sources;
    struct model_settings settings;
};

void model_init(struct model *m, struct arena *a);
/* Finds or makes. `address` "" = all. */
struct model_bind *model_bind(struct model *m, struct str address, uint16_t port);
struct model_bind *model_bind_udp(struct model *m, struct str address, uint16_t port);
/* NULL when there is none. */
struct model_bind *model_bind_find(struct model *m, struct str address, uint16_t port, bool datagram);
/* NULL when the bind has one of that name (the caller reports the conflict). */
struct model_chain *model_chain_add(struct model *m, struct model_bind *b, struct str name,
                                    struct model_listener *l, enum chain_mode mode);
/* The certificate with this content, found or made. `info` is of its leaf. Texts are copied, of `chain` what
 * model_public_pem leaves. */
struct model_cert *model_cert(struct model *m, struct str chain, struct str private_key, const struct cert_info *info);
/* What of a PEM text may be shown to anyone: the text itself, unless it holds a private key; then a copy of its blocks
 * without those (people put both into one file). For what becomes tls.ca and tls.crl. Never copies DER. */
struct str model_public_pem(struct arena *a, struct str pem);
struct model_tls_server *model_tls_server_add(struct model *m);
struct model_tls_client *model_tls_client_add(struct model *m);
struct model_listener *model_listener_add(struct model_bind *b, struct arena *a, struct str key,
                                          struct str hostname);
/* Finds or makes the virtual host; an existing one keeps its listener (the caller reports conflicts). */
struct model_host *model_host(struct model *m, struct model_bind *b, struct str name,
                              struct model_listener *l);
struct model_rule *model_rule_add(struct model *m, struct str key);
/* Empty but for its number; the caller fills it in before it is shared. */
struct model_source *model_source_add(struct model *m);
struct model_cluster *model_cluster(struct model *m, struct str key, bool *made);

/* Text form for golden tests and `gatehouse dump`; stable order. */
struct buf;
void model_dump(const struct model *m, struct buf *out);
/* Verifies the invariants; NULL when they hold, else a sentence (allocated in m->arena). */
const char *model_check(const struct model *m);

#endif
