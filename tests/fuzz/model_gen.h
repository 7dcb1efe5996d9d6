/*
 * model_gen.h - a model out of the fuzzer's bytes, and requests that have something to do with it.
 *
 * Small alphabets on purpose: what matters is that paths, hosts and values meet. Every member of the model
 * that the snapshot has to carry gets a value now and then.
 */
#ifndef GH_FUZZ_MODEL_GEN_H
#define GH_FUZZ_MODEL_GEN_H

#include "tests/unit/master/compile/sample.h"

struct dice { const uint8_t *p; size_t n; };

static inline uint32_t roll(struct dice *d, uint32_t sides)
{
    if (d->n == 0)
        return 0;
    d->n--;
    return *d->p++ % sides;
}
#define PICK(d, list) ((list)[roll((d), (uint32_t)ARRAY_LEN(list))])

static inline GH_UNUSED struct str gen_path(struct dice *d, struct arena *a, bool element)
{
    static const char *const PIECES[] = {"/", "/a", "/b", "/ab", "/A", "a", "b", "/1", "/a/b"};
    struct buf b = {0};
    for (uint32_t n = roll(d, 5); n > 0; n--)
        buf_addc(&b, PICK(d, PIECES));
    while (element && b.n && b.p[b.n - 1] == '/')
        b.n--;
    struct str s = arena_str(a, buf_str(&b));
    buf_fini(&b);
    return s;
}

static const char *const GEN_REGEX[] = {"/a.*", "/a/[0-9]+", "/a/b", ".*", "(/a|/b)/.*", "/ab+", "/b\\.c", "[ab/]*"};
static const char *const GEN_VALUES[] = {"", "1", "2", "3", "a b", "ab", "A", "4", "5", "6", "7", "8", "9"};
static const char *const GEN_HEADERS[] = {"x-a", "x-b", "x-c"};
static const char *const GEN_PARAMS[] = {"q", "p q", "r"};
static const char *const GEN_HOSTS[] = {"*", "*.com", "*.a.com", "*.b.a.com", "a.com", "b.a.com", "x.b.a.com", "c.org"};

static inline GH_UNUSED struct model_strmatch gen_text(struct dice *d, bool invert)
{
    static const char *const REGEX[] = {".*", "[0-9]", "a.b", "a|1"};
    struct model_strmatch m = {.type = (enum strmatch_type)(1 + roll(d, 6) % 4)};
    if (roll(d, 3) > 0)
        m.type = STRMATCH_EXACT;
    if (m.type != STRMATCH_PRESENT)
        m.value = str_c(m.type == STRMATCH_REGEX ? PICK(d, REGEX) : PICK(d, GEN_VALUES));
    m.ignore_case = roll(d, 8) == 1;
    m.invert = invert && roll(d, 6) == 1;
    return m;
}

static inline GH_UNUSED struct model_match *gen_match(struct dice *d, struct arena *a)
{
    static const char *const METHODS[] = {"GET", "POST"};
    struct model_match *m = arena_new(a, struct model_match);
    m->path = (enum path_match)roll(d, 5);
    m->path_ignore_case = roll(d, 6) == 1;
    if (m->path == PATH_REGEX)
        m->path_value = str_c(PICK(d, GEN_REGEX));
    else if (m->path != PATH_ANY)
        m->path_value = gen_path(d, a, m->path == PATH_PREFIX_ELEMENT);
    if (m->path == PATH_EXACT && m->path_value.n == 0)
        m->path_value = STR("/");
    uint32_t more = roll(d, 16);
    if (more & 1)
        m->method = (struct model_strmatch){.type = STRMATCH_EXACT, .value = str_c(PICK(d, METHODS))};
    if (more == 2)
        m->scheme = gen_text(d, false);
    if (more == 3)
        m->authority = gen_text(d, false);
    for (uint32_t n = more & 4 ? 1 + roll(d, 2) : 0; n > 0; n--) {
        struct model_kv_match *kv = ARENA_PUSH(a, &m->headers);
        *kv = (struct model_kv_match){str_c(PICK(d, GEN_HEADERS)), gen_text(d, true)};
    }
    m->query_raw = roll(d, 2);
    for (uint32_t n = more & 8 ? 1 + roll(d, 2) : 0; n > 0; n--) {
        struct model_kv_match *kv = ARENA_PUSH(a, &m->query);
        *kv = (struct model_kv_match){str_c(PICK(d, GEN_PARAMS)), gen_text(d, false)};
    }
    if (roll(d, 10) == 1)
        m->name = str_c(PICK(d, GEN_VALUES));
    return m;
}

