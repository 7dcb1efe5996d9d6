/* core_service.c - tables and checks of Service, EndpointSlice and Endpoints. */
#include "master/kinds/core_service.h"
#include "master/kinds/format.h"

static const struct enum_row PROTOCOLS[] = {
    {"TCP", CORE_TCP}, {"UDP", CORE_UDP}, {"SCTP", CORE_SCTP}, {NULL}};

/* ---- Service --------------------------------------------------------------------------------- */

#define T struct core_service_port
static const struct field SERVICE_PORT_FIELDS[] = {
    FIELD_STR(T, name, "name", 0,
              "Name of the port; needed when there are several. EndpointSlices refer to it",
              .max = 63),
    FIELD_ENUM(T, protocol, "protocol", PROTOCOLS, CORE_TCP, "TCP, UDP or SCTP"),
    FIELD_INT(T, port, "port", FIELD_REQUIRED, 1, 65535,
              "Port of the Service: what routes refer to"),
    FIELD_INT_OR_STR(T, target_port, "targetPort", 0,
                     "Port of the pods. Here the port stands in the EndpointSlice"),
    FIELD_NAMED("nodePort", FIELD_SILENT, "Port on every node of a cluster"),
    FIELD_STR(T, app_protocol, "appProtocol", 0,
              "What the backend speaks, for instance kubernetes.io/ws or kubernetes.io/h2c; "
              "HTTP/1.1 when absent",
              .max = 253),
};
#undef T
static const struct schema SCHEMA_SERVICE_PORT =
    SCHEMA(struct core_service_port, SERVICE_PORT_FIELDS, NULL, "A port of the Service");

static const struct enum_row SERVICE_TYPES[] = {{"ClusterIP", CORE_CLUSTER_IP},
                                                {"NodePort", CORE_NODE_PORT},
                                                {"LoadBalancer", CORE_LOAD_BALANCER},
                                                {"ExternalName", CORE_EXTERNAL_NAME},
                                                {NULL}};
static const struct enum_row AFFINITIES[] = {{"None"}, {"ClientIP"}, {NULL}};

/* At most a few ports stand in real Services; the quadratic loop is bounded by the table (100). */
static void check_service_ports(struct decoder *d, const struct core_service_spec *s)
{
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct core_service_port *a = &s->ports.v[i];
        if (s->ports.n > 1 && a->name.n == 0)
            diag_at(d->diags, DIAG_Required, a->node, "give every port a name",
                    "with several ports each needs a name");
        for (size_t j = 0; j < i; j++) {
            const struct core_service_port *b = &s->ports.v[j];
            if (a->name.n && str_eq(a->name, b->name))
                diag_at_key(d->diags, DIAG_Exclusive, a->node, "name",
                            "give every port its own name", "ports[%zu] has the same name", j);
            else if (a->port.set && a->port.v == b->port.v && a->protocol == b->protocol)
                diag_at_key(d->diags, DIAG_Exclusive, a->node, "port", "remove one of them",
                            "ports[%zu] has the same port and protocol", j);
            else
                continue;
            break;
        }
    }
}

static void check_service_spec(struct decoder *d, void *obj)
{
    struct core_service_spec *s = obj;
    check_service_ports(d, s);
    if (s->type == CORE_EXTERNAL_NAME && s->external_name.n == 0)
        diag_at(d->diags, DIAG_Required, s->node, "write externalName: the DNS name it stands for",
                "type ExternalName needs externalName");
    if (s->type != CORE_EXTERNAL_NAME && s->external_name.n)
        diag_at_key(d->diags, DIAG_Ignored, s->node, "externalName", "write type: ExternalName",
                    "externalName has no effect because type is not ExternalName");
    if (str_eqc(s->session_affinity, "ClientIP"))
        diag_at_key(d->diags, DIAG_NotServed, s->node, "sessionAffinity", NULL,
                    "sessionAffinity ClientIP is not served yet");
}

#define CLUSTER_ONLY(field)                                                                        \
    FIELD_NAMED(field, FIELD_SILENT, "Bookkeeping of a cluster; without effect here")
