/*
 * dump.c - the image as text: what it says, and where the matcher will look for it.
 *
 * The first part is written in the words of master/model/dump.c, line for line: for one configuration both
 * texts are equal, which is how tests know that the compiler lost nothing. The second part, behind the line
 * "matcher", draws the structures of route.c. Nothing here changes from run to run: no generation, no time,
 * no places on the board.
 */
#include "shared/snap/snap.h"
#include "shared/base/clock.h"

#include <arpa/inet.h>

struct dump {
    const struct snap *s;
    struct buf *out;
};

static void add(const struct dump *d, const char *fmt, ...) GH_PRINTF(2, 3);
static void add(const struct dump *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vaddf(d->out, fmt, ap);
    va_end(ap);
}

static struct str text(const struct dump *d, struct snap_str t)
{
    return snap_text(d->s, t);
}

static void json(const struct dump *d, struct snap_str t)
{
    buf_json(d->out, text(d, t));
}

/* " (conf.d/a.yaml:12 rules[0])" */
static void origin(const struct dump *d, uint32_t i)
{
    const struct snap_origin *o = &d->s->ORIGINS[i];
    struct str file = snap_name(d->s, d->s->OBJECTS[o->object].file), section = snap_name(d->s, o->section);
    if (file.n == 0)
        return;
    add(d, " (" STR_FMT ":%u", STR_ARG(file), o->line);
    if (section.n)
        add(d, " " STR_FMT, STR_ARG(section));
    buf_addch(d->out, ')');
}

/* --- hosts and entries --------------------------------------------------------------------------- */

static void cond(const struct dump *d, const struct snap_cond *c)
{
    static const char *const OP[] = {"", " present", "=", "^=", "~"};
    static const char *const WHAT[] = {" method", " scheme", " authority", " header ", " query "};
    if (c->what == COND_QUERY && !(c->flags & SNAP_COND_DECODED))
        buf_addc(d->out, " raw");
    add(d, "%s" STR_FMT "%s%s", WHAT[c->what], STR_ARG(text(d, c->name)),
        c->flags & SNAP_COND_INVERT ? "!" : "", OP[c->type]);
    if (c->type == STRMATCH_PRESENT)
        return;
    json(d, c->value);
    if (c->flags & SNAP_COND_IGNORE_CASE)
        buf_addch(d->out, 'i');
}

static void entry(const struct dump *d, const struct snap_entry *e)
{
    static const char *const PATH[] = {"any path", "exact", "prefix", "string prefix", "regex"};
    struct str name = snap_name(d->s, e->name);
    add(d, "    %u %s", e->rank, PATH[e->path]);
    if (e->path != PATH_ANY) {
        buf_addch(d->out, ' ');
        buf_json(d->out, e->path == PATH_PREFIX_ELEMENT && e->path_value.len == 0 ? STR("/") : text(d, e->path_value));
        if (e->flags & SNAP_ENTRY_IGNORE_CASE)
            buf_addch(d->out, 'i');
    }
    SNAP_EACH(i, e->conds)
        cond(d, &d->s->CONDS[i]);
    if (name.n)
        add(d, " named " STR_FMT, STR_ARG(name));
    add(d, " -> " STR_FMT "\n", STR_ARG(text(d, d->s->RULES[e->rule].key)));
}

static void host(const struct dump *d, const struct snap_host *h)
{
    add(d, "  host " STR_FMT " of " STR_FMT, STR_ARG(text(d, h->name)),
        STR_ARG(text(d, d->s->LISTENERS[h->listener].key)));
    if (h->fallback != SNAP_NONE)
        add(d, ", else " STR_FMT, STR_ARG(text(d, d->s->HOSTS[h->fallback].name)));
    buf_addc(d->out, h->flags & SNAP_HOST_HTTPS_REDIRECT ? ", redirect to https\n" : "\n");
    SNAP_EACH(i, h->entries)
        entry(d, &d->s->ENTRIES[d->s->RANKED[i]]);
}

