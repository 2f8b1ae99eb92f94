"""What changed between two sides: parts of the wall time, figures that grew or shrank, and what
occurs on one side only."""

from collections.abc import Mapping, Sequence

from agent.comparison.budget import Budget
from agent.comparison.designs import Design
from agent.comparison.families import DECIDED, Compared
from agent.comparison.figures import (
    BLOCKED_IN,
    OF_WALL_TIME,
    STATE,
    counts,
    is_lower_bound,
    percentiles,
    states,
    times,
)
from agent.comparison.intervals import interval
from agent.statistics.sample import median_interval
from agent.terminal.parts import BLOCKED_OTHER
from agent.words import Json

OF_STATES = {"waiting for a CPU": "waiting_for_cpu", "blocked": "blocked"}
"""Sums over tasks, and the states of the wall time in which that matters."""


def parts_of(
    design: Design, baseline: Sequence[Budget | None], optimized: Sequence[Budget | None]
) -> list[Json]:
    """Return how the parts of the wall time differ, the largest difference first.

    They are not tested one by one: a part's interval excludes no change by chance in one of twenty
    cases.
    """
    before, after = design.known(baseline, optimized)
    listed = dict.fromkeys(name for one in (*before, *after) for name in one.parts)
    found = [
        {
            "name": name,
            "runs": [len(first), len(second)],
            "baseline_ms": median_interval(first).middle,
            "optimized_ms": median_interval(second).middle,
            "difference_ms": interval(design.shift(first, second).estimate),
        }
        for name in (*listed, BLOCKED_OTHER)
        for first, second in [
            design.known([one.part(name) for one in before], [one.part(name) for one in after])
        ]
        if first and second and (any(first) or any(second))
    ]
    return sorted(found, key=lambda one: -abs(one["difference_ms"]["middle"]))


def changed(figures: Sequence[Json], parts: Sequence[Json]) -> list[Json]:
    """Return the figures that differ, by what they mean for the wall time where that is known.

    Those of which it is not known follow, by how large the difference is within the figure.
    """
    of_wall = {one["name"]: one["difference_ms"]["middle"] for one in parts}
    of_wall |= {one["name"]: one["difference"]["middle"] for one in figures if _is_state(one)}
    found = [
        {
            "name": one["name"],
            "unit": one["unit"],
            "kind": one["kind"],
            "direction": "grew" if one["outcome"] == "larger" else "shrank",
            "wall_ms": _wall_ms(one["name"], of_wall),
            "share": _share(one),
        }
        for one in figures
        if one["outcome"] in DECIDED
    ]
    return sorted(
        found,
        key=lambda one: (one["wall_ms"] is None, -abs(one["wall_ms"] or 0), -abs(one["share"])),
    )


def _is_state(figure: Json) -> bool:
    return bool(figure["kind"] == STATE)


def _wall_ms(name: str, of_wall: Mapping[str, float]) -> float | None:
    """Return by how much the wall time grew with a figure; None where that is not known."""
    if name in OF_STATES:
        return of_wall.get(f"{OF_WALL_TIME}{OF_STATES[name]}")
    is_part = name.startswith((BLOCKED_IN, OF_WALL_TIME))
    return of_wall.get(name) if is_part else None


def _share(figure: Json) -> float:
    """Return the difference as a part of the larger side, from -1 to 1."""
    before, after = figure["baseline"], figure["optimized"]
    largest = max(before, after)
    return float((after - before) / largest) if largest else 0.0


def known_on_one_side(compared: Compared) -> list[Json]:
    """Return the figures that are known of runs of one side only, and so are not compared."""
    both = [*compared.before, *compared.after]
    found = []
    for figure in (*states(both), *times(both), *counts(both), *percentiles(both)):
        before, after = (
            any(figure.of(run) is not None for run in side)
            for side in (compared.before, compared.after)
        )
        if before != after:
            found.append({"name": figure.name, "side": "baseline" if before else "optimized"})
    return found


def occurring_on_one_side(compared: Compared) -> tuple[list[Json], list[Json]]:
    """Return what appeared, in no run of the baseline and some of the other, and what vanished."""
    both = [*compared.before, *compared.after]
    appeared: list[Json] = []
    vanished: list[Json] = []
    for figure in (*times(both), *counts(both)):
        before, after = compared.values(figure)
        occurs = [sum(value > 0 for value in side) for side in (before, after)]
        if not before or not after or all(occurs) or not any(occurs):
            continue
        if is_lower_bound(figure, both):  # it may have been missed
            continue
        described = {
            "name": figure.name,
            "unit": figure.unit,
            "occurs_in": occurs,
            "runs": [len(before), len(after)],
            "median": median_interval(after if occurs[1] else before).middle,
        }
        (appeared if occurs[1] else vanished).append(described)
    return appeared, vanished
