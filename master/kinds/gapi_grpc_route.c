/* gapi_grpc_route.c - tables and checks of GRPCRoute. */
#include "master/kinds/gapi_grpc_route.h"
#include "shared/base/arena.h"

/* ---- matches --------------------------------------------------------------------------------- */

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alpha(s.p[i]) && s.p[i] != '_' && (i == 0 || !ascii_is_digit(s.p[i])))
            return false;
    return s.n > 0;
}

/* A protobuf name: words with dots between them, and perhaps one before. */
static bool is_service(struct str s)
{
    struct str rest = s.n && s.p[0] == '.' ? str_skip(s, 1) : s, word;
    bool ok = rest.n > 0;
    while (str_split(&rest, '.', &word))
        ok &= is_word(word);
    return ok;
}

static void check_method(struct decoder *d, void *obj)
{
    struct gapi_grpc_method *m = obj;
    if (m->service.n == 0 && m->method.n == 0)
        diag_at(d->diags, DIAG_Required, m->node, "write service, method or both",
                "the match names neither a service nor a method");
    if (m->type == GAPI_VALUE_REGEX) {
        gapi_check_value(d, m->node, "service", m->service, FMT_REGEX, "RE2 syntax; it matches the whole name");
        gapi_check_value(d, m->node, "method", m->method, FMT_REGEX, "RE2 syntax; it matches the whole name");
        return;
    }
    if (m->service.n && !is_service(m->service))
        diag_at_key(d->diags, DIAG_BadValue, m->node, "service", "the full name: package.Service, without slashes",
                    "\"" STR_FMT "\" is no name of a gRPC service", STR_ARG(m->service));
    if (m->method.n && !is_word(m->method))
        diag_at_key(d->diags, DIAG_BadValue, m->node, "method", "the bare name, without slashes",
                    "\"" STR_FMT "\" is no name of a gRPC method", STR_ARG(m->method));
}

#define T struct gapi_grpc_method
static const struct field METHOD_FIELDS[] = {
    FIELD_ENUM(T, type, "type", GAPI_VALUE_TYPES, GAPI_VALUE_EXACT,
               "Exact, or RegularExpression over the whole name"),
    FIELD_STR(T, service, "service", 0, "Full name of the service, for instance shop.v1.Cart; any when absent",
              .max = 1024),
    FIELD_STR(T, method, "method", 0, "Name of the method; any when absent", .max = 1024),
};
#undef T
static const struct schema SCHEMA_METHOD =
    SCHEMA(struct gapi_grpc_method, METHOD_FIELDS, check_method, "Condition on what is called");

static void check_match(struct decoder *d, void *obj)
{
    struct gapi_grpc_match *m = obj;
    gapi_check_header_matches(d, m->headers.v, m->headers.n);
}

#define T struct gapi_grpc_match
static const struct field MATCH_FIELDS[] = {
    FIELD_OBJ(T, method, "method", 0, &SCHEMA_METHOD, "Condition on the method; every call when absent"),
    FIELD_LIST(T, headers, "headers", 0, &SCHEMA_GAPI_HEADER_MATCH,
               "Conditions on headers (the metadata of the call); all must hold", .max = 16),
};
#undef T
static const struct schema SCHEMA_MATCH =
    SCHEMA(struct gapi_grpc_match, MATCH_FIELDS, check_match, "Conditions on a call; all must hold");

/* ---- rules ----------------------------------------------------------------------------------- */

static void check_backend_ref(struct decoder *d, void *obj)
{
    struct gapi_backend_ref *b = obj;
    gapi_check_service_port(d, b->node, b->group, b->kind, b->port.set);
    gapi_check_filters(d, &b->filters);
}

#define T struct gapi_backend_ref
static const struct field BACKEND_REF_FIELDS[] = {
    GAPI_BACKEND_FIELDS(T),
    FIELD_LIST(T, filters, "filters", 0, &SCHEMA_GRPC_FILTER, "Filters for calls that go to this backend",
               .max = 16),
};
#undef T
static const struct schema SCHEMA_BACKEND_REF =
    SCHEMA(struct gapi_backend_ref, BACKEND_REF_FIELDS, check_backend_ref, "A backend and its share of the calls");

static void check_rule(struct decoder *d, void *obj)
{
    struct gapi_grpc_rule *r = obj;
    gapi_check_filters(d, &r->filters);
}

#define T struct gapi_grpc_rule
static const struct field RULE_FIELDS[] = {
    FIELD_STR(T, name, "name", 0, "Name of the rule, unique in the route; appears in logs and metrics", .min = 1,
              .max = 253, .format = FMT_DNS_SUBDOMAIN),
    FIELD_LIST(T, matches, "matches", 0, &SCHEMA_MATCH,
               "The rule is for calls that fit one of them; for every call when absent", .max = 64),
    FIELD_LIST(T, filters, "filters", 0, &SCHEMA_GRPC_FILTER, "What happens to calls and answers, in this order",
               .max = 16),
    FIELD_LIST(T, backends, "backendRefs", 0, &SCHEMA_BACKEND_REF,
               "Where calls go. Without a backend the answer is UNAVAILABLE", .max = 16),
    FIELD_OBJ(T, session, "sessionPersistence", FIELD_NOT_SERVED, &SCHEMA_GAPI_SESSION,
              "Calls of one client go to one endpoint (experimental)"),
};
#undef T
static const struct schema SCHEMA_RULE =
    SCHEMA(struct gapi_grpc_rule, RULE_FIELDS, check_rule, "Calls that match, and what happens to them");

static void check_spec(struct decoder *d, void *obj)
{
    struct gapi_grpc_route_spec *s = obj;
    struct gapi_rule_view *views = arena_new_n(d->arena, struct gapi_rule_view, s->rules.n);
    for (size_t i = 0; i < s->rules.n; i++)
        views[i] = (struct gapi_rule_view){s->rules.v[i].name, s->rules.v[i].node, s->rules.v[i].matches.n};
    gapi_check_parent_refs(d, s->common.parents.v, s->common.parents.n);
    gapi_check_rules(d, s->common.node, views, s->rules.n);
}

#define T struct gapi_grpc_route_spec
static const struct field SPEC_FIELDS[] = {
    GAPI_ROUTE_FIELDS(T),
    FIELD_STR_LIST(T, common.hostnames, "hostnames", 0,
                   "Host names the route is for, exact or *.suffix; those of its listeners when absent", .max = 16,
                   .format = FMT_HOSTNAME),
    FIELD_LIST(T, rules, "rules", 0, &SCHEMA_RULE,
               "Rules. The most specific match of all routes wins, not the first (host name, longest service, longest "
               "method, more headers, older route, name, order)",
               .max = 16),
};
#undef T
static const struct schema SCHEMA_SPEC =
    SCHEMA(struct gapi_grpc_route_spec, SPEC_FIELDS, check_spec, "The route");

#define T struct gapi_grpc_route
static const struct field GRPC_ROUTE_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "The route"),
};
#undef T
const struct schema SCHEMA_GRPC_ROUTE =
    SCHEMA(struct gapi_grpc_route, GRPC_ROUTE_FIELDS, NULL,
           "Which gRPC calls of a Gateway go where. Backends are spoken to in HTTP/2");
