"""``chainbench-agent record``, and which agent is found where none is named."""

import json
import os
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, ended
from fakes.processes import waits_for_signal
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line
from fakes.waiting import eventually

from agent.client import finding, spawn
from agent.client.interpreter import Invocation
from agent.client.spawn import RunningAgent
from agent.run.agents import NoAgent, an_agent

pytestmark = pytest.mark.usefixtures("as_from_a_shell")


def recording(fake: FakeAgent, *options: object) -> list[str]:
    return line("record", "--agent", fake.url, *options)


def record(fake: FakeAgent, *options: object) -> "subprocess.CompletedProcess[str]":
    return finished(recording(fake, *options))


def test_it_prints_the_report(agent: RunAgent, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    done = record(agent, "--cgroup", "/a", "--for", "0.1", "--scenario", "s", "--json", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert "12,655 waits for a CPU" in done.stdout
    assert agent.scopes == [{"cgroup": "/a"}]
    assert json.loads(file.read_text()) == agent.evidence
    assert agent.routes == ["GET /status", "POST /start", "GET /status", "POST /stop"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_the_report(agent: RunAgent, number: int) -> None:
    with subprocess.Popen(
        recording(agent, "--system"), stdout=subprocess.PIPE, text=True
    ) as process:
        eventually(lambda: agent.run_id)
        eventually(lambda: waits_for_signal(process.pid, number))
        process.send_signal(number)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert "Verdict: " in said


def test_a_signal_as_the_run_begins_ends_it_with_the_report(agent: RunAgent) -> None:
    """It comes while the agent answers: the run has begun, and its client does not know yet."""
    with subprocess.Popen(
        recording(agent, "--system"), stdout=subprocess.PIPE, text=True
    ) as process:
        agent.on_start = lambda _: process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 0
    assert "Verdict: " in said
    assert agent.routes == ["GET /status", "POST /start", "GET /status", "POST /stop"]


def test_a_signal_before_the_run_begins_leaves_nothing(agent: RunAgent) -> None:
    agent.busy = 10**6
    with subprocess.Popen(
        recording(agent, "--system"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        eventually(lambda: "POST /start" in agent.routes)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert said == ""
    assert "interrupted before anything was measured" in complained


def test_it_ends_with_the_process(agent: RunAgent) -> None:
    with (
        subprocess.Popen(["sleep", "600"]) as measured,
        subprocess.Popen(
            recording(agent, "--pid", measured.pid), stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        eventually(lambda: agent.run_id)
        measured.kill()
        said, _ = process.communicate()
    assert "Verdict: " in said
    assert agent.routes[-1] == "POST /stop"


def test_it_says_that_the_process_ended_before_the_time_was_over(agent: RunAgent) -> None:
    with subprocess.Popen(["sleep", "0.1"]) as measured:
        done = record(agent, "--pid", measured.pid, "--for", "10m")
    assert done.returncode == 0
    assert done.stderr.startswith("chainbench-agent record: the process ended after ")
    assert done.stderr.endswith(" and the run with it (--for 600s)\n")


def test_without_evidence_it_fails_and_says_why(agent: RunAgent) -> None:
    agent.refuse_start = True
    done = record(agent, "--pid", "1", "--for", "1")
    why = "the agent refused: there is no process 1"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"chainbench-agent record: {why}\n"
    with ended() as gone:
        done = record(gone, "--system")
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_a_full_disk_fails_it(agent: RunAgent) -> None:
    done = record(agent, "--system", "--for", "0", "--json", "/dev/full")
    assert done.returncode == 1
    assert "cannot write /dev/full: No space left on device" in done.stderr
    assert "Verdict: " in done.stdout


# --- which agent


LISTENS = 'echo "listening on http://127.0.0.1:1"; exec sleep 60'
ANSWERS = {
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
    "another object": b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"running": true}',
    "elsewhere": b"HTTP/1.1 302 Found\r\nLocation: /graph\r\nContent-Length: 0\r\n\r\n",
    "not found": b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a shell script take the place of an agent of our own."""
    real = spawn.running_agent

    def start(**options: Any) -> Any:
        script = Invocation(("sh", "-c", LISTENS, "agent"), os.environ)
        return real(invocation=script, **options)

    monkeypatch.setattr(spawn, "running_agent", start)


def at_default_port(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    port = int(url.rpartition(":")[2])
    monkeypatch.setattr(finding, "PORT", port)


def test_the_agent_on_the_default_port_is_used(
    agent: RunAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_default_port(monkeypatch, agent.url)
    with an_agent(None) as found:
        assert found.url == agent.url


@pytest.mark.usefixtures("private")
def test_without_one_there_is_one_for_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with ended() as gone:
        at_default_port(monkeypatch, gone.url)
        with an_agent(None) as found:
            assert isinstance(found, RunningAgent)
            assert os.getpgid(found.pid) == found.pid, "a signal to our group does not reach it"
    assert found.process.returncode is not None


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_another_service_on_the_default_port_is_only_asked(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65536))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        at_default_port(monkeypatch, f":{listener.getsockname()[1]}")
        with an_agent(None) as found:
            assert isinstance(found, RunningAgent)
        thread.join()
    [request] = asked
    assert request.startswith(b"GET /status ")


def test_an_agent_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with ended() as gone:
        at_default_port(monkeypatch, gone.url)
        why = r"no agent could be started: .*nonexistent"
        with pytest.raises(NoAgent, match=why), an_agent(None):
            pass
