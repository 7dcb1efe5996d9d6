"""TLS with clients that offer or ask for what few do: scanners, stapled responses of OCSP, names of other listeners."""
import base64
import contextlib
import datetime
import json
import re
import shutil
import socket
import ssl
import struct
import subprocess

import pytest

import gh
from pki import CERTS, pem, secret
from test_j200_tls import EDGE, VERSIONS, Secure, ask, connect, context, count, files, line_of, policy


@pytest.fixture(scope="module")
def served():
    with gh.Upstream() as u, gh.Gateway(files(u)) as g:
        yield g


# ---- ClientHellos of scanners ----

def built_for_speed():
    version = subprocess.run([gh.BUILD / "gatehouse", "--version"], capture_output=True, text=True)
    return "built for speed" in version.stdout


many_suites = pytest.mark.skipif(not built_for_speed(), reason="the packaged library takes 150")


def hello_with_suites(version, n):
    """The record of a ClientHello whose own cipher suites come last of n."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context(minimum_version=version, maximum_version=version).wrap_bio(into, out, server_hostname="a.example.com").do_handshake()
    record = out.read()
    body = record[9:]
    at = 2 + 32
    at += 1 + body[at]
    size = struct.unpack_from(">H", body, at)[0]
    own = body[at + 2:at + 2 + size]
    strange = b"".join(struct.pack(">H", 0xD000 + i) for i in range(n - size // 2))
    body = body[:at] + struct.pack(">H", 2 * n) + strange + own + body[at + 2 + size:]
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return record[:3] + struct.pack(">H", len(handshake)) + handshake


@many_suites
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("n", [150, 151, 344, 512])
def test_a_client_may_offer_hundreds_of_cipher_suites(served, version, n):
    with socket.create_connection(("127.0.0.1", served.port), gh.DEADLINE) as s:
        s.sendall(hello_with_suites(version, n))
        reply = s.recv(6, socket.MSG_WAITALL)
    assert (reply[0], reply[5]) == (22, 2), reply  # handshake, ServerHello; and no alert


@many_suites
@pytest.mark.skipif(not shutil.which("sslscan"), reason="sslscan is not installed")
def test_sslscan_sees_what_is_served_and_nothing_older(served):
    out = subprocess.run(["sslscan", "--no-colour", "--sni-name=a.example.com", f"127.0.0.1:{served.port}"],
                         capture_output=True, text=True, timeout=120).stdout
    word = dict(line.split()[:2] for line in out.splitlines() if line.startswith(("TLSv1.", "SSLv")) and len(line.split()) == 2)
    assert word == {"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled", "TLSv1.1": "disabled",
                    "TLSv1.2": "enabled", "TLSv1.3": "enabled"}, out
    suites = [line.split()[4] for line in out.splitlines() if line.startswith(("Preferred", "Accepted"))]
    assert suites and all(s.startswith(("TLS_AES", "TLS_CHACHA20", "ECDHE-")) and ("GCM" in s or "CHACHA20" in s) for s in suites), out


# ---- two Gateways on one port ----

MERGED = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: first, namespace: default, creationTimestamp: "2025-01-01T00:00:00Z"}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: a, port: {port}, protocol: HTTPS, hostname: a.example.com, tls: {certificateRefs: [{name: wild}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: second, namespace: default, creationTimestamp: "2025-01-02T00:00:00Z"}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: b, port: {port}, protocol: HTTPS, hostname: b.example.com, tls: {certificateRefs: [{name: wild}]}}
  - {name: other, port: {port2}, protocol: HTTPS, hostname: b.example.com, tls: {certificateRefs: [{name: wild}]}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: up}
spec:
  parentRefs: [{name: first}, {name: second}]
  rules: [{backendRefs: [{name: up, port: 80}]}]
"""


def overlaps(g):
    """{listener: (reason, message)} of the condition OverlappingTLSConfig."""
    return {listener["name"]: (c["reason"], c["message"]) for o in g.status()["objects"] if o["kind"] == "Gateway"
            for listener in o["status"]["listeners"] for c in listener["conditions"] if c["type"] == "OverlappingTLSConfig"}


