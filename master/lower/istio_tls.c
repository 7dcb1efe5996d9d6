/*
 * istio_tls.c - where Istio's certificates come from, and what servers and clusters make of them (ISTIO-RULES 2.2, 2.3,
 * 2.5, 4.7).
 *
 * Secrets are looked up in the namespace of this instance, whatever namespace the Gateway is in: so says the API, and so
 * a Gateway can't make use of secrets that were not meant for this machine. Files are read from outside the configuration
 * and watched. What can't be used refuses connections: never plain text, never without the check that was asked for.
 */
#include "master/kinds/istio_credential.h"
#include "master/lower/credential.h"
#include "master/lower/istio.h"

/* ---- asking ------------------------------------------------------------------------------------------- */

/* Who wants a certificate, and what became of it. */
struct ask {
    struct lower *l;
    const struct object *o; /* that names it */
    struct str why;         /* the first thing that can't be had, a sentence; empty: all is well */
    struct str kept;        /* what is wrong with a file whose version before serves on; empty: nothing */
    struct str note;        /* a sentence about the first thing that is served in its last good version, for the status */
    bool quiet;             /* no findings */
};

static void tell(const struct ask *a, enum diag_code code, const struct node *at, const char *hint, struct str text)
{
    if (a->quiet)
        return;
    struct diag *d = diag_at(a->l->diags, code, at, hint, STR_FMT, STR_ARG(text));
    d->severity = DIAG_WARNING;
    if (code == DIAG_MissingReference)
        d->analyzer = "IST0101";
    else if (a->o->kind->id == KIND_ISTIO_GATEWAY)
        d->analyzer = "IST0161";
}

static void refuse(struct ask *a, enum diag_code code, const struct node *at, const char *hint, struct str text)
{
    if (a->why.n == 0)
        a->why = text;
    tell(a, code, at, hint, text);
}

static const char *missing_hint(struct ask *a, enum kind_id kind, struct str name, struct str ns)
{
    if (store_get_broken(a->l->store, kind, ns, name))
        return "it is broken: its own findings say how";
    if (!str_eq(ns, a->o->ns) && store_get(a->l->store, kind, a->o->ns, name))
        return arena_strf(a->l->arena,
                          "namespace " STR_FMT " has one, but credentials are looked up in the namespace of this instance "
                          "(namespace in gatehouse.yaml)",
                          STR_ARG(a->o->ns))
            .p;
    return "the certificate is used as soon as it is there";
}

static const struct object *object_of(struct ask *a, enum kind_id kind, struct str ns, struct str name, const struct node *at)
{
    const struct object *o = store_get(a->l->store, kind, ns, name);
    if (!o)
        refuse(a, DIAG_MissingReference, at, missing_hint(a, kind, name, ns),
               arena_strf(a->l->arena, "%s " STR_FMT "/" STR_FMT " %s", kind_info(kind)->kind, STR_ARG(ns), STR_ARG(name),
                          store_get_broken(a->l->store, kind, ns, name) ? "can't be used" : "does not exist"));
    return o;
}

