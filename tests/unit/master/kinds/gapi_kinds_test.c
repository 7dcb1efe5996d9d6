/*
 * What the Gateway API and core kinds accept and refuse (GATEWAY-API-RULES 1.1 and 1.2): each case is a document and
 * its findings, "E BadValue spec.x; W NotServed spec.y".
 */
#include "master/kinds/core_config.h"
#include "master/kinds/core_service.h"
#include "master/kinds/gapi_gateway.h"
#include "master/kinds/gapi_backend_tls_policy.h"
#include "master/kinds/gapi_grpc_route.h"
#include "master/kinds/gapi_http_route.h"
#include "master/kinds/gapi_stream_route.h"
#include "master/kinds/gapi_reference_grant.h"
#include "master/yaml/parse.h"
#include "shared/base/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void tables_hold_together(void **state)
{
    static const struct schema *const ALL[] = {
        &SCHEMA_GATEWAY_CLASS, &SCHEMA_GATEWAY,   &SCHEMA_HTTP_ROUTE, &SCHEMA_REFERENCE_GRANT, &SCHEMA_SERVICE,
        &SCHEMA_ENDPOINT_SLICE, &SCHEMA_ENDPOINTS, &SCHEMA_NAMESPACE,  &SCHEMA_CONFIG_MAP,      &SCHEMA_SECRET,
        &SCHEMA_GRPC_ROUTE, &SCHEMA_TLS_ROUTE, &SCHEMA_TCP_ROUTE, &SCHEMA_UDP_ROUTE, &SCHEMA_BACKEND_TLS_POLICY,
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        struct buf why = {0};
        if (!schema_verify(ALL[i], &why))
            fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
    }
}

/* ---- the harness ----------------------------------------------------------------------------- */

struct kase {
    const char *yaml; /* flow map of what stands beside metadata; see `form` */
    const char *want;
};

struct doc {
    struct arena arena;
    struct diags diags;
    struct source source;
    struct buf text;
    void *obj;
};

static void decode(struct doc *d, const struct schema *s, const char *form, const char *yaml)
{
    struct yaml_documents docs = {0};
    *d = (struct doc){0};
    arena_init(&d->arena, 0, NULL);
    diags_init(&d->diags, &d->arena);
    buf_addc(&d->text, "{apiVersion: v1, kind: X, metadata: {name: x}, ");
    ptrdiff_t at = str_chr(str_c(form), '@');
    buf_add(&d->text, form, (size_t)at);
    buf_addc(&d->text, yaml);
    buf_addc(&d->text, form + at + 1);
    buf_addc(&d->text, "}\n");
    d->source = (struct source){.path = STR("t.yaml"), .text = buf_str(&d->text)};
    yaml_parse(&d->arena, &d->source, &YAML_LIMITS_DEFAULT, &d->diags, &docs);
    if (docs.n != 1 || !docs.v[0].root)
        fail_msg("not YAML: %s", d->text.p);
    struct decoder dec = {.arena = &d->arena, .diags = &d->diags};
    d->obj = arena_alloc(&d->arena, s->size);
    schema_decode(&dec, s, docs.v[0].root, d->obj);
    diags_sort(&d->diags);
}

static void doc_fini(struct doc *d)
{
    buf_fini(&d->text);
    arena_fini(&d->arena);
}

static void run(const struct schema *s, const char *form, const struct kase *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct doc d;
        struct buf got = {0};
        decode(&d, s, form, cases[i].yaml);
        for (size_t k = 0; k < d.diags.n; k++)
            buf_addf(&got, "%s%c %s " STR_FMT, k ? "; " : "", "EWI"[d.diags.v[k].severity], diag_code_name(d.diags.v[k].code),
                     STR_ARG(d.diags.v[k].path));
        if (!str_eqc(buf_str(&got), cases[i].want)) {
            buf_addch(&got, '\n');
            for (size_t k = 0; k < d.diags.n; k++)
                diag_text(&d.diags.v[k], &got);
            fail_msg("%s\n got: %s\nwant: %s", cases[i].yaml, buf_cstr(&got), cases[i].want);
        }
        buf_fini(&got);
        doc_fini(&d);
    }
}
#define RUN(schema, form, cases) run(&(schema), form, cases, ARRAY_LEN(cases))

/* ---- Gateway --------------------------------------------------------------------------------- */

