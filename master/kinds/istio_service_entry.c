/*
 * istio_service_entry.c - the field table of ServiceEntry and its rules (ISTIO-RULES section 5).
 */
#include "master/kinds/istio_service_entry.h"

/* ---- endpoints ------------------------------------------------------------------------------------ */

static const struct field ENDPOINT_FIELDS[] = {
    FIELD_STR(struct istio_endpoint, address, "address", 0,
              "An IP address, a host name (resolution DNS), unix:///path or unix://@name."),
    FIELD_NODE(struct istio_endpoint, ports, "ports", 0, "Number to connect to, by name of the service port."),
    FIELD_STR_MAP(struct istio_endpoint, labels, "labels", 0, "Labels, for subsets of a DestinationRule.",
                  .format = FMT_LABEL_KEY),
    FIELD_INT(struct istio_endpoint, weight, "weight", 0, 0, UINT32_MAX, "Share of the requests, relative to the others; 1 when absent."),
    FIELD_STR(struct istio_endpoint, locality, "locality", FIELD_NOT_SERVED, "region/zone/subzone.",
              .hint = "all endpoints are equally near"),
    FIELD_STR(struct istio_endpoint, network, "network", FIELD_NOT_SERVED, "Network in which the address is valid.",
              .hint = "the address is used as it is"),
    FIELD_STR(struct istio_endpoint, service_account, "serviceAccount", 0,
              "Identity: with mode ISTIO_MUTUAL its certificate has spiffe://<trust domain>/ns/<namespace>/sa/<this>.", .max = 253),
};
const struct schema SCHEMA_ISTIO_ENDPOINT =
    SCHEMA(struct istio_endpoint, ENDPOINT_FIELDS, NULL, "Where the service runs.");

bool istio_address_is_unix(struct str a)
{
    return str_starts(a, STR("unix://"));
}

uint16_t istio_endpoint_port(const struct istio_endpoint *e, struct str name)
{
    const struct node *map = e->ports;
    for (size_t i = 0; map && map->type == NODE_MAP && i < map->n_kids; i++)
        if (str_eq(node_key(map->kids[i]), name) && map->kids[i]->type == NODE_INT)
            return (uint16_t)node_int(map->kids[i]);
    return 0;
}

static void endpoint_ports_check(struct decoder *d, const struct istio_endpoint *e)
{
    const struct node *map = e->ports;
    if (!map)
        return;
    if (map->type != NODE_MAP) {
        diag_at(d->diags, DIAG_WrongType, map, "a map such as {http: 8080}", "expected a map of numbers, found %s",
                node_type_name(map->type));
        return;
    }
    for (size_t i = 0; i < map->n_kids; i++) {
        const struct node *p = map->kids[i];
        if (p->type != NODE_INT || node_int(p) < 1 || node_int(p) > 65535)
            diag_at(d->diags, DIAG_OutOfRange, p, NULL, "a port is a number of 1 to 65535");
    }
}

void istio_endpoint_check(struct decoder *d, const struct istio_endpoint *e)
{
    const struct node *at = istio_at(e->node, "address");
    endpoint_ports_check(d, e);
    if (e->address.n == 0) {
        if (e->network.n)
            diag_at(d->diags, DIAG_Suspicious, e->node, NULL, "without an address it gets no traffic");
        else
            diag_at(d->diags, DIAG_Required, e->node, NULL, "an endpoint needs an address");
        return;
    }
    if (istio_address_is_unix(e->address)) {
        struct str path = str_skip(e->address, strlen("unix://"));
        if (path.n < 2 || (path.p[0] != '/' && path.p[0] != '@') || path.p[path.n - 1] == '/')
            diag_at(d->diags, DIAG_BadValue, at, NULL, "the path of a unix socket is absolute and does not end in '/'");
        if (e->ports)
            diag_at(d->diags, DIAG_Exclusive, e->ports, NULL, "a unix socket has no ports");
    } else if (!istio_ip_valid(e->address) && !istio_fqdn_valid(e->address)) {
        diag_at(d->diags, DIAG_BadValue, at, str_chr(e->address, ':') >= 0 ? "the port stands in ports" : NULL,
                "\"" STR_FMT "\" is neither an address nor a host name", STR_ARG(e->address));
    }
}

static bool has_port(const struct istio_se_spec *s, struct str name)
{
    for (size_t i = 0; i < s->ports.n; i++)
        if (str_eq(s->ports.v[i].name, name))
            return true;
    return false;
}

