/*
 * tls.c - certificates, and what TLS servers and clients say.
 *
 * A server's or client's `id` is of SHA-256 over all that decides how a handshake goes: workers keep contexts by it over
 * generations, so nobody who writes one configuration may be able to make it the id of another's. Where it was written
 * is not in it. Long texts (bundles of megabytes that a thousand clusters share) are interned and hashed once.
 */
#include "master/compile/layout.h"
#include "shared/base/err.h"
#include "shared/base/sha256.h"

struct long_text {
    struct str text;      /* the slice itself is the key in layout.long_texts */
    struct snap_str at;
    uint8_t sha256[32];
};

/* Never NULL; without memory a row that nobody reads. A key that lowering left in it stays out here at the latest. */
static const struct long_text *long_text(struct layout *l, struct str text)
{
    static const struct long_text NOTHING;
    struct str key = str_of((const char *)&text, sizeof(text));
    struct long_text *t = map_get(&l->long_texts, key);
    struct sha256 s;
    if (t)
        return t;
    t = arena_alloc(&l->arena, sizeof(*t));
    if (!t) {
        layout_fail(l, GH_E_NOMEM);
        return &NOTHING;
    }
    t->text = text;
    t->at = intern_str(l, model_public_pem(&l->arena, text));
    sha256_begin(&s);
    sha256_add_str(&s, text);
    sha256_end(&s, t->sha256);
    map_put(&l->long_texts, str_of((const char *)&t->text, sizeof(t->text)), t);
    return t;
}

static struct snap_str put_long(struct layout *l, struct sha256 *id, struct str text)
{
    const struct long_text *t = long_text(l, text);
    sha256_add(id, t->sha256, sizeof(t->sha256));
    return t->at;
}

static struct snap_str put_str(struct layout *l, struct sha256 *id, struct str text)
{
    sha256_add_str(id, text);
    return intern_str(l, text);
}

static struct snap_range intern_names(struct layout *l, const struct str *names, size_t n)
{
    struct snap_str *v = arena_new_n(&l->arena, struct snap_str, n + 1);
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return (struct snap_range){0, 0};
    }
    for (size_t i = 0; i < n; i++)
        v[i] = intern_str(l, names[i]);
    return intern_rows(l, SNAP_NAMES, v, n, sizeof(*v));
}

static struct snap_range put_names(struct layout *l, struct sha256 *id, const struct str_list_model *names)
{
    sha256_add_u64(id, names->n);
    for (size_t i = 0; i < names->n; i++)
        sha256_add_str(id, names->v[i]);
    return intern_names(l, names->v, names->n);
}

static void add_cert(struct layout *l, struct sha256 *id, const struct model_cert *c)
{
    const struct long_text *ocsp = long_text(l, c->ocsp);
    sha256_add_u64(id, c->id);
    sha256_add(id, ocsp->sha256, sizeof(ocsp->sha256));
}

static struct snap_range put_certs(struct layout *l, struct sha256 *id, const struct model_certs *certs)
{
    uint32_t *v = arena_new_n(&l->arena, uint32_t, certs->n + 1);
    if (!v) {
        layout_fail(l, GH_E_NOMEM);
        return (struct snap_range){0, 0};
    }
    sha256_add_u64(id, certs->n);
    for (size_t i = 0; i < certs->n; i++) {
        v[i] = certs->v[i]->index;
        add_cert(l, id, certs->v[i]);
    }
    return intern_rows(l, SNAP_INDEXES, v, certs->n, sizeof(*v));
}

static void put_cert(struct layout *l, const struct model_cert *c)
{
    const struct cert_info *info = c->info;
    struct snap_cert row = {.id = c->id, .not_before_s = info->not_before_s, .not_after_s = info->not_after_s, .ocsp_until_s = c->ocsp_until_s,
                            .key_type = (uint8_t)info->key_type, .key_bits = info->key_bits};
    row.chain = long_text(l, c->chain)->at;
    row.ocsp = long_text(l, c->ocsp)->at;
    row.subject = intern_name(l, info->subject);
    row.issuer = intern_name(l, info->issuer);
    row.serial = intern_name(l, info->serial);
    row.names = intern_names(l, info->names, info->n_names);
    row.origin = intern_origin(l, &c->origin);
    memcpy(row.sha256, info->sha256, sizeof(row.sha256));
    *PUSH(l, CERTS, struct snap_cert) = row;
}

static void put_server(struct layout *l, const struct model_tls_server *t)
{
    struct sha256 id;
    struct snap_tls_server row = {.client_auth = (uint8_t)t->client_auth, .min_version = (uint8_t)t->min,
                                  .max_version = (uint8_t)t->max, .alpn = t->alpn};
    sha256_begin(&id);
    sha256_add_str(&id, STR("server"));
    sha256_add_u64(&id, (uint64_t)t->client_auth << 24 | (uint64_t)t->min << 16 | (uint64_t)t->max << 8 | t->alpn);
    row.certs = put_certs(l, &id, &t->certs);
    row.ca = put_long(l, &id, t->ca);
    row.crl = put_long(l, &id, t->crl);
    row.ciphers = put_str(l, &id, t->ciphers);
    row.sans = put_names(l, &id, &t->sans);
    row.spki = put_names(l, &id, &t->spki);
    row.hashes = put_names(l, &id, &t->hashes);
    row.origin = intern_origin(l, &t->origin);
    row.id = sha256_end_id(&id);
    *PUSH(l, TLS_SERVERS, struct snap_tls_server) = row;
}

static void put_client(struct layout *l, const struct model_tls_client *t)
{
    struct sha256 id;
    struct snap_tls_client row = {.cert = t->cert ? t->cert->index : SNAP_NONE,
                                  .flags = (t->system_ca ? SNAP_TLS_SYSTEM_CA : 0) |
                                           (t->insecure ? SNAP_TLS_INSECURE : 0) | (t->broken ? SNAP_TLS_BROKEN : 0) |
                                           (t->any_name ? SNAP_TLS_ANY_NAME : 0) | (t->no_cert ? SNAP_TLS_NO_CERT : 0)};
    sha256_begin(&id);
    sha256_add_str(&id, STR("client"));
    sha256_add_u64(&id, (uint64_t)row.flags << 1 | (t->cert != NULL));
    if (t->cert)
        add_cert(l, &id, t->cert);
    row.sni = put_str(l, &id, t->sni);
    row.identity = put_str(l, &id, t->identity);
    row.ca = put_long(l, &id, t->ca);
    row.crl = put_long(l, &id, t->crl);
    row.sans = put_names(l, &id, &t->sans);
    row.origin = intern_origin(l, &t->origin);
    row.id = sha256_end_id(&id);
    *PUSH(l, TLS_CLIENTS, struct snap_tls_client) = row;
}

void layout_tls(struct layout *l)
{
    const struct model *m = l->in->model;
    for (size_t i = 0; i < m->certs.n; i++)
        put_cert(l, m->certs.v[i]);
    for (size_t i = 0; i < m->tls_servers.n; i++)
        put_server(l, m->tls_servers.v[i]);
    for (size_t i = 0; i < m->tls_clients.n; i++)
        put_client(l, m->tls_clients.v[i]);
}
