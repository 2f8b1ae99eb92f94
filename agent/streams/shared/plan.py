"""What a set of programs is compiled for. Standard library only.

Everything that changes the code is here, so that it costs nothing at run time; everything else
of a run (whose tree, which cgroup) is written into the ``config`` map.
"""

from dataclasses import asdict, dataclass
from typing import Any

from agent.model import TIMINGS, TRANSPORTS
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

    @classmethod
    def of(cls, request: dict[str, Any]) -> "Plan":
        """From a message of the agent, of which nothing unknown is taken. Raises ValueError."""
        plan = request["plan"]
        timing, transport = plan["timing"], plan["transport"]
        if timing not in TIMINGS or transport not in TRANSPORTS:
            raise ValueError(f"no such timing or transport: {timing}, {transport}")
        sections = tuple(s for s in SECTIONS if s in plan["sections"])
        scoped = bool(plan["scoped"])
        possible = [d for d, s in DETAILS.items() if s in sections]
        possible = [d for d in possible if scoped or d not in SCOPED_DETAILS]
        details = tuple(d for d in possible if d in plan["details"])
        return cls(sections, scoped, timing, transport, details)

    def message(self) -> dict[str, Any]:
        return asdict(self)

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
