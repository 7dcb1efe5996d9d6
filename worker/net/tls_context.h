/*
 * tls_context.h - certificates, keys and demands as the TLS library wants them, made once and kept over generations.
 *
 *   snap_tls_server + one of its certificates + its key ──► context ──► many connections
 *   snap_tls_client + system CAs                        ──► context ──► many connections
 *
 * A context is known by the id of what it was made of (snap_tls_server.id covers all that it says and its certificates),
 * so a reload parses nothing again that stayed as it was. It is made when the first connection needs it; one that can't
 * be made is remembered as such, logged and counted once, and refuses. tls_contexts_keep drops those that a new
 * generation does not have; connections hold theirs.
 *
 * Client certificates (server side): a bad one, or none where one is demanded, ends the handshake. Sessions of such
 * contexts are not resumed: the certificate is looked at each time. Elsewhere tickets are encrypted with the keys on the
 * board, so that all workers understand them, and bound to the context and the server name, so that a session of one
 * virtual server is none of another.
 *
 * Server certificates (client side): chain to the CAs given, dates, use, revocation list; then a name: one of the
 * context's SANs, else its identity, else the server name that was sent.
 */
#ifndef GH_NET_TLS_CONTEXT_H
#define GH_NET_TLS_CONTEXT_H

#include "shared/snap/snap.h"
#include "shared/tls/hello.h"
#include "shared/tls/keys.h"
#include "worker/net/tls.h"

struct tls_context;
struct tls_tickets;

/* All of a worker. Owned by the dataplane. */
struct tls_contexts {
    struct net *net;
    struct board *board;          /* of the tickets' keys; NULL = no tickets */
    struct tls_context **table;   /* 2^log2 chains */
    uint32_t log2, n;
    struct tls_tickets *tickets;
    uint32_t ticket_lifetime_s;   /* 0 = no tickets */
    int system_ca_fd;             /* PEM bundle, opened before the sandbox; -1 = there is none */
};

/* Takes over `system_ca_fd`. 0 or GH_E_NOMEM. */
int tls_contexts_init(struct tls_contexts *all, struct net *n, struct board *b, int system_ca_fd);
void tls_contexts_fini(struct tls_contexts *all); /* connections must be gone */
/* Forgets those that `s`, the new current generation, does not have. */
void tls_contexts_keep(struct tls_contexts *all, const struct snap *s);

/*
 * For a client that said `h`: with the certificate that fits the server name and that the client can verify. NONE and
 * *out (held by the caller); else VERSION, CIPHER, CONTEXT, MEMORY.
 */
enum tls_fault tls_context_server(struct tls_contexts *all, const struct snap *s, const struct keys *k, uint32_t server,
                                  const struct hello *h, struct tls_context **out);
/* The protocol to be spoken with a client that said `h`: TLS_ALPN_ of `offered` and *chosen (0: it named none, so
 * HTTP/1.1 without saying so). False: none that both know. */
bool tls_choose_alpn(const struct hello *h, uint8_t offered, uint8_t *chosen);
/* To endpoints: TLS_CLIENTS[client]. NONE and *out (held by the caller), CONTEXT, MEMORY. */
enum tls_fault tls_context_client(struct tls_contexts *all, const struct snap *s, const struct keys *k, uint32_t client,
                                  struct tls_context **out);
void tls_context_drop(struct tls_context *x); /* NULL-safe */

#endif
