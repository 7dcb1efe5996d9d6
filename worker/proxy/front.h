/*
 * front.h - what happens to a connection before it has a codec: the PROXY header of a proxy in front, the ClientHello,
 * the TLS handshake; then it goes to whoever serves it (conn_move).
 *
 *   accept ─► PROXY? ─► HELLO? ─► route_chain ─┬─ CHAIN_HTTP ─► SHAKE ─► HTTP/1.1 or HTTP/2, by ALPN
 *              │          │                     ├─ CHAIN_TCP ──► SHAKE ─► a stream, in plain text
 *              │          └ the bind has chains ├─ CHAIN_PASSTHROUGH ───► a stream, with the bytes as they came
 *              └ the peer is one of those that  └─ CHAIN_REFUSE, none ──► closed
 *                must begin with one (proxy_trusted)
 *
 * Time, absolute: the PROXY header and the ClientHello FRONT_HELLO_MS from the moment they are waited for, the handshake
 * FRONT_SHAKE_MS from the ClientHello. Bytes that come one by one renew nothing.
 *
 * Who is not served hears an alert that says why, where all of the bind is HTTPS; elsewhere nothing at all, for bytes of
 * ours would be mixed with an endpoint's (GATEWAY-API-RULES 16, 2). Never is a connection that should be TLS served
 * in plain text.
 *
 * The generation is the current one when the ClientHello is complete. A stream gets that one; a request of HTTP gets the
 * current one of its time, and the connection keeps the id of the listener that its server name belonged to (421).
 */
#ifndef GH_PROXY_FRONT_H
#define GH_PROXY_FRONT_H

#include "shared/http/proxy_header.h"
#include "worker/http/codec.h"
#include "worker/net/tls_context.h"
#include "worker/proxy/generation.h"

#define FRONT_HELLO_MS 5000
#define FRONT_SHAKE_MS 10000
#define FRONT_BYTES    (HELLO_INPUT_MAX + PROXY_HEAD_MAX) /* that are read before it is clear what to do */

/* Whoever takes connections that are ready. Each moves `from` (conn_move) or closes it. */
struct front_host {
    struct snap *(*current)(struct front_host *h);  /* NULL: nothing to serve yet */
    /* `n` bytes were read that are HTTP's. */
    void (*take_http)(struct front_host *h, struct conn *from, const struct stream_link *l, bool h2, const char *data, size_t n);
    void (*take_stream)(struct front_host *h, struct conn *from, const struct stream_link *l, struct snap *s,
                        const struct snap_listener *listener, const struct snap_rule *rule, struct str server_name,
                        const char *data, size_t n);
};

/* All of a worker; part of the dataplane. */
struct fronts {
    struct net *net;
    struct front_host *host;
    struct tls_contexts *contexts;
    struct board_proc *me;
    struct slab slab;
    struct list all;             /* struct front; the longest waiting first */
    uint32_t n;
    _Atomic uint32_t *shown;     /* where others see how many connections there are, ours added to it */
    char *bytes, *room;          /* what was read in pieces, in one run; a ClientHello of several records */
};

int fronts_init(struct fronts *all, struct net *n, struct front_host *host, struct tls_contexts *contexts, struct board_proc *me);
void fronts_fini(struct fronts *all);  /* all connections must be gone */
void fronts_close_all(struct fronts *all);
/* Closes up to `max` of those that have waited longest for their client, at least a second. Returns how many. */
uint32_t fronts_close_slow(struct fronts *all, uint32_t max);

/* Must a connection of this peer go through here? */
bool front_wanted(const struct snap *s, const struct snap_bind *b, const struct stream_link *l);
/* Takes over a connected, non-blocking descriptor. Negative gh_err: it is closed. */
int front_accept(struct fronts *all, int fd, const struct stream_link *link);

#endif
