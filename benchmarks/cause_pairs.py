"""Pairs of programs of which one takes longer by one known thing, for `benchmarks.causes`.

The longer ones take some tens of milliseconds more. What a page fault, a sync or a read takes
differs between machines by orders of magnitude, so their number is found here, by trying.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path
from typing import Any, NamedTuple

from agent.overhead.protocols import Missing
from agent.overhead.workloads import last_cpu, run_for_output
from benchmarks import cause_surroundings as around
from benchmarks.cause_surroundings import folder

PROGRAM = (sys.executable, "-IS", str(Path(__file__).with_name("one_cause.py")))
LONGER_MS = 40
"""By how much the longer program is to take longer, about."""
TURNS_MS = 160
"""Many turns of two programs that share a CPU."""
FEW = 10
TRIES = 3
LEAST, MOST = 30, 40_000
BLOCK = 1 << 17
"""Bytes of a read that takes a disk longer than it takes the CPU."""
TURNS = 2500
READS, READS_PER_S = 30, 200
"""The kernel throttles by slices of a tenth of a second: this is one and a half."""


class Commands(NamedTuple):
    shorter: Sequence[str]
    longer: Sequence[str]
    group: Path | None = None
    """A cgroup that they are to be run in, and what compares them as well.

    For how long a quota withheld the CPU is not known of a command that moves during its run.
    """


@dataclass(frozen=True, slots=True)
class Pair:
    """``commands`` gives two commands, the shorter one first. Raises `WorkloadFailed`."""

    name: str
    label: str
    cause: str | None
    """As `agent.comparison.causes` names it; None where both commands are the same."""
    commands: Callable[[], AbstractContextManager[Commands]]
    check: Callable[[], Missing | None] = lambda: None


def one_cause(*words: object) -> list[str]:
    return [*PROGRAM, *map(str, words)]


def _both(command: Callable[[Any], Sequence[str]], shorter: object, longer: object) -> Commands:
    return Commands(command(shorter), command(longer))


def _always(
    shorter: Sequence[str], longer: Sequence[str]
) -> Callable[[], AbstractContextManager[Commands]]:
    return lambda: nullcontext(Commands(shorter, longer))


def _lasting(way: str, *words: object, most: int = MOST) -> int:
    """Return how many operations of `one_cause` last for `LONGER_MS`."""
    least_ms = _quickest_ms(way, FEW, *words)
    operations = LEAST
    while (took := _quickest_ms(way, operations, *words) - least_ms) < LONGER_MS / 4:
        if operations == most:
            break
        operations = min(4 * operations, most)
    return int(min(max(operations * LONGER_MS / max(took, 1), LEAST), most))


def _quickest_ms(way: str, operations: int, *words: object) -> float:
    took = []
    for _ in range(TRIES):
        began = time.monotonic()
        run_for_output(one_cause(way, operations, *words))
        took.append((time.monotonic() - began) * 1e3)
    return min(took)


# --- the pairs


@contextmanager
def competition() -> Iterator[Commands]:
    """Compute on a CPU that is free, and on one that another program has as well.

    For several turns: how soon the other one gets its first varies more than how long each lasts.
    """
    (taken,) = last_cpu()
    work = one_cause("compute", TURNS_MS)
    with around.spinning(taken):
        yield _both(lambda cpu: ("taskset", "-c", str(cpu), *work), _first_cpu(), taken)


def _first_cpu() -> int:
    return min(os.sched_getaffinity(0))


@contextmanager
def wakeups() -> Iterator[Commands]:
    """Wake each other on two CPUs that are kept from sleeping, and on two that are not."""
    cpus = (_first_cpu(), *last_cpu())
    with around.awake_or_asleep(cpus) as socket:
        yield _both(lambda how: one_cause("pingpong", TURNS, socket, how, *cpus), "awake", "asleep")


@contextmanager
def quota() -> Iterator[Commands]:
    with around.cpu_group() as group, around.with_or_without_quota(group) as socket:
        free, limited = (one_cause("compute_limited", 30, socket, how) for how in ("none", "quota"))
        yield Commands(free, limited, group)


@contextmanager
def page_faults() -> Iterator[Commands]:
    pages = _lasting("touch")
    yield Commands(one_cause("touch", FEW), one_cause("touch", FEW + pages))


@contextmanager
def page_faults_from_disk() -> Iterator[Commands]:
    """Read mapped pages that are in the page cache, and such that are not.

    They are a loop device's: it works while the program waits, and takes none of its CPU time.
    """
    with folder() as name:
        cached, evicted = (around.written_file(name / file) for file in ("cached", "evicted"))
        with around.loop_device(cached) as first, around.loop_device(evicted) as second:
            pages = _lasting("read", second, PAGESIZE, most=around.FILE_BYTES // PAGESIZE)
            yield Commands(
                one_cause("read_mapped", pages, first, "yes"),
                one_cause("read_mapped", pages, second, "no"),
            )


@contextmanager
def syncs() -> Iterator[Commands]:
    with folder() as name:
        times = _lasting("sync", name / "file")
        yield _both(lambda n: one_cause("sync", n, name / "file"), 2, 2 + times)


@contextmanager
def reads() -> Iterator[Commands]:
    with folder() as name:
        file = around.written_file(name / "file")
        blocks = _lasting("read", file, BLOCK, most=around.FILE_BYTES // BLOCK - FEW)
        yield _both(lambda n: one_cause("read", n, file, BLOCK), FEW, FEW + blocks)


@contextmanager
def slow_disk() -> Iterator[Commands]:
    """Read from a loop device, whose file's disk is throttled for a while, or is not."""
    with folder() as name, around.io_group() as group:
        file = around.written_file(name / "file")
        with (
            around.loop_device(file) as device,
            around.slow_or_quick(group, file, READS_PER_S) as socket,
        ):
            quick, slow = (
                one_cause("read_limited", READS, device, PAGESIZE, socket, how)
                for how in ("quick", "slow")
            )
            yield Commands(quick, slow, group)


