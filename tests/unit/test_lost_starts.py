"""A start whose answer is lost on its way: a run may have begun, and whose it is is not known."""

import socket
import threading
from contextlib import nullcontext
from typing import Any

import pytest
from fakes.agent_server import ended, serving
from fakes.lossy_agent import (
    OF_A_PROXY,
    SAID_BY_NO_AGENT,
    Answer,
    InFront,
    how_to_end,
    lossy,
    run_of,
    why_not,
)
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line

from agent.client.collecting import NoEvidenceWarning, collect
from agent.client.http_client import AgentClient
from agent.client.one_run import OneRun


@pytest.mark.parametrize("instead", [None, OF_A_PROXY, *SAID_BY_NO_AGENT])
def test_a_start_may_have_begun_a_run_which_is_named_and_not_ended(instead: Answer | None) -> None:
    with serving(lossy("POST /start", instead=instead)) as agent:
        run = run_of(agent)
        why = why_not(lambda: run.begin({}))
        run.close()
    assert "; run run-1 is in progress, with the same labels: it may be this one" in why
    assert f"If nobody else has begun it, {how_to_end(agent)}" in why
    assert "POST /stop" not in agent.routes


def if_it_is_open(agent: RunAgent) -> str:
    which = f"if GET /status of {agent.url} names a run that nobody else has begun"
    return f"{which}, {how_to_end(agent)}"


def test_a_run_with_other_labels_is_somebody_elses_and_ours_may_still_begin() -> None:
    with serving(lossy("POST /start")) as agent:
        why = why_not(lambda: run_of(agent).begin({"commit": "abc"}))
    assert "it may be this one" not in why
    assert why.endswith(f"may still begin: {if_it_is_open(agent)}")


def test_a_start_that_has_begun_nothing_yet_may_still_begin_a_run() -> None:
    """What stands between may have queued it."""
    with serving(lossy("POST /start", deaf=True)) as agent:
        why = why_not(lambda: run_of(agent).begin({}))
    nothing = "no such run is in progress yet, but it may still begin"
    assert why.endswith(f"; {nothing}: {if_it_is_open(agent)}")


def test_a_start_whose_agent_says_nothing_more_may_begin_a_run() -> None:
    with serving(lossy("POST /start", "GET /status")) as agent:
        why = why_not(lambda: run_of(agent).begin({}))
    assert why.endswith(f"; the run may begin all the same: {if_it_is_open(agent)}")


def test_an_agent_that_has_ended_begins_no_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = "http://{}:{}".format(*listener.getsockname())

        def end() -> None:
            accepted, _ = listener.accept()
            listener.close()
            accepted.recv(1000)
            accepted.close()

        ending = threading.Thread(target=end)
        ending.start()
        why = why_not(lambda: OneRun(AgentClient(url), nullcontext).begin({}))
        ending.join()
    assert why.endswith("; nothing listens there any more: if the agent has ended, no run is left")


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirection_has_begun_nothing(status: int) -> None:
    with serving(lossy("POST /start", instead=(status, {}), deaf=True)) as agent:
        assert "begin" not in why_not(lambda: run_of(agent).begin({}))
    assert agent.routes == []


def test_of_a_page_that_is_no_agents_only_the_first_words_are_shown() -> None:
    page: Any = "502\r\nBad Gateway " + 1000 * "x"
    with serving(lossy("POST /start", instead=(503, page), deaf=True)) as agent:
        why = why_not(lambda: run_of(agent).begin({}))
    assert why.startswith("no answer from the agent, but 503: ")
    assert len(why.partition("; ")[0]) < 300


def test_a_start_that_was_not_sent_begins_nothing() -> None:
    with ended() as gone:
        run = OneRun(AgentClient(gone.url), nullcontext)
        why = why_not(lambda: run.begin({}))
    assert why == f"no answer from {gone.url}: Connection refused"


def test_collect_says_how_to_end_a_run_after_a_long_page() -> None:
    with (
        serving(lossy("POST /start", instead=(503, {"page": 5000 * "x"}))) as agent,
        pytest.warns(NoEvidenceWarning) as warned,
        collect(agent.url),
    ):
        pass
    [why] = [str(warning.message) for warning in warned]
    assert why.endswith(how_to_end(agent))


@pytest.mark.thorough
def test_a_run_of_a_whole_machine_that_stays_open_is_named(front: InFront) -> None:
    front.losing = ["POST /start"]
    done = finished(line("record", "--agent", front.url, "--system"))
    assert done.returncode == 1
    status = front.behind.get("/status")
    assert status["running"]
    assert f"; run {status['run_id']} is in progress, with the same labels" in done.stderr
