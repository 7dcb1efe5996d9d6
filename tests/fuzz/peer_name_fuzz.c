/*
 * peer_name_fuzz.c - certificates as a peer shows them: nothing outside the bytes is read, every walk ends, and what is
 * found lies inside.
 *
 * Input: DER.
 */
#include "shared/tls/peer_name.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct str s, struct str of)
{
    must(s.n == 0 || (s.p >= of.p && s.p + s.n <= of.p + of.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str der = str_of((const char *)data, size), rest, value;
    struct x509 c;
    struct buf text = {0};
    enum x509_name_type type;
    if (x509_read(der, &c)) {
        inside(c.serial, der);
        inside(c.spki, der);
        inside(c.names, der);
        x509_name_text(c.subject, &text);
        x509_name_text(c.issuer, &text);
        for (size_t i = 0; i < text.n; i++)
            must(text.p[i] >= 0x20 && text.p[i] < 0x7f);
        x509_serial_text(c.serial, &text);
        for (rest = c.names; x509_next_name(&rest, &type, &value);) {
            inside(value, der);
            if (type == X509_DNS && str_chr(value, '*') < 0 && str_chr(value, ':') < 0)
                must(x509_has_name(&c, value));
        }
        x509_fits_host(&c, STR("a.example.com"));
        x509_fits_host(&c, STR("127.0.0.1"));
    }
    x509_name_text(der, &text);
    for (rest = der; x509_next_name(&rest, &type, &value);)
        inside(value, der);
    buf_fini(&text);
    return 0;
}
