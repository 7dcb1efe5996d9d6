/*
 * proxy.h - who may begin a connection with a PROXY header, as annotations of Gateways say it; for both APIs.
 *
 *   gatehouse.dev/proxy-protocol-from: 10.0.0.0/8, 192.0.2.7     these peers, and they must
 *   proxy.istio.io/config: '{gatewayTopology: {proxyProtocol: {}}}'  everybody, as in Istio; the other one wins
 *
 * A bind shared by several Gateways trusts what any of them trusts.
 */
#ifndef GH_LOWER_PROXY_H
#define GH_LOWER_PROXY_H

#include "master/lower/lower.h"

struct proxy_ranges { struct model_cidr *v; size_t n, cap; };

/* What the annotations of a Gateway say, with findings about what they can't. */
void proxy_ranges_read(struct lower *l, const struct object *o, struct proxy_ranges *out);
/* Adds them to a bind; one of datagrams stays as it is. */
void proxy_ranges_trust(struct lower *l, const struct proxy_ranges *r, struct model_bind *b);

#endif
