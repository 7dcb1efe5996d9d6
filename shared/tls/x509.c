#include "shared/tls/x509.h"
#include "shared/tls/der.h"

#include <stdio.h>

/* --- validity ---------------------------------------------------------------------------------------- */

static bool read_validity(struct str s, struct x509 *out)
{
    struct der a, b;
    return der_next(&s, &a) && der_next(&s, &b) && der_time(&a, &out->not_before_s) && der_time(&b, &out->not_after_s);
}

/* --- the public key ------------------------------------------------------------------------------------- */

static const struct { struct str oid; enum key_type type; uint16_t bits; } KEYS[] = {
    {{"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9}, KEY_RSA, 0},
    {{"\x2b\x65\x70", 3}, KEY_ED25519, 256},
}, CURVES[] = {
    {{"\x2a\x86\x48\xce\x3d\x03\x01\x07", 8}, KEY_ECDSA, 256},
    {{"\x2b\x81\x04\x00\x22", 5}, KEY_ECDSA, 384},
    {{"\x2b\x81\x04\x00\x23", 5}, KEY_ECDSA, 521},
};
#define OID_EC STR("\x2a\x86\x48\xce\x3d\x02\x01")

static uint16_t bits_of(struct str integer)
{
    while (integer.n && integer.p[0] == 0)
        integer = str_skip(integer, 1);
    size_t bits = integer.n * 8;
    for (uint8_t top = integer.n ? (uint8_t)integer.p[0] : 0x80; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return (uint16_t)GH_MIN(bits, (size_t)UINT16_MAX);
}

static uint16_t rsa_bits(struct str bits)
{
    struct der seq, n;
    struct str s = bits.n ? str_skip(bits, 1) : bits; /* unused bits: none */
    return der_take(&s, DER_SEQUENCE, &seq) && der_take(&seq.body, DER_INTEGER, &n) ? bits_of(n.body) : 0;
}

static bool read_key(struct str s, struct x509 *out)
{
    struct der algorithm, oid, curve, bits;
    if (!der_take(&s, DER_SEQUENCE, &algorithm) || !der_take(&s, DER_BITS, &bits) ||
        !der_take(&algorithm.body, DER_OID, &oid))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (str_eq(KEYS[i].oid, oid.body)) {
            out->key_type = KEYS[i].type;
            out->key_bits = KEYS[i].bits ? KEYS[i].bits : rsa_bits(bits.body);
        }
    if (!str_eq(oid.body, OID_EC) || !der_take(&algorithm.body, DER_OID, &curve))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(CURVES); i++)
        if (str_eq(CURVES[i].oid, curve.body)) {
            out->key_type = CURVES[i].type;
            out->key_bits = CURVES[i].bits;
        }
    return true;
}

/* --- extensions --------------------------------------------------------------------------------------------- */

static bool read_extension(struct str s, struct x509 *out)
{
    struct der oid, critical, value, seq, ca;
    if (!der_take(&s, DER_OID, &oid))
        return false;
    if (der_is(s, DER_BOOLEAN) && !der_next(&s, &critical))
        return false;
    if (!der_take(&s, DER_OCTETS, &value))
        return false;
    if (str_eq(oid.body, STR("\x55\x1d\x11"))) { /* subjectAltName */
        if (!der_take(&value.body, DER_SEQUENCE, &seq))
            return false;
        out->names = seq.body;
    } else if (str_eq(oid.body, STR("\x55\x1d\x13"))) { /* basicConstraints */
        if (!der_take(&value.body, DER_SEQUENCE, &seq))
            return false;
        out->is_ca = der_take(&seq.body, DER_BOOLEAN, &ca) && ca.body.n == 1 && ca.body.p[0] != 0;
    }
    return true;
}

static bool read_extensions(struct str s, struct x509 *out)
{
    struct der d, list;
    while (der_next(&s, &d)) {
        if (d.tag != (DER_CONTEXT | DER_CONSTRUCTED | 3)) /* 1, 2: unique identifiers */
            continue;
        if (!der_take(&d.body, DER_SEQUENCE, &list))
            return false;
        while (list.body.n)
            if (!der_take(&list.body, DER_SEQUENCE, &d) || !read_extension(d.body, out))
                return false;
        return s.n == 0;
    }
    return s.n == 0;
}

bool x509_read(struct str der, struct x509 *out)
{
    struct der cert, tbs, serial, algorithm, issuer, validity, subject, spki;
    *out = (struct x509){0};
    if (!der_take(&der, DER_SEQUENCE, &cert) || der.n || !der_take(&cert.body, DER_SEQUENCE, &tbs))
        return false;
    struct str s = tbs.body;
    if (der_is(s, DER_CONTEXT | DER_CONSTRUCTED) && !der_next(&s, &serial)) /* version */
        return false;
    if (!der_take(&s, DER_INTEGER, &serial) || !der_take(&s, DER_SEQUENCE, &algorithm) ||
        !der_take(&s, DER_SEQUENCE, &issuer) || !der_take(&s, DER_SEQUENCE, &validity) ||
        !der_take(&s, DER_SEQUENCE, &subject) || !der_take(&s, DER_SEQUENCE, &spki))
        return false;
    out->serial = serial.body;
    out->issuer = issuer.whole;
    out->subject = subject.whole;
    out->spki = spki.whole;
    return read_validity(validity.body, out) && read_key(spki.body, out) && read_extensions(s, out);
}

bool x509_next_name(struct str *rest, enum x509_name_type *type, struct str *value)
{
    struct der d;
    while (der_next(rest, &d)) {
        unsigned number = d.tag & ~(unsigned)DER_CONTEXT;
        bool known = number == X509_EMAIL || number == X509_DNS || number == X509_URI ||
                     (number == X509_IP && (d.body.n == 4 || d.body.n == 16));
        if (!(d.tag & DER_CONTEXT) || !known)
            continue;
        *type = (enum x509_name_type)number;
        *value = d.body;
        return true;
    }
    return false;
}

/* --- names as text ------------------------------------------------------------------------------------------- */

static const struct { struct str oid, word; } ATTRIBUTES[] = {
    {{"\x55\x04\x03", 3}, {"CN", 2}}, {{"\x55\x04\x05", 3}, {"serialNumber", 12}}, {{"\x55\x04\x06", 3}, {"C", 1}},
    {{"\x55\x04\x07", 3}, {"L", 1}}, {{"\x55\x04\x08", 3}, {"ST", 2}}, {{"\x55\x04\x09", 3}, {"STREET", 6}},
    {{"\x55\x04\x0a", 3}, {"O", 1}}, {{"\x55\x04\x0b", 3}, {"OU", 2}},
    {{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", 10}, {"DC", 2}},
    {{"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", 10}, {"UID", 3}},
    {{"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9}, {"emailAddress", 12}},
};

/* RFC 4514 2.4; what is not ASCII or can't be printed is written as \XX. */
static void value_text(struct str v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        unsigned char c = (unsigned char)v.p[i];
        bool edge = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == v.n && c == ' ');
        if (c < 0x20 || c >= 0x7f) {
            buf_addf(out, "\\%02X", c);
        } else {
            if (edge || strchr("\",+;<>\\", c))
                buf_addch(out, '\\');
            buf_addch(out, (char)c);
        }
    }
}

static void attribute_text(struct str s, struct buf *out)
{
    struct der oid, value;
    if (!der_take(&s, DER_OID, &oid) || !der_next(&s, &value))
        return;
    for (size_t i = 0; i < ARRAY_LEN(ATTRIBUTES); i++)
        if (str_eq(ATTRIBUTES[i].oid, oid.body)) {
            buf_adds(out, ATTRIBUTES[i].word);
            buf_addch(out, '=');
            value_text(value.body, out);
            return;
        }
    buf_addc(out, "OID#");
    for (size_t i = 0; i < oid.body.n; i++)
        buf_addf(out, "%02x", (unsigned char)oid.body.p[i]);
    buf_addch(out, '=');
    value_text(value.body, out);
}

/* The last set first: each recursion has written what stands behind it. At most 32 sets are shown. */
static void sets_text(struct str s, unsigned depth, struct buf *out)
{
    struct der set, attribute;
    if (depth == 32 || !der_take(&s, DER_SET, &set))
        return;
    size_t before = out->n;
    sets_text(s, depth + 1, out);
    if (out->n > before)
        buf_addch(out, ',');
    for (bool first = true; der_take(&set.body, DER_SEQUENCE, &attribute); first = false) {
        if (!first)
            buf_addch(out, '+');
        attribute_text(attribute.body, out);
    }
}

void x509_name_text(struct str name, struct buf *out)
{
    struct der d;
    if (der_take(&name, DER_SEQUENCE, &d))
        sets_text(d.body, 0, out);
}

/* --- PEM, RFC 7468 ------------------------------------------------------------------------------------------- */

static bool take_line(struct str *rest, const char *word, struct str label)
{
    char line[96];
    int n = snprintf(line, sizeof(line), "-----%s " STR_FMT "-----", word, STR_ARG(label));
    struct str want = str_of(line, n > 0 && (size_t)n < sizeof(line) ? (size_t)n : 0);
    ptrdiff_t at = want.n ? str_find(*rest, want) : -1;
    if (at < 0)
        return false;
    *rest = str_skip(*rest, (size_t)at + want.n);
    return true;
}

bool pem_next(struct str *rest, struct str label, struct str *base64)
{
    struct str s = *rest;
    if (!take_line(&s, "BEGIN", label))
        return false;
    const char *begin = s.p;
    ptrdiff_t dashes = str_find(s, STR("-----"));
    if (dashes < 0 || !take_line(&s, "END", label))
        return false;
    *base64 = str_of(begin, (size_t)dashes);
    *rest = s;
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool pem_decode(struct str s, char *out, size_t *n)
{
    uint32_t bits = 0;
    unsigned have = 0, pad = 0;
    *n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (strchr(" \t\r\n", s.p[i]) && s.p[i])
            continue;
        if (s.p[i] == '=') {
            pad++;
            continue;
        }
        int v = base64_value(s.p[i]);
        if (v < 0 || pad)
            return false;
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*n)++] = (char)(bits >> have);
        }
    }
    return *n > 0 && pad <= 2 && (have == 0 ? pad == 0 : have == 4 ? pad == 2 : have == 2 && pad == 1) &&
           (bits & ((1u << have) - 1)) == 0;
}
