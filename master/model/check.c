/*
 * check.c - the invariants of model.h, verified on every build. A sentence from here is always a
 * fault of gatehouse itself, never of the configuration: lowering must have reported and mended
 * that before.
 */
#include "master/model/model.h"

struct check {
    const struct model *m;
    const char *fault; /* the first one */
};

static void fault(struct check *k, const char *fmt, ...) GH_PRINTF(2, 3);
static void fault(struct check *k, const char *fmt, ...)
{
    if (k->fault)
        return;
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    k->fault = arena_str(k->m->arena, buf_str(&b)).p;
    buf_fini(&b);
}

/* Does wildcard `pattern` ("*", "*.suffix") cover everything that `name` covers, and more? */
static bool less_specific(struct str pattern, struct str name)
{
    if (str_eqc(pattern, "*"))
        return !str_eqc(name, "*");
    return pattern.n > 2 && pattern.p[0] == '*' && pattern.n < name.n + (name.p[0] != '*') &&
           str_ends(name, str_skip(pattern, 1)) && !str_eq(pattern, name);
}

static void check_lower(struct check *k, const char *what, struct str name, unsigned port)
{
    if (name.n == 0)
        fault(k, "invariant 1: a %s of port %u has no name", what, port);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] >= 'A' && name.p[i] <= 'Z')
            fault(k, "invariant 1: %s " STR_FMT " is not lower case", what, STR_ARG(name));
}

/* Invariant 1. */
static void check_name(struct check *k, const struct model_bind *b, const struct model_host *h)
{
    check_lower(k, "host", h->name, b->port);
    if (map_get(&b->hosts_by_name, h->name) != h)
        fault(k, "invariant 1: host " STR_FMT " stands twice on port %u", STR_ARG(h->name),
              b->port);
}

static void check_match(struct check *k, const struct model_host *h, const struct model_match *m)
{
    if (m->path == PATH_PREFIX_ELEMENT && m->path_value.n &&
        m->path_value.p[m->path_value.n - 1] == '/')
        fault(k, "host " STR_FMT ": element prefix " STR_FMT " ends in a slash", STR_ARG(h->name),
              STR_ARG(m->path_value));
    if ((m->path == PATH_EXACT || m->path == PATH_REGEX) && m->path_value.n == 0)
        fault(k, "host " STR_FMT ": a path match without a value", STR_ARG(h->name));
    for (size_t i = 0; i < m->headers.n; i++)
        if (m->headers.v[i].name.n == 0)
            fault(k, "host " STR_FMT ": a header match without a name", STR_ARG(h->name));
}

/* Invariants 1, 2 and 3. */
static void check_host(struct check *k, const struct model_bind *b, const struct model_host *h)
{
    check_name(k, b, h);
    if (!h->listener || h->listener->bind != b)
        fault(k, "host " STR_FMT " belongs to a listener of another port", STR_ARG(h->name));
    for (size_t i = 0; i < h->entries.n; i++) {
        const struct model_entry *e = &h->entries.v[i];
        if (e->rank != i)
            fault(k, "invariant 2: host " STR_FMT ": rank %u at place %zu", STR_ARG(h->name),
                  e->rank, i);
        if (!e->match || !e->rule) {
            fault(k, "host " STR_FMT ": entry %zu without match or rule", STR_ARG(h->name), i);
            continue;
        }
        check_match(k, h, e->match);
    }
    const struct model_host *f = h->fallback;
    if (f && f->listener != h->listener)
        fault(k, "invariant 3: " STR_FMT " falls back to another listener's host",
              STR_ARG(h->name));
    if (f && !less_specific(f->name, h->name)) /* strictly less specific: so chains end */
        fault(k, "invariant 3: " STR_FMT " falls back to " STR_FMT, STR_ARG(h->name),
              STR_ARG(f->name));
}

static bool status_ok(unsigned status)
{
    return status >= 200 && status <= 599;
}

static bool is_split(const struct model_rule *r)
{
    return r && r->action == ACTION_SPLIT;
}

