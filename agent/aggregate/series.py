"""What ``/metrics`` shows: counters that never go down, for a bounded number of label sets.

What a run has counted so far is the *live* part; when the run ends, it is added to the *base*, the
sum of the finished runs with these labels. The page shows base + live. Everything here belongs to
one thread, and every value handed out is frozen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

from agent.aggregate.totals import RunTotals, added, not_below
from agent.model import Labels, Report

Result = Literal["success", "fail"]


class LabelSet(NamedTuple):
    """The labels of a series; the agent adds ``machine`` to the runner's labels."""

    scenario: str
    impl: str
    variant: str
    commit: str
    machine: str
    dataset: str

    @classmethod
    def of(cls, labels: Labels, machine: str) -> Self:
        return cls(
            scenario=labels.scenario,
            impl=labels.impl,
            variant=labels.variant,
            commit=labels.commit,
            machine=machine,
            dataset=labels.dataset,
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Everything shown for one label set. Absent or None means never measured."""

    totals: RunTotals = field(default_factory=dict)
    """By metric family. A gauge is that of the run in progress, or else of the last run."""
    runs: Mapping[str, int] = field(default_factory=dict)
    """Finished runs by result, ``success`` and ``fail``; empty if there was never a run."""
    duration_ms: float | None = None
    """From the last report; ``scenario`` is ``baseline`` or ``optimized``."""
    gain_pct: float | None = None
    """From the last report; ``scenario`` is empty, and must not be rendered."""
    version: int = 0
    """Incremented at every change of the above, so that rendered lines can be cached."""


class _Entry:
    """One label set: the sum of its finished runs, the run in progress, and the series shown."""

    def __init__(self) -> None:
        self.shown = Series()
        self._base: RunTotals = {}
        self._live: RunTotals = {}

    def advance(self, live: RunTotals) -> None:
        self._live = not_below(live, self._live)
        runs = self.shown.runs or {"success": 0, "fail": 0}
        self.publish(replace(self.shown, totals=added(self._base, self._live), runs=runs))

    def settle(self) -> None:
        """Add the counts of the run in progress to the finished runs: it is over."""
        self._base = added(self._base, self._live)
        self._live = {}

    def count_run(self, result: Result) -> None:
        runs = dict(self.shown.runs)
        runs[result] += 1
        self.publish(replace(self.shown, runs=runs))

    def publish(self, series: Series) -> None:
        if series != self.shown:
            self.shown = replace(series, version=self.shown.version + 1)


class SeriesStore:
    """The series of up to ``cap`` label sets. An admitted set stays for the life of the process."""

    def __init__(self, cap: int = 200) -> None:
        self.label_sets_refused = 0
        """Runs and reports whose numbers are not shown because the cap was reached."""
        self._cap = cap
        self._entries: dict[LabelSet, _Entry] = {}
        self._running: LabelSet | None = None

    def __iter__(self) -> Iterator[tuple[LabelSet, Series]]:
        """Iterate over the label sets, in order of admission, with the series of each."""
        return ((labels, entry.shown) for labels, entry in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, labels: LabelSet) -> Series | None:
        entry = self._entries.get(labels)
        return None if entry is None else entry.shown

    def set_live(self, labels: LabelSet, totals: RunTotals) -> None:
        """Replace the counts of the run in progress.

        A run that is replaced by one with other labels before it is committed is not counted as a
        run, but its numbers stay.
        """
        if labels != self._running:
            self._begin(labels)
        if (entry := self._entries.get(labels)) is not None:
            entry.advance(totals)

    def commit(self, labels: LabelSet, totals: RunTotals, result: Result) -> None:
        """End the run in progress, with these final totals."""
        self.set_live(labels, totals)
        self._running = None
        if (entry := self._entries.get(labels)) is not None:
            entry.settle()
            entry.count_run(result)

    def report(self, labels: LabelSet, report: Report) -> None:
        """Publish a runner's own figures: a duration for each scenario, the gain without one."""
        baseline = labels._replace(scenario="baseline")
        optimized = labels._replace(scenario="optimized")
        gain = labels._replace(scenario="")
        if not self._admit(baseline, optimized, gain):
            return
        self._publish_duration(baseline, report.baseline_ms)
        self._publish_duration(optimized, report.optimized_ms)
        entry = self._entries[gain]
        entry.publish(replace(entry.shown, gain_pct=report.gain_pct))

    def _begin(self, labels: LabelSet) -> None:
        if self._running is not None and self._running in self._entries:
            self._entries[self._running].settle()
        self._running = labels
        self._admit(labels)

    def _publish_duration(self, labels: LabelSet, duration_ms: float) -> None:
        entry = self._entries[labels]
        entry.publish(replace(entry.shown, duration_ms=duration_ms))

    def _admit(self, *wanted: LabelSet) -> bool:
        """Admit all of ``wanted`` or, if that would exceed the cap, none and count one refusal."""
        new = [labels for labels in wanted if labels not in self._entries]
        if len(self._entries) + len(new) > self._cap:
            self.label_sets_refused += 1
            return False
        self._entries.update((labels, _Entry()) for labels in new)
        return True
