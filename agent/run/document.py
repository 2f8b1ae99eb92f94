"""What a series found, as one JSON object: each run with its evidence, and what sums them up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from agent.client.shell_words import savable
from agent.model import Json
from agent.run.figures import COUNT, MS, Figures, verdict
from agent.run.plan import Plan
from agent.run.runs import End, Run, pairs_of
from agent.statistics.bootstrap import gain
from agent.statistics.comparison import SIGNIFICANT, Shift, outcome, relative_shift, shift
from agent.statistics.estimate import Estimate
from agent.statistics.many import adjusted
from agent.statistics.sample import drift, median_interval, summary
from agent.terminal.values import mapping, number, rows

MOST_TESTED = 20
"""Of very many figures no true difference could be told from chance."""
HISTOGRAMS = ("runqlat", "biolatency")


def document_of(plan: Plan, runs: Sequence[Run], end: End) -> Json:
    """Return everything that a series found."""
    by_side = {side: [r for r in runs if r.counts and r.side == side] for side in plan.sides}
    document: Json = {
        "series": {
            "commands": {side: savable(words) for side, words in plan.sides.items()},
            "most_runs": plan.most,
            "warmup": plan.warmup,
            "until": plan.until,
            "min_effect": plan.min_effect,
            "seed": plan.seed if plan.compares else None,
            "ended_by": end.rule,
            "ended_early": end.why or None,
        },
        "sides": {side: _side(plan, counted) for side, counted in by_side.items() if counted},
    }
    pairs = pairs_of(runs)
    if plan.compares and pairs:
        document["comparison"] = _comparison(plan, runs, pairs)
    return {**document, "runs": [run.to_json() for run in runs]}


# --- one side


def _side(plan: Plan, runs: Sequence[Run]) -> Json:
    wall = [run.wall_ms for run in runs]
    told = summary(wall)
    return {
        "runs": len(runs),
        "failed": sum(run.ended.status != 0 for run in runs),
        "wall_ms": {
            "median": _interval(told.median),
            "mean": told.mean,
            "deviation": told.deviation,
            "lowest": told.lowest,
            "highest": told.highest,
            "outliers": [
                {"round": runs[index].round + 1, "ms": wall[index]} for index in told.outliers
            ],
            "drift": _drift(plan, wall, told.median.middle),
        },
        "user_ms_mean": sum(run.ended.user_s for run in runs) / len(runs) * 1e3,
        "system_ms_mean": sum(run.ended.system_s for run in runs) / len(runs) * 1e3,
        "verdicts": _verdicts(runs),
        "figures": _figures(runs),
        "histograms": _histograms(runs),
    }


def _drift(plan: Plan, wall: Sequence[float], median: float) -> Json | None:
    """Return by how much each run takes longer than the one before, and the first than the rest.

    ``is_certain``: the interval excludes 0, and over the whole series it is more than the smallest
    change that matters.
    """
    if len(wall) < 2:
        return None
    slope = drift(wall)
    over_all = abs(slope.middle) * (len(wall) - 1)
    return {
        "ms_per_run": _interval(slope),
        "is_certain": slope.excludes(0) and over_all > plan.min_effect * median,
        "first_ms": wall[0],
        "rest_median_ms": median_interval(wall[1:]).middle,
    }


def _verdicts(runs: Sequence[Run]) -> Json:
    """Return how many runs have which verdict; ``none``: without evidence."""
    found = Counter(verdict(run.evidence) or "none" for run in runs)
    return dict(sorted(found.items()))


def _figures(runs: Sequence[Run]) -> list[Json]:
    """Return median, interval and range of each figure over the runs in which it is known."""
    whole = [Figures(run.command, run.evidence) for run in runs]
    found = []
    for name, unit, value in _named(whole):
        known = [v for one in whole if (v := value(one)) is not None]
        found.append(
            {
                "name": name,
                "unit": unit,
                "runs": len(known),
                "median": _interval(median_interval(known)),
                "lowest": min(known),
                "highest": max(known),
            }
        )
    return found


Value = Callable[[Figures], float | None]


def _named(whole: Sequence[Figures]) -> list[tuple[str, str, Value]]:
    """Return name, unit and reader of each figure: states of the budget, times, counts.

    Within each kind, the largest over all runs come first.
    """
    return [*_states(whole), *_times(whole), *_counts(whole)]


def _states(whole: Sequence[Figures]) -> list[tuple[str, str, Value]]:
    names = dict.fromkeys(name for one in whole for name in one.states)
    return [(f"wall: {name}", MS, partial(Figures.state, name=name)) for name in names]


def _times(whole: Sequence[Figures]) -> list[tuple[str, str, Value]]:
    names = _by_size([one.times for one in whole])
    return [(name, MS, partial(Figures.time, name=name)) for name in names]


def _counts(whole: Sequence[Figures]) -> list[tuple[str, str, Value]]:
    names = _by_size([one.counts for one in whole])
    return [(name, COUNT, partial(Figures.count, name=name)) for name in names]


def _by_size(figures: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the names that occur, the largest sum first; not those that are 0 throughout."""
    sums: Counter[str] = Counter()
    for one in figures:
        sums.update(one)
    return [name for name, total in sums.most_common() if total > 0]


