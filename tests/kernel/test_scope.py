"""The scope of a run: all activity of its tasks, from first to last instruction, and no other.

Tasks make marks: calls that nothing else makes. The run must count exactly as many as were made.
"""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes.checks import checks_of
from fakes.disks import Disk
from fakes.marks import MARKS, assert_marks, busy, marks, order
from fakes.needs import needs_io_uring
from fakes.proc import switches
from fakes.processes import status_field
from fakes.program import program
from fakes.real_agent import ANSWER_SECONDS, RealAgent, running
from fakes.waiting import eventually

from agent.model import TIMINGS

CALLS = 500
NAMED = ("futex", "fsync", "openat", "read", "write")


# --- a tree of processes


@pytest.mark.parametrize(
    ("how", "details", "forks"),
    [
        ("itself", {}, 0),
        ("child", {}, 1),
        ("shortly", {"count": 50}, 50),
        ("threads", {"count": 8}, 8),
        ("forks_of_threads", {"count": 8}, 16),
        ("daemon", {}, 2),
        ("storm", {"count": 150}, 300),
        # two each: the child, and its thread that execs
        ("exec_of_a_thread", {"count": 5}, 10),
    ],
)
def test_a_tree_is_covered_whatever_it_does(
    agent: RealAgent, how: str, details: dict[str, int], forks: int
) -> None:
    with program("trees") as tree, agent.run(scope=tree.scope) as run:
        made = tree.work(order(how, **details))["marks"]
    assert made > 0
    assert_marks(run.evidence, made)
    assert run.evidence["exec"]["forks"] == run.evidence["exec"]["exits"] == forks
    assert (run.evidence["scope"]["kind"], run.evidence["scope"]["pid"]) == ("pid", tree.pid)


@pytest.mark.parametrize(
    ("before", "then", "count"), [("stand", "again", 4), ("descend", "reach", 5)]
)
def test_what_is_alive_already_belongs_to_it_too(
    agent: RealAgent, before: str, then: str, count: int
) -> None:
    """Threads and descendants that existed before the run."""
    with program("trees") as tree:
        tree.work(order(before, count=count))
        with agent.run(scope=tree.scope) as run:
            assert tree.work(order(then))["marks"] == count * MARKS
    assert_marks(run.evidence, count * MARKS)


@needs_io_uring
@pytest.mark.parametrize("timing", TIMINGS)
def test_threads_that_the_kernel_creates_belong_to_it(agent: RealAgent, timing: str) -> None:
    """Workers of io_uring, and a thread that polls a ring: from their creation to their exit."""
    with program("workers", 100) as workers, agent.run(scope=workers.scope, timing=timing) as run:
        created = workers.work()["created"]
    assert created == 102
    assert run.evidence["exec"]["forks"] == run.evidence["exec"]["exits"] == created
    assert "io_worker" in {row["reason"] for row in run.evidence["offcpu"]["top_reasons"]}


@needs_io_uring
def test_threads_that_the_kernel_creates_are_forks_as_the_kernel_counts_them(
    agent: RealAgent,
) -> None:
    with program("workers", 200) as workers, agent.run() as run:
        created = workers.work()["created"]
    forks = checks_of(run.evidence)["forks"]
    assert forks["kernel"] >= created
    assert forks["pass"], forks


@pytest.mark.thorough
def test_a_long_line_of_descent_is_followed_to_its_end(agent: RealAgent) -> None:
    with program("trees") as tree:
        tree.work(order("descend", count=200))
        with agent.run(scope=tree.scope) as run:
            tree.work(order("reach"))
    assert_marks(run.evidence, 200 * MARKS)


def test_a_thread_names_its_process(agent: RealAgent) -> None:
    with program("trees") as tree:
        tree.work(order("stand", count=1))
        (thread,) = {int(t.name) for t in Path(f"/proc/{tree.pid}/task").iterdir()} - {tree.pid}
        with agent.run(scope={"pid": thread}) as run:
            made = tree.work(order("itself"))["marks"]
    assert_marks(run.evidence, made)
    assert run.evidence["scope"]["pid"] == tree.pid


def test_others_are_not_counted(agent: RealAgent) -> None:
    with (
        program("trees") as tree,
        program("trees") as other,
        agent.run(scope=tree.scope) as run,
    ):
        for how in ("itself", "child", "daemon"):
            other.work(order(how))
        other.work(order("storm", count=20))
    assert marks(run.evidence) == 0
    assert run.evidence["exec"]["forks"] == run.evidence["exec"]["exits"] == 0


def test_a_pid_that_is_used_again_means_another_process(agent: RealAgent) -> None:
    """A non-member gets the pid of a dead member, and a member the pid of a dead non-member."""
    with (
        program("trees") as tree,
        program("trees") as other,
        agent.run(scope=tree.scope) as run,
    ):
        other.tell(order("die"))
        strangers = other.hear()["pid"]
        other.hear()
        tree.tell(order("die"))
        members = tree.hear()["pid"]
        tree.hear()
        assert other.work(order("reborn", pid=members))["marks"] == MARKS
        assert tree.work(order("reborn", pid=strangers))["marks"] == MARKS
    # those of the member that died, and of the one with a non-member's former pid
    assert_marks(run.evidence, 2 * MARKS)


def test_a_run_knows_nothing_of_the_members_of_the_last(agent: RealAgent) -> None:
    with program("trees") as first, program("trees") as second:
        with agent.run(scope=first.scope):
            first.work(order("child"))
        with agent.run(scope=second.scope) as run:
            first.work(order("itself"))
    assert marks(run.evidence) == 0


