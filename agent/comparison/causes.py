"""From a difference between two commands to its cause, by rule, or to none.

The wall time of each run is divided without rest, so the difference is divided the same way. The
largest part decides, if it is half of the difference or more. Each part has a few causes, and each
cause a predicate; where no predicate holds, or what it rests on is not known, none is named.

All is seen from the faster side, so commands that change places have the same cause.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.comparison.budget import (
    BLOCKED_OTHER,
    BLOCKED_UNTIL,
    COMPUTING,
    FOR_BUSY_CPU,
    FOR_IDLE_CPU,
    STOPPED,
    Budget,
)
from agent.comparison.designs import Design
from agent.comparison.differences import (
    FEW,
    HALF,
    MOST,
    Of,
    Sides,
    all_calls,
    block_io,
    blocks,
    called,
    cpu,
    cpu_of_started,
    execs,
    faults,
    forks,
    had_cpu,
    interruptible,
    is_more,
    part,
    preempted,
    requests,
    stolen,
    summed,
    system,
    throttled,
    user,
    waiting,
    waiting_or_waking,
    waits,
)
from agent.comparison.figures import BLOCKED_IN
from agent.comparison.intervals import finite, interval
from agent.statistics.comparison import Shift
from agent.statistics.estimate import FEWEST
from agent.words import Json

TIMES_DETECTABLE = 2
"""A difference below so many times the smallest that would probably be found has no cause."""
CONTENDED_CALLS = 5
"""Each wait for a lock is a call, the wait for the end of a thread only one."""
MORE_PROGRAMS = 5
MOST_CPU_MS_OF_A_PROGRAM = 3.0
"""Of starting, running and ending one that does nothing else, its fork included."""
SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "msync", "sync_file_range")
SLEEPS = ("nanosleep", "clock_nanosleep")
TALKS = (
    *("read", "readv", "recvfrom", "recvmsg", "recvmmsg", "accept", "accept4"),
    *("write", "writev", "sendto", "sendmsg", "sendmmsg", "connect"),
)
"""Calls that wait for a socket, a pipe or a terminal, unless they wait for a disk."""
EVENTS = (
    *("poll", "ppoll", "select", "pselect6", "_newselect"),
    *("epoll_wait", "epoll_pwait", "epoll_pwait2"),
)
"""Calls that wait for any of these, or for a time."""
TIMERS = ("timerfd_settime",)
"""A timer that is read like a pipe."""
LONGEST_DELIVERY_MS = 1.0
PAGE_FAULT = "page_fault"
FOR_OTHERS_OF_THE_RUN = ("wait4", "waitid", "vfork", "futex")
"""Reasons that last as long as what another task of the run does meanwhile."""


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
        "part": None,
        "part_ms": None,
        "figures": [],
    }
    if not wall.estimate.excludes(0) or difference < TIMES_DETECTABLE * wall.detectable:
        return {**answer, "why_none": "too small"}
    if min(len(before), len(after)) < FEWEST:
        return {**answer, "why_none": "too few budgets"}
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


# --- the predicates: the part that decides is certain and large, what is its cause?


def _is_hypervisor(sides: Sides) -> bool:
    """Stolen time grew with the part, and without it the part is the same.

    A hypervisor that always gives only a share of the CPU takes more from who computes more.
    """
    whole = part(sides.part)

    def rest(one: Budget) -> float | None:
        has, lost = whole(one), stolen(one)
        return None if has is None or lost is None else has - lost

    is_affected = sides.part in (COMPUTING, FOR_BUSY_CPU, FOR_IDLE_CPU)
    return is_affected and sides.grew(stolen) and sides.stayed(rest)


def _is_programs(sides: Sides) -> bool:
    """More were started, as many more as computing grew, and they are short ones.

    At least half of it is what they did themselves: the rest is starting them, or other computing.
    """
    started, took = sides.more(execs), sides.more(cpu)
    return (
        _is_cpu_time(sides)
        and sides.explains(execs, part(COMPUTING))
        and sides.grew(cpu_of_started)
        and started >= MORE_PROGRAMS
        and took <= MOST_CPU_MS_OF_A_PROGRAM * started
    )


def _is_page_faults(sides: Sides) -> bool:
    """The kernel's part of the CPU time grew with the number of faults, and not with that of calls.

    Or tasks were blocked for the disk in faults, with as many more requests.
    """
    if _reason(sides) == PAGE_FAULT:
        return _is_io(sides) and sides.explains(requests, part(sides.part))
    return (
        _is_cpu_time(sides)
        and not _starts_more(sides)
        and sides.grew(system, MOST)
        and sides.explains(faults, part(COMPUTING))
        and sides.has_no_share(all_calls, part(COMPUTING))
    )


def _is_computing(sides: Sides) -> bool:
    """CPU time grew with it; no more programs, and no more processes or threads, were started."""
    return _is_cpu_time(sides) and not _starts_more(sides)


def _is_cpu_time(sides: Sides) -> bool:
    return sides.part == COMPUTING and sides.explains(cpu, part(COMPUTING)) and sides.stayed(stolen)


def _is_parallelism(sides: Sides) -> bool:
    """CPU time is the same, and tasks did not wait for a CPU instead."""
    return (
        sides.part == COMPUTING
        and sides.has_no_share(cpu, part(COMPUTING))
        and sides.stayed(waiting)
        and sides.stayed(stolen)
    )


def _is_locks(sides: Sides) -> bool:
    """What tasks did is the same, but one after the other, with more waits in futex.

    A task that waits for a lock is woken by one that computes, so the wall time is in what the
    holders did: computing, sleeping or syncing.
    """
    calls = sides.medians(called("futex"))
    is_serial = _is_parallelism(sides) or (_is_of(sides, (*SYNCS, *SLEEPS)) and _same_work(sides))
    return (
        is_serial
        and sides.grew(summed("futex"))
        and calls is not None
        and calls[1] >= 2 * calls[0]
        and calls[1] - calls[0] >= CONTENDED_CALLS
    )


def _is_quota(sides: Sides) -> bool:
    """A quota withheld CPUs, whether these were idle when it was renewed, or others had them."""
    return sides.part in (FOR_BUSY_CPU, FOR_IDLE_CPU) and sides.grew(throttled)


def _is_competition(sides: Sides) -> bool:
    """No task of the run had a CPU, and others had them.

    Who computes more, or wants a CPU back more often, waits more for the same competitors.
    """
    return (
        sides.part == FOR_BUSY_CPU
        and sides.has_no_share(cpu, part(FOR_BUSY_CPU))
        and not _wants_cpu_more_often(sides)
        and sides.stayed(throttled)
        and sides.stayed(stolen)
    )


def _wants_cpu_more_often(sides: Sides) -> bool:
    """Whether a quarter of its waits for a CPU, or more, come of being blocked more often.

    Or that is not known.
    """
    blocked, waited = sides.medians(blocks), sides.medians(waits)
    return blocked is None or waited is None or blocked[1] - blocked[0] > FEW * waited[1]


def _is_wakeups(sides: Sides) -> bool:
    """Tasks waited as often, each time longer, and had not been preempted, nor throttled."""
    return (
        sides.part == FOR_IDLE_CPU
        and sides.grew(waiting_or_waking)
        and sides.has_no_share(waits, part(FOR_IDLE_CPU))
        and sides.stayed(preempted)
        and sides.stayed(throttled)
        and sides.stayed(stolen)
    )


def _is_syncs(sides: Sides) -> bool:
    """More calls, each of about the same length."""
    explained = sides.explains(called(_reason(sides)), part(sides.part))
    return _is_of(sides, SYNCS) and _is_own(sides) and explained


def _is_more_io(sides: Sides) -> bool:
    """More requests, each of about the same length."""
    return _is_io(sides) and sides.explains(requests, part(sides.part))


def _is_slower_device(sides: Sides) -> bool:
    """As many requests, and each took longer."""
    return (
        _is_io(sides)
        and sides.has_no_share(requests, part(sides.part))
        and sides.explains(block_io, part(sides.part))
    )


def _is_io(sides: Sides) -> bool:
    """Whether the tasks were blocked for longer, in one call, and for disks and nothing else.

    What waits in a call that also reads sockets could be interrupted if it was for a socket.
    """
    is_call = sides.part.startswith(BLOCKED_UNTIL) and not _is_of(
        sides, (*SLEEPS, *EVENTS, *FOR_OTHERS_OF_THE_RUN)
    )
    is_disk = not _is_of(sides, TALKS) or sides.stayed(interruptible(_reason(sides)))
    return is_call and is_disk and _is_own(sides) and sides.grew(block_io)


def _is_sleeping(sides: Sides) -> bool:
    return _is_of(sides, SLEEPS) and _is_own(sides)


def _is_others(sides: Sides) -> bool:
    """Blocked in reading or writing, not for a disk: what ended it was not a task of the run."""
    return _is_of(sides, TALKS) and _is_event(sides) and sides.medians(called(*TIMERS)) == (0, 0)


def _is_events(sides: Sides) -> bool:
    """The same in a call that takes a time-out: which of the two ended it is not known."""
    return _is_of(sides, EVENTS) and _is_event(sides)


def _is_event(sides: Sides) -> bool:
    return (
        _is_own(sides)
        and _is_from_outside(sides)
        and sides.grew(interruptible(_reason(sides)), MOST)
        and sides.stayed(block_io)
    )


def _is_from_outside(sides: Sides) -> bool:
    """Whether one task waited at a time, or each wait is too long for the kernel's part in it.

    What one task of the run sends to another may be delivered by a thread of the kernel (a softirq
    under load, a worker behind a pseudo-terminal): all are blocked meanwhile.
    """
    ms, ends = sides.medians(part(sides.part)), sides.medians(lambda one: one.ended.get(sides.part))
    is_long = ms is not None and ends is not None and ms[1] >= LONGEST_DELIVERY_MS * ends[1]
    return is_long or sides.more(summed(_reason(sides))) <= (1 + FEW) * sides.part_ms


def _is_stopped(sides: Sides) -> bool:
    """The state says it: all tasks that were left were stopped."""
    return sides.part == STOPPED


def _starts_more(sides: Sides) -> bool:
    """Whether more was started, or that is not known."""
    starts = [sides.shift(execs), sides.shift(forks)]
    return any(one is None or one.estimate.middle > 0 or is_more(one) for one in starts)


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
    return sides.grew(summed(reason)) and all(sides.stayed(summed(n)) for n in unrelated)


def _same_work(sides: Sides) -> bool:
    return sides.stayed(summed(_reason(sides)))


Shown = Sequence[tuple[str, str, Of]]


class Cause(NamedTuple):
    """A cause: whether it holds, and which figures show it."""

    name: str
    holds: Callable[[Sides], bool]
    shown: Callable[[Sides], Shown]


def _always(*figures: tuple[str, str, Of]) -> Callable[[Sides], Shown]:
    return lambda _: figures


def _of_reason(sides: Sides) -> Shown:
    reason = _reason(sides)
    return [(f"calls of {reason}", "count", called(reason))]


def _of_page_faults(sides: Sides) -> Shown:
    return _REQUESTS if _reason(sides) == PAGE_FAULT else [("page faults", "count", faults)]


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
    Cause("lock contention", _is_locks, _always(("calls of futex", "count", called("futex")))),
    Cause("the hypervisor", _is_hypervisor, _always(("stolen", "ms", stolen))),
    Cause("more programs started", _is_programs, _always(("execs", "count", execs))),
    Cause("page faults", _is_page_faults, _of_page_faults),
    Cause(
        "more computing",
        _is_computing,
        _always(_CPU, ("user", "ms", user), ("system", "ms", system)),
    ),
    Cause("less parallel", _is_parallelism, _always(_CPU)),
    Cause("CPU quota", _is_quota, _always(("throttled", "ms", throttled))),
    Cause("competition for the CPU", _is_competition, _of_competition),
    Cause("slower wake-ups", _is_wakeups, _always(("waits for a CPU", "count", waits))),
    Cause("more syncs", _is_syncs, _of_reason),
    Cause("more I/O", _is_more_io, _always(*_REQUESTS)),
    Cause("slower device", _is_slower_device, _always(*_REQUESTS, ("block I/O", "ms", block_io))),
    Cause("sleeping", _is_sleeping, _of_part),
    Cause("waiting for others", _is_others, _of_part),
    Cause("waiting for events", _is_events, _of_part),
    Cause("stopped", _is_stopped, _of_part),
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
