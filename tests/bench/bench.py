#!/usr/bin/env python3
"""bench.py - what a request costs: gatehouse against nginx and HAProxy on the same machine, in the same run.

One upstream (nginx answering from memory), every proxy up at once and pinned to one core, the load generator
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

TOP = pathlib.Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")

ROWS = {
    "h1": dict(path="/1k", text="HTTP/1.1 keep-alive, 1 KiB"),
    "h1-64k": dict(path="/64k", text="HTTP/1.1 keep-alive, 64 KiB"),
    "h1-1m": dict(path="/1m", text="HTTP/1.1 keep-alive, 1 MiB"),
    "h1-post16k": dict(path="/post", body=16384, text="HTTP/1.1 keep-alive, POST 16 KiB"),
    "h1-new": dict(path="/1k", close=True, text="HTTP/1.1, new connection for each request"),
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
    raise SystemExit(f"nothing listens on {port} ({process.args})")


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
        self.processes.append(p)
        return p

    def upstream(self):
        self.up_port = free_port()
        root = self.dir / "www"
        root.mkdir()
        for name, n in (("1k", 1024), ("64k", 65536), ("1m", 1 << 20)):
            (root / name).write_bytes(b"x" * n)
        conf = self.dir / "upstream.conf"
        conf.write_text(f"""
worker_processes 1; pid {self.dir}/up.pid; error_log {self.dir}/up.err; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {self.dir}/up-body; client_body_buffer_size 64k; open_file_cache max=100;
  server {{ listen 127.0.0.1:{self.up_port} backlog=4096; root {root};
    location = /post {{ client_max_body_size 10m; proxy_pass_request_body off; return 200 "ok"; }} }} }}
""")
        wait_port(self.up_port, self.spawn(self.load_cpu, "nginx", "-c", conf, "-p", self.dir))

    def nginx(self):
        port, conf = free_port(), self.dir / "nginx.conf"
        conf.write_text(f"""
worker_processes 1; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.err; daemon off;
events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {self.dir}/n-body; proxy_temp_path {self.dir}/n-proxy; client_body_buffer_size 64k;
  upstream up {{ server 127.0.0.1:{self.up_port}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 600s; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; client_max_body_size 10m;
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; }} }} }}
""")
        return port, self.spawn(self.proxy_cpu, "nginx", "-c", conf, "-p", self.dir)

    def haproxy(self):
        port, conf = free_port(), self.dir / "haproxy.cfg"
        conf.write_text(f"""
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout client 600s
  timeout server 600s
  timeout connect 5s
  http-reuse always
  option forwardfor
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  http-request set-header X-Forwarded-Proto http
  server s 127.0.0.1:{self.up_port} pool-max-conn 512
""")
        return port, self.spawn(self.proxy_cpu, "haproxy", "-f", conf)

    def gatehouse(self):
        port, admin = free_port(), free_port()
        base = self.dir / "gatehouse"
        for d in ("conf.d", "state", "run"):
            (base / d).mkdir(parents=True)
            os.chmod(base / d, 0o777)
        os.chmod(base, 0o755)
        (base / "conf.d/all.yaml").write_text(f"""
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  gatewayClassName: gatehouse
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: edge}}]
  rules: [{{backendRefs: [{{name: up, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{name: up}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: up-1, labels: {{kubernetes.io/service-name: up}}}}
addressType: IPv4
endpoints: [{{addresses: ["127.0.0.1"]}}]
ports: [{{name: http, port: {self.up_port}}}]
""")
        (base / "gatehouse.yaml").write_text(f"""
apiVersion: gatehouse.dev/v1alpha1
kind: Instance
metadata: {{name: bench}}
spec:
  workers: 1
  adminAddress: 127.0.0.1:{admin}
  accessLog: {{path: {base}/access.log}}
""")
        build = pathlib.Path(self.args.build)
        return port, self.spawn(self.proxy_cpu, build / "gatehouse", "serve", "--config", base / "gatehouse.yaml",
                                "--conf-dir", base / "conf.d", "--state-dir", base / "state", "--run-dir", base / "run")

    def start(self):
        self.upstream()
        for name in self.args.proxies.split(","):
            if name != "gatehouse" and not shutil.which(name):
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            port, process = getattr(self, name)()
            wait_port(port, process)
            self.proxies[name] = (port, process)

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

    def load(self, port, row, seconds):
        script = self.dir / "load.lua"
        lines = []
        if row.get("body"):
            lines.append(f'wrk.method = "POST"; wrk.body = string.rep("x", {row["body"]})')
        if row.get("close"):
            lines.append('wrk.headers["Connection"] = "close"')
        script.write_text("\n".join(lines) + "\n")
        out = subprocess.run(["taskset", "-c", self.load_cpu, "wrk", "-t1", f"-c{self.args.connections}", f"-d{seconds}s",
                              "--latency", "-s", str(script), f"http://127.0.0.1:{port}{row['path']}"],
                             capture_output=True, text=True).stdout
        requests = int(re.search(r"(\d+) requests in", out)[1])
        errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", out)))
        m = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
        p99 = re.search(r"99%\s+(\S+)", out)
        return requests, errors + (int(m[1]) if m else 0), p99[1] if p99 else "-"

    def round(self, name, row, seconds):
        port, process = self.proxies[name]
        before = cpu_seconds(process.pid)
        requests, errors, p99 = self.load(port, row, seconds)
        return dict(us=(cpu_seconds(process.pid) - before) / max(requests, 1) * 1e6, requests=requests, errors=errors, p99=p99)

    def row(self, key):
        row, results = ROWS[key], {n: [] for n in self.proxies}
        for name in self.proxies:
            self.load(self.proxies[name][0], row, 1)
        order = list(self.proxies)
        for i in range(self.args.rounds):
            for name in order if i % 2 == 0 else order[::-1]:
                results[name].append(self.round(name, row, self.args.seconds))
        return results


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
    p.add_argument("--proxies", default="nginx,haproxy,gatehouse")
    p.add_argument("--base", default="nginx", help="ratios are to this one")
    p.add_argument("--build", default=str(TOP / "build"))
    p.add_argument("--json", help="write the figures there")
    args = p.parse_args()
    b, out = Bench(args), {}
    try:
        b.start()
        for key in args.rows.split(","):
            out[key] = table(key, b.row(key), args.base if args.base in b.proxies else next(iter(b.proxies)))
        print("\nmemory of the process tree after the load (PSS, MB): " +
              ", ".join(f"{n} {pss_kib(p.pid) / 1024:.1f}" for n, (_, p) in b.proxies.items()))
    finally:
        b.stop()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
