"""Where the wall time went: each part of it, of both sides."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from agent.report.divided import (
    LEAST_SHARE,
    WAITING,
    Divided,
    divided,
    in_order,
    lacks,
)
from agent.report.drawing import LINE, LOOKS, drawn, hatched, labels, legend, without
from agent.report.picture import Picture, Table
from agent.report.subject import Side, Subject
from agent.show.amounts import ms
from agent.terminal.parts import BLOCKED_OTHER, BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU
from agent.terminal.values import ABSENT, mapping, milliseconds, number, percent, printable, rows

NAME, TITLE = "budget", "Where the wall time went"
MOST_PARTS = 9
WHOLE, FURTHER = "wall time", "further parts"
NOT_LISTED = "not listed"
WORDS = {
    FOR_BUSY_CPU: "waiting for a CPU\nthat others had",
    FOR_IDLE_CPU: "waiting for an\nidle CPU to wake up",
    "no_task": "no task",
    BLOCKED_OTHER: "blocked at the end or\nfor reasons not listed",
}
CERTAIN = (
    "A difference of a part is certain if the part decides about the cause, or by a test: of its"
    " state, or its own."
)
ON_BLOCKED_OTHER = (
    "Blocked at the end or for reasons not listed: time of which it is not known what ended it, in"
    " particular what was still blocked as the run ended; and reasons after the 20 largest of a"
    " run."
)
LONGEST_PART = 28
ROW, AROUND = 31.0, 62.0
"""Heights, in points."""


def budget(subject: Subject) -> Picture:
    """Return the picture of a side's mean budget, or of both."""
    sides = [(side, divided(side)) for side in subject.sides]
    known = [found for _, found in sides if found]
    lacking = {side.name: side.missing(lacks) for side, found in sides if not found}
    if not known:
        text = f"not measured: {next(iter(lacking.values()))}"
        missing = Table("Not measured", ("side", "why"), list(lacking.items()))
        return without(NAME, TITLE, text, missing)
    shown, rest = _shown(known)
    height = AROUND + ROW * (1 + len(shown) + bool(rest))
    svg = drawn(
        NAME,
        TITLE,
        _said(known),
        lambda axes: _draw(axes, known, shown, rest, list(lacking)),
        height,
    )
    differing = _differences(subject.comparison)
    notes = [*_notes(sides, lacking), *([CERTAIN] if differing else [])]
    return Picture(NAME, TITLE, svg, [_table(known), *differing], notes)


def _shown(known: Sequence[Divided]) -> tuple[list[str], list[str]]:
    """Return the parts that have a bar, the largest blocked ones first, and those that have none.

    Which ones they are depends on the larger of both sides.
    """
    largest: dict[str, float] = {}
    for one in known:
        for name, value in one.parts.items():
            largest[name] = max(largest.get(name, 0.0), value / one.whole if one.whole else 0.0)
    ranked = sorted(largest, key=lambda name: -largest[name])
    kept = {name for name in ranked[:MOST_PARTS] if largest[name] >= LEAST_SHARE}
    states = [name for name in WAITING if name in kept]
    others = [name for name in ranked if name in kept and name not in states]
    rest = [name for name in ranked if name not in kept and largest[name] > 0]
    is_seen = sum(largest[name] for name in rest) >= LEAST_SHARE
    return [*states, *others], rest if is_seen else []


