"""The attacks on HTTP/2 that have names, against a running gateway with two workers: what the attacker gets, what it costs, whether
others are served meanwhile, and whether the counter says so. And what must never reach a backend as HTTP/1.1."""
import contextlib
import os
import re
import select
import socket
import struct
import sys
import threading
import time

from browsers import Backend
from common import Figures, counter, cpu_s, gh, percentile, progress

sys.path.insert(0, str(gh.TOP / "tests/unit/worker/proxy"))
from h2_wire import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, H2, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PREFACE,  # noqa: E402
                     PRIORITY, SETTINGS, WINDOW, frame, literal, request, rst, settings, window)
import h2_hostile_test  # noqa: E402
import strict_parser  # noqa: E402

GET = literal(request("/slow", authority="a.example.com"))
POST = literal(request("/slow", "POST", authority="a.example.com"))
BIG = literal(request("/large", authority="a.example.com"))


def get(i, block=GET, end=True):
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), 2 * i + 1, block)


def priority(s, on, weight=0):
    return frame(PRIORITY, 0, s, struct.pack(">IB", on, weight))


class Row:
    """`each(i)`: round i of the attack; `limit`: rounds that may be read; `counters`: one of them rises (None: the connection ends for an
    error); `begin`: what comes first."""

    def __init__(self, each, limit, counters, begin=b"", first=(), rss_kib=4096, cpu_ms=None, rounds=None, batch=50):
        self.each, self.limit, self.counters, self.begin, self.first = each, limit, counters, begin, first
        self.rss_kib, self.cpu_ms, self.rounds, self.batch = rss_kib, cpu_ms, rounds, batch


def bomb(i):
    """A field of 4,000 bytes in the table, then 16,000 references of one byte to it."""
    block = literal(request(authority="a.example.com")) + (b"" if i else b"\x40\x06cookie\x7f\xa1\x1e" + b"x" * 4000)
    whole = block + b"\xbe" * 16000
    return frame(HEADERS, END_STREAM, 2 * i + 1, whole[:16384]) + frame(CONTINUATION, END_HEADERS, 2 * i + 1, whole[16384:])


def decoded(i):
    """Few bytes that become many: the largest literal that Huffman packs best, again and again."""
    block = literal(request(authority="a.example.com")) + b"\x40\x01a\x7f\xa1\x1e" + b"y" * 4000 + b"\xbe" * 200
    return frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block)


MADE = {  # the six ways to make a server reset
    "window of nothing": lambda s: window(s, 0), "window too large": lambda s: window(s, 0x7fffffff), "depends on itself": lambda s: priority(s, s),
    "priority of 4 bytes": lambda s: frame(PRIORITY, 0, s, b"1234"), "content behind the end": lambda s: frame(DATA, 0, s, b"x"),
    "head behind the end": lambda s: frame(HEADERS, END_HEADERS, s, b"\x82"),
}
MANY_SETTINGS = settings(*[(INITIAL_WINDOW_SIZE, k) for k in range(2000)])

ROWS = {
    "rapid reset": Row(lambda i: get(i) + rst(2 * i + 1), 1000, ["reset"], cpu_ms=100),
    **{f"made you reset: {name}": Row(lambda i, t=t: get(i) + t(2 * i + 1), 1000, None) for name, t in MADE.items()},
    "CONTINUATION without end": Row(lambda i: frame(CONTINUATION, 0, 1, b"x" * 1000), 80, None, frame(HEADERS, 0, 1, b"\x82")),
    "bomb of references": Row(bomb, 100, ["head"], rss_kib=2048, batch=1),
    "bomb of decoded fields": Row(decoded, 200, ["head"], rss_kib=2048, batch=4),
    "changes of the header table": Row(lambda i: get(i, b"\x20\x3f\xe1\x1f" + literal(request("/quick", authority="a.example.com"))), 1000, ["table"]),
    "Huffman garbage": Row(lambda i: get(i, b"\x00\x85\xff\xff\xff\xff\xff\x81\x00"), 1000, None),
    "windows of one byte": Row(lambda i: window(1 + 2 * (i % 90), 1), 10000, ["dribble", "window"], b"".join(get(i, BIG) for i in range(90)), [(INITIAL_WINDOW_SIZE, 1)],
                               cpu_ms=200),
    "PING": Row(lambda i: frame(PING, 0, 0, b"12345678"), 10000, ["ping"]),
    "priority tree": Row(lambda i: priority(2 * i + 101, 2 * i + 99), 10000, ["priority"], cpu_ms=100),
    "resets of one stream": Row(lambda i: rst(1), 1000, ["reset"], get(0)),
    "SETTINGS": Row(lambda i: settings(), 10000, ["settings"]),
    "SETTINGS of 2,000 each": Row(lambda i: MANY_SETTINGS, 1000, ["settings"], batch=2),
    "acknowledged SETTINGS": Row(lambda i: frame(SETTINGS, ACK, 0), 10000, ["settings"]),
    "empty names": Row(lambda i: get(i, literal(request(authority="a.example.com", more=[("", "")] * 50))), 1000, ["fault"]),
    "empty DATA": Row(lambda i: frame(DATA, 0, 1), 10000, ["empty"], get(0, POST, False)),
    "padding alone": Row(lambda i: frame(DATA, PADDED, 1, b"\x04\0\0\0\0"), 10000, ["empty"], get(0, POST, False)),
    "WINDOW_UPDATE": Row(lambda i: window(0, 1), 10000, ["window"]),
    "PRIORITY_UPDATE": Row(lambda i: frame(16, 0, 0, struct.pack(">I", 1) + b"u=1"), 10000, ["priority"]),
    "unknown frames": Row(lambda i: frame(200, 0, 0, b"x"), 10000, ["unknown"]),
    "streams beyond the limit": Row(lambda i: get(i), 2000, ["refused"]),
    "window overflow by SETTINGS": Row(lambda i: settings((INITIAL_WINDOW_SIZE, 0x7fffffff)) + window(1, 0x7fffffff), 10, None, get(0)),
    "frame size up and down": Row(lambda i: settings((MAX_FRAME_SIZE, 16384 + i % 2)), 10000, ["settings"]),
}


