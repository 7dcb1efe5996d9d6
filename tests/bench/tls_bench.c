/*
 * tls_bench.c - what TLS costs with the library that is linked: one thread, both ends in memory, the server's side
 * of the work only.
 *
 *   tests/bench/tls_bench [WORD]     only rows whose name has WORD in it
 *
 * Handshakes are whole lives of a server connection: new, handshake, free. Records are what wolfSSL_write and
 * wolfSSL_read take for 16 KiB. Memory is what malloc hands out for one end that finished its handshake, moved
 * 16 KiB each way and waits. The best of many short rounds, because other programs only ever add time.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/shared/tls/loop.h"
#include "tests/unit/shared/tls/pki.h"

#ifdef TLS_BENCH_SYSTEM
#define tls_build_start() wolfSSL_Init()
#define describe(out)     snprintf(out, sizeof(out), "the system's wolfSSL %s", wolfSSL_lib_version())
#else
#include "shared/base/str.h"
#include "shared/tls/tls_build.h"
static void describe_into(char *out, size_t n)
{
    struct buf b = {0};
    tls_build_describe(&b);
    snprintf(out, n, "%s", buf_cstr(&b));
    buf_fini(&b);
}
#define describe(out) describe_into(out, sizeof(out))
#endif

#define ROUNDS 25
#define SHAKES 60
#define MIB    16
#define CONNS  64

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Where the allocator's callbacks, which know no argument, count: the end that is at work now. */
static struct {
    long client, server;
    bool in_server;
} heap;

static long *owner(void)
{
    return heap.in_server ? &heap.server : &heap.client;
}

static void *count_malloc(size_t n)
{
    void *p = malloc(n);
    *owner() += p ? (long)malloc_usable_size(p) : 0;
    return p;
}

static void count_free(void *p)
{
    *owner() -= p ? (long)malloc_usable_size(p) : 0;
    free(p);
}

static void *count_realloc(void *p, size_t n)
{
    long before = p ? (long)malloc_usable_size(p) : 0;
    void *q = realloc(p, n);
    if (q)
        *owner() += (long)malloc_usable_size(q) - before;
    return q;
}

struct clock {
    uint64_t spent, since; /* nanoseconds in the server */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void enter(bool server, void *arg)
{
    struct clock *c = arg;
    heap.in_server = server;
    if (server)
        c->since = now_ns();
}

static void leave(bool server, void *arg)
{
    struct clock *c = arg;
    if (server)
        c->spent += now_ns() - c->since;
    heap.in_server = false;
}

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "tls_bench: %s failed\n", what);
        exit(1);
    }
}

/* ---- handshakes ---- */

struct row {
    const char *name;
    bool rsa, tls12, resumed;
    int group;
    const char *cipher; /* NULL: the client's first choice is AES-128-GCM */
};

static const struct row SHAKE_ROWS[] = {
    {.name = "TLS 1.3 full, X25519, ECDSA P-256", .group = WOLFSSL_ECC_X25519},
    {.name = "TLS 1.3 full, P-256, ECDSA P-256", .group = WOLFSSL_ECC_SECP256R1},
    {.name = "TLS 1.3 full, X25519, RSA 2048", .group = WOLFSSL_ECC_X25519, .rsa = true},
    {.name = "TLS 1.3 resumed, X25519", .group = WOLFSSL_ECC_X25519, .resumed = true},
    {.name = "TLS 1.3 resumed, P-256", .group = WOLFSSL_ECC_SECP256R1, .resumed = true},
    {.name = "TLS 1.2 full, ECDSA P-256", .tls12 = true},
    {.name = "TLS 1.2 resumed", .tls12 = true, .resumed = true},
};

struct pair {
    WOLFSSL_CTX *client, *server;
    struct clock clock;
    WOLFSSL_SESSION *session;
};

static void pair_open(struct pair *p, const struct row *r)
{
    const char *cipher = r->cipher ? r->cipher : r->tls12 ? "ECDHE-ECDSA-AES128-GCM-SHA256" : "TLS13-AES128-GCM-SHA256";
    memset(p, 0, sizeof(*p));
    p->server = r->rsa ? loop_server(PKI_SERVER_RSA, PKI_SERVER_RSA_KEY, NULL) : loop_server(PKI_SERVER, PKI_SERVER_KEY, NULL);
    p->client = loop_client(NULL, r->tls12);
    need(p->server && p->client, "a context");
    loop_tickets(p->server, NULL);
#ifdef SINGLE_THREADED
    need(wolfSSL_CTX_new_rng(p->server) == WOLFSSL_SUCCESS, "the generator");
#endif
    wolfSSL_CTX_UseSessionTicket(p->client);
    need(wolfSSL_CTX_set_cipher_list(p->client, cipher) == WOLFSSL_SUCCESS, cipher);
    if (r->group) {
        int group = r->group;
        need(wolfSSL_CTX_set_groups(p->client, &group, 1) == WOLFSSL_SUCCESS, "the group");
    }
}

static void pair_close(struct pair *p)
{
    if (p->session)
        wolfSSL_SESSION_free(p->session);
    wolfSSL_CTX_free(p->client);
    wolfSSL_CTX_free(p->server);
}

static void connect_once(struct pair *p, struct loop *l, bool resume)
{
    memset(l, 0, sizeof(*l));
    l->enter = enter;
    l->leave = leave;
    l->arg = &p->clock;
    need(loop_open(l, p->client, p->server), "a connection");
    if (resume && p->session)
        need(wolfSSL_set_session(l->client.ssl, p->session) == WOLFSSL_SUCCESS, "set_session");
    if (!loop_shake(l)) {
        fprintf(stderr, "tls_bench: handshake: client %d, server %d\n", l->client.error, l->server.error);
        exit(1);
    }
}

