/*
 * ocsp.h - may an OCSP response (RFC 6960) be stapled to a certificate? Pure.
 *
 * Whoever gets it verifies its signature; that is not done here. What is: a response that a client must refuse (for
 * another certificate, out of its time) or that says nothing good is worse than none.
 */
#ifndef GH_TLS_OCSP_H
#define GH_TLS_OCSP_H

#include "shared/base/str.h"

struct ocsp {
    int64_t this_update_s;
    int64_t next_update_s; /* 0: not said */
};

/* `leaf` is the certificate in DER. False, and what is wrong with the response as the end of a sentence that begins with
 * "the OCSP response". */
bool ocsp_read(struct str response, struct str leaf, int64_t now_s, struct ocsp *out, const char **why);

#endif
