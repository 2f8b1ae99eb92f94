"""Commands that are held until an agent measures where their wall time goes."""

import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.checks import checks_of, stolen_ms, unseen
from fakes.durations import stolen_from_turns_ms
from fakes.program import PROGRAMS
from fakes.real_agent import RealAgent

from agent.words import Json

OURS, THEIRS = {0}, {1}
WITHIN, AT_LEAST_MS = 0.01, 1.0
SUM_WITHIN_MS = 0.1
"""By how much all of the wall time may be longer or shorter than seen from outside."""
UNEXPLAINED_MS = 0.005
"""With timing by accounting, per change: nobody says then what the scheduler counts otherwise.
It takes a wait for an idle CPU for CPU time, and some sleep for a wait: 2 to 6 µs a change measured
in `phases`, against 0.1 µs of the rest where the agent has that figure."""
EXEC_MS = 4.0
"""An exec takes one to two; a turn of another task on its CPU is longer."""
ATTEMPTS = 5
STATES = ("computing", "waiting_for_cpu", "blocked", "stopped", "no_task", "unknown")
CHECKS = ("wall_sum", "wall_tasks", "wall_states", "wall_unseen")
PYTHON = [sys.executable, "-ISE"]


@dataclass
class Measured:
    """A command that was measured from its exec to its end."""

    evidence: Json
    wall_ms: float
    """From just before its exec to when its parent knew of its end."""
    cpu_ms: float
    """CPU time since then, with that of its children, by the kernel's account."""
    waited_ms: float
    """For how long its first thread waited for a CPU since then, by the kernel's account."""

    @property
    def execing_ms(self) -> float:
        """Return how long the exec took, from the note before it to the event after it."""
        return self.wall_ms - float(self.wall["wall_ms"])

    def explained_ms(self, check: str) -> float:
        """Return what the scheduler's figure is known to have in excess of ours.

        Where its clock stands still while a task waits for an idle CPU to wake up, it counts that
        as CPU time of the task (docs/explanation/task-accounts.md).
        """
        return float(checks_of(self.evidence)[check]["explained"]) / 1e6

    @property
    def computed_ms(self) -> float:
        """Return the CPU time since the exec, as far as the scheduler is right about it."""
        return self.cpu_ms - self.execing_ms - self.explained_ms("cpu_time")

    @property
    def waiting_ms(self) -> float:
        """Return the wait of a command with one thread, as far as the scheduler is right."""
        return self.waited_ms - self.explained_ms("run_queue_wait")

    @property
    def in_last_turns_ms(self) -> float:
        """Return by how much the scheduler's CPU time may be too long in the tasks' last turns.

        A wait that it counted too short became CPU time, which is explained as the turn ends; a
        task's last turn has not when the task is reported.
        """
        return max(-self.explained_ms("run_queue_wait"), 0)

    @property
    def unexplained_ms(self) -> float:
        """With timing by the clock, what the scheduler counts otherwise is known, and is all.

        But it leaves out what a hypervisor took, and the clock does not.
        """
        if self.evidence["manifest"]["timing"] == "clock":
            return self.stolen_ms
        return UNEXPLAINED_MS * float(self.wall["changes"]) + self.stolen_ms

    @property
    def stolen_ms(self) -> float:
        return stolen_ms(self.evidence)

    @property
    def too_short_ms(self) -> float:
        """Return at most how much too short the turns are, and too long what follows them."""
        return stolen_from_turns_ms(self.evidence)

    def close(self, ours: float, theirs: float) -> None:
        """Assert that a figure agrees with one of the scheduler's."""
        apart = AT_LEAST_MS + self.unexplained_ms
        assert ours == pytest.approx(theirs, rel=WITHIN, abs=apart)

    def close_with_exits(self, ours: float) -> None:
        """Assert that a sum over tasks, of which most have exited, is their CPU time.

        If the exec had to wait for a CPU, not all of it was CPU time from before.
        """
        within = max(AT_LEAST_MS + self.unexplained_ms, WITHIN * self.computed_ms)
        more = ours - self.computed_ms
        assert -within - self.in_last_turns_ms < more < within + self.execing_ms

    @property
    def wall(self) -> Any:
        return self.evidence["wall"]

    def ms(self, name: str) -> float:
        return float(self.wall["states"][name]["ms"])

    @property
    def waking_ms(self) -> float:
        """Return for how long tasks waited that the scheduler and by_thread take for blocked."""
        return float(self.wall["waking_ms"] or 0)

    @property
    def threads(self) -> list[Json]:
        """The threads that lived longest, the longest first."""
        found: list[Json] = self.wall["by_thread"]["top"]
        return found

    def command(self, name: str) -> Json:
        """Return what the threads of one command did in sum."""
        (row,) = [row for row in self.wall["by_command"]["top"] if row["command"] == name]
        found: Json = row
        return found


