"""The wall time of a scoped run, read from the tables that the programs write."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.sections.offcpu.layout import (
    WALL_BEGUN,
    WALL_COUNTS,
    WALL_DEFERRED,
    WALL_ENDED,
    WALL_EXECED,
    WALL_FIELD_MASK,
    WALL_FIELD_SHIFT,
    WALL_FIELDS,
    WALL_HEAD,
    WALL_IS_BLOCKED,
    WALL_IS_COMPUTING,
    WALL_IS_EMPTY,
    WALL_IS_STOPPED,
    WALL_IS_UNKNOWN,
    WALL_IS_WAITING,
    WALL_PHASES,
    WALL_ROW,
    WALL_STATES,
)
from agent.streams.collect.observed import Stopped
from agent.streams.collect.task_summaries import command

NAMES = {
    "computing": WALL_IS_COMPUTING,
    "waiting_for_cpu": WALL_IS_WAITING,
    "blocked": WALL_IS_BLOCKED,
    "stopped": WALL_IS_STOPPED,
    "no_task": WALL_IS_EMPTY,
    "unknown": WALL_IS_UNKNOWN,
}
"""The states by their names, in the order in which they are tried; at last what is unknown."""

READINGS = 10
CLOCKS_APART_NS = 1_000_000
"""A state that was read whole is not below 0 by as much."""

HEAD_DTYPE = np.dtype(
    {
        "names": ["word", "since", "mains", "phase_ns"],
        "formats": ["u8", "u8", "u8", ("u8", WALL_PHASES)],
        "offsets": [0, 8, 16, 64],
        "itemsize": WALL_HEAD,
    }
)
"""struct wall_time of wall_word.h."""

_CELLS = (WALL_PHASES, WALL_STATES)
_SUMS = 8 * WALL_PHASES * WALL_STATES
ROW_DTYPE = np.dtype(
    {
        "names": ["ns", "open", "cpu_ns", "idle_ns", *WALL_COUNTS, "deferred"],
        "formats": [
            *((kind, _CELLS) for kind in ("i8", "i8")),
            *((kind, WALL_PHASES) for kind in ("i8", "i8")),
            *("u8" for _ in (*WALL_COUNTS, "deferred")),
        ],
        "offsets": [
            0,
            _SUMS,
            2 * _SUMS,
            2 * _SUMS + 8 * WALL_PHASES,
            *(2 * _SUMS + 16 * WALL_PHASES + 8 * i for i in range(len(WALL_COUNTS))),
            WALL_DEFERRED,
        ],
        "itemsize": WALL_ROW,
    }
)
"""struct wall_row of wall_word.h."""

END_DTYPE = np.dtype([("comm", "S16"), ("reason", "u4"), ("count", "u4"), ("ns", "u8")])
"""struct wall_end of wall_ends.h; the upper half of `reason` is the phase; 0: about no reason."""
PHASE_SHIFT = 16


@dataclass(frozen=True, slots=True)
class BlockedUntil:
    """Time for which the scope was blocked until tasks of one command were woken from one call."""

    reason: int
    command: str
    ns: int
    count: int


@dataclass(frozen=True, slots=True)
class CpuOf:
    """Time for which the scope waited until tasks of one command had to go from a CPU."""

    command: str
    ns: int
    count: int


@dataclass(frozen=True, slots=True)
class WallTime:
    """The wall time of a run that has ended; times in ns."""

    by_state: Mapping[str, int]
    """Of each of NAMES; their sum is ``lasted``, if the kernel side has made no error."""
    lasted: int
    before: int
    """From the start of the run to the beginning."""
    after: int
    """From the end to the stop of the run."""
    execed: bool
    """Whether it began with the exec of the command."""
    exited: bool
    """Whether it ended with the command's process."""
    cpu: int
    """CPU time of all tasks in scope."""
    idle: int
    """Waiting for a CPU that had nothing to do, and had to wake up."""
    blocked: tuple[BlockedUntil, ...]
    """What ended the time that all were blocked, the longest first; some found no place."""
    cpus_of: tuple[CpuOf, ...]
    """Which commands had the busy CPUs, the longest first; some found no place."""
    unseen: int
    """For how long the state may have been another one, since changes went unseen, at most."""
    counts: Mapping[str, int]
    tasks: tuple[int, ...]
    """Tasks at the end, by what they do (WALL_FIELDS), as the states have been found from."""
    units: tuple[int, ...]
    """The same, counted task by task."""


