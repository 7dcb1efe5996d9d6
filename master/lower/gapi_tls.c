/* gapi_tls.c - TLS of listeners and of Gateways: certificates, client certificates, options; GATEWAY-API-RULES 3.2, 14. */
#include "master/lower/credential.h"
#include "master/lower/gapi.h"
#include "master/lower/tls_words.h"
#include "shared/http/host.h"
#include <stdlib.h>

#define CHAINS_OF_CERTIFICATES_MAX 4096 /* of one bind; a thousand certificates with a few names each */

/* ---- references to Secrets and ConfigMaps ---------------------------------------------------- */

/* What a reference must lead to, and the reasons for what can be wrong with it. */
struct ref_rules {
    bool config_map;          /* ConfigMap, or Secret; else Secret alone */
    const char *bad_kind, *bad_ref;
    const char *effect;       /* what comes of it, for the finding */
};

static bool kind_allowed(const struct gapi_object_ref *ref, const struct ref_rules *rules, enum kind_id *id)
{
    *id = KIND_SECRET;
    if (ref->group.n)
        return false;
    if (str_eqc(ref->kind, "Secret"))
        return true;
    *id = KIND_CONFIG_MAP;
    return rules->config_map && str_eqc(ref->kind, "ConfigMap");
}

static struct gapi_fault refuse_ref(struct lower *l, const struct gapi_object_ref *ref, enum diag_code code,
                                    const char *reason, const char *effect, struct str text, const char *hint)
{
    diag_at(l->diags, code, ref->node, hint, STR_FMT "; %s", STR_ARG(text), effect);
    return (struct gapi_fault){reason, text};
}

/* The questions in their order: kind, grant, existence, so that nothing leaks across namespaces. NULL and *fault. */
static const struct object *referred(struct lower *l, const struct object *owner, const struct gapi_object_ref *ref,
                                     const struct ref_rules *rules, struct gapi_fault *fault)
{
    enum kind_id id;
    struct str ns = ref->ns.n ? ref->ns : owner->ns;
    *fault = (struct gapi_fault){0};
    if (!kind_allowed(ref, rules, &id)) {
        struct str text = arena_strf(l->arena, "kind " STR_FMT " of group \"" STR_FMT "\" has no %s", STR_ARG(ref->kind),
                                     STR_ARG(ref->group), rules->config_map ? "CA certificates" : "certificates");
        *fault = refuse_ref(l, ref, DIAG_NotServed, rules->bad_kind, rules->effect, text,
                            rules->config_map ? "name a ConfigMap or a Secret" : "name a Secret");
        return NULL;
    }
    const char *kind = kind_info(id)->kind;
    if (!grant_allows(l->store, GAPI_GROUP, owner->kind->kind, owner->ns, "", kind, ns, ref->name)) {
        struct str text = arena_strf(l->arena, "%s " STR_FMT "/" STR_FMT " lies in another namespace and no ReferenceGrant "
                                     "permits it", kind, STR_ARG(ns), STR_ARG(ref->name));
        *fault = refuse_ref(l, ref, DIAG_RefNotPermitted, "RefNotPermitted", rules->effect, text,
                            arena_strf(l->arena, "add a ReferenceGrant in namespace " STR_FMT " from %s of namespace " STR_FMT
                                       " to %s " STR_FMT, STR_ARG(ns), owner->kind->kind, STR_ARG(owner->ns), kind,
                                       STR_ARG(ref->name)).p);
        return NULL;
    }
    const struct object *o = store_get(l->store, id, ns, ref->name);
    if (o)
        return o;
    bool broken = store_get_broken(l->store, id, ns, ref->name) != NULL;
    struct str text = broken && id == KIND_SECRET ? credential_rejection(l, ns, ref->name) : STR_NONE;
    if (!text.n)
        text = arena_strf(l->arena, "%s " STR_FMT "/" STR_FMT " %s", kind, STR_ARG(ns), STR_ARG(ref->name),
                          broken ? "has an error" : "does not exist");
    *fault = refuse_ref(l, ref, DIAG_MissingReference, rules->bad_ref, rules->effect, text, NULL);
    return NULL;
}

