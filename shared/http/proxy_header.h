/*
 * proxy_header.h - the PROXY protocol (haproxy's proxy-protocol.txt), version 1 (text) and 2 (binary): who the client
 * of a connection is, said by the proxy in front, before any other byte. Pure.
 *
 *   proxy_head_parse   for connections of peers that are trusted to say so
 *   proxy_head_write   for connections to endpoints
 *
 * Strict: one space between the words of version 1, addresses and ports in their one form, at most 107 bytes; lengths
 * of version 2 that fit, TLVs that end where the header ends, a CRC32c that is right when there is one. A connection
 * that is LOCAL or UNKNOWN (a health check of the proxy) keeps its own addresses.
 */
#ifndef GH_HTTP_PROXY_HEADER_H
#define GH_HTTP_PROXY_HEADER_H

#include "shared/base/str.h"

#define PROXY_HEAD_MAX   4096 /* bytes of one that is taken; what proxies send has less than 600 */
#define PROXY_HEAD_WRITE 107  /* ... and of one that is made */

struct proxy_head {
    size_t used;             /* bytes of the input */
    uint8_t version;         /* 1 or 2 */
    uint8_t family;          /* 4, 6; 1 = unix, 0 = it says nothing: the connection's own addresses hold */
    bool tls;                /* the client spoke TLS to the proxy (PP2_TYPE_SSL) */
    uint16_t from_port, to_port;
    uint8_t from[16], to[16];/* client, and where it connected to; network order */
    struct str authority;    /* server name the client asked the proxy for; empty = not said */
    const char *fault;       /* a constant sentence, for PROXY_HEAD_BAD */
};

enum proxy_head_verdict {
    PROXY_HEAD_MORE,
    PROXY_HEAD_OK,
    PROXY_HEAD_ABSENT, /* the connection begins with something else */
    PROXY_HEAD_BAD,
};

/* `data` is what has come so far, from the first byte. PROXY_HEAD_MORE is never said of PROXY_HEAD_MAX bytes. */
enum proxy_head_verdict proxy_head_parse(struct str data, struct proxy_head *out);

/* The ends of a connection; families 4 and 6, anything else: nothing is said of them. */
struct proxy_ends {
    uint8_t from_family, to_family;
    uint16_t from_port, to_port;
    uint8_t from[16], to[16];
};
/* Version 1 or 2; returns the length. */
size_t proxy_head_write(unsigned version, const struct proxy_ends *e, char out[PROXY_HEAD_WRITE]);

#endif
