"""TLS with clients that offer or ask for what few do: scanners, stapled responses of OCSP, names of other listeners."""
import contextlib
import shutil
import socket
import ssl
import struct
import subprocess

import pytest

import gh
from test_j200_tls import VERSIONS, CERTS, ask, connect, context, files


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
