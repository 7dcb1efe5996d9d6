/*
 * sample.h - small models by hand, for the tests of the compiler and the matcher, the fuzz targets and the
 * benchmark: one bind, one listener, as many hosts, entries and rules as a test wants.
 */
#ifndef GH_TESTS_SAMPLE_H
#define GH_TESTS_SAMPLE_H

#include "master/compile/compile.h"
#include "shared/snap/route.h"
#include "shared/snap/snap.h"

#include <stdio.h>
#include <stdlib.h>

struct sample {
    struct arena arena;
    struct model m;
    struct model_bind *bind;
    struct model_listener *listener;
    struct model_cluster *cluster;
    const struct model_source *source;
    uint32_t next_slot;
    struct buf image;
};

static inline GH_UNUSED const struct model_source *sample_source(struct sample *s, struct str name, struct str file)
{
    struct model_source *o = model_source_add(&s->m);
    o->api_version = STR("gateway.networking.k8s.io/v1");
    o->kind = STR("HTTPRoute");
    o->ns = STR("default");
    o->name = name;
    o->file = file;
    return o;
}

static inline GH_UNUSED struct model_origin sample_origin(struct sample *s, uint32_t line, const char *section)
{
    if (!s->source)
        s->source = sample_source(s, STR("shop"), STR("conf.d/shop.yaml"));
    return (struct model_origin){.source = s->source, .section = str_c(section), .line = line};
}

static inline GH_UNUSED void sample_init(struct sample *s)
{
    *s = (struct sample){0};
    arena_init(&s->arena, 0, NULL);
    model_init(&s->m, &s->arena);
    s->bind = model_bind(&s->m, STR(""), 8080);
    s->listener = model_listener_add(s->bind, &s->arena, STR("Gateway/default/edge/http"), STR("*"));
    s->listener->name = STR("default/edge/http");
    s->listener->origin = sample_origin(s, 2, "listeners[0]");
    s->cluster = model_cluster(&s->m, STR("Service/default/web:80"), NULL);
    s->cluster->name = STR("default/web:80");
    s->cluster->origin = sample_origin(s, 5, "");
    struct model_endpoint *e = arena_new(&s->arena, struct model_endpoint);
    *e = (struct model_endpoint){.key = STR("10.0.0.1:8080"), .address = STR("10.0.0.1"), .port = 8080, .weight = 1};
    e->origin = sample_origin(s, 6, "endpoints[0]");
    *ARENA_PUSH(&s->arena, &s->cluster->endpoints) = e;
}

static inline GH_UNUSED void sample_fini(struct sample *s)
{
    buf_fini(&s->image);
    arena_fini(&s->arena);
}

static inline GH_UNUSED struct model_host *sample_host(struct sample *s, const char *name)
{
    return model_host(&s->m, s->bind, arena_str(&s->arena, str_c(name)), s->listener);
}

static inline GH_UNUSED struct model_rule *sample_rule(struct sample *s)
{
    uint32_t i = (uint32_t)s->m.rules.n;
    struct model_rule *r = model_rule_add(&s->m, arena_strf(&s->arena, "HTTPRoute/default/shop/%u", i));
    r->name = arena_strf(&s->arena, "default/shop/%u", i);
    r->origin = sample_origin(s, 10 + i, "rules");
    struct model_split *p = ARENA_PUSH(&s->arena, &r->splits);
    *p = (struct model_split){.weight = 1, .cluster = s->cluster, .name = s->cluster->name};
    p->origin = sample_origin(s, 11 + i, "backendRefs[0]");
    return r;
}

/* An entry of the next rank, with a rule of its own. */
static inline GH_UNUSED struct model_match *sample_entry(struct sample *s, struct model_host *h, enum path_match path,
                                                         const char *value)
{
    struct model_match *m = arena_new(&s->arena, struct model_match);
    m->path = path;
    m->path_value = arena_str(&s->arena, str_c(value));
    m->origin = sample_origin(s, 12, "matches[0]");
    struct model_entry *e = ARENA_PUSH(&s->arena, &h->entries);
    *e = (struct model_entry){m, sample_rule(s), (uint32_t)h->entries.n - 1};
    return m;
}

static inline GH_UNUSED struct model_strmatch sample_text(struct sample *s, enum strmatch_type type, const char *value)
{
    return (struct model_strmatch){.type = type, .value = arena_str(&s->arena, str_c(value))};
}

static inline GH_UNUSED struct model_strmatch *sample_header(struct sample *s, struct model_match *m, const char *name,
                                                             enum strmatch_type type, const char *value)
{
    struct model_kv_match *kv = ARENA_PUSH(&s->arena, &m->headers);
    *kv = (struct model_kv_match){arena_str(&s->arena, str_c(name)), sample_text(s, type, value)};
    return &kv->m;
}

