"""Where the wall time went: against what the measured programs know of themselves.

The test's own process is pinned to another CPU than the command: it would otherwise learn of things
up to a millisecond late, and keep the command from its CPU.
"""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroups import made, mounted
from fakes.checks import checks_of
from fakes.durations import now_ms
from fakes.needs import lacking
from fakes.proc import state
from fakes.program import PROGRAMS, program
from fakes.real_agent import RealAgent, hooks
from fakes.waiting import eventually

from agent.model import TIMINGS
from agent.sections.offcpu.layout import WALL_THREAD_TRIES, WALL_THREADS
from agent.words import Json

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

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
READING_MS = 0.1
"""A call of time.sleep(), and of what reads the clock around it, without the sleep."""
ATTEMPTS = 5
BY_CLOCK, *OTHERS = TIMINGS
EACH_TIMING = [BY_CLOCK, *(pytest.param(t, marks=pytest.mark.thorough) for t in OTHERS)]
STATES = ("computing", "waiting_for_cpu", "blocked", "stopped", "no_task", "unknown")
CHECKS = ("wall_sum", "wall_tasks", "wall_states", "wall_unseen")
PYTHON = [sys.executable, "-ISE"]


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """Pin this process, and let it have its CPU whenever it wants; its children are as others."""
    before = os.sched_getaffinity(0)
    if not before >= OURS | THEIRS:
        lacking("two CPUs")
    os.sched_setaffinity(0, OURS)
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.sched_setaffinity(0, before)


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
        """With timing by the clock, what the scheduler counts otherwise is known, and is all."""
        by_clock = self.evidence["manifest"]["timing"] == "clock"
        return 0 if by_clock else UNEXPLAINED_MS * float(self.wall["changes"])

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
    to wait for a CPU, or if another task got the CPU between what tells its parent of its end
    (exit_notify()) and its last switch.
    """
    for _ in range(ATTEMPTS):
        child = Held(command, on)
        with agent.run(scope={"pid": child.pid}, **body) as run:
            aside = threading.Thread(target=meanwhile, args=(child.pid,))
            aside.start()
            seen = child.run()
            aside.join()
        done = Measured(run.evidence, *seen)
        seen_whole = done.wall["available"] and not done.wall["unseen"]
        if seen_whole and -SUM_WITHIN_MS < done.execing_ms < EXEC_MS:
            break
    sound(run.evidence)
    assert (done.wall["began"], done.wall["ended"]) == ("exec", "exit")
    assert done.wall["wall_ms"] < done.wall_ms + SUM_WITHIN_MS
    assert done.execing_ms < EXEC_MS + done.waited_ms
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
    assert of == pytest.approx(wall["for_busy_cpu_ms"], abs=1e-3)
    # a wait whose end went unseen is in no sum; before the exec there may be one much longer
    longest_ms = (evidence["runqlat"]["max_us"] or 0) / 1e3
    missed_ms = wall["before_ms"] + wall["unseen"] * longest_ms if wall["unseen"] else 0.0
    for row in (*wall["by_thread"]["top"], *wall["by_command"]["top"]):
        adds_up(row, missed_ms)


PARTS = ("on_cpu_ms", "waiting_ms", "blocked_ms", "stopped_ms")


def adds_up(row: Json, missed_ms: float) -> None:
    """Check that a thread's time is divided without rest, or a command's that of each thread.

    ``missed_ms``: for how long it may have waited for a CPU without that being noticed.
    """
    assert sum(row[part] for part in PARTS) + row["unaccounted_ms"] == pytest.approx(
        row["lifetime_ms"], abs=1e-3
    )
    apart = WITHIN * row["lifetime_ms"] + AT_LEAST_MS * row.get("threads", 1)
    assert -apart <= row["unaccounted_ms"] <= apart + missed_ms
    of = sum(reason["ms"] for reason in row["blocked_in"]) + row["blocked_other_ms"]
    assert of == pytest.approx(row["blocked_ms"], abs=1e-3)


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_computing_sleeping_and_waiting_for_the_disk(
    agent: RealAgent, tmp_path: Path, timing: str
) -> None:
    done, facts = known(agent, "phases", tmp_path, timing=timing)
    on_cpu_or_waiting = done.ms("computing") + done.ms("waiting_for_cpu")
    done.close(on_cpu_or_waiting - done.waking_ms, done.computed_ms + done.waiting_ms)
    if timing == "clock":
        done.close(done.ms("computing"), done.computed_ms)
    assert done.wall["cpu_ms"] == done.ms("computing")
    assert done.wall["at_once"] == pytest.approx(1, abs=WITHIN)
    assert done.ms("stopped") == 0
    same_for_its_thread(done, timing)
    in_calls = {reason["reason"]: reason["ms"] for reason in done.threads[0]["blocked_in"]}
    # a timer never fires early; what follows it, the program takes for its sleep
    slept = in_calls["clock_nanosleep"]
    assert facts["wanted_ms"] - SUM_WITHIN_MS < slept < facts["slept_ms"] + SUM_WITHIN_MS
    assert 0 < in_calls["fsync"] < facts["synced_ms"] + SUM_WITHIN_MS
    named = in_calls["clock_nanosleep"] + in_calls["fsync"]
    if timing == "clock":
        # the rest of what all were blocked: starting the interpreter
        assert named < done.ms("blocked") + done.waking_ms + AT_LEAST_MS


def same_for_its_thread(done: Measured, timing: str) -> None:
    """Of a command with one thread: what that did is what the wall time has.

    It was stopped until the exec, and ran on a CPU from its release on. Accounting takes a wait for
    an idle CPU to wake up for a part of the sleep.
    """
    assert done.wall["by_thread"]["threads"] == 1
    (thread,) = done.threads
    (command,) = done.wall["by_command"]["top"]
    assert all(command[part] == thread[part] for part in PARTS)
    computed = thread["on_cpu_ms"] + thread["waiting_ms"]
    before = thread["stopped_ms"]
    assert before < done.wall["before_ms"] + AT_LEAST_MS
    longer = done.wall["before_ms"] - before + AT_LEAST_MS
    ours = done.ms("computing") + done.ms("waiting_for_cpu") - done.waking_ms
    least = done.ms("computing") if timing == "accounting" else ours
    assert least * (1 - WITHIN) - AT_LEAST_MS < computed < ours * (1 + WITHIN) + longer
    if timing == "clock":
        done.close(done.ms("blocked") + done.waking_ms, thread["blocked_ms"])


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_another_program_on_the_same_cpu(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    loop = "open('/proc/self/comm', 'w').write('rival')\nwhile True: pass"
    with subprocess.Popen([*PYTHON, "-c", loop]) as other:
        os.sched_setaffinity(other.pid, THEIRS)
        try:
            done, _ = known(agent, "loop", tmp_path, timing=timing)
        finally:
            other.kill()
    on_cpu_or_waiting = done.ms("computing") + done.ms("waiting_for_cpu")
    done.close(on_cpu_or_waiting, done.computed_ms + done.waiting_ms)
    done.close(done.ms("waiting_for_cpu"), done.waiting_ms)
    assert done.ms("waiting_for_cpu") > 0.5 * done.ms("computing"), "they took turns"
    busy = done.wall["for_busy_cpu_ms"]
    assert busy == pytest.approx(done.ms("waiting_for_cpu"), rel=WITHIN, abs=AT_LEAST_MS)
    assert done.ms("blocked") < AT_LEAST_MS + 0.1 * done.ms("computing")
    had_it = {row["command"]: row for row in done.wall["for_busy_cpu_of"]}
    assert done.wall["for_busy_cpu_other_ms"] < 0.1 * busy
    # whatever else ran on that CPU had it as well
    assert had_it["rival"]["ms"] > 0


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_pool_of_threads(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    """All sleep for as long as the union of their own logs leaves."""
    done, facts = known(agent, "pool", tmp_path, timing=timing)
    blocked, waiting, asleep = done.ms("blocked"), done.ms("waiting_for_cpu"), facts["all_slept_ms"]
    # the logs take for sleep what follows it, until the thread is on a CPU and reads the clock
    until_read = facts["sleeps"] * READING_MS
    assert blocked < asleep * 1.02 + AT_LEAST_MS
    assert blocked + waiting > asleep * 0.98 - AT_LEAST_MS - until_read
    # the first waits for the others, which sleep one by one for longer than all do together
    assert done.wall["by_thread"]["threads"] == len(done.threads) == facts["threads"] + 1
    first, *others = done.threads
    assert first["blocked_in"][0]["reason"] == "futex"
    for other, slept in zip(
        sorted(others, key=lambda row: row["tid"]), facts["slept_ms"], strict=True
    ):
        assert other["blocked_in"][0]["reason"] == "clock_nanosleep"
        # awake again, it waits for a CPU and, in a futex, for the interpreter, before it knows that
        after = other["waiting_ms"] + other["blocked_ms"] + facts["rounds"] * READING_MS
        assert other["blocked_in"][0]["ms"] < slept < after + AT_LEAST_MS


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_pipeline(agent: RealAgent, timing: str) -> None:
    """On one CPU the programs compute one after the other, and sleep when both do."""
    source = "for i in $(seq 40); do sleep 0.01; echo $i; done"
    pipe = f"({source}) | sort -n | wc -l >/dev/null"
    done = measured(agent, "/bin/sh", "-c", pipe, timing=timing)
    assert done.wall["cpu_ms"] == done.ms("computing")
    assert done.ms("blocked") + done.ms("waiting_for_cpu") > 400 * 0.9
    if timing == "clock":
        done.close_with_exits(done.ms("computing"))


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_twenty_commands(agent: RealAgent, timing: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.01; done"
    done = measured(agent, "/bin/sh", "-c", script, timing=timing)
    # a child may sleep before the shell waits for it: if that has no CPU then, it is the state
    assert done.ms("blocked") + done.ms("waiting_for_cpu") > 200 - SUM_WITHIN_MS
    slept, shell = done.command("sleep"), done.command("sh")
    assert (slept["threads"], shell["threads"]) == (20, 1)
    assert slept["blocked_in"][0]["reason"] == "clock_nanosleep"
    assert 200 - SUM_WITHIN_MS < slept["blocked_in"][0]["ms"] < slept["lifetime_ms"]
    assert shell["blocked_in"][0]["reason"] == "wait4"
    # a shell waits for each of them from before it lives until after
    assert shell["lifetime_ms"] > slept["lifetime_ms"]
    if timing == "clock":
        done.close_with_exits(done.ms("computing"))


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_second_stopped(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    def go_on(pid: int) -> None:
        eventually(lambda: state(pid) != "T")
        eventually(lambda: state(pid) == "T")
        time.sleep(1.0)
        os.kill(pid, signal.SIGCONT)

    done, facts = known(agent, "stop", tmp_path, meanwhile=go_on, timing=timing)
    assert facts["stopped_ms"] >= 1000
    # it learns of the end when it is on a CPU again
    least = facts["stopped_ms"] * (1 - WITHIN) - done.ms("waiting_for_cpu")
    assert least < done.ms("stopped") < facts["stopped_ms"] + AT_LEAST_MS
    (thread,) = done.threads
    edge = done.wall["before_ms"]
    assert done.ms("stopped") <= thread["stopped_ms"] < done.ms("stopped") + edge + AT_LEAST_MS


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_it_ends_with_the_last_thread(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    done, _ = known(agent, "leader", tmp_path, timing=timing)
    assert done.ms("blocked") + done.ms("waiting_for_cpu") > 195


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_metrics_follow_a_run_in_progress(agent: RealAgent, timing: str) -> None:
    scenario = f"wall-{timing}-{time.monotonic_ns()}"
    shown = re.compile(
        rf'^chainbench_wall_seconds_total{{.*{scenario}.*state="blocked".*}} (\S+)$',
        re.MULTILINE,
    )
    asleep: list[float] = []

    def look(pid: int) -> None:
        eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        for _ in range(2):
            time.sleep(0.2)
            asleep.extend(map(float, shown.findall(agent.metrics())))

    done = measured(agent, "/bin/sleep", "0.6", meanwhile=look, timing=timing, scenario=scenario)
    # what was measured again counts on from the attempt before
    first, second = asleep[-2:]
    (last,) = map(float, shown.findall(agent.metrics()))
    before = last - done.ms("blocked") / 1000
    assert before == pytest.approx(0.6 * (len(asleep) // 2 - 1), abs=0.05)
    assert before + 0.1 < first < second - 0.1 < last - 0.1


EXEC_IN_A_THREAD = """
import os, threading, time

