/* gapi_http_filter.c - tables and checks of HTTP filters; GATEWAY-API-RULES sections 1.2 and 7. */
#include "master/kinds/gapi_http_filter.h"
#include "master/kinds/format.h"

/* ---- header modifiers ------------------------------------------------------------------------ */

#define T struct gapi_header
static const struct field HEADER_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the header, in any case", .min = 1,
              .max = 256, .format = FMT_HEADER_NAME),
    FIELD_STR(T, value, "value", FIELD_REQUIRED, "Value of the header; may be empty", .max = 4096,
              .format = FMT_HEADER_VALUE),
};
#undef T
static const struct schema SCHEMA_HEADER =
    SCHEMA(struct gapi_header, HEADER_FIELDS, NULL, "A header");

/* The i-th name of a header filter, counted over set, add and remove. */
static struct str header_name(const struct gapi_header_filter *f, size_t i, const struct node **at)
{
    if (i < f->set.n) {
        *at = f->set.v[i].node;
        return f->set.v[i].name;
    }
    i -= f->set.n;
    if (i < f->add.n) {
        *at = f->add.v[i].node;
        return f->add.v[i].name;
    }
    i -= f->add.n;
    const struct node *list = node_get(f->node, "remove");
    *at = list && i < list->n_kids ? list->kids[i] : f->node;
    return f->remove.v[i];
}

/* A header named twice in one filter would depend on an order that the API does not define. */
static void check_header_filter(struct decoder *d, void *obj)
{
    struct gapi_header_filter *f = obj;
    size_t n = f->set.n + f->add.n + f->remove.n;
    const struct node *at, *other;
    if (n == 0)
        diag_at(d->diags, DIAG_Ignored, f->node, "write set, add or remove",
                "the filter changes nothing");
    for (size_t i = 1; i < n && n <= 48; i++) {
        struct str name = header_name(f, i, &at);
        for (size_t j = 0; j < i; j++)
            if (name.n && str_ieq(name, header_name(f, j, &other))) {
                diag_at(d->diags, DIAG_Exclusive, at, "name every header once in a filter",
                        "header " STR_FMT " stands twice in this filter", STR_ARG(name));
                break;
            }
    }
}

#define T struct gapi_header_filter
static const struct field HEADER_FILTER_FIELDS[] = {
    FIELD_LIST(T, set, "set", 0, &SCHEMA_HEADER,
               "Headers that get this value instead of any they have", .max = 16),
    FIELD_LIST(T, add, "add", 0, &SCHEMA_HEADER,
               "Headers that get this value beside those they have", .max = 16),
    FIELD_STR_LIST(T, remove, "remove", 0, "Names of headers to remove", .max = 16,
                   .format = FMT_HEADER_NAME),
};
#undef T
static const struct schema SCHEMA_HEADER_FILTER = SCHEMA(
    struct gapi_header_filter, HEADER_FILTER_FIELDS, check_header_filter, "Changes to headers");

/* ---- redirect and rewrite -------------------------------------------------------------------- */

static const struct enum_row MODIFIER_TYPES[] = {{"ReplaceFullPath", GAPI_REPLACE_FULL_PATH},
                                                 {"ReplacePrefixMatch", GAPI_REPLACE_PREFIX_MATCH},
                                                 {NULL}};

/* The API's own schema is silent about the text; but it is sent, in Location or in a request line.
 */
static void check_replacement(struct decoder *d, const struct node *node, const char *key,
                              struct str path)
{
    if (path.n && path.p[0] != '/')
        diag_at_key(d->diags, DIAG_BadValue, node, key, NULL, "must begin with '/'");
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] > ' ' && path.p[i] < 0x7f && path.p[i] != '?' && path.p[i] != '#')
            continue;
        diag_at_key(d->diags, DIAG_BadValue, node, key,
                    path.p[i] == '?' ? "the query of the request is kept" : "percent-encode it",
                    "holds a character that no path may have");
        return;
    }
}

