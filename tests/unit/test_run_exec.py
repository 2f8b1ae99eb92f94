"""What a command took under ``run`` begins with its exec, and ends with its end."""

import json
import os
import signal
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.run_command import PYTHON, finished, line

from agent.client.isolation import PACKAGE_FOLDER
from agent.run import old_memory

HOLDS = """
import json, os, resource, signal, sys, time
sys.path.append(sys.argv[1])
from agent.run import held, old_memory, signals

def took(on_child=lambda: None, before=lambda command: None):
    with held.held("/bin/true", ["true"]) as command:
        before(command)
        began = time.monotonic()
        ended = command.run(on_child)
        return ended, time.monotonic() - began

# a command that ends once it is waited for, and ``first`` is done
def let_go(first, on_child=lambda command: None, before=lambda command: None):
    wait = signals.next_one
    asked, answer = os.pipe()

    def next_one(process):
        signals.next_one = wait
        first(process)
        os.write(answer, b"\\n")
        return wait(process)

    signals.next_one = next_one
    os.dup2(asked, 0)
    with held.held("/bin/sh", ["sh", "-c", "read line"]) as command:
        before(command)
        began = time.monotonic()
        ended = command.run(lambda: on_child(command))
        return ended, time.monotonic() - began

def children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return 1
"""


def said(script: str) -> Any:
    """Return what a process that holds commands prints, as JSON."""
    done = finished([*PYTHON, HOLDS + textwrap.dedent(script), PACKAGE_FOLDER])
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_what_comes_between_the_release_and_the_exec_is_not_the_commands() -> None:
    """Of the fork, by its clock: it waits and computes until it begins to become the command."""
    ended, elapsed = said("""
        before, parent = signal.pthread_sigmask, os.getpid()

        def slow(*arguments):
            if os.getpid() != parent:
                time.sleep(0.2)
                until = time.process_time() + 0.2
                while time.process_time() < until:
                    pass
            return before(*arguments)

        signal.pthread_sigmask = slow
        ended, elapsed = took()
        print(json.dumps([ended._asdict(), elapsed]))
    """)
    assert ended["status"] == 0
    assert 0 < ended["wall_s"] <= elapsed - 0.4
    assert ended["user_s"] + ended["system_s"] < 0.2


def test_what_is_done_once_a_child_has_ended_is_not_the_commands() -> None:
    """Another child, which nobody waits for, has ended before."""
    wall, elapsed, times = said("""
        def on_child(command):
            if command.reaped:
                times.append(1)
                time.sleep(0.2)

        times, other = [], os.fork()
        if other == 0:
            os._exit(0)
        os.waitid(os.P_PID, other, os.WEXITED | os.WNOWAIT)
        ended, elapsed = let_go(lambda process: None, on_child)
        print(json.dumps([ended.wall_s, elapsed, len(times)]))
    """)
    assert times == 1
    assert 0 < wall <= elapsed - 0.2


def test_what_the_fork_leaves_is_not_cleared_away_before_the_command_begins() -> None:
    """It is the keeper's as well, which has it until the command has ended."""
    wrote, kept = said("""
        import ctypes
        shared = bytearray(b"x")
        address = ctypes.addressof(ctypes.c_char.from_buffer(shared))

        def memory(process):
            return open(f"/proc/{process}/mem", "r+b", buffering=0)

        def before(command):
            keepers.append(command._keeper)
            with memory(command.pid) as fork:
                fork.seek(address)
                fork.write(b"y")

        def first(process):
            own = os.readlink("/proc/self/exe")
            while os.readlink(f"/proc/{process}/exe") == own:
                time.sleep(0.001)
            with memory(keepers[0]) as keeper:
                keeper.seek(address)
                found.append(keeper.read(1).decode())

        keepers, found = [], []
        let_go(first, before=before)
        print(json.dumps([shared.decode(), found]))
    """)
    assert (wrote, kept) == ("x", ["y"]), "of the fork, not of its parent"


