"""Our account of each task next to the kernel's, summed for the checks of a run.

Within the bounds below, for each task with a full account and for the sum over all of them:

    waits + explained = the kernel's run_delay       (explained: as found wait by wait)
    CPU time + explained = the kernel's CPU time     (explained: as found turn by turn)
    waits + CPU time + blocked = lifetime

docs/explanation/task-accounts.md derives these, and says which code maintains which part.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from agent.streams.collect.task_summaries import Summaries
from agent.streams.shared.layout import RUNTIME_UNKNOWN, SLOT_PREEMPTED, SLOT_RUNNABLE

RELATIVE_BOUND = 0.01
NS_PER_US = 1_000
NS_PER_SWITCH = 1_000
"""Allowed error of the kernel's time for a wait, apart from what is explained."""
INTERRUPTION_NS = 200_000
"""Allowed once per sum: a hypervisor may take the CPU away between the kernel's clock read and
ours. It is negligible in a run with real work, but not in one with a few short waits."""


@dataclass(slots=True)
class Accounts:
    """Sums over all tasks with a full account; times in ns.

    A task that took over its slot in mid-life (born_ns 0) is not compared.
    """

    by_accounting: bool = False
    """Whether waits and CPU time are the scheduler's own (timing by accounting). Its clock for CPU
    time stands still while a hypervisor has the CPU, so a turn that ends in preemption is too short
    by that, and nothing else of the task is longer for it."""
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
    waits_off: Counter[int] = field(default_factory=Counter)
    """Tasks whose waits are off by more than 1 % or 1 µs per wait, whichever is larger, by the
    number of bits of the ns by which they are off in excess of that."""
    cpu_ns: int = 0
    kernel_cpu_ns: int = 0
    cpu_explained_ns: int = 0
    """Known excess of the kernel's figure over ours, found turn by turn (accounts.h): the two dates
    of a switch differ, and with a stale clock a wait becomes CPU time."""
    accounted_ns: int = 0
    """On-CPU, run-queue and off-CPU time."""
    lifetimes_ns: int = 0

    def take(self, rows: Summaries) -> None:
        rows = rows[rows["born_ns"] > 0]
        self._take_lifetimes(rows)
        unseen = rows["kernel_pcount"].astype(np.int64) - rows["waits"].astype(np.int64)
        self.unseen += int(np.maximum(unseen, 0).sum())
        self._take_waits(rows)
        self._take_cpu(rows[rows["kernel_runtime"] != RUNTIME_UNKNOWN])

    def waits_failed(self, stolen_ns: int) -> int:
        """Count the tasks whose waits are off by more than is allowed, except those for which the
        stolen time may be the reason."""
        return sum(tasks for bits, tasks in self.waits_off.items() if 1 << bits > stolen_ns)

    def _take_waits(self, rows: Summaries) -> None:
        ours, theirs = rows["wait_ns"].astype(np.int64), rows["kernel_run_delay"].astype(np.int64)
        explained = rows["scheduler_excess_ns"] + NS_PER_US * rows["sleep_as_wait_us"].astype(
            np.int64
        )
        waits = rows["waits"].astype(np.int64)
        allowed = np.maximum(theirs * RELATIVE_BOUND, waits * NS_PER_SWITCH)
        self.waiting += int(np.count_nonzero((waits > 0) | (theirs != 0)))
        self.waits += int(waits.sum())
        self.waits_ns += int(ours.sum())
        self.kernel_waits_ns += int(theirs.sum())
        self.waits_explained_ns += int(explained.sum())
        off = np.ceil(np.abs(ours + explained - theirs) - allowed).astype(np.int64)
        self.waits_off.update(ns.bit_length() for ns in off[off > 0].tolist())

    def _take_cpu(self, rows: Summaries) -> None:
        self.cpu_ns += int(rows["oncpu_ns"].astype(np.int64).sum())
        self.kernel_cpu_ns += int(rows["kernel_runtime"].astype(np.int64).sum())
        self.cpu_explained_ns += NS_PER_US * int(rows["turn_excess_us"].astype(np.int64).sum())

    def _take_lifetimes(self, rows: Summaries) -> None:
        waiting = (rows["state"] == SLOT_RUNNABLE) | (rows["state"] == SLOT_PREEMPTED)
        accounted = rows["wait_ns"] + rows["oncpu_ns"] + rows["blocked_ns"]
        self.accounted_ns += int(accounted.sum()) + int(rows["open_ns"][waiting].sum())
        lived = rows["now_ns"].astype(np.int64) - rows["born_ns"].astype(np.int64)
        # by the scheduler's clock, a life of microseconds may seem to end before it began
        self.lifetimes_ns += int(np.maximum(lived, 0).sum())