static void listeners_have_the_shape_of_their_protocol(void **state)
{
    static const struct kase CASES[] = {
        {"[{name: a, port: 80, protocol: HTTP}]", ""},
        {"[]", "E OutOfRange spec.listeners"},
        {"[{port: 80, protocol: HTTP}]", "E Required spec.listeners[0].name"},
        {"[{name: A_b, port: 80, protocol: HTTP}]", "E BadValue spec.listeners[0].name"},
        {"[{name: a, port: 0, protocol: HTTP}]", "E OutOfRange spec.listeners[0].port"},
        {"[{name: a, port: 65536, protocol: HTTP}]", "E OutOfRange spec.listeners[0].port"},
        {"[{name: a, port: http, protocol: HTTP}]", "E WrongType spec.listeners[0].port"},
        {"[{name: a, port: 80}]", "E Required spec.listeners[0].protocol"},
        {"[{name: a, port: 80, protocol: http}]", "E BadValue spec.listeners[0].protocol"},
        {"[{name: a, port: 80, protocol: example.com/x}]", "W NotServed spec.listeners[0].protocol"},
        {"[{name: a, port: 80, protocol: TCP}, {name: b, port: 80, protocol: UDP}]", ""},
        {"[{name: a, port: 80, protocol: TCP, hostname: a.b}]", "E Exclusive spec.listeners[0].hostname"},
        {"[{name: a, port: 80, protocol: UDP, hostname: a.b}]", "E Exclusive spec.listeners[0].hostname"},
        {"[{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: x}]}}]", "E Exclusive spec.listeners[0].tls"},
        {"[{name: a, port: 443, protocol: HTTPS, tls: {mode: Passthrough}}]", "E BadValue spec.listeners[0].tls.mode"},
        {"[{name: a, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: x}, {name: y, namespace: z}]}}]", ""},
        {"[{name: a, port: 443, protocol: TLS, tls: {certificateRefs: [{name: x}]}}]", "E Required spec.listeners[0].tls"},
        {"[{name: a, port: 443, protocol: TLS}]", "E Required spec.listeners[0].tls"},
        {"[{name: a, port: 443, protocol: TLS, tls: {mode: Passthrough}}]", ""},
        {"[{name: a, port: 443, protocol: TLS, tls: {mode: Terminate}}]", "E Required spec.listeners[0].tls"},
        {"[{name: a, port: 443, protocol: TLS, tls: {mode: Terminate, options: {a.b/c: d}}}]", ""},
        {"[{name: a, port: 443, protocol: HTTPS, tls: {}}]", "E Required spec.listeners[0].tls"},
        {"[{name: a, port: 80, protocol: HTTP, hostname: '*.a.com'}]", ""},
        {"[{name: a, port: 80, protocol: HTTP, hostname: A.com}]", "E BadValue spec.listeners[0].hostname"},
        {"[{name: a, port: 80, protocol: HTTP, hostname: '*'}]", "E BadValue spec.listeners[0].hostname"},
        {"[{name: a, port: 80, protocol: HTTP, hostname: 10.0.0.1}]", "E BadValue spec.listeners[0].hostname"},
        {"[{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]", "E Exclusive spec.listeners[1].name"},
        {"[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]", "E Exclusive spec.listeners[1]"},
        {"[{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: x.y}]", ""},
        {"[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Some}}}]",
         "E BadValue spec.listeners[0].allowedRoutes.namespaces.from"},
        {"[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector}}}]",
         "W Ignored spec.listeners[0].allowedRoutes.namespaces.from"},
        {"[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {selector: {matchLabels: {a: b}}}}}]",
         "W Ignored spec.listeners[0].allowedRoutes.namespaces.selector"},
        {"[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, "
         "operator: In}]}}}}]",
         "E Required spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].values"},
        {"[{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchExpressions: [{key: a, "
         "operator: Exists, values: [b]}]}}}}]",
         "E Exclusive spec.listeners[0].allowedRoutes.namespaces.selector.matchExpressions[0].values"},
        {"[{name: a, prot: 80, protocol: HTTP, port: 80}]", "E UnknownField spec.listeners[0].prot"},
    };
    (void)state;
    RUN(SCHEMA_GATEWAY, "spec: {gatewayClassName: x, listeners: @}", CASES);
}

