/* gapi_gateway.c - tables and checks of GatewayClass and Gateway. */
#include "master/kinds/gapi_gateway.h"
#include "master/kinds/format.h"

/* ---- GatewayClass ---------------------------------------------------------------------------- */

static void check_gateway_class_spec(struct decoder *d, void *obj)
{
    struct gapi_gateway_class_spec *s = obj;
    ptrdiff_t slash = str_chr(s->controller_name, '/');
    if (s->controller_name.n == 0)
        return;
    if (slash <= 0 || (size_t)slash + 1 == s->controller_name.n ||
        !format_check(FMT_DNS_SUBDOMAIN, str_head(s->controller_name, (size_t)slash), NULL))
        diag_at_key(d->diags, DIAG_BadValue, s->node, "controllerName",
                    "for gateways of this program write gatehouse.dev/gateway-controller",
                    "\"" STR_FMT "\" is no controller name (a domain, '/', and a path)",
                    STR_ARG(s->controller_name));
}

#define T struct gapi_gateway_class_spec
static const struct field GATEWAY_CLASS_SPEC_FIELDS[] = {
    FIELD_STR(T, controller_name, "controllerName", FIELD_REQUIRED,
              "Who serves Gateways of this class. Ours: gatehouse.dev/gateway-controller and "
              "istio.io/gateway-controller",
              .min = 1, .max = 253),
    FIELD_OBJ(T, parameters_ref, "parametersRef", 0, &SCHEMA_GAPI_PARAMETERS_REF,
              "An object with settings of the class. It must be a ConfigMap that exists; its "
              "content has no effect yet"),
    FIELD_STR(T, description, "description", 0, "A description for people", .max = 64),
};
#undef T
static const struct schema SCHEMA_GATEWAY_CLASS_SPEC =
    SCHEMA(struct gapi_gateway_class_spec, GATEWAY_CLASS_SPEC_FIELDS, check_gateway_class_spec,
           "The class");

#define T struct gapi_gateway_class
static const struct field GATEWAY_CLASS_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_GATEWAY_CLASS_SPEC, "The class"),
};
#undef T
const struct schema SCHEMA_GATEWAY_CLASS =
    SCHEMA(struct gapi_gateway_class, GATEWAY_CLASS_FIELDS, NULL,
           "A kind of Gateway, served by one controller. The classes gatehouse and istio exist "
           "without an object");

