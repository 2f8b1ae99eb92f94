"""Latency by percentile: the axis gives each further nine of 99.9… % as much room as the last."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes

from agent.report.drawing import LOOKS, drawn, gaps, legend, ticks, without_sides
from agent.report.latencies import FEWEST_SAMPLES, Distributions
from agent.report.picture import Picture, Table
from agent.terminal.evidence import LATENCIES
from agent.terminal.values import ABSENT, count, duration

TICKS = {0.0: "0", 0.5: "50", 0.9: "90", 0.99: "99", 0.999: "99.9", 0.9999: "99.99"}
FURTHER = {0.99999: "99.999", 0.999999: "99.9999"}
STEPS = 12
"""Points of a curve for each power of ten of 1 / (1 - quantile)."""
ROOM = 0.05
"""Of a power of ten, below and above the curves."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Percentiles of a side: for each place on the axis the median, least and largest of runs.

    A place is ``-log10(1 - quantile)``; the values are in µs, and positive.
    """

    side: str
    places: Sequence[float]
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    runs: int


def percentiles(sides: Sequence[Distributions], section: str) -> Picture:
    curves = [_curve(one) for one in sides if one.drawn]
    name, title = f"percentiles-{section}", f"{LATENCIES[section]}: percentiles"
    lacking = [f"{one.side}: {_why_none(one)}" for one in sides if not one.drawn]
    if not curves:
        return without_sides(name, title, [(one.side, _why_none(one)) for one in sides])
    svg = drawn(name, title, _said(sides), lambda axes: _draw(axes, curves, lacking))
    return Picture(name, title, svg, [_table(sides)], _notes(sides, curves, lacking))


def _why_none(one: Distributions) -> str:
    if not one.runs:
        return f"not measured: {one.missing}"
    if not one.histograms:
        return "the evidence has no distribution at full resolution (hdr)"
    most = max(histogram.total_count for histogram in one.histograms)
    return f"no run has {FEWEST_SAMPLES} samples; the most is {most}"


def _curve(one: Distributions) -> Curve:
    """Return the curve of a side with drawn runs, up to where each of them has a sample beyond."""
    end = one.decades
    places = [*(step / STEPS for step in range(math.floor(end * STEPS) + 1)), end]
    quantiles = [0.0 if place == 0 else 1 - 10**-place for place in places]
    runs = [_positive_us(run.percentiles_ns(quantiles)) for run in one.drawn]
    columns = list(zip(*runs, strict=True))
    return Curve(
        side=one.side,
        places=places,
        middle=[median(column) for column in columns],
        low=[min(column) for column in columns],
        high=[max(column) for column in columns],
        runs=len(runs),
    )


def _positive_us(values: Sequence[int | None]) -> list[float]:
    """Return times in µs, of which the axis has no 0: what is below 1 ns is drawn there."""
    return [max(value or 0, 1) / 1000 for value in values]


def _draw(axes: Axes, curves: Sequence[Curve], lacking: Sequence[str]) -> None:
    for curve in curves:
        look = LOOKS[curve.side]
        axes.plot(
            curve.places,
            curve.middle,
            color=look.color,
            linestyle=look.dashes,
            label=curve.side,
        )
        if curve.runs > 1:
            axes.fill_between(
                curve.places, curve.low, curve.high, color=look.color, alpha=0.15, linewidth=0
            )
    lowest = min(min(curve.low) for curve in curves) / (1 + ROOM)
    highest = max(max(curve.high) for curve in curves) * (1 + ROOM)
    axes.set_yscale("log")
    axes.set_ylim(lowest, highest)
    ticks(axes.yaxis, decades(lowest, highest), duration)
    farthest = max(curve.places[-1] for curve in curves)
    known = {-math.log10(1 - q): said for q, said in {**TICKS, **FURTHER}.items()}
    axes.set_xlim(0, farthest)
    ticks(axes.xaxis, [place for place in known if place <= farthest + 1e-9], _tick)
    axes.set_xlabel("percentile")
    gaps(axes, lacking)
    legend(axes)


def _tick(place: float) -> str:
    known = {round(-math.log10(1 - q), 3): said for q, said in {**TICKS, **FURTHER}.items()}
    return known.get(round(place, 3), "")


def decades(low: float, high: float) -> list[float]:
    """Return round numbers on a logarithmic axis: powers of ten, or finer if these are too few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [d * 10.0**power for power in powers for d in digits]
        inside = [value for value in found if low <= value <= high]
        if len(inside) >= 3:
            break
    return inside


def _said(sides: Sequence[Distributions]) -> str:
    parts = []
    for one in sides:
        values = [f"p{said} {_at(one, q)}" for q, said in TICKS.items() if q and _at(one, q)]
        parts.append(f"{one.side}: {', '.join(values) if values else _why_none(one)}.")
    return f"Median over runs of each percentile. {' '.join(parts)}"


def _at(one: Distributions, quantile: float) -> str:
    """Return the median of a percentile over the drawn runs, or "" where one is too short."""
    needed = 1 / (1 - quantile) - 1e-6
    drawn_runs = one.drawn
    if not drawn_runs or any(run.total_count < needed for run in drawn_runs):
        return ""
    values = [run.percentile_ns(quantile) for run in drawn_runs]
    return duration(median(value for value in values if value is not None) / 1000)


def _range(one: Distributions, quantile: float) -> str:
    if not _at(one, quantile) or len(one.drawn) < 2:
        return ABSENT
    values = [value for run in one.drawn if (value := run.percentile_ns(quantile)) is not None]
    return f"{duration(min(values) / 1000)} – {duration(max(values) / 1000)}"


def _table(sides: Sequence[Distributions]) -> Table:
    header = ["percentile", *(cell for one in sides for cell in (one.side, "over runs"))]
    rows = []
    for quantile, said in TICKS.items():
        if quantile:
            cells = [(_at(one, quantile) or ABSENT, _range(one, quantile)) for one in sides]
            rows.append([f"{said} %", *(cell for pair in cells for cell in pair)])
    samples = [
        (count(median(run.total_count for run in one.histograms)), "median per run")
        if one.histograms
        else (ABSENT, ABSENT)
        for one in sides
    ]
    rows.append(["samples", *(cell for pair in samples for cell in pair)])
    return Table("Median over runs of each percentile", header, rows)


def _notes(
    sides: Sequence[Distributions], curves: Sequence[Curve], lacking: Sequence[str]
) -> list[str]:
    notes = []
    if any(curve.runs > 1 for curve in curves):
        notes.append("Line: median over runs of each percentile; band: from the least to the most.")
    notes.append("A curve ends where a run has no sample beyond.")
    for one in sides:
        few = len(one.histograms) - len(one.drawn)
        if one.drawn and few:
            notes.append(
                f"{one.side}: {few} of {one.runs} runs have fewer than {FEWEST_SAMPLES} samples and"
                " are not drawn."
            )
        if one.drawn and one.missing:
            notes.append(f"{one.side}: missing {one.missing}.")
    return [*notes, *(f"{said}." for said in lacking)]
