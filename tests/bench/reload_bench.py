#!/usr/bin/env python3
"""Reloads under load: from the rename of a changed file to the answer of the new configuration on every connection.

    reload_bench.py [--build DIR] [--routes 10 5000 50000] [--rules 10] [--api gateway] [--shape vhosts] [--reloads 5]

A load of 1,000 requests a second runs on 50 keep-alive connections the whole time; 8 more ask for a path that only the
new configuration has, in turn, until each has seen it. Printed for each number of routes, as medians over the reloads:
  start      seconds from exec to the first answer of a route
  live       ms from the rename to the new route on every one of the 8 connections
  said       ms that the master counted, from the beginning of the load of the files to the last worker's word
  p99, max   ms of the load's requests without and during reloads (from rename to live, and 100 ms more)
  failed, closed  of the load, over all reloads
  pss        MB of all processes before, and after the last reload
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "flow"))
import gen_routes  # noqa: E402
from gh import free_port  # noqa: E402

RATE, CONNECTIONS, PROBES = 1000, 50, 8


def request(host, path):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Answer:
    """Takes one response with a Content-Length out of a stream."""

    def __init__(self):
        self.buf = b""

    def feed(self, data):
        self.buf += data
        head, mark, rest = self.buf.partition(b"\r\n\r\n")
        if not mark:
            return None
        n = int(re.search(rb"content-length: *(\d+)", head, re.I)[1])
        if len(rest) < n:
            return None
        self.buf = rest[n:]
        return int(head[9:12])


def load(port, host, path, stop, out):
    """Open loop; writes (time, latency) of every request, and counts what failed or was closed."""
    poll = select.poll()
    conns, at, failed, closed = {}, {}, 0, 0
    lines = []

    def fresh():
        s = connect(port)
        s.setblocking(False)
        conns[s.fileno()] = (s, Answer())
        poll.register(s, select.POLLIN)
        return s.fileno()

    idle = [fresh() for _ in range(CONNECTIONS)]
    text = request(host, path)
    start, sent = time.monotonic(), 0
    while not stop.is_set():
        due = start + sent / RATE
        now = time.monotonic()
        if now >= due and idle:
            fd = idle.pop(0)
            at[fd] = due
            conns[fd][0].send(text)
            sent += 1
            continue
        for fd, _ in poll.poll(0 if now >= due and idle else max(0.0, (due - now) * 1000)):
            s, answer = conns[fd]
            try:
                data = s.recv(65536)
            except OSError:
                data = b""
            status = answer.feed(data) if data else None
            if not data:
                closed += 1
                failed += at.pop(fd, None) is not None
                poll.unregister(fd)
                s.close()
                del conns[fd]
                idle = [x for x in idle if x != fd] + [fresh()]
            elif status is not None:
                now = time.monotonic()
                failed += status != 200
                lines.append((now, now - at.pop(fd)))
                idle.append(fd)
    out.put((failed, closed, sent, lines))


class Gateway:
    def __init__(self, build, conf, root, admin):
        self.root = root
        (root / "gatehouse.yaml").write_text(
            "apiVersion: gatehouse.dev/v1alpha1\nkind: Instance\nmetadata:\n  name: bench\nspec:\n  workers: 2\n"
            f"  adminAddress: 127.0.0.1:{admin}\n  accessLog:\n    path: {root}/access.log\n")
        for d in ("state", "run"):
            (root / d).mkdir(exist_ok=True)
            os.chmod(root / d, 0o777)
        self.log = open(root / "log", "ab")
        self.process = subprocess.Popen([str(build / "gatehouse"), "serve", "--config", root / "gatehouse.yaml", "--conf-dir", conf,
                                         "--state-dir", root / "state", "--run-dir", root / "run"],
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [str(self.process.pid), *children]

    def pss(self):
        total = 0
        for pid in self.pids():
            try:
                total += int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1])
            except OSError:
                pass
        return total / 1024

    def maps(self):
        """Snapshots that a process has mapped, at most."""
        most = 0
        for pid in self.pids():
            try:
                most = max(most, pathlib.Path(f"/proc/{pid}/maps").read_text().count("gatehouse-snapshot"))
            except OSError:
                pass
        return most

    def said(self):
        return [int(x) for x in re.findall(r"generation \d+: .*, (\d+) ms\)", (self.root / "log").read_text())]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def first_answer(port, host, path):
    while True:
        try:
            with connect(port) as s:
                s.sendall(request(host, path))
                if Answer().feed(s.recv(65536)) == 200:
                    return
        except OSError:
            pass
        time.sleep(0.002)


def until_live(probes, host, path, pause):
    left = list(probes)
    text = request(host, path)
    while left:
        for s in list(left):
            s.sendall(text)
            answer, status = Answer(), None
            while status is None:
                status = answer.feed(s.recv(65536))
            if status == 200:
                left.remove(s)
        if left:
            time.sleep(pause)


def change(conf, edge, routes, a, tag):
    """The first object, and no other, in its file; or all files."""
    words = dict(rules=a.rules, api=a.api, shape=a.shape, per_file=a.per_file, tag=tag)
    text = list(zip(range(a.per_file), gen_routes.objects(a.api, a.shape, routes, a.rules, tag)))
    path = conf / "routes-000000.yaml"
    (conf / ".new").write_text("---\n".join(t for _, t in text))
    t = time.monotonic()
    (conf / ".new").rename(path)
    return t


def percentile(v, p):
    v = sorted(v)
    return v[min(len(v) - 1, int(len(v) * p))] * 1000 if v else 0.0


def one(a, routes):
    root = pathlib.Path(tempfile.mkdtemp(prefix="gh-reload-"))
    os.chmod(root, 0o755)
    port, admin, up = free_port(), free_port(), free_port()
    conf = root / "conf.d"
    gen_routes.write(conf, routes, a.rules, a.api, a.shape, a.per_file, port, up)
    echo = subprocess.Popen([str(a.build / "gatehouse"), "echo", "--listen", f"127.0.0.1:{up}", "--quiet"])
    host = gen_routes.host(a.shape, 1 if routes > a.rules else 0).replace("*", "a")
    host0 = gen_routes.host(a.shape, 0).replace("*", "a")
    path = gen_routes.value(a.shape, 0, 0)
    begin = time.monotonic()
    g = Gateway(a.build, conf, root, admin)
    first_answer(port, host, path)
    started = time.monotonic() - begin
    time.sleep(0.5)
    stop, out = multiprocessing.Event(), multiprocessing.Queue()
    loader = multiprocessing.Process(target=load, args=(port, host, path, stop, out))
    loader.start()
    probes = [connect(port) for _ in range(PROBES)]
    time.sleep(1)
    pss = g.pss()
    spans, live = [], []
    for i in range(a.reloads):
        t = change(conf, None, routes, a, f"tag-{i}")
        until_live(probes, host0, f"/tag-{i}/x", 0.0005 if routes < 1000 else 0.005)
        live.append(time.monotonic() - t)
        spans.append((t, time.monotonic() + 0.1))
        time.sleep(a.pause)
    after, maps = g.pss(), g.maps()
    stop.set()
    failed, closed, sent, lines = out.get()
    loader.join()
    during = [x for t, x in lines if any(b <= t <= e for b, e in spans)]
    calm = [x for t, x in lines if not any(b <= t <= e for b, e in spans)]
    row = {"routes": routes, "start_s": round(started, 3), "live_ms": round(statistics.median(live) * 1000, 1),
           "live_max_ms": round(max(live) * 1000, 1), "said_ms": statistics.median(g.said()[1:] or [0]),
           "p99_ms": [round(percentile(calm, .99), 2), round(percentile(during, .99), 2)],
           "max_ms": [round(percentile(calm, 1), 2), round(percentile(during, 1), 2)],
           "failed": failed, "closed": closed, "sent": sent, "pss_mb": [round(pss, 1), round(after, 1)], "maps": maps}
    g.stop()
    echo.terminate()
    echo.wait()
    if not a.keep:
        shutil.rmtree(root)
    return row


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", type=lambda x: pathlib.Path(x).resolve(), default=HERE.parents[1] / "build")
    p.add_argument("--routes", type=int, nargs="*", default=[10, 5000, 50000])
    p.add_argument("--rules", type=int, default=10)
    p.add_argument("--api", default="gateway")
    p.add_argument("--shape", default="vhosts")
    p.add_argument("--per-file", type=int, default=100)
    p.add_argument("--reloads", type=int, default=5)
    p.add_argument("--pause", type=float, default=0.5, help="seconds between reloads")
    p.add_argument("--keep", action="store_true")
    a = p.parse_args()
    for routes in a.routes:
        print(json.dumps(one(a, routes)), flush=True)


if __name__ == "__main__":
    main()