/* The Secret or ConfigMap that a name stands for; NULL and a reason. */
static const struct object *credential_of(struct ask *a, const struct istio_credential *c, const struct node *at)
{
    struct lower *l = a->l;
    struct str home = l->instance->ns, ns = c->ns.n ? c->ns : home;
    switch (c->kind) {
    case ISTIO_CREDENTIAL_SECRET:
        if (str_eq(ns, home))
            return object_of(a, KIND_SECRET, home, c->name, at);
        refuse(a, DIAG_RefNotPermitted, at, "namespace in gatehouse.yaml is that of the instance",
               arena_strf(l->arena, "Secrets of namespace " STR_FMT " can't be used: those of this instance are in " STR_FMT,
                          STR_ARG(ns), STR_ARG(home)));
        return NULL;
    case ISTIO_CREDENTIAL_GATEWAY:
        if (grant_allows(l->store, "networking.istio.io", "Gateway", a->o->ns, "", "Secret", ns, c->name))
            return object_of(a, KIND_SECRET, ns, c->name, at);
        refuse(a, DIAG_RefNotPermitted, at, "add a ReferenceGrant there, from Gateway of networking.istio.io to Secret",
               arena_strf(l->arena, "Secret " STR_FMT "/" STR_FMT " lies in another namespace and no ReferenceGrant permits it",
                          STR_ARG(ns), STR_ARG(c->name)));
        return NULL;
    case ISTIO_CREDENTIAL_CONFIG_MAP:
        if (str_eq(ns, home) || str_eq(ns, a->o->ns))
            return object_of(a, KIND_CONFIG_MAP, ns, c->name, at);
        refuse(a, DIAG_RefNotPermitted, at, NULL,
               arena_strf(l->arena, "ConfigMaps of namespace " STR_FMT " can't be used here", STR_ARG(ns)));
        return NULL;
    case ISTIO_CREDENTIAL_SDS:
        refuse(a, DIAG_NotServed, at, "put it into a Secret", STR("secrets from a server (sds://) are not served yet"));
        return NULL;
    default:
        refuse(a, DIAG_MissingReference, at, NULL, STR("the name stands for no certificate"));
        return NULL;
    }
}

static void note_fault(struct ask *a, const struct credential_fault *f, const struct node *at)
{
    if (f->kind != CERT_OK)
        refuse(a, DIAG_BadCertificate, at, NULL, f->text);
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static void note(struct ask *a, struct str fault)
{
    if (a->note.n == 0)
        a->note = arena_strf(a->l->arena, "the last good version is served: " STR_FMT, STR_ARG(fault));
}

#define KEEPS_SERVING "the version before keeps serving until this is mended"
#define FILES_MAX 2 /* that belong together: a certificate and its key */

/* Texts of files that belong together, to what they are for; false and *why. */
typedef bool use_fn(struct ask *a, const struct credential_source *src, const struct str text[FILES_MAX], void *out,
                    struct credential_fault *why);

/* All of them, whatever becomes of the first: what was asked for is watched. */
static bool read_files(struct ask *a, const struct str *path, size_t n, struct str text[FILES_MAX], struct str *fault)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = NULL;
        if (!outside_read(a->l->outside, path[i], &text[i], &why) && fault->n == 0)
            *fault = arena_strf(a->l->arena, "file " STR_FMT ": %s", STR_ARG(path[i]), why);
    }
    return fault->n == 0;
}

static bool good_files(struct ask *a, const struct str *path, size_t n, struct str text[FILES_MAX])
{
    for (size_t i = 0; i < n; i++)
        if (!(text[i] = outside_good(a->l->outside, path[0], path[i])).p)
            return false;
    return true;
}

static void hold_files(struct ask *a, const struct str *path, size_t n, const struct str text[FILES_MAX])
{
    for (size_t i = 0; i < n; i++)
        outside_hold(a->l->outside, path[0], path[i], text[i]);
}

/* As they are now, else as they last were good, with a finding: a file that is written badly, or only one of two yet,
 * ends nothing that serves. */
static bool use_files(struct ask *a, const struct node *at, const struct str *path, size_t n, use_fn *use, void *out)
{
    struct credential_source src = {.at = at, .origin = lower_origin(a->l, a->o, at, STR_NONE), .name = path[0]};
    struct credential_fault why = {.kind = CERT_OK}, unheard;
    struct str text[FILES_MAX], fault = STR_NONE;
    bool read = read_files(a, path, n, text, &fault);
    if (read && use(a, &src, text, out, &why)) {
        hold_files(a, path, n, text);
        return true;
    }
    fault = read ? why.text : fault;
    if (good_files(a, path, n, text) && use(a, &src, text, out, &unheard)) {
        hold_files(a, path, n, text);
        a->kept = fault;
        note(a, fault);
        tell(a, DIAG_BadCertificate, at, KEEPS_SERVING, fault);
        return true;
    }
    refuse(a, DIAG_BadCertificate, at, read ? NULL : "the file is read as soon as it is there", fault);
    return false;
}

static bool use_pair(struct ask *a, const struct credential_source *src, const struct str text[FILES_MAX], void *out,
                     struct credential_fault *why)
{
    struct model_cert **c = out;
    *c = credential_pair_text(a->l, src, text[0], text[1], STR_NONE, why);
    return *c != NULL;
}

