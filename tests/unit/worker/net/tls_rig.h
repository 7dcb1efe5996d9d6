/*
 * tls_rig.h - for tests of connections in TLS: two of one loop, a client and a server, over a socketpair. Contexts are made of
 * a snapshot that is put together by hand.
 */
#ifndef GH_TEST_TLS_RIG_H
#define GH_TEST_TLS_RIG_H

#include "tests/unit/shared/base/base_test.h"
#include "tests/unit/shared/tls/test_certs.h"
#include "shared/base/err.h"
#include "worker/net/tls_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { CERT_EC, CERT_RSA, CERT_P384, CERT_CHAINED, CERT_EXPIRED, CERT_STRANGER, CERT_SPIFFE, CERT_CLIENT, CERT_REVOKED,
       CERT_CLIENT_OTHER, CERT_CLIENT_EXPIRED, CERT_FUTURE, N_CERTS };

/* What would be a generation: strings, certificates, one server row, one client row. */
struct fake {
    struct snap s;
    struct buf strings, keys_image;
    struct snap_cert certs[N_CERTS];
    struct snap_tls_server server;
    struct snap_tls_client client;
    struct snap_str names[16];
    uint32_t indexes[N_CERTS];
    uint32_t n_names, n_indexes;
    struct keys *keys;
};

struct side {
    struct conn c;
    struct rig *r;
    struct buf got;
    bool server, connected, ended, closed, open;
    int connect_err, error;
    enum tls_fault fault;
    enum tls_fault start;    /* server: what tls_context_server said */
    struct tls_facts facts;
    char fact_text[512];
    unsigned writables;
};

struct rig {
    uv_loop_t loop;
    struct net net;
    struct board *board;
    struct board_counters count;
    struct log log;
    struct tls_contexts contexts;
    struct fake f;
    struct side client, server;
    struct buf hello;
    struct tls_session session;
    uint8_t client_alpn;
    const char *name;
};

/* A cmocka fixture: *state is a struct rig. */
int rig_setup(void **state);
int rig_teardown(void **state);

struct snap_str rig_text(struct fake *f, const char *t);
struct snap_range rig_one_name(struct fake *f, const char *t);
void rig_use_cert(struct fake *f, unsigned i);  /* one more that the server has */

void rig_turns(struct rig *r, int n);
void rig_close_sides(struct rig *r);
void rig_begin(struct rig *r);                  /* a pair, the client's handshake begun */
void rig_handshake(struct rig *r);              /* ... and over */
void rig_expect_fine(struct rig *r);            /* ... and well */
/* The system's library has OpenSSL's names for ciphers. */
void rig_assert_fact(const struct side *s, const char *version_and_cipher);
void rig_put(struct side *s, const char *t);

extern const struct conn_events RIG_EVENTS;

#endif