static void cidr(const struct dump *d, const struct snap_cidr *c)
{
    char ip[INET6_ADDRSTRLEN] = "";
    inet_ntop(c->family == 4 ? AF_INET : AF_INET6, c->ip, ip, sizeof(ip));
    add(d, "  proxy header from %s/%u\n", ip, c->bits);
}

static void chain(const struct dump *d, const struct snap_chain *c)
{
    static const char *const MODE[] = {"http", "tcp", "passthrough", "refuse"};
    struct str why = snap_name(d->s, c->why);
    add(d, "  chain " STR_FMT " of " STR_FMT ", %s", STR_ARG(text(d, c->name)),
        STR_ARG(text(d, d->s->LISTENERS[c->listener].key)), MODE[c->mode]);
    if (c->tls != SNAP_NONE)
        add(d, ", tls server %u", c->tls);
    if (c->flags & SNAP_CHAIN_ISTIO_ALPN)
        buf_addc(d->out, ", istio alpn");
    if (c->rule != SNAP_NONE)
        add(d, " -> " STR_FMT, STR_ARG(text(d, d->s->RULES[c->rule].key)));
    if (why.n) {
        buf_addc(d->out, ": ");
        buf_json(d->out, why);
    }
    origin(d, c->origin);
    buf_addch(d->out, '\n');
}

static void bind_head(const struct dump *d, const struct snap_bind *b)
{
    struct str address = text(d, b->address);
    if (str_starts(address, STR("unix:")))
        add(d, "bind " STR_FMT, STR_ARG(address));
    else
        add(d, "bind " STR_FMT " port %u", STR_ARG(address.n ? address : STR("*")), b->port);
    if (b->flags & SNAP_BIND_DATAGRAM)
        buf_addc(d->out, " udp");
    buf_addch(d->out, '\n');
}

static void whole_bind(const struct dump *d, const struct snap_bind *b)
{
    static const char *const PROTOCOL[] = {"http", "https", "tls", "tcp", "udp"};
    bind_head(d, b);
    SNAP_EACH(i, b->listeners) {
        const struct snap_listener *l = &d->s->LISTENERS[i];
        add(d, "  listener " STR_FMT " named " STR_FMT ", %s " STR_FMT, STR_ARG(text(d, l->key)),
            STR_ARG(text(d, l->name)), PROTOCOL[l->protocol], STR_ARG(text(d, l->hostname)));
        origin(d, l->origin);
        buf_addch(d->out, '\n');
    }
    if (b->stream_rule != SNAP_NONE)
        add(d, "  stream -> " STR_FMT "\n", STR_ARG(text(d, d->s->RULES[b->stream_rule].key)));
    SNAP_EACH(i, b->proxy_trusted)
        cidr(d, &d->s->CIDRS[i]);
    if (b->trusted_hops != d->s->SETTINGS->trusted_hops)
        add(d, "  %u proxies in front\n", b->trusted_hops);
    SNAP_EACH(i, b->chains)
        chain(d, &d->s->CHAINS[i]);
    SNAP_EACH(i, b->hosts)
        host(d, &d->s->HOSTS[i]);
}

/* --- rules --------------------------------------------------------------------------------------- */

static void path_rewrite(const struct dump *d, unsigned type, uint32_t regex, struct snap_str value)
{
    static const char *const TYPE[] = {"", "path", "prefix", "string prefix", "regex"};
    if (type == REWRITE_NONE)
        return;
    add(d, " %s ", TYPE[type]);
    if (type == REWRITE_REGEX) {
        json(d, d->s->REGEXES[regex].pattern);
        buf_addch(d->out, ' ');
    }
    json(d, value);
}

static void header_ops(const struct dump *d, const char *indent, const struct snap_filter *f)
{
    static const char *const OP[] = {"set", "add", "remove"};
    SNAP_EACH(i, f->ops) {
        const struct snap_header_op *o = &d->s->HEADER_OPS[i];
        add(d, "%s%s header %s " STR_FMT, indent, f->type == FILTER_REQUEST_HEADERS ? "request" : "response",
            OP[o->op], STR_ARG(text(d, o->name)));
        if (o->op != HEADER_REMOVE) {
            buf_addch(d->out, ' ');
            json(d, o->value);
        }
        buf_addc(d->out, o->has_subst ? " subst\n" : "\n");
    }
}

