"""A run whose tree has ended while its client was gone, or on its way: it ends by itself, once."""

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.abc
import trio.testing
from fakes.collector import FakeCollector, raising
from fakes.recording import NO_PROBES, REQUEST, one_run, verdict, waits
from fakes.waiting import eventually

from agent.errors import NotRunning, RunInProgress, ScopeError
from agent.model import TREES, Scope, StartRequest
from agent.processes.serving import _keep_partial_evidence
from agent.recording.recorder import LOOK_S, Recorder
from agent.streams.shared.namespaces import process_exists
from agent.words import Json

OF_A_TREE = replace(REQUEST, scope=Scope("pid", pid=4711))
ENDED_NS = 250_000_000
"""Of a run of one second, which begins at 0."""

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's /proc")


@pytest.fixture
async def abandoned(recorder: Recorder, collector: FakeCollector) -> str:
    """The id of a run in progress whose tree has just ended, which nobody has noticed yet."""
    run_id = str((await recorder.start(OF_A_TREE))["run_id"])
    collector.happen(1_000, 2_000)
    collector.tree_ended_ns = ENDED_NS
    assert recorder.status()["state"] == "running"
    return run_id


async def noticed() -> None:
    await trio.sleep(2 * LOOK_S)


async def test_it_ends_by_itself(
    recorder: Recorder, collector: FakeCollector, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    await noticed()
    assert (recorder.status()["state"], recorder.status()["run_id"]) == ("idle", "")
    assert collector.calls.count("stop") == 1
    evidence = recorder.evidence(abandoned)
    assert evidence is not None
    assert recorder.last_evidence() == evidence
    assert (evidence["ended_by"], verdict(evidence)) == ("scope", "complete")
    assert evidence["runqlat"]["count"] == 2


async def test_the_end_of_the_run_is_the_end_of_the_tree(
    recorder: Recorder, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    await noticed()
    evidence = await recorder.stop()
    assert evidence["duration_s"] == ENDED_NS / 1e9
    assert evidence["started_at"] <= evidence["measured_to"] <= evidence["stopped_at"]


@pytest.mark.parametrize("after_s", [0.0, LOOK_S / 2, 2 * LOOK_S, 1e6])
async def test_a_stop_gets_its_evidence_whenever_it_comes(
    recorder: Recorder,
    collector: FakeCollector,
    abandoned: str,
    after_s: float,
    autojump_clock: trio.abc.Clock,
) -> None:
    await trio.sleep(after_s)
    assert (await recorder.stop())["run_id"] == abandoned
    assert collector.calls.count("stop") == 1
    with pytest.raises(NotRunning):
        await recorder.stop()


async def test_one_of_many_stops_while_it_ends_gets_its_evidence(
    recorder: Recorder,
    collector: FakeCollector,
    abandoned: str,
    gate: trio.Event,
    autojump_clock: trio.abc.Clock,
) -> None:
    collector.stopping = gate.wait
    await noticed()
    assert recorder.status()["state"] == "stopping"
    outcomes: list[str] = []

    async def client() -> None:
        try:
            outcomes.append((await recorder.stop())["run_id"])
        except NotRunning:
            outcomes.append("not running")

    async with trio.open_nursery() as clients:
        for _ in range(5):
            clients.start_soon(client)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert sorted(outcomes) == sorted([abandoned, *["not running"] * 4])
    assert collector.calls.count("stop") == 1


@NEEDS_PROC
async def test_a_start_need_not_wait_until_it_is_noticed(
    recorder: Recorder, collector: FakeCollector, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    before = trio.current_time()
    collector.arming = another(collector)
    started = await recorder.start(REQUEST)
    assert trio.current_time() == before
    assert recorder.evidence(abandoned) is not None
    assert (await recorder.stop())["run_id"] == started["run_id"] != abandoned


def another(collector: FakeCollector) -> Callable[[], Awaitable[None]]:
    """Return a hook for the arming of the next run, whose tree has not ended."""

    async def hook() -> None:
        await trio.lowlevel.checkpoint()
        collector.tree_ended_ns = None

    return hook


async def test_one_of_many_starts_follows_it(
    recorder: Recorder,
    collector: FakeCollector,
    abandoned: str,
    gate: trio.Event,
    autojump_clock: trio.abc.Clock,
) -> None:
    """Those that come while it ends wait for that, and are not refused because of it."""
    collector.arming = another(collector)
    collector.stopping = gate.wait
    outcomes: list[str] = []

    async def client() -> None:
        try:
            outcomes.append(str((await recorder.start(REQUEST))["run_id"]))
        except RunInProgress as error:
            outcomes.append(f"refused for {error.run_id}")

    async with trio.open_nursery() as clients:
        for _ in range(3):
            clients.start_soon(client)
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == []
        gate.set()
    winner = recorder.status()["run_id"]
    assert sorted(outcomes) == sorted([winner, *[f"refused for {winner}"] * 2])


async def test_once_another_run_has_begun_a_stop_is_about_that(
    recorder: Recorder, collector: FakeCollector, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    await noticed()
    collector.tree_ended_ns = None
    other = await one_run(recorder)
    assert other["run_id"] != abandoned
    with pytest.raises(NotRunning):
        await recorder.stop()
    assert recorder.evidence(abandoned) is not None


async def test_a_start_that_is_refused_leaves_its_evidence_to_the_stop(
    recorder: Recorder, collector: FakeCollector, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    await noticed()
    collector.arming = raising(ScopeError("there is none", code="no_such_process"))
    with pytest.raises(ScopeError):
        await recorder.start(OF_A_TREE)
    assert (await recorder.stop())["run_id"] == abandoned


@pytest.mark.parametrize("scope", [Scope(), Scope("cgroup", cgroup="/x")])
async def test_another_scope_never_ends_by_itself(
    recorder: Recorder, collector: FakeCollector, scope: Scope, autojump_clock: trio.abc.Clock
) -> None:
    collector.tree_ended_ns = ENDED_NS
    await recorder.start(replace(REQUEST, scope=scope))
    await trio.sleep(100 * LOOK_S)
    assert recorder.status()["state"] == "running"
    assert (await recorder.stop())["ended_by"] == "stop"


async def test_a_run_that_a_client_ends_lasts_until_then(
    recorder: Recorder, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    """Nobody had noticed yet that its tree has ended."""
    evidence = await recorder.stop()
    assert (evidence["ended_by"], evidence["duration_s"]) == ("stop", 1.0)


async def test_the_series_count_it_once(
    recorder: Recorder, abandoned: str, autojump_clock: trio.abc.Clock
) -> None:
    await noticed()
    await recorder.stop()
    assert waits(recorder) == 2


@pytest.mark.parametrize("kind", TREES)
async def test_one_that_measures_nothing_ends_with_its_process(
    recorder: Recorder,
    collector: FakeCollector,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: trio.abc.Clock,
    kind: str,
) -> None:
    """If not even /proc shows its descendants, and nothing of them is counted."""
    alive = {OF_A_TREE.scope.pid}
    monkeypatch.setattr("agent.recording.recorder.process_exists", alive.__contains__)
    collector.arming = raising(NO_PROBES)
    await recorder.start(replace(REQUEST, scope=Scope(kind, pid=OF_A_TREE.scope.pid)))
    await noticed()
    assert recorder.status()["state"] == "running"
    alive.clear()
    await noticed()
    assert recorder.status()["state"] == "idle"
    evidence = await recorder.stop()
    assert (evidence["available"], evidence["ended_by"]) == (False, "scope")


@NEEDS_PROC
@pytest.mark.parametrize("kind", ["pid", "caller"])
@pytest.mark.thorough
async def test_one_without_ebpf_ends_with_the_last_process_that_was_followed(
    recorder: Recorder, collector: FakeCollector, kind: str
) -> None:
    collector.arming = raising(NO_PROBES)
    with parent() as (shell, child):
        await recorder.start(StartRequest(scope=Scope(kind, pid=shell.pid)))
        shell.communicate("end\n")
        await noticed()
        assert recorder.status()["state"] == "running", "a child of it lives on"
        os.kill(child, signal.SIGKILL)
        await trio.to_thread.run_sync(eventually, lambda: not process_exists(child))
        await noticed()
    assert recorder.status()["state"] == "idle"
    evidence = await recorder.stop()
    assert (evidence["ended_by"], evidence["procfs"]["tasks"]["processes"]) == ("scope", 2)


@pytest.mark.thorough
@NEEDS_PROC
async def test_a_start_need_not_wait_until_the_end_of_such_a_tree_is_noticed(
    recorder: Recorder, collector: FakeCollector
) -> None:
    collector.arming = raising(NO_PROBES)
    with parent() as (shell, child):
        os.kill(child, signal.SIGKILL)
        await recorder.start(StartRequest(scope=Scope("pid", pid=shell.pid)))
        shell.kill()
        shell.wait()
        await trio.to_thread.run_sync(eventually, lambda: not process_exists(child))
        assert (await recorder.start(REQUEST))["status"] == "started"


@contextmanager
def parent() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Have a process that waits for a line and then ends, and the pid of its child, which stays."""
    script = "sleep 60 >/dev/null & echo $!; read go"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        try:
            yield shell, child
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


# --- a run that ends because the agent does


async def test_a_stop_that_meets_the_end_of_the_agent_gets_the_evidence(
    recorder: Recorder,
    collector: FakeCollector,
    gate: trio.Event,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await recorder.start(REQUEST)
    collector.stopping = gate.wait
    answers: list[Json] = []

    async def client() -> None:
        answers.append(await recorder.stop())

    nursery.start_soon(_keep_partial_evidence, recorder)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(client)
    await trio.testing.wait_all_tasks_blocked()
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert [verdict(answer) for answer in answers] == ["complete"]
    assert answers[0]["run_id"] in caplog.text, "its log has it all the same"
    assert collector.calls.count("stop") == 1
    with pytest.raises(NotRunning):
        await recorder.stop()


async def test_a_stop_after_that_gets_it_too(recorder: Recorder) -> None:
    """Its client has just been told by /status that the run is in progress."""
    started = await recorder.start(REQUEST)
    await _keep_partial_evidence(recorder)
    assert (await recorder.stop())["run_id"] == started["run_id"]
