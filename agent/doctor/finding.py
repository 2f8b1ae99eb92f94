"""What a check has found."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Collection works, but without something, or what is measured is worth less."""
    FAILED = "failed"
    """Nothing can be measured, or the agent does not start."""


class Finding(NamedTuple):
    """The answer to one question; the text has the cure where there is something to cure."""

    check: str
    state: State
    text: str


def ok(check: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check, State.OK, text)


def warning(check: str, text: str) -> Finding:
    """Return that something spoils measurements, or could."""
    return Finding(check, State.WARNING, text)


def unknown(check: str, why: str) -> Finding:
    """Return that something cannot be seen, which is not to say that it is as it should be."""
    return warning(check, f"not known: {why}")


def failed(check: str, text: str) -> Finding:
    """Return that something keeps the agent from measuring."""
    return Finding(check, State.FAILED, text)
