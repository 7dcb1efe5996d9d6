/*
 * proxy.h - the proxies in front, as annotations of Gateways say it; for both APIs.
 *
 * Who may begin a connection with a PROXY header:
 *   gatehouse.dev/proxy-protocol-from: 10.0.0.0/8, 192.0.2.7     these peers, and they must
 *   proxy.istio.io/config: '{gatewayTopology: {proxyProtocol: {}}}'  everybody, as in Istio; the other one wins
 *
 * How many of them write X-Forwarded-For (else http.trustedHops of the instance says it):
 *   gatehouse.dev/trusted-hops: "1"
 *   proxy.istio.io/config: '{gatewayTopology: {numTrustedProxies: 1}}'  the other one wins
 *
 * What is in front is in front of a socket: a bind shared by several Gateways trusts the peers that any of them trusts;
 * of several numbers of proxies the smallest holds, and the Gateway that wanted more is told.
 */
#ifndef GH_LOWER_PROXY_H
#define GH_LOWER_PROXY_H

#include "master/lower/lower.h"

#define PROXY_HOPS_MAX 32

struct proxy_front {
    const struct object *gateway;
    struct model_cidr *v; /* peers that begin with a PROXY header */
    size_t n, cap;
    bool has_hops, told;
    uint32_t hops;
};

/* What the annotations of a Gateway say, with findings about what they can't. */
void proxy_front_read(struct lower *l, const struct object *o, struct proxy_front *out);
/* Gives a bind what they say; one of datagrams stays as it is. */
void proxy_front_apply(struct lower *l, struct proxy_front *r, struct model_bind *b);

#endif
