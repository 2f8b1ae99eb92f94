"""The two ways in which runs can be compared: as pairs, or as two groups.

What is measured of both sides does not depend on it, only what their difference is and how certain.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from agent.statistics import bootstrap, comparison, groups, many
from agent.statistics.bootstrap import Gain
from agent.statistics.comparison import Shift

T = TypeVar("T")

Values = Sequence[float]


class Known(Protocol):
    """Leaves out what is not known, of two sides."""

    def __call__(
        self, before: Sequence[T | None], after: Sequence[T | None], /
    ) -> tuple[list[T], list[T]]: ...


class Design(NamedTuple):
    """How two sides are compared; every function takes the values of both."""

    name: str
    is_paired: bool
    known: Known
    shift: Callable[[Values, Values], Shift]
    relative_shift: Callable[[Values, Values], Shift]
    detectable_at: Callable[[float, Values, Values], float]
    gain: Callable[[Values, Values, int], Gain]
    fewest: Callable[[int], int]
    """Pairs, or runs of each side, needed to tell that one of this many figures differs."""


def _known_pairs(before: Sequence[T | None], after: Sequence[T | None]) -> tuple[list[T], list[T]]:
    both = [
        (first, second)
        for first, second in zip(before, after, strict=True)
        if first is not None and second is not None
    ]
    return [first for first, _ in both], [second for _, second in both]


def _known_groups(before: Sequence[T | None], after: Sequence[T | None]) -> tuple[list[T], list[T]]:
    first, second = ([one for one in side if one is not None] for side in (before, after))
    return first, second


PAIRS = Design(
    "pairs",
    True,
    _known_pairs,
    comparison.shift,
    comparison.relative_shift,
    comparison.detectable_at,
    bootstrap.gain,
    many.fewest_pairs,
)
"""Runs that were made in turn: the value at the same place of either side is of the same pair."""

GROUPS = Design(
    "groups",
    False,
    _known_groups,
    groups.shift_of_groups,
    groups.relative_shift_of_groups,
    groups.detectable_between_groups,
    bootstrap.gain_of_groups,
    many.fewest_runs,
)
"""Runs that belong to no particular run of the other side."""