static bool use_ca(struct ask *a, const struct credential_source *src, const struct str text[FILES_MAX], void *out,
                   struct credential_fault *why)
{
    struct str *ca = out;
    *ca = credential_ca_text(a->l, src, text[0], why);
    return why->kind == CERT_OK;
}

static bool use_crl(struct ask *a, const struct credential_source *src, const struct str text[FILES_MAX], void *out,
                    struct credential_fault *why)
{
    struct str *crl = out;
    *crl = credential_crl_text(a->l, src, text[0], why);
    return why->kind == CERT_OK;
}

static struct model_cert *pair_of_files(struct ask *a, const struct node *at, struct str chain, struct str key)
{
    const struct str path[] = {chain, key};
    struct model_cert *c = NULL;
    return use_files(a, at, path, 2, use_pair, &c) ? c : NULL;
}

static struct str ca_of_file(struct ask *a, const struct node *at, struct str path)
{
    struct str ca = STR_NONE;
    return use_files(a, at, &path, 1, use_ca, &ca) ? ca : STR_NONE;
}

static struct str crl_of_file(struct ask *a, const struct node *at, struct str path)
{
    struct str crl = STR_NONE;
    return path.n && use_files(a, at, &path, 1, use_crl, &crl) ? crl : STR_NONE;
}

/* ---- the instance's own identity ------------------------------------------------------------------------------- */

struct istio_mesh {
    struct model_cert *cert; /* NULL: see why */
    struct str ca, why, kept;
};

static void read_mesh(struct ask *a, const struct node *at, struct istio_mesh *mesh)
{
    const struct instance *in = a->l->instance;
    struct ask own = {.l = a->l, .o = a->o, .quiet = true};
    if (in->mesh.certificate.n == 0) {
        mesh->why = STR("this instance has no certificate of its own");
        return;
    }
    mesh->cert = pair_of_files(&own, at, in->mesh.certificate, in->mesh.private_key);
    mesh->ca = ca_of_file(&own, at, in->mesh.root_certificate);
    mesh->why = own.why;
    mesh->kept = own.kept;
}

/* Read once; a finding for everybody who asks. */
static const struct istio_mesh *mesh_of(struct ask *a, const struct node *at)
{
    struct istio_work *w = istio_work(a->l);
    if (!w->mesh) {
        w->mesh = arena_new(a->l->arena, struct istio_mesh);
        read_mesh(a, at, w->mesh);
    }
    if (w->mesh->why.n)
        refuse(a, DIAG_BadCertificate, at, "mesh.certificate, mesh.privateKey and mesh.rootCertificate in gatehouse.yaml name files",
               w->mesh->why);
    else if (w->mesh->kept.n) {
        note(a, w->mesh->kept);
        tell(a, DIAG_BadCertificate, at, KEEPS_SERVING, w->mesh->kept);
    }
    return w->mesh;
}

/* ---- certificates and CAs by name ---------------------------------------------------------------------------------- */

static struct model_cert *pair_of_name(struct ask *a, struct str name, const struct node *at)
{
    struct istio_credential c = istio_credential_parse(name);
    struct credential_fault why;
    if (c.kind == ISTIO_CREDENTIAL_BUILTIN)
        return mesh_of(a, at)->cert;
    const struct object *o = credential_of(a, &c, at);
    if (!o)
        return NULL;
    struct model_cert *cert = credential_pair(a->l, o, &why);
    note_fault(a, &why, at);
    if (cert && o->stale)
        note(a, arena_strf(a->l->arena, "Secret " STR_FMT "/" STR_FMT " is broken", STR_ARG(o->ns), STR_ARG(o->name)));
    return cert;
}

static void ca_of_object(struct ask *a, const struct object *o, const struct node *at, struct str *ca, struct str *crl)
{
    struct credential_fault why;
    *ca = credential_ca(a->l, o, &why);
    note_fault(a, &why, at);
    *crl = credential_crl(a->l, o, &why);
    note_fault(a, &why, at);
}