/* What an endpoint must be because of the entry it is in. */
static void inline_check(struct decoder *d, const struct istio_se_spec *s, const struct istio_endpoint *e)
{
    const struct node *at = istio_at(e->node, "address");
    istio_endpoint_check(d, e);
    for (size_t i = 0; e->ports && e->ports->type == NODE_MAP && i < e->ports->n_kids; i++)
        if (!has_port(s, node_key(e->ports->kids[i])))
            diag_at(d->diags, DIAG_BadValue, e->ports->kids[i], "the key is the name of a port of the entry",
                    "no port is called \"" STR_FMT "\"", STR_ARG(node_key(e->ports->kids[i])));
    if (istio_address_is_unix(e->address)) {
        if (s->resolution != ISTIO_RESOLUTION_STATIC)
            diag_at(d->diags, DIAG_BadValue, at, NULL, "unix sockets need resolution STATIC");
        if (s->ports.n != 1)
            diag_at(d->diags, DIAG_BadValue, at, NULL, "a unix socket serves an entry with exactly one port");
    } else if (s->resolution == ISTIO_RESOLUTION_STATIC && !istio_ip_valid(e->address) && istio_fqdn_valid(e->address)) {
        diag_at(d->diags, DIAG_BadValue, at, "resolution: DNS looks names up",
                "resolution STATIC needs IP addresses or unix sockets");
    }
}

/* ---- ports ------------------------------------------------------------------------------------------ */

static const struct field PORT_FIELDS[] = {
    FIELD_INT(struct istio_port, number, "number", FIELD_REQUIRED, 1, 65535, "The port by which destinations name it; unique."),
    FIELD_STR(struct istio_port, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY, "Name of the port, unique.", .format = FMT_DNS_LABEL),
    FIELD_STR(struct istio_port, protocol, "protocol", 0, "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL."),
    FIELD_INT(struct istio_port, target_port, "targetPort", 0, 1, 65535, "The port to connect to; number when absent."),
};
static const struct schema SCHEMA_PORT = SCHEMA(struct istio_port, PORT_FIELDS, NULL, "A port of the service.");

static void port_check(struct decoder *d, const struct istio_se_spec *s, const struct istio_port *p)
{
    enum istio_protocol proto = istio_protocol_of(p->protocol);
    const struct node *at = istio_at(p->node, "protocol");
    if (p->protocol.n && proto == ISTIO_PROTO_UNKNOWN)
        diag_at(d->diags, DIAG_BadValue, at, "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL",
                "protocol \"" STR_FMT "\" is not known", STR_ARG(p->protocol));
    bool opaque = !istio_protocol_is_http(proto) && !istio_protocol_is_tls(proto);
    if (!opaque || (p->protocol.n && proto == ISTIO_PROTO_UNKNOWN))
        return;
    if (s->addresses.n == 0)
        diag_at(d->diags, DIAG_Suspicious, p->node, "list the addresses that clients use",
                "TCP traffic can't be told apart without addresses")->analyzer = "IST0134";
    if (s->hosts.n > 1 && s->resolution != ISTIO_RESOLUTION_NONE)
        diag_at(d->diags, DIAG_Exclusive, p->node, "use one ServiceEntry for each host",
                "several hosts can't share a TCP port");
}

static void ports_check(struct decoder *d, const struct istio_se_spec *s)
{
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct istio_port *p = &s->ports.v[i];
        for (size_t k = 0; k < i; k++) {
            const struct istio_port *o = &s->ports.v[k];
            if (p->number.set && p->number.v == o->number.v)
                diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "number"), NULL, "port %d is that of ports[%zu]",
                        (int)p->number.v, k);
            if (p->name.n && str_eq(p->name, o->name))
                diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "name"), NULL, "name \"" STR_FMT "\" is that of ports[%zu]",
                        STR_ARG(p->name), k);
        }
        port_check(d, s, p);
    }
}

/* ---- resolution --------------------------------------------------------------------------------------- */

static void no_endpoints(struct decoder *d, const struct istio_se_spec *s, const char *mode)
{
    if (s->endpoints.n)
        diag_at(d->diags, DIAG_Exclusive, istio_at(s->node, "endpoints"), NULL, "resolution %s takes no endpoints", mode);
}

