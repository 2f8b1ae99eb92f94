"""Synthetic tasks: the account of each, as the programs keep it, and the events that it causes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.mock.cycles import PREEMPTED, Habit, draw
from agent.mock.scripts import Script
from agent.streams.collect.task_summaries import SUMMARY_DTYPE
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import (
    EVENT_PREEMPTED_BIT,
    LATENCY_BITS,
    LATENCY_MAX,
    REASON_KERNEL_THREAD,
    REASON_NAMES,
    REASON_UNKNOWN,
    SLOT_INTERRUPTIBLE,
    SLOT_PREEMPTED,
    SLOT_PRIMED,
    SLOT_REASON_SHIFT,
    SLOT_RUNNABLE,
    SLOT_RUNNING,
    SLOT_UNINTERRUPTIBLE,
)
from agent.streams.shared.syscall_names import syscall_number

REASONS_BY_NAME = {name: number for number, name in REASON_NAMES.items()}


def reason_number(name: str) -> int:
    """Return a reason's number; on a machine without a table of syscalls, that it is unknown."""
    number = REASONS_BY_NAME.get(name, syscall_number(name))
    return REASON_UNKNOWN if number is None else number


def wait_events(tid: int, waits: NDArray[np.int64], preempted: NDArray[np.bool_]) -> Words:
    """Return events of the stream ``runqlat``, (waits, 1)."""
    words: Words = np.minimum(waits, LATENCY_MAX).astype(np.uint64)
    words |= np.uint64(tid << LATENCY_BITS)
    words |= preempted.astype(np.uint64) << np.uint64(EVENT_PREEMPTED_BIT)
    return words.reshape(-1, 1)


@dataclass(slots=True)
class Account:
    """A task's sums since the start of the run, or its birth; times in ns."""

    tid: int
    command: str
    born_ns: int
    is_kernel_thread: bool = False
    state: int = SLOT_INTERRUPTIBLE
    reason: int = 0
    is_primed: bool = False
    since_ns: int = 0
    """When the state began."""
    wait_ns: int = 0
    preempted_ns: int = 0
    oncpu_ns: int = 0
    blocked_ns: int = 0
    waits: int = 0

    @property
    def tag(self) -> int:
        """The state as a slot has it."""
        primed = SLOT_PRIMED if self.is_primed else 0
        return self.state | primed | self.reason << SLOT_REASON_SHIFT

    def summary(self, now_ns: int) -> np.void:
        """Return the task's summary; what is open counts, except a wait (``struct task_summary``).

        The synthetic scheduler's account is ours: nothing was measured that could differ.
        """
        open_ns = now_ns - self.since_ns
        running = open_ns if self.state == SLOT_RUNNING else 0
        blocked = open_ns if self.state in (SLOT_INTERRUPTIBLE, SLOT_UNINTERRUPTIBLE) else 0
        row = np.zeros(1, SUMMARY_DTYPE)
        row["tid"] = row["local_tid"] = self.tid
        row["comm"] = self.command.encode()
        row["state"] = self.state
        row["kernel_thread"] = self.is_kernel_thread
        row["now_ns"], row["born_ns"], row["open_ns"] = now_ns, self.born_ns, open_ns
        row["wait_ns"] = row["kernel_run_delay"] = self.wait_ns
        row["preempted_ns"] = self.preempted_ns
        row["oncpu_ns"] = row["kernel_runtime"] = self.oncpu_ns + running
        row["blocked_ns"] = self.blocked_ns + blocked
        row["waits"] = row["kernel_pcount"] = self.waits
        found: np.void = row[0]
        return found


class Blocked(NamedTuple):
    """Sleeps that have ended, as ``struct cpu_counters`` sums them."""

    row: int
    """0: interruptible, 1: uninterruptible."""
    reason: int
    ns: int
    sleeps: int


@dataclass(slots=True)
class Step:
    """What a task did in one step of time."""

    switches: int
    wait_events: Words
    """(waits, 1)"""
    blocked: tuple[Blocked, ...]
    calls: dict[str, int]
    """Syscalls by name."""