/* The CA beside a certificate: Secret "<name>-cacert", else the Secret itself. */
static void ca_beside(struct ask *a, struct str name, const struct node *at, struct str *ca, struct str *crl)
{
    struct istio_credential c = istio_credential_parse(name);
    if (c.kind == ISTIO_CREDENTIAL_BUILTIN) {
        *ca = mesh_of(a, at)->ca;
        return;
    }
    struct str ns = c.ns.n ? c.ns : a->l->instance->ns, suffixed = arena_strf(a->l->arena, STR_FMT "-cacert", STR_ARG(c.name));
    const struct object *beside = store_get(a->l->store, KIND_SECRET, ns, suffixed), *o = credential_of(a, &c, at);
    if (o && o->kind->id == KIND_SECRET && beside)
        o = beside;
    if (o)
        ca_of_object(a, o, at, ca, crl);
}

/* caCertCredentialName: a Secret, or a ConfigMap, also by its plain name. */
static void ca_of_name(struct ask *a, struct str name, const struct node *at, struct str *ca, struct str *crl)
{
    struct istio_credential c = istio_credential_parse(name);
    struct str home = a->l->instance->ns;
    const struct object *o = NULL;
    if (c.kind == ISTIO_CREDENTIAL_SECRET && c.ns.n == 0 && !store_get(a->l->store, KIND_SECRET, home, c.name))
        o = store_get(a->l->store, KIND_CONFIG_MAP, home, c.name);
    if (!o)
        o = credential_of(a, &c, at);
    if (o)
        ca_of_object(a, o, at, ca, crl);
}

/* ---- servers --------------------------------------------------------------------------------------------------------- */

static void add_cert(struct ask *a, struct model_tls_server *t, struct model_cert *c, const struct node *at)
{
    for (size_t i = 0; c && i < t->certs.n; i++) {
        if (t->certs.v[i] == c)
            return;
        if (t->certs.v[i]->info->key_type == c->info->key_type)
            diag_at(a->l->diags, DIAG_Suspicious, at, "one RSA and one ECDSA certificate make sense",
                    "a certificate with a key of the same type comes first: this one is never shown");
    }
    if (c)
        *ARENA_PUSH(a->l->arena, &t->certs) = c;
}

/* With two names the server works when one of them does: clients that need the other one fail, and the finding stands. */
static void server_certs(struct ask *a, struct model_tls_server *t, const struct istio_server_tls *s)
{
    if (s->mode == ISTIO_TLS_ISTIO_MUTUAL)
        add_cert(a, t, mesh_of(a, s->node)->cert, s->node);
    else if (s->credential_name.n)
        add_cert(a, t, pair_of_name(a, s->credential_name, istio_at(s->node, "credentialName")), s->node);
    for (size_t i = 0; i < s->credential_names.n; i++) {
        const struct node *at = istio_item(s->node, "credentialNames", i);
        add_cert(a, t, pair_of_name(a, s->credential_names.v[i], at), at);
    }
    for (size_t i = 0; i < s->certificates.n && i < 2; i++)
        add_cert(a, t, pair_of_files(a, s->certificates.v[i].node, s->certificates.v[i].server_certificate, s->certificates.v[i].private_key),
                 s->certificates.v[i].node);
    if (s->server_certificate.n)
        add_cert(a, t, pair_of_files(a, istio_at(s->node, "serverCertificate"), s->server_certificate, s->private_key), s->node);
    if (t->certs.n)
        a->why = STR_NONE;
}

