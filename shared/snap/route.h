/*
 * route.h - from a request head to the rule that serves it. Pure; the worker, the tests and
 * `gatehouse explain` run this very code.
 *
 * host: exact name, else the longest wildcard suffix, else "*". Within a host the entry with the lowest
 * rank whose every condition holds; none: the host's fallback (Gateway API 6), and so on.
 * Cost does not grow with the number of routes: one hash probe for exact paths, one walk down a radix
 * tree for prefixes and literal starts of regexes, short candidate lists, hashed by header value where
 * they are long.
 */
#ifndef GH_SNAP_ROUTE_H
#define GH_SNAP_ROUTE_H

#include "shared/http/uri.h"
#include "shared/snap/snap.h"

/* What is asked. Slices are borrowed for the call. */
struct route_request {
    struct str host;      /* canonical: lower case, no port, no trailing dot; empty = none */
    struct str path;      /* canonical, no query */
    struct str query;     /* raw, without '?' */
    struct str method, scheme;
    struct str authority; /* Host as received */
    /* Value of a header field by lower-case name, several lines joined by ','; false = absent. The slice must
     * stay valid until the next call. */
    bool (*header)(const void *ctx, struct str lower_name, struct str *value);
    const void *header_ctx;
    /* Anchored match of REGEXES[i]; NULL = no regex ever matches. */
    bool (*regex)(const void *ctx, uint32_t regex, struct str subject);
    const void *regex_ctx;
};

struct route_hit {
    const struct snap_host *host;         /* NULL: no virtual host */
    const struct snap_listener *listener; /* of host */
    const struct snap_entry *entry;       /* NULL: no rule matches */
    const struct snap_rule *rule;
    uint32_t prefix_len;                  /* bytes of path covered by a matching prefix; 0 else */
};

/* On a TLS connection of this chain (NULL: plain text): does the host belong to another listener (421, rule 5.2)? */
static inline bool route_is_misdirected(const struct snap_chain *c, const struct route_hit *h)
{
    return c && h->host && h->host->listener != c->listener;
}

/* REASON_OK, REASON_NO_LISTENER_HOST or REASON_NO_ROUTE. */
enum reason route_find(const struct snap *s, const struct snap_bind *b, const struct route_request *q,
                       struct route_hit *hit);
/*
 * The chain for a server name (canonical: lower case, no trailing dot; empty = the client sent none): exact, else the
 * longest wildcard suffix, else "*". NULL: nobody serves it, the connection is to be closed. The listener of the
 * chain is L_sni of GATEWAY-API-RULES 5.2; a request whose host belongs to another listener is misdirected (421).
 */
const struct snap_chain *route_chain(const struct snap *s, const struct snap_bind *b, struct str server_name);
const struct snap_host *route_host(const struct snap *s, const struct snap_bind *b, struct str host);

/*
 * THE canonical form of a request's path for this snapshot: its settings say what is kept and what is merged;
 * "*" (OPTIONS *) is matched as "/". `out` has HTTP_PATH_ROOM(raw.n) bytes; *path is `raw` or lies in it.
 */
enum uri_fault route_path(const struct snap *s, struct str raw, char *out, struct str *path);

/* For explain: every entry of the hosts that were searched, in rank order, and why it lost. The winner has
 * LOST_NOT; what would have matched behind it LOST_RANK. `cond` is the condition that failed, NULL when it was
 * the path or none. Judges every entry by itself, without the structures that route_find uses. */
enum route_lost { LOST_NOT, LOST_RANK, LOST_PATH, LOST_METHOD, LOST_SCHEME, LOST_AUTHORITY, LOST_HEADER, LOST_QUERY };
typedef void route_trace_fn(void *ctx, const struct snap_host *h, const struct snap_entry *e,
                            enum route_lost why, const struct snap_cond *cond);
void route_trace(const struct snap *s, const struct snap_bind *b, const struct route_request *q,
                 route_trace_fn *fn, void *ctx);

#endif
