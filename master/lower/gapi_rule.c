/* gapi_rule.c - rules of an HTTPRoute as parts of the model; GATEWAY-API-RULES sections 6, 7, 8, 9.
 */
#include "master/lower/gapi.h"
#include "shared/http/uri.h"

/* ---- names ----------------------------------------------------------------------------------- */

/* A hundred thousand routes share a few of these words. */
static struct str rule_word(struct lower *l, size_t i)
{
    struct str *w = i < GAPI_RULES_MAX ? &l->gapi->rule_words[i] : NULL;
    if (!w)
        return arena_strf(l->arena, "rules[%zu]", i);
    if (!w->n)
        *w = arena_strf(l->arena, "rules[%zu]", i);
    return *w;
}

static struct str match_word(struct lower *l, size_t i, size_t j)
{
    struct str *w = i < GAPI_RULES_MAX && j < GAPI_MATCHES_MAX ? &l->gapi->match_words[i][j] : NULL;
    if (!w)
        return arena_strf(l->arena, "rules[%zu].matches[%zu]", i, j);
    if (!w->n)
        *w = arena_strf(l->arena, "rules[%zu].matches[%zu]", i, j);
    return *w;
}

/* "HTTPRoute/ns/name/0": printf would be the most costly thing that happens to a small route. */
static struct str rule_key(struct lower *l, const struct object *o, size_t i)
{
    struct buf *b = &l->gapi->text;
    buf_clear(b);
    buf_adds(b, STR("HTTPRoute/"));
    buf_adds(b, o->ns);
    buf_addch(b, '/');
    buf_adds(b, o->name);
    buf_addch(b, '/');
    buf_addu(b, i);
    return arena_str(l->arena, buf_str(b));
}

/* ---- matches (6) ----------------------------------------------------------------------------- */

/* Requests are matched in canonical form (shared/http/uri.h), so values are brought to it, too. */
static struct str canonical(struct lower *l, struct str path)
{
    struct str out;
    if (!memchr(path.p, '%', path.n))
        return path;
    char *room = arena_alloc(l->arena, HTTP_PATH_ROOM(path.n));
    unsigned keep = PATH_KEEP_ENCODED_SLASH | PATH_KEEP_ENCODED_BACKSLASH | PATH_KEEP_PARAMETERS;
    return http_path_canonical(path, keep, room, &out) == URI_OK ? out : path;
}

static void make_path(struct lower *l, const struct gapi_path_match *p, struct model_match *m)
{
    m->path = PATH_PREFIX_ELEMENT;
    m->path_value = STR("");
    if (!p)
        return;
    if (p->type == GAPI_PATH_REGEX) {
        m->path = PATH_REGEX;
        m->path_value = p->value;
        return;
    }
    m->path = p->type == GAPI_PATH_EXACT ? PATH_EXACT : PATH_PREFIX_ELEMENT;
    m->path_value = canonical(l, p->value);
    while (m->path == PATH_PREFIX_ELEMENT && m->path_value.n &&
           m->path_value.p[m->path_value.n - 1] == '/')
        m->path_value.n--;
}

static struct str lower_case(struct arena *a, struct str s)
{
    char *p = NULL;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (c == s.p[i])
            continue;
        if (!p)
            p = (char *)arena_str(a, s).p; /* ours: just made */
        p[i] = c;
    }
    return p ? str_of(p, s.n) : s;
}

/* Of equal names only the first counts. */
static bool named_before(const struct model_kv_match *v, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i].name, name))
            return true;
    return false;
}

static size_t make_kv(struct lower *l, const struct gapi_kv_match *from, size_t n, bool headers,
                      struct model_kv_match *v)
{
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        struct str name = headers ? lower_case(l->arena, from[i].name) : from[i].name;
        if (named_before(v, out, name))
            continue;
        v[out].name = name;
        v[out].m.type = from[i].type == GAPI_VALUE_REGEX ? STRMATCH_REGEX : STRMATCH_EXACT;
        v[out++].m.value = from[i].value;
    }
    return out;
}

