#include "shared/tls/ocsp.h"
#include "shared/tls/der.h"
#include "shared/tls/x509.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>

#define CONTEXT(n) (DER_CONTEXT | DER_CONSTRUCTED | (n))

/*
 * OCSPResponse  ::= { ENUM status, [0] { OID basic, OCTETS { BasicOCSPResponse } } }
 * Basic         ::= { tbs { [0] version?, [1] or [2] responder, producedAt, responses { Single... }, ... }, ... }
 * Single        ::= { id { algorithm { OID }, OCTETS issuer name, OCTETS issuer key, INTEGER serial },
 *                     status, thisUpdate, [0] nextUpdate?, ... }
 */
struct single { struct str algorithm, issuer, serial; uint8_t status; struct ocsp times; };
enum { STATUS_GOOD = DER_CONTEXT, STATUS_REVOKED = CONTEXT(1), STATUS_UNKNOWN = DER_CONTEXT | 2 };

static const struct { struct str oid; enum wc_HashType type; uint8_t n; } HASHES[] = {
    {{"\x2b\x0e\x03\x02\x1a", 5}, WC_HASH_TYPE_SHA, 20},
    {{"\x60\x86\x48\x01\x65\x03\x04\x02\x01", 9}, WC_HASH_TYPE_SHA256, 32},
};

static bool read_single(struct str s, struct single *out)
{
    struct der id, algorithm, oid, name, key, serial, status, this_update, next, time;
    if (!der_take(&s, DER_SEQUENCE, &id) || !der_next(&s, &status) || !der_take(&s, DER_TIME, &this_update) ||
        !der_time(&this_update, &out->times.this_update_s))
        return false;
    if (!der_take(&id.body, DER_SEQUENCE, &algorithm) || !der_take(&algorithm.body, DER_OID, &oid) ||
        !der_take(&id.body, DER_OCTETS, &name) || !der_take(&id.body, DER_OCTETS, &key) ||
        !der_take(&id.body, DER_INTEGER, &serial))
        return false;
    out->times.next_update_s = 0;
    if (der_is(s, CONTEXT(0)) && !(der_next(&s, &next) && der_take(&next.body, DER_TIME, &time) &&
                                   der_time(&time, &out->times.next_update_s)))
        return false;
    out->algorithm = oid.body;
    out->issuer = name.body;
    out->serial = serial.body;
    out->status = status.tag;
    return true;
}

/* Of the same issuer, as far as its hash can be told, and the same number. */
static bool is_for(const struct single *x, const struct x509 *leaf)
{
    uint8_t hash[32];
    if (!str_eq(x->serial, leaf->serial))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(HASHES); i++)
        if (str_eq(x->algorithm, HASHES[i].oid))
            return wc_Hash(HASHES[i].type, (const byte *)leaf->issuer.p, (word32)leaf->issuer.n, hash, HASHES[i].n) == 0 &&
                   str_eq(x->issuer, str_of((const char *)hash, HASHES[i].n));
    return true;
}

/* The single responses; or the word for a response that has none. */
static const char *responses_of(struct str s, struct str *out)
{
    static const struct str BASIC = {"\x2b\x06\x01\x05\x05\x07\x30\x01\x01", 9};
    static const char *const NONE = "can't be read", *const ERROR = "is an error of the responder's";
    struct der all, status, bytes, pair, oid, octets, basic, tbs, d;
    if (!der_take(&s, DER_SEQUENCE, &all) || s.n || !der_take(&all.body, DER_ENUM, &status) || status.body.n != 1)
        return NONE;
    if (status.body.p[0] != 0)
        return ERROR;
    if (!der_take(&all.body, CONTEXT(0), &bytes) || !der_take(&bytes.body, DER_SEQUENCE, &pair) ||
        !der_take(&pair.body, DER_OID, &oid) || !str_eq(oid.body, BASIC) || !der_take(&pair.body, DER_OCTETS, &octets) ||
        !der_take(&octets.body, DER_SEQUENCE, &basic) || !der_take(&basic.body, DER_SEQUENCE, &tbs))
        return NONE;
    if (der_is(tbs.body, CONTEXT(0)) && !der_next(&tbs.body, &d))
        return NONE;
    if (!der_next(&tbs.body, &d) || (d.tag != CONTEXT(1) && d.tag != CONTEXT(2)) || !der_take(&tbs.body, DER_TIME, &d) ||
        !der_take(&tbs.body, DER_SEQUENCE, &d))
        return NONE;
    *out = d.body;
    return NULL;
}

static const char *judge(const struct single *x, int64_t now_s)
{
    if (x->status == STATUS_REVOKED)
        return "says that the certificate is revoked";
    if (x->status != STATUS_GOOD)
        return "says that the responder does not know the certificate";
    if (x->times.this_update_s > now_s)
        return "is not valid yet";
    return x->times.next_update_s && x->times.next_update_s <= now_s ? "is not valid any more" : NULL;
}

bool ocsp_read(struct str response, struct str leaf, int64_t now_s, struct ocsp *out, const char **why)
{
    struct x509 c;
    struct str rest;
    struct der d;
    struct single x;
    *why = "can't be judged: the certificate can't be read";
    if (!x509_read(leaf, &c) || (*why = responses_of(response, &rest)))
        return false;
    *why = "is for another certificate";
    while (rest.n) {
        if (!der_take(&rest, DER_SEQUENCE, &d) || !read_single(d.body, &x)) {
            *why = "can't be read";
            return false;
        }
        if (!is_for(&x, &c))
            continue;
        *out = x.times;
        *why = judge(&x, now_s);
        return !*why;
    }
    return false;
}
