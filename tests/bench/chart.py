"""chart.py - the figures as an SVG picture: for each row, what every proxy costs of the best peer; shorter is better.

Written by hand so that it needs no library and reads on light and dark pages: colours follow the reader's scheme.
"""
from xml.sax.saxutils import escape

from report import OURS, goal_text

LABEL, PLOT, MARGIN, RIGHT = 345, 450, 16, 64  # widths: names of rows, bars, edge, room for numbers
THICK, THIN, GAP, PAD = 9, 5, 1.5, 14  # heights: our bar, a peer's, between bars, between rows
TOP, MOST = 96, 3.0  # height of title and legend; bars end at this ratio, with an arrow
TICKS = (0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)

# name: (light, dark). Ours stands out; the peers differ in lightness too, for readers who see no hues.
COLOURS = {OURS: ("#c2410c", "#fb923c"), "nginx": ("#3f6f52", "#6fbf8b"), "haproxy": ("#3b6ea5", "#74a9e0"),
           "nghttpx": ("#7a64a8", "#b3a0e0"), "h2o": ("#8a8f98", "#8d939e"), "envoy": ("#b58a2b", "#d9b65c")}

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 } .soft { fill: #59636e; font-size: 11px } .title { font-size: 16px; font-weight: 600 }
  .page { fill: #ffffff } .grid { stroke: #d8dee4 } .one { stroke: #1f2328; stroke-width: 1.2 } .goal { stroke: #1f2328; stroke-width: 2 }
  .strong { font-weight: 600 } %s
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .soft { fill: #9198a1 } .page { fill: #0d1117 }
    .grid { stroke: #30363d } .one, .goal { stroke: #e6edf3 } %s }
"""


def shown(document):
    """Rows in which ours met a peer."""
    return [r for r in document["rows"] if r["ratio"] and r["best"] and "-" not in r["best"]]


def ratios(record):
    """[(name, cost of the best peer's cost)], ours first."""
    base = record["peers"][record["best"]]["median"]
    out = [(OURS, record["ratio"]["median"])]
    return out + [(n, p["median"] / base) for n, p in record["peers"].items() if n != OURS and "-" not in n and base]


def x_of(ratio):
    return MARGIN + LABEL + min(max(ratio, 0), MOST) / MOST * PLOT


def height_of(record):
    return THICK + (THIN + GAP) * (len(ratios(record)) - 1)


def bar(name, ratio, y, goal):
    """A bar and, where it says something, its number, which steps aside for the tick of the goal."""
    thick, x0, x1 = THICK if name == OURS else THIN, x_of(0), x_of(ratio)
    beside = x_of(goal) if goal is not None and x1 < x_of(goal) < x1 + 36 else x1
    out = [f'<rect class="c-{name}" x="{x0:.1f}" y="{y:.1f}" width="{max(x1 - x0, 0.5):.1f}" height="{thick}" rx="1"/>']
    if name == OURS:
        out.append(f'<text class="strong" x="{beside + 6:.1f}" y="{y + thick:.1f}">{ratio:.2f}</text>')
    elif ratio > MOST:
        out.append(f'<text class="soft" x="{x1 + 6:.1f}" y="{y + thick + 1:.1f}">› {ratio:.1f}</text>')
    return "".join(out)


def group(record, y):
    """One row: its name, what is wanted, the bars, a tick at the goal."""
    out, middle, top = [], y + height_of(record) / 2, y
    out.append(f'<text x="{MARGIN + LABEL - 10}" y="{middle + 1:.1f}" text-anchor="end">{escape(record["text"])}</text>')
    goal = goal_text(record)
    if goal:
        out.append(f'<text class="soft" x="{MARGIN + LABEL - 10}" y="{middle + 14:.1f}" text-anchor="end">goal {escape(goal)}</text>')
    for name, ratio in ratios(record):
        out.append(bar(name, ratio, y, record["goal"]))
        y += (THICK if name == OURS else THIN) + GAP
    if record["goal"] is not None:
        x = x_of(record["goal"])
        out.append(f'<path class="goal" d="M{x:.1f} {top - 3:.1f}V{top + THICK + 3}"/>')
    return "".join(out)


def legend(names):
    out, x = [], MARGIN + LABEL
    for n in names:
        out.append(f'<rect class="c-{n}" x="{x}" y="52" width="12" height="12" rx="2"/><text x="{x + 17}" y="62">{escape(n)}</text>')
        x += 30 + 7 * len(n)
    return "".join(out)


def colour_rules(which):
    return " ".join(f".c-{n} {{ fill: {c[which]} }}" for n, c in COLOURS.items())


def axis(bottom):
    out = []
    for t in TICKS:
        kind = "one" if t == 1.0 else "grid"
        out.append(f'<path class="{kind}" d="M{x_of(t):.1f} {TOP - 8}V{bottom}"/>'
                   f'<text class="soft" x="{x_of(t):.1f}" y="{TOP - 12}" text-anchor="middle">{t:.1f}</text>')
    return "".join(out)


def svg(document):
    records = shown(document)
    bottom = TOP + sum(height_of(r) + PAD for r in records) + 4
    width, height = MARGIN * 2 + LABEL + PLOT + RIGHT, bottom + 44
    names = [n for n in COLOURS if any(n in r["peers"] for r in records)]
    out, y = [], TOP + PAD / 2
    for record in records:
        out.append(group(record, y))
        y += height_of(record) + PAD
    about = f'{document["date"]}, {document["machine"]}; median of {document["rounds"]} paired rounds'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" height="{height:.0f}" '
            f'role="img" aria-label="Cost of each proxy as a ratio to the best peer">\n'
            f'<style>{STYLE % (colour_rules(0), colour_rules(1))}</style>\n'
            f'<rect class="page" width="100%" height="100%" rx="6"/>\n'
            f'<text class="title" x="{MARGIN}" y="30">Cost, as a ratio to the best peer of the row (shorter is better)</text>\n'
            f'{legend(names)}\n{axis(bottom)}\n' + "\n".join(out) +
            f'\n<text class="soft" x="{MARGIN}" y="{height - 16:.0f}">{escape(about)}. A tick at our bar is the goal.</text>\n</svg>\n')
