"""The token goes to the agent that the user has named, and to nobody else."""

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.agent_server import FakeAgent, Request, serving
from fakes.fleet import machines
from fakes.run_agent import RunAgent
from fakes.run_command import environment, finished, line

from agent.cli import main
from agent.client import finding
from agent.client.access import NOTHING, Access, NoToken
from agent.client.collecting import collect
from agent.client.finding import NoAgent
from agent.client.http_client import AgentClient, AgentRefused, AgentUnreachable, _refusal
from agent.client.http_messages import Answer
from agent.client.open_runs import how_to_end
from agent.client.several import members_at
from agent.demo.bracket import bracket
from agent.demo.command import run_demo

VARIABLES = ("CHAINBENCH_AGENT", "CHAINBENCH_AGENT_TOKEN", "CHAINBENCH_AGENT_TOKEN_FILE")
TOKEN = "0123456789abcdef"


class KeepingAgent(RunAgent):
    """An agent that keeps runs, of which there are none."""

    def answer(self, request: Request) -> tuple[int, dict[str, object]]:
        if request.route.startswith("GET /runs?"):
            self.requests.append(request)
            return 200, {"runs": [], "next": None}
        return super().answer(request)


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def agent() -> Iterator[KeepingAgent]:
    with serving(KeepingAgent()) as agent:
        yield agent


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def shown(agent: FakeAgent) -> set[str | None]:
    """Return what was sent as a token, of all requests."""
    assert agent.requests
    return {request.authorization for request in agent.requests}


