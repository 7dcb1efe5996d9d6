"""What stays open for hours, through a thousand reloads: gRPC streams, passed-through TLS, WebSockets, UDP flows. None may be
closed, and no message may be lost."""
import asyncio
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from common import CERTS, Figures, client_context, gh, progress

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: gatehouse
  listeners:
  - {name: http, port: {port}, protocol: HTTP}
  - {name: pass, port: {port2}, protocol: TLS, tls: {mode: Passthrough}}
  - {name: udp, port: {port3}, protocol: UDP}
"""
ROUTES = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: default}
spec:
  parentRefs: [{name: edge, sectionName: http}]
  hostnames: [grpc.example.com]
  rules: [{backendRefs: [{name: calls, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: pass, namespace: default}
spec:
  parentRefs: [{name: edge, sectionName: pass}]
  hostnames: [a.example.com]
  rules: [{backendRefs: [{name: pass, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: udp, namespace: default}
spec:
  parentRefs: [{name: edge, sectionName: udp}]
  rules: [{backendRefs: [{name: udp, port: 80}]}]
"""


def service(name, port, **kw):
    text = gh.service_yaml(name, port)
    if name == "calls":
        text = text.replace("port: 80}]", "port: 80, appProtocol: kubernetes.io/h2c}]")
    return text.replace("name: http", "protocol: UDP, name: x") if name == "udp" else text


