"""A synthetic machine during one run: what its kernel counts, and what the programs would write."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import SeedSequence, default_rng

from agent.mock.batches import Batches
from agent.mock.cast import Part, cast
from agent.mock.commands import Command, Commands, Event
from agent.mock.disk import Disk
from agent.mock.memory import Tables
from agent.mock.scripts import Script
from agent.mock.softirqs import Softirqs
from agent.mock.tasks import Account, Step, Worker
from agent.streams.collect.task_summaries import SUMMARY_DTYPE, Summaries
from agent.streams.drain.batches import Words
from agent.streams.shared.kernel_counts import KernelCounts
from agent.streams.shared.layout import SLOT_EXITED
from agent.streams.shared.syscall_names import syscall_number

CPUS = 2
ONLINE = "0-1"


class Machine:
    """Lets time pass, and writes what the programs of a run's sections would."""

    def __init__(
        self,
        tables: Tables,
        batches: Batches,
        sections: Sequence[str],
        scoped: bool,
        script: Script,
        randomness: SeedSequence,
        start_ns: int,
    ) -> None:
        self.now_ns = start_ns
        self._tables = tables
        self._batches = batches
        self._sections = frozenset(sections)
        parts = tuple(cast(script, scoped))
        of_commands, of_disk, of_softirqs, *of_parts = map(
            default_rng, randomness.spawn(3 + len(parts))
        )
        self._workers = [
            Worker(_account(part, start_ns), part.habit, script, own)
            for part, own in zip(parts, of_parts, strict=True)
        ]
        self._commands = Commands(start_ns, script, of_commands)
        self._disk = Disk(start_ns, script, of_disk)
        self._softirqs = Softirqs(start_ns, of_softirqs)
        self._switches = self._forks = 0
        self.advance(start_ns)  # notes what each task is doing as the run begins

    def advance(self, now_ns: int) -> None:
        """Do everything that happens up to a time."""
        self.now_ns = now_ns
        for worker in self._workers:
            for step in worker.advance(now_ns):
                self._take_step(worker.account.tid % CPUS, step)
            self._note_state(worker.account)
        for event, command in self._commands.advance(now_ns):
            self._take_command(event, command)
            self._note_state(command.account)
        self._take_block_io(now_ns)
        if "softirq" in self._sections:
            for events in self._softirqs.advance(now_ns):
                self._batches.write(0, "softirq", events)

    def kernel_counts(self) -> KernelCounts:
        """Return what the synthetic kernel has counted since the start of the run."""
        return KernelCounts(self._switches, self._forks)

    def section_counts(self) -> dict[str, dict[str, int]]:
        """Return its counts by section, for the sections that are measured."""
        counts = {"biolatency": self._disk.figures(), "softirq": self._softirqs.counts()}
        return {name: found for name, found in counts.items() if name in self._sections}

    def summaries(self) -> Summaries:
        """Return the summaries of the tasks that are alive."""
        accounts = [worker.account for worker in self._workers]
        accounts += [command.account for command in self._commands.alive]
        return np.array([account.summary(self.now_ns) for account in accounts], SUMMARY_DTYPE)

    def _take_step(self, cpu: int, step: Step) -> None:
        self._switch(cpu, step.switches)
        self._write(cpu, "runqlat", step.wait_events)
        if "offcpu" in self._sections:
            for row, reason, ns, sleeps in step.blocked:
                blocked = self._tables.counters["blocked"][cpu, row, reason]
                blocked["ns"] += ns
                blocked["count"] += sleeps
        self._call(cpu, step.calls)

    def _take_command(self, event: Event, command: Command) -> None:
        cpu = command.account.tid % CPUS
        if event is Event.FORKED:
            self._forks += 1
            self._count(cpu, "forks", "all_forks")
            self._call(cpu, {"clone": 1})
        elif event is Event.EXECUTED:
            self._switch(cpu, 1)
            self._write(cpu, "runqlat", command.wait_event())
            self._write(cpu, "exec", command.exec_event())
            self._call(cpu, {"execve": 1})
        else:
            self._switch(cpu, 1)
            self._count(cpu, "exits")
            self._batches.write(cpu, "exit", command.exit_event())
            self._call(cpu, {"exit_group": 1})

    def _take_block_io(self, now_ns: int) -> None:
        if "biolatency" in self._sections:
            self._batches.write(0, "biolatency", self._disk.advance(now_ns))
            self._disk.fill(self._tables.requests)

    def _switch(self, cpu: int, count: int) -> None:
        self._switches += count
        self._batches.see_switches(cpu, count)

    def _write(self, cpu: int, section: str, events: Words) -> None:
        """Write events of a stream that has its section's name, if that is measured."""
        if section in self._sections:
            self._batches.write(cpu, section, events)

    def _count(self, cpu: int, *counters: str) -> None:
        for counter in counters:
            self._tables.counters[counter][cpu] += 1

    def _call(self, cpu: int, calls: Mapping[str, int]) -> None:
        """Count syscalls by name; without a table of names there is no number to count under."""
        if "syscall_counts" in self._sections:
            for name, count in calls.items():
                if (number := syscall_number(name)) is not None:
                    self._tables.counters["syscalls"][cpu, number] += count

    def _note_state(self, account: Account) -> None:
        slot = self._tables.slots[account.tid]
        if account.state == SLOT_EXITED:
            slot["tid"] = slot["tag"] = slot["since"] = 0
        else:
            slot["tid"], slot["tag"], slot["since"] = account.tid, account.tag, account.since_ns


def _account(part: Part, start_ns: int) -> Account:
    """Return the account of a task that lives as the run begins, asleep."""
    return Account(
        part.tid,
        part.command,
        start_ns,
        part.is_kernel_thread,
        is_primed=True,
        since_ns=start_ns,
    )
