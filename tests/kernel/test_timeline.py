"""How a run got there: what happened late in a run is shown late."""

import time
from datetime import UTC, datetime

import pytest
from fakes.program import program
from fakes.real_agent import RealAgent

TURNS = 100_000
IDLE_SECONDS = 1.5
"""Long enough for a snapshot before the load begins."""


@pytest.mark.thorough
def test_load_in_the_second_half_of_a_run_is_shown_there(agent: RealAgent) -> None:
    with program("pingpong", TURNS) as players, agent.run(scope=players.scope) as run:
        time.sleep(IDLE_SECONDS)
        began = datetime.now(UTC)
        players.work()
    timeline = run.evidence["timeline"]
    measured_from = datetime.fromisoformat(run.evidence["measured_from"])
    load_at_s = (began - measured_from).total_seconds()
    waits = [
        sum(column["counts"][snapshot] for column in timeline["runqlat"])
        for snapshot in range(len(timeline["at_s"]))
    ]
    assert waits == sorted(waits)
    assert waits[-1] == run.evidence["runqlat"]["count"] >= 2 * TURNS
    before = [n for n, at_s in zip(waits, timeline["at_s"], strict=True) if at_s < load_at_s]
    assert before, "no snapshot of the time without load"
    assert max(before) < TURNS / 100
    assert timeline["events"][-1] == run.evidence["overhead"]["events"]
