"""Bytes and datagrams: TCPRoute, TLSRoute, UDPRoute and Istio's tcp routes, with several workers and real clients."""
import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import gh

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: l4}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: tcp, port: {port}, protocol: TCP}
  - {name: udp, port: {port2}, protocol: UDP}
"""


def route(kind, name, section, backends):
    refs = ", ".join("{name: %s, port: 80, weight: %d}" % b for b in backends)
    return (f"apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n"
            f"  parentRefs: [{{name: l4, sectionName: {section}}}]\n  rules: [{{backendRefs: [{refs}]}}]\n")


def service(name, *ports, protocol="TCP"):
    return gh.service_yaml(name, *ports).replace("name: http", f"protocol: {protocol}, name: x")


def gateway(tcp=(), udp=(), services=(), **kw):
    files = {"gateway.yaml": GATEWAY}
    if tcp:
        files["tcp.yaml"] = route("TCPRoute", "tcp", "tcp", tcp)
    if udp:
        files["udp.yaml"] = route("UDPRoute", "udp", "udp", udp)
    files["services.yaml"] = "---\n".join(services) or "---\n"
    return gh.Gateway(files, **kw)


def echo(c, _):
    while data := c.sock.recv(65536):
        c.sock.sendall(data)


def says(word):
    def serve(c, _):
        c.sock.sendall(word)
    return serve


class Datagrams:
    """A UDP server that answers with what it says for a source."""

    def __init__(self, answer=lambda data, source: data):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.answer = answer
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self):
        while True:
            data, source = self.sock.recvfrom(65536)
            if data == b"the end":
                return
            self.sock.sendto(self.answer(data, source), source)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"the end", ("127.0.0.1", self.port))
        self.thread.join(gh.DEADLINE)
        self.sock.close()


def udp_client(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect(("127.0.0.1", port))
    return s


def ask(s, data, deadline=gh.DEADLINE):
    """Asks until there is an answer: while processes come and go a datagram may be lost, as any."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        s.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionRefusedError):
            s.send(data)
            return s.recv(65536)
    raise AssertionError("no answer")


def how_it_ends(sock):
    sock.settimeout(gh.DEADLINE)
    try:
        while sock.recv(65536):
            pass
        return "end"
    except ConnectionResetError:
        return "reset"


# ---- TCP ----

def test_bytes_both_ways_and_a_line_in_the_log():
    with gh.RawServer(echo) as up, gateway([("up", 1)], services=[service("up", up.port)]) as g:
        with g.connect() as c:
            data = os.urandom(1 << 20)
            threading.Thread(target=c.send, args=(data,)).start()
            assert c.exactly(len(data)) == data
        g.stop()
        line = [json.loads(x) for x in g.access_log.read_text().splitlines()][0]
        assert (line["protocol"], line["bytes_in"], line["bytes_out"], line["reason"]) == ("TCP", 1 << 20, 1 << 20, None)
        assert line["endpoint"] == f"127.0.0.1:{up.port}" and line["route"] and line["listener"]


def test_weights_over_all_workers():
    with gh.RawServer(says(b"a")) as a, gh.RawServer(says(b"b")) as b, \
            gateway([("a", 80), ("b", 20)], services=[service("a", a.port), service("b", b.port)]) as g:
        got = b""
        for _ in range(500):
            with g.connect() as c:
                got += c.rest()
        assert len(got) == 500
        assert 375 <= got.count(b"a") <= 425
        shown = g.metrics()
        streams = sum(v for k, v in shown.items() if k.startswith("gatehouse_listener_streams_total"))
        assert streams == 500


def test_the_share_of_a_missing_backend_is_reset_and_the_rest_is_served():
    with gh.RawServer(says(b"a")) as a, gateway([("a", 1), ("missing", 1)], services=[service("a", a.port)]) as g:
        served = 0
        for _ in range(100):
            with contextlib.suppress(ConnectionResetError), g.connect() as c:
                served += c.sock.recv(1) == b"a"
        assert 45 <= served <= 55