static void filters(const struct dump *d, const char *indent, struct snap_range range)
{
    SNAP_EACH(i, range) {
        const struct snap_filter *f = &d->s->FILTERS[i];
        if (f->type != FILTER_REWRITE) {
            header_ops(d, indent, f);
            continue;
        }
        const struct snap_rewrite *r = &d->s->REWRITES[f->arg];
        add(d, "%srewrite", indent);
        if (r->host.len)
            add(d, " host " STR_FMT, STR_ARG(text(d, r->host)));
        path_rewrite(d, r->type, r->regex, r->path);
        buf_addch(d->out, '\n');
    }
}

static void retry(const struct dump *d, const struct snap_retry *r)
{
    static const char *const ON[] = {"connect-failure",   "reset",          "gateway-error",  "5xx", "retriable-4xx",
                                     "status-codes", "refused-stream", "reset-before-request", "cancelled",
                                     "deadline-exceeded", "internal", "resource-exhausted", "unavailable"};
    add(d, "  retry %u on", r->attempts);
    for (size_t i = 0; i < ARRAY_LEN(ON); i++)
        if (r->on & 1u << i)
            add(d, " %s", ON[i]);
    SNAP_EACH(i, r->codes)
        add(d, "%s%u", i > r->codes.first ? "," : " codes ", d->s->CODES[i]);
    if (r->backoff_ms)
        add(d, " backoff %ums", r->backoff_ms);
    if (r->per_try_ms)
        add(d, " per try %ums", r->per_try_ms);
    buf_addch(d->out, '\n');
}

static void redirect(const struct dump *d, const struct snap_redirect *r)
{
    static const char *const PORT[] = {"listener", "", "of host", "none", "of request"};
    add(d, "  redirect %u", r->status);
    if (r->scheme.len)
        add(d, " scheme " STR_FMT, STR_ARG(text(d, r->scheme)));
    if (r->host.len)
        add(d, " host " STR_FMT, STR_ARG(text(d, r->host)));
    if (r->port_mode == PORT_FIXED)
        add(d, " port %u", r->port);
    else
        add(d, " port %s", PORT[r->port_mode]);
    path_rewrite(d, r->path_type, r->regex, r->path);
    buf_addc(d->out, r->value_has_query ? " with query\n" : "\n");
}

static void direct(const struct dump *d, const struct snap_direct *r)
{
    add(d, "  direct %u ", r->status);
    json(d, r->body);
    add(d, " " STR_FMT "\n", STR_ARG(text(d, r->content_type)));
}

static void split(const struct dump *d, const struct snap_split *p)
{
    if (p->cluster != SNAP_NONE)
        add(d, "  split %u -> " STR_FMT "\n", p->weight, STR_ARG(text(d, d->s->CLUSTERS[p->cluster].key)));
    else
        add(d, "  split %u -> %u for " STR_FMT "\n", p->weight, p->status, STR_ARG(text(d, p->name)));
    filters(d, "    ", p->filters);
}

static void rule(const struct dump *d, const struct snap_rule *r)
{
    add(d, "rule " STR_FMT, STR_ARG(text(d, r->key)));
    if (r->name.len)
        add(d, " named " STR_FMT, STR_ARG(text(d, r->name)));
    origin(d, r->origin);
    buf_addch(d->out, '\n');
    if (r->request_timeout_ms != SNAP_NONE)
        add(d, "  request timeout %ums\n", r->request_timeout_ms);
    if (r->backend_timeout_ms != SNAP_NONE)
        add(d, "  backend timeout %ums\n", r->backend_timeout_ms);
    if (r->idle_timeout_ms)
        add(d, "  idle timeout %ums\n", r->idle_timeout_ms);
    if (r->flags & SNAP_RULE_GRPC)
        buf_addc(d->out, "  grpc\n");
    if (r->retry != SNAP_NONE)
        retry(d, &d->s->RETRIES[r->retry]);
    filters(d, "  ", r->filters);
    if (r->action == ACTION_REDIRECT)
        redirect(d, &d->s->REDIRECTS[r->redirect]);
    if (r->action == ACTION_DIRECT)
        direct(d, &d->s->DIRECTS[r->direct]);
    if (r->header_merge == HEADER_MERGE_SPLIT_FIRST)
        buf_addc(d->out, "  headers of the split first\n");
    SNAP_EACH(i, r->splits)
        split(d, &d->s->SPLITS[i]);
    if (r->action == ACTION_SPLIT && r->no_backend_status)
        add(d, "  without backend %u\n", r->no_backend_status);
}

