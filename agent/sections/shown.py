"""The registries for terminal output: titles and lines, in the order of the evidence."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.sections.biolatency import show as biolatency
from agent.sections.exec import show as exec_
from agent.sections.offcpu import show as offcpu
from agent.sections.runqlat import show as runqlat
from agent.sections.softirq import show as softirq
from agent.sections.syscall_counts import show as syscall_counts


class Shown(Protocol):
    """What a section's ``show.py`` has. Both functions take the section's object."""

    TITLE: str
    LABEL: str
    """In a short report, next to the summary: at most nine characters."""

    def lines(self, section: Mapping[str, Any], width: int, /) -> list[str]:
        """Return the lines for a screen of ``width`` columns."""

    def summary(self, section: Mapping[str, Any], /) -> str:
        """Return what stands out, in one line."""


Lines = Callable[[Mapping[str, Any], int], list[str]]
"""As `Shown.lines`."""

SHOWN: Mapping[str, Shown] = {
    "runqlat": runqlat,
    "biolatency": biolatency,
    "offcpu": offcpu,
    "exec": exec_,
    "syscall_counts": syscall_counts,
    "softirq": softirq,
}

SHOWN_DETAILS: Mapping[str, tuple[str, Lines]] = {
    "syscall_details": (syscall_counts.DETAILS_TITLE, syscall_counts.details),
}
"""What stands in evidence next to the sections."""
