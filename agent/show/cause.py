"""The cause of a difference between two commands, in words."""

import math
from collections.abc import Mapping
from typing import Any

from agent.show.amounts import FEWEST, ms
from agent.show.certain import (
    LONGEST,
    by_how_much,
    certain_states,
    difference_of,
    is_certain,
    part,
    states_of,
)
from agent.show.differences import COMPARED, most_needed, occurring
from agent.terminal.parts import excludes_0
from agent.terminal.values import FEW, counted, mapping, number, percent, printable, rows
from agent.words import MOST_RUNS

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
LONGEST_REASON = 1000


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
        return _too_small(comparison, middle)
    if why == "no cause fits":
        return f"; no cause found: {explained} {where}{made_up}, and no known cause fits"
    if why == "no large part":
        largest = _largest(comparison, middle)
        return f"; no cause found: no part of the wall time is half of {ms(abs(middle))}{largest}"
    if why == "parts unknown":
        return "; no cause found: not all parts of the wall time are known in all runs"
    return f"; no cause found: {_too_few_budgets(found, comparison)}"


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
        if is_certain(row) and -_middle(row) * math.copysign(1, middle) >= WORTH_NAMING * excess
    ]
    by = f"{'less' if middle > 0 else 'more'} time {' and '.join(opposed[:FEW])}"
    return f", of which {ms(excess)} were made up by {by if opposed else 'other parts'}"


def _too_few_budgets(found: Mapping[str, Any], comparison: Mapping[str, Any]) -> str:
    """Return why the wall time is not known to be divided: of the reason its first sentence."""
    reason = found.get("reason")
    why = printable(reason, LONGEST_REASON).partition(". ")[0].removesuffix(".") if reason else ""
    if why and found.get("budgets") == [0, 0]:
        return why
    needed = _pairs(FEWEST, comparison)
    few = f"too few have a budget of wall time (it takes {needed})"
    return f"{few}; in most others {why}" if why else few


def _too_small(comparison: Mapping[str, Any], difference: float) -> str:
    """Return what certainly grew with the difference, which is no cause, and how many would do."""
    grew = certain_states(comparison, ("larger" if difference > 0 else "smaller",))
    needed = 0.0 if grew else _needed_to_test(comparison)
    enough = max(_enough(comparison, difference, TIMES_DETECTABLE), needed)
    would = f"; about {_pairs(enough, comparison)} would be enough" if enough else ""
    if grew:
        certain = by_how_much(grew, comparison)
        return f"; certain: {certain}; the times vary too much to say more{would}"
    few = f", and it takes {_pairs(needed, comparison)} to test where it went" if needed else ""
    return f"; the times vary too much to say why{few}{would}"


def in_spite(comparison: Mapping[str, Any]) -> str:
    """Return which states certainly differ, both ways, where the times do not."""
    states = certain_states(comparison)
    return f"; but certain: {by_how_much(states, comparison)}" if states else ""


def enough_to_find(comparison: Mapping[str, Any]) -> str:
    """Return how many pairs would show in the times as much as the states certainly differ by."""
    certain = sum(map(difference_of, certain_states(comparison)))
    enough = _enough(comparison, certain, 1)
    if not 0 < enough <= MOST_RUNS:
        return ""
    return f"; about {_pairs(enough, comparison)} would probably show as much in the times"


def _needed_to_test(comparison: Mapping[str, Any]) -> float:
    """Return how many pairs, or runs of each, it takes to test the states; 0 if there are."""
    untested = [row for row in states_of(comparison).values() if row.get("outcome") == "too few"]
    return most_needed(untested)


def _largest(comparison: Mapping[str, Any], difference: float) -> str:
    """Return the largest of the parts of which the slower side has more, by its interval."""
    grown = [
        row
        for row in rows(comparison.get("parts"))
        if excludes_0(mapping(row.get("difference_ms"))) and _middle(row) * difference > 0
    ]
    if not grown:
        return ""
    row = max(grown, key=lambda row: abs(_middle(row)))
    own = abs(_middle(row))
    by = "" if is_certain(row) else ", by its own interval,"
    share = percent(own, abs(difference))
    return f"; the largest{by} is {ms(own)} {part(row.get('name'))} ({share})"


def _middle(row: Mapping[str, Any]) -> float:
    return difference_of(row, "difference_ms")


def _pairs(size: float, comparison: Mapping[str, Any]) -> str:
    """Return a number of pairs, or of runs of each side."""
    each = " of each" if number(comparison.get("pairs")) is None else ""
    return f"{counted(size, 'run' if each else 'pair')}{each}"


def _enough(comparison: Mapping[str, Any], difference: float, times: float) -> float:
    """Return how many pairs, or runs, would do, or 0 if that is not known, or there are as many.

    What is detectable falls with the square root of their number.
    """
    detectable = number(mapping(comparison.get("cause")).get("detectable_ms"))
    pairs = number(comparison.get("pairs"))
    sizes = [number(n) or 0.0 for n in mapping(comparison.get("runs")).values()]
    size = max(sizes, default=0.0) if pairs is None else pairs
    if not detectable or not difference:
        return 0.0
    ratio = times * detectable / difference
    needed = number(size * ratio * ratio)  # of a difference close to 0 it may be infinite
    return math.ceil(needed) if needed is not None and needed > size else 0.0


def _figure(row: Mapping[str, Any]) -> str:
    before, after = (occurring(row, side) for side in COMPARED)
    return f"{printable(row.get('name'), LONGEST)} {before} → {after}"