static void gateways_are_checked_as_a_whole(void **state)
{
    static const struct kase CASES[] = {
        {"gatewayClassName: x", ""},
        {"gatewayClassName: ''", "E OutOfRange spec.gatewayClassName"},
        {"gatewayClassName: x, addresses: [{value: 10.0.0.1}, {value: '::1'}]", ""},
        {"gatewayClassName: x, addresses: [{value: 10.0.0.256}]", "E BadValue spec.addresses[0].value"},
        {"gatewayClassName: x, addresses: [{type: Hostname, value: a_b}]", "E BadValue spec.addresses[0].value"},
        {"gatewayClassName: x, addresses: [{value: 10.0.0.1}, {value: 10.0.0.1}]", "E Exclusive spec.addresses[1].value"},
        {"gatewayClassName: x, infrastructure: {labels: {a: b}}", "W Ignored spec.infrastructure.labels"},
        {"gatewayClassName: x, infrastructure: {parametersRef: {group: '', kind: ConfigMap}}",
         "E Required spec.infrastructure.parametersRef.name"},
        {"gatewayClassName: x, allowedListeners: {namespaces: {from: Same}}", "W NotServed spec.allowedListeners"},
        {"gatewayClassName: x, tls: {frontend: {default: {validation: {caCertificateRefs: []}}}}",
         "E OutOfRange spec.tls.frontend.default.validation.caCertificateRefs"},
        {"gatewayClassName: x, tls: {frontend: {default: {}, perPort: [{port: 1, tls: {}}, {port: 1, tls: {}}]}}",
         "E Exclusive spec.tls.frontend.perPort[1].port"},
        {"gatewayClassName: x, tls: {backend: {clientCertificateRef: {name: c}}}", ""},
        {"gatewayClassName: x, tls: {backend: {clientCertificateRef: {}}}", "E Required spec.tls.backend.clientCertificateRef.name"},
        {"gatewayClassName: x, gatewayclass: y", "E UnknownField spec.gatewayclass"},
    };
    (void)state;
    RUN(SCHEMA_GATEWAY, "spec: {listeners: [{name: a, port: 80, protocol: HTTP}], @}", CASES);
}

static void classes_name_a_controller(void **state)
{
    static const struct kase CASES[] = {
        {"{controllerName: gatehouse.dev/gateway-controller}", ""},
        {"{controllerName: gatehouse}", "E BadValue spec.controllerName"},
        {"{controllerName: a.b/}", "E BadValue spec.controllerName"},
        {"{}", "E Required spec.controllerName"},
        {"{controllerName: a.b/c, parametersRef: {group: '', kind: ConfigMap, name: x, namespace: y}}", ""},
        {"{controllerName: a.b/c, parametersRef: {name: x}}", "E Required spec.parametersRef.group; E Required spec.parametersRef.kind"},
    };
    (void)state;
    RUN(SCHEMA_GATEWAY_CLASS, "spec: @", CASES);
}

/* ---- HTTPRoute ------------------------------------------------------------------------------- */

static void matches_are_checked(void **state)
{
    static const struct kase CASES[] = {
        {"{path: {value: /a}}", ""},
        {"{path: {type: Prefix, value: /a}}", "E BadValue spec.rules[0].matches[0].path.type"},
        {"{path: {value: a}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: ''}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: /a//b}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: /a/./b}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: /a/..}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: /a%2fb}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: '/a#b'}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {value: '/a b'}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {type: RegularExpression, value: '/a(b'}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {type: RegularExpression, value: 'a(?=b)'}}", "E BadValue spec.rules[0].matches[0].path.value"},
        {"{path: {type: RegularExpression, value: 'any//thing'}}", ""},
        {"{method: GET}", ""},
        {"{method: get}", "E BadValue spec.rules[0].matches[0].method"},
        {"{headers: [{name: 'a b', value: c}]}", "E BadValue spec.rules[0].matches[0].headers[0].name"},
        {"{headers: [{name: a}]}", "E Required spec.rules[0].matches[0].headers[0].value"},
        {"{headers: [{name: a, value: ''}]}", "E OutOfRange spec.rules[0].matches[0].headers[0].value"},
        {"{headers: [{name: a, value: b}, {name: A, value: c}]}", "W Ignored spec.rules[0].matches[0].headers[1].name"},
        {"{headers: [{name: a, type: RegularExpression, value: '['}]}", "E BadValue spec.rules[0].matches[0].headers[0].value"},
        {"{queryParams: [{name: a, value: b}, {name: a, value: c}]}", "W Ignored spec.rules[0].matches[0].queryParams[1].name"},
        {"{queryParams: [{name: a, value: b}, {name: A, value: c}]}", ""},
    };
    (void)state;
    RUN(SCHEMA_HTTP_ROUTE, "spec: {rules: [{matches: [@], backendRefs: [{name: a, port: 1}]}]}", CASES);
}

