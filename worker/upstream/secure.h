/*
 * secure.h - what comes before the first byte of a request on a connection to an endpoint: the PROXY header that says
 * who the client is, and TLS. For pooled connections and raw ones alike.
 *
 *   conn_connect ──► secure_start: PROXY header queued, TLS begun ──on_connect──► secure_done: fine, or why not
 *
 * A connection is made *as* something: with these TLS settings, for this server name, on behalf of this client. It
 * serves only leases that want the same (`as`, 0 for plain connections without a PROXY header): other settings after a
 * reload make other connections, and a PROXY header ties a connection to one client.
 *
 * What is to be TLS is never plain: without a usable context there is no connection.
 */
#ifndef GH_UPSTREAM_SECURE_H
#define GH_UPSTREAM_SECURE_H

#include "worker/http/codec.h"
#include "worker/net/tls_context.h"

struct cluster;
struct endpoint;

/* For whom a connection is. Borrowed until it is made. */
struct secure_for {
    const struct stream_link *link; /* the client's connection; NULL = there is none */
    struct str server_name;         /* SNI, and the name to be verified, where the cluster says none; lower case */
};

/* Part of a cluster. Zero is plain text. */
struct security {
    struct tls_context *tls;        /* held; NULL = plain text, or (`on`) not usable */
    char *sni;                      /* of the settings; NULL = the lease's server name */
    size_t sni_n;
    uint64_t made_as;               /* hash of all of these; 0 = nothing before the request */
    uint8_t proxy_header;           /* enum proxy_header */
    uint8_t alpn;                   /* TLS_ALPN_ bits that are offered; 0 = layer 4 */
    bool on;                        /* TLS */
    uint8_t fault;                  /* enum tls_fault: why `tls` is NULL though it is on */
};

/* From CLUSTERS[row]. True: it is not as it was, connections made before are to go. */
bool secure_set(struct cluster *c, const struct snap *s, const struct snap_cluster *row);
void secure_fini(struct security *x);

/* What a connection for `f` must be made as. */
uint64_t secure_as(const struct cluster *c, const struct secure_for *f);
/* REASON_OK, or UPSTREAM_TLS and a constant that says more: no connection can be made at all, which is counted. */
enum reason secure_check(const struct cluster *c, const char **detail);
/* At once after conn_connect. `http`: offer ALPN. 0 or a negative errno: the connection must not be used. */
int secure_start(struct endpoint *e, struct conn *c, const struct secure_for *f, bool http);
/* In on_connect: counts the handshake. REASON_OK; or CONNECT_FAILED, UPSTREAM_TLS and more about it, a constant. */
enum reason secure_done(struct endpoint *e, const struct conn *c, int err, const char **detail);

#endif
