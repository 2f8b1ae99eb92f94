"""How the runs of two commands, which ran in pairs, differ."""

from collections.abc import Sequence
from typing import NamedTuple

from agent.comparison.budget import Budget, budget_of
from agent.comparison.causes import cause_of
from agent.comparison.figures import MS, Figure, Figures, counts, states, times
from agent.comparison.intervals import finite, interval
from agent.comparison.observation import Observation
from agent.statistics.bootstrap import gain
from agent.statistics.comparison import Shift, detectable_at, outcome, relative_shift, shift
from agent.statistics.estimate import LEVEL
from agent.statistics.many import adjusted, fewest_pairs, level_among
from agent.statistics.sample import median_interval
from agent.words import Json

MOST_TESTED = 20
"""Of very many figures no true difference could be told from chance."""


def comparison(
    pairs: Sequence[tuple[Observation, Observation]], *, min_effect: float, seed: int
) -> Json:
    """Return how the second runs of pairs differ from the first. Raises ValueError without pairs.

    ``min_effect`` is the smallest difference that matters, as a part of the baseline.
    """
    before, after = ([run.wall_ms for run in side] for side in zip(*pairs, strict=True))
    wall = relative_shift(before, after)
    gained = gain(before, after, seed)
    tested, not_tested = _tested(min_effect, pairs, wall)
    return {
        "pairs": len(pairs),
        "baseline_first": sum(first.position < second.position for first, second in pairs),
        "outcome": outcome(wall, min_effect),
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


def _budget(run: Observation) -> Budget | None:
    return budget_of(run.command, run.evidence)


def _tested(
    min_effect: float, pairs: Sequence[tuple[Observation, Observation]], wall: Shift
) -> tuple[list[Json], list[str]]:
    """Return what became of each figure, in two families, and the names of the rest.

    Which figures are in a family depends on their size over both sides together, so that choosing
    them tells nothing of a difference.
    """
    both = [tuple(Figures(run.command, run.evidence) for run in pair) for pair in pairs]
    whole = [one for pair in both for one in pair]
    least = min_effect * median_interval([first.wall_ms for first, _ in pairs]).middle
    others = [*times(whole), *counts(whole)]
    of_budget = _family(both, states(whole), min_effect, least, [wall.signed_rank_p])
    rest = _family(both, others[:MOST_TESTED], min_effect, least, [])
    return [*of_budget, *rest], [name for name, _, _ in others[MOST_TESTED:]]


class _Tested(NamedTuple):
    """A figure of the pairs that have it, and the smallest difference of it that matters."""

    described: Json
    before: Sequence[float]
    after: Sequence[float]
    shift: Shift
    least: float


def _family(
    both: Sequence[tuple[Figures, ...]],
    figures: Sequence[Figure],
    min_effect: float,
    least_ms: float,
    others: list[float],
) -> list[Json]:
    """Return what became of each figure; ``others`` are the p values of the rest of the family."""
    found: list[_Tested] = []
    for name, unit, value in figures:
        known = [(value(first), value(second)) for first, second in both]
        before = [one for one, other in known if one is not None and other is not None]
        after = [other for one, other in known if one is not None and other is not None]
        if not before:
            continue
        least = least_ms if unit == MS else min_effect * median_interval(before).middle
        described = _described(name, unit, before, after)
        found.append(_Tested(described, before, after, shift(before, after), least))
    p_values = [*(one.shift.signed_rank_p for one in found), *others]
    return [
        {
            **one.described,
            **_decided(one, p, level_among([*p_values[:index], *p_values[index + 1 :]])),
            "pairs_needed": fewest_pairs(len(p_values)),
        }
        for index, (one, p) in enumerate(zip(found, adjusted(p_values), strict=False))
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


def _decided(one: _Tested, p: float, level: float) -> Json:
    """Return what is decided. ``p`` is adjusted; ``level`` is what p had to be without that.

    Nothing is undecided that no difference, however large, could have decided.
    """
    found = finite(detectable_at(level, one.before, one.after))
    said = "too few" if found is None else "undecided"
    return {
        "difference": interval(one.shift.estimate),
        "p": one.shift.signed_rank_p,
        "adjusted_p": p,
        "detectable": found,
        "outcome": outcome(one.shift, one.least) if p <= LEVEL else said,
    }
