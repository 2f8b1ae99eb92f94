"""Our waits compared with the scheduler's own accounting: within 1 % or 1 µs per wait, by task.

The scheduler's accounting is exact only by its own definition. Each test here runs either a load
for which it is off by more than the bound, for a reason that is determined wait by wait, or an
agent with wrong figures.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import faults
from fakes.checks import checks_of, is_wrong, of_a_tree, stolen_ms, unexplained, unseen
from fakes.copied_package import Copy
from fakes.needs import needs_delayed_dequeues, needs_two_cpus
from fakes.proc import arrivals, state
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.evidence.accounts import NS_PER_SWITCH, RELATIVE_BOUND
from agent.words import Json

TURNS, REMOTE_TURNS, WRITES = 5_000, 5_000, 500
HACKBENCH = ("-g", "4", "-l", "300")
CROWD = ("--switch", "2", "--mutex", "2", "--timeout", "1", "--quiet")
ATTEMPTS, REPEATED = 20, 5
STARVED_SECONDS, STARVING_WITHIN_SECONDS = 2**32 / 1e9 + 0.5, 120.0
CPU_RUNS, CPU_RUNS_WITHIN = 15, 7


def of_players(agent: RealAgent, **body: Any) -> Json:
    with (
        program("pingpong", TURNS) as players,
        agent.run(scope=players.scope, **body) as run,
    ):
        players.work()
    return run.evidence


def assert_within_the_bound(evidence: Json) -> None:
    """Assert that the total, and each task by itself, is within the bound."""
    checks = checks_of(evidence)
    tasks, waits = checks["tasks_with_run_queue_wait"], checks["run_queue_wait"]
    assert tasks["pass"], evidence["checks"]
    allowed = waits["kernel"] * RELATIVE_BOUND, evidence["runqlat"]["count"] * NS_PER_SWITCH
    left = abs(waits["ours"] + waits["explained"] - waits["kernel"])
    assert left <= max(allowed) + waits["stolen"]


@pytest.mark.thorough
def test_with_real_queueing_there_is_next_to_nothing_to_explain(
    agent: RealAgent, tool: Any
) -> None:
    evidence = of_a_tree(agent, tool("hackbench"), *HACKBENCH)
    assert_within_the_bound(evidence)
    check = checks_of(evidence)["run_queue_wait"]
    assert abs(check["explained"]) < 0.005 * check["kernel"]
    assert abs(check["ours"] - check["kernel"]) < RELATIVE_BOUND * check["kernel"] + check["stolen"]


@pytest.mark.thorough
@pytest.mark.parametrize("sections", [["runqlat"], ["runqlat", "offcpu"]], ids="+".join)
def test_short_waits_are_explained_one_by_one(agent: RealAgent, sections: list[str]) -> None:
    """Each wait takes 1 to 3 µs; the scheduler's figure is up to 10 % lower.

    The unexplained rest was within 0.01 % in all of 60 runs.
    """
    checks = [
        checks_of(of_players(agent, sections=sections))["run_queue_wait"] for _ in range(REPEATED)
    ]
    assert min(check["ours"] for check in checks) > TURNS * 500
    assert max(map(unexplained, checks)) < RELATIVE_BOUND


@pytest.mark.thorough
def test_on_a_kernel_without_casts_as_well(copy: Copy) -> None:
    copy.inject(faults.kernel_lacks, "bpf_rdonly_cast")
    with copy.launched() as agent:
        agent.settle()
        assert unexplained(checks_of(of_players(agent))["run_queue_wait"]) < 0.01


@pytest.mark.thorough
def test_where_a_task_does_not_lead_to_its_run_queue_nothing_is_explained(copy: Copy) -> None:
    """Simulate a kernel without CONFIG_FAIR_GROUP_SCHED."""
    copy.inject(faults.kernel_lacks, "cfs_rq.rq")
    with copy.launched() as agent:
        agent.settle()
        check = checks_of(of_players(agent))["run_queue_wait"]
        assert check["explained"] == 0
        assert check["ours"] > TURNS * 500


def test_waits_for_a_disk_on_a_cpu_that_idles(agent: RealAgent, tool: Any, tmp_path: Path) -> None:
    """The scheduler's clock may not advance during such a wait, which then counts as zero."""
    file = f"of={tmp_path / 'written'}"
    dd = (tool("dd"), "if=/dev/zero", file, "bs=4k", f"count={WRITES}", "oflag=dsync")
    evidence = of_a_tree(agent, *dd, "status=none")
    assert evidence["runqlat"]["count"] >= WRITES
    assert_within_the_bound(evidence)
    cpu = checks_of(evidence)["cpu_time"]
    assert cpu["pass"], cpu


COUNTED = 100_000


def counting(turns: int) -> str:
    return f"i=0; while [ $i -lt {turns} ]; do i=$((i+1)); done"


def cpu_ns(*command: str) -> float:
    """Return how much CPU time a command takes on this machine."""
    _, _, usage = os.wait4(os.posix_spawn(command[0], command, os.environ), 0)
    return (usage.ru_utime + usage.ru_stime) * 1e9


