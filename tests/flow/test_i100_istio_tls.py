"""TLS and bytes by Istio's objects, with real handshakes: which certificate, which host, who gets in, where bytes go."""
import re
import socket
import ssl

import pytest

import gh

FILES = gh.TOP / "tests/golden/model/istio-tls-servers/files/etc/certs"
SECRETS = gh.TOP / "tests/golden/model"
SEED = gh.TOP / "tests/golden/seed"


def seed(name, ports):
    """A file of the mission with other ports: {443: 12345}."""
    text = next(SEED.glob(name + "*.yaml")).read_text()
    for old, new in ports.items():
        text = re.sub(rf"(number|port): {old}\b", rf"\1: {new}", text)
    return text


def secrets(test):
    return (SECRETS / test / "in/secrets.yaml").read_text()


def context(alpn=None, cert=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(FILES / "ca.crt")
    if alpn:
        c.set_alpn_protocols(alpn)
    if cert:
        c.load_cert_chain(FILES / (cert + ".crt"), FILES / (cert + ".key"))
    return c


def shake(port, name, **kw):
    raw = socket.create_connection(("127.0.0.1", port), timeout=gh.DEADLINE)
    return context(**kw).wrap_socket(raw, server_hostname=name)


def ask(s, host, path="/"):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    data = b""
    while chunk := s.recv(65536):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body, head.decode()


def names(s):
    return [v for k, v in s.getpeercert()["subjectAltName"]]


def refused(port, name, **kw):
    """No handshake: an alert, a reset, or nothing at all."""
    try:
        with shake(port, name, **kw) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return s.recv(1) == b""  # TLS 1.3: the client's certificate is judged after its side is done
    except (ssl.SSLError, ConnectionError):
        return True


ROUTES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes, namespace: istio-system}
spec:
  hosts: [httpbin.example.com, api.example.com, app.example.com]
  gateways: [httpbin-gateway, multi-host-gateway, redirect-gateway]
  http:
  - directResponse: {status: 200, body: {string: served}}
"""


@pytest.fixture(scope="module")
def hosts():
    with gh.Gateway(start=False) as g:
        ports = {443: g.port, 80: g.port2}
        for n in ("03", "09", "10"):
            g.write(n + ".yaml", seed(n, ports))
        g.write("routes.yaml", ROUTES)
        g.write("secrets.yaml", secrets("istio-seed-tls"))
        g.start()
        yield g


def test_each_server_name_has_its_certificate_and_its_hosts(hosts):
    for name in ("httpbin.example.com", "api.example.com", "app.example.com"):
        with shake(hosts.port, name, alpn=["h2", "http/1.1"]) as s:
            assert names(s) == [name] and s.version() == "TLSv1.3" and s.selected_alpn_protocol() == "h2"
        with shake(hosts.port, name, alpn=["http/1.1"]) as s:
            assert s.selected_alpn_protocol() == "http/1.1"
            assert ask(s, name)[:2] == (200, b"served")


def test_a_host_of_another_server_is_misdirected_and_one_of_nobody_not_found(hosts):
    with shake(hosts.port, "api.example.com") as s:
        assert ask(s, "httpbin.example.com")[0] == 421
    with shake(hosts.port, "api.example.com") as s:
        assert ask(s, "web.example.com")[0] == 421  # a server has it, though nothing is routed there
    with shake(hosts.port, "web.example.com") as s:
        assert ask(s, "web.example.com")[0] == 404
    with shake(hosts.port, "api.example.com") as s:
        assert ask(s, "nobody.example.org")[0] == 404


def test_a_name_that_no_server_has_gets_no_certificate(hosts):
    assert refused(hosts.port, "nobody.example.com")
    raw = socket.create_connection(("127.0.0.1", hosts.port), timeout=gh.DEADLINE)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        c = context()
        c.check_hostname = False
        c.wrap_socket(raw)  # without SNI


def test_plain_http_is_sent_to_https_with_its_path_and_query(hosts):
    for host in ("api.example.com", "deep.sub.example.com", "app.example.com"):
        status, headers, _ = hosts.get("/a?b=1", host=host, port=hosts.port2)
        assert status == 301 and {k.lower(): v for k, v in headers.items()}["location"] == f"https://{host}/a?b=1"
    assert hosts.get("/", host="example.com", port=hosts.port2)[0] == 404


def test_a_client_without_a_certificate_of_the_ca_does_not_get_in():
    with gh.Gateway(start=False) as g:
        g.write("05.yaml", seed("05", {443: g.port}))
        g.write("routes.yaml", ROUTES.replace("httpbin.example.com, api.example.com, app.example.com", "httpbin.example.com"))
        g.write("secrets.yaml", secrets("istio-seed-mutual"))
        g.start()
        assert refused(g.port, "httpbin.example.com")
        assert refused(g.port, "httpbin.example.com", cert="api")  # of the CA, but for servers only
        with shake(g.port, "httpbin.example.com", cert="mesh") as s:
            assert ask(s, "httpbin.example.com")[:2] == (200, b"served")


SERVERS = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  servers:
  - port: {number: {port}, name: files, protocol: HTTPS}
    hosts: [api.example.com, app.example.com]
    tls: {mode: SIMPLE, serverCertificate: {dir}/tls.crt, privateKey: {dir}/tls.key}
  - port: {number: {port}, name: mesh, protocol: HTTPS}
    hosts: [mesh.example.com]
    tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: istio-system}
spec:
  hosts: [api.example.com, app.example.com, mesh.example.com]
  gateways: [edge]
  http: [{directResponse: {status: 200, body: {string: served}}}]
"""


