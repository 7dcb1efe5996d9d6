"""Changes, kills and broken files under load."""
import asyncio
import os
import random
import re
import signal
import subprocess
import threading
import time

from common import gh, pss_mib


class Echo:
    """`gatehouse echo` as a process: a backend fast enough for load."""

    def __init__(self, name):
        self.process = subprocess.Popen([str(gh.BUILD / "gatehouse"), "echo", "--quiet", "--name", name], stdout=subprocess.PIPE, text=True)
        self.name, self.port = name, int(self.process.stdout.readline().rsplit(":", 1)[1])

    def close(self):
        self.process.terminate()
        self.process.wait(10)


class Load:
    """Keep-alive clients on an event loop of a thread; every failure is kept with its words."""

    def __init__(self, port, clients=16, host="a.example.com", path="/load"):
        self.port, self.clients, self.host, self.path = port, clients, host, path
        self.done, self.failed, self.closed, self.refused = 0, [], 0, 0
        self.stopping = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping = True
        self.thread.join(30)
        return self

    async def _run(self):
        await asyncio.gather(*(self._client() for _ in range(self.clients)))

    async def _client(self):
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            try:
                while not self.stopping:
                    writer.write(request)
                    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)
                    n = int(re.search(rb"content-length: *(\d+)", head, re.I)[1])
                    await asyncio.wait_for(reader.readexactly(n), 15)
                    if not head.startswith(b"HTTP/1.1 200"):
                        self.failed.append(head[:60].decode("latin-1"))
                    self.done += 1
                    if b"connection: close" in head.lower():
                        self.closed += 1
                        break
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as e:
                self.failed.append(repr(e))
                self.closed += 1
            finally:
                writer.close()


