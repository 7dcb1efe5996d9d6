"""What stands in front of Istio's gateways and between meshes: AUTO_PASSTHROUGH, PROXY protocol both ways, trusted proxies."""
import json
import socket
import ssl
import struct
import subprocess
import time

import pytest

import gh
from test_i100_istio_tls import FILES, context, rule

# ---- AUTO_PASSTHROUGH ----

MESH = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: east, namespace: istio-system}
spec:
  servers:
  - {port: {number: {port}, name: tls, protocol: TLS}, hosts: ["*.local", mesh.example.net], tls: {mode: AUTO_PASSTHROUGH}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: prod}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-v1, namespace: prod, labels: {kubernetes.io/service-name: reviews, version: v1}}
addressType: IPv4
ports: [{name: http, port: {v1}}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-v2, namespace: prod, labels: {kubernetes.io/service-name: reviews, version: v2}}
addressType: IPv4
ports: [{name: http, port: {v2}}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: prod}
spec:
  host: reviews
  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: {certs}/ca.crt}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [external.local]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 127.0.0.1, ports: {tls: {v1}}}]
"""


def peer_of_the_mesh(name):
    """A TLS server with a certificate of its own, which wants one of its clients; it says what it saw, and echoes."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(FILES / (name + ".crt"), FILES / (name + ".key"))
    server.load_verify_locations(FILES / "ca.crt")
    server.verify_mode = ssl.CERT_REQUIRED
    server.set_alpn_protocols(["istio"])
    sni = []
    server.sni_callback = lambda _s, said, _c: sni.append(said)

    def serve(c, _number):
        with server.wrap_socket(c.sock, server_side=True) as s:
            who = dict(s.getpeercert())["subjectAltName"][0][1]
            s.sendall(f"{name} {sni[-1]} {s.selected_alpn_protocol()} {who}\n".encode())
            while data := s.recv(65536):
                s.sendall(data)
    return gh.RawServer(serve)


@pytest.fixture(scope="module")
def east():
    with peer_of_the_mesh("api") as v1, peer_of_the_mesh("app") as v2, gh.Gateway(
            {"mesh.yaml": MESH}, words={"v1": v1.port, "v2": v2.port, "certs": FILES}) as g:
        g.wait_status(lambda _: True)
        yield g


