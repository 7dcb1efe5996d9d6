#!/usr/bin/env python3
"""flame.py - where the time of a worker goes, as one picture: samples of `perf` become a flame graph.

  flame.py --row ROW [--build DIR] [--seconds S] OUT.svg      serves a row of bench.py, samples the worker, draws
  flame.py --pid PID [--seconds S] [--title TEXT] OUT.svg     samples a running process, then draws
  perf script | flame.py - [--title TEXT] OUT.svg              draws what was sampled elsewhere

Each box is a function, its width the share of the samples in which it was running or had called what was; boxes
stand on those that called them. Names are in the picture, counts in the tooltips: no script, so it works inside a page.
Stacks come from debug information, which the release build has (CFLAGS="-O2 -g").
"""
import argparse
import collections
import html
import re
import subprocess
import sys
import tempfile
import threading

import measure
from lab import TOP, Lab
from rows import ROWS
from traffic_bench import Field

WIDTH, ROW, CHAR, PAD = 1180, 17, 6.6, 10
LEAST = 0.0012  # of the whole: what is narrower is not drawn

# First match wins: what a function belongs to, and its colour in the picture. In front of a name stands where it lives.
GROUPS = [
    ("kernel: TCP and sockets", "#5b8db8", re.compile(r"\[kernel\] .*(tcp|ip_|ip6|sock|skb|inet|net_|loopback|dev_|nf_|napi|softirq)")),
    ("kernel: the rest", "#88a9c4", re.compile(r"\[kernel\]")),
    ("C library", "#a0a0a0", re.compile(r"\[(libc|ld-linux|libpthread)")),
    ("HTTP/2 library", "#d0a040", re.compile(r"\[libnghttp2")),
    ("event loop", "#8a8f5a", re.compile(r"\[libuv")),
    ("TLS library", "#b87bb0", re.compile(r"\] (wolf|wc_|Aes|AES|Sha\d|sp_\d|fe_|ge_|Ecc|curve25519|Tls13|BuildTls|ProcessReply|Hmac|Hash|DoTls|SendTls|Encrypt|Decrypt|Transform_Sha)")),
    ("gatehouse", "#d9703f", re.compile(r".")),
]


def group(name):
    return next((g, c) for g, c, p in GROUPS if p.search(name))


def stacks(lines):
    """Samples of `perf script` as tuples of function names, outermost first."""
    frames = []
    for line in lines:
        if not line.strip():
            if frames:
                yield tuple(reversed(frames))
            frames = []
        elif m := re.match(r"\s+[0-9a-f]+ (.+?) \((.*)\)$", line):
            name = re.sub(r"\+0x[0-9a-f]+$", "", m[1])
            if name == "[unknown]":
                continue
            frames.append(f"[{'kernel' if m[2].startswith('[') else m[2].rpartition('/')[2]}] {name}")
    if frames:
        yield tuple(reversed(frames))


def tree(samples):
    """{name: [count, {…}]}, nested."""
    root = [0, {}]
    for stack in samples:
        node = root
        node[0] += 1
        for name in stack:
            node = node[1].setdefault(name, [0, {}])
            node[0] += 1
    return root


def depth(node, total):
    return 1 + max((depth(n, total) for n in node[1].values() if n[0] >= LEAST * total), default=0)


def boxes(node, total, x, y, out):
    for name, child in sorted(node[1].items()):
        width = WIDTH * child[0] / total
        if child[0] >= LEAST * total:
            shown = name.partition("] ")[2]
            room = int((width - 4) / CHAR)
            label = shown if len(shown) <= room else shown[:room - 1] + "…" if room > 3 else ""
            out.append(f'<g><title>{html.escape(shown)}: {100 * child[0] / total:.1f} %</title>'
                       f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="{group(name)[1]}"/>'
                       + (f'<text x="{x + 3:.1f}" y="{y + 12}">{html.escape(label)}</text>' if label else "") + "</g>")
            boxes(child, total, x, y - ROW, out)
        x += width


def draw(root, title):
    total = max(root[0], 1)
    levels = depth(root, total) - 1
    legend = PAD + 22
    top = legend + 26
    height = top + levels * ROW + PAD
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * PAD} {height}" '
           'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11">',
           "<style>text{fill:#111} .t{fill:#222;font:600 14px system-ui,sans-serif} .l{fill:#444;font:12px system-ui,sans-serif}"
           " @media (prefers-color-scheme: dark){.t{fill:#eee}.l{fill:#bbb}}</style>",
           f'<text class="t" x="{PAD}" y="{PAD + 8}">{html.escape(title)} ({root[0]:,} samples)</text>']
    x = PAD
    for name, fill, _ in GROUPS:
        out.append(f'<rect x="{x}" y="{legend}" width="11" height="11" fill="{fill}"/><text class="l" x="{x + 15}" y="{legend + 10}">{name}</text>')
        x += 30 + 7 * len(name)
    out.append(f'<g transform="translate({PAD} 0)">')
    boxes(root, total, 0, top + (levels - 1) * ROW, out)
    return "\n".join(out + ["</g>", "</svg>", ""])


def sample(pid, seconds):
    with tempfile.NamedTemporaryFile() as data:
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "--call-graph", "dwarf,16384", "-o", data.name,
                        "-p", str(pid), "--", "sleep", str(seconds)], check=True)
        return subprocess.run(["perf", "script", "-i", data.name, "-F", "ip,sym,dso"], check=True,
                              capture_output=True, text=True).stdout.splitlines()


def shares(root):
    """Share of the samples by the group of the innermost function."""
    found = collections.Counter()

    def walk(node):
        for name, child in node[1].items():
            own = child[0] - sum(n[0] for n in child[1].values())
            found[group(name)[0]] += own
            walk(child)
    walk(root)
    return {g: n / max(root[0], 1) for g, n in found.most_common()}


def worker(master):
    """Of the master's children the one that used most of the processor up to now."""
    return max(measure.tree(master)[1:], key=measure.cpu_seconds)


def sample_row(key, build, seconds):
    """What perf says of the worker while it serves this row."""
    row = ROWS[key]
    with Lab(build) as lab:
        field = Field(lab, ["gatehouse"])
        field.able(row)
        field.load("gatehouse", row, 1)  # warm
        load = threading.Thread(target=field.load, args=("gatehouse", row, seconds + 2))
        load.start()
        try:
            return sample(worker(field.proxies["gatehouse"][1][0]), seconds)
        finally:
            load.join()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("input", nargs="?", choices=["-"], help="read `perf script` from the standard input")
    p.add_argument("out")
    p.add_argument("--pid", type=int)
    p.add_argument("--row", choices=[k for k, r in ROWS.items() if r.port])
    p.add_argument("--build", default=TOP / "build")
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--title")
    a = p.parse_args()
    if sum(x is not None for x in (a.pid, a.row, a.input)) != 1:
        p.error("one of --row, --pid and -")
    lines = sample_row(a.row, a.build, a.seconds) if a.row else sample(a.pid, a.seconds) if a.pid else sys.stdin
    root = tree(stacks(lines))
    with open(a.out, "w", encoding="utf-8") as f:
        f.write(draw(root, a.title or (ROWS[a.row].text if a.row else "gatehouse: time of a worker")))
    for name, share in shares(root).items():
        print(f"{100 * share:5.1f} %  {name}")


if __name__ == "__main__":
    main()
