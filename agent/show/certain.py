"""What certainly differs between two commands, in words: states of the wall time, and their parts.

A state is certain by its own test. Which parts are, the comparison says; files of earlier versions
do not say.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from agent.show.amounts import ms, p
from agent.show.wall import WORDS as STATES
from agent.terminal.parts import BLOCKED_OTHER, BLOCKED_UNTIL, FOR_BUSY_CPU, FOR_IDLE_CPU, state_of
from agent.terminal.values import FEW, mapping, number, printable, rows

STATE = "wall: "
"""Before the states that divide the wall time; the other figures are sums over tasks."""
DECIDED = ("smaller", "larger")
LONGEST = 50
WORTH_NAMING = 0.1
"""Of a state: smaller parts are not named next to it."""
PARTS = {
    FOR_BUSY_CPU: "waiting for a CPU that others had",
    FOR_IDLE_CPU: "waiting for an idle CPU to wake up",
    "no_task": "without a task",
    BLOCKED_OTHER: "blocked at the end or for reasons not listed",
}
NEXT_TO_STATE = {
    FOR_BUSY_CPU: "for one that others had",
    FOR_IDLE_CPU: "for an idle one to wake up",
    BLOCKED_OTHER: "at the end or for reasons not listed",
}
"""What a part is called next to its state."""

Row = Mapping[str, Any]


def part(name: object) -> str:
    """Return a part of the wall time in words."""
    told = printable(name, LONGEST)
    if told.startswith(BLOCKED_UNTIL):
        return f"blocked in {told.removeprefix(BLOCKED_UNTIL)}"
    return PARTS.get(told, told)


def states_of(comparison: Row) -> dict[str, Row]:
    """Return the figures that are states of the wall time, by state."""
    listed = {str(row.get("name")): row for row in rows(comparison.get("figures"))}
    return {name: listed[f"{STATE}{name}"] for name in STATES if f"{STATE}{name}" in listed}


def is_certain(row: Row) -> bool:
    """Return whether a part of the wall time certainly differs."""
    return row.get("is_certain") is True


def state_of_cause(shown: Iterable[Row], comparison: Row) -> str:
    """Return why a state has the cause of the difference if its own test does not show it."""
    deciding = mapping(comparison.get("cause")).get("part")
    state = "" if deciding is None else state_of(str(deciding))
    name = f"{STATE}{state}"
    if not any(row.get("name") == name and row.get("outcome") not in DECIDED for row in shown):
        return ""
    words = STATES.get(state, name)
    return f"{words}: certain by its share in the difference of the times, if not by this test"


def certain_states(comparison: Row, outcomes: tuple[str, ...] = DECIDED) -> list[Row]:
    """Return the states that certainly differ, the largest difference first."""
    found = [one for one in states_of(comparison).values() if one.get("outcome") in outcomes]
    return sorted(found, key=lambda one: -abs(difference_of(one)))


def by_how_much(states: list[Row], comparison: Row) -> str:
    """Return by how much states differ, each with its p value and with what it consists of."""
    return " and ".join(_told(one, comparison) for one in states[:FEW])


def difference_of(row: Row, of: str = "difference") -> float:
    return number(mapping(row.get(of)).get("middle")) or 0.0


def _told(row: Row, comparison: Row) -> str:
    size, state = difference_of(row), str(row.get("name")).removeprefix(STATE)
    own = [
        f"{ms(abs(difference_of(one, 'difference_ms')))} {_within(one.get('name'))}"
        for one in rows(comparison.get("parts"))
        if state_of(str(one.get("name"))) == state != one.get("name")
        and difference_of(one, "difference_ms") * size > 0
        and abs(difference_of(one, "difference_ms")) >= WORTH_NAMING * abs(size)
        and is_certain(one)
    ]
    parts = f"; {', '.join(own[:FEW])}" if own else ""
    words = f"{'more' if size > 0 else 'less'} time {PARTS.get(state, STATES[state])}"
    return f"{ms(abs(size))} {words} ({p(row.get('adjusted_p'))}{parts})"


def _within(name: object) -> str:
    listed = printable(name, LONGEST)
    if listed.startswith(BLOCKED_UNTIL):
        return f"in {listed.removeprefix(BLOCKED_UNTIL)}"
    return NEXT_TO_STATE[listed]
