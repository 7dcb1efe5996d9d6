/*
 * format.h - THE FORMAT: one generation of configuration as a sealed, position-independent image.
 *
 * The compiler writes it once (master/compile), a memfd carries it, workers, explain and tests read it.
 *
 *   0            struct snap_header: magic, version, generation, size, checksum, table of sections
 *   header_size  section 0: STRINGS, bytes, every string NUL-terminated behind its length
 *   ...          section k: an array of n elements of one fixed-size struct, 8-byte aligned
 *   size         end of the image, equal to the size of the file
 *
 * References are typed 32-bit numbers, never pointers: an index into the section that the member's
 * comment names, a `snap_range` (first, n) of such, or a `snap_str` into STRINGS. SNAP_NONE means
 * "nothing" where the comment says "or none".
 *
 * Invariants, verified once by snap_open (open.c) and trusted afterwards
 *  1. The descriptor carries F_SEAL_SHRINK|GROW|WRITE|SEAL; magic, version, element sizes and total
 *     size fit this build; the checksum fits.
 *  2. Sections lie inside the image, aligned, in order, without overlap.
 *  3. Every index is below its section's count, every range inside its section, every string inside
 *     STRINGS and followed by a NUL.
 *  4. Enumerated values are known to this build.
 *  5. Hash tables have a power-of-two number of slots with at least one empty slot; radix trees are
 *     acyclic (a child's index is greater than its parent's), so every lookup ends.
 *  6. host.fallback chains end (a fallback's index is greater than its host's).
 *  7. Candidate lists are sorted by rank.
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
#define SNAP_VERSION 1
#define SNAP_NONE    0xffffffffu

struct snap_str { uint32_t off, len; };     /* STRINGS */
struct snap_range { uint32_t first, n; };

/* Where a thing was written; for explain, logs and status. */
struct snap_origin {
    struct snap_str api_version, kind, ns, name, file, section;
    uint32_t line, spare;
};

struct snap_bind {               /* one listening socket */
    uint64_t id;                 /* hash of address and port; names the descriptor in ipc */
    struct snap_str address;     /* "" = all */
    uint16_t port;
    uint8_t protocol, spare8;    /* enum listener_protocol of its listeners */
    uint32_t host_slots_log2;
    uint32_t host_slots;         /* first, in HOST_SLOTS; 2^log2 of them */
    uint32_t host_seed;
    uint32_t default_host;       /* HOSTS: the "*" one, or none */
    uint32_t wildcard_labels;    /* most labels of any wildcard host: bounds the lookup */
    struct snap_range listeners; /* LISTENERS */
    struct snap_range hosts;     /* HOSTS */
};

struct snap_listener {
    uint64_t id;                 /* hash of the key */
    struct snap_str key, name, hostname;
    uint32_t bind;               /* BINDS */
    uint32_t slot;               /* board series */
    uint32_t origin;             /* ORIGINS */
    uint16_t port;
    uint8_t protocol, spare8;
};

#define SNAP_HOST_HTTPS_REDIRECT 1u
struct snap_host {
    struct snap_str name;        /* "a.example.com", "*.example.com", "*" */
    uint32_t listener;           /* LISTENERS */
    uint32_t fallback;           /* HOSTS, or none */
    uint32_t flags;
    uint32_t n_entries;
    /* The matcher's own sections follow; see route.c for how they are searched. */
    uint32_t exact_slots, exact_slots_log2; /* EXACT_SLOTS; exact paths (hash table) */
    uint32_t tree;               /* NODES: root of the prefix tree, or none */
    uint32_t tree_fold;          /* NODES: of the case-insensitive one, or none */
    struct snap_range spare;
};

struct snap_strmatch {
    uint8_t type;                /* enum strmatch_type */
    uint8_t flags;               /* 1 ignore case, 2 invert */
    uint16_t spare;
    uint32_t regex;              /* REGEXES, when type is STRMATCH_REGEX */
    struct snap_str value;
};
struct snap_kv_match { struct snap_str name; struct snap_strmatch m; };

struct snap_entry {              /* one (match, rule) of a host */
    uint32_t rank;
    uint32_t rule;               /* RULES */
    uint8_t path;                /* enum path_match */
    uint8_t path_flags;          /* 1 ignore case */
    uint16_t match_index;        /* number of the match in its rule, for explain */
    uint32_t regex;              /* REGEXES for PATH_REGEX, or none */
    struct snap_str path_value;
    uint32_t method, scheme, authority; /* STRMATCHES, or none */
    struct snap_range headers, query;   /* KV_MATCHES */
    uint32_t origin;             /* ORIGINS: the line of the match */
    struct snap_str name;
};

