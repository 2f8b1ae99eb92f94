"""The owner of the run: concurrent clients, clients that leave midway, and their answers."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
import trio
import trio.testing
from fakes.collector import FakeCollector, at_once, raising
from fakes.recording import NO_PROBES, REQUEST, SERIES, waits
from fakes.totals import Shown

from agent.aggregate.series import SeriesStore
from agent.errors import InvalidRequest, NotRunning, RunInProgress
from agent.recording.recorder import KEPT_EVIDENCE, Recorder
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS


def verdict(evidence: dict[str, Any]) -> str:
    return str(evidence["completeness"]["verdict"])


async def one_run(recorder: Recorder) -> dict[str, Any]:
    await recorder.start(REQUEST)
    return await recorder.stop()


async def test_a_run_from_start_to_evidence(recorder: Recorder, collector: FakeCollector) -> None:
    started = await recorder.start(REQUEST)
    assert (started["status"], started["available"]) == ("started", True)
    status = recorder.status()
    assert (status["running"], status["scenario"]) == (True, "baseline")
    assert status["armed"] == {name: name in DEFAULT_SECTIONS for name in SECTIONS}
    collector.happen(1_000, 2_000, 4_000)
    evidence = await recorder.stop()
    assert evidence["run_id"] == started["run_id"] == status["run_id"]
    assert evidence["runqlat"]["count"] == 3
    assert verdict(evidence) == "complete"
    assert waits(recorder) == 3
    idle = recorder.status()
    assert (idle["running"], idle["scenario"], idle["run_id"]) == (False, "", "")
    assert idle["armed"] == dict.fromkeys(SECTIONS, False)


async def test_a_run_in_which_nothing_happened(recorder: Recorder) -> None:
    evidence = await one_run(recorder)
    runqlat = evidence["runqlat"]
    assert (runqlat["count"], runqlat["histogram"], runqlat["lost"]) == (0, [], 0)
    figures = ("p50_us", "p95_us", "p99_us", "min_us", "max_us", "mean_us")
    assert [runqlat[name] for name in figures] == [None] * len(figures)
    assert evidence["offcpu"]["total_ms"] == 0
    assert verdict(evidence) == "complete"


async def test_one_of_many_starts_wins(recorder: Recorder, collector: FakeCollector) -> None:
    won: list[str] = []
    refused: list[str] = []

    async def client() -> None:
        try:
            won.append((await recorder.start(REQUEST))["run_id"])
        except RunInProgress as error:
            refused.append(error.run_id)

    async with trio.open_nursery() as clients:
        for _ in range(20):
            clients.start_soon(client)
    assert len(won) == 1
    assert refused == won * 19
    assert collector.calls.count("start") == 1


async def test_one_of_many_stops_gets_the_evidence(
    recorder: Recorder, collector: FakeCollector
) -> None:
    await recorder.start(REQUEST)
    outcomes: list[str] = []

    async def client() -> None:
        try:
            outcomes.append((await recorder.stop())["run_id"])
        except NotRunning:
            outcomes.append("not running")

    async with trio.open_nursery() as clients:
        for _ in range(20):
            clients.start_soon(client)
    assert outcomes.count("not running") == 19
    assert collector.calls.count("stop") == 1


async def test_a_start_during_the_stop_is_refused(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    await recorder.start(REQUEST)
    collector.stopping = gate.wait
    nursery.start_soon(recorder.stop)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(RunInProgress):
        await recorder.start(REQUEST)


async def test_a_stop_during_arming_waits_for_it(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    collector.arming = gate.wait
    nursery.start_soon(recorder.start, REQUEST)
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["state"] == "arming"
    answers: list[dict[str, Any]] = []

    async def client() -> None:
        answers.append(await recorder.stop())

    nursery.start_soon(client)
    await trio.testing.wait_all_tasks_blocked()
    assert not answers
    assert "stop" not in collector.calls
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert [verdict(answer) for answer in answers] == ["complete"]


async def test_without_a_run_nothing_can_be_stopped(recorder: Recorder) -> None:
    with pytest.raises(NotRunning):
        await recorder.stop()


async def leave(step: Callable[[], Awaitable[Any]]) -> None:
    """Act as a client that goes away in the middle of its request."""
    with trio.CancelScope() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(step)
            await trio.testing.wait_all_tasks_blocked()
            client.cancel()
    assert client.cancelled_caught


async def test_a_client_gone_during_the_start_changes_nothing(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event
) -> None:
    collector.arming = gate.wait
    await leave(lambda: recorder.start(REQUEST))
    assert recorder.status()["state"] == "arming"
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["state"] == "running"
    collector.happen(1_000)
    assert (await recorder.stop())["runqlat"]["count"] == 1


async def test_a_client_gone_during_the_stop_can_fetch_the_evidence(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event
) -> None:
    started = await recorder.start(REQUEST)
    collector.happen(1_000)
    collector.stopping = gate.wait
    await leave(recorder.stop)
    assert recorder.status()["state"] == "stopping"
    assert recorder.evidence(started["run_id"]) is None
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    evidence = recorder.evidence(started["run_id"])
    assert evidence is not None
    assert evidence["runqlat"]["count"] == 1
    assert recorder.last_evidence() == evidence
    assert recorder.status()["state"] == "idle"
    await one_run(recorder)


async def test_a_client_gone_while_its_stop_waits_for_the_start_stops_nothing(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    collector.arming = gate.wait
    nursery.start_soon(recorder.start, REQUEST)
    await trio.testing.wait_all_tasks_blocked()
    await leave(recorder.stop)
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["state"] == "running"


async def test_a_run_in_which_nothing_can_be_measured(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.arming = raising(NO_PROBES)
    started = await recorder.start(REQUEST)
    assert (started["status"], started["available"]) == ("started", False)
    assert (started["code"], started["reason"]) == (NO_PROBES.code, NO_PROBES.message)
    ebpf = recorder.status()["ebpf"]
    assert (ebpf["available"], ebpf["code"]) == (False, NO_PROBES.code)
    assert recorder.status()["running"]
    await recorder.refresh()
    evidence = await recorder.stop()
    assert (evidence["available"], evidence["reason"]) == (False, NO_PROBES.message)
    assert not set(SECTIONS) & evidence.keys()
    assert verdict(evidence) == "invalid"
    series = recorder.series.get(SERIES)
    assert series is not None
    assert (Shown(series).runqlat, dict(series.runs)) == (None, {"success": 0, "fail": 1})


async def test_the_next_start_tries_again(recorder: Recorder, collector: FakeCollector) -> None:
    good, collector.arming = collector.arming, raising(NO_PROBES)
    await one_run(recorder)
    collector.arming = good
    assert (await recorder.start(REQUEST))["available"]
    assert recorder.status()["ebpf"] == {"available": True, "reason": None}
    assert verdict(await recorder.stop()) == "complete"


async def assert_internal_error(recorder: Recorder, collector: FakeCollector) -> None:
    """Assert that the run reports the agent's own failure, and that the next run is complete."""
    evidence = await recorder.stop()
    assert (evidence["available"], evidence["code"]) == (False, "internal_error")
    assert evidence["reason"] == "RuntimeError: a bug"
    assert verdict(evidence) == "invalid"
    assert collector.calls.count("abandon") == 1
    assert recorder.status()["state"] == "idle"
    collector.arming = collector.stopping = at_once
    assert verdict(await one_run(recorder)) == "complete"


