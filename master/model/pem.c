/*
 * pem.c - what of a PEM text may be shown. `cat cert.pem key.pem` is what other proxies ask for, so a text that is taken
 * for certificates may hold a private key: it must not get into the snapshot with them (invariant 9).
 */
#include "master/model/model.h"

static const struct str BEGIN = {"-----BEGIN ", 11}, END = {"-----END ", 9};

/* RFC 7468 section 13: the labels are "PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY" ... */
static bool has_secret(struct str text)
{
    return str_find(text, STR("PRIVATE KEY")) >= 0;
}

/* The next complete block of *rest, with its END line; what is unfinished before it is passed over. */
static bool next_block(struct str *rest, struct str *block)
{
    for (ptrdiff_t at; (at = str_find(*rest, BEGIN)) >= 0;) {
        *rest = str_skip(*rest, (size_t)at);
        struct str inside = str_skip(*rest, BEGIN.n);
        ptrdiff_t again = str_find(inside, BEGIN), end = str_find(inside, END);
        if (end < 0 || (again >= 0 && again < end)) {
            *rest = inside;
            continue;
        }
        struct str last = str_skip(inside, (size_t)end);
        ptrdiff_t line = str_chr(last, '\n');
        last = str_skip(last, line < 0 ? last.n : (size_t)line + 1);
        *block = str_of(rest->p, (size_t)(last.p - rest->p));
        *rest = last;
        return true;
    }
    return false;
}

struct str model_public_pem(struct arena *a, struct str pem)
{
    struct str rest = pem, block;
    if (!has_secret(pem))
        return pem;
    char *out = arena_room(a, pem.n + 1);
    if (!out)
        return STR("");
    size_t n = 0;
    while (next_block(&rest, &block)) {
        if (has_secret(block))
            continue;
        memcpy(out + n, block.p, block.n);
        n += block.n;
    }
    out[n] = '\0';
    return str_of(out, n);
}
