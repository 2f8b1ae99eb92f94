"""The store behind ``/metrics``: the series of all runs and reports, by label set.

Labels come from outside and their values are unbounded. So a limited number of label sets is
shown, those that were used last; the others are hidden, and go on where they were when they are
used again. Beyond a much larger number they are forgotten: such a set begins anew, which its
time of creation says. Everything here belongs to one thread.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import count

from agent.aggregate.hidden import HiddenSeries
from agent.aggregate.one_series import UNAVAILABLE as UNAVAILABLE
from agent.aggregate.one_series import Entry
from agent.aggregate.one_series import LabelSet as LabelSet
from agent.aggregate.one_series import LastRun as LastRun
from agent.aggregate.one_series import Result as Result
from agent.aggregate.one_series import Series as Series
from agent.aggregate.totals import RunTotals
from agent.model import Report

REMEMBERED = 10_000
"""Label sets that are not forgotten, hidden or shown. A hidden one takes about 2 KB."""


@dataclass(frozen=True, slots=True)
class Room:
    """What it took to show label sets."""

    shown: bool = True
    """False if they cannot all be shown at once: then nothing has changed."""
    hidden: tuple[LabelSet, ...] = ()
    """Others that are hidden from now on, to make room."""
    forgotten: int = 0
    """Hidden ones that were forgotten."""


class SeriesStore:
    """The series of up to ``cap`` label sets, and those that are hidden."""

    def __init__(
        self, cap: int = 200, remembered: int = REMEMBERED, now: Callable[[], float] = time.time
    ) -> None:
        """``remembered``: how many label sets are kept, hidden or not. ``now``: since 1970, in s.

        Raises ValueError for a cap that leaves no room for the run in progress.
        """
        if cap < 1:
            raise ValueError(f"at least one label set must be shown, not {cap}")
        self.cap = cap
        self.label_sets_refused = 0
        """Reports whose numbers are not shown because they need more label sets than the cap."""
        self.label_sets_hidden = 0
        """How often a label set was hidden."""
        self._now = now
        self._entries: dict[LabelSet, Entry] = {}
        self._hidden = HiddenSeries(max(0, remembered - cap))
        self._running: LabelSet | None = None
        self._uses = count(1)

    def __iter__(self) -> Iterator[tuple[LabelSet, Series]]:
        """Iterate over the label sets that are shown, with the series of each."""
        return ((labels, entry.shown) for labels, entry in self._entries.items())

    def __len__(self) -> int:
        """Return how many label sets are shown."""
        return len(self._entries)

    @property
    def hidden(self) -> int:
        """How many label sets are hidden now."""
        return len(self._hidden)

    @property
    def label_sets_forgotten(self) -> int:
        return self._hidden.forgotten

    def get(self, labels: LabelSet) -> Series | None:
        """Return the series of a label set; None if it is not shown."""
        entry = self._entries.get(labels)
        return None if entry is None else entry.shown

    def begin(self, labels: LabelSet) -> Room:
        """Have a run with these labels in progress; its label set is shown until it ends.

        A run that is replaced by another before it is committed is not counted as a run, but its
        numbers stay.
        """
        if self._running is not None:
            self._entries[self._running].settle()
        self._running = labels
        return self._show(labels)

    def set_live(self, labels: LabelSet, totals: RunTotals) -> None:
        """Replace the counts of the run in progress, which begins if it has not."""
        if labels != self._running:
            self.begin(labels)
        self._entries[labels].advance(totals)

    def commit(
        self, labels: LabelSet, totals: RunTotals, result: Result, last: LastRun | None = None
    ) -> None:
        """End the run in progress, with these final totals; ``last``: what is of it alone."""
        self.set_live(labels, totals)
        self._running = None
        entry = self._entries[labels]
        entry.settle()
        entry.count_run(result, last)
        entry.used = next(self._uses)

    def report(self, labels: LabelSet, report: Report) -> Room:
        """Publish a runner's own figures: those of each scenario, and the gain without one."""
        baseline = labels._replace(scenario="baseline")
        optimized = labels._replace(scenario="optimized")
        gain = labels._replace(scenario="")
        room = self._show(baseline, optimized, gain)
        if not room.shown:
            self.label_sets_refused += 1
            return room
        figures = (
            (baseline, report.baseline_ms, report.baseline_success),
            (optimized, report.optimized_ms, report.optimized_success),
        )
        for scenario, duration_ms, successes in figures:
            entry = self._entries[scenario]
            entry.publish(replace(entry.shown, duration_ms=duration_ms, successes=successes))
        entry = self._entries[gain]
        entry.publish(replace(entry.shown, gain_pct=report.gain_pct))
        return room

    def _show(self, *wanted: LabelSet) -> Room:
        """Show all of these, and hide those that were idle longest if there are too many."""
        kept = {*wanted} | ({self._running} if self._running else set())
        if len(kept) > self.cap:
            return Room(shown=False)
        for labels in wanted:
            if labels not in self._entries:
                self._entries[labels] = Entry(self._found(labels))
            self._entries[labels].used = next(self._uses)
        if (too_many := len(self._entries) - self.cap) <= 0:
            return Room()
        idle = (labels for labels in self._entries if labels not in kept)
        surplus = tuple(nsmallest(too_many, idle, key=lambda labels: self._entries[labels].used))
        self.label_sets_hidden += len(surplus)
        forgotten = sum(
            self._hidden.add(labels, self._entries.pop(labels).shown) for labels in surplus
        )
        return Room(hidden=surplus, forgotten=forgotten)

    def _found(self, labels: LabelSet) -> Series:
        """Return the series of a label set that was hidden, or a new one."""
        hidden = self._hidden.take(labels)
        return Series(created=round(self._now(), 3)) if hidden is None else hidden
