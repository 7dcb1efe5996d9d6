/*
 * hello.h - the ClientHello: whom a TLS connection is for and what its client can do, read before anything is
 * answered (RFC 8446 4.1.2, RFC 6066 3, RFC 7301). Pure; nothing is kept between calls.
 *
 *   bytes of the connection ── records (type 22) ── handshake message (type 1) ── extensions
 *
 * The message may be cut into records anywhere and records into reads anywhere: hello_parse is given everything that has
 * come so far and says whether that is enough. In one record (all clients that exist) slices point into the bytes
 * themselves, else into `room`.
 *
 * Strict: every length must fit exactly, no extension twice, no record without content, nothing behind the message
 * in its record. What TLS says about versions, groups and key shares is left to the library that does the
 * handshake, except for what decides before it: which certificate, which ALPN, which virtual host.
 */
#ifndef GH_TLS_HELLO_H
#define GH_TLS_HELLO_H

#include "shared/tbl/enums.h"
#include "shared/base/str.h"

#define HELLO_BYTES_MAX   (16u * 1024) /* of the message */
#define HELLO_RECORDS_MAX 64u          /* that it may be cut into */
#define HELLO_INPUT_MAX   (HELLO_BYTES_MAX + 5 * HELLO_RECORDS_MAX)
#define HELLO_NAME_MAX    255

/* Alerts (RFC 8446 6): what the client is told, if it is told anything. */
enum tls_alert {
    TLS_ALERT_NONE = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_HANDSHAKE_FAILURE = 40,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_INAPPROPRIATE_FALLBACK = 86,
    TLS_ALERT_UNRECOGNIZED_NAME = 112,
    TLS_ALERT_NO_APPLICATION_PROTOCOL = 120,
};

enum hello_verdict {
    HELLO_MORE,    /* all is well so far */
    HELLO_OK,
    HELLO_NOT_TLS, /* the first bytes are of something else */
    HELLO_BAD,     /* `alert` and `fault` say why */
};

struct hello {
    size_t used;             /* bytes of the input that its records have; what follows is the client's next flight */
    struct str message;      /* the handshake message, with its head of four bytes */
    struct str server_name;  /* canonical: lower case, no trailing dot; empty: none was sent, or an IP address */
    /* Lists as sent: alpn in pieces of one length byte and a name, the others in pairs of bytes; empty = none. */
    struct str alpn, ciphers, groups, signatures;
    struct str session_id;
    uint16_t n_records;
    bool has_1_2, has_1_3;   /* versions it would speak */
    bool has_older;          /* ... or only or also an older one */
    bool tickets;            /* it takes session tickets */
    bool resumes;            /* it brings one, or a pre-shared key */
    bool early_data;
    bool fallback;           /* TLS_FALLBACK_SCSV (RFC 7507): it tried a higher version before */
    uint8_t alert;           /* enum tls_alert, for HELLO_BAD */
    const char *fault;       /* a constant sentence, for HELLO_BAD */
    char name[HELLO_NAME_MAX]; /* of server_name when it was sent with capitals */
};

/* `data` is what has come so far, from the first byte; HELLO_BYTES_MAX bytes of `room` may be written. HELLO_MORE is
 * never said of HELLO_INPUT_MAX bytes. `out->server_name` may point into `out`. */
enum hello_verdict hello_parse(struct str data, char *room, struct hello *out);

/* The next name of an ALPN list. */
bool hello_alpn_next(struct str *rest, struct str *name);
bool hello_alpn_has(const struct hello *h, struct str name);
/* A name that begins so ("istio"). */
bool hello_alpn_starts(const struct hello *h, struct str prefix);
/* Would the client take a certificate with such a key? `tls13`: in a handshake of that version. */
bool hello_takes_key(const struct hello *h, enum key_type type, unsigned bits, bool tls13);

/* An alert as a record in plain text, for connections that get no handshake; returns its length, 7. */
#define TLS_ALERT_BYTES 7
size_t tls_alert_write(enum tls_alert what, char out[TLS_ALERT_BYTES]);

#endif
