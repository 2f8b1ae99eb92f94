"""A control group of version 2: its own counters, and its threads, looked at again and again.

The counters are of all tasks in it and below, also those that have ended (cgroup-v2.rst).
"""

import os
import time
from collections.abc import Collection
from pathlib import Path

from agent.procfs import disks
from agent.procfs.controllers import why_without
from agent.procfs.disks import Disks
from agent.procfs.files import (
    Counts,
    Unreadable,
    content_or_nothing,
    named,
    number,
    numbers_in,
    of_the_kernel,
    pressure,
)
from agent.procfs.pace import Pace
from agent.procfs.readings import Reading, Source, growth, read
from agent.procfs.sums import OfThreads
from agent.procfs.task import HIDDEN, read_process, read_thread
from agent.streams.shared.kernel_counts import TICK_NS
from agent.streams.shared.namespaces import process_exists
from agent.words import Json

US = 1000
CPU = {b"user_usec": "user_ms", b"system_usec": "system_ms"}
MEMORY = {b"pgfault": "page_faults", b"pgmajfault": "major_faults"}
STRANGERS = "some of its tasks are outside of the agent's pid namespace"
IO = {b"rios": "reads", b"rbytes": "read_bytes", b"wios": "writes", b"wbytes": "written_bytes"}


class Group:
    """The tasks of a control group, and what it has counted since the first look."""

    def __init__(
        self, folder: Path, *, with_waits: bool, agent: Collection[int] = frozenset()
    ) -> None:
        """``agent``: pids of the agent's processes, which the group counts if they are in it."""
        self.of_threads = OfThreads()
        self.is_removed = False
        self.includes_agent = False
        """Whether a process of the agent was in it at any look."""
        self.unseen = ""
        """Why some of its tasks were not seen, if that is so."""
        self._agent = frozenset(agent)
        self._folder = folder
        self._identity = folder.stat().st_ino
        self.with_waits = with_waits
        self._first: Reading | None = None
        self._last = Reading()
        self._disks: list[Disks] = []
        self.why_no_disks = ""
        self._known: set[int] = set()
        """The threads of the last look."""
        self._looked_ticks: int | None = None
        """When the last look began."""

    def grown(self) -> Reading:
        """Return what its counters grew by, up to the last look at which it was there."""
        return growth(self._first or Reading(), self._last)

    def disks(self) -> tuple[list[Json], list[str]] | None:
        """Return what it has read and written of each disk, and which disks were replaced.

        None if it does not count that.
        """
        return disks.grown(self._disks[0], self._disks[-1]) if self._disks else None

    async def look(self) -> None:
        """Add what the tasks have done since the last look. Raises `Unreadable`."""
        pace = Pace()
        began_ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK_NS
        threads: dict[int, Counts] = {}
        older: set[int] = set()
        for folder, _, _ in os.walk(self._folder, onerror=self._skip):
            await pace.breathe()
            for thread in self._listed(folder):
                try:
                    if self._is_older(thread):
                        older.add(thread)
                    threads[thread] = read_thread(f"/proc/{thread}", with_waits=self.with_waits)
                except Unreadable as error:
                    if not error.is_gone:
                        raise
                    if process_exists(thread):
                        self.unseen = HIDDEN
                await pace.breathe()
        self.includes_agent |= not self._agent.isdisjoint(threads)
        self.of_threads.take(threads, older)
        self._known, self._looked_ticks = set(threads), began_ticks
        self._read_counters()

    def _listed(self, folder: str) -> list[int]:
        """Return the threads of a group; the kernel lists as 0 those outside of our pid namespace.

        cgroup_procs_show() in kernel/cgroup/cgroup.c.
        """
        try:
            threads = set(numbers_in(f"{folder}/cgroup.threads"))
        except Unreadable as error:
            if not error.is_gone:
                self.unseen = str(error)
            return []
        if 0 in threads:
            self.unseen = STRANGERS
        return sorted(threads - {0})

    def _skip(self, error: OSError) -> None:
        """Leave out a group that cannot be listed, and say so unless it is gone."""
        if not isinstance(error, FileNotFoundError):
            self.unseen = f"{error.filename}: {error.strerror}"

    def _is_older(self, thread: int) -> bool:
        """Whether a thread that was not here at the last look began before it: it was moved here.

        What it did elsewhere, or here before it left, is not of this group's time since then.
        """
        if self._looked_ticks is None:
            return True
        return thread not in self._known and read_process(thread).start < self._looked_ticks

    def _read_counters(self) -> None:
        if self.is_removed or not self._is_there():
            self.is_removed = True
            return
        self._last = read(self._sources())
        self._first = self._first or self._last
        try:
            self._disks = [*self._disks[:1], _disks(f"{self._folder}/io.stat")]
        except Unreadable as error:
            self.why_no_disks = self._why_without("io", error)

    def _faults(self) -> Counts:
        try:
            return named(f"{self._folder}/memory.stat", MEMORY)
        except Unreadable as error:
            raise Unreadable(self._why_without("memory", error)) from error

    def _why_without(self, controller: str, error: Unreadable) -> str:
        is_off = error.is_gone and self._is_there()
        return why_without(controller, self._folder) if is_off else str(error)

    def _is_there(self) -> bool:
        """Whether the group is there, and not another one under its path."""
        try:
            return self._folder.stat().st_ino == self._identity
        except OSError:
            return False

    def _sources(self) -> tuple[Source, ...]:
        at = str(self._folder)
        return (
            Source(tuple(CPU.values()), lambda: _times(f"{at}/cpu.stat")),
            Source(tuple(MEMORY.values()), self._faults),
            *(_pressure(at, resource) for resource in ("cpu", "io", "memory")),
        )


def _pressure(folder: str, resource: str) -> Source:
    name = f"pressure.{resource}"
    figures = (f"{name}.some_ms", f"{name}.full_ms")
    return Source(figures, lambda: pressure(f"{folder}/{resource}.pressure", name))


def _times(path: str) -> Counts:
    return {name: us * US for name, us in named(path, CPU).items()}


def _disks(path: str) -> Disks:
    """Return what a group has read and written of each disk. Raises `Unreadable`."""
    rows = (line.split() for line in content_or_nothing(path).splitlines())
    with of_the_kernel(path):
        return {
            f"{device.decode()} ": {
                IO[name]: number(count)
                for name, _, count in (field.partition(b"=") for field in fields)
                if name in IO
            }
            for device, *fields in rows
            if fields
        }