static void filters_agree_with_their_type_and_each_other(void **state)
{
    static const struct kase CASES[] = {
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: ''}]}}]", ""},
        {"filters: [{type: RequestHeaderModifier}]", "E Required spec.rules[0].filters[0]"},
        {"filters: [{type: RequestHeaderModifier, responseHeaderModifier: {remove: [a]}}]",
         "E Required spec.rules[0].filters[0]; E Exclusive spec.rules[0].filters[0].responseHeaderModifier"},
        {"filters: [{requestHeaderModifier: {remove: [a]}}]", "E Required spec.rules[0].filters[0].type"},
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}]",
         "W Ignored spec.rules[0].filters[0].requestHeaderModifier"},
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}], remove: [A]}}]",
         "E Exclusive spec.rules[0].filters[0].requestHeaderModifier.remove[0]"},
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: \"b\\nc\"}]}}]",
         "E BadValue spec.rules[0].filters[0].requestHeaderModifier.set[0].value"},
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}, {type: RequestHeaderModifier, "
         "requestHeaderModifier: {remove: [b]}}]",
         "E Exclusive spec.rules[0].filters[1].type"},
        {"filters: [{type: RequestRedirect, requestRedirect: {port: 1}}, {type: URLRewrite, urlRewrite: {hostname: a.b}}]",
         "E Exclusive spec.rules[0].filters[1].type"},
        {"filters: [{type: RequestRedirect, requestRedirect: {port: 1}}], backendRefs: [{name: a, port: 1}]",
         "E Exclusive spec.rules[0].backendRefs"},
        {"filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]",
         "E BadValue spec.rules[0].filters[0].requestRedirect.statusCode"},
        {"filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]",
         "E BadValue spec.rules[0].filters[0].requestRedirect.scheme"},
        {"filters: [{type: RequestRedirect, requestRedirect: {hostname: '*.a.b'}}]",
         "E BadValue spec.rules[0].filters[0].requestRedirect.hostname"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch}}}]",
         "E Required spec.rules[0].filters[0].urlRewrite.path"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replaceFullPath: /a}}}]",
         "E Required spec.rules[0].filters[0].urlRewrite.path; E Exclusive spec.rules[0].filters[0].urlRewrite.path.replaceFullPath"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: \"/a\\r\\nb\"}}}]",
         "E BadValue spec.rules[0].filters[0].urlRewrite.path.replaceFullPath"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/a?b'}}}]",
         "E BadValue spec.rules[0].filters[0].urlRewrite.path.replaceFullPath"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: 'a'}}}]",
         "E BadValue spec.rules[0].filters[0].urlRewrite.path.replaceFullPath"},
        {"filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}}]", ""},
        {"matches: [{path: {value: /a}}, {path: {value: /b}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: "
         "ReplacePrefixMatch, replacePrefixMatch: /c}}}]",
         "E Exclusive spec.rules[0].filters[0].urlRewrite.path.type"},
        {"matches: [{path: {type: Exact, value: /a}}], backendRefs: [{name: a, port: 1, filters: [{type: URLRewrite, urlRewrite: "
         "{path: {type: ReplacePrefixMatch, replacePrefixMatch: /c}}}]}]",
         "E Exclusive spec.rules[0].backendRefs[0].filters[0].urlRewrite.path.type"},
        {"filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 1, fraction: {numerator: 1}}}]",
         "W NotServed spec.rules[0].filters[0].type; E Exclusive spec.rules[0].filters[0].requestMirror.percent"},
        {"filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 101}}}]",
         "W NotServed spec.rules[0].filters[0].type; E OutOfRange spec.rules[0].filters[0].requestMirror.fraction.numerator"},
        {"filters: [{type: CORS, cors: {allowOrigins: ['*', 'https://a.b']}}]",
         "W NotServed spec.rules[0].filters[0].type; E Exclusive spec.rules[0].filters[0].cors.allowOrigins"},
        {"filters: [{type: CORS, cors: {allowOrigins: ['ftp://a.b', 'https://*.a.b:8443', 'http://*']}}]",
         "W NotServed spec.rules[0].filters[0].type; E BadValue spec.rules[0].filters[0].cors.allowOrigins[0]"},
        {"filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 1}, grpc: {}}}]",
         "W NotServed spec.rules[0].filters[0].type; E Exclusive spec.rules[0].filters[0].externalAuth.grpc"},
        {"filters: [{type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}}]", "W NotServed spec.rules[0].filters[0].type"},
    };
    (void)state;
    RUN(SCHEMA_HTTP_ROUTE, "spec: {rules: [{@}]}", CASES);
}

