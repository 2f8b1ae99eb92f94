"""What a series found, as one JSON object: each run with its evidence, and what sums them up."""

from collections.abc import Sequence

from agent.client.shell_words import savable
from agent.model import Json
from agent.run.comparison import comparison
from agent.run.plan import Plan
from agent.run.runs import End, Run, pairs_of
from agent.run.sides import side_of


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
        "sides": {side: side_of(plan, counted) for side, counted in by_side.items() if counted},
    }
    pairs = pairs_of(runs)
    if plan.compares and pairs:
        document["comparison"] = comparison(plan, runs, pairs)
    return {**document, "runs": [run.to_json() for run in runs]}