def test_a_connection_that_is_reused_for_a_listener_of_another_gateway_is_sent_back():
    with gh.Upstream() as u:
        more = {"gateway.yaml": MERGED, "route.yaml": ROUTE, "wild.yaml": json.dumps(secret("wild"))}
        with gh.Gateway(files(u, **more)) as g:
            found = overlaps(g)
            assert {k: v[0] for k, v in found.items()} == {"a": "OverlappingCertificates", "b": "OverlappingCertificates"}
            assert "Gateway default/second" in found["a"][1]
            # curl believes the certificate of a.example.com for b.example.com, too, as browsers do for HTTP/2
            for version in ("--http1.1", "--http2"):
                def curl(sni, host):
                    out = subprocess.run(
                        ["curl", "-sS", version, "--cacert", CERTS / "ca.pem", "--resolve", f"{sni}:{g.port}:127.0.0.1", "-o", "/dev/null",
                         "-w", "%{http_code}", "-H", f"Host: {host}", f"https://{sni}:{g.port}/"], capture_output=True, text=True, timeout=60)
                    return out.stdout
                assert [curl("a.example.com", "a.example.com"), curl("b.example.com", "b.example.com")] == ["200", "200"]
                assert [curl("a.example.com", "b.example.com"), curl("b.example.com", "a.example.com")] == ["421", "421"]
                assert curl("a.example.com", "c.example.com") == "404"
            g.write("gateway.yaml", MERGED.replace("hostname: b.example.com", "hostname: '*.example.com'"))
            g.reload()
            assert {k: v[0] for k, v in overlaps(g).items()} == {"a": "OverlappingHostnames", "b": "OverlappingHostnames"}
            assert [curl("a.example.com", "b.example.com"), curl("b.example.com", "c.example.com")] == ["421", "200"]


# ---- the certificate that this side shows to backends ----

class Asks(Secure):
    """A backend that asks for a certificate and takes it that none comes. .peers: the names it was shown."""

    def __init__(self):
        super().__init__()
        self.peers = []
        self.tls.verify_mode = ssl.CERT_OPTIONAL
        self.tls.load_verify_locations(CERTS / "ca.pem")

    def shown(self, s):
        self.peers.append(s.getpeercert())


def gateway_condition(g, kind):
    [o] = [o for o in g.status()["objects"] if o["kind"] == "Gateway"]
    return next((c["status"], c["reason"]) for c in o["status"]["conditions"] if c["type"] == kind)


@pytest.mark.parametrize("bad", [None, "mismatched", "no grant"])
def test_without_the_certificate_that_is_to_be_shown_no_backend_is_spoken_to(bad):
    ref = "{name: shown, namespace: elsewhere}" if bad == "no grant" else "{name: shown}"
    edge = EDGE.replace("  tls:\n    frontend:", f"  tls:\n    backend: {{clientCertificateRef: {ref}}}\n    frontend:")
    good = secret("client")
    good["metadata"]["name"] = "shown"
    if bad == "no grant":
        good["metadata"]["namespace"] = "elsewhere"
    broken = json.loads(json.dumps(good))
    broken["data"]["tls.key"] = secret("ecdsa")["data"]["tls.key"]
    with Asks() as u:
        more = {"gateway.yaml": edge, "policy.yaml": policy()}
        if bad:
            more["shown.yaml"] = json.dumps(broken if bad == "mismatched" else good)
        with gh.Gateway(files(u, **more)) as g:
            with connect(g.port) as c:
                assert ask(c, "/unknown")[0] == 503
            line = line_of(g, "/unknown")
            assert line["reason"] == "upstream_tls" and "certificate to be shown" in line["detail"], line
            assert u.count() == 0 and not u.connections  # not even a ClientHello
            assert count(g, "gatehouse_tls_failures_total", side="upstream", reason="own_certificate") >= 1
            assert gateway_condition(g, "ResolvedRefs") == ("False", "RefNotPermitted" if bad == "no grant" else "InvalidClientCertificateRef")
            assert gateway_condition(g, "Accepted")[0] == "True"
            if bad == "no grant":
                g.write("grant.yaml", GRANT)
            else:
                g.write("shown.yaml", json.dumps(good))
            g.reload()
            with connect(g.port) as c:
                assert ask(c, "/known")[0] == 200
            assert dict(u.peers[-1]["subjectAltName"])["DNS"] == "client.example.com"
            assert gateway_condition(g, "ResolvedRefs") == ("True", "ResolvedRefs")
            if bad is None:  # and gone again: connections that showed it are not used on
                g.remove("shown.yaml")
                g.reload()
                with connect(g.port) as c:
                    assert ask(c, "/gone")[0] == 503
                assert u.count() == 1


GRANT = """
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: shown, namespace: elsewhere}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: "", kind: Secret, name: shown}]
"""


# ---- stapled OCSP responses ----

def serial_of(cert):
    out = subprocess.run(["openssl", "x509", "-in", CERTS / (cert + ".pem"), "-noout", "-serial"], capture_output=True, text=True, check=True)
    return out.stdout.strip().partition("=")[2]


def respond(directory, cert="ecdsa", state="V", ask_for=None):
    """What `openssl ocsp` as the responder of the tests' CA says of a certificate: DER."""
    when = {"V": "", "R": "250101000000Z"}[state]
    (directory / "index").write_text(f"{state}\t350101000000Z\t{when}\t{serial_of(cert)}\tunknown\t/CN=x\n")
    subprocess.run(["openssl", "ocsp", "-index", directory / "index", "-CA", CERTS / "ca.pem", "-rsigner", CERTS / "ca.pem", "-rkey",
                    CERTS / "ca.key.pem", "-issuer", CERTS / "ca.pem", "-cert", CERTS / ((ask_for or cert) + ".pem"), "-ndays", "1",
                    "-no_nonce", "-respout", directory / "response"], capture_output=True, check=True)
    return (directory / "response").read_bytes()


