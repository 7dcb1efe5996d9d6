"""Metrics, logs, status and the command line say what happened, in the same words."""
import json
import re

import pytest

import gh
import pki


def test_metrics_count_requests_by_listener_route_and_backend(served):
    for _ in range(5):
        served.get("/")
    served.get("/status/404")
    m = served.metrics()

    def total(name, **labels):
        return sum(v for k, v in m.items() if k.startswith(name + "{") and all(f'{a}="{b}"' in k for a, b in labels.items()))
    assert total("gatehouse_route_requests_total", route="default/all/0", code_class="2xx") == 5
    assert total("gatehouse_route_requests_total", route="default/all/0", code_class="4xx") == 1
    assert total("gatehouse_listener_requests_total", listener="default/edge/http") == 6
    assert total("gatehouse_cluster_requests_total", cluster="default/up:80") == 6
    for wanted in ("gatehouse_build_info", "gatehouse_generation", "gatehouse_reload"):
        assert any(k.startswith(wanted) for k in m), (wanted, sorted(m))


def test_metrics_are_valid_exposition_text(served):
    served.get("/")
    code, body = served.admin("/metrics")
    types, seen = {}, set()
    for line in body.decode().split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"TYPE of {name} twice"
            types[name] = kind
        elif line and not line.startswith("#"):
            m = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (\S+)', line)
            assert m, line
            assert line.rsplit(" ", 1)[0] not in seen, f"series twice: {line}"
            seen.add(line.rsplit(" ", 1)[0])
            float(m[3])
            family = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or family in types, f"no TYPE for {m[1]}"


def test_histograms_are_cumulative_and_agree_with_their_count(served):
    for _ in range(10):
        served.get("/")
    m = served.metrics()
    groups = {}
    for k, v in m.items():
        if "_bucket{" in k:
            key = re.sub(r'le="[^"]*",?', "", k)
            le = re.search(r'le="([^"]*)"', k)[1]
            groups.setdefault(key, []).append((float("inf") if le == "+Inf" else float(le), v))
    assert groups
    for key, buckets in groups.items():
        values = [v for _, v in sorted(buckets)]
        assert values == sorted(values), key
        count = m[key.replace("_bucket{", "_count{").replace(",}", "}")]
        assert values[-1] == count, key


def test_the_access_log_is_one_json_object_per_request(served):
    served.get("/hello?x=1", headers={"User-Agent": 'a"b\\c\u00e9', "Referer": "r"})
    served.get("/status/404")
    assert served.stop() == 0
    lines = [json.loads(line) for line in served.access_log.read_text().splitlines()]
    lines.sort(key=lambda line: line["status"])  # workers write in turns
    assert [line["status"] for line in lines] == [200, 404]
    assert lines[0]["path"] == "/hello?x=1" and lines[0]["method"] == "GET"
    assert lines[0]["generation"] >= 1


def test_status_workers_and_get_show_the_same_world(served):
    table = served.ctl("get", "httproutes", "-A", "--run-dir", served.run).stdout
    assert "all" in table and "NAME" in table
    one = json.loads(served.ctl("get", "httproute", "all", "-o", "json", "--run-dir", served.run).stdout)
    assert one["kind"] == "HTTPRoute" and one["metadata"]["name"] == "all"
    conditions = {c["type"]: c["status"] for c in one["status"]["parents"][0]["conditions"]}
    assert conditions == {"Accepted": "True", "ResolvedRefs": "True"} or conditions["Accepted"] == "True"
    assert "kind: HTTPRoute" in served.ctl("get", "httproute", "all", "-o", "yaml", "--run-dir", served.run).stdout
    assert "Accepted" in served.ctl("describe", "httproute", "all", "--run-dir", served.run).stdout
    assert str(served.worker_pids()[0]) in served.ctl("workers", "--run-dir", served.run).stdout
    assert "generation" in served.ctl("status", "--run-dir", served.run).stdout.lower()


