#include "worker/filter/peer.h"
#include "shared/base/sha256.h"
#include "shared/tls/peer_name.h"

static void add_fingerprint(struct str der, struct buf *out)
{
    struct sha256 s;
    uint8_t sum[32];
    sha256_begin(&s);
    sha256_add(&s, der.p, der.n);
    sha256_end(&s, sum);
    for (size_t i = 0; i < sizeof(sum); i++)
        buf_addf(out, "%02x", sum[i]);
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x21 || (unsigned char)s.p[i] > 0x7e)
            return false;
    return s.n > 0;
}

/* A value of the field; what would be read as the field's own signs goes into quotes. */
static void add_value(struct str v, bool always, struct buf *out)
{
    bool quote = always;
    for (size_t i = 0; i < v.n; i++)
        quote = quote || strchr(",;=\"", v.p[i]);
    if (quote)
        buf_addch(out, '"');
    for (size_t i = 0; i < v.n; i++) {
        if (quote && (v.p[i] == '"' || v.p[i] == '\\'))
            buf_addch(out, '\\');
        buf_addch(out, v.p[i]);
    }
    if (quote)
        buf_addch(out, '"');
}

/* Names of one type, each behind `key`. Those with control characters are left out. */
static void add_names(const struct x509 *c, enum x509_name_type want, const char *key, struct buf *out)
{
    struct str rest = c->names, value;
    enum x509_name_type type;
    while (x509_next_name(&rest, &type, &value))
        if (type == want && is_plain(value)) {
            buf_addc(out, key);
            add_value(value, false, out);
        }
}

static void list_uris(const struct x509 *c, struct buf *out)
{
    struct str rest = c->names, value;
    enum x509_name_type type;
    const char *comma = "";
    while (x509_next_name(&rest, &type, &value))
        if (type == X509_URI && is_plain(value)) {
            buf_addc(out, comma);
            buf_adds(out, value);
            comma = ",";
        }
}

static void add_element(const struct tls_facts *t, const struct x509 *c, struct buf *out)
{
    struct buf subject = {0};
    if (t->own_uri.n) {
        buf_addc(out, "By=");
        add_value(t->own_uri, false, out);
        buf_addch(out, ';');
    }
    buf_addc(out, "Hash=");
    add_fingerprint(t->peer, out);
    x509_name_text(c->subject, &subject);
    buf_addc(out, ";Subject=");
    add_value(buf_str(&subject), true, out);
    out->oom = out->oom || subject.oom;
    buf_fini(&subject);
    add_names(c, X509_URI, ";URI=", out);
    add_names(c, X509_DNS, ";DNS=", out);
}

bool peer_forward(struct filter_ctx *ctx)
{
    const struct filter_facts *f = ctx->facts;
    struct x509 c;
    struct buf b = {0};
    head_remove_id(ctx->request, FIELD_X_FORWARDED_CLIENT_CERT);
    if (!f->tls || !f->tls->peer.n)
        return true;
    struct str v = conn_tls_note(f->conn, TLS_NOTE_FORWARD);
    if (!v.p && x509_read(f->tls->peer, &c)) {
        add_element(f->tls, &c, &b);
        v = b.oom ? STR_NONE : conn_tls_set_note(f->conn, TLS_NOTE_FORWARD, buf_str(&b));
        buf_fini(&b);
    }
    return v.p && head_add_id(ctx->request, ctx->arena, FIELD_X_FORWARDED_CLIENT_CERT, v);
}

struct str peer_subject(const struct filter_facts *f)
{
    struct x509 c;
    struct buf b = {0};
    if (!f->tls || !f->tls->peer.n)
        return STR_NONE;
    struct str v = conn_tls_note(f->conn, TLS_NOTE_SUBJECT);
    if (!v.p && x509_read(f->tls->peer, &c)) {
        x509_name_text(c.subject, &b);
        v = conn_tls_set_note(f->conn, TLS_NOTE_SUBJECT, buf_str(&b));
        buf_fini(&b);
    }
    return v;
}

/* PEM with everything that is not safe in a URL as %XX. */
static void add_pem(struct str der, struct buf *out)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned column = 0;
    buf_addc(out, "-----BEGIN%20CERTIFICATE-----%0A");
    for (size_t i = 0; i < der.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < der.n ? (unsigned char)der.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++) {
            char d = i + k > der.n ? '=' : DIGITS[v >> (18 - 6 * k) & 63];
            buf_addc(out, d == '+' ? "%2B" : d == '/' ? "%2F" : d == '=' ? "%3D" : (char[]){d, '\0'});
        }
        column += 4;
        if (column == 64 || i + 3 >= der.n) {
            buf_addc(out, "%0A");
            column = 0;
        }
    }
    buf_addc(out, "-----END%20CERTIFICATE-----%0A");
}

void peer_var(const struct filter_facts *f, enum header_var id, struct buf *out)
{
    const struct tls_facts *t = f->tls;
    struct x509 c;
    if (!t)
        return;
    if (id == HEADER_VAR_TLS_VERSION)
        buf_addc(out, t->version);
    else if (id == HEADER_VAR_TLS_CIPHER)
        buf_addc(out, t->cipher);
    if (!t->peer.n || !x509_read(t->peer, &c))
        return;
    switch (id) {
    case HEADER_VAR_PEER_SUBJECT: buf_adds(out, peer_subject(f)); break;
    case HEADER_VAR_PEER_ISSUER: x509_name_text(c.issuer, out); break;
    case HEADER_VAR_PEER_URI_SAN: list_uris(&c, out); break;
    case HEADER_VAR_PEER_SERIAL: x509_serial_text(c.serial, out); break;
    case HEADER_VAR_PEER_FINGERPRINT: add_fingerprint(t->peer, out); break;
    case HEADER_VAR_PEER_CERT: add_pem(t->peer, out); break;
    default: break;
    }
}
