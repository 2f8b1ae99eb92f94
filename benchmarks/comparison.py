"""Ratios of two checkouts' numbers, and how far a ratio is from 1 by chance. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.overhead.protocols import Nothing
from agent.overhead.results import WorkloadResult
from agent.overhead.stats import is_difference, median_estimate, noise_floor
from agent.overhead.table import interval_text
from agent.statistics.estimate import FEWEST, Estimate

OTHER = "@other"
"""Suffix of the names of the other checkout's configurations."""

ENOUGH_ROUNDS = FEWEST
"""The widest interval for the median of n values, from the smallest to the largest, misses it in 2
of 2^n cases: 6 % with five values, 3 % with six. Fewer than six allow no 95 % interval."""

HEADERS = ("new / old", "old", "new", "ratio", "95 % interval", "rounds", "")


def plain(name: str) -> str:
    """Return the name without the suffix, which both checkouts' configurations share."""
    return name.removesuffix(OTHER)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity for both checkouts; ``floor`` is how far from 1 a ratio is by chance."""

    what: str
    old: float
    new: float
    ratio: Estimate | None
    rounds: int
    floor: float | None

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "same" if self.old == self.new else "no ratio"
        if self.rounds < ENOUGH_ROUNDS:
            return "too few rounds to judge"
        if self.floor is None:
            return "noise floor not measured"
        if is_difference(self.ratio, self.floor):
            return f"{self.ratio.middle - 1:+.1%}, beyond the noise floor of {self.floor:.1%}"
        return f"no difference, noise floor {self.floor:.1%}"


def round_ratios(new: Mapping[int, float], old: Mapping[int, float]) -> list[float]:
    """Return new / old for each round that has both, or an empty list if any old value is 0.

    Rounds are not mixed, because a disturbance in a round affects both values of the pair.
    """
    shared = sorted(new.keys() & old.keys())
    if not all(old[number] > 0 for number in shared):
        return []
    return [new[number] / old[number] for number in shared]


def compare_slowdowns(workload: WorkloadResult) -> list[Comparison]:
    """Compare the slowdowns under each pair of configurations; the two nothings give the floor."""
    found = {measured.name: measured.by_round() for measured in workload.measured}
    chance = round_ratios(found.get(Nothing.name, {}), found.get(Nothing.name + OTHER, {}))
    floor = noise_floor(chance) if chance else None
    return [
        _comparison(f"{workload.name}: {measured.label}", measured.by_round(), old, floor)
        for measured in workload.measured
        if measured.name != Nothing.name
        if (old := found.get(measured.name + OTHER))
    ]


def compare_figures(
    new: Sequence[Mapping[str, float]], old: Sequence[Mapping[str, float]]
) -> list[Comparison]:
    """Compare each figure that both checkouts have, from the figures of each round.

    There is no A/A run here. The noise floor is how much the same agent varies from one round to
    the next.
    """
    comparisons = []
    for name in dict.fromkeys(name for figures in new for name in figures):
        of_new, of_old = _by_round(new, name), _by_round(old, name)
        if not of_new.keys() & of_old.keys():
            continue
        chance = [ratio for side in (of_new, of_old) for ratio in _from_round_to_round(side)]
        floor = noise_floor(chance) if chance else None
        comparisons.append(_comparison(name, of_new, of_old, floor))
    return comparisons


def _by_round(rounds: Sequence[Mapping[str, float]], name: str) -> dict[int, float]:
    return {number: figures[name] for number, figures in enumerate(rounds) if name in figures}


def _from_round_to_round(side: Mapping[int, float]) -> list[float]:
    """Return the ratio of each round to the one before it."""
    return round_ratios(side, {number + 1: value for number, value in side.items()})


def _comparison(
    what: str, new: Mapping[int, float], old: Mapping[int, float], floor: float | None
) -> Comparison:
    ratios = round_ratios(new, old)
    return Comparison(
        what=what,
        old=median_estimate(list(old.values())).middle,
        new=median_estimate(list(new.values())).middle,
        ratio=median_estimate(ratios) if ratios else None,
        rounds=len(new.keys() & old.keys()),
        floor=floor,
    )


def comparison_table(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """Return the rows of the table, headers first."""
    return [HEADERS, *map(_row, comparisons)]


def _row(found: Comparison) -> tuple[str, ...]:
    ratio, interval = "", ""
    if found.ratio is not None:
        ratio = f"{found.ratio.middle:.3f}"
        interval = interval_text(found.ratio)
    numbers = (f"{found.old:.4g}", f"{found.new:.4g}", ratio, interval, str(found.rounds))
    return (found.what, *numbers, found.verdict)
