/*
 * filter.h - what a rule does to a message besides sending it somewhere: one file per verb.
 *
 * A verb is a row of shared/tbl/filter.def, a function here and a lowering there. Filters are pure
 * transformations of heads: no I/O, no clock, no state between requests. They run on the exchange's
 * arena and report failure by their return value; the pipeline then answers with that reason.
 *
 * Order: request side: the rule's filters, then the chosen split's; response side: the same. Where a rule asks
 * for HEADER_MERGE_SPLIT_FIRST (Istio with several destinations) the header filters of the split go
 * first, so that the rule wins a conflict.
 */
#ifndef GH_FILTER_FILTER_H
#define GH_FILTER_FILTER_H

#include "shared/regex/regex.h"
#include "shared/snap/route.h"
#include "worker/http/head.h"
#include "worker/net/tls.h"

/* Facts of the exchange that values may name (%DOWNSTREAM_REMOTE_ADDRESS% ...) and that forwarding
 * fields tell. Borrowed; texts that do not apply (yet) are empty. */
struct filter_facts {
    struct str client_address;  /* after the trust rule of bind.trusted_hops */
    uint16_t client_port;
    struct str peer_address;    /* of the TCP connection */
    struct str local_address;
    uint16_t local_port;
    struct str protocol;        /* "HTTP/1.1" */
    struct str upstream_host;   /* "10.0.0.1:80" */
    struct str route_name, server_name, hostname;
    uint64_t start_wall_us;
    bool believed;              /* there is a trusted proxy in front: what it forwards is kept */
    bool https;                 /* the client's connection */
    const struct tls_facts *tls;/* NULL = it is plain */
    const struct conn *conn;    /* with `tls`: where texts about it are kept */
};

/* One exchange's view, filled by the pipeline. `response` is NULL on the request side. */
struct filter_ctx {
    const struct snap *snap;
    const struct snap_regexes *regexes; /* of snap; NULL = none ever matches */
    struct arena *arena;
    struct http_head *request, *response;
    const struct route_hit *hit;
    const struct snap_split *split; /* chosen one, or NULL */
    const struct filter_facts *facts;
};

/* Applies the rule's and the split's filters to ctx->request. REASON_OK, or why the exchange must end:
 * REASON_BAD_PATH (a rewrite made no valid path), REASON_MEMORY. */
enum reason filter_request(struct filter_ctx *ctx);
/* The same for ctx->response. Also used for redirects and direct responses. */
enum reason filter_response(struct filter_ctx *ctx);

/* ---- one function per verb; `f` is the row of the snapshot ---- */
enum reason filter_headers(struct filter_ctx *ctx, const struct snap_filter *f, struct http_head *h);
enum reason filter_rewrite(struct filter_ctx *ctx, const struct snap_filter *f);

/* A value with its %..% commands replaced (header_var.def); in the arena. Commands without a value
 * become "-". False when memory has run out. */
bool filter_expand(const struct filter_ctx *ctx, struct str text, struct str *out);

/*
 * The path that a rewrite of `type` makes of `path` (canonical, no query). `covered` are the bytes of path that the
 * match covered by its prefix (route_hit.prefix_len). For REWRITE_PREFIX_STRING a match of the whole path (exact or
 * regex) replaces all of it (`whole`). The result begins with '/'; GATEWAY-API 7.3, Istio 3.6. False: no memory.
 */
bool rewrite_path(struct arena *a, enum path_rewrite type, struct str path, size_t covered, bool whole,
                  struct str value, const struct regex *re, struct str *out);
/* prefix bytes and `whole` of a hit, for rewrite_path. */
void rewrite_covered(const struct route_hit *hit, struct str path, size_t *covered, bool *whole);

/* The Location of a redirect (GATEWAY-API 7.2, Istio 3.7), absolute; in the arena. False: no memory. */
bool redirect_location(const struct filter_ctx *ctx, const struct snap_redirect *r, struct str *location);
/* https://host/path?query for hosts with SNAP_HOST_HTTPS_REDIRECT. */
bool redirect_https(const struct filter_ctx *ctx, struct str *location);

/*
 * X-Forwarded-For/-Proto/-Host, Forwarded, Via and X-Request-Id on a request, as the settings say.
 * `rng` makes request ids. *request_id is the one that is sent. False: no memory.
 */
struct rng;
bool forward_request(struct filter_ctx *ctx, struct rng *rng, struct str *request_id);
/* Via and Server on a response. */
bool forward_response(struct filter_ctx *ctx, bool local);
/*
 * The client's address by the trust rule: with trusted_hops N the N-th entry from the right of X-Forwarded-For;
 * with 0, or when that entry is missing or no IP address, the peer. Borrowed from the head or `peer`.
 */
struct str forward_client_address(const struct http_head *request, uint32_t trusted_hops, struct str peer);

#endif
