/* What Istio's objects become in the model (ISTIO-RULES 2.4, 2.6, 3): each case is a file, and what its model,
 * findings and status must hold. */
#include "tests/unit/master/lower/istio_world.h"

static void hosts_of_server_and_object_meet(void **state)
{
    static const struct kase CASES[] = {
        {GW("default", "gw", HTTP("80", "'*.example.com'")) VS("default", "v", "hosts: [a.example.com, b.com], gateways: [gw], " OK("x")),
         {"host a.example.com of IstioGateway/default/gw/p80\n    0 any path -> VirtualService/default/v/0", "!host b.com",
          "spec.hosts[1]: no server of its gateways has this host [IST0132]", "\"boundGateways\":[\"default/gw\"]",
          "\"type\":\"Programmed\",\"status\":\"True\""}},
        {GW("default", "gw", HTTP("80", "a.example.com")) VS("default", "v", "hosts: ['*.example.com'], gateways: [gw], " OK("x")),
         {"host a.example.com", "!host *.example.com"}},
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: ['*.Example.com'], gateways: [gw], " OK("x")), {"host *.example.com"}},
        {GW("default", "gw", HTTP("80", "'*.example.com'")) VS("default", "v", "hosts: [example.com], gateways: [gw], " OK("x")),
         {"!host example.com", "IST0132", "\"reason\":\"NotAttached\"", "\"boundGateways\":[]"}},
        /* a name without dots, and an address */
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: [Web, '2001:DB8:0::1'], gateways: [gw], " OK("x")),
         {"host web of", "host web.default.svc.cluster.local of", "host [2001:db8::1] of"}},
        {GW("default", "gw", HTTP("80", "localhost")) VS("default", "v", "hosts: [localhost], gateways: [gw], " OK("x")),
         {"host localhost of", "!host localhost.default", "!IST0132"}},
        /* only for VirtualServices of one namespace */
        {GW("gws", "gw", HTTP("80", "one/a.com, ./b.com, '*/c.com'"))
             VS("one", "v", "hosts: [a.com, b.com, c.com], gateways: [gws/gw], " OK("x")),
         {"host a.com", "!host b.com", "host c.com"}},
        {GW("gws", "gw", HTTP("80", "one/a.com, ./b.com, '*/c.com'"))
             VS("gws", "v", "hosts: [a.com, b.com, c.com], gateways: [./gw], " OK("x")),
         {"!host a.com", "host b.com", "host c.com"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void gateways_are_picked_by_label_and_name(void **state)
{
    static const struct kase CASES[] = {
        {OBJ("Gateway", "default", "gw") "{selector: {istio: egressgateway}, servers: [" HTTP("80", "'*'") "]}\n---\n"
             VS("default", "v", "hosts: [a.com], gateways: [gw], " OK("x")),
         {"!bind", "spec.selector: the Gateway is for instances with istio=egressgateway, which this one is not [IST0101]",
          "\"reason\":\"NotSelected\"", "labels of this instance: istio=ingressgateway"}},
        {OBJ("Gateway", "default", "gw") "{servers: [" HTTP("80", "'*'") "]}\n", {"bind * port 80"}},
        {VS("default", "v", "hosts: [a.com], gateways: [gw, other/gw], " OK("x")),
         {"Gateway default/gw does not exist [IST0101]", "Gateway other/gw does not exist [IST0101]", "\"reason\":\"GatewayNotFound\""}},
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: [a.com], " OK("x")),
         {"!host a.com", "info: VirtualService default/v: spec: without gateways the object is for the mesh", "\"reason\":\"MeshOnly\""}},
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: [a.com], gateways: [gw, mesh], " OK("x")),
         {"host a.com", "info: VirtualService default/v: spec.gateways[1]: traffic of the mesh is not served yet"}},
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: [a.com], gateways: [gw], exportTo: [.], " OK("x")),
         {"!host a.com", "\"reason\":\"NotVisible\""}},
        {GW("default", "gw", HTTP("80", "'*'")) VS("default", "v", "hosts: [a.com], gateways: [gw], exportTo: [istio-system], " OK("x")),
         {"host a.com"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void servers_of_one_port_merge_or_conflict(void **state)
{
    static const struct kase CASES[] = {
        {GW("default", "a", HTTP("80", "a.com")) GW("default", "b", HTTP("80", "b.com"))
             VS("default", "v", "hosts: [a.com, b.com], gateways: [a, b], " OK("x")),
         {"listener IstioGateway/default/a/p80", "listener IstioGateway/default/b/p80", "host a.com of IstioGateway/default/a/p80",
          "host b.com of IstioGateway/default/b/p80", "!Conflict"}},
        {GW("default", "a", HTTP("80", "a.com")) GW("default", "b", HTTP("80", "a.com")),
         {"Gateway default/a has \"a.com\" on port 80 too [IST0145]"}},
        {GW("default", "a", "{port: {number: 80, name: t, protocol: TCP}, hosts: ['*']}") GW("default", "b", HTTP("80", "a.com")),
         {"!bind", "port 80 belongs to TCP server \"t\" of Gateway default/a, so nothing listens for this server"}},
        {GW("default", "a", "{port: {number: 80, name: p, protocol: HTTP}, hosts: ['*'], bind: 127.0.0.1}, " HTTP("80", "'*'")),
         {"bind 127.0.0.1 port 80", "bind * port 80"}},
        {GW("default", "a", "{port: {number: 0, name: p, protocol: HTTP}, hosts: ['*'], bind: 'unix:///run/x'}"), {"bind unix:/run/x"}},
        {GW("default", "a", HTTP("9", "'*'")) VS("default", "v", "hosts: [a.com], gateways: [a], " OK("x")),
         {"bind * port 9, not bound", "can't listen on port 9: Address already in use", "\"programmed\":false,\"reason\":\"PortUnavailable\"",
          "v 0 {\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\""}},
        {GW("default", "a", "{port: {number: 443, name: s, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}")
             VS("default", "v", "hosts: [a.com], gateways: [a], " OK("x")),
         {"chain * of IstioGateway/default/a/s, refuse: \"Secret istio-system/c does not exist\"", "a 0 {", "v 0 {",
          "tls.credentialName: Secret istio-system/c does not exist [IST0101]", "\"boundGateways\":[\"default/a\"]",
          "\"reason\":\"BadCertificate\",\"message\":\"Secret istio-system/c does not exist\""}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

#define TLS(name, hosts, mode) \
    "{port: {number: 443, name: " name ", protocol: TLS}, hosts: [" hosts "], tls: {mode: " mode "}}"
#define LEAD(host) "route: [{destination: {host: " host "}}]"
#define GAPI_HTTP \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g}, spec: {gatewayClassName: istio, " \
    "listeners: [{name: l, port: 80, protocol: HTTP}]}}\n---\n"

static void servers_of_bytes_listen_when_a_rule_leads_on(void **state)
{
    static const struct kase CASES[] = {
        {GW("default", "a", "{port: {number: 90, name: t, protocol: TCP}, hosts: ['*']}, " TLS("p", "'*'", "PASSTHROUGH")),
         {"!bind", "\"name\":\"t\",\"port\":90,\"protocol\":\"TCP\",\"programmed\":false,\"reason\":\"NoRoute\"",
          "\"reason\":\"NoRoute\",\"message\":\"no VirtualService has a rule for it, so nothing listens\""}},
        {GW("default", "a", "{port: {number: 9, name: t, protocol: TCP}, hosts: ['*']}") SVC("default", "s", "80")
             VS("default", "v", "hosts: [x.com], gateways: [a], tcp: [{" LEAD("s") "}]"),
         {"bind * port 9, not bound", "stream -> VirtualService/default/v/tcp/0", "PortUnavailable"}},
        /* a port of the Gateway API's */
        {GAPI_HTTP GW("default", "a", "{port: {number: 80, name: t, protocol: TCP}, hosts: ['*']}") SVC("default", "s", "80")
             VS("default", "v", "hosts: [x.com], gateways: [a], tcp: [{" LEAD("s") "}]"),
         {"!stream", "port 80 belongs to HTTP listener default/g/l of the Gateway API"}},
        {GAPI_HTTP GW("default", "a", HTTP("80", "'*'")), {"listener Gateway/default/g/l", "listener IstioGateway/default/a/p80", "!Conflict"}},
        /* rules of another kind than the server's */
        {GW("default", "a", TLS("p", "'*'", "PASSTHROUGH")) VS("default", "v", "hosts: [x.com], gateways: [a], " OK("x")),
         {"!bind", "spec.http: these rules are for an HTTP server, or an HTTPS server that ends TLS", "\"reason\":\"NoRules\""}},
        {GW("default", "a", HTTP("80", "'*'")) SVC("default", "s", "80")
             VS("default", "v", "hosts: [x.com], gateways: [a], tls: [{match: [{sniHosts: [x.com]}], " LEAD("s") "}]"),
         {"!chain", "!    0 any", "spec.tls: these rules are for a server with TLS mode PASSTHROUGH"}},
        /* a destination in no registry closes connections, and is a share all the same */
        {GW("default", "a", TLS("p", "'*'", "PASSTHROUGH"))
             VS("default", "v", "hosts: [x.com], gateways: [a], tls: [{match: [{sniHosts: [X.com]}], " LEAD("gone") "}]"),
         {"chain x.com of IstioGateway/default/a/p, passthrough", "split 1 -> 503 for gone", "IST0101"}},
        /* only for some servers */
        {GW("default", "a", TLS("p", "'*'", "PASSTHROUGH")) SVC("default", "s", "80")
             VS("default", "v", "hosts: [x.com, y.com, z.com], gateways: [a], tls: [{match: [{port: 444, sniHosts: [x.com]}, "
                                "{gateways: [other], sniHosts: [y.com]}, {sourceLabels: {istio: egress}, sniHosts: [z.com]}], " LEAD("s") "}]"),
         {"!chain", "\"reason\":\"NoRules\""}},
        /* the server with the more specific name has it */
        {GW("default", "a", TLS("p", "'*.com', x.net", "PASSTHROUGH") ", " TLS("q", "a.com", "PASSTHROUGH")) SVC("default", "s", "80")
             VS("default", "v", "hosts: [a.com, b.com], gateways: [a], tls: [{match: [{sniHosts: [a.com, b.com]}], " LEAD("s") "}]"),
         {"chain a.com of IstioGateway/default/a/q", "chain b.com of IstioGateway/default/a/p", "!IST0145"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void https_redirect_covers_the_hosts_of_the_server(void **state)
{
    static const struct kase CASES[] = {
        {GW("default", "gw", "{port: {number: 80, name: p, protocol: HTTP}, hosts: ['*.a.com', b.com], tls: {httpsRedirect: true}}"),
         {"host *.a.com of IstioGateway/default/gw/p, redirect to https", "host b.com of IstioGateway/default/gw/p, redirect to https"}},
        {GW("default", "gw", "{port: {number: 80, name: p, protocol: HTTP}, hosts: ['*.a.com'], tls: {httpsRedirect: true}}")
             VS("default", "v", "hosts: [x.a.com], gateways: [gw], " OK("x")),
         {"host x.a.com of IstioGateway/default/gw/p, redirect to https\n    0 any path", "host *.a.com of IstioGateway/default/gw/p, redirect"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

#define ONE GW("default", "gw", HTTP("80", "'*'"))
static void rules_of_a_host_come_in_order_with_catch_alls_last(void **state)
{
    static const struct kase CASES[] = {
        /* two objects, the older one has a catch-all */
        {ONE "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: z, creationTimestamp: '2020-01-01T00:00:00Z'}\n"
             "spec: {hosts: [a.com], gateways: [gw], http: [{match: [{uri: {prefix: /z}}], directResponse: {status: 200}}, "
             "{directResponse: {status: 201}}]}\n---\n"
             "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b, creationTimestamp: '2021-01-01T00:00:00Z'}\n"
             "spec: {hosts: [a.com], gateways: [gw], http: [{match: [{uri: {prefix: /b}}], directResponse: {status: 202}}, "
             "{match: [{uri: {prefix: /}}], directResponse: {status: 203}}]}\n",
         {"0 string prefix \"/z\" -> VirtualService/default/z/0\n    1 string prefix \"/b\" -> VirtualService/default/b/0\n"
          "    2 any path -> VirtualService/default/z/1\n    3 string prefix \"/\" -> VirtualService/default/b/1"}},
        /* nothing after the first catch-all of an object */
        {ONE VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{match: [{uri: {regex: '.*'}}], directResponse: {status: 200}}, "
                                "{match: [{uri: {exact: /x}}], directResponse: {status: 201}}]"),
         {"0 regex \".*\" -> VirtualService/default/v/0", "!VirtualService/default/v/1", "IST0130"}},
        /* private before public, whatever the age */
        {ONE VS("istio-system", "a", "hosts: [a.com], gateways: [default/gw], http: [{match: [{uri: {exact: /a}}], directResponse: {status: 200}}]")
             VS("istio-system", "b", "hosts: [a.com], gateways: [default/gw], exportTo: [.], "
                                     "http: [{match: [{uri: {exact: /b}}], directResponse: {status: 200}}]"),
         {"0 exact \"/b\" -> VirtualService/istio-system/b/0\n    1 exact \"/a\" -> VirtualService/istio-system/a/0"}},
        {ONE VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{match: [{uri: {exact: /A}, ignoreUriCase: true, method: {exact: GET}, "
                                "headers: {X-A: {prefix: b}, x-p: {}}, withoutHeaders: {x-n: {exact: c}}, queryParams: {q: {exact: ''}}, "
                                "authority: {exact: 'a.com:80'}, scheme: {exact: http}}], directResponse: {status: 200}}]"),
         {"exact \"/A\"i method=\"GET\" scheme=\"http\" authority=\"a.com:80\" header x-a^=\"b\" header x-p present header x-n!=\"c\" raw query q=\"\""}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void static_conditions_pick_rules_by_server(void **state)
{
#define TWO GW("default", "a", HTTP("80", "'*'")) GW("default", "b", HTTP("81", "'*'"))
#define RULES(m) "hosts: [a.com], gateways: [a, b, mesh], http: [{match: [" m "], directResponse: {status: 200}}]"
    static const struct kase CASES[] = {
        {TWO VS("default", "v", RULES("{port: 81}")), {"bind * port 80\n  listener IstioGateway/default/a/p80 named default/a/p80, http * (", "!any path -> VirtualService/default/v/0\nbind * port 81",
                                                       "host a.com of IstioGateway/default/b/p81\n    0 any path"}},
        {TWO VS("default", "v", RULES("{gateways: [default/b]}")), {"host a.com of IstioGateway/default/b/p81\n    0 any path"}},
        {TWO VS("default", "v", RULES("{gateways: [mesh]}")), {"!any path", "\"reason\":\"NoRules\""}},
        {TWO VS("default", "v", RULES("{sourceLabels: {istio: ingressgateway}}")), {"any path"}},
        {TWO VS("default", "v", RULES("{sourceLabels: {istio: x}}")), {"!any path"}},
        {TWO VS("default", "v", RULES("{sourceLabels: {istio: x}, gateways: [a]}")), {"host a.com of IstioGateway/default/a/p80\n    0 any path"}},
        {TWO VS("default", "v", RULES("{sourceNamespace: other}")), {"!any path"}},
        {TWO VS("default", "v", RULES("{headers: {'@request.auth.claims.x': {exact: y}}}")), {"!any path", "the block never matches"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

#define ROUTE(rule) ONE SVC("default", "s", "8000") VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{" rule "}]")
static void destinations_are_looked_up_in_both_registries(void **state)
{
#define DEST(d) ROUTE("route: [{destination: {" d "}}]")
    static const struct kase CASES[] = {
        {DEST("host: s, port: {number: 8000}"), {"split 1 -> Service/default/s:8000"}},
        {DEST("host: S"), {"split 1 -> Service/default/s:8000"}},
        {DEST("host: s.default.svc.cluster.local"), {"split 1 -> Service/default/s:8000"}},
        {DEST("host: s.other.svc.cluster.local"),
         {"split 1 -> 503 for s.other", "host s.other.svc.cluster.local is in no registry [IST0101]"}},
        {DEST("host: s.default"), {"split 1 -> 503 for s.default"}},
        {DEST("host: s, port: {number: 1}"), {"split 1 -> 503", "service s.default.svc.cluster.local has no port 1 [IST0101]"}},
        {DEST("host: s, subset: v1"), {"split 1 -> 503 for s#v1", "no DestinationRule of s.default.svc.cluster.local has a subset \"v1\" [IST0101]"}},
        {ONE SE("default", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], resolution: DNS")
             VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: X.com}}]}]"),
         {"cluster ServiceEntry/default/x.com:80 named x.com:80", "endpoint x.com port 8080 dns"}},
        {ONE SE("default", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: "
                                "[{address: 10.0.0.1, weight: 3}, {address: '2001:db8::1', ports: {http: 81}}, {address: 'unix:///run/s'}]"),
         {"!cluster"}},
        {ONE SE("default", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: "
                                "[{address: 10.0.0.1, weight: 3}, {address: '2001:db8::1', ports: {http: 81}}, {address: 'unix:///run/s'}]")
             VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: x.com}}]}]"),
         {"endpoint 10.0.0.1 port 80 weight 3", "endpoint 2001:db8::1 port 81\n", "endpoint unix:/run/s\n"}},
        /* the entry of the own namespace, else the oldest; hidden ones don't count */
        {ONE SE("one", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS")
             SE("two", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS")
             VS("two", "v", "hosts: [a.com], gateways: [default/gw], http: [{route: [{destination: {host: x.com}}]}]"),
         {"split 1 -> ServiceEntry/two/x.com:80"}},
        {ONE SE("two", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS, exportTo: [.]")
             VS("two", "v", "hosts: [a.com], gateways: [default/gw], http: [{route: [{destination: {host: x.com}}]}]"),
         {"split 1 -> 503 for x.com", "\"reason\":\"NotVisible\""}},
        {ONE SE("two", "e", "hosts: [x.com], ports: [{number: 80, name: http, protocol: HTTP}]")
             VS("two", "v", "hosts: [a.com], gateways: [default/gw], http: [{route: [{destination: {host: x.com}}]}]"),
         {"split 1 -> 503 for x.com", "e 2 {", "\"reason\":\"NotServed\",\"message\":\"this resolution is not served yet\""}},
        /* several ports and none named: that of the server */
        {GW("default", "gw", HTTP("80", "'*'") ", " HTTP("81", "'*'"))
             SE("default", "e", "hosts: [x.com], ports: [{number: 80, name: a, protocol: HTTP}, {number: 81, name: b, protocol: HTTP}], resolution: DNS")
             VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{route: [{destination: {host: x.com}}]}]"),
         {"rule VirtualService/default/v/0:80", "split 1 -> ServiceEntry/default/x.com:80", "rule VirtualService/default/v/0:81",
          "split 1 -> ServiceEntry/default/x.com:81", "IST0112"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void weights_and_headers_of_several_destinations(void **state)
{
#define OPS(n) "headers: {request: {set: {b: '" n "', Host: h" n ".com}, remove: [r" n "]}, response: {add: {x: '100%%'}}}"
    static const struct kase CASES[] = {
        {ROUTE("route: [{destination: {host: s}, weight: 3}, {destination: {host: s}, weight: 1}, {destination: {host: s}}]"),
         {"headers of the split first", "split 3 -> Service", "split 1 -> Service", "split 0 -> Service"}},
        {ROUTE("route: [{destination: {host: s}, weight: 2000000000}, {destination: {host: s}, weight: 1}]"),
         {"split 1000000 -> Service", "split 1 -> Service"}},
        {ROUTE("route: [{destination: {host: s}, weight: 7}]"), {"split 1 -> Service", "!headers of the split first"}},
        /* one destination: everything in the rule, removes first, the destination's set last */
        {ROUTE("headers: {request: {add: {c: '%REQ(x)%'}, set: {z: '1', b: route}, remove: [q]}}, route: [{destination: {host: s}, " OPS("d") "}]"),
         {"  request header remove q\n  request header remove rd\n  request header set b \"route\"\n  request header set z \"1\"\n"
          "  request header add c \"%REQ(x)%\" subst\n  request header set b \"d\"\n  response header add x \"100%\"\n  rewrite host hd.com\n"}},
        /* several: each its own, Host only where the rule has none */
        {ROUTE("route: [{destination: {host: s}, weight: 1, " OPS("1") "}, {destination: {host: s}, weight: 1, " OPS("2") "}]"),
         {"    request header remove r1\n    request header set b \"1\"\n    response header add x \"100%\"\n    rewrite host h1.com",
          "    rewrite host h2.com"}},
        {ROUTE("rewrite: {authority: r.com}, route: [{destination: {host: s}, weight: 1, " OPS("1") "}, {destination: {host: s}, weight: 1}]"),
         {"  rewrite host r.com", "!rewrite host h1.com"}},
        {ROUTE("headers: {request: {set: {c: '%DOWNSTREAM_TLS_SESSION_ID%', d: e}}}, route: [{destination: {host: s}}]"),
         {"request header set d \"e\"", "!request header set c"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void rewrites_redirects_and_answers(void **state)
{
#define REDIR(r) ROUTE("redirect: {" r "}")
#define TO "route: [{destination: {host: s}}]"
    static const struct kase CASES[] = {
        {ROUTE("match: [{uri: {prefix: /a}}], rewrite: {uri: /b}, " TO), {"rewrite string prefix \"/b\""}},
        {ROUTE("rewrite: {uri: b, authority: c.com}, " TO), {"rewrite host c.com string prefix \"/b\"", "0 any path"}},
        {ROUTE("rewrite: {uriRegexRewrite: {match: '/(a)', rewrite: '/\\1'}}, " TO), {"rewrite regex \"/(a)\" \"/\\\\1\""}},
        {REDIR("uri: /b"), {"redirect 301 port of host path \"/b\"\n"}},
        {REDIR("uri: '/b?c=d', redirectCode: 308"), {"redirect 308 port of host path \"/b?c=d\" with query"}},
        {REDIR("scheme: https, derivePort: FROM_PROTOCOL_DEFAULT"), {"redirect 301 scheme https port none"}},
        {REDIR("derivePort: FROM_REQUEST_PORT"), {"redirect 301 port of request"}},
        {REDIR("authority: b.com"), {"redirect 301 host b.com port none"}},
        {REDIR("authority: 'b.com:81'"), {"redirect 301 host b.com port 81"}},
        {REDIR("authority: '[::1]:81', port: 82"), {"redirect 301 host [::1] port 82"}},
        {REDIR("authority: '[::1]'"), {"redirect 301 host [::1] port none"}},
        {ROUTE("match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}"), {"redirect 301 port of host string prefix \"/b\""}},
        {ROUTE("directResponse: {status: 418, body: {string: tea}}, headers: {response: {set: {a: b}}}"),
         {"response header set a \"b\"", "direct 418 \"tea\" text/plain", "!retry"}},
        {ROUTE("directResponse: {status: 200, body: {bytes: aGk=}}"), {"direct 200 \"hi\" text/plain"}},
        {ROUTE("directResponse: {status: 204}"), {"direct 204 \"\" \n"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void rules_of_delegates_stand_where_they_are_delegated_to(void **state)
{
#define ROOT(rules) VS("default", "root", "hosts: [a.com], gateways: [gw], http: [" rules "]")
#define LEAF(rules) VS("other", "leaf", "http: [" rules "]")
#define TO_LEAF "delegate: {name: leaf, namespace: other}"
    static const struct kase CASES[] = {
        {ONE ROOT("{match: [{uri: {prefix: /x}}], directResponse: {status: 200}}, {match: [{uri: {prefix: /a}, headers: {h: {exact: '1'}}}], "
                  "name: r, timeout: 5s, headers: {request: {set: {a: b}}}, " TO_LEAF "}, {directResponse: {status: 404}}")
             LEAF("{match: [{uri: {prefix: /a/b}}], name: one, route: [{destination: {host: s}}]}, "
                  "{name: two, timeout: 1s, route: [{destination: {host: s}}]}") SVC("other", "s", "80"),
         {"0 string prefix \"/x\" -> VirtualService/default/root/0\n"
          "    1 string prefix \"/a/b\" header h=\"1\" -> VirtualService/default/root/1/other/leaf/0\n"
          "    2 string prefix \"/a\" header h=\"1\" -> VirtualService/default/root/1/other/leaf/1\n"
          "    3 any path -> VirtualService/default/root/2",
          "rule VirtualService/default/root/1/other/leaf/0 named r-one", "request timeout 5000ms", "request timeout 1000ms",
          "request header set a", "-> Service/other/s:80", "its rules are used by objects that delegate to it"}},
        /* a block that fits nothing of the root costs its rule */
        {ONE ROOT("{match: [{uri: {prefix: /a}}], " TO_LEAF "}")
             LEAF("{match: [{uri: {prefix: /b}}], directResponse: {status: 200}}, {match: [{uri: {exact: /a/c}}], directResponse: {status: 201}}"),
         {"!leaf/0\n", "0 exact \"/a/c\" -> VirtualService/default/root/0/other/leaf/1",
          "spec.http[0].match[0]: the block fits no match of the rule in VirtualService default/root"}},
        {ONE ROOT("{" TO_LEAF "}") LEAF("{match: [{uri: {regex: '/b.*'}}, {uri: {exact: /c}}], directResponse: {status: 200}}"),
         {"0 regex \"/b.*\"", "1 exact \"/c\""}},
        {ONE ROOT("{match: [{uri: {prefix: /a}}], " TO_LEAF "}") LEAF("{match: [{uri: {regex: '/a.*'}}], directResponse: {status: 200}}"),
         {"!regex", "fits no match"}},
        {ONE ROOT("{" TO_LEAF "}, {directResponse: {status: 200}}"),
         {"spec.http[0].delegate: VirtualService other/leaf does not exist [IST0101]", "0 any path -> VirtualService/default/root/1"}},
        {ONE ROOT("{" TO_LEAF "}") VS("other", "leaf", "hosts: [b.com], http: [{directResponse: {status: 200}}]"), {"has hosts of its own", "!any path"}},
        {ONE ROOT("{" TO_LEAF "}") VS("other", "leaf", "exportTo: [.], http: [{directResponse: {status: 200}}]"),
         {"is not exported to namespace default", "!any path"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void timeouts_and_retries(void **state)
{
    static const struct kase CASES[] = {
        {ROUTE(TO), {"retry 2 on connect-failure refused-stream cancelled unavailable\n", "!timeout"}},
        {ROUTE("timeout: 5s, retries: {attempts: 0}, " TO), {"request timeout 5000ms\n  backend timeout 0ms", "!retry"}},
        {ROUTE("retries: {attempts: 3, perTryTimeout: 2s, backoff: 10ms, retryOn: 'gateway-error,503,reset'}, " TO),
         {"retry 3 on reset gateway-error status-codes codes 503 backoff 10ms per try 2000ms"}},
        {ROUTE("retries: {attempts: 3}, " TO), {"retry 3 on connect-failure refused-stream cancelled unavailable\n"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

static void a_service_of_the_instance_maps_ports(void **state)
{
    static const struct kase CASES[] = {
        {ONE "{apiVersion: v1, kind: Service, metadata: {name: igw, namespace: istio-system}, spec: {selector: {istio: ingressgateway}, "
             "ports: [{name: http2, port: 80, targetPort: 8080}]}}\n---\n"
             VS("default", "v", "hosts: [a.com], gateways: [gw], http: [{match: [{port: 80}], directResponse: {status: 200}}]"),
         {"bind * port 8080", "!bind * port 80\n", "0 any path"}},
    };
    (void)state;
    run(CASES, ARRAY_LEN(CASES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_of_server_and_object_meet),
        cmocka_unit_test(gateways_are_picked_by_label_and_name),
        cmocka_unit_test(servers_of_one_port_merge_or_conflict),
        cmocka_unit_test(servers_of_bytes_listen_when_a_rule_leads_on),
        cmocka_unit_test(https_redirect_covers_the_hosts_of_the_server),
        cmocka_unit_test(rules_of_a_host_come_in_order_with_catch_alls_last),
        cmocka_unit_test(static_conditions_pick_rules_by_server),
        cmocka_unit_test(destinations_are_looked_up_in_both_registries),
        cmocka_unit_test(weights_and_headers_of_several_destinations),
        cmocka_unit_test(rewrites_redirects_and_answers),
        cmocka_unit_test(rules_of_delegates_stand_where_they_are_delegated_to),
        cmocka_unit_test(timeouts_and_retries),
        cmocka_unit_test(a_service_of_the_instance_maps_ports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
