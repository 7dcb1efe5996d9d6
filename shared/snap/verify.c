#include "shared/snap/verify.h"
#include "shared/base/err.h"
#include "shared/http/field.h"

static const char *const SECTION_NAMES[] = {
#define X(name, type) #name,
    SNAP_SECTIONS(X)
#undef X
};

enum {
#define X(name, text) +1
    FILTER_TYPE_COUNT = 0
#include "shared/tbl/filter.def"
#undef X
};

/* --- sentences ----------------------------------------------------------------------------------- */

bool verify_fault(struct verify *v, const char *fmt, ...)
{
    if (v->why) {
        va_list ap;
        buf_addf(v->why, "section %s, row %u: ", SECTION_NAMES[v->section], v->row);
        va_start(ap, fmt);
        buf_vaddf(v->why, fmt, ap);
        va_end(ap);
    }
    return false;
}

bool verify_index(struct verify *v, const char *member, uint32_t value, enum snap_section to)
{
    return value < v->s->n[to] || verify_fault(v, "%s is %u, but %s has %u rows", member, value,
                                               SECTION_NAMES[to], v->s->n[to]);
}

bool verify_index_or_none(struct verify *v, const char *member, uint32_t value, enum snap_section to)
{
    return value == SNAP_NONE || verify_index(v, member, value, to);
}

bool verify_place(struct verify *v, uint32_t place)
{
    return (place & SNAP_PLACE_LINE) || verify_index(v, "place", place, SNAP_ORIGINS);
}

bool verify_range(struct verify *v, const char *member, struct snap_range r, enum snap_section to)
{
    uint32_t n = v->s->n[to];
    return (r.first <= n && r.n <= n - r.first) ||
           verify_fault(v, "%s are %u rows from %u of %s, which has %u", member, r.n, r.first,
                        SECTION_NAMES[to], n);
}

bool verify_share(struct verify *v, const char *member, struct snap_range r, enum snap_section to)
{
    if (!verify_range(v, member, r, to))
        return false;
    if (r.n == 0)
        return true;
    if (r.first != v->next[to])
        return verify_fault(v, "%s begin at row %u of %s, those before end at %u", member, r.first,
                            SECTION_NAMES[to], v->next[to]);
    v->next[to] = r.first + r.n;
    return true;
}

bool verify_text(struct verify *v, const char *member, struct snap_str t)
{
    uint32_t n = v->s->n[SNAP_STRINGS];
    if (t.off >= n || t.len >= n - t.off)
        return verify_fault(v, "%s is %u bytes from byte %u of STRINGS, which has %u", member, t.len, t.off, n);
    return v->s->STRINGS[t.off + t.len] == '\0' || verify_fault(v, "%s has no NUL behind it", member);
}

bool verify_name(struct verify *v, const char *member, struct snap_name t)
{
    return verify_index(v, member, t.off, SNAP_STRINGS);
}

bool verify_enum(struct verify *v, const char *member, uint32_t value, uint32_t count)
{
    return value < count || verify_fault(v, "%s is %u, this build knows 0 to %u", member, value, count - 1);
}

bool verify_bits(struct verify *v, const char *member, uint32_t value, uint32_t known)
{
    return (value & ~known) == 0 || verify_fault(v, "%s are %#x, this build knows %#x", member, value, known);
}

bool verify_regex(struct verify *v, uint32_t regex, bool needed, bool search)
{
    if (needed && !verify_index(v, "regex", regex, SNAP_REGEXES))
        return false;
    if (needed)
        return !(v->s->REGEXES[regex].flags & SNAP_REGEX_SEARCH) == !search ||
               verify_fault(v, "regex %u is%s for searching", regex, search ? " not" : "");
    return regex == SNAP_NONE || verify_fault(v, "regex is %u where none may be", regex);
}

/* --- rows ---------------------------------------------------------------------------------------- */

static bool strings(struct verify *v)
{
    const struct snap *s = v->s;
    uint32_t n = s->n[SNAP_STRINGS];
    return (n > 0 && s->STRINGS[0] == '\0' && s->STRINGS[n - 1] == '\0') ||
           verify_fault(v, "the texts do not begin and end with a NUL");
}

static bool settings(struct verify *v)
{
    return v->s->n[SNAP_SETTINGS] == 1 || verify_fault(v, "there are %u rows of settings", v->s->n[SNAP_SETTINGS]);
}

