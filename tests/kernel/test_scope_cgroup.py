"""A cgroup as the scope: its tasks count from when they enter it until they leave it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes import faults
from fakes.cgroups import mounted
from fakes.checks import codes
from fakes.copied_package import Copy
from fakes.marks import MARKS, marks, order
from fakes.needs import lacking
from fakes.proc import state
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

NOTICED_SECONDS = 1.0
"""Far longer than the agent needs to notice that tasks were moved (FOLLOW_INTERVAL_S)."""


class Cgroup:
    def __init__(self, mount: Path, name: str) -> None:
        self.path = mount / name
        self.scope = {"cgroup": f"/{name}"}
        self.path.mkdir()

    @property
    def id(self) -> int:
        return self.path.stat().st_ino

    def take(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))


@pytest.fixture
def cgroup() -> Iterator[Callable[[str], Cgroup]]:
    """``cgroup("name")`` creates one; its remaining processes are moved to the root at the end."""
    mount = mounted("cgroup2")
    if mount is None:
        lacking("a hierarchy of cgroups v2")
    made: list[Cgroup] = []

    def make(name: str) -> Cgroup:
        made.append(Cgroup(mount, f"cba-{os.getpid()}{name}"))
        return made[-1]

    yield make
    for each in (each for each in reversed(made) if each.path.exists()):
        for pid in (each.path / "cgroup.procs").read_text().split():
            (mount / "cgroup.procs").write_text(pid)
        each.path.rmdir()


def test_members_count_and_others_do_not(agent: RealAgent, cgroup: Callable[[str], Cgroup]) -> None:
    group = cgroup("")
    with program("trees") as member, program("trees") as other:
        group.take(member.pid)
        with agent.run(scope=group.scope) as run:
            for how in ("itself", "child", "daemon"):
                member.work(order(how))
                other.work(order(how))
            member.work(order("storm", count=20))
    assert marks(run.evidence) == (3 + 40) * MARKS
    assert run.evidence["scope"] == {
        "kind": "cgroup",
        **group.scope,
        "cgroup_ids": [group.id],
        "cgroup_removed": False,
    }


def test_the_path_may_be_that_of_the_folder(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    group = cgroup("")
    with program("trees") as member:
        group.take(member.pid)
        with agent.run(scope={"cgroup": str(group.path)}) as run:
            member.work(order("child"))
    assert marks(run.evidence) == MARKS


def test_a_subtree_belongs_to_it(agent: RealAgent, cgroup: Callable[[str], Cgroup]) -> None:
    top = cgroup("")
    below = cgroup("/below")
    sibling = cgroup("-sibling")
    with program("trees") as member, program("trees") as other:
        below.take(member.pid)
        sibling.take(other.pid)
        with agent.run(scope=top.scope) as run:
            member.work(order("child"))
            other.work(order("child"))
        with agent.run(scope=below.scope) as of_below:
            member.work(order("child"))
        with agent.run(scope=sibling.scope) as of_sibling:
            member.work(order("child"))
    assert (marks(run.evidence), marks(of_below.evidence), marks(of_sibling.evidence)) == (
        MARKS,
        MARKS,
        0,
    )


def test_a_task_that_is_moved_in_counts_from_then_on(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    group = cgroup("")
    with program("trees") as newcomer, agent.run(scope=group.scope) as run:
        newcomer.work(order("itself"))
        group.take(newcomer.pid)
        newcomer.work(order("itself"))
        newcomer.work(order("child"))
    assert marks(run.evidence) == 2 * MARKS


def test_all_threads_of_a_process_that_is_moved_in_are_covered(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    group = cgroup("")
    with program("trees") as newcomer, agent.run(scope=group.scope) as run:
        newcomer.work(order("stand", count=4))
        newcomer.work(order("again"))
        group.take(newcomer.pid)
        time.sleep(NOTICED_SECONDS)
        newcomer.work(order("again"))
    assert marks(run.evidence) == 4 * MARKS


@pytest.mark.thorough
def test_a_task_that_is_moved_out_counts_until_then(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    """This includes sleep: once moved, a sleeping task adds no off-CPU time to the run."""
    group, elsewhere = cgroup(""), cgroup("-elsewhere")
    with program("trees") as leaver:
        group.take(leaver.pid)
        leaver.work(order("stand", count=4))
        with agent.run(scope=group.scope) as run:
            leaver.work(order("again"))
            elsewhere.take(leaver.pid)
            time.sleep(NOTICED_SECONDS)
            leaver.work(order("again"))
            leaver.work(order("child"))
            time.sleep(2 * NOTICED_SECONDS)
    assert marks(run.evidence) == 4 * MARKS
    # five tasks slept for more than three seconds, nearly all of that outside the cgroup
    assert run.evidence["offcpu"]["total_ms"] < run.evidence["duration_s"] * 1e3 / 2


def test_a_child_may_be_born_into_it_and_out_of_it(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    """clone3(2) with CLONE_INTO_CGROUP, as service managers and container runtimes do."""
    group, elsewhere = cgroup(""), cgroup("-elsewhere")
    with program("trees") as member, program("trees") as other:
        group.take(member.pid)
        with agent.run(scope=group.scope) as run:
            for _ in range(3):
                other.work(order("into_cgroup", folder=str(group.path)))
            member.work(order("into_cgroup", folder=str(elsewhere.path)))
    assert marks(run.evidence) == 3 * MARKS


# --- a cgroup that is removed, and made again under its path


def remake(*groups: Cgroup) -> None:
    """Remove cgroups and make them again under their paths; ``groups``: from the outermost in."""
    for group in reversed(groups):
        group.path.rmdir()
    for group in groups:
        group.path.mkdir()


def test_a_path_is_followed_when_its_cgroup_is_made_again(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    """As when a service restarts; from the first instruction of the first task in the new one."""
    group = cgroup("")
    ids = [group.id]
    with program("trees") as manager, agent.run(scope=group.scope) as run:
        manager.work(order("into_cgroup", folder=str(group.path)))
        for _ in range(3):
            remake(group)
            ids.append(group.id)
            manager.work(order("into_cgroup", folder=str(group.path)))
    assert marks(run.evidence) == 4 * MARKS
    assert len(set(ids)) == 4
    assert run.started["scope"]["cgroup_ids"] == ids[:1]
    assert run.evidence["scope"] == {
        **group.scope,
        "kind": "cgroup",
        "cgroup_ids": ids,
        "cgroup_removed": False,
    }
    assert "scope_incomplete" not in codes(run.evidence)


def test_a_path_is_followed_when_a_part_of_it_is_made_again(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    top, below = cgroup(""), cgroup("/below")
    with program("trees") as manager, agent.run(scope=below.scope) as run:
        remake(top, below)
        manager.work(order("into_cgroup", folder=str(below.path)))
        manager.work(order("into_cgroup", folder=str(top.path)))
    assert marks(run.evidence) == MARKS
    assert len(run.evidence["scope"]["cgroup_ids"]) == 2


def test_another_cgroup_does_not_take_its_place(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    """Neither one with another name, nor one with the same name elsewhere."""
    cgroup("")
    group = cgroup("/below")
    with program("trees") as manager, agent.run(scope=group.scope) as run:
        group.path.rmdir()
        for other in (cgroup("/other"), cgroup("/other/below")):
            manager.work(order("into_cgroup", folder=str(other.path)))
    assert marks(run.evidence) == 0
    assert run.evidence["scope"]["cgroup_removed"]
    assert len(run.evidence["scope"]["cgroup_ids"]) == 1


@pytest.mark.thorough
def test_a_cgroup_that_is_not_followed_is_reported(
    copy: Copy, cgroup: Callable[[str], Cgroup]
) -> None:
    copy.inject(faults.runs_instead, "on_cgroup_mkdir", "on_cgroup_rmdir")
    group = cgroup("")
    with (
        copy.launched() as agent,
        program("trees") as manager,
        agent.run(scope=group.scope) as run,
    ):
        remake(group)
        manager.work(order("into_cgroup", folder=str(group.path)))
    assert marks(run.evidence) == 0
    assert run.evidence["completeness"]["verdict"] == "degraded"
    assert "scope_incomplete" in codes(run.evidence)


THREADS, MOVES, SLEEPING_SECONDS = 1_000, 3, 8.0
WITHOUT_A_BLOCK = 0.001
"""Of the sleeps: their timer expires before the task leaves the CPU. It was 0.0002; with additions
of several instructions in the iterator 0.003 of the blocks were missing."""
CROWD = f"""
import threading, time
for _ in range({THREADS}):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(flush=True)
time.sleep(60)
"""
SLEEPER = f"""
import os, sys, time
os.sched_setaffinity(0, {{int(sys.argv[1])}})
sys.stdin.readline()
sleeps, end = 0, time.monotonic() + {SLEEPING_SECONDS}
while time.monotonic() < end:
    time.sleep(0.0001)
    sleeps += 1
