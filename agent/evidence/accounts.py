"""Our account of each task beside the kernel's, added up for the checks of a run."""

from dataclasses import dataclass

import numpy as np

from agent.streams.layout import SLOT_EXITED, SLOT_PREEMPTED, SLOT_RUNNABLE, SLOT_RUNNING
from agent.streams.reports import Reports

RELATIVE_BOUND = 0.01
NS_PER_SWITCH = 1_000
"""What the kernel's time of a wait or a turn is off by: that of its last rq_clock."""
NS_PER_REMOTE_WAIT = 10_000
"""The kernel starts a wait at the enqueue, but sched_wakeup fires after the other CPU was sent
the reschedule interrupt: 6 µs on a nested virtual machine, where that leaves the guest."""
INTERRUPTION_NS = 200_000
"""An interrupt, or a hypervisor that takes the CPU away, between the kernel's reading of its clock
and ours: nothing in a run with work in it, but most of one that waited a few times only."""
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
    waits_slack_ns: int = 0
    """What the two may differ by, whatever they are."""
    waiting: int = 0
    """Tasks whose waits were compared."""
    waits_failed: int = 0
    """Of these, whose own waits are off by more than the bound."""
    waits_strict: int = 0
    """Of these, who keep to 1 % or 1 µs a wait, nothing else allowed."""
    cpu_ns: int = 0
    kernel_cpu_ns: int = 0
    cpu_tasks: int = 0
    cpu_allowance_ns: int = 0
    """Ticks of tasks that run, the clock's resolution at each switch, and what it left out."""
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
        self._take_waits(rows[rows["kernel_thread"] == 0])
        self._take_cpu(rows[rows["state"] != SLOT_EXITED])

    def _take_waits(self, rows: Reports) -> None:
        """Of user tasks: kernel threads asleep have been seen with a delay of 0.4 s accounted.

        ``unclocked_ns``: a wakeup that has its task run at once skips renewing the scheduler's
        clock (rq_clock_skip_update()). The kernel takes such a wait for 0, and adds it to the
        wait of whoever was preempted.
        """
        ours, theirs = rows["wait_ns"].astype(np.int64), rows["kernel_run_delay"].astype(np.int64)
        resolution = NS_PER_SWITCH * rows["waits"].astype(np.int64)
        slack = (
            resolution
            + NS_PER_REMOTE_WAIT * rows["remote_waits"].astype(np.int64)
            + rows["unclocked_ns"].astype(np.int64)
        )
        apart, relative = np.abs(theirs - ours), theirs * RELATIVE_BOUND
        off = apart > np.maximum(relative, slack) + INTERRUPTION_NS
        self.waits_ns += int(ours.sum())
        self.kernel_waits_ns += int(theirs.sum())
        self.waits_slack_ns += int(slack.sum())
        self.waiting += len(rows)
        self.waits_failed += int(np.count_nonzero(off))
        self.waits_strict += int(np.count_nonzero(apart <= np.maximum(relative, resolution)))

    def _take_cpu(self, rows: Reports) -> None:
        """What the kernel's clock leaves out of a wait, it takes for time on the CPU."""
        self.cpu_tasks += len(rows)
        self.cpu_ns += int(rows["oncpu_ns"].sum())
        self.kernel_cpu_ns += int(rows["kernel_runtime"].sum())
        self.cpu_allowance_ns += TICK_NS * int(np.count_nonzero(rows["state"] == SLOT_RUNNING))
        self.cpu_allowance_ns += NS_PER_SWITCH * int(rows["waits"].sum())
        self.cpu_allowance_ns += int(rows["unclocked_ns"].sum())

    def _take_lifetimes(self, rows: Reports) -> None:
        waiting = (rows["state"] == SLOT_RUNNABLE) | (rows["state"] == SLOT_PREEMPTED)
        accounted = rows["wait_ns"] + rows["oncpu_ns"] + rows["blocked_ns"]
        self.accounted_ns += int(accounted.sum()) + int(rows["open_ns"][waiting].sum())
        lived = rows["now_ns"].astype(np.int64) - rows["born_ns"].astype(np.int64)
        # timed by the scheduler's clock, a life of microseconds may seem to begin after its end
        self.lifetimes_ns += int(np.maximum(lived, 0).sum())