# ---- the backends: a process of their own, so that they and the clients don't share an interpreter ----
async def serve_backends():
    import grpc
    import grpc.aio

    class Calls(grpc.GenericRpcHandler):
        def service(self, details):
            async def both(requests, context):
                async for r in requests:
                    yield r
            return grpc.stream_stream_rpc_method_handler(both)

    async def bytes_back(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, source):
            self.transport.sendto(data, source)
    calls = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    calls.add_generic_rpc_handlers((Calls(),))
    calls_port = calls.add_insecure_port("127.0.0.1:0")
    await calls.start()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTS / "ecdsa.pem", CERTS / "ecdsa.key.pem")
    passed = await asyncio.start_server(bytes_back, "127.0.0.1", 0, ssl=tls, backlog=500)
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, ("127.0.0.1", 0))
    print(calls_port, passed.sockets[0].getsockname()[1], udp.get_extra_info("sockname")[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the drill goes


class Backends:
    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__, "backends"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.calls, self.passed, self.udp = map(int, self.process.stdout.readline().split())

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- the clients ----
class Held:
    """Every connection exchanges numbered messages, one in `pause` seconds; what is not answered with itself is a fault."""

    def __init__(self, ports, streams, passed, websockets, flows, pause):
        self.ports, self.n, self.pause = ports, dict(grpc=streams, passthrough=passed, websocket=websockets, udp=flows), pause
        self.messages = dict.fromkeys(self.n, 0)
        self.faults, self.datagrams_lost, self.open = [], 0, 0
        self.ready, self.stopping = threading.Event(), False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()

    def close(self):
        self.stopping = True
        self.thread.join(gh.DEADLINE)

    async def _run(self):
        import grpc.aio
        options = [("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0), ("grpc.default_authority", "grpc.example.com"),
                   ("grpc.use_local_subchannel_pool", 1)]
        # Ten streams on each connection, as programs have them.
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{self.ports['http']}", options=options) for _ in range((self.n["grpc"] + 9) // 10)]
        kinds = [(self._grpc, "grpc", channels), (self._passed, "passthrough", None), (self._websocket, "websocket", None), (self._udp, "udp", None)]
        await asyncio.gather(*(self._one(f, kind, i, what) for f, kind, what in kinds for i in range(self.n[kind])))
        for c in channels:
            await c.close()

    async def _one(self, f, kind, i, what):
        try:
            async for exchange in f(i, what):
                if kind not in self.__dict__.setdefault("_begun", {}).get(i, ()):
                    self._begun.setdefault(i, set()).add(kind)
                    self.open += 1
                    if self.open == sum(self.n.values()):
                        self.ready.set()
                self.messages[kind] += exchange
                if self.stopping:
                    return
                await asyncio.sleep(self.pause)
        except Exception as e:  # whatever it is, a connection was lost
            self.faults.append(f"{kind} {i} after {self.messages[kind]} messages of all: {e!r}")
            self.ready.set()

    async def _grpc(self, i, channels):
        import grpc
        call = channels[i // 10].stream_stream("/soak.Echo/Both")()
        n = 0
        while True:
            await call.write(b"%d:%d" % (i, n))
            got = await asyncio.wait_for(call.read(), 30)
            assert got == b"%d:%d" % (i, n), got
            n += 1
            yield 1
            if self.stopping:
                await call.done_writing()
                assert await call.read() is grpc.aio.EOF
                assert (await call.code()).name == "OK"
                return

    async def _passed(self, i, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports["pass"], ssl=client_context(), server_hostname="a.example.com")
        n = 0
        try:
            while True:
                writer.write(b"%d:%d\n" % (i, n))
                got = await asyncio.wait_for(reader.readline(), 30)
                assert got == b"%d:%d\n" % (i, n), got
                n += 1
                yield 1
        finally:
            writer.close()

    async def _websocket(self, i, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports["http"])
        writer.write(b"GET /ws/websocket HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        n = 0
        try:
            while True:
                text = b"%d:%d" % (i, n)
                writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
                got = await asyncio.wait_for(reader.readexactly(2 + len(text)), 30)
                assert got[2:] == text, got
                n += 1
                yield 1
        finally:
            writer.close()

    async def _udp(self, i, _):
        loop = asyncio.get_running_loop()
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        s.connect(("127.0.0.1", self.ports["udp"]))
        n = 0
        with s:
            while True:
                await loop.sock_sendall(s, struct.pack(">II", i, n))
                try:
                    got = await asyncio.wait_for(loop.sock_recv(s, 100), 30)
                    assert got == struct.pack(">II", i, n), got
                except asyncio.TimeoutError:
                    self.datagrams_lost += 1
                n += 1
                yield 1


def reloads(count=1000, streams=100, passed=100, websockets=20, flows=50, pause=0.1):
    port3 = gh.free_port()
    ws, backends = gh.Upstream("ws"), Backends()
    try:
        files = {"gateway.yaml": GATEWAY, "routes.yaml": ROUTES, "ws.yaml": gh.service_yaml("ws", ws.port),
                 "ws-route.yaml": gh.route_yaml("ws", "- backendRefs: [{name: ws, port: 80}]", hostnames=["a.example.com"]),
                 **{f"{name}.yaml": service(name, port) for name, port in
                    (("calls", backends.calls), ("pass", backends.passed), ("udp", backends.udp))}}
        with gh.Gateway(files, words={"port3": port3}) as g:
            held = Held({"http": g.port, "pass": g.port2, "udp": port3}, streams, passed, websockets, flows, pause)
            assert held.ready.wait(gh.DEADLINE) and not held.faults, held.faults
            pids, generation, figures, started = g.worker_pids(), g.status()["generation"], None, time.monotonic()
            warm = min(100, count // 4)
            for i in range(count):
                change = g.status()["change"]
                g.write("extra.yaml", gh.route_yaml("extra", f"- matches: [{{path: {{value: /extra-{i}}}}}]\n  backendRefs: [{{name: ws, port: 80}}]",
                                                    hostnames=["a.example.com"]))
                if i % 3 == 0:  # what the streams themselves go by changes, too
                    g.write("routes.yaml", ROUTES.replace("{name: calls, port: 80}", "{name: calls, port: 80, weight: %d}" % (i + 1)))
                now = g.status(after=change)
                while now["generation"] <= generation + i:
                    now = g.status(after=now["change"])
                if i == warm:
                    figures = Figures(g)
                if i % 50 == 49:
                    progress(i + 1, "reloads", held.messages, held.faults[:2])
            g.reload()
            now, faults_then = g.status(), list(held.faults)
            report = figures.settled().report()
            held.close()
            return dict(reloads=now["generation"] - generation, seconds=round(time.monotonic() - started, 1), open=sum(held.n.values()), closed=len(held.faults),
                        words=(faults_then or held.faults)[:5], messages=held.messages, datagrams_lost=held.datagrams_lost,
                        pids_unchanged=g.worker_pids() == pids, generations_held=max(w["generations_held"] for w in now["workers"]),
                        figures={k: v for k, v in report.items() if k != "each"})
    finally:
        gh.release_port(port3)
        ws.close()
        backends.close()


def reloads_faults(r):
    bad = [k for k in ("closed", "datagrams_lost") if r[k]]
    bad += [] if r["pids_unchanged"] and r["generations_held"] <= 2 else ["pids_unchanged", "generations_held"]
    return bad + ([] if r["figures"]["largest_growth_kib"] < 1024 and r["figures"]["most_fds_more"] < 10 and not r["figures"]["gone"] else ["figures"])


if __name__ == "__main__" and sys.argv[1:] == ["backends"]:
    asyncio.run(serve_backends())
    os._exit(0)
