"""Our account of each task beside the kernel's, added up for the checks of a run."""

from dataclasses import dataclass

import numpy as np

from agent.streams.layout import SLOT_EXITED, SLOT_PREEMPTED, SLOT_RUNNABLE, SLOT_RUNNING
from agent.streams.reports import Reports

RELATIVE_BOUND = 0.01
NS_PER_WAIT = 10_000
"""The kernel starts a wait at the enqueue, with its last rq_clock; sched_wakeup fires after the
reschedule interrupt was sent. That is 1 µs on hardware, and 6 µs was measured on a nested virtual
machine, where sending it leaves the guest."""
TICK_NS = 10_000_000
"""A task that is running has its CPU time brought up to date with the tick, 10 ms at HZ=100."""


@dataclass(slots=True)
class Accounts:
    """Sums over all tasks with a full account; times in ns."""

    tasks: int = 0
    unseen: int = 0
    """Arrivals on a CPU that the kernel counted (sched_info.pcount) and we did not see. Waits and
    CPU time are compared for tasks that have none."""
    compared: int = 0
    without_account: int = 0
    """Tasks whose slot was taken over in the middle of their life."""
    waits_ns: int = 0
    kernel_waits_ns: int = 0
    idle_waits_ns: int = 0
    """Of our waits, those that ended a CPU's idleness or, at once, another task's turn. The kernel
    takes most of them for 0: the wakeup asks for a reschedule, and that skips renewing the clock
    (rq_clock_skip_update())."""
    waits: int = 0
    waits_failed: int = 0
    """Tasks whose own waits are off by more than the bound."""
    cpu_ns: int = 0
    kernel_cpu_ns: int = 0
    cpu_tasks: int = 0
    cpu_allowance_ns: int = 0
    """Ticks of tasks that run, and the clock's resolution at each switch."""
    accounted_ns: int = 0
    """On-CPU, run-queue and off-CPU time."""
    lifetimes_ns: int = 0

    def take(self, rows: Reports) -> None:
        full = rows["born_ns"] > 0
        self.without_account += int(np.count_nonzero(~full))
        rows = rows[full]
        self.tasks += len(rows)
        self._take_lifetimes(rows)
        unseen = np.maximum(
            rows["kernel_pcount"].astype(np.int64) - rows["waits"].astype(np.int64), 0
        )
        self.unseen += int(unseen.sum())
        rows = rows[unseen == 0]
        self.compared += len(rows)
        self._take_waits(rows)
        self._take_cpu(rows[rows["state"] != SLOT_EXITED])

    def _take_waits(self, rows: Reports) -> None:
        ours, theirs = rows["wait_ns"].astype(np.int64), rows["kernel_run_delay"].astype(np.int64)
        bound = np.maximum(theirs * RELATIVE_BOUND, NS_PER_WAIT * rows["waits"].astype(np.int64))
        self.waits_ns += int(ours.sum())
        self.kernel_waits_ns += int(theirs.sum())
        self.waits += int(rows["waits"].sum())
        idle = rows["idle_wait_ns"].astype(np.int64)
        self.idle_waits_ns += int(idle.sum())
        off = (theirs - ours > bound) | (ours - theirs > bound + idle)
        self.waits_failed += int(np.count_nonzero(off))

    def _take_cpu(self, rows: Reports) -> None:
        self.cpu_tasks += len(rows)
        self.cpu_ns += int(rows["oncpu_ns"].sum())
        self.kernel_cpu_ns += int(rows["kernel_runtime"].sum())
        self.cpu_allowance_ns += TICK_NS * int(np.count_nonzero(rows["state"] == SLOT_RUNNING))
        self.cpu_allowance_ns += NS_PER_WAIT * int(rows["waits"].sum())

    def _take_lifetimes(self, rows: Reports) -> None:
        waiting = (rows["state"] == SLOT_RUNNABLE) | (rows["state"] == SLOT_PREEMPTED)
        accounted = rows["wait_ns"] + rows["oncpu_ns"] + rows["blocked_ns"]
        self.accounted_ns += int(accounted.sum()) + int(rows["open_ns"][waiting].sum())
        lived = rows["now_ns"].astype(np.int64) - rows["born_ns"].astype(np.int64)
        # timed by the scheduler's clock, a life of microseconds may seem to begin after its end
        self.lifetimes_ns += int(np.maximum(lived, 0).sum())
