"""What a command took, as ``run --json`` saves it next to the evidence of it."""

from collections.abc import Mapping
from typing import Any

from agent.terminal.evidence import undivided_ms
from agent.terminal.values import command_line, duration, mapping, number, percent, printable, size
from agent.terminal.values import rows as objects

MOST_NAMED = 10
"""Processes left behind that are named."""
OUTSIDE = "in no part of the wall time: during its exec, or after its end"
"""Of a command's time."""
LEAST_UNDIVIDED_MS, LEAST_UNDIVIDED = 0.2, 0.05
"""Of a command's time, and as a share of it: less of it outside the wall time says nothing."""


def finished(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of the command, its end, its time and memory; nothing without one."""
    command = mapping(evidence.get("command"))
    if not command:
        return []
    return [
        ("command", command_line(command.get("arguments"))),
        ("ended", _end(command)),
        ("time", _times(command)),
        ("", _undivided(command, evidence)),
        ("memory", _memory(command)),
        ("left", left_behind(objects(command.get("left_behind")))),
    ]


def _end(command: Mapping[str, Any]) -> str:
    if command.get("signal") is not None:
        return f"killed by {printable(command.get('signal'), 20)}"
    return f"with status {printable(command.get('exit_status'), 20)}"


def _times(command: Mapping[str, Any]) -> str:
    wall, user, system = (number(command.get(f"{name}_ms")) for name in ("wall", "user", "system"))
    known = {"wall": wall, "user": user, "system": system}
    times = [f"{duration(ms * 1e3)} {name}" for name, ms in known.items() if ms is not None]
    if user is None or system is None:
        return ", ".join(times)
    return f"{', '.join(times)} ({percent(user + system, wall)} of one CPU)"


def _undivided(command: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """Return how much of the time is in no part of the wall time; nothing if it is little."""
    whole = number(command.get("wall_ms"))
    rest = undivided_ms(whole, evidence)
    if whole is None or rest is None or rest < max(LEAST_UNDIVIDED_MS, LEAST_UNDIVIDED * whole):
        return ""
    return f"{duration(rest * 1e3)} of it {OUTSIDE}"


def _memory(command: Mapping[str, Any]) -> str:
    largest = command.get("max_resident_bytes")
    if number(largest):
        return f"{size(largest)} resident in its largest process"
    floor = command.get("resident_floor_bytes")
    return f"at most {size(floor)} resident in its largest process" if number(floor) else ""


def left_behind(processes: list[Mapping[str, Any]]) -> str:
    """Return the names of the processes that still run; nothing if none does."""
    if not processes:
        return ""
    named = [
        f"{printable(process.get('command'), 20)} ({printable(process.get('pid'), 12)})"
        for process in processes[:MOST_NAMED]
    ]
    if len(processes) > MOST_NAMED:
        named.append(f"{len(processes) - MOST_NAMED} more")
    return f"running after its end: {', '.join(named)}"