static void server_clients(struct ask *a, struct model_tls_server *t, const struct istio_server_tls *s)
{
    struct arena *mem = a->l->arena;
    if (!istio_tls_wants_client_certificate(s->mode))
        return;
    t->client_auth = s->insecure_skip_verify.v               ? CLIENT_AUTH_TOLERANT
                     : s->mode == ISTIO_TLS_OPTIONAL_MUTUAL ? CLIENT_AUTH_OPTIONAL
                                                             : CLIENT_AUTH_REQUIRED;
    if (s->mode == ISTIO_TLS_ISTIO_MUTUAL)
        t->ca = mesh_of(a, s->node)->ca;
    else if (s->ca_cert_credential_name.n)
        ca_of_name(a, s->ca_cert_credential_name, istio_at(s->node, "caCertCredentialName"), &t->ca, &t->crl);
    else if (s->credential_name.n)
        ca_beside(a, s->credential_name, istio_at(s->node, "credentialName"), &t->ca, &t->crl);
    else if (s->credential_names.n)
        ca_beside(a, s->credential_names.v[0], istio_item(s->node, "credentialNames", 0), &t->ca, &t->crl);
    else
        t->ca = ca_of_file(a, istio_at(s->node, "caCertificates"), s->ca_certificates);
    if (s->ca_crl.n)
        t->crl = crl_of_file(a, istio_at(s->node, "caCrl"), s->ca_crl);
    for (size_t i = 0; i < s->subject_alt_names.n; i++)
        *ARENA_PUSH(mem, &t->sans) = s->subject_alt_names.v[i];
    for (size_t i = 0; i < s->spki.n; i++)
        *ARENA_PUSH(mem, &t->spki) = s->spki.v[i];
    for (size_t i = 0; i < s->hash.n; i++) {
        char hex[64];
        if (istio_digest_hex(s->hash.v[i], hex))
            *ARENA_PUSH(mem, &t->hashes) = arena_str(mem, str_of(hex, sizeof(hex)));
    }
}

static enum tls_version version_of(int32_t v)
{
    return v == ISTIO_TLSV1_3 ? TLS_VERSION_1_3 : v == ISTIO_TLS_AUTO ? TLS_VERSION_AUTO : TLS_VERSION_1_2;
}

/* Those that are served, as OpenSSL names with ':' between. */
static struct str ciphers_of(struct arena *a, const struct istio_server_tls *s)
{
    struct str out = STR_NONE;
    for (size_t i = 0; i < s->cipher_suites.n; i++) {
        bool twice = false;
        for (size_t k = 0; k < i && !twice; k++)
            twice = str_eq(s->cipher_suites.v[k], s->cipher_suites.v[i]);
        if (!twice && istio_cipher_of(s->cipher_suites.v[i]) == ISTIO_CIPHER_SERVED)
            out = arena_strf(a, STR_FMT "%s" STR_FMT, STR_ARG(out), out.n ? ":" : "", STR_ARG(s->cipher_suites.v[i]));
    }
    return out;
}

struct model_tls_server *istio_server_tls(struct lower *l, const struct istio_server_state *state, uint8_t alpn, struct str *why,
                                          struct str *note_out)
{
    const struct istio_server_tls *s = state->server->tls;
    struct ask a = {.l = l, .o = state->gw->object};
    struct model_tls_server found = {.alpn = alpn, .origin = lower_origin(l, a.o, s->node, STR_NONE)};
    server_certs(&a, &found, s);
    server_clients(&a, &found, s);
    *why = a.why;
    *note_out = a.note;
    if (a.why.n)
        return NULL;
    found.min = version_of(s->min_version);
    found.max = version_of(s->max_version);
    found.ciphers = ciphers_of(l->arena, s);
    struct model_tls_server *t = model_tls_server_add(l->model);
    found.index = t->index;
    *t = found;
    return t;
}

/* ---- chains ------------------------------------------------------------------------------------------------------------ */

struct model_chain *istio_chain(struct lower *l, struct istio_server_state *s, struct str name, enum chain_mode mode,
                                const struct node *at)
{
    struct model_bind *b = istio_listen(l, s)->bind;
    const struct model_chain *first = map_get(&b->chains_by_name, name);
    if (first) {
        if (first->listener != s->listener)
            diag_at(l->diags, DIAG_Conflict, at, "a server name belongs to one server of a port",
                    "connections for \"" STR_FMT "\" on port %u go to listener " STR_FMT, STR_ARG(name), b->port,
                    STR_ARG(first->listener->name))->analyzer = "IST0145";
        return NULL;
    }
    struct model_chain *c = model_chain_add(l->model, b, name, s->listener, mode);
    c->origin = lower_origin(l, s->gw->object, at, STR_NONE);
    return c;
}

