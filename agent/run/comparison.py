"""How the runs of two commands, which ran in pairs, differ."""

from collections.abc import Sequence

from agent.model import Json
from agent.run.budget import Budget, budget_of
from agent.run.causes import cause_of
from agent.run.figures import MS, Figure, Figures, counts, states, times
from agent.run.intervals import finite, interval
from agent.run.plan import Plan
from agent.run.runs import Run
from agent.statistics.bootstrap import gain
from agent.statistics.comparison import SIGNIFICANT, Shift, outcome, relative_shift, shift
from agent.statistics.many import adjusted
from agent.statistics.sample import median_interval

MOST_TESTED = 20
"""Of very many figures no true difference could be told from chance."""


def comparison(plan: Plan, runs: Sequence[Run], pairs: Sequence[tuple[Run, Run]]) -> Json:
    before, after = ([run.wall_ms for run in side] for side in zip(*pairs, strict=True))
    wall = relative_shift(before, after)
    gained = gain(before, after, plan.seed)
    tested, not_tested = _tested(plan, pairs, wall)
    return {
        "pairs": len(pairs),
        "baseline_first": sum(runs.index(first) < runs.index(second) for first, second in pairs),
        "outcome": outcome(wall, plan.min_effect),
        "change_pct": interval(wall.estimate, 100),
        "p": wall.signed_rank_p,
        "sign_p": wall.sign_p,
        "detectable_pct": finite(100 * wall.detectable),
        "baseline_ms": interval(median_interval(before)),
        "optimized_ms": interval(median_interval(after)),
        "gain_pct": {**interval(gained.estimate), "method": gained.method},
        "cause": cause_of(
            [(_budget(first), _budget(second)) for first, second in pairs], shift(before, after)
        ),
        "figures": tested,
        "not_tested": not_tested,
    }


def _budget(run: Run) -> Budget | None:
    return budget_of(run.command, run.evidence)


def _tested(
    plan: Plan, pairs: Sequence[tuple[Run, Run]], wall: Shift
) -> tuple[list[Json], list[str]]:
    """Return what became of each figure, in two families, and the names of the rest.

    Which figures are in a family depends on their size over both sides together, so that choosing
    them tells nothing of a difference.
    """
    both = [tuple(Figures(run.command, run.evidence) for run in pair) for pair in pairs]
    whole = [one for pair in both for one in pair]
    least = plan.min_effect * median_interval([first.wall_ms for first, _ in pairs]).middle
    others = [*times(whole), *counts(whole)]
    of_budget = _family(both, states(whole), plan, least, [wall.signed_rank_p])
    rest = _family(both, others[:MOST_TESTED], plan, least, [])
    return [*of_budget, *rest], [name for name, _, _ in others[MOST_TESTED:]]


def _family(
    both: Sequence[tuple[Figures, ...]],
    figures: Sequence[Figure],
    plan: Plan,
    least_ms: float,
    others: list[float],
) -> list[Json]:
    """Return what became of each figure; ``others`` are the p values of the rest of the family."""
    found: list[tuple[Json, Shift, float]] = []
    for name, unit, value in figures:
        known = [(value(first), value(second)) for first, second in both]
        before = [one for one, other in known if one is not None and other is not None]
        after = [other for one, other in known if one is not None and other is not None]
        if not before:
            continue
        least = least_ms if unit == MS else plan.min_effect * median_interval(before).middle
        found.append((_described(name, unit, before, after), shift(before, after), least))
    p_values = adjusted([*others, *(one.signed_rank_p for _, one, _ in found)])[len(others) :]
    return [
        {**described, **_decided(one, least, p)}
        for (described, one, least), p in zip(found, p_values, strict=True)
    ]


def _described(name: str, unit: str, before: Sequence[float], after: Sequence[float]) -> Json:
    return {
        "name": name,
        "unit": unit,
        "pairs": len(before),
        "baseline": median_interval(before).middle,
        "optimized": median_interval(after).middle,
        # of what occurs on one side only, how often: there is no ratio
        "occurs_in": [sum(value > 0 for value in side) for side in (before, after)],
    }


def _decided(one: Shift, least: float, p: float) -> Json:
    said = outcome(one, least)
    return {
        "difference": interval(one.estimate),
        "p": one.signed_rank_p,
        "adjusted_p": p,
        "detectable": finite(one.detectable),
        "outcome": said if p <= SIGNIFICANT or said == "too few" else "undecided",
    }
