/*
 * ocsp_fuzz - OCSP responses from people, for a certificate that is real. Input: a response, or a response and a certificate
 * when the first two bytes (length of the response) say so. Oracles: nothing crashes, a fault has a sentence, and what may
 * be stapled is in its time.
 */
#include "shared/tls/cert.h"
#include "shared/tls/ocsp.h"
#include "shared/tls/x509.h"
#include "tests/unit/shared/tls/ocsp_sample.h"

#include <stdlib.h>

#define NOW 1800000000

static void judge(struct str response, struct str leaf)
{
    struct ocsp x;
    const char *why = NULL;
    if (ocsp_read(response, leaf, NOW, &x, &why)) {
        must(!why && x.this_update_s <= NOW && (!x.next_update_s || x.next_update_s > NOW));
        struct x509 c;
        must(x509_read(leaf, &c));
    } else {
        must(why && *why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str in = str_of((const char *)data, n), leaf = str_of((const char *)OCSP_LEAF, sizeof(OCSP_LEAF));
    judge(in, leaf);
    if (n >= 2 && (size_t)(data[0] << 8 | data[1]) <= n - 2)
        judge(str_head(str_skip(in, 2), (size_t)(data[0] << 8 | data[1])), str_skip(in, 2 + (size_t)(data[0] << 8 | data[1])));
    return 0;
}
