"""What clients and backends see of Istio's objects: matches, rewrites, redirects, headers, weights, registries."""

import pytest

import gh

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: {port}, name: http, protocol: HTTP}
    hosts: ["*"]
"""


def vs(rules, name="vs", hosts='["a.example.com"]', more=""):
    return (f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n"
            f"spec:\n  hosts: {hosts}\n  gateways: [gw]\n{more}  http:\n" + rules)


@pytest.fixture
def istio():
    """istio(rules) -> a running gateway with the services `one` and `two` (.one, .two)."""
    made = []

    def make(rules, files=None, gateway=GATEWAY, **kw):
        one, two = gh.Upstream("one"), gh.Upstream("two")
        made.extend([one, two])
        g = gh.Gateway({"gw.yaml": gateway, "vs.yaml": rules if rules.startswith("apiVersion") else vs(rules),
                        "one.yaml": gh.service_yaml("one", one.port), "two.yaml": gh.service_yaml("two", two.port), **(files or {})}, **kw)
        made.append(g)
        g.one, g.two = one, two
        return g
    yield make
    for thing in reversed(made):
        thing.close()


def sent(g, path="/", **kw):
    """What the backend was asked: (target, headers as a dict of lists)."""
    asked = g.json(path, **kw)
    fields = {}
    for k, v in asked["headers"]:
        fields.setdefault(k.lower(), []).append(v)
    return asked["target"], fields


def test_every_part_of_a_match_block_must_hold_and_one_block_is_enough(istio):
    g = istio("""\
  - match:
    - uri: {prefix: /V1/}
      ignoreUriCase: true
      method: {regex: "GET|HEAD"}
      headers: {x-user: {exact: "42"}, x-present: {}}
      withoutHeaders: {x-debug: {exact: "1"}}
      queryParams: {page: {regex: "[0-9]+"}}
    - uri: {regex: "/v[23]/.*"}
    directResponse: {status: 201}
  - match: [{authority: {exact: "a.example.com:81"}}]
    directResponse: {status: 202}
  - match: [{withoutHeaders: {x-token: {}}, uri: {exact: /private}}]
    directResponse: {status: 401}
""")

    def ask(path="/v1/x?page=7", **headers):
        return g.get(path, headers={"x-user": "42", "x-present": "", **{k.replace("_", "-"): v for k, v in headers.items()}})[0]
    assert ask() == 201
    assert ask("/V1/?page=7&page=x") == 201
    for no in (ask("/v1/x"), ask("/v1/x?page=a"), ask("/v1?page=7"), ask(x_user="4"), ask(x_debug="1")):
        assert no == 404
    assert ask(x_debug="2") == 201
    assert g.get("/v1/x?page=7", headers={"x-user": "42"})[0] == 404
    assert g.get("/v1/x?page=7", method="POST", headers={"x-user": "42", "x-present": "1"})[0] == 404
    assert g.get("/v3/y", method="POST")[0] == 201 and g.get("/v4/y")[0] == 404
    assert g.get("/", host="a.example.com:81")[0] == 202
    assert g.get("/private")[0] == 401 and g.get("/private", headers={"x-token": ""})[0] == 404


def test_the_first_rule_wins_and_prefixes_are_plain_bytes(istio):
    g = istio("""\
  - match: [{uri: {prefix: /a}}]
    directResponse: {status: 201}
  - match: [{uri: {exact: /a/b}}]
    directResponse: {status: 202}
  - match: [{uri: {exact: /c}}]
    directResponse: {status: 203}
""")
    assert [g.get(p)[0] for p in ("/a", "/ab", "/a/b", "/c", "/c/", "/b")] == [201, 201, 201, 203, 404, 404]


def test_a_rewrite_replaces_what_matched(istio):
    g = istio("""\
  - match:
    - uri: {prefix: /old/}
    - uri: {exact: /exact}
    - uri: {regex: "/pat.+"}
    rewrite: {uri: /new/}
    route: [{destination: {host: one}}]
  - match: [{uri: {prefix: /regex}}]
    rewrite: {uriRegexRewrite: {match: "/([a-z]+)/(\\\\d+)", rewrite: "/\\\\2/\\\\1"}, authority: backend.example.net}
    route: [{destination: {host: one}}]
  - rewrite: {uri: /front}
    route: [{destination: {host: one}}]