def s_client(port, name, *options, alpn="istio"):
    """`openssl s_client`: what came back for a line of input, and what it told of the handshake."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-CAfile", FILES / "ca.crt",
               "-verify_return_error", "-cert", FILES / "mesh.crt", "-key", FILES / "mesh.key", "-ign_eof"]
    if alpn:
        command += ["-alpn", alpn]
    p = subprocess.Popen([*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        p.stdin.write(b"over there\n")
        p.stdin.flush()
        told = b""
        while line := p.stdout.readline():
            told += line
            if line == b"over there\n":
                break
        return told.decode(errors="replace")
    finally:
        p.kill()
        p.wait()


REVIEWS = "reviews.prod.svc.cluster.local"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("subset, backend", [("v1", "api"), ("v2", "app")])
def test_the_name_of_a_subset_leads_to_its_endpoints_with_the_mesh_s_own_tls(east, version, subset, backend):
    name = f"outbound_.9080_.{subset}_.{REVIEWS}"
    told = s_client(east.port, name, version)
    # the endpoint's certificate, its choice of ALPN, and the client's certificate at the endpoint: nothing ends in between
    assert f"{backend} {name} istio spiffe://cluster.local/ns/istio-system/sa/ingress\n" in told, told
    assert "over there\n" in told and "Verification: OK" in told, told


def test_the_name_of_a_service_leads_to_all_its_endpoints(east):
    name = f"outbound_.9080_._.{REVIEWS}"
    seen = {s_client(east.port, name).partition(" " + name)[0].rpartition("\n")[2].strip() for _ in range(8)}
    assert seen == {"api", "app"}


@pytest.mark.parametrize("name, alpn", [
    (f"outbound_.9080_._.{REVIEWS}", None),            # nobody of the mesh
    (f"outbound_.9080_._.{REVIEWS}", "h2"),
    (f"outbound_.9081_._.{REVIEWS}", "istio"),         # a port that the service does not have
    (f"outbound_.9080_.v3_.{REVIEWS}", "istio"),       # a subset that nobody defined
    ("outbound_.9080_._.other.prod.svc.cluster.local", "istio"),
    ("outbound_.443_._.external.local", "istio"),      # known, but outside of the mesh
    (REVIEWS, "istio")])
def test_other_names_and_other_clients_are_closed_without_a_byte(east, name, alpn):
    c = context(alpn=[alpn] if alpn else None, cert="mesh")
    c.check_hostname = False
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        c.wrap_bio(into, out, server_hostname=name).do_handshake()
    with socket.create_connection(("127.0.0.1", east.port), gh.DEADLINE) as s:
        s.sendall(out.read())
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass


# ---- PROXY protocol from peers in front ----

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client="203.0.113.7", port=4711):
    family = "TCP6" if ":" in client else "TCP4"
    return f"PROXY {family} {client} {'2001:db8::1' if ':' in client else '192.0.2.1'} {port} 443\r\n".encode()


def v2(client="203.0.113.7", port=4711, tlvs=b""):
    six = ":" in client
    family = socket.AF_INET6 if six else socket.AF_INET
    ends = socket.inet_pton(family, client) + socket.inet_pton(family, "2001:db8::1" if six else "192.0.2.1")
    body = ends + struct.pack(">HH", port, 443) + tlvs
    return V2 + bytes([0x21, 0x21 if six else 0x11]) + struct.pack(">H", len(body)) + body


LOCAL = V2 + bytes([0x20, 0]) + struct.pack(">H", 0)
NOOP = b"\x04\x00\x03abc"

HTTP = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system, annotations: {annotations}}
spec:
  servers:
  - {port: {number: {port}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: {port2}, name: https, protocol: HTTPS}, hosts: [api.example.com], tls: {mode: SIMPLE, serverCertificate: {certs}/api.crt, privateKey: {certs}/api.key}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: istio-system}
spec: {hosts: [api.example.com], resolution: STATIC, ports: [{number: 80, name: api, protocol: {protocol}}], endpoints: [{address: 127.0.0.1, ports: {api: {up}}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{route: [{destination: {host: api.example.com}}], retries: {attempts: 0}}]
"""

FROM_ONE = '{gatehouse.dev/proxy-protocol-from: "127.0.0.2, 2001:db8::/32"}'
FROM_ALL = "{proxy.istio.io/config: '{gatewayTopology: {proxyProtocol: {}}}'}"


def edge(up, annotations, protocol="HTTP", **kw):
    words = {"up": up.port, "annotations": annotations, "certs": FILES, "protocol": protocol}
    return gh.Gateway({"a.yaml": HTTP}, words=words, **kw)


def connect(port, source):
    c = gh.Client.__new__(gh.Client)
    c.sock = socket.create_connection(("127.0.0.1", port), gh.DEADLINE, source_address=(source, 0))
    c.buffer = b""
    return c


def line_of(g, path):
    deadline = time.monotonic() + gh.DEADLINE
    while time.monotonic() < deadline:
        for line in map(json.loads, g.access_log.read_text().splitlines()):
            if line["path"] == path:
                return line
        time.sleep(0.05)
    raise AssertionError(f"no line of {path}")


def told(answer):
    """X-Forwarded-For as the backend got it."""
    return [v for k, v in json.loads(answer[2])["headers"] if k.lower() == "x-forwarded-for"]


def ask(c, path, *fields):
    c.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: api.example.com", *fields, "", ""]))
    return c.response()


