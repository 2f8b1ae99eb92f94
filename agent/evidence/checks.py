"""Conservation checks: our counts against the kernel's own accounting. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.evidence.accounts import INTERRUPTION_NS, NS_PER_SWITCH, RELATIVE_BOUND, Accounts
from agent.evidence.words import amount, percent
from agent.nouns import counted
from agent.streams.shared.kernel_counts import Edge, are_known, stolen_ns
from agent.words import Json

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
    judging. ``stolen`` is allowed on top: the time for which a hypervisor had taken CPUs away.
    """

    name: str
    unit: str
    ours: float
    kernel: float
    bound: float
    slack: float
    excess: float = 0
    explained: float = 0
    stolen: float = 0
    standard: str = "the kernel's"
    """Whose account ``kernel`` is, in words."""
    left_out: str = ""
    """What ``kernel`` is without, though the kernel counted it; a sentence."""
    because: str = ""
    """The cause of what is explained, in words."""
    consequence: str = ""
    """What to think of the evidence if the check fails; a sentence."""

    @property
    def difference(self) -> float | None:
        """Difference relative to the kernel's figure; None if that is 0."""
        return (self.ours - self.kernel) / self.kernel if self.kernel else None

    @property
    def allowed(self) -> float:
        """How far ``unexplained`` may be from 0; above, by ``excess`` more."""
        return max(self.bound * self.kernel, self.slack) + self.stolen

    @property
    def unexplained(self) -> float:
        """What ours has more than the kernel's figure, apart from what is explained."""
        return self.ours + self.explained - self.kernel

    @property
    def passed(self) -> bool:
        return -self.allowed <= self.unexplained <= self.allowed + self.excess

    @property
    def conclusive(self) -> bool:
        """Whether the check could tell: False if it passed, but might have passed anyway.

        That is the case if ours may have more outside of the time that the kernel's figure is for
        than there is in it.
        """
        return not self.passed or self.excess <= max(self.kernel, self.allowed)

    @property
    def text(self) -> str:
        """The comparison in sentences, for a reader who knows neither the bounds nor the causes."""
        agent, kernel = amount(self.ours, self.unit), amount(self.kernel, self.unit)
        sentences = [f"{agent} by the agent's account, {kernel} by {self.standard}", self.left_out]
        if self.explained:
            way = "higher" if self.explained > 0 else "lower"
            by = amount(abs(self.explained), self.unit)
            sentences.append(
                f"The kernel's figure is expected to be {by} {way}, because {self.because}"
            )
        sentences += [self._rest(), self._outside()]
        if not self.passed:
            sentences.append(self.consequence)
        return " ".join(f"{sentence}." for sentence in sentences if sentence)

    def _rest(self) -> str:
        left = abs(self.unexplained)
        allowed = self.allowed + (self.excess if self.unexplained > 0 else 0)
        rest, most = amount(left, self.unit), amount(allowed, self.unit)
        if rest == most and not self.passed:
            rest, most = f"{left:,.0f} {self.unit}", f"{allowed:,.0f} {self.unit}"
        share = f", {percent(left, self.kernel)} of the kernel's figure," if self.kernel else ""
        reason = (
            f" ({amount(self.stolen, self.unit)} of that because a hypervisor took CPUs away)"
            if self.stolen
            else ""
        )
        left_over = "That leaves" if self.explained else "The difference is"
        verdict = "within" if self.passed else "more than"
        return f"{left_over} {rest}{share} {verdict} the allowed {most}{reason}"

    def _outside(self) -> str:
        """Say how much of ours the kernel's figure need not have, where the result rests on it."""
        rests_on_it = self.excess > 0 and self.unexplained > self.allowed
        if self.conclusive and not rests_on_it:
            return ""
        text = (
            f"Up to {amount(self.excess, self.unit)} by the agent's account may lie just outside of"
            " the time that the kernel's figure covers"
        )
        more = ", more than within it, so this check could not tell whether any are missing"
        return text if self.conclusive else text + more

    def evidence(self) -> Json:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "kernel": self.kernel,
            "bound": self.bound,
            "slack": self.slack,
            "excess": self.excess,
            "explained": self.explained,
            "stolen": self.stolen,
            "difference": self.difference,
            "unexplained": self.unexplained,
            "allowed": self.allowed,
            "pass": self.passed,
            "conclusive": self.conclusive,
            "text": self.text,
        }


