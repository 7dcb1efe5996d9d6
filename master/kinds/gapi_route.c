/* gapi_route.c - tables and checks of what routes share; GATEWAY-API-RULES sections 1.1 and 1.2. */
#include "master/kinds/gapi_route.h"
#include "master/kinds/format.h"

/* ---- matches --------------------------------------------------------------------------------- */

const struct enum_row GAPI_VALUE_TYPES[] = {
    {"Exact", GAPI_VALUE_EXACT}, {"RegularExpression", GAPI_VALUE_REGEX}, {NULL}};

/* The format of a value depends on `type`, which a table can't say. */
void gapi_check_value(struct decoder *d, const struct node *node, const char *key, struct str value,
                      enum field_format format, const char *hint)
{
    struct buf why = {0};
    if (node_get(node, key) && !format_check(format, value, &why))
        diag_at_key(d->diags, DIAG_BadValue, node, key, hint, "\"" STR_FMT "\" %s", STR_ARG(value),
                    buf_cstr(&why));
    buf_fini(&why);
}

void gapi_check_kv_match(struct decoder *d, void *obj)
{
    struct gapi_kv_match *m = obj;
    if (m->type == GAPI_VALUE_REGEX)
        gapi_check_value(d, m->node, "value", m->value, FMT_REGEX,
                         "RE2 syntax; the expression matches the whole value");
}

void gapi_check_header_matches(struct decoder *d, const struct gapi_kv_match *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++) /* at most 16 */
            if (v[i].name.n && str_ieq(v[i].name, v[j].name)) {
                diag_at_key(d->diags, DIAG_Ignored, v[i].node, "name",
                            "of equal names only the first is compared",
                            "header " STR_FMT " already stands in headers[%zu]", STR_ARG(v[i].name), j);
                break;
            }
}

#define T struct gapi_kv_match
static const struct field HEADER_MATCH_FIELDS[] = {
    FIELD_ENUM(T, type, "type", GAPI_VALUE_TYPES, GAPI_VALUE_EXACT,
               "Exact, or RegularExpression over the whole value"),
    FIELD_STR(T, name, "name", FIELD_REQUIRED,
              "Name of the header, in any case; of two equal names the first counts", .min = 1,
              .max = 256, .format = FMT_HEADER_NAME),
    FIELD_STR(T, value, "value", FIELD_REQUIRED, "Value to compare with, case-sensitive", .min = 1,
              .max = 4096),
};
#undef T
const struct schema SCHEMA_GAPI_HEADER_MATCH = SCHEMA(
    struct gapi_kv_match, HEADER_MATCH_FIELDS, gapi_check_kv_match, "Condition on a request header");

/* ---- backends -------------------------------------------------------------------------------- */

static void check_backend_ref(struct decoder *d, void *obj)
{
    struct gapi_backend_ref *b = obj;
    gapi_check_service_port(d, b->node, b->group, b->kind, b->port.set);
}

#define T struct gapi_backend_ref
static const struct field BACKEND_REF_FIELDS[] = {
    GAPI_BACKEND_FIELDS(T),
};
#undef T
const struct schema SCHEMA_GAPI_BACKEND_REF =
    SCHEMA(struct gapi_backend_ref, BACKEND_REF_FIELDS, check_backend_ref,
           "A backend and its share of the connections");

/* ---- sessions -------------------------------------------------------------------------------- */

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
const struct schema SCHEMA_GAPI_SESSION =
    SCHEMA(struct gapi_session, SESSION_FIELDS, check_session,
           "Requests of one client go to one endpoint (experimental)");

/* ---- rules ----------------------------------------------------------------------------------- */

void gapi_check_rules(struct decoder *d, const struct node *spec, const struct gapi_rule_view *v, size_t n)
{
    size_t matches = 0;
    for (size_t i = 0; i < n; i++) {
        matches += v[i].n_matches;
        for (size_t j = 0; j < i; j++) /* at most 16 */
            if (v[i].name.n && str_eq(v[i].name, v[j].name)) {
                diag_at_key(d->diags, DIAG_Exclusive, v[i].node, "name", "give every rule its own name",
                            "rules[%zu] has the same name", j);
                break;
            }
    }
    if (matches > 128)
        diag_at_key(d->diags, DIAG_OutOfRange, spec, "rules", "split the route",
                    "%zu matches; at most 128 are allowed in all rules", matches);
}
