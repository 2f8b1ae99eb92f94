"""An answer of an agent that is lost on its way: what it was asked may have been done."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from fakes.agent_server import Request, serving
from fakes.lossy_agent import (
    ENDS_ALREADY,
    NO_LONGER_ALLOWED,
    NO_SUCH_RUN,
    OF_A_PROXY,
    Answer,
    InFront,
    how_to_end,
    lossy,
    run_of,
    why_not,
)
from fakes.run_agent import RunAgent
from fakes.run_command import run
from fakes.sample_evidence import evidence as sample_evidence

from agent.client.http_client import AgentClient
from agent.client.one_run import NotMeasured, OneRun

# --- of the end of a run


@pytest.mark.parametrize("deaf", [True, False], ids=["on its way", "on its way back"])
@pytest.mark.parametrize("lost", ["GET /status", "POST /stop"])
@pytest.mark.parametrize("instead", [None, OF_A_PROXY], ids=["broken", "proxy"])
def test_the_end_is_asked_for_again_and_the_evidence_is_whole(
    lost: str, deaf: bool, instead: Answer | None
) -> None:
    with serving(lossy(lost, deaf=deaf, instead=instead)) as agent:
        run = run_of(agent)
        assert run.begin({})
        assert run.stop() == agent.evidence
        assert not agent.run_id
    assert agent.routes.count("POST /stop") == 1, "of those that arrived"


@pytest.mark.thorough
def test_evidence_that_an_agent_has_is_fetched(front: InFront, tmp_path: Path) -> None:
    front.losing = ["POST /stop"]
    done = run(front, ["true"], "--no-store", "--json", tmp_path / "x.json")
    evidence = json.loads((tmp_path / "x.json").read_text())
    assert evidence["completeness"] == front.behind.get("/evidence")["completeness"]
    assert "no evidence" not in done.stderr


def test_what_others_have_begun_meanwhile_is_not_ended() -> None:
    """Nor is a run that was ended too early whole because it is asked for again."""
    with serving(lossy("GET /evidence/run-1")) as agent:
        run = run_of(agent)
        run.begin({})
        agent.run_id = "theirs"
        assert run.stop()["completeness"]["verdict"] == "invalid"
    assert "POST /stop" not in agent.routes


@pytest.mark.parametrize(
    "instead",
    [None, OF_A_PROXY, ENDS_ALREADY, NO_LONGER_ALLOWED],
    ids=["broken", "proxy", "ends already", "no longer allowed"],
)
def test_without_an_answer_it_says_where_the_evidence_is(instead: Answer | None) -> None:
    with serving(lossy("POST /stop", "GET /evidence/run-1", instead=instead)) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("the evidence was not fetched: ")
    assert f"GET /evidence/run-1 of {agent.url} returns it once the run has ended" in why
    assert f"still in progress, {how_to_end(agent)}" in why


def test_an_agent_that_no_longer_takes_the_token_may_have_been_started_anew() -> None:
    with serving(lossy("GET /status", instead=NO_LONGER_ALLOWED)) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert "has been started anew since, its log has the evidence, and GET /runs/run-1 if" in why
    assert "; if not, GET /evidence/run-1 of" in why


def test_an_agent_that_has_had_its_time_is_not_asked_again() -> None:
    over = threading.Event()
    with serving(RunAgent()) as agent:
        run = run_of(agent, timeout_s=0.2)
        run.begin({})
        agent.on_request = lambda request: over.wait() and None
        why = why_not(run.stop)
        over.set()
    assert why.startswith(f"the evidence was not fetched: no answer from {agent.url}: timed out")
    assert agent.routes == ["POST /start", "GET /status"]


def test_the_second_question_is_given_up_like_the_first() -> None:
    """As after a signal."""
    over = threading.Event()

    def hang(request: Request) -> None:
        if agent.routes.count("GET /status") > 1:
            over.wait()

    def give_up(connection: socket.socket) -> None:
        if agent.routes.count("GET /status") > 1:
            raise NotMeasured("given up")

    @contextmanager
    def fetching(client: AgentClient, run_id: str) -> Iterator[None]:
        client.on_wait = give_up
        yield

    with serving(lossy("POST /stop")) as agent:
        agent.on_request = hang
        run = OneRun(AgentClient(agent.url), nullcontext, fetching=fetching)
        run.begin({})
        why = why_not(run.stop)
        over.set()
    assert why == "given up"


def test_an_answer_that_is_no_evidence_is_asked_for_again() -> None:
    with serving(RunAgent(evidence=["not", "an", "object"])) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("the evidence was not fetched: ")
    ended = ["POST /start", "GET /status", "POST /stop"]
    assert agent.routes == [*ended, "GET /status", "GET /evidence/run-1"]


def test_a_refusal_is_the_agents_last_word() -> None:
    with serving(RunAgent(lost=True)) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why == "the evidence is lost: 500 internal_error: a defect"
    assert agent.routes.count("POST /stop") == 1


# --- of runs that others have begun


class OfAnEarlierVersion(RunAgent):
    """Ends whichever run is in progress: by the time that it is asked, somebody else's."""

    def answer(self, request: Request) -> Answer:
        if request.route == "POST /stop":
            self.requests.append(request)
            return 200, sample_evidence(run_id="theirs")
        return super().answer(request)


