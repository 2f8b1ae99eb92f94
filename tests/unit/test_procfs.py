"""What /proc counts of real processes that are known to do something, and of this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from fakes.acting import ACTIVE, BYTES, PAGES, SWITCHES, acting, sleeping
from fakes.cgroups import mounted
from fakes.followed import counted, counted_by, nothing, tasks_of
from fakes.waiting import eventually

from agent.model import Scope, StartRequest
from agent.procfs import files, pace, task
from agent.procfs.following import Following
from agent.procfs.tree import Tree
from agent.streams.shared.kernel_counts import TICK_NS

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


@pytest.mark.parametrize("what", ["act()", "in_children()"])
async def test_what_a_process_is_known_to_do_is_counted(what: str) -> None:
    times = 3 if "children" in what else 1
    tasks = await tasks_of(what)
    # what was waited for is all there
    assert PAGES * times <= tasks["minor_faults"] < PAGES * times + 3_000 * times
    assert tasks["read_chars"] >= BYTES * times
    assert tasks["read_calls"] >= times
    assert 80 * times <= tasks["user_ms"] + tasks["system_ms"]
    # of threads that ended, what was last seen
    least = SWITCHES if times == 1 else 1
    assert least <= tasks["voluntary_switches"] < (SWITCHES + 100) * times
    assert tasks["wait_ms"] >= 0
    assert tasks["forks"] <= 3 * (times > 1)
    assert tasks["root_ended"] is False
    assert set(tasks["followed"]) == {"waited_for", "last_seen"}
    assert "voluntary_switches" in tasks["followed"]["last_seen"]
    assert "minor_faults" in tasks["followed"]["waited_for"]
    assert tasks["missing"] == []


def test_each_count_of_a_process_is_where_the_kernel_writes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """proc_pid_stat(5), in which the state is field 3: each later field has its number here."""
    fields = " ".join(map(str, range(4, 53)))
    monkeypatch.setattr(task, "content", lambda path: f"1 (a) b) S {fields}\n".encode())
    found = task.read_process(1)
    assert (found.parent, found.start) == (4, 22)
    assert found.counts == {
        "user_ms": (14 + 16) * TICK_NS,
        "system_ms": (15 + 17) * TICK_NS,
        "minor_faults": 10 + 11,
        "major_faults": 12 + 13,
    }


async def test_a_process_that_ended_keeps_what_was_last_seen() -> None:
    with acting("act()") as child:
        following = Following(StartRequest(scope=Scope("pid", pid=child.pid)))

        def act_and_end() -> None:
            child.act()
            looks = following._looks
            seen = looks.count
            eventually(lambda: looks.count >= seen + 2)  # one of them began after that
            os.kill(child.pid, 9)
            os.waitpid(child.pid, 0)

        tasks = (await counted_by(following, act_and_end))["tasks"]
    assert tasks["minor_faults"] >= PAGES
    assert tasks["voluntary_switches"] >= SWITCHES
    assert (tasks["root_ended"], tasks["ended"], tasks["processes"]) == (True, 1, 1)


async def test_without_lists_of_children_the_parents_of_all_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.procfs.tree._lists_children", lambda: False)
    # else a look that takes long, on a busy machine, would be the last one before they have ended
    monkeypatch.setattr("agent.procfs.following.PAUSE_PER_LOOK", 1)
    tasks = await tasks_of("in_children()")
    assert tasks["processes"] > 1
    assert tasks["minor_faults"] >= PAGES * 3


async def test_a_process_that_is_not_there() -> None:
    evidence = await counted(Scope("pid", pid=2**22 + 1), nothing)
    assert "tasks" not in evidence
    assert "No such file" in evidence["no_tasks"]
    assert evidence["machine"]["context_switches"] > 0


async def test_another_users_process_is_not_shown() -> None:
    scope = Scope("pid", pid=os.getpid())
    evidence = await counted(scope, nothing, owner=os.getuid() + 1)
    assert "tasks" not in evidence
    assert "not known to belong" in evidence["no_tasks"]


async def test_the_machine_is_counted_between_two_readings() -> None:
    def act() -> None:
        subprocess.check_call([sys.executable, "-c", f"{ACTIVE}\nact()"])

    evidence = await counted(Scope(), act)
    found = evidence["machine"]
    assert "tasks" not in evidence
    assert found["context_switches"] >= SWITCHES
    assert found["page_faults"] >= PAGES
    assert found["forks"] >= 1
    assert found["user_ms"] + found["system_ms"] > 0
    assert evidence["measured_ms"] > 50
    assert "full_ms" not in found.get("pressure", {}).get("cpu", {})


async def test_a_cgroup_has_counters_of_its_own() -> None:
    hierarchy = mounted("cgroup2")
    if hierarchy is None or not os.access(hierarchy, os.W_OK):
        pytest.skip("needs a cgroup v2 hierarchy that it may write to")
    folder = hierarchy / f"cba-test-{os.getpid()}"
    folder.mkdir()
    try:
        with acting("in_children()") as child:
            (folder / "cgroup.procs").write_text(str(child.pid))
            tasks = (await counted(Scope("cgroup", cgroup=f"/{folder.name}"), child.act))["tasks"]
        assert tasks["user_ms"] + tasks["system_ms"] > 200
        assert {"user_ms", "system_ms"} <= set(tasks["followed"]["cgroup"])
        assert tasks["cgroup_removed"] is False
    finally:
        eventually(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


# --- the event loop


async def test_the_agent_is_left_out_of_a_tree() -> None:
    with sleeping(3) as children:
        agent = min(children)
        tree = Tree(os.getpid(), with_waits=True, left_out={agent})
        await tree.look()
        followed = {pid for pid, _ in tree.members}
    assert os.getpid() in followed
    assert followed & children == children - {agent}


async def test_the_agent_is_no_root_of_a_tree() -> None:
    following = Following(StartRequest(scope=Scope("pid", pid=os.getpid())), {os.getpid()})
    await following.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(following.run)
        await following.end()
    assert "belongs to the agent" in following.evidence["no_tasks"]


async def test_many_tasks_do_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two turns of another task, only a few of the tasks are read."""
    read_since, most = 0, 0
    intact = task.read_thread

    def slow(folder: str, *, with_waits: bool) -> files.Counts:
        nonlocal read_since, most
        read_since += 1
        most = max(most, read_since)
        time.sleep(pace.SLICE_S / 4)
        return intact("/proc/self", with_waits=with_waits)

    async def others() -> None:
        nonlocal read_since
        while True:
            read_since = 0
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr("agent.procfs.tree.read_thread", slow)
    monkeypatch.setattr("agent.procfs.tree.threads_of", lambda pid: [pid])
    with sleeping(20):
        tree = Tree(os.getpid(), with_waits=True)
        monkeypatch.setattr("agent.procfs.tree._lists_children", lambda: False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await tree.look()
            nursery.cancel_scope.cancel()
    assert tree.of_processes.seen > 20
    assert most <= 8