@pytest.mark.thorough
def test_cpu_time_of_a_task_that_has_exited(agent: RealAgent) -> None:
    """The scheduler updates it at each tick: up to 4 ms at 250 Hz would be missing.

    The task runs for some 50 ms, so one run in eight would be within the bound by chance. On a
    virtual machine with shared CPUs, 23 of 30 runs were within the bound and the rest up to 9 %
    off. The test requires seven of 15.
    """
    # a fixed number of turns: a loop that reads its CPU time has the scheduler update it
    turns = int(COUNTED * 50e6 / cpu_ns("/bin/sh", "-c", counting(COUNTED)))
    runs = [of_a_tree(agent, "/bin/sh", "-c", counting(turns)) for _ in range(CPU_RUNS)]
    # a task with unseen switches is not compared
    compared = [checks_of(run)["cpu_time"] for run in runs if not unseen(run)]
    assert compared
    assert min(check["kernel"] for check in compared) > 20e6
    within = sum(unexplained(check) < RELATIVE_BOUND for check in compared)
    assert within >= CPU_RUNS_WITHIN / CPU_RUNS * len(compared), compared


@pytest.mark.thorough
def test_programs_of_other_tracers_are_no_error_of_ours(copy: Copy) -> None:
    """They run between the scheduler's date of a switch and ours: here for 10 µs."""
    copy.inject(faults.in_c, "OTHER_TRACERS")
    with copy.launched() as agent:
        agent.settle()
        check = checks_of(of_players(agent))["cpu_time"]
    assert check["pass"], check["text"]
    assert unexplained(check) < 0.001


@pytest.mark.thorough
def test_a_command_whose_only_turn_was_not_seen_to_begin(copy: Copy) -> None:
    """Its time was in no state, and `lifetimes` failed."""
    copy.inject(faults.in_c, "ARRIVALS_UNSEEN")
    storm = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"
    with copy.launched() as agent:
        agent.settle()
        evidence = of_a_tree(agent, "/bin/sh", "-c", storm)
    assert unseen(evidence) > 10
    check = checks_of(evidence)["lifetimes"]
    assert check["pass"], check["text"]
    assert abs(check["unexplained"]) < 1_000


def until_starved(pid: int) -> None:
    """Wait until a runnable task has had no CPU for long.

    How soon that begins depends on when the task that takes its CPU has started, and on what else
    runs there.
    """
    seen, since = "", 0.0

    def is_starved() -> bool:
        nonlocal seen, since
        # its time on a CPU and its arrivals there: neither changes while it waits
        now, account = time.monotonic(), Path(f"/proc/{pid}/schedstat").read_text()
        if account != seen or state(pid) != "R":
            seen, since = account, now
        return now - since > STARVED_SECONDS

    eventually(is_starved, STARVING_WITHIN_SECONDS)


@pytest.mark.thorough
@needs_two_cpus
def test_a_wait_of_many_seconds_that_is_accounted_in_parts(agent: RealAgent) -> None:
    """A task that gets no CPU is moved to another one: 32 bits of ns would be full by then."""
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    spin = "sh -c 'while :; do :; done'"
    hog, starved = f"nice -n -20 taskset -c {last} {spin}", f"taskset -c {last} chrt -i 0 {spin}"
    with program("launch", "/bin/sh", "-c", f"{hog} & exec {starved}") as launcher:
        with agent.run(scope=launcher.scope) as run:
            pid = launcher.work()["pid"]
            try:
                until_starved(pid)
                before = arrivals(pid)
                os.sched_setaffinity(pid, {first})
                eventually(lambda: arrivals(pid) > before, STARVING_WITHIN_SECONDS)
            except BaseException:
                os.killpg(pid, signal.SIGKILL)
                raise
        os.killpg(pid, signal.SIGKILL)
        launcher.hear()
    check = checks_of(run.evidence)["run_queue_wait"]
    assert run.evidence["runqlat"]["max_us"] > 2**32 / 1e3
    assert check["pass"], check["text"]


@needs_two_cpus
def test_waits_that_begin_on_another_cpu(agent: RealAgent) -> None:
    """sched_wakeup fires after that CPU was sent an interrupt: 6 µs on a nested virtual machine."""
    with program("pingpong", REMOTE_TURNS) as players:
        other = max(os.sched_getaffinity(0))
        os.sched_setaffinity(players.ready["tids"][1], {other})
        # an idle CPU would be left to do its own wakeups (ttwu_queue_wakelist())
        with busy(other), agent.run(scope=players.scope) as run:
            players.work()
    assert run.evidence["runqlat"]["count"] > REMOTE_TURNS
    assert_within_the_bound(run.evidence)
    assert checks_of(run.evidence)["cpu_time"]["pass"]


@contextmanager
def busy(cpu: int) -> Iterator[None]:
    spin = f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as process:
        try:
            yield
        finally:
            process.kill()


