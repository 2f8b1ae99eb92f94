"""What a set of programs is compiled for. Standard library only.

Everything that changes the code is here, so that it costs nothing at run time; everything else
of a run (whose tree, which cgroup) is written into the ``config`` map.
"""

from dataclasses import dataclass, replace

from agent.sections.probes import DEFAULT_SECTIONS, DETAILS, SCOPED_DETAILS, SECTIONS
from agent.streams.shared.specs import DETAIL_SWITCHES
from agent.streams.shared.syscall_names import syscall_names


@dataclass(frozen=True, slots=True)
class Plan:
    """Two runs with equal plans share their programs."""

    sections: tuple[str, ...] = DEFAULT_SECTIONS
    scoped: bool = False
    """Only members of a tree or cgroup are in scope; else everything but the agent is."""
    timing: str = "clock"
    transport: str = "ring"
    details: tuple[str, ...] = ()
    """Some of DETAILS: those whose sections are among ``sections``, and fit the scope."""

    def possible(self) -> "Plan":
        """The same in the model's order, without what is unknown and what cannot be measured."""
        sections = tuple(s for s in SECTIONS if s in self.sections)
        details = tuple(
            detail
            for detail, section in DETAILS.items()
            if detail in self.details
            and section in sections
            and (self.scoped or detail not in SCOPED_DETAILS)
        )
        return replace(self, sections=sections, details=details)

    def constants(self) -> dict[str, int]:
        """The -D constants that choose the code."""
        numbers = {name: number for number, name in syscall_names().items()}
        exec_numbers = {
            f"{name.upper()}_NUMBER": numbers[name]
            for name in ("execve", "execveat")
            if name in numbers
        }
        return exec_numbers | {
            "SCOPED": int(self.scoped),
            "TIMING_ACCOUNTING": int(self.timing == "accounting"),
            "TRANSPORT_PERF": int(self.transport == "perf"),
            **{switch: int(d in self.details) for d, switch in DETAIL_SWITCHES.items()},
        }
