/*
 * peers.h - the clients and backends of the measurement: as simple as can be, because they only have to say the same
 * bytes each time. What they get is looked at as far as it takes to know that a message is complete, and an answer good.
 */
#ifndef GH_BENCH_INSTR_PEERS_H
#define GH_BENCH_INSTR_PEERS_H

#include "tests/bench/instr/world.h"

#include <nghttp2/nghttp2.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#define BULK (1024u * 1024) /* bytes that the TCP backend sends when asked for much */

enum backend { BACKEND_SMALL, BACKEND_LARGE, BACKEND_GRPC, BACKEND_CHAT, BACKEND_BYTES, BACKENDS };
#define BACKEND_PORT 9001 /* of the first; the next ones have the next */

/* One end of a connection. */
struct wire {
    int fd;                     /* -1 = none */
    WOLFSSL *ssl;               /* NULL = plain */
    bool ended;                 /* the other side said so */
    struct buf in, out;         /* received and not used; said and not taken by the socket */
    nghttp2_hd_deflater *hpack; /* of what it sends, when it speaks HTTP/2 */
    uint32_t streams;           /* h2 client: opened */
    uint32_t whole;             /* h2 client: answered */
    uint64_t body;              /* h2 client: bytes of content; bulk: bytes */
    enum backend as;
    bool begun;                 /* backends: the first message is through */
};

struct peers {
    struct world *w;
    int listening[BACKENDS];
    struct wire served[64];     /* connections of backends */
    struct wire client;
    WOLFSSL_CTX *tls;
    WOLFSSL_SESSION *session;   /* to resume; NULL = none */
    struct buf small, large, bulk;
};

void peers_init(struct peers *p, struct world *w);
void peers_fini(struct peers *p);
void peers_play(void *peers);   /* struct world.play: all that can be done without waiting */
void peers_hang_up(struct peers *p); /* all connections, both sides */

/* The client. `alpn` NULL: plain. Returns when the handshake is through. */
void client_open(struct peers *p, uint16_t port, const char *alpn);
void client_close(struct peers *p);
void client_say(struct peers *p, struct str bytes);
/* Waits for a message of HTTP/1.1 with that status, and drops it. */
void client_h1_answer(struct peers *p, unsigned status);
/* Waits for n bytes, and drops them. */
void client_take(struct peers *p, size_t n);

/* HTTP/2 with prior knowledge, or after ALPN. */
void client_h2_begin(struct peers *p);
struct h2_request { const nghttp2_nv *fields; size_t n_fields; struct str body; };
/* n requests at once, and their answers, which have `content` bytes each. */
void client_h2_ask(struct peers *p, const struct h2_request *q, unsigned n, size_t content);

#endif
