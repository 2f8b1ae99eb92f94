"""What the recorder does when something fails: the run says so, and the next one works."""

import sys
from dataclasses import replace

import pytest
import trio
import trio.testing
from fakes.collector import FakeCollector, at_once, raising
from fakes.recording import NO_PROBES, REQUEST, SERIES, one_run, verdict, waits
from fakes.totals import Shown

from agent.aggregate.series import SeriesStore
from agent.errors import InvalidRequest, NotRunning, ScopeError
from agent.model import Scope
from agent.procfs.following import Following
from agent.recording.recorder import Recorder
from agent.sections.probes import DEFAULT_SECTIONS, SECTIONS
from agent.show.text import render


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


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")
async def test_without_ebpf_a_cgroup_that_does_not_exist_is_refused_too(
    recorder: Recorder, collector: FakeCollector
) -> None:
    """Such a run was about nothing, and nothing could end it but a stop."""
    collector.arming = raising(NO_PROBES)
    scope = Scope("cgroup", cgroup="/there/is/none")
    with pytest.raises(ScopeError) as refused:
        await recorder.start(replace(REQUEST, scope=scope))
    assert refused.value.code in ("no_such_cgroup", "no_cgroup_v2")
    assert recorder.status()["state"] == "idle"
    assert not (await one_run(recorder))["available"]


async def test_why_nothing_can_be_measured_is_logged_once(
    recorder: Recorder, collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    """Each run's evidence says it again, so the log does so only if it was otherwise meanwhile."""
    good, collector.arming = collector.arming, raising(NO_PROBES)
    for _ in range(2):
        await one_run(recorder)
    assert caplog.text.count(NO_PROBES.message) == 1
    collector.arming = good
    await one_run(recorder)
    collector.arming = raising(NO_PROBES)
    await one_run(recorder)
    assert caplog.text.count(NO_PROBES.message) == 2


@pytest.mark.parametrize("moment", ["begin", "end"])
async def test_a_defect_of_what_counts_without_ebpf_is_said_in_the_evidence(
    recorder: Recorder, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    async def broken(following: Following) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Following, moment, broken)
    collector.arming = raising(NO_PROBES)
    evidence = await one_run(recorder)
    assert evidence["procfs"] == {"no_totals": "RuntimeError: a bug"}
    assert "not read: RuntimeError: a bug" in render(evidence)


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
    assert availability(recorder) == (), "not 0, which an alert is about"
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.status()["ebpf"]["reason"] == NO_PROBES.message
    assert availability(recorder) == (({}, 0.0),)


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
    assert availability(recorder) == (({}, 0.0),)


def availability(recorder: Recorder) -> tuple[tuple[dict[str, str], float], ...]:
    """Return the samples of the metric that says whether eBPF is available."""
    found = {metric.name: metric.samples for metric in recorder.internal_metrics()}
    return found["chainbench_agent_ebpf_available"]


async def test_a_run_that_measured_nothing_has_no_time_of_its_own(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.lost.set()
    evidence = await one_run(recorder)
    assert not evidence["available"]
    assert not {"measured_from", "measured_to"} & evidence.keys()


async def test_a_run_that_cannot_be_logged_begins_and_ends_all_the_same(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("agent.recording.recorder.tell_of_start", broken)
    monkeypatch.setattr("agent.recording.recorder.tell_of_end", broken)
    with trio.fail_after(5):
        assert verdict(await one_run(recorder)) == "complete"
        assert verdict(await one_run(recorder)) == "complete"
