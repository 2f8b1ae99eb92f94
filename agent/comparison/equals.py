"""One group of runs, compared with itself: which differences this machine shows between equals."""

import math
import statistics
from collections.abc import Sequence

import numpy as np

from agent.comparison.comparable import NotComparable, Refusal, not_counted
from agent.comparison.designs import GROUPS
from agent.comparison.kept import AS_USUAL, SEED, Asked, compared, left_out
from agent.comparison.pairing import Paired
from agent.statistics.comparison import logarithms
from agent.statistics.estimate import FEWEST, detectable
from agent.statistics.groups import hodges_lehmann_sen
from agent.store.run import KeptRun
from agent.words import Json

MANY = 200
"""Random splits, for the floor. They share their runs, so more of them are no more evidence."""
WHY_NO_PAIRS = "they are two halves of one group"


def compare_equals(runs: Sequence[KeptRun], asked: Asked = AS_USUAL) -> Json:
    """Return how two halves of a group differ: a document as of two groups, with `compared.aa`.

    It is split at random, with ``asked.seed``, or else `SEED`. `floor_pct` is the difference that
    19 of 20 random splits stay below; a real one has to be larger to be believed. Raises
    `NotComparable`.
    """
    counted = [run for run in runs if run.counts]
    if len(counted) < 2 * FEWEST:
        aside = not_counted(runs)
        why = f"{len(counted)} runs of the group count{aside}, and each half takes {FEWEST}"
        raise NotComparable([Refusal("runs", why, f"make {2 * FEWEST} or more")])
    seed = SEED if asked.seed is None else asked.seed
    first, second = _halves(counted, seed)
    halves = Paired(GROUPS, first, second, WHY_NO_PAIRS)
    document = compared(halves, asked, left_out(runs, halves))
    wall, least = [run["wall_ms"] for run in document["runs"]], document["series"]["min_effect"]
    document["compared"]["aa"] = {"seed": seed, **_floor(wall, seed, least)}
    return document


def _halves(runs: Sequence[KeptRun], seed: int) -> tuple[list[KeptRun], list[KeptRun]]:
    mixed = [runs[index] for index in np.random.default_rng(seed).permutation(len(runs))]
    return mixed[: len(runs) // 2], mixed[len(runs) // 2 :]


def _floor(wall: Sequence[float], seed: int, min_effect: float) -> Json:
    """Return what many random splits of the same runs show."""
    random = np.random.default_rng(seed)
    logs, half, found = logarithms(wall), len(wall) // 2, []
    for _ in range(MANY):
        mixed = [logs[index] for index in random.permutation(len(logs))]
        found.append(hodges_lehmann_sen(mixed[:half], mixed[half:]))
    least = math.log1p(min_effect)
    sizes = [abs(one.middle) for one in found]
    return {
        "splits": MANY,
        "conclusive": sum(one.excludes(0) and abs(one.middle) > least for one in found),
        "floor_pct": 100 * math.expm1(np.quantile(sizes, 0.95, method="inverted_cdf")),
        "detectable_pct": 100 * math.expm1(statistics.median(map(detectable, found))),
    }
