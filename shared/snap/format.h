/*
 * format.h - THE FORMAT: one generation of configuration as a sealed, position-independent image.
 *
 * The compiler writes it once (master/compile), a memfd carries it, workers, explain and tests read it.
 *
 *   0            struct snap_header: magic, version, generation, size, checksum, table of sections
 *   64 * k       section 0: STRINGS, bytes; the first is NUL, every text is followed by one
 *   64 * k       section i: an array of n elements of one fixed-size struct
 *   size         end of the image, equal to the size of the file
 *
 * References are typed 32-bit numbers, never pointers: an index into the section that the member's comment
 * names, a `snap_range` (first, n) of such, or a place in STRINGS. SNAP_NONE means "nothing" where the
 * comment says "or none".
 *
 * Who refers to whom (the matcher's part is drawn in route.c):
 *
 *   BINDS ──► LISTENERS                                  ORIGINS ──► OBJECTS   (from everything: where it
 *     │            ▲                                                            was written)
 *     └► HOSTS ────┘◄─ HOST_SLOTS            REGEXES ◄── ENTRIES, CONDS, REWRITES
 *          └► ENTRIES ──► CONDS
 *               └► RULES ──► FILTERS ──► HEADER_OPS, REWRITES
 *                    ├─────► REDIRECTS, DIRECTS, RETRIES ──► CODES
 *                    └─────► SPLITS ──► CLUSTERS ──► ENDPOINTS
 *   BINDS ──► CHAINS ◄─ CHAIN_SLOTS                        └─────► TLS_CLIENTS ──► CERTS, NAMES
 *     │         └──► TLS_SERVERS ──► INDEXES ──► CERTS ──► NAMES
 *     │         └──► RULES (layer 4)
 *     └──► CIDRS, RULES (stream_rule)
 *
 * Invariants, verified once by snap_open (open.c) and trusted afterwards
 *  1. The descriptor carries F_SEAL_SHRINK|GROW|WRITE|SEAL; magic, version, element sizes and total size
 *     fit this build; the checksum fits.
 *  2. Sections lie inside the image, aligned to 64 bytes, in order, without overlap.
 *  3. Every index is below its section's count, every range inside its section, every snap_str inside
 *     STRINGS and followed by a NUL (labels of NODES are pieces of strings: no NUL), every snap_name inside
 *     STRINGS, the last byte of which is NUL.
 *  4. Enumerated values are known to this build.
 *  5. Hash tables have a power-of-two number of slots (or none) with at least one empty slot; a node's kids
 *     lie behind the node, ordered by their first byte, with labels that are not empty; lists lie behind
 *     the list that refers to them and one level deeper, at most SNAP_LIST_LEVELS: so every lookup ends.
 *  6. A host's fallback lies behind it and belongs to the same listener: chains end.
 *  7. The entries of a host are one range, runs inside it are ordered by rank and end in an entry marked
 *     SNAP_ENTRY_LAST, the last entry of the range is so marked; RANKED of the same range lists them by rank,
 *     and entry number k of that has rank k.
 *  8. A rule's total_weight is the sum of its splits' weights.
 *  9. The chains of a bind are one range; CHAIN_HTTP and CHAIN_TCP have a tls_server with a certificate, CHAIN_TCP and
 *     CHAIN_PASSTHROUGH a rule whose action is a split. A stream_rule's action is a split; a bind that has one, or is of
 *     datagrams, has neither hosts nor chains. A range of addresses has a family and bits that fit, the rest is zero.
 * Private keys are never in it; it may be shown to anyone.
 *
 * Growing the format: append members, bump SNAP_VERSION; a worker refuses another version and the
 * master keeps the old generation.
 */
#ifndef GH_SNAP_FORMAT_H
#define GH_SNAP_FORMAT_H

#include "shared/tbl/enums.h"
#include <stdint.h>

#define SNAP_MAGIC   0x50414e53454854UL /* "THESNAP" */
#define SNAP_VERSION 5
#define SNAP_ALIGN   64
#define SNAP_NONE    0xffffffffu

