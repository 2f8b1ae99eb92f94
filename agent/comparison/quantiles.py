"""How the distributions of latencies differ, quantile by quantile (the shift function).

A quantile of one run is one observation; its difference between two sides is that of any other
figure (Doksum 1974; Rousselet, Pernet, Wilcox 2017).
The intervals are those of single quantiles: of twenty without a difference, one is expected not to
hold 0.
"""

import math
from collections.abc import Sequence

from agent.aggregate.histogram import LatencyHistogram
from agent.comparison.designs import Design
from agent.comparison.figures import LATENCIES
from agent.comparison.intervals import interval
from agent.comparison.observation import Observation
from agent.comparison.values import mapping
from agent.statistics.sample import median_interval
from agent.terminal.evidence import verdict
from agent.words import Json

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)

Quantiles = list[float | None]
"""Of one run, in the order of `QUANTILES`."""


def shifts(
    design: Design, before: Sequence[Observation], after: Sequence[Observation]
) -> dict[str, list[Json]]:
    """Return how the quantiles of each latency that both sides have differ, in µs and in %."""
    found = {
        section: _shift(design, _of_runs(before, section), _of_runs(after, section))
        for section in LATENCIES
    }
    return {section: rows for section, rows in found.items() if rows}


def _shift(design: Design, before: Sequence[Quantiles], after: Sequence[Quantiles]) -> list[Json]:
    rows = []
    for index, quantile in enumerate(QUANTILES):
        first, second = design.known([one[index] for one in before], [one[index] for one in after])
        if first and second:
            rows.append(
                {
                    "quantile": quantile,
                    "runs": [len(first), len(second)],
                    "baseline_us": median_interval(first).middle,
                    "optimized_us": median_interval(second).middle,
                    "difference_us": interval(design.shift(first, second).estimate),
                    "change_pct": _change(design, first, second),
                }
            )
    return rows


def _change(design: Design, before: list[float], after: list[float]) -> Json | None:
    """Return the change as a percentage, from the ratios; None where a latency is 0.

    It is above -100 %, as are its bounds. Those of the difference in µs, divided by the baseline,
    would not be: a difference is as large as the slowest run of the baseline allows.
    """
    if min(*before, *after) <= 0:
        return None
    return interval(design.relative_shift(before, after).estimate, 100)


def _of_runs(runs: Sequence[Observation], section: str) -> list[Quantiles]:
    return [_quantiles(run, section) for run in runs]


def _quantiles(run: Observation, section: str) -> Quantiles:
    """Return the quantiles of one run in µs; None where there are too few samples for one.

    Beyond a quantile there must be a sample: the 99th percentile of fewer than 100 is the maximum.
    """
    encoded = mapping(run.evidence.get(section)).get("hdr")
    if not isinstance(encoded, str) or verdict(run.evidence) in (None, "invalid"):
        return [None] * len(QUANTILES)
    try:
        histogram = LatencyHistogram.decode(encoded)
    except ValueError:
        return [None] * len(QUANTILES)
    known = [q for q in QUANTILES if histogram.total_count >= _fewest(q)]
    values = dict(zip(known, histogram.percentiles_ns(known), strict=True))
    return [None if (ns := values.get(q)) is None else ns / 1e3 for q in QUANTILES]


def _fewest(quantile: float) -> int:
    """Return how many samples have one beyond this quantile, on the side that is nearer."""
    return math.ceil(round(1 / min(quantile, 1 - quantile), 6))
