#include "master/ctl/explain.h"

static const struct { const char *word, *text; } REASONS[] = {
#define X(name, word, status, text) {word, text},
#include "shared/tbl/reason.def"
#undef X
};

const char *explain_reason_word(enum reason r)
{
    return REASONS[r].word;
}

void explain_add_reason(const struct explain *x, struct buf *out)
{
    buf_addc(out, REASONS[x->reason].text);
}

/* --- TLS ------------------------------------------------------------------------------------------- */

void explain_add_chain(const struct snap *s, const struct snap_chain *c, struct buf *out)
{
    static const char *const MODE[] = {"terminated", "terminated, then bytes", "passed through", "refused"};
    static const char *const CLIENT[] = {"", ", client certificate verified if there is one", ", client certificate required",
                                         ", any client certificate or none"};
    buf_addc(out, MODE[c->mode]);
    if (c->flags & SNAP_CHAIN_ISTIO_ALPN)
        buf_addc(out, ", only for clients of the mesh");
    if (c->tls == SNAP_NONE)
        return;
    const struct snap_tls_server *t = &s->TLS_SERVERS[c->tls];
    unsigned min = t->min_version == TLS_VERSION_1_3 ? 3 : 2, max = t->max_version == TLS_VERSION_1_2 ? 2 : 3;
    if (min == max)
        buf_addf(out, ", TLS 1.%u", min);
    else
        buf_addf(out, ", TLS 1.%u to 1.%u", min, max);
    buf_addc(out, CLIENT[t->client_auth]);
}

/* --- conditions ---------------------------------------------------------------------------------- */

void explain_add_path(const struct snap *s, const struct snap_entry *e, struct buf *out)
{
    static const char *const PATH[] = {"any path", "path is ", "path is below ", "path begins with ", "path matches "};
    struct str value = snap_text(s, e->path_value);
    buf_addc(out, PATH[e->path]);
    if (e->path == PATH_ANY)
        return;
    buf_adds(out, e->path == PATH_PREFIX_ELEMENT && value.n == 0 ? STR("/") : value);
    if (e->flags & SNAP_ENTRY_IGNORE_CASE)
        buf_addc(out, " in any case");
}

static void add_subject(const struct snap *s, const struct snap_cond *c, struct buf *out)
{
    static const char *const WHAT[] = {"method", "scheme", "authority", "header ", "query parameter "};
    buf_addc(out, WHAT[c->what]);
    buf_adds(out, snap_text(s, c->name));
}

/* " is \"1\"", " does not begin with \"a\"" */
static void add_test(const struct snap *s, const struct snap_cond *c, bool yes, struct buf *out)
{
    static const char *const TEST[][2] = {{"", ""},
                                          {" is absent", " is present"},
                                          {" is not ", " is "},
                                          {" does not begin with ", " begins with "},
                                          {" does not match ", " matches "}};
    buf_addc(out, TEST[c->type][yes]);
    if (c->type == STRMATCH_PRESENT)
        return;
    buf_json(out, snap_text(s, c->value));
    if (c->flags & SNAP_COND_IGNORE_CASE)
        buf_addc(out, " in any case");
}

void explain_add_cond(const struct snap *s, const struct snap_cond *c, struct buf *out)
{
    add_subject(s, c, out);
    add_test(s, c, !(c->flags & SNAP_COND_INVERT), out);
}

/* What the request has there; false when nothing. */
static bool actual(const struct explain *x, const struct snap_cond *c, struct str *value)
{
    struct str rest = x->target.query, name, want = snap_text(x->snap, c->name);
    switch (c->what) {
    case COND_METHOD: *value = x->method; return true;
    case COND_SCHEME: *value = x->scheme; return true;
    case COND_AUTHORITY: *value = x->authority; return x->authority.n > 0;
    case COND_HEADER: return explain_header(x, want, value);
    default:
        while (rest.p && http_query_next(&rest, &name, value))
            if (c->flags & SNAP_COND_DECODED ? http_query_equal(name, want) : str_eq(name, want))
                return true;
        return false;
    }
}

static void add_lost_cond(const struct explain *x, const struct snap_cond *c, struct buf *out)
{
    struct str value = {0};
    bool there = actual(x, c, &value), invert = c->flags & SNAP_COND_INVERT;
    add_subject(x->snap, c, out);
    if (!there) {
        buf_addc(out, " is absent");
        return;
    }
    if (c->type == STRMATCH_PRESENT) {
        buf_addc(out, invert ? " is present" : " is absent");
        return;
    }
    buf_addc(out, " is ");
    buf_json(out, value);
    buf_addc(out, ", which");
    add_test(x->snap, c, invert, out);
}

