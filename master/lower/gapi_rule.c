/* gapi_rule.c - rules of routes as parts of the model; GATEWAY-API-RULES sections 7, 8, 9 and 11. */
#include "master/lower/gapi.h"

/* ---- rules of any kind ----------------------------------------------------------------------- */

static size_t http_rules(const struct gapi_http_route_spec *s, struct gapi_rule *out)
{
    for (size_t i = 0; i < s->rules.n; i++) {
        const struct gapi_http_rule *r = &s->rules.v[i];
        out[i] = (struct gapi_rule){.node = r->node, .name = r->name, .filters = r->filters, .backends = r->backends.v,
                                    .n_backends = r->backends.n, .n_matches = r->matches.n, .http = r};
    }
    return s->rules.n;
}

static size_t grpc_rules(const struct gapi_grpc_route_spec *s, struct gapi_rule *out)
{
    for (size_t i = 0; i < s->rules.n; i++) {
        const struct gapi_grpc_rule *r = &s->rules.v[i];
        out[i] = (struct gapi_rule){.node = r->node, .name = r->name, .filters = r->filters, .backends = r->backends.v,
                                    .n_backends = r->backends.n, .n_matches = r->matches.n, .grpc = r};
    }
    return s->rules.n;
}

static size_t stream_rules(const struct gapi_stream_route_spec *s, struct gapi_rule *out)
{
    for (size_t i = 0; i < s->rules.n; i++) {
        const struct gapi_stream_rule *r = &s->rules.v[i];
        out[i] = (struct gapi_rule){.node = r->node, .name = r->name, .backends = r->backends.v, .n_backends = r->backends.n};
    }
    return s->rules.n;
}

size_t gapi_rule_count(const struct object *o)
{
    const void *spec = gapi_route_of(o->spec);
    return o->kind->id == KIND_HTTP_ROUTE   ? ((const struct gapi_http_route_spec *)spec)->rules.n
           : o->kind->id == KIND_GRPC_ROUTE ? ((const struct gapi_grpc_route_spec *)spec)->rules.n
                                            : ((const struct gapi_stream_route_spec *)spec)->rules.n;
}

size_t gapi_rules(const struct object *o, struct gapi_rule out[GAPI_RULES_MAX])
{
    const void *spec = gapi_route_of(o->spec);
    size_t n = o->kind->id == KIND_HTTP_ROUTE ? http_rules(spec, out)
               : o->kind->id == KIND_GRPC_ROUTE ? grpc_rules(spec, out)
                                                : stream_rules(spec, out);
    if (n)
        return n;
    out[0] = (struct gapi_rule){.node = NULL};
    return 1;
}

/* What is answered for a route that can't be served; gRPC clients read 503 as UNAVAILABLE. */
static uint16_t failure_of(const struct object *o)
{
    return o->kind->id == KIND_GRPC_ROUTE ? 503 : 500;
}

static const char *failure_text(const struct object *o)
{
    switch (o->kind->id) {
    case KIND_GRPC_ROUTE:
        return "its share of calls is answered with UNAVAILABLE";
    case KIND_TLS_ROUTE:
    case KIND_TCP_ROUTE:
        return "its share of connections is closed";
    case KIND_UDP_ROUTE:
        return "its share of datagrams is dropped";
    default:
        return "its share of requests is answered with 500";
    }
}

/* "HTTPRoute/ns/name/0", and what makes it another rule behind it: the Gateway whose certificate is shown, TLS to the
 * backends of a TLSRoute. printf would be the most costly thing that happens to a small route. */
static struct str rule_key(struct lower *l, const struct gapi_use *use, size_t i)
{
    const struct object *o = use->route;
    struct buf *b = &l->gapi->text;
    buf_clear(b);
    buf_addc(b, o->kind->kind);
    buf_addch(b, '/');
    buf_adds(b, o->ns);
    buf_addch(b, '/');
    buf_adds(b, o->name);
    buf_addch(b, '/');
    buf_addu(b, i);
    if (use->gw) {
        buf_adds(b, STR("#Gateway/"));
        buf_adds(b, use->gw->object->ns);
        buf_addch(b, '/');
        buf_adds(b, use->gw->object->name);
    } else if (o->kind->id == KIND_TLS_ROUTE && !use->plain) {
        buf_adds(b, STR("#tls"));
    }
    return arena_str(l->arena, buf_str(b));
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
        f->origin = lower_origin(l, o, g->node, STR_NONE);
        out->n++;
    }
}