def _draw(
    axes: Axes,
    known: Sequence[Divided],
    shown: Sequence[str],
    rest: Sequence[str],
    lacking: Sequence[str],
) -> None:
    rows = [WHOLE, *shown, *([FURTHER] if rest else [])]
    sides = len(known) + len(lacking)
    thick = 0.8 / sides
    longest = max(one.whole for one in known)
    for index, one in enumerate(known):
        values = [one.whole, *(one.part(name) for name in shown)]
        if rest:
            values.append(sum(one.part(name) or 0.0 for name in rest))
        places = [row + thick * (index - (sides - 1) / 2) for row in range(len(rows))]
        look = LOOKS[one.name]
        lengths = [value or 0.0 for value in values]
        bars = axes.barh(places, lengths, thick * 0.92, color=look.color, label=one.name)
        axes.bar_label(bars, [_amount(value) for value in values], padding=3, fontsize=9.5)
    for index, name in enumerate(lacking, len(known)):
        place = thick * (index - (sides - 1) / 2)
        hatched(axes, 0, place - thick / 2, longest, place + thick / 2)
        axes.text(longest * 1.02, place, f"{name}: not measured", va="center", fontsize=9.5)
    axes.axhline(0.5, color=LINE, linewidth=1)
    axes.set_yticks(range(len(rows)), [_words(name) for name in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.25)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.locator_params(axis="x", nbins=5)
    labels(axes.xaxis, milliseconds)
    legend(axes)


def _amount(value: float | None) -> str:
    return NOT_LISTED if value is None else milliseconds(value)


def _words(name: str) -> str:
    if name.startswith(BLOCKED_UNTIL):
        name = f"blocked in {name.removeprefix(BLOCKED_UNTIL)}"
    return WORDS.get(name, printable(name, LONGEST_PART))


def _said(known: Sequence[Divided]) -> str:
    sides = []
    for one in known:
        largest = sorted(one.parts, key=lambda name: -one.parts[name])[:3]
        parts = ", ".join(f"{_flat(name)} {ms(one.parts[name])}" for name in largest)
        sides.append(f"{one.name}: {ms(one.whole)}, of which {parts}.")
    return " ".join(sides)


def _flat(name: str) -> str:
    return _words(name).replace("\n", " ")


def _notes(sides: Sequence[tuple[Side, Divided | None]], lacking: Mapping[str, str]) -> list[str]:
    many = any(found and found.runs > 1 for _, found in sides)
    mean = "Means over the runs, which add up as well" if many else "The parts add up to it"
    notes = [f"The wall time, with nothing left out. {mean}."]
    if any(found and BLOCKED_OTHER in found.parts for _, found in sides):
        notes.append(ON_BLOCKED_OTHER)
    notes += [f"{name}: not measured, {why}." for name, why in lacking.items()]
    for side, found in sides:
        if found and (missing := side.missing(lacks)):
            notes.append(f"{side.name}: without a budget {missing}.")
    return notes


def _table(known: Sequence[Divided]) -> Table:
    names = in_order({n for one in known for n in one.parts if n != BLOCKED_OTHER})
    if any(BLOCKED_OTHER in one.parts for one in known):
        names.append(BLOCKED_OTHER)
    header = ["part", *(label for one in known for label in (one.name, "share"))]
    compares = len(known) == 2
    rows = [_row(name, known) for name in [*names, WHOLE]]
    return Table(
        "Parts of the wall time, means per run",
        [*header, *(["difference"] if compares else [])],
        rows,
    )


def _row(name: str, known: Sequence[Divided]) -> list[str]:
    values = [one.whole if name == WHOLE else one.part(name) for one in known]
    cells = [_flat(name)]
    for one, value in zip(known, values, strict=True):
        cells += [NOT_LISTED if value is None else ms(value), percent(value, one.whole)]
    if len(values) == 2:
        known_values = [value for value in values if value is not None]
        both = len(known_values) == 2
        cells.append(_signed(known_values[1] - known_values[0]) if both else ABSENT)
    return cells


def _differences(comparison: Mapping[str, Any]) -> list[Table]:
    """Return how the parts differ by the comparison's own estimate; earlier versions have none."""
    listed = [
        (
            _flat(str(row.get("name"))),
            ms(row.get("baseline_ms")),
            ms(row.get("optimized_ms")),
            _signed(mapping(row.get("difference_ms")).get("middle")),
            _interval(mapping(row.get("difference_ms"))),
            _yes_or_no(row.get("is_certain")),
        )
        for row in rows(comparison.get("parts"))
    ]
    header = ("part", "baseline", "optimized", "difference", "95 % interval", "certain")
    caption = "Medians, and difference (Hodges–Lehmann), each part by itself"
    return [Table(caption, header, listed)] if listed else []


def _yes_or_no(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else ABSENT


def _signed(value: object) -> str:
    known = number(value)
    return f"{'+' if known and known > 0 else ''}{ms(value)}"


def _interval(found: Mapping[str, Any]) -> str:
    low, high = found.get("low"), found.get("high")
    known = number(low) is not None and number(high) is not None
    return f"{_signed(low)} – {_signed(high)}" if known else ABSENT
