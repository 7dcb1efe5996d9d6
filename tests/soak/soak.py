#!/usr/bin/env python3
"""soak.py - the long drills, with figures: faults, changes and attacks while others are served.

  soak.py reloads [--count 1000] [--rate 10]    routes and backends change under keep-alive load with 200 WebSockets and 40 slow downloads
  soak.py kills [--count 60]                    a worker is killed every second under load
  soak.py files [--count 200] [--files 1000]    one file of many is broken at random
  soak.py certificates [--count 1000]           certificates are swapped under continuous handshakes, new and resumed
  soak.py streams [--count 1000]                reloads with gRPC streams, passed-through TLS, WebSockets and UDP flows open
  soak.py resumption [--count 200]              do sessions resume after reloads, kills, the next master and new ticket keys
  soak.py aborts [--count 10000]                handshakes that are broken off in every way
  soak.py browsers [--count 100]                page loads with cancels as Chrome, Firefox and Safari do them
  soak.py attacks [--count 100000]              the HTTP/2 attacks, one after the other, and others served meanwhile
  soak.py desync                                HTTP/2 payloads that must not reach a backend as HTTP/1.1
  soak.py records [--count 2000]                TLS handshakes and records that are wrong (more of them with tlslite-ng)
  soak.py scanners                              testssl and sslscan: findings above INFO

`make soak SOAK="certificates --count 1000"`; without SOAK all of them with their whole counts (about two hours). Each prints its figures as
JSON and fails when one is not what it must be. The flow tests run the same code with small numbers (test_s000_soak.py).
GATEHOUSE_BUILD names the build, as for the flow tests.
"""
import argparse
import importlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

DRILLS = {  # what: (module, function)
    "reloads": ("changes", "reloads"), "kills": ("changes", "kills"), "files": ("changes", "files"),
    "certificates": ("certificates", "swaps"), "streams": ("streams", "reloads"), "resumption": ("certificates", "resumption"),
    "aborts": ("aborts", "aborts"), "browsers": ("browsers", "replay"), "attacks": ("attacks", "attacks"),
    "desync": ("attacks", "desync"), "records": ("records", "records"), "scanners": ("scanners", "scan"),
}


def run(what, options):
    module, function = DRILLS[what]
    m = importlib.import_module(module)
    result = getattr(m, function)(**options)
    faults = getattr(m, function + "_faults")(result)
    print(json.dumps({what: result, "faults": faults}, indent=1), flush=True)
    return faults


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="*", choices=[*DRILLS, []], metavar="DRILL")
    p.add_argument("--count", type=int)
    p.add_argument("--rate", type=float)
    p.add_argument("--files", type=int, dest="n")
    args = p.parse_args()
    options = {k: v for k, v in vars(args).items() if k != "what" and v is not None}
    bad = [what for what in args.what or DRILLS if run(what, options)]
    print(f"{'FAILED: ' + ' '.join(bad) if bad else 'all as they must be'}", flush=True)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
