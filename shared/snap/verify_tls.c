#include "shared/snap/verify.h"

/* Invariant 9. The TLS servers have been judged before, rules are: their index is checked here, their contents later. */
bool verify_chain(struct verify *v, const struct snap_chain *c)
{
    const struct snap *s = v->s;
    bool terminated = c->mode == CHAIN_HTTP || c->mode == CHAIN_TCP;
    bool carried = c->mode == CHAIN_TCP || c->mode == CHAIN_PASSTHROUGH;
    if (!verify_text(v, "name", c->name) || !verify_index(v, "listener", c->listener, SNAP_LISTENERS) ||
        !verify_enum(v, "mode", c->mode, CHAIN_REFUSE + 1) || !verify_bits(v, "flags", c->flags, SNAP_CHAIN_ISTIO_ALPN) ||
        !(terminated ? verify_index : verify_index_or_none)(v, "tls", c->tls, SNAP_TLS_SERVERS) ||
        !(carried ? verify_index : verify_index_or_none)(v, "rule", c->rule, SNAP_RULES) ||
        !verify_name(v, "why", c->why) || !verify_index(v, "origin", c->origin, SNAP_ORIGINS))
        return false;
    if (terminated && s->TLS_SERVERS[c->tls].certs.n == 0)
        return verify_fault(v, "TLS server %u has no certificate", c->tls);
    return !carried || s->RULES[c->rule].action == ACTION_SPLIT || verify_fault(v, "rule %u is no split", c->rule);
}

static bool names(struct verify *v, const char *member, struct snap_range r)
{
    if (!verify_range(v, member, r, SNAP_NAMES))
        return false;
    SNAP_EACH(i, r)
        if (!verify_text(v, member, v->s->NAMES[i]))
            return false;
    return true;
}

bool verify_cert(struct verify *v, const struct snap_cert *c)
{
    return verify_text(v, "chain", c->chain) && verify_text(v, "ocsp", c->ocsp) &&
           verify_name(v, "subject", c->subject) && verify_name(v, "issuer", c->issuer) &&
           verify_name(v, "serial", c->serial) && names(v, "names", c->names) &&
           verify_enum(v, "key_type", c->key_type, KEY_ED25519 + 1) &&
           verify_index(v, "origin", c->origin, SNAP_ORIGINS);
}

static bool certs(struct verify *v, struct snap_range r)
{
    if (!verify_range(v, "certs", r, SNAP_INDEXES))
        return false;
    SNAP_EACH(i, r)
        if (!verify_index(v, "a certificate", v->s->INDEXES[i], SNAP_CERTS))
            return false;
    return true;
}

bool verify_tls_server(struct verify *v, const struct snap_tls_server *t)
{
    return certs(v, t->certs) && verify_enum(v, "client_auth", t->client_auth, CLIENT_AUTH_TOLERANT + 1) &&
           verify_enum(v, "min_version", t->min_version, TLS_VERSION_1_3 + 1) &&
           verify_enum(v, "max_version", t->max_version, TLS_VERSION_1_3 + 1) &&
           verify_bits(v, "alpn", t->alpn, TLS_ALPN_H2 | TLS_ALPN_HTTP1) &&
           verify_index(v, "origin", t->origin, SNAP_ORIGINS) && verify_text(v, "ca", t->ca) &&
           verify_text(v, "crl", t->crl) && verify_text(v, "ciphers", t->ciphers) && names(v, "sans", t->sans) &&
           names(v, "spki", t->spki) && names(v, "hashes", t->hashes);
}

bool verify_tls_client(struct verify *v, const struct snap_tls_client *t)
{
    const uint32_t ALL = SNAP_TLS_SYSTEM_CA | SNAP_TLS_INSECURE | SNAP_TLS_BROKEN | SNAP_TLS_ANY_NAME | SNAP_TLS_NO_CERT;
    return verify_text(v, "sni", t->sni) && verify_text(v, "identity", t->identity) && verify_text(v, "ca", t->ca) &&
           verify_text(v, "crl", t->crl) && names(v, "sans", t->sans) &&
           verify_index_or_none(v, "cert", t->cert, SNAP_CERTS) &&
           verify_bits(v, "flags", t->flags, ALL) &&
           verify_index(v, "origin", t->origin, SNAP_ORIGINS);
}

bool verify_cidr(struct verify *v, const struct snap_cidr *c)
{
    unsigned most = c->family == 4 ? 32 : 128;
    if ((c->family != 4 && c->family != 6) || c->bits > most)
        return verify_fault(v, "family is %u, bits are %u", c->family, c->bits);
    for (unsigned bit = c->bits; bit < sizeof(c->ip) * 8; bit++)
        if (c->ip[bit / 8] & 0x80u >> bit % 8)
            return verify_fault(v, "bit %u is set behind a prefix of %u", bit, c->bits);
    return true;
}

/* What of a bind is not about virtual hosts. */
bool verify_bind_streams(struct verify *v, const struct snap_bind *b)
{
    const struct snap *s = v->s;
    if (!verify_bits(v, "flags", b->flags, SNAP_BIND_DATAGRAM) ||
        !verify_index_or_none(v, "stream_rule", b->stream_rule, SNAP_RULES) ||
        !verify_share(v, "chains", b->chains, SNAP_CHAINS) ||
        !verify_range(v, "proxy_trusted", b->proxy_trusted, SNAP_CIDRS))
        return false;
    if (b->stream_rule != SNAP_NONE && s->RULES[b->stream_rule].action != ACTION_SPLIT)
        return verify_fault(v, "stream_rule %u is no split", b->stream_rule);
    if ((b->stream_rule != SNAP_NONE || b->flags & SNAP_BIND_DATAGRAM) && b->chains.n + b->hosts.n > 0)
        return verify_fault(v, "it has a stream, and hosts or chains");
    SNAP_EACH(i, b->chains)
        if (s->LISTENERS[s->CHAINS[i].listener].bind != v->row)
            return verify_fault(v, "chain %u belongs to another bind", i);
    return b->default_chain == SNAP_NONE || b->default_chain - b->chains.first < b->chains.n ||
           verify_fault(v, "default_chain is %u, which is none of its chains", b->default_chain);
}
