"""The interface of a section's evidence.py: fold one run's events and report on them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from agent.aggregate.histogram import LatencyHistogram
from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check
from agent.evidence.tasks import TaskTable
from agent.streams.collect.observed import Observed, Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge
from agent.words import Json

Taker = Callable[[Any, Words], None]
"""An unbound method of a fold class. An object that holds its own bound methods is a reference
cycle, so its histograms would stay until the garbage collector runs."""


class SectionFold(ABC):
    """One section of one run. Subclasses override what applies to them."""

    takes: ClassVar[Mapping[str, Taker]] = {}
    """The methods that fold the words of the section's streams, by stream."""
    has_histogram: ClassVar[bool] = False
    """Whether ``overflow`` can be nonzero."""

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        """``tasks``: the run's tasks, shared by the sections that report on them."""
        self.scoped = scoped
        self.tasks = tasks

    def take_folded(self, stream: str, growths: Sequence[Growth]) -> None:
        """Add what the kernel side folded of a stream: the growth of each of its distributions.

        A section whose streams have none is never asked, and each of the others overrides this.
        """
        raise NotImplementedError

    def lost_by_folding(self) -> Mapping[str, str]:
        """Return what the evidence lacks of events folded in the kernel, by stream, in words."""
        return {}

    @abstractmethod
    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        """Return the section's object, see docs/reference/evidence.md. ``armed``: all sections."""

    def further_evidence(self, observed: Observed) -> Json:
        """Return further objects, by name, to be placed next to the section's own."""
        return {}

    def checks(self, edges: tuple[Edge, Edge], accounts: Accounts) -> Iterable[Check]:
        """Compare what the section counted with the kernel's own counts."""
        return ()

    def streams(self, stopped: Stopped) -> Mapping[str, StreamCounts]:
        """Return accounts, by stream, that ``observed.streams`` lacks or has incomplete."""
        return {}

    def latencies(self) -> LatencyHistogram | None:
        """Return the distribution whose growth the timeline shows; None if it shows none."""
        return None

    @property
    def overflow(self) -> int:
        """Number of latencies beyond the histogram's range."""
        return 0


def add_growth(histogram: LatencyHistogram, growth: Growth) -> None:
    """Add latencies that were folded in the kernel."""
    histogram.add(growth.counts, growth.ns, growth.lowest, growth.highest, growth.overflow)


def milliseconds(nanoseconds: Any) -> float:
    """Convert integer nanoseconds, numpy's or Python's, to milliseconds."""
    return int(nanoseconds) / 1e6
