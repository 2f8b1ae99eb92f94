"""Peers of the benchmark suite: what they attach is asked of the kernel, and all of them ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.pages import ROOT
from fakes.processes import command_of, state_of
from fakes.waiting import eventually

from agent.overhead.protocols import CannotMeasure
from agent.overhead.workloads import run_for_output
from benchmarks import peers, processes, procfs
from benchmarks.attachments import attached_programs
from benchmarks.peers import LIBBPF_TOOLS, PEERS, Peer, PeerTool

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="peers need root")

BPFTRACE, PERF = (
    next(tool for tool in PEERS if tool.name == name) for name in ("bpftrace", "perf-sched")
)
RUNQLAT, _, SYSCOUNT, *_ = LIBBPF_TOOLS
A_WORKLOAD = ("sleep", "0.4")
"""An exec, waits for a CPU and a block, long enough for execsnoop's next look at its buffer."""
WITHOUT_TRACEFS = (
    "mount -t tmpfs nodev /sys/kernel/tracing; mount -t tmpfs nodev /sys/kernel/debug;"
    ' cd "$0" && exec "$@"'
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def shell(script: str, programs: int = 0) -> PeerTool:
    """Return a tool that is a shell script, of which ``programs`` are expected."""
    return PeerTool("some-tool", "", ("sh", "-c", script), "", "ready", programs, "")


def sleeper(seconds: str) -> int | None:
    """Return the pid of ``sleep seconds``, a number that no other test uses."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in pids if command_of(pid) == f"sleep {seconds} "), None)


def ours() -> set[int]:
    """Return the programs that this process's descendants keep attached."""
    return attached_programs(procfs.tree(os.getpid()))


# --- what is attached


@pytest.mark.thorough(but="libbpf-runqlat")
@pytest.mark.parametrize("peer", [*LIBBPF_TOOLS, BPFTRACE], ids=lambda peer: peer.name)
def test_a_peer_is_armed_once_all_its_programs_are_attached(
    peer: PeerTool, stack: ExitStack, tool: Callable[[str], str]
) -> None:
    """libbpf-tools' programs are on links, bpftrace's on perf events."""
    tool(peer.command[0])
    with Peer(peer, stack).armed():
        assert len(ours()) >= peer.programs > 0
        run_for_output(A_WORKLOAD)
    assert ours() == set()


@pytest.mark.thorough
def test_perf_records_although_it_is_in_a_namespace(
    stack: ExitStack, tool: Callable[[str], str]
) -> None:
    tool("perf")
    with Peer(PERF, stack).armed():
        run_for_output(A_WORKLOAD)


@pytest.mark.thorough
def test_all_five_at_once(stack: ExitStack, tool: Callable[[str], str]) -> None:
    for one in LIBBPF_TOOLS:
        tool(one.command[0])
    [together] = [peer for peer in peers.peers(stack) if peer.name == "libbpf-all"]
    assert together.check() is None
    with together.armed():
        assert len(ours()) >= sum(one.programs for one in LIBBPF_TOOLS)
        run_for_output(A_WORKLOAD)
    assert ours() == set()


def test_without_tracefs_a_peer_is_reported_and_not_measured(
    stack: ExitStack, tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(SYSCOUNT.command[0])
    monkeypatch.setattr(peers, "WITH_TRACEFS", WITHOUT_TRACEFS)
    with pytest.raises(CannotMeasure, match=r"libbpf-syscount exited during startup: .*attach"):
        stack.enter_context(Peer(SYSCOUNT, stack).armed())


@pytest.mark.thorough
def test_five_of_which_one_attaches_nothing_are_not_measured(
    stack: ExitStack, tool: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in LIBBPF_TOOLS:
        tool(one.command[0])
    monkeypatch.setattr(peers, "WITH_TRACEFS", WITHOUT_TRACEFS)
    [together] = [peer for peer in peers.peers(stack) if peer.name == "libbpf-all"]
    with pytest.raises(CannotMeasure, match="libbpf-syscount exited"):
        stack.enter_context(together.armed())
    assert ours() == set()


@pytest.mark.thorough
def test_a_tool_that_says_it_traces_and_does_not_is_not_measured(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "READY_SECONDS", 1.0)
    liar = shell("echo ready, really; sleep 1001", programs=3)
    with pytest.raises(CannotMeasure, match=r"had 0 of 3 programs attached .*: ready, really"):
        stack.enter_context(Peer(liar, stack).armed())


@pytest.mark.thorough
def test_a_tool_that_ends_before_the_workload_is_not_measured(
    stack: ExitStack, tool: Callable[[str], str]
) -> None:
    tool(RUNQLAT.command[0])
    short = replace(RUNQLAT, command=("runqlat", "1", "1"))
    with (
        pytest.raises(CannotMeasure, match="had 0 of 3 programs attached after the workload"),
        Peer(short, stack).armed(),
    ):
        eventually(lambda: not ours())


# --- what is ended


def test_a_peer_ends_with_everything_that_it_started(stack: ExitStack) -> None:
    """Also what has a session of its own, ignores the signal, and whose parent has ended."""
    script = "trap '' INT; (setsid sleep 1002 &) ; trap 'exit 0' INT; echo ready; sleep 1003 & wait"
    with Peer(shell(script), stack).armed():
        started = [eventually(lambda: sleeper("1002")), eventually(lambda: sleeper("1003"))]
    assert [state_of(pid) for pid in started] == ["", ""]


@pytest.mark.thorough
def test_a_peer_that_does_not_end_is_killed(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "END_SECONDS", 0.5)
    with Peer(shell("trap '' INT; echo ready; sleep 1004; sleep 1005"), stack).armed():
        pid = eventually(lambda: sleeper("1004"))
    eventually(lambda: state_of(pid) == "")
    assert sleeper("1005") is None


def test_a_peer_is_interrupted_even_where_the_suite_ignores_the_signal(stack: ExitStack) -> None:
    """As it does in the background of a script. A shell cannot trap what it was told to ignore."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        tool = shell("trap 'echo interrupted; exit' INT; echo ready; while :; do sleep 0.1; done")
        with Peer(replace(tool, proof="interrupted"), stack).armed():
            pass
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.thorough
def test_a_peer_ends_when_the_suite_is_killed() -> None:
    script = f"""
import sys, time
from contextlib import ExitStack
sys.path.insert(0, {str(ROOT)!r})
from benchmarks.peers import Peer, PeerTool
command = ("sh", "-c", "echo ready; (setsid sleep 1006); :")
tool = PeerTool("some-tool", "", command, "", "ready", 0, "")
with ExitStack() as stack, Peer(tool, stack).armed():
    print("armed", flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script], stdout=subprocess.PIPE, text=True
    ) as suite:
        assert suite.stdout is not None
        assert suite.stdout.readline() == "armed\n"
        pid = eventually(lambda: sleeper("1006"))
        suite.kill()
    eventually(lambda: state_of(pid) == "")