static void check_path_modifier(struct decoder *d, void *obj)
{
    struct gapi_path_modifier *p = obj;
    static const char *const BODY[] = {NULL, "replaceFullPath", "replacePrefixMatch"};
    for (int type = GAPI_REPLACE_FULL_PATH; type <= GAPI_REPLACE_PREFIX_MATCH && p->type; type++) {
        bool there = node_get(p->node, BODY[type]) != NULL;
        if (there && type != p->type)
            diag_at_key(d->diags, DIAG_Exclusive, p->node, BODY[type], "type and body must agree",
                        "%s does not belong to this type", BODY[type]);
        else if (!there && type == p->type)
            diag_at(d->diags, DIAG_Required, p->node, NULL, "%s is missing", BODY[type]);
    }
    check_replacement(d, p->node, "replaceFullPath", p->full);
    check_replacement(d, p->node, "replacePrefixMatch", p->prefix);
}

#define T struct gapi_path_modifier
static const struct field PATH_MODIFIER_FIELDS[] = {
    FIELD_ENUM_REQ(T, type, "type", FIELD_REQUIRED, MODIFIER_TYPES,
                   "ReplaceFullPath replaces the path; ReplacePrefixMatch the part that matched, "
                   "by whole elements"),
    FIELD_STR(T, full, "replaceFullPath", 0, "The new path; the query is kept", .max = 1024),
    FIELD_STR(T, prefix, "replacePrefixMatch", 0, "What stands for the matched prefix",
              .max = 1024),
};
#undef T
static const struct schema SCHEMA_PATH_MODIFIER = SCHEMA(
    struct gapi_path_modifier, PATH_MODIFIER_FIELDS, check_path_modifier, "A change of the path");

static void check_redirect(struct decoder *d, void *obj)
{
    static const int CODES[] = {301, 302, 303, 307, 308};
    struct gapi_redirect_filter *r = obj;
    bool ok = !r->status.set;
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
        ok |= r->status.v == CODES[i];
    if (!ok)
        diag_at_key(d->diags, DIAG_BadValue, r->node, "statusCode", NULL,
                    "%lld is no redirect; expected 301, 302, 303, 307 or 308",
                    (long long)r->status.v);
}

static const struct enum_row SCHEMES[] = {{"http"}, {"https"}, {NULL}};

#define T struct gapi_redirect_filter
static const struct field REDIRECT_FIELDS[] = {
    FIELD_STR(T, scheme, "scheme", 0, "http or https; of the request when absent",
              .enums = SCHEMES),
    FIELD_STR(T, hostname, "hostname", 0, "Host name in Location; of the request when absent",
              .format = FMT_PRECISE_HOSTNAME),
    FIELD_OBJ(T, path, "path", 0, &SCHEMA_PATH_MODIFIER,
              "Path in Location; of the request when absent"),
    FIELD_INT(
        T, port, "port", 0, 1, 65535,
        "Port in Location; when absent that of scheme, and without scheme that of the listener"),
    FIELD_INT(T, status, "statusCode", 0, 300, 399, "301, 302, 303, 307 or 308", .def = 302,
              .has_def = true),
};
#undef T
static const struct schema SCHEMA_REDIRECT =
    SCHEMA(struct gapi_redirect_filter, REDIRECT_FIELDS, check_redirect, "Answers with a redirect");

static void check_rewrite(struct decoder *d, void *obj)
{
    struct gapi_rewrite_filter *r = obj;
    if (!r->hostname.n && !r->path)
        diag_at(d->diags, DIAG_Ignored, r->node, "write hostname or path",
                "the filter changes nothing");
}

#define T struct gapi_rewrite_filter
static const struct field REWRITE_FIELDS[] = {
    FIELD_STR(T, hostname, "hostname", 0, "Host sent to the backend",
              .format = FMT_PRECISE_HOSTNAME),
    FIELD_OBJ(T, path, "path", 0, &SCHEMA_PATH_MODIFIER, "Path sent to the backend"),
};
#undef T
static const struct schema SCHEMA_REWRITE =
    SCHEMA(struct gapi_rewrite_filter, REWRITE_FIELDS, check_rewrite,
           "Changes host or path of what the backend gets");

/* ---- mirror ---------------------------------------------------------------------------------- */

static void check_fraction(struct decoder *d, void *obj)
{
    struct gapi_fraction *f = obj;
    if (f->numerator.v > f->denominator.v)
        diag_at_key(d->diags, DIAG_OutOfRange, f->node, "numerator", NULL,
                    "numerator is greater than denominator");
}