static inline GH_UNUSED struct model_path_rewrite gen_rewrite(struct dice *d, struct arena *a)
{
    struct model_path_rewrite p = {.type = (enum path_rewrite)roll(d, 5)};
    if (p.type != REWRITE_NONE)
        p.value = gen_path(d, a, false);
    if (p.type == REWRITE_REGEX)
        p.regex = str_c(PICK(d, GEN_REGEX));
    return p;
}

static inline GH_UNUSED void gen_filters(struct dice *d, struct arena *a, struct model_filters *fs)
{
    for (uint32_t n = roll(d, 8) == 1 ? 1 + roll(d, 3) : 0; n > 0; n--) {
        struct model_filter *f = ARENA_PUSH(a, fs);
        f->type = (enum filter_type)roll(d, 3);
        if (f->type == FILTER_REWRITE) {
            f->u.rewrite.host = str_c(PICK(d, GEN_HOSTS));
            f->u.rewrite.path = gen_rewrite(d, a);
            continue;
        }
        for (uint32_t k = 1 + roll(d, 3); k > 0; k--) {
            struct model_header_op *o = ARENA_PUSH(a, &f->u.headers);
            *o = (struct model_header_op){(enum header_op)roll(d, 3), str_c(PICK(d, GEN_HEADERS)),
                                          str_c(PICK(d, GEN_VALUES)), roll(d, 4) == 1};
        }
    }
}

static inline GH_UNUSED struct model_rule *gen_rule(struct dice *d, struct sample *s)
{
    static const uint16_t CODES[] = {500, 503, 409};
    struct model_rule *r = sample_rule(s);
    uint32_t more = roll(d, 32);
    r->splits.v[0].weight = roll(d, 200);
    r->no_backend_status = r->splits.v[0].weight == 0 ? 500 : 0;
    gen_filters(d, &s->arena, &r->filters);
    gen_filters(d, &s->arena, &r->splits.v[0].filters);
    if (more == 1) {
        r->action = ACTION_REDIRECT;
        r->redirect = arena_new(&s->arena, struct model_redirect);
        *r->redirect = (struct model_redirect){.scheme = STR("https"), .port_mode = (enum redirect_port)roll(d, 5),
                                               .port = (uint16_t)(1 + roll(d, 100)), .status = 301};
        r->redirect->path = gen_rewrite(d, &s->arena);
        r->redirect->value_has_query = roll(d, 2);
    } else if (more == 2) {
        r->action = ACTION_DIRECT;
        r->direct = arena_new(&s->arena, struct model_direct);
        *r->direct = (struct model_direct){418, str_c(PICK(d, GEN_VALUES)), STR("text/plain")};
    } else if (more == 3) {
        struct model_split *p = ARENA_PUSH(&s->arena, &r->splits);
        *p = (struct model_split){.weight = 3, .status = 500, .reason = REASON_INVALID_BACKEND, .name = STR("gone")};
    } else if (more == 4) {
        r->retry = (struct model_retry){.attempts = (uint16_t)(1 + roll(d, 5)), .on = roll(d, 255),
                                        .backoff_ms = roll(d, 255), .per_try_ms = roll(d, 255)};
        r->retry.codes = arena_new_n(&s->arena, uint16_t, 3);
        for (r->retry.n_codes = 0; r->retry.n_codes < ARRAY_LEN(CODES); r->retry.n_codes++)
            r->retry.codes[r->retry.n_codes] = CODES[r->retry.n_codes];
    } else if (more == 5) {
        r->has_request_timeout = r->has_backend_timeout = true;
        r->request_timeout_ms = roll(d, 255);
        r->header_merge = HEADER_MERGE_SPLIT_FIRST;
        r->no_backend_status = 503;
    }
    return r;
}

