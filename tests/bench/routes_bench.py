"""routes_bench.py - what many routes cost: nanoseconds of a lookup, CPU of a request, time to start, bytes of the snapshot.

Lookups and sizes are route_bench's (the worker's own code on an image of the compiler's, no sockets). Live rows ask for
random routes through whole proxies with few and with many routes; the figure is what the many add to a request.
"""
import time

import configs
import loads
import measure
import report

FEW, MANY = 10, 100000
# A peer's most where more would take it minutes to start, or milliseconds for each request.
MOST = {("nginx", "hosts"): 10000, ("nginx", "prefix"): 10000, ("nginx", "header"): 10000, ("nginx", "regex"): 1000,
        ("haproxy", "regex"): 1000}
LUA = {
    "hosts": 'function request() wrk.headers["Host"] = "host-" .. math.random(0, {top}) .. ".example.com"; return wrk.format() end',
    "prefix": 'function request() return wrk.format("GET", "/p" .. math.random(0, {top}) .. "/1k") end',
    "header": 'function request() wrk.headers["x-tenant"] = "value-" .. math.random(0, {top}); return wrk.format() end',
    "regex": 'function request() return wrk.format("GET", "/p" .. math.random(0, {top}) .. "/abc1") end',
}


def table(ctx, kind):
    """route_bench's lines of a kind: [(routes, ns per lookup, compile ms, open ms, bytes per route)]."""
    out = ctx.lab.run(ctx.lab.tool("route_bench"), kind)
    rows = [line.split()[1:] for line in out.stdout.splitlines() if line.startswith(kind)]
    return [(int(r[0]), *map(float, r[1:])) for r in rows]


def lookups(ctx, row):
    """How long a lookup takes, over the sizes; its record has no peer: they don't offer theirs alone."""
    rows = table(ctx, row.arg("kind"))
    last = rows[-1]
    growth = "; ".join(f"{n:,}: {ns:.0f} ns, {size:.0f} B/route" for n, ns, _, _, size in rows)
    return report.summarise(row, {report.OURS: [last[1]]}, {report.OURS: {"detail": growth}})


def sizes(ctx, row):
    last = table(ctx, row.arg("kind"))[-1]
    more = f"{last[0]:,} routes: compiled in {last[2]:.0f} ms, opened in {last[3]:.0f} ms"
    return report.summarise(row, {report.OURS: [last[4]]}, {report.OURS: {"detail": more}})


class Pair:
    """The same proxy twice, with few routes and with many."""

    def __init__(self, ctx, name, kind, most):
        self.name, self.kind = name, kind
        self.sizes = [FEW, min(most, MOST.get((name, kind), most))]
        self.proxies = []
        for n in self.sizes:
            began = time.monotonic()
            self.proxies.append(configs.KINDS[name](ctx.lab, kind, n, ctx.any_backend(), name).start())
            self.started = time.monotonic() - began
        self.pss_mb = measure.pss_kib(self.proxies[1].process.pid) / 1024

    def stop(self):
        for p in self.proxies:
            p.stop()

    def cost(self, lab, row, seconds, which):
        """CPU us for each request to a random route, and how many requests went wrong."""
        proxy = self.proxies[which]
        script = LUA[self.kind].format(top=self.sizes[which] - 1)
        asked = type(row)(row.key, row.text, args=dict(lines=[script], path="/1k"))
        before = measure.cpu_seconds(proxy.process.pid)
        r = loads.wrk(lab, proxy.port, asked, seconds)
        return (measure.cpu_seconds(proxy.process.pid) - before) / max(r["requests"], 1) * 1e6, r["errors"]


def live(ctx, row):
    """The cost with many routes; `detail` has the cost with few, and the ratio of both for each proxy."""
    samples, extras, kind, seconds = {}, {}, row.arg("kind"), max(1, ctx.args.seconds // 2)
    for name in [n for n in configs.KINDS if n in ctx.names]:
        pair = Pair(ctx, name, kind, row.arg("most", MANY))
        few, many, errors = [], [], 0
        try:
            for which in (0, 1):
                pair.cost(ctx.lab, row, 1, which)
            for i in range(min(ctx.args.rounds, 5)):
                for which in (0, 1) if i % 2 == 0 else (1, 0):
                    cost, bad = pair.cost(ctx.lab, row, seconds, which)
                    (many if which else few).append(cost)
                    errors += bad
        finally:
            pair.stop()
        both = report.paired(many, few)
        samples[name] = many
        extras[name] = dict(pss_mb=pair.pss_mb, errors=errors, growth=both, detail=f"{pair.sizes[1]:,} routes cost {both['median']:.2f} "
                            f"±{both['noise'] * 100:.0f} % of {FEW}; up after {pair.started * 1e3:.0f} ms")
    return report.summarise(row, samples, extras)


def start_up(ctx, row):
    """From the command to the first answer; from cold, without what an earlier run may have left."""
    samples, extras = {}, {}
    for name in [n for n in configs.KINDS if n in ctx.names]:
        took = {}
        for n in row.arg("sizes"):
            n = min(n, MOST.get((name, "hosts"), n))
            proxy = configs.KINDS[name](ctx.lab, "hosts", n, ctx.any_backend(), name)
            took[n] = [start_once(proxy) for _ in range(min(3, ctx.args.rounds))]
        few, many = list(took.items())
        samples[name] = many[1]
        extras[name] = dict(detail=f"{few[0]} routes: {report.number(min(few[1]))} ms, {many[0]:,}: {report.number(min(many[1]))} ms")
    return report.summarise(row, samples, extras)


def start_once(proxy):
    """Milliseconds; what writing the configuration takes is not counted."""
    proxy.dir.mkdir(exist_ok=True)
    proxy.dir.chmod(0o755)
    proxy.put(1)
    began = time.monotonic()
    proxy.process = proxy.serve()
    proxy.lab.wait_answer(proxy.port, proxy.process)
    took = (time.monotonic() - began) * 1e3
    proxy.stop()
    return took
