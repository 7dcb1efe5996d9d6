/* What Istio's kinds accept and refuse (ISTIO-RULES 1 to 3 and 5): each case is a document and its findings. */
#include "master/kinds/istio_credential.h"
#include "master/kinds/istio_destination_rule.h"
#include "master/kinds/istio_gateway.h"
#include "master/kinds/istio_service_entry.h"
#include "master/kinds/istio_virtual_service.h"
#include "master/kinds/istio_workload_entry.h"
#include "master/yaml/parse.h"
#include "shared/base/arena.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static void tables_hold_together(void **state)
{
    static const struct schema *const ALL[] = {&SCHEMA_ISTIO_GATEWAY, &SCHEMA_VIRTUAL_SERVICE, &SCHEMA_SERVICE_ENTRY,
                                               &SCHEMA_DESTINATION_RULE, &SCHEMA_WORKLOAD_ENTRY};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ALL); i++) {
        struct buf why = {0};
        if (!schema_verify(ALL[i], &why))
            fail_msg("%s", buf_cstr(&why));
        buf_fini(&why);
    }
}

/* "E BadValue spec.x; W NotServed spec.y" */
static void findings(const struct diags *ds, struct buf *out)
{
    for (size_t i = 0; i < ds->n; i++)
        buf_addf(out, "%s%c %s " STR_FMT, i ? "; " : "", "EWI"[ds->v[i].severity], diag_code_name(ds->v[i].code),
                 STR_ARG(ds->v[i].path));
}

struct kase {
    const char *yaml; /* of spec, flow or block */
    const char *want;
};

static void run(const struct schema *s, const char *kind, const struct kase *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct arena a;
        struct diags ds;
        struct buf text = {0}, got = {0};
        struct yaml_documents docs = {0};
        arena_init(&a, 0, NULL);
        diags_init(&ds, &a);
        buf_addf(&text, "{apiVersion: networking.istio.io/v1, kind: %s, metadata: {name: x, namespace: ns1}, spec: %s}\n", kind,
                 cases[i].yaml);
        struct source src = {.path = STR("t.yaml"), .text = buf_str(&text)};
        yaml_parse(&a, &src, &YAML_LIMITS_DEFAULT, &ds, &docs);
        if (docs.n != 1 || !docs.v[0].root)
            fail_msg("not YAML: %s", cases[i].yaml);
        struct decoder d = {.arena = &a, .diags = &ds, .snake_case_ok = true};
        schema_decode(&d, s, docs.v[0].root, arena_alloc(&a, s->size));
        diags_sort(&ds);
        findings(&ds, &got);
        if (!str_eqc(buf_str(&got), cases[i].want)) {
            buf_addch(&got, '\n');
            for (size_t k = 0; k < ds.n; k++)
                diag_text(&ds.v[k], &got);
            fail_msg("%s\n  want: %s\n  got:  %s", cases[i].yaml, cases[i].want, buf_cstr(&got));
        }
        buf_fini(&text);
        buf_fini(&got);
        arena_fini(&a);
    }
}

#define S(text) "{servers: [" text "]}"
#define PORT "port: {number: 80, name: http, protocol: HTTP}"
#define TLS443 "port: {number: 443, name: https, protocol: HTTPS}"

static void a_gateway_names_ports_and_hosts(void **state)
{
    static const struct kase CASES[] = {
        {S("{" PORT ", hosts: [a.example.com, '*.example.com', ns2/b.com, ./c.com, '*/d.com', '*']}"), ""},
        {"{}", "E Required spec.servers"},
        {"{servers: []}", "E OutOfRange spec.servers"},
        {S("{" PORT "}"), "E Required spec.servers[0].hosts"},
        {S("{hosts: ['*']}"), "E Required spec.servers[0].port"},
        {S("{" PORT ", hosts: []}"), "E OutOfRange spec.servers[0].hosts"},
        {S("{" PORT ", hosts: [a..b, x/y/z, N/a.com, 'a.*.com', '/a.com', 'a/', 10.0.0.1]}"),
         "E BadValue spec.servers[0].hosts[0]; E BadValue spec.servers[0].hosts[1]; E BadValue spec.servers[0].hosts[2]; "
         "E BadValue spec.servers[0].hosts[3]; E BadValue spec.servers[0].hosts[4]; E BadValue spec.servers[0].hosts[5]; "
         "E BadValue spec.servers[0].hosts[6]"},
        {S("{" PORT ", hosts: ['*foo.com']}"), "W NotServed spec.servers[0].hosts[0]"},
        {S("{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*']}"), "E OutOfRange spec.servers[0].port.number"},
        {S("{port: {number: 70000, name: a, protocol: HTTP}, hosts: ['*']}"), "E OutOfRange spec.servers[0].port.number"},
        {S("{port: {name: a, protocol: HTTP}, hosts: ['*']}"), "E Required spec.servers[0].port"},
        {S("{port: {number: 80, protocol: HTTPX}, hosts: ['*']}"),
         "E Required spec.servers[0].port.name; E BadValue spec.servers[0].port.protocol"},
        {S("{port: {number: 80, name: a, protocol: http, targetPort: 8080}, hosts: ['*']}"),
         "W Deprecated spec.servers[0].port.targetPort; E BadValue spec.servers[0].port.targetPort"},
        {S("{" PORT ", hosts: ['*']}, {port: {number: 81, name: http, protocol: HTTP}, hosts: ['*']}"),
         "E BadValue spec.servers[1].port.name"},
        {S("{" PORT ", name: s, hosts: ['*']}, {port: {number: 81, name: b, protocol: HTTP}, name: s, hosts: ['*']}"),
         "W Suspicious spec.servers[1].name"},
        {S("{" PORT ", hosts: ['*'], bind: 127.0.0.1}"), ""},
        {S("{" PORT ", hosts: ['*'], bind: localhost}"), "E BadValue spec.servers[0].bind"},
        {S("{" PORT ", hosts: ['*'], bind: 'unix:///run/x'}"), "E Exclusive spec.servers[0].port.number"},
        {S("{port: {number: 0, name: a, protocol: HTTP}, hosts: ['*'], bind: 'unix:///run/x/'}"), "E BadValue spec.servers[0].bind"},
        {S("{port: {name: a, protocol: HTTP}, hosts: ['*'], bind: 'unix://@x'}"), ""},
        {S("{port: {number: 80, name: a, protocol: GRPC}, hosts: ['*'], defaultEndpoint: x}"),
         "W Ignored spec.servers[0].defaultEndpoint"},
        {S("{port: {number: 80, name: a, protocol: tcp}, hosts: ['*']}"), ""},
        {S("{port: {number: 80, name: a, protocol: mysql}, hosts: ['*'], tls: {}}"), "E Exclusive spec.servers[0].tls"},
        {S("{port: {number: 80, name: a, protocol: UDP}, hosts: ['*']}"), "W Ignored spec.servers[0].port.protocol"},
        {"{selector: {'': b, c: '*'}, servers: [{" PORT ", hosts: ['*']}]}", "E BadValue spec.selector[\"\"]; E BadValue spec.selector.c"},
        {"{selector: {}, servers: [{" PORT ", hosts: ['*']}]}", "W Suspicious spec.selector"},
        {S("{" PORT ", hosts: ['*'], default_endpoint: x, hots: []}"),
         "W Deprecated spec.servers[0].default_endpoint; W Ignored spec.servers[0].default_endpoint; "
         "E UnknownField spec.servers[0].hots"},
    };
    (void)state;
    run(&SCHEMA_ISTIO_GATEWAY, "Gateway", CASES, ARRAY_LEN(CASES));
}

