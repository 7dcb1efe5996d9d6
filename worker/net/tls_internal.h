/*
 * tls_internal.h - between tls.c (records) and tls_context.c (certificates, what is demanded of a peer). Nobody else
 * includes it.
 */
#ifndef GH_NET_TLS_INTERNAL_H
#define GH_NET_TLS_INTERNAL_H

#include "worker/net/tls_context.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

enum {
    TLS_F_SERVER = 1 << 0,
    TLS_F_SHAKING = 1 << 1,
    TLS_F_PEER_END = 1 << 2,   /* close_notify came */
    TLS_F_CUT = 1 << 3,        /* the socket ended without it */
    TLS_F_ENDED = 1 << 4,      /* ours was sent, or must not be */
    TLS_F_HELD = 1 << 5,
    TLS_F_RESUMED = 1 << 6,
    TLS_F_VERIFIED = 1 << 7,
    TLS_F_EARLY_END = 1 << 8,  /* the socket has ended, what it said is still to be opened */
};

struct tls_peer { size_t n; unsigned char der[]; };

struct tls {
    WOLFSSL *ssl;
    struct tls_context *context;  /* held */
    struct tls_room *room;
    struct tls_session *session;  /* client: where a new one goes; NULL = nowhere */
    struct chunkq part;           /* the beginning of a record; or whole ones, when n >= need */
    struct chunkq kept;           /* plain text written before the handshake was done */
    struct tls_peer *peer;        /* its certificate; NULL = none was shown */
    struct str notes[TLS_NOTES];  /* own memory */
    const char *detail;           /* of fault */
    uint32_t need;                /* bytes that make `part` a whole record, as far as is known */
    uint32_t content;             /* bytes since the budget was last raised */
    int16_t idle_left;            /* of the budget */
    uint16_t flags;               /* TLS_F_ */
    uint8_t fault, alpn;
    uint8_t name_n;
    char name[];                  /* server name; NUL-terminated */
};

/* What a peer's certificate must have. Owns its texts. */
struct tls_demands {
    struct str *sans, *spki, *hashes;
    size_t n_sans, n_spki, n_hashes;
    struct str identity;
    bool name;                    /* with neither sans nor identity: the server name */
    bool tolerant;                /* it is kept and not judged */
};

struct tls_context {
    struct tls_context *next;     /* in its slot of all->table */
    struct tls_contexts *all;
    uint64_t id;                  /* of what it was made of */
    uint64_t row_id;              /* snap_tls_server.id or snap_tls_client.id */
    WOLFSSL_CTX *ctx;             /* NULL when broken */
    struct tls_demands want;
    uint32_t refs;
    struct str own_uri;           /* own memory */
    bool server, tickets, broken;
    int64_t staple_until_s;       /* Unix time when what is stapled is to go; 0 = never */
};

/* tls_context.c */
struct tls_context *tls_context_hold(struct tls_context *x);
WOLFSSL_CTX *tls_context_ctx(const struct tls_context *x);
uint64_t tls_context_id(const struct tls_context *x);
/* What differs from connection to connection: tickets or none. */
bool tls_context_apply(struct tls_context *x, struct tls *t);

/* tls_verify.c */
bool tls_demands_set(struct tls_demands *d, const struct snap *s, struct snap_range sans, struct snap_range spki,
                     struct snap_range hashes, struct str identity);
void tls_demands_fini(struct tls_demands *d);
int tls_verify_peer(int good, WOLFSSL_X509_STORE_CTX *store);

/* tls_ticket.c */
struct tls_tickets *tls_tickets_new(struct board *b);
void tls_tickets_free(struct tls_tickets *k); /* NULL-safe */
bool tls_tickets_ready(struct tls_contexts *all);
void tls_tickets_use(struct tls_context *x);

static inline struct str tls_name(const struct tls *t)
{
    return str_of(t->name, t->name_n);
}

#endif
