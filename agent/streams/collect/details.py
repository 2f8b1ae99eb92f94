"""What a run adds on request: tables of their own, mapped for that run only."""

import mmap
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.streams.collect.observed import Details, StreamCounts, SyscallTimes, WaitFunctions, Waits
from agent.streams.shared.layout import (
    DETAIL_FIELDS,
    DETAILS_SIZE,
    ENTRY_PRIMED,
    ENTRY_SIZE,
    SYSCALLS,
    WAIT_FIELDS,
    WAIT_SITES,
    WAITS_SIZE,
)

_SUM = np.dtype([("ns", "u8"), ("returned", "u8"), ("errors", "u8"), ("interrupted", "u8")])
_TAIL = SYSCALLS * _SUM.itemsize
DETAILS_DTYPE = np.dtype(
    {
        "names": ["syscalls", *DETAIL_FIELDS],
        "formats": [(_SUM, SYSCALLS), *("u8" for _ in DETAIL_FIELDS)],
        "offsets": [0, *(_TAIL + 8 * i for i in range(len(DETAIL_FIELDS)))],
        "itemsize": DETAILS_SIZE,
    }
)
"""struct detail_counters of layout.h."""

ENTRY_DTYPE = np.dtype(
    {
        "names": ["since", "tid", "number"],
        "formats": ["u8", "u4", "u4"],
        "offsets": [0, 8, 12],
        "itemsize": ENTRY_SIZE,
    }
)
"""struct syscall_entry of layout.h."""


_INTERVALS = np.dtype([("ns", "u8"), ("count", "u8")])
WAITS_DTYPE = np.dtype(
    {
        "names": ["sites", *WAIT_FIELDS],
        "formats": [(_INTERVALS, WAIT_SITES), *("u8" for _ in WAIT_FIELDS)],
        "offsets": [0, *(WAIT_SITES * 16 + 8 * i for i in range(len(WAIT_FIELDS)))],
        "itemsize": WAITS_SIZE,
    }
)
"""struct wait_counters of layout.h."""


class DetailTables:
    """The tables of one run's details, mapped read-only. Takes the fds over, and closes them."""

    def __init__(
        self, fds: Mapping[str, int], sizes: Mapping[str, int], details: Sequence[str]
    ) -> None:
        self.details = details
        """Those that are measured, of which there are tables."""
        memory = {name: _mapped(fd, sizes[name]) for name, fd in fds.items()}
        self._counters = np.frombuffer(memory.get("details", b""), DETAILS_DTYPE)
        self._entries = np.frombuffer(memory.get("entries", b""), ENTRY_DTYPE)
        self._waits = np.frombuffer(memory.get("waits", b""), WAITS_DTYPE)
        self._wait_sites = np.frombuffer(memory.get("wait_sites", b""), np.uint32)

    def observed(self, until_ns: int, with_primed: bool, name_of: Callable[[int], str]) -> Details:
        """As far as ``until_ns`` (CLOCK_MONOTONIC), calls that are still open included.

        ``with_primed`` adds those that were entered before the run and have not returned yet.
        """
        if "syscalls" not in self.details:
            return Details()
        open_ns, open_calls = self._open(until_ns, with_primed)
        sums = {name: self._counters["syscalls"][name].sum(axis=0) for name in _SUM.names or ()}
        numbers = np.flatnonzero(sums["returned"] + open_calls).tolist()
        return Details(
            syscalls={
                name_of(number): SyscallTimes(
                    ns=int(sums["ns"][number] + open_ns[number]),
                    errors=int(sums["errors"][number]),
                    interrupted=int(sums["interrupted"][number]),
                    in_flight=int(open_calls[number]),
                )
                for number in numbers
            },
            streams={"syscalls": self._counts(int(sums["returned"].sum()), int(open_calls.sum()))},
        )

    def wait_functions(
        self,
        stacks: Mapping[str, Sequence[int]],
        open_slots: NDArray[np.int64],
        open_ns: NDArray[np.uint64],
    ) -> WaitFunctions:
        """Of a run that has ended: its stacks by function, and the waits that were still open."""
        ns = self._waits["sites"]["ns"].sum(axis=0)
        count = self._waits["sites"]["count"].sum(axis=0)
        sites = self._wait_sites[open_slots]
        np.add.at(ns, sites, open_ns)
        np.add.at(count, sites, np.uint64(1))

        def waits(numbers: Sequence[int]) -> Waits:
            # 0 is no stack, so a stack's place is one behind its number
            places = [number + 1 for number in numbers]
            return Waits(int(count[places].sum()), int(ns[places].sum()))

        sampled = {function: waits(numbers) for function, numbers in stacks.items()}
        return WaitFunctions(
            sampled={function: of for function, of in sampled.items() if of.count},
            unsampled=Waits(int(count[0]), int(ns[0])),
            refused=int(self._waits["refused"].sum()),
        )

    def _open(
        self, until_ns: int, with_primed: bool
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Time and number of the calls that are open, by syscall."""
        entries = self._entries[self._entries["since"] != 0]
        # the table goes on: until it was copied, a call may have returned
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

    def _counts(self, returned: int, still_open: int) -> StreamCounts:
        tail = {name: int(self._counters[name].sum()) for name in DETAIL_FIELDS}
        return StreamCounts(
            produced=returned,
            received=returned,
            unmatched=tail["syscalls_unmatched"],
            clamped=tail["syscalls_clamped"],
            collided=tail["syscalls_collided"],
            in_flight_at_start=tail["syscalls_in_flight"],
            in_flight_at_stop=still_open,
        )


def _mapped(fd: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    finally:
        os.close(fd)