#define T(tls) S("{" TLS443 ", hosts: ['*'], tls: " tls "}")
#define IN_TLS "spec.servers[0].tls"
#define PIN64 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
static void a_gateway_judges_tls(void **state)
{
    static const struct kase CASES[] = {
        {S("{" PORT ", hosts: ['*'], tls: {httpsRedirect: true}}"), ""},
        {S("{" PORT ", hosts: ['*'], tls: {https_redirect: true}}"), "W Deprecated " IN_TLS ".https_redirect"},
        {S("{" PORT ", hosts: ['*'], tls: {mode: SIMPLE, credentialName: x}}"), "E Exclusive " IN_TLS ".mode"},
        {S("{" TLS443 ", hosts: ['*']}"), "E Required spec.servers[0]"},
        {T("{mode: SIMPLE, credentialName: x}"), ""},
        {T("{mode: 1, credentialName: x}"), ""},
        {T("{mode: SIMPEL, credentialName: x}"), "E BadValue " IN_TLS ".mode; W Ignored " IN_TLS ".credentialName"},
        {T("{mode: MUTUAL, serverCertificate: /c}"), "E Required " IN_TLS "; E Required " IN_TLS},
        {T("{mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca, caCrl: /crl}"), ""},
        {T("{mode: OPTIONAL_MUTUAL, tlsCertificates: [{serverCertificate: /c, privateKey: /k}], caCertCredentialName: ca}"), ""},
        {T("{mode: SIMPLE, tlsCertificates: [{serverCertificate: /c}]}"), "E Required " IN_TLS ".tlsCertificates[0].privateKey"},
        {T("{mode: SIMPLE, serverCertificate: /c, privateKey: /k, caCrl: /crl}"), "E Exclusive " IN_TLS ".caCrl"},
        {T("{mode: MUTUAL, credentialName: x, caCrl: /crl}"), "E Exclusive " IN_TLS ".caCrl"},
        {T("{mode: SIMPLE, credentialName: x, credentialNames: [y]}"), "E Exclusive " IN_TLS ".credentialNames"},
        {T("{mode: SIMPLE, credentialNames: [a, b, c]}"), "E OutOfRange " IN_TLS ".credentialNames"},
        {T("{mode: ISTIO_MUTUAL}"), ""},
        {T("{mode: ISTIO_MUTUAL, credentialName: x}"), "E Exclusive " IN_TLS ".credentialName"},
        {T("{mode: PASSTHROUGH, httpsRedirect: true}"), "W Ignored " IN_TLS ".httpsRedirect"},
        {T("{mode: AUTO_PASSTHROUGH, credentialName: x, serverCertificate: /c}"), "W Ignored " IN_TLS ".serverCertificate"},
    };
    (void)state;
    run(&SCHEMA_ISTIO_GATEWAY, "Gateway", CASES, ARRAY_LEN(CASES));
}

static void a_gateway_names_certificates(void **state)
{
    static const struct kase CASES[] = {
        {T("{mode: SIMPLE, credentialName: 'kubernetes://x'}"), ""},
        {T("{mode: SIMPLE, credentialName: 'kubernetes-gateway://ns/x'}"), ""},
        {T("{mode: SIMPLE, credentialName: 'kubernetes-gateway://x'}"), "E BadValue " IN_TLS ".credentialName"},
        {T("{mode: SIMPLE, credentialName: 'builtin://'}"), ""},
        {T("{mode: SIMPLE, credentialName: 'invalid://x'}"), ""},
        {T("{mode: SIMPLE, credentialName: 'sds://x'}"), "W NotServed " IN_TLS ".credentialName"},
        {T("{mode: SIMPLE, credentialName: 'configmap://ns/x'}"), "E BadValue " IN_TLS ".credentialName"},
        {T("{mode: SIMPLE, credentialName: ns/x}"), "E BadValue " IN_TLS ".credentialName"},
        {T("{mode: SIMPLE, credentialName: 'A b'}"), "E BadValue " IN_TLS ".credentialName"},
        {T("{mode: MUTUAL, credentialName: x, caCertCredentialName: 'configmap://ns/x'}"), ""},
        {T("{mode: MUTUAL, credentialName: x, caCertCredentialName: 'builtin://'}"), "E BadValue " IN_TLS ".caCertCredentialName"},
        {T("{mode: SIMPLE, credentialName: x, caCertCredentialName: y, subjectAltNames: [a]}"),
         "W Ignored " IN_TLS ".caCertCredentialName; W Ignored " IN_TLS ".subjectAltNames"},
        {T("{mode: MUTUAL, credentialName: x, verifyCertificateSpki: ['MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=', 'YQ==', "
           "'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDF=']}"),
         "E BadValue " IN_TLS ".verifyCertificateSpki[1]; E BadValue " IN_TLS ".verifyCertificateSpki[2]"},
        {T("{mode: MUTUAL, credentialName: x, verifyCertificateHash: ['" PIN64 "', '" PIN64 "0', '"
           "01:23:45:67:89:AB:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef']}"),
         "E BadValue " IN_TLS ".verifyCertificateHash[1]"},
        {T("{mode: MUTUAL, credentialName: x, insecureSkipVerify: true}"), "W Suspicious " IN_TLS ".insecureSkipVerify"},
    };
    (void)state;
    run(&SCHEMA_ISTIO_GATEWAY, "Gateway", CASES, ARRAY_LEN(CASES));
}