def test_version_and_status_say_which_tls_library_runs_and_how(served):
    by_hand = served.ctl("--version").stdout
    line = next(line for line in by_hand.splitlines() if line.startswith("TLS: wolfSSL "))
    tls = line.removeprefix("TLS: ")
    assert "(built for speed" in tls or "(the system's build" in tls
    assert tls in served.ctl("status", "--run-dir", served.run).stdout
    assert json.loads(served.ctl("version", "-o", "json", "--run-dir", served.run).stdout)["tls"] == tls
    assert served.status()["tls"] == tls  # the processes that serve have the same


def test_explain_tells_the_rule_its_file_and_line_and_the_backend(served):
    done = served.ctl("explain", "GET", f"http://a.example.com:{served.port}/x", "--conf-dir", served.conf, "-o", "json")
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "route"
    assert answer["rule"]["kind"] == "HTTPRoute" and answer["rule"]["file"].endswith("route.yaml") and answer["rule"]["line"] > 1
    assert answer["backends"]
    live = json.loads(served.ctl("explain", "GET", f"http://a.example.com:{served.port}/x", "--run-dir", served.run, "-o", "json").stdout)
    assert live["outcome"] == "route"


TLS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: a, port: {port}, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: rsa}]}}
  - {name: wild, port: {port}, protocol: HTTPS, hostname: "*.example.com", tls: {certificateRefs: [{name: wild}]}}
  - {name: bad, port: {port}, protocol: HTTPS, hostname: bad.example.com, tls: {certificateRefs: [{name: nobody}]}}
  - {name: pass, port: {port2}, protocol: TLS, hostname: pass.example.com, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: through, namespace: default}
spec:
  parentRefs: [{name: edge, sectionName: pass}]
  hostnames: [pass.example.com]
  rules: [{backendRefs: [{name: up, port: 80}]}]
