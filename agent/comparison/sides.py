"""What the runs of one command say together."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from agent.comparison.figures import Figures, counts, is_lower_bound, percentiles, states, times
from agent.comparison.intervals import interval
from agent.comparison.observation import Observation, in_time
from agent.comparison.outliers import explained_outliers
from agent.comparison.values import mapping, number, rows
from agent.statistics.drift import drift
from agent.statistics.estimate import FEWEST
from agent.statistics.sample import is_far, median_interval, summary
from agent.terminal.evidence import verdict
from agent.words import Json

HISTOGRAMS = ("runqlat", "biolatency")
FAR = 3.0
"""How far the first run has to be from the others to be reported, in standard deviations as their
median absolute deviation estimates them. By chance alone, the first of ten equal, normally
distributed runs is that far off in one of twenty series."""


def side_of(runs: Sequence[Observation], min_effect: float) -> Json:
    """Return what the runs of one command took, and their figures. Raises ValueError without runs.

    ``min_effect`` is the smallest change that matters, as a part of the median.
    """
    wall = [run.wall_ms for run in runs]
    told = summary(wall)
    figures = [Figures(run.command, run.evidence) for run in runs]
    return {
        "runs": len(runs),
        "failed": sum(run.failed for run in runs),
        "wall_ms": {
            "median": interval(told.median),
            "mean": told.mean,
            "deviation": told.deviation,
            "lowest": told.lowest,
            "highest": told.highest,
            "outliers": explained_outliers(runs, figures, told.outliers),
            "drift": _drift(runs, min_effect, told.median.middle),
        },
        "user_ms_mean": _mean(runs, "user_ms"),
        "system_ms_mean": _mean(runs, "system_ms"),
        "verdicts": _verdicts(runs),
        "figures": _figures(figures),
        "histograms": _histograms(runs),
    }


def _mean(runs: Sequence[Observation], field: str) -> float | None:
    """Return the mean of what the commands took; None unless it is known of all."""
    known = [ms for run in runs if (ms := number(run.command.get(field))) is not None]
    return statistics.fmean(known) if len(known) == len(runs) else None


def _drift(runs: Sequence[Observation], min_effect: float, median: float) -> Json | None:
    """Return by how much each run takes longer than the one before, and the first than the rest.

    None for fewer than two runs, and where it is not known in which order they were made.
    ``is_certain``: the interval excludes 0, and over the whole series it is more than the smallest
    change that matters. ``first_differs``: the first is far outside of the others, by more than
    that.
    """
    wall = [run.wall_ms for run in in_time(runs)]
    if len(wall) < 2:
        return None
    slope = drift(wall)
    over_all = abs(slope.middle) * (len(wall) - 1)
    first, *rest = wall
    rest_median = median_interval(rest).middle
    matters = abs(first - rest_median) > min_effect * median
    return {
        "ms_per_run": interval(slope),
        "is_certain": slope.excludes(0) and over_all > min_effect * median,
        "first_ms": first,
        "rest_median_ms": rest_median,
        "first_differs": len(rest) >= FEWEST and matters and is_far(first, rest, FAR),
    }


def _verdicts(runs: Sequence[Observation]) -> Json:
    """Return how many runs have which verdict; ``none``: without evidence."""
    found = Counter(verdict(run.evidence) or "none" for run in runs)
    return dict(sorted(found.items()))


def _figures(runs: Sequence[Figures]) -> list[Json]:
    """Return median, interval and range of each figure over the runs in which it is known."""
    found = []
    for figure in (*states(runs), *times(runs), *counts(runs), *percentiles(runs)):
        known = [value for run in runs if (value := figure.of(run)) is not None]
        found.append(
            {
                "name": figure.name,
                "unit": figure.unit,
                "kind": figure.kind,
                "runs": len(known),
                "median": interval(median_interval(known)),
                "lowest": min(known),
                "highest": max(known),
                "at_least": is_lower_bound(figure, runs),
            }
        )
    return found


def _histograms(runs: Sequence[Observation]) -> Json:
    """Return the sums of the runs' histograms, bucket by bucket, where every run has one."""
    merged: Json = {}
    for section in HISTOGRAMS:
        whole = [mapping(run.evidence.get(section)).get("histogram") for run in runs]
        if all(isinstance(one, list) for one in whole):
            merged[section] = _merged([row for one in whole for row in rows(one)])
    return merged


def _merged(buckets: Sequence[Mapping[str, Any]]) -> list[Json]:
    sums: Counter[float] = Counter()
    for bucket in buckets:
        low, size = number(bucket.get("bucket_us")), number(bucket.get("count"))
        if low is not None and size is not None:
            sums[low] += int(size)
    return [{"bucket_us": low, "count": sums[low]} for low in sorted(sums)]
