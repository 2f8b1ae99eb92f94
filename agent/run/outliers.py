"""What a run that took much longer than the others has, and they lack."""

from collections.abc import Sequence
from statistics import median

from agent.model import Json
from agent.run.figures import Figures, states, times, verdict
from agent.run.runs import Run
from agent.statistics.estimate import FEWEST

LEAST_SHARE = 0.2
"""Of the time that a run took longer: what is less explains little, and may be chance."""
ALL_REASONS = "blocked"
"""The sum of times that are listed as well."""


def explained(runs: Sequence[Run], figures: Sequence[Figures], index: int) -> Json:
    """Return one run, its distance from the others, and in what it is beyond all of them.

    ``beyond`` is null without evidence of that run, and with few others: by chance, one of three
    runs has the most of something.
    """
    others = [run.wall_ms for run in (*runs[:index], *runs[index + 1 :])]
    excess = runs[index].wall_ms - median(others)
    seen = verdict(runs[index].evidence) is not None and len(runs) >= FEWEST
    beyond = _beyond(figures, index, excess * LEAST_SHARE) if seen else None
    return {
        "round": runs[index].round + 1,
        "ms": runs[index].wall_ms,
        "excess_ms": excess,
        "beyond": beyond if excess > 0 else [],
    }


def _beyond(runs: Sequence[Figures], index: int, least_ms: float) -> list[Json]:
    """Return the times of which this run has more than each of the others, the largest first.

    A time that is not known in all runs is left out.
    """
    found = []
    for name, _, value in (*states(runs), *times(runs)):
        known = [v for run in runs if (v := value(run)) is not None]
        if len(known) < len(runs) or name == ALL_REASONS:
            continue
        own, others = known[index], [*known[:index], *known[index + 1 :]]
        more = own - median(others)
        if own > max(others) and more >= least_ms:
            found.append({"name": name, "more_ms": more})
    return sorted(found, key=lambda one: -one["more_ms"])