class Others:
    """New connections in HTTP/1.1 and in HTTP/2, one after the other."""

    def __init__(self, port):
        self.port, self.times, self.failed, self.stopping = port, [], [], threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        n = 0
        while not self.stopping.is_set():
            started, n = time.monotonic(), n + 1
            try:
                with gh.Client(self.port) as c:
                    if n % 2:
                        c.send("GET /quick HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
                        assert c.response()[0] == 200
                    else:
                        assert H2(c.sock).get("/quick", authority="a.example.com")[0] == 200
            except (OSError, EOFError, AssertionError) as e:
                self.failed.append(repr(e))
            self.times.append(time.monotonic() - started)
            self.stopping.wait(0.005)

    def close(self):
        self.stopping.set()
        self.thread.join(gh.DEADLINE)


def attack(port, row, count):
    """(rounds sent, bytes sent, how it ended). Nobody reads but to see the end."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), gh.DEADLINE)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        got, sent, size, ended = b"", 0, 0, None
        try:
            s.sendall(PREFACE + settings(*row.first) + row.begin)
            while sent < count and ended is None:
                data = b"".join(row.each(i) for i in range(sent, sent + row.batch))
                s.sendall(data)
                sent, size = sent + row.batch, size + len(data)
                while ended is None and select.select([s], [], [], 0)[0]:
                    piece = s.recv(1 << 20)
                    got, ended = got[-65536:] + piece, None if piece else "end"
        except OSError as e:
            ended = type(e).__name__
        if ended is None:  # it has taken all: does it still want to end?
            s.settimeout(3)
            try:
                while piece := s.recv(1 << 20):
                    got = got[-65536:] + piece
                ended = "end"
            except TimeoutError:
                ended = None
            except OSError as e:
                ended = type(e).__name__
        return sent, size, ended


def sums(m):
    total = {}
    for k, v in m.items():
        if x := re.match(r"gatehouse_h2_budget_(\w+?)_total", k):
            total[x[1]] = total.get(x[1], 0) + v
    return total


def window_open_tcp_closed(g, others):
    """A hundred streams of 1 GiB with all windows open, and nobody reads (CVE-2019-9517)."""
    figures = Figures(g)
    with contextlib.closing(socket.create_connection(("127.0.0.1", g.port), gh.DEADLINE)) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(PREFACE + settings((INITIAL_WINDOW_SIZE, 0x7fffffff)) + window(0, 0x7fffffff - 65535) + b"".join(get(i, BIG) for i in range(100)))
        worst, end = 0, time.monotonic() + 4
        while time.monotonic() < end:
            worst = max(worst, figures.report()["largest_growth_kib"])
            time.sleep(0.1)
    return dict(growth_kib=worst, faults=["memory"] if worst > 16384 else [])


def silent(g, others):
    """A thousand connections that say nothing behind the preface's beginning: gone when their time is over."""
    held = []
    for i in range(1000):
        s = socket.create_connection(("127.0.0.1", g.port), gh.DEADLINE)
        s.sendall(PREFACE[:i % len(PREFACE)])
        held.append(s)
    started, left, poll = time.monotonic(), {s.fileno() for s in held}, select.poll()
    for fd in left:
        poll.register(fd, select.POLLIN)
    while left and time.monotonic() - started < 90:
        for fd, _ in poll.poll(1000):
            poll.unregister(fd)
            left.discard(fd)
    took = time.monotonic() - started
    for s in held:
        s.close()
    return dict(left=len(left), seconds=round(took, 1), faults=["left"] if left else [])


def numbers_run_out(g, others):
    with H2(g.connect().sock) as c:
        c.next = 0x7fffffff
        status, code = c.get("/quick", authority="a.example.com")[0], c.ended()
    return dict(status=status, goaway=code, faults=[] if (status, code) == (200, 0) else ["goaway"])


SPECIAL = {"window open, TCP closed": window_open_tcp_closed, "preface stalls": silent, "stream numbers run out": numbers_run_out}


def one_row(g, name, row, count):
    figures, before, cpu = Figures(g), sums(g.metrics()), {p: cpu_s(p) for p in g.worker_pids()}
    others = Others(g.port)
    sent, size, ended = attack(g.port, row, min(count, row.rounds or count))
    cost = sum(cpu_s(p) - cpu[p] for p in cpu if os.path.exists(f"/proc/{p}")) * 1e3
    others.close()
    rose = [k for k, v in sums(g.metrics()).items() if v > before.get(k, 0)]
    report = figures.settled().report()
    pooled = counter(g.metrics(), "gatehouse_upstream_idle")
    r = dict(rounds_sent=sent, kib_sent=size // 1024, ended=ended, counters=rose, growth_kib=report["largest_growth_kib"], fds=report["most_fds_more"], pooled=pooled,
             cpu_ms_with_others=round(cost), others=len(others.times), others_failed=len(others.failed),
             others_p99_ms=round(1e3 * percentile(others.times, 0.99), 1) if others.times else None, faults=[])
    r["faults"] += ["not ended"] if ended is None else []
    r["faults"] += ["counter"] if row.counters and not set(row.counters) & set(rose) else []
    r["faults"] += ["memory"] if r["growth_kib"] > row.rss_kib else []
    r["faults"] += ["descriptors"] if r["fds"] > 5 + pooled else []
    r["faults"] += ["others"] if others.failed else []
    r["faults"] += ["gone"] if report["gone"] else []
    progress(name, r)
    return r


def attacks(count=100000):
    results = {}
    with contextlib.closing(Backend()) as u, gh.Gateway(gh.simple_files(u)) as g:
        for name, row in ROWS.items():
            results[name] = one_row(g, name, row, count)
        for name, f in SPECIAL.items():
            others = Others(g.port)
            results[name] = f(g, others)
            others.close()
            if others.failed:
                results[name]["faults"].append("others")
            progress(name, results[name])
        pids = g.worker_pids()
    return dict(rows=results, workers=len(pids))


def attacks_faults(r):
    return [f"{name}: {' '.join(row['faults'])}" for name, row in r["rows"].items() if row["faults"]]


# ---- HTTP/2 to HTTP/1.1 ----
def desync():
    """Every payload on a connection of its own, and behind an honest request on the same one; what the backend saw is read by a strict parser."""
    seen, lock = [], threading.Lock()

    def serve(c, number):
        mine = b""
        while True:
            while True:
                try:
                    messages = strict_parser.parse_requests(mine)
                    if messages:
                        break
                except strict_parser.Cut:
                    pass
                piece = c.sock.recv(65536)
                if not piece:
                    with lock:
                        seen.append((mine, True))
                    return
                mine += piece
            with lock:
                seen.append((mine, False))
            mine = b""
            c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    n, reached, odd, outcomes, honest = 0, [], [], {}, 0
    with gh.RawServer(serve) as up, gh.Gateway(gh.simple_files(up)) as g:
        for name, fields, content, trailers in h2_hostile_test.payloads():
            for behind in (False, True):
                n += 1
                with H2(g.connect().sock) as c:
                    if behind:
                        assert c.get("/honest", authority="a.example.com")[0] == 200
                    i, c.next = c.next, c.next + 2
                    c.headers(i, fields, end=content is None, raw=True)
                    if content is not None:
                        c.data(i, content, end=trailers is None)
                    if trailers:
                        c.headers(i, trailers, end=True, raw=True)
                    outcome = str(c.outcome(i))
                    outcomes[outcome] = outcomes.get(outcome, 0) + 1
                    if outcome == "200":
                        reached.append(name)
                    elif outcome.startswith("reset") or outcome == "400":  # the connection is as good as before
                        assert c.get("/honest", authority="a.example.com")[0] == 200, name
                        honest += 1
        with lock:
            for data, cut in seen:
                if cut and not data:
                    continue
                try:
                    for m in strict_parser.judge_forwarded(data):
                        if m.start[1] != b"/honest":
                            reached.append(repr(data[:80]))
                except strict_parser.Cut:
                    pass  # it was broken off: no backend takes it for a request
                except Exception as e:
                    odd.append(f"{e!r} {data[:80]!r}")
    return dict(payloads=n, outcomes=outcomes, reached=reached, odd=odd, honest_behind=honest)


def desync_faults(r):
    return [k for k in ("reached", "odd") if r[k]] + ([] if r["payloads"] >= 82 else ["payloads"])
