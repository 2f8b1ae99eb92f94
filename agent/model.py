"""The words every other module speaks in: sections, labels, requests. Imports nothing of ours."""

from dataclasses import dataclass, field

SECTIONS = ("runqlat", "biolatency", "offcpu", "exec", "syscall_counts")
"""The five sections of evidence, in the order of the contract."""

COUNTED_SYSCALLS = ("futex", "fsync", "openat", "read", "write")
"""The syscalls that the contract names; ``/metrics`` sums the rest under ``other``."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a runner says about its run. Each may be empty."""

    scenario: str = ""
    impl: str = ""
    variant: str = ""
    commit: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A validated body of ``POST /start``."""

    labels: Labels = field(default_factory=Labels)


@dataclass(frozen=True, slots=True)
class Report:
    """A validated body of ``POST /report``; durations in milliseconds, the gain in percent."""

    labels: Labels
    baseline_ms: float
    optimized_ms: float
    gain_pct: float
    baseline_success: int | None = None
    optimized_success: int | None = None
