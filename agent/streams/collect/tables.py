"""Mapped tables as arrays: what the programs only count, and each task's latest state."""

import errno
import mmap
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.sections.syscall_counts.layout import SYSCALLS
from agent.streams.shared.layout import (
    COUNTER_FIELDS,
    COUNTERS_SIZE,
    ERRNOS,
    REASON_KERNEL_THREAD,
    REASONS,
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_PRIMED,
    SLOT_REASON_SHIFT,
    SLOT_RUNNABLE,
    SLOT_SIZE,
    SLOT_STATE,
    SLOT_STOPPED,
    SLOT_UNINTERRUPTIBLE,
    STOP_KINDS,
    Geometry,
)

_SUM = np.dtype([("ns", "u8"), ("count", "u8")])
_BLOCKED_END = 2 * REASONS * 16
_STOPPED_END = _BLOCKED_END + STOP_KINDS * 16
_SYSCALLS_END = _STOPPED_END + SYSCALLS * 8
_FAILURES_END = _SYSCALLS_END + ERRNOS * 8
COUNTERS_DTYPE = np.dtype(
    {
        "names": [
            *("blocked", "stopped", "syscalls", "exec_failures"),
            *COUNTER_FIELDS,
            "exited_ns",
        ],
        "formats": [
            (_SUM, (2, REASONS)),
            (_SUM, STOP_KINDS),
            ("u8", SYSCALLS),
            ("u8", ERRNOS),
            *("u8" for _ in COUNTER_FIELDS),
            "u8",
        ],
        "offsets": [
            0,
            _BLOCKED_END,
            _STOPPED_END,
            _SYSCALLS_END,
            *(_FAILURES_END + 8 * i for i in range(len(COUNTER_FIELDS))),
            COUNTERS_SIZE - 8,
        ],
        "itemsize": COUNTERS_SIZE,
    }
)
"""struct cpu_counters of layout.h."""

SLOT_DTYPE = np.dtype(
    {
        "names": ["tid", "tag", "since"],
        "formats": ["u4", "u4", "u8"],
        "offsets": [0, 4, 8],
        "itemsize": SLOT_SIZE,
    }
)
"""struct task_slot of layout.h."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Blocked time by state (interruptible, uninterruptible) and reason: arrays (2, REASONS)."""

    ns: NDArray[np.uint64]
    count: NDArray[np.uint64]

    def __add__(self, other: "Blocked") -> "Blocked":
        return Blocked(self.ns + other.ns, self.count + other.count)

    def of_user_tasks_ns(self) -> int:
        """Return the total without the sleep of kernel threads."""
        return int(self.ns.sum()) - int(self.ns[:, REASON_KERNEL_THREAD].sum())


@dataclass(frozen=True, slots=True)
class Stops:
    """Time that tasks were stopped, by kind (``STOP_SIGNAL`` and so on): arrays (STOP_KINDS,)."""

    ns: NDArray[np.uint64]
    count: NDArray[np.uint64]
    throughout: int = 0
    """How many of these stops began before the run and have not ended."""

    @classmethod
    def none(cls) -> "Stops":
        return cls(np.zeros(STOP_KINDS, np.uint64), np.zeros(STOP_KINDS, np.uint64))

    def __add__(self, other: "Stops") -> "Stops":
        return Stops(
            self.ns + other.ns, self.count + other.count, self.throughout + other.throughout
        )


@dataclass(frozen=True, slots=True)
class OpenWait:
    """The wait of one task that is still waiting for a CPU."""

    tid: int
    ns: int
    """Its length within the run."""
    older: bool
    """Whether it began before the run."""


@dataclass(frozen=True, slots=True)
class OpenWaits:
    """The waits of all tasks that are still waiting for a CPU."""

    count: int = 0
    older: int = 0
    """How many of them began before the run."""
    ns: int = 0
    """The sum of their lengths within the run."""
    longest: OpenWait | None = None