struct model_match *gapi_make_match(struct lower *l, const struct object *o,
                                    const struct gapi_http_rule *r, size_t i, size_t j)
{
    struct model_match *m = arena_new(l->arena, struct model_match);
    const struct gapi_http_match *from = r && j < r->matches.n ? &r->matches.v[j] : NULL;
    make_path(l, from ? from->path : NULL, m);
    m->origin = lower_origin(o,
                             from ? from->node
                             : r  ? r->node
                                  : NULL,
                             from ? match_word(l, i, j) : rule_word(l, i));
    m->index = (uint16_t)j;
    if (!from)
        return m;
    if (from->method.n)
        m->method = (struct model_strmatch){.type = STRMATCH_EXACT, .value = from->method};
    if (from->headers.n) {
        m->headers.v = arena_new_n(l->arena, struct model_kv_match, from->headers.n);
        m->headers.n = make_kv(l, from->headers.v, from->headers.n, true, m->headers.v);
        m->headers.cap = from->headers.n;
    }
    if (from->query.n) {
        m->query.v = arena_new_n(l->arena, struct model_kv_match, from->query.n);
        m->query.n = make_kv(l, from->query.v, from->query.n, false, m->query.v);
        m->query.cap = from->query.n;
    }
    return m;
}

/* ---- filters (7) ----------------------------------------------------------------------------- */

static struct model_path_rewrite make_path_rewrite(const struct gapi_path_modifier *p)
{
    if (!p)
        return (struct model_path_rewrite){.type = REWRITE_NONE};
    if (p->type == GAPI_REPLACE_FULL_PATH)
        return (struct model_path_rewrite){.type = REWRITE_FULL,
                                           .value = p->full.n ? p->full : STR("/")};
    return (struct model_path_rewrite){.type = REWRITE_PREFIX_ELEMENT, .value = p->prefix};
}

static void add_op(struct model_filter *f, enum header_op op, struct str name, struct str value)
{
    f->u.headers.v[f->u.headers.n++] =
        (struct model_header_op){.op = op, .name = name, .value = value};
}

static void make_header_filter(struct lower *l, const struct gapi_header_filter *h,
                               struct model_filter *f)
{
    size_t n = h->set.n + h->add.n + h->remove.n;
    f->u.headers.v = arena_new_n(l->arena, struct model_header_op, n);
    f->u.headers.cap = n;
    for (size_t i = 0; i < h->set.n; i++)
        add_op(f, HEADER_SET, h->set.v[i].name, h->set.v[i].value);
    for (size_t i = 0; i < h->add.n; i++)
        add_op(f, HEADER_ADD, h->add.v[i].name, h->add.v[i].value);
    for (size_t i = 0; i < h->remove.n; i++)
        add_op(f, HEADER_REMOVE, h->remove.v[i], STR(""));
}

/* Those that are verbs of the model; a redirect is an action, a mirror is not made yet. */
static void make_filters(struct lower *l, const struct object *o,
                         const struct gapi_http_filters *from, struct model_filters *out)
{
    if (from->n == 0)
        return;
    out->v = arena_new_n(l->arena, struct model_filter, from->n);
    out->cap = from->n;
    for (size_t i = 0; i < from->n; i++) {
        const struct gapi_http_filter *g = &from->v[i];
        struct model_filter *f = &out->v[out->n];
        if (g->request_headers || g->response_headers) {
            f->type = g->request_headers ? FILTER_REQUEST_HEADERS : FILTER_RESPONSE_HEADERS;
            make_header_filter(l, g->request_headers ? g->request_headers : g->response_headers, f);
        } else if (g->rewrite) {
            f->type = FILTER_REWRITE;
            f->u.rewrite.host = g->rewrite->hostname;
            f->u.rewrite.path = make_path_rewrite(g->rewrite->path);
        } else {
            continue;
        }
        f->origin = lower_origin(o, g->node, STR_NONE);
        out->n++;
    }
}

static void make_redirect(const struct gapi_redirect_filter *g, struct model_rule *rule)
{
    rule->action = ACTION_REDIRECT;
    rule->redirect = (struct model_redirect){
        .scheme = g->scheme,
        .host = g->hostname,
        .port_mode = g->port.set ? PORT_FIXED : PORT_LISTENER, /* 7.2 */
        .port = (uint16_t)g->port.v,
        .path = make_path_rewrite(g->path),
        .status = (uint16_t)g->status.v,
    };
}

/* A filter that must not be skipped and is not served: its requests get 500 (section 7). A mirror
 * changes nothing for the client, so that requests pass without it. */
static bool is_served(const struct gapi_http_filter *f, bool of_backend)
{
    switch (f->type) {
    case GAPI_FILTER_REQUEST_HEADERS:
    case GAPI_FILTER_RESPONSE_HEADERS:
    case GAPI_FILTER_REWRITE:
    case GAPI_FILTER_MIRROR:
        return true;
    case GAPI_FILTER_REDIRECT:
        return !of_backend; /* the request is on its way to the backend already */
    default:
        return false;
    }
}