static struct gapi_fault bad_content(struct lower *l, const struct gapi_object_ref *ref, const struct ref_rules *rules,
                                     const struct credential_fault *why)
{
    return refuse_ref(l, ref, DIAG_BadCertificate, rules->bad_ref, rules->effect, why->text, NULL);
}

static struct model_cert *certificate(struct lower *l, const struct object *owner, const struct gapi_object_ref *ref,
                                      const struct ref_rules *rules, struct gapi_fault *fault)
{
    struct credential_fault why;
    const struct object *o = referred(l, owner, ref, rules, fault);
    struct model_cert *c = o ? credential_pair(l, o, &why) : NULL;
    if (o && !c)
        *fault = bad_content(l, ref, rules, &why);
    return c;
}

struct str gapi_tls_ca(struct lower *l, const struct object *owner, const struct gapi_object_ref *refs, size_t n,
                       const struct gapi_ca_reasons *reasons, struct gapi_fault *first)
{
    const struct ref_rules rules = {true, reasons->bad_kind, reasons->bad_ref, reasons->effect};
    struct buf all = {0};
    *first = (struct gapi_fault){0};
    for (size_t i = 0; i < n; i++) {
        struct gapi_fault fault;
        struct credential_fault why;
        const struct object *o = referred(l, owner, &refs[i], &rules, &fault);
        struct str pem = o ? credential_ca(l, o, &why) : STR_NONE;
        if (o && !pem.p)
            fault = bad_content(l, &refs[i], &rules, &why);
        if (fault.reason && !first->reason)
            *first = fault;
        buf_adds(&all, pem);
        if (pem.n && pem.p[pem.n - 1] != '\n')
            buf_addch(&all, '\n');
    }
    if (all.oom)
        l->arena->oom();
    struct str ca = all.n ? arena_str(l->arena, buf_str(&all)) : STR_NONE;
    buf_fini(&all);
    return ca;
}

/* ---- certificates of a listener -------------------------------------------------------------- */

static bool names_something_below(const struct model_cert *c, struct str hostname)
{
    struct str both;
    for (size_t i = 0; i < c->info->n_names; i++)
        if (http_host_pattern_valid(c->info->names[i]) && http_host_intersect(c->info->names[i], hostname, &both))
            return true;
    return false;
}

static void tell_misfit(struct lower *l, const struct gapi_gw_listener *gl)
{
    struct str hostname = gl->spec->hostname;
    for (size_t i = 0; i < gl->tls.certs.n && hostname.n; i++)
        if (names_something_below(gl->tls.certs.v[i], hostname))
            return;
    if (hostname.n && gl->tls.certs.n)
        diag_at_key(l->diags, DIAG_Suspicious, gl->spec->tls->node, "certificateRefs", "clients will refuse the certificate",
                    "no certificate has a name for host name " STR_FMT, STR_ARG(hostname));
}

/* For the status of a listener that goes on with an earlier version of its certificate. */
static struct str stale_note(struct lower *l, const struct object *o)
{
    struct str why = credential_rejection(l, o->ns, o->name);
    if (why.n)
        return arena_strf(l->arena, "; the last good version serves, for " STR_FMT, STR_ARG(why));
    return arena_strf(l->arena, "; of Secret " STR_FMT "/" STR_FMT " the last good version serves", STR_ARG(o->ns),
                      STR_ARG(o->name));
}