/* ---- Gateway: listeners ---------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum gapi_protocol protocol;
} PROTOCOLS[] = {{"HTTP", GAPI_PROTO_HTTP},
                 {"HTTPS", GAPI_PROTO_HTTPS},
                 {"TLS", GAPI_PROTO_TLS},
                 {"TCP", GAPI_PROTO_TCP},
                 {"UDP", GAPI_PROTO_UDP}};

enum gapi_protocol gapi_protocol_of(struct str s)
{
    for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++)
        if (str_eqc(s, PROTOCOLS[i].word))
            return PROTOCOLS[i].protocol;
    return GAPI_PROTO_UNKNOWN;
}

#define T struct gapi_route_kind
static const struct field ROUTE_KIND_FIELDS[] = {
    FIELD_STR(T, group, "group", 0, "API group of the route kind", .max = 253,
              .def_str = GAPI_GROUP),
    FIELD_STR(T, kind, "kind", FIELD_REQUIRED, "Kind of route, for instance HTTPRoute", .min = 1,
              .max = 63),
};
#undef T
static const struct schema SCHEMA_ROUTE_KIND =
    SCHEMA(struct gapi_route_kind, ROUTE_KIND_FIELDS, NULL, "A kind of route that may attach");

#define T struct gapi_allowed_routes
static const struct field ALLOWED_ROUTES_FIELDS[] = {
    FIELD_OBJ(T, namespaces, "namespaces", 0, &SCHEMA_GAPI_ROUTE_NAMESPACES,
              "Namespaces that routes may come from; only the Gateway's own when absent"),
    FIELD_LIST(T, kinds, "kinds", 0, &SCHEMA_ROUTE_KIND,
               "Kinds of routes that may attach; every kind that fits the protocol when absent",
               .max = 8),
};
#undef T
static const struct schema SCHEMA_ALLOWED_ROUTES =
    SCHEMA(struct gapi_allowed_routes, ALLOWED_ROUTES_FIELDS, NULL,
           "Routes that may attach to the listener");

static const struct enum_row TLS_MODES[] = {
    {"Terminate", GAPI_TLS_TERMINATE}, {"Passthrough", GAPI_TLS_PASSTHROUGH}, {NULL}};

static void check_listener_tls(struct decoder *d, void *obj)
{
    struct gapi_listener_tls *t = obj;
    if (t->mode == GAPI_TLS_TERMINATE && t->certificate_refs.n == 0 && t->options.n == 0)
        diag_at(d->diags, DIAG_Required, t->node,
                "name the Secret with the certificate in certificateRefs",
                "mode Terminate needs certificateRefs or options");
}

#define T struct gapi_listener_tls
static const struct field LISTENER_TLS_FIELDS[] = {
    FIELD_ENUM(T, mode, "mode", TLS_MODES, GAPI_TLS_TERMINATE,
               "Terminate decrypts here; Passthrough forwards by SNI without decrypting"),
    FIELD_LIST(T, certificate_refs, "certificateRefs", 0, &SCHEMA_GAPI_SECRET_REF,
               "Secrets of type kubernetes.io/tls with the certificates; of those that fit a server name one of each key "
               "type (RSA, ECDSA) is offered",
               .max = 64),
    FIELD_STR_MAP(T, options, "options", 0,
                  "Settings of the implementation: gatehouse.dev/tls-min-version and gatehouse.dev/tls-max-version (1.2, "
                  "1.3), gatehouse.dev/tls-cipher-suites (names of TLS 1.2 suites with commas between them), "
                  "gateway.istio.io/tls-terminate-mode (SIMPLE, MUTUAL, OPTIONAL_MUTUAL: the CA is key ca.crt of the "
                  "Secret, or of the Secret NAME-cacert)",
                  .max = 16),
};
#undef T
static const struct schema SCHEMA_LISTENER_TLS = SCHEMA(
    struct gapi_listener_tls, LISTENER_TLS_FIELDS, check_listener_tls, "TLS of the listener");

/* What a listener of each protocol must, may and may not have (section 1.2). */
static void check_listener_shape(struct decoder *d, struct gapi_listener *l, enum gapi_protocol p)
{
    bool tls_written = node_get(l->node, "tls") != NULL;
    if (tls_written && (p == GAPI_PROTO_HTTP || p == GAPI_PROTO_TCP || p == GAPI_PROTO_UDP))
        diag_at_key(d->diags, DIAG_Exclusive, l->node, "tls",
                    "use protocol HTTPS or TLS, or remove tls",
                    "a listener of protocol " STR_FMT " must not have tls", STR_ARG(l->protocol));
    if (p == GAPI_PROTO_HTTPS && l->tls && l->tls->mode == GAPI_TLS_PASSTHROUGH)
        diag_at_key(d->diags, DIAG_BadValue, l->tls->node, "mode",
                    "for Passthrough use protocol TLS",
                    "protocol HTTPS allows only mode Terminate");
    if (p == GAPI_PROTO_TLS && !(l->tls && node_get(l->tls->node, "mode")))
        diag_at_key(d->diags, DIAG_Required, l->node, "tls",
                    "write tls: {mode: Terminate} or {mode: Passthrough}",
                    "protocol TLS needs an explicit tls.mode");
    if (l->hostname.n && (p == GAPI_PROTO_TCP || p == GAPI_PROTO_UDP))
        diag_at_key(d->diags, DIAG_Exclusive, l->node, "hostname", "remove the hostname",
                    "a listener of protocol " STR_FMT " must not have a hostname",
                    STR_ARG(l->protocol));
}

/* A protocol that nobody knows, or a slip of the pen: said at the value, decided as a condition by lower/. */
static void check_listener(struct decoder *d, void *obj)
{
    struct gapi_listener *l = obj;
    enum gapi_protocol p = gapi_protocol_of(l->protocol);
    check_listener_shape(d, l, p);
    if (l->protocol.n == 0 || p != GAPI_PROTO_UNKNOWN)
        return;
    for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++)
        if (str_ieq(l->protocol, str_c(PROTOCOLS[i].word))) {
            diag_at_key(d->diags, DIAG_BadValue, l->node, "protocol",
                        "protocols are written in capitals",
                        "\"" STR_FMT "\" is no protocol; meant is \"%s\"", STR_ARG(l->protocol),
                        PROTOCOLS[i].word);
            return;
        }
    diag_at_key(d->diags, DIAG_NotServed, l->node, "protocol",
                "known protocols are HTTP, HTTPS, TLS, TCP and UDP",
                "protocol " STR_FMT " is not known; the listener is not served",
                STR_ARG(l->protocol));
}

