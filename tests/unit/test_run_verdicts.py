"""A degraded run never looks like a complete one, neither in its evidence nor in the metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.collector import FakeCollector, raising

from agent.model import StartRequest
from agent.recording.recorder import Recorder
from agent.streams.collect.observed import Stopped, StreamCounts
from agent.streams.shared.causes import CannotCollect
from agent.words import COMPLETE, DEGRADED, INVALID

Tamper = Callable[[Stopped], Stopped]


class Tampered(FakeCollector):
    """Lets a test alter the result of a run when it is stopped."""

    tamper: Tamper = staticmethod(lambda stopped: stopped)

    async def stop(self) -> Stopped:
        return self.tamper(await super().stop())


@pytest.fixture
def collector() -> Tampered:
    return Tampered()


async def one_run(recorder: Recorder) -> Any:
    await recorder.start(StartRequest())
    return (await recorder.stop())["completeness"]


def counted(recorder: Recorder, name: str) -> dict[tuple[str, ...], float]:
    (family,) = (m for m in recorder.internal_metrics() if m.name == f"chainbench_agent_{name}")
    return {tuple(labels.values()): value for labels, value in family.samples}


def runqlat(**counts: int) -> Tamper:
    def tamper(stopped: Stopped) -> Stopped:
        streams = {**stopped.observed.streams, "runqlat": StreamCounts(**counts)}
        return replace(stopped, observed=replace(stopped.observed, streams=streams))

    return tamper


def offcpu(**counts: int) -> Tamper:
    def tamper(stopped: Stopped) -> Stopped:
        return replace(
            stopped, observed=replace(stopped.observed, blocked_counts=StreamCounts(**counts))
        )

    return tamper


def later(**changes: Any) -> Tamper:
    def tamper(stopped: Stopped) -> Stopped:
        before, after = stopped.edges
        return replace(stopped, edges=(before, replace(after, **changes)))

    return tamper


def skipped(stopped: Stopped) -> Stopped:
    return replace(stopped, programs=({"hook": "sched_switch", "recursion_misses": 1},))


def supervisor_lost(stopped: Stopped) -> Stopped:
    return replace(stopped, faults={"supervisor_lost": "gone"})


WRONG = [
    (runqlat(produced=100, received=99, lost=1), DEGRADED, "lost"),
    (runqlat(produced=100, received=98), INVALID, "unaccounted"),
    (runqlat(produced=100, received=100, collided=1), DEGRADED, "collided"),
    (runqlat(produced=100, received=100, unmatched=50), DEGRADED, "unmatched"),
    (offcpu(produced=100, received=100, collided=1), DEGRADED, "collided"),
    (later(suspended_ns=10**9), DEGRADED, "suspended"),
    (later(online_cpus="0"), DEGRADED, "cpus_changed"),
    (later(forks=1_000), DEGRADED, "check_failed"),
    (skipped, DEGRADED, "recursion"),
    (supervisor_lost, INVALID, "supervisor_lost"),
]


@pytest.mark.parametrize(("tamper", "verdict", "reason"), WRONG, ids=[w[2] for w in WRONG])
async def test_each_fault_is_reported_and_counted(
    recorder: Recorder, collector: Tampered, tamper: Tamper, verdict: str, reason: str
) -> None:
    assert (await one_run(recorder))["verdict"] == COMPLETE
    collector.tamper = tamper
    completeness = await one_run(recorder)
    assert completeness["verdict"] == verdict
    assert [text.partition(":")[0] for text in completeness["reasons"]] == [reason]
    expected = {(COMPLETE,): 1.0, (DEGRADED,): 0.0, (INVALID,): 0.0, (verdict,): 1.0}
    assert counted(recorder, "runs_total") == expected
    assert counted(recorder, "run_reasons_total") == {(verdict, reason): 1.0}


async def test_a_latency_beyond_the_histogram_is_reported_and_counted(
    recorder: Recorder, collector: Tampered
) -> None:
    await recorder.start(StartRequest())
    collector.happen(1_000, 130 * 10**9)
    evidence = await recorder.stop()
    assert (evidence["runqlat"]["count"], evidence["runqlat"]["overflow"]) == (1, 1)
    assert counted(recorder, "run_reasons_total") == {(DEGRADED, "overflow"): 1.0}
    assert counted(recorder, "latency_overflow_total")[("runqlat",)] == 1


@pytest.mark.parametrize(
    ("gap_s", "waited_ms", "told"),
    [(3.0, 2_500.0, True), (3.0, 100.0, False), (1.0, 900.0, False), (3.0, None, False)],
    ids=["starving", "stopped", "a usual second", "not known"],
)
async def test_an_agent_that_got_no_cpu_says_so_in_its_log(
    recorder: Recorder,
    collector: Tampered,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    gap_s: float,
    waited_ms: float | None,
    told: bool,
) -> None:
    def tamper(stopped: Stopped) -> Stopped:
        return replace(stopped, observed=replace(stopped.observed, longest_drain_gap_s=gap_s))

    collector.tamper = tamper
    row = {"role": "agent", "pid": 1, "cpu_ms": 1.0, "run_delay_ms": waited_ms}
    monkeypatch.setattr("agent.recording.recorder.CpuMeter.rows", lambda self: [row])
    await one_run(recorder)
    assert ("without getting a CPU" in caplog.text) == told


async def test_a_missing_section_is_reported_and_counted(
    recorder: Recorder, collector: Tampered
) -> None:
    collector.unavailable = {"biolatency": "no block layer here"}
    assert (await one_run(recorder))["verdict"] == DEGRADED
    assert counted(recorder, "run_reasons_total") == {(DEGRADED, "section_unavailable"): 1.0}


def refusing(code: str) -> Callable[[], Awaitable[None]]:
    return raising(CannotCollect("eBPF is unavailable", code=code))


async def test_a_run_without_ebpf_is_invalid_for_that_reason(
    recorder: Recorder, collector: Tampered
) -> None:
    collector.arming = refusing("no_capability")
    assert (await one_run(recorder))["verdict"] == INVALID
    assert counted(recorder, "run_reasons_total") == {(INVALID, "no_capability"): 1.0}


async def test_a_reason_that_two_streams_have_counts_the_run_once(
    recorder: Recorder, collector: Tampered
) -> None:
    both = [runqlat(produced=9, received=9, collided=1), offcpu(produced=9, received=9, collided=2)]

    def tamper(stopped: Stopped) -> Stopped:
        for each in both:
            stopped = each(stopped)
        return stopped

    collector.tamper = tamper
    assert len((await one_run(recorder))["reasons"]) == 2
    assert counted(recorder, "run_reasons_total") == {(DEGRADED, "collided"): 1.0}
    assert counted(recorder, "runs_total")[(DEGRADED,)] == 1
