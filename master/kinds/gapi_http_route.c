/* gapi_http_route.c - tables and checks of HTTPRoute; filters are in gapi_http_filter.c. */
#include "master/kinds/gapi_http_filter.h"
#include "master/kinds/format.h"

/* ---- matches --------------------------------------------------------------------------------- */

static const struct enum_row PATH_TYPES[] = {{"PathPrefix", GAPI_PATH_PREFIX},
                                             {"Exact", GAPI_PATH_EXACT},
                                             {"RegularExpression", GAPI_PATH_REGEX},
                                             {NULL}};
static const struct enum_row VALUE_TYPES[] = {
    {"Exact", GAPI_VALUE_EXACT}, {"RegularExpression", GAPI_VALUE_REGEX}, {NULL}};
static const struct enum_row METHODS[] = {{"GET"},    {"HEAD"},    {"POST"},    {"PUT"},
                                          {"DELETE"}, {"CONNECT"}, {"OPTIONS"}, {"TRACE"},
                                          {"PATCH"},  {NULL}};

/* The format of `value` depends on `type`, which a table can't say. */
static void check_value(struct decoder *d, const struct node *node, struct str value,
                        enum field_format format, const char *hint)
{
    struct buf why = {0};
    if (node_get(node, "value") && !format_check(format, value, &why))
        diag_at_key(d->diags, DIAG_BadValue, node, "value", hint, "\"" STR_FMT "\" %s",
                    STR_ARG(value), buf_cstr(&why));
    buf_fini(&why);
}

static void check_path_match(struct decoder *d, void *obj)
{
    struct gapi_path_match *p = obj;
    if (p->type == GAPI_PATH_REGEX)
        check_value(d, p->node, p->value, FMT_REGEX,
                    "RE2 syntax; the expression matches the whole path");
    else
        check_value(d, p->node, p->value, FMT_PATH, NULL);
}

static void check_kv_match(struct decoder *d, void *obj)
{
    struct gapi_kv_match *m = obj;
    if (m->type == GAPI_VALUE_REGEX)
        check_value(d, m->node, m->value, FMT_REGEX,
                    "RE2 syntax; the expression matches the whole value");
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
static const struct field HEADER_MATCH_FIELDS[] = {
    FIELD_ENUM(T, type, "type", VALUE_TYPES, GAPI_VALUE_EXACT,
               "Exact, or RegularExpression over the whole value"),
    FIELD_STR(T, name, "name", FIELD_REQUIRED,
              "Name of the header, in any case; of two equal names the first counts", .min = 1,
              .max = 256, .format = FMT_HEADER_NAME),
    FIELD_STR(T, value, "value", FIELD_REQUIRED, "Value to compare with, case-sensitive", .min = 1,
              .max = 4096),
};
static const struct field QUERY_MATCH_FIELDS[] = {
    FIELD_ENUM(T, type, "type", VALUE_TYPES, GAPI_VALUE_EXACT,
               "Exact, or RegularExpression over the whole value"),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the query parameter, case-sensitive",
              .min = 1, .max = 256, .format = FMT_HEADER_NAME),
    FIELD_STR(T, value, "value", FIELD_REQUIRED, "Value to compare with, case-sensitive", .min = 1,
              .max = 1024),
};
#undef T
static const struct schema SCHEMA_HEADER_MATCH = SCHEMA(
    struct gapi_kv_match, HEADER_MATCH_FIELDS, check_kv_match, "Condition on a request header");
static const struct schema SCHEMA_QUERY_MATCH = SCHEMA(
    struct gapi_kv_match, QUERY_MATCH_FIELDS, check_kv_match, "Condition on a query parameter");

