/*
 * tls.h - TLS behind the face of conn.h: a connection that has a `struct tls` reads and writes plain text as ever, and
 * records are on the wire.
 *
 *   socket ── recv ──► [record | record | par      wolfSSL, one whole record at a time ──► net->scratch ──► on_read
 *                              `part` waits ◄──┘ (in chunks, which count as buffers)
 *   conn_write ──► pieces ──► records of up to 16 KiB ──► one buffer for all connections ── sendmsg ──► socket
 *                                                          what the kernel does not take is queued as it is: records
 *
 * Who calls what. The owner of a connection begins (conn_tls_server on an open connection, conn_tls_client on one that
 * connects or has just done so), then hears on_connect once: 0, or an errno value after which it closes. Until
 * then it may write (it waits) and gets no on_read. It keeps the deadline. Afterwards nothing differs but what
 * conn_tls_facts and conn_cut say. Everything else here is for conn.c.
 *
 * The end: close_notify is sent before our side is closed (with the last bytes, or by itself), except by conn_reset and
 * when something is left unwritten; the peer then sees that it was cut off. A peer that closes without close_notify has
 * been cut off or is careless: on_end comes, and conn_cut says so, for bodies that end with the connection.
 *
 * Invariants
 *  1. wolfSSL is given whole records only. A peer that sends a record slowly holds chunks that are counted, not memory
 *     inside the library.
 *  2. Between two calls of conn.c the buffer of records to be sent is empty: it belongs to nobody.
 *  3. Once the handshake is done a connection holds this struct, the library's (4 KiB in all), and what waits.
 *  4. Records that carry no content (tickets, key updates, empty ones) have a budget: TLS_IDLE_RECORDS, and one more for
 *     each MiB of content. Renegotiation and early data are not done, compression does not exist.
 */
#ifndef GH_NET_TLS_H
#define GH_NET_TLS_H

#include "shared/tbl/enums.h"
#include "worker/net/conn.h"
#include <sys/uio.h>

#define TLS_IDLE_RECORDS 32

struct tls_context;
struct tls_session;

const char *tls_fault_word(enum tls_fault f);
const char *tls_fault_text(enum tls_fault f);

enum tls_alpn { TLS_PROTO_NONE, TLS_PROTO_HTTP1, TLS_PROTO_H2 };

/* How to begin. */
struct tls_start {
    struct tls_context *context; /* held by the connection until it ends */
    /* Server: what the client asked for; its ticket is bound to it. Client: the SNI to be sent (empty: none, as for IP
     * addresses), and the name its certificate must have where the context says no other. */
    struct str server_name;
    uint8_t alpn;                /* TLS_ALPN_ bits; server: of the one that was chosen, or 0; client: what is offered */
    struct tls_session *session; /* client: where sessions of this endpoint are kept; NULL = nowhere. Outlives the conn */
};

/* The client's first `n` bytes, which the owner has read to know what it is for, come before those that follow. 0, or
 * a negative errno: then nothing has changed, and the owner closes. */
int conn_tls_server(struct conn *c, const struct tls_start *how, const char *data, size_t n);
/* At once after conn_connect, or on an open connection. on_connect of the TCP connection does not come then. */
int conn_tls_client(struct conn *c, const struct tls_start *how);

/* What the handshake found. Slices live as long as the connection (until on_closed). */
struct tls_facts {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    struct str server_name;
    enum tls_alpn alpn;
    bool resumed;
    bool peer_verified;           /* `peer` was verified against the context's authorities */
    struct str own_uri;           /* first URI name of the certificate that was shown; empty = none */
    struct str peer;              /* DER of the peer's certificate; empty: it showed none */
};
/* False: no TLS, or the handshake is not done. */
bool conn_tls_facts(const struct conn *c, struct tls_facts *out);
/* Why it broke; NONE while nothing has. The detail (an alert's name) may be NULL. */
enum tls_fault conn_tls_fault(const struct conn *c, const char **detail);

/* Texts about the connection that its owners make once and keep with it; freed with it. Empty: none was set, or there
 * is no TLS. */
enum tls_note { TLS_NOTE_SUBJECT, TLS_NOTE_FORWARD, TLS_NOTES };
struct str conn_tls_note(const struct conn *c, enum tls_note which);
struct str conn_tls_set_note(const struct conn *c, enum tls_note which, struct str text); /* copied; the copy, or none */

/* A client's session, kept for the next connection to the same endpoint. Zero is empty. */
struct tls_session {
    void *held;
    uint64_t context_id; /* that it belongs to */
    uint64_t name_hash;  /* of the server name */
};
void tls_session_clear(struct tls_session *s); /* NULL-safe */

/* --- for conn.c: bytes are given and taken here, sockets are its own -------------------------------------------- */

enum tls_got {
    TLS_GOT_BYTES,     /* *n of them in net->scratch */
    TLS_GOT_NOTHING,
    TLS_GOT_CONNECTED, /* the handshake is done: say so, then go on */
    TLS_GOT_END,
    TLS_GOT_ERROR,     /* tls_errno */
};
/* Where what comes from the socket goes, and how much has room. */
char *tls_in(struct conn *c, size_t *room);
/* So many bytes came. 0: the socket has ended. */
void tls_took(struct conn *c, size_t n);
/* Opens what is there. Afterwards the buffer may hold records to be sent, after an error, too. */
enum tls_got tls_open(struct conn *c, size_t *n);
/* Another tls_open has something to say, whatever the socket has. */
bool tls_more(const struct conn *c);
int tls_errno(const struct conn *c);

/* Makes c->tls. 0 or a negative errno. */
int tls_make_server(struct conn *c, const struct tls_start *how);
int tls_make_client(struct conn *c, const struct tls_start *how);
/* A client's first flight. False: tls_errno. */
bool tls_begin(struct conn *c);
/* Pieces become records in the buffer, from piece *at and its byte *off on, until all are or the buffer is full. False:
 * it can't be done. Before the handshake is done they are kept instead. */
bool tls_seal(struct conn *c, const struct iovec *v, unsigned n, unsigned *at, size_t *off);
/* The same with what was kept; *left says whether there is more. */
bool tls_seal_kept(struct conn *c, bool *left);
size_t tls_kept(const struct conn *c);
/* close_notify, once, and not before the handshake is done. True: there is something in the buffer now. */
bool tls_seal_end(struct conn *c);
/* No close_notify any more: the connection is to look cut. */
void tls_forget_end(struct conn *c);
/* The buffer of all connections. */
struct str tls_sealed(const struct net *n);
void tls_sealed_clear(struct net *n);

/* True until the handshake is done. */
bool tls_shaking(const struct conn *c);
/* The queue begins with records that the kernel was not offered yet. */
bool tls_held(const struct conn *c);
void tls_set_held(struct conn *c, bool held);

void tls_free(struct conn *c); /* NULL-safe */
void tls_room_free(struct net *n);

#endif
