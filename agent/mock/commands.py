"""Synthetic commands: short-lived tasks that are forked, executed, and exit."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.random import Generator

from agent.mock.cycles import waits
from agent.mock.scripts import Script
from agent.mock.tasks import Account, wait_events
from agent.streams.drain.batches import Words
from agent.streams.shared.layout import SLOT_EXITED, SLOT_RUNNABLE, SLOT_RUNNING

NAMES = ("sh", "python3", "git", "cat")
FORK_GAP_NS = 150_000_000
"""Average time between two commands."""
RUN_NS = 1_500_000
"""Average time of a command on a CPU."""
FIRST_TID, LAST_TID = 1_000, 30_000
"""Thread ids of commands; after the last one they begin again."""


class Event(Enum):
    FORKED = "forked"
    EXECUTED = "executed"
    EXITED = "exited"


@dataclass(slots=True)
class Command:
    """A task that waits for a CPU once, is executed, runs for one turn, and exits."""

    account: Account
    executes_ns: int
    exits_ns: int

    def execute(self) -> None:
        """End the only wait."""
        account = self.account
        account.wait_ns, account.waits = self.executes_ns - account.born_ns, 1
        account.state, account.since_ns = SLOT_RUNNING, self.executes_ns

    def exit(self) -> None:
        account = self.account
        account.oncpu_ns = self.exits_ns - self.executes_ns
        account.state, account.since_ns = SLOT_EXITED, self.exits_ns

    def wait_event(self) -> Words:
        """Return the event of its wait (``runqlat``, (1, 1))."""
        account = self.account
        return wait_events(account.tid, np.array([account.wait_ns]), np.array([False]))

    def exec_event(self) -> Words:
        """Return the event of its execution (``exec``, (1, 4))."""
        tid = self.account.tid
        name = np.frombuffer(self.account.command.encode().ljust(16, b"\0"), np.uint64)
        return np.array([[tid | tid << 32, *name.tolist(), self.executes_ns]], np.uint64)

    def exit_event(self) -> Words:
        """Return the event of its exit (``exit``): its summary, (1, words)."""
        summary = self.account.summary(self.exits_ns)
        return np.frombuffer(summary.tobytes(), np.uint64).reshape(1, -1)


class Commands:
    """Commands that are started at random."""

    def __init__(self, start_ns: int, script: Script, random: Generator) -> None:
        self._script = script
        self._random = random
        self._number = 0
        self._next = self._drawn(start_ns)
        self.alive: list[Command] = []

    def advance(self, now_ns: int) -> Iterator[tuple[Event, Command]]:
        """Yield what happens to commands up to a time, in the order of each command's life."""
        while self._next.account.born_ns <= now_ns:
            self.alive.append(self._next)
            yield Event.FORKED, self._next
            self._next = self._drawn(self._next.account.born_ns)
        for command in self.alive:
            if command.account.state == SLOT_RUNNABLE and command.executes_ns <= now_ns:
                command.execute()
                yield Event.EXECUTED, command
            if command.account.state == SLOT_RUNNING and command.exits_ns <= now_ns:
                command.exit()
                yield Event.EXITED, command
        self.alive = [command for command in self.alive if command.account.state != SLOT_EXITED]

    def _drawn(self, after_ns: int) -> Command:
        random = self._random
        born = after_ns + 1 + int(random.exponential(FORK_GAP_NS))
        executes = born + int(waits(random, self._script, 1)[0])
        exits = executes + 1 + int(random.exponential(RUN_NS))
        tid = FIRST_TID + self._number % (LAST_TID - FIRST_TID)
        self._number += 1
        name = NAMES[int(random.integers(len(NAMES)))]
        account = Account(tid, name, born, state=SLOT_RUNNABLE, since_ns=born)
        return Command(account, executes, exits)
