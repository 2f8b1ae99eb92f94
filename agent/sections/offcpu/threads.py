"""The budget of each thread of a scoped run, and by command: ``wall.by_thread``, ``by_command``."""

import heapq
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from agent.evidence.tasks import MAX_COMMANDS, OTHER, numbers
from agent.sections.fold import milliseconds
from agent.sections.offcpu.layout import WALL_THREAD_SHIFT
from agent.sections.offcpu.reasons import reason_name
from agent.streams.collect.task_summaries import Reports, command
from agent.streams.shared.layout import (
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_RUNNABLE,
    SLOT_STOPPED,
    SLOT_UNINTERRUPTIBLE,
)
from agent.words import Json

TOP = 20
"""Threads, and commands."""
TOP_REASONS = 5

_NS = (1 << WALL_THREAD_SHIFT) - 1


@dataclass(slots=True)
class Budget:
    """What a thread did during its lifetime in the run, or all threads of a command; in ns."""

    lifetime: int = 0
    on_cpu: int = 0
    waiting: int = 0
    blocked: int = 0
    stopped: int = 0
    reasons: Counter[int] = field(default_factory=Counter)
    """Of the time blocked; the rest was blocked for reasons that are not known by thread."""

    def add(self, other: "Budget") -> None:
        self.lifetime += other.lifetime
        self.on_cpu += other.on_cpu
        self.waiting += other.waiting
        self.blocked += other.blocked
        self.stopped += other.stopped
        self.reasons.update(other.reasons)

    @property
    def unaccounted(self) -> int:
        """What the parts leave of the lifetime, or exceed it by."""
        return self.lifetime - self.on_cpu - self.waiting - self.blocked - self.stopped

    def evidence(self) -> Json:
        """Return the lifetime and its parts, the blocked time by its longest reasons."""
        by_time = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        shown = [(reason, ns) for reason, ns in by_time[:TOP_REASONS] if ns > 0]
        return {
            "lifetime_ms": milliseconds(self.lifetime),
            "on_cpu_ms": milliseconds(self.on_cpu),
            "waiting_ms": milliseconds(self.waiting),
            "blocked_ms": milliseconds(self.blocked),
            "stopped_ms": milliseconds(self.stopped),
            "unaccounted_ms": milliseconds(self.unaccounted),
            "blocked_in": [
                {"reason": reason_name(reason), "ms": milliseconds(ns)} for reason, ns in shown
            ],
            "blocked_other_ms": milliseconds(self.blocked - sum(ns for _, ns in shown)),
        }


@dataclass(slots=True)
class _Command:
    threads: int = 0
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class _Thread:
    tid: int
    local_tid: int
    command: str
    budget: Budget


@dataclass(slots=True)
class ThreadBudgets:
    """Folded reports: the threads that lived longest in the run, and a sum for every command."""

    without_reasons: int = 0
    """Threads that found no place in the kernel side's table."""
    _commands: dict[str, _Command] = field(default_factory=dict)
    _top: list[tuple[int, int, _Thread]] = field(default_factory=list)
    _total: _Command = field(default_factory=_Command)

    def take(self, reports: Reports) -> None:
        """Add threads whose report is final: they have exited, or the run has ended."""
        # without an origin it is a thread that has been reported before, on its way to its end
        for report in reports[reports["summary"]["born_ns"] > 0]:
            summary = report["summary"]
            tid, local_tid = int(summary["tid"]), int(summary["local_tid"])
            self.without_reasons += int(report["row"]["tid"]) != tid
            self._add(_Thread(tid, local_tid, command(summary["comm"]), budget_of(report)))

    def evidence(self, lost: int = 0, left: int = 0) -> Json:
        """Return the two fields of ``wall``.

        ``lost``: reports that did not arrive; ``left``: threads that left the scope alive, of which
        there is none.
        """
        return {
            "by_thread": {**self._by_thread(), "lost": lost, "left": left},
            "by_command": self._by_command(),
        }

    def _by_thread(self) -> Json:
        """Return the threads that lived longest, the longest first, and how many there were."""
        chosen = [thread for _, _, thread in sorted(self._top, reverse=True)]
        return {
            "top": [
                {
                    **numbers(thread.tid, thread.local_tid),
                    "command": thread.command,
                    **thread.budget.evidence(),
                }
                for thread in chosen
            ],
            "threads": self._total.threads,
            "without_reasons": self.without_reasons,
        }

    def _by_command(self) -> Json:
        """Return the commands whose threads lived longest in sum, and the sum of the others."""
        by_time = sorted(self._commands.items(), key=lambda c: (-c[1].budget.lifetime, c[0]))
        other = _Command()
        for _, found in by_time[TOP:]:
            other.threads += found.threads
            other.budget.add(found.budget)
        return {
            "top": [{"command": name, **_of(found)} for name, found in by_time[:TOP]],
            "other": _of(other),
        }

    def _add(self, thread: _Thread) -> None:
        name = thread.command
        if name not in self._commands and len(self._commands) >= MAX_COMMANDS:
            name = OTHER
        for found in (self._commands.setdefault(name, _Command()), self._total):
            found.threads += 1
            found.budget.add(thread.budget)
        # among equals, the first that was reported comes first
        entry = (thread.budget.lifetime, -self._total.threads, thread)
        if len(self._top) < TOP:
            heapq.heappush(self._top, entry)
        else:
            heapq.heappushpop(self._top, entry)


def budget_of(report: np.void) -> Budget:
    """Return the budget of one thread, given its REPORT_DTYPE."""
    summary, row = report["summary"], report["row"]
    state, open_ns = int(summary["state"]), int(summary["open_ns"])
    # a thread that is being born as the run ends has a row without a beginning for some ns
    owned = row["tid"] == summary["tid"] and row["began_ns"] > 0
    budget = Budget(
        # what was excluded from an account is not in its time since its birth
        lifetime=int(summary["now_ns"]) - int(row["began_ns"] if owned else summary["born_ns"]),
        on_cpu=int(summary["oncpu_ns"]),
        waiting=int(summary["wait_ns"]),
        blocked=int(summary["blocked_ns"]),
    )
    if owned:
        budget.stopped = int(row["stopped_ns"])
        for packed in row["blocked"].tolist():
            if packed:
                budget.reasons[(packed >> WALL_THREAD_SHIFT) - 1] += packed & _NS
    if state in (SLOT_RUNNABLE, SLOT_PREEMPTED):
        budget.waiting += open_ns
    elif state == SLOT_STOPPED and owned:
        budget.stopped += open_ns
    elif state in (SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE) and owned:
        budget.reasons[int(summary["reason"])] += open_ns
    return budget


def _of(found: _Command) -> Json:
    return {"threads": found.threads, **found.budget.evidence()}