class Worker:
    """A task that lives through the whole run."""

    def __init__(
        self,
        account: Account,
        habit: Habit,
        script: Script,
        random: Generator,
    ) -> None:
        self.account = account
        self._habit = habit
        self._reasons = [
            REASON_KERNEL_THREAD if account.is_kernel_thread else reason_number(sleep.reason)
            for sleep in habit.sleeps
        ]
        self._script, self._random = script, random
        self._cycles = draw(random, script, habit, account.born_ns, is_first=True)
        self._began_ns = account.born_ns
        """When the first of these cycles began."""
        self._done = (0, 0, 0)
        """How many sleeps, waits and turns of these cycles have ended."""

    def advance(self, now_ns: int) -> Iterator[Step]:
        """Do everything up to a time; yield it in order."""
        while True:
            yield self._advance(now_ns)
            if self._done[2] < len(self._cycles):
                return
            self._began_ns = int(self._cycles.left[-1])
            self._done = (0, 0, 0)
            self._cycles = draw(
                self._random, self._script, self._habit, self._began_ns, is_first=False
            )

    def _advance(self, now_ns: int) -> Step:
        """Do what the cycles that are drawn hold up to a time."""
        cycles, (slept, waited, ran) = self._cycles, self._done
        self._done = woken, arrived, left = cycles.ended(now_ns)
        waits = (cycles.arrived - cycles.woken)[waited:arrived]
        preempted = cycles.kinds[waited:arrived] == PREEMPTED
        blocked = tuple(self._blocked(slept, woken))
        account = self.account
        account.waits += len(waits)
        account.wait_ns += int(waits.sum())
        account.preempted_ns += int(waits[preempted].sum())
        account.oncpu_ns += int((cycles.left - cycles.arrived)[ran:left].sum())
        account.blocked_ns += sum(ended.ns for ended in blocked)
        account.is_primed = account.is_primed and woken == 0
        self._note_state()
        return Step(
            switches=arrived - waited + left - ran,
            wait_events=wait_events(account.tid, waits, preempted),
            blocked=blocked,
            calls=self._calls(slept, woken),
        )

    def _blocked(self, begin: int, end: int) -> Iterator[Blocked]:
        """Yield the sleeps of these cycles, summed by kind."""
        cycles = self._cycles
        asleep = (cycles.woken - np.append(self._began_ns, cycles.left[:-1]))[begin:end]
        for kind, sleep in enumerate(self._habit.sleeps):
            same = cycles.kinds[begin:end] == kind
            if same.any():
                count, ns = int(np.count_nonzero(same)), int(asleep[same].sum())
                yield Blocked(int(sleep.uninterruptible), self._reasons[kind], ns, count)

    def _calls(self, begin: int, end: int) -> dict[str, int]:
        """Return the syscalls of these cycles: the one that each was blocked in, and the others."""
        if begin == end or self.account.is_kernel_thread:
            return {}
        calls = dict.fromkeys(self._habit.calls, end - begin)
        for kind, sleep in enumerate(self._habit.sleeps):
            if sleep.reason not in REASONS_BY_NAME:
                count = int(np.count_nonzero(self._cycles.kinds[begin:end] == kind))
                calls[sleep.reason] = calls.get(sleep.reason, 0) + count
        return calls

    def _note_state(self) -> None:
        """Note the state that the task is in now."""
        cycles, account = self._cycles, self.account
        woken, arrived, left = self._done
        if left == len(cycles):
            return  # the next cycles begin at this moment, and say
        if arrived > left:
            account.state, account.reason = SLOT_RUNNING, 0
            account.since_ns = int(cycles.arrived[left])
        elif woken > arrived:
            is_preempted = cycles.kinds[arrived] == PREEMPTED
            account.state = SLOT_PREEMPTED if is_preempted else SLOT_RUNNABLE
            account.reason, account.since_ns = 0, int(cycles.woken[arrived])
        else:
            kind = int(cycles.kinds[left])
            is_deep = self._habit.sleeps[kind].uninterruptible
            account.state = SLOT_UNINTERRUPTIBLE if is_deep else SLOT_INTERRUPTIBLE
            account.reason = self._reasons[kind]
            account.since_ns = int(cycles.left[left - 1]) if left else self._began_ns
