"""Where the wall time of one run went, and what it did meanwhile, out of its evidence.

What is not known is None or absent: a cause that rests on it cannot be named.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.comparison.figures import Figures
from agent.comparison.values import mapping, number, rows
from agent.terminal.evidence import has_budget, verdict
from agent.terminal.parts import BLOCKED_OTHER, BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU

COMPUTING, STOPPED = "computing", "stopped"
REST = (STOPPED, "no_task", "unknown")
UNLISTED = 0.01
"""Of the wall time: a reason without a row that can be no more than this is taken as 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """Times in ms. ``parts`` divide the wall time; what is blocked, by the reason that ended it."""

    parts: Mapping[str, float]
    ended: Mapping[str, float]
    """How often a part that is blocked time was ended, by part."""
    other: float | None
    """Time blocked for reasons that have no row."""
    negligible: float
    """Times up to this one count as nothing."""
    cpu: float | None
    stolen: float | None
    """For how long a hypervisor ran something else, on all CPUs of the machine, in steps of 10."""
    execs: float | None
    forks: float | None
    waits: float | None
    """For a CPU: how many."""
    blocks: float | None
    """How often tasks were blocked."""
    waking: float | None
    """How long wake-ups were on their way to other CPUs, where waits begin; summed over tasks."""
    preempted: float | None
    """For a CPU, of tasks that had been preempted; summed over tasks."""
    had_cpu: Mapping[str, float]
    """Which commands had the CPU that was waited for; of those that are not listed it is little."""
    cpu_of_first: float | None
    """CPU time of the thread that lived longest: of a command that starts others, its own."""
    throttled: float | None
    """The part of the wait for a CPU for which a quota may be the reason, at most."""
    faults: float | None
    """Page faults that needed no disk, of the command and what it waited for."""
    calls: Mapping[str, float] | None
    """Calls by name; one that is not listed was not made."""
    figures: Figures
    """Sums over tasks."""

    def part(self, name: str) -> float | None:
        """Return a part in ms; None if it is not known.

        A reason without a row is 0 if it can be no more than what is negligible: it is at most what
        no row has, and what tasks were blocked for this reason, summed over them.
        """
        if name == BLOCKED_OTHER:
            return self.other
        if name in self.parts or not name.startswith(BLOCKED_UNTIL):
            return self.parts.get(name)
        summed = self.figures.blocked_at_most(name.removeprefix(BLOCKED_UNTIL))
        bounds = [ms for ms in (self.other, summed) if ms is not None]
        return 0.0 if self.other is not None and min(bounds) <= self.negligible else None

    def called(self, *names: str) -> float | None:
        return None if self.calls is None else sum(self.calls.get(name, 0.0) for name in names)


def budget_of(command: Mapping[str, Any], evidence: Mapping[str, Any]) -> Budget | None:
    """Return the budget of a run; None if it has none that can be relied on."""
    wall = mapping(evidence.get("wall"))
    if not has_budget(evidence) or verdict(evidence) in (None, "invalid"):
        return None
    states = mapping(wall.get("states"))
    parts = {name: number(mapping(states.get(name)).get("ms")) for name in (COMPUTING, *REST)}
    parts |= {
        FOR_BUSY_CPU: number(wall.get("for_busy_cpu_ms")),
        FOR_IDLE_CPU: number(wall.get("for_idle_cpu_ms")),
    }
    blocked: dict[str, float] = defaultdict(float)
    ended: dict[str, float] = defaultdict(float)
    for row in rows(wall.get("blocked_until")):
        blocked[f"{BLOCKED_UNTIL}{row.get('reason')}"] += number(row.get("ms")) or 0
        ended[f"{BLOCKED_UNTIL}{row.get('reason')}"] += number(row.get("count")) or 0
    other, whole = number(wall.get("blocked_other_ms")), number(wall.get("wall_ms"))
    executed = mapping(evidence.get("exec"))
    off_cpu = mapping(evidence.get("offcpu"))
    return Budget(
        parts={**{name: ms for name, ms in parts.items() if ms is not None}, **blocked},
        ended=ended,
        other=other,
        negligible=UNLISTED * (whole or 0.0),
        cpu=number(wall.get("cpu_ms")),
        stolen=number(evidence.get("stolen_ms")),
        execs=number(executed.get("exec_count")),
        forks=number(executed.get("forks")),
        waits=number(mapping(evidence.get("runqlat")).get("count")),
        blocks=number(off_cpu.get("count")),
        waking=number(wall.get("waking_ms")),
        preempted=number(mapping(off_cpu.get("by_state")).get("preempted_ms")),
        had_cpu=_had_cpu(wall),
        cpu_of_first=_cpu_of_first(wall),
        throttled=number(wall.get("throttled_ms")),
        faults=number(command.get("minor_faults")),
        calls=_calls(evidence),
        figures=Figures(command, evidence),
    )


def why_no_budget(evidence: Mapping[str, Any]) -> str | None:
    """Return why a run has no budget that can be relied on; None if that is not known."""
    if evidence.get("available") is False:
        why = evidence.get("reason")
        return f"nothing was measured: {why}" if why else "nothing was measured"
    why = mapping(evidence.get("wall")).get("reason")
    return f"the wall time was not divided: {why}" if why else None


def _had_cpu(wall: Mapping[str, Any]) -> dict[str, float]:
    listed = rows(wall.get("for_busy_cpu_of"))
    return {str(row.get("command")): ms for row in listed if (ms := number(row.get("ms")))}


def _cpu_of_first(wall: Mapping[str, Any]) -> float | None:
    longest = rows(mapping(wall.get("by_thread")).get("top"))[:1]
    return number(longest[0].get("on_cpu_ms")) if longest else None


def _calls(evidence: Mapping[str, Any]) -> dict[str, float] | None:
    listed = mapping(evidence.get("syscall_counts")).get("all")
    if not isinstance(listed, dict):
        return None
    return {str(name): float(n) for name, count in listed.items() if (n := number(count))}