void explain_add_lost(const struct explain *x, const struct explain_candidate *c, struct buf *out)
{
    static const char *const PATH[] = {"", "the path is not ", "the path is not below ", "the path does not begin with ",
                                       "the path does not match "};
    struct str value = snap_text(x->snap, c->entry->path_value);
    if (c->lost == LOST_RANK) {
        buf_addf(out, "would match too, but comes later: rank %u after rank %u", c->entry->rank,
                 x->hit.entry ? x->hit.entry->rank : 0);
    } else if (c->lost == LOST_PATH) {
        buf_addc(out, PATH[c->entry->path]);
        buf_adds(out, value.n ? value : STR("/"));
    } else {
        add_lost_cond(x, c->cond, out);
    }
}

/* --- what a rule does ---------------------------------------------------------------------------- */

static void add_rewrite_path(const struct snap *s, unsigned type, uint32_t regex, struct str value, struct buf *out)
{
    switch (type) {
    case REWRITE_FULL: buf_addf(out, "the path becomes " STR_FMT, STR_ARG(value)); break;
    case REWRITE_PREFIX_ELEMENT:
    case REWRITE_PREFIX_STRING:
        buf_addf(out, "the matched prefix of the path becomes " STR_FMT, STR_ARG(value.n ? value : STR("/")));
        break;
    case REWRITE_REGEX:
        buf_addc(out, "in the path, ");
        buf_json(out, snap_text(s, s->REGEXES[regex].pattern));
        buf_addc(out, " becomes ");
        buf_json(out, value);
        break;
    default: break;
    }
}

static bool add_rewrite(const struct snap *s, const struct snap_rewrite *r, uint32_t i, struct buf *out)
{
    bool host = r->host.len > 0;
    if (i == 0 && host) {
        buf_addf(out, "rewrite: Host becomes " STR_FMT, STR_ARG(snap_text(s, r->host)));
        return true;
    }
    if (i != (host ? 1u : 0u) || r->type == REWRITE_NONE)
        return false;
    buf_addc(out, "rewrite: ");
    add_rewrite_path(s, r->type, r->regex, snap_text(s, r->path), out);
    return true;
}

bool explain_add_filter(const struct snap *s, const struct snap_filter *f, uint32_t i, struct buf *out)
{
    static const char *const OP[] = {"set", "add", "remove"};
    if (f->type == FILTER_REWRITE)
        return add_rewrite(s, &s->REWRITES[f->arg], i, out);
    if (i >= f->ops.n)
        return false;
    const struct snap_header_op *o = &s->HEADER_OPS[f->ops.first + i];
    buf_addf(out, "%s header: %s " STR_FMT, f->type == FILTER_REQUEST_HEADERS ? "request" : "response", OP[o->op],
             STR_ARG(snap_text(s, o->name)));
    if (o->op != HEADER_REMOVE) {
        buf_addc(out, o->op == HEADER_SET ? " to " : ": ");
        buf_json(out, snap_text(s, o->value));
    }
    return true;
}

void explain_add_redirect(const struct snap *s, const struct snap_redirect *r, struct buf *out)
{
    static const char *const PORT[] = {"the listener's port", "", "the port of the request", "no port",
                                       "the listener's port unless it is the scheme's"};
    buf_addf(out, "%u to ", r->status);
    buf_adds(out, r->scheme.len ? snap_text(s, r->scheme) : STR("the same scheme"));
    buf_addc(out, ", ");
    buf_adds(out, r->host.len ? snap_text(s, r->host) : STR("the same host"));
    if (r->port_mode == PORT_FIXED)
        buf_addf(out, ", port %u", r->port);
    else
        buf_addf(out, ", %s", PORT[r->port_mode]);
    buf_addc(out, ", ");
    if (r->path_type == REWRITE_NONE)
        buf_addc(out, "the same path");
    else
        add_rewrite_path(s, r->path_type, r->regex, snap_text(s, r->path), out);
}

void explain_add_retry(const struct snap *s, const struct snap_retry *r, struct buf *out)
{
    static const char *const ON[] = {"connect-failure", "reset", "gateway-error", "5xx", "retriable-4xx", "",
                                     "refused-stream", "reset-before-request"};
    const char *comma = " on ";
    buf_addf(out, "%u %s", r->attempts, r->attempts == 1 ? "retry" : "retries");
    for (size_t i = 0; i < ARRAY_LEN(ON); i++) {
        if (!(r->on & 1u << i) || !*ON[i])
            continue;
        buf_addf(out, "%s%s", comma, ON[i]);
        comma = ", ";
    }
    SNAP_EACH(i, r->codes) {
        buf_addf(out, "%s%u", comma, s->CODES[i]);
        comma = ", ";
    }
    if (r->backoff_ms && r->backoff_ms != 25)
        buf_addf(out, ", after %u ms", r->backoff_ms);
    if (r->per_try_ms)
        buf_addf(out, ", each within %u ms", r->per_try_ms);
}
