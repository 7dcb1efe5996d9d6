/*
 * tls_words.h - versions and cipher suites as people write them, for both APIs.
 */
#ifndef GH_LOWER_TLS_WORDS_H
#define GH_LOWER_TLS_WORDS_H

#include "shared/base/arena.h"
#include "shared/tbl/enums.h"

enum tls_word {
    TLS_WORD_OK,
    TLS_WORD_OLD,     /* known, and refused here: TLS 1.0 and 1.1; suites without AEAD or forward secrecy */
    TLS_WORD_FIXED,   /* a suite of TLS 1.3, which are always all offered: no effect */
    TLS_WORD_UNKNOWN,
};

/* "1.2", "TLSv1.2", "TLSV1_2", "TLS1.2" in any case; empty, "auto" and "TLS_AUTO" are TLS_VERSION_AUTO. */
enum tls_word tls_version_word(struct str word, enum tls_version *v);
/* OpenSSL ("ECDHE-RSA-AES128-GCM-SHA256") or IANA ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256") name of a suite of
 * TLS 1.2; *name is the OpenSSL one, static. */
enum tls_word tls_cipher_word(struct str word, const char **name);

#endif