def install(directory, name, as_name):
    """As careful tools do: a new file, then a rename; the key is readable by its owner and by whom the compiler becomes."""
    for part in ("crt", "key"):
        new = directory / ("." + as_name + "." + part)
        new.write_bytes((FILES / (name + "." + part)).read_bytes())
        new.chmod(0o644)
        new.rename(directory / (as_name + "." + part))


def certificate(port, name):
    """Of a new connection, whoever's it is."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=gh.DEADLINE)
    c = context()
    c.check_hostname = False
    with c.wrap_socket(raw, server_hostname=name) as s:
        return names(s)


def test_files_that_change_are_live_for_new_handshakes_while_old_connections_go_on(tmp_path):
    tmp_path.chmod(0o755)
    install(tmp_path, "api", "tls")
    with gh.Gateway({"a.yaml": SERVERS}, words={"dir": tmp_path}) as g:
        assert certificate(g.port, "app.example.com") == ["api.example.com"]
        with shake(g.port, "api.example.com") as old:
            install(tmp_path, "app", "tls")
            g.wait_status(lambda s: certificate(g.port, "app.example.com") == ["app.example.com"])
            assert ask(old, "api.example.com")[:2] == (200, b"served")
        # half of a pair: the old one stays, and the status says why
        (tmp_path / "tls.crt").write_bytes((FILES / "mesh.crt").read_bytes())
        g.wait_status(lambda s: "the last good version is served" in str(s))
        assert certificate(g.port, "app.example.com") == ["app.example.com"]


def test_peers_of_the_mesh_know_each_other_by_its_root(tmp_path):
    tmp_path.chmod(0o755)
    install(tmp_path, "api", "tls")
    mesh = "".join(f"  {k}: {FILES / v}\n" for k, v in
                   {"certificate": "mesh.crt", "privateKey": "mesh.key", "rootCertificate": "ca.crt"}.items())
    with gh.Gateway({"a.yaml": SERVERS}, words={"dir": tmp_path}, settings="mesh:\n" + mesh) as g:
        c = context(cert="mesh")
        c.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", g.port), timeout=gh.DEADLINE)
        with c.wrap_socket(raw, server_hostname="mesh.example.com") as s:
            assert names(s) == ["spiffe://cluster.local/ns/istio-system/sa/ingress"]
            assert ask(s, "mesh.example.com")[:2] == (200, b"served")
        c = context()
        c.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", g.port), timeout=gh.DEADLINE)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with c.wrap_socket(raw, server_hostname="mesh.example.com") as s:
                if s.recv(1) == b"":
                    raise ConnectionResetError


BYTES = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  servers:
  - {port: {number: {port}, name: pass, protocol: TLS}, hosts: [secure-app.example.com, "*.pass.example.com"], tls: {mode: PASSTHROUGH}}
  - {port: {number: {port}, name: ended, protocol: TLS}, hosts: [api.example.com], tls: {mode: SIMPLE, credentialName: api-credential}}
  - {port: {number: {port2}, name: tcp, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tls, namespace: istio-system}
spec: {hosts: [tls.example.net], resolution: STATIC, ports: [{number: 443, name: tls, protocol: TLS}], endpoints: [{address: 127.0.0.1, ports: {tls: {tls}}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: plain, namespace: istio-system}
spec: {hosts: [plain.example.net], resolution: STATIC, ports: [{number: 9, name: tcp, protocol: TCP}], addresses: [10.9.9.9], endpoints: [{address: 127.0.0.1, ports: {tcp: {plain}}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tls, namespace: istio-system}
spec:
  hosts: [secure-app.example.com]
  gateways: [edge]
  tls: [{match: [{port: {port}, sniHosts: [secure-app.example.com]}], route: [{destination: {host: tls.example.net}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: tcp, namespace: istio-system}
spec:
  hosts: [api.example.com]
  gateways: [edge]
  tcp: [{route: [{destination: {host: plain.example.net}}]}]
"""


def echo(s):
    """Speaks first, then gives back what it gets."""
    s.sendall(b"hello\n")
    while data := s.recv(65536):
        s.sendall(data)


def take(s, n):
    data = b""
    while len(data) < n and (chunk := s.recv(n - len(data))):
        data += chunk
    return data


