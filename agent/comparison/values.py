"""Values from evidence, which may come from any version of the agent, and from anyone."""

from agent.terminal import values
from agent.terminal.values import mapping as mapping
from agent.terminal.values import rows as rows

MOST = 2.0**64
"""Counts have 64 bits, and so have times in ns: what is more was not measured, and sums of it may
not be finite."""


def number(value: object) -> float | None:
    """Return the value if it is a number that can have been measured, else None."""
    found = values.number(value)
    return found if found is not None and abs(found) <= MOST else None