#define C(x) T("{mode: SIMPLE, credentialName: x, " x "}")
static void old_versions_and_weak_suites_are_named_and_never_served(void **state)
{
    static const struct kase CASES[] = {
        {C("minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3"), ""},
        {C("minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2"), "E BadValue " IN_TLS ".minProtocolVersion"},
        {C("minProtocolVersion: TLSV1_0, cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]"), "W Ignored " IN_TLS ".minProtocolVersion"},
        {C("maxProtocolVersion: TLSV1_1"), "W Ignored " IN_TLS ".maxProtocolVersion"},
        {C("cipherSuites: [ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-ECDSA-CHACHA20-POLY1305, AES128-SHA, nope, '!aNULL', ALL]"),
         "W Ignored " IN_TLS ".cipherSuites[1]; W Ignored " IN_TLS ".cipherSuites[2]; W Ignored " IN_TLS ".cipherSuites[3]; "
         "W Ignored " IN_TLS ".cipherSuites[4]; W Ignored " IN_TLS ".cipherSuites[5]"},
        {C("cipherSuites: [AES256-GCM-SHA384]"), "W Suspicious " IN_TLS ".cipherSuites; W Ignored " IN_TLS ".cipherSuites[0]"},
    };
    (void)state;
    run(&SCHEMA_ISTIO_GATEWAY, "Gateway", CASES, ARRAY_LEN(CASES));
}
#undef C

