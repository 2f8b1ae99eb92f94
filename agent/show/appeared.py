"""What one of two commands has and the other never had, and what is known of one of them only."""

from collections.abc import Mapping
from typing import Any

from agent.show.amounts import amount
from agent.show.differences import LONGEST_FIGURE
from agent.show.layout import named
from agent.terminal.values import count, number, printable
from agent.terminal.values import rows as objects

PLACES = {"appeared": 1, "vanished": 0}
"""On which side what appeared, or vanished, is: of a pair of numbers, first baseline's."""


def appeared(comparison: Mapping[str, Any], columns: int, whole: bool) -> list[str]:
    """Return what appeared, what vanished, and (``whole``) what is known of one side only.

    An appearance has no ratio. In no more than half of the runs it may be chance, so it is only
    counted unless ``whole``. Nothing is returned if there is nothing of these.
    """
    lines: list[str] = []
    for word, place in PLACES.items():
        shown, rest = shown_of(comparison, word, whole)
        items = [item_of(row, place) for row in shown]
        if rest:
            items.append(f"{rest} in no more than half of the runs")
        lines += named(word, items, columns) if items else []
    if whole and (items := known_once(comparison)):
        lines += named("one side only", items, columns)
    return ["", *lines] if lines else []


def shown_of(
    comparison: Mapping[str, Any], word: str, whole: bool
) -> tuple[list[Mapping[str, Any]], int]:
    """Return what appeared or vanished that is shown, and how much more there is."""
    listed = objects(comparison.get(word))
    shown = [row for row in listed if whole or (number(row.get("median")) or 0) > 0]
    return shown, len(listed) - len(shown)


def known_once(comparison: Mapping[str, Any]) -> list[str]:
    """Return the figures that are known of one side only, and of which."""
    return [
        f"{printable(row.get('name'), LONGEST_FIGURE)} ({printable(row.get('side'), 10)})"
        for row in objects(comparison.get("on_one_side_only"))
    ]


def item_of(row: Mapping[str, Any], place: int) -> str:
    """Return a figure, its median, and in how many of the runs of the side at ``place`` it is."""
    name = printable(row.get("name"), LONGEST_FIGURE)
    middle = amount(row.get("median"), row.get("unit"))
    occurs, runs = (_at(row.get(field), place) for field in ("occurs_in", "runs"))
    return f"{name} {middle} (in {occurs} of {runs})"


def _at(listed: object, place: int) -> str:
    return count(listed[place] if isinstance(listed, list) and len(listed) > place else None)
