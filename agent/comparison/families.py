"""Which figures of two sides are tested, and what became of each.

What is tested is fixed before any difference is looked at, in two families: the wall time with the
states of its budget; and 20 others at most, by their size over both sides together, which tells
nothing of a difference. Within each, p values are adjusted (Benjamini, Hochberg 1995).
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.comparison.designs import Design
from agent.comparison.figures import (
    MS,
    NUMBER,
    PERCENTILE,
    TIME,
    Figure,
    Figures,
    counts,
    is_lower_bound,
    percentiles,
    states,
    times,
)
from agent.comparison.intervals import finite, interval
from agent.statistics.comparison import Shift, outcome
from agent.statistics.estimate import LEVEL
from agent.statistics.many import adjusted, level_among
from agent.statistics.sample import median_interval
from agent.words import Json

MOST_TESTED = 20
"""Among very many figures no true difference could be told from chance."""
SHARES = {TIME: 10, NUMBER: 6, PERCENTILE: 4}
"""Of these: sizes in ms and numbers cannot be compared. What a kind leaves, the others take."""
DECIDED = ("smaller", "larger")


class Compared(NamedTuple):
    """The figures of both sides, and what decides whether a difference of them matters."""

    design: Design
    before: Sequence[Figures]
    after: Sequence[Figures]
    min_effect: float
    """As a part of the baseline."""
    least_ms: float
    """The same part of the baseline's wall time."""

    def values(self, figure: Figure) -> tuple[list[float], list[float]]:
        """Return what is known of a figure, on both sides."""
        before, after = ([figure.of(run) for run in side] for side in (self.before, self.after))
        return self.design.known(before, after)


def tested(compared: Compared, wall_p: float) -> tuple[list[Json], list[str]]:
    """Return what became of each figure of both families, and the names of the rest.

    Lower bounds are in neither: they may differ by what was missed.
    """
    both = [*compared.before, *compared.after]
    listed = [*times(both), *counts(both), *percentiles(both)]
    others = [figure for figure in listed if not is_lower_bound(figure, both)]
    chosen = _chosen(others)
    names = {figure.name for figure in chosen}
    found = [*_family(compared, states(both), [wall_p]), *_family(compared, chosen, [])]
    return found, [figure.name for figure in others if figure.name not in names]


def at_least(compared: Compared) -> list[Json]:
    """Return the figures that are lower bounds: what was seen of them, on either side."""
    both = [*compared.before, *compared.after]
    known = [
        (figure, *compared.values(figure))
        for figure in (*times(both), *counts(both))
        if is_lower_bound(figure, both)
    ]
    return [
        _described(compared.design, figure, before, after)
        for figure, before, after in known
        if before and after
    ]


def _chosen(listed: Sequence[Figure]) -> list[Figure]:
    """Return the figures that are tested, out of those that are listed by size within each kind."""
    shares = [[one for one in listed if one.kind == kind][:n] for kind, n in SHARES.items()]
    names = {figure.name for share in shares for figure in share}
    others = [figure for figure in listed if figure.name not in names]
    names |= {figure.name for figure in others[: MOST_TESTED - len(names)]}
    return [figure for figure in listed if figure.name in names]


class _Tested(NamedTuple):
    """A figure of the runs that have it, and the smallest difference of it that matters."""

    described: Json
    before: Sequence[float]
    after: Sequence[float]
    shift: Shift
    least: float


def _family(compared: Compared, figures: Sequence[Figure], others: Sequence[float]) -> list[Json]:
    """Return what became of each figure; ``others`` are the p values of the rest of the family."""
    found = [one for figure in figures if (one := _difference(compared, figure)) is not None]
    p_values = [*(one.shift.p for one in found), *others]
    return [
        {
            **one.described,
            **_decided(
                compared.design, one, p, level_among([*p_values[:index], *p_values[index + 1 :]])
            ),
            f"{'pairs' if compared.design.is_paired else 'runs'}_needed": compared.design.fewest(
                len(p_values)
            ),
        }
        for index, (one, p) in enumerate(zip(found, adjusted(p_values), strict=False))
    ]


def _difference(compared: Compared, figure: Figure) -> _Tested | None:
    before, after = compared.values(figure)
    if not before or not after:
        return None
    is_sum_of_times = figure.unit == MS and figure.kind != PERCENTILE
    own = compared.min_effect * median_interval(before).middle
    return _Tested(
        _described(compared.design, figure, before, after),
        before,
        after,
        compared.design.shift(before, after),
        compared.least_ms if is_sum_of_times else own,
    )


def _described(
    design: Design, figure: Figure, before: Sequence[float], after: Sequence[float]
) -> Json:
    return {
        "name": figure.name,
        "unit": figure.unit,
        "kind": figure.kind,
        "pairs": len(before) if design.is_paired else None,
        "runs": [len(before), len(after)],
        "baseline": median_interval(before).middle,
        "optimized": median_interval(after).middle,
        # of what occurs on one side only, how often: there is no ratio
        "occurs_in": [sum(value > 0 for value in side) for side in (before, after)],
    }


def _decided(design: Design, one: _Tested, p: float, level: float) -> Json:
    """Return what is decided. ``p`` is adjusted; ``level`` is what p had to be without that.

    Nothing is undecided that no difference, however large, could have decided.
    """
    found = finite(design.detectable_at(level, one.before, one.after))
    said = "too few" if found is None else "undecided"
    return {
        "difference": interval(one.shift.estimate),
        "p": one.shift.p,
        "adjusted_p": p,
        "detectable": found,
        "outcome": outcome(one.shift, one.least) if p <= LEVEL else said,
    }