# --- noisy neighbors


def counted_calls(agent: RealAgent, folder: Path) -> dict[str, int]:
    with program("calls", CALLS, folder) as calls, agent.run(scope=calls.scope) as run:
        calls.work()
    return {name: run.evidence["syscall_counts"][name] for name in NAMED}


@pytest.mark.thorough
def test_neighbours_change_nothing(agent: RealAgent, tmp_path: Path, disk: Disk) -> None:
    """The counts are exactly the calls made, plus the interpreter's own: the same every time."""
    # receiving the order takes one read, and reporting the result one write
    expected = {"futex": CALLS, "fsync": CALLS, "openat": CALLS}
    expected |= {"read": CALLS + 1, "write": CALLS + 1}
    quiet = [counted_calls(agent, tmp_path) for _ in range(2)]
    with busy(disk.folder / "noise") as noise:
        loud = [counted_calls(agent, tmp_path) for _ in range(2)]
    assert quiet + loud == [expected] * 4
    assert noise["marks"] > 0


def test_a_small_tree_beside_a_busy_neighbour_costs_little(agent: RealAgent, disk: Disk) -> None:
    """Events out of scope are dropped before they are emitted, yet the check counts them all."""
    with (
        program("trees") as tree,
        agent.run(scope=tree.scope) as run,
        busy(disk.folder / "noise") as noise,
    ):
        tree.work(order("shortly", count=200))
    streams = run.evidence["completeness"]["streams"]
    assert noise["switches"] > 1_000
    assert streams["runqlat"]["excluded"] > noise["switches"] / 2
    assert streams["runqlat"]["produced"] < streams["runqlat"]["excluded"] / 3
    assert_marks(run.evidence, 200 * MARKS)
    checks = {check["name"]: check for check in run.evidence["checks"]}
    assert checks["context_switches"]["ours"] > noise["switches"] / 2


# --- invalid scopes


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"pid": 4_194_303}, "no_such_process"),
        ({"cgroup": "/cba-no-such-cgroup"}, "no_such_cgroup"),
        ({"cgroup": f"/{'x' * 300}"}, "no_such_cgroup"),
        ({"cgroup": "/.."}, "invalid_field"),
    ],
)
def test_a_scope_that_is_not_there_is_refused(
    agent: RealAgent, scope: dict[str, Any], code: str
) -> None:
    answer = requests.post(f"{agent.url}/start", json={"scope": scope}, timeout=ANSWER_SECONDS)
    assert answer.status_code == 422
    assert answer.json()["error"] == code
    assert answer.json()["field"] == "scope"
    assert not agent.status()["running"]
    with agent.run(sections=["syscall_counts"]):
        pass


@contextmanager
def zombie() -> Iterator[int]:
    """Yield the pid of a process that has exited and has not been reaped."""
    with subprocess.Popen(["/bin/true"]) as process:
        eventually(lambda: status_field(process.pid, "State").startswith("Z"))
        yield process.pid


def test_what_has_ended_cannot_be_the_scope(agent: RealAgent) -> None:
    with zombie() as pid:
        body = {"scope": {"pid": pid}}
        answer = requests.post(f"{agent.url}/start", json=body, timeout=ANSWER_SECONDS)
        assert (answer.status_code, answer.json()["error"]) == (422, "no_such_process")
        assert f"process {pid} has ended, and is a zombie" in answer.json()["message"]


def test_the_agent_itself_cannot_be_the_scope(agent: RealAgent) -> None:
    """Its activity is excluded from every run, so all figures would be zero."""
    for process in agent.status()["processes"]:
        body = {"scope": {"pid": process["pid"]}}
        answer = requests.post(f"{agent.url}/start", json=body, timeout=ANSWER_SECONDS)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"] == "scope_is_the_agent"


# --- the whole system


@pytest.mark.thorough
def test_the_agents_own_activity_is_left_out(agent: RealAgent) -> None:
    """Under a load of requests, the agent shows neither in the waiting threads nor in the calls.

    Other processes on this machine wait for events in the same way. So a second agent, to which the
    first is an ordinary process, counts at the same time. What it counts in excess of the first is
    the activity of the first.
    """
    count = 1_000
    threads = {
        int(task.name)
        for process in agent.status()["processes"]
        for task in Path(f"/proc/{process['pid']}/task").iterdir()
    }
    before = sum(map(switches, threads))
    with (
        running() as other,
        other.run() as seen_by_other,
        agent.run() as run,
        requests.Session() as client,
    ):
        for _ in range(count):
            client.get(f"{agent.url}/status", timeout=ANSWER_SECONDS).raise_for_status()
        own = sum(map(switches, threads)) - before
    calls, all_calls = (
        Counter(each.evidence["syscall_counts"]["all"]) for each in (run, seen_by_other)
    )
    # it waits at least once per answer
    assert all_calls["epoll_wait"] - calls["epoll_wait"] > 0.8 * count
    # it is switched in as often as out, apart from switches around the start and the stop
    assert own > count / 2
    assert run.evidence["completeness"]["streams"]["runqlat"]["excluded"] > own / 2
    assert not {row["tid"] for row in run.evidence["runqlat"]["by_thread"]["top"]} & threads
    assert threads & {row["tid"] for row in seen_by_other.evidence["runqlat"]["by_thread"]["top"]}
    assert "cba-agent" not in str(run.evidence["exec"]["top_commands"])
