"""Whether kept runs are pairs.

They are if one call of `run` made them in turn, round by round. Two blocks, one after the other,
are no pairs, whatever their numbers: nothing makes the third run of one belong to the third of the
other.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from agent.comparison.designs import GROUPS, PAIRS, Design
from agent.store.run import KeptRun


class Paired(NamedTuple):
    """How runs are compared: of pairs, the runs at the same place belong together."""

    design: Design
    baseline: Sequence[KeptRun]
    optimized: Sequence[KeptRun]
    why_no_pairs: str | None


def paired(baseline: Sequence[KeptRun], optimized: Sequence[KeptRun]) -> Paired:
    """Return runs as pairs if they are, without those whose round lacks the other; else as groups.

    Raises ValueError if a side is empty.
    """
    if not baseline or not optimized:
        raise ValueError("no runs to compare")
    first, second = _by_round(baseline), _by_round(optimized)
    rounds = sorted(first.keys() & second.keys())
    why = _why_no_series(baseline, optimized) or _why_no_rounds(first, second, rounds)
    if why is not None:
        return Paired(GROUPS, baseline, optimized, why)
    return Paired(PAIRS, [first[n] for n in rounds], [second[n] for n in rounds], None)


def _by_round(runs: Sequence[KeptRun]) -> dict[int, KeptRun]:
    """Return the runs by their round; none unless each has one of its own."""
    known = {run.round: run for run in runs if run.round is not None}
    return known if len(known) == len(runs) else {}


def _why_no_series(baseline: Sequence[KeptRun], optimized: Sequence[KeptRun]) -> str | None:
    if len({run.series for run in (*baseline, *optimized)}) > 1 or baseline[0].series is None:
        return "they are not of one series"
    sides = [{run.side for run in runs} for runs in (baseline, optimized)]
    if any(len(side) > 1 for side in sides) or sides[0] == sides[1]:
        return "they are not the two sides of one series"
    return None


def _why_no_rounds(
    first: Mapping[int, KeptRun], second: Mapping[int, KeptRun], rounds: Sequence[int]
) -> str | None:
    if not rounds:
        return "no round has a run of each side"
    began = [[began_at(side[number]) for side in (first, second)] for number in rounds]
    times = [[when for when in pair if when is not None] for pair in began]
    if any(max(one) >= min(other) for one, other in pairwise(filter(None, times))):
        return "they were not made in turn: their rounds overlap in time"
    return None


def began_at(run: KeptRun) -> datetime | None:
    """Return when a run began; None where that is not known."""
    return moment(run.started_at)


def moment(text: object) -> datetime | None:
    """Return a time as evidence has it; None if it is none."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return when if when.tzinfo is not None else None