void istio_terminate(struct lower *l, struct istio_server_state *s, struct model_rule *rule)
{
    struct str why, kept;
    struct model_tls_server *t = istio_server_tls(l, s, rule ? 0 : TLS_ALPN_H2 | TLS_ALPN_HTTP1, &why, &kept);
    enum chain_mode mode = !t ? CHAIN_REFUSE : rule ? CHAIN_TCP : CHAIN_HTTP;
    s->state = ISTIO_NotServed; /* unless it gets a listener */
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str name = s->hosts.v[i].host;
        if (istio_host_is_partial_wildcard(name))
            continue;
        struct model_chain *c = istio_chain(l, s, name, mode, istio_item(s->server->node, "hosts", i));
        if (!c)
            continue;
        c->tls = t;
        c->rule = t ? rule : NULL;
        c->why = why;
        /* Every name has its virtual host, so that a request for it is never taken for that of a wider one. */
        if (!rule)
            model_host(l->model, s->listener->bind, name, s->listener);
    }
    if (t)
        s->detail = kept;
    if (t || !s->listener)
        return;
    s->state = ISTIO_BadCertificate;
    s->detail = why;
}

/* ---- towards endpoints --------------------------------------------------------------------------------------------------- */

static void copy_names(struct arena *a, struct str_list_model *to, const struct str_list *from)
{
    for (size_t i = 0; i < from->n; i++)
        *ARENA_PUSH(a, to) = from->v[i];
}

static void client_secret(struct ask *a, struct model_tls_client *t, const struct istio_client_tls *s)
{
    const struct node *at = istio_at(s->node, "credentialName");
    if (s->mode == ISTIO_CLIENT_MUTUAL)
        t->cert = pair_of_name(a, s->credential_name, at);
    if (!s->insecure.v)
        ca_beside(a, s->credential_name, at, &t->ca, &t->crl);
}

static void client_files(struct ask *a, struct model_tls_client *t, const struct istio_client_tls *s)
{
    if (s->mode == ISTIO_CLIENT_MUTUAL)
        t->cert = pair_of_files(a, istio_at(s->node, "clientCertificate"), s->client_certificate, s->private_key);
    if (s->ca_certificates.n)
        t->ca = ca_of_file(a, istio_at(s->node, "caCertificates"), s->ca_certificates);
    else
        t->system_ca = !s->insecure.v;
    t->crl = crl_of_file(a, istio_at(s->node, "caCrl"), s->ca_crl);
}

static struct str mesh_sni(struct arena *a, const struct istio_peer *p)
{
    return arena_strf(a, "outbound_.%u_." STR_FMT "_." STR_FMT, p->port, STR_ARG(p->subset), STR_ARG(p->host));
}

struct model_tls_client *istio_client_tls(struct lower *l, const struct object *o, const struct istio_client_tls *s,
                                          const struct istio_peer *peer)
{
    struct ask a = {.l = l, .o = o};
    if (s->mode == ISTIO_CLIENT_DISABLE)
        return NULL;
    struct model_tls_client *t = model_tls_client_add(l->model);
    t->origin = lower_origin(l, o, s->node, STR_NONE);
    t->sni = istio_host_canonical(l->arena, s->sni);
    t->insecure = s->insecure.v;
    copy_names(l->arena, &t->sans, s->subject_alt_names.n ? &s->subject_alt_names : &peer->sans);
    if (s->mode == ISTIO_CLIENT_ISTIO_MUTUAL) {
        const struct istio_mesh *mesh = mesh_of(&a, s->node);
        t->cert = mesh->cert;
        t->ca = mesh->ca;
        t->any_name = t->sans.n == 0; /* identities are accounts, not hosts, and these are not known */
        if (t->sni.n == 0)
            t->sni = mesh_sni(l->arena, peer);
    } else {
        if (s->credential_name.n)
            client_secret(&a, t, s);
        else
            client_files(&a, t, s);
        if (t->sni.n == 0 && peer->opaque) /* nothing in the bytes says whom they are for */
            t->sni = peer->host;
    }
    t->broken = a.why.n > 0;
    return t;
}