struct snap_str { uint32_t off, len; };     /* STRINGS */
struct snap_name { uint32_t off; };         /* STRINGS, up to the NUL: for texts nobody reads in a hurry */
struct snap_range { uint32_t first, n; };

/* Where a thing was written; for explain, logs and status. */
struct snap_object { struct snap_name api_version, kind, ns, name, file; };
struct snap_origin {
    uint32_t object;             /* OBJECTS */
    uint32_t line;
    struct snap_name section;    /* "rules[0]" */
};
/*
 * Where a part of a rule (an entry, a split) was written: SNAP_PLACE_LINE | lines below the rule's origin, in the same
 * object, as nearly always; else an index into ORIGINS. snap_place (snap.h) reads it. Lines are counted from the rule, so
 * that rules of one form have equal splits, which are written once.
 */
#define SNAP_PLACE_LINE 0x80000000u

struct snap_bind {               /* one listening socket */
    uint64_t id;                 /* snap_bind_id of address and port; names the descriptor in ipc */
    struct snap_str address;     /* "" = all */
    uint16_t port;
    uint8_t protocol, spare8;    /* enum listener_protocol of its listeners */
    uint32_t default_host;       /* HOSTS: the "*" one, or none */
    uint32_t wildcards;          /* bit k: a wildcard host has k labels behind the "*."; bit 0: 32 and more */
    struct snap_range listeners; /* LISTENERS */
    struct snap_range hosts;     /* HOSTS */
    uint32_t flags;              /* SNAP_BIND_ */
    uint32_t stream_rule;        /* RULES, or none: a TCP or UDP bind */
    struct snap_range chains;    /* CHAINS; n > 0: connections begin with a ClientHello */
    uint32_t default_chain;      /* CHAINS: the "*" one, or none */
    uint32_t chain_wildcards;    /* as `wildcards`, of chains */
    struct snap_range proxy_trusted; /* CIDRS: peers that begin with a PROXY header; n = 0: nobody does */
    uint32_t trusted_hops;       /* proxies in front whose X-Forwarded-For is believed */
};
#define SNAP_BIND_DATAGRAM 1u

/* Which server name leads where; looked up by route_chain (route.h). */
#define SNAP_CHAIN_ISTIO_ALPN 1u /* only for a ClientHello that offers an ALPN beginning with "istio" */
struct snap_chain {
    struct snap_str name;        /* "a.example.com", "*.example.com", "*" */
    uint32_t listener;           /* LISTENERS */
    uint8_t mode, flags, spare8[2]; /* enum chain_mode; SNAP_CHAIN_ */
    uint32_t tls;                /* TLS_SERVERS, or none */
    uint32_t rule;               /* RULES, or none */
    struct snap_name why;        /* CHAIN_REFUSE */
    uint32_t origin;
};

struct snap_cert {               /* without its private key: that is in KEYS, under `id` */
    uint64_t id;
    struct snap_str chain;       /* PEM, leaf first */
    struct snap_str ocsp;        /* DER, or empty */
    struct snap_name subject, issuer, serial;
    struct snap_range names;     /* NAMES: DNS, IP and URI names of the leaf */
    uint32_t origin;
    int64_t not_before_s, not_after_s; /* Unix time */
    int64_t ocsp_until_s;        /* the end of `ocsp`; 0 = it does not say */
    uint8_t key_type, spare8;    /* enum key_type */
    uint16_t key_bits;
    uint8_t sha256[32];          /* of the leaf */
    uint32_t spare;
};

struct snap_tls_server {
    uint64_t id;                 /* of SHA-256 of all it says and its certificates' ids: contexts are kept by it */
    struct snap_range certs;     /* INDEXES, of CERTS */
    uint8_t client_auth, min_version, max_version, alpn;
    uint32_t origin;
    struct snap_str ca, crl, ciphers;
    struct snap_range sans, spki, hashes; /* NAMES */
};

