#!/usr/bin/env python3
"""
instructions.py - what a request costs in user space, as a number that does not drift.

  instructions.py --program tests/bench/instr_play [--bless] [--only ROW]... [--functions ROW]

Runs instr_play (tests/bench/instr/) under callgrind, gives each instruction to a stage of the pipeline, prints a
table, writes JSON, and compares with the baseline. README.md in this folder says what the figures mean.

Exit status: 0 fine, 1 a row grew by more than 3 %, 2 it could not be measured.
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys

LIMIT = 0.03          # of a row's own instructions: more is growth that wants a reason
KEPT = 0.003          # functions below this part of their row are not in the baseline one by one
OURS = re.compile(r"(?:^|/)((?:worker|shared|master|tests)/[\w./]+)$")
LOOSE = {"TCP 1 MiB"}  # how much a read or splice brings is the kernel's choice: shown, never judged
HERE = os.path.dirname(os.path.abspath(__file__))

# The first pattern that a function's file (else its object) matches. What has no "own" may differ from one processor
# or library to the next, because glibc and wolfSSL choose code by what the processor can do: shown, never judged.
STAGES = [ # name, own, pattern
    ("parse", True, r"worker/codec/h1_(parse|request|message|chunked|frame|error)|shared/http/"),
    ("serialise", True, r"worker/codec/h1_write"),
    ("h1", True, r"worker/codec/h1_"),
    ("h2", True, r"worker/codec/(h2_|hpack)|libnghttp2|nghttp2"),
    ("exchange", True, r"worker/http/"),
    ("match", True, r"shared/snap/|shared/regex/"),
    ("filter", True, r"worker/filter/"),
    ("pool", True, r"worker/(upstream|balance)/"),
    ("log", True, r"worker/proxy/(access_l|account|tally)"),
    ("proxy", True, r"worker/proxy/"),
    ("I/O", True, r"worker/net/|libuv"),
    ("base", True, r"shared/(base|board)/"),
    ("tls", True, r"shared/tls/"),
    ("crypto", False, r"wolf|src/(ssl|tls|tls13|internal|keys)\.c|\?\?\?|pcre2"),
    ("libc", False, r"."),
]
OWN = [name for name, own, _ in STAGES if own]


def stage_of(path, obj):
    """`path` as the compiler was given it, or "???" when an object has no debug information."""
    for name, _, pattern in STAGES:
        if re.search(pattern, path if path != "???" else os.path.basename(obj) if ".so" in obj else "???"):
            return name
    return "libc"


# --- callgrind's file ---------------------------------------------------------------------------------------------

class Names:
    """(12) name defines, (12) refers; files, functions and objects each count for themselves."""
    def __init__(self):
        self.known = {}

    def get(self, text):
        number, _, name = text.partition(" ")
        if not number.startswith("("):
            return text
        if name:
            self.known[number] = name
        return self.known.get(number, "???")


def read_profile(path):
    """{row: (requests, {(stage, file, function): instructions})} from a file of --combine-dumps=yes."""
    rows, cost = {}, None
    objects, files, functions = Names(), Names(), Names()
    obj = file = "???"
    key, skip = None, False

    def close():
        nonlocal cost
        if cost is not None and name:
            rows[name[0]] = (int(name[1]), cost)

    name = None
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            c = line[0]
            if c in "0123456789+-*":
                if skip:
                    skip = False
                elif key:
                    cost[key] += int(line.split()[1])
            elif line.startswith("part:"):
                close()
                cost, name, key, skip = collections.Counter(), None, None, False
                objects, files, functions = Names(), Names(), Names()
            elif line.startswith("desc: Trigger:") and "|" in line:
                name = line.rsplit(": ", 1)[1].strip().split("|")
            elif line.startswith("calls="):
                skip = True # the next line is the cost of the callee
            elif line.startswith("ob="):
                obj = objects.get(line[3:].rstrip("\n"))
            elif line.startswith("fl="):
                file = files.get(line[3:].rstrip("\n"))
            elif line.startswith(("fi=", "fe=", "cfi=", "cfl=")):
                files.get(line.split("=", 1)[1].rstrip("\n"))
            elif line.startswith("fn="):
                tree = OURS.search(file)
                short = tree.group(1) if tree else file
                fn = functions.get(line[3:].rstrip("\n"))
                key = (stage_of(short, obj), short if short != "???" else os.path.basename(obj), re.sub(r"'\d+$", "", fn))
            elif line.startswith("cfn="):
                functions.get(line[4:].rstrip("\n"))
            elif line.startswith("cob="):
                objects.get(line[4:].rstrip("\n"))
    close()
    return rows


def measure(args):
    out = os.path.join(args.work, "callgrind.out")
    os.makedirs(args.work, exist_ok=True)
    many = os.path.join(args.work, "routes.yaml")
    with open(many, "w", encoding="utf-8") as f:
        f.write(thousand_routes())
    if os.path.exists(out):
        os.unlink(out)
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--combine-dumps=yes",
               "--callgrind-out-file=" + out, "-q", args.program]
    for row in args.only:
        command += ["--only", row]
    command += [os.path.join(HERE, "instr", "gateway.yaml"), many]
    try:
        done = subprocess.run(command, timeout=600, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit("instructions.py: valgrind is not installed (apt-get install valgrind)")
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        print("instructions.py: the program under callgrind ended with", done.returncode, file=sys.stderr)
        sys.exit(2)
    rows = read_profile(out)
    if not rows:
        print("instructions.py: nothing was counted; was the program built where <valgrind/callgrind.h> is?", file=sys.stderr)
        sys.exit(2)
    return rows


def thousand_routes():
    """250 hosts with four rules each: an exact path, a long and a short prefix, a header."""
    out = []
    for i in range(250):
        rules = "".join(
            f"  - matches:\n    - {match}\n    backendRefs: [{{name: small, port: 80}}]\n" for match in (
                "path: {type: Exact, value: /exact/page}",
                "path: {value: /api/v2}",
                "path: {value: /api}",
                "{path: {value: /tenant}, headers: [{name: X-Tenant, value: blue}]}"))
        out.append("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
                   f"metadata: {{name: many-{i:03}}}\nspec:\n  parentRefs: [{{name: edge, sectionName: many}}]\n"
                   f"  hostnames: [h{i:03}.example.com]\n  rules:\n{rules}")
    return "---\n".join(out)


# --- what it means ------------------------------------------------------------------------------------------------

def summary(rows):
    """{row: {"own": n, "stages": {stage: n}, "functions": {"file:function": n}}}, all per request."""
    out = {}
    for row, (requests, cost) in rows.items():
        stages, functions = collections.Counter(), collections.Counter()
        for (stage, file, fn), n in cost.items():
            if file.startswith("tests/"): # the sockets and the clock of the measurement itself
                continue
            stages[stage] += n
            if stage in OWN:
                functions[f"{file}:{fn}"] += n
        own = sum(stages[s] for s in OWN)
        kept = {f: round(n / requests, 1) for f, n in functions.most_common() if n >= KEPT * own}
        out[row] = {"own": round(own / requests, 1),
                    "stages": {name: round(stages[name] / requests, 1) for name, _, _ in STAGES},
                    "functions": kept}
    return out


def table(rows):
    names = [name for name, _, _ in STAGES]
    print("user-space instructions per request\n")
    print(f"{'':24}" + "".join(f"{n:>10}" for n in names) + f"{'own':>10}{'all':>10}")
    for row, r in rows.items():
        cells = "".join(f"{r['stages'][n]:10,.0f}" if r["stages"][n] >= 0.5 else f"{'':10}" for n in names)
        print(f"{row:24}{cells}{r['own']:10,.0f}{sum(r['stages'].values()):10,.0f}")
    print("\nown: all but " + " and ".join(name for name, own, _ in STAGES if not own) +
          ", which depend on the processor; that column is held to the baseline")


def circumstances(args):
    """What else changes the figures: with other ones a comparison says little."""
    def first_line(*command):
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
        except (OSError, subprocess.CalledProcessError):
            return "?"
    return {"machine": os.uname().machine, "compiler": first_line(*args.cc.split(), "--version"),
            "flags": " ".join(sorted(f for f in set(args.cflags.split()) if not re.match(r"-W|-g\d?$", f))),
            "libuv": first_line("pkg-config", "--modversion", "libuv"),
            "wolfSSL": "the system's" if args.wolfssl == "system" else "built for speed",
            "nghttp2": first_line("pkg-config", "--modversion", "libnghttp2")}


def explain(row, now, then):
    """The stages and functions of a row that changed most, as lines."""
    moved = sorted(((now["stages"].get(s, 0) - then["stages"].get(s, 0), s) for s in OWN), key=lambda x: -abs(x[0]))
    for n, s in [m for m in moved if abs(m[0]) >= 1][:3]:
        yield f"    stage {s}: {then['stages'].get(s, 0):,.0f} -> {now['stages'].get(s, 0):,.0f} ({n:+,.0f})"
    names = set(now["functions"]) | set(then["functions"])
    moved = sorted(((now["functions"].get(f, 0) - then["functions"].get(f, 0), f) for f in names), key=lambda x: -abs(x[0]))
    for n, f in [m for m in moved if abs(m[0]) >= 1][:6]:
        yield f"    {n:+9,.0f}  {f}"


def compare(rows, base, here):
    """True: nothing to complain of."""
    same = base["circumstances"] == here
    grew = fell = False
    for row, now in rows.items():
        then = base["rows"].get(row)
        if not then:
            print(f"\nnotice: the row \"{row}\" is not in the baseline")
            fell = True
            continue
        ratio = now["own"] / then["own"]
        if row in LOOSE or abs(ratio - 1) <= LIMIT + 1e-9:
            continue
        grew |= ratio > 1
        fell |= ratio < 1
        word = "notice" if ratio < 1 or not same else "FAILED"
        print(f"\n{word}: {row}: {then['own']:,.0f} -> {now['own']:,.0f} instructions per request ({ratio - 1:+.1%})")
        print("\n".join(explain(row, now, then)))
    if not same:
        print("\nnotice: measured under other circumstances than the baseline, so growth is no failure here:")
        for k in here:
            if here[k] != base["circumstances"].get(k):
                print(f"    {k}: baseline {base['circumstances'].get(k)}, here {here[k]}")
    if grew and same:
        print("\nA request costs more than 3 % more than it did. Make it cheaper, or, if what it does now is worth that, run")
        print("`make bench-instructions-bless`, commit tests/bench/instructions.json with the change, and say why in the message.")
    elif fell and same:
        print("\nnotice: cheaper, or new. `make bench-instructions-bless` keeps what was won; commit the baseline with the change.")
    return not (grew and same)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    p.add_argument("--program", required=True)
    p.add_argument("--cc", default="cc")
    p.add_argument("--cflags", default="")
    p.add_argument("--wolfssl", default="system", help="what configure was given")
    p.add_argument("--work", default="bench-instructions.out", help="directory for callgrind's file and the results")
    p.add_argument("--baseline", default=os.path.join(HERE, "instructions.json"))
    p.add_argument("--bless", action="store_true", help="what was measured becomes the baseline")
    p.add_argument("--only", action="append", default=[], help="a row; again for more")
    p.add_argument("--functions", metavar="N", type=int, default=0, help="print the N dearest functions of each row")
    args = p.parse_args()
    if "-fsanitize" in args.cflags:
        print("instructions.py: this build has sanitizers, which would be counted; use one without, such as build/", file=sys.stderr)
        return 2
    counted = measure(args)
    rows = summary(counted)
    table(rows)
    for row, (requests, cost) in counted.items() if args.functions else []:
        print(f"\n{row}")
        for (stage, file, fn), n in cost.most_common(args.functions):
            print(f"{n / requests:10,.0f}  {stage:10} {file}:{fn}")
    here = circumstances(args)
    result = {"circumstances": here, "rows": rows}
    with open(os.path.join(args.work, "instructions.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    if args.bless:
        if args.only:
            sys.exit("instructions.py: --bless wants all rows")
        with open(args.baseline, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
        print("\nthe baseline is written; say in the commit's message what changed and why")
        return 0
    if not os.path.exists(args.baseline):
        print("\nnotice: there is no baseline; `make bench-instructions-bless` makes one")
        return 0
    with open(args.baseline, encoding="utf-8") as f:
        return 0 if compare(rows, json.load(f), here) else 1


if __name__ == "__main__":
    sys.exit(main())
