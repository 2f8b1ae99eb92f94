"""By how much each quantile of a latency differs between the two sides, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.axes import Axes

from agent.report.drawing import INK, MUTED, blank, drawn, labels, ticks
from agent.report.latencies import SECTIONS
from agent.report.numbers import amount_of, drawable
from agent.report.picture import Picture, Table
from agent.report.subject import Observed, Subject
from agent.terminal.values import ABSENT, count, duration, mapping, rows, significant

ROOM = 1.6
"""How much further a logarithmic axis reaches than what it shows."""
SHORTEST_US = 0.001
WIDE_PERCENT, LINEAR_PERCENT = 200, 10
"""From which difference on the axis is logarithmic, and which part of it stays linear."""
NONE = "no quantile is known on both sides"
BOUNDS = ("low", "high")


@dataclass(frozen=True, slots=True)
class Differing:
    """One quantile: medians over runs and their difference, in µs."""

    quantile: float
    baseline: float
    optimized: float | None
    difference: float
    interval: tuple[float, float] | None
    runs: str

    @property
    def name(self) -> str:
        return f"{100 * self.quantile:.6g}"

    def percent(self, us: float) -> float:
        """Return a difference as a percentage of the baseline."""
        return 100 * us / self.baseline


def shift(subject: Subject, section: str) -> Picture | None:
    """Return the picture; None where nothing was compared, or by an earlier version."""
    found = subject.comparison.get("shift")
    if not isinstance(found, dict):
        return None
    known = [one for row in rows(found.get(section)) if (one := _differing(row))]
    name, title = f"shift-{section}", f"{SECTIONS[section]}: difference of each quantile"
    if not known:
        text = _why_none(subject, section)
        svg = drawn(name, title, text, lambda axes: blank(axes, text), height=120)
        return Picture(name, title, svg, [Table(title, ("missing", "why"), [("all", text)])])
    svg = drawn(name, title, _said(known), lambda axes: _draw(axes, known))
    return Picture(name, title, svg, [_table(known)], _notes(known))


def _differing(row: Mapping[str, Any]) -> Differing | None:
    quantile, baseline = amount_of(row.get("quantile")), amount_of(row.get("baseline_us"))
    found = mapping(row.get("difference_us"))
    difference = drawable(found.get("middle"))
    bounds = [bound for name in BOUNDS if (bound := drawable(found.get(name))) is not None]
    listed = row.get("runs")
    if quantile is None or baseline is None or difference is None:
        return None
    if not 0 < quantile < 1 or baseline < SHORTEST_US:
        return None
    return Differing(
        quantile,
        baseline,
        amount_of(row.get("optimized_us")),
        difference,
        (bounds[0], bounds[1]) if len(bounds) == len(BOUNDS) else None,
        ", ".join(map(count, listed)) if isinstance(listed, list) else ABSENT,
    )


def _why_none(subject: Subject, section: str) -> str:
    lacks = partial(Observed.lacks, section=section)
    why = [f"{side.name}: {found}" for side in subject.sides if (found := side.missing(lacks))]
    return "; ".join(why) or NONE


def _draw(axes: Axes, known: Sequence[Differing]) -> None:
    axes.axhline(0, color=MUTED, linewidth=1)
    for place, one in enumerate(known):
        if one.interval:
            low, high = map(one.percent, one.interval)
            axes.vlines(place, low, high, color=INK, linewidth=1.6)
        filling = "full" if one.interval else "none"
        axes.plot([place], [one.percent(one.difference)], "o", color=INK, fillstyle=filling)
    axes.set_xlim(-0.6, len(known) - 0.4)
    ticks(axes.xaxis, range(len(known)), lambda place: known[round(place)].name)
    if _is_wide(known):
        low, high = min(_drawn(known)), max(_drawn(known))
        axes.set_yscale("symlog", linthresh=LINEAR_PERCENT)
        axes.set_ylim(min(ROOM * low, -LINEAR_PERCENT), max(ROOM * high, LINEAR_PERCENT))
        ticks(axes.yaxis, _powers(low, high), _percent)
    else:
        labels(axes.yaxis, _percent)
    axes.set_xlabel("percentile")
    axes.set_ylabel("optimized against baseline")
    axes.grid(visible=False, axis="x")


def _is_wide(known: Sequence[Differing]) -> bool:
    return max(map(abs, _drawn(known))) > WIDE_PERCENT


def _drawn(known: Sequence[Differing]) -> list[float]:
    """Return what the axis has to show, as percentages."""
    return [one.percent(us) for one in known for us in (one.difference, *(one.interval or ()))]


def _powers(low: float, high: float) -> list[float]:
    """Return 0 and the powers of ten within the range, of either sign."""
    powers = [10.0**power for power in range(1, 16)]
    listed = (*(-power for power in powers), 0.0, *powers)
    return [place for place in listed if not place or ROOM * low <= place <= ROOM * high]


def _percent(value: float) -> str:
    return f"{'+' if value > 0 else ''}{significant(value)} %" if value else "0"


def _signed(us: float) -> str:
    return f"{'+' if us > 0 else ''}{duration(us)}"


def _said(known: Sequence[Differing]) -> str:
    parts = ", ".join(f"p{one.name} {_signed(one.difference)}" for one in known)
    return f"Optimized against baseline: {parts}."


def _notes(known: Sequence[Differing]) -> list[str]:
    notes = [
        "Each quantile of one run is one observation. Below 0 optimized is shorter; lines are 95 %"
        " intervals of each by itself: of twenty without a difference, one is expected to miss 0."
    ]
    if _is_wide(known):
        notes.append(f"The axis is logarithmic beyond {LINEAR_PERCENT} %.")
    if any(one.interval is None for one in known):
        notes.append("Hollow: too few runs for an interval.")
    return notes


def _table(known: Sequence[Differing]) -> Table:
    header = ("percentile", "baseline", "optimized", "difference", "95 % interval", "runs")
    listed = [
        (
            f"{one.name} %",
            duration(one.baseline),
            duration(one.optimized),
            _signed(one.difference),
            " – ".join(map(_signed, one.interval)) if one.interval else ABSENT,
            one.runs,
        )
        for one in known
    ]
    return Table("Medians over runs, and difference (Hodges–Lehmann)", header, listed)
