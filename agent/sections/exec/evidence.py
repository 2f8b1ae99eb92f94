"""Execs: how many succeeded, by command, and how many failed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from agent.evidence.tasks import MAX_COMMANDS, OTHER, TaskTable
from agent.sections.fold import SectionFold, Taker
from agent.streams.collect.observed import Stopped
from agent.streams.collect.task_summaries import command
from agent.streams.drain.batches import Words
from agent.words import Json

EXEC_SYSCALLS = ("execve", "execveat")
TOP_COMMANDS = 10


class ExecFold(SectionFold):
    """Fold of 4-word events: thread ids, the command's name in two words, time (process.c)."""

    def __init__(self, scoped: bool, tasks: TaskTable) -> None:
        super().__init__(scoped, tasks)
        self.commands: Counter[str] = Counter()
        self.execs = 0

    def take(self, words: Words) -> None:
        events = words.reshape(-1, 4)
        self.execs += len(events)
        for comm in np.ascontiguousarray(events[:, 1:3]).view("S16").ravel().tolist():
            name = command(comm)
            if name not in self.commands and len(self.commands) >= MAX_COMMANDS:
                name = OTHER
            self.commands[name] += 1

    takes: ClassVar[Mapping[str, Taker]] = {"exec": take}

    def evidence(self, stopped: Stopped, armed: Sequence[str]) -> Json:
        observed = stopped.observed
        top = self.commands.most_common(TOP_COMMANDS)
        built: Json = {
            "exec_count": self.execs,
            "top_commands": [{"command": name, "count": count} for name, count in top],
            "other": self.execs - sum(count for _, count in top),
            "forks": observed.counters["forks"],
            "exits": observed.counters["exits"],
            "lost": observed.streams["exec"].lost,
        }
        if observed.exec_failures is not None:
            built["failures"] = dict(observed.exec_failures)
            built["failures_missed"] = observed.counters["execs_not_awaited"]
        if "syscall_counts" in armed:
            entered = sum(observed.syscalls.get(name, 0) for name in EXEC_SYSCALLS)
            built["attempts"] = entered + observed.counters["execs_refused"]
        return built