def _histograms(runs: Sequence[Run]) -> Json:
    """Return the sums of the runs' histograms, bucket by bucket, where every run has one."""
    merged: Json = {}
    for section in HISTOGRAMS:
        whole = [mapping(run.evidence.get(section)).get("histogram") for run in runs]
        if all(isinstance(one, list) for one in whole):
            merged[section] = _merged([row for one in whole for row in rows(one)])
    return merged


def _merged(buckets: Sequence[Mapping[str, Any]]) -> list[Json]:
    counts: Counter[float] = Counter()
    for bucket in buckets:
        low, size = number(bucket.get("bucket_us")), number(bucket.get("count"))
        if low is not None and size is not None:
            counts[low] += int(size)
    return [{"bucket_us": low, "count": counts[low]} for low in sorted(counts)]


# --- two sides


def _comparison(plan: Plan, runs: Sequence[Run], pairs: Sequence[tuple[Run, Run]]) -> Json:
    before, after = ([run.wall_ms for run in side] for side in zip(*pairs, strict=True))
    wall = relative_shift(before, after)
    gained = gain(before, after, plan.seed)
    tested, not_tested = _tested(plan, pairs, wall)
    return {
        "pairs": len(pairs),
        "baseline_first": sum(runs.index(first) < runs.index(second) for first, second in pairs),
        "outcome": outcome(wall, plan.min_effect),
        "change_pct": _interval(wall.estimate, 100),
        "p": wall.signed_rank_p,
        "sign_p": wall.sign_p,
        "detectable_pct": _finite(100 * wall.detectable),
        "baseline_ms": _interval(median_interval(before)),
        "optimized_ms": _interval(median_interval(after)),
        "gain_pct": {**_interval(gained.estimate), "method": gained.method},
        "figures": tested,
        "not_tested": not_tested,
    }


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
    others = [*_times(whole), *_counts(whole)]
    states = _family(both, _states(whole), plan, least, [wall.signed_rank_p])
    rest = _family(both, others[:MOST_TESTED], plan, least, [])
    return [*states, *rest], [name for name, _, _ in others[MOST_TESTED:]]


def _family(
    both: Sequence[tuple[Figures, ...]],
    figures: Sequence[tuple[str, str, Value]],
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
        "difference": _interval(one.estimate),
        "p": one.signed_rank_p,
        "adjusted_p": p,
        "detectable": _finite(one.detectable),
        "outcome": said if p <= SIGNIFICANT or said == "too few" else "undecided",
    }


def _interval(estimate: Estimate, factor: float = 1) -> Json:
    """Return an estimate; the bounds are null where it has no interval."""
    return {
        "low": _finite(factor * estimate.low),
        "middle": factor * estimate.middle,
        "high": _finite(factor * estimate.high),
    }


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None
