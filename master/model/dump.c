/*
 * dump.c - the model as text: for golden tests, `gatehouse dump` and people who ask what was
 * understood.
 *
 * One thing per line, indented below its owner, in the order of the lists; nothing that changes
 * from run to run. What has its default value is left out, so that a new member does not touch
 * every golden file. The text is meant for reading, not for parsing.
 */
#include "master/model/model.h"
#include "shared/base/clock.h"

#include <arpa/inet.h>

static void add(struct buf *out, const char *fmt, ...) GH_PRINTF(2, 3);
static void add(struct buf *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(out, fmt, ap);
    va_end(ap);
}

/* " (conf.d/a.yaml:12 rules[0])" */
static void add_origin(struct buf *out, const struct model_origin *o)
{
    if (!o->source || o->source->file.n == 0)
        return;
    add(out, " (" STR_FMT ":%u", STR_ARG(o->source->file), o->line);
    if (o->section.n)
        add(out, " " STR_FMT, STR_ARG(o->section));
    buf_addch(out, ')');
}

static void add_strmatch(struct buf *out, const struct model_strmatch *m)
{
    static const char *const OP[] = {"", " present", "=", "^=", "~"};
    if (m->invert)
        buf_addc(out, "!");
    buf_addc(out, OP[m->type]);
    if (m->type == STRMATCH_ANY || m->type == STRMATCH_PRESENT)
        return;
    buf_json(out, m->value);
    if (m->ignore_case)
        buf_addc(out, "i");
}

static void add_part(struct buf *out, const char *name, const struct model_strmatch *m)
{
    if (m->type == STRMATCH_ANY)
        return;
    add(out, " %s", name);
    add_strmatch(out, m);
}

static void add_match(struct buf *out, const struct model_match *m)
{
    static const char *const PATH[] = {"any path", "exact", "prefix", "string prefix", "regex"};
    buf_addc(out, PATH[m->path]);
    if (m->path != PATH_ANY) {
        buf_addch(out, ' ');
        buf_json(out,
                 m->path == PATH_PREFIX_ELEMENT && m->path_value.n == 0 ? STR("/") : m->path_value);
        if (m->path_ignore_case)
            buf_addc(out, "i");
    }
    add_part(out, "method", &m->method);
    add_part(out, "scheme", &m->scheme);
    add_part(out, "authority", &m->authority);
    for (size_t i = 0; i < m->headers.n; i++) {
        add(out, " header " STR_FMT, STR_ARG(m->headers.v[i].name));
        add_strmatch(out, &m->headers.v[i].m);
    }
    for (size_t i = 0; i < m->query.n; i++) {
        add(out, " %squery " STR_FMT, m->query_raw ? "raw " : "", STR_ARG(m->query.v[i].name));
        add_strmatch(out, &m->query.v[i].m);
    }
    if (m->name.n)
        add(out, " named " STR_FMT, STR_ARG(m->name));
}

static void add_path_rewrite(struct buf *out, const struct model_path_rewrite *p)
{
    static const char *const TYPE[] = {"", "path", "prefix", "string prefix", "regex"};
    if (p->type == REWRITE_NONE)
        return;
    add(out, " %s ", TYPE[p->type]);
    if (p->type == REWRITE_REGEX) {
        buf_json(out, p->regex);
        buf_addch(out, ' ');
    }
    buf_json(out, p->value);
}

static void dump_filters(struct buf *out, const char *indent, const struct model_filters *fs)
{
    static const char *const OP[] = {"set", "add", "remove"};
    for (size_t i = 0; i < fs->n; i++) {
        const struct model_filter *f = &fs->v[i];
        if (f->type == FILTER_REWRITE) {
            add(out, "%srewrite", indent);
            if (f->u.rewrite.host.n)
                add(out, " host " STR_FMT, STR_ARG(f->u.rewrite.host));
            add_path_rewrite(out, &f->u.rewrite.path);
            buf_addch(out, '\n');
            continue;
        }
        for (size_t j = 0; j < f->u.headers.n; j++) {
            const struct model_header_op *op = &f->u.headers.v[j];
            add(out, "%s%s header %s " STR_FMT, indent,
                f->type == FILTER_REQUEST_HEADERS ? "request" : "response", OP[op->op],
                STR_ARG(op->name));
            if (op->op != HEADER_REMOVE) {
                buf_addch(out, ' ');
                buf_json(out, op->value);
            }
            buf_addc(out, op->has_subst ? " subst\n" : "\n");
        }
    }
}

