"""gRPC-Web by Istio's objects: a port called grpc-web, a real server of gRPC, and clients as browsers have them."""
import base64
import json

import pytest

import gh
import h2lib
from test_n000_grpc import CERTS, Server, frame, frames, grpc, pieces, trailers_of

ISTIO = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  servers:
  - {port: {number: {port}, name: grpc-web, protocol: GRPC-WEB}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{match: [{uri: {prefix: /test.Echo/}}], route: [{destination: {host: echo.default.svc.cluster.local, port: {number: 80}}}]}]
"""
SLICE = """\
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec: {ports: [{name: {name}, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: echo, namespace: default, labels: {kubernetes.io/service-name: echo}}
addressType: IPv4
ports: [{name: {name}, port: {up}}]
endpoints: [{addresses: [127.0.0.1]}]
"""
# Plain HTTP by its name; what is spoken is agreed on in TLS.
UPGRADE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: default}
spec:
  host: echo
  trafficPolicy:
    connectionPool: {http: {h2UpgradePolicy: UPGRADE}}
    tls: {mode: SIMPLE, caCertificates: {ca}, sni: a.example.com}
"""


class SecureServer(Server):
    """The same over TLS, which speaks h2 by ALPN and nothing else."""

    def listen(self):
        super().listen()
        pair = [(CERTS / "ecdsa.key.pem").read_bytes(), (CERTS / "ecdsa.pem").read_bytes()]
        self.tls_port = self.server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))


@pytest.fixture(scope="module", params=["grpc-web", "grpc-web-old", "alpn"])
def mesh(request):
    with SecureServer() as s:
        agreed = request.param == "alpn"
        files = {"istio.yaml": ISTIO, "service.yaml": SLICE}
        if agreed:
            files["upgrade.yaml"] = UPGRADE
        words = {"up": s.tls_port if agreed else s.port, "name": "http" if agreed else request.param, "ca": CERTS / "ca.pem"}
        with gh.Gateway(files, words=words) as g:
            g.server = s
            yield g


def over_http1(g, method, body, kind, accept=None):
    """(status, fields, content) as fetch() of a browser gets them."""
    with g.connect() as c:
        lines = [f"POST {method} HTTP/1.1", "Host: a.example.com", f"Content-Type: {kind}", "X-Grpc-Web: 1", f"Content-Length: {len(body)}"]
        c.send("\r\n".join([*lines, *([f"Accept: {accept}"] if accept else []), "", ""]))
        c.send(body)
        status, fields, data = c.response()[:3]
        return status, {k.lower(): v for k, v in dict(fields).items()}, data


def over_http2(g, method, body, kind, accept=None):
    with h2lib.Client(g.port) as c:
        fields = [("content-type", kind), ("x-grpc-web", "1"), *([("accept", accept)] if accept else [])]
        i = c.open(method, "POST", end=False, headers=fields)
        c.send(i, body, end=True)
        s = c.response(i)
        got = dict(s.headers or [])
        return s.status, got, s.body


CLIENTS = pytest.mark.parametrize("ask", [over_http1, over_http2])


@CLIENTS
def test_a_call_has_its_messages_and_its_trailers_in_the_content(mesh, ask):
    status, fields, data = ask(mesh, "/test.Echo/Unary", frame(b"hello"), "application/grpc-web+proto")
    assert (status, fields["content-type"], fields["x-first"]) == (200, "application/grpc-web+proto", "head")
    (f0, message), (f1, trailers) = frames(data)
    assert (f0, message, f1) == (0, b"hello", 0x80)
    assert (trailers_of(trailers)["grpc-status"], trailers_of(trailers)["x-last"]) == ("0", "trailer")


@CLIENTS
def test_a_stream_of_messages_comes_in_base64_when_that_was_asked_for(mesh, ask):
    status, fields, data = ask(mesh, "/test.Echo/Down", base64.b64encode(frame(b"50")), "application/grpc-web-text+proto")
    assert (status, fields["content-type"]) == (200, "application/grpc-web-text+proto")
    *messages, (flags, trailers) = frames(pieces(data))
    assert [m for f, m in messages if f == 0] == [b"%d" % i for i in range(50)]
    assert flags == 0x80 and trailers_of(trailers)["grpc-status"] == "0"


@CLIENTS
def test_a_large_message_passes_both_ways(mesh, ask):
    big = bytes(range(256)) * 4096
    status, _, data = ask(mesh, "/test.Echo/Unary", frame(big), "application/grpc-web")
    assert status == 200 and frames(data)[0] == (0, big)


@CLIENTS
def test_a_failed_call_is_told_with_its_status(mesh, ask):
    status, fields, data = ask(mesh, "/test.Echo/Fails", frame(b"x"), "application/grpc-web")
    told = trailers_of(frames(data)[-1][1]) if data else fields
    assert status == 200 and told["grpc-status"] == "5" and "nothing" in told["grpc-message"]
    status, fields, data = ask(mesh, "/test.Echo/Nobody", frame(b"x"), "application/grpc-web")
    told = trailers_of(frames(data)[-1][1]) if data else fields
    assert status == 200 and told["grpc-status"] == "12"


def test_a_server_that_is_gone_is_a_status_too(mesh):
    with gh.Gateway({"istio.yaml": ISTIO, "service.yaml": SLICE}, words={"up": gh.free_port(), "name": "grpc-web"}) as g:
        for ask in (over_http1, over_http2):
            status, fields, _ = ask(g, "/test.Echo/Unary", frame(b"x"), "application/grpc-web")
            assert (status, fields["grpc-status"]) == (200, "14")


def test_clients_of_grpc_itself_use_the_same_port(mesh):
    with grpc.insecure_channel(f"127.0.0.1:{mesh.port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        assert channel.unary_unary("/test.Echo/Unary")(b"native", timeout=gh.DEADLINE) == b"native"
        assert list(channel.stream_stream("/test.Echo/Both")(iter([b"a", b"b"]), timeout=gh.DEADLINE)) == [b"a", b"b"]


def test_the_status_is_in_the_log(mesh):
    over_http1(mesh, "/test.Echo/Fails", frame(b"logged"), "application/grpc-web")
    gh.eventually(lambda: any(line["path"] == "/test.Echo/Fails" and line["grpc_status"] in (5, "5", "NOT_FOUND")
                              for line in map(json.loads, mesh.access_log.read_text().splitlines())))