def respond_at(since, until, cert="ecdsa"):
    """The same, with any times: seconds from now."""
    crypto = pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509 import ocsp
    assert crypto
    now = datetime.datetime.utcnow().replace(microsecond=0)
    ca_cert = x509.load_pem_x509_certificate(pem("ca"))
    key = serialization.load_pem_private_key(pem("ca.key"), None)
    b = ocsp.OCSPResponseBuilder().add_response(
        x509.load_pem_x509_certificate(pem(cert)), ca_cert, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, now + datetime.timedelta(seconds=since),
        now + datetime.timedelta(seconds=until), None, None).responder_id(ocsp.OCSPResponderEncoding.HASH, ca_cert)
    return b.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def stapling(response, cert="ecdsa"):
    s = secret(cert)
    if response is not None:
        s["data"]["tls.ocsp-staple"] = base64.b64encode(response).decode()
    return json.dumps(s)


def stapled(port, version):
    """The lines that `openssl s_client -status` writes about the response; it verifies it by the CA."""
    out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example.com", "-status", version,
                          "-CAfile", CERTS / "ca.pem", "-verify_return_error"], capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=60)
    assert "Verification: OK" in out.stdout, out.stdout + out.stderr
    if "OCSP response: no response sent" in out.stdout:
        return None
    assert "OCSP Response Status: successful" in out.stdout, out.stdout
    return re.findall(r"(?:Cert Status|Next Update|Serial Number): *(\S.*)", out.stdout)


ONE = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: https, port: {port}, protocol: HTTPS, tls: {certificateRefs: [{name: ecdsa}]}}
"""


def one(response):
    more = {"gateway.yaml": ONE, "objects.yaml": stapling(response)}
    return gh.Gateway({**gh.simple_files(), **more})


needs_patch = pytest.mark.skipif(not built_for_speed(), reason="the packaged library staples nothing")


@needs_patch
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_response_of_the_responder_is_stapled_and_replaced_by_a_reload(tmp_path, version):
    with one(respond(tmp_path)) as g:
        said = stapled(g.port, version)
        assert said[1] == "good" and said[0] == serial_of("ecdsa")
        [cert] = json.loads(g.ctl("certs", "--run-dir", g.run, "-o", "json").stdout)
        assert cert["stapled"] is True and cert["stapledUntil"] > cert["notBefore"]
        g.write("objects.yaml", stapling(None))
        g.reload()
        assert stapled(g.port, version) is None
        g.write("objects.yaml", stapling(respond_at(-60, 7200)))
        g.reload()
        later = stapled(g.port, version)
        assert later[1] == "good" and later[2] != said[2]


def reported(g):
    return [d["message"] for d in g.status()["diagnostics"] if "OCSP" in d["message"]]


@needs_patch
@pytest.mark.parametrize("kind, word", [
    ("expired", "not valid any more"), ("future", "not valid yet"), ("foreign", "another certificate"), ("revoked", "revoked"),
    ("unknown", "does not know"), ("error", "error of the responder"), ("cut", "can't be read"), ("text", "can't be read")])
def test_a_response_that_clients_would_refuse_is_not_stapled_and_reported(tmp_path, kind, word):
    response = {"expired": lambda: respond_at(-7200, -3600), "future": lambda: respond_at(3600, 7200),
                "foreign": lambda: respond(tmp_path, "rsa"), "revoked": lambda: respond(tmp_path, state="R"),
                "unknown": lambda: respond(tmp_path, "rsa", ask_for="ecdsa"), "error": lambda: bytes.fromhex("30030a0106"),
                "cut": lambda: respond(tmp_path)[:-100], "text": lambda: b"no such thing"}[kind]()
    with one(response) as g:
        assert stapled(g.port, "-tls1_2") is None and stapled(g.port, "-tls1_3") is None
        [message] = reported(g)
        assert word in message, message
        g.write("objects.yaml", stapling(respond(tmp_path)))
        g.reload()
        assert stapled(g.port, "-tls1_3")[1] == "good" and reported(g) == []


@needs_patch
def test_a_response_that_runs_out_is_not_shown_on():
    with one(None) as g:
        def caught():
            g.write("objects.yaml", stapling(respond_at(-60, 5)))
            g.reload()
            return (stapled(g.port, "-tls1_3") or [None])[1:2] == ["good"]
        gh.eventually(caught)
        gh.eventually(lambda: stapled(g.port, "-tls1_3") is None and stapled(g.port, "-tls1_2") is None)
