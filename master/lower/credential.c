/* credential.c - Secrets, ConfigMaps and files to certificates; see credential.h. */
#include "master/lower/credential.h"
#include "master/kinds/core_config.h"
#include "shared/base/clock.h"
#include "shared/tls/ocsp.h"
#include "shared/tls/x509.h"

#define MICROSECONDS 1000000
#define STAPLE       "tls.ocsp-staple"

/* What was read of one text, or of a pair of texts. */
struct reading {
    struct str text, key;  /* key: of a pair */
    enum cert_fault kind;
    bool in_key;           /* the fault is the key's */
    struct str why;        /* a sentence */
    struct cert_info info; /* of a pair */
    size_t n, n_bad;       /* of a bundle */
    struct model_cert *cert;
    struct reading *next;  /* other content, same hash */
};

struct credentials {
    struct arena *arena;
    int64_t now_s;
    struct map readings; /* hash of the content, as 8 bytes -> struct reading */
    struct map told;     /* address of a node, as bytes -> anything: its warnings are written */
    struct map rejected; /* "ns/name" of a Secret -> its fault, a sentence with a NUL behind it */
};

struct credentials *credentials_new(struct arena *a, uint64_t now_wall_us)
{
    struct credentials *c = arena_new(a, struct credentials);
    *c = (struct credentials){.arena = a, .now_s = (int64_t)(now_wall_us / MICROSECONDS)};
    map_init(&c->readings, a);
    map_init(&c->told, a);
    map_init(&c->rejected, a);
    return c;
}

static struct credentials *credentials_of(struct lower *l)
{
    if (!l->credentials)
        l->credentials = credentials_new(l->arena, l->now_wall_us);
    return l->credentials;
}

/* ---- reading, once for each content ---- */

enum content { CONTENT_PAIR, CONTENT_CA, CONTENT_CRL };

static void read_pair(struct credentials *c, struct reading *r, struct buf *why)
{
    r->kind = cert_read(r->text, c->arena, &r->info, why);
    if (r->kind != CERT_OK)
        return;
    r->kind = cert_key_check(r->text, r->key, why);
    r->in_key = r->kind != CERT_OK;
}

static void read_content(struct credentials *c, struct reading *r, enum content what)
{
    struct buf why = {0};
    switch (what) {
    case CONTENT_PAIR:
        read_pair(c, r, &why);
        break;
    case CONTENT_CA:
        r->kind = cert_bundle_check(r->text, &r->n, &r->n_bad, &why);
        break;
    case CONTENT_CRL:
        r->kind = cert_crl_check(r->text, &why);
        break;
    }
    if (r->kind != CERT_OK)
        r->why = arena_str(c->arena, buf_str(&why));
    buf_fini(&why);
}

static struct reading *reading(struct credentials *c, enum content what, struct str text, struct str key)
{
    uint64_t hash = hash_str(key, hash_str(text, what));
    struct str id = str_of((const char *)&hash, sizeof(hash));
    struct reading *first = map_get(&c->readings, id);
    for (struct reading *r = first; r; r = r->next)
        if (str_eq(r->text, text) && str_eq(r->key, key))
            return r;
    struct reading *r = arena_new(c->arena, struct reading);
    *r = (struct reading){.text = text, .key = key, .next = first};
    read_content(c, r, what);
    map_put(&c->readings, arena_str(c->arena, id), r);
    return r;
}

/* ---- what an object holds ---- */

static struct str config_map_value(const struct core_config_map *m, const char *key)
{
    for (size_t i = 0; i < m->data.n; i++)
        if (str_eqc(m->data.v[i].key, key))
            return m->data.v[i].val;
    for (size_t i = 0; i < m->binary_data.n; i++)
        if (str_eqc(m->binary_data.v[i].key, key))
            return m->binary_data.v[i].val;
    return STR_NONE;
}

/* p is NULL when there is no such key. */
static struct str value(const struct object *o, const char *key)
{
    if (o->kind->id == KIND_CONFIG_MAP)
        return config_map_value(o->spec, key);
    return o->kind->id == KIND_SECRET ? core_secret_value(o->spec, key) : STR_NONE;
}

static bool has(const struct object *o, const char *key)
{
    return value(o, key).p != NULL;
}

/* The two ways to name a pair. A Secret of type kubernetes.io/tls has the second. */
struct pair_keys { const char *chain, *key; };
static const struct pair_keys GENERIC = {"cert", "key"}, TLS = {"tls.crt", "tls.key"};

static const struct pair_keys *pair_keys(const struct object *o)
{
    return has(o, GENERIC.chain) && has(o, GENERIC.key) ? &GENERIC : &TLS;
}

static const char *ca_key(const struct object *o)
{
    return o->kind->id == KIND_SECRET && has(o, "cacert") ? "cacert" : "ca.crt";
}

/* Where the value of the key is written, else the document. */
static const struct node *node_of(const struct object *o, const char *key)
{
    static const char *const maps[] = {"stringData", "data", "binaryData"};
    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        const struct node *map = node_get(o->root, maps[i]), *at = map ? node_get(map, key) : NULL;
        if (at)
            return at;
    }
    return o->root;
}

