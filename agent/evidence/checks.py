"""Conservation checks: our counts against the kernel's own accounting. Pure functions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from agent.evidence.accounts import (
    INTERRUPTION_NS,
    NS_PER_SWITCH,
    RELATIVE_BOUND,
    TICK_NS,
    Accounts,
)
from agent.model import Json
from agent.streams.shared.kernel_counts import Edge

SLACK = 50
"""Events that may occur between reading our count and the kernel's, at either edge of a run."""
LIFETIME_BOUND = 0.005
TASKS_BOUND = 0.05
"""Fraction of tasks whose waits may be off: a hypervisor may take the CPU away at any time."""
CEASED = 0.5
"""If less than this fraction of the kernel's context switches was seen, events have ceased."""


@dataclass(frozen=True, slots=True)
class Check:
    """A comparison of two figures in ``unit``; passes within ``bound`` (relative) or ``slack``.

    Ours may also exceed the kernel's by ``excess``, which the kernel is known not to count.
    ``explained`` is the known excess of the kernel's figure over ours; it is subtracted before
    judging.
    """

    name: str
    unit: str
    ours: float
    kernel: float
    bound: float
    slack: float
    excess: float = 0
    explained: float = 0

    @property
    def difference(self) -> float | None:
        """Difference relative to the kernel's figure; None if that is 0."""
        return (self.ours - self.kernel) / self.kernel if self.kernel else None

    @property
    def passed(self) -> bool:
        allowed = max(self.bound * self.kernel, self.slack)
        return -allowed <= self.ours + self.explained - self.kernel <= allowed + self.excess

    def evidence(self) -> Json:
        return asdict(self) | {"difference": self.difference, "pass": self.passed}


def forks_check(edges: tuple[Edge, Edge]) -> Check:
    """Compare the forks of the whole machine; every run counts them."""
    before, after = edges
    kernel = after.kernel.forks - before.kernel.forks
    return Check("forks", "forks", after.forks - before.forks, kernel, RELATIVE_BOUND, SLACK)


def scheduler_checks(edges: tuple[Edge, Edge], accounts: Accounts) -> list[Check]:
    """Return the checks of any section based on context switches: switches seen, and waits."""
    before, after = edges
    kernel = after.kernel.context_switches - before.kernel.context_switches
    ours = after.switches - before.switches
    seen = Check("context_switches", "switches", ours, kernel, RELATIVE_BOUND, SLACK)
    return [seen, _waits(accounts), _waits_by_task(accounts)]


def _waits(accounts: Accounts) -> Check:
    return Check(
        "run_queue_wait",
        "ns",
        accounts.waits_ns,
        accounts.kernel_waits_ns,
        RELATIVE_BOUND,
        NS_PER_SWITCH * accounts.waits + INTERRUPTION_NS,
        explained=accounts.waits_explained_ns,
    )


def _waits_by_task(accounts: Accounts) -> Check:
    """Compare task by task: in the sum, errors may cancel out; a single one shows there."""
    return Check(
        "tasks_with_run_queue_wait",
        "tasks",
        accounts.waiting - accounts.waits_failed,
        accounts.waiting,
        TASKS_BOUND,
        1,
    )


def cpu_check(accounts: Accounts) -> Check:
    return Check(
        "cpu_time",
        "ns",
        accounts.cpu_ns,
        accounts.kernel_cpu_ns,
        RELATIVE_BOUND,
        accounts.cpu_allowance_ns + TICK_NS + INTERRUPTION_NS,
        explained=accounts.cpu_explained_ns,
    )


def lifetimes_check(accounts: Accounts) -> Check:
    """Compare on-CPU + run-queue + off-CPU time of all tasks with their lifetimes in the run."""
    return Check(
        "lifetimes",
        "ns",
        accounts.accounted_ns,
        accounts.lifetimes_ns,
        LIFETIME_BOUND,
        INTERRUPTION_NS,
    )


def events_ceased(checks: Sequence[Check]) -> bool:
    """Return whether the programs stopped running in the middle of the run."""
    return any(
        c.name == "context_switches" and c.kernel > 10 * SLACK and c.ours < CEASED * c.kernel
        for c in checks
    )
