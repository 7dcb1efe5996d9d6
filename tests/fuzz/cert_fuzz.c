/*
 * cert_fuzz - PEM and DER from people. The first byte chooses the reader. Oracles: nothing crashes or leaks, a fault has
 * a sentence, slices lie inside the input, and what the library takes as a pair our reader takes as a certificate.
 */
#include "shared/tls/cert.h"
#include "shared/tls/x509.h"

static void inside(struct str in, struct str s)
{
    must(s.n == 0 || (s.p >= in.p && s.p + s.n <= in.p + in.n));
}

static void try_der(struct str in)
{
    struct x509 x;
    struct str v;
    enum x509_name_type type;
    struct buf text = {0};
    if (!x509_read(in, &x))
        return;
    inside(in, x.serial);
    inside(in, x.issuer);
    inside(in, x.subject);
    inside(in, x.spki);
    inside(in, x.names);
    for (struct str rest = x.names; x509_next_name(&rest, &type, &v);)
        inside(in, v);
    x509_name_text(x.subject, &text);
    for (size_t i = 0; i < text.n; i++)
        must(text.p[i] >= 0x20 && text.p[i] < 0x7f);
    buf_fini(&text);
}

static void try_text(struct str in)
{
    struct arena a;
    struct cert_info info;
    struct buf why = {0};
    size_t n, n_bad;
    arena_init(&a, 4096, NULL);
    enum cert_fault f = cert_read(in, &a, &info, &why);
    must((f == CERT_OK) == (why.n == 0));
    if (f == CERT_OK)
        cert_fits_host(&info, STR("a.example.com"));
    buf_clear(&why);
    f = cert_bundle_check(in, &n, &n_bad, &why);
    must((f == CERT_OK) == (why.n == 0) && n_bad <= n);
    buf_fini(&why);
    arena_fini(&a);
}

static void try_library(struct str in)
{
    struct buf why = {0};
    enum cert_fault f = cert_key_check(in, in, &why);
    must((f == CERT_OK) == (why.n == 0));
    buf_clear(&why);
    f = cert_crl_check(in, &why);
    must((f == CERT_OK) == (why.n == 0));
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const READERS[])(struct str) = {try_der, try_text, try_library};
    if (size < 1)
        return 0;
    READERS[data[0] % ARRAY_LEN(READERS)](str_of((const char *)data + 1, size - 1));
    return 0;
}