#define T struct gapi_listener
static const struct field LISTENER_FIELDS[] = {
    FIELD_STR(T, name, "name", FIELD_REQUIRED,
              "Name of the listener, unique in the Gateway; routes select it by sectionName",
              .min = 1, .max = 253, .format = FMT_DNS_SUBDOMAIN),
    FIELD_STR(T, hostname, "hostname", 0,
              "Host name the listener serves, exact or *.suffix; every host when absent. The most "
              "specific listener of a "
              "port serves a request, there is no fall-back to another one",
              .format = FMT_HOSTNAME),
    FIELD_INT(T, port, "port", FIELD_REQUIRED, 1, 65535, "Port to listen on"),
    FIELD_STR(T, protocol, "protocol", FIELD_REQUIRED, "HTTP, HTTPS, TLS, TCP or UDP", .min = 1,
              .max = 255),
    FIELD_OBJ(T, tls, "tls", 0, &SCHEMA_LISTENER_TLS,
              "Certificates, for protocols HTTPS and TLS"),
    FIELD_OBJ(T, allowed_routes, "allowedRoutes", 0, &SCHEMA_ALLOWED_ROUTES,
              "Routes that may attach; those of the Gateway's namespace when absent"),
};
#undef T
static const struct schema SCHEMA_LISTENER =
    SCHEMA(struct gapi_listener, LISTENER_FIELDS, check_listener,
           "A port, a protocol and the host names served there");

/* ---- Gateway: the rest ----------------------------------------------------------------------- */

static void check_address(struct decoder *d, void *obj)
{
    struct gapi_address *a = obj;
    enum field_format want = str_eqc(a->type, "IPAddress")  ? FMT_IP
                             : str_eqc(a->type, "Hostname") ? FMT_HOSTNAME
                                                            : FMT_NONE;
    if (want == FMT_NONE || a->value.n == 0 || format_check(want, a->value, NULL))
        return;
    diag_at_key(d->diags, DIAG_BadValue, a->node, "value",
                want == FMT_IP ? "write an IPv4 or IPv6 address" : NULL, "\"" STR_FMT "\" is no %s",
                STR_ARG(a->value), want == FMT_IP ? "IP address" : "host name");
}

#define T struct gapi_address
static const struct field ADDRESS_FIELDS[] = {
    FIELD_STR(T, type, "type", 0,
              "IPAddress. Other types are known and refused as UnsupportedAddress", .min = 1,
              .max = 253, .def_str = "IPAddress"),
    FIELD_STR(T, value, "value", 0,
              "The address; when empty one is assigned from the instance's addressPool",
              .max = 253),
};
#undef T
static const struct schema SCHEMA_ADDRESS =
    SCHEMA(struct gapi_address, ADDRESS_FIELDS, check_address,
           "An address of the Gateway; all listeners are bound to all of them");

#define T struct gapi_infrastructure
static const struct field INFRASTRUCTURE_FIELDS[] = {
    FIELD_STR_MAP(T, labels, "labels", FIELD_IGNORED,
                  "Labels of generated resources; nothing is generated here", .max = 8),
    FIELD_STR_MAP(T, annotations, "annotations", FIELD_IGNORED,
                  "Annotations of generated resources; nothing is generated here", .max = 8),
    FIELD_OBJ(T, parameters_ref, "parametersRef", 0, &SCHEMA_GAPI_LOCAL_REF,
              "An object with settings of this Gateway. It must be a ConfigMap that exists; its "
              "content has no effect yet"),
};
#undef T
static const struct schema SCHEMA_INFRASTRUCTURE = SCHEMA(
    struct gapi_infrastructure, INFRASTRUCTURE_FIELDS, NULL, "Settings of what runs the Gateway");

static const struct enum_row VALIDATION_MODES[] = {
    {"AllowValidOnly", GAPI_ALLOW_VALID_ONLY},
    {"AllowInsecureFallback", GAPI_ALLOW_INSECURE_FALLBACK},
    {NULL}};

