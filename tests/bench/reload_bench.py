"""reload_bench.py - what a change of the configuration costs while 1,000 requests a second run on 50 kept connections.

paced_load writes down of every answer when its request was due, when it was there, and which configuration (x-gen) gave it;
a prober opens new connections as fast as it can. From the moment the file is written:

  first    the first new connection that is answered by the new configuration
  live     the last request, on any connection, new or kept, that still got the old one: from then on it is live everywhere
  seen     when every kept connection had shown it, which can't be sooner than each has had a request (50 ms here)
"""
import json
import socket
import statistics
import subprocess
import threading
import time

import configs
import measure
import report

RATE, CONNECTIONS = 1000, 50
BEFORE, AFTER = 0.5, 0.3  # seconds of load before a change, and after it is live
DEADLINE = {"gatehouse": 30, "nginx": 90, "haproxy": 30}


class Prober(threading.Thread):
    """New connections, one after the other: [(asked at, configuration or None)]."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.seen, self.stopped = port, [], threading.Event()

    def run(self):
        while not self.stopped.is_set():
            t = time.monotonic_ns()
            self.seen.append((t, probe(self.port)))
            self.stopped.wait(0.0005)

    def newest(self):
        return max((g for _, g in self.seen if g is not None), default=0)

    def end(self):
        self.stopped.set()
        self.join()
        return self.seen


def probe(port):
    """The configuration that answers a new connection; None: it was not answered as it should."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(f"GET {configs.PATH} HTTP/1.1\r\nHost: {configs.HOST}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while more := s.recv(65536):
                data += more
        head = data.split(b"\r\n\r\n", 1)[0].lower()
        return int(head.split(b"\r\nx-gen: ")[1].split(b"\r\n")[0]) if head.startswith(b"http/1.1 200") else None
    except (OSError, IndexError, ValueError):
        return None


