#!/usr/bin/env python3
"""l4_bench.py - what bytes, connections and datagrams cost: gatehouse against nginx's stream module and HAProxy in mode tcp.

As bench.py: every proxy up at once with one worker on one processor, load and upstream (l4_load.c) on another, rounds
interleaved, the figure is CPU time of the proxy's process tree. gatehouse is the data plane without its master
(tests/unit/worker/proxy/driver), with its access log and metrics on; the peers run without logs.

  l4_bench.py [--rounds N] [--rows bulk,talk,new,udp] [--build DIR] [--json FILE]
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from lab import TOP, Lab, free_port  # noqa: E402
from measure import cpu_seconds, pss_kib  # noqa: E402

# name: (text, unit, how many units a round has, arguments of l4_load behind the port, TCP or UDP)
ROWS = {
    "bulk": ("one connection, 1 GiB", "s/GiB", 1, ["bulk", 1024, 1], "tcp"),
    "bulk8": ("8 connections, 128 MiB each", "s/GiB", 1, ["bulk", 128, 8], "tcp"),
    "talk": ("50 connections, 8 bytes there, 64 back", "us/message", 100000, ["talk", 100000, 50, 64], "tcp"),
    "talk16k": ("50 connections, 8 bytes there, 16 KiB back", "us/message", 40000, ["talk", 40000, 50, 16384], "tcp"),
    "new": ("a new connection for each 64 bytes", "us/connection", 10000, ["new", 10000], "tcp"),
    "udp": ("50 clients, 64 bytes, one at a time", "us/exchange", 100000, ["udp", 100000, 50, 64], "udp"),
    "udpburst": ("one client, 1200 bytes, 32 at a time", "us/exchange", 100000, ["udpburst", 100000, 1200], "udp"),
}


class Bench:
    def __init__(self, args):
        self.args, self.lab, self.proxies = args, Lab(args.build), {}
        self.dir, self.tool = self.lab.dir, self.lab.tool("l4_load")

    def upstream(self):
        p = self.lab.helper(self.tool, "serve", stdout=subprocess.PIPE, text=True)
        words = p.stdout.readline().split()
        self.up = {"tcp": int(words[1]), "udp": int(words[3])}

    def nginx(self):
        ports, conf = {"tcp": free_port(), "udp": free_port()}, self.dir / "nginx.conf"
        module = "/usr/lib/nginx/modules/ngx_stream_module.so"
        load = f"load_module {module};" if os.path.exists(module) else ""
        conf.write_text(f"""
{load}
worker_processes 1; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.err; daemon off;
events {{ worker_connections 8192; }}
stream {{ proxy_timeout 600s; tcp_nodelay on; proxy_half_close on;
  server {{ listen 127.0.0.1:{ports['tcp']} backlog=4096; proxy_pass 127.0.0.1:{self.up['tcp']}; }}
  server {{ listen 127.0.0.1:{ports['udp']} udp; proxy_pass 127.0.0.1:{self.up['udp']}; }} }}
""")
        return ports, self.lab.proxy("nginx", "-c", conf, "-p", self.dir)

    def haproxy(self, more=""):
        port, conf = free_port(), self.dir / f"haproxy{len(self.proxies)}.cfg"
        conf.write_text(f"""
global
  nbthread 1
  maxconn 2000
defaults
  mode tcp
  {more}
  timeout client 600s
  timeout server 600s
  timeout connect 5s
listen l
  bind 127.0.0.1:{port} backlog 4096
  server s 127.0.0.1:{self.up['tcp']}
""")
        return {"tcp": port}, self.lab.proxy("haproxy", "-f", conf)

    def haproxy_splice(self):
        return self.haproxy("option splice-auto")

    def gatehouse(self):
        p = self.lab.proxy(pathlib.Path(self.args.build) / "tests/unit/worker/proxy/driver", "--log",
                       "--cluster", f"t=127.0.0.1:{self.up['tcp']}", "--cluster", f"u=127.0.0.1:{self.up['udp']}",
                       "--tcp", "cluster=t", "--udp", "cluster=u", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = p.stdout.readline().split()
        return {words[i]: int(words[i + 1]) for i in (2, 4)}, p

    def start(self):
        self.upstream()
        for name in self.args.proxies.split(","):
            if name != "gatehouse" and not shutil.which(name.split("_")[0]):
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            ports, process = getattr(self, name)()
            self.lab.wait_port(ports["tcp"], process)
            self.proxies[name] = (ports, process)

    def round(self, name, key):
        _, _, units, how, kind = ROWS[key]
        ports, process = self.proxies[name]
        before, began = cpu_seconds(process.pid), time.monotonic()
        self.lab.run(self.tool, how[0], ports[kind], *how[1:]).check_returncode()
        cost = (cpu_seconds(process.pid) - before) / units
        return dict(cost=cost * (1e6 if units > 1 else 1), seconds=time.monotonic() - began)

    def row(self, key):
        names = [n for n, (ports, _) in self.proxies.items() if ROWS[key][4] in ports]
        results = {n: [] for n in names}
        for i in range(self.args.rounds):
            for n in names if i % 2 == 0 else names[::-1]:
                results[n].append(self.round(n, key))
        return results


def table(key, results):
    print(f"\n{ROWS[key][0]}: CPU {ROWS[key][1]}")
    base = results.get("nginx") or next(iter(results.values()))
    for name, rounds in results.items():
        cost = [r["cost"] for r in rounds]
        ratio = statistics.median(r["cost"] / b["cost"] for r, b in zip(rounds, base))
        print(f"  {name:15} {statistics.median(cost):8.3f} ({min(cost):.3f}..{max(cost):.3f})".ljust(50) +
              f"ratio {ratio:5.2f}   wall {statistics.median(r['seconds'] for r in rounds):6.2f} s")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--proxies", default="nginx,haproxy,haproxy_splice,gatehouse")
    p.add_argument("--build", default=str(TOP / "build"))
    p.add_argument("--json", help="write the figures there")
    args = p.parse_args()
    b, out = Bench(args), {}
    with b.lab:
        b.start()
        for key in args.rows.split(","):
            out[key] = b.row(key)
            table(key, out[key])
        print("\nmemory after the load (PSS, MB): " +
              ", ".join(f"{n} {pss_kib(q.pid) / 1024:.1f}" for n, (_, q) in b.proxies.items()))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
