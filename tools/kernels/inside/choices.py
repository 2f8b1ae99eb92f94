"""Which runs the matrix has: timings × transports × scopes × details."""

import itertools
from dataclasses import dataclass

from agent.model import TRANSPORTS
from agent.words import TIMINGS

SCOPES = ("system", "pid", "cgroup")
"""Of these, the latter two run the same programs."""
DETAILS = ("none", "all")


@dataclass(frozen=True, slots=True)
class Choice:
    """The choices of one run."""

    timing: str
    transport: str
    scope: str
    details: str


def every() -> list[Choice]:
    """Return all 24 combinations."""
    return [Choice(*words) for words in itertools.product(TIMINGS, TRANSPORTS, SCOPES, DETAILS)]


def half() -> list[Choice]:
    """Return eight, in which any three choices, with a scope or without, occur together.

    That is half of all combinations that compile different programs: those in which an even number
    of the four choices is the second one. Runs with a scope have either kind in turn.
    """
    scoped = itertools.cycle(SCOPES[1:])
    return [
        Choice(TIMINGS[timing], TRANSPORTS[transport], next(scoped) if scope else SCOPES[0], detail)
        for timing, transport, scope, (second, detail) in itertools.product(
            (0, 1), (0, 1), (0, 1), enumerate(DETAILS)
        )
        if (timing + transport + scope + second) % 2 == 0
    ]
