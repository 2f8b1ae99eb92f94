"""What holds of two commands if a cause is the right one, one predicate for each.

The part of the difference that decides is certain and large by then: what is its cause?
"""

from collections.abc import Sequence

from agent.comparison.budget import (
    COMPUTING,
    STOPPED,
    Budget,
)
from agent.comparison.differences import (
    FEW,
    MOST,
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
    interruptible,
    is_more,
    part,
    preempted,
    requests,
    stolen,
    summed,
    system,
    throttled,
    waiting,
    waiting_or_waking,
    waits,
)
from agent.comparison.figures import BLOCKED_IN
from agent.terminal.parts import BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU

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


def is_hypervisor(sides: Sides) -> bool:
    """Stolen time grew with the part, and without it the part is the same.

    A hypervisor that always gives only a share of the CPU takes more from who computes more.
    """
    whole = part(sides.part)

    def rest(one: Budget) -> float | None:
        has, lost = whole(one), stolen(one)
        return None if has is None or lost is None else has - lost

    is_affected = sides.part in (COMPUTING, FOR_BUSY_CPU, FOR_IDLE_CPU)
    return is_affected and sides.grew(stolen) and sides.stayed(rest)


def is_programs(sides: Sides) -> bool:
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


def is_page_faults(sides: Sides) -> bool:
    """The kernel's part of the CPU time grew with the number of faults, and not with that of calls.

    Or tasks were blocked for the disk in faults, with as many more requests.
    """
    if reason_of(sides) == PAGE_FAULT:
        return _is_io(sides) and sides.explains(requests, part(sides.part))
    return (
        _is_cpu_time(sides)
        and not _starts_more(sides)
        and sides.grew(system, MOST)
        and sides.explains(faults, part(COMPUTING))
        and sides.has_no_share(all_calls, part(COMPUTING))
    )


def is_computing(sides: Sides) -> bool:
    """CPU time grew with it; no more programs, and no more processes or threads, were started."""
    return _is_cpu_time(sides) and not _starts_more(sides)


def _is_cpu_time(sides: Sides) -> bool:
    return sides.part == COMPUTING and sides.explains(cpu, part(COMPUTING)) and sides.stayed(stolen)


def is_parallelism(sides: Sides) -> bool:
    """CPU time is the same, and tasks did not wait for a CPU instead."""
    return (
        sides.part == COMPUTING
        and sides.has_no_share(cpu, part(COMPUTING))
        and sides.stayed(waiting)
        and sides.stayed(stolen)
    )


def is_locks(sides: Sides) -> bool:
    """What tasks did is the same, but one after the other, with more waits in futex.

    A task that waits for a lock is woken by one that computes, so the wall time is in what the
    holders did: computing, sleeping or syncing.
    """
    calls = sides.medians(called("futex"))
    is_serial = is_parallelism(sides) or (_is_of(sides, (*SYNCS, *SLEEPS)) and _same_work(sides))
    return (
        is_serial
        and sides.grew(summed("futex"))
        and calls is not None
        and calls[1] >= 2 * calls[0]
        and calls[1] - calls[0] >= CONTENDED_CALLS
    )


def is_quota(sides: Sides) -> bool:
    """A quota withheld CPUs, whether these were idle when it was renewed, or others had them."""
    return sides.part in (FOR_BUSY_CPU, FOR_IDLE_CPU) and sides.grew(throttled)


def is_competition(sides: Sides) -> bool:
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


def is_wakeups(sides: Sides) -> bool:
    """Tasks waited as often, each time longer, and had not been preempted, nor throttled."""
    return (
        sides.part == FOR_IDLE_CPU
        and sides.grew(waiting_or_waking)
        and sides.has_no_share(waits, part(FOR_IDLE_CPU))
        and sides.stayed(preempted)
        and sides.stayed(throttled)
        and sides.stayed(stolen)
    )


def is_syncs(sides: Sides) -> bool:
    """More calls, each of about the same length."""
    explained = sides.explains(called(reason_of(sides)), part(sides.part))
    return _is_of(sides, SYNCS) and _is_own(sides) and explained


def is_more_io(sides: Sides) -> bool:
    """More requests, each of about the same length."""
    return _is_io(sides) and sides.explains(requests, part(sides.part))


def is_slower_device(sides: Sides) -> bool:
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
    is_disk = not _is_of(sides, TALKS) or sides.stayed(interruptible(reason_of(sides)))
    return is_call and is_disk and _is_own(sides) and sides.grew(block_io)


def is_sleeping(sides: Sides) -> bool:
    """Whether the part is time in which tasks slept because they wanted to."""
    return _is_of(sides, SLEEPS) and _is_own(sides)


def is_others(sides: Sides) -> bool:
    """Blocked in reading or writing, not for a disk: what ended it was not a task of the run."""
    return _is_of(sides, TALKS) and _is_event(sides) and sides.medians(called(*TIMERS)) == (0, 0)


def is_events(sides: Sides) -> bool:
    """The same in a call that takes a time-out: which of the two ended it is not known."""
    return _is_of(sides, EVENTS) and _is_event(sides)


def _is_event(sides: Sides) -> bool:
    return (
        _is_own(sides)
        and _is_from_outside(sides)
        and sides.grew(interruptible(reason_of(sides)), MOST)
        and sides.stayed(block_io)
    )


def _is_from_outside(sides: Sides) -> bool:
    """Whether one task waited at a time, or each wait is too long for the kernel's part in it.

    What one task of the run sends to another may be delivered by a thread of the kernel (a softirq
    under load, a worker behind a pseudo-terminal): all are blocked meanwhile.
    """
    ms, ends = sides.medians(part(sides.part)), sides.medians(lambda one: one.ended.get(sides.part))
    is_long = ms is not None and ends is not None and ms[1] >= LONGEST_DELIVERY_MS * ends[1]
    return is_long or sides.more(summed(reason_of(sides))) <= (1 + FEW) * sides.part_ms


def is_stopped(sides: Sides) -> bool:
    """The state says it: all tasks that were left were stopped."""
    return sides.part == STOPPED


def _starts_more(sides: Sides) -> bool:
    """Whether more was started, or that is not known."""
    starts = [sides.shift(execs), sides.shift(forks)]
    return any(one is None or one.estimate.middle > 0 or is_more(one) for one in starts)


def reason_of(sides: Sides) -> str:
    """Return what tasks were blocked in, of a part that is such time."""
    return sides.part.removeprefix(BLOCKED_UNTIL)


def _is_of(sides: Sides, reasons: Sequence[str]) -> bool:
    return sides.part.startswith(BLOCKED_UNTIL) and reason_of(sides) in reasons


def _is_own(sides: Sides) -> bool:
    """Whether the tasks were blocked for longer for this reason, and for no unrelated one.

    A helper thread that wakes up every few ms gives its own reason to the others' long wait.
    """
    reason = reason_of(sides)
    listed = {name for one in (*sides.faster, *sides.slower) for name in one.figures.times}
    others = {n.removeprefix(BLOCKED_IN) for n in listed if n.startswith(BLOCKED_IN)}
    unrelated = others - {reason, *FOR_OTHERS_OF_THE_RUN}
    return sides.grew(summed(reason)) and all(sides.stayed(summed(n)) for n in unrelated)


def _same_work(sides: Sides) -> bool:
    return sides.stayed(summed(reason_of(sides)))
