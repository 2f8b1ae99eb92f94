"""Whether the second of two commands is faster, and by how much, and how that is decided.

Here are the runs that were made in pairs; `agent.statistics.groups` has those that were not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent.statistics.estimate import Estimate, detectable, without_interval
from agent.statistics.pairs import hodges_lehmann, sign_test, signed_rank_test


@dataclass(frozen=True, slots=True)
class Shift:
    """By how much the second values are larger, and whether that may be chance.

    ``p`` is that of the test which the interval inverts; ``sign_p``, which assumes less, is None
    unless the values are pairs. ``detectable`` is the smallest shift that would probably have been
    found.
    """

    estimate: Estimate
    p: float
    sign_p: float | None
    detectable: float


def shift(first: Sequence[float], second: Sequence[float]) -> Shift:
    """Return the shift from the first to the second values of pairs. Raises ValueError."""
    differences = [after - before for before, after in zip(first, second, strict=True)]
    estimate = hodges_lehmann(differences)
    return Shift(
        estimate=estimate,
        p=signed_rank_test(differences),
        sign_p=sign_test(differences),
        detectable=detectable(estimate),
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
    return relative(shift(*map(logarithms, (first, second))))


def logarithms(values: Sequence[float]) -> list[float]:
    """Return the logarithms, differences of which are those of ratios. Raises ValueError."""
    return [math.log(value) for value in values]


def relative(found: Shift) -> Shift:
    """Return a shift of logarithms as a part of the first values."""
    low, middle, high = found.estimate.low, found.estimate.middle, found.estimate.high
    return Shift(
        estimate=Estimate(math.expm1(low), math.expm1(middle), math.expm1(high))
        if found.estimate.has_interval
        else without_interval(math.expm1(middle)),
        p=found.p,
        sign_p=found.sign_p,
        detectable=math.expm1(found.detectable),
    )


def outcome(found: Shift, least: float) -> str:
    """Return what is decided, if changes of no more than ``least`` do not matter.

    ``too few`` runs for an interval; ``undecided``: the interval holds 0; ``too small``; or that
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
