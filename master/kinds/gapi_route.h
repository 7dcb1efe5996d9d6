/*
 * gapi_route.h - what the five kinds of routes share: parents, host names, backends, header matches, sessions.
 *
 * The spec of every route begins with struct gapi_route_common, and the object with struct gapi_route, so that
 * attachment and status know one kind of route only (gapi_route_of).
 */
#ifndef GH_KINDS_GAPI_ROUTE_H
#define GH_KINDS_GAPI_ROUTE_H

#include "master/kinds/gapi_http_filter.h"

struct gapi_route_common {
    const struct node *node;
    LIST_OF(struct gapi_parent_ref) parents;
    struct str use_default_gateways;
    struct str_list hostnames; /* TCPRoute and UDPRoute have none */
};
struct gapi_route { /* object->spec of all of them begins like this */
    const struct node *node;
    struct gapi_route_common *common;
};
static inline const struct gapi_route_common *gapi_route_of(const void *object_spec)
{
    return ((const struct gapi_route *)object_spec)->common;
}

enum gapi_value_type { GAPI_VALUE_EXACT, GAPI_VALUE_REGEX };
struct gapi_kv_match { /* header or query parameter */
    const struct node *node;
    int32_t type; /* enum gapi_value_type */
    struct str name, value;
};

struct gapi_backend_ref {
    const struct node *node;
    struct str group, kind, ns, name;
    struct opt_int port, weight; /* weight 1 when absent */
    struct gapi_http_filters filters; /* HTTPRoute and GRPCRoute */
};

enum gapi_session_type { GAPI_SESSION_COOKIE, GAPI_SESSION_HEADER };
enum gapi_cookie_lifetime { GAPI_COOKIE_SESSION, GAPI_COOKIE_PERMANENT };
struct gapi_cookie_config {
    const struct node *node;
    int32_t lifetime; /* enum gapi_cookie_lifetime */
    struct str path;
};
struct gapi_session {
    const struct node *node;
    struct str name;
    struct opt_ms absolute_timeout, idle_timeout;
    int32_t type; /* enum gapi_session_type */
    struct gapi_cookie_config *cookie;
};

extern const struct schema SCHEMA_GAPI_BACKEND_REF;  /* without filters */
extern const struct schema SCHEMA_GAPI_HEADER_MATCH;
extern const struct schema SCHEMA_GAPI_SESSION;
extern const struct enum_row GAPI_VALUE_TYPES[]; /* enum gapi_value_type */

/* The rows that all routes have; without hostnames, whose number differs. T is the struct of the spec. */
#define GAPI_ROUTE_FIELDS(T)                                                                                             \
    FIELD_LIST(T, common.parents, "parentRefs", 0, &SCHEMA_GAPI_PARENT_REF,                                              \
               "Gateways, or single listeners, that serve this route", .max = 32),                                       \
    FIELD_STR(T, common.use_default_gateways, "useDefaultGateways", FIELD_NOT_SERVED,                                    \
              "All attaches the route to every Gateway with defaultScope All (experimental)", .max = 63)
/* The rows of a backendRef but its filters. */
#define GAPI_BACKEND_FIELDS(T)                                                                                           \
    FIELD_STR(T, group, "group", 0, "API group of the backend, empty for the core group", .max = 253, .def_str = ""),    \
    FIELD_STR(T, kind, "kind", 0, "Kind of the backend: Service", .min = 1, .max = 63, .def_str = "Service"),            \
    FIELD_STR(T, ns, "namespace", 0, "Namespace of the backend; another one needs a ReferenceGrant there",               \
              .format = FMT_DNS_LABEL),                                                                                  \
    FIELD_STR(T, name, "name", FIELD_REQUIRED, "Name of the backend", .min = 1, .max = 253),                             \
    FIELD_INT(T, port, "port", 0, 1, 65535, "Port of the Service (spec.ports[].port), not of its pods"),                 \
    FIELD_INT(T, weight, "weight", 0, 0, 1000000,                                                                        \
              "Share of the requests, relative to the sum of all weights; 0 gets none", .def = 1, .has_def = true)

/* `value` of a match whose syntax depends on `type`; reports at the key value. */
void gapi_check_value(struct decoder *d, const struct node *node, const char *key, struct str value,
                      enum field_format format, const char *hint);
void gapi_check_kv_match(struct decoder *d, void *obj);
/* Names of headers that stand twice: only the first counts. */
void gapi_check_header_matches(struct decoder *d, const struct gapi_kv_match *v, size_t n);
/* At most 128 matches in all rules; names of rules are unique. */
struct gapi_rule_view { struct str name; const struct node *node; size_t n_matches; };
void gapi_check_rules(struct decoder *d, const struct node *spec, const struct gapi_rule_view *v, size_t n);

#endif
