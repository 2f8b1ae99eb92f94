"""One run's distributions: takes the streams' words and keeps only aggregates.

Delivery and folding meet only here: ``streams`` delivers words, ``sections`` fold them.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.aggregate.totals import Total
from agent.evidence.accounts import Accounts
from agent.evidence.checks import Check, forks_check
from agent.evidence.tasks import TaskTable
from agent.recording import timeline
from agent.recording.timeline import Snapshot, Timeline
from agent.sections.fold import SectionFold, Taker
from agent.sections.last_run import LastRunFigures
from agent.sections.probes import DEFAULT_SECTIONS
from agent.sections.registry import REGISTRY
from agent.streams.collect import task_summaries
from agent.streams.collect.observed import Observed, Stopped, StreamCounts
from agent.streams.drain.batches import Words
from agent.streams.drain.folded import Growth
from agent.streams.shared.kernel_counts import Edge, are_known
from agent.streams.shared.layout import STREAM_NAMES, STREAM_NUMBERS
from agent.words import Json


class Collection:
    """Everything folded so far: the `agent.streams.drain.poller.Receiver` of a run's events."""

    def __init__(self, scoped: bool = False, sections: Sequence[str] = DEFAULT_SECTIONS) -> None:
        self.tasks = TaskTable()
        self.accounts = Accounts()
        self.timeline = Timeline()
        self.folds: dict[str, SectionFold] = {
            name: section.fold(scoped, self.tasks)
            for name, section in REGISTRY.items()
            if name in sections
        }
        self._takers: dict[int, tuple[Taker, SectionFold]] = {
            STREAM_NUMBERS[stream]: (taker, fold)
            for fold in self.folds.values()
            for stream, taker in fold.takes.items()
        }

    def take(self, stream: int, words: Words) -> None:
        """Fold a stream's words, in any shape; see layout.py for their contents."""
        if stream == STREAM_NUMBERS["exit"]:
            self.take_summaries(task_summaries.from_words(words))
        else:
            taker, fold = self._takers[stream]
            taker(fold, words)

    def take_folded(self, stream: int, growths: Sequence[Growth]) -> None:
        """Add events of a stream that the kernel side folded."""
        _, fold = self._takers[stream]
        fold.take_folded(STREAM_NAMES[stream], growths)

    def is_snapshot_due(self) -> bool:
        """Return whether the timeline lacks the present moment."""
        return self.timeline.is_due()

    def snapshot(self, events: int, lost: int) -> None:
        """Add the present moment to the timeline, with the events and losses so far."""
        self.timeline.add(events, lost, self._latencies(self.folds))

    def timeline_until(self, at_ns: int, observed: Observed, armed: Sequence[str]) -> Json:
        """Return the timeline up to ``at_ns`` (since everything was attached).

        ``observed``: as of that moment.
        """
        streams = observed.streams.values()
        received, lost = sum(s.received for s in streams), sum(s.lost for s in streams)
        end = Snapshot(at_ns, received, lost, self._latencies(armed))
        return timeline.evidence(self.timeline.until(end))

    def _latencies(self, sections: Iterable[str]) -> dict[str, NDArray[np.uint64]]:
        """Return the counts by power of two of each of these sections that has latencies."""
        found = {name: self.folds[name].latencies() for name in sections}
        return {
            name: histogram.power_of_two_counts()
            for name, histogram in found.items()
            if histogram is not None
        }

    def take_summaries(self, rows: task_summaries.Summaries) -> None:
        """Add tasks whose account is final: exited ones as they arrive, living ones at the stop."""
        self.tasks.take(rows)
        self.accounts.take(rows)

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        """Return the sections that were armed, by name, and their further top-level fields."""
        built: Json = {name: self.folds[name].evidence(stopped, armed) for name in armed}
        for name in armed:
            built |= self.folds[name].further_evidence(stopped.observed)
        return built

    def checks(self, edges: tuple[Edge, Edge], armed: Iterable[str]) -> list[Check]:
        """Return every check that the armed sections allow, each once."""
        found = [forks_check(edges)] if are_known(edges) else []
        for name in armed:
            found += self.folds[name].checks(edges, self.accounts)
        return list({check.name: check for check in found}.values())

    def streams(self, stopped: Stopped, armed: Iterable[str]) -> dict[str, StreamCounts]:
        """Return the counts of every stream of the run."""
        observed = stopped.observed
        streams = {**observed.streams, "offcpu": observed.blocked_counts}
        for name in armed:
            streams |= self.folds[name].streams(stopped)
        return streams

    def lost_by_folding(self) -> dict[str, str]:
        """Return what the evidence lacks of events folded in the kernel, by stream, in words."""
        return {
            stream: what
            for fold in self.folds.values()
            for stream, what in fold.lost_by_folding().items()
        }

    def overflow(self) -> dict[str, int]:
        """Return the latencies beyond the histogram's range, for each section that has one."""
        return {name: fold.overflow for name, fold in self.folds.items() if fold.has_histogram}

    def totals(self, observed: Observed, armed: Iterable[str]) -> dict[str, Total]:
        """Return the run's totals, as ``/metrics`` counts them."""
        totals: dict[str, Total] = {}
        for name in armed:
            totals |= REGISTRY[name].totals(self.folds[name], observed)
        return totals

    def last_run(self, armed: Iterable[str]) -> LastRunFigures:
        """Return what ``/metrics`` shows of the run alone once it has ended."""
        figures: dict[str, Mapping[str, float] | float] = {}
        for name in armed:
            figures |= REGISTRY[name].last_run(self.folds[name])
        return figures