""")
    assert sent(g, "/old/x?y=1")[0] == "/new/x?y=1"
    assert sent(g, "/exact?y=1")[0] == "/new/?y=1"
    assert sent(g, "/pattern")[0] == "/new/"
    target, fields = sent(g, "/regex/12/34?q")
    assert target == "/12/regex/34?q" and fields["host"] == ["backend.example.net"]
    assert sent(g, "/x/y")[0] == "/frontx/y"


def test_redirects_say_where(istio):
    g = istio("""\
  - {match: [{uri: {exact: /path}}], redirect: {uri: /new}}
  - {match: [{uri: {exact: /query}}], redirect: {uri: "/new?a=b", redirectCode: 302}}
  - {match: [{uri: {prefix: /prefix/}}], redirect: {prefixRewrite: /p/, redirectCode: 303}}
  - {match: [{uri: {exact: /host}}], redirect: {authority: new.example.com, redirectCode: 307}}
  - {match: [{uri: {exact: /both}}], redirect: {authority: "new.example.com:8443", scheme: https}}
  - {match: [{uri: {exact: /scheme}}], redirect: {scheme: https, redirectCode: 308}}
  - {match: [{uri: {exact: /port}}], redirect: {port: 8080}}
  - {match: [{uri: {exact: /default}}], redirect: {derivePort: FROM_PROTOCOL_DEFAULT}}
  - {match: [{uri: {exact: /request}}], redirect: {derivePort: FROM_REQUEST_PORT}}
""")

    def where(path, host="a.example.com"):
        status, headers, body = g.get(path, host=host)
        return status, headers["location"], body

    assert where("/path?x=y") == (301, "http://a.example.com/new?x=y", b"")
    assert where("/query?x=y")[:2] == (302, "http://a.example.com/new?a=b")
    assert where("/prefix/a/b?c")[:2] == (303, "http://a.example.com/p/a/b?c")
    assert where("/host", "a.example.com:81")[:2] == (307, "http://new.example.com/host")
    assert where("/both")[:2] == (301, "https://new.example.com:8443/both")
    assert where("/scheme", "a.example.com:80")[:2] == (308, "https://a.example.com/scheme")
    assert where("/scheme", "a.example.com:81")[:2] == (308, "https://a.example.com:81/scheme")
    assert where("/port")[1] == "http://a.example.com:8080/port"
    assert where("/default", "a.example.com:81")[1] == "http://a.example.com/default"
    assert where("/request")[1] == f"http://a.example.com:{g.port}/request"


def test_headers_of_rule_and_destination_combine(istio):
    g = istio("""\
  - match: [{uri: {prefix: /one}}]
    headers:
      request: {set: {x-a: rule, x-b: rule, Host: rule.example.com}, add: {x-c: "%REQ(x-in)% 100%%"}, remove: [x-gone]}
      response: {set: {x-out: rule}}
    route:
    - destination: {host: one}
      headers:
        request: {set: {x-b: destination}, remove: [x-too]}
        response: {add: {x-out: destination}}
  - match: [{uri: {prefix: /two}}]
    headers: {request: {set: {x-b: rule}}}
    route:
    - destination: {host: one}
      weight: 1
      headers: {request: {set: {x-b: destination, Host: destination.example.com}}}
    - destination: {host: one}
      weight: 1
      headers: {request: {set: {x-b: destination, Host: destination.example.com}}}
  - match: [{uri: {exact: /tea}}]
    directResponse: {status: 418, body: {string: "short and stout"}}
    headers: {response: {set: {x-pot: yes}}}
""".replace("yes", '"yes"'))
    _, fields = sent(g, "/one", headers={"x-in": "in", "x-gone": "1", "x-too": "1", "x-c": "client"})
    assert fields["x-a"] == ["rule"] and fields["x-b"] == ["destination"] and fields["host"] == ["rule.example.com"]
    assert ",".join(fields["x-c"]).replace(", ", ",") == "client,in 100%"
    assert "x-gone" not in fields and "x-too" not in fields
    assert "rule" in g.get("/one")[1]["x-out"]
    _, fields = sent(g, "/two")
    assert fields["x-b"] == ["rule"] and fields["host"] == ["destination.example.com"]
    status, headers, body = g.get("/tea")
    assert (status, body) == (418, b"short and stout") and headers["x-pot"] == "yes" and headers["content-type"] == "text/plain"


def test_weights_share_out_and_zero_gets_nothing(istio):
    g = istio("""\
  - match: [{uri: {prefix: /share}}]
    route: [{destination: {host: one}, weight: 3}, {destination: {host: two}, weight: 1}]
  - match: [{uri: {prefix: /zero}}]
    route: [{destination: {host: one}, weight: 0}, {destination: {host: two}, weight: 5}]
  - match: [{uri: {prefix: /alone}}]
    route: [{destination: {host: one}, weight: 0}]
""")
    names = [g.json("/share")["name"] for _ in range(400)]
    assert 0.65 <= names.count("one") / 400 <= 0.85
    assert {g.json("/zero")["name"] for _ in range(30)} == {"two"}
    assert g.json("/alone")["name"] == "one"


def test_destinations_without_a_place_answer_503_and_only_their_share(istio):
    g = istio("""\
  - match: [{uri: {exact: /nobody}}]
    route: [{destination: {host: nobody}}]
  - match: [{uri: {exact: /port}}]
    route: [{destination: {host: one, port: {number: 81}}}]
  - match: [{uri: {exact: /subset}}]
    route: [{destination: {host: one, subset: v1}}]
  - match: [{uri: {exact: /half}}]
    route: [{destination: {host: one}, weight: 1}, {destination: {host: nobody}, weight: 1}]
