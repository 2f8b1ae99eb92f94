"""What a series found, as one JSON object: each run with its evidence, and what sums them up."""

from collections.abc import Sequence

from agent.client.shell_words import savable
from agent.comparison.comparison import comparison
from agent.comparison.designs import PAIRS
from agent.comparison.observation import Observation
from agent.comparison.sides import side_of
from agent.fleet.merging import with_merged
from agent.run.runs import End, Run, pairs_of
from agent.run.series_plan import SeriesPlan
from agent.words import Json


def document_of(plan: SeriesPlan, runs: Sequence[Run], end: End) -> Json:
    """Return everything that a series found."""
    observed = [(run, _observation(run, position)) for position, run in enumerate(runs)]
    by_side = {
        side: [one for run, one in observed if run.counts and run.side == side]
        for side in plan.sides
    }
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
        "sides": {
            side: side_of(counted, plan.min_effect) for side, counted in by_side.items() if counted
        },
    }
    known = {id(run): one for run, one in observed}
    pairs = [(known[id(first)], known[id(second)]) for first, second in pairs_of(runs)]
    if plan.compares and pairs:
        before, after = zip(*pairs, strict=True)
        document["comparison"] = comparison(
            PAIRS, before, after, min_effect=plan.min_effect, seed=plan.seed
        )
    return {**document, "runs": [_saved(run) for run in runs]}


def _saved(run: Run) -> Json:
    """Return a run with what its machines show together, if an agent on each measured it."""
    saved = run.to_json()
    return {**saved, "evidence": with_merged(saved["evidence"])}


def _observation(run: Run, position: int) -> Observation:
    return Observation(run.wall_ms, run.command, run.evidence, run.round, position)
