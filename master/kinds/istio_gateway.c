/*
 * istio_gateway.c - the field table of Istio's Gateway and its rules (ISTIO-RULES 2.1). The `tls` block of a server
 * is in istio_server_tls.c.
 */
#include "master/kinds/istio_gateway.h"
#include "shared/base/hash.h"

/* ---- servers --------------------------------------------------------------------------------- */

static const struct field PORT_FIELDS[] = {
    FIELD_INT(struct istio_port, number, "number", 0, 0, 65535, "The port to listen on; 0 only with a unix bind."),
    FIELD_STR(struct istio_port, name, "name", FIELD_REQUIRED | FIELD_NONEMPTY,
              "Name of the port, unique in the Gateway; part of names in metrics."),
    FIELD_STR(struct istio_port, protocol, "protocol", FIELD_REQUIRED | FIELD_NONEMPTY,
              "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL, in any case."),
    FIELD_INT(struct istio_port, target_port, "targetPort", FIELD_DEPRECATED, 0, 65535, "Not possible in a Gateway."),
};
static const struct schema SCHEMA_PORT = SCHEMA(struct istio_port, PORT_FIELDS, NULL, "The port of a server.");

static const struct field SERVER_FIELDS[] = {
    FIELD_OBJ(struct istio_server, port, "port", FIELD_REQUIRED, &SCHEMA_PORT, "Where to listen and what is spoken there."),
    FIELD_STR_LIST(struct istio_server, hosts, "hosts", FIELD_REQUIRED | FIELD_NONEMPTY,
                   "Hosts of this server, \"[namespace/]host\": \"*\" or \".\" (own) as namespace, \"*.\" before the host."),
    FIELD_STR(struct istio_server, bind, "bind", 0,
              "Address to listen on: an IP address, unix:///path or unix://@name. All addresses when absent."),
    FIELD_OBJ(struct istio_server, tls, "tls", 0, &SCHEMA_ISTIO_SERVER_TLS, "TLS; required for HTTPS and TLS ports."),
    FIELD_STR(struct istio_server, name, "name", 0, "Name of the server, for statistics; unique in the Gateway."),
    FIELD_STR(struct istio_server, default_endpoint, "defaultEndpoint", FIELD_IGNORED, "Has no effect, as in Istio."),
};

static bool is_unix(struct str bind)
{
    return str_starts(bind, STR("unix://"));
}

static void bind_check(struct decoder *d, const struct istio_server *s)
{
    const struct node *at = istio_at(s->node, "bind");
    if (s->bind.n == 0)
        return;
    if (!is_unix(s->bind)) {
        if (!istio_ip_valid(s->bind))
            diag_at(d->diags, DIAG_BadValue, at, "an IP address, unix:///path or unix://@name",
                    "\"" STR_FMT "\" is no address to listen on", STR_ARG(s->bind));
        return;
    }
    struct str path = str_skip(s->bind, strlen("unix://"));
    if (path.n < 2 || (path.p[0] != '/' && path.p[0] != '@') || path.p[path.n - 1] == '/')
        diag_at(d->diags, DIAG_BadValue, at, NULL,
                "the path of a unix socket is absolute and does not end in '/'");
}

static void port_check(struct decoder *d, const struct istio_server *s)
{
    const struct istio_port *p = s->port;
    const struct node *at = istio_at(p->node, "number");
    if (is_unix(s->bind)) {
        if (p->number.v != 0)
            diag_at(d->diags, DIAG_Exclusive, at, NULL, "a unix socket has no port; the number must be 0");
    } else if (!istio_get(p->node, "number"))
        diag_at(d->diags, DIAG_Required, p->node, NULL, "a server needs a port number");
    else if (p->number.set && p->number.v == 0)
        diag_at(d->diags, DIAG_OutOfRange, at, "1 to 65535", "0 is no port to listen on");
    if (p->target_port.set && p->target_port.v != 0)
        diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "targetPort"), NULL,
                "targetPort is only possible in a ServiceEntry");
    if (p->protocol.n && istio_protocol_of(p->protocol) == ISTIO_PROTO_UNKNOWN)
        diag_at(d->diags, DIAG_BadValue, istio_at(p->node, "protocol"),
                "HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL",
                "protocol \"" STR_FMT "\" is not known", STR_ARG(p->protocol));
}

static void hosts_check(struct decoder *d, const struct istio_server *s)
{
    for (size_t i = 0; i < s->hosts.n; i++) {
        struct str h = s->hosts.v[i], ns = STR_NONE;
        const struct node *at = istio_item(s->node, "hosts", i);
        ptrdiff_t slash = str_chr(h, '/');
        if (slash >= 0) {
            ns = str_head(h, (size_t)slash);
            h = str_skip(h, (size_t)slash + 1);
            if (!str_eqc(ns, "*") && !str_eqc(ns, ".") && !istio_label_valid(ns))
                diag_at(d->diags, DIAG_BadValue, at, "\"namespace/host\", with \"*\" for all namespaces and \".\" for the own one",
                        "\"" STR_FMT "\" is no namespace", STR_ARG(ns));
        }
        if (!istio_wildcard_domain_valid(h))
            diag_at(d->diags, DIAG_BadValue, at, "a DNS name; '*' only as the whole first label",
                    "\"" STR_FMT "\" is no host name", STR_ARG(h));
        else if (istio_host_is_partial_wildcard(h))
            diag_at(d->diags, DIAG_NotServed, at, "write \"*.\" before a domain",
                    "a wildcard that is only part of a label matches nothing here");
    }
}

