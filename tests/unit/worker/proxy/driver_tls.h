/*
 * driver_tls.h - TLS of the driver: chains of its socket, and how clusters are spoken to.
 */
#ifndef GH_TEST_DRIVER_TLS_H
#define GH_TEST_DRIVER_TLS_H

#include "master/model/model.h"

/*
 * "name=a.example.com listener=NAME mode=http|tcp|passthrough|refuse cert=FILE[,FILE] auth=none|optional|required|tolerant
 * ca=FILE crl=FILE san=NAME alpn=BITS min=V max=V cluster=NAME istio=1": one chain of `b`. A FILE of a certificate holds
 * its key, too. Without listener= it is `l`'s.
 */
void driver_chain(struct model *m, struct model_bind *b, struct model_listener *l, struct str text);
/* One of "tls_ca=FILE", "tls_sni=", "tls_identity=", "tls_san=", "tls_cert=FILE", "tls_insecure=1", "tls_system=1",
 * "tls_broken=1" of a cluster. False: none of them. */
bool driver_cluster_tls(struct model *m, struct model_cluster *c, struct str option);
/* The listener of that name on `b`, found or made. */
struct model_listener *driver_listener(struct model *m, struct model_bind *b, struct str name, enum listener_protocol p);
/* "10.0.0.0/8" */
void driver_trusted(struct model *m, struct model_bind *b, struct str cidr);

#endif
