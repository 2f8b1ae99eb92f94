"""Whose wall time it is, and from when to when: the first exec, and the end of the last thread."""

import ctypes
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroups import made, mounted
from fakes.durations import now_ms
from fakes.needs import lacking
from fakes.proc import state
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually
from fakes.wall_times import (
    AT_LEAST_MS,
    ATTEMPTS,
    PYTHON,
    SUM_WITHIN_MS,
    THEIRS,
    Held,
    Measured,
    known,
    schedstat,
    sound,
)

from agent.model import TIMINGS

pytestmark = pytest.mark.usefixtures("as_from_a_shell", "apart")


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_it_ends_with_the_last_thread(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    done, _ = known(agent, "leader", tmp_path, timing=timing)
    assert done.ms("blocked") + done.ms("waiting_for_cpu") > 195


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
    assert off + waited > slept - SUM_WITHIN_MS - done.stolen_ms


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
