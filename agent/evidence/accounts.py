"""Our account of each task beside the kernel's, added up for the checks of a run."""

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
"""What the kernel's time of a wait or a turn may be off by beside what is explained."""
INTERRUPTION_NS = 200_000
"""Allowed once in a sum: a hypervisor that takes the CPU away between the kernel's reading of its
clock and ours. Nothing in a run with work in it, but most of one that waited a few times only."""
NS_PER_REMOTE_WAIT = 10_000
"""Where the kernel's clock stands still over a wait that a wakeup on another CPU began, it becomes
CPU time from before sched_wakeup on: that CPU was sent an interrupt first, 6 µs on a nested virtual
machine, where that leaves the guest."""
UNTIMED_TURN_NS = 200_000
"""How much earlier a turn may have begun by the kernel's clock, where that was not found out: the
last one of a task that has exited, and one whose beginning was not seen (CLOCKS_APART_NS)."""
TICK_NS = 10_000_000
"""A task that is running has its CPU time brought up to date with the tick, 10 ms at HZ=100."""


@dataclass(slots=True)
class Accounts:
    """Sums over all tasks with a full account; times in ns.

    Of a task whose slot was taken over in the middle of its life (born_ns 0) nothing is compared.
    """

    unseen: int = 0
    """Arrivals on a CPU that the kernel counted (sched_info.pcount) and we did not see. What
    it accounted of these waits the kernel side has left out."""
    waiting: int = 0
    """Tasks that waited, by us or by the kernel."""
    waits: int = 0
    waits_ns: int = 0
    kernel_waits_ns: int = 0
    waits_explained_ns: int = 0
    """What the kernel's has more, as found wait by wait (accounts.h): what its clock makes of a
    wait that it tells by older times, and sleeps that it takes for waits."""
    waits_failed: int = 0
    """Tasks whose own waits are off by more than 1 %, or 1 µs a wait."""
    cpu_ns: int = 0
    kernel_cpu_ns: int = 0
    cpu_explained_ns: int = 0
    """What the kernel's has more: where its clock stands still, a wait becomes time on the CPU."""
    cpu_allowance_ns: int = 0
    """Ticks of tasks that run, last turns of those that exited, 1 µs at each switch, what began on
    another CPU, and waits that are longer by the kernel's clock."""
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
        explained = rows["apart_ns"] + NS_PER_US * rows["slept_us"].astype(np.int64)
        waits = rows["waits"].astype(np.int64)
        allowed = np.maximum(theirs * RELATIVE_BOUND, waits * NS_PER_SWITCH)
        self.waiting += int(np.count_nonzero((waits > 0) | (theirs > 0)))
        self.waits += int(waits.sum())
        self.waits_ns += int(ours.sum())
        self.kernel_waits_ns += int(theirs.sum())
        self.waits_explained_ns += int(explained.sum())
        self.waits_failed += int(np.count_nonzero(np.abs(ours + explained - theirs) > allowed))

    def _take_cpu(self, rows: Summaries, unseen: int) -> None:
        """Where the kernel's time of a wait is shorter, it is mostly that the wait ended later than
        by its clock, and became CPU time. Where it is longer, the wait may have begun earlier
        (no CPU time), or have been that of a preempted task (less of it): that is allowed for.
        """
        apart = rows["apart_ns"]
        self.cpu_ns += int(rows["oncpu_ns"].astype(np.int64).sum())
        self.kernel_cpu_ns += int(rows["kernel_runtime"].astype(np.int64).sum())
        self.cpu_explained_ns += int(np.maximum(-apart, 0).sum())
        self.cpu_allowance_ns += int(np.maximum(apart, 0).sum())
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
        # timed by the scheduler's clock, a life of microseconds may seem to begin after its end
        self.lifetimes_ns += int(np.maximum(lived, 0).sum())
