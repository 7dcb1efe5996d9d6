"""The seed's own files route as they say (they are in tests/golden/seed, unchanged)."""
import json

import pytest

import gh

SEED = gh.TOP / "tests" / "golden" / "seed"


def seed(name, port):
    """A seed file with its listener port 80 moved to one that a test may use."""
    text = (SEED / name).read_text()
    return text.replace("number: 80\n      name: http\n", f"number: {port}\n      name: http\n").replace(
        "port: 80\n    protocol: HTTP\n", f"port: {port}\n    protocol: HTTP\n")


@pytest.fixture
def ups():
    made = {}

    def make(name):
        made[name] = gh.Upstream(name)
        return made[name]
    yield make
    for u in made.values():
        u.close()



def start(files):
    g = gh.Gateway(start=False)
    for name, text in files(g.port).items():
        g.write(name, text)
    g.start()
    return g


def test_01_an_istio_gateway_alone_answers_404_for_every_host():
    with start(lambda port: {"01.yaml": seed("01-istio-gateway-http.yaml", port)}) as g:
        for host in ("httpbin.example.com", "other.example.com"):
            status, _, body = g.get("/", host=host)
            assert (status, body) == (404, b"")


def test_01_02_the_virtual_service_routes_by_string_prefix(ups):
    up = ups("httpbin")
    with start(lambda port: {
            "01.yaml": seed("01-istio-gateway-http.yaml", port), "02.yaml": seed("02-virtualservice-httpbin.yaml", port),
            "svc.yaml": gh.service_yaml("httpbin", up.port, service_port=8000)}) as g:
        host = "httpbin.example.com"
        assert g.get("/status/418", host=host)[0] == 418
        for path in ("/status", "/statusX", "/delay/1", "/headers"):
            assert g.json(path, host=host)["target"] == path
        assert g.get("/headers", host=host)[1]["x-custom-header"] == "added-by-istio"
        assert "x-custom-header" not in g.get("/statusX", host=host)[1]
        assert g.get("/other", host=host)[0] == 404
        assert g.get("/status", host="other.example.com")[0] == 404


def gapi(port, *files, services=()):
    made = {"12.yaml": seed("12-gwapi-gateway-http-https.yaml", port)}
    for f in files:
        made[f] = seed(f, port)
    for name, service_port, up in services:
        made[f"svc-{name}.yaml"] = gh.service_yaml(name, up.port, service_port=service_port)
    return made


def test_13_the_http_route_routes_by_path_element_and_splits_80_to_20(ups):
    a, b = ups("httpbin"), ups("canary")
    with start(lambda port: gapi(port, "13-httproute-weighted.yaml", services=[("httpbin", 8000, a), ("httpbin-canary", 8000, b)])) as g:
        host = "httpbin.example.com"
        assert g.json("/status", host=host)["name"] == "httpbin"
        assert g.json("/status/x", host=host)["name"] == "httpbin"
        assert g.get("/statusX", host=host)[0] == 404
        for _ in range(500):
            assert g.get("/delay/0", host=host)[0] == 200
        share = sum(1 for r in a.requests if r[1].startswith("/delay")) / 500
        assert 0.75 <= share <= 0.85


def test_14_a_header_picks_the_backend(ups):
    v1, v2 = ups("v1"), ups("v2")
    text = (SEED / "14-httproute-header-match.yaml").read_text()
    import yaml
    route = yaml.safe_load(text)
    host = (route["spec"].get("hostnames") or ["any.example.com"])[0]
    ports = {r["backendRefs"][0]["name"]: r["backendRefs"][0]["port"] for r in route["spec"]["rules"]}
    with start(lambda port: gapi(port, "14-httproute-header-match.yaml",
                                 services=[("api-v1", ports["api-v1"], v1), ("api-v2", ports["api-v2"], v2)])) as g:
        assert g.json("/", host=host)["name"] == "v1"
        assert g.json("/", host=host, headers={"x-api-version": "v2"})["name"] == "v2"
        assert g.json("/", host=host, headers={"X-API-Version": "v2"})["name"] == "v2"
        assert g.json("/", host=host, headers={"x-api-version": "V2"})["name"] == "v1"


