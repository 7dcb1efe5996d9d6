/* gapi_http_route.c - tables and checks of HTTPRoute; what routes share is in gapi_route.c, filters are in
 * gapi_http_filter.c. */
#include "master/kinds/gapi_http_route.h"
#include "shared/base/arena.h"

/* ---- matches --------------------------------------------------------------------------------- */

static const struct enum_row PATH_TYPES[] = {{"PathPrefix", GAPI_PATH_PREFIX},
                                             {"Exact", GAPI_PATH_EXACT},
                                             {"RegularExpression", GAPI_PATH_REGEX},
                                             {NULL}};
static const struct enum_row METHODS[] = {{"GET"},    {"HEAD"},    {"POST"},    {"PUT"},
                                          {"DELETE"}, {"CONNECT"}, {"OPTIONS"}, {"TRACE"},
                                          {"PATCH"},  {NULL}};

static void check_path_match(struct decoder *d, void *obj)
{
    struct gapi_path_match *p = obj;
    if (p->type == GAPI_PATH_REGEX)
        gapi_check_value(d, p->node, "value", p->value, FMT_REGEX,
                    "RE2 syntax; the expression matches the whole path");
    else
        gapi_check_value(d, p->node, "value", p->value, FMT_PATH, NULL);
}

#define T struct gapi_path_match
static const struct field PATH_MATCH_FIELDS[] = {
    FIELD_ENUM(T, type, "type", PATH_TYPES, GAPI_PATH_PREFIX,
               "PathPrefix matches whole path elements (/a matches /a and /a/b, not /ab); Exact "
               "the whole path; "
               "RegularExpression the whole path in RE2 syntax"),
    FIELD_STR(T, value, "value", 0, "The path to compare with", .max = 1024, .def_str = "/"),
};
#undef T
static const struct schema SCHEMA_PATH_MATCH =
    SCHEMA(struct gapi_path_match, PATH_MATCH_FIELDS, check_path_match,
           "Condition on the path, without the query");

#define T struct gapi_kv_match
static const struct field QUERY_MATCH_FIELDS[] = {
    FIELD_ENUM(T, type, "type", GAPI_VALUE_TYPES, GAPI_VALUE_EXACT,
               "Exact, or RegularExpression over the whole value"),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the query parameter, case-sensitive",
              .min = 1, .max = 256, .format = FMT_HEADER_NAME),
    FIELD_STR(T, value, "value", FIELD_REQUIRED, "Value to compare with, case-sensitive", .min = 1,
              .max = 1024),
};
#undef T
static const struct schema SCHEMA_QUERY_MATCH = SCHEMA(
    struct gapi_kv_match, QUERY_MATCH_FIELDS, gapi_check_kv_match, "Condition on a query parameter");

static void check_http_match(struct decoder *d, void *obj)
{
    struct gapi_http_match *m = obj;
    gapi_check_header_matches(d, m->headers.v, m->headers.n);
    for (size_t i = 1; i < m->query.n; i++)
        for (size_t j = 0; j < i; j++)
            if (m->query.v[i].name.n && str_eq(m->query.v[i].name, m->query.v[j].name)) {
                diag_at_key(d->diags, DIAG_Ignored, m->query.v[i].node, "name",
                            "of equal names only the first is compared",
                            "parameter " STR_FMT " already stands in queryParams[%zu]",
                            STR_ARG(m->query.v[i].name), j);
                break;
            }
}

#define T struct gapi_http_match
static const struct field HTTP_MATCH_FIELDS[] = {
    FIELD_OBJ(T, path, "path", 0, &SCHEMA_PATH_MATCH,
              "Condition on the path; PathPrefix / when absent"),
    FIELD_LIST(T, headers, "headers", 0, &SCHEMA_GAPI_HEADER_MATCH,
               "Conditions on headers; all must hold", .max = 16),
    FIELD_LIST(T, query, "queryParams", 0, &SCHEMA_QUERY_MATCH,
               "Conditions on query parameters; all must hold", .max = 16),
    FIELD_STR(T, method, "method", 0, "The method, in capitals", .enums = METHODS),
};
#undef T
static const struct schema SCHEMA_HTTP_MATCH =
    SCHEMA(struct gapi_http_match, HTTP_MATCH_FIELDS, check_http_match,
           "Conditions on a request; all must hold");