static void dump_split(struct buf *out, const struct model_split *s)
{
    if (s->cluster)
        add(out, "  split %u -> " STR_FMT, s->weight, STR_ARG(s->cluster->key));
    else
        add(out, "  split %u -> %u for " STR_FMT, s->weight, s->status, STR_ARG(s->name));
    buf_addch(out, '\n');
    dump_filters(out, "    ", &s->filters);
}

static void dump_redirect(struct buf *out, const struct model_redirect *r)
{
    static const char *const PORT[] = {"listener", "", "of host", "none", "of request"};
    add(out, "  redirect %u", r->status);
    if (r->scheme.n)
        add(out, " scheme " STR_FMT, STR_ARG(r->scheme));
    if (r->host.n)
        add(out, " host " STR_FMT, STR_ARG(r->host));
    if (r->port_mode == PORT_FIXED)
        add(out, " port %u", r->port);
    else
        add(out, " port %s", PORT[r->port_mode]);
    add_path_rewrite(out, &r->path);
    buf_addc(out, r->value_has_query ? " with query\n" : "\n");
}

static void dump_retry(struct buf *out, const struct model_retry *r)
{
    static const char *const ON[] = {
        "connect-failure", "reset",        "gateway-error",  "5xx",
        "retriable-4xx",   "status-codes", "refused-stream", "reset-before-request",
        "cancelled",       "deadline-exceeded", "internal",  "resource-exhausted", "unavailable"};
    if (r->attempts == 0)
        return;
    add(out, "  retry %u on", r->attempts);
    for (size_t i = 0; i < ARRAY_LEN(ON); i++)
        if (r->on & 1u << i)
            add(out, " %s", ON[i]);
    for (size_t i = 0; i < r->n_codes; i++)
        add(out, "%s%u", i ? "," : " codes ", r->codes[i]);
    if (r->backoff_ms)
        add(out, " backoff %ums", r->backoff_ms);
    if (r->per_try_ms)
        add(out, " per try %ums", r->per_try_ms);
    buf_addch(out, '\n');
}

/* A text by its hash and length: long, and not for people. */
static void add_text(struct buf *out, const char *indent, const char *what, struct str text)
{
    if (text.n)
        add(out, "%s%s %016llx, %zu bytes\n", indent, what, (unsigned long long)hash_str(text, 0), text.n);
}

static void add_names(struct buf *out, const char *what, const struct str_list_model *names)
{
    for (size_t i = 0; i < names->n; i++)
        add(out, "  %s " STR_FMT "\n", what, STR_ARG(names->v[i]));
}

static void dump_rule(struct buf *out, const struct model_rule *r)
{
    add(out, "rule " STR_FMT, STR_ARG(r->key));
    if (r->name.n)
        add(out, " named " STR_FMT, STR_ARG(r->name));
    add_origin(out, &r->origin);
    buf_addch(out, '\n');
    if (r->has_request_timeout)
        add(out, "  request timeout %ums\n", r->request_timeout_ms);
    if (r->has_backend_timeout)
        add(out, "  backend timeout %ums\n", r->backend_timeout_ms);
    if (r->idle_timeout_ms)
        add(out, "  idle timeout %ums\n", r->idle_timeout_ms);
    if (r->grpc)
        buf_addc(out, "  grpc\n");
    dump_retry(out, &r->retry);
    dump_filters(out, "  ", &r->filters);
    if (r->action == ACTION_REDIRECT)
        dump_redirect(out, r->redirect);
    if (r->action == ACTION_DIRECT) {
        add(out, "  direct %u ", r->direct->status);
        buf_json(out, r->direct->body);
        add(out, " " STR_FMT "\n", STR_ARG(r->direct->content_type));
    }
    if (r->header_merge == HEADER_MERGE_SPLIT_FIRST)
        buf_addc(out, "  headers of the split first\n");
    for (size_t i = 0; i < r->splits.n; i++)
        dump_split(out, &r->splits.v[i]);
    if (r->action == ACTION_SPLIT && r->no_backend_status)
        add(out, "  without backend %u\n", r->no_backend_status);
}