""")
    assert [g.get(p)[0] for p in ("/nobody", "/port", "/subset")] == [503] * 3
    found = [g.get("/half")[0] for _ in range(200)]
    assert set(found) == {200, 503} and 60 <= found.count(503) <= 140


def test_service_entries_are_served_by_address_and_only_where_they_are_visible(istio):
    out = gh.Upstream("outside")
    try:
        entries = f"""\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: static}}
spec:
  hosts: [static.example.net]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {out.port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: mapped}}
spec:
  hosts: [mapped.example.net]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {out.port}}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: hidden}}
spec:
  hosts: [hidden.example.net]
  exportTo: ["."]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {out.port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: none}}
spec:
  hosts: [none.example.net]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
"""
        rules = "".join(f"  - match: [{{uri: {{exact: /{n}}}}}]\n    route: [{{destination: {{host: {n}.example.net}}}}]\n"
                        for n in ("static", "mapped", "hidden", "none"))
        g = istio(rules, files={"se.yaml": entries})
        assert g.json("/static")["name"] == "outside" and g.json("/mapped")["name"] == "outside"
        assert g.get("/hidden")[0] == 503 and g.get("/none")[0] == 503
    finally:
        out.close()


def test_https_redirect_covers_every_host_of_the_server_with_and_without_routes(istio):
    gateway = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  servers:
  - port: {number: {port}, name: http, protocol: HTTP}
    hosts: ["*.example.com"]
    tls: {httpsRedirect: true}
  - port: {number: {port}, name: plain, protocol: HTTP}
    hosts: [open.example.org]
"""
    g = istio(vs("  - directResponse: {status: 200}\n", hosts="[a.example.com, open.example.org]"), gateway=gateway)
    for host in ("a.example.com", "b.example.com", "c.b.example.com"):
        status, headers, _ = g.get("/a?b=1", host=host)
        assert (status, headers["location"]) == (301, f"https://{host}/a?b=1")
    assert g.get("/", host="example.com")[0] == 404
    assert g.get("/", host="open.example.org")[0] == 200


def test_a_specific_host_does_not_fall_back_to_a_wildcard(istio):
    g = istio(vs("  - match: [{uri: {exact: /a}}]\n    directResponse: {status: 201}\n", name="exact") + "---\n" +
              vs("  - directResponse: {status: 202}\n", name="wild", hosts='["*.example.com"]'))
    assert g.get("/a")[0] == 201 and g.get("/b")[0] == 404
    assert g.get("/b", host="b.example.com")[0] == 202
    assert g.get("/b", host="A.EXAMPLE.com:8080")[0] == 404 and g.get("/b", host="example.com")[0] == 404


def test_objects_on_one_host_go_by_age_with_catch_alls_last(istio):
    def aged(name, year, rules):
        return vs(rules, name=name).replace(f"name: {name}", f'name: {name}, creationTimestamp: "{year}-01-01T00:00:00Z"')
    g = istio(aged("z-old", 2020, "  - match: [{uri: {prefix: /a}}]\n    directResponse: {status: 201}\n  - directResponse: {status: 202}\n")
              + "---\n" + aged("a-young", 2021, "  - match: [{uri: {prefix: /}}]\n    directResponse: {status: 205}\n")
              + "---\n" + aged("b-young", 2022, "  - match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}]\n    directResponse: {status: 203}\n"))
    assert [g.get(p)[0] for p in ("/a", "/b", "/c")] == [201, 203, 202]


def test_a_delegate_answers_for_its_team(istio):
    g = istio(vs("  - match: [{uri: {prefix: /shop}}]\n    delegate: {name: shop, namespace: team}\n"
                 "    headers: {response: {set: {x-team: shop}}}\n  - directResponse: {status: 404}\n"),
              files={"shop.yaml": """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: team}
spec:
  http:
  - match: [{uri: {prefix: /shop/cart}}]
    directResponse: {status: 201}
  - match: [{uri: {prefix: /other}}]
    directResponse: {status: 500}
  - directResponse: {status: 202}
"""})
    found = [g.get(p) for p in ("/shop/cart/1", "/shop", "/other", "/x")]
    assert [f[0] for f in found] == [201, 202, 404, 404]
    assert found[0][1]["x-team"] == "shop" and found[1][1]["x-team"] == "shop"


def test_a_timeout_answers_504_and_the_status_names_bound_gateways(istio):
    g = istio("  - match: [{uri: {prefix: /hang}}]\n    timeout: 200ms\n    retries: {attempts: 0}\n    route: [{destination: {host: one}}]\n"
              "  - route: [{destination: {host: two}}]\n")
    assert g.get("/hang")[0] == 504
    g.one.release.set()
    assert g.json("/")["name"] == "two"
    objects = {(o["kind"], o["name"]): o["status"] for o in g.status()["objects"] if o["apiVersion"].startswith("networking.istio.io/")}
    status = objects["VirtualService", "vs"]
    assert status["boundGateways"] == ["default/gw"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"Accepted": "True", "Programmed": "True"}
    assert objects["Gateway", "gw"]["servers"][0]["programmed"] is True