#define T struct core_service_spec
static const struct field SERVICE_SPEC_FIELDS[] = {
    FIELD_LIST(T, ports, "ports", 0, &SCHEMA_SERVICE_PORT, "Ports of the Service", .max = 100),
    FIELD_ENUM(T, type, "type", SERVICE_TYPES, CORE_CLUSTER_IP,
               "ExternalName stands for a DNS name (Istio routes only); the other types are the "
               "same here"),
    FIELD_STR(T, external_name, "externalName", 0, "DNS name that type ExternalName stands for",
              .format = FMT_FQDN_WILDCARD),
    FIELD_STR(T, session_affinity, "sessionAffinity", 0, "None, or ClientIP (not served yet)",
              .enums = AFFINITIES),
    CLUSTER_ONLY("selector"),
    CLUSTER_ONLY("clusterIP"),
    CLUSTER_ONLY("clusterIPs"),
    CLUSTER_ONLY("ipFamilies"),
    CLUSTER_ONLY("ipFamilyPolicy"),
    CLUSTER_ONLY("externalIPs"),
    CLUSTER_ONLY("loadBalancerIP"),
    CLUSTER_ONLY("loadBalancerSourceRanges"),
    CLUSTER_ONLY("loadBalancerClass"),
    CLUSTER_ONLY("allocateLoadBalancerNodePorts"),
    CLUSTER_ONLY("externalTrafficPolicy"),
    CLUSTER_ONLY("internalTrafficPolicy"),
    CLUSTER_ONLY("trafficDistribution"),
    CLUSTER_ONLY("healthCheckNodePort"),
    CLUSTER_ONLY("publishNotReadyAddresses"),
    CLUSTER_ONLY("sessionAffinityConfig"),
};
#undef T
static const struct schema SCHEMA_SERVICE_SPEC =
    SCHEMA(struct core_service_spec, SERVICE_SPEC_FIELDS, check_service_spec, "The Service");

#define T struct core_service
static const struct field SERVICE_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_SERVICE_SPEC, "The Service"),
};
#undef T
const struct schema SCHEMA_SERVICE = SCHEMA(
    struct core_service, SERVICE_FIELDS, NULL,
    "A name and ports for a set of endpoints, which stand in EndpointSlice or Endpoints objects");

/* ---- EndpointSlice --------------------------------------------------------------------------- */

#define T struct core_endpoint_conditions
static const struct field CONDITIONS_FIELDS[] = {
    FIELD_BOOL(T, ready, "ready", FIELD_NULL_OK, "Gets traffic; true when absent"),
    FIELD_BOOL(T, serving, "serving", FIELD_NULL_OK, "Would serve, were it not terminating"),
    FIELD_BOOL(T, terminating, "terminating", FIELD_NULL_OK, "Is about to go"),
};
#undef T
static const struct schema SCHEMA_CONDITIONS =
    SCHEMA(struct core_endpoint_conditions, CONDITIONS_FIELDS, NULL, "State of the endpoint");

#define T struct core_slice_endpoint
static const struct field SLICE_ENDPOINT_FIELDS[] = {
    FIELD_STR_LIST(T, addresses, "addresses", FIELD_REQUIRED,
                   "Addresses of the endpoint, of the slice's addressType; the first is used",
                   .min = 1, .max = 100),
    FIELD_OBJ(T, conditions, "conditions", FIELD_NULL_OK, &SCHEMA_CONDITIONS,
              "State of the endpoint"),
    CLUSTER_ONLY("hostname"),
    CLUSTER_ONLY("targetRef"),
    CLUSTER_ONLY("nodeName"),
    CLUSTER_ONLY("zone"),
    CLUSTER_ONLY("hints"),
    CLUSTER_ONLY("deprecatedTopology"),
    CLUSTER_ONLY("topology"),
};
#undef T
static const struct schema SCHEMA_SLICE_ENDPOINT =
    SCHEMA(struct core_slice_endpoint, SLICE_ENDPOINT_FIELDS, NULL, "One endpoint");

#define T struct core_endpoint_port
static const struct field ENDPOINT_PORT_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_NULL_OK,
              "Name of the Service port this is for; empty for an unnamed one", .max = 63),
    FIELD_ENUM(T, protocol, "protocol", PROTOCOLS, CORE_TCP, "TCP, UDP or SCTP",
               .flags = FIELD_NULL_OK),
    FIELD_INT(T, port, "port", FIELD_NULL_OK, 1, 65535, "Port of the endpoints"),
    FIELD_STR(T, app_protocol, "appProtocol", FIELD_NULL_OK,
              "What the endpoints speak; the Service's word counts", .max = 253),
};
#undef T
static const struct schema SCHEMA_ENDPOINT_PORT =
    SCHEMA(struct core_endpoint_port, ENDPOINT_PORT_FIELDS, NULL, "A port of the endpoints");

static const struct enum_row ADDRESS_TYPES[] = {
    {"IPv4", CORE_IPV4}, {"IPv6", CORE_IPV6}, {"FQDN", CORE_FQDN}, {NULL}};

