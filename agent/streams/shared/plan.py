"""The choices that a set of programs is compiled for. Standard library only.

Everything that changes the code is here, so that it costs nothing at run time. The rest of a run's
configuration (which process tree, which cgroup) is written to the ``config`` map.
"""

from dataclasses import dataclass, replace

from agent.sections.probes import ALL_DETAILS, ALL_SCOPED_DETAILS, DEFAULT_SECTIONS, SECTIONS
from agent.streams.shared.machines import this_machine
from agent.streams.shared.specs import DETAIL_SWITCHES
from agent.streams.shared.syscall_names import syscall_number

KNOWN_IN_C = (
    *("execve", "execveat", "sched_yield", "readv"),
    # what can be interrupted, and how the kernel restarts it
    *("restart_syscall", "poll", "futex", "nanosleep", "clock_nanosleep"),
)
"""Syscalls whose numbers the C files know, where this machine has them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's compile-time choices. Runs with equal plans share their programs."""

    sections: tuple[str, ...] = DEFAULT_SECTIONS
    scoped: bool = False
    """Whether only members of a tree or cgroup are in scope, or everything but the agent."""
    timing: str = "clock"
    transport: str = "ring"
    details: tuple[str, ...] = ()
    """A subset of ALL_DETAILS: their sections are in ``sections``, and they fit the scope."""

    def possible(self) -> "Plan":
        """Return the plan in the registry's order, without what is unknown or not measurable."""
        sections = tuple(s for s in SECTIONS if s in self.sections)
        details = tuple(
            detail
            for detail, section in ALL_DETAILS.items()
            if detail in self.details
            and section in sections
            and (self.scoped or detail not in ALL_SCOPED_DETAILS)
        )
        return replace(self, sections=sections, details=details)

    def constants(self) -> dict[str, int]:
        """Return the ``-D`` constants that select the code."""
        chosen = {
            f"{name.upper()}_NUMBER": number
            for name in KNOWN_IN_C
            if (number := syscall_number(name)) is not None
        }
        machine = this_machine()
        return chosen | {
            "COMPAT_MARK": machine.compat_mark if machine else 0,
            "SCOPED": int(self.scoped),
            "TIMING_ACCOUNTING": int(self.timing == "accounting"),
            "TRANSPORT_PERF": int(self.transport == "perf"),
            **{switch: int(d in self.details) for d, switch in DETAIL_SWITCHES.items()},
        }
