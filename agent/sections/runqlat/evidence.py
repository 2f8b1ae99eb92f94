"""Run-queue latency: the distribution of waits, and which tasks waited."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check, scheduler_checks
from agent.evidence.tasks import TaskTable, Waited
from agent.model import Json
from agent.sections.fold import SectionFold, Taker, latency
from agent.streams.collect.observed import Stopped
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import Edge
from agent.streams.shared.layout import LATENCY_MAX


class RunqlatFold(SectionFold):
    """Fold of 1-word events with the latency in the low bits (layout.py)."""

    has_histogram = True

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self.histogram = LatencyHistogram()

    def take(self, words: Words) -> None:
        self.histogram.fold(words, LATENCY_MAX)

    takes: ClassVar[Mapping[str, Taker]] = {"runqlat": take}

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        total = Waited(self.histogram.sum_ns, self.histogram.total_count)
        return latency(self.histogram) | {
            "lost": observed.streams["runqlat"].lost,
            "by_command": self.tasks.by_command(total),
            "by_thread": self.tasks.by_thread(total),
            "preempted_ms": self.tasks.preempted_ns() / 1e6,
        }

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterable[Check]:
        return scheduler_checks(edges, accounts)

    @property
    def overflow(self) -> int:
        return self.histogram.overflow