static struct str name_of(struct arena *a, const struct object *o)
{
    return arena_strf(a, "%s " STR_FMT "/" STR_FMT, o->kind->kind, STR_ARG(o->ns), STR_ARG(o->name));
}

bool credential_has_pair(const struct object *o)
{
    return (has(o, GENERIC.chain) && has(o, GENERIC.key)) || (has(o, TLS.chain) && has(o, TLS.key));
}

bool credential_has_ca(const struct object *o)
{
    return has(o, ca_key(o));
}

/* ---- warnings ---- */

/* The first time this node is told about? */
static bool untold(struct credentials *c, const struct node *at)
{
    struct str id = str_of((const char *)&at, sizeof(at));
    if (map_get(&c->told, id))
        return false;
    map_put(&c->told, arena_str(c->arena, id), c);
    return true;
}

static void tell_dates(struct lower *l, const struct reading *r, const struct node *at)
{
    struct credentials *c = l->credentials;
    int when = cert_at(&r->info, c->now_s);
    char text[32];
    if (when == 0 || !untold(c, at))
        return;
    clock_format((uint64_t)GH_MAX(when < 0 ? r->info.not_before_s : r->info.not_after_s, (int64_t)0) * MICROSECONDS, 0, text);
    diag_at(l->diags, DIAG_CertificateDate, at, when < 0 ? "is the clock of this machine right?" : "renew it; it is served as it is",
            when < 0 ? "the certificate of " STR_FMT " is not valid before %s" : "the certificate of " STR_FMT " expired at %s",
            STR_ARG(r->info.subject), text);
}

static void tell_bundle(struct lower *l, const struct reading *r, const struct node *at)
{
    if (r->n_bad == 0 || !untold(l->credentials, at))
        return;
    diag_at(l->diags, DIAG_BadCertificate, at, "the others are used", "%zu of %zu certificates can't be read", r->n_bad,
            r->n + r->n_bad)->severity = DIAG_WARNING;
}

/* ---- pairs ---- */

static struct credential_fault make_fault(enum cert_fault kind, struct str text)
{
    return (struct credential_fault){kind, text};
}

/* A response that clients would refuse is not stapled; they take having none better. NULL text: none. */
static struct str staple_of(struct lower *l, const struct reading *r, struct str ocsp, const struct node *at, int64_t *until_s)
{
    struct str chain = r->text, base64;
    struct ocsp times = {0};
    const char *why = "can't be judged: the certificate can't be read";
    size_t n;
    char *der = NULL;
    if (ocsp.n && pem_next(&chain, STR("CERTIFICATE"), &base64) && (der = arena_alloc(l->arena, base64.n)) &&
        pem_decode(base64, der, &n) && ocsp_read(ocsp, str_of(der, n), l->credentials->now_s, &times, &why)) {
        *until_s = times.next_update_s;
        return ocsp;
    }
    if (ocsp.n && untold(l->credentials, at))
        diag_at(l->diags, DIAG_BadCertificate, at, "the certificate is served without it; get a new response from the CA",
                "the OCSP response %s", why)->severity = DIAG_WARNING;
    return STR_NONE;
}

static struct model_cert *pair_of(struct lower *l, struct reading *r, struct str ocsp, int64_t until_s, struct model_origin origin)
{
    if (!r->cert) {
        size_t known = l->model->certs.n;
        r->cert = model_cert(l->model, r->text, r->key, &r->info);
        if (l->model->certs.n > known)
            r->cert->origin = origin;
    }
    if (!r->cert->ocsp.n) {
        r->cert->ocsp = ocsp;
        r->cert->ocsp_until_s = until_s;
    }
    return r->cert;
}

/* Which of the two keys is missing, or "". */
static const char *missing(const struct object *o, const struct pair_keys *k)
{
    return !has(o, k->chain) ? k->chain : !has(o, k->key) ? k->key : "";
}

/* Reads the pair; or its fault without the object's name, and the key at which it stands. */
static struct reading *read_object(struct credentials *c, const struct object *o, const char **key, struct credential_fault *why)
{
    const struct pair_keys *k = pair_keys(o);
    *key = missing(o, k);
    *why = make_fault(CERT_OK, STR_NONE);
    if (**key) {
        *why = make_fault(CERT_EMPTY, STR("is missing"));
        return NULL;
    }
    struct reading *r = reading(c, CONTENT_PAIR, value(o, k->chain), value(o, k->key));
    *key = r->in_key ? k->key : k->chain;
    if (r->kind == CERT_OK)
        return r;
    *why = make_fault(r->kind, r->why);
    return NULL;
}

/* "Secret ns/name: tls.key: the private key does not belong to the certificate" */
static struct str whole_fault(struct arena *a, const struct object *o, const char *key, const struct credential_fault *why)
{
    struct str name = name_of(a, o);
    return arena_strf(a, STR_FMT ": %s%s " STR_FMT, STR_ARG(name), key, has(o, key) ? ":" : "", STR_ARG(why->text));
}

