"""How often each latency occurred, on logarithmic axes, both sides over each other."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from agent.report.drawing import LOOKS, drawn, gaps, legend, ticks, without_sides
from agent.report.latencies import Distributions
from agent.report.picture import Picture, Table
from agent.report.pictures.percentiles import decades
from agent.terminal.charts import range_of, with_gaps
from agent.terminal.evidence import LATENCIES
from agent.terminal.values import duration, significant

BELOW_1_US = 0.5
"""Where the bucket of what is below 1 µs begins on the axis, in µs."""
MOST_LABELS = 7


def histograms(sides: Sequence[Distributions], section: str) -> Picture:
    known = [one for one in sides if one.buckets]
    name, title = f"histogram-{section}", f"{LATENCIES[section]}: how often which latency"
    lacking = [f"{one.side}: {_why_none(one)}" for one in sides if not one.buckets]
    if not known:
        return without_sides(name, title, [(one.side, _why_none(one)) for one in sides])
    svg = drawn(name, title, _said(known), lambda axes: _draw(axes, known, lacking))
    notes = [_means(sides), *(f"{said}." for said in lacking)]
    notes += [f"{one.side}: missing {one.missing}." for one in known if one.missing]
    return Picture(name, title, svg, [_table(known)], notes)


def _why_none(one: Distributions) -> str:
    return "there was none in any run" if one.runs else f"not measured: {one.missing}"


def _means(sides: Sequence[Distributions]) -> str:
    per_run = "Mean count per run" if any(one.runs > 1 for one in sides) else "Count"
    return f"{per_run} in each power of two; both axes are logarithmic."


def _bounds(known: Sequence[Distributions]) -> list[float]:
    return with_gaps(sorted({low for one in known for low in one.buckets}))


def _draw(axes: Axes, known: Sequence[Distributions], lacking: Sequence[str]) -> None:
    bounds = _bounds(known)
    edges = [*(low or BELOW_1_US for low in bounds), 2 * bounds[-1] or 1.0]
    counts = [value for one in known for value in one.buckets.values()]
    floor = min(counts) / 2
    for index, one in enumerate(known):
        look = LOOKS[one.side]
        values = [one.buckets.get(low, floor / 2) for low in bounds]
        if index == 0:
            axes.stairs(values, edges, baseline=floor / 2, fill=True, color=look.color, alpha=0.18)
        axes.stairs(
            values,
            edges,
            baseline=floor / 2,
            color=look.color,
            linestyle=look.dashes,
            linewidth=1.6,
            label=one.side,
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(floor, max(counts) * 1.3)
    step = -(-len(edges) // MOST_LABELS)
    ticks(axes.xaxis, edges[::step], lambda us: "0" if us < 1 else duration(us))
    ticks(axes.yaxis, decades(floor, max(counts) * 1.3), significant)
    axes.set_xlabel("latency")
    axes.set_ylabel("per run" if any(one.runs > 1 for one in known) else "count")
    gaps(axes, lacking)
    legend(axes)


def _said(known: Sequence[Distributions]) -> str:
    parts = []
    for one in known:
        most = max(one.buckets, key=lambda low: one.buckets[low])
        total = significant(sum(one.buckets.values()))
        parts.append(f"{one.side}: {total} per run, most of them {range_of(most)}.")
    return " ".join(parts)


def _table(known: Sequence[Distributions]) -> Table:
    rows = [
        [range_of(low), *(significant(one.buckets.get(low, 0.0)) for one in known)]
        for low in _bounds(known)
    ]
    return Table("Mean count per run", ["latency", *(one.side for one in known)], rows)
