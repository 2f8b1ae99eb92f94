"""By how much each quantile of a latency differs between the two sides, with intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from agent.report.drawing import INK, MUTED, drawn, labels, ticks, without
from agent.report.numbers import amount_of, drawable
from agent.report.picture import Picture, Table
from agent.report.subject import Observed, Subject
from agent.show.amounts import FEWEST
from agent.terminal.evidence import LATENCIES
from agent.terminal.values import ABSENT, count, duration, mapping, rows, significant

ROOM = 1.6
"""How much further a logarithmic axis reaches than what it shows."""
WIDE_PERCENT, LINEAR_PERCENT = 200, 10
"""From which difference on the axis is logarithmic, and which part of it stays linear."""
NONE = "no quantile is known on both sides"
BOUNDS = ("low", "high")


class Estimated(NamedTuple):
    middle: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Differing:
    """One quantile: medians over runs and their difference, in µs, and their change, in %."""

    quantile: float
    baseline: float | None
    optimized: float | None
    difference: Estimated
    change: Estimated
    runs: str

    @property
    def name(self) -> str:
        return f"{100 * self.quantile:.6g}"


def shift(subject: Subject, section: str) -> Picture | None:
    """Return the picture; None where nothing was compared, or by an earlier version."""
    found = subject.comparison.get("shift")
    if not isinstance(found, dict):
        return None
    known = [one for row in rows(found.get(section)) if (one := _differing(row))]
    name, title = f"shift-{section}", f"{LATENCIES[section]}: difference of each quantile"
    if not known:
        text = _why_none(subject, section)
        return without(name, title, text, Table(title, ("missing", "why"), [("all", text)]))
    svg = drawn(name, title, _said(known), lambda axes: _draw(axes, known))
    return Picture(name, title, svg, [_table(known)], _notes(known))


def _differing(row: Mapping[str, Any]) -> Differing | None:
    quantile = amount_of(row.get("quantile"))
    difference, change = (_estimated(mapping(row.get(n))) for n in ("difference_us", "change_pct"))
    listed = row.get("runs")
    if quantile is None or difference is None or change is None or not 0 < quantile < 1:
        return None
    return Differing(
        quantile,
        amount_of(row.get("baseline_us")),
        amount_of(row.get("optimized_us")),
        difference,
        change,
        ", ".join(map(count, listed)) if isinstance(listed, list) else ABSENT,
    )


def _estimated(found: Mapping[str, Any]) -> Estimated | None:
    middle = drawable(found.get("middle"))
    bounds = [bound for name in BOUNDS if (bound := drawable(found.get(name))) is not None]
    if middle is None:
        return None
    return Estimated(middle, (bounds[0], bounds[1]) if len(bounds) == len(BOUNDS) else None)


def _why_none(subject: Subject, section: str) -> str:
    lacks = partial(Observed.lacks, section=section)
    why = [f"{side.name}: {found}" for side in subject.sides if (found := side.missing(lacks))]
    return "; ".join(why) or NONE


def _draw(axes: Axes, known: Sequence[Differing]) -> None:
    axes.axhline(0, color=MUTED, linewidth=1)
    for place, one in enumerate(known):
        if one.change.interval:
            axes.vlines(place, *one.change.interval, color=INK, linewidth=1.6)
        filling = "full" if one.change.interval else "none"
        axes.plot([place], [one.change.middle], "o", color=INK, fillstyle=filling)
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
    return [
        percent for one in known for percent in (one.change.middle, *(one.change.interval or ()))
    ]


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
    parts = ", ".join(f"p{one.name} {_signed(one.difference.middle)}" for one in known)
    return f"Optimized against baseline: {parts}."


def _notes(known: Sequence[Differing]) -> list[str]:
    notes = [
        "Each quantile of one run is one observation. Drawn is its change, found from the ratios of"
        " optimized to baseline: below 0 optimized is shorter. Lines are 95 % intervals of each by"
        " itself: of twenty without a difference, one is expected to miss 0."
    ]
    if _is_wide(known):
        notes.append(f"The axis is logarithmic beyond {LINEAR_PERCENT} %.")
    if any(one.change.interval is None for one in known):
        notes.append(f"Hollow: too few runs for an interval, which takes {FEWEST} of each.")
    return notes


def _table(known: Sequence[Differing]) -> Table:
    interval = "95 % interval"
    sides = ("baseline", "optimized")
    header = ("percentile", *sides, "difference", interval, "change", interval, "runs")
    listed = [
        (
            f"{one.name} %",
            duration(one.baseline),
            duration(one.optimized),
            *_cells(one.difference, _signed),
            *_cells(one.change, _percent),
            one.runs,
        )
        for one in known
    ]
    return Table("Medians over runs; difference and change (Hodges–Lehmann)", header, listed)


def _cells(one: Estimated, words: Callable[[float], str]) -> tuple[str, str]:
    interval = " – ".join(map(words, one.interval)) if one.interval else ABSENT
    return words(one.middle), interval
