"""From a difference between two commands to its cause, by rule, or to none.

The wall time of each run is divided completely, so the difference is divided the same way. The
largest part decides, if it is half of the difference or more. Each part has a few causes, and each
cause a predicate; where no predicate holds, or what it rests on is not known, none is named.

All is seen from the faster side, so commands that change places have the same cause.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.comparison.budget import Budget
from agent.comparison.designs import Design
from agent.comparison.differences import (
    HALF,
    Of,
    Sides,
    block_io,
    called,
    cpu,
    execs,
    faults,
    had_cpu,
    part,
    requests,
    stolen,
    system,
    throttled,
    user,
    waits,
)
from agent.comparison.intervals import finite, interval
from agent.comparison.predicates import (
    PAGE_FAULT,
    is_competition,
    is_computing,
    is_events,
    is_hypervisor,
    is_locks,
    is_more_io,
    is_others,
    is_page_faults,
    is_parallelism,
    is_programs,
    is_quota,
    is_sleeping,
    is_slower_device,
    is_stopped,
    is_syncs,
    is_wakeups,
    reason_of,
)
from agent.statistics.comparison import Shift
from agent.statistics.estimate import FEWEST
from agent.terminal.parts import BLOCKED_OTHER
from agent.words import Json

TIMES_DETECTABLE = 2
"""A difference below this many times the smallest detectable one is given no cause."""

TOO_FEW_BUDGETS = "too few budgets"


def cause_of(
    design: Design,
    baseline: Sequence[Budget | None],
    optimized: Sequence[Budget | None],
    wall: Shift,
) -> Json:
    """Return the cause of a difference of ``wall`` ms, or why none is found.

    Runs without a budget take no part: where runs are pairs, nor does the other of the pair.
    """
    before, after = design.known(baseline, optimized)
    difference = abs(wall.estimate.middle)
    answer: Json = {
        "difference_ms": interval(wall.estimate),
        "detectable_ms": finite(wall.detectable),
        "name": None,
        "why_none": None,
        "budgets": [sum(one is not None for one in side) for side in (baseline, optimized)],
        "reason": None,
        "part": None,
        "part_ms": None,
        "figures": [],
    }
    if not before or not after:  # more runs like these would not say why either
        return {**answer, "why_none": TOO_FEW_BUDGETS}
    if not wall.estimate.excludes(0) or difference < TIMES_DETECTABLE * wall.detectable:
        return {**answer, "why_none": "too small"}
    if min(len(before), len(after)) < FEWEST:
        return {**answer, "why_none": TOO_FEW_BUDGETS}
    is_slower = wall.estimate.middle > 0
    sides = Sides(design, before, after) if is_slower else Sides(design, after, before)
    largest = _largest_part(sides)
    if largest is None or largest.part_ms < HALF * difference:
        return {**answer, "why_none": "no large part" if _knows_parts(sides) else "parts unknown"}
    answer |= {"part": largest.part, "part_ms": largest.part_ms}
    for cause in CAUSES:
        if cause.holds(largest):
            return {**answer, "name": cause.name, "figures": _figures(cause, largest, is_slower)}
    return {**answer, "why_none": "no cause fits"}


def _largest_part(sides: Sides) -> Sides | None:
    """Return the sides with the largest part of which the slower certainly has more."""
    grown = [(name, more) for name in _parts(sides) if (more := sides.more(part(name))) > 0]
    if not grown:
        return None
    name, ms = max(grown, key=lambda found: found[1])
    return sides._replace(part=name, part_ms=ms)


def _parts(sides: Sides) -> list[str]:
    listed = dict.fromkeys(name for one in (*sides.faster, *sides.slower) for name in one.parts)
    return [*listed, BLOCKED_OTHER]


def _knows_parts(sides: Sides) -> bool:
    """Return whether each run knows each part, so that a large one would have been seen."""
    both = (*sides.faster, *sides.slower)
    return all(one.part(name) is not None for name in _parts(sides) for one in both)


Shown = Sequence[tuple[str, str, Of]]


class Cause(NamedTuple):
    """A cause: whether it holds, and which figures show it."""

    name: str
    holds: Callable[[Sides], bool]
    shown: Callable[[Sides], Shown]


def _always(*figures: tuple[str, str, Of]) -> Callable[[Sides], Shown]:
    return lambda _: figures


def _of_reason(sides: Sides) -> Shown:
    reason = reason_of(sides)
    return [(f"calls of {reason}", "count", called(reason))]


def _of_page_faults(sides: Sides) -> Shown:
    return _REQUESTS if reason_of(sides) == PAGE_FAULT else [("page faults", "count", faults)]


def _of_part(sides: Sides) -> Shown:
    return [("in all", "ms", part(sides.part))]


def _of_competition(sides: Sides) -> Shown:
    """Return the command that had the CPU for longest, if it is known."""
    had: defaultdict[str, float] = defaultdict(float)
    for one in sides.slower:
        for command, ms in one.had_cpu.items():
            had[command] += ms
    longest = sorted(had, key=lambda command: had[command])[-1:]
    return [*_of_part(sides), *((f"which {one} had", "ms", had_cpu(one)) for one in longest)]


_CPU = ("CPU time", "ms", cpu)
_REQUESTS = [("block I/O requests", "count", requests)]

CAUSES = (
    Cause("lock contention", is_locks, _always(("calls of futex", "count", called("futex")))),
    Cause("the hypervisor", is_hypervisor, _always(("stolen", "ms", stolen))),
    Cause("more programs started", is_programs, _always(("execs", "count", execs))),
    Cause("page faults", is_page_faults, _of_page_faults),
    Cause(
        "more computing",
        is_computing,
        _always(_CPU, ("user", "ms", user), ("system", "ms", system)),
    ),
    Cause("less parallel", is_parallelism, _always(_CPU)),
    Cause("CPU quota", is_quota, _always(("throttled", "ms", throttled))),
    Cause("competition for the CPU", is_competition, _of_competition),
    Cause("slower wake-ups", is_wakeups, _always(("waits for a CPU", "count", waits))),
    Cause("more syncs", is_syncs, _of_reason),
    Cause("more I/O", is_more_io, _always(*_REQUESTS)),
    Cause("slower device", is_slower_device, _always(*_REQUESTS, ("block I/O", "ms", block_io))),
    Cause("sleeping", is_sleeping, _of_part),
    Cause("waiting for others", is_others, _of_part),
    Cause("waiting for events", is_events, _of_part),
    Cause("stopped", is_stopped, _of_part),
)
"""The closed list, in the order in which they are tried."""


def _figures(cause: Cause, sides: Sides, is_slower: bool) -> list[Json]:
    before, after = (0, 1) if is_slower else (1, 0)
    found = [(name, unit, of, sides.medians(of)) for name, unit, of in cause.shown(sides)]
    return [
        {
            "name": name,
            "unit": unit,
            "baseline": medians[before],
            "optimized": medians[after],
            "occurs_in": [sides.occurs_in(of)[side] for side in (before, after)],
        }
        for name, unit, of, medians in found
        if medians is not None
    ]
