"""The recorder hands every run to the keeper: as it begins, every ten seconds, and in the end."""

from dataclasses import replace

import pytest
import trio
import trio.testing
from fakes.busy_runs import Busy
from fakes.collector import FakeCollector, raising
from fakes.recording import NO_PROBES, REQUEST, one_run

from agent.aggregate.series import SeriesStore
from agent.errors import InvalidRequest
from agent.model import Scope, StartRequest
from agent.recording import document
from agent.recording.keeping import INTERVAL_S
from agent.recording.recorder import Recorder
from agent.words import Json

Kept = list[tuple[str, Json]]


class Notebook:
    """A keeper in memory."""

    def __init__(self) -> None:
        self.kept: Kept = []
        self.requests: list[StartRequest] = []
        self.store: Json = {"state": "keeping", "reason": None, "waiting": 0, "lost": 0}

    async def keep(self, evidence: Json, state: str, request: StartRequest) -> None:
        await trio.lowlevel.checkpoint()
        self.kept.append((state, evidence))
        self.requests.append(request)

    def status(self) -> Json:
        return self.store

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.kept]


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
async def recorder(
    collector: FakeCollector,
    notebook: Notebook,
    nursery: trio.Nursery,
) -> Recorder:
    recorder = Recorder(collector, "machine", SeriesStore(), keeper=notebook)
    await nursery.start(recorder.run)
    await trio.testing.wait_all_tasks_blocked()
    return recorder


async def test_a_run_is_kept_as_it_begins_and_whole_once_it_has_ended(
    recorder: Recorder, notebook: Notebook
) -> None:
    started = await recorder.start(REQUEST)
    [(state, entered)] = notebook.kept
    assert (state, entered["run_id"], entered["available"]) == (
        *("partial", started["run_id"]),
        False,
    )
    assert entered["completeness"]["verdict"] == "invalid"
    assert entered["labels"]["scenario"] == "baseline"
    evidence = await recorder.stop()
    assert notebook.kept[1:] == [("finished", evidence)]


async def test_metrics_say_whether_runs_are_kept_where_they_are(
    recorder: Recorder, collector: FakeCollector, notebook: Notebook
) -> None:
    def of_the_store(recorder: Recorder) -> dict[str, float]:
        name = "chainbench_agent_store_"
        return {
            metric.name.removeprefix(name): value
            for metric in recorder.internal_metrics()
            if metric.name.startswith(name)
            for _, value in metric.samples
        }

    kept = {"writable": 1, "runs_waiting": 0, "runs_lost_total": 0}
    assert of_the_store(recorder) == kept
    notebook.store = {"state": "failing", "reason": "no", "waiting": 16, "lost": 3}
    assert of_the_store(recorder) == {"writable": 0, "runs_waiting": 16, "runs_lost_total": 3}
    assert of_the_store(Recorder(collector, "machine", SeriesStore())) == {}


async def test_a_long_run_is_kept_every_ten_seconds_with_what_there_is(
    recorder: Recorder,
    collector: FakeCollector,
    notebook: Notebook,
    autojump_clock: trio.testing.MockClock,
) -> None:
    await recorder.start(REQUEST)
    for seconds in (1, 2):
        collector.happen(*(1_000,) * seconds)
        await trio.sleep(INTERVAL_S + 1)
    await recorder.stop()
    states, kept = notebook.states, [evidence for _, evidence in notebook.kept]
    assert states == ["partial"] * (len(kept) - 1) + ["finished"]
    assert [evidence["runqlat"]["count"] for evidence in kept[1:3]] == [1, 3]
    for unfinished in kept[1:-1]:
        assert unfinished["completeness"]["verdict"] == "invalid"
        assert unfinished["timeline"]["events"][-1] == unfinished["runqlat"]["count"]
        assert not {"ended_by", "measured_to"} & unfinished.keys()
        assert unfinished["wall"] == kept[-1]["wall"], "a run of the whole machine has none"


async def test_of_a_run_that_goes_on_the_wall_time_is_not_said_to_be_lost(
    recorder: Recorder, notebook: Notebook, autojump_clock: trio.testing.MockClock
) -> None:
    await recorder.start(replace(REQUEST, scope=Scope("pid", pid=1)))
    await trio.sleep(INTERVAL_S + 1)
    await recorder.stop()
    wall = notebook.kept[1][1]["wall"]
    assert wall == {"available": False, "reason": document.UNFINISHED}


async def test_what_a_short_run_writes_is_its_entry_and_its_end(
    recorder: Recorder, notebook: Notebook, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing is written in the first ten seconds, in which a benchmark would measure it."""
    await recorder.start(REQUEST)
    await trio.sleep(INTERVAL_S - 0.1)
    await recorder.stop()
    await trio.sleep(2 * INTERVAL_S)
    assert notebook.states == ["partial", "finished"]


async def test_every_field_of_an_unfinished_run_is_one_of_a_finished_one(
    notebook: Notebook, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    recorder = Recorder(Busy(), "box", SeriesStore(), keeper=notebook)
    await nursery.start(recorder.run)
    await recorder.start(REQUEST)
    await trio.sleep(1.5 * INTERVAL_S)
    evidence = await recorder.stop()
    for _, unfinished in notebook.kept[:-1]:
        assert unfinished.keys() - evidence.keys() <= {"reason"}
    assert {"runqlat", "biolatency", "offcpu", "exec"} <= notebook.kept[1][1].keys()


async def test_a_refused_start_is_not_kept(
    recorder: Recorder, collector: FakeCollector, notebook: Notebook
) -> None:
    collector.arming = raising(InvalidRequest("no such cgroup", code="no_such_cgroup"))
    with pytest.raises(InvalidRequest):
        await recorder.start(REQUEST)
    assert notebook.kept == []


async def test_a_run_that_measures_nothing_is_kept_with_the_reason(
    recorder: Recorder, collector: FakeCollector, notebook: Notebook
) -> None:
    collector.arming = raising(NO_PROBES)
    evidence = await one_run(recorder)
    assert notebook.states == ["partial", "finished"]
    assert {kept["reason"] for _, kept in notebook.kept} == {evidence["reason"]}


async def test_a_run_that_the_agents_end_cuts_short_is_aborted(
    recorder: Recorder, notebook: Notebook
) -> None:
    await recorder.start(REQUEST)
    evidence = await recorder.stop_as_agent_ends()
    assert notebook.kept[-1] == ("aborted", evidence)


async def test_what_cannot_be_read_for_now_ends_neither_the_run_nor_the_agent(
    recorder: Recorder,
    collector: FakeCollector,
    notebook: Notebook,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    await recorder.start(REQUEST)
    collector.refreshing = raising(OSError(5, "Input/output error"))
    await trio.sleep(3 * INTERVAL_S)
    evidence = await recorder.stop()
    assert evidence["completeness"]["verdict"] == "complete"
    assert notebook.states == ["partial", "finished"]
    assert evidence["run_id"] in caplog.text


async def test_whoever_asked_for_the_run_is_noted(recorder: Recorder, notebook: Notebook) -> None:
    request = StartRequest(owner=1000, kept_by="client")
    await recorder.start(request)
    await recorder.stop(1000)
    assert notebook.requests == [request, request]


async def test_without_a_store_nothing_is_written_and_the_status_says_so(
    collector: FakeCollector, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    recorder = Recorder(collector, "machine", SeriesStore())
    await nursery.start(recorder.run)
    await recorder.start(REQUEST)
    await trio.sleep(2 * INTERVAL_S)
    await recorder.stop()
    assert "so_far" not in collector.calls
    assert recorder.status()["store"]["state"] == "off"