class Held:
    """Connections that stay open: WebSockets that echo now and then, and slow downloads."""

    def __init__(self, g, websockets, downloads):
        self.sockets, self.downloads = [], []
        for i in range(websockets):
            c = g.connect()
            c.send("GET /ws/websocket HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            assert c.response()[0] == 101
            self.sockets.append(c)
        for i in range(downloads):
            c = g.connect()
            c.send("GET /ws/slow/100000 HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
            c.until(b"\r\n\r\n")
            self.downloads.append(c)

    def alive(self):
        """How many still work: every WebSocket echoes, every download brings more."""
        n = 0
        for i, c in enumerate(self.sockets):
            try:
                text = f"ping {i}".encode()
                c.send(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
                head = c.exactly(2)
                n += c.exactly(head[1]) == text
            except (OSError, EOFError):
                pass
        for c in self.downloads:
            try:
                n += len(c.exactly(1))
            except (OSError, EOFError):
                pass
        return n

    def close(self):
        for c in self.sockets + self.downloads:
            c.close()


def base_files(slow, *echoes):
    return {"gateway.yaml": gh.gateway_yaml(), "slow.yaml": gh.service_yaml("slow", slow.port), "up.yaml": gh.service_yaml("up", *[e.port for e in echoes]),
            "routes.yaml": gh.route_yaml("main", "- matches: [{path: {value: /ws}}]\n  backendRefs: [{name: slow, port: 80}]\n"
                                         "- backendRefs: [{name: up, port: 80}]")}


def reloads(count=1000, rate=10, websockets=200, downloads=40):
    slow, a, b = gh.Upstream("slow"), Echo("a"), Echo("b")
    result = {}
    try:
        with gh.Gateway(base_files(slow, a, b), settings="timeouts:\n  streamIdle: 1h\n") as g:
            held = Held(g, websockets, downloads)
            pids = g.worker_pids()
            everyone = [w["pid"] for w in g.status()["workers"]] + [g.process.pid]
            load = Load(g.port).start()
            generation, start = g.status()["generation"], time.monotonic()
            warm, memory = None, []
            for i in range(count):
                g.write("extra.yaml", gh.route_yaml("extra", f"- matches: [{{path: {{value: /extra-{i}}}}}]\n  backendRefs: [{{name: up, port: 80}}]"))
                g.write("up.yaml", gh.service_yaml("up", *([a.port, b.port], [a.port], [b.port])[i % 3]))
                if i == min(50, count // 4):
                    warm = pss_mib(everyone)
                due = start + (i + 1) / rate
                while (left := due - time.monotonic()) > 0:
                    time.sleep(left)
            g.reload()
            load.stop()
            now = g.status()
            result = dict(reloads=now["generation"] - generation, seconds=round(time.monotonic() - start, 1), requests=load.done, failed=len(load.failed),
                          closed=load.closed, refused=load.refused, held=websockets + downloads, held_alive=held.alive(),
                          pids_unchanged=g.worker_pids() == pids, pss_before_mib=round(warm, 1), pss_after_mib=round(pss_mib(everyone), 1),
                          first_failures=load.failed[:5])
            slow.release.set()
            held.close()
    finally:
        for x in (slow, a, b):
            x.close()
    return result


def kills(count=60, period=1.0):
    slow, a = gh.Upstream("slow"), Echo("a")
    try:
        with gh.Gateway(base_files(slow, a)) as g:
            load = Load(g.port).start()
            fresh = Fresh(g.port).start()
            replaced = []
            for _ in range(count):
                victim = g.worker_pids()[0]
                started = time.monotonic()
                os.kill(victim, signal.SIGKILL)
                g.wait_status(lambda s: victim not in [w["pid"] for w in s["workers"]]
                              and sum(w["role"] == "worker" and w["state"] == "active" for w in s["workers"]) == 2)
                replaced.append(time.monotonic() - started)
                g.wait_status(lambda s: any(w["state"] == "spare" for w in s["workers"]))
                while (left := started + period - time.monotonic()) > 0:
                    time.sleep(left)
            load.stop()
            fresh.stop()
            return dict(kills=count, requests=load.done, failed=len(load.failed), refused=load.refused, fresh=fresh.done, fresh_failed=len(fresh.failed),
                        fresh_refused=fresh.refused, replaced_ms_median=round(sorted(replaced)[count // 2] * 1e3, 1), replaced_ms_max=round(max(replaced) * 1e3, 1),
                        words=sorted(set(load.failed))[:5])
    finally:
        slow.close()
        a.close()


class Fresh:
    """A client that opens a connection for each request."""

    def __init__(self, port):
        self.port, self.done, self.failed, self.refused, self.stopping = port, 0, [], 0, False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.stopping = True
        self.thread.join(30)

    def _run(self):
        while not self.stopping:
            try:
                with gh.Client(self.port) as c:
                    c.send("GET /fresh HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
                    if c.response()[0] != 200:
                        self.failed.append("status")
                    self.done += 1
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, EOFError) as e:
                self.failed.append(repr(e))


BREAKAGES = [lambda t, r: t[:r.randrange(20, len(t))] + '\n["', lambda t, r: t.replace("spec:", "spec", 1), lambda t, r: t.replace("rules:", "rulez:", 1),
             lambda t, r: "\t" + t, lambda t, r: t.replace("backendRefs", "backendRef"), lambda t, r: t + "\n  : : :\n", lambda t, r: t.replace("port: 80", "port: many")]


def files(count=200, n=1000, seed=1):
    r, a = random.Random(seed), Echo("a")
    try:
        made = {"gateway.yaml": gh.gateway_yaml(), "up.yaml": gh.service_yaml("up", a.port)}
        for i in range(n):
            made[f"r{i}.yaml"] = gh.route_yaml(f"r{i}", f"- matches: [{{path: {{value: /r{i}}}}}]\n  backendRefs: [{{name: up, port: 80}}]")
        wrong, named, late, slowest = 0, 0, 0, 0.0
        with gh.Gateway(made) as g:
            fixed = {"X-Request-Id": "the-same"}
            expect = {i: g.get(f"/r{i}/x", headers=fixed)[2] for i in range(n)}
            for _ in range(count):
                i = r.randrange(n)
                name = f"r{i}.yaml"
                text = g.fill(made[name])
                bad = r.choice(BREAKAGES)(text, r)
                (g.conf / name).write_text(bad)
                started = time.monotonic()
                status = g.wait_status(lambda s: any(d["file"].endswith("/" + name) or d["file"] == name for d in s["diagnostics"] if d["severity"] == "error"), 10)
                took = time.monotonic() - started
                slowest, late = max(slowest, took), late + (took > 1)
                d = next(d for d in status["diagnostics"] if d["file"].endswith(name) and d["severity"] == "error")
                named += d["line"] >= 1 and d["column"] >= 1
                for j in r.sample(range(n), 10) + [i]:
                    wrong += g.get(f"/r{j}/x", headers=fixed)[2] != expect[j]
                g.write(name, made[name])
                g.reload()
        return dict(broken=count, files=n, wrong_answers=wrong, named_with_position=named, later_than_1s=late, slowest_s=round(slowest, 3))
    finally:
        a.close()


def reloads_faults(r):
    bad = [k for k in ("failed", "closed", "refused") if r[k]]
    bad += [] if r["held_alive"] == r["held"] else ["held_alive"]
    bad += [] if r["pids_unchanged"] else ["pids_unchanged"]
    return bad + ([] if r["pss_after_mib"] <= 1.05 * r["pss_before_mib"] + 1 else ["pss_after_mib"])


def kills_faults(r):
    bad = [k for k in ("refused", "fresh_refused") if r[k]]
    return bad + ([] if r["failed"] <= 16 * r["kills"] and r["fresh_failed"] <= r["kills"] else ["failed"])


def files_faults(r):
    return [k for k, fault in (("wrong_answers", r["wrong_answers"]), ("named_with_position", r["named_with_position"] != r["broken"]),
                               ("later_than_1s", r["later_than_1s"])) if fault]