/* Invariant 7. */
static void check_chain(struct check *k, const struct model_bind *b, const struct model_chain *c)
{
    check_lower(k, "chain", c->name, b->port);
    if (map_get(&b->chains_by_name, c->name) != c)
        fault(k, "invariant 7: chain " STR_FMT " stands twice on port %u", STR_ARG(c->name), b->port);
    if (!c->listener || c->listener->bind != b)
        fault(k, "chain " STR_FMT " belongs to a listener of another port", STR_ARG(c->name));
    if ((c->mode == CHAIN_HTTP || c->mode == CHAIN_TCP) && (!c->tls || c->tls->certs.n == 0))
        fault(k, "invariant 7: chain " STR_FMT " has no certificate", STR_ARG(c->name));
    if ((c->mode == CHAIN_TCP || c->mode == CHAIN_PASSTHROUGH) && !is_split(c->rule))
        fault(k, "invariant 7: chain " STR_FMT " leads nowhere", STR_ARG(c->name));
    if (c->mode == CHAIN_REFUSE && (c->tls || c->rule))
        fault(k, "invariant 7: chain " STR_FMT " refuses and has more than a reason", STR_ARG(c->name));
    if (c->tls && (c->tls->index >= k->m->tls_servers.n || k->m->tls_servers.v[c->tls->index] != c->tls))
        fault(k, "chain " STR_FMT ": TLS settings of another model", STR_ARG(c->name));
    if (c->rule && (c->rule->index >= k->m->rules.n || k->m->rules.v[c->rule->index] != c->rule))
        fault(k, "chain " STR_FMT ": a rule of another model", STR_ARG(c->name));
}

/* Invariant 8. */
static void check_stream(struct check *k, const struct model_bind *b)
{
    bool others = b->chains.n || b->hosts.n;
    if ((b->stream_rule || b->datagram) && others)
        fault(k, "invariant 8: port %u has a stream and %s", b->port, b->chains.n ? "chains" : "hosts");
    if (b->stream_rule && !is_split(b->stream_rule))
        fault(k, "invariant 8: the stream of port %u leads nowhere", b->port);
    for (size_t i = 0; i < b->proxy_trusted.n; i++) {
        const struct model_cidr *c = &b->proxy_trusted.v[i];
        unsigned most = c->family == 4 ? 32 : c->family == 6 ? 128 : 0;
        if (c->bits > most || !most)
            fault(k, "port %u: a range of family %u with %u bits", b->port, c->family, c->bits);
        for (unsigned bit = c->bits; bit < most; bit++)
            if (c->ip[bit / 8] & 0x80u >> bit % 8)
                fault(k, "port %u: a range of %u bits with more of them set", b->port, c->bits);
    }
}

/* Invariants 4 and 5. */
static void check_rule(struct check *k, const struct model_rule *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->splits.n; i++) {
        const struct model_split *s = &r->splits.v[i];
        sum += s->weight;
        if (s->weight > 1000000)
            fault(k, "invariant 5: rule " STR_FMT ": weight %u", STR_ARG(r->key), s->weight);
        if (!s->cluster && !status_ok(s->status))
            fault(k, "rule " STR_FMT ": split %zu has no cluster and no status", STR_ARG(r->key),
                  i);
        if (s->cluster && map_get(&k->m->clusters_by_key, s->cluster->key) != s->cluster)
            fault(k, "invariant 6: rule " STR_FMT ": a cluster of another model", STR_ARG(r->key));
    }
    if (sum > UINT32_MAX)
        fault(k, "invariant 5: rule " STR_FMT ": weights exceed 32 bits", STR_ARG(r->key));
    if (r->action == ACTION_SPLIT && sum == 0 && !status_ok(r->no_backend_status))
        fault(k, "invariant 4: rule " STR_FMT " has neither backend nor status", STR_ARG(r->key));
    if (r->action == ACTION_REDIRECT && (!r->redirect || r->redirect->status < 300 || r->redirect->status > 399))
        fault(k, "rule " STR_FMT ": redirect with status %u", STR_ARG(r->key), r->redirect ? r->redirect->status : 0);
    if (r->action == ACTION_DIRECT && (!r->direct || !status_ok(r->direct->status)))
        fault(k, "rule " STR_FMT ": direct answer with status %u", STR_ARG(r->key),
              r->direct ? r->direct->status : 0);
}

