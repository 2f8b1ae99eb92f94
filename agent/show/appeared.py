"""What one of two commands has and the other never had, and what is known of one of them only."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.show.amounts import amount
from agent.show.differences import figure_name
from agent.show.layout import named
from agent.terminal.values import count, number, printable
from agent.terminal.values import rows as objects

NAMED = 3
"""Of what is in no more than half of the runs."""
PLACES = {"appeared": 1, "vanished": 0}
"""On which side what appeared, or vanished, is: of a pair of numbers, first baseline's."""


def appeared(comparison: Mapping[str, Any], columns: int, whole: bool) -> list[str]:
    """Return what appeared, what vanished, and (``whole``) what is known of one side only.

    An appearance has no ratio. In no more than half of the runs it may be chance, so it is only
    named unless ``whole``. Nothing is returned if there is nothing of these.
    """
    lines: list[str] = []
    for word, place in PLACES.items():
        shown, rare = shown_of(comparison, word, whole)
        items = [*(item_of(row, place) for row in shown), *rare_ones(rare, place)]
        lines += named(word, items, columns) if items else []
    if whole and (items := known_once(comparison)):
        lines += named("one side only", items, columns)
    return ["", *lines] if lines else []


def shown_of(
    comparison: Mapping[str, Any], word: str, whole: bool
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Return what appeared or vanished that is shown, and what else did, in half of the runs."""
    listed = objects(comparison.get(word))
    shown = [row for row in listed if whole or (number(row.get("median")) or 0) > 0]
    return shown, [row for row in listed if row not in shown]


def rare_ones(rare: Sequence[Mapping[str, Any]], place: int) -> list[str]:
    """Return in how many runs each of these is, of many only the first, and how many more."""
    more = len(rare) - NAMED
    return [
        *(f"{figure_name(row)} (only in {_in_runs(row, place)})" for row in rare[:NAMED]),
        *([f"{more} more, each in no more than half of the runs"] if more > 0 else []),
    ]


def known_once(comparison: Mapping[str, Any]) -> list[str]:
    """Return the figures that are known of one side only, and of which."""
    return [
        f"{figure_name(row)} ({printable(row.get('side'), 10)})"
        for row in objects(comparison.get("on_one_side_only"))
    ]


def item_of(row: Mapping[str, Any], place: int) -> str:
    """Return a figure, its median, and in how many of the runs of the side at ``place`` it is."""
    middle = amount(row.get("median"), row.get("unit"))
    return f"{figure_name(row)} {middle} (in {_in_runs(row, place)})"


def _in_runs(row: Mapping[str, Any], place: int) -> str:
    occurs, runs = (_at(row.get(field), place) for field in ("occurs_in", "runs"))
    return f"{occurs} of {runs}"


def _at(listed: object, place: int) -> str:
    return count(listed[place] if isinstance(listed, list) and len(listed) > place else None)