def test_bytes_go_where_their_server_name_or_their_port_leads():
    def tls_echo(c, _number):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(FILES / "api.crt", FILES / "api.key")
        with server.wrap_socket(c.sock, server_side=True) as s:
            echo(s)
    with gh.RawServer(tls_echo) as tls, gh.RawServer(lambda c, _: echo(c.sock)) as plain, gh.Gateway(
            {"a.yaml": BYTES, "secrets.yaml": secrets("istio-seed-tls")}, words={"tls": tls.port, "plain": plain.port}) as g:
        c = context()
        c.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", g.port), timeout=gh.DEADLINE)
        with c.wrap_socket(raw, server_hostname="secure-app.example.com") as s:
            assert names(s) == ["api.example.com"]  # the backend's, not ours
            s.sendall(b"x")
            assert take(s, 7) == b"hello\nx"
        with shake(g.port, "api.example.com") as s:
            s.sendall(b"x")
            assert take(s, 7) == b"hello\nx"
        with socket.create_connection(("127.0.0.1", g.port2), timeout=gh.DEADLINE) as s:
            assert take(s, 6) == b"hello\n"
            s.sendall(b"y")
            s.shutdown(socket.SHUT_WR)
            assert s.recv(16) == b"y" and s.recv(16) == b""
        assert refused(g.port, "other.pass.example.com")  # a server has the name, and no rule leads on


BACKENDS = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  servers:
  - {port: {number: {port}, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: istio-system}
spec:
  hosts: [api.example.com]
  resolution: STATIC
  ports: [{number: 443, name: https, protocol: HTTPS}]
  endpoints: [{address: 127.0.0.1, ports: {https: {tls}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{route: [{destination: {host: api.example.com}}], retries: {attempts: 0}}]
"""


def rule(tls):
    return (f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: api, namespace: istio-system}}\n"
            f"spec: {{host: api.example.com, exportTo: [.], trafficPolicy: {{portLevelSettings: [{{port: {{number: 443}}, tls: {tls}}}]}}}}\n")


@pytest.fixture
def secure():
    """An HTTPS backend with the certificate of api.example.com; .sni and .peers: what clients said and showed."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(FILES / "api.crt", FILES / "api.key")
    server.load_verify_locations(FILES / "ca.crt")
    server.verify_mode = ssl.CERT_OPTIONAL
    sni, peers = [], []
    server.sni_callback = lambda _s, name, _c: sni.append(name)

    def serve(c, _number):
        try:
            with server.wrap_socket(c.sock, server_side=True) as s:
                peers.append(s.getpeercert())
                while data := s.recv(65536):
                    if data.endswith(b"\r\n\r\n"):
                        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecure")
        except (ssl.SSLError, ConnectionError):
            pass
    with gh.RawServer(serve) as r:
        r.sni, r.peers = sni, peers
        yield r


def backend(secure, tls):
    return gh.Gateway({"a.yaml": BACKENDS, "dr.yaml": rule(tls)}, words={"tls": secure.port})


def test_a_backend_is_spoken_to_in_tls_and_verified_by_the_host_that_is_sent(secure):
    with backend(secure, f"{{mode: SIMPLE, caCertificates: {FILES}/ca.crt}}") as g:
        assert g.get("/", host="api.example.com")[::2] == (200, b"secure")
        assert secure.sni[-1] == "api.example.com" and not secure.peers[-1]
        assert g.get("/", host="other.example.com")[0] in (502, 503)  # its certificate is for another name
    with backend(secure, f"{{mode: SIMPLE, caCertificates: {FILES}/ca.crt, sni: api.example.com}}") as g:
        assert g.get("/", host="other.example.com")[::2] == (200, b"secure")
        assert secure.sni[-1] == "api.example.com"


def test_a_backend_that_cannot_be_verified_gets_nothing(secure):
    for tls in ("{mode: SIMPLE}", "{mode: SIMPLE, credentialName: nobody}",
                f"{{mode: SIMPLE, caCertificates: {FILES}/ca.crt, subjectAltNames: [somebody.else]}}"):
        with backend(secure, tls) as g:
            assert g.get("/", host="api.example.com")[0] in (502, 503), tls
    assert not secure.peers or not any(b"GET" in x for x in secure.seen)


def test_a_certificate_is_shown_to_backends_where_the_rule_says_so(secure):
    mutual = f"clientCertificate: {FILES}/mesh.crt, privateKey: {FILES}/mesh.key, caCertificates: {FILES}/ca.crt"
    with backend(secure, f"{{mode: MUTUAL, {mutual}}}") as g:
        assert g.get("/", host="api.example.com")[::2] == (200, b"secure")
        assert secure.peers[-1]["subjectAltName"] == (("URI", "spiffe://cluster.local/ns/istio-system/sa/ingress"),)


def test_a_service_of_the_mesh_is_known_by_the_ca_of_the_mesh(secure):
    mesh = "".join(f"  {k}: {FILES / v}\n" for k, v in
                   {"certificate": "mesh.crt", "privateKey": "mesh.key", "rootCertificate": "ca.crt"}.items())
    with gh.Gateway({"a.yaml": BACKENDS, "dr.yaml": rule("{mode: ISTIO_MUTUAL}")}, words={"tls": secure.port},
                    settings="mesh:\n" + mesh) as g:
        assert g.get("/", host="anything.example.com")[::2] == (200, b"secure")
        assert secure.sni[-1] == "outbound_.443_._.api.example.com" and secure.peers[-1]