@pytest.fixture(scope="module")
def behind():
    with gh.Upstream() as u, edge(u, FROM_ONE) as g:
        g.upstream = u
        yield g


@pytest.mark.parametrize("head, client", [
    (v1(), "203.0.113.7"), (v1("2001:db8::7"), "2001:db8::7"), (v2(), "203.0.113.7"), (v2("2001:db8::7"), "2001:db8::7"),
    (v2(tlvs=NOOP), "203.0.113.7"), (LOCAL, "127.0.0.2"), (b"PROXY UNKNOWN\r\n", "127.0.0.2")],
    ids=["v1", "v1-six", "v2", "v2-six", "v2-tlvs", "v2-local", "v1-unknown"])
@pytest.mark.parametrize("tls", [False, True])
def test_the_client_that_a_trusted_peer_names_is_the_client_everywhere(behind, head, client, tls):
    path = "/" + str(abs(hash((head, tls))))
    with connect(behind.port2 if tls else behind.port, "127.0.0.2") as c:
        c.sock.sendall(head[:5])  # it may come in pieces
        c.sock.sendall(head[5:])
        if tls:
            c.sock = context().wrap_socket(c.sock, server_hostname="api.example.com")
        for suffix in ("", "/again"):  # of the connection, not of its first request
            answer = ask(c, path + suffix)
            assert answer[0] == 200 and told(answer) == [client]
            assert line_of(behind, path + suffix)["client"] == client


@pytest.mark.parametrize("head", [v1(), v2()], ids=["v1", "v2"])
def test_a_stranger_s_header_is_no_header(behind, head):
    asked = behind.upstream.count()
    with connect(behind.port, "127.0.0.1") as c:
        c.sock.sendall(head + b"GET /claimed HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        got = c.rest()
    assert got == b"" or got.startswith(b"HTTP/1.1 400 ")  # a first line that is none of HTTP gets no answer in HTTP
    with connect(behind.port, "127.0.0.1") as c:
        answer = ask(c, "/plain")
        assert answer[0] == 200 and told(answer) == ["127.0.0.1"]
    assert behind.upstream.count() == asked + 1


@pytest.mark.parametrize("head", [b"", b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n", v1().replace(b"7 ", b"777 "),
                                  V2 + b"\x31\x11\0\x0c" + bytes(12), V2 + b"\x21\x11\0\x03" + bytes(3)],
                         ids=["none", "short", "address", "version", "length"])
def test_a_trusted_peer_without_a_good_header_is_not_served(behind, head):
    with connect(behind.port, "127.0.0.2") as c:
        c.sock.sendall(head + b"GET /headless HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        try:
            assert c.sock.recv(1) == b""
        except ConnectionResetError:
            pass


def test_gateway_topology_takes_headers_of_everybody_as_istio_does():
    with gh.Upstream() as u, edge(u, FROM_ALL) as g:
        for source in ("127.0.0.1", "127.0.0.9"):
            with connect(g.port, source) as c:
                c.sock.sendall(v2())
                assert told(ask(c, "/")) == ["203.0.113.7"]


# ---- PROXY protocol to backends ----

def read_head(sock):
    """The addresses of a PROXY header from the gateway, and no byte more: (version, client, its port)."""
    def exactly(n):
        return sock.recv(n, socket.MSG_WAITALL)
    if (line := exactly(1)) == b"P":
        while not line.endswith(b"\n"):
            line += exactly(1)
        words = line.split()
        return 1, words[2].decode(), int(words[4])
    rest = exactly(15)
    body = exactly(struct.unpack(">H", rest[13:])[0])
    family, size = (socket.AF_INET6, 16) if rest[12] >> 4 == 2 else (socket.AF_INET, 4)
    return 2, socket.inet_ntop(family, body[:size]), struct.unpack(">H", body[2 * size:2 * size + 2])[0]


class Behind(gh.Upstream):
    """An Upstream that wants a PROXY header first; .heads is what they said. With a TLS context, TLS comes after it."""

    def __init__(self, tls=None):
        self.heads, self.tls = [], tls
        super().__init__()

    def _http(self, c, number):
        self.heads.append(read_head(c.sock))
        if self.tls:
            c.sock = self.tls.wrap_socket(c.sock, server_side=True)
        super()._http(c, number)


def dr(policy):
    return (f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: api, namespace: istio-system}}\n"
            f"spec: {{host: api.example.com, exportTo: [.], trafficPolicy: {policy}}}\n")