static void check_http_match(struct decoder *d, void *obj)
{
    struct gapi_http_match *m = obj;
    for (size_t i = 1; i < m->headers.n; i++)
        for (size_t j = 0; j < i; j++) /* at most 16 */
            if (m->headers.v[i].name.n && str_ieq(m->headers.v[i].name, m->headers.v[j].name)) {
                diag_at_key(d->diags, DIAG_Ignored, m->headers.v[i].node, "name",
                            "of equal names only the first is compared",
                            "header " STR_FMT " already stands in headers[%zu]",
                            STR_ARG(m->headers.v[i].name), j);
                break;
            }
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
    FIELD_LIST(T, headers, "headers", 0, &SCHEMA_HEADER_MATCH,
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
    struct gapi_http_backend_ref *b = obj;
    gapi_check_service_port(d, b->node, b->group, b->kind, b->port.set);
    gapi_check_filters(d, &b->filters);
}

#define T struct gapi_http_backend_ref
static const struct field BACKEND_REF_FIELDS[] = {
    FIELD_STR(T, group, "group", 0, "API group of the backend, empty for the core group",
              .max = 253, .def_str = ""),
    FIELD_STR(T, kind, "kind", 0, "Kind of the backend: Service", .min = 1, .max = 63,
              .def_str = "Service"),
    FIELD_STR(T, ns, "namespace", 0,
              "Namespace of the backend; another one needs a ReferenceGrant there",
              .format = FMT_DNS_LABEL),
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the backend", .min = 1, .max = 253),
    FIELD_INT(T, port, "port", 0, 1, 65535,
              "Port of the Service (spec.ports[].port), not of its pods"),
    FIELD_INT(T, weight, "weight", 0, 0, 1000000,
              "Share of the requests, relative to the sum of all weights; 0 gets none", .def = 1,
              .has_def = true),
    FIELD_LIST(T, filters, "filters", 0, &SCHEMA_HTTP_FILTER,
               "Filters for requests that go to this backend", .max = 16),
};
#undef T
static const struct schema SCHEMA_BACKEND_REF =
    SCHEMA(struct gapi_http_backend_ref, BACKEND_REF_FIELDS, check_backend_ref,
           "A backend and its share of the requests");

/* ---- time-outs, retries, sessions ------------------------------------------------------------ */

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

static const struct enum_row SESSION_TYPES[] = {
    {"Cookie", GAPI_SESSION_COOKIE}, {"Header", GAPI_SESSION_HEADER}, {NULL}};
static const struct enum_row COOKIE_LIFETIMES[] = {
    {"Session", GAPI_COOKIE_SESSION}, {"Permanent", GAPI_COOKIE_PERMANENT}, {NULL}};

#define T struct gapi_cookie_config
static const struct field COOKIE_CONFIG_FIELDS[] = {
    FIELD_ENUM(T, lifetime, "lifetimeType", COOKIE_LIFETIMES, GAPI_COOKIE_SESSION,
               "Session ends with the browser; Permanent lasts for absoluteTimeout"),
    FIELD_STR(T, path, "path", 0, "Path of the cookie", .def_str = "/"),
};
#undef T
static const struct schema SCHEMA_COOKIE_CONFIG =
    SCHEMA(struct gapi_cookie_config, COOKIE_CONFIG_FIELDS, NULL, "The cookie of a session");

static void check_session(struct decoder *d, void *obj)
{
    struct gapi_session *s = obj;
    if (s->cookie && s->cookie->lifetime == GAPI_COOKIE_PERMANENT && !s->absolute_timeout.set)
        diag_at(d->diags, DIAG_Required, s->node, "write absoluteTimeout",
                "a Permanent cookie needs absoluteTimeout");
    if (s->cookie && s->type == GAPI_SESSION_HEADER)
        diag_at_key(d->diags, DIAG_Exclusive, s->node, "cookieConfig",
                    "remove it, or write type: Cookie", "cookieConfig is only for type Cookie");
}

#define T struct gapi_session
static const struct field SESSION_FIELDS[] = {
    FIELD_STR(T, name, "sessionName", 0, "Name of the cookie or header; made up when absent",
              .max = 128),
    FIELD_DURATION(T, absolute_timeout, "absoluteTimeout", 0, FMT_GEP_DURATION,
                   "A session ends after this time"),
    FIELD_DURATION(T, idle_timeout, "idleTimeout", 0, FMT_GEP_DURATION,
                   "A session ends after this time without a request"),
    FIELD_ENUM(T, type, "type", SESSION_TYPES, GAPI_SESSION_COOKIE,
               "Where the session is kept: Cookie or Header"),
    FIELD_OBJ(T, cookie, "cookieConfig", 0, &SCHEMA_COOKIE_CONFIG, "Settings of the cookie"),
};
#undef T
static const struct schema SCHEMA_SESSION =
    SCHEMA(struct gapi_session, SESSION_FIELDS, check_session,
           "Requests of one client go to one endpoint (experimental)");

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
    FIELD_OBJ(T, session, "sessionPersistence", FIELD_NOT_SERVED, &SCHEMA_SESSION,
              "Requests of one client go to one endpoint (experimental)"),
};
#undef T
static const struct schema SCHEMA_HTTP_RULE =
    SCHEMA(struct gapi_http_rule, HTTP_RULE_FIELDS, check_http_rule,
           "Requests that match, and what happens to them");

static void check_http_route_spec(struct decoder *d, void *obj)
{
    struct gapi_http_route_spec *s = obj;
    size_t matches = 0;
    gapi_check_parent_refs(d, s->parents.v, s->parents.n);
    for (size_t i = 0; i < s->rules.n; i++) {
        matches += s->rules.v[i].matches.n;
        for (size_t j = 0; j < i; j++) /* at most 16 */
            if (s->rules.v[i].name.n && str_eq(s->rules.v[i].name, s->rules.v[j].name)) {
                diag_at_key(d->diags, DIAG_Exclusive, s->rules.v[i].node, "name",
                            "give every rule its own name", "rules[%zu] has the same name", j);
                break;
            }
    }
    if (matches > 128)
        diag_at_key(d->diags, DIAG_OutOfRange, s->node, "rules", "split the route",
                    "%zu matches; at most 128 are allowed in all rules", matches);
}

#define T struct gapi_http_route_spec
static const struct field HTTP_ROUTE_SPEC_FIELDS[] = {
    FIELD_LIST(T, parents, "parentRefs", 0, &SCHEMA_GAPI_PARENT_REF,
               "Gateways, or single listeners, that serve this route", .max = 32),
    FIELD_STR(T, use_default_gateways, "useDefaultGateways", FIELD_NOT_SERVED,
              "All attaches the route to every Gateway with defaultScope All (experimental)",
              .max = 63),
    FIELD_STR_LIST(
        T, hostnames, "hostnames", 0,
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