#define SNAP_TLS_SYSTEM_CA 1u
#define SNAP_TLS_INSECURE  2u
#define SNAP_TLS_BROKEN    4u
#define SNAP_TLS_NO_CERT   16u /* BROKEN, because of the certificate to be shown */
#define SNAP_TLS_ANY_NAME  8u /* without sans: a certificate of the CA is enough, whatever its names */
struct snap_tls_client {
    uint64_t id;                 /* as of snap_tls_server */
    struct snap_str sni, identity, ca, crl;
    struct snap_range sans;      /* NAMES */
    uint32_t cert;               /* CERTS, or none */
    uint32_t flags;              /* SNAP_TLS_ */
    uint32_t origin, spare;
};

struct snap_cidr { uint8_t family, bits, spare8[2]; uint8_t ip[16]; };

struct snap_listener {
    uint64_t id;                 /* hash of the key */
    struct snap_str key, name, hostname;
    uint32_t bind;               /* BINDS */
    uint32_t slot;               /* board series */
    uint32_t origin;             /* ORIGINS */
    uint16_t port;
    uint8_t protocol, spare8;
};

#define SNAP_HOST_HTTPS_REDIRECT 1u /* every request gets 301 to https */
#define SNAP_HOST_EXACT          2u /* has entries in EXACT_SLOTS */
struct snap_host {
    struct snap_str name;        /* "a.example.com", "*.example.com", "*" */
    uint32_t listener;           /* LISTENERS */
    uint32_t fallback;           /* HOSTS, or none */
    uint32_t flags;
    struct snap_range entries;   /* ENTRIES; and RANKED: the same by rank */
    uint32_t any;                /* a set (see below): entries that every path may match */
    uint32_t tree;               /* NODES: root of the prefix tree, or none */
    uint32_t tree_fold;          /* NODES: root of the one over lower-cased paths, or none */
};

/*
 * A SET of candidates is one 32-bit number: none; the first ENTRY of a run, which goes on to the entry
 * marked SNAP_ENTRY_LAST; or SNAP_SET_LIST | i, where LISTS[i] finds runs by a header's or a parameter's value.
 */
#define SNAP_SET_LIST    0x80000000u
#define SNAP_LIST_LEVELS 12

#define SNAP_ENTRY_IGNORE_CASE 1u
#define SNAP_ENTRY_LAST        2u /* the last of its run */
struct snap_entry {              /* one (match, rule) of a host */
    uint32_t rank;
    uint32_t rule;               /* RULES */
    struct snap_str path_value;
    uint8_t path;                /* enum path_match */
    uint8_t flags;               /* SNAP_ENTRY_ */
    uint16_t match_index;        /* number of the match in its rule, for explain */
    uint32_t regex;              /* REGEXES for PATH_REGEX; none: every path (".*") */
    struct snap_range conds;     /* CONDS: all must hold */
    uint32_t place;              /* of the match, see SNAP_PLACE_LINE */
    struct snap_name section;    /* "rules[0].matches[1]" */
    struct snap_name name;       /* Istio's match name */
};

enum snap_cond_what { COND_METHOD, COND_SCHEME, COND_AUTHORITY, COND_HEADER, COND_QUERY };
#define SNAP_COND_IGNORE_CASE 1u
#define SNAP_COND_INVERT      2u /* withoutHeaders: an absent header counts as empty */
#define SNAP_COND_DECODED     4u /* query: names and values are compared percent-decoded */
struct snap_cond {
    uint8_t what;                /* enum snap_cond_what */
    uint8_t type;                /* enum strmatch_type, not STRMATCH_ANY */
    uint8_t flags, spare8;       /* SNAP_COND_ */
    uint32_t regex;              /* REGEXES when type is STRMATCH_REGEX, or none */
    struct snap_str name;        /* of the header (lower case) or parameter */
    struct snap_str value;
};

#define SNAP_REGEX_IGNORE_CASE 1u /* the bits are those of shared/regex/regex.h */
#define SNAP_REGEX_SEARCH      2u /* for REWRITE_REGEX */
struct snap_regex { struct snap_str pattern; uint32_t flags; };

