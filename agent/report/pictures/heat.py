"""One run over time: how many latencies of each size lie between any two snapshots."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from agent.report.drawing import FIRST, drawn, hatched, labels, ticks, without
from agent.report.latencies import BOUNDS
from agent.report.numbers import amount_of
from agent.report.picture import Picture, Table
from agent.report.subject import Observed, Subject
from agent.terminal.charts import range_of
from agent.terminal.evidence import LATENCIES
from agent.terminal.values import (
    ABSENT,
    count,
    duration,
    mapping,
    printable,
    rows,
    significant,
)

SHADES = (0.14, 0.28, 0.42, 0.58, 0.76, 1.0)
"""Opacities, from few to many: they work on light and on dark paper."""
FEWEST = 3
"""Stretches of time; fewer are no picture over time."""
MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Heat:
    """Counts by bucket (rows, lower bounds in µs) and by stretch of time (columns)."""

    at_s: Sequence[float]
    bounds: Sequence[float]
    counts: Sequence[Sequence[float]]
    lost: Sequence[float]
    """Events lost in each stretch."""

    @property
    def most_per_s(self) -> float:
        return max((rate for row in self.rates for rate in row), default=0.0)

    @property
    def rates(self) -> list[list[float]]:
        """Counts per second: stretches differ in length."""
        lengths = [end - begin for begin, end in pairwise(self.at_s)]
        return [[n / length for n, length in zip(row, lengths, strict=True)] for row in self.counts]


def heat(subject: Subject, section: str) -> Picture | None:
    """Return the picture of one run; None for a series, and for a run too short for one."""
    if subject.is_series:
        return None
    [run] = subject.sides[0].runs
    name, title = f"heat-{section}", f"{LATENCIES[section]}: over time"
    why = run.lacks(section) or _why_not(run, section)
    found = None if why else heat_of(mapping(run.evidence.get("timeline")), section)
    if found is None:
        text = f"not known over time: {why or 'the timeline is malformed'}"
        return without(name, title, text, Table(title, ("missing", "why"), [("all", text)]))
    svg = drawn(name, title, _said(found), lambda axes: _draw(axes, found))
    return Picture(name, title, svg, [_table(found)], _notes(found, run))


def _why_not(run: Observed, section: str) -> str | None:
    timeline = mapping(run.evidence.get("timeline"))
    if not timeline:
        return "the evidence has no timeline; agents of earlier versions recorded none"
    if section not in timeline:
        return "the timeline does not have this section"
    places = timeline.get("at_s")
    if not isinstance(places, list) or len(places) < FEWEST:
        return "the run was too short: snapshots are taken about once a second"
    return None if rows(timeline[section]) else "there was none in this run"


def heat_of(timeline: Mapping[str, Any], section: str) -> Heat | None:
    """Return the differences between the snapshots, which are cumulative; None if malformed."""
    at_s = _numbers(timeline.get("at_s"))
    lost = _numbers(timeline.get("lost"))
    listed = [
        (amount_of(row.get("bucket_us")), _numbers(row.get("counts")))
        for row in rows(timeline.get(section))
    ]
    found = sorted((low, counts) for low, counts in listed if low in BOUNDS and counts)
    if not found or not at_s or any(end <= begin for begin, end in pairwise([0.0, *at_s])):
        return None
    columns = [lost or [], *(counts for _, counts in found)]
    if any(len(column) != len(at_s) or sorted(column) != column for column in columns):
        return None
    return Heat(
        at_s=[0.0, *at_s],
        bounds=[low for low, _ in found],
        counts=[_growth(counts) for _, counts in found],
        lost=_growth(lost or []),
    )


def _numbers(value: object) -> list[float] | None:
    listed = value if isinstance(value, list) else []
    known = [known for one in listed if (known := amount_of(one)) is not None]
    return known if listed and len(known) == len(listed) else None


def _growth(cumulative: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise([0.0, *cumulative])]


def _shade(rate: float, most: float) -> int | None:
    """Return the index of a shade, each of which stands for the same factor; None for nothing."""
    if rate <= 0:
        return None
    factor = most ** (1 / len(SHADES)) if most > 1 else 1.0
    steps = math.log(most / rate) / math.log(factor) if factor > 1 else 0.0
    return max(len(SHADES) - 1 - int(steps), 0)


def _draw(axes: Axes, found: Heat) -> None:
    places = [_place(low) for low in found.bounds]
    bottom, top = min(places), max(places) + 1
    cells: list[list[Path]] = [[] for _ in SHADES]
    for place, rates in zip(places, found.rates, strict=True):
        for begin, end, shade in _stretches(found, rates):
            cells[shade].append(_box(begin, place, end, place + 1))
    for opacity, boxes in zip(SHADES, cells, strict=True):
        if boxes:
            whole = Path.make_compound_path(*boxes)
            axes.add_patch(PathPatch(whole, facecolor=FIRST, alpha=opacity, linewidth=0))
    for begin, end in _losing(found):
        hatched(axes, begin, bottom, end, top)
    axes.set_xlim(0, found.at_s[-1])
    axes.set_ylim(bottom, top)
    axes.set_xlabel("time since the start of the run")
    step = -(-(top - bottom) // MOST_LABELS)
    ticks(axes.yaxis, list(range(bottom, top + 1, step)), _latency_at)
    labels(axes.xaxis, lambda seconds: duration(seconds * 1e6))
    axes.grid(visible=False)


def _place(low_us: float) -> int:
    """Return the row of a bucket: the power of two, and -1 for what is below 1 µs."""
    return round(math.log2(low_us)) if low_us > 0 else -1


def _latency_at(place: float) -> str:
    return "0" if place < 0 else duration(2.0**place)


def _stretches(found: Heat, rates: Sequence[float]) -> list[tuple[float, float, int]]:
    """Return begin, end and shade; neighbors of the same shade are one."""
    joined: list[tuple[float, float, int]] = []
    for (begin, end), rate in zip(pairwise(found.at_s), rates, strict=True):
        shade = _shade(rate, found.most_per_s)
        if shade is None:
            continue
        if joined and joined[-1][1:] == (begin, shade):
            joined[-1] = (joined[-1][0], end, shade)
        else:
            joined.append((begin, end, shade))
    return joined


def _box(left: float, bottom: float, right: float, top: float) -> Path:
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return Path(corners, closed=True)


def _losing(found: Heat) -> list[tuple[float, float]]:
    """Return the stretches in which events were lost."""
    return [
        stretch for stretch, lost in zip(pairwise(found.at_s), found.lost, strict=True) if lost > 0
    ]


def _said(found: Heat) -> str:
    total = sum(map(sum, found.counts))
    return (
        f"{count(total)} latencies over {duration(found.at_s[-1] * 1e6)}, in"
        f" {len(found.at_s) - 1} stretches of time."
    )


def _notes(found: Heat, run: Observed) -> list[str]:
    least = found.most_per_s ** (1 - 1 / len(SHADES)) if found.most_per_s > 1 else 0.0
    notes = [
        "The darker or stronger, the more per second: the strongest stands for"
        f" {significant(least)} to {significant(found.most_per_s)}, each weaker one for the same"
        " factor less. Where there is no color, there was none."
    ]
    if any(found.lost):
        notes.append(f"Hatched: {count(sum(found.lost))} events were lost then.")
    if run.evidence.get("state") == "partial":
        notes.append("The run was not over: this is how far it had got.")
    return notes


def _table(found: Heat) -> Table:
    """Return a row for each stretch: how many, and in which bucket the most are."""
    rows_ = []
    for index, (begin, end) in enumerate(pairwise(found.at_s)):
        column = [row[index] for row in found.counts]
        most = max(range(len(column)), key=column.__getitem__)
        longest = max((low for low, n in zip(found.bounds, column, strict=True) if n), default=None)
        rows_.append(
            (
                f"{significant(begin)} – {significant(end)} s",
                count(sum(column)),
                range_of(found.bounds[most]) if column[most] else ABSENT,
                ABSENT if longest is None else range_of(longest),
                printable(count(found.lost[index])),
            )
        )
    header = ("time", "count", "most in", "longest in", "events lost")
    return Table("By time", header, rows_)