/* The order in which names lie in the image: exact ones, many labels, few, "*". */
static const int GEN_ORDER[] = {4, 5, 6, 7, 3, 2, 1, 0};

static inline GH_UNUSED struct model_rule *gen_stream_rule(struct dice *d, struct sample *s)
{
    struct model_rule *r = sample_rule(s);
    r->idle_timeout_ms = roll(d, 3) * 1000;
    r->grpc = roll(d, 4) == 1;
    return r;
}

static inline GH_UNUSED struct model_tls_server *gen_server(struct dice *d, struct sample *s)
{
    struct model_tls_server *t = sample_server(s, sample_cert(s, PICK(d, GEN_HOSTS)));
    if (roll(d, 2))
        *ARENA_PUSH(&s->arena, &t->certs) = sample_cert(s, PICK(d, GEN_HOSTS));
    t->client_auth = (enum client_auth)roll(d, 4);
    if (t->client_auth)
        t->ca = STR("ca");
    if (roll(d, 3) == 1)
        t->crl = str_c(PICK(d, GEN_VALUES));
    for (uint32_t n = roll(d, 3); n > 0; n--)
        *ARENA_PUSH(&s->arena, &t->sans) = str_c(PICK(d, GEN_HOSTS));
    for (uint32_t n = roll(d, 2); n > 0; n--)
        *ARENA_PUSH(&s->arena, &t->spki) = str_c(PICK(d, GEN_VALUES));
    t->min = (enum tls_version)roll(d, 3);
    t->max = (enum tls_version)roll(d, 3);
    t->ciphers = str_c(PICK(d, GEN_VALUES));
    t->alpn = (uint8_t)roll(d, 4);
    return t;
}

static inline GH_UNUSED struct model_tls_client *gen_client(struct dice *d, struct sample *s)
{
    struct model_tls_client *t = model_tls_client_add(&s->m);
    uint32_t more = roll(d, 64);
    t->sni = str_c(PICK(d, GEN_HOSTS));
    t->identity = more & 1 ? t->sni : STR_NONE;
    t->ca = more & 2 ? STR("ca") : STR_NONE;
    t->system_ca = more & 4;
    t->insecure = more & 8;
    t->broken = !(more & 14);
    t->cert = more & 16 && s->m.certs.n ? s->m.certs.v[0] : NULL;
    if (more & 32)
        *ARENA_PUSH(&s->arena, &t->sans) = str_c(PICK(d, GEN_HOSTS));
    return t;
}

/* A TLS bind whose chains have names of GEN_HOSTS, a TCP and a UDP bind, and a cluster spoken to in TLS. */
static inline GH_UNUSED void gen_streams(struct dice *d, struct sample *s)
{
    uint32_t chains = roll(d, 256);
    struct model_listener *l = sample_listener(s, LISTENER_TLS, 443);
    struct model_tls_server *t = gen_server(d, s);
    for (size_t i = 0; i < ARRAY_LEN(GEN_ORDER); i++) {
        if (!(chains & 1u << GEN_ORDER[i]))
            continue;
        enum chain_mode mode = (enum chain_mode)roll(d, 4);
        bool carried = mode == CHAIN_TCP || mode == CHAIN_PASSTHROUGH;
        struct model_chain *c = sample_chain(s, l, GEN_HOSTS[GEN_ORDER[i]], mode, mode < CHAIN_PASSTHROUGH ? t : NULL,
                                             carried ? gen_stream_rule(d, s) : NULL);
        c->istio_alpn = roll(d, 3) == 1;
        c->why = mode == CHAIN_REFUSE ? str_c(PICK(d, GEN_VALUES)) : STR_NONE;
        t = roll(d, 4) ? t : gen_server(d, s);
    }
    if (roll(d, 2))
        sample_listener(s, LISTENER_UDP, 53)->bind->stream_rule = gen_stream_rule(d, s);
    struct model_bind *tcp = sample_listener(s, LISTENER_TCP, 5432)->bind;
    tcp->stream_rule = roll(d, 2) ? gen_stream_rule(d, s) : NULL;
    for (uint32_t n = roll(d, 3); n > 0; n--)
        *ARENA_PUSH(&s->arena, &tcp->proxy_trusted) = (struct model_cidr){.family = n & 1 ? 4 : 6, .bits = 8, .ip = {(uint8_t)n}};
    s->cluster->tls = roll(d, 2) ? gen_client(d, s) : NULL;
    s->cluster->proxy_header = (enum proxy_header)roll(d, 3);
    s->cluster->protocol = (enum upstream_protocol)roll(d, 3);
}

