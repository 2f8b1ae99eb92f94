"""The wall time of a side's runs, divided: means over those that have a budget to rely on."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import fmean

from agent.comparison.budget import COMPUTING, REST, budget_of
from agent.report.numbers import amount_of
from agent.report.subject import LONGEST_REASON, Observed, Side
from agent.terminal.parts import BLOCKED_OTHER, BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU
from agent.terminal.values import mapping, printable

WAITING = (COMPUTING, FOR_BUSY_CPU, FOR_IDLE_CPU)
LEAST_SHARE = 0.0005
"""Of the wall time: less is not worth a row of its own."""


@dataclass(frozen=True, slots=True)
class Divided:
    """Mean times in ms over the runs that have a budget: the parts add up to the whole."""

    name: str
    parts: Mapping[str, float]
    whole: float
    runs: int

    def part(self, name: str) -> float | None:
        """Return a part; None if it may be among those that are only summed up."""
        return self.parts.get(name, None if BLOCKED_OTHER in self.parts else 0.0)


def divided(side: Side) -> Divided | None:
    """Return the mean budget of a side's runs; None if none has one to rely on.

    Means and not medians, since they add up. A reason that is not listed in a run is part of what
    that run sums up as `BLOCKED_OTHER`.
    """
    budgets = [found for run in side.counted if (found := _budget(run))]
    if not budgets:
        return None
    names = in_order({name for parts, _ in budgets for name in parts})
    parts = {name: fmean(one.get(name, 0.0) for one, _ in budgets) for name in names}
    whole = fmean(wall for _, wall in budgets)
    rest = whole - sum(parts.values())  # but for what is rounded
    if rest > LEAST_SHARE * whole:
        parts[BLOCKED_OTHER] = rest
    return Divided(side.name, parts, whole, len(budgets))


def _budget(run: Observed) -> tuple[Mapping[str, float], float] | None:
    """Return the parts of one run, and the whole; None without a budget to rely on."""
    found = budget_of(run.command, run.evidence)
    whole = amount_of(mapping(run.evidence.get("wall")).get("wall_ms"))
    if found is None or not whole or any(amount_of(ms) is None for ms in found.parts.values()):
        return None
    return found.parts, whole


def in_order(names: Collection[str]) -> list[str]:
    blocked = sorted(name for name in names if name.startswith(BLOCKED_UNTIL))
    return [n for n in (*WAITING, *blocked, *REST) if n in names]


def lacks(run: Observed) -> str | None:
    why = run.lacks("wall")
    if why:
        return why
    wall = mapping(run.evidence.get("wall"))
    if wall.get("available") is not True:
        return printable(wall.get("reason") or "no reason is given", LONGEST_REASON)
    return None if _budget(run) else "its checks failed, or it is malformed"