async def test_an_error_of_its_own_while_arming_does_not_end_the_agent(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.arming = raising(RuntimeError("a bug"))
    started = await recorder.start(REQUEST)
    assert (started["available"], started["code"]) == (False, "internal_error")
    assert recorder.status()["state"] == "running"
    assert recorder.status()["armed"] == dict.fromkeys(SECTIONS, False)
    await assert_internal_error(recorder, collector)


async def test_an_error_of_its_own_once_everything_is_attached_detaches_it(
    recorder: Recorder, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(processes: dict[str, int]) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr("agent.recording.recorder.CpuMeter", broken)
        started = await recorder.start(REQUEST)
    assert (started["available"], started["code"]) == (False, "internal_error")
    await assert_internal_error(recorder, collector)


async def test_an_error_of_its_own_while_stopping_does_not_end_the_agent(
    recorder: Recorder, collector: FakeCollector
) -> None:
    await recorder.start(REQUEST)
    collector.stopping = raising(RuntimeError("a bug"))
    await assert_internal_error(recorder, collector)


async def test_a_run_whose_events_could_not_be_read_keeps_what_it_has(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.faults = {"draining_failed": "a record of 16 bytes"}
    await recorder.start(REQUEST)
    collector.happen(1_000)
    evidence = await recorder.stop()
    assert verdict(evidence) == "invalid"
    assert "draining_failed: a record of 16 bytes" in evidence["completeness"]["reasons"]
    assert (evidence["available"], evidence["runqlat"]["count"]) == (True, 1)
    assert waits(recorder) == 1


async def test_what_is_missing_shows_before_the_first_run(
    collector: FakeCollector, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    collector.preparing = raising(NO_PROBES)
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    assert recorder.status()["ebpf"]["available"] is None
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["ebpf"]["reason"] == NO_PROBES.message


async def test_an_unexpected_error_while_preparing_does_not_end_the_agent(
    collector: FakeCollector, nursery: trio.Nursery, autojump_clock: trio.abc.Clock
) -> None:
    collector.preparing = raising(OSError(24, "Too many open files"))
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["ebpf"]["code"] == "too_many_files"
    assert "Too many open files" in recorder.status()["ebpf"]["reason"]
    assert (await recorder.start(REQUEST))["available"]
    assert recorder.status()["ebpf"]["available"]


async def test_a_section_that_cannot_be_armed_is_absent(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.unavailable = {"biolatency": "no tracepoint block_rq_issue"}
    started = await recorder.start(REQUEST)
    assert "biolatency" not in started["armed"]
    assert not recorder.status()["armed"]["biolatency"]
    evidence = await recorder.stop()
    assert evidence["available"]
    assert evidence["unavailable"] == collector.unavailable
    assert "biolatency" not in evidence
    assert set(DEFAULT_SECTIONS) - {"biolatency"} <= evidence.keys()
    assert verdict(evidence) == "degraded"


async def test_a_run_that_cannot_be_about_what_it_was_asked_to_be_never_began(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    error = InvalidRequest("there is no process 1", code="no_such_process", field="scope")

    async def refuse() -> None:
        await gate.wait()
        raise error

    good, collector.arming = collector.arming, refuse

    async def stops() -> None:
        with pytest.raises(NotRunning):
            await recorder.stop()

    async def starts() -> None:
        with pytest.raises(InvalidRequest, match="no process 1"):
            await recorder.start(REQUEST)

    async with trio.open_nursery() as clients:
        clients.start_soon(starts)
        await trio.testing.wait_all_tasks_blocked()
        clients.start_soon(stops)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert recorder.last_evidence() is None
    assert recorder.status()["state"] == "idle"
    collector.arming = good
    assert verdict(await one_run(recorder)) == "complete"


async def test_losing_the_supervisor_makes_the_run_invalid_and_keeps_what_was_seen(
    recorder: Recorder, collector: FakeCollector
) -> None:
    await recorder.start(REQUEST)
    collector.happen(1_000)
    collector.lost.set()
    status = recorder.status()
    assert (status["running"], status["ebpf"]["code"]) == (True, "supervisor_lost")
    assert status["armed"] == dict.fromkeys(SECTIONS, False)
    evidence = await recorder.stop()
    assert verdict(evidence) == "invalid"
    assert any("supervisor_lost" in reason for reason in evidence["completeness"]["reasons"])
    assert evidence["runqlat"]["count"] == 1
    series = recorder.series.get(SERIES)
    assert series is not None
    assert series.runs["fail"] == 1


async def test_a_run_that_cannot_be_concluded_is_abandoned_and_says_so(
    recorder: Recorder, collector: FakeCollector
) -> None:
    good, collector.stopping = collector.stopping, raising(ValueError("nobody thought of this"))
    evidence = await one_run(recorder)
    assert (evidence["available"], evidence["code"]) == (False, "internal_error")
    assert "nobody thought of this" in evidence["reason"]
    assert collector.calls[-2:] == ["stop", "abandon"]
    collector.stopping = good
    assert verdict(await one_run(recorder)) == "complete"


async def test_without_a_supervisor_it_keeps_serving(
    recorder: Recorder, collector: FakeCollector
) -> None:
    kept = await one_run(recorder)
    collector.lost.set()
    assert not (await recorder.start(REQUEST))["available"]
    evidence = await recorder.stop()
    assert (evidence["available"], evidence["code"]) == (False, "supervisor_lost")
    assert recorder.evidence(kept["run_id"]) == kept
    [available] = [
        m for m in recorder.internal_metrics() if m.name == "chainbench_agent_ebpf_available"
    ]
    assert available.samples == (({}, 0.0),)


async def test_evidence_is_kept_for_the_last_runs(recorder: Recorder) -> None:
    runs = [await one_run(recorder) for _ in range(KEPT_EVIDENCE + 5)]
    assert [recorder.evidence(run["run_id"]) for run in runs] == [None] * 5 + runs[5:]
    assert recorder.last_evidence() == runs[-1]
    assert recorder.evidence("no such run") is None


async def test_a_wall_clock_that_is_set_does_not_show(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop is as much later than the start as a clock says that is never set."""
    times_ns = iter([1_000 + second * 10**9 for second in (0, 2, 4, 5)])
    monkeypatch.setattr("agent.recording.run.elapsing_ns", lambda: next(times_ns))
    evidence = await one_run(recorder)
    names = ("started_at", "measured_from", "measured_to", "stopped_at")
    began, *later = (datetime.fromisoformat(evidence[name]) for name in names)
    assert [(time - began).total_seconds() for time in later] == [2, 4, 5]


async def test_a_run_that_measured_nothing_has_no_time_of_its_own(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.lost.set()
    evidence = await one_run(recorder)
    assert not evidence["available"]
    assert not {"measured_from", "measured_to"} & evidence.keys()
