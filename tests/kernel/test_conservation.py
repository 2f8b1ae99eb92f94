"""Our counts compared with the kernel's own accounting, for all kinds of loads."""

import json
import subprocess
from typing import Any

import pytest
from fakes import faults
from fakes.checks import assert_passed, checks_of, of_a_tree, unexplained
from fakes.copied_package import Copy
from fakes.disks import Disk
from fakes.program import program
from fakes.real_agent import RealAgent

from agent.words import Json

HACKBENCH = ("-g", "4", "-l", "1000")
DIRECT, SYNCED = 1_000, 300
LATE_SECONDS = 1.0

OF_THE_WALL_TIME = ("wall_sum", "wall_tasks", "wall_states", "wall_unseen")
OF_TASKS = (
    "context_switches",
    "forks",
    "run_queue_wait",
    "tasks_with_run_queue_wait",
    "lifetimes",
)


def of_the_machine(agent: RealAgent, *command: object) -> Json:
    with agent.run() as run:
        subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL)
    return run.evidence


# --- the whole machine


def test_switches_and_waits_of_the_whole_machine(agent: RealAgent, tool: Any) -> None:
    hackbench = tool("hackbench")
    evidence = of_the_machine(agent, hackbench, *HACKBENCH)
    assert_passed(evidence, *OF_TASKS)
    checks = checks_of(evidence)
    # 160 tasks, each with something to do
    assert checks["context_switches"]["kernel"] > 160
    assert checks["forks"]["kernel"] >= 160
    assert checks["run_queue_wait"]["kernel"] > 0
    assert abs(checks["lifetimes"]["difference"]) <= 0.005
    assert_rows_add_up(evidence)


def test_forks_of_a_storm(agent: RealAgent) -> None:
    script = "for i in $(seq 500); do /bin/true; done"
    evidence = of_the_machine(agent, "sh", "-c", script)
    assert_passed(evidence, "context_switches", "forks")
    assert checks_of(evidence)["forks"]["ours"] >= 500
    # a process that was forked before the run may exec in it, so neither count bounds the other
    assert min(evidence["exec"]["forks"], evidence["exec"]["exec_count"]) >= 500
    assert_rows_add_up(evidence)


def written(agent: RealAgent, disk: Disk, dd: str) -> Json:
    """Make reads, direct writes, and writes with a flush, which complete twice."""
    file = disk.folder / "conserved"
    commands = [
        f"{dd} if=/dev/zero of={file} bs=4k count={DIRECT} oflag=direct status=none",
        f"{dd} if=/dev/zero of={file} bs=4k count={SYNCED} oflag=direct,dsync conv=notrunc "
        "status=none",
        f"{dd} if={file} of=/dev/null bs=4k iflag=direct status=none",
    ]
    evidence = of_the_machine(agent, "sh", "-c", " && ".join(commands))
    file.unlink()
    return evidence


def test_requests_by_disk_and_operation(agent: RealAgent, disk: Disk, tool: Any) -> None:
    dd = tool("dd")
    names = [f"block_{operation}_{disk.device}" for operation in ("read", "write")]
    evidence = written(agent, disk, dd)
    assert_passed(evidence, *names)
    checks = checks_of(evidence)
    # the check compares ours with this; ours may lack what happens while process 1 runs
    assert checks[names[0]]["kernel"] >= DIRECT
    assert checks[names[1]]["kernel"] >= DIRECT + SYNCED
    for name, check in checks.items():
        if name.startswith("block_"):
            assert check["unit"] == "requests"
    assert_rows_add_up(evidence)


# --- a scope


def test_tasks_of_a_scope_are_accounted_for(agent: RealAgent, tool: Any) -> None:
    hackbench = tool("hackbench")
    evidence = of_a_tree(agent, hackbench, *HACKBENCH)
    assert_passed(evidence, *OF_TASKS, "cpu_time")
    checks = checks_of(evidence)
    for name in ("run_queue_wait", "lifetimes"):
        check = checks[name]
        assert check["kernel"] > 0
        assert unexplained(check) < 0.01
    assert checks["tasks_with_run_queue_wait"]["kernel"] > 100
    # the kernel's disk statistics do not distinguish between tasks
    assert not [name for name in checks if name.startswith("block_")]
    assert_rows_add_up(evidence)


