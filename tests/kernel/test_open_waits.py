"""Waits for a CPU that had not ended at the stop: in no histogram, but counted and described."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.cgroups import Quota, limiting
from fakes.checks import checks_of
from fakes.proc import arrivals, turns
from fakes.program import Program, program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.model import TIMINGS

SECONDS = 0.4
QUOTA_US = 2_000
ATTEMPTS = 10
RUNQLAT_ALONE = {"sections": ["runqlat"]}


@pytest.fixture
def quota() -> Iterator[Quota]:
    with limiting("cpu", "cpu.cfs_quota_us", "cpu.max") as path:
        group = Quota(path)
        try:
            yield group
        finally:
            group.lift()


@contextmanager
def spinning(quota: Quota) -> Iterator[Program]:
    with program("blocked") as blocked:
        quota.take(blocked.pid)
        blocked.tell("spin 60")
        try:
            yield blocked
        finally:
            quota.lift()
            blocked.kill()


def throttled_run(agent: RealAgent, pid: int, **body: Any) -> Any:
    """Return the evidence of a run in which the task did not come to a CPU at all."""
    for _ in range(ATTEMPTS):
        # begin just after a period's quota was used up
        before = arrivals(pid)
        eventually(lambda before=before: arrivals(pid) > before)
        time.sleep(QUOTA_US / 1e6 * 5)
        before_run = turns(pid)
        with agent.run(**body) as run:
            time.sleep(SECONDS)
            after = turns(pid)
        if after == before_run:
            return run.evidence
    raise AssertionError("the task came to a CPU in every run")


@pytest.mark.thorough(but="ring-clock-all")
@pytest.mark.parametrize("sections", [{}, RUNQLAT_ALONE], ids=["all", "runqlat"])
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_wait_through_the_whole_run_is_counted(
    agent: RealAgent, quota: Quota, timing: str, sections: Any
) -> None:
    with spinning(quota) as task:
        quota.limit(QUOTA_US)
        body = {"scope": task.scope, "timing": timing, **sections}
        evidence = throttled_run(agent, task.pid, **body)
    runqlat = evidence["runqlat"]
    assert runqlat["count"] == 0
    waiting = runqlat["waiting_at_stop"]
    assert (waiting["count"], waiting["began_before_run"]) == (1, 1)
    longest = waiting["longest"]
    assert longest["tid"] == task.pid
    assert longest["command"].startswith("python")
    assert longest["began_before_run"]
    length_ms = evidence["duration_s"] * 1000
    assert SECONDS * 1000 <= longest["ms"] == waiting["total_ms"] <= length_ms
    assert all(check["pass"] for check in evidence["checks"])


def test_a_wait_through_a_run_of_the_whole_machine_is_counted(
    agent: RealAgent, quota: Quota
) -> None:
    with spinning(quota) as task:
        quota.limit(QUOTA_US)
        evidence = throttled_run(agent, task.pid)
    waiting = evidence["runqlat"]["waiting_at_stop"]
    assert waiting["began_before_run"] >= 1
    assert waiting["longest"]["tid"] == task.pid
    assert waiting["longest"]["began_before_run"]
    # it never came to a CPU, so it is in no other row
    rows = evidence["runqlat"]["by_thread"]["top"]
    assert task.pid not in [row["tid"] for row in rows]


@pytest.mark.thorough(but="ring-clock-all")
@pytest.mark.parametrize("sections", [{}, RUNQLAT_ALONE], ids=["all", "runqlat"])
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_wait_that_began_in_the_run_has_its_age(
    agent: RealAgent, quota: Quota, timing: str, sections: Any
) -> None:
    with spinning(quota) as task:
        with agent.run(scope=task.scope, timing=timing, **sections) as run:
            time.sleep(SECONDS / 4)
            quota.limit(QUOTA_US)
            # a period's quota lasts for a few ms, so nearly all of the time it waits
            time.sleep(SECONDS)
        waiting = run.evidence["runqlat"]["waiting_at_stop"]
    assert (waiting["count"], waiting["began_before_run"]) == (1, 0)
    longest = waiting["longest"]
    assert longest["tid"] == task.pid
    assert not longest["began_before_run"]
    assert 0 < longest["ms"] <= run.evidence["duration_s"] * 1000
    assert run.evidence["completeness"]["streams"]["runqlat"]["in_flight_at_stop"] == 1
    # together with the waits that ended, it is not there twice
    ended_ms = run.evidence["runqlat"]["count"] * (run.evidence["runqlat"]["mean_us"] or 0) / 1000
    assert ended_ms + longest["ms"] <= run.evidence["duration_s"] * 1000
    assert checks_of(run.evidence)["run_queue_wait"]["pass"]


def test_without_open_waits_the_longest_is_null(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        pass
    assert run.evidence["runqlat"]["waiting_at_stop"] == {
        "count": 0,
        "began_before_run": 0,
        "total_ms": 0,
        "longest": dict.fromkeys(("tid", "command", "ms", "began_before_run")),
    }
