#!/usr/bin/env python3
"""Draws flow.svg and flow-dark.svg: the way of a request through Flota, as README.md shows it.

    python3 docs/images/flow.py            # writes both files
    python3 docs/images/flow.py --check    # exit code 1 if a file differs from what would be written

Needs Python 3.9 or later and no packages. The same script writes the same bytes on every machine: all coordinates
are whole numbers, and nothing depends on the time, the locale or installed fonts.
"""

import sys
from pathlib import Path

WIDTH, HEIGHT = 960, 350
TITLE = "Flota: a request from POST to signed webhook"
DESCRIPTION = (
    "A client posts a request to the API, which stores it and answers 202. The API puts tasks on the queue of each "
    "worker. A worker fetches, decodes, batches and infers, and puts outcomes on a queue. The recorder stores them. "
    "The notifier reads due callbacks from the store and sends a signed webhook to the client. The sweeper sends tasks "
    "again that no queue holds any more."
)
THEMES = {
    "flow.svg": {
        "ink": "#1f2328", "soft": "#59636e", "line": "#818b98", "box": "#f6f8fa", "edge": "#d1d9e0",
        "worker": "#ddf4ff", "worker_edge": "#54aeff", "queue": "#fff8c5", "queue_edge": "#d4a72c",
        "store": "#dafbe1", "store_edge": "#4ac26b", "sure": "#1a7f37",
    },
    "flow-dark.svg": {
        "ink": "#f0f6fc", "soft": "#9198a1", "line": "#7d8590", "box": "#151b23", "edge": "#3d444d",
        "worker": "#0c2d6b", "worker_edge": "#1f6feb", "queue": "#3b2300", "queue_edge": "#9e6a03",
        "store": "#04260f", "store_edge": "#238636", "sure": "#3fb950",
    },
}


class Drawing:
    """Elements of an SVG, in the order in which they are drawn."""

    def __init__(self, colors):
        self.colors = colors
        self.lines = []

    def add(self, element):
        self.lines.append("  " + element)

    def text(self, x, y, words, *, size=14, color="ink", bold=False, anchor="middle"):
        weight = ' font-weight="600"' if bold else ""
        self.add(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{self.colors[color]}" text-anchor="{anchor}"{weight}>'
            f"{words}</text>"
        )

    def box(self, x, y, width, height, *, fill="box", edge="edge"):
        self.add(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{self.colors[fill]}" '
            f'stroke="{self.colors[edge]}" stroke-width="2"/>'
        )

    def part(self, x, y, width, name, note):
        """A box with a name and a smaller line below it."""
        self.box(x, y, width, 64)
        self.text(x + width // 2, y + 28, name, size=15, bold=True)
        self.text(x + width // 2, y + 48, note, size=12, color="soft")

    def queue(self, x, y, width, name):
        """A queue: a pill with the messages in it as bars, and its name below."""
        self.add(
            f'<rect x="{x}" y="{y}" width="{width}" height="36" rx="18" fill="{self.colors["queue"]}" '
            f'stroke="{self.colors["queue_edge"]}" stroke-width="2"/>'
        )
        for n in range(4):
            left = x + width // 2 - 35 + 20 * n
            self.add(
                f'<rect x="{left}" y="{y + 9}" width="10" height="18" rx="2" fill="{self.colors["queue_edge"]}"/>'
            )
        self.text(x + width // 2, y + 54, name, size=12, color="soft")

    def store(self, x, y, width, height):
        """A cylinder."""
        right, bottom, half = x + width, y + height, width // 2
        style = f'fill="{self.colors["store"]}" stroke="{self.colors["store_edge"]}" stroke-width="2"'
        self.add(
            f'<path d="M{x} {y} V{bottom} A{half} 12 0 0 0 {right} {bottom} V{y}" {style}/>'
        )
        self.add(f'<ellipse cx="{x + half}" cy="{y}" rx="{half}" ry="12" {style}/>')

    def arrow(self, *points, color="line", dashed=False):
        """A line through `points` that ends in an arrow head."""
        way = "M" + " L".join(f"{x} {y}" for x, y in points)
        dash = ' stroke-dasharray="5 5"' if dashed else ""
        self.add(
            f'<path d="{way}" fill="none" stroke="{self.colors[color]}" stroke-width="2"{dash} '
            f'marker-end="url(#{color})"/>'
        )


def draw(colors):
    art = Drawing(colors)
    # The way out: client, API, queue, workers.
    art.part(16, 46, 124, "Client", "yours")
    art.part(300, 46, 124, "API", "validates, stores")
    art.queue(500, 60, 120, "tasks, one queue per worker")
    for shift in (16, 8, 0):
        art.box(712 + shift, 40 + shift, 216, 80, fill="worker", edge="worker_edge")
    art.text(820, 72, "Worker per model", size=15, bold=True)
    art.text(820, 96, "fetch · decode · batch · infer", size=13)
    # The way back: queue, recorder, store, notifier.
    art.queue(770, 172, 120, "outcomes")
    art.part(754, 262, 152, "Recorder", "one outcome per task")
    art.store(484, 250, 152, 66)
    art.text(560, 286, "Store", size=15, bold=True)
    art.text(560, 306, "SQLite or DynamoDB", size=12, color="soft")
    art.part(300, 252, 124, "Notifier", "signs, retries")
    # Arrows, each with what travels on it.
    art.arrow((140, 72), (298, 72))
    art.text(219, 63, "POST /v1/requests", size=12, color="soft")
    art.arrow((300, 92), (142, 92), color="sure")
    art.text(219, 111, "202: durable", size=12, color="sure")
    art.arrow((424, 78), (498, 78))
    art.arrow((620, 78), (710, 78))
    art.arrow((830, 136), (830, 170))
    art.arrow((830, 230), (830, 260))
    art.arrow((754, 294), (638, 294))
    art.arrow((484, 284), (426, 284))
    art.arrow((362, 110), (362, 180), (520, 180), (520, 238))
    art.text(444, 172, "request", size=12, color="soft")
    art.arrow((600, 238), (600, 122), dashed=True)
    art.text(610, 196, "sweeper: sends", size=12, color="soft", anchor="start")
    art.text(610, 212, "lost tasks again", size=12, color="soft", anchor="start")
    art.arrow((300, 284), (78, 284), (78, 112), color="sure")
    art.text(189, 275, "signed webhook", size=12, color="sure")
    return art.lines


def svg(colors):
    heads = [
        f'    <marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{colors[name]}"/></marker>'
        for name in ("line", "sure")
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" aria-labelledby="title description" '
            'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">',
            f'  <title id="title">{TITLE}</title>',
            f'  <desc id="description">{DESCRIPTION}</desc>',
            "  <defs>",
            *heads,
            "  </defs>",
            *draw(colors),
            "</svg>",
            "",
        ]
    )


def main():
    folder = Path(__file__).resolve().parent
    files = {folder / name: svg(colors).encode() for name, colors in THEMES.items()}
    if sys.argv[1:] == ["--check"]:
        stale = [path.name for path, data in files.items() if not path.is_file() or path.read_bytes() != data]
        if stale:
            sys.exit(f"out of date: {', '.join(stale)}; run docs/images/flow.py")
    elif sys.argv[1:]:
        sys.exit(f"usage: {sys.argv[0]} [--check]")
    else:
        for path, data in files.items():
            path.write_bytes(data)


if __name__ == "__main__":
    main()
