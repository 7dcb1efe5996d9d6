/*
 * istio_common.h - what the Istio kinds share: host names with their wildcards, StringMatch, header
 * operations, exportTo, and the helpers of their check functions.
 *
 * Rules: ISTIO-RULES sections 1 and 3.10. All functions are pure over slices and nodes; findings go to
 * the decoder. `istio_get` exists because a file may spell every field in snake_case as well.
 */
#ifndef GH_KINDS_ISTIO_COMMON_H
#define GH_KINDS_ISTIO_COMMON_H

#include "master/kinds/schema.h"

/* ---- names -------------------------------------------------------------------------------- */

/* A DNS-1123 label: lower case letters, digits, '-' inside, 1..63. */
bool istio_label_valid(struct str s);
/* An FQDN: labels of letters of either case, digits and inner '-'; a trailing dot is fine; the last label is not
 * all digits; 1..255 bytes. */
bool istio_fqdn_valid(struct str s);
/* As an FQDN, whose first label may be or begin with '*'. */
bool istio_wildcard_domain_valid(struct str s);
bool istio_ip_valid(struct str s);
bool istio_cidr_valid(struct str s); /* an address with or without "/bits" */
/* "*foo.com": legal in the API, but no suffix of whole labels. */
bool istio_host_is_partial_wildcard(struct str s);

/* Hosts below are lower case and patterns of section 1: exact, "*.suffix" or "*". */
bool istio_host_matches(struct str a, struct str b);   /* either covers the other */
bool istio_host_covers(struct str wide, struct str n); /* n is a subset of wide */
/* The more specific of two hosts that match each other; false when they don't. */
bool istio_host_intersect(struct str a, struct str b, struct str *both);

/* "[ns/]host" of a Gateway server, normalised (section 2.4): `ns` empty = every namespace. */
struct istio_server_host {
    struct str ns, host;
};
struct istio_server_host istio_server_host_parse(struct str text, struct str gateway_ns);

/* A reference of VirtualService.gateways: "name", "ns/name", "./name" or "mesh". */
struct istio_gateway_ref {
    bool mesh;
    struct str ns, name;
};
struct istio_gateway_ref istio_gateway_ref_parse(struct str text, struct str own_ns);

/* ---- nodes -------------------------------------------------------------------------------- */

/* The value under `name` in camelCase or snake_case; NULL when absent. */
const struct node *istio_get(const struct node *n, const char *name);
/* The value of the first of `names` (the last is NULL) that is there and not null; NULL when none is. */
const struct node *istio_any(const struct node *n, const char *const *names);
/* The i-th element of list `name`; the list, or `n`, when there is none. For positions of findings. */
const struct node *istio_item(const struct node *n, const char *name, size_t i);
/* The value under `name`, else `n`: where a finding about that field points. */
const struct node *istio_at(const struct node *n, const char *name);
/* The value under `key` of map `n`; `n` when there is none. */
const struct node *istio_kid(const struct node *n, struct str key);
/* The namespace of the object. */
struct str istio_own_namespace(const struct node *n);

/* ---- exportTo ------------------------------------------------------------------------------ */

enum { ISTIO_EXPORT_NONE_OK = 1 }; /* "~" is allowed (ServiceEntry) */
void istio_export_check(struct decoder *d, const struct node *owner, const struct str_list *export_to,
                        unsigned flags);
/* Is an object of namespace `own` visible in `ns`? An empty list is "*". */
bool istio_exported_to(const struct str_list *export_to, struct str own, struct str ns);

/* ---- StringMatch --------------------------------------------------------------------------- */

enum istio_match_type { ISTIO_MATCH_NONE, ISTIO_MATCH_EXACT, ISTIO_MATCH_PREFIX, ISTIO_MATCH_REGEX };

/* In maps the key is node->key. node may be a null node: the element was written as null. */
struct istio_string_match {
    const struct node *node;
    struct str exact, prefix, regex;
    enum istio_match_type type; /* set by the check; NONE = no member: presence, or everything for uri */
};
extern const struct schema SCHEMA_ISTIO_STRING_MATCH;
struct str istio_match_value(const struct istio_string_match *m);

/* What section 1 allows in one place. */
enum {
    ISTIO_SM_EMPTY_PREFIX = 1 << 0, /* prefix: "" matches all (uri) */
    ISTIO_SM_STAR_REGEX = 1 << 1,   /* regex: "*" is a presence test (withoutHeaders) */
    ISTIO_SM_REQUIRED = 1 << 2,     /* a member must be set (corsPolicy) */
};
void istio_string_match_check(struct decoder *d, struct istio_string_match *m, unsigned flags);
/* Compiles; reports at `where`. The length limit of 1..1024 bytes is part of it. */
bool istio_regex_check(struct decoder *d, const struct node *where, struct str pattern);

/* ---- header operations ---------------------------------------------------------------------- */

struct istio_header_ops {
    const struct node *node;
    struct str_map set, add;
    struct str_list remove;
};
struct istio_headers {
    const struct node *node;
    struct istio_header_ops *request, *response;
};
extern const struct schema SCHEMA_ISTIO_HEADERS;
/* Is it the name of Host in an operation: "host" or ":authority", any case? */
bool istio_is_host_header(struct str name);

/*
 * Reads the next piece of a header value: literal text, or one %NAME% / %NAME(argument)% command, with "%%"
 * as a literal '%'. False at the end of the value or on a fault (*fault set to a sentence).
 */
struct istio_value_piece {
    bool command;
    struct str text; /* literal text, or NAME */
    struct str arg;
};
bool istio_value_next(struct str *rest, struct istio_value_piece *piece, const char **fault);
/* Does a valid value hold commands? *served is false when one of them has no value in this release. */
bool istio_value_has_command(struct str value, bool *served);

/* ---- ports ----------------------------------------------------------------------------------- */

enum istio_protocol {
    ISTIO_PROTO_UNKNOWN, /* none of the list */
    ISTIO_PROTO_HTTP,
    ISTIO_PROTO_HTTP2,
    ISTIO_PROTO_GRPC,
    ISTIO_PROTO_GRPC_WEB,
    ISTIO_PROTO_HTTPS,
    ISTIO_PROTO_TLS,
    ISTIO_PROTO_TCP,
    ISTIO_PROTO_MONGO,
    ISTIO_PROTO_REDIS,
    ISTIO_PROTO_MYSQL,
    ISTIO_PROTO_UDP,
};
enum istio_protocol istio_protocol_of(struct str s); /* any case */
/* What a port of a service speaks (4.9): its appProtocol, else the beginning of its name, "<protocol>[-suffix]". */
enum istio_protocol istio_protocol_of_port(struct str app_protocol, struct str name);
bool istio_protocol_is_http(enum istio_protocol p);  /* HTTP, HTTP2, GRPC, GRPC-WEB */
bool istio_protocol_is_tls(enum istio_protocol p);   /* HTTPS, TLS */

/* Port of a Gateway server or a ServiceEntry. */
struct istio_port {
    const struct node *node;
    struct opt_int number, target_port;
    struct str name, protocol;
};
struct istio_port_selector {
    const struct node *node;
    struct opt_int number;
};
extern const struct schema SCHEMA_ISTIO_PORT_SELECTOR;

/* Labels of a selector: no empty key, no '*' in keys or values. */
void istio_selector_check(struct decoder *d, const struct node *owner, const char *field,
                          const struct str_map *labels);

#endif