@pytest.mark.parametrize("version, number", [("V1", 1), ("V2", 2), (None, 1)])
def test_a_backend_is_told_the_client_that_the_proxy_in_front_named(version, number):
    policy = "{proxyProtocol: {%s}}" % (f"version: {version}" if version else "")
    with Behind() as u, edge(u, FROM_ONE) as g:
        g.write("dr.yaml", dr(policy))
        g.reload()
        for head, client in ((v1(), "203.0.113.7"), (v2("2001:db8::7", 99), "2001:db8::7")):
            with connect(g.port, "127.0.0.2") as c:
                c.sock.sendall(head)
                assert told(ask(c, "/")) == [client] and told(ask(c, "/2")) == [client]
        with connect(g.port, "127.0.0.1") as c:
            assert ask(c, "/")[0] == 200
            own = c.sock.getsockname()[1]
        assert u.heads == [(number, "203.0.113.7", 4711), (number, "2001:db8::7", 99), (number, "127.0.0.1", own)]


def test_connections_of_one_client_are_not_used_for_another():
    with Behind() as u, edge(u, FROM_ONE) as g:
        g.write("dr.yaml", dr("{proxyProtocol: {version: V2}}"))
        g.reload()
        for i in range(6):
            with connect(g.port, "127.0.0.2") as c:
                c.sock.sendall(v2(f"203.0.113.{i}", 1000 + i))
                assert told(ask(c, f"/{i}")) == [f"203.0.113.{i}"]
        assert [h[1:] for h in u.heads] == [(f"203.0.113.{i}", 1000 + i) for i in range(6)]


@pytest.mark.parametrize("version, number", [("V1", 1), ("V2", 2)])
def test_the_header_stands_before_tls_to_the_backend(version, number):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(FILES / "api.crt", FILES / "api.key")
    with Behind(server) as u, edge(u, FROM_ONE) as g:
        g.write("dr.yaml", dr(f"{{proxyProtocol: {{version: {version}}}, tls: {{mode: SIMPLE, caCertificates: {FILES}/ca.crt}}}}"))
        g.reload()
        with connect(g.port, "127.0.0.2") as c:
            c.sock.sendall(v2())
            assert told(ask(c, "/")) == ["203.0.113.7"]
        assert u.heads == [(number, "203.0.113.7", 4711)]