static void judge_certificates(struct lower *l, struct gapi_gw_listener *gl)
{
    static const struct ref_rules RULES = {false, "InvalidCertificateRef", "InvalidCertificateRef",
                                           "the listener can't offer it"};
    const struct gapi_listener_tls *tls = gl->spec->tls;
    const struct object *owner = gl->gw->object;
    for (size_t i = 0; tls && i < tls->certificate_refs.n; i++) {
        struct gapi_fault fault;
        const struct gapi_object_ref *ref = &tls->certificate_refs.v[i];
        struct model_cert *c = certificate(l, owner, ref, &RULES, &fault);
        if (c)
            *ARENA_PUSH(l->arena, &gl->tls.certs) = c;
        else if (!gl->refs.reason)
            gl->refs = fault;
        const struct object *o = c ? store_get(l->store, KIND_SECRET, ref->ns.n ? ref->ns : owner->ns, ref->name) : NULL;
        if (o && o->stale)
            gl->note = stale_note(l, o);
    }
    if (!gl->refs.reason && gl->tls.certs.n == 0) {
        gl->refs = (struct gapi_fault){"InvalidCertificateRef", STR("the listener names no certificate")};
        diag_at(l->diags, DIAG_MissingReference, tls ? tls->node : gl->spec->node,
                "name a Secret of type kubernetes.io/tls in tls.certificateRefs", "the listener names no certificate");
    }
    if (gl->tls.certs.n == 0)
        gl->closed = gl->refs;
    tell_misfit(l, gl);
}

/* ---- client certificates (14) ---------------------------------------------------------------- */

static const struct gapi_frontend_validation *validation_of(const struct gapi_gw_listener *gl)
{
    const struct gapi_gateway_tls *tls = gl->gw->spec->tls;
    const struct gapi_frontend *f = tls ? tls->frontend : NULL;
    if (!f || gl->protocol != GAPI_PROTO_HTTPS)
        return NULL;
    for (size_t i = 0; i < f->per_port.n; i++)
        if (f->per_port.v[i].port.v == gl->spec->port.v)
            return f->per_port.v[i].tls ? f->per_port.v[i].tls->validation : NULL;
    return f->dflt ? f->dflt->validation : NULL;
}

/* Never without a check because the CAs are bad: the listener is closed then. */
static void judge_validation(struct lower *l, struct gapi_gw_listener *gl, const struct gapi_frontend_validation *v)
{
    static const struct gapi_ca_reasons REASONS = {"InvalidCACertificateKind", "InvalidCACertificateRef",
                                                   "client certificates can't be checked against it"};
    struct gapi_fault fault;
    bool insecure = v->mode == GAPI_ALLOW_INSECURE_FALLBACK;
    gl->tls.like.client_auth = insecure ? CLIENT_AUTH_TOLERANT : CLIENT_AUTH_REQUIRED;
    gl->tls.like.ca = gapi_tls_ca(l, gl->gw->object, v->ca_refs.v, v->ca_refs.n, &REASONS, &fault);
    gl->gw->insecure |= insecure;
    if (fault.reason && !gl->refs.reason)
        gl->refs = fault;
    if (gl->tls.like.ca.n)
        return;
    gl->refused = (struct gapi_fault){
        "NoValidCACertificate",
        arena_strf(l->arena, "no CA for client certificates can be used: " STR_FMT, STR_ARG(fault.message))};
    gl->closed = gl->refused;
}

/* In the namespace of the first certificateRef, if the Gateway may read it. */
static const struct object *secret_for(const struct lower *l, const struct gapi_gw_listener *gl, struct str name)
{
    const struct gapi_object_ref *ref = &gl->spec->tls->certificate_refs.v[0];
    const struct object *owner = gl->gw->object;
    struct str ns = ref->ns.n ? ref->ns : owner->ns;
    bool may = grant_allows(l->store, GAPI_GROUP, owner->kind->kind, owner->ns, "", "Secret", ns, name);
    return may ? store_get(l->store, KIND_SECRET, ns, name) : NULL;
}

/* Istio's spelling: the CA lies in the Secret of the certificate, or in the Secret NAME-cacert beside it. */
static struct str ca_beside(struct lower *l, struct gapi_gw_listener *gl, struct credential_fault *why)
{
    const struct gapi_object_ref *ref = &gl->spec->tls->certificate_refs.v[0];
    const struct object *o = secret_for(l, gl, arena_strf(l->arena, STR_FMT "-cacert", STR_ARG(ref->name)));
    if (!o)
        o = secret_for(l, gl, ref->name);
    *why = (struct credential_fault){CERT_EMPTY, STR("there is no Secret with the CA for client certificates")};
    struct str ca = o ? credential_ca(l, o, why) : STR_NONE;
    gl->tls.like.crl = ca.p ? credential_crl(l, o, why) : STR_NONE;
    return why->kind == CERT_OK ? ca : STR_NONE;
}