static void dump_cluster(struct buf *out, const struct model_cluster *c)
{
    static const char *const LB[] = {"round robin", "least request", "random"};
    static const char *const PROTOCOL[] = {"http1", "h2", "auto"};
    static const char *const HEADER[] = {"", "v1", "v2"};
    add(out, "cluster " STR_FMT " named " STR_FMT ", %s, %s", STR_ARG(c->key), STR_ARG(c->name),
        LB[c->lb], PROTOCOL[c->protocol]);
    add_origin(out, &c->origin);
    buf_addch(out, '\n');
    if (c->connect_timeout_ms)
        add(out, "  connect timeout %ums\n", c->connect_timeout_ms);
    if (c->idle_timeout_ms)
        add(out, "  idle timeout %ums\n", c->idle_timeout_ms);
    if (c->max_connections || c->max_pending || c->max_requests)
        add(out, "  at most %u connections, %u pending, %u requests\n", c->max_connections,
            c->max_pending, c->max_requests);
    if (c->tls)
        add(out, "  tls client %u\n", c->tls->index);
    if (c->proxy_header)
        add(out, "  proxy header %s\n", HEADER[c->proxy_header]);
    for (size_t i = 0; i < c->endpoints.n; i++) {
        const struct model_endpoint *e = c->endpoints.v[i];
        add(out, "  endpoint " STR_FMT, STR_ARG(e->address));
        if (e->port)
            add(out, " port %u", e->port);
        if (e->weight != 1)
            add(out, " weight %u", e->weight);
        if (e->dns)
            buf_addc(out, " dns");
        buf_addch(out, '\n');
    }
}

static void dump_host(struct buf *out, const struct model_host *h)
{
    add(out, "  host " STR_FMT " of " STR_FMT, STR_ARG(h->name), STR_ARG(h->listener->key));
    if (h->fallback)
        add(out, ", else " STR_FMT, STR_ARG(h->fallback->name));
    buf_addc(out, h->https_redirect ? ", redirect to https\n" : "\n");
    for (size_t i = 0; i < h->entries.n; i++) {
        const struct model_entry *e = &h->entries.v[i];
        add(out, "    %u ", e->rank);
        add_match(out, e->match);
        add(out, " -> " STR_FMT "\n", STR_ARG(e->rule->key));
    }
}

static void dump_cidr(struct buf *out, const struct model_cidr *c)
{
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->ip, text, sizeof(text));
    add(out, "  proxy header from %s/%u\n", text, c->bits);
}

static void dump_chain(struct buf *out, const struct model_chain *c)
{
    static const char *const MODE[] = {"http", "tcp", "passthrough", "refuse"};
    add(out, "  chain " STR_FMT " of " STR_FMT ", %s", STR_ARG(c->name), STR_ARG(c->listener->key), MODE[c->mode]);
    if (c->tls)
        add(out, ", tls server %u", c->tls->index);
    if (c->istio_alpn)
        buf_addc(out, ", istio alpn");
    if (c->rule)
        add(out, " -> " STR_FMT, STR_ARG(c->rule->key));
    if (c->why.n) {
        buf_addc(out, ": ");
        buf_json(out, c->why);
    }
    add_origin(out, &c->origin);
    buf_addch(out, '\n');
}

static void dump_cert(struct buf *out, const struct model_cert *c)
{
    static const char *const KEY[] = {"no key", "rsa", "ecdsa", "ed25519"};
    const struct cert_info *info = c->info;
    char from[32], to[32];
    add(out, "certificate %u ", c->index);
    buf_json(out, info->subject);
    buf_addc(out, " by ");
    buf_json(out, info->issuer);
    add(out, ", %s %u, serial " STR_FMT, KEY[info->key_type], info->key_bits, STR_ARG(info->serial));
    add_origin(out, &c->origin);
    clock_format((uint64_t)GH_MAX(info->not_before_s, 0) * 1000000, 0, from);
    clock_format((uint64_t)GH_MAX(info->not_after_s, 0) * 1000000, 0, to);
    add(out, "\n  valid %s to %s\n  sha256 ", from, to);
    for (size_t i = 0; i < sizeof(info->sha256); i++)
        add(out, "%02x", info->sha256[i]);
    buf_addch(out, '\n');
    for (size_t i = 0; i < info->n_names; i++)
        add(out, "  name " STR_FMT "\n", STR_ARG(info->names[i]));
    add_text(out, "  ", "chain", c->chain);
    add_text(out, "  ", "ocsp", c->ocsp);
}