@contextmanager
def others() -> Iterator[Commands]:
    with around.answering() as socket:
        yield _both(lambda ms: one_cause("ask", ms, socket, "recv"), 5, 5 + LONGER_MS)


@contextmanager
def events() -> Iterator[Commands]:
    with around.answering() as socket:
        yield _both(lambda ms: one_cause("ask", ms, socket, "poll"), 5, 5 + LONGER_MS)


@contextmanager
def stopped() -> Iterator[Commands]:
    with around.continuing() as socket:
        yield _both(lambda ms: one_cause("stop", ms, socket), 5, 5 + LONGER_MS)


def _programs(number: int) -> list[str]:
    return ["sh", "-c", f"n=0; while [ $n -lt {number} ]; do /bin/true; n=$((n+1)); done"]


def _needs_two_cpus() -> Missing | None:
    if len(os.sched_getaffinity(0)) < 2:
        return Missing("it takes two CPUs")
    return None


PAIRS = (
    Pair(
        "computing",
        f"{LONGER_MS} ms more CPU time",
        "more computing",
        _always(one_cause("compute", 10), one_cause("compute", 10 + LONGER_MS)),
    ),
    Pair(
        "programs",
        "a shell that runs `/bin/true` more often",
        "more programs started",
        _always(_programs(5), _programs(45)),
    ),
    Pair(
        "parallel",
        "two processes, one after the other",
        "less parallel",
        _always(one_cause("at_once", 2, LONGER_MS), one_cause("at_once", 1, LONGER_MS)),
        _needs_two_cpus,
    ),
    Pair(
        "competition",
        "on a CPU that another program has as well",
        "competition for the CPU",
        competition,
        _needs_two_cpus,
    ),
    Pair(
        "quota",
        "in a cgroup whose CPU quota is used up",
        "CPU quota",
        quota,
        around.needs_quota,
    ),
    Pair(
        "wakeups",
        "two processes wake each other, on CPUs that sleep meanwhile",
        "slower wake-ups",
        wakeups,
        _needs_two_cpus,
    ),
    Pair("syncs", "more calls of `fsync`", "more syncs", syncs),
    Pair("io", "more direct reads of a file", "more I/O", reads),
    Pair(
        "device",
        f"reads a loop device whose disk is limited to {READS_PER_S} reads a second",
        "slower device",
        slow_disk,
        around.needs_slow_disk,
    ),
    Pair(
        "locks",
        "two threads share a lock instead of having one each",
        "lock contention",
        _always(one_cause("lock", 2, 20), one_cause("lock", 1, 20)),
    ),
    Pair(
        "sleeping",
        f"sleeps for {LONGER_MS} ms longer",
        "sleeping",
        _always(one_cause("sleep", 10), one_cause("sleep", 10 + LONGER_MS)),
    ),
    Pair(
        "others",
        f"a process outside answers {LONGER_MS} ms later; `recv`",
        "waiting for others",
        others,
    ),
    Pair("events", "the same with `poll`", "waiting for events", events),
    Pair("faults", "touches more new memory", "page faults", page_faults),
    Pair(
        "mapped",
        "maps a file that is not in the page cache",
        "page faults",
        page_faults_from_disk,
        around.needs_loop_device,
    ),
    Pair("stopped", f"stopped for {LONGER_MS} ms longer", "stopped", stopped),
    Pair(
        "same-computing",
        "the same command: computing",
        None,
        _always(one_cause("compute", LONGER_MS), one_cause("compute", LONGER_MS)),
    ),
    Pair(
        "same-sleeping",
        "the same command: sleeping",
        None,
        _always(one_cause("sleep", LONGER_MS), one_cause("sleep", LONGER_MS)),
    ),
)