static void cluster(const struct dump *d, const struct snap_cluster *c)
{
    static const char *const LB[] = {"round robin", "least request", "random"};
    static const char *const PROTOCOL[] = {"http1", "h2", "auto"};
    static const char *const HEADER[] = {"", "v1", "v2"};
    add(d, "cluster " STR_FMT " named " STR_FMT ", %s, %s", STR_ARG(text(d, c->key)),
        STR_ARG(text(d, c->name)), LB[c->lb], PROTOCOL[c->protocol]);
    origin(d, c->origin);
    buf_addch(d->out, '\n');
    if (c->connect_timeout_ms)
        add(d, "  connect timeout %ums\n", c->connect_timeout_ms);
    if (c->idle_timeout_ms)
        add(d, "  idle timeout %ums\n", c->idle_timeout_ms);
    if (c->max_connections || c->max_pending || c->max_requests)
        add(d, "  at most %u connections, %u pending, %u requests\n", c->max_connections, c->max_pending,
            c->max_requests);
    if (c->tls != SNAP_NONE)
        add(d, "  tls client %u\n", c->tls);
    if (c->proxy_header)
        add(d, "  proxy header %s\n", HEADER[c->proxy_header]);
    SNAP_EACH(i, c->endpoints) {
        const struct snap_endpoint *e = &d->s->ENDPOINTS[i];
        add(d, "  endpoint " STR_FMT, STR_ARG(text(d, e->address)));
        if (e->port)
            add(d, " port %u", e->port);
        if (e->weight != 1)
            add(d, " weight %u", e->weight);
        buf_addc(d->out, e->dns_slot != SNAP_NONE ? " dns\n" : "\n");
    }
}

/* --- TLS ----------------------------------------------------------------------------------------- */

/* A text by its hash and length: long, and not for people. */
static void long_text(const struct dump *d, const char *what, struct snap_str t)
{
    if (t.len)
        add(d, "  %s %016llx, %u bytes\n", what, (unsigned long long)hash_str(text(d, t), 0), t.len);
}

static void names(const struct dump *d, const char *what, struct snap_range range)
{
    SNAP_EACH(i, range)
        add(d, "  %s " STR_FMT "\n", what, STR_ARG(text(d, d->s->NAMES[i])));
}

static void cert(const struct dump *d, const struct snap_cert *c)
{
    static const char *const KEY[] = {"no key", "rsa", "ecdsa", "ed25519"};
    char from[32], to[32];
    add(d, "certificate %u ", (unsigned)(c - d->s->CERTS));
    buf_json(d->out, snap_name(d->s, c->subject));
    buf_addc(d->out, " by ");
    buf_json(d->out, snap_name(d->s, c->issuer));
    add(d, ", %s %u, serial " STR_FMT, KEY[c->key_type], c->key_bits, STR_ARG(snap_name(d->s, c->serial)));
    origin(d, c->origin);
    clock_format((uint64_t)GH_MAX(c->not_before_s, 0) * 1000000, 0, from);
    clock_format((uint64_t)GH_MAX(c->not_after_s, 0) * 1000000, 0, to);
    add(d, "\n  valid %s to %s\n  sha256 ", from, to);
    for (size_t i = 0; i < sizeof(c->sha256); i++)
        add(d, "%02x", c->sha256[i]);
    buf_addch(d->out, '\n');
    names(d, "name", c->names);
    long_text(d, "chain", c->chain);
    long_text(d, "ocsp", c->ocsp);
}