#define T struct gapi_fraction
static const struct field FRACTION_FIELDS[] = {
    FIELD_INT(T, numerator, "numerator", FIELD_REQUIRED, 0, INT32_MAX, "Part of the requests"),
    FIELD_INT(T, denominator, "denominator", 0, 1, INT32_MAX, "Out of so many", .def = 100,
              .has_def = true),
};
#undef T
static const struct schema SCHEMA_FRACTION =
    SCHEMA(struct gapi_fraction, FRACTION_FIELDS, check_fraction, "A share");

static void check_mirror(struct decoder *d, void *obj)
{
    struct gapi_mirror_filter *m = obj;
    if (m->percent.set && m->fraction)
        diag_at_key(d->diags, DIAG_Exclusive, m->node, "percent", "keep one of them",
                    "percent and fraction exclude each other");
}

#define T struct gapi_mirror_filter
static const struct field MIRROR_FIELDS[] = {
    FIELD_OBJ(T, backend, "backendRef", FIELD_REQUIRED, &SCHEMA_GAPI_SERVICE_REF,
              "Service that gets the copy"),
    FIELD_INT(T, percent, "percent", 0, 0, 100,
              "Share of requests that are copied; all when absent"),
    FIELD_OBJ(T, fraction, "fraction", 0, &SCHEMA_FRACTION, "Share of requests that are copied"),
};
#undef T
static const struct schema SCHEMA_MIRROR =
    SCHEMA(struct gapi_mirror_filter, MIRROR_FIELDS, check_mirror,
           "Sends a copy of the request elsewhere");

/* ---- CORS ------------------------------------------------------------------------------------ */

/* Origin: "*", or http(s)://host[:port] whose host may be "*" or begin with "*.". */
static const char *origin_fault(struct str o)
{
    if (str_eqc(o, "*"))
        return NULL;
    struct str rest = str_starts(o, STR("http://"))    ? str_skip(o, 7)
                      : str_starts(o, STR("https://")) ? str_skip(o, 8)
                                                       : STR_NONE;
    if (rest.n == 0)
        return "must be * or begin with http:// or https://";
    ptrdiff_t colon = str_rchr(rest, ':');
    if (colon >= 0) {
        uint64_t port;
        if (!str_u64(str_skip(rest, (size_t)colon + 1), &port) || port == 0 || port > 65535)
            return "has no valid port";
        rest = str_head(rest, (size_t)colon);
    }
    if (str_eqc(rest, "*") || format_check(FMT_HOSTNAME, rest, NULL) ||
        format_check(FMT_IP, rest, NULL))
        return NULL;
    return "has no valid host";
}

/* "*" means everything and stands alone. */
static void check_star_alone(struct decoder *d, const struct node *node, const char *key,
                             const struct str_list *list)
{
    for (size_t i = 0; i < list->n && list->n > 1; i++)
        if (str_eqc(list->v[i], "*")) {
            diag_at_key(d->diags, DIAG_Exclusive, node, key, "keep the * or the others",
                        "* must stand alone");
            return;
        }
}

static void check_cors(struct decoder *d, void *obj)
{
    struct gapi_cors_filter *c = obj;
    check_star_alone(d, c->node, "allowOrigins", &c->allow_origins);
    check_star_alone(d, c->node, "allowMethods", &c->allow_methods);
    check_star_alone(d, c->node, "allowHeaders", &c->allow_headers);
    check_star_alone(d, c->node, "exposeHeaders", &c->expose_headers);
    for (size_t i = 0; i < c->allow_origins.n; i++) {
        const char *fault = origin_fault(c->allow_origins.v[i]);
        const struct node *list = node_get(c->node, "allowOrigins");
        if (fault)
            diag_at(d->diags, DIAG_BadValue, list && i < list->n_kids ? list->kids[i] : c->node,
                    NULL, "origin \"" STR_FMT "\" %s", STR_ARG(c->allow_origins.v[i]), fault);
    }
}

static const struct enum_row CORS_METHODS[] = {{"GET"},    {"HEAD"},    {"POST"},    {"PUT"},
                                               {"DELETE"}, {"CONNECT"}, {"OPTIONS"}, {"TRACE"},
                                               {"PATCH"},  {"*"},       {NULL}};

