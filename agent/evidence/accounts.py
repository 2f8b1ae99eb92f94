"""Our account of each task next to the kernel's, summed for the checks of a run.

Within the bounds below, for each task with a full account and for the sum over all of them:

    waits + explained = the kernel's run_delay       (explained: as found wait by wait)
    CPU time + explained = the kernel's CPU time     (explained: waits it took for CPU time)
    waits + CPU time + blocked = lifetime

docs/explanation/task-accounts.md derives these, and says which code maintains which part.
"""

from dataclasses import dataclass

import numpy as np

from agent.streams.collect.task_summaries import Summaries
from agent.streams.shared.layout import (
    RUNTIME_UNKNOWN,
    SLOT_EXITED,
    SLOT_PREEMPTED,
    SLOT_RUNNABLE,
    SLOT_RUNNING,
)

RELATIVE_BOUND = 0.01
NS_PER_US = 1_000
NS_PER_SWITCH = 1_000
"""Allowed error of the kernel's time for a wait or a turn, apart from what is explained."""
INTERRUPTION_NS = 200_000
"""Allowed once per sum: a hypervisor may take the CPU away between the kernel's clock read and
ours. It is negligible in a run with real work, but not in one with a few short waits."""
NS_PER_REMOTE_WAIT = 10_000
"""If the kernel's clock does not advance during a wait that began with a wakeup on another CPU, all
of the wait becomes CPU time, and so does some time before sched_wakeup: that CPU was sent an
interrupt first, which takes 6 µs on a nested virtual machine, because it leaves the guest."""
UNTIMED_TURN_NS = 200_000
"""How much earlier a turn may have begun by the kernel's clock, if that was not determined: the
last turn of a task that has exited, or a turn whose beginning was not seen (STALE_CLOCK_NS)."""
TICK_NS = 10_000_000
"""The kernel updates the CPU time of a running task at each tick: every 10 ms at HZ=100."""


@dataclass(slots=True)
class Accounts:
    """Sums over all tasks with a full account; times in ns.

    A task that took over its slot in mid-life (born_ns 0) is not compared.
    """

    unseen: int = 0
    """Arrivals on a CPU that the kernel counted (sched_info.pcount) and we did not see. The time
    that it accounted for these waits is already subtracted from its side."""
    waiting: int = 0
    """Tasks that waited, by our account or the kernel's."""
    waits: int = 0
    waits_ns: int = 0
    kernel_waits_ns: int = 0
    waits_explained_ns: int = 0
    """Known excess of the kernel's figure over ours, found wait by wait (accounts.h): the effect of
    its stale clock, and sleep that it accounts as waits."""
    waits_failed: int = 0
    """Tasks whose waits are off by more than 1 % or 1 µs per wait, whichever is larger."""
    cpu_ns: int = 0
    kernel_cpu_ns: int = 0
    cpu_explained_ns: int = 0
    """Known excess of the kernel's figure: with a stale clock, a wait becomes CPU time."""
    cpu_allowance_ns: int = 0
    """A tick per running task, untimed turns (of exited tasks, or unseen), 1 µs per switch, wakeups
    from another CPU, and waits that are longer by the kernel's clock."""
    accounted_ns: int = 0
    """On-CPU, run-queue and off-CPU time."""
    lifetimes_ns: int = 0

    def take(self, rows: Summaries) -> None:
        rows = rows[rows["born_ns"] > 0]
        self._take_lifetimes(rows)
        unseen = np.maximum(
            rows["kernel_pcount"].astype(np.int64) - rows["waits"].astype(np.int64), 0
        )
        self.unseen += int(unseen.sum())
        self._take_waits(rows)
        known = rows["kernel_runtime"] != RUNTIME_UNKNOWN
        self._take_cpu(rows[known], int(unseen[known].sum()))

    def _take_waits(self, rows: Summaries) -> None:
        ours, theirs = rows["wait_ns"].astype(np.int64), rows["kernel_run_delay"].astype(np.int64)
        explained = rows["scheduler_excess_ns"] + NS_PER_US * rows["sleep_as_wait_us"].astype(
            np.int64
        )
        waits = rows["waits"].astype(np.int64)
        allowed = np.maximum(theirs * RELATIVE_BOUND, waits * NS_PER_SWITCH)
        self.waiting += int(np.count_nonzero((waits > 0) | (theirs > 0)))
        self.waits += int(waits.sum())
        self.waits_ns += int(ours.sum())
        self.kernel_waits_ns += int(theirs.sum())
        self.waits_explained_ns += int(explained.sum())
        self.waits_failed += int(np.count_nonzero(np.abs(ours + explained - theirs) > allowed))

    def _take_cpu(self, rows: Summaries, unseen: int) -> None:
        """Add CPU times, and the part of their difference that waits explain.

        If the kernel's figure for a wait is shorter than ours, its clock usually put the end of the
        wait too early, and the rest became CPU time. If it is longer, the wait may have begun
        earlier (CPU time unchanged), or it followed a preemption (less CPU time): the excess is
        added to the allowance.
        """
        excess = rows["scheduler_excess_ns"]
        self.cpu_ns += int(rows["oncpu_ns"].astype(np.int64).sum())
        self.kernel_cpu_ns += int(rows["kernel_runtime"].astype(np.int64).sum())
        self.cpu_explained_ns += int(np.maximum(-excess, 0).sum())
        self.cpu_allowance_ns += int(np.maximum(excess, 0).sum())
        self.cpu_allowance_ns += NS_PER_REMOTE_WAIT * int(rows["remote_waits"].sum())
        self.cpu_allowance_ns += TICK_NS * int(np.count_nonzero(rows["state"] == SLOT_RUNNING))
        exited = int(np.count_nonzero(rows["state"] == SLOT_EXITED))
        self.cpu_allowance_ns += UNTIMED_TURN_NS * (exited + unseen)
        self.cpu_allowance_ns += NS_PER_SWITCH * int(rows["waits"].sum())

    def _take_lifetimes(self, rows: Summaries) -> None:
        waiting = (rows["state"] == SLOT_RUNNABLE) | (rows["state"] == SLOT_PREEMPTED)
        accounted = rows["wait_ns"] + rows["oncpu_ns"] + rows["blocked_ns"]
        self.accounted_ns += int(accounted.sum()) + int(rows["open_ns"][waiting].sum())
        lived = rows["now_ns"].astype(np.int64) - rows["born_ns"].astype(np.int64)
        # by the scheduler's clock, a life of microseconds may seem to end before it began
        self.lifetimes_ns += int(np.maximum(lived, 0).sum())