/* The matcher's structures: route.c is their manual. */
struct snap_slot { uint32_t tag, value; };  /* value: HOSTS or a set; none = empty slot */
struct snap_node {               /* radix tree over the bytes of paths */
    uint32_t label;              /* STRINGS; `label_len` bytes */
    uint16_t label_len;          /* 0 for a root only */
    uint8_t byte;                /* the first of the label */
    uint8_t n_kids;
    uint32_t kids;               /* NODES: the first of n_kids, ordered by byte */
    uint32_t set;                /* candidates whose prefix ends here, or none */
};
enum snap_list_by { LIST_BY_HEADER, LIST_BY_QUERY, LIST_BY_QUERY_DECODED };
struct snap_list {               /* candidates that need `name` to have one exact value, by that value */
    struct snap_str name;
    uint8_t by;                  /* enum snap_list_by */
    uint8_t level;               /* of nesting, from 1 */
    uint8_t log2, spare8;        /* 2^log2 slots */
    uint32_t slots;              /* LIST_SLOTS: the first */
    uint32_t rest;               /* a set: those without such a condition */
    uint32_t min_rank;           /* of all candidates in it */
};

struct snap_header_op { uint8_t op, has_subst; uint16_t field_id; struct snap_str name, value; };
struct snap_rewrite { uint8_t type, spare8[3]; uint32_t regex; struct snap_str host, path; };
struct snap_filter {
    uint16_t type, spare;        /* enum filter_type */
    uint32_t arg;                /* index into the section of that type: REWRITES, or none */
    struct snap_range ops;       /* HEADER_OPS for the header filters */
    uint32_t origin;
};

struct snap_redirect {
    struct snap_str scheme, host, path;
    uint16_t status, port;
    uint8_t port_mode, path_type, value_has_query, spare8;
    uint32_t regex;              /* REGEXES for REWRITE_REGEX, or none */
};
struct snap_direct { struct snap_str body, content_type; uint16_t status, spare[3]; };
struct snap_retry {
    uint16_t attempts, spare;
    uint32_t on;
    struct snap_range codes;     /* CODES (uint16_t) */
    uint32_t backoff_ms, per_try_ms;
};

struct snap_rule {
    uint64_t id;                 /* hash of the key */
    struct snap_str key, name;
    uint32_t slot;               /* board series */
    uint32_t origin;
    uint8_t action;
    uint8_t header_merge : 4, flags : 4; /* SNAP_RULE_ */
    uint16_t no_backend_status;
    struct snap_range filters;   /* FILTERS */
    struct snap_range splits;    /* SPLITS; rules may share them */
    uint32_t total_weight;
    uint32_t redirect, direct, retry; /* REDIRECTS, DIRECTS, RETRIES, or none */
    uint32_t request_timeout_ms, backend_timeout_ms; /* SNAP_NONE = instance default; 0 = none */
    uint32_t idle_timeout_ms;    /* layer 4; 0 = instance default */
};
#define SNAP_RULE_GRPC 1u        /* answers made here are gRPC statuses */

struct snap_split {
    uint32_t weight;
    uint32_t cluster;            /* CLUSTERS, or none: answers status */
    uint16_t status, reason;
    uint32_t place;              /* see SNAP_PLACE_LINE */
    struct snap_range filters;
    struct snap_str name;
};
_Static_assert(sizeof(struct snap_rule) == 80 && sizeof(struct snap_entry) == 44 && sizeof(struct snap_split) == 32,
               "of these a configuration has as many as routes");

struct snap_cluster {
    uint64_t id;                 /* hash of the key: upstream state survives generations by it */
    struct snap_str key, name;
    uint32_t slot, origin;
    uint8_t lb, protocol, has_dns, spare8;
    uint32_t connect_timeout_ms, idle_timeout_ms, max_connections, max_pending, max_requests;
    struct snap_range endpoints; /* ENDPOINTS */
    uint64_t endpoints_hash;     /* equal hash: the endpoints are the same as before */
    uint32_t tls;                /* TLS_CLIENTS, or none: plain text */
    uint8_t proxy_header, spare[3]; /* enum proxy_header */
};