@pytest.mark.parametrize("routes, services", [((), ()), ([("up", 1)], [service("up")])], ids=["no route", "no endpoint"])
def test_who_can_t_be_served_is_closed_without_a_byte(routes, services):
    with gateway(routes, services=services) as g:
        for _ in range(5):
            with contextlib.suppress(ConnectionResetError), g.connect() as c:
                assert how_it_ends(c.sock) in ("reset", "end")


def test_open_streams_live_over_reloads_and_over_the_death_of_another_worker():
    with gh.RawServer(echo) as up, gateway([("up", 1)], services=[service("up", up.port)]) as g:
        streams = [g.connect() for _ in range(20)]

        def all_speak(word):
            for c in streams:
                c.send(word)
            for c in streams:
                assert c.exactly(len(word)) == word
        all_speak(b"hello")
        for i in range(10):
            g.write("tcp.yaml", route("TCPRoute", "tcp", "tcp", [("up", i + 2)]))
            g.reload()
            assert g.status()["generation"] == i + 2
            all_speak(b"%d" % i)
        assert len(up.connections) == 20
        victim = g.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)
        alive = []
        for c in streams:
            with contextlib.suppress(OSError, EOFError):
                c.send(b"there")
                if c.exactly(5) == b"there":
                    alive.append(c)
        assert 0 < len(alive) < 20
        with g.connect() as c:
            c.send(b"new")
            assert c.exactly(3) == b"new"
        for c in streams:
            c.close()


def test_a_stop_lets_streams_go_on_until_its_deadline():
    with gh.RawServer(echo) as up, \
            gateway([("up", 1)], services=[service("up", up.port)], settings="timeouts: {drain: 2s}") as g:
        with g.connect() as c:
            c.send(b"x")
            assert c.exactly(1) == b"x"
            g.process.send_signal(signal.SIGTERM)
            g.wait_notify("STOPPING=1")
            c.send(b"y")
            assert c.exactly(1) == b"y"
            assert how_it_ends(c.sock) == "reset"
        g.process.wait(gh.DEADLINE)
        assert g.process.returncode == 0


def test_an_upgrade_keeps_streams_and_datagrams():
    with gh.RawServer(echo) as up, Datagrams() as names, \
            gateway([("up", 1)], [("names", 1)], [service("up", up.port), service("names", names.port, protocol="UDP")]) as g:
        with g.connect() as c, udp_client(g.port2) as u:
            c.send(b"x")
            assert c.exactly(1) == b"x"
            assert ask(u, b"one") == b"one"
            before = set(g.worker_pids())
            g.process.send_signal(signal.SIGUSR2)
            g.wait_status(lambda s: sum(w["role"] == "worker" and w["state"] == "active" and w["pid"] not in before
                                        for w in s["workers"]) == 2)
            c.send(b"y")
            assert c.exactly(1) == b"y"
            for i in range(20):
                with udp_client(g.port2) as new:
                    assert ask(new, b"%d" % i) == b"%d" % i
            assert ask(u, b"two") in (b"one", b"two")


# ---- TLS by name ----

def certificate(tmp_path, name):
    key, crt = tmp_path / f"{name}.key", tmp_path / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    key, "-out", crt, "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
                   check=True, capture_output=True)
    return key, crt


TLS_GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: l4}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: pass, port: {port}, protocol: TLS, hostname: pass.example.com, tls: {mode: Passthrough}}
"""
TLS_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: pass}
spec:
  parentRefs: [{name: l4, sectionName: pass}]
  hostnames: [pass.example.com]
  rules: [{backendRefs: [{name: up, port: 80}]}]
"""


