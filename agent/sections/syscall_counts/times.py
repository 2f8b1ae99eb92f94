"""The detail ``syscalls``: time, errors and interruptions of each syscall."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.sections.fold import milliseconds
from agent.sections.syscall_counts.layout import (
    ENTRY_PRIMED,
    ENTRY_SIZE,
    SYSCALLS,
    TIMES_FIELDS,
    TIMES_SIZE,
)
from agent.sections.syscall_counts.probe import TIMES
from agent.streams.collect.observed import Observed, StreamCounts
from agent.streams.shared.syscall_names import syscall_name
from agent.words import Json

_SUM = np.dtype([(name, "u8") for name in ("ns", "returned", "errors", "interrupted", "refused")])
_TAIL = SYSCALLS * _SUM.itemsize
TIMES_DTYPE = np.dtype(
    {
        "names": ["syscalls", *TIMES_FIELDS],
        "formats": [(_SUM, SYSCALLS), *("u8" for _ in TIMES_FIELDS)],
        "offsets": [0, *(_TAIL + 8 * i for i in range(len(TIMES_FIELDS)))],
        "itemsize": TIMES_SIZE,
    }
)
"""struct syscall_times of times.h."""

ENTRY_DTYPE = np.dtype(
    {
        "names": ["since", "tid", "number"],
        "formats": ["u8", "u4", "u4"],
        "offsets": [0, 8, 12],
        "itemsize": ENTRY_SIZE,
    }
)
"""struct syscall_entry of times.h."""


@dataclass(frozen=True, slots=True)
class SyscallTimes:
    """One syscall's calls within the run; calls open at either edge are clipped to the run."""

    ns: int
    errors: int
    """Calls that returned an error, without interrupted ones."""
    interrupted: int
    """Calls ended by a signal: restarted by the kernel, or failed with EINTR."""
    refused: int
    """Calls that a seccomp filter answered before they entered the kernel."""
    in_flight: int
    """Calls that had not returned at the end."""


@dataclass(frozen=True, slots=True)
class Times:
    """A snapshot of the detail's tables."""

    syscalls: Mapping[str, SyscallTimes]
    """By name; only syscalls with calls that returned, are open, or were refused."""
    counts: StreamCounts


def read_times(
    times: NDArray[np.void], entries: NDArray[np.void], until_ns: int, with_primed: bool
) -> Times:
    """Return times as of ``until_ns`` (CLOCK_MONOTONIC), including calls that are still open.

    ``times``: TIMES_DTYPE, one row per CPU; ``entries``: ENTRY_DTYPE, one row per slot.
    ``with_primed`` adds calls that were entered before the run and have not returned yet.
    """
    open_ns, open_calls = _open(entries, until_ns, with_primed)
    sums = {name: times["syscalls"][name].sum(axis=0) for name in _SUM.names or ()}
    numbers = np.flatnonzero(sums["returned"] + sums["refused"] + open_calls).tolist()
    by_name = {
        syscall_name(number): SyscallTimes(
            ns=int(sums["ns"][number] + open_ns[number]),
            errors=int(sums["errors"][number]),
            interrupted=int(sums["interrupted"][number]),
            refused=int(sums["refused"][number]),
            in_flight=int(open_calls[number]),
        )
        for number in numbers
    }
    return Times(by_name, _counts(times, int(sums["returned"].sum()), int(open_calls.sum())))


def _open(
    entries: NDArray[np.void], until_ns: int, with_primed: bool
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return time and number of the open calls, by syscall number."""
    # a copy: the programs keep writing to the table
    entries = entries[entries["since"] != 0]
    chosen = entries["since"] != 0
    if not with_primed:
        chosen &= (entries["number"] & ENTRY_PRIMED) == 0
    entries = entries[chosen]
    since = np.minimum(entries["since"], np.uint64(until_ns))
    numbers = entries["number"] & (SYSCALLS - 1)
    ns, count = np.zeros(SYSCALLS, np.uint64), np.zeros(SYSCALLS, np.uint64)
    np.add.at(ns, numbers, np.uint64(until_ns) - since)
    np.add.at(count, numbers, np.uint64(1))
    return ns, count


def _counts(times: NDArray[np.void], returned: int, still_open: int) -> StreamCounts:
    tail = {name: int(times[name].sum()) for name in TIMES_FIELDS}
    return StreamCounts(
        produced=returned,
        received=returned,
        unmatched=tail["syscalls_unmatched"],
        clamped=tail["syscalls_clamped"],
        collided=tail["syscalls_collided"],
        in_flight_at_start=tail["syscalls_in_flight"],
        in_flight_at_stop=still_open,
    )


def times_of(observed: Observed) -> Times | None:
    """Read the detail's tables; return None if the detail is not measured."""
    if TIMES.name not in observed.details:
        return None
    return read_times(
        np.frombuffer(observed.tables["syscall_times"], TIMES_DTYPE),
        np.frombuffer(observed.tables["entries"], ENTRY_DTYPE),
        observed.until_ns,
        observed.scoped,
    )


def rows(times: Mapping[str, SyscallTimes], calls: Mapping[str, int]) -> Json:
    """Return rows by name, longest time first. ``count``: calls made within the run."""
    names = sorted(times, key=lambda name: (-times[name].ns, name))
    return {
        name: {
            "count": calls.get(name, 0),
            "errors": times[name].errors,
            "interrupted": times[name].interrupted,
            "refused": times[name].refused,
            "in_flight": times[name].in_flight,
            "total_ms": milliseconds(times[name].ns),
        }
        for name in names
    }