static void refuse_value(struct lower *l, struct gapi_gw_listener *gl, const struct node *at, const char *hint,
                         struct str text)
{
    diag_at(l->diags, DIAG_BadValue, at, hint, STR_FMT "; the listener is not served like this", STR_ARG(text))->severity =
        DIAG_WARNING;
    if (!gl->refused.reason)
        gl->refused = (struct gapi_fault){"UnsupportedValue", text};
    if (!gl->closed.reason)
        gl->closed = gl->refused;
}

static void option_terminate_mode(struct lower *l, struct gapi_gw_listener *gl, struct str value, const struct node *at)
{
    struct credential_fault why;
    bool optional = str_eqc(value, "OPTIONAL_MUTUAL");
    if (str_eqc(value, "SIMPLE"))
        return;
    if (!optional && !str_eqc(value, "MUTUAL")) {
        refuse_value(l, gl, at, "known are SIMPLE, MUTUAL and OPTIONAL_MUTUAL",
                     arena_strf(l->arena, "tls-terminate-mode %s is not served", diag_quote(l->arena, value)));
        return;
    }
    if (gl->tls.like.client_auth != CLIENT_AUTH_NONE) {
        diag_at(l->diags, DIAG_Ignored, at, "remove one of them", "has no effect: spec.tls.frontend says how client "
                "certificates are checked");
        return;
    }
    if (gl->tls.certs.n == 0)
        return; /* closed already */
    gl->tls.like.client_auth = optional ? CLIENT_AUTH_OPTIONAL : CLIENT_AUTH_REQUIRED;
    gl->tls.like.ca = ca_beside(l, gl, &why);
    if (gl->tls.like.ca.n)
        return;
    diag_at(l->diags, DIAG_BadCertificate, at, "add ca.crt to the Secret, or a Secret of its name with -cacert behind it",
            STR_FMT "; the listener is not served like this", STR_ARG(why.text));
    gl->refused = (struct gapi_fault){"NoValidCACertificate", why.text};
    gl->closed = gl->refused;
}

/* ---- versions and cipher suites -------------------------------------------------------------- */

static void option_min_version(struct lower *l, struct gapi_gw_listener *gl, struct str value, const struct node *at)
{
    enum tls_word w = tls_version_word(value, &gl->tls.like.min);
    if (w == TLS_WORD_OLD)
        diag_at(l->diags, DIAG_Ignored, at, NULL, "TLS below 1.2 is not served: the least version is 1.2");
    else if (w == TLS_WORD_UNKNOWN)
        refuse_value(l, gl, at, "write 1.2 or 1.3", arena_strf(l->arena, "%s is no version of TLS", diag_quote(l->arena, value)));
}

static void option_max_version(struct lower *l, struct gapi_gw_listener *gl, struct str value, const struct node *at)
{
    enum tls_word w = tls_version_word(value, &gl->tls.like.max);
    if (w == TLS_WORD_OLD)
        refuse_value(l, gl, at, "write 1.2 or 1.3", STR("TLS below 1.2 is not served"));
    else if (w == TLS_WORD_UNKNOWN)
        refuse_value(l, gl, at, "write 1.2 or 1.3", arena_strf(l->arena, "%s is no version of TLS", diag_quote(l->arena, value)));
}

