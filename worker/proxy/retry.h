/*
 * retry.h - may a failed try be made again? Pure.
 *
 * Safe is what certainly had no effect: nothing of the request reached the endpoint. Beyond that, only
 * what the rule asks for (GATEWAY-API-RULES 9, ISTIO-RULES 3.9), and requests that may be repeated by
 * their method when a pooled connection turned out to be closed (RFC 9110 9.2.2, RFC 9112 9.3.1). An endpoint that
 * refuses a stream of HTTP/2, or names a last one before it, has not looked at it (RFC 9113 8.7).
 */
#ifndef GH_PROXY_RETRY_H
#define GH_PROXY_RETRY_H

#include "shared/http/method.h"
#include "shared/snap/snap.h"

enum try_end {
    TRY_CONNECT,  /* no connection */
    TRY_RESET,    /* closed before a complete head */
    TRY_BAD,      /* the answer is no valid HTTP */
    TRY_TIMEOUT,
    TRY_STATUS,   /* an answer with this status */
};

struct try_outcome {
    enum try_end end;
    uint16_t status;    /* TRY_STATUS */
    uint16_t grpc;      /* TRY_STATUS: grpc-status of an answer that is nothing but a head; else 0, which is OK */
    bool wrote;         /* some byte of the request may have reached the endpoint */
    bool heard;         /* some byte of an answer came */
    bool reused;        /* on a pooled connection */
    bool refused;       /* the endpoint said that it did not look at it (HTTP/2); `wrote` is false then */
    enum reason why;   /* of TRY_CONNECT: CONNECT_FAILED, CONNECT_TIMEOUT, UPSTREAM_TLS */
};

struct try_state {
    const struct snap *snap;
    const struct snap_retry *policy; /* NULL: the rule has none */
    enum http_method method;
    bool replayable;        /* the whole request can be sent again */
    uint16_t retries;       /* by policy so far */
    uint16_t failovers;     /* by FAILOVER so far */
    bool stale_used;        /* by STALE already */
    bool others;            /* the cluster has endpoints that were not tried */
};

enum retry {
    RETRY_NO,
    RETRY_STALE,    /* once more, at once, on a new connection to the same endpoint */
    RETRY_FAILOVER, /* at once, at another endpoint: nothing was sent */
    RETRY_POLICY,   /* after the backoff, as the rule says */
};
#define RETRY_MAX_FAILOVERS 2

enum retry retry_decide(const struct try_state *s, const struct try_outcome *o);
/* Milliseconds to wait before a retry; `random` is any number. */
uint32_t retry_backoff_ms(const struct snap_retry *policy, uint32_t random);

#endif
