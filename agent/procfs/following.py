"""A run without eBPF: what /proc counts from its start to its stop.

The whole machine is read twice. The tasks of a scope are looked at again and again, because what
the kernel has counted of a task is gone with the task, or handed to its parent.
"""

import logging
import time
from collections.abc import Collection
from typing import NamedTuple

import trio

from agent.model import StartRequest
from agent.procfs import disks, scope
from agent.procfs.evidence import CPUS_CHANGED, Looks, machine_json, tasks_json
from agent.procfs.files import Unreadable
from agent.procfs.group import Group
from agent.procfs.machine import MACHINE, read_waits
from agent.procfs.readings import Reading, growth, read
from agent.procfs.task import accounts_waits
from agent.procfs.tree import Tree
from agent.words import Json

SHORTEST_PAUSE_S = 0.05
"""Between two looks at the tasks of a scope."""
PAUSE_PER_LOOK = 20
"""A pause lasts this many times as long as the look before it: looks take 5 % of a CPU at most."""

LOGGER = logging.getLogger("agent.procfs")


class _Machine(NamedTuple):
    """What was read of the whole machine at one moment."""

    at_ns: int
    counts: Reading
    waits: Reading
    disks: disks.Disks | str
    """Or why they could not be read."""


class Following:
    """What /proc counts of one run. Call `begin` and `end`, and have a task do `run` between."""

    def __init__(self, request: StartRequest, left_out: Collection[int] = ()) -> None:
        """``left_out``: the agent's own processes, which no tree of processes is to include."""
        self._request = request
        self._left_out = left_out
        self._tasks: Tree | Group | None = None
        self._why_no_tasks = ""
        self._looks = Looks()
        self._ending = trio.Event()
        self._ended = trio.Event()
        self._before: _Machine | None = None
        self.scope: Json = {"kind": request.scope.kind}
        """The scope as evidence has it."""
        self.evidence: Json = {}
        """The section, once the run has ended."""

    async def begin(self) -> None:
        """Find the tasks of the scope, and read everything for the first time.

        Raises ScopeError for a control group that does not exist.
        """
        wanted = self._request.scope
        if wanted.kind != "system":
            try:
                owner = self._request.owner
                self._tasks = await scope.find(
                    wanted, owner, with_waits=accounts_waits(), left_out=self._left_out
                )
            except scope.NotFound as error:
                self._why_no_tasks = str(error)
        self.scope = scope.described(wanted, self._tasks)
        self._before = _read_machine()
        await self._look()

    async def run(self) -> None:
        """Look at the tasks of the scope until the run is to end."""
        try:
            is_last = False
            while self._tasks is not None and not is_last:
                with trio.move_on_after(max(SHORTEST_PAUSE_S, PAUSE_PER_LOOK * self._looks.last_s)):
                    await self._ending.wait()
                is_last = self._ending.is_set()
                await self._look()
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Have `run` look for the last time, and make the section."""
        self._ending.set()
        await self._ended.wait()
        assert self._before is not None
        self.evidence = _of_machine(self._before, _read_machine())
        if self._tasks is not None:
            self.evidence["tasks"] = tasks_json(self._tasks, self._looks)
        elif self._why_no_tasks:
            self.evidence["no_tasks"] = self._why_no_tasks

    @property
    def follows_a_tree(self) -> bool:
        """Whether the tasks are those of a process tree, and still followed."""
        return isinstance(self._tasks, Tree)

    def tree_has_ended(self) -> bool:
        """Whether no process is left of the tree that is followed."""
        return isinstance(self._tasks, Tree) and self._tasks.has_ended()

    async def _look(self) -> None:
        if self._tasks is None:
            return
        try:
            with self._looks.one():
                await self._tasks.look()
        except Exception as error:
            # Whatever it is, the run goes on; of the tasks nothing is said that may be wrong.
            why = str(error)
            if not isinstance(error, Unreadable):
                LOGGER.exception("the tasks of a run can no longer be followed")
                why = f"{type(error).__name__}: {error}"
            self._tasks, self._why_no_tasks = None, why


def _read_machine() -> _Machine:
    try:
        found: disks.Disks | str = disks.read_disks()
    except Unreadable as error:
        found = str(error)
    return _Machine(time.monotonic_ns(), read(MACHINE), read_waits(), found)


def _of_machine(before: _Machine, after: _Machine) -> Json:
    rows: list[Json] | str
    replaced: list[str] = []
    if isinstance(before.disks, str) or isinstance(after.disks, str):
        rows = before.disks if isinstance(before.disks, str) else str(after.disks)
    else:
        rows, replaced = disks.grown(before.disks, after.disks)
    counts = growth(before.counts, after.counts)
    waits = growth(before.waits, after.waits)
    if before.waits.counts.keys() != after.waits.counts.keys():
        waits.missing.setdefault("wait_ms", CPUS_CHANGED)
    return {
        "measured_ms": (after.at_ns - before.at_ns) / 1e6,
        "machine": machine_json(counts, waits, rows, replaced),
    }
