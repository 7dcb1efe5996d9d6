"""TLS with clients and backends that misbehave, carry much, die, or show certificates: what each of them gets and what is told."""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import threading

import pytest

import gh
import h2lib
import pki
from pki import CERTS, ca, pem, secret

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

EDGE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  tls:
    frontend:
      default: {}
      perPort:
      - port: {port2}
        tls: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}}
  listeners:
  - {name: https, port: {port}, protocol: HTTPS, tls: {certificateRefs: [{name: ecdsa}, {name: rsa}]}}
  - {name: asks, port: {port2}, protocol: HTTPS, tls: {certificateRefs: [{name: ecdsa}]}}
"""


def policy(authority="ca", hostname="a.example.com"):
    ref = {"wellKnownCACertificates": "System"} if authority == "system" else \
        {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": authority}]}
    return json.dumps({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy", "metadata": {"name": "up"},
                       "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": "up"}],
                                "validation": {"hostname": hostname, **ref}}})


def files(*upstreams, **more):
    objects = [secret("ecdsa"), secret("rsa"), ca(), ca("other-ca")]
    return {**gh.simple_files(*upstreams), "gateway.yaml": EDGE,
            "objects.yaml": "\n---\n".join(json.dumps(o) for o in objects), **more}


@pytest.fixture(scope="module")
def served():
    little = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:handle_abort=1:quarantine_size_mb=4"}  # memory is measured here
    with gh.Upstream() as u, gh.Gateway(files(u), env=little) as g:
        yield g


def context(client=None, alpn=("http/1.1",), **kw):
    return pki.context(client, alpn, **kw)


def connect(port, tls=None, session=None, **kw):
    """A gh.Client over TLS."""
    c = gh.Client(port)
    c.sock = (tls or context(**kw)).wrap_socket(c.sock, server_hostname="a.example.com", session=session)
    return c


def ask(c, path="/", *fields):
    c.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: a.example.com", *fields, "", ""]))
    return c.response()


def line_of(g, path):
    """The line of the access log, when it is there."""
    def find():
        lines = map(json.loads, g.access_log.read_text().splitlines())
        return next((line for line in lines if line["path"] == path), None)
    return gh.eventually(find, f"a line of {path}")


# ---- who the client is ----

def test_the_backend_is_told_who_the_client_is_and_not_what_it_claims(served):
    def told(c):
        claim = "X-Forwarded-Client-Cert: By=spiffe://evil;Hash=00"
        return [v for k, v in json.loads(ask(c, "/who", claim)[2])["headers"] if k.lower() == "x-forwarded-client-cert"]
    with connect(served.port) as c:
        assert told(c) == []
    with connect(served.port2, client="client") as c:
        [value] = told(c)
    der = ssl.PEM_cert_to_DER_cert(pem("client").decode())
    for part in (f"Hash={hashlib.sha256(der).hexdigest()};", 'Subject="CN=client,O=tests"',
                 "URI=spiffe://cluster.local/ns/default/sa/client", "DNS=client.example.com"):
        assert part in value, value
    assert "evil" not in value
    with connect(served.port2) as c:  # a listener that lets everybody in
        assert told(c) == []
    with connect(served.port2, client="expired") as c:  # what was shown is told; whether it holds is for the backend to judge
        [value] = told(c)
    assert "evil" not in value and 'Subject="CN=a.example.com"' in value


def test_the_log_tells_what_was_agreed(served):
    with connect(served.port2, client="client", maximum_version=ssl.TLSVersion.TLSv1_2) as c:
        assert ask(c, "/logged")[0] == 200
    line = line_of(served, "/logged")
    assert (line["tls_version"], line["sni"], line["client_cert"]) == ("TLSv1.2", "a.example.com", "CN=client,O=tests"), line
    assert "ECDHE" in line["tls_cipher"]


def count(g, family, **labels):
    return sum(float(line.rpartition(" ")[2]) for line in g.admin("/metrics")[1].decode().splitlines()
               if line.startswith(family + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()))


def test_handshakes_and_what_became_of_them_are_counted(served):
    def counts():
        return count(served, "gatehouse_tls_handshakes_total"), count(served, "gatehouse_tls_failures_total", side="client", reason="peer_alert")
    shaken, failed = counts()
    with connect(served.port) as c:
        assert ask(c)[0] == 200
    strangers = ssl.create_default_context(cafile=str(CERTS / "other-ca.pem"))
    for _ in range(3):
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(served.port, tls=strangers)

    def counted():
        now = counts()
        return now[0] >= shaken + 1 and now[1] >= failed + 3
    gh.eventually(counted, counts)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_goes_behind_its_hello_has_closed(served, version):
    def counts():
        return {r: count(served, "gatehouse_tls_failures_total", side="client", reason=r) for r in ("peer_closed", "memory")}
    before, data = counts(), hello(maximum_version=version)
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", served.port), gh.DEADLINE) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            s.sendall(data)
    gh.eventually(lambda: counts() == {"peer_closed": before["peer_closed"] + 20, "memory": before["memory"]}, counts)


def test_the_ends_of_certificates_are_there_for_alarms(served):
    lines = [x for x in served.admin("/metrics")[1].decode().splitlines() if x.startswith("gatehouse_certificate_not_after")]
    end = subprocess.run(["openssl", "x509", "-noout", "-enddate", "-in", CERTS / "ecdsa.pem"], capture_output=True, text=True)
    end = ssl.cert_time_to_seconds(end.stdout.strip().partition("=")[2])
    assert end in [float(x.rpartition(" ")[2]) for x in lines], lines


# ---- much, and slowly ----

def rss(pid):
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def largest(g):
    return max(rss(pid) for pid in g.worker_pids())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_large_answer_waits_for_a_slow_reader(served, version):
    n, before = 64 << 20, largest(served)
    with connect(served.port, maximum_version=version, minimum_version=version) as c:
        c.send(f"GET /bytes/{n} HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
        c.until(b"\r\n\r\n")
        assert largest(served) - before < 16 << 20
        got = len(c.buffer)
        while data := c.sock.recv(1 << 20):  # raises where the end was not announced
            got += len(data)
        assert got == n


@pytest.mark.parametrize("options", [["--http1.1"], ["--http2"], ["--tls-max", "1.2"]])
def test_curl_sends_and_gets_much(served, options):
    data = os.urandom(8 << 20)
    command = ["curl", "-sS", *options, "--cacert", CERTS / "ca.pem", "--resolve", f"a.example.com:{served.port}:127.0.0.1",
               "-o", "/dev/null", "-w", "%{http_code} %{size_upload} %{size_download}"]
    url = f"https://a.example.com:{served.port}"
    up = subprocess.run([*command, "--data-binary", "@-", "-H", "Expect:", url + "/"], input=data, capture_output=True, timeout=60)
    assert up.stdout.split()[:2] == [b"200", b"%d" % len(data)], up
    down = subprocess.run([*command, "--limit-rate", "20M", url + "/bytes/8000000"], capture_output=True, timeout=60)
    assert down.stdout.split() == [b"200", b"0", b"8000000"], down


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_has_said_all_it_has_still_gets_its_answer(served, version):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(minimum_version=version, maximum_version=version).wrap_bio(into, out, server_hostname="a.example.com")
    with socket.create_connection(("127.0.0.1", served.port), gh.DEADLINE) as s:
        def do(what):
            while True:
                try:
                    return what()
                except ssl.SSLWantReadError:
                    s.sendall(out.read())
                    if not (data := s.recv(65536)):
                        into.write_eof()
                    into.write(data)
        do(tls.do_handshake)
        tls.write(b"GET /half HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.unwrap()  # close_notify behind the request, and in the same segment
        s.sendall(out.read())
        s.shutdown(socket.SHUT_WR)
        got = b""
        while data := s.recv(65536):
            got += data
    assert len(got) > 200  # records that this TLS object, closed, no longer reads: the answer and a close_notify
    assert line_of(served, "/half")["status"] == 200


# ---- hands that are not shaken ----

def hello(**kw):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context(**kw).wrap_bio(into, out, server_hostname="a.example.com").do_handshake()
    return out.read()


def test_who_stalls_in_a_hello_is_put_out_and_disturbs_nobody(served):
    data, ended = hello(), threading.Event()
    held = [socket.create_connection(("127.0.0.1", served.port), gh.DEADLINE) for _ in range(60)]
    for i, s in enumerate(held):
        s.sendall(data[:i * 3])  # also nothing at all

    def drip(s):
        with contextlib.suppress(OSError):
            for i in range(len(data)):
                s.sendall(data[i:i + 1])
                if ended.wait(0.5):
                    return
    threading.Thread(target=drip, args=(held[0],), daemon=True).start()
    with connect(served.port) as c:
        assert ask(c)[0] == 200
    try:
        for s in held:
            with contextlib.suppress(ConnectionResetError):
                assert s.recv(1) == b""
    finally:
        ended.set()


def test_broken_handshakes_leave_nothing_behind(served):
    data = hello()
    bad = data[:40] + bytes([data[40] ^ 255]) + data[41:]

    def break_off(i):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", served.port), gh.DEADLINE) as s:
            s.sendall(data if i % 3 else bad)
            if i % 2:
                s.recv(100)
                s.sendall(b"\x16\x03\x03\x00\x10" + bytes(16))
                s.recv(10)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(break_off, range(1200)))
        before = largest(served)
        list(pool.map(break_off, range(2400)))
    # Those that were sent an alert are listened to for a moment.
    gh.eventually(lambda: largest(served) < before + (2 << 20), lambda: (before, largest(served)))
    with connect(served.port) as c:
        assert ask(c)[0] == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_sessions_outlive_the_workers_that_gave_them(served, version):
    tls = context(minimum_version=version, maximum_version=version)

    def shake(session=None):
        with connect(served.port, tls=tls, session=session) as c:
            assert ask(c)[0] == 200
            return c.sock.session_reused, c.sock.session
    sessions = [shake()[1] for _ in range(10)]
    before = served.worker_pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    served.wait_status(lambda _: len(served.worker_pids()) == len(before) and not set(served.worker_pids()) & set(before))
    resumed = sum(shake(s)[0] for s in sessions for _ in range(4))
    assert resumed == 40


# ---- backends ----

class Secure(gh.Upstream):
    """An Upstream in TLS. .alpn: what was agreed; .plain: connections whose first byte was not one of TLS."""

    def __init__(self, cert="ecdsa"):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(CERTS / (cert + ".pem"), CERTS / (cert + ".key.pem"))
        self.tls.set_alpn_protocols(["http/1.1"])
        self.sni, self.alpn, self.plain = [], [], 0
        self.tls.sni_callback = lambda _s, name, _c: self.sni.append(name)
        super().__init__()

    def shown(self, s):
        """For those who look at what the client showed."""

    def _http(self, c, number):
        self.plain += c.sock.recv(1, socket.MSG_PEEK) not in (b"\x16", b"")
        with self.tls.wrap_socket(c.sock, server_side=True) as s:
            self.alpn.append(s.selected_alpn_protocol())
            self.shown(s)
            c.sock = s
            super()._http(c, number)


@pytest.mark.parametrize("cert", ["ecdsa", "rsa"])
def test_a_backend_that_is_who_it_should_be_is_asked_in_tls(cert):
    with Secure(cert) as u, gh.Gateway(files(u, **{"policy.yaml": policy()})) as g:
        with connect(g.port) as c:
            for i in range(5):
                assert ask(c, f"/{i}")[0] == 200
            status, _, body = ask(c, "/bytes/4000000")
            assert (status, len(body)) == (200, 4000000)
        assert set(u.sni) == {"a.example.com"} and set(u.alpn) == {"http/1.1"} and not u.plain


@pytest.mark.parametrize("cert, authority, hostname", [
    ("ecdsa", "other-ca", "a.example.com"), ("ecdsa", "system", "a.example.com"),
    ("expired", "ca", "a.example.com"), ("ecdsa", "ca", "b.example.com")])
def test_a_backend_that_is_not_gets_nothing_and_the_log_says_why(cert, authority, hostname):
    with Secure(cert) as u, gh.Gateway(files(u, **{"policy.yaml": policy(authority, hostname)})) as g:
        with connect(g.port) as c:
            assert ask(c, "/secret")[0] == 503
            line = line_of(g, "/secret")
            word = "not valid any more" if cert == "expired" else "name" if hostname == "b.example.com" else "authority"
            assert line["reason"] == "upstream_tls" and word in line["detail"], line
            assert u.count() == 0 and not u.plain and u.sni
            g.write("policy.yaml", policy())
            g.reload()
            assert (ask(c)[0] == 200) == (cert == "ecdsa")


def test_a_backend_that_speaks_no_tls_gets_no_request():
    def serve(c, number):  # an HTTP server: what it hears is no request
        c._more()
        c.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        while c._more():
            pass
    with gh.RawServer(serve) as u:
        u.name = "up"
        with gh.Gateway(files(u, **{"policy.yaml": policy()})) as g:
            with connect(g.port) as c:
                assert ask(c, "/secret")[0] == 503
            line = line_of(g, "/secret")
            assert (line["reason"], "not valid TLS" in line["detail"]) == ("upstream_tls", True), line
            assert u.seen and not any(b"secret" in x for x in u.seen)


def test_http_2_is_agreed_with_a_backend_by_alpn():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTS / "ecdsa.pem", CERTS / "ecdsa.key.pem")
    tls.set_alpn_protocols(["h2"])
    seen = []

    def serve(c, number):
        with tls.wrap_socket(c.sock, server_side=True) as s, h2lib.Peer(s, client=False) as p:
            for i in h2lib.requests(p):
                seen.append(dict(p.streams[i].headers))
                h2lib.answer(p, i, b"hello " + p.streams[i].body)
    with gh.RawServer(serve) as u:
        service = gh.service_yaml("up", u.port).replace("port: 80}", "port: 80, appProtocol: kubernetes.io/h2c}")
        with gh.Gateway(files(u, **{"service.yaml": service, "policy.yaml": policy()}), workers=1) as g:
            with connect(g.port) as c:  # HTTP/1.1 in front
                for _ in range(3):
                    assert ask(c)[::2] == (200, b"hello ")
            with h2lib.Client(g.port, tls=context(alpn=["h2"], check_hostname=False)) as c:  # and all the way
                ids = [c.open("/", "POST", end=False) for _ in range(20)]
                for i in ids:
                    c.send(i, b"x" * 30000, end=True)
                assert all(c.response(i).body == b"hello " + b"x" * 30000 for i in ids)
            assert len(u.connections) == 1 and seen[0][":scheme"] == "https"
