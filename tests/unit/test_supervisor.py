"""The privileged process and its peer, before any eBPF is involved."""

import gc
import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from fakes.run_command import fakes_process

from agent.streams.shared import channel, messages
from agent.streams.shared.channel import Malformed
from agent.streams.shared.messages import DisarmAnswer, DisarmRequest, encode_request
from agent.streams.supervisor import process
from agent.streams.supervisor.armed import wait_for_running_programs
from agent.streams.supervisor.maps import Maps
from agent.streams.supervisor.supervisor import Supervisor

ENDS_WHILE_IT_STARTS = """
import os, signal, sys
from agent.processes.signals import ending_signals
from agent.streams.shared import channel
from agent.streams.supervisor.process import run

ending = ending_signals()
ours, agents = channel.pair()
mask = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
agent = os.fork()
if agent == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.kill(os.getpid(), int(sys.argv[1]))
agents.close()
sys.exit(run(ours, agent, ending, mask, compile_deadline_s=60.0))
"""


def no_maps() -> Maps:
    raise AssertionError("nothing may be created")


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b'{"verb": "load", "request": {}}',
        b'{"verb": "arm", "request": {"plan": {"sections": ["exec"]}}}',
        b'{"verb": "disarm", "request": {"map": 3}}',
    ],
)
def test_what_no_agent_sends_is_not_served(packet: bytes) -> None:
    ours, agent = channel.pair()
    with ours, agent:
        agent.send(packet)
        with pytest.raises(Malformed):
            Supervisor(ours, no_maps).serve()


def test_the_end_of_the_agent_ends_it() -> None:
    ours, agent = channel.pair()
    agent.close()
    with ours:
        Supervisor(ours, no_maps).serve()


def test_an_answer_that_nobody_takes_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    summaries = os.memfd_create("summaries")
    answer = DisarmAnswer(1), {messages.SUMMARIES: summaries}
    monkeypatch.setattr(Supervisor, "_carry_out", lambda self, request: answer)
    ours, agent = channel.pair()
    agent.send(encode_request(DisarmRequest()))
    agent.close()
    with ours:
        Supervisor(ours, no_maps).serve()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(summaries)


def test_a_signal_that_comes_once_the_channel_is_closed_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without CAP_KILL the channel is what ends the agent, which may take a while."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    handlers: dict[int, Callable[[int, None], None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: None)
    monkeypatch.setattr(os, "kill", refuse)
    ours, agent = channel.pair()
    with agent, ours:
        process._pass_on([signal.SIGTERM], ours, agent_pid=1)
        handlers[signal.SIGTERM](signal.SIGTERM, None)
        assert agent.recv(1) == b""
    handlers[signal.SIGTERM](signal.SIGTERM, None)


def test_waiting_for_programs_leaves_nothing_to_the_garbage_collector() -> None:
    """Each run waits once, and many may pass before the supervisor collects."""
    wait_for_running_programs()
    while gc.collect():  # what other tests left: classes go once their objects have gone
        pass
    gc.disable()
    try:
        for _ in range(5):
            wait_for_running_programs()
        assert gc.collect() < 5
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("number", "out_of_memory", "expected"),
    [
        (signal.SIGSEGV, False, "killed by SIGSEGV; the evidence of run 7 is lost\n"),
        # a task of the group, but another one
        (signal.SIGSEGV, True, "killed by SIGSEGV; the evidence of run 7 is lost\n"),
        (signal.SIGKILL, False, "killed by SIGKILL; the evidence of run 7 is lost\n"),
        (
            signal.SIGKILL,
            True,
            "SIGKILL, by the kernel's OOM killer; the evidence of run 7 is lost. ",
        ),
        (signal.SIGRTMIN + 2, False, "killed by SIGRTMIN+2; the evidence of"),
    ],
)
def test_what_killed_the_agent_is_named(number: int, out_of_memory: bool, expected: str) -> None:
    assert expected in process._killed(number, "7", out_of_memory, 1e9)


def test_a_hard_limit_on_cpu_time_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CPU time" not in process._killed(signal.SIGKILL, "7", False, 2.987)
    monkeypatch.setattr(process, "_most_cpu_time", lambda: 3)
    told = process._killed(signal.SIGKILL, "7", False, 2.987)
    assert " is lost. It had used 2.99 s of 3 s of CPU time (ulimit -t, LimitCPU=)\n" in told
    assert "CPU time" not in process._killed(signal.SIGSEGV, "7", False, 2.987)


def ended_by(number: int) -> tuple[int, str]:
    """Return how the supervisor ends if its agent dies of a signal as it starts, and its line."""
    with fakes_process(ENDS_WHILE_IT_STARTS, number, stderr=subprocess.PIPE) as supervisor:
        _, said = supervisor.communicate()
    return supervisor.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN])
def test_whoever_ends_an_agent_that_starts_has_asked_for_it(number: int) -> None:
    assert ended_by(number) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGXCPU, signal.SIGALRM])
def test_nobody_has_asked_for_what_the_kernel_ends(number: signal.Signals) -> None:
    """It sends SIGXCPU for a limit on CPU time, which an agent may reach as it starts."""
    status, said = ended_by(number)
    assert status == 128 + number
    assert f"the serving process was killed by {number.name}; " in said
