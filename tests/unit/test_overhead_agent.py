from typing import Any

import pytest
from fakes.overhead import FakeAgent

from agent.client.http_client import AgentRefused
from agent.overhead.agent_runs import AgentRun
from agent.overhead.protocols import CannotMeasure

GOOD = {"available": True, "runqlat": {}, "exec": {}, "timing": "accounting"}
COMPLETE = {"verdict": "complete", "reasons": []}


def run(agent: FakeAgent) -> AgentRun:
    return AgentRun("x", "the x", agent, ("runqlat", "exec"), {"timing": "accounting"})


def test_a_run_starts_with_its_options_and_stops() -> None:
    agent = FakeAgent({**GOOD, "completeness": COMPLETE})
    configuration = run(agent)
    with configuration.armed():
        body = {"sections": ["runqlat", "exec"], "timing": "accounting"}
        assert agent.asked == [("/start", body)]
    assert agent.asked[1:] == [("/stop", None)]
    assert configuration.remarks() == ()


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({"available": False, "reason": "no BTF"}, "no BTF"),
        ({"available": True, "runqlat": {}, "unavailable": {"exec": "no probe"}}, "exec: no probe"),
        ({"available": True, "runqlat": {}}, "exec: not in evidence"),
        (
            {
                **GOOD,
                "completeness": {"verdict": "invalid", "reasons": ["supervisor gone"]},
            },
            "supervisor gone",
        ),
        ({**GOOD, "biolatency": {}}, "biolatency was collected but not requested"),
        ({**GOOD, "timing": "clock"}, "requested timing accounting, but evidence says clock"),
    ],
)
def test_what_was_not_collected_cannot_pass_for_cheap(evidence: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotMeasure, match=why), run(FakeAgent(evidence)).armed():
        pass


def test_an_option_the_agent_refuses_is_reported_and_nothing_is_stopped() -> None:
    agent = FakeAgent({}, AgentRefused(422, "invalid_field", "unknown option"))
    with pytest.raises(CannotMeasure, match="unknown option"), run(agent).armed():
        pytest.fail("must not be armed")
    assert len(agent.asked) == 1


def test_losses_are_remarks_counted_over_the_runs() -> None:
    agent = FakeAgent({k: v for k, v in GOOD.items() if k != "timing"} | {"manifest": GOOD})
    configuration = run(agent)
    for lost in (3, 5):
        reasons = [f"runqlat: {lost} of 100 events lost"]
        agent.evidence["completeness"] = {"verdict": "degraded", "reasons": reasons}
        with configuration.armed():
            pass
    assert configuration.remarks() == ("runqlat: 5 of 100 events lost (runs: 2)",)


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_switched_on_or_off_is_available_or_not(wanted: bool) -> None:
    sections = {"runqlat": {}, "exec": {}, "completeness": COMPLETE}
    for available in (True, False):
        agent = FakeAgent({"available": True, **sections, "wall": {"available": available}})
        configuration = AgentRun("x", "the x", agent, ("runqlat", "exec"), {"wall": wanted})
        if available == wanted:
            with configuration.armed():
                pass
            continue
        with pytest.raises(CannotMeasure, match="requested wall"), configuration.armed():
            pass