static bool object(struct verify *v, const struct snap_object *o)
{
    return verify_name(v, "api_version", o->api_version) && verify_name(v, "kind", o->kind) &&
           verify_name(v, "ns", o->ns) && verify_name(v, "name", o->name) && verify_name(v, "file", o->file);
}

static bool origin(struct verify *v, const struct snap_origin *o)
{
    return verify_index(v, "object", o->object, SNAP_OBJECTS) && verify_name(v, "section", o->section);
}

static bool listener(struct verify *v, const struct snap_listener *l)
{
    return verify_text(v, "key", l->key) && verify_text(v, "name", l->name) &&
           verify_text(v, "hostname", l->hostname) && verify_index(v, "bind", l->bind, SNAP_BINDS) &&
           verify_index(v, "origin", l->origin, SNAP_ORIGINS) &&
           verify_enum(v, "protocol", l->protocol, LISTENER_UDP + 1);
}

static bool regex(struct verify *v, const struct snap_regex *r)
{
    return verify_text(v, "pattern", r->pattern) &&
           verify_bits(v, "flags", r->flags, SNAP_REGEX_IGNORE_CASE | SNAP_REGEX_SEARCH);
}

/* Invariant 8. */
static bool weights(struct verify *v, const struct snap_rule *r)
{
    uint64_t sum = 0;
    SNAP_EACH(i, r->splits)
        sum += v->s->SPLITS[i].weight;
    return sum == r->total_weight || verify_fault(v, "total_weight is %u, the splits have %llu",
                                                  r->total_weight, (unsigned long long)sum);
}

static bool rule(struct verify *v, const struct snap_rule *r)
{
    return verify_text(v, "key", r->key) && verify_text(v, "name", r->name) &&
           verify_index(v, "origin", r->origin, SNAP_ORIGINS) &&
           verify_enum(v, "action", r->action, ACTION_DIRECT + 1) &&
           verify_enum(v, "header_merge", r->header_merge, HEADER_MERGE_SPLIT_FIRST + 1) &&
           verify_range(v, "filters", r->filters, SNAP_FILTERS) &&
           verify_range(v, "splits", r->splits, SNAP_SPLITS) && weights(v, r) &&
           (r->action == ACTION_REDIRECT ? verify_index : verify_index_or_none)(v, "redirect", r->redirect,
                                                                               SNAP_REDIRECTS) &&
           (r->action == ACTION_DIRECT ? verify_index : verify_index_or_none)(v, "direct", r->direct,
                                                                             SNAP_DIRECTS) &&
           verify_index_or_none(v, "retry", r->retry, SNAP_RETRIES) &&
           verify_bits(v, "flags", r->flags, SNAP_RULE_GRPC);
}

static bool filter(struct verify *v, const struct snap_filter *f)
{
    return verify_enum(v, "type", f->type, FILTER_TYPE_COUNT) &&
           (f->type == FILTER_REWRITE ? verify_index : verify_index_or_none)(v, "arg", f->arg, SNAP_REWRITES) &&
           verify_range(v, "ops", f->ops, SNAP_HEADER_OPS) &&
           verify_index(v, "origin", f->origin, SNAP_ORIGINS);
}

static bool header_op(struct verify *v, const struct snap_header_op *o)
{
    return verify_enum(v, "op", o->op, HEADER_REMOVE + 1) && verify_enum(v, "has_subst", o->has_subst, 2) &&
           verify_enum(v, "field_id", o->field_id, FIELD_COUNT) && verify_text(v, "name", o->name) &&
           verify_text(v, "value", o->value);
}

static bool rewrite(struct verify *v, const struct snap_rewrite *r)
{
    return verify_enum(v, "type", r->type, REWRITE_REGEX + 1) &&
           verify_regex(v, r->regex, r->type == REWRITE_REGEX, true) && verify_text(v, "host", r->host) &&
           verify_text(v, "path", r->path);
}

static bool redirect(struct verify *v, const struct snap_redirect *r)
{
    return verify_text(v, "scheme", r->scheme) && verify_text(v, "host", r->host) &&
           verify_text(v, "path", r->path) && verify_enum(v, "port_mode", r->port_mode, PORT_REQUEST + 1) &&
           verify_enum(v, "path_type", r->path_type, REWRITE_REGEX + 1) &&
           verify_regex(v, r->regex, r->path_type == REWRITE_REGEX, true);
}