static void check_cert(struct check *k, const struct model_cert *c, size_t i)
{
    if (c->index != i || c->chain.n == 0 || c->private_key.n == 0 || !c->info)
        fault(k, "certificate %zu is not complete", i);
    if (str_find(c->chain, STR("PRIVATE KEY")) >= 0)
        fault(k, "invariant 9: the chain of certificate %zu holds a key", i);
}

static bool knows_cert(const struct check *k, const struct model_cert *c)
{
    return c && c->index < k->m->certs.n && k->m->certs.v[c->index] == c;
}

static void check_tls(struct check *k)
{
    const struct model *m = k->m;
    for (size_t i = 0; i < m->certs.n; i++)
        check_cert(k, m->certs.v[i], i);
    for (size_t i = 0; i < m->tls_servers.n; i++) {
        const struct model_tls_server *t = m->tls_servers.v[i];
        if (t->index != i)
            fault(k, "TLS server %zu has number %u", i, t->index);
        for (size_t j = 0; j < t->certs.n; j++)
            if (!knows_cert(k, t->certs.v[j]))
                fault(k, "TLS server %zu: a certificate of another model", i);
        if ((t->client_auth == CLIENT_AUTH_REQUIRED || t->client_auth == CLIENT_AUTH_OPTIONAL) && t->ca.n == 0)
            fault(k, "TLS server %zu verifies clients by nothing", i);
    }
    for (size_t i = 0; i < m->tls_clients.n; i++) {
        const struct model_tls_client *t = m->tls_clients.v[i];
        if (t->index != i || (t->cert && !knows_cert(k, t->cert)))
            fault(k, "TLS client %zu has a wrong number, or a certificate of another model", i);
        if (t->ca.n == 0 && !t->system_ca && !t->insecure && !t->broken)
            fault(k, "TLS client %zu verifies by nothing", i);
    }
}

/* Invariant 6. */
static void check_cluster(struct check *k, const struct model_cluster *c)
{
    if (c->key.n == 0 || map_get(&k->m->clusters_by_key, c->key) != c)
        fault(k, "invariant 6: cluster " STR_FMT " stands twice", STR_ARG(c->key));
    if (c->tls && (c->tls->index >= k->m->tls_clients.n || k->m->tls_clients.v[c->tls->index] != c->tls))
        fault(k, "cluster " STR_FMT ": TLS settings of another model", STR_ARG(c->key));
    for (size_t i = 0; i < c->endpoints.n; i++) {
        const struct model_endpoint *e = c->endpoints.v[i];
        bool is_unix = str_starts(e->address, STR("unix:"));
        if (e->address.n == 0 || (!is_unix && e->port == 0) || e->key.n == 0)
            fault(k, "cluster " STR_FMT ": endpoint %zu has no address", STR_ARG(c->key), i);
    }
}

const char *model_check(const struct model *m)
{
    struct check k = {.m = m};
    for (size_t i = 0; i < m->binds.n; i++) {
        const struct model_bind *b = m->binds.v[i];
        for (size_t j = 0; j < b->listeners.n; j++)
            if (b->listeners.v[j]->bind != b || b->listeners.v[j]->key.n == 0)
                fault(&k, "listener %zu of port %u is not its own", j, b->port);
        for (size_t j = 0; j < b->hosts.n; j++)
            check_host(&k, b, b->hosts.v[j]);
        for (size_t j = 0; j < b->chains.n; j++)
            check_chain(&k, b, b->chains.v[j]);
        check_stream(&k, b);
    }
    for (size_t i = 0; i < m->rules.n; i++)
        check_rule(&k, m->rules.v[i]);
    for (size_t i = 0; i < m->clusters.n; i++)
        check_cluster(&k, m->clusters.v[i]);
    check_tls(&k);
    return k.fault;
}
