/*
 * loop.h - a TLS client and a TLS server in one process, joined by memory, for tests and the benchmark.
 *
 * Contexts are the caller's. Nothing blocks: loop_shake turns both ends until both are done or one fails.
 */
#ifndef TEST_TLS_LOOP_H
#define TEST_TLS_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

/* Bytes on their way to one end. */
struct loop_wire {
    unsigned char *p;
    size_t at, n, cap;
};

struct loop_end {
    WOLFSSL *ssl;
    struct loop_wire *in, *out;
    int error;              /* of the last call that failed for good */
};

struct loop {
    struct loop_end client, server;
    struct loop_wire to_client, to_server;
    void (*enter)(bool server, void *arg); /* around every call into an end: the benchmark's clock; or NULL */
    void (*leave)(bool server, void *arg);
    void *arg;
};

/* Sets the callbacks that loops need; once for each context. */
void loop_prepare(WOLFSSL_CTX *ctx);

/* Tickets sealed by AES-256-GCM under a fixed key. `aad` (a word or NULL, it must outlive the context) binds them:
 * a ticket of one word is no ticket to a context with another. */
void loop_tickets(WOLFSSL_CTX *ctx, const char *aad);

/* A context with certificate chain and key; roots too when `roots` is not NULL. NULL: something was refused. */
WOLFSSL_CTX *loop_server(const char *chain, const char *key, const char *roots);
WOLFSSL_CTX *loop_client(const char *roots, bool tls12); /* roots NULL: verifies nothing; tls12: knows no later one */

bool loop_open(struct loop *l, WOLFSSL_CTX *client, WOLFSSL_CTX *server);
bool loop_shake(struct loop *l);
void loop_close(struct loop *l);

/* One end writes n bytes, the other reads them all; false when not everything arrived. */
bool loop_send(struct loop *l, bool from_server, const void *p, size_t n);

#endif
