"""A stop that names its run ends that run, and gets its evidence; no other run is touched."""

from typing import Any

import pytest
import trio
import trio.testing
from fakes.collector import FakeCollector, raising
from fakes.recording import REQUEST, one_run

from agent.errors import ForbiddenUser, NotRunning, ScopeError
from agent.model import Scope, StartRequest
from agent.recording.recorder import LOOK_S, Recorder

OF_A_TREE = StartRequest(scope=Scope("pid", pid=4711))


async def begun(recorder: Recorder, request: StartRequest = REQUEST) -> str:
    return str((await recorder.start(request))["run_id"])


async def test_it_ends_its_run_and_can_be_repeated(
    recorder: Recorder, collector: FakeCollector
) -> None:
    run_id = await begun(recorder)
    evidence = await recorder.stop_run(run_id)
    assert evidence is not None
    assert evidence["run_id"] == run_id
    theirs = await begun(recorder)
    assert await recorder.stop_run(run_id) == evidence
    assert recorder.status()["run_id"] == theirs
    assert collector.calls.count("stop") == 1


async def test_a_run_that_is_not_known_is_none_of_the_others(recorder: Recorder) -> None:
    theirs = await begun(recorder)
    assert await recorder.stop_run("no such run") is None
    assert recorder.status()["run_id"] == theirs


async def test_all_that_come_while_it_ends_get_its_evidence(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    run_id = await begun(recorder)
    collector.stopping = gate.wait
    answers: list[dict[str, Any] | None] = []

    async def client() -> None:
        answers.append(await recorder.stop_run(run_id))

    nursery.start_soon(recorder.stop)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(3):
        nursery.start_soon(client)
    await trio.testing.wait_all_tasks_blocked()
    assert not answers
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [recorder.evidence(run_id)] * 3
    assert collector.calls.count("stop") == 1


async def test_during_arming_it_waits_for_it(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    collector.arming = gate.wait
    nursery.start_soon(recorder.start, REQUEST)
    await trio.testing.wait_all_tasks_blocked()
    run_id = recorder.status()["run_id"]
    nursery.start_soon(recorder.stop_run, run_id)
    await trio.testing.wait_all_tasks_blocked()
    assert "stop" not in collector.calls
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert recorder.evidence(run_id) is not None


async def test_a_run_that_never_began_has_no_evidence(
    recorder: Recorder, collector: FakeCollector, gate: trio.Event, nursery: trio.Nursery
) -> None:
    async def refuse() -> None:
        await gate.wait()
        await raising(ScopeError("there is no process 1", code="no_such_process"))()

    async def start() -> None:
        with pytest.raises(ScopeError):
            await recorder.start(REQUEST)

    answers: list[object] = []

    async def stop() -> None:
        answers.append(await recorder.stop_run(recorder.status()["run_id"]))

    collector.arming = refuse
    nursery.start_soon(start)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(stop)
    await trio.testing.wait_all_tasks_blocked()
    gate.set()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [None]


async def test_the_evidence_of_a_run_that_ended_by_itself_is_claimed(
    recorder: Recorder, collector: FakeCollector
) -> None:
    run_id = await begun(recorder, OF_A_TREE)
    collector.tree_ended_ns = 1_000
    await trio.sleep(2 * LOOK_S)
    assert (await recorder.stop_run(run_id) or {})["ended_by"] == "scope"
    with pytest.raises(NotRunning):
        await recorder.stop()


@pytest.mark.thorough
async def test_that_of_another_is_left_to_the_next_stop(
    recorder: Recorder, collector: FakeCollector
) -> None:
    earlier = await one_run(recorder)
    run_id = await begun(recorder, OF_A_TREE)
    collector.tree_ended_ns = 1_000
    await trio.sleep(2 * LOOK_S)
    assert await recorder.stop_run(earlier["run_id"]) == earlier
    assert (await recorder.stop())["run_id"] == run_id


async def test_a_user_ends_runs_of_his_own(recorder: Recorder) -> None:
    run_id = await begun(recorder, StartRequest(owner=1000))
    with pytest.raises(ForbiddenUser):
        await recorder.stop_run(run_id, 1001)
    assert recorder.status()["state"] == "running"
    assert await recorder.stop_run(run_id, 1000)
    with pytest.raises(ForbiddenUser):
        await recorder.stop_run(run_id, 1001)
