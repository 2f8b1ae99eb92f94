"""Whether the second of two commands that ran in pairs is faster, and by how much."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent.statistics.estimate import Estimate, detectable
from agent.statistics.pairs import hodges_lehmann, sign_test, signed_rank_test


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much the second value of a pair is larger, and whether that may be chance.

    ``detectable`` is the smallest shift that would probably have been found.
    """

    estimate: Estimate
    signed_rank_p: float
    sign_p: float
    detectable: float
    pairs: int


def shift(first: Sequence[float], second: Sequence[float]) -> Shift:
    """Return the shift from the first to the second values of pairs. Raises ValueError."""
    differences = [after - before for before, after in zip(first, second, strict=True)]
    estimate = hodges_lehmann(differences)
    return Shift(
        estimate=estimate,
        signed_rank_p=signed_rank_test(differences),
        sign_p=sign_test(differences),
        detectable=detectable(estimate),
        pairs=len(differences),
    )


def detectable_at(level: float, first: Sequence[float], second: Sequence[float]) -> float:
    """Return the smallest shift that would probably have been found at this level.

    It is infinite if so few pairs reach no such p value. Raises ValueError without pairs.
    """
    differences = [after - before for before, after in zip(first, second, strict=True)]
    return detectable(hodges_lehmann(differences, level), level)


def relative_shift(first: Sequence[float], second: Sequence[float]) -> Shift:
    """Return the shift as a part of the first values: 0.1 if the second are 10 % larger.

    It is found from the logarithms of the ratios. Raises ValueError unless all are above 0.
    """
    found = shift([math.log(value) for value in first], [math.log(value) for value in second])
    low, middle, high = found.estimate.low, found.estimate.middle, found.estimate.high
    return Shift(
        estimate=Estimate(math.expm1(low), math.expm1(middle), math.expm1(high))
        if found.estimate.has_interval
        else Estimate(-math.inf, math.expm1(middle), math.inf),
        signed_rank_p=found.signed_rank_p,
        sign_p=found.sign_p,
        detectable=math.expm1(found.detectable),
        pairs=found.pairs,
    )


def outcome(found: Shift, least: float) -> str:
    """Return what is decided, if changes of no more than ``least`` do not matter.

    ``too few`` pairs for an interval; ``undecided``: the interval holds 0; ``too small``; or that
    the second is ``larger`` or ``smaller``.
    """
    estimate = found.estimate
    if not estimate.has_interval:
        return "too few"
    if not estimate.excludes(0):
        return "undecided"
    if abs(estimate.middle) <= least:
        return "too small"
    return "larger" if estimate.middle > 0 else "smaller"
