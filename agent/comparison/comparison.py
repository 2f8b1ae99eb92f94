"""How the runs of two sides differ, as one JSON object."""

from collections import Counter
from collections.abc import Sequence

from agent.comparison.budget import Budget, budget_of, why_no_budget
from agent.comparison.causes import TOO_FEW_BUDGETS, cause_of
from agent.comparison.certain import with_certainty
from agent.comparison.changes import (
    changed,
    known_on_one_side,
    occurring_on_one_side,
    parts_of,
)
from agent.comparison.designs import Design
from agent.comparison.families import DECIDED, Compared, at_least, tested
from agent.comparison.figures import Figures
from agent.comparison.intervals import finite, interval
from agent.comparison.observation import Observation
from agent.comparison.order import IN_BLOCKS, Drift, drift_of, order_of
from agent.comparison.quantiles import shifts
from agent.statistics.comparison import Shift, outcome
from agent.statistics.sample import median_interval
from agent.words import Json

DRIFT = "drift"
"""An outcome: the difference may be what changed with time, as one side was later."""
REASONS = {
    "too few": "too few runs",
    "undecided": "noise",
    "too small": "within min_effect",
    DRIFT: DRIFT,
}
"""Why nothing is decided, by the outcome."""


def comparison(
    design: Design,
    before: Sequence[Observation],
    after: Sequence[Observation],
    *,
    min_effect: float,
    seed: int,
) -> Json:
    """Return how the second runs differ from the first. Raises ValueError if there are none.

    Of pairs, the runs at the same place belong together. ``min_effect`` is the smallest difference
    that matters, as a part of the baseline; ``seed`` that of the bootstrap.
    """
    baseline, optimized = ([run.wall_ms for run in side] for side in (before, after))
    wall = design.relative_shift(baseline, optimized)
    gained = design.gain(baseline, optimized, seed)
    drift = drift_of(before, after, min_effect)
    order, decided = order_of(before, after), _outcome(design, wall, drift, min_effect)
    budgets_before, budgets_after = _budgets(before), _budgets(after)
    compared = Compared(
        design,
        _figures(before),
        _figures(after),
        min_effect,
        least_ms=min_effect * median_interval(baseline).middle,
    )
    times = design.shift(baseline, optimized)
    cause = cause_of(design, budgets_before, budgets_after, times)
    if cause["why_none"] == TOO_FEW_BUDGETS:
        budgets = [*budgets_before, *budgets_after]
        cause["reason"] = _why_no_budget([*before, *after], budgets)
    found, not_tested = tested(compared, wall.p)
    parts = with_certainty(parts_of(design, budgets_before, budgets_after), found, cause["part"])
    appeared, vanished = occurring_on_one_side(compared)
    return {
        "method": design.name,
        "pairs": len(before) if design.is_paired else None,
        "runs": {"baseline": len(before), "optimized": len(after)},
        "order": order,
        "baseline_first": _baseline_first(before, after) if design.is_paired else None,
        "outcome": decided,
        "conclusive": decided in DECIDED,
        "conclusive_if": _provided(design, order, decided),
        "inconclusive_because": _reasons(decided, drift),
        "change_pct": interval(wall.estimate, 100),
        "p": wall.p,
        "sign_p": wall.sign_p,
        "detectable_pct": finite(100 * wall.detectable),
        "baseline_ms": interval(median_interval(baseline)),
        "optimized_ms": interval(median_interval(optimized)),
        "gain_pct": {**interval(gained.estimate), "method": gained.method},
        "drift": None if drift is None else drift.described(),
        "cause": cause,
        "parts": parts,
        "figures": found,
        "not_tested": not_tested,
        "at_least": at_least(compared),
        "changed": changed(found, parts),
        "appeared": appeared,
        "vanished": vanished,
        "on_one_side_only": known_on_one_side(compared),
        "shift": shifts(design, before, after),
    }


def _figures(runs: Sequence[Observation]) -> list[Figures]:
    return [Figures(run.command, run.evidence) for run in runs]


def _budgets(runs: Sequence[Observation]) -> list[Budget | None]:
    return [budget_of(run.command, run.evidence) for run in runs]


def _why_no_budget(runs: Sequence[Observation], budgets: Sequence[Budget | None]) -> str | None:
    """Return why the runs without a budget of wall time have none, if most of them say the same."""
    lacking = [one for one, budget in zip(runs, budgets, strict=True) if budget is None]
    reasons = Counter(why_no_budget(one.evidence) for one in lacking)
    why = max(reasons, key=lambda one: reasons[one], default=None)
    return why if 2 * reasons[why] > len(lacking) else None


def _outcome(design: Design, wall: Shift, drift: Drift | None, min_effect: float) -> str:
    """Return what is decided; of groups nothing that a drift may have made."""
    decided = outcome(wall, min_effect)
    is_drift = drift is not None and not design.is_paired and drift.explains(wall.estimate)
    return DRIFT if decided in DECIDED and is_drift else decided


def _provided(design: Design, order: str, decided: str) -> str | None:
    """Return on what it depends that a difference is one; None of pairs, and if none is found."""
    return None if design.is_paired or decided not in DECIDED else IN_BLOCKS.get(order)


def _reasons(decided: str, drift: Drift | None) -> list[str]:
    """Return why nothing is decided: what the outcome says, and a drift, which adds noise."""
    if decided in DECIDED:
        return []
    drifts = drift is not None and drift.is_certain
    return list(dict.fromkeys([REASONS[decided], *([DRIFT] if drifts else [])]))


def _baseline_first(before: Sequence[Observation], after: Sequence[Observation]) -> int | None:
    """Return in how many pairs the baseline ran first; None if that is not known."""
    known = [
        first.position < second.position
        for first, second in zip(before, after, strict=True)
        if first.position is not None and second.position is not None
    ]
    return sum(known) if len(known) == len(before) else None
