"""Off-CPU time: equal to what the blocked task's own clock shows, under the right reason."""

import os
import signal
import time
from typing import Any

import pytest
from fakes.durations import assert_lasted, now_ms
from fakes.program import Program, program
from fakes.real_agent import RealAgent

LITTLE = 0.05
SECONDS = 0.5
LEAST_MS = 250.0
"""Lower bound on a block: the task that ends it may start its delay before the block begins."""

BETWEEN_WORDS = ("select", "pselect6")
"""Syscalls that a program blocks in while it waits for a word; they are not measured."""

REASONS = {
    "futex": "futex",
    "read": "read",
    "sleep": "clock_nanosleep",
    "page_fault": "page_fault",
}


def blocked_ms(evidence: Any, reason: str) -> float:
    rows = evidence["offcpu"]["top_reasons"]
    return sum(row["ms"] for row in rows if row["reason"] == reason)


def all_blocked_ms(evidence: Any) -> float:
    """Return the off-CPU time for all reasons, without the waits for a word."""
    offcpu = evidence["offcpu"]
    return float(offcpu["total_ms"]) - sum(blocked_ms(evidence, name) for name in BETWEEN_WORDS)


@pytest.mark.parametrize("way", REASONS)
def test_a_block_is_as_long_as_its_own_clock_says(agent: RealAgent, way: str) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        own_ms = blocked.work(f"{way} {SECONDS}")["ms"]
    assert own_ms >= LEAST_MS
    assert_lasted(blocked_ms(run.evidence, REASONS[way]), run.evidence, own_ms)


def hold(blocked: Program) -> float:
    """Have the program block in read() until further notice; return the start time in ms."""
    return blocked.work("hold")["since"] / 1e6


def test_a_block_that_is_open_counts_up_to_the_stop(agent: RealAgent) -> None:
    with program("blocked") as blocked:
        with agent.run(scope=blocked.scope) as run:
            since = hold(blocked)
            time.sleep(SECONDS)
            stopping = now_ms()
        stopped = now_ms()
        blocked.work()
    ours = blocked_ms(run.evidence, "read")
    assert_lasted(ours, run.evidence, stopping - since, stopped - since)


def test_a_block_from_before_the_start_counts_from_the_start(agent: RealAgent) -> None:
    with program("blocked") as blocked:
        hold(blocked)
        time.sleep(SECONDS)
        starting = now_ms()
        with agent.run(scope=blocked.scope) as run:
            started = now_ms()
            time.sleep(SECONDS)
            ending = now_ms()
            blocked.work()
            ended = now_ms()
    ours = blocked_ms(run.evidence, "read")
    assert_lasted(ours, run.evidence, ending - started, ended - starting)


def test_a_block_longer_than_the_run_counts_as_long_as_the_run(agent: RealAgent) -> None:
    with program("blocked") as blocked:
        hold(blocked)
        with agent.run(scope=blocked.scope) as run:
            started = now_ms()
            time.sleep(SECONDS)
            stopping = now_ms()
        blocked.work()
    length_ms = run.evidence["duration_s"] * 1000
    assert run.evidence["offcpu"]["total_ms"] <= length_ms
    ours = blocked_ms(run.evidence, "read")
    assert_lasted(ours, run.evidence, stopping - started, length_ms)


@pytest.mark.thorough
def test_on_the_whole_machine_a_task_that_slept_throughout_does_not_count(agent: RealAgent) -> None:
    """Those tasks are mostly daemons. In a scope they are what the run is to measure."""
    with program("blocked") as blocked:
        blocked.work("locked")
        with agent.run() as everything:
            time.sleep(SECONDS)
        with agent.run(scope=blocked.scope) as scoped:
            time.sleep(SECONDS)
        os.kill(blocked.pid, signal.SIGUSR1)
        blocked.hear()
    assert blocked_ms(everything.evidence, "fcntl") == 0
    assert blocked_ms(scoped.evidence, "fcntl") >= SECONDS * 1000


def test_a_stopped_task_does_not_block(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        own_ms = blocked.work(f"stopped {SECONDS}")["ms"]
    assert own_ms >= LEAST_MS
    assert all_blocked_ms(run.evidence) < own_ms * LITTLE


def test_tasks_that_have_exited_do_not_block(agent: RealAgent) -> None:
    """There are twenty, each of which would add the time that we slept."""
    with program("blocked") as blocked, agent.run(scope=blocked.scope) as run:
        own_ms = blocked.work(f"exited {SECONDS}")["ms"]
    assert run.evidence["exec"]["exits"] == 20
    assert_lasted(all_blocked_ms(run.evidence), run.evidence, own_ms)


def test_tasks_that_have_exited_do_not_block_on_the_whole_machine(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run() as run:
        own_ms = blocked.work(f"exited {SECONDS}")["ms"]
    assert run.evidence["exec"]["exits"] >= 20
    # exit_group() may block briefly, but not for as long as one of these tasks has been dead
    assert blocked_ms(run.evidence, "exit_group") < own_ms


def test_kernel_threads_are_not_in_the_total(agent: RealAgent) -> None:
    with program("blocked") as blocked, agent.run() as run:
        blocked.work(f"sleep {SECONDS}")
    offcpu = run.evidence["offcpu"]
    assert offcpu["kernel_threads"]["count"] > 0
    assert "kernel_thread" not in [row["reason"] for row in offcpu["top_reasons"]]
    listed = sum(row["ms"] for row in offcpu["top_reasons"]) + offcpu["other"]["ms"]
    assert offcpu["total_ms"] == pytest.approx(listed, abs=0.01)
    assert blocked_ms(run.evidence, "clock_nanosleep") >= SECONDS * 1000 * (1 - LITTLE)
