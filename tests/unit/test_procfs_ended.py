"""Of a real process that has ended, and was not waited for, what was seen last stands."""

import os
from pathlib import Path

import pytest
from fakes.acting import BYTES, acting
from fakes.waiting import eventually

from agent.procfs import task
from agent.procfs.evidence import Looks, tasks_json
from agent.procfs.files import Counts, Unreadable
from agent.procfs.tree import Tree
from agent.words import Json

pytestmark = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")

ONLY_ITS_FIRST_THREAD_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernel refuse I/O, as some do with a zombie's to its own user."""

    def refused(pid: int) -> Counts:
        raise Unreadable(f"/proc/{pid}/io: Permission denied")

    monkeypatch.setattr("agent.procfs.tree.read_io", refused)


def end(pid: int) -> None:
    os.kill(pid, 9)
    eventually(lambda: is_zombie(pid))


def is_zombie(pid: int) -> bool:
    return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


async def looked_at(tree: Tree) -> Json:
    await tree.look()
    return tasks_json(tree, Looks())


async def test_the_io_of_a_zombie_was_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with acting("act()") as child:
        tree = Tree(child.pid, with_waits=True)
        await tree.look()
        child.act()
        await tree.look()
        end(child.pid)
        refuse(monkeypatch)
        tasks = await looked_at(tree)
    assert tasks["read_chars"] >= BYTES
    assert (tasks["io_refused"], tasks["missing"]) == (0, [])


async def test_the_io_of_what_was_a_zombie_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with acting("act()") as child:
        end(child.pid)
        refuse(monkeypatch)
        tasks = await looked_at(Tree(child.pid, with_waits=True))
    [missing] = tasks["missing"]
    assert "read_chars" in missing["figures"]
    assert missing["reason"] == "the processes ended before it was read"
    assert tasks["io_refused"] == 0


async def test_a_process_has_not_ended_with_its_first_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with acting(f"exec({ONLY_ITS_FIRST_THREAD_ENDS!r})") as child:
        child.tell()
        eventually(lambda: is_zombie(child.pid))
        assert not task.is_ending(child.pid)
        refuse(monkeypatch)
        tasks = await looked_at(Tree(child.pid, with_waits=True))
    [missing] = tasks["missing"]
    assert "Permission denied" in missing["reason"]
    assert tasks["io_refused"] == 1