# 0, if there is none, would be all of this process's group
@pytest.mark.parametrize("how", ["pass", "os.kill(kept[0] or None, signal.SIGKILL)"])
def test_what_keeps_the_memory_ends_with_the_command(how: str) -> None:
    kept, ended, left = said(f"""
        def before(command):
            kept.append(command._keeper)
            {how}

        kept = []
        ended, _ = took(before=before)
        print(json.dumps([kept, ended.status, children()]))
    """)
    assert kept[0] > 0
    assert (ended, left) == (0, 0)


def test_what_is_given_up_leaves_nothing() -> None:
    assert (
        said("""
        with held.held("/bin/true", ["true"]):
            pass
        print(json.dumps(children()))
    """)
        == 0
    )


def test_without_such_a_call_it_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_memory, "_libc", object())
    assert old_memory.share(0) == 0


WITHOUT_THE_RIGHT = """
        kill = os.kill

        def refused(process, number):
            if number == signal.SIGKILL:
                raise PermissionError
            return kill(process, number)

        os.kill = refused
"""
"""Like a root without CAP_KILL, whose command is another user's."""


def test_a_fork_that_may_not_be_killed_ends_when_it_is_given_up() -> None:
    assert (
        said(f"""{WITHOUT_THE_RIGHT}
        with held.held("/bin/true", ["true"]):
            pass
        print(json.dumps(children()))
    """)
        == 0
    )


def test_what_keeps_the_memory_ends_although_it_may_not_be_killed() -> None:
    status, left = said(f"""{WITHOUT_THE_RIGHT}
        print(json.dumps([took()[0].status, children()]))
    """)
    assert (status, left) == (0, 0)


def test_a_fork_that_was_continued_before_it_was_looked_at_is_held_all_the_same() -> None:
    """timeout(1), for example, sends SIGCONT after SIGTERM, to the whole group."""
    ended, held_until = said("""
        kill, parent = os.kill, os.getpid()
        held.STOPS_WITHIN_S = 0.05
        os.kill = lambda process, number: os.getpid() == parent and kill(process, number)
        came = []

        def before(command):
            came.append(os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

        ended, _ = took(before=before)
        print(json.dumps([ended.status, came]))
    """)
    assert (ended, held_until) == (0, [None])


def test_a_fork_that_is_slow_before_it_stops_loses_no_report() -> None:
    status, kept, left = said("""
        share, held.STOPS_WITHIN_S = old_memory.share, 0.05

        def slow(lifeline):
            time.sleep(0.3)
            return share(lifeline)

        old_memory.share, kept = slow, []
        ended, _ = took(before=lambda command: kept.append(command._keeper))
        print(json.dumps([ended.status, kept, children()]))
    """)
    assert (status, left) == (0, 0)
    assert kept[0] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_without_that_right_gets_its_report(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    file = tmp_path / "run.json"
    without = [tool("setpriv"), "--bounding-set=-kill", "--inh-caps=-kill"]
    agent = ("--agent", "http://127.0.0.1:1")
    command = line("run", "--no-store", *agent, "--json", file, "--user", "65532", "--", "true")
    done = finished([*without, *command])
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert json.loads(file.read_text())["command"]["exit_status"] == 0


@pytest.mark.parametrize("number", ["SIGSYS", "SIGKILL"])
def test_a_filter_that_kills_before_the_exec_is_not_how_the_command_ended(number: str) -> None:
    """As where clone(2) with CLONE_VM is death. Other signals may be meant for the command."""
    found = said(f"""
    old_memory.share = lambda lifeline: os.kill(os.getpid(), signal.{number})
    try:
        told, status = "", took()[0].status
    except held.CannotRun as error:
        told, status = str(error), error.status
    print(json.dumps([told, status, children()]))
    """)
    if number == "SIGSYS":
        told, *rest = found
        assert told.startswith("cannot run true: the process that was to become it was killed by")
        assert "seccomp filter" in told
        assert "CLONE_VM" in told
        assert rest == [125, 0]
    else:
        assert found == ["", -signal.SIGKILL, 0]