@needs_delayed_dequeues
@needs_two_cpus
def test_sleeps_that_the_scheduler_takes_for_waits(agent: RealAgent, tool: Any) -> None:
    """A task that goes to sleep may be moved to another CPU before it leaves the run queue.

    8 of 15 runs had enough such sleeps. Every run must be within the bound.
    """
    crowd = (tool("stress-ng"), *CROWD)
    for _ in range(ATTEMPTS):
        check = checks_of(of_a_tree(agent, *crowd))["run_queue_wait"]
        assert unexplained(check) < RELATIVE_BOUND, check
        if check["explained"] > 0.01 * check["ours"]:
            break
    else:
        pytest.fail(f"no such sleeps in {ATTEMPTS} runs")


@pytest.mark.thorough
@pytest.mark.parametrize("events", ["arrivals", "wakeups"])
@pytest.mark.parametrize("sections", [["runqlat"], ["runqlat", "offcpu"]], ids="+".join)
def test_tasks_with_unseen_switches_are_compared_as_well(
    copy: Copy, tool: Any, sections: list[str], events: str
) -> None:
    """A kernel may run no program for some events: those of process 1, here one in twenty."""
    copy.inject(faults.in_c, f"{events.upper()}_UNSEEN")
    if events == "wakeups":
        copy.inject(faults.runs_instead, "on_sched_wakeup", "on_some_sched_wakeups")
    with copy.launched() as agent:
        agent.settle()
        evidence = of_a_tree(agent, tool("hackbench"), *HACKBENCH, sections=sections)
    completeness, checks = evidence["completeness"], checks_of(evidence)
    assert unseen(evidence) > 0.02 * evidence["runqlat"]["count"]
    assert checks["tasks_with_run_queue_wait"]["kernel"] > 100
    assert checks["tasks_with_run_queue_wait"]["pass"], evidence["checks"]
    assert unexplained(checks["run_queue_wait"]) < 0.01
    if "offcpu" in sections:
        assert checks["cpu_time"]["kernel"] > 0
        assert checks["cpu_time"]["pass"], checks["cpu_time"]
    # The evidence still reports that switches were missed.
    assert "unseen" in {reason.partition(":")[0] for reason in completeness["reasons"]}


# --- an agent with wrong figures


@pytest.mark.thorough
@pytest.mark.parametrize(
    "fault",
    ["WAKEUPS_TOO_EARLY", "WAITS_MISSED", "WAITS_TOO_LONG"],
    ids=["0.5 ms too early", "one in twenty missed", "a tenth too long"],
)
def test_waits_that_are_wrong_are_found(copy: Copy, tool: Any, fault: str) -> None:
    copy.inject(faults.in_c, fault)
    with copy.launched() as agent:
        agent.settle()
        evidence = of_a_tree(agent, tool("hackbench"), *HACKBENCH)
    if stolen_ms(evidence):
        # as much may be wrong with each task because of that; not so in the sum
        assert is_wrong(evidence, "run_queue_wait"), evidence["checks"]
        return
    assert not checks_of(evidence)["tasks_with_run_queue_wait"]["pass"]
    assert evidence["completeness"]["verdict"] == "degraded"


@pytest.mark.thorough
def test_a_kernel_that_accounts_otherwise_is_found(copy: Copy) -> None:
    """Waits are compared with what the scheduler is about to account, 5 µs less than it will."""
    copy.inject(faults.in_c, "CLOCK_RENEWED")
    with copy.launched() as agent:
        agent.settle()
        evidence = of_players(agent)
    assert is_wrong(evidence, "run_queue_wait")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "fault", ["TURNS_TOO_LONG", "TURNS_MISSED"], ids=["a tenth too long", "one in twenty missed"]
)
def test_cpu_time_that_is_wrong_is_found(copy: Copy, tool: Any, fault: str) -> None:
    copy.inject(faults.in_c, fault)
    with copy.launched() as agent:
        agent.settle()
        evidence = of_a_tree(agent, tool("hackbench"), *HACKBENCH)
    assert is_wrong(evidence, "cpu_time")


WRITER = (
    "import os, sys\n"
    "sys.stdin.read()\n"
    "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
    "for _ in range(8): os.write(fd, bytes(1 << 24))\n"
    "os.ftruncate(fd, 0)\n"
)
WAKER = "import time\nwhile True: time.sleep(0.0003)\n"


def test_a_wakeup_asks_for_a_switch_that_comes_later(agent: RealAgent, tmp_path: Path) -> None:
    """The scheduler dates the end of the turn by the wakeup: by up to a tenth it is shorter.

    A kernel that does not preempt itself goes on with the call that the task is in.
    """
    cpu = str(max(os.sched_getaffinity(0)))
    alone = ["taskset", "-c", cpu, sys.executable, "-ISc"]
    with subprocess.Popen([*alone, WAKER]) as waker:
        try:
            evidence = written_beside(agent, [*alone, WRITER, str(tmp_path / "file")])
        finally:
            waker.kill()
    check = checks_of(evidence)["cpu_time"]
    assert check["pass"], check["text"]


def written_beside(agent: RealAgent, command: list[str]) -> Json:
    with subprocess.Popen(command, stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        with agent.run(scope={"pid": writer.pid}) as run:
            writer.stdin.close()
            writer.wait()
    return run.evidence