static void tls_server(const struct dump *d, const struct snap_tls_server *t)
{
    static const char *const AUTH[] = {"", "optional", "required", "tolerated"};
    static const char *const VERSION[] = {"auto", "1.2", "1.3"};
    static const char *const ALPN[] = {"", "h2", "http/1.1", "h2, http/1.1"};
    add(d, "tls server %u", (unsigned)(t - d->s->TLS_SERVERS));
    origin(d, t->origin);
    buf_addch(d->out, '\n');
    SNAP_EACH(i, t->certs)
        add(d, "  certificate %u\n", d->s->INDEXES[i]);
    if (t->client_auth)
        add(d, "  client certificate %s\n", AUTH[t->client_auth]);
    long_text(d, "ca", t->ca);
    long_text(d, "crl", t->crl);
    names(d, "client name", t->sans);
    names(d, "client spki", t->spki);
    names(d, "client hash", t->hashes);
    if (t->min_version || t->max_version)
        add(d, "  versions %s to %s\n", VERSION[t->min_version], VERSION[t->max_version]);
    if (t->ciphers.len)
        add(d, "  ciphers " STR_FMT "\n", STR_ARG(text(d, t->ciphers)));
    if (t->alpn)
        add(d, "  alpn %s\n", ALPN[t->alpn & 3]);
}

static void tls_client(const struct dump *d, const struct snap_tls_client *t)
{
    add(d, "tls client %u", (unsigned)(t - d->s->TLS_CLIENTS));
    origin(d, t->origin);
    buf_addch(d->out, '\n');
    if (t->sni.len)
        add(d, "  sni " STR_FMT "\n", STR_ARG(text(d, t->sni)));
    if (t->identity.len)
        add(d, "  identity " STR_FMT "\n", STR_ARG(text(d, t->identity)));
    names(d, "name", t->sans);
    long_text(d, "ca", t->ca);
    long_text(d, "crl", t->crl);
    if (t->flags & SNAP_TLS_SYSTEM_CA)
        buf_addc(d->out, "  ca of the system\n");
    if (t->flags & SNAP_TLS_INSECURE)
        buf_addc(d->out, "  not verified\n");
    if (t->flags & SNAP_TLS_ANY_NAME)
        buf_addc(d->out, "  any name\n");
    if (t->cert != SNAP_NONE)
        add(d, "  certificate %u\n", t->cert);
    if (t->flags & SNAP_TLS_BROKEN)
        add(d, "  broken%s: no connection is made\n", t->flags & SNAP_TLS_NO_CERT ? " (certificate)" : "");
}

