"""What the drills share: figures of processes, certificates of the tests, and configuration in few words."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "flow"))
import gh  # noqa: E402
from pki import CERTS, context, pem, secret_yaml  # noqa: E402

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = {"1.2": TLS_1_2, "1.3": TLS_1_3}


def progress(*words):
    """For whoever waits for a long run."""
    if sys.stderr.isatty() or os.environ.get("SOAK_PROGRESS"):
        print(time.strftime("%H:%M:%S"), *words, file=sys.stderr, flush=True)


# ---- processes ----
def pss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def pss_mib(pids):
    return sum(map(pss_kib, pids)) / 1024


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid):
    """User and system time that it has taken so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Figures:
    """Memory and descriptors of the master and of all that it started, then and now."""

    def __init__(self, g):
        self.who = {"master": g.process.pid}
        for w in g.status()["workers"]:
            self.who[f"{w['role']} {w['pid']}"] = w["pid"]
        self.before = self.now()

    def now(self):
        return {name: (pss_kib(pid), fds(pid)) for name, pid in self.who.items() if os.path.exists(f"/proc/{pid}/smaps_rollup")}

    def settled(self, deadline=10):
        """As of when no descriptor goes any more: what the clients closed is noticed a moment later."""
        end, last = time.monotonic() + deadline, None
        while (now := {k: v[1] for k, v in self.now().items()}) != last and time.monotonic() < end:
            last = now
            time.sleep(0.2)
        return self

    def report(self):
        now = self.now()
        grown = {name: dict(pss_kib=now[name][0] - self.before[name][0], fds=now[name][1] - self.before[name][1])
                 for name in self.before if name in now}
        return dict(pss_before_mib=round(sum(v[0] for v in self.before.values()) / 1024, 2),
                    pss_after_mib=round(sum(v[0] for v in now.values()) / 1024, 2),
                    largest_growth_kib=max(v["pss_kib"] for v in grown.values()), most_fds_more=max(v["fds"] for v in grown.values()),
                    gone=sorted(set(self.before) - set(now)), each=grown)


# ---- certificates ----
def der(name):
    return ssl.PEM_cert_to_DER_cert(re.search(r"-----BEGIN.*?-----END CERTIFICATE-----", pem(name).decode(), re.S)[0])


def replace_file(source, target):
    """Writes it beside, then renames: nobody ever reads half of it."""
    temporary = target.with_name("." + target.name + ".new")
    shutil.copy(source, temporary)
    os.rename(temporary, target)


def client_context(version=None, **kw):
    c = context(check_hostname=False, **kw)  # the names of the certificates that take turns differ; the authority is verified
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def connect_tls(port, context, session=None, name="a.example.com", timeout=None):
    s = socket.create_connection(("127.0.0.1", port), timeout or gh.DEADLINE)
    try:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(s, server_hostname=name, session=session)
    except BaseException:
        s.close()
        raise


HTTPS = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: https, port: {port}, protocol: HTTPS, tls: {certificateRefs: [{name: ecdsa}]}}
  - {name: http, port: {port2}, protocol: HTTP}
"""


def https_files(*upstreams, cert="ecdsa"):
    """A listener in TLS ({port}) and one in plain text ({port2}), one route to these."""
    return {"gateway.yaml": HTTPS, "ecdsa.yaml": secret_yaml("ecdsa", cert),
            "route.yaml": gh.route_yaml("all", "- backendRefs: [{name: up, port: 80}]"),
            "service.yaml": gh.service_yaml("up", *[u.port for u in upstreams])}


def ask(sock, path="/", host="a.example.com", close=True):
    """One request; everything that comes, up to the end of the connection (or of the answer, which has a length)."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n".encode())
    got = b""
    while data := sock.recv(65536):
        got += data
        if not close and (m := re.search(rb"content-length: *(\d+)", got, re.I)) and b"\r\n\r\n" in got:
            if len(got) >= got.index(b"\r\n\r\n") + 4 + int(m[1]):
                break
    return got


def counter(metrics, family, **labels):
    """The sum of the series of a family that have these labels."""
    return sum(v for k, v in metrics.items() if (k == family or k.startswith(family + "{")) and all(f'{n}="{x}"' in k for n, x in labels.items()))


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p))] if values else None


@contextlib.contextmanager
def closing(*things):
    try:
        yield
    finally:
        for x in things:
            x.close()
