"""report.py - from samples to figures: medians, paired ratios, noise, verdicts; and the same as text and as Markdown.

Nothing here measures or waits, so that report_test.py can hold it to its arithmetic.
"""
import statistics

OURS = "gatehouse"
REACHED, SHORT, UNCLEAR, NONE = "reached", "fell short", "within noise", "no goal"


def paired(ours, theirs):
    """What ours cost of theirs, round by round: median, low, high, and noise as half the span in parts of the median."""
    ratios = [a / b for a, b in zip(ours, theirs) if b]
    if not ratios:
        return None
    median = statistics.median(ratios)
    return dict(median=median, low=min(ratios), high=max(ratios), noise=(max(ratios) - min(ratios)) / 2 / median if median else 0)


def best_of(samples, base=None):
    """The peer that ours is held against: `base`, or the one with the smallest median."""
    peers = {n: statistics.median(v) for n, v in samples.items() if n != OURS and v}
    if base:
        return base if base in peers else None
    return min(peers, key=peers.get, default=None)


def verdict(value, goal, noise=0.0):
    """Within noise: the goal is missed by less than the rounds differ among themselves."""
    if value is None or goal is None:
        return NONE
    if value <= goal:
        return REACHED
    return UNCLEAR if value - goal <= noise * value else SHORT


def summarise(row, samples, extras=None, notes=()):
    """The record of a row. samples: {name: [cost of each round]}; extras: {name: {more figures}}."""
    extras, peers = extras or {}, {}
    for name, v in samples.items():
        if v:
            peers[name] = dict(median=statistics.median(v), low=min(v), high=max(v), rounds=v, **extras.get(name, {}))
    best = best_of(samples, row.base) if row.least is None else None  # of the others, the smallest is the best
    ratio = paired(samples.get(OURS, []), samples[best]) if best else None
    record = dict(key=row.key, text=row.text, unit=row.unit, goal=row.goal, limit=row.limit, least=row.least,
                  syscalls_goal=row.syscalls, growth_goal=row.growth, best=best, peers=peers, ratio=ratio, notes=list(notes))
    record["verdict"] = judge(record)
    return record


def judge(record):
    """Of all that a row promises, the worst."""
    ours, order = record["peers"].get(OURS), [NONE, REACHED, UNCLEAR, SHORT]
    if not ours:
        return NONE
    ratio, found = record["ratio"], [NONE]
    if record["goal"] is not None and ratio:
        found.append(verdict(ratio["median"], record["goal"], ratio["noise"]))
    if record["limit"] is not None:
        found.append(verdict(ours["median"], record["limit"]))
    if record["syscalls_goal"] is not None and ours.get("syscalls") is not None:
        # Half a tenth: as exact as the figure is printed.
        found.append(verdict(ours["syscalls"], record["syscalls_goal"] + 0.05))
    if record.get("growth_goal") is not None and ours.get("growth"):
        found.append(verdict(ours["growth"]["median"], record["growth_goal"], ours["growth"]["noise"]))
    if record.get("least") is not None:
        found.append(REACHED if ours["median"] >= record["least"] else SHORT)
    if ours.get("must_be_zero"):
        found.append(SHORT)
    return max(found, key=order.index)


def number(x, digits=3):
    """As many digits as mean something; blank for what was not measured."""
    if x is None:
        return ""
    if x == 0:
        return "0"
    if abs(x) >= 10 ** (digits - 1):
        return f"{x:,.0f}"
    decimals = max(0, digits - 1 - max(0, len(str(int(abs(x)))) - 1 if abs(x) >= 1 else 0))
    return f"{x:.{min(decimals, 2)}f}"


def milliseconds(us):
    return "" if us is None else number(us / 1e3)


def goal_text(record):
    parts = []
    if record["goal"] is not None:
        parts.append(f"≤ {record['goal']:.2f}x")
    if record["limit"] is not None:
        parts.append(f"≤ {record['limit']:g} {record['unit']}")
    if record["syscalls_goal"] is not None:
        parts.append(f"≤ {record['syscalls_goal']:g} calls")
    if record.get("least") is not None:
        parts.append(f"≥ {record['least']:g} {record['unit']}")
    if record.get("growth_goal") is not None:
        parts.append(f"≤ {record['growth_goal']:g}x of few routes")
    return ", ".join(parts)


