"""Runs on their way into a store: nobody waits for it for long, and what is not written is said."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from fakes.runs_to_keep import ANYBODY, evidence_of

from agent.errors import ForbiddenUser
from agent.keeping.keeper import MOST_WAITING, PATIENCE_S, RETRY_S, StoreKeeper
from agent.keeping.reader import StoreReader
from agent.model import StartRequest
from agent.store.errors import StoreError
from agent.store.place import FILE
from agent.store.run import KeptRun


class FakeWriter:
    """A writer in memory. ``failing`` raises, and ``stuck`` does not return until it is set."""

    def __init__(self) -> None:
        self.written: list[KeptRun] = []
        self.failing: Exception | None = None
        self.stuck: trio.Event | None = None
        self.closed = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def write(self, run: KeptRun | None) -> None:
        await trio.lowlevel.checkpoint()
        if self.stuck is not None:
            await self.stuck.wait()
        if self.failing is not None:
            raise self.failing
        if run is not None:
            self.written.append(run)

    async def delete(self, run_id: str) -> bool:
        await self.write(None)
        found = [run for run in self.written if run.id == run_id]
        self.written = [run for run in self.written if run.id != run_id]
        return bool(found)

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.closed = True

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(run.id[-3:], run.state) for run in self.written]


def id_of(number: int) -> str:
    run_id = evidence_of(number)["run_id"]
    assert isinstance(run_id, str)
    return run_id


def named_lost(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the ids of the runs that the log says are not kept, sorted."""
    return sorted(re.findall(r"run (\S+) is not kept: .", caplog.text))


@pytest.fixture
def writer() -> FakeWriter:
    return FakeWriter()


@pytest.fixture
async def keeper(writer: FakeWriter, nursery: trio.Nursery) -> StoreKeeper:
    fake: Any = writer
    keeper = StoreKeeper(fake)
    await nursery.start(keeper.run)
    await trio.testing.wait_all_tasks_blocked()
    return keeper


async def test_a_run_is_written_before_its_keeper_returns(
    keeper: StoreKeeper, writer: FakeWriter
) -> None:
    await keeper.keep(evidence_of(1), "partial", ANYBODY)
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    assert writer.states == [("001", "partial"), ("001", "finished")]
    assert keeper.status() == {"state": "keeping", "reason": None, "waiting": 0, "lost": 0}


async def test_what_is_kept_names_its_owner_and_whether_it_is_a_copy(
    keeper: StoreKeeper, writer: FakeWriter
) -> None:
    await keeper.keep(evidence_of(1), "finished", StartRequest(owner=1000, kept_by="client"))
    await keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert [(run.owner, run.copied) for run in writer.written] == [(1000, True), (None, False)]
    assert {run.source for run in writer.written} == {"service"}


