"""Which agent measures if none is named: that of a service's socket, of the port, or a new one."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_server import FakeAgent, Request, serving
from fakes.ports import refusing_port
from fakes.run_agent import RunAgent
from fakes.run_command import finished

from agent.client import finding
from agent.client.choosing import run_of
from agent.client.http_client import AgentClient, AgentUnreachable
from agent.run import agents
from agent.run.around import Around
from agent.run.measurement import Measurement, NotMeasured
from agent.run.options import Options
from agent.run.telling import Teller


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Path]:
    """A working directory, in which the paths of sockets are short."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def path(short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a service's socket would be; nothing is on the default port."""
    found = short / "agent.sock"
    monkeypatch.setattr(finding, "SERVICE_SOCKET", str(found))
    with refusing_port() as port:
        monkeypatch.setattr(finding, "PORT", port)
        yield found


def on_port(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(agent.url.rpartition(":")[2])
    monkeypatch.setattr(finding, "PORT", port)


def found() -> str:
    service, _ = finding.sought_service()
    return "" if service is None else service[0]


def said_without_evidence(capsys: pytest.CaptureFixture[str], options: Options) -> str:
    """Return what ``run`` says if it has asked for an agent, and nothing is measured."""
    teller = Teller("run", options)
    with contextlib.ExitStack() as stack:
        Around(options, teller.busy, teller.missing, teller.slow).find_agent(stack, teller.closed)
    teller.no_evidence("no capability")
    return " ".join(capsys.readouterr().err.split())


@pytest.fixture
def none_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")


def test_the_socket_comes_before_the_port(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(RunAgent()) as of_port, serving(RunAgent(), unix=path) as of_socket:
        on_port(of_port, monkeypatch)
        assert found() == f"unix:{path}"
        assert (of_socket.routes, of_port.routes) == (["GET /status"], [])
        with agents.an_agent(None) as agent:
            assert agent.get("/status")["state"] == "idle"
        with agents.an_agent(of_port.url) as agent:
            assert agent.url == of_port.url, "one that is named comes first"


def test_without_a_socket_it_is_the_port(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(RunAgent()) as agent:
        on_port(agent, monkeypatch)
        assert found() == agent.url


def test_a_socket_that_nobody_listens_on_is_passed_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert found() == ""
    with serving(RunAgent()) as agent:
        on_port(agent, monkeypatch)
        assert found() == agent.url


def test_another_service_on_either_is_only_asked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Another(FakeAgent):
        def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
            self.requests.append(request)
            return 200, {"status": "success"}

    with serving(Another(), unix=path) as one, serving(Another()) as two:
        on_port(two, monkeypatch)
        assert found() == ""
    assert one.routes == two.routes == ["GET /status"]


class Locked(FakeAgent):
    """An agent that requires a token."""

    def answer(self, request: Request) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        return 401, {"error": "unauthorized", "message": "a token is required"}


@pytest.mark.usefixtures("none_of_our_own")
def test_an_agent_on_the_port_that_requires_a_token_is_named_as_the_cause(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CHAINBENCH_AGENT", raising=False)
    with serving(Locked()) as agent:
        on_port(agent, monkeypatch)
        with pytest.raises(finding.NoAgent, match=f"{agent.url} requires a token: name the agent"):
            run_of([], None)
        assert len(agent.requests) == 1, "who does not answer would be waited for twice"
        assert "requires a token" in said_without_evidence(capsys, Options())
        assert {request.authorization for request in agent.requests} == {None}


@pytest.mark.parametrize("options", [[], ["--runs", "3"]], ids=["once", "a series"])
def test_a_whole_command_asks_once(options: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from agent import cli\n"
        "from agent.client import finding\n"
        "finding.SERVICE_SOCKET, finding.PORT = sys.argv[1], int(sys.argv[2])\n"
        "python, sys.executable = sys.executable, '/nonexistent/python'\n"
        "sys.argv[1:] = ['run', '--no-store', *sys.argv[3:], '--', python, '-c', '']\n"
        "sys.exit(cli.main())\n"
    )
    with serving(Locked()) as agent:
        port = agent.url.rpartition(":")[2]
        command = [sys.executable, "-c", code, str(tmp_path / "none"), port, *options]
        done = finished(command)
        assert agent.routes == ["GET /status"], "who does not answer would be waited for twice"
    assert done.returncode == 0
    assert done.stderr.count("requires a token") == 1


def test_another_service_that_wants_a_password_is_not_taken_for_an_agent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Another(Locked):
        challenge = 'Basic realm="another"'

    with serving(Another()) as other:
        on_port(other, monkeypatch)
        assert finding.sought_service() == (None, "")


def test_an_agent_that_is_named_by_its_socket(short: Path) -> None:
    path = short / "s"
    with serving(RunAgent(), unix=path), agents.an_agent(f"unix:{path}") as agent:
        assert agent.get("/status")["machine"] == "box"
    with (
        pytest.raises(agents.NoAgent, match=r"No such file .*of --agent"),
        agents.an_agent(f"unix:{short}/none"),
    ):
        pass


@pytest.mark.parametrize("url", ["unix:", "unix:relative", "unix:\0", "http://", "ftp://x"])
def test_what_is_no_url_of_an_agent(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected http://HOST:PORT or unix:/PATH"):
        AgentClient(url)


def test_a_path_that_no_socket_can_have() -> None:
    with pytest.raises(AgentUnreachable, match="path too long"):
        AgentClient(f"unix:/{'x' * 200}").get("/status")


def test_how_to_end_another_run_over_a_socket(short: Path) -> None:
    path = short / "s"
    with serving(RunAgent(busy=10**6), unix=path):
        run = Measurement(AgentClient(f"unix:{path}"))
        curl = f"curl -X POST --unix-socket {path} http://localhost/stop"
        # others may not end it
        cure = f"if its client is gone, its user or root can end it with: {curl}"
        with pytest.raises(NotMeasured, match=cure):
            run.start({}, 0.0, lambda other: None)


@pytest.mark.usefixtures("none_of_our_own")
def test_who_may_not_use_the_socket_is_told_how(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "socket" not in said_without_evidence(capsys, Options())
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        monkeypatch.setattr(finding.os, "access", lambda *_: False)
        said = said_without_evidence(capsys, Options())
        assert f"no evidence: no capability; an agent listens on {path}" in said
        assert "become a member of its group" in said
        assert "socket" not in said_without_evidence(
            capsys, Options(agent=f"unix:{path}-of-nobody")
        )
