"""fairness.py - too much to do, greedy neighbours, and how evenly workers share.

Overload: two other programs spin on the proxy's processor, so that the load generator, on its own, can offer twice
of what is left. Capacity and goodput are measured beside the same two. A client gives up after a second, as people do. Capacity is
what 100 connections get, the overload comes on 2,000, each of which has to be accepted, and is cold when its turn comes; so the detail also
says what a closed loop of 2,000, in which nobody gives up, reaches in percent of the capacity: what lies between that and the goodput is
the price of too much work, the rest the price of many connections.

Neighbours: small requests at a fixed rate, alone and beside one greedy HTTP/2 connection (1,000 streams, or one download of 1 GiB
after the other) on another port, whose backend and client have a lower priority, so that what is seen is the proxy's doing
and not the load's. How far that succeeds is in the detail: the same beside a neighbour that passes the proxy by, from its client straight to
its backend (and so takes all of the load's processor that is left). Where that is no better than through the proxy, it is that processor
that small requests wait for.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

import loads
import measure
import peer_gatehouse
import report
from lab import free_port
from rows import Row

SPINNERS, OFFERED, OVERLOAD_CONNECTIONS, PATIENCE_MS = 2, 2.0, 2000, 1000
SMALL_RATE, SMALL_CONNECTIONS = 500, 20


def paced(lab, port, rate, seconds, connections, patience_ms, queue="queue"):
    out = lab.run(lab.tool("paced_load"), port, f"{rate:.0f}", seconds, connections, "bench.example", "/1k", patience_ms, queue)
    return json.loads(out.stdout)


# ---- overload ----


def overload_round(field, name, seconds):
    """(goodput in % of the capacity, what else was seen). Both are answers for each second of CPU that the proxy got, because
    how much it gets beside the spinners, and beside strangers, is nothing that it could help."""
    lab, port = field.lab, field.proxies[name][0]["http"]
    memory, cpu0 = field.pss_mb(name), field.cpu(name)
    capacity = loads.wrk(lab, port, Row("c", "", args=dict(path="/1k")), seconds)["requests"]
    if not capacity:
        raise RuntimeError(f"{name} answered nothing")
    cpu1 = field.cpu(name)
    r = paced(lab, port, capacity / seconds * OFFERED, seconds * 2, OVERLOAD_CONNECTIONS, PATIENCE_MS, "drop")
    cpu2 = field.cpu(name)
    many = loads.wrk(lab, port, Row("c", "", args=dict(path="/1k", connections=OVERLOAD_CONNECTIONS)), seconds * 2)["requests"]
    cpu3, each = field.cpu(name), capacity / (cpu1 - cpu0)
    goodput = r["ok"] / (cpu2 - cpu1) / each * 100
    return goodput, dict(p99=r["p99"], capacity=capacity / seconds, answered=r["ok"] / r["seconds"], failed=r["failed"], other=r["other"],
                         many=many / (cpu3 - cpu2) / each * 100, grown=field.pss_mb(name) - memory)


def overload(ctx, row):
    field, samples, extras = ctx.field, {}, {}
    names = field.able(row)
    spinners = [ctx.lab.proxy(sys.executable, "-c", "while True: pass") for _ in range(SPINNERS)]
    try:
        for i in range(min(ctx.args.rounds, 5)):
            for name in names if i % 2 == 0 else names[::-1]:
                goodput, seen = overload_round(field, name, ctx.args.seconds)
                samples.setdefault(name, []).append(goodput)
                extras.setdefault(name, []).append(seen)
    finally:
        for p in spinners:
            ctx.lab.end(p)
    return report.summarise(row, samples, {n: overload_figures(v) for n, v in extras.items()})


def overload_figures(rounds):
    def sum_of(key):
        return sum(r[key] for r in rounds)
    def median_of(key):
        return loads.percentiles([r[key] for r in rounds])[0]
    return dict(p99=median_of("p99"), failed=sum_of("failed"),
                detail=f"{median_of('capacity'):,.0f}/s alone, {median_of('answered'):,.0f}/s of twice as many; a closed loop of as many: "
                       f"{median_of('many'):.0f} %; memory "
                       f"+{max(r['grown'] for r in rounds):.1f} MB; {sum_of('other')} told no")


# ---- neighbours ----


def greedy_load(lab, port, kind, *more):
    """Starts the neighbour; it runs until it is ended."""
    how = {"h2": ["-c1", "-m1000", "-D600"], "download": ["-c1", "-m1", "-D600"]}[kind]
    path = {"h2": "/1k", "download": "/1g"}[kind]
    return lab.helper("nice", "-n", "10", "h2load", "-t1", *how, *more, "--warm-up-time=0", f"http://127.0.0.1:{port}{path}",
                      stdout=subprocess.DEVNULL)


def fair_round(field, name, kind, seconds):
    """Small requests alone, beside the neighbour, and beside one that passes the proxy by."""
    lab, port = field.lab, field.proxies[name][0]
    seen = [paced(lab, port["http"], SMALL_RATE, seconds, SMALL_CONNECTIONS, 10000)]
    for where, more in ((port["big"], []), (field.up["big"], ["--h1"])):
        neighbour = greedy_load(lab, where, kind, *more)
        time.sleep(0.5)  # it has its window full and its streams open
        seen.append(paced(lab, port["http"], SMALL_RATE, seconds, SMALL_CONNECTIONS, 10000))
        lab.end(neighbour)
    return seen


def fair(ctx, row):
    field, samples, extras = ctx.field, {}, {}
    names = field.able(row)
    for i in range(ctx.args.rounds):
        for name in names if i % 2 == 0 else names[::-1]:
            alone, beside, past = fair_round(field, name, row.arg("greedy"), ctx.args.seconds)
            samples.setdefault(name, []).append(beside["p99"] / alone["p99"])
            e = extras.setdefault(name, dict(failed=0, before=[], during=[], past=[], p50=[]))
            e["failed"] += beside["failed"] + beside["gave_up"] + beside["other"]
            e["before"].append(alone["p99"])
            e["during"].append(beside["p99"])
            e["past"].append(past["p99"])
            e["p50"].append(beside["p50"] / alone["p50"])
    for e in extras.values():
        e["p99_before"], e["p99_during"] = (loads.percentiles(e.pop(k))[0] for k in ("before", "during"))
        past, p50 = (loads.percentiles(e.pop(k))[0] for k in ("past", "p50"))
        e["detail"] = f"half of them: x{p50:.2f}; p99 past the proxy {past / 1000:.1f} ms"
    return report.summarise(row, samples, extras)


# ---- evenness ----


def sockets(pid):
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except OSError:
            pass
    return count


def workers(pid):
    """Processes of the tree that carry traffic: every worker but the spare has the listening sockets and grows."""
    return [p for p in measure.tree(pid) if pathlib.Path(f"/proc/{p}/exe").resolve().name == "gatehouse-worker"]


def spread(ctx, row):
    """Connections of two workers that share a processor; how far busiest and idlest are apart, of their mean."""
    lab, base, port, n = ctx.lab, peer_gatehouse.folders(ctx.lab, "two"), free_port(), row.arg("n")
    up = ctx.any_backend()
    (base / "conf.d/all.yaml").write_text("---\n".join([
        peer_gatehouse.gateway({"http": (port, "protocol: HTTP")}), peer_gatehouse.route("all", ["http"], "up"),
        peer_gatehouse.service("up", up["http"])]))
    gateway = peer_gatehouse.serve(lab, base, workers=2)
    lab.wait_port(port, gateway)
    found = []
    for _ in range(min(3, ctx.args.rounds)):
        before = {p: sockets(p) for p in workers(gateway.pid)}
        child = lab.helper(sys.executable, loads.HERE / "clients.py", "hold", port, n, "plain", stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        grown = sorted(sockets(p) - b for p, b in before.items())[-2:]
        found.append((grown[1] - grown[0]) / (sum(grown) / 2) * 100)
        child.stdin.close()
        child.wait(30)
    lab.end(gateway)
    return report.summarise(row, {report.OURS: found}, {report.OURS: {"detail": f"the last: {grown[0]} and {grown[1]} of {n}"}})