HOLD = """
import os, signal, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CLOEXEC)
own = os.open("/proc/self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
os.kill(os.getpid(), signal.SIGSTOP)
waited = int(os.read(own, 100).split()[1])
os.write(file, b"%d %d %d" % (waited, time.process_time_ns(), time.monotonic_ns()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Held:
    """A process that has stopped itself, and executes a command when it is released.

    Just before that it notes what it has taken so far, which is not the command's.
    """

    def __init__(self, command: Sequence[str], on: set[int]) -> None:
        self._note = Path(f"/tmp/cba-held-{os.getpid()}")
        self._note.touch()
        holding = [*PYTHON, "-c", HOLD, str(self._note), *command]
        self.pid = os.posix_spawn(holding[0], holding, os.environ)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        os.sched_setaffinity(self.pid, on)

    def run(self) -> tuple[float, float, float]:
        """Release it; return the figures of `Measured`, in ms."""
        os.kill(self.pid, signal.SIGCONT)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        ended = time.monotonic_ns()
        _, all_waited = schedstat(self.pid)
        _, status, usage = os.wait4(self.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        waited, cpu, began = map(int, self._note.read_text().split())
        self._note.unlink()
        total = (usage.ru_utime + usage.ru_stime) * 1000
        return (ended - began) / 1e6, total - cpu / 1e6, all_waited - waited / 1e6


def schedstat(pid: int) -> tuple[float, float]:
    """Return CPU time and time waited for a CPU of a process's first thread, in ms."""
    cpu, waited, _ = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
    return cpu / 1e6, waited / 1e6


def measured(
    agent: RealAgent,
    *command: str,
    on: set[int] = THEIRS,
    meanwhile: Callable[[int], None] = lambda pid: None,
    **body: Any,
) -> Measured:
    """Run a command that is held until the agent measures it, pinned to CPUs.

    Again, if changes went unseen, as they do on some kernels while process 1 runs, if its exec had
    to wait for a CPU, or if another task, or another machine on this host, got the CPU between what
    tells its parent of its end (exit_notify()) and its last switch.
    """
    for _ in range(ATTEMPTS):
        child = Held(command, on)
        with agent.run(scope={"pid": child.pid}, **body) as run:
            aside = threading.Thread(target=meanwhile, args=(child.pid,))
            aside.start()
            seen = child.run()
            aside.join()
        done = Measured(run.evidence, *seen)
        seen_whole = done.wall["available"] and at_most_left_out_ms(run.evidence) < math.inf
        if seen_whole and -SUM_WITHIN_MS < done.execing_ms < EXEC_MS:
            break
    sound(run.evidence)
    assert (done.wall["began"], done.wall["ended"]) == ("exec", "exit")
    assert done.wall["wall_ms"] < done.wall_ms + SUM_WITHIN_MS + done.stolen_ms
    assert done.execing_ms < EXEC_MS + done.waited_ms + done.stolen_ms
    return done


def known(agent: RealAgent, way: str, folder: Path, **options: Any) -> tuple[Measured, Json]:
    """Run a way of programs/budget.py; return it with what it knows of itself."""
    file = folder / "facts"
    done = measured(agent, *PYTHON, str(PROGRAMS / "budget.py"), way, str(file), **options)
    return done, json.loads(file.read_text())


def sound(evidence: Json) -> None:
    """Check what holds in every run: the sum is exact, and the run's own checks pass."""
    wall = evidence["wall"]
    assert wall["available"], wall["reason"]
    assert tuple(wall["states"]) == STATES
    ns = [round(found["ms"] * 1e6) for found in wall["states"].values()]
    assert sum(ns) == round(wall["wall_ms"] * 1e6)
    assert all(ns_of >= 0 for ns_of in ns)
    for name in CHECKS:
        check = checks_of(evidence)[name]
        assert check["pass"], check
    edges = wall["before_ms"] + wall["wall_ms"] + wall["after_ms"]
    assert edges > evidence["duration_s"] * 1000 - AT_LEAST_MS
    # a run that ends with its tree ends as the last exit begins: the last switch may come later
    if wall["after_ms"]:
        assert edges < evidence["duration_s"] * 1000 + AT_LEAST_MS
    of = sum(row["ms"] for row in wall["for_busy_cpu_of"]) + wall["for_busy_cpu_other_ms"]
    of -= wall["for_busy_cpu_excess_ms"]
    assert of == pytest.approx(wall["for_busy_cpu_ms"], abs=1e-3)
    left_out_ms = at_most_left_out_ms(evidence)
    for row in (*wall["by_thread"]["top"], *wall["by_command"]["top"]):
        adds_up(row, left_out_ms)


def at_most_left_out_ms(evidence: Json) -> float:
    """Return how much of a thread's life may be in none of its parts.

    A wait or a turn whose beginning or end was not seen is in none, however long it was. The
    scheduler's account of CPU time leaves out what a hypervisor took of it, and so does timing by
    accounting.
    """
    if evidence["wall"]["unseen"] or unseen(evidence):
        return math.inf
    return stolen_from_turns_ms(evidence)


PARTS = ("on_cpu_ms", "waiting_ms", "blocked_ms", "stopped_ms")


def adds_up(row: Json, left_out_ms: float) -> None:
    """Check that a thread's time is divided without rest, or a command's that of each thread.

    ``left_out_ms``: how much of it may be in no part.
    """
    assert sum(row[part] for part in PARTS) + row["unaccounted_ms"] == pytest.approx(
        row["lifetime_ms"], abs=1e-3
    )
    apart = WITHIN * row["lifetime_ms"] + AT_LEAST_MS * row.get("threads", 1)
    assert -apart <= row["unaccounted_ms"] <= apart + left_out_ms, (apart, left_out_ms, row)
    of = sum(reason["ms"] for reason in row["blocked_in"]) + row["blocked_other_ms"]
    assert of == pytest.approx(row["blocked_ms"], abs=1e-3)
