"""Standard streams that are closed, full or gone, with real processes."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_server import serving
from fakes.ports import unused_port
from fakes.run_agent import RunAgent
from fakes.sample_evidence import evidence
from fakes.waiting import PATIENCE_SECONDS, eventually

from agent.client.http_client import AgentClient, AgentUnreachable
from agent.client.interpreter import own_module

SIGPIPE_STATUS = 141
"""Exit status as in shells, 128 + SIGPIPE: what ``cat`` has there."""

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(evidence()))
    return path


def in_shell(
    script: str, *arguments: object, stdout: int = subprocess.PIPE
) -> "subprocess.CompletedProcess[str]":
    """Run a script of bash's, in which ``agent`` is the command line with these arguments."""
    started = own_module("agent", *map(str, arguments))
    define = f'agent() {{ {shlex.join(started.command)} "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", define + script],
        env=dict(started.environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["show", "FILE"], ["demo", "--help"]]
)
def test_a_reader_that_has_gone_ends_a_command_quietly(
    saved: Path, unread: int, arguments: list[str]
) -> None:
    arguments = [str(saved) if argument == "FILE" else argument for argument in arguments]
    done = in_shell("agent; echo $? >&2", *arguments, stdout=unread)
    assert done.stderr == f"{SIGPIPE_STATUS}\n"


@pytest.mark.thorough
def test_the_demo_ends_quietly_when_its_reader_has_gone(unread: int) -> None:
    with serving(RunAgent()) as fake:
        done = in_shell("agent; echo $? >&2", "demo", "--agent", fake.url, stdout=unread)
        assert fake.routes[-2:] == ["POST /stop", "GET /status"]
    said = done.stderr.splitlines()
    assert said == [said[0], str(SIGPIPE_STATUS)]
    assert said[0].startswith("demo: agent at ")


@pytest.mark.parametrize("arguments", [["--help"], ["show", "FILE"]])
def test_a_full_disk_is_one_line(saved: Path, arguments: list[str]) -> None:
    arguments = [str(saved) if argument == "FILE" else argument for argument in arguments]
    done = in_shell("agent >/dev/full", *arguments)
    assert done.returncode == 1
    assert done.stderr == "chainbench-agent: cannot write the output: No space left on device\n"


def test_a_closed_output_is_one_line(saved: Path) -> None:
    done = in_shell("agent >&-", "show", saved)
    assert done.returncode == 1
    assert done.stderr == "chainbench-agent: cannot write the output: standard output is closed\n"


def test_a_closed_input_is_one_line() -> None:
    done = in_shell("agent <&-", "show", "-")
    assert done.returncode == 1
    assert done.stderr == "cannot read evidence from -: standard input is closed\n"


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_diagnostics_that_nobody_reads_change_nothing(stderr: str) -> None:
    done = in_shell(f"agent {stderr}", "show", "/no/such/file")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_a_mistake_that_cannot_be_printed_has_its_status(stderr: str) -> None:
    done = in_shell(f"agent {stderr}", "--nonsense")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


STREAMS = ["", "<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"]


@pytest.fixture(params=STREAMS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """The pid and port of an agent whose streams are closed or full."""
    port = unused_port()
    started = own_module("agent", "--port", str(port))
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" {request.param}', "bash", *started.command],
        env=dict(started.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid, port
    finally:
        process.terminate()
        status = process.wait(PATIENCE_SECONDS)
    assert status == 0


def answers(client: AgentClient) -> bool:
    try:
        return "running" in client.get("/status")
    except AgentUnreachable:
        return False


@pytest.mark.thorough
def test_a_service_needs_none_of_its_streams(served: tuple[int, int]) -> None:
    pid, port = served
    client = AgentClient(f"http://127.0.0.1:{port}")
    eventually(lambda: answers(client))
    client.post("/start", {})
    assert "completeness" in client.post("/stop")
    # no socket or file of the agent's took the place of a stream
    pids = [process["pid"] for process in client.get("/status")["processes"]]
    assert pid in pids or len(pids) == 1
    for each in pids:
        streams = [os.readlink(f"/proc/{each}/fd/{number}") for number in range(3)]
        assert set(streams) <= {"/dev/null", "/dev/full"}


def test_a_service_does_not_wait_for_a_reader_of_its_log() -> None:
    """The pipe is full and nobody reads it, as when a terminal was stopped with Ctrl-S."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, bytes(4096)):
            pass
    os.set_blocking(writer, True)
    port = unused_port()
    started = own_module("agent", "--port", str(port))
    process = subprocess.Popen(
        started.command, env=dict(started.environment), stdout=subprocess.DEVNULL, stderr=writer
    )
    client = AgentClient(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: answers(client))
        client.post("/start", {"scenario": "x" * 100})
        client.post("/stop")
        client.post("/start", {})
    finally:
        # in the middle of a run, whose evidence is logged, or would be
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    # it did not write more than there was room for
    assert len(os.read(reader, 1 << 20)) <= 1 << 16
    for fd in (reader, writer):
        os.close(fd)


def test_an_interrupted_command_says_so_in_one_line(tmp_path: Path) -> None:
    waiting = tmp_path / "pipe"
    os.mkfifo(waiting)
    started = own_module("agent", "show", str(waiting))
    process = subprocess.Popen(
        started.command, env=dict(started.environment), stderr=subprocess.PIPE, text=True
    )
    state = Path(f"/proc/{process.pid}/wchan")
    eventually(lambda: "fifo" in state.read_text() or "wait_for_partner" in state.read_text())
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, "chainbench-agent: interrupted\n")
