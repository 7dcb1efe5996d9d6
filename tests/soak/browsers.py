"""Browsers replayed (browsers.json): what they send and cancel while people click, scroll, seek and type. No connection may end for it."""
import asyncio
import json
import pathlib
import random
import struct
import sys
import threading
import time

from common import client_context, gh, https_files, progress

sys.path.insert(0, str(gh.TOP / "tests/unit/worker/proxy"))
from h2_wire import (CANCEL, DATA, H2, HEADERS, PING, PRIORITY, SETTINGS, frame, request, rst, settings, window)  # noqa: E402,F401

TRACES = json.loads((pathlib.Path(__file__).parent / "browsers.json").read_text())
HAS_PRIORITY, PRIORITY_UPDATE = 32, 16


class Backend:
    """/quick answers, /slow never does, /large has no end; whatever else is a page."""

    def __init__(self):
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True).start()
        assert ready.wait(gh.DEADLINE)

    async def _run(self, ready):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.over.wait()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"/slow" in head or b"POST" in head:
                    while await reader.read(65536):
                        pass
                    return
                n = 1 << 32 if b"/large" in head else 2000 if b"/quick" in head else 30000
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % n)
                while n:
                    piece = min(n, 65536)
                    writer.write(b"x" * piece)
                    await writer.drain()
                    n -= piece
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)


class Browser(H2):
    def __init__(self, port, how):
        context = client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        sock = context.wrap_socket(gh.Client(port).sock, server_hostname="a.example.com")
        assert sock.selected_alpn_protocol() == "h2"
        self.how, self.eaten, self.requests, self.cancels = how, {}, 0, 0
        super().__init__(sock, first=[tuple(p) for p in how["settings"]], grow=False)
        out = window(0, how["window"])
        for stream, parent, weight in how.get("idle_priorities", ()):
            out += frame(PRIORITY, 0, stream, struct.pack(">IB", parent, weight))
        self.send(out)
        self.next = how.get("first_stream", 1)
        self.first_window = dict(how["settings"]).get(4, 65535)

    def ask(self, path, method="GET", end=True):
        """The bytes of a request, with what this browser says around it."""
        i, self.next = self.next, self.next + 2
        how, more = self.how, [("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"), ("accept", "*/*"), ("accept-encoding", "gzip, deflate, br"),
                               ("cookie", "session=0123456789abcdef"), ("cookie", "seen=1")]
        if how.get("priority_field"):
            more.append(("priority", "u=1, i"))
        block = self.encoder.encode(request(path, method, "a.example.com", "https", more))
        flags, priority = 4 | (1 if end else 0), how.get("head_priority")
        if priority:
            parent = priority.get("depends_on", 0) | (1 << 31 if priority["exclusive"] else 0)
            block, flags = struct.pack(">IB", parent, priority["weight"]) + block, flags | HAS_PRIORITY
        out = frame(HEADERS, flags, i, block)
        if how["stream_window"]:
            out += window(i, how["stream_window"])
        self.requests += 1
        return i, out

    def step(self):
        kind = super().step()
        if kind == DATA and self.streams:
            self._eat()
        return kind

    def raw_frame(self):
        self.last = super().raw_frame()
        return self.last

    def _eat(self):
        _, flags, stream, payload = self.last
        for i in (0, stream):
            self.eaten[i] = self.eaten.get(i, 0) + len(payload)
        limit = 0 if self.how["window_updates"] == "each" else self.first_window // 2
        for i in (0, stream):
            if self.eaten[i] > limit and not (i and flags & 1):
                self.send(window(i, self.eaten.pop(i)))
        if flags & 1:
            self.eaten.pop(stream, None)

    def visit(self, v, r):
        """One of browsers.json's visits."""
        page, out = self.ask("/page")
        self.send(out)
        self.wait(lambda: self.stream(page).ended)
        for _ in range(v.get("rounds", 1)):
            n = v["objects"]
            done = int(n * v["finish"])
            kinds = ["/quick"] * done + ["/large" if v.get("large") else "/slow"] * (n - done)
            r.shuffle(kinds)
            asked = [(k, *self.ask(k, *(("POST", False) if v.get("upload") else ()))) for k in kinds]
            self.send(b"".join(out for _, _, out in asked))
            quick = [i for k, i, _ in asked if k == "/quick"]
            late = [i for k, i, _ in asked if k != "/quick"]
            if v.get("upload"):
                self.send(b"".join(frame(DATA, 0, i, b"y" * 10000) for i in late))
            if self.how.get("priority_update"):  # images turn out to be in view
                self.send(b"".join(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", i) + b"u=2") for i in quick + late))
            if v.get("background") and self.how.get("reprioritizes"):
                for weight in (0, 41):
                    self.send(b"".join(frame(PRIORITY, 0, i, struct.pack(">IB", 0, weight)) for i in quick + late))
            self.wait(lambda: all(self.stream(i).ended for i in quick))
            if v.get("large"):
                self.wait(lambda: all(len(self.stream(i).body) > 100000 for i in late))
            time.sleep(v.get("look_ms", 20) / 1000)
            self.send(b"".join(rst(i, CANCEL) for i in late))
            self.cancels += len(late)
            for i in quick + late:
                self.streams.pop(i, None)
            time.sleep(v.get("pause_ms", 0) / 1000)
        if self.how.get("ping_after_idle"):
            self.ping()
        self.streams.pop(page, None)


def one(port, name, count, pause, seed, results):
    b, r, ended, visit = None, random.Random(f"{seed}{name}"), None, None
    try:
        b = Browser(port, TRACES["browsers"][name])
        for i in range(count):
            visit = TRACES["visits"][i % len(TRACES["visits"])]["name"]
            b.visit(TRACES["visits"][i % len(TRACES["visits"])], r)
            time.sleep(pause)
        b.ping()
    except (OSError, EOFError, AssertionError) as e:
        ended = f"{visit} ({i}): {e!r} {b.goaways if b else ''}"
    finally:
        if b:
            b.sock.close()
    results[name] = dict(visits=count, requests=b.requests if b else 0, cancels=b.cancels if b else 0, goaways=len(b.goaways) if b else 0, ended=ended)
    progress(name, results[name])


def replay(count=100, pause=0.3, seed=1):
    """`pause` between visits: nobody clicks more than thrice in a second for long."""
    backend, results = Backend(), {}
    try:
        with gh.Gateway(https_files(backend)) as g:
            threads = [threading.Thread(target=one, args=(g.port, name, count, pause, seed, results)) for name in TRACES["browsers"]]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            m = g.metrics()
            return dict(browsers=results, closed=sum(r["ended"] is not None or r["goaways"] > 0 for r in results.values()),
                        budgets={k: v for k, v in m.items() if "h2_budget" in k and v})
    finally:
        backend.close()


def replay_faults(r):
    return (["closed"] if r["closed"] else []) + (["budgets"] if r["budgets"] else [])