def forks_check(edges: tuple[Edge, Edge]) -> Check:
    """Compare the forks of the whole machine; every run counts them."""
    before, after = edges
    return Check(
        "forks",
        "forks",
        ours=after.forks - before.forks,
        kernel=after.kernel.forks - before.kernel.forks,
        bound=RELATIVE_BOUND,
        slack=SLACK + before.forks_meanwhile + after.forks_meanwhile,
        consequence="Tasks that were not seen being created are missing from exec.forks, and from"
        " a run with a scope altogether",
    )


def scheduler_checks(edges: tuple[Edge, Edge], accounts: Accounts) -> list[Check]:
    """Return the checks of any section based on context switches: switches seen, and waits."""
    stolen = stolen_ns(edges)
    switches = [_switches(edges)] if are_known(edges) else []
    return [*switches, _waits(accounts, stolen), _waits_by_task(accounts, stolen)]


def _switches(edges: tuple[Edge, Edge]) -> Check:
    before, after = edges
    return Check(
        "context_switches",
        "switches",
        ours=after.switches - before.switches,
        kernel=after.kernel.context_switches - before.kernel.context_switches,
        bound=RELATIVE_BOUND,
        slack=SLACK + before.switches_meanwhile + after.switches_meanwhile,
        consequence="Waits and blocked time that begin or end with a switch that was not seen are"
        " missing: take runqlat and offcpu as uncertain by that share",
    )


def _waits(accounts: Accounts, stolen: int) -> Check:
    shorter = "the scheduler's clock stands still during some waits"
    longer = (
        "the scheduler counts some sleep as waiting, and dates the beginning of some waits earlier"
    )
    return Check(
        "run_queue_wait",
        "ns",
        ours=accounts.waits_ns,
        kernel=accounts.kernel_waits_ns,
        bound=RELATIVE_BOUND,
        slack=NS_PER_SWITCH * accounts.waits + INTERRUPTION_NS,
        explained=accounts.waits_explained_ns,
        stolen=stolen,
        left_out=_unseen(accounts.unseen),
        because=longer if accounts.waits_explained_ns > 0 else shorter,
        consequence="Take the times of runqlat as uncertain by that share",
    )


def _unseen(waits: int) -> str:
    """Return what was subtracted from the kernel's figure, as there is nothing to compare it to."""
    if not waits:
        return ""
    return f"That leaves out what the kernel counted for {counted(waits, 'wait')} that went unseen"


def _waits_by_task(accounts: Accounts, stolen: int) -> Check:
    """Compare task by task: in the sum, errors may cancel out; a single one shows there."""
    return Check(
        "tasks_with_run_queue_wait",
        "tasks",
        ours=accounts.waiting - accounts.waits_failed(stolen),
        kernel=accounts.waiting,
        bound=TASKS_BOUND,
        slack=1,
        consequence="The waits of the tasks that are missing here differ from the kernel's: take"
        " runqlat.by_thread and runqlat.by_command as uncertain",
    )


def cpu_check(edges: tuple[Edge, Edge], accounts: Accounts) -> Check:
    return Check(
        "cpu_time",
        "ns",
        ours=accounts.cpu_ns,
        kernel=accounts.kernel_cpu_ns,
        bound=RELATIVE_BOUND,
        slack=INTERRUPTION_NS,
        explained=accounts.cpu_explained_ns,
        stolen=stolen_ns(edges),
        because="the scheduler dates the same switches at slightly different moments",
        consequence="Time on a CPU was taken for waiting or blocked time, or the reverse: take"
        " runqlat and offcpu as uncertain by that amount",
    )


def lifetimes_check(edges: tuple[Edge, Edge], accounts: Accounts) -> Check:
    """Compare on-CPU + run-queue + off-CPU time of all tasks with their lifetimes in the run."""
    return Check(
        "lifetimes",
        "ns",
        ours=accounts.accounted_ns,
        kernel=accounts.lifetimes_ns,
        bound=LIFETIME_BOUND,
        slack=INTERRUPTION_NS,
        stolen=stolen_ns(edges) if accounts.by_accounting else 0,
        standard="the time that the tasks existed",
        consequence="Time of some tasks is missing from runqlat and offcpu, or is in both: take"
        " them as uncertain by that amount",
    )


def events_ceased(checks: Sequence[Check]) -> bool:
    """Return whether the programs stopped running in the middle of the run."""
    return any(
        c.name == "context_switches" and c.kernel > 10 * SLACK and c.ours < CEASED * c.kernel
        for c in checks
    )
