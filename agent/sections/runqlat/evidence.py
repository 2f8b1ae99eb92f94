"""Run-queue latency: the distribution of waits, and which tasks waited."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from agent.aggregate.histogram import LatencyHistogram
from agent.aggregate.latency import latency
from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check, scheduler_checks
from agent.evidence.tasks import TaskTable, Waited
from agent.sections.fold import SectionFold, Taker, add_growth, milliseconds
from agent.streams.collect.observed import Stopped
from agent.streams.collect.tables import OpenWait, OpenWaits
from agent.streams.collect.task_summaries import Summaries, command
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge
from agent.streams.shared.layout import LATENCY_MAX
from agent.words import Json


class RunqlatFold(SectionFold):
    """Fold of 1-word events with the latency in the low bits (layout.py)."""

    has_histogram = True

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self.histogram = LatencyHistogram()

    def take(self, words: Words) -> None:
        self.histogram.fold(words, LATENCY_MAX)

    takes: ClassVar[Mapping[str, Taker]] = {"runqlat": take}

    def take_folded(self, stream: str, growths: Sequence[Growth]) -> None:
        (waits,) = growths
        add_growth(self.histogram, waits)

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        total = Waited(self.histogram.sum_ns, self.histogram.total_count)
        return latency(self.histogram) | {
            "lost": observed.streams["runqlat"].lost,
            "by_command": self.tasks.by_command(total),
            "by_thread": self.tasks.by_thread(total),
            "preempted_ms": self.tasks.preempted_ns() / 1e6,
            "waiting_at_stop": _waiting(observed.waiting, stopped.summaries),
        }

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterable[Check]:
        return scheduler_checks(edges, accounts)

    def latencies(self) -> LatencyHistogram:
        return self.histogram

    @property
    def overflow(self) -> int:
        return self.histogram.overflow


def _waiting(waits: OpenWaits, alive: Summaries) -> Json:
    """Return the waits that had not ended at the stop; none of them is in the histogram."""
    return {
        "count": waits.count,
        "began_before_run": waits.older,
        "total_ms": milliseconds(waits.ns),
        "longest": _described(waits.longest, alive),
    }


def _described(wait: OpenWait | None, alive: Summaries) -> Json:
    if wait is None:
        return dict.fromkeys(("tid", "command", "ms", "began_before_run"))
    return {
        "tid": wait.tid,
        "command": _command_of(wait.tid, alive),
        "ms": milliseconds(wait.ns),
        "began_before_run": wait.older,
    }


def _command_of(tid: int, alive: Summaries) -> str | None:
    """Return a living task's name; None if it has not been reported."""
    names = alive["comm"][alive["tid"] == tid].tolist()
    return command(names[0]) if names else None