struct snap_endpoint {
    uint64_t id;                 /* hash of cluster and address */
    struct snap_str address;     /* IP, "unix:/path", or a name when dns_slot is not none */
    uint16_t port;
    uint8_t family;              /* 4, 6, 1 = unix, 0 = name */
    uint8_t spare8;
    uint8_t ip[16];
    uint32_t weight;
    uint32_t board_slot;         /* board endpoint row */
    uint32_t dns_slot;           /* board dns row, or none */
    uint32_t origin;
};

/* Who has a place of its own on the board (slot > 0): what to call it in /metrics. */
enum snap_series_what { SERIES_LISTENER, SERIES_RULE, SERIES_CLUSTER };
struct snap_series { uint32_t slot, what, index; }; /* enum above; index into that section */

struct snap_settings {
#define X(name, type, def, text) type name;
#include "shared/tbl/setting.def"
#undef X
};

/* X(NAME, element type): the order is the order in the image. */
#define SNAP_SECTIONS(X)                                                                           \
    X(STRINGS, char)                                                                               \
    X(SETTINGS, struct snap_settings)                                                              \
    X(OBJECTS, struct snap_object)                                                                 \
    X(ORIGINS, struct snap_origin)                                                                 \
    X(BINDS, struct snap_bind)                                                                     \
    X(LISTENERS, struct snap_listener)                                                             \
    X(HOSTS, struct snap_host)                                                                     \
    X(HOST_SLOTS, struct snap_slot)                                                                \
    X(EXACT_SLOTS, struct snap_slot)                                                               \
    X(NODES, struct snap_node)                                                                     \
    X(LISTS, struct snap_list)                                                                     \
    X(LIST_SLOTS, struct snap_slot)                                                                \
    X(ENTRIES, struct snap_entry)                                                                  \
    X(RANKED, uint32_t)                                                                            \
    X(CONDS, struct snap_cond)                                                                     \
    X(REGEXES, struct snap_regex)                                                                  \
    X(RULES, struct snap_rule)                                                                     \
    X(FILTERS, struct snap_filter)                                                                 \
    X(HEADER_OPS, struct snap_header_op)                                                           \
    X(REWRITES, struct snap_rewrite)                                                               \
    X(REDIRECTS, struct snap_redirect)                                                             \
    X(DIRECTS, struct snap_direct)                                                                 \
    X(RETRIES, struct snap_retry)                                                                  \
    X(CODES, uint16_t)                                                                             \
    X(SPLITS, struct snap_split)                                                                   \
    X(CLUSTERS, struct snap_cluster)                                                               \
    X(ENDPOINTS, struct snap_endpoint)                                                             \
    X(SERIES, struct snap_series)                                                                  \
    X(CHAINS, struct snap_chain)                                                                   \
    X(CHAIN_SLOTS, struct snap_slot)                                                               \
    X(CERTS, struct snap_cert)                                                                     \
    X(TLS_SERVERS, struct snap_tls_server)                                                         \
    X(TLS_CLIENTS, struct snap_tls_client)                                                         \
    X(NAMES, struct snap_str)                                                                      \
    X(INDEXES, uint32_t)                                                                           \
    X(CIDRS, struct snap_cidr)

enum snap_section {
#define X(name, type) SNAP_##name,
    SNAP_SECTIONS(X)
#undef X
    SNAP_SECTION_COUNT
};

struct snap_section_row { uint64_t off; uint32_t n, elem; };
struct snap_header {
    uint64_t magic;
    uint32_t version, header_size;
    uint64_t generation;
    uint64_t size;               /* of the image */
    uint64_t checksum;           /* of the whole image with this member 0, seed = generation */
    uint64_t made_wall_us;
    uint64_t content_hash;       /* of the configuration alone: equal = nothing would change */
    uint32_t n_sections, spare;
    struct snap_section_row sections[SNAP_SECTION_COUNT];
};

#endif