def test_a_storm_within_a_scope(agent: RealAgent) -> None:
    order = json.dumps({"how": "storm", "marks": 10, "count": 200})
    with program("trees") as tree, agent.run(scope=tree.scope) as run:
        tree.work(order)
    evidence = run.evidence
    assert_passed(evidence, "run_queue_wait", "tasks_with_run_queue_wait", "lifetimes", "cpu_time")
    assert evidence["exec"]["forks"] == evidence["exec"]["exits"] == 400
    assert_rows_add_up(evidence)


def test_checks_stand_in_every_evidence(agent: RealAgent) -> None:
    """Evidence has checks even if next to nothing happened, or if the run has a single section."""
    with program("trees") as tree, agent.run(scope=tree.scope) as run:
        tree.work(json.dumps({"how": "itself", "marks": 1}))
    assert checks_of(run.evidence).keys() == {*OF_TASKS, *OF_THE_WALL_TIME, "cpu_time"}
    assert run.evidence["completeness"]["verdict"] == "complete", run.evidence["completeness"]
    with agent.run(sections=["exec"]) as run:
        pass
    assert checks_of(run.evidence).keys() == {"forks"}


@pytest.mark.thorough
def test_a_task_that_exits_while_the_run_is_stopped_has_one_row(copy: Copy, tool: Any) -> None:
    copy.inject(faults.detaches_late, LATE_SECONDS)
    sleep = tool("sleep"), str(LATE_SECONDS / 2)
    with program("launch", *sleep) as launcher, copy.launched() as agent:
        agent.settle()
        with agent.run(scope=launcher.scope) as run:
            pid = launcher.work()["pid"]
        launcher.hear()
    rows = run.evidence["runqlat"]["by_thread"]["top"]
    assert [row["command"] for row in rows if row["tid"] == pid] == ["sleep"]
    assert_rows_add_up(run.evidence)


# --- rows and totals


def assert_rows_add_up(evidence: Json) -> None:
    assert_waits_add_up(evidence["runqlat"])
    assert_requests_add_up(evidence)
    assert_blocked_time_adds_up(evidence["offcpu"])
    execs = evidence["exec"]
    shown = sum(row["count"] for row in execs["top_commands"])
    assert shown + execs["other"] == execs["exec_count"]
    calls = evidence["syscall_counts"]
    assert all(calls[name] == calls["all"].get(name, 0) for name in calls if name != "all")


def assert_waits_add_up(runqlat: Json) -> None:
    for breakdown in (runqlat["by_command"], runqlat["by_thread"]):
        rows = [*breakdown["top"], breakdown["other"]]
        assert len(breakdown["top"]) <= 20
        assert sum(row["count"] for row in rows) == runqlat["count"]
        total_us = sum(row["total_us"] for row in rows)
        assert total_us == pytest.approx(runqlat["count"] * (runqlat["mean_us"] or 0), rel=1e-6)


def assert_requests_add_up(evidence: Json) -> None:
    found = evidence["biolatency"]
    timed = [row["count"] for row in found["by_operation"] if row["in_histogram"]]
    assert sum(timed) == found["count"]


def assert_blocked_time_adds_up(offcpu: Json) -> None:
    rows = [*offcpu["top_reasons"], offcpu["other"]]
    assert sum(row["ms"] for row in rows) == pytest.approx(offcpu["total_ms"], rel=1e-6, abs=1e-3)
    assert sum(row["count"] for row in rows) == offcpu["count"]


# --- the verdict in the metrics


def runs(agent: RealAgent) -> dict[str, float]:
    """Return the number of runs by verdict, and by verdict and reason."""
    found = {}
    for line in agent.metrics().splitlines():
        if line.startswith(("chainbench_agent_runs_total{", "chainbench_agent_run_reasons_total{")):
            labels, _, value = line.partition("{")[2].partition("} ")
            found[labels] = float(value)
    return found


def test_metrics_count_runs_by_verdict_and_reason(agent: RealAgent) -> None:
    before = runs(agent)
    with program("trees") as tree, agent.run(scope=tree.scope) as run:
        tree.work(json.dumps({"how": "itself", "marks": 1}))
    completeness = run.evidence["completeness"]
    expected = {f'verdict="{completeness["verdict"]}"'}
    for reason in completeness["reasons"]:
        code = reason.partition(":")[0]
        expected.add(f'verdict="{completeness["verdict"]}",reason="{code}"')
    grown = {k for k, value in runs(agent).items() if value == before.get(k, 0) + 1}
    assert grown == expected
