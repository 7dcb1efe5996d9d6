#include "master/kinds/istio_credential.h"
#include "master/kinds/format.h"
#include "shared/base/arena.h"

#include <string.h>

/* ---- names ---------------------------------------------------------------------------------- */

/* "ns/name" or "name" behind a scheme. */
static struct istio_credential named(enum istio_credential_kind kind, struct str text, bool ns_needed)
{
    struct istio_credential c = {.kind = kind, .name = text};
    ptrdiff_t slash = str_chr(text, '/');
    if (slash >= 0) {
        c.ns = str_head(text, (size_t)slash);
        c.name = str_skip(text, (size_t)slash + 1);
    }
    if (!format_check(FMT_OBJECT_NAME, c.name, NULL) || (slash >= 0 && !format_check(FMT_DNS_LABEL, c.ns, NULL)) ||
        (ns_needed && slash < 0))
        c.kind = ISTIO_CREDENTIAL_BAD;
    return c;
}

struct istio_credential istio_credential_parse(struct str text)
{
    static const struct {
        const char *prefix;
        enum istio_credential_kind kind;
        bool ns_needed;
    } SCHEMES[] = {
        {"kubernetes://", ISTIO_CREDENTIAL_SECRET, false},
        {"kubernetes-gateway://", ISTIO_CREDENTIAL_GATEWAY, true},
        {"configmap://", ISTIO_CREDENTIAL_CONFIG_MAP, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++)
        if (str_starts(text, str_c(SCHEMES[i].prefix)))
            return named(SCHEMES[i].kind, str_skip(text, strlen(SCHEMES[i].prefix)), SCHEMES[i].ns_needed);
    if (str_starts(text, STR("sds://")))
        return (struct istio_credential){.kind = text.n > 6 ? ISTIO_CREDENTIAL_SDS : ISTIO_CREDENTIAL_BAD, .name = str_skip(text, 6)};
    if (str_starts(text, STR("invalid://")))
        return (struct istio_credential){.kind = ISTIO_CREDENTIAL_INVALID, .name = str_skip(text, 10)};
    if (str_starts(text, STR("builtin://")))
        return (struct istio_credential){.kind = text.n == 10 ? ISTIO_CREDENTIAL_BUILTIN : ISTIO_CREDENTIAL_BAD};
    if (str_chr(text, '/') >= 0)
        return (struct istio_credential){.kind = ISTIO_CREDENTIAL_BAD};
    return named(ISTIO_CREDENTIAL_SECRET, text, false);
}

void istio_credential_check(struct decoder *d, const struct node *at, struct str text, unsigned flags)
{
    struct istio_credential c = istio_credential_parse(text);
    switch (c.kind) {
    case ISTIO_CREDENTIAL_BAD:
        diag_at(d->diags, DIAG_BadValue, at,
                str_starts(text, STR("configmap://")) || str_starts(text, STR("kubernetes-gateway://"))
                    ? "write the namespace, too: scheme://namespace/name"
                    : "the name of a Secret",
                "%s names no Secret%s", diag_quote(d->arena, text), flags & ISTIO_CREDENTIAL_CA ? " and no ConfigMap" : "");
        return;
    case ISTIO_CREDENTIAL_CONFIG_MAP:
        if (flags & ISTIO_CREDENTIAL_PAIR)
            diag_at(d->diags, DIAG_BadValue, at, "a Secret has certificate and key", "a ConfigMap holds no private key");
        return;
    case ISTIO_CREDENTIAL_SDS:
        diag_at(d->diags, DIAG_NotServed, at, "put it into a Secret", "secrets from a server (sds://) are not served yet");
        return;
    case ISTIO_CREDENTIAL_BUILTIN:
        if (flags & ISTIO_CREDENTIAL_CA && !(flags & ISTIO_CREDENTIAL_PAIR))
            diag_at(d->diags, DIAG_BadValue, at, NULL, "the certificate of the instance is no CA");
        return;
    default:
        return;
    }
}

/* ---- digests ---------------------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* 32 bytes are 43 digits, the last of which has two spare bits, and one '='. */
bool istio_digest_base64(struct str text)
{
    if (text.n != 44 || text.p[43] != '=')
        return false;
    for (size_t i = 0; i < 43; i++)
        if (base64_digit(text.p[i]) < 0)
            return false;
    return (base64_digit(text.p[42]) & 3) == 0;
}

bool istio_digest_hex(struct str text, char out[64])
{
    size_t n = 0;
    bool colons = text.n == 95;
    if (text.n != 64 && !colons)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = ascii_lower(text.p[i]);
        if (colons && i % 3 == 2) {
            if (c != ':')
                return false;
            continue;
        }
        if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
            return false;
        out[n++] = c;
    }
    return true;
}

/* ---- cipher suites ---------------------------------------------------------------------------- */

enum istio_cipher istio_cipher_of(struct str name)
{
    static const char *const SERVED[] = {
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",   "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",   "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    };
    static const char *const UNSAFE[] = {
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",      "AES128-SHA",           "AES256-SHA",             "DES-CBC3-SHA",
    };
    for (size_t i = 0; i < ARRAY_LEN(SERVED); i++)
        if (str_eqc(name, SERVED[i]))
            return ISTIO_CIPHER_SERVED;
    for (size_t i = 0; i < ARRAY_LEN(UNSAFE); i++)
        if (str_eqc(name, UNSAFE[i]))
            return ISTIO_CIPHER_UNSAFE;
    if (str_eqc(name, "ALL") || (name.n && name.p[0] && strchr("+-!@[", name.p[0])))
        return ISTIO_CIPHER_OPERATOR;
    return ISTIO_CIPHER_UNKNOWN;
}