static void rules_are_checked(void **state)
{
    static const struct kase CASES[] = {
        {"rules: [{backendRefs: [{name: a}]}]", "E Required spec.rules[0].backendRefs[0]"},
        {"rules: [{backendRefs: [{group: x.y, kind: Z, name: a}]}]", ""},
        {"rules: [{backendRefs: [{name: a, port: 1, weight: -1}]}]", "E OutOfRange spec.rules[0].backendRefs[0].weight"},
        {"rules: [{backendRefs: [{name: a, port: 1, weight: 1000001}]}]", "E OutOfRange spec.rules[0].backendRefs[0].weight"},
        {"rules: [{name: a}, {name: a}]", "E Exclusive spec.rules[1].name"},
        {"rules: [{timeouts: {request: 1s, backendRequest: 2s}}]", "E OutOfRange spec.rules[0].timeouts.backendRequest"},
        {"rules: [{timeouts: {request: 0s, backendRequest: 2s}}]", ""},
        {"rules: [{timeouts: {request: '0'}}]", "E BadValue spec.rules[0].timeouts.request"},
        {"rules: [{timeouts: {request: 1.5s}}]", "E BadValue spec.rules[0].timeouts.request"},
        {"rules: [{timeouts: {request: -1s}}]", "E BadValue spec.rules[0].timeouts.request"},
        {"rules: [{timeouts: {request: 100000s}}]", "E BadValue spec.rules[0].timeouts.request"},
        {"rules: [{retry: {codes: [500, 503], attempts: 3, backoff: 100ms}}]", ""},
        {"rules: [{retry: {codes: [500, 500]}}]", "E Exclusive spec.rules[0].retry.codes"},
        {"rules: [{retry: {codes: [200]}}]", "E OutOfRange spec.rules[0].retry.codes[0]"},
        {"rules: [{sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}}]",
         "W NotServed spec.rules[0].sessionPersistence; E Required spec.rules[0].sessionPersistence"},
        {"hostnames: [a.b, '*.c.d']", ""},
        {"hostnames: [A.b]", "E BadValue spec.hostnames[0]"},
        {"hostnames: [10.0.0.1]", "E BadValue spec.hostnames[0]"},
        {"hostnames: ['a.*.b']", "E BadValue spec.hostnames[0]"},
        {"parentRefs: [{name: a}, {name: b}]", ""},
        {"parentRefs: [{name: a}, {name: a}]", "E Exclusive spec.parentRefs[1]"},
        {"parentRefs: [{name: a}, {name: a, sectionName: x}]", "E Exclusive spec.parentRefs[1]"},
        {"parentRefs: [{name: a, sectionName: x}, {name: a, sectionName: y}, {name: a, port: 1}]", ""},
        {"parentRefs: [{name: a, sectionName: x}, {name: a, sectionName: x}]", "E Exclusive spec.parentRefs[1]"},
        {"parentRefs: [{}]", "E Required spec.parentRefs[0].name"},
        {"host: a", "E UnknownField spec.host"},
    };
    (void)state;
    RUN(SCHEMA_HTTP_ROUTE, "spec: {@}", CASES);
}

static void defaults_are_those_of_the_api(void **state)
{
    struct doc d;
    (void)state;
    decode(&d, &SCHEMA_HTTP_ROUTE, "spec: @",
           "{parentRefs: [{name: g}], rules: [{matches: [{path: {}, headers: [{name: a, value: b}]}], filters: [{type: RequestRedirect, "
           "requestRedirect: {}}]}, {backendRefs: [{name: s, port: 1}]}]}");
    assert_int_equal(d.diags.n, 0);
    const struct gapi_http_route_spec *s = ((struct gapi_http_route *)d.obj)->spec;
    assert_string_equal(s->common.parents.v[0].group.p, GAPI_GROUP);
    assert_string_equal(s->common.parents.v[0].kind.p, "Gateway");
    assert_int_equal(s->rules.v[0].matches.v[0].path->type, GAPI_PATH_PREFIX);
    assert_string_equal(s->rules.v[0].matches.v[0].path->value.p, "/");
    assert_int_equal(s->rules.v[0].matches.v[0].headers.v[0].type, GAPI_VALUE_EXACT);
    assert_int_equal(s->rules.v[0].filters.v[0].redirect->status.v, 302);
    assert_int_equal(s->rules.v[1].backends.v[0].weight.v, 1);
    assert_string_equal(s->rules.v[1].backends.v[0].kind.p, "Service");
    doc_fini(&d);
    decode(&d, &SCHEMA_GATEWAY, "spec: @",
           "{gatewayClassName: x, addresses: [{}], listeners: [{name: a, port: 443, protocol: HTTPS, allowedRoutes: {namespaces: {}, kinds: "
           "[{kind: HTTPRoute}]}, tls: {certificateRefs: [{name: c}]}}]}");
    const struct gapi_gateway_spec *g = ((struct gapi_gateway *)d.obj)->spec;
    assert_string_equal(g->addresses.v[0].type.p, "IPAddress");
    assert_int_equal(g->listeners.v[0].allowed_routes->namespaces->from, GAPI_FROM_SAME);
    assert_string_equal(g->listeners.v[0].allowed_routes->kinds.v[0].group.p, GAPI_GROUP);
    assert_int_equal(g->listeners.v[0].tls->mode, GAPI_TLS_TERMINATE);
    assert_string_equal(g->listeners.v[0].tls->certificate_refs.v[0].kind.p, "Secret");
    doc_fini(&d);
}

