"""Runs of ours that could not be ended: they are, before the next one begins, and nobody waits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agent_server import Request, serving
from fakes.fleet import machines
from fakes.lossy_agent import OF_A_PROXY, Answer, how_to_end, run_of, why_not
from fakes.run_agent import RunAgent
from fakes.run_command import finished, line
from fakes.series import run

from agent.client.collecting import collect
from agent.client.open_runs import LEFT_OPEN

pytestmark = pytest.mark.usefixtures("as_from_a_shell")

MARKED = {"run_id": "run-1"}


class BehindAProxy(RunAgent):
    """Has one run at a time; a proxy does not deliver the first ``undelivered`` stops."""

    undelivered = 2
    """Each is sent twice."""

    def answer(self, request: Request) -> Answer:
        if request.route == "POST /stop" and self.undelivered:
            self.undelivered -= 1
            return OF_A_PROXY
        if request.route == "POST /start" and self.run_id:
            self.requests.append(request)
            busy = {"error": "run_in_progress", "message": "busy", "run_id": self.run_id}
            return 409, busy
        return super().answer(request)


@pytest.fixture
def agent() -> Iterator[BehindAProxy]:
    with serving(BehindAProxy()) as agent:
        yield agent


def stops(agent: RunAgent) -> list[object]:
    return [json.loads(r.body) for r in agent.requests if r.route == "POST /stop"]


def test_it_is_ended_by_its_id_as_the_next_one_begins(agent: BehindAProxy) -> None:
    first, second = run_of(agent), run_of(agent)
    first.begin({})
    assert why_not(first.stop).startswith("the evidence was not fetched: ")
    assert agent.run_id
    assert second.begin({})
    assert agent.routes[-3:] == ["POST /start", "POST /stop", "POST /start"]
    assert stops(agent) == [MARKED]
    assert agent.url not in LEFT_OPEN, "it is ended"
    assert second.stop() == agent.evidence


def test_a_run_of_others_is_not(agent: BehindAProxy) -> None:
    first, second = run_of(agent), run_of(agent)
    first.begin({})
    why_not(first.stop)
    agent.run_id = "theirs"
    assert second.begin({}) is None
    assert stops(agent) == []


@pytest.mark.parametrize("undelivered", [3, 999])
def test_one_that_cannot_be_ended_is_not_waited_for(agent: BehindAProxy, undelivered: int) -> None:
    agent.undelivered = undelivered
    first, second = run_of(agent), run_of(agent)
    first.begin({})
    why_not(first.stop)
    why = why_not(lambda: second.begin({}))
    assert why.startswith("run run-1, an earlier one of ours, could not be ended: 502: ")
    assert why.endswith(how_to_end(agent))


def test_blocks_of_one_process_do_not_wait_for_one_another(agent: BehindAProxy) -> None:
    with pytest.warns(match="the evidence was not fetched"), collect(agent.url):
        pass
    with collect(agent.url) as block:
        pass
    assert block.evidence == agent.evidence


@pytest.mark.parametrize("undelivered", [2, 999], ids=["once", "always"])
def test_a_series_waits_for_none_of_its_own(
    agent: BehindAProxy, undelivered: int, tmp_path: Path
) -> None:
    """The first is its rehearsal, whose evidence nobody wants."""
    agent.undelivered = undelivered
    done = run(agent, tmp_path / "trace", "--runs", 2, command=["true"])
    assert "waiting for the end of another run" not in done.said
    measured = [r["evidence"]["available"] for r in done.saved["runs"]]
    if undelivered == 2:
        assert measured == [True, True]
        assert "no evidence" not in done.said
    else:
        assert measured == [False, False]
        assert done.said.count("no evidence of this run or any later one: run run-1, an ear") == 1


def test_nor_with_several_agents(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with machines() as found, serving(BehindAProxy(machine="db", boot_id="another")) as db:
        named = [word for agent in (*found.values(), db) for word in ("--agent", agent.url)]
        done = finished(line("run", *named, "--runs", 2, "--json", file, "--", "true"))
    assert done.returncode == 0, done.stderr
    assert "waiting for the end of another run" not in done.stderr
    runs = json.loads(file.read_text())["runs"]
    assert [one["evidence"]["available"] for one in runs] == [True, True]
    for one in runs:
        assert [row["reason"] for row in one["evidence"]["fleet"]["machines"]] == [None, None]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The next test's agent may be on the same port."""
    yield
    LEFT_OPEN.clear()