#define V(http) "{hosts: [a.example.com], gateways: [gw], http: [" http "]}"
#define TO "route: [{destination: {host: b}}]"
static void a_virtual_service_names_hosts_and_gateways(void **state)
{
    static const struct kase CASES[] = {
        {V("{" TO "}"), ""},
        {"{hosts: [reviews], http: [{" TO "}]}", ""},
        {"{hosts: ['*'], http: [{" TO "}]}", "E BadValue spec.hosts[0]"},
        {"{hosts: ['*'], gateways: [gw, mesh], http: [{" TO "}]}", "E BadValue spec.hosts[0]"},
        {"{hosts: ['*'], gateways: [gw], http: [{" TO "}]}", ""},
        {"{hosts: [10.0.0.1], gateways: [gw], http: [{" TO "}]}", ""},
        {"{hosts: ['*.foo.com', a.foo.com], gateways: [gw], http: [{" TO "}]}", "E Exclusive spec.hosts[1]"},
        {"{hosts: ['*.foo.com', foo.com], gateways: [gw], http: [{" TO "}]}", ""},
        {"{hosts: [a.com, 'https://b.com', 'c.com:80'], gateways: [gw], http: [{" TO "}]}",
         "E BadValue spec.hosts[1]; E BadValue spec.hosts[2]"},
        {"{hosts: [a.com], gateways: [gw, ns/gw, ./gw, mesh], http: [{" TO "}]}", ""},
        {"{hosts: [a.com], gateways: [gw.ns.svc], http: [{" TO "}]}", "W Deprecated spec.gateways[0]"},
        {"{hosts: [a.com], gateways: [a/b/c, G, ''], http: [{" TO "}]}",
         "E BadValue spec.gateways[0]; E BadValue spec.gateways[1]; E BadValue spec.gateways[2]"},
        {"{hosts: [a.com], gateways: [gw]}", "E Required spec"},
        {"{http: [{" TO "}]}", ""}, /* a delegate */
        {"{gateways: [gw], http: [{delegate: {name: x}}]}",
         "E Exclusive spec.gateways; E Exclusive spec.http[0].delegate"},
        {"{hosts: [a.com], exportTo: [., ns1], http: [{" TO "}]}", "E BadValue spec.exportTo[1]"},
        {"{hosts: [a.com], exportTo: ['*', x, '~', B], http: [{" TO "}]}",
         "E Exclusive spec.exportTo[0]; E BadValue spec.exportTo[2]; E Exclusive spec.exportTo[2]; E BadValue spec.exportTo[3]"},
        {"{hosts: [a.com], tls: [{match: [{sniHosts: [a.com, b.com], port: 443}], route: [{destination: {host: b}}]}]}",
         "E BadValue spec.tls[0].match[0].sniHosts[1]"},
        {"{hosts: [a.com], tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: b}, weight: 0}, "
         "{destination: {host: c}}]}]}",
         "E BadValue spec.tcp[0].match[0].destinationSubnets[0]; E BadValue spec.tcp[0].route"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

#define MATCH(m) V("{match: [" m "], " TO "}")
#define IN_MATCH "spec.http[0].match[0]"
static void a_match_block_is_checked_in_every_part(void **state)
{
    static const struct kase CASES[] = {
        {MATCH("{uri: {prefix: ''}}"), ""},
        {MATCH("{uri: {}}"), ""},
        {MATCH("{uri: null}"), ""},
        {MATCH("{uri: {exact: /a, prefix: /b}}"), "E Exclusive " IN_MATCH ".uri.prefix"},
        {MATCH("{uri: {regex: '*'}}"), "E BadValue " IN_MATCH ".uri.regex"},
        {MATCH("{uri: {regex: '(?=a)b'}}"), "E BadValue " IN_MATCH ".uri.regex"},
        {MATCH("{uri: {exact: a}}"), "W Unreachable " IN_MATCH ".uri.exact"},
        {MATCH("{uri: {exact: '/a?b=1'}}"), "W Unreachable " IN_MATCH ".uri.exact"},
        {MATCH("{uri: {exact: /a/../b}}"), "W Unreachable " IN_MATCH ".uri.exact"},
        {MATCH("{uri: {exact: /%7Ea}}"), "W Unreachable " IN_MATCH ".uri.exact"},
        {MATCH("{method: {prefix: ''}, scheme: {regex: '['}}"),
         "E BadValue " IN_MATCH ".method.prefix; E BadValue " IN_MATCH ".scheme.regex"},
        {MATCH("{headers: {x: {}, ':method': {exact: GET}}}"), ""},
        {MATCH("{headers: {x: null}}"), "E WrongType " IN_MATCH ".headers.x"},
        {MATCH("{headers: {'a b': {exact: c}}}"), "E BadValue " IN_MATCH ".headers[\"a b\"]"},
        {MATCH("{headers: {':path': {exact: /}}}"), "W NotServed " IN_MATCH ".headers[\":path\"]"},
        {MATCH("{headers: {'@request.auth.claims.a': {exact: c}}}"), "W NotServed " IN_MATCH ".headers[\"@request.auth.claims.a\"]"},
        {MATCH("{headers: {x: {regex: '*'}}}"), "E BadValue " IN_MATCH ".headers.x.regex"},
        {MATCH("{withoutHeaders: {x: {regex: '*'}, y: null, z: {}}}"), ""},
        {MATCH("{without_headers: {x: {}}}"), "W Deprecated " IN_MATCH ".without_headers"},
        {MATCH("{queryParams: {x: null, y: {exact: ''}}}"), ""},
        {MATCH("{queryParams: {x: {prefix: ''}}}"), "E BadValue " IN_MATCH ".queryParams.x.prefix"},
        {MATCH("{port: 0}"), "E OutOfRange " IN_MATCH ".port"},
        {MATCH("{gateways: [a/b/c], sourceNamespace: A_b}"), "E BadValue " IN_MATCH ".gateways[0]; E BadValue " IN_MATCH ".sourceNamespace"},
        {"{hosts: [a.com], http: [{match: [{headers: {'@request.auth.claims.a': {exact: c}}}], " TO "}]}",
         "W NotServed " IN_MATCH ".headers[\"@request.auth.claims.a\"]; E BadValue " IN_MATCH ".headers[\"@request.auth.claims.a\"]"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

static void a_rule_does_one_thing(void **state)
{
    static const struct kase CASES[] = {
        {V("{}"), "E Required spec.http[0]"},
        {V("{name: x}"), "E Required spec.http[0]"},
        {V("{redirect: {uri: /a}, " TO "}"), "E Exclusive spec.http[0].route"},
        {V("{redirect: {uri: /a}, rewrite: {uri: /b}, directResponse: {status: 200}}"),
         "E Exclusive spec.http[0].rewrite; E Exclusive spec.http[0].rewrite; E Exclusive spec.http[0].directResponse"},
        {V("{redirect: {}}"), "E Required spec.http[0].redirect"},
        {V("{redirect: {scheme: ftp, redirectCode: 304}}"),
         "E BadValue spec.http[0].redirect.scheme; E BadValue spec.http[0].redirect.redirectCode"},
        {V("{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}"), "E Exclusive spec.http[0].redirect.derivePort"},
        {V("{redirect: {derivePort: FROM_REQUEST_PORT}}"), ""},
        {V("{redirect: {derivePort: 1}}"), ""},
        {V("{redirect: {uri: /a, prefixRewrite: /b}, match: [{uri: {prefix: /}}]}"), "E Exclusive spec.http[0].redirect.prefixRewrite"},
        {V("{redirect: {prefixRewrite: /b}, match: [{uri: {prefix: /x}}, {uri: {exact: /a}}]}"), "E BadValue spec.http[0].match[1]"},
        {V("{redirect: {prefixRewrite: /b}}"), "E BadValue spec.http[0].redirect.prefixRewrite"},
        {V("{redirect: {uri: a}}"), "W Suspicious spec.http[0].redirect.uri"},
        {V("{redirect: {authority: 'a b'}}"), "E BadValue spec.http[0].redirect.authority"},
        {V("{directResponse: {status: 199}}"), "E OutOfRange spec.http[0].directResponse.status"},
        {V("{directResponse: {status: 200, body: {string: a, bytes: YQ==}}}"), "E Exclusive spec.http[0].directResponse.body.bytes"},
        {V("{directResponse: {status: 200, body: {bytes: '!'}}}"), "E BadValue spec.http[0].directResponse.body.bytes"},
        {V("{directResponse: {status: 204, body: {string: a}}}"), "W Ignored spec.http[0].directResponse.body"},
        {V("{rewrite: {}, " TO "}"), "E Required spec.http[0].rewrite"},
        {V("{rewrite: {uri: /a, uriRegexRewrite: {match: a, rewrite: b}}, " TO "}"), "E Exclusive spec.http[0].rewrite.uriRegexRewrite"},
        {V("{rewrite: {uriRegexRewrite: {match: a}}, " TO "}"), "E Required spec.http[0].rewrite.uriRegexRewrite.rewrite"},
        {V("{rewrite: {authority: b}, headers: {request: {set: {Host: c}}}, " TO "}"), "E Exclusive spec.http[0].rewrite.authority"},
        {V("{timeout: 0s, " TO "}"), "E OutOfRange spec.http[0].timeout"},
        {V("{timeout: 1m30s, " TO "}"), ""},
        {V("{timeout: 5, " TO "}"), "E WrongType spec.http[0].timeout"},
        {V("{route: [{destination: {host: a}, weight: 0}, {destination: {host: b}}]}"), "E BadValue spec.http[0].route"},
        {V("{route: [{destination: {host: a}, weight: -1}]}"), "E OutOfRange spec.http[0].route[0].weight"},
        {V("{route: [{destination: {host: '*'}}, {destination: {host: 'a:80'}, weight: 1}]}"),
         "E BadValue spec.http[0].route[0].destination.host; E BadValue spec.http[0].route[1].destination.host"},
        {V("{route: [{destination: {host: a, subset: v1, port: {number: 0}}}]}"),
         "E OutOfRange spec.http[0].route[0].destination.port.number"},
        {V("{route: [{weight: 1}]}"), "E Required spec.http[0].route[0].destination"},
        {V("{fault: {abort: {httpStatus: 503}}, mirror: {host: b}, mirrors: [{destination: {host: c}}], mirror_percent: 5, " TO "}"),
         "W NotServed spec.http[0].fault; W NotServed spec.http[0].mirror; W NotServed spec.http[0].mirrors; "
         "E Exclusive spec.http[0].mirrors; W Deprecated spec.http[0].mirror_percent; W NotServed spec.http[0].mirror_percent; "
         "W Deprecated spec.http[0].mirror_percent"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

#define H(ops) V("{headers: " ops ", " TO "}")
#define R(r) V("{retries: " r ", " TO "}")
static void headers_and_retries_are_checked(void **state)
{
    static const struct kase CASES[] = {
        {H("{request: {set: {a: '%REQ(x)% 100%%', Host: b}, add: {c: d}, remove: [e]}}"), ""},
        {H("{request: {set: {a: '100%'}}}"), "E BadValue spec.http[0].headers.request.set.a"},
        {H("{request: {set: {a: '%REQ%'}}}"), "E BadValue spec.http[0].headers.request.set.a"},
        {H("{request: {set: {a: '%HOSTNAME(x)%'}}}"), "E BadValue spec.http[0].headers.request.set.a"},
        {H("{request: {set: {a: '%NOPE%'}}}"), "E BadValue spec.http[0].headers.request.set.a"},
        {H("{request: {set: {a: '%DOWNSTREAM_TLS_SESSION_ID%'}}}"), "W NotServed spec.http[0].headers.request.set.a"},
        {H("{request: {remove: [Host, ':path', '', 'a b']}}"),
         "E BadValue spec.http[0].headers.request.remove[0]; E BadValue spec.http[0].headers.request.remove[1]; "
         "E BadValue spec.http[0].headers.request.remove[2]; E BadValue spec.http[0].headers.request.remove[3]"},
        {H("{response: {set: {Host: a}, add: {':status': b}}}"),
         "E BadValue spec.http[0].headers.response.set.Host; E BadValue spec.http[0].headers.response.add[\":status\"]"},
        {H("{request: {set: {':authority': 'a b'}}}"), "E BadValue spec.http[0].headers.request.set[\":authority\"]"},
        {R("{attempts: 0, retryOn: 5xx}"), "E Exclusive spec.http[0].retries.retryOn"},
        {R("{perTryTimeout: 1s}"), "E Exclusive spec.http[0].retries.perTryTimeout"},
        {R("{attempts: 3, retryOn: '5xx, reset,503'}"), ""},
        {R("{attempts: 3, retryOn: '5xx,,nope,999'}"),
         "E BadValue spec.http[0].retries.retryOn; E BadValue spec.http[0].retries.retryOn; E BadValue spec.http[0].retries.retryOn"},
        {R("{attempts: 3, retryOn: retriable-headers, retryRemoteLocalities: true, retryIgnorePreviousHosts: false}"),
         "W NotServed spec.http[0].retries.retryOn; W NotServed spec.http[0].retries.retryRemoteLocalities; "
         "W Ignored spec.http[0].retries.retryIgnorePreviousHosts"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

#define C(c) V("{corsPolicy: " c ", " TO "}")
#define F(f) V("{fault: " f ", " TO "}")
#define NS_C "W NotServed spec.http[0].corsPolicy"
#define NS_F "W NotServed spec.http[0].fault"
static void what_is_not_served_is_checked_all_the_same(void **state)
{
    static const struct kase CASES[] = {
        {C("{allowOrigins: [{exact: 'https://a'}], allowMethods: [GET, POST], maxAge: 24h}"), NS_C},
        {C("{allowOrigins: [{}]}"), NS_C "; E Required spec.http[0].corsPolicy.allowOrigins[0]"},
        {C("{allowMethods: [get], maxAge: 1500ms, exposeHeaders: ['a b']}"),
         NS_C "; E BadValue spec.http[0].corsPolicy.allowMethods[0]; E BadValue spec.http[0].corsPolicy.maxAge; "
              "E BadValue spec.http[0].corsPolicy.exposeHeaders[0]"},
        {F("{}"), NS_F "; E Required spec.http[0].fault"},
        {F("{delay: {percentage: {value: 0.00001}}}"), NS_F "; E Required spec.http[0].fault.delay; "
                                                            "E OutOfRange spec.http[0].fault.delay.percentage.value"},
        {F("{delay: {fixedDelay: 1s, exponentialDelay: 1s}}"), NS_F "; E BadValue spec.http[0].fault.delay.exponentialDelay"},
        {F("{abort: {}}"), NS_F "; W Ignored spec.http[0].fault.abort"},
        {F("{abort: {httpStatus: 100, grpcStatus: nope}}"),
         NS_F "; E OutOfRange spec.http[0].fault.abort.httpStatus; E BadValue spec.http[0].fault.abort.grpcStatus"},
        {F("{abort: {http2Error: x}}"), NS_F "; E BadValue spec.http[0].fault.abort.http2Error"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

static void rules_that_are_never_reached_are_named(void **state)
{
    static const struct kase CASES[] = {
        {V("{" TO "}, {match: [{uri: {prefix: /a}}], " TO "}"), "W Unreachable spec.http[1]"},
        {V("{match: [{uri: {prefix: /}}], " TO "}, {" TO "}"), "W Unreachable spec.http[1]"},
        {V("{match: [{uri: {regex: '.*'}}], " TO "}, {" TO "}"), "W Unreachable spec.http[1]"},
        {V("{match: [{uri: {prefix: /}, port: 80}], " TO "}, {" TO "}"), ""},
        {V("{match: [{uri: {prefix: /}, headers: {a: {}}}], " TO "}, {" TO "}"), ""},
        {V("{match: [{uri: {prefix: /a}}], " TO "}, {match: [{uri: {prefix: /ab}}], " TO "}"), "W Unreachable spec.http[1]"},
        {V("{match: [{uri: {prefix: /a}}], " TO "}, {match: [{uri: {prefix: /ab}}, {uri: {exact: /c}}], " TO "}"),
         "I Unreachable spec.http[1].match[0]"},
        {V("{match: [{uri: {prefix: /a}}], " TO "}, {match: [{uri: {exact: /ab}, ignoreUriCase: true}], " TO "}"), ""},
        {V("{match: [{uri: {prefix: /ab}}], " TO "}, {match: [{uri: {prefix: /a}}], " TO "}"), ""},
        {V("{match: [{name: x, headers: {a: {}}, port: 1}], " TO "}, {match: [{name: y, port: 1, headers: {a: {}}}], " TO "}"),
         "W Unreachable spec.http[1]"},
        {V("{delegate: {name: x}}, {match: [{uri: {prefix: /a}}], delegate: {name: y}}, {match: [{uri: {prefix: /ab}}], " TO "}"), ""},
        {V("{match: [{uri: {exact: /a}}, {uri: {exact: /a}}], " TO "}"), "I Unreachable spec.http[0].match[1]"},
    };
    (void)state;
    run(&SCHEMA_VIRTUAL_SERVICE, "VirtualService", CASES, ARRAY_LEN(CASES));
}

#define HTTP80 "ports: [{number: 80, name: http, protocol: HTTP}]"
static void a_service_entry_fits_its_resolution(void **state)
{
    static const struct kase CASES[] = {
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS}", ""},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 8080}}]}", ""},
        {"{hosts: [a.com], " HTTP80 "}", "W NotServed spec"},
        {"{hosts: [a.com], " HTTP80 ", resolution: NONE, endpoints: [{address: 10.0.0.1}]}",
         "W NotServed spec.resolution; E Exclusive spec.endpoints"},
        {"{hosts: [], " HTTP80 ", resolution: DNS}", "E OutOfRange spec.hosts"},
        {"{hosts: ['*'], " HTTP80 ", resolution: STATIC}", "E BadValue spec.hosts[0]"},
        {"{hosts: ['*.a.com'], " HTTP80 ", resolution: DNS}", "E BadValue spec.hosts[0]"},
        {"{hosts: ['*a.com'], " HTTP80 ", resolution: STATIC}", "W Suspicious spec.hosts[0]"},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, endpoints: [{address: b.com}]}", "E BadValue spec.endpoints[0].address"},
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS, endpoints: [{address: b.com, weight: 2, locality: r/z}]}",
         "W NotServed spec.endpoints[0].locality"},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {nope: 1, http: 0}}]}",
         "E BadValue spec.endpoints[0].ports.nope; E OutOfRange spec.endpoints[0].ports.http"},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, endpoints: [{address: 'unix:///run/a'}]}", ""},
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS, endpoints: [{address: 'unix://run/a/'}]}",
         "E BadValue spec.endpoints[0].address; E BadValue spec.endpoints[0].address"},
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS_ROUND_ROBIN, endpoints: [{address: b.com}, {address: c.com}]}",
         "W NotServed spec.resolution; E Exclusive spec.endpoints"},
        {"{hosts: [a.com], " HTTP80 ", resolution: DYNAMIC_DNS}", "E BadValue spec.hosts[0]; W NotServed spec.resolution"},
        {"{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: a, protocol: HTTP}, {number: 80, name: a, protocol: X}]}",
         "E BadValue spec.ports[1].number; E BadValue spec.ports[1].name; E BadValue spec.ports[1].protocol"},
        {"{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 80, name: a, protocol: TCP}]}",
         "W Suspicious spec.ports[0]; E Exclusive spec.ports[0]"},
        {"{hosts: [a.com], resolution: DNS, ports: [{number: 80, name: a, protocol: GRPC}]}", ""},
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS, addresses: [10.0.0.0/8, nope]}", "E BadValue spec.addresses[0]; E BadValue spec.addresses[1]"},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, workloadSelector: {labels: {}}, endpoints: [{address: 10.0.0.1}]}",
         "E Exclusive spec.workloadSelector; W Suspicious spec.workloadSelector.labels"},
        {"{hosts: [a.com], " HTTP80 ", resolution: STATIC, endpoints: [{network: n}, {}]}",
         "W Suspicious spec.endpoints[0]; W NotServed spec.endpoints[0].network; E Required spec.endpoints[1]"},
        {"{hosts: [a.com], " HTTP80 ", resolution: DNS, exportTo: ['~']}", ""},
    };
    (void)state;
    run(&SCHEMA_SERVICE_ENTRY, "ServiceEntry", CASES, ARRAY_LEN(CASES));
}

