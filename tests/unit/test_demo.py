"""The demonstration, against a fake agent."""

import contextlib
import io
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.agent_server import Request, ended, serving
from fakes.run_agent import ONE_RUN, RunAgent, ctrl_c_as_it_begins
from fakes.sample_evidence import evidence

from agent.client import spawn
from agent.client.http_client import AgentClient
from agent.client.interpreter import Invocation
from agent.demo import command as demo
from agent.demo import workload
from agent.demo.bracket import Bracketed, bracket
from agent.show.command import show
from agent.terminal import output as terminal

QUICK_S = 0.05


@pytest.fixture
def agent() -> Iterator[RunAgent]:
    with serving(RunAgent()) as fake:
        yield fake


@pytest.fixture
def quick_workload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bracket, "__defaults__", (QUICK_S,))


def bracketed_by(agent: RunAgent) -> Bracketed:
    return bracket(AgentClient(agent.url), QUICK_S)


def test_the_client_brackets_the_workload_as_the_contract_has_it(agent: RunAgent) -> None:
    bracketed = bracketed_by(agent)
    assert agent.routes == [*ONE_RUN[1:], "GET /status"]
    start, _, stop, _ = agent.requests
    assert set(json.loads(start.body)) == {"scenario", "impl", "variant", "commit", "dataset"}
    assert json.loads(stop.body) == {"run_id": "run-1"}, "that one and no other"
    assert bracketed.evidence == agent.evidence
    assert set(bracketed.work) == {unit for _, unit in workload.PARTS.values()}