def read_wall(
    table: NDArray[np.uint8],
    units: NDArray[np.uint64],
    ends: NDArray[np.void],
    cpus_of: NDArray[np.void],
    start_ns: int,
    stop_ns: int,
    arrivals: int = 0,
) -> WallTime | None:
    """Read the tables of a run that has ended; None if the end was not noted.

    ``table``: struct wall_time, followed by a struct wall_row for each CPU; ``units``: one of each
    task that has one, otherwise 0; ``ends``, ``cpus_of``: END_DTYPE; ``arrivals``: tasks on a CPU
    at the end whose arrival went unseen.
    """
    (head,) = table[:WALL_HEAD].view(HEAD_DTYPE)
    rows = table[WALL_HEAD:].view(ROW_DTYPE)
    word, phases = int(head["word"]), [int(ns) for ns in head["phase_ns"]]
    if word % WALL_PHASES != WALL_ENDED:
        return None
    # the sums are differences of moments: they may have wrapped around, and do again
    ns = rows["ns"].sum(axis=0)
    execed = phases[WALL_EXECED] != 0
    phase = WALL_EXECED if execed else WALL_BEGUN
    began, ended = phases[phase], phases[WALL_ENDED]
    by_state = {name: int(ns[phase, state]) for name, state in NAMES.items()}
    if not execed:
        # a run that ends with its tree ended before that was noticed
        noticed_after = max(min(ended - stop_ns, by_state["no_task"]), 0)
        by_state["no_task"] -= noticed_after
        ended -= noticed_after
    counts = {name: int(rows[name].sum()) for name in WALL_COUNTS}
    deferred = int(rows["deferred"].sum())
    return WallTime(
        by_state=by_state,
        lasted=ended - began,
        before=began - start_ns,
        after=max(stop_ns - ended, 0),
        execed=execed,
        exited=execed and int(head["mains"]) == 0,
        cpu=int(rows["cpu_ns"].sum(axis=0)[phase]),
        idle=int(rows["idle_ns"].sum(axis=0)[phase]),
        blocked=tuple(BlockedUntil(*key, *sums) for key, sums in _summed(ends, phase)),
        cpus_of=tuple(CpuOf(name, *sums) for (_, name), sums in _summed(cpus_of, phase)),
        unseen=_unseen(counts, by_state["waiting_for_cpu"], arrivals),
        counts=counts | {"unseen": counts["unseen"] + arrivals},
        tasks=tuple(_field(word + deferred, *bounds) for bounds in _bounds()),
        units=_count_units(units),
    )


def so_far(table: NDArray[np.uint8], now_ns: int) -> dict[str, int] | None:
    """Return the time of each state of a run whose command was executed, up to now or its end.

    None for other runs: it is not known yet whether their wall time has begun. Also if no reading
    was whole: programs write to the table meanwhile. A change of the state that was read in part
    shows in a sum that is not the time that has passed, or in a state that is far below 0.
    """
    for _ in range(READINGS):
        copied = table.copy()
        (head,) = copied[:WALL_HEAD].view(HEAD_DTYPE)
        rows = copied[WALL_HEAD:].view(ROW_DTYPE)
        began, ended = (int(head["phase_ns"][phase]) for phase in (WALL_EXECED, WALL_ENDED))
        if not began:
            return None
        # of the state that holds now, only its beginning has been subtracted
        now = np.int64(now_ns)
        ns = rows["ns"].sum(axis=0)[WALL_EXECED] + rows["open"].sum(axis=0)[WALL_EXECED] * now
        by_state = {name: int(ns[state]) for name, state in NAMES.items()}
        lasted = (ended or now_ns) - began
        if sum(by_state.values()) == lasted and min(by_state.values()) > -CLOCKS_APART_NS:
            return by_state
    return None


def _unseen(counts: Mapping[str, int], waiting: int, arrivals: int) -> int:
    """Return for how long, in ns, the state may have been another one at most.

    A task whose arrival on a CPU went unseen was counted as waiting meanwhile. So the state can be
    wrong only while it was ``waiting``, for all such tasks together. How long a turn lasts that is
    still open (``arrivals``) is not known yet.
    """
    misplaced = waiting if arrivals else min(counts["arrivals_ns"], waiting)
    return misplaced + counts["unseen_ns"]


_Kind = tuple[int, str]
"""A reason, and a command."""


def _summed(ends: NDArray[np.void], phase: int) -> list[tuple[_Kind, tuple[int, int]]]:
    """Return ns and count by kind, of a phase, summed over CPUs; the longest first."""
    rows = ends[(ends["count"] != 0) & (ends["reason"] >> PHASE_SHIFT == phase)]
    summed: dict[_Kind, tuple[int, int]] = {}
    for row in rows:
        key = int(row["reason"]) & (1 << PHASE_SHIFT) - 1, command(row["comm"])
        ns, count = summed.get(key, (0, 0))
        summed[key] = ns + int(row["ns"]), count + int(row["count"])
    return sorted(summed.items(), key=lambda item: (-item[1][0], item[0]))


def _bounds() -> Iterator[tuple[int, int]]:
    """Yield the first and the last position, exclusive, of each field of the word."""
    return zip(WALL_FIELDS, (*WALL_FIELDS[1:], 64), strict=True)


def _field(word: int, first: int, end: int) -> int:
    return word >> first & (1 << end - first) - 1


def _count_units(units: NDArray[np.uint64]) -> tuple[int, ...]:
    fields = units[units != 0] >> np.uint64(WALL_FIELD_SHIFT) & np.uint64(WALL_FIELD_MASK)
    return tuple(int(np.count_nonzero(fields == position)) for position in WALL_FIELDS)


def wall_of(stopped: Stopped, start_ns: int) -> WallTime | None:
    """Return the wall time of a run that measured it; None if its end was not noted."""
    tables = stopped.observed.tables
    table = np.frombuffer(tables["wall"], np.uint8)
    units = np.frombuffer(tables["wall_units"], np.uint64)
    ends, cpus_of = (np.frombuffer(tables[t], END_DTYPE) for t in ("wall_ends", "wall_cpus_of"))
    return read_wall(table, units, ends, cpus_of, start_ns, stopped.stop_ns, stopped.wall_arrivals)
