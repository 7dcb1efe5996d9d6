/*
 * istio_vs_lint.c - http rules and match blocks that can never be reached: IST0130 (a rule) and IST0131 (one
 * block of a rule that is reached by others).
 *
 * A block is covered when an earlier one of the same object has no condition but a uri prefix, and this one's
 * uri begins with it; or when it says the same as an earlier one. Names don't count. Blocks that are bound to a port,
 * gateway or source only cover their like, so they count as equal or not at all.
 */
#include "master/kinds/istio_virtual_service.h"
#include "shared/base/arena.h"
#include "shared/base/hash.h"

struct seen {
    struct map blocks;       /* hash of a block (8 bytes) -> rule number plus one */
    struct map prefixes;     /* prefix of an unconditional block -> rule number plus one */
    bool lengths[256];       /* of those prefixes; longer ones are not looked for */
    size_t catch_all;        /* rule number plus one */
};

static bool has_context(const struct istio_http_match *m)
{
    return m->port.set || m->gateways.n || m->source_labels.n || m->source_namespace.n;
}

static bool only_uri(const struct istio_http_match *m)
{
    return m->uri && !m->scheme && !m->method && !m->authority && !m->headers.n && !m->without_headers.n &&
           !m->query_params.n && !has_context(m);
}

static uint64_t block_hash(const struct node *n)
{
    uint64_t h = 0;
    for (size_t i = 0; i < n->n_kids; i++) {
        const struct node *k = n->kids[i];
        if (!str_eqc(node_key(k), "name") && !str_eqc(node_key(k), "statPrefix"))
            h += hash_mix(hash_str(node_key(k), 1), node_hash(k)); /* a sum: the order of keys is none of ours */
    }
    return h;
}

/* Rule number plus one of an earlier block that says the same; remembers this one. */
static size_t same_before(struct seen *s, struct arena *a, const struct node *n, size_t rule)
{
    uint64_t h = block_hash(n);
    struct str key = str_of((const char *)&h, sizeof(h));
    void *first = map_get(&s->blocks, key);
    if (!first)
        map_put(&s->blocks, arena_str(a, key), (void *)(uintptr_t)(rule + 1));
    return (uintptr_t)first;
}

/* Rule number plus one of an earlier unconditional prefix that covers the block. */
static size_t covered_before(const struct seen *s, const struct istio_http_match *m)
{
    if (!m->uri || m->ignore_uri_case.v || m->uri->type == ISTIO_MATCH_REGEX || m->uri->type == ISTIO_MATCH_NONE)
        return 0;
    struct str v = istio_match_value(m->uri);
    for (size_t n = 1; n <= v.n && n < ARRAY_LEN(s->lengths); n++) {
        void *first = s->lengths[n] ? map_get(&s->prefixes, str_head(v, n)) : NULL;
        if (first)
            return (uintptr_t)first;
    }
    return 0;
}

static void remember_prefix(struct seen *s, const struct istio_http_match *m, size_t rule)
{
    if (!only_uri(m) || m->uri->type != ISTIO_MATCH_PREFIX || m->ignore_uri_case.v)
        return;
    struct str p = m->uri->prefix;
    if (p.n == 0 || p.n >= ARRAY_LEN(s->lengths) || map_get(&s->prefixes, p))
        return;
    map_put(&s->prefixes, p, (void *)(uintptr_t)(rule + 1));
    s->lengths[p.n] = true;
}

static void tell_rule(struct decoder *d, const struct node *at, size_t by)
{
    diag_at(d->diags, DIAG_Unreachable, at, "the first rule that matches wins",
            "this rule is never reached: http[%zu] matches all its requests", by - 1)->analyzer = "IST0130";
}

static void tell_block(struct decoder *d, const struct node *at, size_t by)
{
    struct diag *g = diag_at(d->diags, DIAG_Unreachable, at, "the first rule that matches wins",
                             "this block has no effect: http[%zu] matches all its requests", by - 1);
    g->analyzer = "IST0131";
    g->severity = DIAG_INFO;
}

static void rule_lint(struct decoder *d, struct seen *s, const struct istio_http_rule *r, size_t i)
{
    if (s->catch_all) {
        tell_rule(d, r->node, s->catch_all);
        return;
    }
    if (r->match.n == 0) {
        s->catch_all = r->delegate ? 0 : i + 1;
        return;
    }
    size_t dead = 0, by_last = 0, *by = arena_new_n(d->arena, size_t, r->match.n);
    for (size_t k = 0; k < r->match.n; k++) {
        const struct istio_http_match *m = &r->match.v[k];
        by[k] = s->catch_all ? s->catch_all : covered_before(s, m);
        size_t same = r->delegate ? 0 : same_before(s, d->arena, m->node, i);
        by[k] = by[k] ? by[k] : same;
        dead += by[k] > 0 && by[k] != i + 1; /* by another rule */
        by_last = by[k] ? by[k] : by_last;
        if (r->delegate)
            continue; /* the rules of the delegate may match less */
        remember_prefix(s, m, i);
        if (istio_match_is_catch_all(m) && !has_context(m) && !s->catch_all)
            s->catch_all = i + 1;
    }
    if (dead == r->match.n) {
        tell_rule(d, r->node, by_last);
        return;
    }
    for (size_t k = 0; k < r->match.n; k++)
        if (by[k])
            tell_block(d, r->match.v[k].node, by[k]);
}

void istio_vs_lint(struct decoder *d, const struct istio_vs_spec *spec)
{
    struct seen *s = arena_new(d->arena, struct seen);
    map_init(&s->blocks, d->arena);
    map_init(&s->prefixes, d->arena);
    for (size_t i = 0; i < spec->http.n; i++)
        rule_lint(d, s, &spec->http.v[i], i);
}