print(sleeps)
"""


def python(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.thorough
def test_sums_that_the_iterator_adds_to_lose_nothing(
    copy: Copy, cgroup: Callable[[str], Cgroup]
) -> None:
    """It ends the blocks of threads that leave, while on its CPU others' blocks end as well.

    Each block of a sleeper that ended between a load and a store of the iterator would be missing.
    """
    copy.inject(faults.in_c, "SLOW_ADDITIONS")
    group = cgroup("")
    with ExitStack() as ended, copy.launched() as agent:
        crowd = ended.enter_context(python(CROWD))
        sleepers = [
            ended.enter_context(python(SLEEPER, str(cpu))) for cpu in os.sched_getaffinity(0)
        ]
        for process in (crowd, *sleepers):
            ended.callback(process.kill)
            group.take(process.pid)
        assert crowd.stdout is not None
        crowd.stdout.readline()
        agent.settle()
        with agent.run(scope=group.scope, sections=["offcpu"]) as run:
            for sleeper in sleepers:
                assert sleeper.stdin is not None
                sleeper.stdin.write("\n")
                sleeper.stdin.flush()
            for _ in range(MOVES):
                time.sleep(NOTICED_SECONDS)
                (group.path.parent / "cgroup.procs").write_text(str(crowd.pid))
                time.sleep(NOTICED_SECONDS)
                group.take(crowd.pid)
            sleeps = sum(int(sleeper.communicate()[0]) for sleeper in sleepers)
    [row] = [
        row
        for row in run.evidence["offcpu"]["top_reasons"]
        if row["reason"] in ("clock_nanosleep", "nanosleep")
    ]
    # each thread, the main one too, has a block that ends as it leaves, or is open at the stop
    of_crowd = (MOVES + 1) * (THREADS + 1)
    unmatched = run.evidence["completeness"]["streams"]["offcpu"]["unmatched"]
    missing = sleeps + of_crowd - row["count"] - unmatched
    assert missing <= WITHOUT_A_BLOCK * sleeps


COMES_BACK = """
import sys, time
sys.stdin.readline()
time.sleep(3)
print(flush=True)
sys.stdin.readline()
"""


@pytest.mark.thorough
def test_who_comes_back_in_another_call_is_in_that_call(
    agent: RealAgent, cgroup: Callable[[str], Cgroup]
) -> None:
    """It left in a read: the return of its sleep was taken for the return of that read."""
    group = cgroup("")
    with ExitStack() as ended:
        process = ended.enter_context(python(COMES_BACK))
        ended.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        group.take(process.pid)
        eventually(lambda: state(process.pid) == "S")
        with agent.run(scope=group.scope, details=["syscalls"]) as run:
            (group.path.parent / "cgroup.procs").write_text(str(process.pid))
            time.sleep(NOTICED_SECONDS)
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(NOTICED_SECONDS)
            group.take(process.pid)
            process.stdout.readline()
    rows = run.evidence["syscall_details"]
    slept_ms = rows["clock_nanosleep"]["total_ms"]
    assert 0 < slept_ms <= (3 - NOTICED_SECONDS) * 1000 * 1.1
    assert rows.get("read", {"total_ms": 0})["total_ms"] < slept_ms / 2
    assert not any(row["refused"] for row in rows.values())