static void dns_check(struct decoder *d, const struct istio_se_spec *s, const char *mode)
{
    if (s->endpoints.n)
        return;
    for (size_t i = 0; i < s->hosts.n; i++)
        if (s->hosts.v[i].n && s->hosts.v[i].p[0] == '*')
            diag_at(d->diags, DIAG_BadValue, istio_item(s->node, "hosts", i), "name endpoints, or the hosts",
                    "resolution %s can't look up a wildcard", mode);
}

static void dynamic_check(struct decoder *d, const struct istio_se_spec *s)
{
    no_endpoints(d, s, "DYNAMIC_DNS");
    for (size_t i = 0; i < s->hosts.n; i++)
        if (!s->hosts.v[i].n || s->hosts.v[i].p[0] != '*')
            diag_at(d->diags, DIAG_BadValue, istio_item(s->node, "hosts", i), "resolution: DNS",
                    "resolution DYNAMIC_DNS is for wildcard hosts");
    if (s->addresses.n)
        diag_at(d->diags, DIAG_Exclusive, istio_at(s->node, "addresses"), NULL, "resolution DYNAMIC_DNS takes no addresses");
    for (size_t i = 0; i < s->ports.n; i++) {
        enum istio_protocol p = istio_protocol_of(s->ports.v[i].protocol);
        if (p != ISTIO_PROTO_HTTP && p != ISTIO_PROTO_TLS && p != ISTIO_PROTO_GRPC && p != ISTIO_PROTO_HTTP2)
            diag_at(d->diags, DIAG_BadValue, s->ports.v[i].node, "HTTP, HTTP2, GRPC or TLS",
                    "resolution DYNAMIC_DNS needs a protocol that names the host");
    }
}

static void resolution_check(struct decoder *d, const struct istio_se_spec *s)
{
    const struct node *at = istio_at(s->node, "resolution");
    if (s->resolution == ISTIO_RESOLUTION_NONE && at->type == NODE_STRING && !str_eqc(node_text(at), "NONE"))
        return; /* a word that is none: said already */
    switch (s->resolution) {
    case ISTIO_RESOLUTION_NONE:
        no_endpoints(d, s, "NONE");
        if (s->workload_selector)
            diag_at(d->diags, DIAG_Ignored, s->workload_selector->node, "resolution: STATIC",
                    "with resolution NONE no workloads are selected");
        diag_at(d->diags, DIAG_NotServed, at, "use resolution STATIC or DNS; requests are answered 503",
                "resolution NONE%s is not served yet", istio_get(s->node, "resolution") ? "" : " (the default)");
        break;
    case ISTIO_RESOLUTION_DNS:
        dns_check(d, s, "DNS");
        break;
    case ISTIO_RESOLUTION_DNS_ROUND_ROBIN:
        dns_check(d, s, "DNS_ROUND_ROBIN");
        if (s->endpoints.n > 1)
            diag_at(d->diags, DIAG_Exclusive, istio_at(s->node, "endpoints"), NULL,
                    "resolution DNS_ROUND_ROBIN takes one endpoint at most");
        diag_at(d->diags, DIAG_NotServed, at, "served as DNS: requests spread over all addresses of an answer",
                "one address at a time is not served yet");
        break;
    case ISTIO_RESOLUTION_DYNAMIC_DNS:
        dynamic_check(d, s);
        diag_at(d->diags, DIAG_NotServed, at, "use resolution DNS with the hosts by name; requests are answered 503",
                "resolution DYNAMIC_DNS is not served yet");
        break;
    default:
        break;
    }
}

/* ---- the object ------------------------------------------------------------------------------------------ */

static void hosts_check(struct decoder *d, const struct istio_se_spec *s)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str h = s->hosts.v[i];
        const struct node *at = istio_item(s->node, "hosts", i);
        if (str_eqc(h, "*"))
            diag_at(d->diags, DIAG_BadValue, at, "name a domain: \"*.example.com\"", "\"*\" is no host of a service");
        else if (!istio_wildcard_domain_valid(h))
            diag_at(d->diags, DIAG_BadValue, at, "a DNS name; '*' only as the whole first label",
                    "\"" STR_FMT "\" is no host name", STR_ARG(h));
        else if (istio_host_is_partial_wildcard(h))
            diag_at(d->diags, DIAG_Suspicious, at, "write \"*.\" before a domain", "'*' stands for part of a label");
    }
}

