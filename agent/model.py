"""The words every other module speaks in: labels, scopes, requests."""

from dataclasses import dataclass, field
from typing import Any

from agent.sections.probes import DEFAULT_SECTIONS

Json = dict[str, Any]
"""A JSON object: finite numbers, strings without lone surrogates, plain Python types only."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a runner says about its run. Each may be empty."""

    scenario: str = ""
    impl: str = ""
    variant: str = ""
    commit: str = ""
    dataset: str = ""


TIMINGS = ("clock", "accounting")
"""By the clock, read at each event; or by what the scheduler accounts for itself (± 1 µs)."""

TRANSPORTS = ("ring", "perf")
"""BPF ring buffer (since 5.8), or per-CPU perf buffers."""
TRANSPORT_CHOICES = (*TRANSPORTS, "auto")
"""``auto``: the ring where the kernel has one."""

SCOPES = ("system", "pid", "cgroup", "caller")


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose activity a run covers: everything but the agent, or a tree of processes.

    ``pid`` is the root of the tree for kind ``pid``, ``cgroup`` a cgroup v2 path for ``cgroup``.
    """

    kind: str = "system"
    pid: int = 0
    cgroup: str = ""
    client: tuple[str, int] = ("", 0)
    """For ``caller``: the connection whose other end is the root; the client's address, ours."""
    server: tuple[str, int] = ("", 0)


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A validated body of ``POST /start``. None: as the agent was started with."""

    labels: Labels = field(default_factory=Labels)
    sections: tuple[str, ...] = DEFAULT_SECTIONS
    scope: Scope = field(default_factory=Scope)
    timing: str | None = None
    transport: str | None = None
    measure_probes: bool = False
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A validated body of ``POST /report``; durations in milliseconds, the gain in percent."""

    labels: Labels
    baseline_ms: float
    optimized_ms: float
    gain_pct: float
    baseline_success: int | None = None
    optimized_success: int | None = None