def test_a_proxy_of_the_environment_is_not_asked(
    agent: RunAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert bracketed_by(agent).evidence == agent.evidence


def test_the_run_is_stopped_when_the_workload_fails(
    agent: RunAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(seconds: float) -> dict[str, int]:
        raise OSError("no such program")

    monkeypatch.setattr(workload, "run", fail)
    with pytest.raises(OSError, match="no such program"):
        bracketed_by(agent)
    assert agent.routes[-1] == "POST /stop"


def test_the_run_is_stopped_if_ctrl_c_comes_while_it_begins(agent: RunAgent) -> None:
    with ctrl_c_as_it_begins(agent):
        bracketed_by(agent)
    assert agent.routes == ONE_RUN[1:]
    assert not agent.run_id


def ended_by_others(agent: RunAgent) -> None:
    """Another client has ended the run, and begun its own."""
    agent.run_id = "theirs"


def ended_by_the_agent(agent: RunAgent) -> None:
    """The agent has been asked to end."""
    agent.ending = True


@pytest.mark.usefixtures("quick_workload")
@pytest.mark.parametrize("end", [ended_by_others, ended_by_the_agent])
def test_a_run_shorter_than_the_workload_is_invalid(
    agent: RunAgent, end: Callable[[RunAgent], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def after_the_start(request: Request) -> None:
        if request.route == "GET /status" and agent.run_id:
            end(agent)

    agent.on_request = after_the_start
    assert demo.run_demo(agent.url) == 1
    assert ("POST /stop" in agent.routes) == (end == ended_by_the_agent)
    shown = capsys.readouterr()
    assert "Verdict: invalid" in shown.out
    assert "ended_early" in shown.out
    assert shown.err.endswith("\ndemo: the run ended before the workload was over\n")


@pytest.mark.usefixtures("quick_workload")
def test_evidence_of_what_others_have_begun_meanwhile_is_not_shown(
    agent: RunAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent of an earlier version ends theirs if they begin it just before the stop."""

    def theirs(request: Request) -> None:
        if request.route == "POST /stop":
            agent.evidence = evidence(run_id="theirs")
        if request.route == "GET /evidence/run-1":
            agent.evidence = evidence(run_id="run-1")

    agent.on_request = theirs
    assert demo.run_demo(agent.url) == 0
    shown = capsys.readouterr().out
    assert "run       run-1" in shown
    assert "theirs" not in shown


@pytest.mark.usefixtures("quick_workload")
def test_the_demo_prints_evidence(agent: RunAgent, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run_demo(agent.url + "/") == 0
    output = capsys.readouterr().out
    assert "turns of ping-pong" in output
    assert "Run-queue latency" in output
    assert "\x1b" not in output


@pytest.mark.usefixtures("quick_workload")
def test_having_no_evidence_is_no_failure(
    agent: RunAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.evidence = {"available": False, "reason": "no bcc"}
    assert demo.run_demo(agent.url) == 0
    assert "available: false\n  no bcc" in capsys.readouterr().out


def test_a_refusal_is_passed_on_in_the_agents_words(
    agent: RunAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.refuse_start = True
    assert demo.run_demo(agent.url) == 1
    assert agent.routes == ["GET /status", "POST /start"]
    assert said(capsys, agent) == "the agent refused: there is no process 1"


def test_while_another_run_is_in_progress_it_says_how_to_end_that(
    agent: RunAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.busy = 1
    assert demo.run_demo(agent.url) == 1
    assert agent.routes == ["GET /status", "POST /start"]
    line = said(capsys, agent)
    assert line.startswith("run r-0 is in progress (since 2026-03-01T10:11:12.000+00:00); if its")
    assert line.endswith(f"end it with: curl -X POST {agent.url}/stop")


@pytest.mark.usefixtures("quick_workload")
def test_an_agent_on_a_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(RunAgent(), tmp_path / "agent.sock") as fake:
        assert demo.run_demo(fake.url) == 0
    assert "Run-queue latency" in capsys.readouterr().out


def said(capsys: pytest.CaptureFixture[str], agent: RunAgent | None = None) -> str:
    """Return the demo's last line, without its beginning; nothing else was printed.

    Before it, there is one only if an agent has answered.
    """
    shown = capsys.readouterr()
    *before, line = shown.err.splitlines()
    connected = f"demo: agent at {agent.url}, running the bundled workload" if agent else ""
    assert before == ([connected] if agent else [])
    assert shown.out == ""
    assert line.startswith("demo: ")
    return line.removeprefix("demo: ")


def test_an_agent_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with ended() as gone:
        assert demo.run_demo(gone.url) == 1
    assert said(capsys) == f"no answer from {gone.url}: Connection refused (of --agent)"


@pytest.mark.parametrize("url", ["", "127.0.0.1:9090", "http://", "http://127.0.0.1:http"])
def test_a_url_of_no_agent(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.run_demo(url) == 1
    line = said(capsys)
    named = url.rstrip("/") or "''"
    assert line.startswith(f"{named} is not the URL of an agent (expected http://HOST:")
    assert line.endswith(" (of --agent)")


OTHER, PROXY = (
    "is not a chainbench-agent (of ",
    "is not a chainbench-agent, or a proxy without one: ",
)
NO_OBJECT, NO_ANSWER = "did not answer with a JSON object", "no answer from"
ANSWERS = {
    "HTML": (b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", PROXY),
    "a page": (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", NO_OBJECT),
    "a list": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", NO_OBJECT),
    "another object": (b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"up": "yes"}', OTHER),
    "another error": (b'HTTP/1.1 404 No\r\nContent-Length: 14\r\n\r\n{"detail": "x"}', PROXY),
    "elsewhere": (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", PROXY),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", NO_ANSWER),
    "nothing": (b"", NO_ANSWER),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_answers_is_no_agent(answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    content, cause = ANSWERS[answer]
    with listening(content) as url:
        assert demo.run_demo(url) == 1
    words = said(capsys)
    assert url in words
    assert cause in words
    assert words.endswith(" (of --agent)")


@pytest.mark.usefixtures("quick_workload")
def test_evidence_is_shown_though_the_agent_ends_after_the_stop(
    agent: RunAgent, capsys: pytest.CaptureFixture[str]
) -> None:
    def ends(request: Request) -> None:
        if request.route == "GET /status" and "POST /stop" in agent.routes:
            raise ConnectionResetError

    agent.on_request = ends
    assert demo.run_demo(agent.url) == 0
    assert "Run-queue latency" in capsys.readouterr().out


@contextlib.contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Give one client this answer, whatever it asks."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_an_agent_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The output shows the agent's own error message as well."""
    monkeypatch.setattr(
        spawn, "own_module", lambda _: Invocation(("sh", "-c", "echo no luck >&2; exit 3"), {})
    )
    assert demo.run_demo() == 1
    complaints = capfd.readouterr().err
    assert "no luck\n" in complaints
    assert "demo: the agent exited with status 3 before it listened" in complaints


@pytest.mark.parametrize("part", workload.PARTS)
def test_every_part_of_the_workload_does_something(part: str, tmp_path: Path) -> None:
    with workload.part(part, QUICK_S) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    assert int(output) > 0


def test_the_scratch_file_has_no_name_to_be_left_behind() -> None:
    with workload.scratch_file() as fd:
        assert os.fstat(fd).st_nlink == 0


def test_show_prints_saved_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "evidence.json"
    saved.write_text(json.dumps(evidence()))
    assert show(str(saved)) == 0
    assert "Run-queue latency" in capsys.readouterr().out


def test_show_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = io.BytesIO(json.dumps(evidence()).encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typed))
    assert show("-") == 0
    assert "Run-queue latency" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 200_000, b"", b"{}"])
def test_show_refuses_what_is_no_evidence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.json"
    broken.write_bytes(content)
    assert show(str(broken)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"cannot read evidence from {broken}: it ")
    assert printed.out == ""


def test_show_refuses_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert show("/no/such\x1bfile") == 1
    assert "\x1b" not in capsys.readouterr().err


def written_as(encoding: str, text: str) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    terminal.write(text, stream)
    return raw.getvalue().decode(encoding)


def test_a_stream_that_cannot_carry_the_characters_gets_ascii() -> None:
    assert written_as("ascii", "64 µs – 128 µs █▏ ü") == "64 us - 128 us #+ \\xfc"
    assert written_as("utf-8", "64 µs █") == "64 µs █"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "variables", "colour"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colour_is_for_a_person_who_wants_it(
    stream: Callable[[], io.StringIO],
    variables: dict[str, str],
    colour: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.wants_color(stream()) is colour