#define T struct gapi_cors_filter
static const struct field CORS_FIELDS[] = {
    FIELD_STR_LIST(T, allow_origins, "allowOrigins", FIELD_UNIQUE,
                   "Origins that may call: *, or scheme://host[:port]", .max = 64),
    FIELD_BOOL(T, allow_credentials, "allowCredentials", 0,
               "Cookies and client certificates may be sent"),
    FIELD_STR_LIST(T, allow_methods, "allowMethods", FIELD_UNIQUE, "Methods that may be used",
                   .max = 9, .enums = CORS_METHODS),
    FIELD_STR_LIST(T, allow_headers, "allowHeaders", FIELD_UNIQUE,
                   "Request headers that may be sent", .max = 64),
    FIELD_STR_LIST(T, expose_headers, "exposeHeaders", FIELD_UNIQUE,
                   "Answer headers that scripts may read", .max = 64),
    FIELD_INT(T, max_age, "maxAge", 0, 1, INT32_MAX, "Seconds a browser may remember the answer",
              .def = 5, .has_def = true),
};
#undef T
static const struct schema SCHEMA_CORS =
    SCHEMA(struct gapi_cors_filter, CORS_FIELDS, check_cors, "Answers to cross-origin calls");

/* ---- external authorisation, extensions ------------------------------------------------------ */

#define T struct gapi_auth_http
static const struct field AUTH_HTTP_FIELDS[] = {
    FIELD_STR(T, path, "path", 0, "Prefix of the path that is asked", .max = 1024),
    FIELD_STR_LIST(T, allowed_headers, "allowedHeaders", FIELD_UNIQUE,
                   "Further request headers that are sent", .max = 64, .format = FMT_HEADER_NAME),
    FIELD_STR_LIST(T, allowed_response_headers, "allowedResponseHeaders", FIELD_UNIQUE,
                   "Headers of the answer that are copied into the request", .max = 64,
                   .format = FMT_HEADER_NAME),
};
#undef T
static const struct schema SCHEMA_AUTH_HTTP =
    SCHEMA(struct gapi_auth_http, AUTH_HTTP_FIELDS, NULL, "Settings of protocol HTTP");

#define T struct gapi_auth_grpc
static const struct field AUTH_GRPC_FIELDS[] = {
    FIELD_STR_LIST(T, allowed_headers, "allowedHeaders", FIELD_UNIQUE,
                   "Request headers that are sent; all when empty", .max = 64,
                   .format = FMT_HEADER_NAME),
};
#undef T
static const struct schema SCHEMA_AUTH_GRPC =
    SCHEMA(struct gapi_auth_grpc, AUTH_GRPC_FIELDS, NULL, "Settings of protocol GRPC");

#define T struct gapi_forward_body
static const struct field FORWARD_BODY_FIELDS[] = {
    FIELD_INT(T, max_size, "maxSize", 0, 0, 65535,
              "Bytes of the body that are sent along; none when absent"),
};
#undef T
static const struct schema SCHEMA_FORWARD_BODY = SCHEMA(
    struct gapi_forward_body, FORWARD_BODY_FIELDS, NULL, "Whether the request body is sent along");

static const struct enum_row AUTH_PROTOCOLS[] = {
    {"HTTP", GAPI_AUTH_HTTP}, {"GRPC", GAPI_AUTH_GRPC}, {NULL}};

static void check_auth(struct decoder *d, void *obj)
{
    struct gapi_auth_filter *a = obj;
    if (a->protocol == GAPI_AUTH_HTTP && a->grpc)
        diag_at_key(d->diags, DIAG_Exclusive, a->node, "grpc", "remove it, or write protocol: GRPC",
                    "grpc is only for protocol GRPC");
    if (a->protocol == GAPI_AUTH_GRPC && a->http)
        diag_at_key(d->diags, DIAG_Exclusive, a->node, "http", "remove it, or write protocol: HTTP",
                    "http is only for protocol HTTP");
}

