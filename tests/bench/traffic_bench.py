"""traffic_bench.py - rows of steady traffic and of idle connections: every proxy up at once, rounds A B C ... C B A."""
import subprocess
import sys
import threading
import time

import loads
import measure
import peers
import report
from lab import free_port

DISTURBED = 0.1  # processors that strangers, or the host, may take before a round is measured again
HERE = loads.HERE


class Field:
    """The proxies and their backends; they start with the first row that needs them and live until the bench ends."""

    def __init__(self, lab, names):
        self.lab, self.names, self.up, self.proxies, self.broken = lab, names, None, {}, set()

    def start(self, name):
        port = {p: free_port() for p in peers.PORTS}
        try:
            started = peers.PEERS[name][0](self.lab, port, self.up)
            for p in port.values():
                self.lab.wait_port(p, started[0])
        except RuntimeError as e:
            print(f"{name} does not start and is left out: {e}", file=sys.stderr)
            self.broken.add(name)
            return
        self.proxies[name] = (port, [p.pid for p in started])

    def able(self, row):
        """Names of those that can do this row, in the order of a round."""
        wanted = [row.base, report.OURS] if row.base else [n for n in self.names if "-" not in n]
        if not self.up:
            self.up = peers.backends(self.lab)
        for name in wanted:
            if name not in self.proxies and name not in self.broken:
                self.start(name)
        return [n for n in wanted if n in self.proxies and row.port in self.proxies[n][0]]

    def load(self, name, row, seconds, detail=False):
        return loads.LOADS[row.load](self.lab, self.proxies[name][0][row.port], row, seconds, detail)

    def cpu(self, name):
        return measure.cpu_seconds(*self.proxies[name][1])

    def pss_mb(self, name):
        return measure.pss_kib(*self.proxies[name][1]) / 1024


def once(field, name, row, seconds):
    """One round of one proxy."""
    strangers, before = measure.Strangers(), field.cpu(name)
    r = field.load(name, row, seconds)
    r["us"] = (field.cpu(name) - before) / max(r["requests"], 1) * 1e6
    r["strangers"] = max(strangers.seen())
    return r


def round_of(field, name, row, seconds, again):
    """A round that strangers disturbed is measured once more; the calmer one counts, and says what it suffered."""
    first = once(field, name, row, seconds)
    if first["strangers"] <= DISTURBED or not again:
        return first
    return min(first, once(field, name, row, seconds), key=lambda r: r["strangers"])


def details(field, name, row, seconds):
    """What would disturb a round: system calls, h2load's times, memory while the load runs."""
    seen = []
    sampler = threading.Timer(seconds * 0.6, lambda: seen.append(field.pss_mb(name)))
    with measure.Syscalls(*field.proxies[name][1]) as calls:
        sampler.start()
        r = field.load(name, row, seconds, detail=True)
    sampler.join()
    count = calls.count / r["requests"] if calls.count is not None and r["requests"] else None
    return dict(syscalls=count, pss_mb=seen[0] if seen else None, p50=r["p50"], p99=r["p99"])


def median(values):
    return loads.percentiles([v for v in values if v is not None])[0]


def traffic(ctx, row):
    field, args = ctx.field, ctx.args
    names = field.able(row)
    rounds = {n: [] for n in names}
    for n in names:
        field.load(n, row, 1)  # connections to the backend, buffers, the branch predictor
    for i in range(args.rounds):
        for n in names if i % 2 == 0 else names[::-1]:
            rounds[n].append(round_of(field, n, row, args.seconds, not args.once))
    extras = {}
    for n, v in rounds.items():
        extras[n] = details(field, n, row, min(args.seconds, 2))
        extras[n].update(rps=median([r["requests"] / args.seconds for r in v]), errors=sum(r["errors"] for r in v),
                         strangers=max(r["strangers"] for r in v))
        for key in ("p50", "p99"):
            extras[n][key] = median([r[key] for r in v]) or extras[n][key]
    return report.summarise(row, {n: [r["us"] for r in v] for n, v in rounds.items()}, extras)


def settled(field, name, deadline=15, still=2):
    """Memory once it stays the same for `still` seconds, or at the deadline: proxies give back in their own time."""
    end, last, same = time.monotonic() + deadline, None, 0
    while time.monotonic() < end and same < 2 * still:
        time.sleep(0.5)
        now = field.pss_mb(name)
        same = same + 1 if last is not None and abs(now - last) < 0.05 else 0
        last = now
    return last


def idle(ctx, row):
    """KiB for each connection that is open after one request, and what is not given back when they have closed."""
    field, n, samples, extras, notes = ctx.field, row.arg("n"), {}, {}, []
    for name in field.able(row):
        before = settled(field, name)
        child = field.lab.helper(sys.executable, HERE / "clients.py", "hold", field.proxies[name][0][row.port], n,
                                 "tls" if row.port == "https" else "plain", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if child.stdout.readline().strip() != "open":
            notes.append(f"{name}: not all {n} connections could be opened")
        held = settled(field, name, 3)
        child.stdin.close()
        child.wait(60)
        after = settled(field, name, still=8)  # some look every few seconds whether there is anything to give back
        samples[name] = [(held - before) * 1024 / n]
        extras[name] = dict(pss_mb=held, kept=(after - before) * 1024 / n, detail=f"before {before:.1f} MB, after {after:.1f} MB")
    return report.summarise(row, samples, extras, notes)
