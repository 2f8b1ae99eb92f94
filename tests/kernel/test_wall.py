"""Where the wall time went: against what the measured programs know of themselves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import faults
from fakes.copied_package import Copy
from fakes.needs import lacking
from fakes.proc import state
from fakes.program import program
from fakes.real_agent import RealAgent, hooks
from fakes.waiting import eventually
from fakes.wall_times import (
    AT_LEAST_MS,
    ATTEMPTS,
    PARTS,
    PYTHON,
    SUM_WITHIN_MS,
    THEIRS,
    WITHIN,
    Held,
    Measured,
    known,
    measured,
)

from agent.model import TIMINGS
from agent.sections.offcpu.layout import WALL_THREAD_TRIES, WALL_THREADS

pytestmark = pytest.mark.usefixtures("as_from_a_shell", "apart")

READING_MS = 0.1
"""A call of time.sleep(), and of what reads the clock around it, without the sleep."""
BY_CLOCK, *OTHERS = TIMINGS
EACH_TIMING = [BY_CLOCK, *(pytest.param(t, marks=pytest.mark.thorough) for t in OTHERS)]


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
    within = SUM_WITHIN_MS + done.too_short_ms
    assert facts["wanted_ms"] - SUM_WITHIN_MS < slept < facts["slept_ms"] + within
    assert 0 < in_calls["fsync"] < facts["synced_ms"] + within
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
    least = least * (1 - WITHIN) - AT_LEAST_MS - done.too_short_ms
    assert least < computed < ours * (1 + WITHIN) + longer
    if timing == "clock":
        done.close(done.ms("blocked") + done.waking_ms, thread["blocked_ms"])


@contextmanager
def rival() -> Iterator[None]:
    loop = "open('/proc/self/comm', 'w').write('rival')\nwhile True: pass"
    with subprocess.Popen([*PYTHON, "-c", loop]) as other:
        os.sched_setaffinity(other.pid, THEIRS)
        try:
            yield
        finally:
            other.kill()


@pytest.mark.parametrize("timing", EACH_TIMING)
def test_another_program_on_the_same_cpu(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    with rival():
        done, _ = known(agent, "loop", tmp_path, timing=timing)
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
def test_nobody_had_the_cpu_for_a_turn_that_was_not_seen_to_begin(copy: Copy) -> None:
    """It is moved from waiting to computing, so what ended the wait ended that much less."""
    copy.inject(faults.in_c, "WALL_ARRIVALS_UNSEEN")
    loop = "import time\nwhile time.process_time() < 0.5: pass"
    with copy.launched() as agent, rival():
        agent.settle()
        child = Held([*PYTHON, "-c", loop], THEIRS)
        with agent.run(scope={"pid": child.pid}) as run:
            child.run()
    wall = run.evidence["wall"]
    assert wall["unseen"] > 0
    assert wall["for_busy_cpu_excess_ms"] < SUM_WITHIN_MS, wall
    assert wall["blocked_other_ms"] > -SUM_WITHIN_MS, wall


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_pool_of_threads(agent: RealAgent, tmp_path: Path, timing: str) -> None:
    """All sleep for as long as the union of their own logs leaves."""
    done, facts = known(agent, "pool", tmp_path, timing=timing)
    blocked, waiting, asleep = done.ms("blocked"), done.ms("waiting_for_cpu"), facts["all_slept_ms"]
    # the logs take for sleep what follows it, until the thread is on a CPU and reads the clock
    until_read = facts["sleeps"] * READING_MS
    assert blocked < asleep * 1.02 + AT_LEAST_MS + done.too_short_ms
    assert blocked + waiting > asleep * 0.98 - AT_LEAST_MS - until_read - done.stolen_ms
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
        assert other["blocked_in"][0]["ms"] < slept + done.too_short_ms
        assert slept < after + AT_LEAST_MS + done.stolen_ms


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
    least = facts["stopped_ms"] * (1 - WITHIN) - done.ms("waiting_for_cpu") - done.stolen_ms
    within = AT_LEAST_MS + done.too_short_ms
    assert least < done.ms("stopped") < facts["stopped_ms"] + within
    (thread,) = done.threads
    edge = done.wall["before_ms"]
    assert done.ms("stopped") <= thread["stopped_ms"] < done.ms("stopped") + edge + within


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
            time.sleep(0.3)
            asleep.extend(map(float, shown.findall(agent.metrics())))

    done = measured(agent, "/bin/sleep", "1.5", meanwhile=look, timing=timing, scenario=scenario)
    # what was measured again counts on from the attempt before
    first, second = asleep[-2:]
    (last,) = map(float, shown.findall(agent.metrics()))
    before = last - done.ms("blocked") / 1000
    assert before == pytest.approx(1.5 * (len(asleep) // 2 - 1), abs=0.05)
    assert before + 0.1 < first < second - 0.1 < last - 0.1


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


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_two_at_once(agent: RealAgent, timing: str) -> None:
    """Two loops on two CPUs: twice the CPU time in a second of computing."""
    loop = "x=0; while [ $x -lt 200000 ]; do x=$((x+1)); done"
    both = " & ".join(f"taskset -c {cpu} sh -c '{loop}'" for cpu in (0, 1))
    done = measured(agent, "/bin/sh", "-c", f"{both}; wait", on={0, 1}, timing=timing)
    assert 1 < done.wall["at_once"] <= 2, "others may have had one of the CPUs nearly all the time"
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
