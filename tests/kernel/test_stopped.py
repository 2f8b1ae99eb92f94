"""Tasks that are stopped, traced or frozen: neither blocked nor waiting."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fakes.cgroups import Freezer, made, mounted
from fakes.checks import checks_of
from fakes.durations import assert_lasted, now_ms, stolen_from_turns_ms
from fakes.needs import lacking
from fakes.proc import state
from fakes.program import program
from fakes.real_agent import RealAgent
from fakes.waiting import eventually

from agent.model import TIMINGS

SECONDS = 0.5
LITTLE = 0.05
BETWEEN_WORDS = ("select", "pselect6")


def stopped(evidence: Any, kind: str) -> float:
    """Return the time of one kind of stop, having checked that there was no other."""
    offcpu = evidence["offcpu"]
    of_kind = float(offcpu["stopped"][kind])
    assert offcpu["stopped_ms"] == pytest.approx(of_kind)
    assert checks_of(evidence)["lifetimes"]["pass"], checks_of(evidence)["lifetimes"]
    return of_kind


def blocked_ms(evidence: Any, reason: str) -> float:
    return sum(r["ms"] for r in evidence["offcpu"]["top_reasons"] if r["reason"] == reason)


@pytest.fixture
def freezer(request: pytest.FixtureRequest) -> Iterator[Freezer]:
    version = {"v1": ("cgroup", "freezer"), "v2": ("cgroup2", "")}[request.param]
    mount = mounted(*version)
    if mount is None:
        lacking(f"a freezer of cgroups {request.param}")
    with made(mount) as path:
        group = Freezer(path)
        try:
            yield group
        finally:
            group.thaw()


both_freezers = pytest.mark.parametrize("freezer", ["v1", "v2"], indirect=True)


@pytest.mark.thorough(but="ring-spin-clock-v2")
@both_freezers
@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("way", ["spin", "hold"])
def test_frozen_is_not_blocked(agent: RealAgent, freezer: Freezer, way: str, timing: str) -> None:
    """Whether the freezer finds a task computing or in a call, it is not in a call when frozen."""
    with (
        program("blocked") as blocked,
        agent.run(scope=blocked.scope, timing=timing) as run,
    ):
        freezer.take(blocked.pid)
        blocked.tell(f"{way} {2 * SECONDS}")
        if way == "hold":
            blocked.hear()
        time.sleep(0.1)
        freezing = now_ms()
        freezer.freeze()
        frozen = now_ms()
        time.sleep(SECONDS)
        thawing = now_ms()
        freezer.thaw()
        thawed = now_ms()
        if way == "hold":
            blocked.tell()
        own_ms = blocked.hear()["ms"]
    assert_lasted(
        stopped(run.evidence, "frozen_ms"), run.evidence, thawing - frozen, thawed - freezing
    )
    assert blocked_ms(run.evidence, "page_fault") < LITTLE * SECONDS * 1000
    if way == "hold":
        both = blocked_ms(run.evidence, "read") + stopped(run.evidence, "frozen_ms")
        assert_lasted(both, run.evidence, own_ms)


@both_freezers
@pytest.mark.parametrize("timing", TIMINGS)
def test_frozen_throughout(agent: RealAgent, freezer: Freezer, timing: str) -> None:
    with program("blocked") as blocked:
        freezer.take(blocked.pid)
        blocked.tell(f"spin {SECONDS}")
        freezer.freeze()
        with agent.run(scope=blocked.scope, timing=timing) as run:
            time.sleep(SECONDS)
        freezer.thaw()
        blocked.hear()
    lasted = run.evidence["duration_s"] * 1000
    assert_lasted(stopped(run.evidence, "frozen_ms"), run.evidence, SECONDS * 1000, lasted)
    assert run.evidence["offcpu"]["total_ms"] == 0


@pytest.mark.parametrize("timing", TIMINGS)
def test_traced_is_not_blocked(agent: RealAgent, timing: str) -> None:
    with program("traced") as traced, agent.run(scope=traced.scope, timing=timing) as run:
        held_ms = traced.work(str(SECONDS))["ms"]
    assert_lasted(stopped(run.evidence, "traced_ms"), run.evidence, held_ms, held_ms * 1.1)


@pytest.mark.parametrize("timing", TIMINGS)
def test_stopped_by_a_signal(agent: RealAgent, timing: str) -> None:
    with program("blocked") as blocked, agent.run(scope=blocked.scope, timing=timing) as run:
        own_ms = blocked.work(f"stopped {SECONDS}")["ms"]
    assert_lasted(stopped(run.evidence, "by_signal_ms"), run.evidence, own_ms)
    assert run.evidence["offcpu"]["stopped"]["count"] == 1


@pytest.mark.parametrize("timing", TIMINGS)
def test_stopped_throughout(agent: RealAgent, timing: str) -> None:
    with program("blocked") as blocked:
        os.kill(blocked.pid, signal.SIGSTOP)
        eventually(lambda: state(blocked.pid) == "T")
        with agent.run(scope=blocked.scope, timing=timing) as run:
            time.sleep(SECONDS)
        os.kill(blocked.pid, signal.SIGCONT)
    lasted = run.evidence["duration_s"] * 1000
    assert_lasted(stopped(run.evidence, "by_signal_ms"), run.evidence, SECONDS * 1000, lasted)
    assert run.evidence["offcpu"]["total_ms"] == 0


@pytest.mark.parametrize("timing", TIMINGS)
def test_stopped_among_all_tasks_of_the_machine(agent: RealAgent, timing: str) -> None:
    """A stop that ended within the run counts, and so does one that lasted through it."""
    with program("blocked") as throughout, program("blocked") as blocked:
        os.kill(throughout.pid, signal.SIGSTOP)
        eventually(lambda: state(throughout.pid) == "T")
        with agent.run(timing=timing) as run:
            own_ms = blocked.work(f"stopped {SECONDS}")["ms"]
        os.kill(throughout.pid, signal.SIGCONT)
    stopped, whole_ms = run.evidence["offcpu"]["stopped"], run.evidence["overhead"]["wall_ms"]
    assert stopped["throughout"] >= 1
    assert stopped["count"] >= 2
    assert stopped["by_signal_ms"] >= (own_ms + SECONDS * 1000) * (1 - LITTLE)
    # other tasks of the machine may be stopped as well
    if (stopped["throughout"], stopped["count"]) == (1, 2):
        assert stopped["by_signal_ms"] <= (own_ms + whole_ms) * (1 + LITTLE)


@pytest.fixture
def slow_dumps() -> Iterator[Callable[[], None]]:
    """Have core dumps read by a program that does not read them, for a short time."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    with ExitStack() as undo:

        def slow() -> None:
            undo.callback(pattern.write_text, before)
            pattern.write_text(f"|/bin/sleep {SECONDS}")

        yield slow


@pytest.mark.parametrize("timing", TIMINGS)
def test_a_killed_task_waits_in_no_call(
    agent: RealAgent, slow_dumps: Callable[[], None], timing: str
) -> None:
    """What a killed task still does, such as dumping core, is not done by what was interrupted."""
    with program("blocked") as blocked, agent.run(scope=blocked.scope, timing=timing) as run:
        slow_dumps()
        own_ms = blocked.work("crashed")["ms"]
    assert own_ms >= SECONDS * 1000 * (1 - LITTLE)
    ours = blocked_ms(run.evidence, "killed")
    longest = own_ms + stolen_from_turns_ms(run.evidence)
    assert SECONDS * 1000 * (1 - 2 * LITTLE) <= ours <= longest
