"""A process and its descendants, as far as they can be followed by looking again and again.

The kernel lists a process's children, not its descendants: one that lost its parent between two
looks, and was not known before, is not found. Known ones are followed wherever they belong to.
"""

import os
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from agent.procfs.files import Counts, Unreadable, content_or_nothing, listed, numbers_in
from agent.procfs.pace import Pace
from agent.procfs.sums import Key, OfProcesses, OfThreads
from agent.procfs.task import (
    HIDDEN,
    Process,
    is_ending,
    owner_of,
    read_io,
    read_process,
    read_thread,
    threads_of,
)
from agent.streams.shared.kernel_counts import TICK_NS
from agent.streams.shared.namespaces import process_exists

Children = Mapping[int, list[int]]
"""The children of each process."""


@dataclass
class _Look:
    """What one look found: of a process first, then of its descendants."""

    children: Children | None
    """None: this kernel lists the children of each thread."""
    processes: dict[Key, Process] = field(default_factory=dict)
    threads: dict[int, Counts] = field(default_factory=dict)
    pids: set[int] = field(default_factory=set)
    older: set[Key] = field(default_factory=set)
    older_threads: set[int] = field(default_factory=set)
    pace: Pace = field(default_factory=Pace)


class Tree:
    """The tasks of a process tree, and the sums of what they did since the first look."""

    def __init__(self, root: int, *, with_waits: bool, left_out: Collection[int] = ()) -> None:
        """Raises `Unreadable` if there is no such process. ``with_waits``: see `accounts_waits`.

        ``left_out``: pids that are not followed, nor their descendants.
        """
        self._left_out = frozenset(left_out)
        self.root: Key = root, read_process(root).start
        self.of_processes = OfProcesses()
        self.of_threads = OfThreads()
        self.has_io = False
        """Whether it is known of any process what it has read and written."""
        self.io_refused: set[Key] = set()
        """Other processes, of which that is not known (``/proc/PID/io``)."""
        self.why_io_refused = ""
        self.is_anothers = False
        """Whether the first of them belonged to another user than the agent."""
        self.has_ended_unread = False
        """Whether a process could not be asked for it because it was at its end."""
        self.unseen = ""
        """Why some descendants were not seen, if that is known."""
        self.with_waits = with_waits
        self.members: dict[Key, Process] = {}
        """The processes of the last look."""
        self._began_ticks: int | None = None

    @property
    def root_has_ended(self) -> bool:
        """Whether the root was gone at the last look."""
        return self.root not in self.members

    def has_ended(self) -> bool:
        """Whether nothing is left for another look to find.

        Looks begin at the processes of the last one. A number that another process has by now
        counts as left, until the next look.
        """
        return not any(process_exists(pid) for pid, _ in self.members)

    async def look(self) -> None:
        """Add what the tasks have done since the last look. Raises `Unreadable`."""
        found = _Look(None if _lists_children() else await _children_of_all())
        # ancestors began before their descendants, also those that adopt orphans
        members = sorted(self.members, key=lambda key: key[1])
        pending: deque[tuple[int, int | None]] = deque([self.root, *members])
        while pending:
            pid, start = pending.popleft()
            pending += [(child, None) for child in await self._visit(pid, start, found)]
            await found.pace.breathe()
        self.of_processes.take(found.processes, found.older)
        self.of_threads.take(found.threads, found.older_threads)
        self.members = found.processes
        if self._began_ticks is None:
            self._began_ticks = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // TICK_NS

    async def _visit(self, pid: int, start: int | None, found: _Look) -> list[int]:
        """Read a process and its threads; return its children, of which an ended one has none."""
        if pid in found.pids or pid in self._left_out:
            return []
        try:
            process = read_process(pid)
            if start not in (None, process.start):
                return []  # another process by now, with the same number
            threads = threads_of(pid)
        except Unreadable as error:
            if error.is_gone and start is None and process_exists(pid):
                self.unseen = HIDDEN
            return _nothing_if_gone(error)
        key = pid, process.start
        found.pids.add(pid)
        found.processes[key] = process._replace(counts={**process.counts, **self._io(key)})
        if self._is_older(key):
            found.older.add(key)
            found.older_threads.update(threads)
        listed_children = [] if found.children is None else list(found.children.get(pid, []))
        for thread in threads:
            listed_children += self._visit_thread(pid, thread, found)
            await found.pace.breathe()
        return listed_children

    def _is_older(self, key: Key) -> bool:
        """Whether a process that has not been seen before began before the run."""
        return self._began_ticks is None or (key not in self.members and key[1] < self._began_ticks)

    def _visit_thread(self, pid: int, thread: int, found: _Look) -> list[int]:
        folder = f"/proc/{pid}/task/{thread}"
        try:
            found.threads[thread] = read_thread(folder, with_waits=self.with_waits)
            if found.children is not None:
                return []
            return numbers_in(f"{folder}/children")
        except Unreadable as error:
            return _nothing_if_gone(error)

    def _io(self, key: Key) -> Counts:
        try:
            found = read_io(key[0])
        except Unreadable as error:
            if error.is_gone:
                return {}
            if is_ending(key[0]):
                self.has_ended_unread = True  # what was seen of it last stands
            else:
                self.io_refused.add(key)
                if not self.why_io_refused:
                    self.why_io_refused = str(error)
                    self.is_anothers = owner_of(key[0]) not in (None, os.geteuid())
            return {}
        self.has_io = True
        return found


def _nothing_if_gone(error: Unreadable) -> list[int]:
    if not error.is_gone:
        raise error
    return []


def _lists_children() -> bool:
    """Whether this kernel lists the children of each thread (CONFIG_PROC_CHILDREN)."""
    try:
        content_or_nothing("/proc/thread-self/children")
    except Unreadable:
        return False
    return True


async def _children_of_all() -> Children:
    """Return the children of every process that can be seen. Raises `Unreadable`."""
    pace = Pace()
    found: dict[int, list[int]] = {}
    for pid in _numbers(listed("/proc")):
        try:
            found.setdefault(read_process(pid).parent, []).append(pid)
        except Unreadable:
            continue  # it has ended, or it is hidden
        await pace.breathe()
    return found


def _numbers(names: Iterable[str]) -> list[int]:
    return [int(name) for name in names if name.isdecimal()]
