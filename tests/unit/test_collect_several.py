"""A block of Python that several agents measure."""

import pytest
from fakes.agent_server import serving
from fakes.fleet import machines
from fakes.run_agent import RunAgent

from agent.client import NoEvidenceWarning, collect


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
