#!/usr/bin/env python3
"""bench.py - what a request costs: gatehouse against nginx and HAProxy on the same machine, in the same run.

One upstream (nginx answering from memory; peers.py has the configurations), every proxy up at once and pinned to one core, the load generator
and the upstream on another. Rounds are interleaved A B C ... C B A; the figure is CPU time of the proxy's whole
process tree per request (user and system, from /proc/PID/schedstat and stat of every process), so it does not
depend on how fast the load generator is. Absolute times drift on shared machines: read the ratios, which are
paired round by round.

  bench.py [--rounds N] [--seconds S] [--rows h1,h1-64k,...] [--build DIR] [--json FILE]

gatehouse runs as it ships: access log and all metrics on. The peers run without access logs.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import loads
import peers
from loads import LOADS

TOP = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")

ROWS = {
    # First, before other rows have made the proxies keep memory.
    "idle": dict(port="http", idle=2000, text="idle HTTP/1.1 connections, KiB each (all processes, PSS)"),
    "idle-tls": dict(port="https", idle=2000, text="idle TLS connections, KiB each (all processes, PSS)"),
    "h1": dict(port="http", path="/1k", text="HTTP/1.1 keep-alive, 1 KiB"),
    "h1-64k": dict(port="http", path="/64k", text="HTTP/1.1 keep-alive, 64 KiB"),
    "h1-1m": dict(port="http", path="/1m", text="HTTP/1.1 keep-alive, 1 MiB"),
    "h1-post16k": dict(port="http", path="/post", body=16384, text="HTTP/1.1 keep-alive, POST 16 KiB"),
    "h1-new": dict(port="http", path="/1k", close=True, text="HTTP/1.1, new connection for each request"),
    "tls": dict(port="https", path="/1k", text="HTTP/1.1 over TLS, keep-alive, 1 KiB"),
    "tls-1m": dict(port="https", path="/1m", text="HTTP/1.1 over TLS, keep-alive, 1 MiB"),
    "tls-new": dict(port="https", load="handshakes", text="new TLS 1.3 connection (ECDSA P-256), one request"),
    "tls-resumed": dict(port="https", load="handshakes", resume=True, text="resumed TLS 1.3 connection, one request"),
    "h2": dict(port="https", load="h2load", path="/1k", text="HTTP/2 over TLS, 1 KiB, 10 streams"),
    "h2c": dict(port="h2c", load="h2load", path="/1k", text="HTTP/2 in plain text, 1 KiB, 10 streams"),
    "grpc": dict(port="grpc", load="h2load", path="/post", body=64, grpc=True, text="gRPC-like, HTTP/2 to HTTP/2, small messages"),
    "tcp": dict(port="tcp", path="/1k", text="TCP, 1 KiB answers on connections that live"),
    "tcp-1m": dict(port="tcp", path="/1m", text="TCP, 1 MiB answers on connections that live"),
    "tcp-new": dict(port="tcp", path="/1k", close=True, text="TCP, new connection for each request"),
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, deadline=15):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    said = pathlib.Path(process.log).read_text(errors="replace")[-2000:]
    raise SystemExit(f"nothing listens on {port} ({process.args})\n{said}")


def tree(pid):
    """The pid and its descendants."""
    pids, children = [pid], {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                ppid = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                children.setdefault(ppid, []).append(int(entry.name))
            except (OSError, IndexError):
                pass
    for p in pids:
        pids.extend(children.get(p, []))
    return pids


def cpu_seconds(pid):
    """User and system time of the tree, finished children included."""
    total = 0.0
    for p in tree(pid):
        try:
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[13]) + int(fields[14])) / TICK  # cutime, cstime: children that ended
        except (OSError, IndexError):
            pass
    return total


def pss_kib(pid):
    total = 0
    for p in tree(pid):
        try:
            m = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{p}/smaps_rollup").read_text(), re.M)
            total += int(m[1])
        except (OSError, TypeError):
            pass
    return total


class Bench:
    def __init__(self, args):
        self.args = args
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="gh-bench-"))
        os.chmod(self.dir, 0o755)
        self.processes, self.proxies = [], {}
        ncpu = os.cpu_count() or 1
        self.proxy_cpu, self.load_cpu = ("0", "1") if ncpu > 1 else ("0", "0")

    def spawn(self, cpu, *command, **kw):
        log = open(self.dir / f"{pathlib.Path(command[0]).name}.{len(self.processes)}.log", "wb")
        p = subprocess.Popen(["taskset", "-c", cpu, *map(str, command)], stdout=log, stderr=log, **kw)
        p.log = log.name
        self.processes.append(p)
        return p

    @staticmethod
    def free_port():
        return free_port()

    def certificate(self):
        self.cert, self.key = self.dir / "cert.pem", self.dir / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                        "-subj", "/CN=bench.example", "-addext", "subjectAltName=DNS:bench.example", "-keyout", self.key,
                        "-out", self.cert], check=True, capture_output=True)

    def start(self):
        self.certificate()
        self.up = dict(http=free_port(), h2=free_port())
        root = self.dir / "www"
        root.mkdir()
        for name, n in (("1k", 1024), ("64k", 65536), ("1m", 1 << 20)):
            (root / name).write_bytes(b"x" * n)
        wait_port(self.up["http"], peers.upstream(self, root))
        for name in self.args.proxies.split(","):
            if name != "gatehouse" and not shutil.which(name):
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            ports = {p: free_port() for p in peers.PORTS}
            started = peers.PEERS[name](self, ports)
            started = started if isinstance(started, list) else [started]
            for p in ports.values():
                wait_port(p, started[0])
            self.proxies[name] = (ports, started)

    def stop(self):
        for p in reversed(self.processes):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def load(self, name, row, seconds):
        return LOADS[row.get("load", "wrk")](self, self.proxies[name][0][row["port"]], row, seconds)

    def cpu(self, name):
        return sum(cpu_seconds(p.pid) for p in self.proxies[name][1])

    def pss(self, name):
        return sum(pss_kib(p.pid) for p in self.proxies[name][1])

    def round(self, name, row, seconds):
        before = self.cpu(name)
        requests, errors, p99 = self.load(name, row, seconds)
        return dict(us=(self.cpu(name) - before) / max(requests, 1) * 1e6, requests=requests, errors=errors, p99=p99)

    def row(self, key):
        row = ROWS[key]
        order = [n for n in self.proxies if row["port"] in self.proxies[n][0]]
        results = {n: [] for n in order}
        for name in order:
            self.load(name, row, 1)
        for i in range(self.args.rounds):
            for name in order if i % 2 == 0 else order[::-1]:
                results[name].append(self.round(name, row, self.args.seconds))
        return results

    def idle(self, key):
        """KiB for each connection that is open and does nothing, and what is not given back 3 s after they close."""
        row, out = ROWS[key], []
        for name, (ports, _) in self.proxies.items():
            before = self.pss(name)
            child = subprocess.Popen([sys.executable, loads.__file__, "hold", str(ports[row["port"]]), str(row["idle"]),
                                      "tls" if row["port"] == "https" else "plain"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
            opened = child.stdout.readline().strip() == "open"
            time.sleep(1)
            held = self.pss(name)
            child.stdin.close()
            child.wait(30)
            time.sleep(8)
            out.append(dict(name=name, kib=(held - before) / row["idle"], kept=(self.pss(name) - before) / row["idle"],
                            complete=opened))
        return out


def idle_table(key, rows):
    print(f"\n{ROWS[key]['text']}")
    for r in rows:
        print(f"  {r['name']:10} {r['kib']:8.2f}   still held after they closed {r['kept']:6.2f}" +
              ("" if r["complete"] else "   (not all could be opened)"))
    return rows


def table(key, results, base):
    rows = []
    for name, rounds in results.items():
        us = [r["us"] for r in rounds]
        ratio = [r["us"] / b["us"] for r, b in zip(rounds, results.get(base, rounds))]
        rows.append(dict(name=name, median=statistics.median(us), low=min(us), high=max(us), ratio=statistics.median(ratio),
                         ratio_low=min(ratio), ratio_high=max(ratio), errors=sum(r["errors"] for r in rounds),
                         rps=statistics.median(r["requests"] for r in rounds), p99=rounds[-1]["p99"]))
    print(f"\n{ROWS[key]['text']}")
    print(f"  {'':10} {'CPU us/request':>22} {'ratio to ' + base:>24} {'requests':>9} {'p99':>9} {'errors':>7}")
    for r in rows:
        print(f"  {r['name']:10} {r['median']:8.1f} ({r['low']:.1f}..{r['high']:.1f})".ljust(36) +
              f"{r['ratio']:7.2f} ({r['ratio_low']:.2f}..{r['ratio_high']:.2f})".rjust(22) +
              f"{r['rps']:>10.0f} {r['p99']:>9} {r['errors']:>7}")
    return rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--seconds", type=int, default=3)
    p.add_argument("--connections", type=int, default=50)
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--proxies", default="nginx,haproxy,nghttpx,gatehouse")
    p.add_argument("--base", default="nginx", help="ratios are to this one")
    p.add_argument("--build", default=str(TOP / "build"))
    p.add_argument("--json", help="write the figures there")
    args = p.parse_args()
    b, out = Bench(args), {}
    try:
        b.start()
        for key in args.rows.split(","):
            if "idle" in ROWS[key]:
                out[key] = idle_table(key, b.idle(key))
                continue
            out[key] = table(key, b.row(key), args.base if args.base in b.proxies else next(iter(b.proxies)))
        print("\nmemory of the process tree after the load (PSS, MB): " +
              ", ".join(f"{n} {b.pss(n) / 1024:.1f}" for n in b.proxies))
    finally:
        b.stop()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
