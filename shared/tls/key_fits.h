/*
 * key_fits.h - does a private key belong to a certificate?
 *
 * Computed here, because not every build of the library compares the two when they are loaded: with some a foreign key
 * is found out by the first client. The key is in memory of this function only while it works, and wiped after.
 */
#ifndef GH_TLS_KEY_FITS_H
#define GH_TLS_KEY_FITS_H

#include "shared/base/str.h"

/* `spki`: the certificate's SubjectPublicKeyInfo, DER; `key`: PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted.
 * False as well when one of them cannot be read, or memory is short. */
bool tls_key_fits(struct str spki, struct str key);

#endif