#define D(policy) "{host: a, trafficPolicy: {" policy "}}"
#define POL "spec.trafficPolicy"
static void a_destination_rule_is_checked_in_every_part(void **state)
{
    static const struct kase CASES[] = {
        {"{host: reviews}", ""},
        {"{host: '*.example.com', subsets: [{name: v1, labels: {version: v1}}]}", ""},
        {"{host: 'a:80'}", "E BadValue spec.host"},
        {"{host: '*foo.com'}", "W NotServed spec.host"},
        {"{}", "E Required spec.host"},
        {"{host: a, trafficPolicy: {}}", "E Required " POL},
        {"{host: a, subsets: [{name: v1}, {name: v1, trafficPolicy: {}}]}", "E BadValue spec.subsets[1].name; E Required spec.subsets[1].trafficPolicy"},
        {D("tunnel: {targetHost: b, targetPort: 443}, proxyProtocol: {version: V2}"),
         "W NotServed " POL ".tunnel; E Exclusive " POL ".proxyProtocol"},
        {D("tunnel: {protocol: GET, targetHost: 'b/c', targetPort: 0}"),
         "W NotServed " POL ".tunnel; E BadValue " POL ".tunnel.protocol; E BadValue " POL ".tunnel.targetHost; "
         "E OutOfRange " POL ".tunnel.targetPort"},
        {D("portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}, {tls: {}}, {port: {number: 443}}]"),
         "E Required " POL ".portLevelSettings[1].port; E Required " POL ".portLevelSettings[2]; W Ignored " POL ".portLevelSettings[2].port.number"},
        {"{host: a, exportTo: [., ns1], workloadSelector: {matchLabels: {a: b}}}", "E BadValue spec.exportTo[1]"},
        {"{host: a, exportTo: ['*'], workloadSelector: {matchLabels: {a: b}}}", "E BadValue spec.exportTo[0]"},
        {D("loadBalancer: {simple: LEAST_CONN}"), ""},
        {D("loadBalancer: {simple: PASSTHROUGH}"), "W NotServed " POL ".loadBalancer.simple"},
        {D("loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}"),
         "W NotServed " POL ".loadBalancer.consistentHash; E Exclusive " POL ".loadBalancer.consistentHash"},
        {D("loadBalancer: {consistentHash: {maglev: {tableSize: 65536}, httpHeaderName: a, httpQueryParameterName: b}}"),
         "W NotServed " POL ".loadBalancer.consistentHash; E BadValue " POL ".loadBalancer.consistentHash.maglev.tableSize; "
         "E Exclusive " POL ".loadBalancer.consistentHash.httpQueryParameterName"},
        {D("loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50, c: 51}}], failover: [{from: a, to: a}]}}"),
         "W NotServed " POL ".loadBalancer.localityLbSetting; E BadValue " POL ".loadBalancer.localityLbSetting.distribute[0].to; "
         "E BadValue " POL ".loadBalancer.localityLbSetting.failover[0]"},
        {D("connectionPool: {}"), "E Required " POL ".connectionPool"},
        {D("connectionPool: {tcp: {maxConnections: 10, connectTimeout: 1s, idleTimeout: 0s}}"), ""},
        {D("connectionPool: {tcp: {maxConnections: -1, connectTimeout: 0s}}"),
         "E OutOfRange " POL ".connectionPool.tcp.maxConnections; E OutOfRange " POL ".connectionPool.tcp.connectTimeout"},
        {D("connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE, maxRequestsPerConnection: 1}}"),
         "W NotServed " POL ".connectionPool.http.useClientProtocol; E Exclusive " POL ".connectionPool.http.useClientProtocol; "
         "W NotServed " POL ".connectionPool.http.maxRequestsPerConnection"},
        {D("outlierDetection: {consecutiveLocalOriginFailures: 3, maxEjectionPercent: 101}"),
         "W NotServed " POL ".outlierDetection; E Exclusive " POL ".outlierDetection.consecutiveLocalOriginFailures; "
         "E OutOfRange " POL ".outlierDetection.maxEjectionPercent"},
    };
    (void)state;
    run(&SCHEMA_DESTINATION_RULE, "DestinationRule", CASES, ARRAY_LEN(CASES));
}