TCP = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system, annotations: {gatehouse.dev/proxy-protocol-from: 127.0.0.2}}
spec:
  servers:
  - {port: {number: {port}, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tcp, namespace: istio-system}
spec: {hosts: [api.example.com], resolution: STATIC, ports: [{number: 9, name: tcp, protocol: TCP}], addresses: [10.9.9.9], endpoints: [{address: 127.0.0.1, ports: {tcp: {up}}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp, namespace: istio-system}
spec:
  hosts: [api.example.com]
  gateways: [edge]
  tcp: [{route: [{destination: {host: api.example.com}}]}]
"""


@pytest.mark.parametrize("version, number", [("V1", 1), ("V2", 2)])
def test_bytes_pass_with_the_client_named_on_both_sides(version, number):
    heads = []

    def echo(c, _number):
        heads.append(read_head(c.sock))
        c.send(c.until(b"\n"))
    with gh.RawServer(echo) as u, gh.Gateway({"a.yaml": TCP, "dr.yaml": dr(f"{{proxyProtocol: {{version: {version}}}}}")},
                                             words={"up": u.port}) as g:
        with connect(g.port, "127.0.0.2") as c:
            c.sock.sendall(v1() + b"together\n")
            assert c.rest() == b"together\n"
        with connect(g.port, "127.0.0.1") as c:
            own = c.sock.getsockname()[1]
            c.sock.sendall(b"direct\n")
            assert c.rest() == b"direct\n"
        assert heads == [(number, "203.0.113.7", 4711), (number, "127.0.0.1", own)]


# ---- how many proxies are in front ----

def hops(n):
    return "{proxy.istio.io/config: '{gatewayTopology: {numTrustedProxies: %d}}'}" % n


SECOND = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: second, namespace: istio-system, annotations: {annotations2}}
spec:
  servers:
  - {port: {number: {port3}, name: http, protocol: HTTP}, hosts: ["*"]}
"""


@pytest.mark.parametrize("n, fields, client", [
    (0, ["X-Forwarded-For: 1.1.1.1"], "127.0.0.1"),
    (1, ["X-Forwarded-For: 1.1.1.1, 2.2.2.2"], "2.2.2.2"),
    (2, ["X-Forwarded-For: 1.1.1.1, 2.2.2.2"], "1.1.1.1"),
    (2, ["X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3"], "2.2.2.2"),  # lines are one list
    (2, ["X-Forwarded-For: 2.2.2.2"], "127.0.0.1"),  # fewer entries than proxies: nobody wrote the client
    (1, ["X-Forwarded-For: nonsense"], "127.0.0.1"),
    (1, [], "127.0.0.1")])
def test_the_client_is_whom_the_outermost_trusted_proxy_saw(n, fields, client):
    with gh.Upstream() as u, edge(u, hops(n), settings="http: {trustedHops: 9}\n") as g:
        with connect(g.port, "127.0.0.1") as c:
            answer = ask(c, "/hops", *fields, "X-Forwarded-Proto: https")
            assert answer[0] == 200
            sent = [f.split(": ")[1] for f in fields]
            assert ", ".join(told(answer)) == ", ".join([*sent, "127.0.0.1"])
            proto = [v for k, v in json.loads(answer[2])["headers"] if k.lower() == "x-forwarded-proto"]
            assert proto == ["https" if n else "http"]
        assert line_of(g, "/hops")["client"] == client


def test_each_gateway_has_its_own_number_of_proxies_and_the_instance_one_for_the_rest():
    port3 = gh.free_port()
    with gh.Upstream() as u, edge(u, hops(1), settings="http: {trustedHops: 2}\n", start=False) as g:
        g.words |= {"port3": port3, "annotations2": "{}"}
        g.write("b.yaml", SECOND)
        g.write("a.yaml", HTTP.replace("gateways: [edge]", "gateways: [edge, second]"))
        g.start()

        def client(port, path):
            with connect(port, "127.0.0.1") as c:
                assert ask(c, path, "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3")[0] == 200
            return line_of(g, path)["client"]
        assert (client(g.port, "/one"), client(port3, "/two")) == ("3.3.3.3", "2.2.2.2")
        g.words["annotations2"] = '{gatehouse.dev/trusted-hops: "3"}'
        g.write("b.yaml", SECOND)
        g.reload()
        assert (client(g.port, "/three"), client(port3, "/four")) == ("3.3.3.3", "1.1.1.1")


def test_https_of_a_trusted_proxy_is_not_redirected_again():
    redirect = HTTP.replace('name: http, protocol: HTTP}, hosts: ["*"]}', 'name: http, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}')
    with gh.Upstream() as u, edge(u, hops(1), start=False) as g:
        g.write("a.yaml", redirect)
        g.start()
        with connect(g.port, "127.0.0.1") as c:
            assert ask(c, "/")[0] == 301
            assert ask(c, "/", "X-Forwarded-Proto: https")[0] == 200
