"""Every example is accepted without a finding, and does what its comments say."""
import concurrent.futures
import http.client
import json
import re
import shutil
import socket
import ssl
import textwrap

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
        text = f.read_text()
        for old, port in (("8080", g.port), (r"(?:8443|8053)", g.port2)):
            text = re.sub(rf"\b(port|number): {old}\b", rf"\1: {port}", text)
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


# ---- TLS, gRPC, TCP and UDP ----

def authority():
    """The CA of every example's certificates, out of the one example that has it alone."""
    text = (gh.TOP / "etc/examples/backend-tls/ca.yaml").read_text()
    return textwrap.dedent(text[text.index("    -----BEGIN"):])


def shake(port, name, cert=None, alpn=("http/1.1",)):
    c = ssl.create_default_context(cadata=authority())
    c.set_alpn_protocols(list(alpn))
    if cert:
        c.load_cert_chain(*cert)
    return c.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=gh.DEADLINE), server_hostname=name)


def ask(port, name, host=None, **kw):
    """One request on a new TLS connection for `name`: (status, body)."""
    c = http.client.HTTPConnection(name)
    c.sock = shake(port, name, **kw)
    with c.sock:
        c.request("GET", "/", headers={"Host": host or name})
        r = c.getresponse()
        return r.status, r.read()


def certificate(text, secret, directory):
    """(certificate, key) of a Secret in an example, as files."""
    doc = next(d for d in text.split("\n---\n") if f"name: {secret}\n" in d)
    paths = []
    for kind in ("CERTIFICATE", "PRIVATE KEY"):
        paths.append(directory / (kind.replace(" ", "-").lower() + ".pem"))
        paths[-1].write_text(textwrap.dedent(re.search(rf" *-----BEGIN {kind}-----.*?-----END {kind}-----", doc, re.S)[0]))
    return paths


def tls_server(paths, serve):
    """A backend that ends TLS with this certificate; `serve` gets the connection as RawServer gives it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*paths)

    def shaken(c, number):
        c.sock = context.wrap_socket(c.sock, server_side=True)
        serve(c, number)
    return gh.RawServer(shaken)


def says(word):
    return lambda c, _: c.send(word)


def refused(port, name, **kw):
    """No answer comes: the handshake fails, or (TLS 1.3 judges a client's certificate late) the first read does."""
    try:
        ask(port, name, **kw)
    except (OSError, http.client.HTTPException):
        return True
    return False


def test_https():
    with gh.Upstream("shop") as up, serve("https", {9001: up}) as g:
        status, headers, _ = g.get("/cart?a=1", host="shop.example.com")
        assert (status, headers["location"]) == (301, f"https://shop.example.com:{g.port2}/cart?a=1")
        status, body = ask(g.port2, "shop.example.com")
        assert status == 200 and json.loads(body)["name"] == "shop"
        for offer, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1")):
            with shake(g.port2, "shop.example.com", alpn=offer) as s:
                assert s.selected_alpn_protocol() == chosen
        assert refused(g.port2, "shop.example.org"), "other names are closed in the handshake"


def test_tls_passthrough(tmp_path):
    pair = certificate((gh.TOP / "etc/examples/istio-tls/secrets.yaml").read_text(), "bookinfo-cert", tmp_path)
    with tls_server(pair, says(b"its own")) as app, gh.RawServer(says(b"in plain text")) as shop, \
            serve("tls-passthrough", {9001: app, 9002: shop}) as g:
        c = ssl.create_default_context(cadata=authority())
        c.check_hostname = False  # the backend's certificate is for other names: that is how it is known to be its own
        raw = socket.create_connection(("127.0.0.1", g.port2), timeout=gh.DEADLINE)
        with c.wrap_socket(raw, server_hostname="secure.example.com") as s:
            assert s.getpeercert(True) == ssl.PEM_cert_to_DER_cert(pair[0].read_text())
            assert s.recv(100) == b"its own"
        with shake(g.port2, "shop.example.com", alpn=()) as s:
            assert s.recv(100) == b"in plain text"
        assert refused(g.port2, "other.example.com")


def test_grpc():
    grpc = pytest.importorskip("grpc")

    class Handler(grpc.GenericRpcHandler):
        def __init__(self, name):
            self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[self], options=[("grpc.so_reuseport", 0)])
            self.port, self.name = self.server.add_insecure_port("127.0.0.1:0"), name
            self.server.start()

        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: f"{self.name} {details.method}".encode())

    users, canary = Handler("users"), Handler("canary")
    try:
        with serve("grpc", {9001: users, 9002: canary}) as g:
            options = [("grpc.enable_http_proxy", 0)]
            # The example's certificate is a shop's: the client is told which name to expect.
            secure = grpc.ssl_channel_credentials(authority().encode())
            with grpc.insecure_channel(f"127.0.0.1:{g.port}", options) as plain, grpc.secure_channel(
                    f"127.0.0.1:{g.port2}", secure, [*options, ("grpc.ssl_target_name_override", "shop.example.com")]) as tls:
                for channel in (plain, tls):
                    def call(name, *metadata):
                        return channel.unary_unary(name)(b"", timeout=gh.DEADLINE, metadata=metadata)
                    assert call("/users.v1.Users/Get") == b"users /users.v1.Users/Get"
                    assert call("/users.v1.Users/Get", ("x-canary", "1")) == b"canary /users.v1.Users/Get"
                    assert call("/users.v1.Users/List", ("x-canary", "1")) == b"users /users.v1.Users/List"
                    with pytest.raises(grpc.RpcError) as e:
                        call("/other.v1.Other/Get")
                    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED
    finally:
        for s in (users, canary):
            s.server.stop(0).wait(gh.DEADLINE)


