"""Off-CPU time: blocked time by reason and state, and on request by kernel function."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check, cpu_check, lifetimes_check, scheduler_checks
from agent.evidence.tasks import TaskTable
from agent.sections.fold import SectionFold, Taker, milliseconds
from agent.sections.offcpu.reasons import reason_name
from agent.sections.offcpu.threads import ThreadBudgets
from agent.sections.offcpu.wait_functions import wait_functions
from agent.streams.collect.observed import Stopped
from agent.streams.collect.tables import Blocked, Stops
from agent.streams.collect.task_summaries import reports_from_words
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import Edge
from agent.streams.shared.layout import (
    REASON_KERNEL_THREAD,
    STOP_FROZEN,
    STOP_SIGNAL,
    STOP_TRACED,
)
from agent.words import Json

TOP_REASONS = 10


class OffcpuFold(SectionFold):
    """The kernel side sums blocked intervals (struct cpu_counters): the events are of threads."""

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self.threads = ThreadBudgets()

    def take(self, words: Words) -> None:
        self.threads.take(reports_from_words(words))

    takes: ClassVar[Mapping[str, Taker]] = {"threads": take}

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        blocked = observed.blocked
        by_reason = blocked.ns.sum(axis=0)
        counts = blocked.count.sum(axis=0)
        rows = _rows(blocked)
        kernel = REASON_KERNEL_THREAD
        return {
            "total_ms": milliseconds(blocked.of_user_tasks_ns()),
            "top_reasons": rows[:TOP_REASONS],
            "other": {
                "ms": round(sum(row["ms"] for row in rows[TOP_REASONS:]), 6),
                "count": sum(row["count"] for row in rows[TOP_REASONS:]),
            },
            "count": int(counts.sum() - counts[kernel]),
            "by_state": {
                "interruptible_ms": milliseconds(blocked.ns[0].sum() - blocked.ns[0, kernel]),
                "uninterruptible_ms": milliseconds(blocked.ns[1].sum() - blocked.ns[1, kernel]),
                "preempted_ms": self.tasks.preempted_ns() / 1e6,
            },
            **_stopped(observed.stops),
            "kernel_threads": {
                "ms": milliseconds(by_reason[kernel]),
                "count": int(counts[kernel]),
            },
        } | wait_functions(observed)

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterator[Check]:
        yield from scheduler_checks(edges, accounts)
        yield lifetimes_check(edges, accounts)
        if self.scoped:
            yield cpu_check(edges, accounts)


def _rows(blocked: Blocked) -> list[Json]:
    """Return one row per reason why user tasks were blocked, longest time first."""
    by_reason = blocked.ns.sum(axis=0)
    counts = blocked.count.sum(axis=0)
    reasons = [r for r in by_reason.argsort()[::-1].tolist() if r != REASON_KERNEL_THREAD]
    return [
        {
            "reason": reason_name(reason),
            "ms": milliseconds(by_reason[reason]),
            "count": int(counts[reason]),
            "interruptible_ms": milliseconds(blocked.ns[0, reason]),
            "uninterruptible_ms": milliseconds(blocked.ns[1, reason]),
        }
        for reason in reasons
        if counts[reason]
    ]


def _stopped(stops: Stops) -> Json:
    """Return the time that tasks were stopped, in all and by what stopped them."""
    by_kind = [milliseconds(ns) for ns in stops.ns]
    return {
        "stopped_ms": milliseconds(stops.ns.sum()),
        "stopped": {
            "count": int(stops.count.sum()),
            "throughout": stops.throughout,
            "by_signal_ms": by_kind[STOP_SIGNAL],
            "traced_ms": by_kind[STOP_TRACED],
            "frozen_ms": by_kind[STOP_FROZEN],
        },
    }