static inline GH_UNUSED struct model_strmatch *sample_query(struct sample *s, struct model_match *m, const char *name,
                                                            enum strmatch_type type, const char *value)
{
    struct model_kv_match *kv = ARENA_PUSH(&s->arena, &m->query);
    *kv = (struct model_kv_match){arena_str(&s->arena, str_c(name)), sample_text(s, type, value)};
    return &kv->m;
}

/* A bind of its own with one listener: `protocol` on `port`. */
static inline GH_UNUSED struct model_listener *sample_listener(struct sample *s, enum listener_protocol protocol,
                                                               uint16_t port)
{
    struct model_bind *b = protocol == LISTENER_UDP ? model_bind_udp(&s->m, STR(""), port) : model_bind(&s->m, STR(""), port);
    struct model_listener *l = model_listener_add(b, &s->arena, arena_strf(&s->arena, "Gateway/default/edge/%u", port), STR("*"));
    l->name = arena_strf(&s->arena, "default/edge/%u", port);
    l->protocol = protocol;
    l->origin = sample_origin(s, 3, "listeners");
    return l;
}

/* A certificate for `name`; nobody reads the PEM here, so it is none. */
static inline GH_UNUSED struct model_cert *sample_cert(struct sample *s, const char *name)
{
    struct cert_info info = {.subject = arena_strf(&s->arena, "CN=%s", name), .issuer = STR("CN=Test CA"),
                             .serial = STR("01af"), .names = arena_new_n(&s->arena, struct str, 2), .n_names = 2,
                             .not_before_s = 1700000000, .not_after_s = 1800000000, .key_type = KEY_ECDSA, .key_bits = 256};
    info.names[0] = arena_str(&s->arena, str_c(name));
    info.names[1] = STR("10.0.0.1");
    memset(info.sha256, (int)info.names[0].n, sizeof(info.sha256));
    struct model_cert *c = model_cert(
        &s->m, arena_strf(&s->arena, "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", name),
        arena_strf(&s->arena, "-----BEGIN PRIVATE KEY-----\nsecret-%s\n-----END PRIVATE KEY-----\n", name), &info);
    c->origin = sample_origin(s, 30, "tls");
    return c;
}

static inline GH_UNUSED struct model_tls_server *sample_server(struct sample *s, struct model_cert *c)
{
    struct model_tls_server *t = model_tls_server_add(&s->m);
    *ARENA_PUSH(&s->arena, &t->certs) = c;
    t->alpn = TLS_ALPN_H2 | TLS_ALPN_HTTP1;
    t->origin = sample_origin(s, 31, "tls");
    return t;
}

/* A chain of `l`'s bind; `t` and `r` as the mode needs them. */
static inline GH_UNUSED struct model_chain *sample_chain(struct sample *s, struct model_listener *l, const char *name,
                                                         enum chain_mode mode, struct model_tls_server *t,
                                                         struct model_rule *r)
{
    struct model_chain *c = model_chain_add(&s->m, l->bind, arena_str(&s->arena, str_c(name)), l, mode);
    c->tls = t;
    c->rule = r;
    c->origin = sample_origin(s, 32, "chains");
    return c;
}

