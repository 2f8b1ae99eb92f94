"""A deadline task that gives the CPU away until its next period does not wait for one."""

from typing import Any

import pytest
from fakes.checks import checks_of
from fakes.durations import assert_lasted
from fakes.needs import lacking
from fakes.program import program
from fakes.real_agent import RealAgent

from agent.model import TIMINGS
from agent.streams.shared.syscall_names import syscall_names
from agent.words import Json

PERIODS = 8
LITTLE = 0.1
MOST = 0.5
"""Far below what the periods given away would be as waits; on a busy machine there are others,
before and after the program is a deadline task."""
NUMBERS = {name: number for number, name in syscall_names().items()}


def run_of_periods(agent: RealAgent, *, scoped: bool = True, **body: Any) -> tuple[Json, float]:
    """Return the evidence, and how long the task's calls of sched_yield() took."""
    with program("deadline", NUMBERS["sched_setattr"]) as task:
        scope = task.scope if scoped else "system"
        with agent.run(scope=scope, **body) as run:
            answer = task.work(str(PERIODS))
    if answer["error"]:
        lacking(f"room for a deadline task (error {answer['error']})")
    return run.evidence, answer["ms"]


@pytest.mark.parametrize("timing", TIMINGS)
def test_what_it_gave_away_is_no_wait(agent: RealAgent, timing: str) -> None:
    evidence, own_ms = run_of_periods(agent, timing=timing)
    rows = {row["reason"]: row for row in evidence["offcpu"]["top_reasons"]}
    assert rows["sched_yield"]["count"] >= PERIODS - 1
    assert_lasted(rows["sched_yield"]["ms"], evidence, own_ms)
    assert evidence["offcpu"]["by_state"]["preempted_ms"] < MOST * own_ms
    stream = evidence["completeness"]["streams"]["runqlat"]
    assert stream["unmatched"] == 0
    checks = checks_of(evidence)
    for name in ("run_queue_wait", "tasks_with_run_queue_wait", "lifetimes", "cpu_time"):
        assert checks[name]["pass"], checks[name]
    assert evidence["completeness"]["unseen_switches"] == 0


@pytest.mark.thorough
@pytest.mark.parametrize("timing", TIMINGS)
def test_what_it_gave_away_is_no_wait_without_off_cpu_time(agent: RealAgent, timing: str) -> None:
    evidence, own_ms = run_of_periods(agent, timing=timing, sections=["runqlat"])
    assert evidence["runqlat"]["preempted_ms"] < MOST * own_ms
    assert checks_of(evidence)["run_queue_wait"]["pass"]


def test_on_the_whole_machine_what_it_gave_away_is_no_wait(agent: RealAgent) -> None:
    evidence, own_ms = run_of_periods(agent, scoped=False)
    rows = {row["reason"]: row for row in evidence["offcpu"]["top_reasons"]}
    assert rows["sched_yield"]["ms"] >= own_ms * (1 - LITTLE)