class Tables:
    """Counters and slots, mapped read-only."""

    def __init__(self, counters_fd: int, slots_fd: int, geometry: Geometry) -> None:
        sizes = geometry.map_sizes()
        self._counters_memory = mapped_table(counters_fd, sizes["counters"])
        self._slots_memory = mapped_table(slots_fd, sizes["slots"])
        self._counters = np.frombuffer(self._counters_memory, COUNTERS_DTYPE)
        self._slots = np.frombuffer(self._slots_memory, SLOT_DTYPE)

    def count(self, field: str) -> int:
        """Return one counter, summed over CPUs."""
        return int(self._counters[field].sum())

    def tree_ended_ns(self) -> int | None:
        """Return when the last task of a tree exited, by the programs' clock; None if any is left.

        Every member was found as the run began, or was created by a member, and exits once. The
        exits are read first: a task that is created between the readings is then one that is left.
        """
        exits = self.count("exits")
        if self.count("members") + self.count("forks") != exits:
            return None
        return int(self._counters["exited_ns"].max())

    def syscalls(self) -> NDArray[np.uint64]:
        """Return calls by number, summed over CPUs; shape (SYSCALLS,)."""
        summed: NDArray[np.uint64] = self._counters["syscalls"].sum(axis=0)
        return summed

    def exec_failures(self) -> dict[str, int]:
        """Return failed execs by error name, summed over CPUs; only errors that occurred."""
        counts = enumerate(self._counters["exec_failures"].sum(axis=0).tolist())
        return {
            errno.errorcode.get(code, "other" if code == 0 else f"errno_{code}"): count
            for code, count in counts
            if count
        }

    def blocked(self) -> Blocked:
        """Return intervals that have ended, summed over CPUs."""
        sums = self._counters["blocked"]
        return Blocked(sums["ns"].sum(axis=0), sums["count"].sum(axis=0))

    def still_blocked(self, until_ns: int, with_primed: bool) -> Blocked:
        """Return intervals that are still open, up to ``until_ns`` (CLOCK_MONOTONIC).

        ``with_primed`` adds tasks that have been blocked since before the run began.
        """
        slots = self._open(SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE, until_ns)
        if not with_primed:
            slots = slots[(slots["tag"] & SLOT_PRIMED) == 0]
        blocked = Blocked(np.zeros((2, REASONS), np.uint64), np.zeros((2, REASONS), np.uint64))
        row = (slots["tag"] & SLOT_STATE) - SLOT_INTERRUPTIBLE
        reason = slots["tag"] >> SLOT_REASON_SHIFT
        np.add.at(blocked.ns, (row, reason), until_ns - slots["since"])
        np.add.at(blocked.count, (row, reason), np.uint64(1))
        return blocked

    def stops(self) -> Stops:
        """Return stops that have ended, summed over CPUs."""
        sums = self._counters["stopped"]
        return Stops(sums["ns"].sum(axis=0), sums["count"].sum(axis=0))

    def open_stops(self, until_ns: int) -> Stops:
        """Return stops that are still open, up to ``until_ns`` (CLOCK_MONOTONIC)."""
        slots = self._open(SLOT_STOPPED, SLOT_STOPPED, until_ns)
        stops = Stops.none()
        kind = slots["tag"] >> SLOT_REASON_SHIFT
        np.add.at(stops.ns, kind, until_ns - slots["since"])
        np.add.at(stops.count, kind, np.uint64(1))
        throughout = int(np.count_nonzero(slots["tag"] & SLOT_PRIMED))
        return replace(stops, throughout=throughout)

    def open_waits(self, until_ns: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return slot indexes of blocked tasks and ns until then, for a run that has ended."""
        blocked = _are_open(self._slots, SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE, until_ns)
        positions = np.flatnonzero(blocked)
        return positions, np.uint64(until_ns) - self._slots["since"][positions]

    def waiting_for_a_cpu(self, until_ns: int) -> OpenWaits:
        """Return the tasks that are runnable and have not run yet, up to ``until_ns``."""
        slots = self._open(SLOT_RUNNABLE, SLOT_PREEMPTED, until_ns)
        if not len(slots):
            return OpenWaits()
        ns = np.uint64(until_ns) - slots["since"]
        older = (slots["tag"] & SLOT_PRIMED) != 0
        # among equals, one whose beginning is not known has waited longer
        last = np.lexsort((older, ns))[-1]
        longest = OpenWait(int(slots["tid"][last]), int(ns[last]), bool(older[last]))
        return OpenWaits(len(slots), int(np.count_nonzero(older)), int(ns.sum()), longest)

    def _open(self, first: int, last: int, until_ns: int) -> NDArray[np.void]:
        """Return a copy of the slots that have been in one of these states since ``until_ns``."""
        slots = self._slots[_are_open(self._slots, first, last, until_ns)]
        # programs keep writing to the table: a slot may have changed before it was copied
        return slots[_are_open(slots, first, last, until_ns)]

    def close(self) -> None:
        del self._counters, self._slots
        self._counters_memory.close()
        self._slots_memory.close()


def _are_open(slots: NDArray[np.void], first: int, last: int, until_ns: int) -> NDArray[np.bool_]:
    """Return which slots are in one of these states, and were so at ``until_ns``.

    Programs are detached a moment after the stop: what began in between is not the run's.
    """
    states = slots["tag"] & SLOT_STATE
    chosen: NDArray[np.bool_] = (states >= first) & (states <= last)
    return chosen & (slots["since"] <= np.uint64(until_ns))


def mapped_table(fd: int, size: int) -> mmap.mmap:
    """Map a table read-only; the mapping outlives the fd."""
    return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