static bool direct(struct verify *v, const struct snap_direct *d)
{
    return verify_text(v, "body", d->body) && verify_text(v, "content_type", d->content_type);
}

static bool retry(struct verify *v, const struct snap_retry *r)
{
    return verify_range(v, "codes", r->codes, SNAP_CODES);
}

static bool split(struct verify *v, const struct snap_split *p)
{
    return verify_index_or_none(v, "cluster", p->cluster, SNAP_CLUSTERS) &&
           verify_enum(v, "reason", p->reason, REASON_COUNT) &&
           verify_place(v, p->place) &&
           verify_range(v, "filters", p->filters, SNAP_FILTERS) && verify_text(v, "name", p->name);
}

static bool cluster(struct verify *v, const struct snap_cluster *c)
{
    return verify_text(v, "key", c->key) && verify_text(v, "name", c->name) &&
           verify_index(v, "origin", c->origin, SNAP_ORIGINS) && verify_enum(v, "lb", c->lb, LB_RANDOM + 1) &&
           verify_enum(v, "protocol", c->protocol, UPSTREAM_AUTO + 1) &&
           verify_index_or_none(v, "tls", c->tls, SNAP_TLS_CLIENTS) &&
           verify_enum(v, "proxy_header", c->proxy_header, PROXY_HEADER_V2 + 1) &&
           verify_range(v, "endpoints", c->endpoints, SNAP_ENDPOINTS);
}

static bool endpoint(struct verify *v, const struct snap_endpoint *e)
{
    if (e->family != 0 && e->family != 1 && e->family != 4 && e->family != 6)
        return verify_fault(v, "family is %u", e->family);
    return verify_text(v, "address", e->address) && verify_index(v, "origin", e->origin, SNAP_ORIGINS);
}

static bool series(struct verify *v, const struct snap_series *r)
{
    static const enum snap_section TO[] = {SNAP_LISTENERS, SNAP_RULES, SNAP_CLUSTERS};
    return verify_enum(v, "what", r->what, ARRAY_LEN(TO)) && verify_index(v, "index", r->index, TO[r->what]);
}

/* --- the whole ----------------------------------------------------------------------------------- */

/* Judges every row of a section with fn. */
#define ROWS(NAME, fn)                                                                             \
    for (v.section = SNAP_##NAME, v.row = 0; v.row < s->n[SNAP_##NAME]; v.row++)                   \
        if (!fn(&v, &s->NAME[v.row]))                                                              \
            return GH_E_RANGE;
/* Judges a section as a whole. */
#define WHOLE(NAME, fn)                                                                            \
    v.section = SNAP_##NAME, v.row = 0;                                                            \
    if (!fn(&v))                                                                                   \
        return GH_E_RANGE;

int snap_verify(const struct snap *s, struct buf *why)
{
    struct verify v = {.s = s, .why = why};
    WHOLE(STRINGS, strings)
    WHOLE(SETTINGS, settings)
    ROWS(OBJECTS, object)
    ROWS(ORIGINS, origin)
    ROWS(LISTENERS, listener)
    ROWS(REGEXES, regex)
    ROWS(CONDS, verify_cond)
    ROWS(ENTRIES, verify_entry)
    ROWS(LISTS, verify_list)
    ROWS(NODES, verify_node)
    ROWS(HOSTS, verify_host)
    ROWS(CERTS, verify_cert)
    ROWS(TLS_SERVERS, verify_tls_server)
    ROWS(TLS_CLIENTS, verify_tls_client)
    ROWS(CIDRS, verify_cidr)
    ROWS(CHAINS, verify_chain)
    ROWS(BINDS, verify_bind)
    WHOLE(HOST_SLOTS, verify_host_slots)
    WHOLE(CHAIN_SLOTS, verify_chain_slots)
    WHOLE(EXACT_SLOTS, verify_exact_slots)
    ROWS(HEADER_OPS, header_op)
    ROWS(REWRITES, rewrite)
    ROWS(FILTERS, filter)
    ROWS(REDIRECTS, redirect)
    ROWS(DIRECTS, direct)
    ROWS(RETRIES, retry)
    ROWS(SPLITS, split)
    ROWS(RULES, rule)
    ROWS(CLUSTERS, cluster)
    ROWS(ENDPOINTS, endpoint)
    ROWS(SERIES, series)
    return 0;
}
