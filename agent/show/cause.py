"""The cause of a difference between two commands, in words."""

from collections.abc import Mapping
from typing import Any

from agent.show.amounts import amount, ms
from agent.terminal.values import mapping, number, printable, rows

LONGEST = 50
WORDS = {
    "lock contention": ("lock contention", "less lock contention"),
    "the hypervisor": ("the hypervisor", "less of the hypervisor"),
    "more programs started": ("more programs started", "fewer programs started"),
    "page faults": ("more page faults", "fewer page faults"),
    "more computing": ("more computing", "less computing"),
    "less parallel": ("fewer tasks computing at once", "more tasks computing at once"),
    "CPU quota": ("a CPU quota that was used up", "less throttling by a CPU quota"),
    "competition for the CPU": ("competition for the CPU", "less competition for the CPU"),
    "more syncs": ("more syncs", "fewer syncs"),
    "slower wake-ups": ("slower wake-ups", "faster wake-ups"),
    "more I/O": ("more I/O", "less I/O"),
    "slower device": ("a slower device", "a faster device"),
    "sleeping": ("longer sleep", "shorter sleep"),
    "waiting for others": ("longer waiting for others", "shorter waiting for others"),
    "waiting for events": (
        "longer waiting for others or for a time-out",
        "shorter waiting for others or for a time-out",
    ),
    "stopped": ("being stopped for longer", "being stopped for less long"),
}
"""Where optimized takes more time, and where it takes less."""
PARTS = {
    "for a busy CPU": "waiting for a CPU that others had",
    "for an idle CPU": "waiting for an idle CPU to wake up",
    "no_task": "without a task",
    "blocked_other": "blocked at the end or for reasons not listed",
}


def cause(comparison: Mapping[str, Any]) -> str:
    """Return what follows the result in its sentence; nothing for files of earlier versions."""
    found = mapping(comparison.get("cause"))
    middle = number(mapping(found.get("difference_ms")).get("middle"))
    if not found or middle is None:
        return ""
    difference, name = ms(abs(middle)), found.get("name")
    where = part(found.get("part"))
    explained = f"{ms(found.get('part_ms'))} of {difference}"
    if isinstance(name, str):
        words = WORDS.get(name, (printable(name, LONGEST),) * 2)[middle < 0]
        figures = "".join(f"; {_figure(row)}" for row in rows(found.get("figures")))
        return f": {explained} by {words} ({where}{figures})"
    why = found.get("why_none")
    if why == "too small":
        detectable = ms(found.get("detectable_ms"))
        return f"; no cause found: {difference} is less than twice {detectable}, the detectable"
    if why == "no cause fits":
        return f"; no cause found: {explained} {where}, and no known cause fits"
    if why == "no large part":
        return f"; no cause found: no part of the wall time is half of {difference}"
    if why == "parts unknown":
        return "; no cause found: not all parts of the wall time are known in all runs"
    return "; no cause found: too few runs have a budget of wall time"


def part(name: object) -> str:
    """Return a part of the wall time in words."""
    told = printable(name, LONGEST)
    if told.startswith("blocked: "):
        return f"blocked in {told.removeprefix('blocked: ')}"
    return PARTS.get(told, told)


def _figure(row: Mapping[str, Any]) -> str:
    before, after = (amount(row.get(side), row.get("unit")) for side in ("baseline", "optimized"))
    return f"{printable(row.get('name'), LONGEST)} {before} → {after}"
