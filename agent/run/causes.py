"""From a difference between two commands to its cause, by rule, or to none.

The wall time of each run is divided without rest, so the difference is divided the same way. The
largest part decides, if it is half of the difference or more. Each part has a few causes, and each
cause a predicate; where no predicate holds, or what it rests on is not known, none is named.

All is seen from the faster side, so commands that change places have the same cause.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.model import Json
from agent.run.budget import BLOCKED_UNTIL, COMPUTING, FOR_BUSY_CPU, Budget
from agent.run.figures import BLOCKED_IN
from agent.run.intervals import finite, interval
from agent.statistics.comparison import Shift, shift
from agent.statistics.estimate import FEWEST
from agent.statistics.sample import median_interval

HALF, FEW, MOST = 0.5, 0.25, 0.75
TIMES_DETECTABLE = 2
"""A difference below so many times the smallest that would probably be found has no cause."""
CONTENDED_CALLS = 5
"""Each wait for a lock is a call, the wait for the end of a thread only one."""
SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "msync", "sync_file_range")
SLEEPS = ("nanosleep", "clock_nanosleep")
FOR_OTHERS_OF_THE_RUN = ("wait4", "waitid", "vfork", "futex")
"""Reasons that last as long as what another task of the run does meanwhile."""

Of = Callable[[Budget], float | None]


class Sides(NamedTuple):
    """The runs of both commands as pairs, and the part of the difference that is looked at."""

    faster: Sequence[Budget]
    slower: Sequence[Budget]
    part: str = ""
    part_ms: float = 0.0

    def shift(self, of: Of) -> Shift | None:
        """Return by how much the slower has more; None if too few pairs know it."""
        values = [(of(fast), of(slow)) for fast, slow in zip(self.faster, self.slower, strict=True)]
        known = [(fast, slow) for fast, slow in values if fast is not None and slow is not None]
        if len(known) < FEWEST:
            return None
        return shift([fast for fast, _ in known], [slow for _, slow in known])

    def medians(self, of: Of) -> tuple[float, float] | None:
        """Return the medians of the faster and of the slower; None where a run does not know it."""
        sides = [[of(one) for one in side] for side in (self.faster, self.slower)]
        known = [[value for value in side if value is not None] for side in sides]
        if any(len(side) < FEWEST for side in known):
            return None
        fast, slow = (median_interval(side).middle for side in known)
        return fast, slow

    def grew(self, of: Of) -> bool:
        """Return whether it is certainly more, by half of the part at least."""
        found = self.shift(of)
        return found is not None and _is_more(found) and found.estimate.middle >= self._of(HALF)

    def stayed(self, of: Of) -> bool:
        """Return whether it is known, and grew by less than a quarter of the part."""
        found = self.shift(of)
        return found is not None and found.estimate.middle < self._of(FEW)

    def by(self, of: Of, within: Of) -> float | None:
        """Return which share the growth of one factor has in that of the product, in logarithms.

        1 if both were 0 and are no more; 0 if only the product was.
        """
        one, whole = self.medians(of), self.medians(within)
        if one is None or whole is None or one[1] <= 0 or whole[1] <= whole[0]:
            return None
        if whole[0] <= 0:
            return 1.0 if one[0] <= 0 else 0.0
        if one[0] <= 0:
            return None
        return math.log(one[1] / one[0]) / math.log(whole[1] / whole[0])

    def _of(self, share: float) -> float:
        return share * self.part_ms


def cause_of(pairs: Sequence[tuple[Budget | None, Budget | None]], wall: Shift) -> Json:
    """Return the cause of a difference of ``wall`` ms, or why none is found.

    ``pairs``: of baseline and optimized.
    """
    known = [(before, after) for before, after in pairs if before and after]
    difference = abs(wall.estimate.middle)
    answer: Json = {
        "difference_ms": interval(wall.estimate),
        "detectable_ms": finite(wall.detectable),
        "name": None,
        "why_none": None,
        "part": None,
        "part_ms": None,
        "figures": [],
    }
    if not wall.estimate.excludes(0) or difference < TIMES_DETECTABLE * wall.detectable:
        return {**answer, "why_none": "too small"}
    if len(known) < FEWEST:
        return {**answer, "why_none": "too few budgets"}
    before, after = zip(*known, strict=True)
    is_slower = wall.estimate.middle > 0
    sides = Sides(before, after) if is_slower else Sides(after, before)
    largest = _largest_part(sides)
    if largest is None or largest.part_ms < HALF * difference:
        return {**answer, "why_none": "no large part"}
    answer |= {"part": largest.part, "part_ms": min(largest.part_ms, difference)}
    for cause in CAUSES:
        if cause.holds(largest):
            return {**answer, "name": cause.name, "figures": _figures(cause, largest, is_slower)}
    return {**answer, "why_none": "no cause fits"}


def _largest_part(sides: Sides) -> Sides | None:
    """Return the sides with the largest part of which the slower certainly has more."""
    names = dict.fromkeys(name for one in (*sides.faster, *sides.slower) for name in one.parts)
    found = [(name, sides.shift(_part(name))) for name in names]
    grown = [(name, one.estimate.middle) for name, one in found if one and _is_more(one)]
    if not grown:
        return None
    name, ms = max(grown, key=lambda part: part[1])
    return sides._replace(part=name, part_ms=ms)


def _is_more(found: Shift) -> bool:
    return found.estimate.low > 0


def _part(name: str) -> Of:
    return lambda one: one.part(name)


def _summed(reason: str) -> Of:
    return lambda one: one.figures.time(f"{BLOCKED_IN}{reason}")


def _waiting(one: Budget) -> float | None:
    return one.figures.time("waiting for a CPU")


def _cpu(one: Budget) -> float | None:
    return one.cpu


def _execs(one: Budget) -> float | None:
    return one.execs


def _forks(one: Budget) -> float | None:
    return one.forks


def _stolen(one: Budget) -> float | None:
    return one.stolen


def _called(name: str) -> Of:
    return lambda one: one.called(name)


# --- the predicates: the part that decides is certain and large, what is its cause?


def _is_computing(sides: Sides) -> bool:
    """CPU time grew with it; no more programs, and no more processes or threads, were started."""
    share = sides.by(_cpu, _part(COMPUTING))
    return (
        sides.part == COMPUTING
        and share is not None
        and share >= MOST
        and not _starts_more(sides)
        and sides.stayed(_stolen)
    )


def _is_parallelism(sides: Sides) -> bool:
    """CPU time is the same, and tasks did not wait for a CPU instead."""
    share = sides.by(_cpu, _part(COMPUTING))
    return (
        sides.part == COMPUTING
        and share is not None
        and share <= FEW
        and sides.stayed(_waiting)
        and sides.stayed(_stolen)
    )


def _is_locks(sides: Sides) -> bool:
    """What tasks did is the same, but one after the other, with more waits in futex.

    A task that waits for a lock is woken by one that computes, so the wall time is in what the
    holders did: computing, sleeping or syncing.
    """
    calls = sides.medians(_called("futex"))
    is_serial = _is_parallelism(sides) or (_is_of(sides, (*SYNCS, *SLEEPS)) and _same_work(sides))
    return (
        is_serial
        and sides.grew(_summed("futex"))
        and calls is not None
        and calls[1] >= 2 * calls[0]
        and calls[1] - calls[0] >= CONTENDED_CALLS
    )


def _is_competition(sides: Sides) -> bool:
    """No task of the run had a CPU, and others had them: not because it took more CPU time."""
    share = sides.by(_cpu, _part(FOR_BUSY_CPU))
    return (
        sides.part == FOR_BUSY_CPU and share is not None and share <= FEW and sides.stayed(_stolen)
    )


def _is_syncs(sides: Sides) -> bool:
    """More calls, each of about the same length."""
    share = sides.by(_called(_reason(sides)), _part(sides.part))
    return _is_of(sides, SYNCS) and _is_own(sides) and share is not None and share >= MOST


def _is_sleeping(sides: Sides) -> bool:
    return _is_of(sides, SLEEPS) and _is_own(sides)


def _starts_more(sides: Sides) -> bool:
    """Whether more was started, or that is not known."""
    starts = [sides.shift(_execs), sides.shift(_forks)]
    return any(one is None or one.estimate.middle > 0 or _is_more(one) for one in starts)


def _reason(sides: Sides) -> str:
    return sides.part.removeprefix(BLOCKED_UNTIL)


def _is_of(sides: Sides, reasons: Sequence[str]) -> bool:
    return sides.part.startswith(BLOCKED_UNTIL) and _reason(sides) in reasons


def _is_own(sides: Sides) -> bool:
    """Whether the tasks were blocked for longer for this reason, and for no unrelated one.

    A helper thread that wakes up every few ms gives its own reason to the others' long wait.
    """
    reason = _reason(sides)
    listed = {name for one in (*sides.faster, *sides.slower) for name in one.figures.times}
    others = {n.removeprefix(BLOCKED_IN) for n in listed if n.startswith(BLOCKED_IN)}
    unrelated = others - {reason, *FOR_OTHERS_OF_THE_RUN}
    return sides.grew(_summed(reason)) and all(sides.stayed(_summed(n)) for n in unrelated)


def _same_work(sides: Sides) -> bool:
    return sides.stayed(_summed(_reason(sides)))


class Cause(NamedTuple):
    """A cause: whether it holds, and which figures show it."""

    name: str
    holds: Callable[[Sides], bool]
    shown: Callable[[Sides], Sequence[tuple[str, str, Of]]]


def _of_cpu(sides: Sides) -> Sequence[tuple[str, str, Of]]:
    return [("CPU time", "ms", _cpu)]


def _of_futex(sides: Sides) -> Sequence[tuple[str, str, Of]]:
    return [("calls of futex", "count", _called("futex"))]


def _of_reason(sides: Sides) -> Sequence[tuple[str, str, Of]]:
    reason = _reason(sides)
    return [(f"calls of {reason}", "count", _called(reason))]


def _of_part(sides: Sides) -> Sequence[tuple[str, str, Of]]:
    return [("in all", "ms", _part(sides.part))]


CAUSES = (
    Cause("lock contention", _is_locks, _of_futex),
    Cause("more computing", _is_computing, _of_cpu),
    Cause("less parallel", _is_parallelism, _of_cpu),
    Cause("competition for the CPU", _is_competition, _of_part),
    Cause("more syncs", _is_syncs, _of_reason),
    Cause("sleeping", _is_sleeping, _of_part),
)
"""The closed list, in the order in which they are tried."""


def _figures(cause: Cause, sides: Sides, is_slower: bool) -> list[Json]:
    found = [(name, unit, sides.medians(of)) for name, unit, of in cause.shown(sides)]
    return [
        {
            "name": name,
            "unit": unit,
            "baseline": medians[0 if is_slower else 1],
            "optimized": medians[1 if is_slower else 0],
        }
        for name, unit, medians in found
        if medians is not None
    ]