/* ---- backends -------------------------------------------------------------------------------- */

static void check_backend_ref(struct decoder *d, void *obj)
{
    struct gapi_backend_ref *b = obj;
    gapi_check_service_port(d, b->node, b->group, b->kind, b->port.set);
    gapi_check_filters(d, &b->filters);
}

#define T struct gapi_backend_ref
static const struct field BACKEND_REF_FIELDS[] = {
    GAPI_BACKEND_FIELDS(T),
    FIELD_LIST(T, filters, "filters", 0, &SCHEMA_HTTP_FILTER,
               "Filters for requests that go to this backend", .max = 16),
};
#undef T
static const struct schema SCHEMA_BACKEND_REF =
    SCHEMA(struct gapi_backend_ref, BACKEND_REF_FIELDS, check_backend_ref,
           "A backend and its share of the requests");

/* ---- time-outs, retries ---------------------------------------------------------------------- */

static void check_timeouts(struct decoder *d, void *obj)
{
    struct gapi_timeouts *t = obj;
    if (t->request.set && t->request.ms && t->backend_request.set &&
        t->backend_request.ms > t->request.ms)
        diag_at_key(d->diags, DIAG_OutOfRange, t->node, "backendRequest",
                    "raise request or lower backendRequest",
                    "backendRequest is longer than request");
}

#define T struct gapi_timeouts
static const struct field TIMEOUTS_FIELDS[] = {
    FIELD_DURATION(T, request, "request", 0, FMT_GEP_DURATION,
                   "From the first byte of the request to the last of the answer, over all tries; "
                   "0s means no limit"),
    FIELD_DURATION(
        T, backend_request, "backendRequest", 0, FMT_GEP_DURATION,
        "One try: from sending it to the backend until the answer is complete; 0s means no limit"),
};
#undef T
static const struct schema SCHEMA_TIMEOUTS =
    SCHEMA(struct gapi_timeouts, TIMEOUTS_FIELDS, check_timeouts, "Time limits");

static void check_retry(struct decoder *d, void *obj)
{
    struct gapi_retry *r = obj;
    for (size_t i = 1; i < r->codes.n; i++)
        for (size_t j = 0; j < i; j++)
            if (r->codes.v[i] == r->codes.v[j]) {
                diag_at_key(d->diags, DIAG_Exclusive, r->node, "codes", "list every status once",
                            "status %lld stands twice", (long long)r->codes.v[i]);
                return;
            }
}

#define T struct gapi_retry
static const struct field RETRY_FIELDS[] = {
    FIELD_INT_LIST(T, codes, "codes", 0, 400, 599,
                   "Statuses of the backend that are tried again. Failed connections always are"),
    FIELD_INT(T, attempts, "attempts", 0, 0, 100, "Tries after the first; 1 when absent"),
    FIELD_DURATION(T, backoff, "backoff", 0, FMT_GEP_DURATION,
                   "Least time to wait before each further try; 25ms when absent"),
};
#undef T
static const struct schema SCHEMA_RETRY =
    SCHEMA(struct gapi_retry, RETRY_FIELDS, check_retry, "When a failed request is tried again");

/* ---- rules ----------------------------------------------------------------------------------- */

static bool has_filter(const struct gapi_http_filters *fs, enum gapi_filter_type type)
{
    for (size_t i = 0; i < fs->n; i++)
        if (fs->v[i].type == (int32_t)type)
            return true;
    return false;
}

/* ReplacePrefixMatch has a meaning only where exactly one prefix can have matched. */
static void check_prefix_filters(struct decoder *d, const struct gapi_http_rule *r,
                                 const struct gapi_http_filters *fs)
{
    bool one_prefix = r->matches.n == 0 || /* the default: PathPrefix / */
                      (r->matches.n == 1 &&
                       (!r->matches.v[0].path || r->matches.v[0].path->type == GAPI_PATH_PREFIX));
    for (size_t i = 0; i < fs->n && !one_prefix; i++) {
        const struct gapi_http_filter *f = &fs->v[i];
        const struct gapi_path_modifier *p = f->redirect  ? f->redirect->path
                                             : f->rewrite ? f->rewrite->path
                                                          : NULL;
        if (p && p->type == GAPI_REPLACE_PREFIX_MATCH)
            diag_at_key(d->diags, DIAG_Exclusive, p->node, "type",
                        r->matches.n > 1 ? "make a rule for each match"
                                         : "write path: {type: PathPrefix}",
                        "ReplacePrefixMatch needs exactly one match, of type PathPrefix");
    }
}