static void spec_check(struct decoder *d, void *obj)
{
    struct istio_se_spec *s = obj;
    hosts_check(d, s);
    for (size_t i = 0; i < s->addresses.n; i++) {
        struct str a = s->addresses.v[i];
        const struct node *at = istio_item(s->node, "addresses", i);
        if (!istio_cidr_valid(a))
            diag_at(d->diags, DIAG_BadValue, at, NULL, "\"" STR_FMT "\" is neither an address nor a range", STR_ARG(a));
        else if (str_chr(a, '/') >= 0 && s->resolution > ISTIO_RESOLUTION_STATIC)
            diag_at(d->diags, DIAG_BadValue, at, NULL, "ranges are possible with resolution NONE and STATIC only");
    }
    ports_check(d, s);
    resolution_check(d, s);
    for (size_t i = 0; i < s->endpoints.n; i++)
        inline_check(d, s, &s->endpoints.v[i]);
    if (s->workload_selector) {
        if (s->endpoints.n)
            diag_at(d->diags, DIAG_Exclusive, s->workload_selector->node, NULL, "endpoints are listed already");
        istio_selector_check(d, s->workload_selector->node, "labels", &s->workload_selector->labels);
    }
    istio_export_check(d, s->node, &s->export_to, ISTIO_EXPORT_NONE_OK);
}

static const struct enum_row ENUM_RESOLUTION[] = {
    {"NONE", ISTIO_RESOLUTION_NONE},
    {"STATIC", ISTIO_RESOLUTION_STATIC},
    {"DNS", ISTIO_RESOLUTION_DNS},
    {"DNS_ROUND_ROBIN", ISTIO_RESOLUTION_DNS_ROUND_ROBIN},
    {"DYNAMIC_DNS", ISTIO_RESOLUTION_DYNAMIC_DNS},
    {0},
};
static const struct enum_row ENUM_LOCATION[] = {{"MESH_EXTERNAL", ISTIO_MESH_EXTERNAL}, {"MESH_INTERNAL", ISTIO_MESH_INTERNAL}, {0}};

static const struct field WORKLOAD_SELECTOR_FIELDS[] = {
    FIELD_STR_MAP(struct istio_workload_selector, labels, "labels", 0, "Labels that a workload must have."),
};
static const struct schema SCHEMA_WORKLOAD_SELECTOR =
    SCHEMA(struct istio_workload_selector, WORKLOAD_SELECTOR_FIELDS, NULL, "Picks WorkloadEntry objects of the namespace.");

#define S struct istio_se_spec
static const struct field SPEC_FIELDS[] = {
    FIELD_STR_LIST(S, hosts, "hosts", FIELD_REQUIRED | FIELD_NONEMPTY, "Names of the service; destinations name one of them.",
                   .min = 1, .max = 256),
    FIELD_LIST(S, ports, "ports", 0, &SCHEMA_PORT, "Ports of the service."),
    FIELD_ENUM(S, resolution, "resolution", ENUM_RESOLUTION, ISTIO_RESOLUTION_NONE, "How the addresses are found."),
    FIELD_LIST(S, endpoints, "endpoints", 0, &SCHEMA_ISTIO_ENDPOINT, "Where the service runs; with DNS and none, the hosts are looked up."),
    FIELD_STR_LIST(S, addresses, "addresses", 0, "Virtual addresses of the service; without effect at a gateway."),
    FIELD_ENUM(S, location, "location", ENUM_LOCATION, ISTIO_MESH_EXTERNAL,
               "Whether the service belongs to the mesh (and speaks its mutual TLS)."),
    FIELD_OBJ(S, workload_selector, "workloadSelector", 0, &SCHEMA_WORKLOAD_SELECTOR,
              "Picks WorkloadEntry objects of the namespace as endpoints."),
    FIELD_STR_LIST(S, subject_alt_names, "subjectAltNames", 0,
                   "Names of which the endpoint's certificate must have one, where a DestinationRule asks for TLS and names none."),
    FIELD_STR_LIST(S, export_to, "exportTo", 0,
                   "Namespaces that may use the service: names, \".\" (own), \"*\" (default, all) or \"~\" (none)."),
};
#undef S
static const struct schema SCHEMA_SPEC =
    SCHEMA(struct istio_se_spec, SPEC_FIELDS, spec_check, "Names, ports and endpoints of a service.");

static const struct field SERVICE_ENTRY_FIELDS[] = {
    FIELD_OBJ(struct istio_service_entry, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "The service."),
};
const struct schema SCHEMA_SERVICE_ENTRY =
    SCHEMA(struct istio_service_entry, SERVICE_ENTRY_FIELDS, NULL,
           "A service that is in no other registry: an external API, a machine, a unix socket.");