/* Is wildcard or "*" `wide` less specific than `name`? */
static inline GH_UNUSED bool gen_covers(struct str wide, struct str name)
{
    if (str_eq(wide, name) || wide.p[0] != '*')
        return false;
    return wide.n == 1 || (str_ends(name, str_skip(wide, 1)) && name.n + (name.p[0] != '*') > wide.n);
}

/* Port 8080 has hosts in the order of the image. Of every model some have TLS and streams too. */
static inline GH_UNUSED void gen_model(struct dice *d, struct sample *s)
{
    uint32_t hosts = roll(d, 256);
    sample_init(s);
    for (size_t i = 0; i < ARRAY_LEN(GEN_ORDER); i++)
        if (hosts & 1u << GEN_ORDER[i])
            sample_host(s, GEN_HOSTS[GEN_ORDER[i]]);
    for (size_t i = 0; i < s->bind->hosts.n; i++) {
        struct model_host *h = s->bind->hosts.v[i];
        h->https_redirect = roll(d, 20) == 1;
        for (size_t k = i + 1; k < s->bind->hosts.n && !h->fallback; k++)
            if (gen_covers(s->bind->hosts.v[k]->name, h->name) && roll(d, 2))
                h->fallback = s->bind->hosts.v[k];
    }
    /* From the end of the input, so that the models of older inputs stay what they were. */
    if (d->n > 0 && d->p[--d->n] & 1) {
        struct dice end = {d->p + d->n - GH_MIN(d->n, (size_t)24), GH_MIN(d->n, (size_t)24)};
        d->n -= end.n;
        gen_streams(&end, s);
    }
    while (s->bind->hosts.n && d->n > 40 && s->m.rules.n < 300) {
        struct model_host *h = s->bind->hosts.v[roll(d, (uint32_t)s->bind->hosts.n)];
        struct model_entry *e = ARENA_PUSH(&s->arena, &h->entries);
        *e = (struct model_entry){gen_match(d, &s->arena), NULL, (uint32_t)h->entries.n - 1};
        e->match->origin = sample_origin(s, roll(d, 100), "matches");
        e->rule = s->m.rules.n && roll(d, 4) == 1 ? s->m.rules.v[0] : gen_rule(d, s);
    }
}

/* A request; text lives in the arena of `a`. */
static inline GH_UNUSED void gen_request(struct dice *d, struct arena *a, struct sample_request *r)
{
    static const char *const HOSTS[] = {"a.com", "b.a.com", "x.b.a.com", "y.b.a.com", "z.com", "c.org", "d.org", "", "com"};
    static const char *const LINES[] = {"", "x-a: 1", "x-a: 2", "x-b: a b", "x-a: 3\nx-b: 1", "x-a: 1\nx-a: 2", "x-c:",
                                        "x-c: 9\nx-b: AB", "X-A: 4\nx-c: 7"};
    static const char *const QUERIES[] = {"", "?q=1", "?q=a+b", "?q=a%20b", "?p+q=2", "?p%20q=3&q=1", "?q=1&q=2", "?q",
                                          "?r=&q=ab", "?p q=1", "?q=%", "?r=5&p+q=6"};
    struct str path = gen_path(d, a, false);
    const char *method = roll(d, 3) ? "GET" : "POST", *host = PICK(d, HOSTS);
    struct str target = arena_strf(a, STR_FMT "%s", STR_ARG(path), PICK(d, QUERIES));
    sample_ask(r, method, host, target.p, PICK(d, LINES));
}

#endif