/* ---- GRPCRoute, TLSRoute, TCPRoute, UDPRoute ------------------------------------------------- */

static void grpc_routes_are_checked(void **state)
{
    static const struct kase CASES[] = {
        {"matches: [{method: {service: a.B, method: C}}, {method: {service: .a.B}}, {method: {method: _c1}}, {headers: [{name: a, value: b}]}]", ""},
        {"matches: [{method: {}}]", "E Required spec.rules[0].matches[0].method"},
        {"matches: [{method: {service: a/B}}]", "E BadValue spec.rules[0].matches[0].method.service"},
        {"matches: [{method: {service: a..B}}]", "E BadValue spec.rules[0].matches[0].method.service"},
        {"matches: [{method: {service: a.1B}}]", "E BadValue spec.rules[0].matches[0].method.service"},
        {"matches: [{method: {method: a.b}}]", "E BadValue spec.rules[0].matches[0].method.method"},
        {"matches: [{method: {type: RegularExpression, service: 'a[.].*', method: '(Get|List).*'}}]", ""},
        {"matches: [{method: {type: RegularExpression, method: '('}}]", "E BadValue spec.rules[0].matches[0].method.method"},
        {"matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]", "W Ignored spec.rules[0].matches[0].headers[1].name"},
        {"matches: [{path: {value: /a}}]", "E UnknownField spec.rules[0].matches[0].path"},
        {"filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}]", ""},
        {"filters: [{type: URLRewrite}]", "E BadValue spec.rules[0].filters[0].type"},
        {"filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}}}]", "W NotServed spec.rules[0].filters[0].type"},
        {"backendRefs: [{name: a}]", "E Required spec.rules[0].backendRefs[0]"},
        {"timeouts: {request: 1s}", "E UnknownField spec.rules[0].timeouts"},
        {"sessionPersistence: {}", "W NotServed spec.rules[0].sessionPersistence"},
    };
    (void)state;
    RUN(SCHEMA_GRPC_ROUTE, "spec: {hostnames: [a.b], rules: [{@}]}", CASES);
}

static void routes_of_layer_4_have_one_rule(void **state)
{
    static const struct kase TLS[] = {
        {"hostnames: [a.b, '*.c.d'], rules: [{name: x, backendRefs: [{name: a, port: 1, weight: 0}]}]", ""},
        {"rules: [{backendRefs: [{name: a, port: 1}]}]", "E Required spec.hostnames"},
        {"hostnames: [], rules: [{backendRefs: [{name: a, port: 1}]}]", "E OutOfRange spec.hostnames"},
        {"hostnames: [10.0.0.1], rules: [{backendRefs: [{name: a, port: 1}]}]", "E BadValue spec.hostnames[0]"},
        {"hostnames: [a.b]", "E Required spec.rules"},
        {"hostnames: [a.b], rules: []", "E OutOfRange spec.rules"},
        {"hostnames: [a.b], rules: [{backendRefs: []}]", "E OutOfRange spec.rules[0].backendRefs"},
        {"hostnames: [a.b], rules: [{backendRefs: [{name: a}]}]", "E Required spec.rules[0].backendRefs[0]"},
        {"hostnames: [a.b], parentRefs: [{name: a}, {name: a}], rules: [{backendRefs: [{name: a, port: 1}]}]",
         "E Exclusive spec.parentRefs[1]"},
    };
    static const struct kase PORT[] = {
        {"rules: [{backendRefs: [{name: a, port: 1}, {name: b, port: 2}]}]", ""},
        {"rules: [{backendRefs: [{name: a, port: 1}]}, {backendRefs: [{name: a, port: 1}]}]", "E OutOfRange spec.rules"},
        {"hostnames: [a.b], rules: [{backendRefs: [{name: a, port: 1}]}]", "E UnknownField spec.hostnames"},
        {"rules: [{backendRefs: [{name: a, port: 1, filters: []}]}]", "E UnknownField spec.rules[0].backendRefs[0].filters"},
        {"rules: [{matches: [], backendRefs: [{name: a, port: 1}]}]", "E UnknownField spec.rules[0].matches"},
    };
    (void)state;
    RUN(SCHEMA_TLS_ROUTE, "spec: {@}", TLS);
    RUN(SCHEMA_TCP_ROUTE, "spec: {@}", PORT);
    RUN(SCHEMA_UDP_ROUTE, "spec: {@}", PORT);
}

