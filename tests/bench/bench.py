#!/usr/bin/env python3
"""bench.py - what gatehouse costs beside nginx, HAProxy, nghttpx, h2o and Envoy: same machine, same run, same rows.

  bench.py [--rows h1,h2,...] [--peers nginx,haproxy,...] [--rounds N] [--seconds S] [--json FILE] [--svg FILE] [--quick]
  bench.py --list                       the rows and their goals
  bench.py --from FILE [--svg FILE] [--docs]   draw the chart, or renew docs/performance.*, from figures of an earlier run

Only ratios of the same run count, and counts of system calls: see docs/performance.md. Exits with 0 whether goals were reached
or not, with 1 when a row could not be measured.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import sys
import traceback

import chart
import configs
import fairness
import peers
import reload_bench
import report
import routes_bench
import traffic_bench
from lab import TOP, Lab
from rows import ROWS

BENCHES = {"traffic": traffic_bench.traffic, "idle": traffic_bench.idle, "reload": reload_bench.reload,
           "pinned": reload_bench.pinned, "routes": routes_bench.lookups, "sizes": routes_bench.sizes, "live": routes_bench.live,
           "start": routes_bench.start_up, "overload": fairness.overload, "fair": fairness.fair, "spread": fairness.spread}
QUICK = dict(rounds=3, seconds=1, peers="nginx,haproxy,nghttpx,gatehouse")


class Context:
    """What a row needs: the lab, the options, the proxies that are up."""

    def __init__(self, lab, args, names):
        self.lab, self.args, self.names = lab, args, names
        self.field = traffic_bench.Field(lab, names)
        self._any = None

    def any_backend(self):
        """One that answers every path, for the rows that have many; it starts with the first of them."""
        self._any = self._any or configs.backend(self.lab)
        return self._any


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, help="rounds of a row (default 7)")
    p.add_argument("--seconds", type=int, help="seconds of a round of one proxy (default 3)")
    p.add_argument("--once", action="store_true", help="don't measure a round again that other programs disturbed")
    p.add_argument("--rows", help="names, separated by commas; a name with * at its end means all that begin so")
    p.add_argument("--peers", help="proxies, gatehouse among them (default: all that are installed)")
    p.add_argument("--build", default=str(TOP / "build"), help="where gatehouse was built, for release")
    p.add_argument("--json", help="write the figures there, after each row")
    p.add_argument("--svg", help="write the chart there")
    p.add_argument("--quick", action="store_true", help="two minutes: the most important rows, fewer rounds")
    p.add_argument("--list", action="store_true", help="name the rows and end")
    p.add_argument("--from", dest="source", help="measure nothing; read these figures")
    p.add_argument("--docs", action="store_true", help="with --from: renew the table and the chart of docs/performance.md")
    args = p.parse_args()
    defaults = QUICK if args.quick else dict(rounds=7, seconds=3, peers=",".join(n for n in peers.PEERS if "-" not in n))
    for key, value in defaults.items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    args.once |= args.quick
    return args


def chosen(args):
    if not args.rows:
        return [r for r in ROWS.values() if r.quick or not args.quick]
    found = []
    for word in args.rows.split(","):
        hits = [r for k, r in ROWS.items() if k == word or (word.endswith("*") and k.startswith(word[:-1]))]
        if not hits:
            raise SystemExit(f"no row is called {word}: bench.py --list")
        found += hits
    return found


def installed(lab, args):
    names = []
    for name in args.peers.split(","):
        if name not in peers.PEERS:
            raise SystemExit(f"no peer is called {name}: {', '.join(peers.PEERS)}")
        if peers.PEERS[name][1](lab):
            names.append(name)
        else:
            print(f"{name} is not installed and left out", file=sys.stderr)
    return names


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                  if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}"


def write(args, document):
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(document, indent=1))
    if args.svg:
        pathlib.Path(args.svg).write_text(chart.svg(document))


def measure_rows(args, rows):
    failed = []
    with Lab(args.build) as lab:
        names = installed(lab, args)
        ctx = Context(lab, args, names)
        document = dict(date=datetime.date.today().isoformat(), machine=machine(), rounds=args.rounds, seconds=args.seconds,
                        peers={n: peers.version(lab, n) for n in names}, rows=[])
        for row in rows:
            try:
                record = BENCHES[row.bench](ctx, row)
            except Exception:  # one row that can't be measured must not cost the others, which took an hour
                traceback.print_exc()
                failed.append(row.key)
                continue
            document["rows"].append(record)
            print(report.text(record), flush=True)
            write(args, document)
    print(f"\n{len(document['rows'])} rows" + (f"; could not be measured: {', '.join(failed)}" if failed else ""))
    for word in (report.REACHED, report.UNCLEAR, report.SHORT):
        print(f"  {word}: {', '.join(r['key'] for r in document['rows'] if r['verdict'] == word) or '-'}")
    return 1 if failed else 0


def renew(args, document):
    """What can be made of figures that are there already."""
    if args.docs:
        page = TOP / "docs/performance.md"
        page.write_text(report.into_page(page.read_text(), document))
        args.svg = args.svg or str(TOP / "docs/performance.svg")
    write(argparse.Namespace(json=None, svg=args.svg), document)
    if not args.svg:
        print("\n".join(report.text(r) for r in document["rows"]))
    return 0


def main():
    args = options()
    if args.list:
        for r in ROWS.values():
            print(f"{r.key:15} {r.text:62} {report.goal_text(report.summarise(r, {}))}")
        return 0
    if args.source:
        return renew(args, json.loads(pathlib.Path(args.source).read_text()))
    return measure_rows(args, chosen(args))


if __name__ == "__main__":
    sys.exit(main())