static void add_cipher(struct lower *l, struct buf *list, struct str word, const struct node *at)
{
    const char *name;
    switch (tls_cipher_word(word, &name)) {
    case TLS_WORD_OK:
        buf_addf(list, "%s%s", list->n ? ":" : "", name);
        break;
    case TLS_WORD_FIXED:
        diag_at(l->diags, DIAG_Ignored, at, NULL, "suite " STR_FMT " is of TLS 1.3, which offers all of its suites", STR_ARG(word));
        break;
    case TLS_WORD_OLD:
        diag_at(l->diags, DIAG_Ignored, at, NULL, "suite " STR_FMT " is not served: only ECDHE with AES-GCM or ChaCha20-Poly1305",
                STR_ARG(word));
        break;
    case TLS_WORD_UNKNOWN:
        diag_at(l->diags, DIAG_Ignored, at, "OpenSSL's or IANA's name of a suite of TLS 1.2", "%s is no cipher suite",
                diag_quote(l->arena, word));
        break;
    }
}

static void option_ciphers(struct lower *l, struct gapi_gw_listener *gl, struct str value, const struct node *at)
{
    struct buf list = {0};
    struct str word;
    for (size_t i = 0, from = 0; i <= value.n; i++) {
        if (i < value.n && !memchr(",: \t\r\n", value.p[i], 6))
            continue;
        word = str_of(value.p + from, i - from);
        from = i + 1;
        if (word.n)
            add_cipher(l, &list, word, at);
    }
    if (list.n)
        gl->tls.like.ciphers = arena_str(l->arena, buf_str(&list));
    else /* the default ones would be more than what was asked for */
        refuse_value(l, gl, at, NULL, STR("none of the cipher suites can be served"));
    buf_fini(&list);
}

/* ---- options --------------------------------------------------------------------------------- */

static const struct option_row {
    const char *name;
    void (*read)(struct lower *l, struct gapi_gw_listener *gl, struct str value, const struct node *at);
} OPTIONS[] = {
    {"gatehouse.dev/tls-min-version", option_min_version},
    {"gatehouse.dev/tls-max-version", option_max_version},
    {"gatehouse.dev/tls-cipher-suites", option_ciphers},
    {"gateway.istio.io/tls-terminate-mode", option_terminate_mode},
};

static void judge_options(struct lower *l, struct gapi_gw_listener *gl)
{
    const struct gapi_listener_tls *tls = gl->spec->tls;
    for (size_t i = 0; tls && i < tls->options.n; i++) {
        const struct str_pair *o = &tls->options.v[i];
        const struct node *map = node_get(tls->node, "options"), *at = tls->node;
        const struct option_row *row = NULL;
        for (size_t j = 0; map && j < map->n_kids; j++)
            if (str_eq(node_key(map->kids[j]), o->key))
                at = map->kids[j];
        for (size_t j = 0; j < ARRAY_LEN(OPTIONS); j++)
            if (str_eqc(o->key, OPTIONS[j].name))
                row = &OPTIONS[j];
        if (row && !gl->passthrough)
            row->read(l, gl, o->val, at);
        else
            diag_at(l->diags, DIAG_Ignored, at, row ? "the connection is not decrypted" : NULL,
                    "option " STR_FMT " has no effect", STR_ARG(o->key));
    }
    if (gl->tls.like.min == TLS_VERSION_1_3 && gl->tls.like.max == TLS_VERSION_1_2)
        refuse_value(l, gl, tls->node, NULL, STR("the least version of TLS is above the greatest"));
}

void gapi_tls_judge(struct lower *l, struct gapi_gw_listener *gl)
{
    const struct gapi_listener_tls *tls = gl->spec->tls;
    gl->tls.like.origin = lower_origin(l, gl->gw->object, tls ? tls->node : gl->spec->node, gl->spec->name);
    gl->tls.like.alpn = gl->protocol == GAPI_PROTO_HTTPS ? TLS_ALPN_H2 | TLS_ALPN_HTTP1 : 0;
    if (gl->passthrough) {
        if (tls->certificate_refs.n)
            diag_at_key(l->diags, DIAG_Ignored, tls->node, "certificateRefs", "the connection is not decrypted",
                        "has no effect in mode Passthrough");
        judge_options(l, gl);
        return;
    }
    const struct gapi_frontend_validation *v = validation_of(gl);
    judge_certificates(l, gl);
    if (v)
        judge_validation(l, gl, v);
    judge_options(l, gl);
}