static void backend_tls_policies_say_whom_to_trust(void **state)
{
    static const struct kase CASES[] = {
        {"validation: {wellKnownCACertificates: System, hostname: a.b}", ""},
        {"validation: {wellKnownCACertificates: Some, hostname: a.b}", ""}, /* a condition */
        {"validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: a}], hostname: a.b}", ""},
        {"validation: {hostname: a.b}", "E Required spec.validation"},
        {"validation: {caCertificateRefs: [], hostname: a.b}", "E Required spec.validation.caCertificateRefs"},
        {"validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: a}], wellKnownCACertificates: System, hostname: a.b}",
         "E Exclusive spec.validation.wellKnownCACertificates"},
        {"validation: {wellKnownCACertificates: System}", "E Required spec.validation.hostname"},
        {"validation: {wellKnownCACertificates: System, hostname: '*.a.b'}", "E BadValue spec.validation.hostname"},
        {"validation: {wellKnownCACertificates: System, hostname: a.b, subjectAltNames: [{type: Hostname, hostname: c.d}, {type: URI, uri: 'spiffe://a/b'}]}", ""},
        {"validation: {wellKnownCACertificates: System, hostname: a.b, subjectAltNames: [{type: URI, hostname: c.d}]}",
         "E Required spec.validation.subjectAltNames[0]; E Exclusive spec.validation.subjectAltNames[0].hostname"},
        {"validation: {wellKnownCACertificates: System, hostname: a.b, subjectAltNames: [{type: URI, uri: a}]}",
         "E BadValue spec.validation.subjectAltNames[0].uri"},
        {"validation: {wellKnownCACertificates: System, hostname: a.b}, options: {a.b/c: d}", "W Ignored spec.options[\"a.b/c\"]"},
    };
    static const struct kase TARGETS[] = {
        {"[]", "E OutOfRange spec.targetRefs"},
        {"[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: b}]", ""},
        {"[{group: '', kind: Service, name: a, sectionName: x}, {group: '', kind: Service, name: a, sectionName: y}]", ""},
        {"[{group: '', kind: Service, name: a}, {group: '', kind: Service, name: a, sectionName: y}]", "E Exclusive spec.targetRefs[1]"},
        {"[{group: '', kind: Service, name: a, sectionName: x}, {group: '', kind: Service, name: a, sectionName: x}]",
         "E Exclusive spec.targetRefs[1]"},
        {"[{kind: Service, name: a}]", "E Required spec.targetRefs[0].group"},
    };
    (void)state;
    RUN(SCHEMA_BACKEND_TLS_POLICY, "spec: {targetRefs: [{group: '', kind: Service, name: s}], @}", CASES);
    RUN(SCHEMA_BACKEND_TLS_POLICY, "spec: {validation: {wellKnownCACertificates: System, hostname: a.b}, targetRefs: @}", TARGETS);
}

/* ---- the others ------------------------------------------------------------------------------ */

static void grants_say_who_and_what(void **state)
{
    static const struct kase CASES[] = {
        {"{from: [{group: a, kind: B, namespace: c}], to: [{group: '', kind: Service}]}", ""},
        {"{from: [], to: [{group: '', kind: Service}]}", "E OutOfRange spec.from"},
        {"{from: [{kind: B, namespace: c}], to: [{kind: Service}]}", "E Required spec.from[0].group; E Required spec.to[0].group"},
    };
    (void)state;
    RUN(SCHEMA_REFERENCE_GRANT, "spec: @", CASES);
}