def test_tls_is_passed_through_by_its_server_name(tmp_path):
    key, crt = certificate(tmp_path, "pass.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)

    def serve(c, _):
        with context.wrap_socket(c.sock, server_side=True) as s:
            s.sendall(b"220 mine\r\n")
            s.sendall(s.recv(100))
    with gh.RawServer(serve) as up, \
            gh.Gateway({"a.yaml": TLS_GATEWAY, "b.yaml": TLS_ROUTE, "c.yaml": service("up", up.port)}) as g:
        client = ssl.create_default_context(cafile=crt)
        with socket.create_connection(("127.0.0.1", g.port)) as raw, \
                client.wrap_socket(raw, server_hostname="pass.example.com") as c:
            assert c.recv(100) == b"220 mine\r\n"
            c.sendall(b"hello")
            assert c.recv(100) == b"hello"
        for name in ("other.example.com", "pass.example.com.evil.example"):
            with socket.create_connection(("127.0.0.1", g.port)) as raw:
                raw.sendall(client_hello(name))
                assert raw.recv(100) in (b"",)  # no alert
        g.remove("b.yaml")
        g.reload()
        with socket.create_connection(("127.0.0.1", g.port)) as raw:
            raw.sendall(client_hello("pass.example.com"))
            with contextlib.suppress(ConnectionResetError):
                assert raw.recv(100) == b""
        g.stop()
        line = [json.loads(x) for x in g.access_log.read_text().splitlines()][0]
        assert (line["protocol"], line["sni"]) == ("TLS", "pass.example.com")


def client_hello(name):
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(into, out, server_hostname=name).do_handshake()
    return out.read()


def test_terminated_tls_goes_on_as_bytes_beside_what_is_passed_through(tmp_path):
    key, crt = certificate(tmp_path, "end.example.com")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "end"}, "type": "kubernetes.io/tls",
              "stringData": {"tls.crt": crt.read_text(), "tls.key": key.read_text()}}
    ending = TLS_GATEWAY + ("  - {name: end, port: {port}, protocol: TLS, hostname: end.example.com, "
                            "tls: {mode: Terminate, certificateRefs: [{name: end}]}}\n")
    routes = TLS_ROUTE + "---" + TLS_ROUTE.replace("pass", "end")

    def serve(c, _):
        c.sock.sendall(b"220 plain\r\n")  # before the client says anything
        echo(c, _)
    with gh.RawServer(serve) as up, \
            gh.Gateway({"a.yaml": ending, "b.yaml": routes, "c.yaml": service("up", up.port), "d.yaml": json.dumps(secret)}) as g:
        client = ssl.create_default_context(cafile=crt)
        with socket.create_connection(("127.0.0.1", g.port)) as raw, \
                client.wrap_socket(raw, server_hostname="end.example.com") as c:
            c.settimeout(gh.DEADLINE)
            assert c.recv(100) == b"220 plain\r\n"
            data, got = os.urandom(1 << 20), b""
            threading.Thread(target=c.sendall, args=(data,)).start()
            while len(got) < len(data):
                got += c.recv(65536)
            assert got == data
        g.stop()
        line = [json.loads(x) for x in g.access_log.read_text().splitlines()][0]
        assert (line["protocol"], line["sni"], line["bytes_in"]) == ("TLS", "end.example.com", 1 << 20)


# ---- UDP ----

def test_datagrams_there_and_back_by_all_workers():
    with Datagrams(lambda d, source: b"%d" % source[1]) as up, \
            gateway(udp=[("up", 1)], services=[service("up", up.port, protocol="UDP")]) as g:
        clients = [udp_client(g.port2) for _ in range(60)]
        first = [ask(c, b"who") for c in clients]
        assert len(set(first)) == 60
        assert [ask(c, b"who") for c in clients] == first
        shown = g.metrics()
        by_worker = [v for k, v in shown.items() if k.startswith("gatehouse_flows_total") and v]
        assert len(by_worker) == 2 and sum(by_worker) == 60
        for c in clients:
            c.close()


def test_weights_of_flows():
    with Datagrams(lambda *_: b"a") as a, Datagrams(lambda *_: b"b") as b, \
            gateway(udp=[("a", 80), ("b", 20)], services=[service("a", a.port, protocol="UDP"),
                                                          service("b", b.port, protocol="UDP")]) as g:
        got = b""
        for _ in range(500):
            with udp_client(g.port2) as c:
                got += ask(c, b"x")
        assert 375 <= got.count(b"a") <= 425