/* ---- the certificate for backends ------------------------------------------------------------ */

/* With one that can't be used no TLS connection to a backend is made for this Gateway: what the backend takes us for must
 * not depend on whether it asks. */
void gapi_tls_backend(struct lower *l, struct gapi_gw *gw)
{
    static const struct ref_rules RULES = {false, "InvalidClientCertificateRef", "InvalidClientCertificateRef",
                                           "no TLS connections to backends are made"};
    const struct gapi_gateway_tls *tls = gw->spec->tls;
    const struct gapi_object_ref *ref = tls && tls->backend ? tls->backend->client_certificate_ref : NULL;
    if (ref)
        gw->backend_cert = certificate(l, gw->object, ref, &RULES, &gw->backend_refs);
}

bool gapi_tls_shows(const struct gapi_gw *gw)
{
    return gw->backend_cert || gw->backend_refs.reason;
}

void gapi_tls_show(const struct gapi_gw *gw, struct model_tls_client *c)
{
    if (!gw)
        return;
    c->cert = gw->backend_cert;
    c->no_cert = gw->backend_refs.reason != NULL;
    c->broken |= c->no_cert;
}

/* ---- servers --------------------------------------------------------------------------------- */

bool gapi_tls_same(const struct gapi_gw_listener *a, const struct gapi_gw_listener *b)
{
    const struct model_tls_server *x = &a->tls.like, *y = &b->tls.like;
    if (a->protocol != GAPI_PROTO_HTTPS || b->protocol != GAPI_PROTO_HTTPS || a->closed.reason || b->closed.reason ||
        a->tls.certs.n != b->tls.certs.n || x->client_auth != y->client_auth || x->min != y->min || x->max != y->max ||
        !str_eq(x->ca, y->ca) || !str_eq(x->crl, y->crl) || !str_eq(x->ciphers, y->ciphers))
        return false;
    return memcmp(a->tls.certs.v, b->tls.certs.v, a->tls.certs.n * sizeof(*a->tls.certs.v)) == 0;
}

/* How well it fits: 2 it has the very name, 1 a wildcard that covers it, 0 not at all. */
static int fitness(const struct model_cert *c, struct str name)
{
    for (size_t i = 0; i < c->info->n_names; i++)
        if (str_eq(c->info->names[i], name))
            return 2;
    return name.p[0] != '*' && cert_fits_host(c->info, name) ? 1 : 0;
}

/* May both be offered for one name: do they have a name in common? */
static bool share_a_name(const struct model_cert *a, const struct model_cert *b)
{
    for (size_t i = 0; i < a->info->n_names; i++)
        if (fitness(b, a->info->names[i]) == 2)
            return true;
    return a == b;
}

static bool has_type(const struct model_certs *cs, enum key_type type)
{
    for (size_t i = 0; i < cs->n; i++)
        if (cs->v[i]->info->key_type == type)
            return true;
    return false;
}

/* Of the certificates that fit best the first of each key type; none fits: the first one, and its siblings. */
static struct model_certs choose(struct lower *l, const struct gapi_gw_listener *gl, struct str name)
{
    struct model_certs out = {0};
    const struct model_certs *all = &gl->tls.certs;
    int best = 0;
    for (size_t i = 0; i < all->n; i++)
        best = GH_MAX(best, fitness(all->v[i], name));
    for (size_t i = 0; i < all->n; i++) {
        bool fits = best ? fitness(all->v[i], name) == best : share_a_name(all->v[0], all->v[i]);
        if (fits && !has_type(&out, all->v[i]->info->key_type))
            *ARENA_PUSH(l->arena, &out) = all->v[i];
    }
    return out;
}

