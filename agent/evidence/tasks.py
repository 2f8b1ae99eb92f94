"""Run-queue latency by thread and by command, bounded in size, and adding up to the total."""

import heapq
from collections import Counter
from dataclasses import dataclass, field

from agent.streams.collect.task_summaries import Summaries, command
from agent.words import Json

TOP = 20
MAX_COMMANDS = 1_000
"""Distinct command names kept. A process may choose any name, so there must be a limit."""
OTHER = "(other)"
"""What all further ones are called."""


@dataclass(slots=True)
class Waited:
    """Waits of one thread or command."""

    ns: int = 0
    count: int = 0
    preempted_ns: int = 0


@dataclass(slots=True)
class _Thread:
    tid: int
    local_tid: int
    command: str
    waited: Waited


@dataclass(slots=True)
class TaskTable:
    """Folded task summaries: the threads that waited longest, and a sum for every command."""

    commands: dict[str, Waited] = field(default_factory=dict)
    _top: list[tuple[int, int, _Thread]] = field(default_factory=list)
    _order: int = 0

    def take(self, summaries: Summaries) -> None:
        """Add tasks whose account is final: they have exited, or the run has ended."""
        waited = summaries[summaries["waits"] > 0]
        columns = ("tid", "local_tid", "comm", "wait_ns", "waits", "preempted_ns")
        for row in zip(*(waited[name].tolist() for name in columns), strict=True):
            tid, local_tid, comm, ns, count, preempted_ns = row
            waits = Waited(ns, count, preempted_ns)
            self._add(_Thread(tid, local_tid, command(comm), waits))

    def by_thread(self, total: Waited) -> Json:
        """Return the threads that waited longest, and the rest of ``total``."""
        chosen = sorted(self._top, reverse=True)
        rows = [{**numbers(t.tid, t.local_tid), **_row(t.command, t.waited)} for _, _, t in chosen]
        return {"top": rows, "other": _rest(total, [t.waited for _, _, t in chosen])}

    def by_command(self, total: Waited) -> Json:
        """Return the commands that waited longest, and the rest of ``total``."""
        chosen = heapq.nlargest(TOP, self.commands.items(), key=lambda item: item[1].ns)
        rows = [_row(name, waited) for name, waited in chosen]
        return {"top": rows, "other": _rest(total, [waited for _, waited in chosen])}

    def preempted_ns(self) -> int:
        return sum(waited.preempted_ns for waited in self.commands.values())

    def _add(self, thread: _Thread) -> None:
        name, waited = thread.command, thread.waited
        known = self.commands.get(name)
        if known is None:
            name = name if len(self.commands) < MAX_COMMANDS else OTHER
            known = self.commands.setdefault(name, Waited())
        known.ns += waited.ns
        known.count += waited.count
        known.preempted_ns += waited.preempted_ns
        self._order += 1
        entry = (waited.ns, self._order, thread)
        if len(self._top) < TOP:
            heapq.heappush(self._top, entry)
        else:
            heapq.heappushpop(self._top, entry)


def numbers(tid: int, local_tid: int) -> Json:
    """Return a thread's number, and if it has another one in our pid namespace, that too."""
    if local_tid == tid:
        return {"tid": tid}
    return {"tid": tid, "namespace_tid": local_tid or None}


def _row(name: str, waited: Waited) -> Json:
    return {
        "command": name,
        "count": waited.count,
        "total_us": waited.ns / 1e3,
        "mean_us": waited.ns / 1e3 / waited.count if waited.count else None,
        "preempted_us": waited.preempted_ns / 1e3,
    }


def _rest(total: Waited, shown: list[Waited]) -> Json:
    """Return the total less the rows: tasks further down, and those that were not reported.

    The rows are sums kept in the kernel, complete even if events were lost on the way to the total.
    In that case the rest is 0 rather than negative.
    """
    sums: Counter[str] = Counter()
    for waited in shown:
        sums.update(ns=waited.ns, count=waited.count)
    return {
        "count": max(0, total.count - sums["count"]),
        "total_us": max(0, total.ns - sums["ns"]) / 1e3,
    }