def test_15_a_redirect_keeps_the_path_and_replaces_the_host():
    with start(lambda port: gapi(port, "15-httproute-request-redirect.yaml")) as g:
        import yaml
        host = yaml.safe_load((SEED / "15-httproute-request-redirect.yaml").read_text())["spec"]["hostnames"][0]
        status, headers, _ = g.get("/a/b?c=d", host=host)
        assert status == 301
        assert headers["location"] == f"http://new.example.com:{g.port}/a/b?c=d"
        assert g.get("/a", host="unknown.example.org")[0] == 404


def test_16_a_prefix_is_rewritten(ups):
    import yaml
    up = ups("users")
    route = yaml.safe_load((SEED / "16-httproute-url-rewrite.yaml").read_text())
    host = (route["spec"].get("hostnames") or ["any.example.com"])[0]
    backend = route["spec"]["rules"][0]["backendRefs"][0]
    with start(lambda port: gapi(port, "16-httproute-url-rewrite.yaml", services=[(backend["name"], backend["port"], up)])) as g:
        assert g.json("/v1/users/42", host=host)["target"] == "/users/42"
        assert g.json("/v1/users", host=host)["target"] == "/users"


def test_22_and_23_the_same_application_in_both_apis_gives_the_same_answers(ups):
    up = ups("productpage")
    services = {"svc.yaml": gh.service_yaml("productpage", up.port, service_port=9080)}
    asked = [("GET", p, h) for p in ("/productpage", "/productpage/", "/productpage?u=1", "/", "/productpageX", "/PRODUCTPAGE")
             for h in ("bookinfo.example.com", "BOOKINFO.example.com:8080", "other.example.com")]

    def answers(g):
        found = []
        for method, path, host in asked:
            status, _, body = g.get(path, host=host, method=method)
            found.append((path, host, status, json.loads(body)["target"] if status == 200 else ""))
        return found
    with start(lambda port: {"22.yaml": seed("22-migration-before-istio.yaml", port), **services}) as g:
        before = answers(g)
    with start(lambda port: {"23.yaml": seed("23-migration-after-gwapi.yaml", port), **services}) as g:
        after = answers(g)
    assert before == after
    assert ("/productpage", "bookinfo.example.com", 200, "/productpage") in before
    assert ("/productpage/", "bookinfo.example.com", 404, "") in before


def test_both_apis_serve_on_one_port_at_the_same_time(ups):
    up, other = ups("productpage"), ups("other")
    with start(lambda port: {
            "22.yaml": seed("22-migration-before-istio.yaml", port),
            "gw.yaml": gh.gateway_yaml(port=str(port)), "r.yaml": gh.route_yaml("r", "- backendRefs: [{name: other, port: 80}]", ["b.example.com"]),
            "svc.yaml": gh.service_yaml("productpage", up.port, service_port=9080), "o.yaml": gh.service_yaml("other", other.port)}) as g:
        assert g.json("/productpage", host="bookinfo.example.com")["name"] == "productpage"
        assert g.json("/productpage", host="b.example.com")["name"] == "other"


def test_every_seed_file_goes_through_check():
    """The verdicts are pinned in the golden tests; here: no crash, an exit code, every object accounted for."""
    g = gh.Gateway(start=False)
    try:
        for path in sorted(SEED.glob("*.yaml")):
            done = g.ctl("check", path, "-o", "json", check=False)
            assert done.returncode in (0, 1), (path.name, done.returncode, done.stderr)
            report = json.loads(done.stdout)
            documents = sum(1 for line in path.read_text().split("\n") if line.startswith("kind:"))
            assert len(report["objects"]) == documents, (path.name, report)
            assert all(o["verdict"] in ("accepted", "rejected", "unserved") for o in report["objects"])
    finally:
        g.close()