struct model_tls_server *gapi_tls_server(struct lower *l, struct gapi_gw_listener *gl, struct str name)
{
    struct model_certs certs = choose(l, gl, name);
    for (size_t i = 0; i < gl->tls.servers.n; i++) {
        struct model_tls_server *s = gl->tls.servers.v[i];
        if (s->certs.n == certs.n && memcmp(s->certs.v, certs.v, certs.n * sizeof(*certs.v)) == 0)
            return s;
    }
    struct model_tls_server *s = model_tls_server_add(l->model);
    uint32_t index = s->index;
    *s = gl->tls.like;
    s->certs = certs;
    s->index = index;
    *ARENA_PUSH(l->arena, &gl->tls.servers) = s;
    return s;
}

/* ---- chains ---------------------------------------------------------------------------------- */

struct model_chain *gapi_tls_chain(struct lower *l, struct gapi_gw_listener *gl, struct model_listener *ml, struct str name)
{
    enum chain_mode mode = gl->closed.reason                     ? CHAIN_REFUSE
                           : gl->protocol == GAPI_PROTO_HTTPS ? CHAIN_HTTP
                           : gl->passthrough                  ? CHAIN_PASSTHROUGH
                                                              : CHAIN_TCP;
    struct model_chain *c = model_chain_add(l->model, ml->bind, name, ml, mode);
    if (!c)
        return NULL;
    c->origin = ml->origin;
    if (mode == CHAIN_REFUSE)
        c->why = gl->closed.message;
    else if (mode != CHAIN_PASSTHROUGH)
        c->tls = gapi_tls_server(l, gl, name);
    return c;
}

/* Which chain of the bind gets a connection for `name`? */
static const struct model_chain *chain_of(const struct model_bind *b, struct str name)
{
    char buf[LOWER_WIDER_ROOM];
    for (struct str at = name; at.n; at = lower_wider(at, buf)) {
        const struct model_chain *c = map_get(&b->chains_by_name, at);
        if (c)
            return c;
    }
    return NULL;
}

static int narrow_first(const void *x, const void *y)
{
    const struct str *a = x, *b = y;
    int order = http_host_compare(*b, *a);
    return order ? order : str_cmp(*a, *b);
}

/* The names of the listener's certificates; narrow ones first, so that what is made for a wide one is not in the way of
 * those below it. */
static size_t certificate_names(struct lower *l, const struct gapi_gw_listener *gl, struct str **out)
{
    size_t n = 0, room = 0;
    for (size_t i = 0; i < gl->tls.certs.n; i++)
        room += gl->tls.certs.v[i]->info->n_names;
    struct str *v = *out = arena_new_n(l->arena, struct str, room);
    for (size_t i = 0; i < gl->tls.certs.n; i++)
        for (size_t j = 0; j < gl->tls.certs.v[i]->info->n_names; j++)
            if (http_host_pattern_valid(gl->tls.certs.v[i]->info->names[j]))
                v[n++] = gl->tls.certs.v[i]->info->names[j];
    qsort(v, n, sizeof(*v), narrow_first);
    return n;
}

static void split_chain(struct lower *l, struct model_bind *b, const struct model_chain *c, struct gapi_gw_listener *gl)
{
    struct str *names;
    size_t n = certificate_names(l, gl, &names);
    for (size_t i = 0; i < n && b->chains.n < CHAINS_OF_CERTIFICATES_MAX; i++) {
        struct model_chain *more = chain_of(b, names[i]) == c ? model_chain_add(l->model, b, names[i], c->listener, c->mode) : NULL;
        if (!more)
            continue;
        more->rule = c->rule;
        more->origin = c->origin;
        more->tls = gapi_tls_server(l, gl, names[i]);
    }
}

void gapi_tls_finish(struct lower *l)
{
    for (size_t i = 0; i < l->model->binds.n; i++) {
        struct model_bind *b = l->model->binds.v[i];
        for (size_t j = 0, n = b->chains.n; j < n; j++) {
            const struct model_chain *c = b->chains.v[j];
            struct gapi_gw_listener *gl = gapi_listener_of(l, c->listener);
            if (gl && gl->tls.certs.n > 1 && c->tls && c->name.p[0] == '*')
                split_chain(l, b, c, gl);
        }
    }
}