static void dump_tls_server(struct buf *out, const struct model_tls_server *t)
{
    static const char *const AUTH[] = {"", "optional", "required", "tolerated"};
    static const char *const VERSION[] = {"auto", "1.2", "1.3"};
    static const char *const ALPN[] = {"", "h2", "http/1.1", "h2, http/1.1"};
    add(out, "tls server %u", t->index);
    add_origin(out, &t->origin);
    buf_addch(out, '\n');
    for (size_t i = 0; i < t->certs.n; i++)
        add(out, "  certificate %u\n", t->certs.v[i]->index);
    if (t->client_auth)
        add(out, "  client certificate %s\n", AUTH[t->client_auth]);
    add_text(out, "  ", "ca", t->ca);
    add_text(out, "  ", "crl", t->crl);
    add_names(out, "client name", &t->sans);
    add_names(out, "client spki", &t->spki);
    add_names(out, "client hash", &t->hashes);
    if (t->min || t->max)
        add(out, "  versions %s to %s\n", VERSION[t->min], VERSION[t->max]);
    if (t->ciphers.n)
        add(out, "  ciphers " STR_FMT "\n", STR_ARG(t->ciphers));
    if (t->alpn)
        add(out, "  alpn %s\n", ALPN[t->alpn & 3]);
}

static void dump_tls_client(struct buf *out, const struct model_tls_client *t)
{
    add(out, "tls client %u", t->index);
    add_origin(out, &t->origin);
    buf_addch(out, '\n');
    if (t->sni.n)
        add(out, "  sni " STR_FMT "\n", STR_ARG(t->sni));
    if (t->identity.n)
        add(out, "  identity " STR_FMT "\n", STR_ARG(t->identity));
    add_names(out, "name", &t->sans);
    add_text(out, "  ", "ca", t->ca);
    add_text(out, "  ", "crl", t->crl);
    if (t->system_ca)
        buf_addc(out, "  ca of the system\n");
    if (t->insecure)
        buf_addc(out, "  not verified\n");
    if (t->any_name)
        buf_addc(out, "  any name\n");
    if (t->cert)
        add(out, "  certificate %u\n", t->cert->index);
    if (t->broken)
        buf_addf(out, "  broken%s: no connection is made\n", t->no_cert ? " (certificate)" : "");
}

static void dump_bind(struct buf *out, const struct model_bind *b)
{
    static const char *const PROTOCOL[] = {"http", "https", "tls", "tcp", "udp"};
    if (str_starts(b->address, STR("unix:")))
        add(out, "bind " STR_FMT, STR_ARG(b->address));
    else
        add(out, "bind " STR_FMT " port %u", STR_ARG(b->address.n ? b->address : STR("*")),
            b->port);
    if (b->datagram)
        buf_addc(out, " udp");
    if (b->bind_error)
        buf_addc(out, ", not bound");
    buf_addch(out, '\n');
    for (size_t i = 0; i < b->listeners.n; i++) {
        const struct model_listener *l = b->listeners.v[i];
        add(out, "  listener " STR_FMT " named " STR_FMT ", %s " STR_FMT, STR_ARG(l->key),
            STR_ARG(l->name), PROTOCOL[l->protocol], STR_ARG(l->hostname));
        add_origin(out, &l->origin);
        buf_addch(out, '\n');
    }
    if (b->stream_rule)
        add(out, "  stream -> " STR_FMT "\n", STR_ARG(b->stream_rule->key));
    for (size_t i = 0; i < b->proxy_trusted.n; i++)
        dump_cidr(out, &b->proxy_trusted.v[i]);
    if (b->has_trusted_hops)
        add(out, "  %u proxies in front\n", b->trusted_hops);
    for (size_t i = 0; i < b->chains.n; i++)
        dump_chain(out, b->chains.v[i]);
    for (size_t i = 0; i < b->hosts.n; i++)
        dump_host(out, b->hosts.v[i]);
}

void model_dump(const struct model *m, struct buf *out)
{
#define X(name, type, def, text)                                                                   \
    if (m->settings.name != (type)(def))                                                           \
        add(out, "setting %s %llu\n", #name, (unsigned long long)m->settings.name);
#include "shared/tbl/setting.def"
#undef X
    for (size_t i = 0; i < m->binds.n; i++)
        dump_bind(out, m->binds.v[i]);
    for (size_t i = 0; i < m->rules.n; i++)
        dump_rule(out, m->rules.v[i]);
    for (size_t i = 0; i < m->clusters.n; i++)
        dump_cluster(out, m->clusters.v[i]);
    for (size_t i = 0; i < m->tls_servers.n; i++)
        dump_tls_server(out, m->tls_servers.v[i]);
    for (size_t i = 0; i < m->tls_clients.n; i++)
        dump_tls_client(out, m->tls_clients.v[i]);
    for (size_t i = 0; i < m->certs.n; i++)
        dump_cert(out, m->certs.v[i]);
}
