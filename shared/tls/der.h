/*
 * der.h - elements of DER (X.690), as certificates and OCSP responses are made of them. Pure; slices point into the bytes
 * given. Strict: definite and minimal lengths, low tag numbers.
 */
#ifndef GH_TLS_DER_H
#define GH_TLS_DER_H

#include "shared/base/str.h"

enum {
    DER_BOOLEAN = 0x01, DER_INTEGER = 0x02, DER_BITS = 0x03, DER_OCTETS = 0x04, DER_OID = 0x06, DER_ENUM = 0x0a,
    DER_UTC_TIME = 0x17, DER_TIME = 0x18, DER_SEQUENCE = 0x30, DER_SET = 0x31,
    DER_CONTEXT = 0x80, DER_CONSTRUCTED = 0x20,
};

struct der {
    uint8_t tag;
    struct str body;
    struct str whole; /* with the header */
};

/* One element off the front. */
bool der_next(struct str *rest, struct der *d);
/* The same, if it has this tag; *rest has moved in any case. */
bool der_take(struct str *rest, uint8_t tag, struct der *d);
/* Does this tag come next? */
bool der_is(struct str rest, uint8_t tag);
/* UTCTime or GeneralizedTime as Unix time; RFC 5280 4.1.2.5: with seconds, and Zulu. */
bool der_time(const struct der *d, int64_t *out);

#endif
