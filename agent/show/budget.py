"""The wall time of two commands side by side: a bar for each state of either, the difference, and
the parts that the difference is made up of."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.certain import DECIDED, STATE, is_certain, part
from agent.show.differences import COMPARED, difference, occurring, signed, signs
from agent.show.layout import titled
from agent.show.wall import WORDS
from agent.terminal.charts import SHORTEST_BAR, bar, grid
from agent.terminal.parts import excludes_0
from agent.terminal.style import Style
from agent.terminal.values import FEW, mapping, number
from agent.terminal.values import rows as objects
from agent.terminal.width import cells, left, right

TITLE = "Wall time: where it went, medians over runs"
GAP = 2


def states(comparison: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the figures that are states of the budget, in its order."""
    found = {str(row.get("name")): row for row in objects(comparison.get("figures"))}
    return [found[f"{STATE}{name}"] for name in WORDS if f"{STATE}{name}" in found]


def words_of(row: Mapping[str, Any]) -> str:
    name = str(row.get("name")).removeprefix(STATE)
    return WORDS.get(name, name)


def both_budgets(comparison: Mapping[str, Any], columns: int, style: Style) -> list[str]:
    """Return both sides' states as bars of one scale; without a budget, nothing."""
    shown = states(comparison)
    if not shown:
        return []
    return ["", *titled(TITLE, [*_lines(shown, columns), *signs(shown, comparison)], style)]


def made_up_of(comparison: Mapping[str, Any]) -> str:
    """Return the parts that differ, the largest first; nothing if nothing is decided.

    Parts that only their own intervals show follow, as less certain; files of earlier versions do
    not say which those are.
    """
    if comparison.get("outcome") not in DECIDED:
        return ""
    differing = [
        row
        for row in objects(comparison.get("parts"))
        if excludes_0(mapping(row.get("difference_ms")))
    ]
    certain = [row for row in differing if is_certain(row)][:FEW]
    others = [row for row in differing if not is_certain(row)][: FEW - len(certain)]
    by = "each by its own interval" if len(others) > 1 else "by its own interval"
    less = "less certain, " if any(row.get("is_certain") is False for row in others) else ""
    told = [_differing(certain), f"{less}{by}: {_differing(others)}" if others else ""]
    return "; ".join(filter(None, told))


def _differing(parts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{signed(mapping(row.get('difference_ms')).get('middle'), 'ms')} {part(row.get('name'))}"
        for row in parts
    )


def _lines(shown: Sequence[Mapping[str, Any]], columns: int) -> list[str]:
    cells_of = [
        ("", "baseline", "optimized", "difference"),
        *(
            (
                words_of(row),
                *(occurring(row, side) for side in COMPARED),
                difference(row),
            )
            for row in shown
        ),
    ]
    widths = [max(map(cells, column)) for column in zip(*cells_of, strict=True)]
    room = (columns - sum(widths) - (len(widths) - 1) * GAP) // 2 - 1
    if room < SHORTEST_BAR:
        return grid(cells_of, columns)
    sizes = [(0.0, 0.0), *((_ms(row, "baseline"), _ms(row, "optimized")) for row in shown)]
    largest = max(max(pair) for pair in sizes)
    return [
        _line(texts, widths, [bar(size, largest, room) for size in pair], room)
        for texts, pair in zip(cells_of, sizes, strict=True)
    ]


def _line(texts: Sequence[str], widths: Sequence[int], bars: Sequence[str], room: int) -> str:
    name, before, after, differs = (
        right(text, width) for text, width in zip(texts, widths, strict=True)
    )
    first, second = (left(drawn, room) for drawn in bars)
    return f"{name}  {before} {first}  {after} {second}  {differs}".rstrip()


def _ms(row: Mapping[str, Any], side: str) -> float:
    return number(row.get(side)) or 0.0