static const struct gapi_http_filter *first_unserved(const struct gapi_http_filters *fs,
                                                     bool of_backend)
{
    for (size_t i = 0; i < fs->n; i++)
        if (!is_served(&fs->v[i], of_backend))
            return &fs->v[i];
    return NULL;
}

/* ---- time-outs and retries (9) --------------------------------------------------------------- */

static uint32_t milliseconds(uint64_t ms)
{
    return ms < UINT32_MAX - 1
               ? (uint32_t)ms
               : UINT32_MAX - 1; /* 49 days; the last value means "default" in the snapshot */
}

static void make_timeouts(const struct gapi_timeouts *t, struct model_rule *rule)
{
    if (!t)
        return;
    rule->has_request_timeout = t->request.set;
    rule->request_timeout_ms = milliseconds(t->request.ms);
    rule->has_backend_timeout = t->backend_request.set;
    rule->backend_timeout_ms = milliseconds(t->backend_request.ms);
}

/*
 * With a retry stanza failed connections and time-outs of a try are always tried again, statuses
 * only when they are listed. Without one only what certainly never reached a backend is: a refused
 * connection to one of several endpoints is no reason to fail a request.
 */
static void make_retry(struct lower *l, const struct gapi_retry *g, struct model_rule *rule)
{
    const uint32_t unsent =
        RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM | RETRY_ON_RESET_BEFORE_REQUEST;
    struct model_retry *r = &rule->retry;
    *r = (struct model_retry){.attempts = 2, .on = unsent, .backoff_ms = 25};
    if (!g)
        return;
    r->attempts = g->attempts.set ? (uint16_t)g->attempts.v : 1;
    r->on = unsent | RETRY_ON_RESET;
    if (g->backoff.set)
        r->backoff_ms = milliseconds(g->backoff.ms);
    if (g->codes.n == 0)
        return;
    r->on |= RETRY_ON_STATUS_CODES;
    r->codes = arena_new_n(l->arena, uint16_t, g->codes.n);
    r->n_codes = g->codes.n;
    for (size_t i = 0; i < g->codes.n; i++)
        r->codes[i] = (uint16_t)g->codes.v[i];
}

/* ---- backends (8) ---------------------------------------------------------------------------- */

static void make_split(struct lower *l, const struct object *o,
                       const struct gapi_backend_ref *b, struct model_split *s)
{
    s->weight = (uint32_t)b->weight.v;
    s->origin = lower_origin(o, b->node, STR_NONE);
    if (!first_unserved(&b->filters, true))
        s->cluster = gapi_backend_cluster(l, o, b);
    if (!s->cluster) {
        s->status = 500;
        s->reason = REASON_INVALID_BACKEND;
        s->name = gapi_backend_name(l, o, b);
        return;
    }
    s->name = s->cluster->name;
    make_filters(l, o, &b->filters, &s->filters);
}

static void make_splits(struct lower *l, const struct object *o, const struct gapi_http_rule *r,
                        struct model_rule *rule)
{
    uint64_t weights = 0;
    size_t n = r ? r->backends.n : 0;
    if (n) {
        rule->splits.v = arena_new_n(l->arena, struct model_split, n);
        rule->splits.n = rule->splits.cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        make_split(l, o, &r->backends.v[i], &rule->splits.v[i]);
        weights += rule->splits.v[i].weight;
    }
    if (weights == 0)
        rule->no_backend_status = 500; /* no backendRefs, or none with a weight */
}

/* ---- the rule -------------------------------------------------------------------------------- */

