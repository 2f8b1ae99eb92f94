"""The registries for terminal output: titles and lines, in the order of the evidence."""

from collections.abc import Callable, Mapping
from typing import Any

from agent.sections.biolatency import show as biolatency
from agent.sections.exec import show as exec_
from agent.sections.offcpu import show as offcpu
from agent.sections.runqlat import show as runqlat
from agent.sections.softirq import show as softirq
from agent.sections.syscall_counts import show as syscall_counts

Summary = Callable[[Mapping[str, Any]], str]
"""Return what stands out in a section's object, in one line."""
Lines = Callable[[Mapping[str, Any], int], list[str]]
"""Return the lines for a section's object, given the number of columns."""

SHOWN: Mapping[str, tuple[str, Lines]] = {
    "runqlat": (runqlat.TITLE, runqlat.lines),
    "biolatency": (biolatency.TITLE, biolatency.lines),
    "offcpu": (offcpu.TITLE, offcpu.lines),
    "exec": (exec_.TITLE, exec_.lines),
    "syscall_counts": (syscall_counts.TITLE, syscall_counts.lines),
    "softirq": (softirq.TITLE, softirq.lines),
}

SUMMARIZED: Mapping[str, tuple[str, Summary]] = {
    "runqlat": (runqlat.LABEL, runqlat.summary),
    "biolatency": (biolatency.LABEL, biolatency.summary),
    "offcpu": (offcpu.LABEL, offcpu.summary),
    "exec": (exec_.LABEL, exec_.summary),
    "syscall_counts": (syscall_counts.LABEL, syscall_counts.summary),
    "softirq": (softirq.LABEL, softirq.summary),
}
"""For a short report: a label of at most nine characters, and the line next to it."""

SHOWN_DETAILS: Mapping[str, tuple[str, Lines]] = {
    "syscall_details": (syscall_counts.DETAILS_TITLE, syscall_counts.details),
}
"""What stands in evidence next to the sections."""