static void settings(const struct dump *d, const struct snap_settings *v)
{
#define X(name, type, def, text)                                                                   \
    if (v->name != (type)(def))                                                                    \
        add(d, "setting %s %llu\n", #name, (unsigned long long)v->name);
#include "shared/tbl/setting.def"
#undef X
}

/* --- the matcher --------------------------------------------------------------------------------- */

static void indent(const struct dump *d, unsigned depth)
{
    for (unsigned i = 0; i < GH_MIN(depth, 60u); i++)
        buf_addc(d->out, "  ");
}

/* A run as its ranks on the line; a list as a line per value found in its table, deeper. */
static void set(const struct dump *d, uint32_t i, unsigned depth)
{
    static const char *const BY[] = {"header", "raw query", "query"};
    const struct snap *s = d->s;
    if (i == SNAP_NONE) {
        buf_addch(d->out, '\n');
        return;
    }
    if (!(i & SNAP_SET_LIST)) {
        const struct snap_entry *e = &s->ENTRIES[i];
        for (;; e++) {
            add(d, " %u", e->rank);
            if (e->flags & SNAP_ENTRY_LAST)
                break;
        }
        buf_addch(d->out, '\n');
        return;
    }
    const struct snap_list *l = &s->LISTS[i & ~SNAP_SET_LIST];
    uint32_t used = 0;
    for (uint32_t k = 0; k < 1u << l->log2; k++)
        used += s->LIST_SLOTS[l->slots + k].value != SNAP_NONE;
    add(d, " by %s " STR_FMT ", %u values, from rank %u\n", BY[l->by], STR_ARG(text(d, l->name)), used,
        l->min_rank);
    for (uint32_t k = 0; k < 1u << l->log2; k++) {
        if (s->LIST_SLOTS[l->slots + k].value == SNAP_NONE)
            continue;
        indent(d, depth + 1);
        buf_addc(d->out, "value:");
        set(d, s->LIST_SLOTS[l->slots + k].value, depth + 1);
    }
    if (l->rest != SNAP_NONE) {
        indent(d, depth + 1);
        buf_addc(d->out, "rest:");
        set(d, l->rest, depth + 1);
    }
}

/* Kids lie behind their parent, so this ends; how deep it goes is bounded by the longest path. */
static void node(const struct dump *d, const struct snap_node *n, unsigned depth)
{
    indent(d, depth);
    buf_json(d->out, str_of(d->s->STRINGS + n->label, n->label_len));
    set(d, n->set, depth);
    for (uint32_t i = 0; i < n->n_kids; i++)
        node(d, &d->s->NODES[n->kids + i], depth + 1);
}

static void host_matcher(const struct dump *d, const struct snap_host *h)
{
    add(d, "  host " STR_FMT "\n", STR_ARG(text(d, h->name)));
    if (h->any != SNAP_NONE) {
        buf_addc(d->out, "    any:");
        set(d, h->any, 2);
    }
    if (h->tree != SNAP_NONE) {
        buf_addc(d->out, "    tree\n");
        node(d, &d->s->NODES[h->tree], 3);
    }
    if (h->tree_fold != SNAP_NONE) {
        buf_addc(d->out, "    tree without case\n");
        node(d, &d->s->NODES[h->tree_fold], 3);
    }
    for (uint32_t i = 0; i < d->s->n[SNAP_EXACT_SLOTS]; i++) {
        uint32_t value = d->s->EXACT_SLOTS[i].value;
        if (value == SNAP_NONE || value & SNAP_SET_LIST || value - h->entries.first >= h->entries.n)
            continue;
        add(d, "    exact " STR_FMT ":", STR_ARG(text(d, d->s->ENTRIES[value].path_value)));
        set(d, value, 2);
    }
}

void snap_dump_model(const struct snap *s, struct buf *out)
{
    struct dump d = {s, out};
    settings(&d, s->SETTINGS);
    for (uint32_t i = 0; i < s->n[SNAP_BINDS]; i++)
        whole_bind(&d, &s->BINDS[i]);
    for (uint32_t i = 0; i < s->n[SNAP_RULES]; i++)
        rule(&d, &s->RULES[i]);
    for (uint32_t i = 0; i < s->n[SNAP_CLUSTERS]; i++)
        cluster(&d, &s->CLUSTERS[i]);
    for (uint32_t i = 0; i < s->n[SNAP_TLS_SERVERS]; i++)
        tls_server(&d, &s->TLS_SERVERS[i]);
    for (uint32_t i = 0; i < s->n[SNAP_TLS_CLIENTS]; i++)
        tls_client(&d, &s->TLS_CLIENTS[i]);
    for (uint32_t i = 0; i < s->n[SNAP_CERTS]; i++)
        cert(&d, &s->CERTS[i]);
}

void snap_dump_matcher(const struct snap *s, struct buf *out)
{
    struct dump d = {s, out};
    for (uint32_t i = 0; i < s->n[SNAP_BINDS]; i++) {
        bind_head(&d, &s->BINDS[i]);
        SNAP_EACH(k, s->BINDS[i].hosts)
            host_matcher(&d, &s->HOSTS[k]);
    }
}

void snap_dump(const struct snap *s, struct buf *out)
{
    snap_dump_model(s, out);
    buf_addc(out, "matcher\n");
    snap_dump_matcher(s, out);
}
