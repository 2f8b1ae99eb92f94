"""SVG chart: a dot with whiskers for each configuration, and the noise floor as a band.

The SVG is generated directly, for a README on a light or dark page. It has colors for both, and no
script or embedded font.
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from agent.nouns import counted
from agent.overhead.results import Measured, Result, WorkloadResult
from agent.overhead.stats import is_difference
from agent.statistics.estimate import Estimate

WIDTH = 820
LABELS = 290
RIGHT = 90
ROW = 24
TOP = 66
BOTTOM = 46
FURTHEST = 1.0
"""Upper limit of the scale; a larger overhead is drawn as an arrow at the edge."""
LEGEND = (("ours", "the agent"), ("other", "peers and experiments"), ("floor", "floor and noise"))
OURS = ("runqlat", "biolatency", "offcpu", "exec", "syscall_counts", "all")

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.small, .tick { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de; stroke-width: 1 }
.zero { stroke: #57606a; stroke-width: 1 }
.band { fill: #afb8c1; fill-opacity: .35 }
.whisker { stroke-width: 2; stroke-linecap: round }
.ours { fill: #0969da; stroke: #0969da }
.other { fill: #9a6700; stroke: #9a6700 }
.floor { fill: #57606a; stroke: #57606a }
text.ours, text.other, text.floor { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small, .tick { fill: #9198a1 }
.grid { stroke: #3d444d }
.zero { stroke: #9198a1 }
.band { fill: #656c76; fill-opacity: .4 }
.ours { fill: #4493f8; stroke: #4493f8 }
.other { fill: #d29922; stroke: #d29922 }
.floor { fill: #9198a1; stroke: #9198a1 }
}
"""


class Scale:
    """Linear mapping of overheads (slowdown - 1) from ``low`` to ``high`` to pixels."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.step = _tick_step(high - low)

    def x(self, overhead: float) -> float:
        inside = min(max(overhead, self.low), self.high)
        return LABELS + (inside - self.low) / (self.high - self.low) * (WIDTH - LABELS - RIGHT)

    def ticks(self) -> list[float]:
        first, last = math.ceil(self.low / self.step), math.floor(self.high / self.step)
        return [number * self.step for number in range(first, last + 1)]


def draw(result: Result, workload: WorkloadResult) -> str:
    """Return the chart of one workload as an SVG document."""
    rows = sorted(
        ((measured, measured.estimate()) for measured in workload.measured),
        key=lambda row: (row[0].name != "nothing", row[1].middle),
    )
    floor = workload.noise_floor() or 0.0
    scale = _scale([estimate for _, estimate in rows], floor)
    height = TOP + ROW * len(rows) + BOTTOM
    body = [
        *_heading(result, workload),
        *_grid(scale, height),
        *_band(scale, floor, height),
        *(line for index, row in enumerate(rows) for line in _row(index, *row, floor, scale)),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(_title(workload))}</title>",
            f"<style>{STYLE}</style>",
            *body,
            "</svg>\n",
        ]
    )


def _title(workload: WorkloadResult) -> str:
    return f"Overhead of collecting: {workload.name}"


def _heading(result: Result, workload: WorkloadResult) -> list[str]:
    machine = result.machine
    pairs = max((len(measured.pairs) for measured in workload.measured), default=0)
    subtitle = (
        f"overhead per {workload.operation}, median of {counted(pairs, 'pair')},"
        f" bootstrap 95 % interval; {counted(machine.cpus, 'CPU')}, kernel {machine.kernel}"
    )
    return [_text(16, 24, _title(workload), "title"), _text(16, 44, subtitle, "small"), *_legend()]


def _legend() -> list[str]:
    places = zip(LEGEND, (430, 520, 680), strict=True)
    return [
        line
        for (kind, text), x in places
        for line in (
            f'<circle class="{kind}" cx="{x}" cy="20" r="3.5"/>',
            _text(x + 9, 24, text, "small"),
        )
    ]


def _grid(scale: Scale, height: int) -> list[str]:
    bottom = height - BOTTOM + 6
    lines = []
    for tick in scale.ticks():
        x = scale.x(tick)
        kind = "zero" if abs(tick) < scale.step / 2 else "grid"
        lines.append(_line(x, TOP - 8, x, bottom, kind))
        lines.append(_text(x, bottom + 14, f"{tick:+.0%}" if kind == "grid" else "0", "tick mid"))
    return lines


def _band(scale: Scale, floor: float, height: int) -> list[str]:
    left, right = scale.x(-floor), scale.x(floor)
    bottom = height - BOTTOM + 6
    return [
        f'<rect class="band" x="{left:.1f}" y="{TOP - 8}" width="{right - left:.1f}"'
        f' height="{bottom - TOP + 8}"/>',
        _text(scale.x(0), bottom + 30, f"noise floor ±{floor:.1%}", "tick mid"),
    ]


def _row(
    index: int, measured: Measured, estimate: Estimate, floor: float, scale: Scale
) -> list[str]:
    y = TOP + ROW * index + ROW / 2
    kind = _kind(measured.name)
    overhead = estimate.middle - 1
    verdict = f"{overhead:+.1%}" if is_difference(estimate, floor) else "no difference"
    low, middle, high = (scale.x(value - 1) for value in _ends(estimate))
    return [
        _text(LABELS - 12, y + 4, measured.label, "end"),
        _line(low, y, high, y, f"whisker {kind}"),
        _mark(middle, y, kind, beyond=overhead > scale.high),
        _text(high + 9, y + 4, verdict, f"{kind} small"),
    ]


def _mark(x: float, y: float, kind: str, *, beyond: bool) -> str:
    """Return a dot, or an arrow for a value beyond the scale."""
    if beyond:
        return f'<path class="{kind}" d="M{x - 4:.1f} {y - 5:.1f} l9 5 l-9 5 z"/>'
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    """Return the ends of the whisker around the median; without an interval it has no length."""
    if not estimate.has_interval:
        return estimate.middle, estimate.middle, estimate.middle
    return estimate.low, estimate.middle, estimate.high


def _kind(name: str) -> str:
    if name == "nothing" or name.startswith("floor"):
        return "floor"
    return "ours" if name.split("-")[0] in OURS else "other"


def _scale(estimates: Sequence[Estimate], floor: float) -> Scale:
    ends = [value - 1 for estimate in estimates for value in _ends(estimate)]
    low, high = min(-floor, *ends), max(floor, *ends)
    margin = 0.02 * (min(high, FURTHEST) - low) + 0.002
    return Scale(low - margin, min(high + margin, FURTHEST))


def _tick_step(width: float) -> float:
    """Return 1, 2 or 5 times a power of ten, such that there are four to ten ticks."""
    size = 10.0 ** math.floor(math.log10(max(width, 1e-6) / 4))
    return next(step * size for step in (1, 2, 5, 10) if width / (step * size) <= 10)


def _text(x: float, y: float, text: str, kind: str) -> str:
    anchor = {"end": "end", "mid": "middle"}.get(kind.rsplit(" ", maxsplit=1)[-1], "start")
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {where}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line class="{kind}" {ends}/>'
