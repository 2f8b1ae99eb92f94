"""The types that all other modules share: labels, scopes, requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agent.words import LONGEST_LABEL as LONGEST_LABEL
from agent.words import TIMINGS as TIMINGS
from agent.words import wrong_with_label as wrong_with_label
from agent.words import wrong_with_text

EVIDENCE_SCHEMA = 1
"""The version of the evidence's format. It grows when a field is removed or means something else;
a field that is added does not change it."""

KeptState: TypeAlias = Literal["finished", "partial", "aborted"]
"""What is kept of a run: its end, what there is while it goes on, or the end that the agent's own
end put to it."""

LONGEST_PATH = 4095
"""PATH_MAX without its NUL (include/uapi/linux/limits.h)."""

OF_A_PROCESS = "the line 0:: of /proc/PID/cgroup shows the path of a process's cgroup"
"""A hint for messages about a wrong path."""

EVIDENCE_FOLLOWS = "; its evidence: "
"""In the log of an agent that ended in the middle of a run: what follows in the line is the run's
evidence, as JSON."""


def wrong_with_path(path: str) -> str | None:
    """Return what keeps a text from being a cgroup's path, as the end of a sentence, or None.

    ``..`` is refused: evidence names the path as it was sent, and that of ``/x/..`` does not depend
    on whether there is a cgroup ``/x``.
    """
    if not path.startswith("/"):
        return f'must begin with "/"; {OF_A_PROCESS}'
    if ".." in path.split("/"):
        return f'contains ".."; {OF_A_PROCESS}'
    return wrong_with_text(path, LONGEST_PATH)


@dataclass(frozen=True, slots=True)
class Labels:
    """A runner's labels for its run. Each may be empty."""

    scenario: str = ""
    impl: str = ""
    variant: str = ""
    commit: str = ""
    dataset: str = ""


TRANSPORTS = ("ring", "perf")
"""BPF ring buffer (since 5.8), or per-CPU perf buffers."""
TRANSPORT_CHOICES = (*TRANSPORTS, "auto")
"""``auto``: the ring if the kernel has one."""

SCOPES = ("system", "pid", "cgroup", "caller")
TREES = ("pid", "caller")
"""Scopes that are a tree of processes: once the last of them has ended, none can follow."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The tasks that a run covers: all but the agent's, or those of a process tree or a cgroup.

    ``pid`` is the root of the tree for kind ``pid``, ``cgroup`` a cgroup v2 path for ``cgroup``.
    """

    kind: str = "system"
    pid: int = 0
    cgroup: str = ""
    client: tuple[str, int] = ("", 0)
    """For ``caller``: the client's address on the connection; that process is the root."""
    server: tuple[str, int] = ("", 0)
    """For ``caller``: our address on the same connection; both are empty if ``pid`` is known."""


def _default_sections() -> tuple[str, ...]:
    # only the agent needs to know about sections: clients start sooner without
    from agent.sections.probes import DEFAULT_SECTIONS

    return DEFAULT_SECTIONS


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A validated body of ``POST /start``. None stands for the agent's own setting."""

    labels: Labels = field(default_factory=Labels)
    sections: tuple[str, ...] = field(default_factory=_default_sections)
    scope: Scope = field(default_factory=Scope)
    timing: str | None = None
    transport: str | None = None
    measure_probes: bool = False
    details: tuple[str, ...] = ()
    owner: int | None = None
    """The user whose processes alone may be measured, and who alone, besides root, may have the
    evidence; None if that is anybody's."""
    wall: bool = True
    """Whether to measure where the wall time goes, if the run can."""
    kept_by: str | None = None
    """``client`` if the client keeps the run itself: what a service keeps is a copy then."""


@dataclass(frozen=True, slots=True)
class RunsRequest:
    """Which of the kept runs a list is to show. None stands for any; times are in s since 1970."""

    labels: Mapping[str, str]
    verdict: str | None = None
    state: str | None = None
    since: float | None = None
    until: float | None = None
    """Excluded."""
    copies: bool = True
    """Whether to show runs that their clients keep too."""
    before: tuple[float, int] | None = None
    """The place of the last run of the page before this one."""
    limit: int = 50
    owner: int | None = None
    """The user who sees runs of his own only; None: everybody's."""


@dataclass(frozen=True, slots=True)
class Report:
    """A validated body of ``POST /report``: durations in milliseconds, the gain in percent."""

    labels: Labels
    baseline_ms: float
    optimized_ms: float
    gain_pct: float
    baseline_success: int | None = None
    optimized_success: int | None = None
