"""A child dies with its parent, whichever way that ends, and leaves no file behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.processes import Bpftool, command_of, descendants, held, kill_session, name_of, state_of
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.interpreter import own_module

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

WAYS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL)


@contextmanager
def command(temporary: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command of the agent's in a session of its own, with this folder for its files."""
    started = own_module("agent", *arguments)
    process = subprocess.Popen(
        started.command,
        env={**started.environment, "TMPDIR": str(temporary)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_session(process)


def assert_all_end(
    process: "subprocess.Popen[bytes]", family: set[int], way: int, bpftool: Bpftool
) -> None:
    """End the parent, and wait until its whole family and what it had attached is gone."""
    # a child that has not executed its own program yet has the same name
    supervisors = [pid for pid in family if name_of(pid) == "cba-supervisor"]
    maps = set().union(*(held(pid, "map") for pid in supervisors))
    assert maps
    process.send_signal(way)
    process.wait(PATIENCE_SECONDS)
    eventually(lambda: not any(map(state_of, family)))
    assert bpftool.gone(maps)


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
def test_overhead_takes_its_agent_and_the_workload_with_it(
    way: int, bpftool: Bpftool, tmp_path: Path
) -> None:
    with command(tmp_path, "overhead", "--", "sleep", "600") as process:
        eventually(lambda: any(name_of(pid) == "sleep" for pid in descendants(process.pid)))
        assert_all_end(process, descendants(process.pid), way, bpftool)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
def test_overhead_takes_its_ping_pong_with_it(way: int, bpftool: Bpftool, tmp_path: Path) -> None:
    with command(tmp_path, "overhead") as process:

        def players() -> set[int]:
            return {p for p in descendants(process.pid) if "pingpong" in command_of(p)}

        eventually(lambda: len(players()) == 2)
        assert_all_end(process, descendants(process.pid), way, bpftool)


@pytest.mark.thorough(but="15")
@pytest.mark.parametrize("way", WAYS)
def test_demo_takes_its_agent_and_the_workload_with_it(
    way: int, bpftool: Bpftool, tmp_path: Path
) -> None:
    with command(tmp_path, "demo") as process:

        def parts() -> set[int]:
            return {p for p in descendants(process.pid) if "workload disk" in command_of(p)}

        eventually(parts)
        assert_all_end(process, descendants(process.pid), way, bpftool)
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_ends_at_once_leaves_nothing(tmp_path: Path) -> None:
    """It is gone before its child has begun to watch it."""
    pid_file = tmp_path / "pid"
    script = (
        "import os, signal, sys\n"
        "from agent.client.children import child\n"
        "from agent.client.interpreter import own_module\n"
        "with child(own_module('agent', '--port', '0')) as process:\n"
        f"    open({str(pid_file)!r}, 'w').write(str(process.pid))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd="/", check=False)
    child = int(pid_file.read_text())
    eventually(lambda: not state_of(child))
    assert os.getpid() != child
