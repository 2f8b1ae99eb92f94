"""The owner of the run: concurrent clients, clients that leave midway, and their answers."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import trio
import trio.testing
from fakes.checks import checks_of
from fakes.collector import FakeCollector
from fakes.recording import REQUEST, one_run, verdict, waits

from agent.errors import NotRunning, RunInProgress
from agent.model import TIMINGS
from agent.recording.recent import KEPT_EVIDENCE
from agent.recording.recorder import Recorder
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from agent.streams.shared.kernel_counts import TICK_NS


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


@pytest.mark.parametrize("timing", TIMINGS)
async def test_what_a_hypervisor_took_is_in_no_life_by_accounting(
    recorder: Recorder, collector: FakeCollector, timing: str
) -> None:
    collector.timing = timing
    before, after = collector.edges
    collector.edges = before, replace(after, kernel=replace(after.kernel, stolen_ticks=3))
    check = checks_of(await one_run(recorder))["lifetimes"]
    assert check["stolen"] == (4 * TICK_NS if timing == "accounting" else 0)


async def test_one_of_many_starts_wins(recorder: Recorder, collector: FakeCollector) -> None:
    won: list[str] = []
    refused: list[tuple[str, str]] = []

    async def client() -> None:
        try:
            won.append((await recorder.start(REQUEST))["run_id"])
        except RunInProgress as error:
            refused.append((error.run_id, error.started_at))

    async with trio.open_nursery() as clients:
        for _ in range(20):
            clients.start_soon(client)
    assert len(won) == 1
    since = (await recorder.stop())["started_at"]
    assert refused == [(won[0], since)] * 19
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