struct model_rule *gapi_make_rule(struct lower *l, const struct object *o,
                                  const struct gapi_http_rule *r, size_t i)
{
    struct model_rule *rule = model_rule_add(l->model, rule_key(l, o, i));
    rule->name = r && r->name.n ? arena_strf(l->arena, STR_FMT "/" STR_FMT "/" STR_FMT,
                                             STR_ARG(o->ns), STR_ARG(o->name), STR_ARG(r->name))
                                : str_skip(rule->key, strlen("HTTPRoute/"));
    rule->origin = lower_origin(o, r ? r->node : NULL, rule_word(l, i));
    rule->action = ACTION_SPLIT;
    rule->header_merge = HEADER_MERGE_RULE_FIRST;
    if (r && first_unserved(&r->filters, false)) {
        rule->no_backend_status = 500;
        return rule;
    }
    if (r) {
        make_filters(l, o, &r->filters, &rule->filters);
        for (size_t j = 0; j < r->filters.n; j++)
            if (r->filters.v[j].redirect)
                make_redirect(r->filters.v[j].redirect, rule);
        make_timeouts(r->timeouts, rule);
    }
    if (rule->action == ACTION_REDIRECT)
        return rule;
    make_retry(l, r ? r->retry : NULL, rule);
    make_splits(l, o, r, rule);
    return rule;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* Mirrors and authorisation services are references as well: their faults are told, even if they
 * don't act yet. */
static void judge_filter_refs(struct lower *l, const struct object *o,
                              const struct gapi_http_filters *fs, struct gapi_findings *found)
{
    for (size_t i = 0; i < fs->n; i++) {
        const struct gapi_http_filter *f = &fs->v[i];
        const struct gapi_object_ref *ref = f->mirror ? f->mirror->backend
                                            : f->auth ? f->auth->backend
                                                      : NULL;
        if (f->extension && !found->refs.reason)
            found->refs = (struct gapi_fault){
                "InvalidKind",
                arena_strf(l->arena,
                           "extensionRef: kind " STR_FMT " of group \"" STR_FMT "\" is not known",
                           STR_ARG(f->extension->kind), STR_ARG(f->extension->group))};
        if (!ref)
            continue;
        struct gapi_backend_ref b = {.node = ref->node,
                                          .group = ref->group,
                                          .kind = ref->kind,
                                          .ns = ref->ns,
                                          .name = ref->name,
                                          .port = ref->port};
        enum backend_problem why = gapi_backend_problem(l, o, &b);
        if (why == BACKEND_OK)
            continue;
        struct gapi_fault fault = gapi_backend_fault(
            l, o, &b, why, f->mirror ? "no copy can be sent" : "it can't be asked");
        if (!found->refs.reason)
            found->refs = fault;
    }
}

static void judge_backend(struct lower *l, const struct object *o,
                          const struct gapi_backend_ref *b, struct gapi_findings *found)
{
    enum backend_problem why = gapi_backend_problem(l, o, b);
    if (why != BACKEND_OK) {
        struct gapi_fault fault =
            gapi_backend_fault(l, o, b, why, "its share of requests is answered with 500");
        if (!found->refs.reason)
            found->refs = fault;
    }
    const struct gapi_http_filter *f = first_unserved(&b->filters, true);
    if (f && f->type == GAPI_FILTER_REDIRECT)
        diag_at_key(l->diags, DIAG_NotServed, f->node, "type", "write the filter at the rule",
                    "RequestRedirect has no place at a backend; its share of requests is answered "
                    "with 500");
    judge_filter_refs(l, o, &b->filters, found);
}

static void judge_rule(struct lower *l, const struct object *o, const struct gapi_http_rule *r,
                       size_t i, struct gapi_findings *found)
{
    const struct gapi_http_filter *f = first_unserved(&r->filters, false);
    uint64_t weights = 0;
    for (size_t j = 0; j < r->backends.n; j++) {
        judge_backend(l, o, &r->backends.v[j], found);
        weights += (uint64_t)r->backends.v[j].weight.v;
    }
    judge_filter_refs(l, o, &r->filters, found);
    if (r->backends.n && weights == 0)
        diag_at_key(l->diags, DIAG_NoEndpoints, r->node, "backendRefs", "give one of them a weight",
                    "all weights are 0: requests are answered with 500");
    bool redirects = false;
    for (size_t j = 0; j < r->filters.n; j++)
        redirects |= r->filters.v[j].type == GAPI_FILTER_REDIRECT;
    if (r->backends.n == 0 && !redirects && !f)
        diag_at(l->diags, DIAG_NoEndpoints, r->node, "add backendRefs, or a RequestRedirect filter",
                "the rule has no backend: requests are answered with 500");
    if (!f || f->type == GAPI_FILTER_EXTENSION) /* the latter is a reference, not a value */
        return;
    found->n_unsupported++;
    if (!found->unsupported.reason)
        found->unsupported = (struct gapi_fault){
            "UnsupportedValue",
            arena_strf(l->arena, "rules[%zu] answers 500: filter " STR_FMT " is not served yet", i,
                       STR_ARG(node_text(node_get(f->node, "type"))))};
}

void gapi_judge_rules(struct lower *l, const struct object *o,
                      const struct gapi_http_route_spec *spec, struct gapi_findings *found)
{
    for (size_t i = 0; i < spec->rules.n; i++)
        judge_rule(l, o, &spec->rules.v[i], i, found);
    if (spec->rules.n == 0)
        diag_at(l->diags, DIAG_NoEndpoints, spec->common.node, "add rules with backendRefs",
                "the route has no rules: every request is answered with 500");
}
