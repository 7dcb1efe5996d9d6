/*
 * enums.h - the words that the model, the snapshot and the worker share. Values are part of the
 * snapshot format: append, never renumber.
 */
#ifndef GH_TBL_ENUMS_H
#define GH_TBL_ENUMS_H

#include <stdint.h>

enum strmatch_type { STRMATCH_ANY, STRMATCH_PRESENT, STRMATCH_EXACT, STRMATCH_PREFIX, STRMATCH_REGEX };

enum path_match {
    PATH_ANY,            /* every path */
    PATH_EXACT,          /* byte for byte */
    PATH_PREFIX_ELEMENT, /* Gateway API: whole path elements */
    PATH_PREFIX_STRING,  /* Istio: plain string prefix */
    PATH_REGEX,          /* anchored at both ends */
};

enum header_op { HEADER_SET, HEADER_ADD, HEADER_REMOVE };
/* Gateway API and Istio with one destination: rule, then split (the split's set wins). Istio with
 * several destinations: split first, then rule. */
enum header_merge { HEADER_MERGE_RULE_FIRST, HEADER_MERGE_SPLIT_FIRST };

/* REWRITE_PREFIX_STRING replaces just the bytes that the matching prefix covers, whatever follows. */
enum path_rewrite { REWRITE_NONE, REWRITE_FULL, REWRITE_PREFIX_ELEMENT, REWRITE_PREFIX_STRING, REWRITE_REGEX };

enum redirect_port {
    PORT_LISTENER,  /* Gateway API without port: scheme's own if the filter has one, else the listener's */
    PORT_FIXED,
    PORT_KEEP_HOST, /* Istio: as in the Host header, unless the scheme changes away from its default */
    PORT_NONE,      /* Istio FROM_PROTOCOL_DEFAULT */
    PORT_REQUEST,   /* Istio FROM_REQUEST_PORT: the listener's port; as PORT_KEEP_HOST if that is the default of the
                     * scheme written */
};

enum rule_action { ACTION_SPLIT, ACTION_REDIRECT, ACTION_DIRECT };
enum lb_policy { LB_ROUND_ROBIN, LB_LEAST_REQUEST, LB_RANDOM };
/* Towards endpoints. H2: prior knowledge in plain text, ALPN "h2" alone over TLS. AUTO: over TLS what ALPN gives of h2
 * and http/1.1; in plain text HTTP/1.1. Clusters of layer 4 rules carry bytes whatever stands here. */
enum upstream_protocol { UPSTREAM_HTTP1, UPSTREAM_H2, UPSTREAM_AUTO };
enum listener_protocol { LISTENER_HTTP, LISTENER_HTTPS, LISTENER_TLS, LISTENER_TCP, LISTENER_UDP };

/* What becomes of a TLS connection once its ClientHello is read. */
enum chain_mode {
    CHAIN_HTTP,          /* terminated; HTTP/2 or HTTP/1.1 by ALPN, the virtual hosts of the bind */
    CHAIN_TCP,           /* terminated; the plain bytes go where the chain's rule says */
    CHAIN_PASSTHROUGH,   /* not touched: the encrypted bytes go where the chain's rule says */
    CHAIN_REFUSE,        /* closed: its certificate, CA or rule is not usable. Never anything in plain text */
};
/* What a server asks of the client's certificate. */
enum client_auth {
    CLIENT_AUTH_NONE,
    CLIENT_AUTH_OPTIONAL, /* none is fine, a bad one breaks the handshake */
    CLIENT_AUTH_REQUIRED, /* none or a bad one breaks the handshake */
    CLIENT_AUTH_TOLERANT, /* asked for, anything goes (AllowInsecureFallback, insecureSkipVerify) */
};
enum tls_version { TLS_VERSION_AUTO, TLS_VERSION_1_2, TLS_VERSION_1_3 };
#define TLS_ALPN_H2    1u
#define TLS_ALPN_HTTP1 2u
enum key_type { KEY_NONE, KEY_RSA, KEY_ECDSA, KEY_ED25519 };
enum proxy_header { PROXY_HEADER_NONE, PROXY_HEADER_V1, PROXY_HEADER_V2 }; /* sent to endpoints */

enum retry_on {
    RETRY_ON_CONNECT_FAILURE = 1 << 0,
    RETRY_ON_RESET = 1 << 1,          /* closed before any response byte, or per-try timeout */
    RETRY_ON_GATEWAY_ERROR = 1 << 2,  /* 502, 503, 504 or none */
    RETRY_ON_5XX = 1 << 3,
    RETRY_ON_RETRIABLE_4XX = 1 << 4,  /* 409 */
    RETRY_ON_STATUS_CODES = 1 << 5,   /* the listed ones */
    RETRY_ON_REFUSED_STREAM = 1 << 6,
    RETRY_ON_RESET_BEFORE_REQUEST = 1 << 7,
    /* The status of a call of gRPC, if the head of its answer says it ("trailers only"). */
    RETRY_ON_GRPC_CANCELLED = 1 << 8,
    RETRY_ON_GRPC_DEADLINE_EXCEEDED = 1 << 9,
    RETRY_ON_GRPC_INTERNAL = 1 << 10,
    RETRY_ON_GRPC_RESOURCE_EXHAUSTED = 1 << 11,
    RETRY_ON_GRPC_UNAVAILABLE = 1 << 12,
};

enum grpc_status {
#define X(name, number, word, camel) GRPC_STATUS_##name = number,
#include "shared/tbl/grpc_status.def"
#undef X
    GRPC_STATUS_COUNT
};

/* One row per verb; see filter.def. */
enum filter_type {
#define X(name, text) FILTER_##name,
#include "shared/tbl/filter.def"
#undef X
};

/* The commands of header values, "%NAME%": header_var.def. */
enum header_var_arg { HEADER_VAR_ARG_NONE, HEADER_VAR_ARG_REQUIRED, HEADER_VAR_ARG_OPTIONAL };
enum header_var {
#define X(id, name, argument, served, text) HEADER_VAR_##id,
#include "shared/tbl/header_var.def"
#undef X
    HEADER_VAR_COUNT
};

/* Why a TLS connection did not come about, or broke. */
enum tls_fault {
#define X(name, word, text) TLS_FAULT_##name,
#include "shared/tbl/tls_fault.def"
#undef X
    TLS_FAULT_COUNT
};

/* Why an exchange ended as it did: one closed list for the log, the metrics and explain. */
enum reason {
#define X(name, flag, status, text) REASON_##name,
#include "shared/tbl/reason.def"
#undef X
    REASON_COUNT
};

#endif