def test_from_a_variable_or_from_the_file_that_one_names(
    agent: KeepingAgent, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
    client = AgentClient.named(agent.url)
    client.get("/status")
    token_file.write_text("another-token")
    client.get("/status")
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN", "given")
    AgentClient.named(agent.url).get("/status")
    sent = [request.authorization for request in agent.requests]
    assert sent == [f"Bearer {TOKEN}", "Bearer another-token", "Bearer given"]


def by_collect(agent: KeepingAgent) -> None:
    with collect(agent.url) as run:
        pass
    assert run.evidence["available"] is True


def by_runs(agent: KeepingAgent) -> None:
    main(["runs", "list", "--agent", agent.url])


def by_compare(agent: KeepingAgent) -> None:
    main(["compare", "--agent", agent.url, "last~1", "last"])


@pytest.mark.parametrize("command", [by_collect, by_runs, by_compare])
def test_who_names_an_agent_shows_it_the_token(
    agent: KeepingAgent,
    command: Callable[[KeepingAgent], None],
    monkeypatch: pytest.MonkeyPatch,
    token_file: Path,
) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
    with contextlib.suppress(SystemExit):
        command(agent)
    assert shown(agent) == {f"Bearer {TOKEN}"}


def test_run_does(agent: KeepingAgent, token_file: Path) -> None:
    variables = environment(CHAINBENCH_AGENT_TOKEN_FILE=str(token_file))
    done = finished(line("run", "--agent", agent.url, "--quiet", "--", "true"), env=variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert "POST /stop" in agent.routes
    assert shown(agent) == {f"Bearer {TOKEN}"}


def test_demo_does(agent: KeepingAgent, token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
    monkeypatch.setattr(bracket, "__defaults__", (0.01,))
    assert run_demo(agent.url) == 0
    assert "POST /stop" in agent.routes
    assert shown(agent) == {f"Bearer {TOKEN}"}


def test_an_agent_that_was_only_found_gets_none(
    agent: KeepingAgent, monkeypatch: pytest.MonkeyPatch, token_file: Path, tmp_path: Path
) -> None:
    """What listens on the default port may be anything."""
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
    monkeypatch.setattr(finding, "SERVICE_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr(finding, "PORT", int(agent.url.rpartition(":")[2]))
    with collect() as run:
        pass
    assert run.evidence["available"] is True
    assert shown(agent) == {None}


def test_over_a_unix_socket_none_is_needed(
    tmp_path: Path, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
    with serving(KeepingAgent(), tmp_path / "agent.sock") as agent:
        AgentClient.named(agent.url).get("/status")
        assert shown(agent) == {None}


def test_each_of_several_agents_gets_its_own(
    token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machines("db", "proxy") as found:
        here, db, proxy = found.values()
        token_file.write_text(f"{db.url} of-db\n\nfor-others\n  {proxy.url}/\tof-proxy \n")
        monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", str(token_file))
        with collect([agent.url for agent in found.values()]) as block:
            pass
        named = [word for agent in found.values() for word in ("--agent", agent.url)]
        done = finished(line("run", *named, "--quiet", "--", "true"), env=environment())
        assert (done.returncode, done.stderr) == (0, "")
        assert shown(here) == {"Bearer for-others"}
        assert shown(db) == {"Bearer of-db"}
        assert shown(proxy) == {"Bearer of-proxy"}
    assert block.evidence["fleet"]["merged"]["machines"] == ["db", "here", "proxy"]


def test_an_agent_without_a_line_gets_no_others_token(agent: KeepingAgent, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("https://elsewhere:9090 secret\n")
    AgentClient(agent.url, access=Access(file=str(tmp_path / "x"))).get("/status")
    assert shown(agent) == {None}


@pytest.mark.parametrize(
    "text",
    ["http://a:1", "http://a:1 two words", "http://a:1 x\nhttp://a:1/ y", "http://a:1 x\ny\nz"],
)
def test_a_file_that_names_agents_has_one_token_for_each(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(NoToken, match="or for several agents a line of URL and token for each"):
        Access(file=str(tmp_path / "x")).token("http://a:1")


@pytest.mark.parametrize("text", ["two\nlines", "two words", "ü", "a\r\nHost: x"])
def test_what_is_no_token_is_not_sent(agent: KeepingAgent, text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(text)
    for access in (Access(given=text), Access(file=str(tmp_path / "x"))):
        with pytest.raises(AgentUnreachable, match="is no token: that is one line of ASCII"):
            AgentClient(agent.url, access=access).get("/status")
    assert agent.requests == []


def test_a_file_that_cannot_be_read_is_named(
    agent: KeepingAgent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "nothing was sent to .*: the token in /no/such cannot be read: No such"
    with pytest.raises(AgentUnreachable, match=why):
        AgentClient(agent.url, access=Access(file="/no/such")).get("/status")
    monkeypatch.setenv("CHAINBENCH_AGENT_TOKEN_FILE", "/no/such")
    assert run_demo(agent.url) == 1
    assert re.match(f"demo: {why}", capsys.readouterr().err)
    assert agent.requests == []


class RequiringAgent(KeepingAgent):
    """An agent that requires a token."""

    def answer(self, request: Request) -> tuple[int, dict[str, object]]:
        if request.authorization is None:
            return 401, {"error": "unauthorized", "message": "this agent requires a token"}
        return super().answer(request)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "is empty"), (" \n\n", "is empty"), ("http://other:1 token-of-it\n", "has no token for")],
)
def test_a_file_without_a_token_for_an_agent_that_requires_one_is_named(
    tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with serving(RequiringAgent()) as agent:
        with pytest.raises(AgentRefused, match=f"requires a token; {file} {why}"):
            AgentClient(agent.url, access=Access(file=str(file))).get("/status")
        with pytest.raises(AgentRefused, match=r"requires a token$"):
            AgentClient(agent.url).get("/status")


class Another(KeepingAgent):
    """Another service, which sends everybody away without a word."""

    def answer(self, request: Request) -> tuple[int, dict[str, object]]:
        return 401, {}


def test_which_of_several_agents_refuses_and_that_one_is_none_is_told() -> None:
    with serving(RequiringAgent()) as one, serving(Another()) as other:
        with pytest.raises(NoAgent) as refused:
            members_at([one.url, other.url])
        assert f"{one.url}: 401 unauthorized: this agent requires a token; " in str(refused.value)
        none = "is not a chainbench-agent, or a proxy without one: 401: "
        assert f"what answers at {other.url} {none}" in str(refused.value)


def test_an_answer_without_words_is_said_to_be_none_of_an_agents() -> None:
    refused = _refusal(Answer(302, b"\r\n", reusable=False))
    assert str(refused) == "302: an answer that no agent gives"


def test_a_password_in_a_url_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("https://me:secret@host:1", "http://me:sec/secret@host", "me:secret@host:1"):
        with pytest.raises(ValueError, match=r"…@host.* is not the URL of an agent") as refused:
            AgentClient(url)
        assert "secret" not in str(refused.value)
        with pytest.raises(SystemExit):
            main(["run", "--agent", url, "--", "true"])
        said = capsys.readouterr().err
        assert "…@host" in said
        assert "secret" not in said


def test_nobody_waits_for_a_pipe(agent: KeepingAgent, tmp_path: Path) -> None:
    """A command must run, even if a file of its agent was named that is a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(AgentUnreachable, match="pipe cannot be read: it is no regular file"):
        AgentClient(agent.url, access=Access(file=str(pipe))).get("/status")
    url = agent.url.replace("http:", "https:")
    with pytest.raises(
        AgentUnreachable,
        match=r"nothing was sent to .*\(CHAINBENCH_AGENT_CA_FILE\) cannot be used: it is",
    ):
        AgentClient(url, access=Access(ca_file=str(pipe))).get("/status")
    for name in ("CHAINBENCH_AGENT_TOKEN_FILE", "CHAINBENCH_AGENT_CA_FILE"):
        arguments = ("run", "--agent", url, "--quiet", "--", "echo", "ran")
        done = finished(line(*arguments), env=environment(**{name: str(pipe)}))
        assert (done.returncode, done.stdout) == (0, "ran\n")
        assert "it is no regular file" in done.stderr


def test_a_file_that_is_no_token_is_not_sent_in_part(agent: KeepingAgent, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_text("x" * 65537)
    with pytest.raises(AgentUnreachable, match="cannot be read: it has more than 65536 bytes"):
        AgentClient(agent.url, access=Access(file=str(large))).get("/status")
    assert agent.requests == []


@pytest.mark.parametrize("content", ["", "\n", "what is no certificate", "é"])
def test_without_a_certificate_nobody_is_trusted(
    agent: KeepingAgent, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)
    url = agent.url.replace("http:", "https:")
    with pytest.raises(AgentUnreachable, match="cannot be used: it holds no certificate"):
        AgentClient(url, access=Access(ca_file=str(file))).get("/status")


def test_by_default_there_is_none() -> None:
    assert NOTHING.token("http://a:1") == ""


def typed(access: Access, url: str) -> list[str]:
    """Return what curl gets from a shell that is given the line which ends a run."""
    line = how_to_end(AgentClient(url, access=access)).removeprefix("end it with: ")
    shell = f'curl() {{ printf "%s\\n" "$@"; }}; {line}'
    variables = {**os.environ, "CHAINBENCH_AGENT_TOKEN": access.given}
    done = subprocess.run(["sh", "-c", shell], env=variables, capture_output=True, text=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("text", "token"),
    [
        (f"{TOKEN}\n", TOKEN),
        (f"https://a:1 other\n\n  https://box:9090/  {TOKEN} \n", TOKEN),
        (f"https://a:1 other\n{TOKEN}", TOKEN),
        ("https://a:1 other\n", ""),
    ],
    ids=["alone", "of the URL", "of all others", "none"],
)
def test_the_line_that_ends_a_run_shows_the_token_of_a_file(
    tmp_path: Path, text: str, token: str
) -> None:
    file = tmp_path / "a 'token'"
    file.write_text(text)
    header = ["-H", f"Authorization: Bearer {token}"] if token else []
    words = ["-X", "POST", *header, "https://box:9090/stop"]
    assert typed(Access(file=str(file)), "https://box:9090") == words
    assert TOKEN not in how_to_end(AgentClient("https://box:9090", access=Access(file=str(file))))


def test_the_line_that_ends_a_run_shows_the_token_of_the_variable() -> None:
    header = ["-H", f"Authorization: Bearer {TOKEN}"]
    assert typed(Access(TOKEN), "http://box:9090") == [
        "-X",
        "POST",
        *header,
        "http://box:9090/stop",
    ]


def test_the_line_that_ends_a_run_names_the_certificates() -> None:
    access = Access(ca_file="/my own/ca.pem")
    cacert = ["--cacert", "/my own/ca.pem"]
    assert typed(access, "https://box") == ["-X", "POST", *cacert, "https://box/stop"]
    assert typed(access, "http://box") == ["-X", "POST", "http://box/stop"]


def test_over_a_socket_nothing_is_shown() -> None:
    over_socket = AgentClient("unix:/run/agent.sock", access=Access(TOKEN, ca_file="/ca.pem"))
    assert how_to_end(over_socket).endswith(
        "curl -X POST --unix-socket /run/agent.sock http://localhost/stop"
    )