static void check_http_rule(struct decoder *d, void *obj)
{
    struct gapi_http_rule *r = obj;
    gapi_check_filters(d, &r->filters);
    if (has_filter(&r->filters, GAPI_FILTER_REDIRECT) && r->backends.n)
        diag_at_key(d->diags, DIAG_Exclusive, r->node, "backendRefs",
                    "a redirected request never reaches a backend",
                    "RequestRedirect and backendRefs exclude each other");
    check_prefix_filters(d, r, &r->filters);
    for (size_t i = 0; i < r->backends.n; i++)
        check_prefix_filters(d, r, &r->backends.v[i].filters);
}

#define T struct gapi_http_rule
static const struct field HTTP_RULE_FIELDS[] = {
    FIELD_STR(T, name, "name", 0,
              "Name of the rule, unique in the route; appears in logs and metrics", .min = 1,
              .max = 253, .format = FMT_DNS_SUBDOMAIN),
    FIELD_LIST(T, matches, "matches", 0, &SCHEMA_HTTP_MATCH,
               "The rule is for requests that fit one of them; for every request when absent",
               .max = 64),
    FIELD_LIST(T, filters, "filters", 0, &SCHEMA_HTTP_FILTER,
               "What happens to requests and answers, in this order", .max = 16),
    FIELD_LIST(T, backends, "backendRefs", 0, &SCHEMA_BACKEND_REF,
               "Where requests go. Without a backend, and without a redirect, the answer is 500",
               .max = 16),
    FIELD_OBJ(T, timeouts, "timeouts", 0, &SCHEMA_TIMEOUTS, "Time limits"),
    FIELD_OBJ(T, retry, "retry", 0, &SCHEMA_RETRY,
              "When a failed request is tried again (experimental)"),
    FIELD_OBJ(T, session, "sessionPersistence", FIELD_NOT_SERVED, &SCHEMA_GAPI_SESSION,
              "Requests of one client go to one endpoint (experimental)"),
};
#undef T
static const struct schema SCHEMA_HTTP_RULE =
    SCHEMA(struct gapi_http_rule, HTTP_RULE_FIELDS, check_http_rule,
           "Requests that match, and what happens to them");

static void check_http_route_spec(struct decoder *d, void *obj)
{
    struct gapi_http_route_spec *s = obj;
    struct gapi_rule_view *views = arena_new_n(d->arena, struct gapi_rule_view, s->rules.n);
    for (size_t i = 0; i < s->rules.n; i++)
        views[i] = (struct gapi_rule_view){s->rules.v[i].name, s->rules.v[i].node, s->rules.v[i].matches.n};
    gapi_check_parent_refs(d, s->common.parents.v, s->common.parents.n);
    gapi_check_rules(d, s->common.node, views, s->rules.n);
}

#define T struct gapi_http_route_spec
static const struct field HTTP_ROUTE_SPEC_FIELDS[] = {
    GAPI_ROUTE_FIELDS(T),
    FIELD_STR_LIST(
        T, common.hostnames, "hostnames", 0,
        "Host names the route is for, exact or *.suffix; those of its listeners when absent",
        .max = 16, .format = FMT_HOSTNAME),
    FIELD_LIST(T, rules, "rules", 0, &SCHEMA_HTTP_RULE,
               "Rules. The most specific match of all routes wins, not the first (exact path, "
               "longest prefix, method, headers, "
               "query parameters, older route, name, order)",
               .max = 16),
};
#undef T
static const struct schema SCHEMA_HTTP_ROUTE_SPEC =
    SCHEMA(struct gapi_http_route_spec, HTTP_ROUTE_SPEC_FIELDS, check_http_route_spec, "The route");

#define T struct gapi_http_route
static const struct field HTTP_ROUTE_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_HTTP_ROUTE_SPEC, "The route"),
};
#undef T
const struct schema SCHEMA_HTTP_ROUTE = SCHEMA(struct gapi_http_route, HTTP_ROUTE_FIELDS, NULL,
                                               "Which HTTP requests of a Gateway go where");