class Names:
    """A UDP server for one datagram at a time: it tells who asked."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(gh.DEADLINE)
        self.port = self.sock.getsockname()[1]

    def answer(self):
        data, source = self.sock.recvfrom(1000)
        self.sock.sendto(b"answer to " + data, source)
        return source


def test_tcp_udp():
    names = Names()
    with names.sock, gh.RawServer(says(b"old")) as old, gh.RawServer(says(b"new")) as new, \
            serve("tcp-udp", {9001: old, 9002: new, 9003: names}) as g:
        said = []
        for _ in range(40):
            with g.connect() as c:
                said.append(c.rest())
        assert set(said) <= {b"old", b"new"} and 1 <= said.count(b"new") <= 10
        sources = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(gh.DEADLINE)
            client.connect(("127.0.0.1", g.port2))
            for _ in range(3):
                client.send(b"name")
                sources.append(names.answer())
                assert client.recv(1000) == b"answer to name"
        assert len(set(sources)) == 1, "a flow has one way to its backend"


def test_istio_tls(tmp_path):
    text = (gh.TOP / "etc/examples/istio-tls/secrets.yaml").read_text()
    pair = certificate(text, "bookinfo-cert", tmp_path)
    with gh.Upstream("productpage") as page, tls_server(pair, says(b"its own")) as app, \
            serve("istio-tls", {9001: page, 9002: app}) as g:
        status, headers, _ = g.get("/a?b", host="bookinfo.example.com")
        assert status == 301 and headers["location"].startswith("https://bookinfo.example.com") and headers["location"].endswith("/a?b")
        status, body = ask(g.port2, "bookinfo.example.com")
        assert status == 200 and json.loads(body)["name"] == "productpage"
        assert refused(g.port2, "admin.example.com"), "clients must show a certificate"
        assert ask(g.port2, "admin.example.com", cert=pair)[0] == 200
        with shake(g.port2, "admin.example.com", cert=pair) as s:
            assert s.version() == "TLSv1.3"
        c = ssl.create_default_context(cadata=authority())
        c.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", g.port2), timeout=gh.DEADLINE)
        with c.wrap_socket(raw, server_hostname="secure.example.com") as s:
            assert s.recv(100) == b"its own"


def test_backend_tls(tmp_path):
    (tmp_path / "good").mkdir(), (tmp_path / "other").mkdir()
    good = certificate((gh.TOP / "etc/examples/https/secret.yaml").read_text(), "shop-cert", tmp_path / "good")
    other = certificate((gh.TOP / "etc/examples/istio-tls/secrets.yaml").read_text(), "bookinfo-cert", tmp_path / "other")

    def answer(c, _):
        gh.read_request(c)
        c.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nshop\n")

    with tls_server(good, answer) as shop, serve("backend-tls", {9001: shop}) as g:
        status, _, body = g.get("/", host="anything.example.com")
        assert (status, body) == (200, b"shop\n")
    with tls_server(other, answer) as shop, serve("backend-tls", {9001: shop}) as g:
        assert g.get("/")[0] in (502, 503) and not shop.seen[0], "verified, or no connection at all"
