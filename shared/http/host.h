/*
 * host.h - what Host, :authority and the authority of a target may be, and host names with a wildcard.
 *
 * Accepted: host names of letters, digits, '-', '_' and '.', IPv4, IPv6 in brackets; optionally a port.
 * Refused though RFC 3986 has them: userinfo, percent escapes, zone identifiers, IPvFuture and other
 * sub-delimiters - no host that HTTP reaches needs them and readers differ about them.
 *
 * A pattern is "" or "*" (any host), "*.example.com" (any host that ends in ".example.com", over any
 * number of labels, so not example.com) or a host name. Patterns and hosts given to the functions
 * below must be canonical (http_host_canonical); rules of Gateway API hostnames.
 */
#ifndef GH_HTTP_HOST_H
#define GH_HTTP_HOST_H

#include "shared/base/str.h"

#define HTTP_HOST_MAX 255 /* bytes of a host without its port */

enum http_host_kind { HOST_EMPTY, HOST_NAME, HOST_IPV4, HOST_IPV6 };

/* Points into the text that was parsed. */
struct http_host {
    struct str name; /* as written, without port and trailing dot; IPv6 with its brackets */
    uint16_t port;   /* 0 = none given */
    uint8_t kind;    /* enum http_host_kind */
    bool lower;      /* no capitals in name: it is canonical as it stands */
};

/* False when it is none of the accepted forms. The empty text is HOST_EMPTY: a request without an
 * authority (RFC 9112 3.2). */
bool http_host_parse(struct str text, struct http_host *h);
/* The form for matching: lower case. Copies into `buf` only if it has to. */
struct str http_host_canonical(const struct http_host *h, char buf[HTTP_HOST_MAX]);

/* A host name in canonical form or "*." and one: what configuration may say. */
bool http_host_pattern_valid(struct str pattern);
bool http_host_matches(struct str pattern, struct str host);
/* > 0 when `a` is more specific than `b`: exact, wildcard with more labels, fewer, any. */
int http_host_compare(struct str a, struct str b);
/* The hosts that both patterns match, as one pattern (which is `a` or `b`); false when there are none. */
bool http_host_intersect(struct str a, struct str b, struct str *both);

#endif
