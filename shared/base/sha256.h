/*
 * sha256.h - SHA-256 (FIPS 180-4), for identities that strangers must not be able to make collide: what a TLS context
 * is kept by, what names a key. hash.h is for tables; wolfSSL is for the protocol.
 *
 * Plain C of about 200 MB/s. The state may hold key material: sha256_end wipes it.
 */
#ifndef GH_SHA256_H
#define GH_SHA256_H

#include "shared/base/str.h"

struct sha256 {
    uint32_t h[8];
    uint64_t n;         /* bytes so far */
    uint8_t block[64];
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
/* A text with its length before it, so that no two lists of texts give the same bytes. */
void sha256_add_str(struct sha256 *s, struct str text);
void sha256_add_u64(struct sha256 *s, uint64_t v);
void sha256_end(struct sha256 *s, uint8_t out[32]);
/* As sha256_end: the first eight bytes as a number. */
uint64_t sha256_end_id(struct sha256 *s);

#endif
