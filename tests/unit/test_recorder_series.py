"""The recorder's part of /metrics: it advances during a run, and no counter goes back."""

import contextlib
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from fakes.collector import FakeCollector, raising
from fakes.recording import NO_PROBES, REQUEST, SERIES, waits
from fakes.totals import Shown
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.series import SeriesStore
from agent.errors import NotRunning, RunInProgress
from agent.recording.recorder import Recorder


async def test_a_refresh_shows_what_has_happened(
    recorder: Recorder, collector: FakeCollector
) -> None:
    await recorder.start(REQUEST)
    collector.happen(1_000, 2_000)
    assert waits(recorder) == 0
    await recorder.refresh()
    assert waits(recorder) == 2


async def test_many_refreshes_at_once_are_one(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event
) -> None:
    await recorder.start(REQUEST)
    collector.refreshing = gate.wait
    async with trio.open_nursery() as scrapes:
        for _ in range(50):
            scrapes.start_soon(recorder.refresh)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert collector.calls.count("refresh") == 1
    await recorder.refresh()
    assert collector.calls.count("refresh") == 2


async def test_a_scrape_that_leaves_does_not_hold_up_the_others(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    await recorder.start(REQUEST)
    collector.refreshing = gate.wait
    with trio.CancelScope() as scrape:
        async with trio.open_nursery() as leaving:
            leaving.start_soon(recorder.refresh)
            await trio.testing.wait_all_tasks_blocked()
            scrape.cancel()
    gate.set()
    collector.happen(1_000)
    await recorder.refresh()
    assert waits(recorder) == 1


@pytest.mark.parametrize("state", ["idle", "arming", "unavailable"])
async def test_there_is_nothing_to_refresh(
    recorder: Recorder,
    collector: FakeCollector,
    gate: trio.Event,
    nursery: trio.Nursery,
    state: str,
) -> None:
    if state != "idle":
        collector.arming = gate.wait if state == "arming" else raising(NO_PROBES)
        nursery.start_soon(recorder.start, REQUEST)
        await trio.testing.wait_all_tasks_blocked()
    await recorder.refresh()
    assert "refresh" not in collector.calls


async def test_a_refresh_that_ends_after_the_stop_changes_nothing(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    await recorder.start(REQUEST)
    collector.happen(1_000)
    collector.refreshing = gate.wait
    nursery.start_soon(recorder.refresh)
    await trio.testing.wait_all_tasks_blocked()
    collector.happen(2_000)
    assert (await recorder.stop())["runqlat"]["count"] == 2
    shown = recorder.series.get(SERIES)
    # the next run is in progress when the old refresh returns
    await recorder.start(REQUEST)
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.series.get(SERIES) == shown
    assert waits(recorder) == 2


Counters = dict[tuple[str, ...], float]


def counted(recorder: Recorder) -> Counters:
    """Return everything on /metrics that may only grow."""
    counters: Counters = {
        (metric.name, *labels.values()): value
        for metric in recorder.internal_metrics()
        if metric.type == "counter"
        for labels, value in metric.samples
    }
    series = recorder.series.get(SERIES)
    if series is not None and (runqlat := Shown(series).runqlat) is not None:
        counters |= {("cell", str(i)): n for i, n in enumerate(runqlat.bucket_counts)}
        counters["runqlat sum",] = runqlat.sum_us
        counters["execs",] = Shown(series).exec_count or 0
        counters |= {("syscalls", name): n for name, n in (Shown(series).syscalls or {}).items()}
        counters |= {("runs", result): n for result, n in series.runs.items()}
    return counters


async def start(recorder: Recorder, collector: FakeCollector) -> None:
    await recorder.start(REQUEST)


async def stop(recorder: Recorder, collector: FakeCollector) -> None:
    await recorder.stop()


async def refresh(recorder: Recorder, collector: FakeCollector) -> None:
    await recorder.refresh()


async def happen(recorder: Recorder, collector: FakeCollector) -> None:
    if recorder.status()["armed"]["runqlat"]:
        collector.happen(1_000, 70_000)


async def lose(recorder: Recorder, collector: FakeCollector) -> None:
    collector.lost.set()


Act = Callable[[Recorder, FakeCollector], Awaitable[None]]
ACTS: list[Act] = [start, stop, refresh, happen, lose]


@given(st.lists(st.lists(st.sampled_from(ACTS), min_size=1, max_size=3), max_size=25))
def test_whatever_happens_and_at_once_no_counter_goes_back(steps: list[list[Act]]) -> None:
    async def attempt(act: Act, recorder: Recorder, collector: FakeCollector) -> None:
        with contextlib.suppress(RunInProgress, NotRunning):
            await act(recorder, collector)

    async def main() -> None:
        collector = FakeCollector()
        recorder = Recorder(collector, "machine", SeriesStore())
        async with trio.open_nursery() as nursery:
            await nursery.start(recorder.run)
            before = counted(recorder)
            for acts in steps:
                async with trio.open_nursery() as at_once:
                    for act in acts:
                        at_once.start_soon(attempt, act, recorder, collector)
                after = counted(recorder)
                assert all(after.get(name, -1) >= value for name, value in before.items())
                before = after
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