/* One of everything about TLS and layer 4: ports 443 (chains), 5432 (TCP), 53 (UDP), and a cluster spoken to in TLS. */
static inline GH_UNUSED struct model_listener *sample_streams(struct sample *s)
{
    struct model_listener *tls = sample_listener(s, LISTENER_HTTPS, 443), *tcp = sample_listener(s, LISTENER_TCP, 5432);
    struct model_listener *udp = sample_listener(s, LISTENER_UDP, 53);
    struct model_tls_server *one = sample_server(s, sample_cert(s, "a.example.com"));
    struct model_tls_server *two = sample_server(s, sample_cert(s, "b.example.com"));
    *ARENA_PUSH(&s->arena, &two->certs) = one->certs.v[0];
    one->certs.v[0]->ocsp = STR("\x30\x00\x01staple");
    two->client_auth = CLIENT_AUTH_REQUIRED;
    two->ca = STR("-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n");
    two->crl = STR("-----BEGIN X509 CRL-----\ncrl\n-----END X509 CRL-----\n");
    *ARENA_PUSH(&s->arena, &two->sans) = STR("spiffe://cluster.local/ns/default/sa/web");
    *ARENA_PUSH(&s->arena, &two->spki) = STR("fD8gjQ1PWRnj4qz3u0GnBQ==");
    *ARENA_PUSH(&s->arena, &two->hashes) = STR("00ff");
    two->min = TLS_VERSION_1_2;
    two->max = TLS_VERSION_1_3;
    two->ciphers = STR("ECDHE-RSA-AES128-GCM-SHA256");
    two->alpn = 0;
    sample_chain(s, tls, "a.example.com", CHAIN_HTTP, one, NULL);
    sample_chain(s, tls, "db.example.com", CHAIN_TCP, two, sample_rule(s));
    sample_chain(s, tls, "*.example.com", CHAIN_PASSTHROUGH, NULL, sample_rule(s))->istio_alpn = true;
    sample_chain(s, tls, "*", CHAIN_REFUSE, NULL, NULL)->why = STR("Secret default/gone does not exist");
    struct model_host *h = model_host(&s->m, tls->bind, STR("a.example.com"), tls);
    *ARENA_PUSH(&s->arena, &h->entries) = (struct model_entry){arena_new(&s->arena, struct model_match), sample_rule(s), 0};
    h->entries.v[0].match->origin = sample_origin(s, 33, "matches");
    tcp->bind->stream_rule = sample_rule(s);
    tcp->bind->stream_rule->idle_timeout_ms = 600000;
    *ARENA_PUSH(&s->arena, &tcp->bind->proxy_trusted) = (struct model_cidr){.family = 4, .bits = 8, .ip = {10}};
    *ARENA_PUSH(&s->arena, &tcp->bind->proxy_trusted) = (struct model_cidr){.family = 6, .bits = 16, .ip = {0xfd}};
    udp->bind->stream_rule = sample_rule(s);
    struct model_cluster *c = model_cluster(&s->m, STR("Service/default/secure:443#tls"), NULL);
    c->name = STR("default/secure:443");
    c->origin = sample_origin(s, 34, "");
    c->protocol = UPSTREAM_AUTO;
    c->proxy_header = PROXY_HEADER_V2;
    c->tls = model_tls_client_add(&s->m);
    c->tls->sni = STR("secure.internal");
    c->tls->identity = STR("secure.internal");
    *ARENA_PUSH(&s->arena, &c->tls->sans) = STR("secure.internal");
    c->tls->ca = two->ca;
    c->tls->cert = one->certs.v[0];
    c->tls->origin = c->origin;
    struct model_tls_client *bad = model_tls_client_add(&s->m);
    bad->system_ca = bad->broken = true;
    bad->origin = c->origin;
    return tls;
}

static inline GH_UNUSED uint32_t sample_slot(void *ctx, const char *table, struct str key)
{
    struct sample *s = ctx;
    (void)table;
    (void)key;
    return s->next_slot < 16383 ? ++s->next_slot : 0; /* as the board: the rest share place 0 */
}

/* Compiles into s->image and opens it; ends the program with the reason when either fails. The snapshot
 * lives as long as the sample and is dropped by the caller. */
static inline GH_UNUSED struct snap *sample_open(struct sample *s)
{
    struct compile_input in = {.model = &s->m, .generation = 7, .now_wall_us = 1, .slot = sample_slot, .slot_ctx = s};
    struct buf why = {0};
    struct snap *snap = NULL;
    const char *fault = model_check(&s->m);
    s->next_slot = 0;
    if (fault)
        buf_addc(&why, fault);
    if (fault || compile_bytes(&in, &s->image, &why) != 0 || snap_open_bytes(&snap, buf_str(&s->image), &why) != 0) {
        fprintf(stderr, "sample: %s\n", buf_cstr(&why));
        abort();
    }
    buf_fini(&why);
    return snap;
}

/* A request of text: "x-a: 1\nx-b: 2" are its header lines. */
struct sample_request {
    struct route_request q;
    const char *lines;
    char value[4096];
};

static inline GH_UNUSED bool sample_header_value(const void *ctx, struct str name, struct str *value)
{
    struct sample_request *r = (void *)(uintptr_t)ctx;
    struct str rest = str_c(r->lines), line;
    size_t n = 0;
    bool found = false;
    while (rest.n && str_split(&rest, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon < 0 || !str_ieq(str_head(line, (size_t)colon), name))
            continue;
        struct str v = str_trim(str_skip(line, (size_t)colon + 1), " ");
        if (n + v.n + 1 > sizeof(r->value))
            break;
        if (found)
            r->value[n++] = ',';
        memcpy(r->value + n, v.p, v.n);
        n += v.n;
        found = true;
    }
    *value = str_of(r->value, n);
    return found;
}

/* `target` is a path with or without a query. */
static inline GH_UNUSED void sample_ask(struct sample_request *r, const char *method, const char *host,
                                        const char *target, const char *lines)
{
    struct str t = str_c(target);
    ptrdiff_t at = str_chr(t, '?');
    *r = (struct sample_request){.lines = lines};
    r->q = (struct route_request){.host = str_c(host), .path = at < 0 ? t : str_head(t, (size_t)at),
                                  .query = at < 0 ? STR("") : str_skip(t, (size_t)at + 1), .method = str_c(method),
                                  .scheme = STR("http"), .authority = str_c(host), .header = sample_header_value,
                                  .header_ctx = r};
}

#endif