---
"""


@pytest.fixture
def secured(upstream):
    files = {"gateway.yaml": TLS, "route.yaml": gh.route_yaml("all", "- backendRefs: [{name: up, port: 80}]"),
             "service.yaml": gh.service_yaml("up", upstream.port), "rsa.json": pki.secret_yaml("rsa"), "wild.json": pki.secret_yaml("wild")}
    with gh.Gateway(files) as g:
        yield g


def test_explain_judges_the_server_name_before_the_request(secured):
    g = secured

    def explain(host, sni=None, port=g.port):
        args = ["explain", "GET", f"https://{host}:{port}/x", "--run-dir", g.run, *(["--sni", sni] if sni is not None else [])]
        done = g.ctl(*args, "-o", "json", check=False)
        answer = json.loads(done.stdout)
        assert done.returncode == (0 if answer["outcome"] == "route" else 1), done.stdout
        return answer, g.ctl(*args, check=False).stdout
    answer, _ = explain("a.example.com")
    assert answer["outcome"] == "route" and answer["rule"]["file"].endswith("route.yaml") and answer["backends"]
    assert explain("w.example.com")[0]["outcome"] == "route"
    answer, said = explain("a.example.com", sni="w.example.com")
    assert (answer["outcome"], answer["status"], answer["rule"]) == ("421", 421, None)
    assert "default/edge/wild" in answer["message"] and "421" in said
    answer, said = explain("example.org", port=g.port)
    assert answer["outcome"] == "closed" and "example.org" in answer["message"] and "the connection is closed" in said
    assert "no server name" in explain("a.example.com", sni="")[0]["message"]
    answer, _ = explain("bad.example.com")
    assert answer["outcome"] == "closed" and "nobody" in answer["message"], "the listener's own fault is told"
    answer, said = explain("pass.example.com", port=g.port2)
    assert answer["outcome"] == "route" and answer["rule"]["kind"] == "TLSRoute" and "passed through" in said


def test_certs_lists_what_is_served_with_who_uses_it_and_when_it_ends(secured):
    g = secured
    table = g.ctl("certs", "--run-dir", g.run).stdout
    for word in ("*.example.com", "RSA 2048", "ECDSA 256", "default/edge/wild", "Secret default/rsa", "rsa.json:"):
        assert word in table, table
    listed = json.loads(g.ctl("certs", "--run-dir", g.run, "-o", "json").stdout)
    assert listed == json.loads(g.ctl("certs", "--conf-dir", g.conf, "-o", "json").stdout)
    by = {c["name"]: c for c in listed}
    assert set(by) == {"rsa", "wild"}
    assert by["wild"]["names"] == ["*.example.com", "example.com"] and by["rsa"]["keyType"] == "RSA"
    assert by["rsa"]["usedBy"] == [{"what": "listener", "name": "default/edge/a"}]
    assert by["rsa"]["daysLeft"] > 30000 and re.fullmatch("[0-9a-f]{64}", by["rsa"]["sha256"])
    # For scripts: is there one that ends soon?
    none = g.ctl("certs", "--expiring", "30", "--run-dir", g.run, check=False)
    assert none.returncode == 0 and "No certificate ends so soon" in none.stdout
    some = g.ctl("certs", "--expiring", "36500", "--run-dir", g.run, "-o", "json", check=False)
    assert some.returncode == 1 and json.loads(some.stdout) == listed
    assert g.ctl("certs", "--expiring", "soon", "--run-dir", g.run, check=False).returncode == 2


def test_diff_says_what_would_change(served, tmp_path):
    other = tmp_path / "conf"
    other.mkdir()
    for f in served.conf.glob("*.yaml"):
        (other / f.name).write_text(f.read_text())
    assert served.ctl("diff", other, "--run-dir", served.run, check=False).returncode == 0
    (other / "new.yaml").write_text(gh.route_yaml("new", "- matches: [{path: {value: /new}}]"))
    done = served.ctl("diff", other, "--run-dir", served.run, check=False)
    assert done.returncode == 1 and "new" in done.stdout


@pytest.mark.parametrize("command", ["serve", "check", "get", "describe", "explain", "diff", "status", "workers", "reload", "drain", "top", "certs"])
def test_every_command_has_help_and_refuses_nonsense(command):
    g = gh.Gateway(start=False)
    try:
        done = g.ctl(command, "--help")
        assert "usage" in done.stdout.lower()
        assert g.ctl(command, "--no-such-option", check=False).returncode == 2
    finally:
        g.close()


@pytest.mark.parametrize("command", [["status"], ["workers"], ["reload"], ["get", "gateways"], ["top", "--once"], ["certs"]])
def test_without_a_running_master_the_complaint_is_clear(command, tmp_path):
    g = gh.Gateway(start=False)
    try:
        done = g.ctl(*command, "--run-dir", tmp_path, check=False)
        assert done.returncode == 1
        assert str(tmp_path) in done.stderr
    finally:
        g.close()


def test_check_prints_findings_as_compilers_do(tmp_path):
    g = gh.Gateway(start=False)
    try:
        bad = tmp_path / "bad.yaml"
        bad.write_text(gh.route_yaml("r", "- matchs: []\n  backendRefs: [{name: up, port: 80}]"))
        done = g.ctl("check", bad, check=False)
        assert done.returncode == 1
        assert re.search(r"bad\.yaml:\d+:\d+: error: HTTPRoute default/r: spec\.rules\[0\]\.matchs: .*did you mean .*matches", done.stdout + done.stderr)
        assert g.ctl("check", "--bogus", check=False).returncode == 2
        report = json.loads(g.ctl("check", bad, "-o", "json", check=False).stdout)
        assert report["summary"]["errors"] >= 1 and report["objects"][0]["verdict"] == "rejected"
    finally:
        g.close()


def test_healthz_readyz_and_unknown_paths(served):
    assert served.admin("/healthz")[0] == 200
    assert served.admin("/readyz")[0] == 200
    assert served.admin("/nonsense")[0] == 404
    assert served.admin("/metrics", method="POST")[0] in (404, 405)
    status, body = served.admin("/")
    assert status == 200 and b"<html" in body.lower()
    assert served.admin("/reload", method="POST")[0] in (403, 404, 405), "orders come over the unix socket only"
