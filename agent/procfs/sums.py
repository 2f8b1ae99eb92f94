"""Sums over tasks that come and go between two looks. Pure.

Nothing is counted twice and nothing is guessed, so each sum is a lower bound of what tasks did.
"""

from collections import Counter
from collections.abc import Collection, Mapping

from agent.procfs.files import Counts
from agent.procfs.task import Process

Key = tuple[int, int]
"""A process: its pid, and when it began."""


class OfThreads:
    """Sums of counters that end with their thread: what it did after the last look is not known."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.began = 0
        """Threads that were seen to begin in the run."""
        self.any_seen = False
        self._last: dict[int, Counts] = {}

    def take(self, threads: Mapping[int, Counts], older: Collection[int] = ()) -> None:
        """Add what threads have counted since the last look. ``older``: began before the run."""
        self.any_seen |= bool(threads)
        for thread, now in threads.items():
            then = self._last.get(thread)
            if then is not None and any(now.get(name, 0) < then[name] for name in then):
                then = None  # another thread by now, with the same number
            if then is None:
                if thread in older:
                    continue
                self.began += 1
            self.totals.update(_grown(now, then))
        self._last = dict(threads)


class OfProcesses:
    """Sums of counters that a process hands to the one that waits for its end.

    What has been counted of a process that has ended is a debt of the nearest ancestor that lives:
    whenever that one is handed it, it has been counted before. If nobody waited (SIGCHLD is
    ignored), the debt is paid with what the ancestor does itself, and the sum is that much lower.
    """

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self.ended = 0
        """Processes that were seen, and have ended."""
        self.seen = 0
        self._last: dict[Key, Process] = {}
        self._debts: dict[Key, Counts] = {}

    def take(self, processes: Mapping[Key, Process], older: Collection[Key] = ()) -> None:
        """Add what processes have counted since the last look. ``older``: began before the run.

        A parent must have been read before its children: one of these may be handed over meanwhile.
        """
        by_pid = {pid: (pid, start) for pid, start in self._last}
        for key in self._last.keys() - processes.keys():
            self._bequeath(key, by_pid, processes)
        for key, process in processes.items():
            then = self._last.get(key)
            self.seen += then is None
            if then is not None or key not in older:
                self._add(key, _grown(process.counts, then and then.counts))
        self._last = {key: _with_known(now, self._last.get(key)) for key, now in processes.items()}

    def _bequeath(
        self, ended: Key, by_pid: Mapping[int, Key], living: Mapping[Key, Process]
    ) -> None:
        """Make what has been counted of an ended process a debt of the one that may inherit it.

        ``by_pid``: the processes of the last look. Of one without an ancestor among the living
        nobody inherits: it stays counted as it was.
        """
        self.ended += 1
        debt = _sum(self._last[ended].counts, self._debts.pop(ended, {}))
        heir = by_pid.get(self._last[ended].parent)
        while heir is not None and heir not in living:
            heir = by_pid.get(self._last[heir].parent)
        if heir is not None:
            self._debts[heir] = _sum(debt, self._debts.get(heir, {}))

    def _add(self, key: Key, grown: Counts) -> None:
        debt = self._debts.get(key, {})
        for name, count in grown.items():
            paid = min(count, debt.get(name, 0))
            self.totals[name] += count - paid
            if paid:
                debt[name] -= paid


def _grown(now: Counts, then: Counts | None) -> Counts:
    """Return what counters grew by; None: they began at 0. One that was not known has no growth."""
    if then is None:
        return dict(now)
    return {name: max(count - then[name], 0) for name, count in now.items() if name in then}


def _with_known(now: Process, then: Process | None) -> Process:
    """Return a process with what is no longer shown of it as it was known last."""
    return now if then is None else now._replace(counts={**then.counts, **now.counts})


def _sum(first: Counts, second: Counts) -> Counts:
    return {name: first.get(name, 0) + second.get(name, 0) for name in {**first, **second}}