async def test_nobody_waits_longer_than_a_second_for_a_store_that_is_stuck(
    keeper: StoreKeeper,
    writer: FakeWriter,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    writer.stuck = trio.Event()
    began = trio.current_time()
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    waited = trio.current_time() - began
    assert waited == pytest.approx(PATIENCE_S, abs=0.1)
    assert keeper.status()["state"] == "failing"
    await keeper.keep(evidence_of(2), "finished", ANYBODY)  # it is known by now
    assert trio.current_time() - began == pytest.approx(waited, abs=0.1)
    writer.stuck.set()
    await trio.testing.wait_all_tasks_blocked()
    assert writer.states == [("001", "finished"), ("002", "finished")]
    assert keeper.status() == {"state": "keeping", "reason": None, "waiting": 0, "lost": 0}
    assert [r.levelname for r in caplog.records if "kept" in r.message] == ["WARNING"] * 2


async def test_a_store_that_fails_is_tried_again_and_named_once(
    keeper: StoreKeeper,
    writer: FakeWriter,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    writer.failing = StoreError("/x/runs.db: no space left on device")
    for number in range(3):
        await keeper.keep(evidence_of(number), "finished", ANYBODY)
    status = keeper.status()
    assert (status["state"], status["waiting"], status["lost"]) == ("failing", 3, 0)
    assert "no space" in status["reason"]
    await trio.sleep(3 * RETRY_S)
    assert caplog.text.count("no space") == 1
    writer.failing = None
    await trio.sleep(2 * RETRY_S)
    assert [number for number, _ in writer.states] == ["000", "001", "002"]
    assert keeper.status()["state"] == "keeping"


async def test_only_the_latest_state_of_a_run_waits(
    keeper: StoreKeeper, writer: FakeWriter, autojump_clock: trio.testing.MockClock
) -> None:
    writer.failing = StoreError("no")
    for state in ("partial", "partial", "finished"):
        await keeper.keep(evidence_of(1), state, ANYBODY)
    assert keeper.status()["waiting"] == 1
    writer.failing = None
    await trio.sleep(2 * RETRY_S)
    assert writer.states == [("001", "finished")]


async def test_so_many_runs_wait_and_those_that_are_lost_are_counted(
    keeper: StoreKeeper,
    writer: FakeWriter,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    writer.failing = StoreError("no")
    for number in range(MOST_WAITING + 3):
        await keeper.keep(evidence_of(number), "finished", ANYBODY)
    status = keeper.status()
    assert (status["waiting"], status["lost"]) == (MOST_WAITING, 3)
    writer.failing = None
    await trio.sleep(2 * RETRY_S)
    assert len(writer.written) == MOST_WAITING
    assert "3 have been lost" in caplog.text
    kept = {run.id for run in writer.written}
    assert named_lost(caplog) == sorted({*map(id_of, range(MOST_WAITING + 3))} - kept)


async def test_what_is_being_written_is_not_counted_as_lost(
    keeper: StoreKeeper, writer: FakeWriter, autojump_clock: trio.testing.MockClock
) -> None:
    writer.stuck = trio.Event()
    for number in range(MOST_WAITING + 3):
        await keeper.keep(evidence_of(number), "finished", ANYBODY)
    writer.stuck.set()
    await trio.sleep(2 * RETRY_S)
    assert writer.states[0] == ("000", "finished")
    assert len(writer.written) + keeper.status()["lost"] == MOST_WAITING + 3


async def test_a_run_that_cannot_be_written_does_not_hold_up_the_next(
    keeper: StoreKeeper, writer: FakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.failing = ValueError("a defect")
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    writer.failing = None
    await keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert writer.states == [("002", "finished")]
    assert keeper.status()["lost"] == 1
    assert named_lost(caplog) == [id_of(1)]


async def test_after_a_defect_runs_are_not_said_to_be_kept_and_each_is_lost_once(
    keeper: StoreKeeper, writer: FakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.failing = KeyError("a defect")
    for number in (1, 2):
        for state in ("partial", "partial", "finished"):
            await keeper.keep(evidence_of(number), state, ANYBODY)
    status = keeper.status()
    assert (status["state"], status["waiting"], status["lost"]) == ("failing", 0, 2)
    assert "KeyError('a defect')" in status["reason"]
    assert caplog.text.count("Traceback") == 1, "the same defect is shown once"
    assert named_lost(caplog) == [id_of(1), id_of(2)]
    writer.failing = None
    await keeper.keep(evidence_of(3), "finished", ANYBODY)
    assert keeper.status() == {"state": "keeping", "reason": None, "waiting": 0, "lost": 2}
    assert "2 have been lost" in caplog.text


async def test_a_run_whose_end_is_kept_is_not_lost(
    keeper: StoreKeeper, writer: FakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.failing = ValueError("a defect")
    await keeper.keep(evidence_of(1), "partial", ANYBODY)
    writer.failing = None
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    assert keeper.status() == {"state": "keeping", "reason": None, "waiting": 0, "lost": 0}
    assert named_lost(caplog) == []


async def test_evidence_that_cannot_be_made_a_kept_run_is_a_lost_run(
    keeper: StoreKeeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.keeping.keeper.runs_of", lambda *_: [])
    for state in ("partial", "finished"):
        await keeper.keep(evidence_of(1), state, ANYBODY)
    status = keeper.status()
    assert (status["state"], status["waiting"], status["lost"]) == ("failing", 0, 1)
    assert named_lost(caplog) == [id_of(1)]


async def test_a_defect_is_said_before_the_first_run(
    writer: FakeWriter, nursery: trio.Nursery
) -> None:
    writer.failing = ValueError("a defect")
    fake: Any = writer
    keeper = StoreKeeper(fake)
    await nursery.start(keeper.run)
    await trio.testing.wait_all_tasks_blocked()
    assert keeper.status()["state"] == "failing"


async def test_a_full_disk_after_a_defect_is_named_as_well(
    keeper: StoreKeeper, writer: FakeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    for number, failing in enumerate((ValueError("a defect"), StoreError("the disk is full"))):
        writer.failing = failing
        await keeper.keep(evidence_of(number), "finished", ANYBODY)
    assert caplog.text.count("the disk is full") == 1


@pytest.mark.parametrize("failing", [StoreError("no"), ValueError("a defect")], ids=repr)
async def test_every_run_that_is_lost_until_the_end_is_named_once(
    writer: FakeWriter,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    failing: Exception,
) -> None:
    writer.failing = StoreError("no")
    fake: Any = writer
    keeper = StoreKeeper(fake)
    async with trio.open_nursery() as nursery:
        await nursery.start(keeper.run)
        for number in range(MOST_WAITING + 5):
            await keeper.keep(evidence_of(number), "partial", ANYBODY)
            await keeper.keep(evidence_of(number), "finished", ANYBODY)
        writer.failing = failing
        nursery.cancel_scope.cancel()
    assert writer.closed
    assert named_lost(caplog) == [id_of(number) for number in range(MOST_WAITING + 5)]
    assert keeper.status()["lost"] == MOST_WAITING + 5


async def test_at_the_end_what_is_left_is_written_or_said_to_be_lost(
    writer: FakeWriter, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    for failing, states in ((None, [("001", "finished")]), (StoreError("no"), [])):
        writer.written.clear()
        writer.failing = StoreError("not yet")
        fake: Any = writer
        keeper = StoreKeeper(fake)
        async with trio.open_nursery() as nursery:
            await nursery.start(keeper.run)
            await keeper.keep(evidence_of(1), "finished", ANYBODY)
            writer.failing = failing
            nursery.cancel_scope.cancel()
        assert writer.states == states
        assert writer.closed
    assert caplog.text.count("is not kept: ") == 1


async def test_what_still_waits_to_be_written_is_not_written_after_it_was_deleted(
    keeper: StoreKeeper, writer: FakeWriter, autojump_clock: trio.testing.MockClock
) -> None:
    writer.failing = StoreError("no")
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    writer.failing = None
    assert await keeper.delete(evidence_of(1)["run_id"])
    await trio.sleep(2 * RETRY_S)
    assert writer.written == []
    assert keeper.status()["waiting"] == 0


async def test_a_deletion_that_the_store_does_not_answer_is_not_said_to_be_done(
    keeper: StoreKeeper, writer: FakeWriter, autojump_clock: trio.testing.MockClock
) -> None:
    writer.stuck = trio.Event()
    with pytest.raises(StoreError, match="not known yet"):
        await keeper.delete(evidence_of(1)["run_id"])


async def test_what_waits_still_does_after_a_deletion_that_failed(
    keeper: StoreKeeper, writer: FakeWriter, autojump_clock: trio.testing.MockClock
) -> None:
    writer.failing = StoreError("no")
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    with pytest.raises(StoreError):
        await keeper.delete(evidence_of(1)["run_id"])
    assert keeper.status()["waiting"] == 1
    writer.failing = None
    await trio.sleep(2 * RETRY_S)
    assert writer.states == [("001", "finished")]


@pytest.mark.parametrize("patience_s", [0.1, 2 * PATIENCE_S], ids=["client left", "timed out"])
async def test_what_waits_still_does_after_a_deletion_that_failed_when_nobody_waited_any_more(
    keeper: StoreKeeper,
    writer: FakeWriter,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    patience_s: float,
) -> None:
    writer.failing = StoreError("the disk is full")
    await keeper.keep(evidence_of(1), "finished", ANYBODY)
    writer.stuck = trio.Event()
    with trio.move_on_after(patience_s), contextlib.suppress(StoreError):
        await keeper.delete(evidence_of(1)["run_id"])
    writer.stuck.set()
    await trio.testing.wait_all_tasks_blocked()
    assert keeper.status()["waiting"] == 1
    assert "could not be deleted: the disk is full" in caplog.text
    writer.failing = None
    await trio.sleep(2 * RETRY_S)
    assert writer.states == [("001", "finished")]


async def test_what_still_waits_to_be_written_only_its_user_may_delete(
    keeper: StoreKeeper, writer: FakeWriter, tmp_path: Path
) -> None:
    reader = StoreReader(tmp_path / FILE, keeper)
    writer.failing = StoreError("no")
    await keeper.keep(evidence_of(1), "finished", StartRequest(owner=1000))
    with pytest.raises(ForbiddenUser):
        await reader.delete(evidence_of(1)["run_id"], 1001)
    assert keeper.status()["waiting"] == 1
    writer.failing = None
    assert await reader.delete(evidence_of(1)["run_id"], 1000)
    assert keeper.status()["waiting"] == 0
