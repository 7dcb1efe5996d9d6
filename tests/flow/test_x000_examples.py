"""Every example is accepted without a finding, and does what its comments say."""
import json
import re
import shutil

import pytest

import gh

EXAMPLES = sorted(p for p in (gh.TOP / "etc" / "examples").iterdir() if p.is_dir())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_the_example_is_accepted_without_a_finding(example):
    g = gh.Gateway(start=False)
    try:
        copy = shutil.copytree(example, g.conf / example.name)
        for f in copy.iterdir():
            f.chmod(0o640)  # a repository can't keep Secrets to one user
        done = g.ctl("check", copy, "-o", "json", check=False)
        report = json.loads(done.stdout)
        assert report["diagnostics"] == []
        assert all(o["verdict"] == "accepted" for o in report["objects"])
        assert done.returncode == 0
    finally:
        g.close()


def serve(example, ups):
    """The example with its listener and backends moved to ports of this test."""
    g = gh.Gateway(start=False)
    for f in (gh.TOP / "etc" / "examples" / example).glob("*.yaml"):
        text = f.read_text().replace("8080", str(g.port))
        for old, up in ups.items():
            text = re.sub(rf"(port|targetPort): {old}\b", rf"\1: {up.port}", text)
        (g.conf / f.name).write_text(text)
    g.start()
    return g


def test_hosts_and_paths():
    ups = {9000 + i: gh.Upstream(n) for i, n in enumerate(["cart", "api", "api-beta", "admin", "web"], 1)}
    host = "shop.example.com"
    with serve("hosts-and-paths", ups) as g:
        def who(path, **kw):
            return g.json(path, host=kw.pop("host", host), **kw)["name"]
        assert who("/cart") == "cart" and who("/cart/") == "web"
        assert who("/api") == "api" and who("/api/x") == "api" and who("/apis") == "web"
        assert who("/api/x", headers={"x-version": "beta"}) == "api-beta"
        assert who("/api/x?version=beta") == "api-beta"
        assert who("/x", method="DELETE") == "admin" and who("/api", method="DELETE") == "api"
        assert who("/", host="a.b.shop.example.com") == "web"
        assert g.get("/", host="example.com")[0] == 404


def test_redirects_and_rewrites():
    with gh.Upstream("legacy") as up, serve("redirects-and-rewrites", {9001: up}) as g:
        status, headers, _ = g.get("/blog/2026/x?q=1", host="www.example.com")
        assert (status, headers["location"]) == (301, "https://blog.example.com/2026/x?q=1")
        seen = g.json("/legacy/a", host="www.example.com", headers={"x-debug": "1"})
        fields = {k.lower(): v for k, v in seen["headers"]}
        assert seen["target"] == "/a" and fields["host"] == "legacy.internal" and fields["x-original-prefix"] == "/legacy" and "x-debug" not in fields
        assert g.json("/maintenance/anything?x", host="www.example.com")["target"] == "/static/maintenance.html?x"


def test_teams():
    with gh.Upstream("a") as a, gh.Upstream("b") as b, serve("teams", {9001: a, 9002: b}) as g:
        assert g.json("/", host="a.example.com")["name"] == "a"
        assert g.json("/", host="b.example.com")["name"] == "b"
        assert g.json("/a", host="b.example.com")["name"] == "a"
        text = (g.conf / "team-a.yaml").read_text()
        g.write("team-a.yaml", "---\n".join(d for d in re.split(r"^---\n", text, flags=re.M) if "ReferenceGrant" not in d.split("metadata")[0]))
        g.reload()
        assert g.get("/a", host="b.example.com")[0] == 500, "without the grant the reference is not permitted"


def test_istio():
    with gh.Upstream("productpage") as p, gh.Upstream("reviews") as r, serve("istio", {9001: p, 9002: r}) as g:
        host = "bookinfo.example.com"
        assert g.get("/healthz", host=host)[2] == b"ok\n"
        status, headers, _ = g.get("/old/x", host=host)
        assert status == 302 and headers["location"].endswith("/productpage")
        assert g.json("/reviews/1", host=host, headers={"end-user": "jason"})["target"] == "/v2/reviews/1"
        names = [g.json("/", host=host)["name"] for _ in range(40)]
        assert 5 <= names.count("reviews") <= 15
