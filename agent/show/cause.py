"""The cause of a difference between two commands, in words."""

import math
from collections.abc import Mapping
from typing import Any

from agent.show.amounts import FEWEST, ms, p
from agent.show.differences import COMPARED, STATE, occurring
from agent.show.shift import excludes_0
from agent.show.wall import WORDS as STATES
from agent.terminal.values import FEW, count, mapping, number, percent, printable, rows

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
LEAST_EXCESS = 0.01
"""Of the difference: a part that is larger by less may be as large, but for how it is estimated."""
WORTH_NAMING = 0.1
"""Of what was made up: smaller parts are not named."""
TIMES_DETECTABLE = 2
"""The difference that has a cause, at least."""
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
    name, where = found.get("name"), part(found.get("part"))
    explained, made_up = _explained(found, middle), _made_up(comparison, middle)
    if isinstance(name, str):
        words = WORDS.get(name, (printable(name, LONGEST),) * 2)[middle < 0]
        figures = "".join(f"; {_figure(row)}" for row in rows(found.get("figures")))
        return f": {explained} by {words}{made_up} ({where}{figures})"
    why = found.get("why_none")
    if why == "too small":
        seen, enough = _seen(comparison, middle), _enough(comparison, middle)
        return f"; the times vary too much to say why{seen}{enough}"
    if why == "no cause fits":
        return f"; no cause found: {explained} {where}{made_up}, and no known cause fits"
    if why == "no large part":
        largest = _largest(comparison, middle)
        return f"; no cause found: no part of the wall time is half of {ms(abs(middle))}{largest}"
    if why == "parts unknown":
        return "; no cause found: not all parts of the wall time are known in all runs"
    what = "runs of each" if number(comparison.get("pairs")) is None else "pairs"
    return f"; no cause found: too few have a budget of wall time (it takes {FEWEST} {what})"


def _explained(found: Mapping[str, Any], middle: float) -> str:
    """Return the part, of the difference unless it is more than that."""
    own, difference = number(found.get("part_ms")) or 0.0, abs(middle)
    if own - difference > LEAST_EXCESS * difference:
        return ms(own)
    return f"{ms(min(own, difference))} of {ms(difference)}"


def _made_up(comparison: Mapping[str, Any], middle: float) -> str:
    """Return what other parts took back of a part that is more than the difference."""
    difference = abs(middle)
    excess = (number(mapping(comparison.get("cause")).get("part_ms")) or 0.0) - difference
    if excess <= LEAST_EXCESS * difference:
        return ""
    opposed = [
        part(row.get("name"))
        for row in rows(comparison.get("parts"))
        if excludes_0(mapping(row.get("difference_ms")))
        and -_middle(row) * math.copysign(1, middle) >= WORTH_NAMING * excess
    ]
    by = f"{'less' if middle > 0 else 'more'} time {' and '.join(opposed[:FEW])}"
    return f", of which {ms(excess)} were made up by {by if opposed else 'other parts'}"


def _seen(comparison: Mapping[str, Any], middle: float) -> str:
    """Return the states that certainly grew with the difference, the largest first.

    That is no cause. Each was found by its own test, of the family that is tested, and its p value
    is adjusted. Only states of the wall time are named: a sum over tasks can be any multiple of it.
    """
    grew = "larger" if middle > 0 else "smaller"
    own = [
        row
        for row in rows(comparison.get("figures"))
        if _state(row) in STATES and row.get("outcome") == grew
    ]
    own.sort(key=lambda row: -abs(_middle(row, "difference")))
    found = [_state_grew(row, "more" if middle > 0 else "less") for row in own[:FEW]]
    return f", but not too much to show {' and '.join(found)}" if found else ""


def _state(row: Mapping[str, Any]) -> str:
    """Return which state of the wall time a figure is; nothing for any other figure."""
    name = str(row.get("name"))
    return name.removeprefix(STATE) if name.startswith(STATE) else ""


def _state_grew(row: Mapping[str, Any], more: str) -> str:
    size, word = ms(abs(_middle(row, "difference"))), PARTS.get(_state(row), STATES[_state(row)])
    return f"{size} {more} time {word} ({p(row.get('adjusted_p'))})"


def _largest(comparison: Mapping[str, Any], middle: float) -> str:
    """Return the largest of the parts of which the slower side certainly has more."""
    grown = [
        row
        for row in rows(comparison.get("parts"))
        if excludes_0(mapping(row.get("difference_ms"))) and _middle(row) * middle > 0
    ]
    if not grown:
        return ""
    row = max(grown, key=lambda row: abs(_middle(row)))
    own = abs(_middle(row))
    return f"; the largest is {ms(own)} {part(row.get('name'))} ({percent(own, abs(middle))})"


def _middle(row: Mapping[str, Any], of: str = "difference_ms") -> float:
    return number(mapping(row.get(of)).get("middle")) or 0.0


def _enough(comparison: Mapping[str, Any], middle: float) -> str:
    """Return how many pairs, or runs, would do: what is detectable falls with their square root."""
    found = mapping(comparison.get("cause"))
    detectable = number(found.get("detectable_ms"))
    pairs = number(comparison.get("pairs"))
    sizes = [number(n) or 0.0 for n in mapping(comparison.get("runs")).values()]
    size = max(sizes, default=0.0) if pairs is None else pairs
    if not detectable or not middle or not size:
        return ""
    needed = math.ceil(size * (TIMES_DETECTABLE * detectable / middle) ** 2)
    what = "runs of each" if pairs is None else "pairs"
    return f"; about {count(needed)} {what} would be enough" if needed > size else ""


def part(name: object) -> str:
    """Return a part of the wall time in words."""
    told = printable(name, LONGEST)
    if told.startswith("blocked: "):
        return f"blocked in {told.removeprefix('blocked: ')}"
    return PARTS.get(told, told)


def _figure(row: Mapping[str, Any]) -> str:
    before, after = (occurring(row, side) for side in COMPARED)
    return f"{printable(row.get('name'), LONGEST)} {before} → {after}"