struct model_cert *credential_pair(struct lower *l, const struct object *secret, struct credential_fault *why)
{
    struct credentials *c = credentials_of(l);
    const char *key;
    struct reading *r = read_object(c, secret, &key, why);
    if (!r) {
        why->text = whole_fault(c->arena, secret, key, why);
        return NULL;
    }
    tell_dates(l, r, node_of(secret, key));
    int64_t until_s = 0;
    struct str staple = has(secret, STAPLE) ? value(secret, STAPLE) : STR_NONE;
    staple = staple_of(l, r, staple, node_of(secret, STAPLE), &until_s);
    return pair_of(l, r, staple, until_s, lower_origin(l, secret, node_of(secret, key), STR_NONE));
}

struct model_cert *credential_pair_text(struct lower *l, const struct credential_source *src, struct str chain,
                                        struct str key, struct str ocsp, struct credential_fault *why)
{
    struct credentials *c = credentials_of(l);
    struct reading *r = reading(c, CONTENT_PAIR, chain, key);
    *why = make_fault(CERT_OK, STR_NONE);
    if (r->kind != CERT_OK) {
        *why = make_fault(r->kind, arena_strf(l->arena, STR_FMT ": " STR_FMT, STR_ARG(src->name), STR_ARG(r->why)));
        return NULL;
    }
    tell_dates(l, r, src->at);
    int64_t until_s = 0;
    ocsp = staple_of(l, r, ocsp, src->at, &until_s);
    return pair_of(l, r, ocsp, until_s, src->origin);
}

bool credentials_vet(void *ctx, const struct object *o, struct diags *ds)
{
    struct credentials *c = ctx;
    struct credential_fault why;
    const char *key;
    if (o->kind->id != KIND_SECRET || !o->spec)
        return true;
    if (!credential_has_pair(o)) /* of kubernetes.io/tls the keys are there: the kind's own check */
        return true;
    if (read_object(c, o, &key, &why))
        return true;
    diag_at(ds, DIAG_BadCertificate, node_of(o, key),
            why.kind == CERT_MISMATCH ? "certificate and key must be of one pair" : NULL, STR_FMT, STR_ARG(why.text));
    struct str id = arena_strf(c->arena, STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name));
    map_put(&c->rejected, id, (void *)(uintptr_t)whole_fault(c->arena, o, key, &why).p);
    return false;
}

struct str credential_rejection(struct lower *l, struct str ns, struct str name)
{
    const char *why = map_get(&credentials_of(l)->rejected, arena_strf(l->arena, STR_FMT "/" STR_FMT, STR_ARG(ns), STR_ARG(name)));
    return str_c(why);
}

/* ---- CA bundles and revocation lists ---- */

static struct str from_reading(struct lower *l, const struct reading *r, struct str name, const struct node *at,
                               struct credential_fault *why)
{
    *why = make_fault(CERT_OK, STR_NONE);
    if (r->kind != CERT_OK) {
        *why = make_fault(r->kind, arena_strf(l->arena, STR_FMT ": " STR_FMT, STR_ARG(name), STR_ARG(r->why)));
        return STR_NONE;
    }
    tell_bundle(l, r, at);
    return r->text;
}

static struct str from_object(struct lower *l, enum content what, const struct object *o, const char *key,
                              struct credential_fault *why)
{
    struct str name = name_of(l->arena, o);
    name = arena_strf(l->arena, STR_FMT ": %s", STR_ARG(name), key);
    return from_reading(l, reading(credentials_of(l), what, value(o, key), STR_NONE), name, node_of(o, key), why);
}

struct str credential_ca(struct lower *l, const struct object *o, struct credential_fault *why)
{
    const char *key = ca_key(o);
    if (has(o, key))
        return from_object(l, CONTENT_CA, o, key, why);
    struct str name = name_of(l->arena, o);
    *why = make_fault(CERT_EMPTY, arena_strf(l->arena, STR_FMT ": key %s is missing", STR_ARG(name), key));
    return STR_NONE;
}

struct str credential_crl(struct lower *l, const struct object *o, struct credential_fault *why)
{
    bool generic = o->kind->id == KIND_SECRET && (has(o, "cacert") || pair_keys(o) == &GENERIC);
    const char *key = generic ? "crl" : "ca.crl";
    *why = make_fault(CERT_OK, STR_NONE);
    return has(o, key) ? from_object(l, CONTENT_CRL, o, key, why) : STR_NONE;
}

struct str credential_ca_text(struct lower *l, const struct credential_source *src, struct str pem,
                              struct credential_fault *why)
{
    return from_reading(l, reading(credentials_of(l), CONTENT_CA, pem, STR_NONE), src->name, src->at, why);
}

struct str credential_crl_text(struct lower *l, const struct credential_source *src, struct str text,
                               struct credential_fault *why)
{
    return from_reading(l, reading(credentials_of(l), CONTENT_CRL, text, STR_NONE), src->name, src->at, why);
}