class Answers:
    """The log of paced_load, in the order in which requests were due."""

    def __init__(self, path):
        self.rows = sorted(tuple(map(int, line.split())) for line in path.read_text().splitlines())

    def p99(self, low, high):
        v = sorted(r[1] - r[0] for r in self.rows if low <= r[0] < high)
        return v[len(v) * 99 // 100] / 1e3 if v else None

    def last_old(self, gen):
        return max((r[0] for r in self.rows if r[5] < gen), default=0)

    def all_seen(self, gen, since):
        """When the last of the connections first showed it."""
        first = {}
        for due, done, slot, _, _, g in self.rows:
            if due >= since and g >= gen and slot not in first:
                first[slot] = done
        return max(first.values()) if len(first) == CONNECTIONS else None


def one_reload(lab, proxy, gen):
    """Everything that one change does: times in ms from the writing of the file."""
    log = lab.dir / "answers"
    load = lab.helper(lab.tool("paced_load"), proxy.port, RATE, 300, CONNECTIONS, configs.HOST, configs.PATH, 10000, "queue", log,
                      stdout=subprocess.PIPE, text=True)
    time.sleep(BEFORE)
    prober = Prober(proxy.port)
    prober.start()
    cpu, began = measure.cpu_seconds(proxy.process.pid), time.monotonic_ns()
    proxy.write(gen)
    end = time.monotonic() + DEADLINE[proxy.name]
    while prober.newest() < gen and time.monotonic() < end:
        time.sleep(0.002)
    settle(prober, gen, end)
    load.terminate()
    counts, probes = json.loads(load.communicate(timeout=30)[0]), prober.end()
    lab.end(load)
    cpu = (measure.cpu_seconds(proxy.process.pid) - cpu) * 1e3
    return figures(Answers(log), counts, probes, gen, began, cpu)


def settle(prober, gen, end):
    """Until new connections have been answered by nothing older for a while."""
    while time.monotonic() < end:
        time.sleep(AFTER)
        low = time.monotonic_ns() - AFTER * 0.9e9
        if all(g == gen for t, g in list(prober.seen) if t >= low):
            return


def figures(answers, counts, probes, gen, began, cpu_ms):
    first = min((t for t, g in probes if g == gen), default=None)
    last_old = max([answers.last_old(gen), *(t for t, g in probes if g is not None and g < gen)])
    seen = answers.all_seen(gen, began)

    def ms(t):
        return (t - began) / 1e6 if t else None
    live = max(ms(first) or 0, ms(last_old) or 0, 0) if first else None
    return dict(live=live, first_ms=ms(first), seen_ms=ms(seen), cpu_ms=cpu_ms, requests=counts["ok"] + counts["other"],
                failed=counts["failed"] + counts["other"] + counts["refused"] + counts["gave_up"],
                closed=counts["closed_idle"] + counts["closed_announced"] + counts["failed"], probes_failed=sum(g is None for _, g in probes),
                p99_before=answers.p99(0, began), p99_during=answers.p99(began, began + int(((live or 0) + 50) * 1e6)))


def summary(reloads):
    """Sums of what must not happen, medians of the rest."""
    out = {}
    for key in ("first_ms", "seen_ms", "cpu_ms", "p99_before", "p99_during"):
        v = [r[key] for r in reloads if r[key] is not None]
        out[key] = statistics.median(v) if v else None
    for key in ("failed", "closed", "requests", "probes_failed"):
        out[key] = sum(r[key] for r in reloads)
    out["detail"] = f"{len(reloads)} reloads, {out['requests']} requests"
    out["must_be_zero"] = out["failed"] + out["closed"] + out["probes_failed"]
    return out


def several(ctx, name, row, backend):
    """A proxy of its own for the row; nothing else runs beside it. None: it can't be started."""
    reloads = []
    proxy = configs.KINDS[name](ctx.lab, "paths", row.arg("routes"), backend, name).start()
    try:
        for gen in range(2, 2 + min(row.arg("reloads", 5), ctx.args.rounds)):
            reloads.append(one_reload(ctx.lab, proxy, gen))
    finally:
        proxy.stop()
    return reloads


def able(ctx):
    return [n for n in configs.KINDS if n in ctx.names]


def reload(ctx, row):
    backend, samples, extras, notes = ctx.any_backend(), {}, {}, []
    for name in able(ctx):
        try:
            reloads = several(ctx, name, row, backend)
        except RuntimeError as e:
            notes.append(f"{name}: {str(e).splitlines()[0]}")
            continue
        samples[name] = [r["live"] for r in reloads if r["live"] is not None]
        extras[name] = summary(reloads)
        if len(samples[name]) < len(reloads):
            notes.append(f"{name}: {len(reloads) - len(samples[name])} reloads were not live after {DEADLINE[name]} s")
    return report.summarise(row, samples, extras, notes)


def pinned(ctx, row):
    """What reloads add to memory while a WebSocket of every second generation lives on."""
    backend, samples, extras = ctx.any_backend(), {}, {}
    for name in able(ctx):
        reloads = 100 if name == report.OURS and not ctx.args.quick else 10
        proxy = configs.KINDS[name](ctx.lab, "paths", row.arg("routes"), backend, name).start()
        try:
            samples[name], extras[name] = pinned_one(ctx.lab, proxy, reloads)
        finally:
            proxy.stop()
    return report.summarise(row, samples, extras, ["the peers: 10 reloads, 5 WebSockets before each; gatehouse: 100 reloads"])


def pinned_one(lab, proxy, reloads):
    each = max(1, 50 // reloads)
    holder = lab.helper(lab.tool("ws_load"), "hold", proxy.ws_port, 1, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    before, held = measure.pss_kib(proxy.process.pid), 1
    for i in range(reloads):
        for _ in range(each):
            if held < 50 and (reloads <= 50 or i % 2 == 0):
                holder.stdin.write("\n")
                holder.stdin.flush()
                held += holder.stdout.readline().strip() == "open"
        proxy.write(i + 2)
        await_gen(proxy, i + 2)
    after, processes = measure.pss_kib(proxy.process.pid), len(measure.tree(proxy.process.pid))
    alive = holder.communicate(timeout=30)[0].split()[-1]
    return [(after - before) / 1024], dict(pss_mb=after / 1024, detail=f"{alive} of {held} alive, {processes} processes",
                                           must_be_zero=held - int(alive))


def await_gen(proxy, gen):
    """Until it is live. A master that still handles the last signal may lose this one: it is told again after a second."""
    end, again = time.monotonic() + DEADLINE[proxy.name], time.monotonic() + 1
    while probe(proxy.port) != gen:
        if time.monotonic() > end:
            raise RuntimeError(f"{proxy.name}: generation {gen} is not live after {DEADLINE[proxy.name]} s")
        if time.monotonic() > again:
            proxy.tell()
            again += 1
        time.sleep(0.002)
