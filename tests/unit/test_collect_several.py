"""A block of Python that several agents measure."""

from contextlib import nullcontext
from typing import Any

import pytest
from fakes.agent_server import serving
from fakes.fleet import machines
from fakes.run_agent import RunAgent

from agent.client import NoEvidenceWarning, collect
from agent.client.one_run import OneRun
from agent.client.several import SeveralRuns, members_at


def test_the_block_is_measured_here_and_the_whole_of_the_other_machine() -> None:
    with machines("db") as found:
        with collect([agent.url for agent in found.values()], scenario="baseline") as run:
            assert [agent.run_id for agent in found.values()] == ["run-1", "run-1"]
        assert [agent.scopes for agent in found.values()] == [["caller"], ["system"]]
    assert run.evidence["available"] is True
    assert run.evidence["fleet"]["merged"]["machines"] == ["db", "here"]


def test_one_that_fails_is_warned_of_and_costs_no_other() -> None:
    with machines("db", "proxy") as found:
        found["db"].lost = True
        with (
            pytest.warns(NoEvidenceWarning, match=r"on another machine: db \(http"),
            collect([agent.url for agent in found.values()]) as run,
        ):
            pass
    assert run.evidence["available"] is True
    assert run.evidence["fleet"]["merged"]["machines"] == ["here", "proxy"]


def test_without_evidence_of_the_block_that_of_the_others_is_there() -> None:
    with machines("db") as found:
        found["here"].lost = True
        with (
            pytest.warns(NoEvidenceWarning, match="the evidence is lost"),
            collect([agent.url for agent in found.values()]) as run,
        ):
            pass
    assert run.evidence["available"] is False
    assert run.evidence["fleet"]["merged"]["machines"] == ["db"]


async def test_in_trio() -> None:
    with machines("db") as found:
        async with collect([agent.url for agent in found.values()]) as run:
            pass
    assert run.evidence["fleet"]["merged"]["runqlat"]["count"] == 6


def test_without_any_agent_the_block_runs() -> None:
    with serving(RunAgent()) as one, serving(RunAgent()) as other:
        pass
    with (
        pytest.warns(NoEvidenceWarning, match="no answer from"),
        collect([one.url, other.url]) as run,
    ):
        result = 7
    assert result == 7
    assert run.evidence["available"] is False


def test_each_url_has_to_be_that_of_an_agent() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        collect(["http://a", "nonsense"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_comes_between_two_starts_leaves_no_run_open(
    monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    begin, begun = OneRun.begin, []

    def fails_after_one(self: OneRun, body: Any) -> Any:
        if begun:
            raise error("between")
        begun.append(self)
        return begin(self, body)

    monkeypatch.setattr(OneRun, "begin", fails_after_one)
    with machines("db") as found:
        interrupted = error is KeyboardInterrupt
        left = pytest.raises(error) if interrupted else pytest.warns(NoEvidenceWarning, match="bet")
        with left, collect([agent.url for agent in found.values()]):
            assert not interrupted
        first, other = found["db"], found["here"]
        assert first.routes.count("POST /start") == first.routes.count("POST /stop") == 1
        assert "POST /stop" not in other.routes


def test_without_a_boot_id_it_is_not_known_which_agent_is_here() -> None:
    with machines("db", here="") as found:
        found["db"].boot_id = ""
        runs = SeveralRuns(members_at([found["db"].url]), nullcontext)
        answer = runs.begin({})
        runs.close()
    assert answer is not None
    assert "it is not known which agent is on the machine of the workload" in answer["reason"]
    assert f"no boot id from db ({found['db'].url})" in answer["reason"]
