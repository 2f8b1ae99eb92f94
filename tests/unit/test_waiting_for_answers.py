"""How long a client waits for an agent that compiles, and what it says meanwhile."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest
from fakes.agent_server import Request, serving
from fakes.run_agent import RunAgent, no_start_answered
from fakes.run_command import environment, finished, line
from fakes.terminals import on_terminal
from fakes.waiting import PATIENCE_SECONDS

from agent.client import NoEvidenceWarning, collect, http_client
from agent.client.http_client import ANSWER_TIMEOUT_S, AgentClient, AgentUnreachable
from agent.demo.command import an_agent as an_agent_of_demo
from agent.run.agents import an_agent

SAID = "waiting for the agent, which compiles its probes the first time"
LONGER_S = http_client.SLOW_S + 0.3


class Slow(RunAgent):
    """An agent that takes a while for each start, and says how long one may take."""

    slowly: float = 0.0
    compile_deadline_s: object = 45.0

    def answer(self, request: Request) -> tuple[int, dict[str, object]]:
        if request.route == "POST /start":
            time.sleep(self.slowly)
        status, answer = super().answer(request)
        if request.route == "GET /status":
            answer["compile_deadline_s"] = self.compile_deadline_s
        return status, answer


@pytest.fixture
def agent() -> Iterator[Slow]:
    with serving(Slow()) as fake:
        yield fake


@pytest.mark.parametrize(
    ("deadline_s", "waits_s"),
    [(45, 60), (None, 60), (1, 60), (280, 295), ("soon", 60), (float("nan"), 60), (1e300, 86400)],
)
def test_a_client_waits_longer_than_the_agent_may_compile(
    agent: Slow, deadline_s: object, waits_s: float
) -> None:
    agent.compile_deadline_s = deadline_s
    for agent_at in (an_agent, an_agent_of_demo):
        with agent_at(agent.url) as client:
            assert client._timeout_s == waits_s
    assert AgentClient(agent.url)._timeout_s == ANSWER_TIMEOUT_S == 60


def test_a_block_is_waited_for_as_long(agent: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "ANSWER_TIMEOUT_S", 0.1)
    agent.slowly = 0.3
    with collect(agent.url) as block:
        pass
    assert block.evidence["available"] is True


@pytest.mark.parametrize("names", [["127.0.0.1"], ["127.0.0.1", "localhost"]])
def test_a_block_is_waited_for_no_longer_than_its_time_out(agent: Slow, names: list[str]) -> None:
    urls = [agent.url.replace("127.0.0.1", name) for name in names]
    with (
        no_start_answered(agent),
        pytest.warns(NoEvidenceWarning, match="timed out"),
        collect(urls, timeout_s=0.1),
    ):
        pass


def test_whoever_waits_is_told_once(agent: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "SLOW_S", 0.01)
    told: list[str] = []
    was_told = threading.Event()

    def tell() -> None:
        told.append("slow")
        was_told.set()

    def hold(request: Request) -> None:
        assert was_told.wait(PATIENCE_SECONDS)
        time.sleep(2 * http_client.LOOK_S)  # for a second word, if there were one

    agent.on_request = hold
    client = AgentClient(agent.url)
    client.on_slow = tell
    assert client.post("/start", {})["status"] == "started"
    assert told == ["slow"]


def test_an_answer_that_comes_soon_is_no_reason_to_say_anything(
    agent: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "SLOW_S", PATIENCE_SECONDS)
    agent.slowly = 1.5 * http_client.LOOK_S  # it is looked at meanwhile
    client = AgentClient(agent.url)
    client.on_slow = lambda: pytest.fail("it was not slow")
    assert client.post("/start", {})["status"] == "started"


def test_the_time_that_is_left_holds_for_a_slow_answer_too(
    agent: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "SLOW_S", 0.01)
    client = AgentClient(agent.url, timeout_s=0.1)
    client.on_slow = lambda: None
    with no_start_answered(agent), pytest.raises(AgentUnreachable, match="timed out"):
        client.post("/start", {})


@pytest.mark.thorough(but="run")
@pytest.mark.parametrize("how", ["run", "series", "record"])
def test_at_a_terminal_it_is_said_what_is_waited_for(agent: Slow, how: str) -> None:
    run = ("run", "--agent", agent.url, "--no-store")
    command = {
        "run": line(*run, "--", "true"),
        "series": line(*run, "--runs", 2, "--", "true"),
        "record": line("record", "--agent", agent.url, "--system", "--for", "0.1s"),
    }[how]
    with contextlib.ExitStack() as until_said:
        until_said.enter_context(no_start_answered(agent))
        with on_terminal(command, environment(), columns=200) as terminal:
            terminal.wait_for(SAID)
            until_said.close()
            shown = " ".join(terminal.to_the_end().split())
    assert shown.count(SAID) == 1
    assert terminal.process.returncode == 0


def test_at_a_terminal_it_is_said_that_the_evidence_is_waited_for(agent: Slow) -> None:
    """Nor is it waited for silently in a series, or where the agent is stuck."""
    over = threading.Event()

    def hold(request: Request) -> None:
        if request.route == "POST /stop":
            over.wait()

    agent.on_request = hold
    command = line("run", "--agent", agent.url, "--no-store", "--", "true")
    try:
        with on_terminal(command, environment(), columns=200) as terminal:
            terminal.wait_for("waiting for the agent, which puts the evidence together")
            over.set()
            assert "Verdict" in terminal.to_the_end()
    finally:
        over.set()


@pytest.mark.thorough
def test_in_a_file_it_says_nothing_of_that(agent: Slow) -> None:
    agent.slowly = LONGER_S
    done = finished(line("run", "--agent", agent.url, "--no-store", "--", "true"))
    assert SAID not in done.stderr
