"""Run-queue latency: one sample per context switch, equal to the scheduler's figures."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fakes.proc import arrivals, run_delay_us, state, switches, tasks_of_session
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

TURNS = 100_000
QUEUEING_SECONDS = 2.0


def adds_up(evidence: Any) -> bool:
    counts = evidence["completeness"]["streams"]["runqlat"]
    return bool(counts["received"] + counts["lost"] == counts["produced"])


def waits_of(evidence: Any, tids: Iterable[int]) -> dict[int, Any]:
    wanted = set(tids)
    return {r["tid"]: r for r in evidence["runqlat"]["by_thread"]["top"] if r["tid"] in wanted}


def test_ping_pong_gives_a_sample_for_each_context_switch(agent: RealAgent) -> None:
    with program("pingpong", TURNS) as players:
        tids = players.ready["tids"]
        before = {tid: switches(tid) for tid in tids}
        with agent.run(scope=players.scope) as run:
            players.work()
            after = {tid: switches(tid) for tid in tids}
    waits = waits_of(run.evidence, tids)
    for tid in tids:
        made = after[tid] - before[tid]
        assert made >= TURNS
        assert waits[tid]["count"] == pytest.approx(made, rel=0.01)
    assert adds_up(run.evidence)
    runqlat, stream = run.evidence["runqlat"], run.evidence["completeness"]["streams"]["runqlat"]
    assert stream["produced"] >= 2 * TURNS
    # Both run on one CPU, whose clock does not step back; a negative wait would wrap to 600 years.
    assert stream["clamped"] == 0
    assert runqlat["overflow"] == 0
    assert runqlat["max_us"] <= run.evidence["duration_s"] * 1e6


def test_the_whole_machine_adds_up_too(agent: RealAgent) -> None:
    with program("pingpong", TURNS) as players, agent.run() as run:
        players.work()
    assert adds_up(run.evidence)
    stream = run.evidence["completeness"]["streams"]["runqlat"]
    assert stream["produced"] >= 2 * TURNS
    assert run.evidence["runqlat"]["count"] == stream["received"]
    assert run.evidence["runqlat"]["overflow"] == 0


@contextmanager
def killed_at_last() -> Iterator[list[int]]:
    sessions: list[int] = []
    try:
        yield sessions
    finally:
        for session in sessions:
            os.killpg(session, signal.SIGKILL)


def stopped(session: int) -> list[int]:
    """Stop all processes of a session, and return them once none of them runs."""
    os.killpg(session, signal.SIGSTOP)
    tids = tasks_of_session(session)
    eventually(lambda: all(state(tid) == "T" for tid in tids))
    return tids


def test_waits_agree_with_the_schedulers_own_account(agent: RealAgent, tool: Any) -> None:
    """160 processes on all CPUs, stopped before they are read, since they would be gone otherwise.

    All of them are forked during the run, so the scheduler's totals cover the same time as ours.
    The launcher is older, but it hardly waits.
    """
    arguments = ("-g", 4, "-l", 1_000_000_000)
    with program("launch", tool("hackbench"), *arguments) as launcher, killed_at_last() as sessions:
        older = run_delay_us(launcher.pid)
        with agent.run(scope=launcher.scope) as run:
            sessions.append(launcher.work()["pid"])
            time.sleep(QUEUEING_SECONDS)
            tids = stopped(sessions[0])
            delays = {tid: run_delay_us(tid) for tid in [*tids, launcher.pid]}
            came = {tid: arrivals(tid) for tid in tids}
    delays[launcher.pid] -= older
    assert len(tids) > 100
    runqlat = run.evidence["runqlat"]
    ours_us = runqlat["count"] * runqlat["mean_us"]
    assert ours_us == pytest.approx(sum(delays.values()), rel=0.02)
    assert adds_up(run.evidence)
    rows = waits_of(run.evidence, tids)
    # a wait is missing if it ended in a switch from process 1: no program runs for that switch
    seen = {tid: row for tid, row in rows.items() if row["count"] == came[tid]}
    assert len(seen) > len(rows) / 2
    for tid, row in seen.items():
        # rq_clock is not updated between a wakeup and its switch: up to 1 µs per wait
        bound = max(0.02 * delays[tid], row["count"])
        assert row["total_us"] == pytest.approx(delays[tid], abs=bound)
