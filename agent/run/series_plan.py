"""What is to be run how often, and in which order."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

COMMAND, BASELINE, OPTIMIZED = "command", "baseline", "optimized"
"""Names of the sides of a series; one that compares nothing has only the first."""
PAIRS = 10
"""Runs of each side of a comparison, unless told otherwise."""
FEWEST_UNTIL = 10
"""Runs before a series may end because its interval is narrow enough."""
MIN_EFFECT = 0.01
"""The smallest difference that matters, as a part of the baseline."""


class Helpers(NamedTuple):
    """Commands around the measured ones, each of them as words; empty where there is none."""

    setup: Sequence[str] = ()
    prepare: Sequence[str] = ()
    conclude: Sequence[str] = ()
    cleanup: Sequence[str] = ()


class SeriesPlan(NamedTuple):
    """``sides``: the words of each command. ``until``: half a width, as a part of the median."""

    sides: Mapping[str, Sequence[str]]
    most: int
    seed: int
    until: float | None = None
    warmup: int = 0
    min_effect: float = MIN_EFFECT
    helpers: Helpers = Helpers()
    ignore_failure: bool = False
    show_output: bool = False
    export_json: "Path | None" = None

    @property
    def compares(self) -> bool:
        return len(self.sides) > 1

    def rounds(self) -> Iterator[list[str]]:
        """Yield the sides in the order in which they are to run, round by round.

        The order within each pair is drawn at random: who is second inherits caches, and whatever
        changes with time.
        """
        from random import Random

        random = Random(self.seed)
        for _ in range(self.most):
            order = list(self.sides)
            random.shuffle(order)
            yield order


def words_of(line: str, shell: str | None) -> list[str]:
    """Return the words of a command line: as a shell splits them, or the call of a shell.

    Raises ValueError for a line without words, and for a quote that is not closed.
    """
    words = [*shlex.split(shell), "-c", line] if shell else shlex.split(line)
    if not line.strip() or not words:
        raise ValueError("it is empty")
    return words
