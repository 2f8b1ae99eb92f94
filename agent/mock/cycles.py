"""Random durations of synthetic tasks: how long they are blocked, wait, and run."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agent.mock.scripts import Script

Ns = NDArray[np.int64]

CHUNK = 256
"""Cycles drawn at a time. A constant, so that what is drawn does not depend on when it is used."""

PREEMPTED = -1
"""In place of a sleep's number: the task was not blocked before this wait, it was preempted."""

PREEMPTIONS = 0.04
"""Fraction of waits that follow a preemption."""


@dataclass(frozen=True, slots=True)
class Sleep:
    """One way in which a task is blocked, again and again."""

    reason: str
    """A syscall that both architectures with a table of names have, or a name of REASON_NAMES."""
    mean_ns: int
    weight: int = 1
    uninterruptible: bool = False


@dataclass(frozen=True, slots=True)
class Habit:
    """What a task does in each cycle: it is blocked, waits for a CPU, and runs."""

    sleeps: tuple[Sleep, ...]
    run_ns: int
    """Average time on a CPU."""
    calls: tuple[str, ...] = ()
    """Syscalls that it makes before it is blocked again, and that do not block it."""


@dataclass(frozen=True, slots=True)
class Cycles:
    """Consecutive cycles of one task; times in ns."""

    kinds: NDArray[np.int64]
    """The number of the sleep, or PREEMPTED."""
    woken: Ns
    arrived: Ns
    left: Ns

    def __len__(self) -> int:
        return len(self.kinds)

    def ended(self, now_ns: int) -> tuple[int, int, int]:
        """Return how many sleeps, waits and turns have ended by a time."""
        woken, arrived, left = (
            int(np.searchsorted(ends, now_ns, "right"))
            for ends in (self.woken, self.arrived, self.left)
        )
        return woken, arrived, left


def waits(random: Generator, script: Script, count: int) -> Ns:
    """Return run-queue waits: most end within microseconds, the queued ones form a tail."""
    at_once = random.lognormal(np.log(4_000), 0.6, count)
    queued = random.lognormal(np.log(1_200_000), 0.9, count)
    return np.where(random.random(count) < script.queued, queued, at_once).astype(np.int64) + 1


def draw(
    random: Generator, script: Script, habit: Habit, began_ns: int, *, is_first: bool
) -> Cycles:
    """Return a task's next CHUNK cycles; a task's first one begins asleep."""
    weights = np.array([sleep.weight for sleep in habit.sleeps], np.float64)
    kinds = random.choice(len(weights), CHUNK, p=weights / weights.sum())
    means = np.array([sleep.mean_ns for sleep in habit.sleeps])
    blocked = random.exponential(means[kinds]).astype(np.int64) + 1
    preempted = random.random(CHUNK) < PREEMPTIONS
    if is_first:
        preempted[0] = False
    kinds[preempted], blocked[preempted] = PREEMPTED, 0
    waiting = waits(random, script, CHUNK)
    running = random.exponential(habit.run_ns, CHUNK).astype(np.int64) + 1
    ends = began_ns + np.cumsum(np.column_stack([blocked, waiting, running]))
    return Cycles(kinds, *ends.reshape(CHUNK, 3).T)