def test_flows_keep_their_backend_over_reloads_while_it_is_there():
    with Datagrams(lambda d, source: b"a%d" % source[1]) as a, Datagrams(lambda *_: b"b") as b, \
            gateway(udp=[("a", 1)], services=[service("a", a.port, protocol="UDP"),
                                              service("b", b.port, protocol="UDP")]) as g:
        with udp_client(g.port2) as c:
            first = ask(c, b"x")
            g.write("udp.yaml", route("UDPRoute", "udp", "udp", [("a", 1), ("b", 1000)]))
            g.reload()
            for _ in range(5):
                assert ask(c, b"x") == first
            g.write("udp.yaml", route("UDPRoute", "udp", "udp", [("b", 1)]))
            g.reload()
            assert ask(c, b"x") == b"b"
            g.remove("udp.yaml")
            g.reload()
            c.settimeout(0.3)
            c.send(b"x")
            with pytest.raises(TimeoutError):
                c.recv(10)


def test_clients_of_a_killed_worker_are_served_by_another():
    with Datagrams() as up, gateway(udp=[("up", 1)], services=[service("up", up.port, protocol="UDP")]) as g:
        clients = [udp_client(g.port2) for _ in range(30)]
        for c in clients:
            assert ask(c, b"before") == b"before"
        for victim in g.worker_pids():
            os.kill(victim, signal.SIGKILL)
            for c in clients:
                assert ask(c, b"x") in (b"x", b"before")
            g.wait_status(lambda s, v=victim: v not in [w["pid"] for w in s["workers"]]
                          and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2
                          and any(w["state"] == "spare" for w in s["workers"]))
        for c in clients:
            c.close()


def test_a_stopped_worker_s_clients_are_served_by_another():
    with Datagrams() as up, gateway(udp=[("up", 1)], services=[service("up", up.port, protocol="UDP")]) as g:
        clients = [udp_client(g.port2) for _ in range(20)]
        for c in clients:
            assert ask(c, b"x") == b"x"
        victim = g.worker_pids()[0]
        os.kill(victim, signal.SIGSTOP)
        try:
            for c in clients:
                assert ask(c, b"x") == b"x"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGCONT)
        for c in clients:
            c.close()


def test_datagrams_without_a_master_and_with_a_new_one():
    with Datagrams() as up, gateway(udp=[("up", 1)], services=[service("up", up.port, protocol="UDP")]) as g:
        with udp_client(g.port2) as c:
            assert ask(c, b"x") == b"x"
            old = g.worker_pids()
            g.process.kill()
            g.process.wait()
            assert ask(c, b"y") in (b"x", b"y")
            g.notify.close()
            g.start()
            g.wait_status(lambda s: not set(old) & {w["pid"] for w in s["workers"]})
            for i in range(20):
                with udp_client(g.port2) as new:
                    assert ask(new, b"%d" % i) == b"%d" % i


# ---- Istio ----

ISTIO = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: {port}, name: tcp, protocol: TCP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db}
spec:
  hosts: ["*"]
  gateways: [edge]
  tcp:
  - match: [{port: {port}}]
    route:
    - destination: {host: a.default.svc.cluster.local, port: {number: 80}}
      weight: 80
    - destination: {host: b.default.svc.cluster.local, port: {number: 80}}
      weight: 20
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a.default.svc.cluster.local
  trafficPolicy:
    connectionPool: {tcp: {idleTimeout: 1s}}
"""


def test_a_tcp_route_of_a_virtual_service_with_the_idle_time_of_its_destination():
    with gh.RawServer(says(b"a")) as a, gh.RawServer(says(b"b")) as b, \
            gh.Gateway({"istio.yaml": ISTIO, "services.yaml": service("a", a.port) + "---\n" + service("b", b.port)}) as g:
        got = b""
        for _ in range(100):
            with g.connect() as c:
                got += c.rest()
        assert 75 <= got.count(b"a") <= 85
    with gh.RawServer(echo) as up, \
            gh.Gateway({"istio.yaml": ISTIO, "services.yaml": service("a", up.port) + "---\n" + service("b", up.port)}) as g:
        with g.connect() as c:
            assert how_it_ends(c.sock) == "end"