def ratio_text(record):
    r = record["ratio"]
    return f"{r['median']:.2f} ±{r['noise'] * 100:.0f} %" if r else ""


# What else a row knows of each peer: (name in the record, head, how it is written).
COLUMNS = [("rps", "/s", number), ("p50", "p50 ms", milliseconds), ("p99", "p99 ms", milliseconds),
           ("syscalls", "calls", lambda x: "" if x is None else f"{x:.1f}"), ("pss_mb", "MB", number), ("kept", "kept KiB", number),
           ("first_ms", "first ms", number), ("seen_ms", "all seen ms", number), ("failed", "failed", number),
           ("closed", "closed", number), ("p99_before", "p99 before", milliseconds), ("p99_during", "during", milliseconds),
           ("cpu_ms", "CPU ms", number), ("detail", "", str), ("errors", "errors", number), ("strangers", "strangers", number)]


def columns(record):
    """Those that at least one peer of this row has."""
    return [c for c in COLUMNS if any(p.get(c[0]) not in (None, "") for p in record["peers"].values())]


def text(record):
    """The row for a terminal."""
    more = columns(record)
    heads = ["", record["unit"], "low..high", "of the best", *(c[1] for c in more)]
    lines = [heads]
    for name, p in record["peers"].items():
        mark = "*" if name == record["best"] else ""
        lines.append([name + mark, number(p["median"]), f"{number(p['low'])}..{number(p['high'])}",
                      ratio_text(record) if name == OURS else "", *(c[2](p.get(c[0])) if p.get(c[0]) is not None else "" for c in more)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    out = [f"\n{record['key']}: {record['text']}"]
    out += ["  " + line[0].ljust(widths[0]) + "".join("  " + c.rjust(w) for c, w in zip(line[1:], widths[1:])) for line in lines]
    goal = goal_text(record)
    if goal:
        out.append(f"  goal {goal}: {record['verdict']}")
    out += [f"  {n}" for n in record["notes"]]
    return "\n".join(out)


def markdown(document):
    """Every row as one table, for docs/performance.md."""
    names = [n for n in document["peers"] if n != OURS and n != "gatehouse-nolog"]
    head = ["Row", "Unit", OURS, *names, "Ratio to the best", "Goal", ""]
    out = ["| " + " | ".join(head) + " |", "|---|---|" + "--:|" * (len(names) + 2) + "---|---|"]
    for record in document["rows"]:
        cells = [record["text"], record["unit"]]
        for n in [OURS, *names]:
            p = record["peers"].get(n)
            calls = f" ({p['syscalls']:.1f})" if p and p.get("syscalls") is not None else ""
            cells.append((number(p["median"]) + calls) if p else "–")
        cells += [ratio_text(record), goal_text(record), record["verdict"] if goal_text(record) else ""]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n\nIn brackets: system calls for each request.\n"


def strangers(document):
    """The most that others took in a round that counts: how far the figures can be trusted."""
    return max((p.get("strangers") or 0 for r in document["rows"] for p in r["peers"].values()), default=0)


def machine_text(document):
    """Where and how the figures were measured; a machine that was not calm is named."""
    most = strangers(document)
    calm = "" if most < 0.2 else f"**Other programs took up to {most:.1f} processors meanwhile: trust the counts, not the times.** "
    peers = "; ".join(f"{n}: {v}" for n, v in document["peers"].items() if n != "gatehouse-nolog")
    return f"{document['date']}, {document['machine']}. {document['rounds']} rounds of {document['seconds']} s. {calm}{peers}.\n"


BEGIN, END = "<!-- figures: make bench-docs writes what follows -->", "<!-- end of the figures -->"


def into_page(page, document):
    """The page with its table replaced; what people wrote around it stays."""
    head, rest = page.split(BEGIN, 1)
    return f"{head}{BEGIN}\n\n{machine_text(document)}\n{markdown(document)}\n{END}{rest.split(END, 1)[1]}"
