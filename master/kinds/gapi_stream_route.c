/* gapi_stream_route.c - tables and checks of TLSRoute, TCPRoute and UDPRoute. */
#include "master/kinds/gapi_stream_route.h"

#define T struct gapi_stream_rule
static const struct field RULE_FIELDS[] = {
    FIELD_STR(T, name, "name", 0, "Name of the rule; appears in logs and metrics", .min = 1, .max = 253,
              .format = FMT_DNS_SUBDOMAIN),
    FIELD_LIST(T, backends, "backendRefs", FIELD_REQUIRED, &SCHEMA_GAPI_BACKEND_REF,
               "Where connections go, each to one of them by weight. The share of a backend that can't be used is "
               "closed",
               .min = 1, .max = 16),
};
#undef T
static const struct schema SCHEMA_RULE =
    SCHEMA(struct gapi_stream_rule, RULE_FIELDS, NULL, "Where connections go");

static void check_spec(struct decoder *d, void *obj)
{
    struct gapi_stream_route_spec *s = obj;
    gapi_check_parent_refs(d, s->common.parents.v, s->common.parents.n);
}

#define T struct gapi_stream_route_spec
#define RULES FIELD_LIST(T, rules, "rules", FIELD_REQUIRED, &SCHEMA_RULE, "Exactly one rule", .min = 1, .max = 1)
static const struct field TLS_SPEC_FIELDS[] = {
    GAPI_ROUTE_FIELDS(T),
    FIELD_STR_LIST(T, common.hostnames, "hostnames", FIELD_REQUIRED,
                   "Server names (SNI) the route is for, exact or *.suffix; an exact one wins over a wildcard, a longer "
                   "wildcard over a shorter one",
                   .min = 1, .max = 1024, .format = FMT_HOSTNAME),
    RULES,
};
static const struct field PORT_SPEC_FIELDS[] = {
    GAPI_ROUTE_FIELDS(T),
    RULES,
};
#undef RULES
#undef T
static const struct schema SCHEMA_TLS_SPEC =
    SCHEMA(struct gapi_stream_route_spec, TLS_SPEC_FIELDS, check_spec, "The route");
static const struct schema SCHEMA_PORT_SPEC =
    SCHEMA(struct gapi_stream_route_spec, PORT_SPEC_FIELDS, check_spec, "The route");

#define T struct gapi_stream_route
static const struct field TLS_ROUTE_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_TLS_SPEC, "The route"),
};
static const struct field PORT_ROUTE_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_PORT_SPEC, "The route"),
};
#undef T
const struct schema SCHEMA_TLS_ROUTE =
    SCHEMA(struct gapi_stream_route, TLS_ROUTE_FIELDS, NULL,
           "Which TLS connections of a Gateway go where, by server name: untouched on a listener of mode Passthrough, "
           "decrypted on one of mode Terminate");
const struct schema SCHEMA_TCP_ROUTE =
    SCHEMA(struct gapi_stream_route, PORT_ROUTE_FIELDS, NULL,
           "Where the connections of a TCP listener go. Of several routes the oldest carries the traffic");
const struct schema SCHEMA_UDP_ROUTE =
    SCHEMA(struct gapi_stream_route, PORT_ROUTE_FIELDS, NULL,
           "Where the datagrams of a UDP listener go, flow by flow. Of several routes the oldest carries the traffic");