/* A session to come back with: the ticket of TLS 1.3 comes after the handshake. */
static void take_session(struct pair *p)
{
    struct loop l;
    connect_once(p, &l, false);
    need(loop_send(&l, true, "x", 1), "a byte");
    p->session = wolfSSL_get1_session(l.client.ssl);
    need(p->session != NULL, "get1_session");
    loop_close(&l);
}

static void shake_row(const struct row *r)
{
    struct pair p;
    uint64_t best = UINT64_MAX;
    pair_open(&p, r);
    if (r->resumed)
        take_session(&p);
    for (int round = 0; round < ROUNDS; round++) {
        p.clock.spent = 0;
        for (int i = 0; i < SHAKES; i++) {
            struct loop l;
            connect_once(&p, &l, r->resumed);
            need(!!wolfSSL_session_reused(l.server.ssl) == r->resumed, r->resumed ? "resumption" : "a full handshake");
            loop_close(&l);
        }
        if (p.clock.spent < best)
            best = p.clock.spent;
    }
    double us = (double)best / 1e3 / SHAKES;
    printf("  %-38s %9.1f us %9.0f /s\n", r->name, us, 1e6 / us);
    pair_close(&p);
}

/* ---- records ---- */

static const struct row RECORD_ROWS[] = {
    {.name = "AES-128-GCM", .group = WOLFSSL_ECC_X25519},
    {.name = "AES-256-GCM", .group = WOLFSSL_ECC_X25519, .cipher = "TLS13-AES256-GCM-SHA384"},
    {.name = "ChaCha20-Poly1305", .group = WOLFSSL_ECC_X25519, .cipher = "TLS13-CHACHA20-POLY1305-SHA256"},
};

static double move(struct pair *p, struct loop *l, bool from_server, size_t size, int times)
{
    static const char bytes[16384];
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        p->clock.spent = 0;
        for (int i = 0; i < times; i++)
            need(loop_send(l, from_server, bytes, size), "a record");
        if (p->clock.spent < best)
            best = p->clock.spent;
    }
    return (double)best / times;
}

static void record_row(const struct row *r)
{
    struct pair p;
    struct loop l;
    int times = MIB * 64;
    pair_open(&p, r);
    connect_once(&p, &l, false);
    double write_ns = move(&p, &l, true, 16384, times), read_ns = move(&p, &l, false, 16384, times);
    double small_ns = move(&p, &l, true, 1300, times);
    printf("  %-20s write %6.0f MB/s   read %6.0f MB/s   write of 1,300 bytes %5.2f us\n", r->name,
           16384e3 / write_ns, 16384e3 / read_ns, small_ns / 1e3);
    loop_close(&l);
    pair_close(&p);
}

/* ---- memory ---- */

/* What one pays for a peer that connects and says nothing. */
static void silent_row(const struct row *r)
{
    struct pair p;
    struct loop l;
    pair_open(&p, r);
    connect_once(&p, &l, false);
    loop_close(&l);
    long before = heap.server;
    memset(&l, 0, sizeof(l));
    l.enter = enter;
    l.leave = leave;
    l.arg = &p.clock;
    need(loop_open(&l, p.client, p.server), "a connection");
    enter(true, &p.clock);
    wolfSSL_accept(l.server.ssl);
    leave(true, &p.clock);
    printf("  %-20s server %6ld B\n", "before ClientHello", heap.server - before);
    loop_close(&l);
    pair_close(&p);
}

static void memory_row(const char *name, const struct row *r)
{
    static const char bytes[16384];
    static struct loop l[CONNS];
    struct pair p;
    struct loop warm;
    pair_open(&p, r);
    connect_once(&p, &warm, false); /* what a context makes at its first connection */
    long server = heap.server, client = heap.client;
    for (int i = 0; i < CONNS; i++) {
        connect_once(&p, &l[i], false);
        need(loop_send(&l[i], false, bytes, sizeof(bytes)) && loop_send(&l[i], true, bytes, sizeof(bytes)), "16 KiB");
    }
    printf("  %-20s server %6ld B   client %6ld B\n", name, (heap.server - server) / CONNS, (heap.client - client) / CONNS);
    for (int i = 0; i < CONNS; i++)
        loop_close(&l[i]);
    loop_close(&warm);
    pair_close(&p);
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    char what[160];
    need(wolfSSL_SetAllocators(count_malloc, count_free, count_realloc) == 0, "the allocator");
    tls_build_start();
    describe(what);
    printf("%s\n\nHandshakes, the server's side:\n", what);
    for (size_t i = 0; i < COUNT(SHAKE_ROWS); i++)
        if (strstr(SHAKE_ROWS[i].name, word))
            shake_row(&SHAKE_ROWS[i]);
    printf("\nRecords of 16 KiB:\n");
    for (size_t i = 0; i < COUNT(RECORD_ROWS); i++)
        if (strstr(RECORD_ROWS[i].name, word))
            record_row(&RECORD_ROWS[i]);
    printf("\nHeap of an idle connection:\n");
    memory_row("TLS 1.3", &SHAKE_ROWS[0]);
    memory_row("TLS 1.2", &SHAKE_ROWS[5]);
    silent_row(&SHAKE_ROWS[0]);
    return 0;
}