#define T struct gapi_auth_filter
static const struct field AUTH_FIELDS[] = {
    FIELD_ENUM_REQ(T, protocol, "protocol", FIELD_REQUIRED, AUTH_PROTOCOLS,
                   "How the service is asked: HTTP or GRPC"),
    FIELD_OBJ(T, backend, "backendRef", FIELD_REQUIRED, &SCHEMA_GAPI_SERVICE_REF,
              "Service that is asked"),
    FIELD_OBJ(T, http, "http", 0, &SCHEMA_AUTH_HTTP, "Settings of protocol HTTP"),
    FIELD_OBJ(T, grpc, "grpc", 0, &SCHEMA_AUTH_GRPC, "Settings of protocol GRPC"),
    FIELD_OBJ(T, forward_body, "forwardBody", 0, &SCHEMA_FORWARD_BODY,
              "Whether the request body is sent along"),
};
#undef T
static const struct schema SCHEMA_AUTH =
    SCHEMA(struct gapi_auth_filter, AUTH_FIELDS, check_auth,
           "Asks a service whether the request may pass (experimental)");

/* ---- the filter ------------------------------------------------------------------------------ */

/* One row per type; `served` is where this release stands. A filter that is not served makes its
 * rule answer 500 (section 7: it must not be skipped), a mirror apart, which changes nothing for
 * the client. */
static const struct filter_row {
    const char *type, *body;
    bool repeatable, served;
} FILTERS[GAPI_FILTER_TYPES] = {
    [GAPI_FILTER_REQUEST_HEADERS] = {"RequestHeaderModifier", "requestHeaderModifier", false, true},
    [GAPI_FILTER_RESPONSE_HEADERS] = {"ResponseHeaderModifier", "responseHeaderModifier", false,
                                      true},
    [GAPI_FILTER_REDIRECT] = {"RequestRedirect", "requestRedirect", false, true},
    [GAPI_FILTER_REWRITE] = {"URLRewrite", "urlRewrite", false, true},
    [GAPI_FILTER_MIRROR] = {"RequestMirror", "requestMirror", true, false},
    [GAPI_FILTER_CORS] = {"CORS", "cors", false, false},
    [GAPI_FILTER_EXTERNAL_AUTH] = {"ExternalAuth", "externalAuth", false, false},
    [GAPI_FILTER_EXTENSION] = {"ExtensionRef", "extensionRef", true, false},
};
static const struct enum_row FILTER_TYPES[] = {
    {"RequestHeaderModifier", GAPI_FILTER_REQUEST_HEADERS},
    {"ResponseHeaderModifier", GAPI_FILTER_RESPONSE_HEADERS},
    {"RequestRedirect", GAPI_FILTER_REDIRECT},
    {"URLRewrite", GAPI_FILTER_REWRITE},
    {"RequestMirror", GAPI_FILTER_MIRROR},
    {"CORS", GAPI_FILTER_CORS},
    {"ExternalAuth", GAPI_FILTER_EXTERNAL_AUTH},
    {"ExtensionRef", GAPI_FILTER_EXTENSION},
    {NULL}};

static void check_filter(struct decoder *d, void *obj)
{
    struct gapi_http_filter *f = obj;
    if (f->type == 0)
        return; /* missing or unknown: already said */
    for (int t = 1; t < GAPI_FILTER_TYPES; t++) {
        bool there = node_get(f->node, FILTERS[t].body) != NULL;
        if (there && t != f->type)
            diag_at_key(d->diags, DIAG_Exclusive, f->node, FILTERS[t].body,
                        "type and body must agree; make a filter for each",
                        "%s does not belong to type %s", FILTERS[t].body, FILTERS[f->type].type);
        else if (!there && t == f->type)
            diag_at(d->diags, DIAG_Required, f->node, NULL, "type %s needs %s", FILTERS[t].type,
                    FILTERS[t].body);
    }
    if (!FILTERS[f->type].served)
        diag_at_key(d->diags, DIAG_NotServed, f->node, "type",
                    f->type == GAPI_FILTER_MIRROR ? "requests pass, no copy is made"
                                                  : "requests of this rule are answered with 500",
                    "filter %s is not served yet", FILTERS[f->type].type);
}