def other():
    time.sleep(0.2)
    os.execv("/bin/sleep", ["sleep", "0.1"])

threading.Thread(target=other).start()
time.sleep(9)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_thread_that_executes_keeps_its_budget(agent: RealAgent, timing: str) -> None:
    """It has its leader's id from then on, and a new name."""
    child = Held([*PYTHON, "-c", EXEC_IN_A_THREAD], THEIRS)
    with agent.run(scope={"pid": child.pid}, timing=timing) as run:
        child.run()
    sound(run.evidence)
    done = Measured(run.evidence, 0, 0, 0)
    row = done.command("sleep")
    assert row["threads"] == 1
    assert child.pid in [thread["tid"] for thread in done.threads]
    assert row["blocked_in"][0]["reason"] == "clock_nanosleep"
    assert 299 - row["waiting_ms"] < row["blocked_in"][0]["ms"] < row["lifetime_ms"]
    assert done.wall["by_thread"]["threads"] == 2


NS_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
SHARING = 6
"""Children whose ids are all below 32,768, which the largest one is at least."""


@pytest.mark.thorough
def test_threads_that_find_no_place_are_counted(agent: RealAgent) -> None:
    """Living threads whose ids are WALL_THREADS apart begin at the same place of the table."""
    if not NS_LAST_PID.exists():
        lacking("ns_last_pid (CONFIG_CHECKPOINT_RESTORE)")
    ids = [WALL_THREADS * (n + 2) for n in range(SHARING)]
    children = "; ".join(f"echo {before} >{NS_LAST_PID}; sleep 0.3 & :" for before in ids)
    last = NS_LAST_PID.read_text()
    try:
        for _ in range(ATTEMPTS):
            done = measured(agent, "/bin/sh", "-c", f"{children}; wait")
            # an id that is taken is left out, and then two children may have different places
            if without := done.wall["by_thread"]["without_reasons"]:
                break
    finally:
        NS_LAST_PID.write_text(last)
    assert 1 <= without <= SHARING - WALL_THREAD_TRIES
    slept = done.command("sleep")
    assert slept["threads"] == SHARING
    named = sum(reason["ms"] for reason in slept["blocked_in"])
    assert named == pytest.approx(slept["blocked_ms"] * (1 - without / SHARING), rel=0.05)


PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PTRACE_O_TRACEEXEC = 0x10
HOLD_FOR_A_TRACER = """
import os, sys
os.write(1, b".")
os.read(0, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


def traced(pid: int, call: int, option: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(call, pid, None, option) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def seen_from_outside(agent: RealAgent, timing: str, *command: str) -> tuple[Any, float]:
    """Return the wall time of a command, and how long it took for its parent, in ms.

    A traced process stops in its exec right after the agent's program runs there.
    """
    holding = [*PYTHON, "-c", HOLD_FOR_A_TRACER, *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(holding, stdin=pipe, stdout=pipe) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        os.sched_setaffinity(child.pid, THEIRS)
        child.stdout.read(1)  # its own exec is over
        traced(child.pid, PTRACE_SEIZE, PTRACE_O_TRACEEXEC)
        with agent.run(scope={"pid": child.pid}, timing=timing) as run:
            child.stdin.write(b".")
            child.stdin.flush()
            os.waitpid(child.pid, 0)
            began = time.monotonic_ns()
            traced(child.pid, PTRACE_DETACH, 0)
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            took = time.monotonic_ns() - began
    sound(run.evidence)
    wall = run.evidence["wall"]
    assert (wall["began"], wall["ended"]) == ("exec", "exit")
    return wall, took / 1e6


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_it_is_as_long_as_seen_from_outside(agent: RealAgent, timing: str) -> None:
    """Whoever else delays one of them, both learn of the beginning and of the end at once."""
    longer = []
    for _ in range(11):
        wall, took = seen_from_outside(agent, timing, "/bin/sleep", "0.05")
        assert wall["wall_ms"] > 50
        longer.append(wall["wall_ms"] - took)
    assert abs(sorted(longer)[5]) < SUM_WITHIN_MS, longer


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_two_at_once(agent: RealAgent, timing: str) -> None:
    """Two loops on two CPUs: twice the CPU time in a second of computing."""
    loop = "x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done"
    both = " & ".join(f"taskset -c {cpu} sh -c '{loop}'" for cpu in (0, 1))
    done = measured(agent, "/bin/sh", "-c", f"{both}; wait", on={0, 1}, timing=timing)
    assert 1.05 < done.wall["at_once"] <= 2
    done.close_with_exits(done.wall["cpu_ms"])


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_a_wakeup_on_its_way_to_another_cpu_is_a_wait(
    agent: RealAgent, timing: str, tmp_path: Path
) -> None:
    """Two processes wake each other on two CPUs: none is blocked but by the other's wakeups.

    A CPU that is idle takes many times longer to wake up than the processes compute.
    """
    options = {"on": {0, 1}, "timing": timing}
    done, _ = known(agent, "across", tmp_path, **options, details=["waking"])
    without, _ = known(agent, "across", tmp_path, **options)
    assert without.wall["waking_ms"] is None
    if 2 * done.wall["for_idle_cpu_ms"] > done.ms("waiting_for_cpu"):  # else others had the CPUs
        assert without.ms("blocked") > 5 * done.ms("blocked")
    blocked = sum(row["ms"] for row in done.wall["blocked_until"] if row["reason"] == "read")
    assert blocked < WITHIN * done.wall["wall_ms"]
    assert done.ms("waiting_for_cpu") > 10 * blocked


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_what_it_leaves_behind_is_not_its_own(agent: RealAgent, timing: str) -> None:
    child = Held(["/bin/sh", "-c", "sleep 0.5 & sleep 0.1"], THEIRS)
    with agent.run(scope={"pid": child.pid}, timing=timing) as run:
        child.run()
        time.sleep(0.2)
    sound(run.evidence)
    wall = run.evidence["wall"]
    assert (wall["began"], wall["ended"]) == ("exec", "exit")
    assert 100 <= wall["wall_ms"] < 200
    assert wall["after_ms"] >= 200


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_process_that_executes_nothing(agent: RealAgent, timing: str) -> None:
    """Its wall time is the run's: it was asleep as that began, and still is at its stop."""
    with program("blocked") as blocked:
        os.sched_setaffinity(blocked.pid, THEIRS)
        for _ in range(ATTEMPTS):
            eventually(lambda: state(blocked.pid) == "S")
            before = schedstat(blocked.pid)
            with agent.run(scope=blocked.scope, timing=timing) as run:
                blocked.work("spin 0.2")
                slept = blocked.work("sleep 0.3")["ms"]
            cpu, waiting = (b - a for a, b in zip(before, schedstat(blocked.pid), strict=True))
            if not run.evidence["wall"]["unseen"]:
                break
    sound(run.evidence)
    wall = run.evidence["wall"]
    assert (wall["began"], wall["ended"]) == ("start", "stop")
    on, waited, off = (wall["states"][n]["ms"] for n in ("computing", "waiting_for_cpu", "blocked"))
    done = Measured(run.evidence, wall["wall_ms"], cpu, waiting)
    done.close(on + waited, done.computed_ms + done.waiting_ms)
    # what it takes for its sleep ends when it has a CPU again
    assert run.evidence["wall"]["by_thread"]["top"][0]["blocked_ms"] > 300 - SUM_WITHIN_MS
    assert off + waited > slept - SUM_WITHIN_MS


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_cgroup_that_is_empty_for_a_while(agent: RealAgent, timing: str) -> None:
    """A task counts from when it is moved there, asleep, until it is moved away, asleep."""
    mount = mounted("cgroup2")
    if mount is None:
        lacking("a hierarchy of cgroups v2")
    with (
        program("blocked") as blocked,
        made(mount) as path,
        agent.run(scope={"cgroup": f"/{path.name}"}, timing=timing) as run,
    ):
        time.sleep(0.2)
        times = [now_ms()]
        for group in (path, mount):
            (group / "cgroup.procs").write_text(str(blocked.pid))
            times.append(now_ms())
            time.sleep(0.3)
            times.append(now_ms())
    sound(run.evidence)
    states = run.evidence["wall"]["states"]
    entering, entered, leaving, left, _ = times
    assert leaving - entered - AT_LEAST_MS < states["blocked"]["ms"] < left - entering
    assert states["no_task"]["ms"] > 490
    assert run.evidence["wall"]["by_thread"]["threads"] == 0
    assert run.evidence["wall"]["by_thread"]["left"] == 1


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_many_tasks_and_switches(agent: RealAgent, timing: str) -> None:
    """A storm of short threads and processes on both CPUs leaves no drift behind."""
    script = "for i in $(seq 150); do (true | cat | true) & done; wait"
    done = measured(agent, "/bin/bash", "-c", script, on={0, 1}, timing=timing)
    done.close_with_exits(done.wall["cpu_ms"])


TURNS = 2_000


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_tasks_that_take_turns_leave_the_shared_word_alone(agent: RealAgent, timing: str) -> None:
    """A CPU that goes from one of them to another computes all the time, whoever it is."""
    module = (sys.executable, "-m", "agent.overhead.pingpong", str(TURNS))
    done = measured(agent, *module, timing=timing)
    assert done.evidence["runqlat"]["count"] > TURNS
    assert done.wall["changes"] < TURNS / 10


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_it_can_be_switched_off(agent: RealAgent, timing: str) -> None:
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, timing=timing, wall=False) as run,
    ):
        blocked.work("sleep 0.01")
    wall = run.evidence["wall"]
    assert not wall["available"]
    assert '"wall": false' in wall["reason"]
    if timing == "accounting":
        assert "sched_wakeup" not in hooks(run.evidence), "nothing of it is attached"


def test_where_there_is_none_it_says_why(agent: RealAgent) -> None:
    with agent.run() as whole:
        pass
    assert "whole machine" in whole.evidence["wall"]["reason"]
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, sections=["runqlat", "exec"]) as run,
    ):
        blocked.work("sleep 0.01")
    assert "offcpu" in run.evidence["wall"]["reason"]
