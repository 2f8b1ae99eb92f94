"""Runs that are far from the others, each with its sentence."""

from collections.abc import Mapping
from typing import Any

from agent.show.amounts import ms
from agent.show.differences import figure_name
from agent.show.finished import OUTSIDE
from agent.terminal.values import FEW, LONGEST_NAME, count, number, printable
from agent.terminal.values import rows as objects

LONGEST_FIGURE = 40
BLOCKED = "blocked: "
PARTS = {
    "computing": "computing",
    "for a busy CPU": "waiting for a CPU",
    "for an idle CPU": "waiting for an idle CPU",
    "no_task": "without a task",
}
"""Of the wall time, in words; others are words already."""
HAD_BY_OTHERS = "for a busy CPU"


def outliers(wall: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and sentence of each run that is far from the others."""
    listed = objects(wall.get("outliers"))
    lines = [_outlier(row) for row in listed[:FEW]]
    lines += [f"{len(listed) - FEW} more"] if len(listed) > FEW else []
    return [("" if index else "outliers", line) for index, line in enumerate(lines)]


def _outlier(row: Mapping[str, Any]) -> str:
    """Return how far it is, and what explains it: parts of its wall time, or else sums over tasks.

    Where it is not known what it has more of than the others, nothing is said of it.
    """
    excess, number_of = number(row.get("excess_ms")) or 0, count(row.get("round"))
    if excess > 0 and (explained := [*_parts(row), *_outside(row), *_undivided(row)]):
        longer = f"run {number_of} took {ms(excess)} longer ({ms(row.get('ms'))})"
        return f"{longer}: {'; '.join(explained)}"
    word = "more" if excess > 0 else "less"
    told = f"run {number_of}: {ms(row.get('ms'))}, {ms(abs(excess))} {word}"
    if excess <= 0 or not isinstance(row.get("beyond"), list):
        return told
    beyond = [
        f"{figure_name(one, LONGEST_FIGURE)} +{ms(one.get('more_ms'))}"
        for one in objects(row.get("beyond"))[:FEW]
    ]
    return f"{told} ({', '.join(beyond) or 'nothing in its evidence stands out'})"


def _parts(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{ms(part.get('more_ms'))} {_part(part)}"
        for part in objects(row.get("parts"))[:FEW]
        if number(part.get("more_ms")) is not None
    ]


def _part(part: Mapping[str, Any]) -> str:
    name, command = printable(part.get("name"), LONGEST_FIGURE), part.get("command")
    who = printable(command, LONGEST_NAME) if isinstance(command, str) else ""
    if name == HAD_BY_OTHERS:
        return f"{PARTS[name]}, which {who or 'others'} had"
    if name.startswith(BLOCKED):
        return f"blocked in {name.removeprefix(BLOCKED)}{f' ({who})' if who else ''}"
    return PARTS.get(name, name)


def _undivided(row: Mapping[str, Any]) -> list[str]:
    """Return what is in the run's time, and in none of the parts."""
    more = number(row.get("undivided_ms"))
    return [f"{ms(more)} {OUTSIDE}"] if more else []


def _outside(row: Mapping[str, Any]) -> list[str]:
    """Return what a quota or a hypervisor took, which is a part of the times before it."""
    throttled, stolen = number(row.get("throttled_ms")), number(row.get("stolen_ms"))
    said = []
    if throttled:
        said.append(f"up to {ms(throttled)} of the waiting throttled by the CPU quota")
    if stolen:
        said.append(f"the hypervisor stole {ms(stolen)}, all CPUs together")
    return said
