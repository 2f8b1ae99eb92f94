"""The metric families of runs, and what each of them shows of a label set's series.

What is shown does not depend on the format of the page.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from agent.aggregate.families import Family
from agent.aggregate.series import LabelSet, LastRun, Series
from agent.aggregate.totals import Count, Counts, Gauge, LatencyTotals, Total
from agent.sections.registry import FAMILIES as SECTION_FAMILIES

Value: TypeAlias = LatencyTotals | Mapping[str, float] | float
"""A distribution, or samples by the family's own label, or the only sample."""

DURATION = Family(
    "chainbench_duration_milliseconds",
    "gauge",
    "Benchmark duration in milliseconds, as reported by the runner.",
)
SUCCESSES = Family(
    "chainbench_successful_repetitions",
    "gauge",
    "Repetitions that succeeded, as reported by the runner.",
)
GAIN = Family(
    "chainbench_gain_percent",
    "gauge",
    "Performance gain in percent, as reported by the runner.",
    has_scenario=False,
)
RUNS = Family("chainbench_runs_total", "counter", "Runs stopped, by result.", label="result")
UNAVAILABLE = Family(
    "chainbench_runs_unavailable_total",
    "counter",
    "Runs in which nothing could be measured; they are failed runs too.",
)
LAST_ENDED = Family(
    "chainbench_last_run_timestamp_seconds",
    "gauge",
    "When the last run ended, in seconds since 1970, with its verdict.",
    label="verdict",
)

FAMILIES = (*SECTION_FAMILIES, LAST_ENDED, DURATION, SUCCESSES, GAIN, RUNS, UNAVAILABLE)
"""In page order."""


def _ended(last: LastRun | None) -> Value | None:
    return None if last is None else {last.verdict: last.ended_at}


_OF_SERIES: Mapping[str, Callable[[Series], Value | None]] = {
    LAST_ENDED.name: lambda series: _ended(series.last),
    DURATION.name: lambda series: series.duration_ms,
    SUCCESSES.name: lambda series: series.successes,
    GAIN.name: lambda series: series.gain_pct,
    RUNS.name: lambda series: series.runs or None,
    UNAVAILABLE.name: lambda series: series.runs_unavailable if series.runs else None,
}


def shown(family: Family, series: Series) -> Value | None:
    """Return what a family shows of a series; None if it was never measured."""
    if (own := _OF_SERIES.get(family.name)) is not None:
        return own(series)
    if (total := series.totals.get(family.name)) is not None:
        return _value(total)
    return None if series.last is None else series.last.figures.get(family.name)


def labels_of(labels: LabelSet, has_scenario: bool) -> dict[str, str]:
    """Return the labels of a label set that a family's samples carry."""
    found = labels._asdict()
    if not has_scenario:
        del found["scenario"]
    return found


def _value(total: Total) -> Value:
    if isinstance(total, LatencyTotals):
        return total
    if isinstance(total, Counts):
        return total.values
    assert isinstance(total, Count | Gauge)
    return total.value