#define X(tls) D("tls: " tls)
#define XTLS POL ".tls"
static void a_destination_rule_judges_tls(void **state)
{
    static const struct kase CASES[] = {
        {X("{mode: DISABLE}"), ""},
        {X("{mode: SIMPLE, sni: a.com, subjectAltNames: [a.com]}"), ""},
        {X("{mode: SIMPLE, clientCertificate: /c}"), "W Ignored " XTLS ".clientCertificate"},
        {X("{mode: MUTUAL, clientCertificate: /c}"), "E Required " XTLS},
        {X("{mode: MUTUAL, clientCertificate: /c, privateKey: /k}"), ""},
        {X("{mode: MUTUAL, credentialName: x, privateKey: /k, caCrl: /c}"), "E Exclusive " XTLS ".privateKey; E Exclusive " XTLS ".caCrl"},
        {X("{mode: SIMPLE, credentialName: 'configmap://ns1/ca'}"), ""},
        {X("{mode: SIMPLE, credentialName: 'configmap://other/ca'}"), "E BadValue " XTLS ".credentialName"},
        {X("{mode: MUTUAL, credentialName: 'configmap://ns1/ca'}"), "E BadValue " XTLS ".credentialName"},
        {X("{mode: ISTIO_MUTUAL, caCertificates: /ca}"), "E Exclusive " XTLS ".caCertificates"},
        {X("{mode: SIMPLE, insecureSkipVerify: true}"), "W Suspicious " XTLS ".insecureSkipVerify"},
        {X("{mode: SIMPLE, insecureSkipVerify: true, subjectAltNames: [a], credentialName: x}"),
         "W Suspicious " XTLS ".insecureSkipVerify; E Exclusive " XTLS ".subjectAltNames; E Exclusive " XTLS ".credentialName"},
        {X("{mode: STRICT}"), "E BadValue " XTLS ".mode"},
    };
    (void)state;
    run(&SCHEMA_DESTINATION_RULE, "DestinationRule", CASES, ARRAY_LEN(CASES));
}