#define T struct gapi_http_filter
static const struct field FILTER_FIELDS[] = {
    FIELD_ENUM_REQ(T, type, "type", FIELD_REQUIRED, FILTER_TYPES,
                   "What the filter does; the body of the same name must be there"),
    FIELD_OBJ(T, request_headers, "requestHeaderModifier", 0, &SCHEMA_HEADER_FILTER,
              "Changes headers of the request"),
    FIELD_OBJ(T, response_headers, "responseHeaderModifier", 0, &SCHEMA_HEADER_FILTER,
              "Changes headers of the answer"),
    FIELD_OBJ(T, redirect, "requestRedirect", 0, &SCHEMA_REDIRECT, "Answers with a redirect"),
    FIELD_OBJ(T, rewrite, "urlRewrite", 0, &SCHEMA_REWRITE,
              "Changes host or path of what the backend gets"),
    FIELD_OBJ(T, mirror, "requestMirror", 0, &SCHEMA_MIRROR,
              "Sends a copy of the request elsewhere"),
    FIELD_OBJ(T, cors, "cors", 0, &SCHEMA_CORS, "Answers to cross-origin calls"),
    FIELD_OBJ(T, auth, "externalAuth", 0, &SCHEMA_AUTH,
              "Asks a service whether the request may pass (experimental)"),
    FIELD_OBJ(T, extension, "extensionRef", 0, &SCHEMA_GAPI_LOCAL_REF,
              "A filter of the implementation's own"),
};
#undef T
const struct schema SCHEMA_HTTP_FILTER =
    SCHEMA(struct gapi_http_filter, FILTER_FIELDS, check_filter,
           "Something that happens to a request or its answer");

/* GRPCRoute: the same struct, fewer types. */
static const struct enum_row GRPC_FILTER_TYPES[] = {
    {"RequestHeaderModifier", GAPI_FILTER_REQUEST_HEADERS},
    {"ResponseHeaderModifier", GAPI_FILTER_RESPONSE_HEADERS},
    {"RequestMirror", GAPI_FILTER_MIRROR},
    {"ExtensionRef", GAPI_FILTER_EXTENSION},
    {NULL}};

#define T struct gapi_http_filter
static const struct field GRPC_FILTER_FIELDS[] = {
    FIELD_ENUM_REQ(T, type, "type", FIELD_REQUIRED, GRPC_FILTER_TYPES,
                   "What the filter does; the body of the same name must be there"),
    FIELD_OBJ(T, request_headers, "requestHeaderModifier", 0, &SCHEMA_HEADER_FILTER,
              "Changes headers of the call"),
    FIELD_OBJ(T, response_headers, "responseHeaderModifier", 0, &SCHEMA_HEADER_FILTER,
              "Changes headers of the answer"),
    FIELD_OBJ(T, mirror, "requestMirror", 0, &SCHEMA_MIRROR, "Sends a copy of the call elsewhere"),
    FIELD_OBJ(T, extension, "extensionRef", 0, &SCHEMA_GAPI_LOCAL_REF,
              "A filter of the implementation's own"),
};
#undef T
const struct schema SCHEMA_GRPC_FILTER =
    SCHEMA(struct gapi_http_filter, GRPC_FILTER_FIELDS, check_filter,
           "Something that happens to a call or its answer");

void gapi_check_filters(struct decoder *d, const struct gapi_http_filters *fs)
{
    size_t seen[GAPI_FILTER_TYPES] = {0}; /* index + 1 of the first of each type */
    for (size_t i = 0; i < fs->n; i++) {
        const struct gapi_http_filter *f = &fs->v[i];
        if (f->type == 0)
            continue;
        if (seen[f->type] && !FILTERS[f->type].repeatable)
            diag_at_key(d->diags, DIAG_Exclusive, f->node, "type", "merge the two",
                        "filter %s already stands in filters[%zu]", FILTERS[f->type].type,
                        seen[f->type] - 1);
        else if (!seen[f->type])
            seen[f->type] = i + 1;
    }
    size_t redirect = seen[GAPI_FILTER_REDIRECT], rewrite = seen[GAPI_FILTER_REWRITE];
    if (redirect && rewrite)
        diag_at_key(d->diags, DIAG_Exclusive, fs->v[GH_MAX(redirect, rewrite) - 1].node, "type",
                    "keep one of them", "RequestRedirect and URLRewrite exclude each other");
}
