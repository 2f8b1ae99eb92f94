"""What a run that took much longer than the others has, and they lack."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from agent.comparison.budget import Budget, budget_of
from agent.comparison.figures import Figures, states, times
from agent.comparison.observation import Observation
from agent.comparison.values import mapping, number, rows
from agent.statistics.estimate import FEWEST
from agent.terminal.evidence import undivided_ms, verdict
from agent.terminal.parts import BLOCKED_UNTIL, FOR_BUSY_CPU
from agent.words import Json

LEAST_SHARE = 0.2
"""Of the time that a run took longer: what is less explains little, and may be chance."""
ALL_REASONS = "blocked"
"""The sum of times that are listed as well."""
HALF = 0.5
"""Of a part: who has no more of it is not named for it."""

Of = Callable[[Observation], float | None]
"""A time of a run in ms; None if it is not known."""


def explained_outliers(
    runs: Sequence[Observation], figures: Sequence[Figures], indexes: Sequence[int]
) -> list[Json]:
    """Return what is known of each of these runs of one command, beside those that are ordinary.

    Several may be slow for one reason, so that none of them has more of it than all others.
    """
    budgets = [budget_of(run.command, run.evidence) for run in runs] if indexes else []
    found = []
    for index in indexes:
        beside = _beside(index, indexes, len(runs))
        found.append(
            explained(
                [runs[n] for n in beside],
                [figures[n] for n in beside],
                [budgets[n] for n in beside],
                beside.index(index),
            )
        )
    return found


def _beside(index: int, outlying: Sequence[int], runs: int) -> list[int]:
    """Return the run and what it is held against: the ordinary runs, or all if they are too few."""
    ordinary = [n for n in range(runs) if n == index or n not in outlying]
    return ordinary if len(ordinary) >= FEWEST else [*range(runs)]


def explained(
    runs: Sequence[Observation],
    figures: Sequence[Figures],
    budgets: Sequence[Budget | None],
    index: int,
) -> Json:
    """Return one of these runs, its distance from the others, and in what it is beyond all of them.

    ``parts`` are of its wall time, which they divide, ``beyond`` are sums over tasks. Both are null
    without evidence of that run, and with few others: by chance, one of three runs has the most of
    something. ``throttled_ms``, ``stolen_ms`` and ``undivided_ms`` are null as well if it is not
    beyond the others.
    """
    others = [run.wall_ms for run in (*runs[:index], *runs[index + 1 :])]
    excess = runs[index].wall_ms - median(others)
    seen = verdict(runs[index].evidence) is not None and len(runs) >= FEWEST
    least_ms, longer = excess * LEAST_SHARE, seen and excess > 0
    beyond = _beyond(figures, index, least_ms) if longer else [] if excess <= 0 else None
    return {
        "round": runs[index].round + 1,
        "ms": runs[index].wall_ms,
        "excess_ms": excess,
        "beyond": beyond,
        "parts": _parts(runs, budgets, index, least_ms) if longer else None,
        "throttled_ms": _outside(runs, index, least_ms, _throttled) if longer else None,
        "stolen_ms": _outside(runs, index, least_ms, _stolen) if longer else None,
        "undivided_ms": _outside(runs, index, least_ms, _undivided) if longer else None,
    }


def _beyond(runs: Sequence[Figures], index: int, least_ms: float) -> list[Json]:
    """Return the times of which this run has more than each of the others, the largest first.

    A time that is not known in all runs is left out.
    """
    found = []
    for figure in (*states(runs), *times(runs)):
        known = [ms for run in runs if (ms := figure.of(run)) is not None]
        if len(known) < len(runs) or figure.name == ALL_REASONS:
            continue
        if more := _more(known, index, least_ms):
            found.append({"name": figure.name, "more_ms": more})
    return sorted(found, key=lambda one: -one["more_ms"])


def _more(known: Sequence[float], index: int, least_ms: float) -> float | None:
    """Return how much more than the median of the others it is; None unless it is beyond all."""
    own, others = known[index], [*known[:index], *known[index + 1 :]]
    more = own - median(others)
    return more if own > max(others) and more >= least_ms else None


def _parts(
    runs: Sequence[Observation], budgets: Sequence[Budget | None], index: int, least_ms: float
) -> list[Json] | None:
    """Return the parts of the wall time of which this run has more, the largest first.

    Null if it has no budget to rely on, or too few of the others have.
    """
    own = budgets[index]
    known = [(run, budget) for run, budget in zip(runs, budgets, strict=True) if budget]
    if own is None or len(known) < FEWEST:
        return None
    position = next(n for n, (_, budget) in enumerate(known) if budget is own)
    found = []
    for name in own.parts:
        values = [ms for _, budget in known if (ms := budget.part(name)) is not None]
        if len(values) < len(known):
            continue
        if more := _more(values, position, least_ms):
            who = _who([run.evidence for run, _ in known], position, name, more)
            found.append({"name": name, "more_ms": more, "command": who})
    return sorted(found, key=lambda one: -one["more_ms"])


def _who(evidence: Sequence[Mapping[str, Any]], index: int, part: str, more: float) -> str | None:
    """Return the command that had the CPU, or that was blocked, in most of what is more."""
    sums = [_by_command(mapping(one.get("wall")), part) for one in evidence]
    others = [*sums[:index], *sums[index + 1 :]]
    grown = {
        name: ms - median(one.get(name, 0.0) for one in others) for name, ms in sums[index].items()
    }
    name = max(grown, key=lambda one: grown[one], default=None)
    return name if name is not None and grown[name] >= HALF * more else None


def _by_command(wall: Mapping[str, Any], part: str) -> dict[str, float]:
    """Return the times of a part by command, as far as evidence lists them."""
    is_busy = part == FOR_BUSY_CPU
    sums: dict[str, float] = defaultdict(float)
    for row in rows(wall.get("for_busy_cpu_of" if is_busy else "blocked_until")):
        if is_busy or f"{BLOCKED_UNTIL}{row.get('reason')}" == part:
            sums[str(row.get("command"))] += number(row.get("ms")) or 0.0
    return sums


def _outside(runs: Sequence[Observation], index: int, least_ms: float, of: Of) -> float | None:
    """Return how much more of a time it has that something outside took; None if no more."""
    own = of(runs[index])
    others = [ms for run in runs if run is not runs[index] and (ms := of(run)) is not None]
    if own is None or len(others) < FEWEST - 1:
        return None
    return _more([own, *others], 0, least_ms)


def _undivided(run: Observation) -> float | None:
    return undivided_ms(run.wall_ms, run.evidence)


def _throttled(run: Observation) -> float | None:
    return number(mapping(run.evidence.get("wall")).get("throttled_ms"))


def _stolen(run: Observation) -> float | None:
    return number(run.evidence.get("stolen_ms"))
