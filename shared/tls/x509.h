/*
 * x509.h - the fields of one certificate, found in its DER; RFC 5280, X.690.
 *
 * wolfSSL verifies certificates. What it does not hand out (the public key as it is signed, addresses among the names,
 * the names of a peer as text, on any build of the library) is found here: a strict reader of the outer shape,
 * pure, without memory of its own. Slices point into the bytes given. It proves nothing: trust is wolfSSL's answer.
 *
 *   Certificate ::= { tbs { [0] version, serial, algorithm, issuer, validity, subject, spki, ... [3] extensions },
 *                     algorithm, signature }
 */
#ifndef GH_TLS_X509_H
#define GH_TLS_X509_H

#include "shared/base/arena.h"
#include "shared/tbl/enums.h"

struct x509 {
    struct str serial;           /* bytes of the INTEGER */
    struct str issuer, subject;  /* Name, DER with its header: equal bytes are taken for equal names */
    struct str spki;             /* SubjectPublicKeyInfo, DER with its header */
    struct str names;            /* contents of the GeneralNames of subjectAltName; empty = none */
    int64_t not_before_s, not_after_s;
    enum key_type key_type;      /* KEY_NONE: one we do not know */
    uint16_t key_bits;
    bool is_ca;
};

/* False: no certificate of this shape. Bytes behind it are refused. */
bool x509_read(struct str der, struct x509 *out);

enum x509_name_type { X509_EMAIL = 1, X509_DNS = 2, X509_URI = 6, X509_IP = 7 };
/* The next name; shortens *rest. False at the end. Types that are not listed are passed over. IP: 4 or 16 bytes. */
bool x509_next_name(struct str *rest, enum x509_name_type *type, struct str *value);

/* "CN=a,O=b" (RFC 4514, last name first) of a Name. Bytes that are no printable UTF-8 are escaped. */
void x509_name_text(struct str name, struct buf *out);

/* The next PEM block labelled `label` ("CERTIFICATE"), between its lines; shortens *rest. False: no more. */
bool pem_next(struct str *rest, struct str label, struct str *base64);
/* Its bytes, into `out` (room for base64.n * 3 / 4); false when it is no base64. */
bool pem_decode(struct str base64, char *out, size_t *n);

#endif
