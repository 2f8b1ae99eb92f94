"""What ``/metrics`` shows for one label set, and how it grows from run to run.

What a run has counted so far is the *live* part; when the run ends, it is added to the *base*, the
sum of the finished runs with these labels. The page shows base + live. Every `Series` that is
handed out is frozen, and one in which nothing has changed is the same object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Self

from agent.aggregate.totals import RunTotals, added, not_below
from agent.model import Labels

Result = Literal["success", "fail"]

UNAVAILABLE = "unavailable"
"""In the place of a verdict: nothing could be measured."""


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
        """Return the label set of a run with these labels on this machine."""
        return cls(
            scenario=labels.scenario,
            impl=labels.impl,
            variant=labels.variant,
            commit=labels.commit,
            machine=machine,
            dataset=labels.dataset,
        )


@dataclass(frozen=True, slots=True)
class LastRun:
    """What is shown of the last run that has ended, and of no other."""

    ended_at: float
    """In seconds since 1970."""
    verdict: str
    figures: Mapping[str, Mapping[str, float] | float] = field(default_factory=dict)
    """By metric family, then by the value of its own label if it has one; what was not measured is
    absent."""


@dataclass(frozen=True, slots=True)
class Series:
    """Everything shown for one label set. Absent or None means never measured."""

    created: float = 0.0
    """When all of its counters were 0, in seconds since 1970."""
    totals: RunTotals = field(default_factory=dict)
    """By metric family. A gauge is that of the run in progress, or else of the last run."""
    runs: Mapping[str, int] = field(default_factory=dict)
    """Finished runs by result, ``success`` and ``fail``; empty if there was never a run."""
    runs_unavailable: int = 0
    """Of these, those in which nothing could be measured."""
    last: LastRun | None = None
    duration_ms: float | None = None
    """From the last report; ``scenario`` is ``baseline`` or ``optimized``."""
    successes: int | None = None
    """Likewise; None also if that report did not say."""
    gain_pct: float | None = None
    """From the last report; ``scenario`` is empty, and must not be rendered."""


class Entry:
    """One label set: the sum of its finished runs, the run in progress, and the series shown."""

    def __init__(self, series: Series) -> None:
        """``series``: with no run in progress, so that all of it is of finished runs."""
        self.shown = series
        self.used = 0
        """When the label set was last used: greater than that of all sets used before."""
        self._base: RunTotals = series.totals
        self._live: RunTotals = {}

    def advance(self, live: RunTotals) -> None:
        """Show the run in progress as it is now; no count goes down."""
        self._live = not_below(live, self._live)
        runs = self.shown.runs or {"success": 0, "fail": 0}
        self.publish(replace(self.shown, totals=added(self._base, self._live), runs=runs))

    def settle(self) -> None:
        """Add the counts of the run in progress to the finished runs: it is over."""
        self._base = added(self._base, self._live)
        self._live = {}

    def count_run(self, result: Result, last: LastRun | None) -> None:
        """Count a run that has ended; ``last``: what is known of it alone."""
        runs = dict(self.shown.runs)
        runs[result] += 1
        unavailable = self.shown.runs_unavailable
        if last is not None and last.verdict == UNAVAILABLE:
            unavailable += 1
        self.publish(replace(self.shown, runs=runs, runs_unavailable=unavailable, last=last))

    def publish(self, series: Series) -> None:
        """Show a series, as the same object as before if it equals that."""
        if series != self.shown:
            self.shown = series