#define T struct gapi_frontend_validation
static const struct field FRONTEND_VALIDATION_FIELDS[] = {
    FIELD_LIST(T, ca_refs, "caCertificateRefs", FIELD_REQUIRED, &SCHEMA_GAPI_OBJECT_REF,
               "ConfigMaps (or Secrets) with the CA certificates in key ca.crt; another namespace needs a "
               "ReferenceGrant there",
               .min = 1, .max = 8),
    FIELD_ENUM(T, mode, "mode", VALIDATION_MODES, GAPI_ALLOW_VALID_ONLY,
               "AllowValidOnly refuses connections without a valid certificate; "
               "AllowInsecureFallback lets them in"),
};
#undef T
static const struct schema SCHEMA_FRONTEND_VALIDATION =
    SCHEMA(struct gapi_frontend_validation, FRONTEND_VALIDATION_FIELDS, NULL,
           "How client certificates are checked");

#define T struct gapi_frontend_tls
static const struct field FRONTEND_TLS_FIELDS[] = {
    FIELD_OBJ(T, validation, "validation", 0, &SCHEMA_FRONTEND_VALIDATION,
              "How client certificates are checked"),
};
#undef T
static const struct schema SCHEMA_FRONTEND_TLS =
    SCHEMA(struct gapi_frontend_tls, FRONTEND_TLS_FIELDS, NULL, "TLS towards clients");

#define T struct gapi_frontend_port
static const struct field FRONTEND_PORT_FIELDS[] = {
    FIELD_INT(T, port, "port", FIELD_REQUIRED, 1, 65535, "Port of the listeners this entry is for"),
    FIELD_OBJ(T, tls, "tls", FIELD_REQUIRED, &SCHEMA_FRONTEND_TLS,
              "TLS towards clients on this port"),
};
#undef T
static const struct schema SCHEMA_FRONTEND_PORT = SCHEMA(
    struct gapi_frontend_port, FRONTEND_PORT_FIELDS, NULL, "TLS towards clients on one port");

static void check_frontend(struct decoder *d, void *obj)
{
    struct gapi_frontend *f = obj;
    for (size_t i = 1; i < f->per_port.n; i++)
        for (size_t j = 0; j < i; j++)
            if (f->per_port.v[i].port.set && f->per_port.v[i].port.v == f->per_port.v[j].port.v) {
                diag_at_key(d->diags, DIAG_Exclusive, f->per_port.v[i].node, "port",
                            "keep one entry for each port",
                            "port %lld already stands in perPort[%zu]",
                            (long long)f->per_port.v[i].port.v, j);
                break;
            }
}

#define T struct gapi_frontend
static const struct field FRONTEND_FIELDS[] = {
    FIELD_OBJ(T, dflt, "default", FIELD_REQUIRED, &SCHEMA_FRONTEND_TLS,
              "For every port without an entry of its own"),
    FIELD_LIST(T, per_port, "perPort", 0, &SCHEMA_FRONTEND_PORT, "For single ports", .max = 64),
};
#undef T
static const struct schema SCHEMA_FRONTEND =
    SCHEMA(struct gapi_frontend, FRONTEND_FIELDS, check_frontend,
           "TLS towards clients, for HTTPS listeners");

#define T struct gapi_backend_tls
static const struct field BACKEND_TLS_FIELDS[] = {
    FIELD_OBJ(T, client_certificate_ref, "clientCertificateRef", 0, &SCHEMA_GAPI_SECRET_REF,
              "Secret with the certificate shown to backends that ask for one"),
};
#undef T
static const struct schema SCHEMA_BACKEND_TLS =
    SCHEMA(struct gapi_backend_tls, BACKEND_TLS_FIELDS, NULL, "TLS towards backends");

#define T struct gapi_gateway_tls
static const struct field GATEWAY_TLS_FIELDS[] = {
    FIELD_OBJ(T, backend, "backend", 0, &SCHEMA_BACKEND_TLS, "TLS towards backends"),
    FIELD_OBJ(T, frontend, "frontend", 0, &SCHEMA_FRONTEND, "TLS towards clients, for HTTPS listeners"),
};
#undef T
static const struct schema SCHEMA_GATEWAY_TLS =
    SCHEMA(struct gapi_gateway_tls, GATEWAY_TLS_FIELDS, NULL, "TLS of the whole Gateway");