static void make_redirect(struct lower *l, const struct gapi_redirect_filter *g, struct model_rule *rule)
{
    rule->action = ACTION_REDIRECT;
    rule->redirect = arena_new(l->arena, struct model_redirect);
    *rule->redirect = (struct model_redirect){
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

static void make_split(struct lower *l, const struct gapi_use *use, const struct gapi_backend_ref *b, struct model_split *s)
{
    s->weight = (uint32_t)b->weight.v;
    s->origin = lower_origin(l, use->route, b->node, STR_NONE);
    if (!first_unserved(&b->filters, true))
        s->cluster = gapi_backend_cluster(l, use, b);
    if (!s->cluster) {
        s->status = failure_of(use->route);
        s->reason = REASON_INVALID_BACKEND;
        s->name = gapi_backend_name(l, use->route, b);
        return;
    }
    s->name = s->cluster->name;
    make_filters(l, use->route, &b->filters, &s->filters);
}

static void make_splits(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r, struct model_rule *rule)
{
    uint64_t weights = 0;
    size_t n = r->n_backends;
    if (n) {
        rule->splits.v = arena_new_n(l->arena, struct model_split, n);
        rule->splits.n = rule->splits.cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        make_split(l, use, &r->backends[i], &rule->splits.v[i]);
        weights += rule->splits.v[i].weight;
    }
    if (weights == 0)
        rule->no_backend_status = failure_of(use->route); /* no backendRefs, or none with a weight */
}

/* ---- the rule -------------------------------------------------------------------------------- */

static struct model_rule *add_rule(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r, size_t i)
{
    const struct object *o = use->route;
    struct model_rule *rule = model_rule_add(l->model, rule_key(l, use, i));
    struct str plain = str_skip(rule->key, strlen(o->kind->kind) + 1);
    ptrdiff_t variant = str_chr(plain, '#');
    rule->name = r->name.n     ? arena_strf(l->arena, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(o->ns), STR_ARG(o->name),
                                            STR_ARG(r->name))
                 : variant > 0 ? str_head(plain, (size_t)variant)
                               : plain;
    rule->origin = lower_origin(l, o, r->node, gapi_rule_word(l, i));
    rule->action = ACTION_SPLIT;
    rule->header_merge = HEADER_MERGE_RULE_FIRST;
    return rule;
}

/* A call may stream for hours; its deadline is the client's own (grpc-timeout). */
static void make_grpc_timeouts(struct model_rule *rule)
{
    rule->grpc = true;
    rule->has_request_timeout = rule->has_backend_timeout = true;
}

struct model_rule *gapi_make_rule(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r, size_t i)
{
    struct model_rule *rule = add_rule(l, use, r, i);
    if (use->route->kind->id == KIND_GRPC_ROUTE)
        make_grpc_timeouts(rule);
    if (first_unserved(&r->filters, false)) {
        rule->no_backend_status = failure_of(use->route);
        return rule;
    }
    make_filters(l, use->route, &r->filters, &rule->filters);
    for (size_t j = 0; j < r->filters.n; j++)
        if (r->filters.v[j].redirect)
            make_redirect(l, r->filters.v[j].redirect, rule);
    if (r->http)
        make_timeouts(r->http->timeouts, rule);
    if (rule->action == ACTION_REDIRECT)
        return rule;
    make_retry(l, r->http ? r->http->retry : NULL, rule);
    make_splits(l, use, r, rule);
    return rule;
}

struct model_rule *gapi_make_stream_rule(struct lower *l, const struct gapi_use *use, const struct gapi_rule *r)
{
    struct model_rule *rule = add_rule(l, use, r, 0);
    make_splits(l, use, r, rule);
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
        struct gapi_fault fault = gapi_backend_fault(l, o, b, why, failure_text(o));
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

static bool redirects(const struct gapi_rule *r)
{
    for (size_t j = 0; j < r->filters.n; j++)
        if (r->filters.v[j].type == GAPI_FILTER_REDIRECT)
            return true;
    return false;
}

static void judge_rule(struct lower *l, const struct object *o, const struct gapi_rule *r,
                       size_t i, struct gapi_findings *found)
{
    const struct gapi_http_filter *f = first_unserved(&r->filters, false);
    const char *all = o->kind->id == KIND_GRPC_ROUTE   ? "calls are answered with UNAVAILABLE"
                      : o->kind->id == KIND_HTTP_ROUTE ? "requests are answered with 500"
                                                       : "nothing is forwarded";
    uint64_t weights = 0;
    for (size_t j = 0; j < r->n_backends; j++) {
        judge_backend(l, o, &r->backends[j], found);
        weights += (uint64_t)r->backends[j].weight.v;
    }
    judge_filter_refs(l, o, &r->filters, found);
    if (r->n_backends && weights == 0)
        diag_at_key(l->diags, DIAG_NoEndpoints, r->node, "backendRefs", "give one of them a weight",
                    "all weights are 0: %s", all);
    if (r->n_backends == 0 && !redirects(r) && !f)
        diag_at(l->diags, DIAG_NoEndpoints, r->node,
                r->http ? "add backendRefs, or a RequestRedirect filter" : "add backendRefs",
                "the rule has no backend: %s", all);
    if (!f || f->type == GAPI_FILTER_EXTENSION) /* the latter is a reference, not a value */
        return;
    found->n_unsupported++;
    if (!found->unsupported.reason)
        found->unsupported = (struct gapi_fault){
            "UnsupportedValue",
            arena_strf(l->arena, "rules[%zu] answers %u: filter " STR_FMT " is not served yet", i, failure_of(o),
                       STR_ARG(node_text(node_get(f->node, "type"))))};
}

void gapi_judge_rules(struct lower *l, const struct object *o, const struct gapi_rule *rules, size_t n,
                      struct gapi_findings *found)
{
    for (size_t i = 0; i < n && rules[0].node; i++)
        judge_rule(l, o, &rules[i], i, found);
    if (!rules[0].node)
        diag_at(l->diags, DIAG_NoEndpoints, gapi_route_of(o->spec)->node, "add rules with backendRefs",
                "the route has no rules: every %s", o->kind->id == KIND_GRPC_ROUTE ? "call is answered with UNAVAILABLE"
                                                                                   : "request is answered with 500");
}
