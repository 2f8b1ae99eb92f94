"""Two groups of kept runs, compared: the document of a series, and what the runs have in common.

The document has the keys of one that `run --json` saves (`series`, `sides`, `comparison`, `runs`),
and `compared`, which says how the runs were made comparable.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from agent.comparison.clock import was_set_back
from agent.comparison.comparable import (
    BASELINE,
    OPTIMIZED,
    NoRunCounts,
    NotComparable,
    Refusal,
    Sides,
    known_facts,
    not_counted,
    refusals,
    why_not_counted,
)
from agent.comparison.comparison import comparison
from agent.comparison.notes import notes
from agent.comparison.observation import Observation
from agent.comparison.pairing import Paired, began_at, paired
from agent.comparison.sides import side_of
from agent.comparison.timing import timed_by, wall_ms, with_impossible_times
from agent.store.run import KeptRun
from agent.words import MOST_RUNS, Json

MIN_EFFECT = 0.01
"""The smallest difference that matters, as a part of the baseline."""
SEED = 1
CHOOSE_OTHERS = (
    "choose other runs (runs list says which failed); run --ignore-failure counts those too"
)


class Asked(NamedTuple):
    """How runs are to be compared."""

    min_effect: float | None = None
    seed: int | None = None
    """None: that which the series recorded whose rounds are compared, or else `SEED`; so is
    ``min_effect``, or else `MIN_EFFECT`."""
    across: Collection[str] = ()
    """What differs on purpose: `agent.comparison.comparable.ACROSS`."""
    force: bool = False
    """Compare runs that are not comparable all the same."""


AS_USUAL = Asked()


def compare_groups(
    baseline: Sequence[KeptRun], optimized: Sequence[KeptRun], asked: Asked = AS_USUAL
) -> Json:
    """Return how two groups of runs differ; as pairs, if they are the rounds of one series.

    Runs that do not count (failed, interrupted) are left out. Raises `NotComparable`, with every
    reason.
    """
    counted = [[run for run in side if run.counts] for side in (baseline, optimized)]
    _check_there_are_runs(counted, [baseline, optimized])
    found = paired(*counted)
    return compared(found, asked, left_out([*baseline, *optimized], found))


def compared(found: Paired, asked: Asked, aside: Sequence[Json]) -> Json:
    """Return the document of runs that count; ``aside`` are those that take no part.

    Raises `NotComparable`.
    """
    kept = {BASELINE: found.baseline, OPTIMIZED: found.optimized}
    _check_there_are_not_too_many(kept)
    reasons = refusals(kept, asked.across)
    if reasons and not asked.force:
        raise NotComparable(reasons)
    runs = [*found.baseline, *found.optimized]
    timed = timed_by(runs)
    observed = _observed(found, timed)
    seed, min_effect = _seed(found, asked), _min_effect(found, asked)
    result = comparison(
        found.design,
        observed[BASELINE],
        observed[OPTIMIZED],
        min_effect=min_effect,
        seed=seed,
    )
    return {
        "series": {
            "commands": {side: _words(runs) for side, runs in kept.items()},
            "most_runs": None,
            "warmup": None,
            "until": None,
            "min_effect": min_effect,
            "seed": seed,
            "ended_by": None,
            "ended_early": None,
        },
        "compared": {
            "why_no_pairs": found.why_no_pairs,
            "timed_by": timed,
            "impossible_times": [run.id for run in with_impossible_times(runs)],
            "across": sorted(asked.across),
            "forced": bool(reasons),
            "refused": [reason.to_json() for reason in reasons],
            "facts": known_facts(kept),
            "labels": {side: _labels(runs) for side, runs in kept.items()},
            "left_out": list(aside),
            "notes": [*notes(result, kept), *_on_min_effect(min_effect, asked)],
        },
        "sides": {side: side_of(runs, min_effect) for side, runs in observed.items()},
        "comparison": result,
        "runs": [
            _row(side, run, one)
            for side, runs in kept.items()
            for run, one in zip(runs, observed[side], strict=True)
        ],
    }


def _seed(found: Paired, asked: Asked) -> int:
    """Return the seed of the bootstrap: pairs have the interval that their own report has."""
    recorded = found.baseline[0].seed if found.design.is_paired else None
    return next(seed for seed in (asked.seed, recorded, SEED) if seed is not None)


def _min_effect(found: Paired, asked: Asked) -> float:
    """Return the smallest difference that matters: to pairs the one of their own report.

    That is the report of `run`, or of a comparison that was saved.
    """
    recorded = found.baseline[0].min_effect if found.design.is_paired else None
    return next(one for one in (asked.min_effect, recorded, MIN_EFFECT) if one is not None)


def _on_min_effect(min_effect: float, asked: Asked) -> list[str]:
    """Return a note on one that nobody asked for, unless it is the usual one."""
    if asked.min_effect is not None or min_effect == MIN_EFFECT:
        return []
    return [f"the smallest difference that matters is the recorded one ({100 * min_effect:g} %)"]


def _check_there_are_runs(
    counted: Sequence[Sequence[KeptRun]], given: Sequence[Sequence[KeptRun]]
) -> None:
    missing = [
        Refusal(
            "runs",
            f"no run of {side} counts{not_counted(runs)}",
            CHOOSE_OTHERS,
        )
        for side, kept, runs in zip((BASELINE, OPTIMIZED), counted, given, strict=True)
        if not kept
    ]
    if missing:
        raise NoRunCounts(missing)


def _check_there_are_not_too_many(kept: Sides) -> None:
    too_many = [
        Refusal(
            "runs",
            f"{len(runs):,} runs of {side} count, and at most {MOST_RUNS:,} are compared",
            "choose fewer, by a label or a series",
        )
        for side, runs in kept.items()
        if len(runs) > MOST_RUNS
    ]
    if too_many:
        raise NotComparable(too_many)


def left_out(given: Sequence[KeptRun], found: Paired) -> list[Json]:
    """Return the runs that take no part, and why."""
    used = {id(run) for run in (*found.baseline, *found.optimized)}
    return [
        {
            "id": run.id,
            "side": run.side,
            "why": "the other run of its round is missing" if run.counts else why_not_counted(run),
        }
        for run in given
        if id(run) not in used
    ]


def _observed(found: Paired, timed: str) -> dict[str, list[Observation]]:
    positions = _positions([*found.baseline, *found.optimized])
    return {
        side: [
            Observation(
                wall_ms=wall_ms(run, timed) or 0.0,
                command=run.command,
                evidence=run.evidence,
                round=run.round if found.design.is_paired and run.round is not None else place,
                position=positions.get(id(run)),
            )
            for place, run in enumerate(runs)
        ]
        for side, runs in ((BASELINE, found.baseline), (OPTIMIZED, found.optimized))
    }


def _positions(runs: Sequence[KeptRun]) -> dict[int, int]:
    """Return the place of each run in time; nothing unless all are known, and can be right."""
    if was_set_back(runs):
        return {}
    began = [(when, run) for run in runs if (when := began_at(run)) is not None]
    if len(began) < len(runs):
        return {}
    ordered = sorted(began, key=lambda one: one[0])
    return {id(run): place for place, (_, run) in enumerate(ordered)}


def _words(runs: Sequence[KeptRun]) -> list[str]:
    """Return the words of the command that most of the runs are of; none where it is not known."""
    found = Counter(
        tuple(map(str, words))
        for run in runs
        if isinstance(words := run.command.get("arguments"), list)
    )
    return list(found.most_common(1)[0][0]) if found else []


def _labels(runs: Sequence[KeptRun]) -> dict[str, list[str]]:
    """Return the values of the labels that were given."""
    names = dict.fromkeys(name for run in runs for name in run.labels)
    values = {name: sorted({run.labels.get(name, "") for run in runs} - {""}) for name in names}
    return {name: listed for name, listed in values.items() if listed}


def _row(side: str, run: KeptRun, one: Observation) -> Mapping[str, object]:
    return {
        "id": run.id,
        "series": run.series,
        "side": side,
        "round": one.round + 1,
        "counts": run.counts,
        "state": run.state,
        "started_at": run.started_at,
        "labels": dict(run.labels),
        "wall_ms": one.wall_ms,
        "command": run.command,
        "evidence": run.evidence,
    }