static void a_workload_entry_is_an_endpoint(void **state)
{
    static const struct kase CASES[] = {
        {"{address: 10.0.0.1, ports: {http: 8080}, labels: {app: a}, serviceAccount: sa}", ""},
        {"{}", "E Required spec"},
        {"{network: n}", "W Suspicious spec; W NotServed spec.network"},
        {"{address: 'unix:///run/a', ports: {http: 1}}", "E Exclusive spec.ports"},
        {"{address: 'a b', ports: {http: 0}}", "E BadValue spec.address; E OutOfRange spec.ports.http"},
    };
    (void)state;
    run(&SCHEMA_WORKLOAD_ENTRY, "WorkloadEntry", CASES, ARRAY_LEN(CASES));
}

static void credentials_have_many_names(void **state)
{
    static const struct { const char *text; enum istio_credential_kind kind; const char *ns, *name; } CASES[] = {
        {"a", ISTIO_CREDENTIAL_SECRET, "", "a"},
        {"a.b", ISTIO_CREDENTIAL_SECRET, "", "a.b"},
        {"", ISTIO_CREDENTIAL_BAD, "", ""},
        {"kubernetes://", ISTIO_CREDENTIAL_BAD, "", ""},
        {"kubernetes://a", ISTIO_CREDENTIAL_SECRET, "", "a"},
        {"kubernetes://n/a", ISTIO_CREDENTIAL_SECRET, "n", "a"},
        {"kubernetes://n/a/b", ISTIO_CREDENTIAL_BAD, "n", "a/b"},
        {"kubernetes-gateway://n/a", ISTIO_CREDENTIAL_GATEWAY, "n", "a"},
        {"configmap://n/a", ISTIO_CREDENTIAL_CONFIG_MAP, "n", "a"},
        {"configmap:///a", ISTIO_CREDENTIAL_BAD, "", "a"},
        {"sds://", ISTIO_CREDENTIAL_BAD, "", ""},
        {"sds://x/y", ISTIO_CREDENTIAL_SDS, "", "x/y"},
        {"builtin://", ISTIO_CREDENTIAL_BUILTIN, "", ""},
        {"builtin://x", ISTIO_CREDENTIAL_BAD, "", ""},
        {"invalid://x", ISTIO_CREDENTIAL_INVALID, "", "x"},
        {"file:///etc/key", ISTIO_CREDENTIAL_BAD, "", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        struct istio_credential c = istio_credential_parse(str_c(CASES[i].text));
        if (c.kind != CASES[i].kind || !str_eqc(c.ns, CASES[i].ns) || !str_eqc(c.name, CASES[i].name))
            fail_msg("%s: %d " STR_FMT "/" STR_FMT, CASES[i].text, (int)c.kind, STR_ARG(c.ns), STR_ARG(c.name));
    }
}

static void hosts_meet_in_the_more_specific_name(void **state)
{
    static const struct { const char *a, *b, *both; } CASES[] = {
        {"*", "a.com", "a.com"},
        {"*", "*", "*"},
        {"*.foo.com", "a.foo.com", "a.foo.com"},
        {"*.foo.com", "a.b.foo.com", "a.b.foo.com"},
        {"*.foo.com", "*.b.foo.com", "*.b.foo.com"},
        {"*.foo.com", "foo.com", NULL},
        {"*.foo.com", "afoo.com", NULL},
        {"*.foo.com", "*.bar.com", NULL},
        {"a.com", "b.com", NULL},
        {"a.com", "a.com", "a.com"},
        {"*.com", "*.foo.com", "*.foo.com"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
        for (int turn = 0; turn < 2; turn++) {
            struct str a = str_c(turn ? CASES[i].b : CASES[i].a), b = str_c(turn ? CASES[i].a : CASES[i].b), both = STR_NONE;
            assert_int_equal(istio_host_intersect(a, b, &both), CASES[i].both != NULL);
            assert_true(str_eqc(both, CASES[i].both ? CASES[i].both : ""));
        }
}

static void names_of_gateways_and_server_hosts_resolve(void **state)
{
    (void)state;
    struct istio_gateway_ref r = istio_gateway_ref_parse(STR("gw"), STR("own"));
    assert_true(!r.mesh && str_eqc(r.ns, "own") && str_eqc(r.name, "gw"));
    r = istio_gateway_ref_parse(STR("./gw"), STR("own"));
    assert_true(str_eqc(r.ns, "own") && str_eqc(r.name, "gw"));
    r = istio_gateway_ref_parse(STR("ns/gw"), STR("own"));
    assert_true(str_eqc(r.ns, "ns") && str_eqc(r.name, "gw"));
    r = istio_gateway_ref_parse(STR("gw.ns.svc.cluster.local"), STR("own"));
    assert_true(str_eqc(r.ns, "ns") && str_eqc(r.name, "gw"));
    assert_true(istio_gateway_ref_parse(STR("mesh"), STR("own")).mesh);

    struct istio_server_host h = istio_server_host_parse(STR("./a.com"), STR("own"));
    assert_true(str_eqc(h.ns, "own") && str_eqc(h.host, "a.com"));
    h = istio_server_host_parse(STR("*/a.com"), STR("own"));
    assert_true(h.ns.n == 0 && str_eqc(h.host, "a.com"));
    h = istio_server_host_parse(STR("a.com"), STR("own"));
    assert_true(h.ns.n == 0 && str_eqc(h.host, "a.com"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_hold_together),
        cmocka_unit_test(a_gateway_names_ports_and_hosts),
        cmocka_unit_test(a_gateway_judges_tls),
        cmocka_unit_test(a_gateway_names_certificates),
        cmocka_unit_test(old_versions_and_weak_suites_are_named_and_never_served),
        cmocka_unit_test(a_destination_rule_is_checked_in_every_part),
        cmocka_unit_test(a_destination_rule_judges_tls),
        cmocka_unit_test(a_workload_entry_is_an_endpoint),
        cmocka_unit_test(credentials_have_many_names),
        cmocka_unit_test(a_virtual_service_names_hosts_and_gateways),
        cmocka_unit_test(a_match_block_is_checked_in_every_part),
        cmocka_unit_test(a_rule_does_one_thing),
        cmocka_unit_test(headers_and_retries_are_checked),
        cmocka_unit_test(what_is_not_served_is_checked_all_the_same),
        cmocka_unit_test(rules_that_are_never_reached_are_named),
        cmocka_unit_test(a_service_entry_fits_its_resolution),
        cmocka_unit_test(hosts_meet_in_the_more_specific_name),
        cmocka_unit_test(names_of_gateways_and_server_hosts_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
