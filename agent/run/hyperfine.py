"""Results in the form in which hyperfine exports them, for scripts that read it."""

import shlex
from collections.abc import Sequence

from agent.client.shell_words import savable
from agent.run.runs import Run
from agent.run.series_plan import SeriesPlan
from agent.statistics.sample import summary
from agent.words import Json


def exported(plan: SeriesPlan, runs: Sequence[Run]) -> Json:
    """Return ``{"results": [...]}`` with the keys and units (seconds) of hyperfine's own.

    A command of which no run is complete has no result.
    """
    by_side = {side: [r for r in runs if r.counts and r.side == side] for side in plan.sides}
    return {
        "results": [
            _result(shlex.join(savable(plan.sides[side])), counted)
            for side, counted in by_side.items()
            if counted
        ]
    }


def _result(command: str, runs: Sequence[Run]) -> Json:
    times = [run.ended.wall_s for run in runs]
    told = summary(times)
    return {
        "command": command,
        "mean": told.mean,
        "stddev": told.deviation,
        "median": told.median.middle,
        "user": sum(run.ended.user_s for run in runs) / len(runs),
        "system": sum(run.ended.system_s for run in runs) / len(runs),
        "min": told.lowest,
        "max": told.highest,
        "times": times,
        "exit_codes": [run.ended.status if run.ended.status >= 0 else None for run in runs],
    }