#define T struct gapi_allowed_listeners
static const struct field ALLOWED_LISTENERS_FIELDS[] = {
    FIELD_OBJ(T, namespaces, "namespaces", 0, &SCHEMA_GAPI_LISTENER_NAMESPACES,
              "Namespaces that ListenerSets may come from; none when absent"),
};
#undef T
static const struct schema SCHEMA_ALLOWED_LISTENERS =
    SCHEMA(struct gapi_allowed_listeners, ALLOWED_LISTENERS_FIELDS, NULL,
           "ListenerSets that may add listeners to this Gateway");

static bool same_listener(const struct gapi_listener *a, const struct gapi_listener *b)
{
    return a->port.v == b->port.v && str_eq(a->protocol, b->protocol) &&
           str_eq(a->hostname, b->hostname);
}

static void check_addresses(struct decoder *d, const struct gapi_gateway_spec *g)
{
    for (size_t i = 1; i < g->addresses.n; i++)
        for (size_t j = 0; j < i; j++) { /* at most 16 */
            const struct gapi_address *a = &g->addresses.v[i], *b = &g->addresses.v[j];
            if (a->value.n == 0 || !str_eq(a->value, b->value) || !str_eq(a->type, b->type))
                continue;
            diag_at_key(d->diags, DIAG_Exclusive, a->node, "value", "remove one of them",
                        "the address already stands in addresses[%zu]", j);
            break;
        }
}

static void check_gateway_spec(struct decoder *d, void *obj)
{
    struct gapi_gateway_spec *g = obj;
    for (size_t i = 1; i < g->listeners.n; i++)
        for (size_t j = 0; j < i; j++) { /* at most 64 */
            const struct gapi_listener *a = &g->listeners.v[i], *b = &g->listeners.v[j];
            if (a->name.n && str_eq(a->name, b->name))
                diag_at_key(d->diags, DIAG_Exclusive, a->node, "name",
                            "give every listener its own name", "listeners[%zu] has the same name",
                            j);
            else if (a->port.set && b->port.set && same_listener(a, b))
                diag_at(d->diags, DIAG_Exclusive, a->node,
                        "give them different hostnames, or merge them",
                        "has the same port, protocol and hostname as listeners[%zu]", j);
        }
    check_addresses(d, g);
}

#define T struct gapi_gateway_spec
static const struct field GATEWAY_SPEC_FIELDS[] = {
    FIELD_STR(T, class_name, "gatewayClassName", FIELD_REQUIRED,
              "Name of the GatewayClass. gatehouse and istio need no object", .min = 1, .max = 253),
    FIELD_LIST(T, listeners, "listeners", FIELD_REQUIRED, &SCHEMA_LISTENER,
               "Ports, protocols and host names", .min = 1, .max = 64),
    FIELD_LIST(T, addresses, "addresses", 0, &SCHEMA_ADDRESS,
               "Addresses to bind; when absent all addresses of the machine, or one of the "
               "instance's addressPool",
               .max = 16),
    FIELD_OBJ(T, infrastructure, "infrastructure", 0, &SCHEMA_INFRASTRUCTURE,
              "Settings of what runs the Gateway"),
    FIELD_OBJ(T, allowed_listeners, "allowedListeners", FIELD_NOT_SERVED, &SCHEMA_ALLOWED_LISTENERS,
              "ListenerSets that may add listeners to this Gateway"),
    FIELD_OBJ(T, tls, "tls", 0, &SCHEMA_GATEWAY_TLS, "TLS of the whole Gateway"),
    FIELD_STR(T, default_scope, "defaultScope", FIELD_NOT_SERVED,
              "All makes this the Gateway of routes with useDefaultGateways (experimental)",
              .max = 63),
};
#undef T
static const struct schema SCHEMA_GATEWAY_SPEC =
    SCHEMA(struct gapi_gateway_spec, GATEWAY_SPEC_FIELDS, check_gateway_spec, "The Gateway");

#define T struct gapi_gateway
static const struct field GATEWAY_FIELDS[] = {
    FIELD_OBJ(T, spec, "spec", FIELD_REQUIRED, &SCHEMA_GATEWAY_SPEC, "The Gateway"),
};
#undef T
const struct schema SCHEMA_GATEWAY =
    SCHEMA(struct gapi_gateway, GATEWAY_FIELDS, NULL,
           "Addresses, ports and host names that traffic comes in by");