static void server_check(struct decoder *d, void *obj)
{
    static const char *const PLAIN_BAD[] = {"serverCertificate", "privateKey", "caCertificates",
                                            "tlsCertificates", "caCrl", NULL};
    static const char *const PLAIN_IDLE[] = {"credentialName", "credentialNames", "caCertCredentialName", NULL};
    struct istio_server *s = obj;
    bind_check(d, s);
    hosts_check(d, s);
    if (!s->port)
        return;
    port_check(d, s);
    enum istio_protocol p = istio_protocol_of(s->port->protocol);
    if (p == ISTIO_PROTO_UDP)
        diag_at(d->diags, DIAG_Ignored, istio_at(s->port->node, "protocol"), "UDPRoute of the Gateway API serves UDP",
                "UDP servers have no effect, as in Istio");
    if (istio_protocol_is_tls(p)) {
        if (s->tls)
            istio_server_tls_check(d, s->tls);
        else
            diag_at(d->diags, DIAG_Required, s->node, "mode: SIMPLE and credentialName, or mode: PASSTHROUGH",
                    "a server of protocol " STR_FMT " needs \"tls\"", STR_ARG(s->port->protocol));
        return;
    }
    if (!s->tls)
        return;
    const struct node *bad = istio_any(s->tls->node, PLAIN_BAD), *idle = istio_any(s->tls->node, PLAIN_IDLE);
    if (!istio_protocol_is_http(p))
        bad = s->tls->node;
    else if (s->tls->mode != ISTIO_TLS_PASSTHROUGH)
        bad = istio_at(s->tls->node, "mode");
    if (bad && p != ISTIO_PROTO_UNKNOWN)
        diag_at(d->diags, DIAG_Exclusive, bad, "protocol HTTPS terminates TLS",
                "a server of protocol " STR_FMT " has no TLS%s", STR_ARG(s->port->protocol),
                istio_protocol_is_http(p) ? " but httpsRedirect" : "");
    else if (idle)
        diag_at(d->diags, DIAG_Ignored, idle, "protocol HTTPS terminates TLS", "a plain HTTP server uses no certificate");
}

static const struct schema SCHEMA_SERVER =
    SCHEMA(struct istio_server, SERVER_FIELDS, server_check, "One port of the gateway: protocol, hosts, TLS.");

bool istio_server_redirects(const struct istio_server *s)
{
    return s->tls && s->tls->https_redirect.v && s->port &&
           istio_protocol_is_http(istio_protocol_of(s->port->protocol));
}

/* ---- the object ------------------------------------------------------------------------------ */

/* `name` of servers[i]; the map remembers the first server of each name as its number plus one. */
static size_t named_before(struct map *names, struct str name, size_t i)
{
    if (name.n == 0)
        return 0;
    void *first = map_get(names, name);
    if (!first)
        map_put(names, name, (void *)(uintptr_t)(i + 1));
    return (uintptr_t)first;
}

static void names_check(struct decoder *d, const struct istio_gateway_spec *g)
{
    struct map ports, servers;
    map_init(&ports, d->arena);
    map_init(&servers, d->arena);
    for (size_t i = 0; i < g->servers.n; i++) {
        const struct istio_server *s = &g->servers.v[i];
        size_t first = named_before(&servers, s->name, i);
        if (first)
            diag_at(d->diags, DIAG_Suspicious, istio_at(s->node, "name"), NULL,
                    "server name \"" STR_FMT "\" is that of servers[%zu]: their statistics mix",
                    STR_ARG(s->name), first - 1);
        first = s->port ? named_before(&ports, s->port->name, i) : 0;
        if (first)
            diag_at(d->diags, DIAG_BadValue, istio_at(s->port->node, "name"),
                    "port names are unique within a Gateway", "port name \"" STR_FMT "\" is that of servers[%zu]",
                    STR_ARG(s->port->name), first - 1);
    }
}

static void spec_check(struct decoder *d, void *obj)
{
    struct istio_gateway_spec *g = obj;
    istio_selector_check(d, g->node, "selector", &g->selector);
    names_check(d, g);
}

static const struct field SPEC_FIELDS[] = {
    FIELD_STR_MAP(struct istio_gateway_spec, selector, "selector", 0,
                  "Labels that an instance must have (see labels of the Instance kind); absent: every instance."),
    FIELD_LIST(struct istio_gateway_spec, servers, "servers", FIELD_REQUIRED | FIELD_NONEMPTY, &SCHEMA_SERVER,
               "The ports of the gateway."),
};
static const struct schema SCHEMA_SPEC = SCHEMA(struct istio_gateway_spec, SPEC_FIELDS, spec_check,
                                                "The instances that are meant, and their ports.");

static void gateway_check(struct decoder *d, void *obj)
{
    struct istio_gateway *g = obj;
    const struct node *name = node_get(node_get(g->node, "metadata"), "name");
    if (name && node_text(name).n && !istio_label_valid(node_text(name)))
        diag_at(d->diags, DIAG_BadValue, name, "lower case letters, digits and '-', at most 63 of them",
                "the name of a Gateway is one DNS label");
}

static const struct field GATEWAY_FIELDS[] = {
    FIELD_OBJ(struct istio_gateway, spec, "spec", FIELD_REQUIRED, &SCHEMA_SPEC, "What the gateway does."),
};
const struct schema SCHEMA_ISTIO_GATEWAY =
    SCHEMA(struct istio_gateway, GATEWAY_FIELDS, gateway_check,
           "Ports of the edge, in Istio's API: which hosts are accepted where. VirtualServices say what happens then.");