struct snap_regex { struct snap_str pattern; uint32_t flags, spare; };

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
    uint32_t regex;
};
struct snap_direct { struct snap_str body, content_type; uint16_t status, spare[3]; };
struct snap_retry {
    uint16_t attempts, spare;
    uint32_t on;
    struct snap_range codes;     /* CODES (uint16_t) */
    uint32_t backoff_ms, per_try_ms;
};

struct snap_rule {
    uint64_t id;
    struct snap_str key, name;
    uint32_t slot;               /* board series */
    uint32_t origin;
    uint8_t action, header_merge;
    uint16_t no_backend_status;
    struct snap_range filters;   /* FILTERS */
    struct snap_range splits;    /* SPLITS */
    uint32_t total_weight;
    uint32_t redirect, direct, retry; /* REDIRECTS, DIRECTS, RETRIES, or none */
    uint32_t request_timeout_ms, backend_timeout_ms; /* SNAP_NONE = instance default; 0 = none */
};

struct snap_split {
    uint32_t weight;
    uint32_t cluster;            /* CLUSTERS, or none: answers status */
    uint16_t status, reason;
    uint32_t origin;
    struct snap_range filters;
    struct snap_str name;
};

struct snap_cluster {
    uint64_t id;                 /* hash of the key: upstream state survives generations by it */
    struct snap_str key, name;
    uint32_t slot, origin;
    uint8_t lb, protocol, has_dns, spare8;
    uint32_t connect_timeout_ms, idle_timeout_ms, max_connections, max_pending, max_requests;
    struct snap_range endpoints; /* ENDPOINTS */
    uint64_t endpoints_hash;     /* equal hash: the endpoints are the same as before */
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

struct snap_series { struct snap_str key, name; uint32_t slot, what; }; /* what: 0 listener, 1 rule, 2 cluster */

struct snap_settings {
#define X(name, type, def, text) type name;
#include "shared/tbl/setting.def"
#undef X
};

/* X(NAME, element type): the order is the order in the image. */
#define SNAP_SECTIONS(X)                                                                           \
    X(STRINGS, char)                                                                               \
    X(SETTINGS, struct snap_settings)                                                              \
    X(ORIGINS, struct snap_origin)                                                                 \
    X(BINDS, struct snap_bind)                                                                     \
    X(LISTENERS, struct snap_listener)                                                             \
    X(HOSTS, struct snap_host)                                                                     \
    X(HOST_SLOTS, uint32_t)                                                                        \
    X(EXACT_SLOTS, struct snap_slot)                                                               \
    X(NODES, struct snap_node)                                                                     \
    X(LISTS, struct snap_list)                                                                     \
    X(LIST_SLOTS, struct snap_slot)                                                                \
    X(CANDIDATES, uint32_t)                                                                        \
    X(ENTRIES, struct snap_entry)                                                                  \
    X(STRMATCHES, struct snap_strmatch)                                                            \
    X(KV_MATCHES, struct snap_kv_match)                                                            \
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
    X(SERIES, struct snap_series)

/* The matcher's structures. A first shape; route.c owns them and may change them with its essay. */
struct snap_slot { uint32_t hash, value; struct snap_str key; };  /* value: LISTS, or none = empty */
struct snap_node {               /* radix tree over path bytes */
    struct snap_str label;
    struct snap_range kids;      /* NODES, sorted by first byte of label */
    uint32_t list;               /* LISTS: candidates whose prefix ends here, or none */
    uint32_t depth;              /* bytes from the root to the end of label */
};
struct snap_list {
    struct snap_range plain;     /* CANDIDATES (indices of ENTRIES), by rank */
    struct snap_range by_header; /* LIST_SLOTS: entries that need header name = exact value */
    struct snap_str header;      /* that name */
};

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
    uint64_t checksum;           /* hash_bytes over everything from header_size on, seed = generation */
    uint64_t made_wall_us;
    uint64_t content_hash;       /* of the configuration alone: equal = nothing would change */
    uint32_t n_sections, spare;
    struct snap_section_row sections[SNAP_SECTION_COUNT];
};

#endif