static void services_are_checked(void **state)
{
    static const struct kase CASES[] = {
        {"{ports: [{port: 80}], selector: {a: b}, clusterIP: None, ipFamilies: [IPv4]}", ""},
        {"{ports: [{port: 80, targetPort: http, nodePort: 30000}]}", ""},
        {"{ports: [{port: 80}, {port: 81, name: b}]}", "E Required spec.ports[0]"},
        {"{ports: [{port: 80, name: a}, {port: 81, name: a}]}", "E Exclusive spec.ports[1].name"},
        {"{ports: [{port: 53, name: a}, {port: 53, name: b, protocol: UDP}]}", ""},
        {"{ports: [{port: 53, name: a}, {port: 53, name: b}]}", "E Exclusive spec.ports[1].port"},
        {"{type: ExternalName}", "E Required spec"},
        {"{type: ExternalName, externalName: a.b}", ""},
        {"{externalName: a.b}", "W Ignored spec.externalName"},
        {"{sessionAffinity: ClientIP}", "W NotServed spec.sessionAffinity"},
        {"{ports: [{prot: 80, port: 80}]}", "E UnknownField spec.ports[0].prot"},
    };
    (void)state;
    RUN(SCHEMA_SERVICE, "spec: @", CASES);
}

static void endpoints_are_checked(void **state)
{
    static const struct kase SLICES[] = {
        {"addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}, nodeName: n, zone: z}], ports: [{port: 1}]", ""},
        {"addressType: IPv4, endpoints: null, ports: null", ""},
        {"addressType: IPv4, endpoints: [{addresses: ['::1']}]", "E BadValue endpoints[0].addresses[0]"},
        {"addressType: IPv6, endpoints: [{addresses: [10.0.0.1]}]", "E BadValue endpoints[0].addresses[0]"},
        {"addressType: FQDN, endpoints: [{addresses: [a.b, 10.0.0.1]}]", "E BadValue endpoints[0].addresses[1]"},
        {"addressType: IPv4, endpoints: [{addresses: []}]", "E OutOfRange endpoints[0].addresses"},
        {"endpoints: []", "E Required addressType"},
    };
    static const struct kase OLD[] = {
        {"subsets: [{addresses: [{ip: 10.0.0.1, nodeName: n}], ports: [{port: 1, name: a}]}]", ""},
        {"subsets: null", ""},
        {"subsets: [{addresses: [{ip: a.b}]}]", "E BadValue subsets[0].addresses[0].ip"},
    };
    (void)state;
    RUN(SCHEMA_ENDPOINT_SLICE, "@", SLICES);
    RUN(SCHEMA_ENDPOINTS, "@", OLD);
}

static void secrets_and_config_maps_are_checked(void **state)
{
    static const struct kase SECRETS[] = {
        {"type: kubernetes.io/tls, data: {tls.crt: YQ==, tls.key: Yg==}", ""},
        {"type: kubernetes.io/tls, data: {tls.crt: YQ==}, stringData: {tls.key: b}", ""},
        {"type: kubernetes.io/tls, data: {tls.crt: YQ==}", "E Required "},
        {"data: {a: '!!!'}", "E BadValue data.a"},
        {"data: {'a b': YQ==}", "E BadValue data"},
        {"data: null", ""},
    };
    static const struct kase MAPS[] = {
        {"data: {a: b}, binaryData: {c: YQ==}", ""},
        {"data: {a: b}, binaryData: {a: YQ==}", "E Exclusive binaryData"},
        {"data: {a: 1}", "E WrongType data.a"},
    };
    struct doc d;
    (void)state;
    RUN(SCHEMA_SECRET, "@", SECRETS);
    RUN(SCHEMA_CONFIG_MAP, "@", MAPS);
    decode(&d, &SCHEMA_SECRET, "@", "data: {a: YQ==, b: Yg==}, stringData: {a: plain}");
    assert_true(str_eqc(core_secret_value(d.obj, "a"), "plain"));
    assert_true(str_eqc(core_secret_value(d.obj, "b"), "b"));
    assert_null(core_secret_value(d.obj, "c").p);
    doc_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_hold_together),
        cmocka_unit_test(listeners_have_the_shape_of_their_protocol),
        cmocka_unit_test(gateways_are_checked_as_a_whole),
        cmocka_unit_test(classes_name_a_controller),
        cmocka_unit_test(matches_are_checked),
        cmocka_unit_test(filters_agree_with_their_type_and_each_other),
        cmocka_unit_test(rules_are_checked),
        cmocka_unit_test(defaults_are_those_of_the_api),
        cmocka_unit_test(grpc_routes_are_checked),
        cmocka_unit_test(routes_of_layer_4_have_one_rule),
        cmocka_unit_test(backend_tls_policies_say_whom_to_trust),
        cmocka_unit_test(grants_say_who_and_what),
        cmocka_unit_test(services_are_checked),
        cmocka_unit_test(endpoints_are_checked),
        cmocka_unit_test(secrets_and_config_maps_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