/* Does `s` have the slice's address type? An IP of the other family is the usual slip. */
static bool address_fits(int32_t type, struct str s, struct buf *why)
{
    bool colon = str_chr(s, ':') >= 0;
    if (type == CORE_FQDN)
        return format_check(FMT_PRECISE_HOSTNAME, s, why);
    if (!format_check(FMT_IP, s, why))
        return false;
    if (colon == (type == CORE_IPV6))
        return true;
    buf_addc(why, colon ? "is an IPv6 address, addressType says IPv4"
                        : "is an IPv4 address, addressType says IPv6");
    return false;
}

static void check_endpoint_slice(struct decoder *d, void *obj)
{
    struct core_endpoint_slice *s = obj;
    struct buf why = {0};
    for (size_t i = 0; i < s->endpoints.n && s->address_type; i++) {
        const struct core_slice_endpoint *e = &s->endpoints.v[i];
        const struct node *list = node_get(e->node, "addresses");
        for (size_t j = 0; j < e->addresses.n; j++) {
            buf_clear(&why);
            if (address_fits(s->address_type, e->addresses.v[j], &why))
                continue;
            diag_at(d->diags, DIAG_BadValue, list && j < list->n_kids ? list->kids[j] : e->node,
                    NULL, "\"" STR_FMT "\" %s", STR_ARG(e->addresses.v[j]), buf_cstr(&why));
        }
    }
    buf_fini(&why);
}

#define T struct core_endpoint_slice
static const struct field ENDPOINT_SLICE_FIELDS[] = {
    FIELD_ENUM_REQ(T, address_type, "addressType", FIELD_REQUIRED, ADDRESS_TYPES,
                   "IPv4, IPv6, or FQDN for names that are resolved by DNS"),
    FIELD_LIST(T, endpoints, "endpoints", FIELD_NULL_OK, &SCHEMA_SLICE_ENDPOINT, "The endpoints",
               .max = 1000),
    FIELD_LIST(T, ports, "ports", FIELD_NULL_OK, &SCHEMA_ENDPOINT_PORT,
               "Ports that every endpoint of this slice has", .max = 100),
};
#undef T
const struct schema SCHEMA_ENDPOINT_SLICE = SCHEMA(
    struct core_endpoint_slice, ENDPOINT_SLICE_FIELDS, check_endpoint_slice,
    "Endpoints of the Service that label kubernetes.io/service-name names, in the same namespace");

/* ---- Endpoints ------------------------------------------------------------------------------- */

#define T struct core_endpoint_address
static const struct field ENDPOINT_ADDRESS_FIELDS[] = {
    FIELD_STR(T, ip, "ip", FIELD_REQUIRED, "IP address of the endpoint", .format = FMT_IP),
    CLUSTER_ONLY("hostname"),
    CLUSTER_ONLY("nodeName"),
    CLUSTER_ONLY("targetRef"),
};
#undef T
static const struct schema SCHEMA_ENDPOINT_ADDRESS =
    SCHEMA(struct core_endpoint_address, ENDPOINT_ADDRESS_FIELDS, NULL, "One endpoint");

#define T struct core_endpoint_subset
static const struct field ENDPOINT_SUBSET_FIELDS[] = {
    FIELD_LIST(T, addresses, "addresses", FIELD_NULL_OK, &SCHEMA_ENDPOINT_ADDRESS,
               "Endpoints that get traffic"),
    FIELD_LIST(T, not_ready, "notReadyAddresses", FIELD_NULL_OK, &SCHEMA_ENDPOINT_ADDRESS,
               "Endpoints that get none yet"),
    FIELD_LIST(T, ports, "ports", FIELD_NULL_OK, &SCHEMA_ENDPOINT_PORT,
               "Ports that every endpoint of the subset has"),
};
#undef T
static const struct schema SCHEMA_ENDPOINT_SUBSET = SCHEMA(
    struct core_endpoint_subset, ENDPOINT_SUBSET_FIELDS, NULL, "Endpoints with the same ports");

#define T struct core_endpoints
static const struct field ENDPOINTS_FIELDS[] = {
    FIELD_LIST(T, subsets, "subsets", FIELD_NULL_OK, &SCHEMA_ENDPOINT_SUBSET,
               "Groups of endpoints with the same ports"),
};
#undef T
const struct schema SCHEMA_ENDPOINTS = SCHEMA(
    struct core_endpoints, ENDPOINTS_FIELDS, NULL,
    "Endpoints of the Service of the same name; used where the Service has no EndpointSlice");