def test_a_stop_names_its_run() -> None:
    with serving(RunAgent()) as agent:
        run = run_of(agent)
        run.begin({})
        run.stop()
    assert json.loads(agent.requests[-1].body) == {"run_id": "run-1"}


def test_the_evidence_of_another_run_is_not_taken_for_ones_own() -> None:
    with serving(OfAnEarlierVersion()) as agent:
        run = run_of(agent)
        run.begin({})
        assert run.stop() == agent.evidence
    assert agent.routes[-2:] == ["POST /stop", "GET /evidence/run-1"]


def test_without_ones_own_it_says_whose_run_was_ended() -> None:
    class Forgets(OfAnEarlierVersion):
        def answer(self, request: Request) -> Answer:
            if request.route.startswith("GET /evidence"):
                return NO_SUCH_RUN
            return super().answer(request)

    with serving(Forgets()) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("somebody else's run theirs was ended instead; the evidence ")


def test_while_the_agent_ends_the_run_its_evidence_is_fetched_by_id() -> None:
    """Agents of earlier versions refuse the second stop."""
    with serving(lossy("POST /stop", instead=ENDS_ALREADY)) as agent:
        run = run_of(agent)
        run.begin({})
        assert run.stop() == agent.evidence


@pytest.mark.thorough
def test_a_stop_whose_answer_is_lost_ends_nothing_of_others(front: InFront) -> None:
    """They begin their run between the two that we send."""

    class Between(InFront):
        def carry_out(self, request: Request) -> Answer:
            answer = super().carry_out(request)
            if request.route == "POST /stop":
                self.behind.post("/start", {"scenario": "theirs"})
            return answer

    agent = Between()
    agent.behind, agent.losing = front.behind, ["POST /stop"]
    with serving(agent):
        run = run_of(agent)
        own = (run.begin({}) or {})["run_id"]
        assert run.stop()["run_id"] == own
    assert front.behind.get("/status")["scenario"] == "theirs"


# --- of an agent that has been started anew


class StartedAnew(RunAgent):
    """Has nothing of the run but what is ``stored``."""

    stored: Answer = 404, {"error": "no_store", "message": "no runs are kept"}

    def answer(self, request: Request) -> Answer:
        if request.route == "GET /status":
            self.run_id = ""
        if request.route.startswith("GET /evidence"):
            return NO_SUCH_RUN
        if request.route.startswith("GET /runs"):
            return self.stored
        return super().answer(request)


@pytest.mark.parametrize("state", ["aborted", "partial"])
def test_what_it_has_kept_is_not_lost_and_not_whole(state: str) -> None:
    with serving(StartedAnew()) as agent:
        agent.stored = 200, {**agent.evidence, "state": state}
        run = run_of(agent)
        run.begin({})
        evidence = run.stop()
    assert (evidence["run_id"], evidence["state"]) == ("run-1", state)
    assert evidence["completeness"]["verdict"] == "invalid"
    assert evidence["completeness"]["reasons"][-1].startswith("ended_early: ")


def test_what_it_has_not_kept_may_be_in_its_log() -> None:
    with serving(StartedAnew()) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("the evidence is lost, unless the agent was asked to end: its log has it")
    assert why.endswith(": 404 no_such_run: not known")


def test_a_store_that_cannot_be_read_has_lost_nothing() -> None:
    with serving(StartedAnew()) as agent:
        agent.stored = 503, {"error": "store_unavailable", "message": "busy"}
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("the evidence was not fetched: 503 store_unavailable: busy")


@pytest.mark.parametrize("status", [404, 500])
def test_what_a_proxy_has_not_found_is_not_lost(status: int) -> None:
    with serving(lossy("POST /stop", "GET /evidence/run-1", instead=(status, {}))) as agent:
        run = run_of(agent)
        run.begin({})
        why = why_not(run.stop)
    assert why.startswith("the evidence was not fetched: ")
