"""Numbers that can be drawn: a file may hold any."""

from agent.terminal.values import number

LARGEST = 1e15
"""In whatever unit: no measurement is larger, and axes of much larger numbers overflow."""


def drawable(value: object) -> float | None:
    """Return the value if it is a number that an axis can show, else None."""
    known = number(value)
    return known if known is not None and abs(known) <= LARGEST else None


def amount_of(value: object) -> float | None:
    """Return the value if it can be drawn and is not negative, else None."""
    known = drawable(value)
    return known if known is not None and known >= 0 else None
