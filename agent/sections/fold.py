"""What one section folds of one run, and what it says about it: the interface of evidence.py."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check
from agent.evidence.tasks import TaskTable
from agent.model import Json
from agent.streams.collect.observed import Observed, Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import Edge

Taker = Callable[[Any, Words], None]
"""A method of a fold, taken from its class: an object that holds its own methods is a cycle, and
its histograms would wait for the garbage collector."""


class SectionFold(ABC):
    """One section of one run. Subclasses override what they have something to say to."""

    takes: ClassVar[Mapping[str, Taker]] = {}
    """The methods that fold the words of the section's streams, by stream."""
    has_histogram: ClassVar[bool] = False
    """Whether ``overflow`` can be anything but 0."""

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        """``tasks``: the run's tasks, which several sections describe."""
        self.scoped = scoped
        self.tasks = tasks

    @abstractmethod
    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        """The section's object, as docs/reference/evidence.md has it; ``armed``: all sections."""

    def further_evidence(self, observed: Observed) -> Json:
        """Objects that stand next to the section's own, by name."""
        return {}

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterable[Check]:
        """What the section counted against what the kernel counts itself."""
        return ()

    def streams(self, observed: Observed) -> Mapping[str, StreamCounts]:
        """Accounts of streams that take more than ``observed`` to know, by stream."""
        return {}

    @property
    def overflow(self) -> int:
        """Latencies beyond the histogram's range."""
        return 0


def latency(histogram: LatencyHistogram) -> Json:
    """The fields of a latency distribution; times in µs, None where nothing was measured."""
    return {
        "histogram": histogram.power_of_two_buckets(),
        **histogram.summary(),
        "overflow": histogram.overflow,
        "hdr": histogram.encode(),
    }


def milliseconds(nanoseconds: Any) -> float:
    """Of an integer, numpy's or Python's."""
    return int(nanoseconds) / 1e6
