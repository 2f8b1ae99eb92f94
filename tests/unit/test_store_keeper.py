"""Runs on their way into a store: nobody waits for it for long, and what is not written is said."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from fakes.sample_evidence import evidence as sample_evidence

from agent.errors import AgentError, ForbiddenUser, InvalidRequest
from agent.keeping.keeper import MOST_WAITING, PATIENCE_S, RETRY_S, StoreKeeper
from agent.keeping.reader import StoreReader
from agent.keeping.service import Keeping
from agent.keeping.writer import Writer
from agent.model import RunsRequest, StartRequest
from agent.store.errors import StoreError
from agent.store.opening import open_store
from agent.store.place import FILE
from agent.store.retention import Limits
from agent.store.run import KeptRun
from agent.store.selection import Selection
from agent.words import Json

ANYBODY = StartRequest()
EVERYTHING = RunsRequest({})


def evidence_of(number: int, **changes: Any) -> Json:
    run_id = f"00000000-0000-4000-8000-{number:012}"
    at = f"2026-03-01T10:{number // 60:02}:{number % 60:02}.000+00:00"
    return sample_evidence(run_id=run_id, started_at=at, **changes)


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
    assert evidence_of(1)["run_id"] in caplog.text


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


# --- with a store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def spoil(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.fixture
async def keeping(path: Path, nursery: trio.Nursery) -> Keeping:
    keeping = Keeping(str(path.parent))
    await nursery.start(keeping.keeper.run)
    return keeping


async def test_what_is_kept_can_be_read_and_outlives_the_process(
    keeping: Keeping, path: Path
) -> None:
    whole = evidence_of(1)
    await keeping.keeper.keep(whole, "partial", ANYBODY)
    await keeping.keeper.keep(whole, "finished", ANYBODY)
    assert await keeping.reader.evidence(whole["run_id"], None) == {**whole, "state": "finished"}
    with open_store(path) as store:
        [run] = store.select(Selection())
    assert (run.state, run.evidence) == ("finished", whole)


async def test_runs_are_listed_page_by_page_the_newest_first(keeping: Keeping) -> None:
    for number in range(7):
        await keeping.keeper.keep(evidence_of(number), "finished", ANYBODY)
    seen, before = [], None
    for _ in range(3):
        page = await keeping.reader.page(RunsRequest({}, limit=3, before=before))
        seen.append([run["run_id"][-1] for run in page["runs"]])
        if page["next"]:
            at, number = page["next"].split(",")
            before = (float(at), int(number))
    assert seen == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    assert page["next"] is None


async def test_runs_are_selected_by_label_verdict_state_and_time(keeping: Keeping) -> None:
    complete = {"verdict": "complete", "reasons": []}
    labels = {"scenario": "optimized", "commit": "abc"}
    await keeping.keeper.keep(evidence_of(0), "partial", ANYBODY)
    await keeping.keeper.keep(evidence_of(1, completeness=complete), "finished", ANYBODY)
    await keeping.keeper.keep(evidence_of(2, labels=labels), "finished", ANYBODY)

    async def found(**wanted: Any) -> str:
        page = await keeping.reader.page(RunsRequest(**{"labels": {}, **wanted}))
        return "".join(run["run_id"][-1] for run in page["runs"])

    assert await found() == "210"
    assert await found(labels={"scenario": "optimized"}) == "2"
    assert await found(labels={"scenario": "nothing"}) == ""
    assert await found(verdict="complete") == "1"
    assert await found(state="partial") == "0"
    at = (await keeping.reader.page(EVERYTHING))["runs"][1]["started_at"]
    second = datetime.fromisoformat(at).timestamp()
    assert await found(since=second) == "21"
    assert await found(until=second) == "0"


async def test_a_commit_that_could_be_several_is_refused(keeping: Keeping) -> None:
    for number, commit in enumerate(("abc1", "abc2")):
        await keeping.keeper.keep(
            evidence_of(number, labels={"commit": commit}), "finished", ANYBODY
        )
    with pytest.raises(InvalidRequest, match="abc1, abc2"):
        await keeping.reader.page(RunsRequest({"commit": "abc"}))


async def test_a_user_sees_runs_of_his_own_only(keeping: Keeping) -> None:
    for number, owner in enumerate((1000, 1001, None)):
        await keeping.keeper.keep(evidence_of(number), "finished", StartRequest(owner=owner))
    page = await keeping.reader.page(RunsRequest({}, owner=1001))
    assert [run["run_id"][-1] for run in page["runs"]] == ["1"]
    mine, others = evidence_of(1)["run_id"], evidence_of(0)["run_id"]
    assert await keeping.reader.evidence(mine, 1001) is not None
    for read in (keeping.reader.evidence, keeping.reader.hlog):
        with pytest.raises(ForbiddenUser):
            await read(others, 1001)
        assert await read(others, None) is not None


async def test_what_is_deleted_is_gone_and_only_its_user_may(keeping: Keeping) -> None:
    for number, owner in ((0, None), (1, 1001)):
        await keeping.keeper.keep(evidence_of(number), "finished", StartRequest(owner=owner))
    mine, others = evidence_of(1)["run_id"], evidence_of(0)["run_id"]
    with pytest.raises(ForbiddenUser):
        await keeping.reader.delete(others, 1001)
    assert await keeping.reader.delete(mine, 1001)
    assert not await keeping.reader.delete(mine, 1001)
    listed = (await keeping.reader.page(EVERYTHING))["runs"]
    assert [run["run_id"] for run in listed] == [others]
    assert await keeping.reader.delete(others, None)
    assert (await keeping.reader.page(EVERYTHING))["runs"] == []


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


async def test_copies_are_marked_and_can_be_left_out(keeping: Keeping) -> None:
    await keeping.keeper.keep(evidence_of(0), "finished", StartRequest(kept_by="client"))
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    listed = (await keeping.reader.page(EVERYTHING))["runs"]
    assert [run["copied"] for run in listed] == [False, True]
    others = await keeping.reader.page(RunsRequest({}, copies=False))
    assert [run["run_id"][-1] for run in others["runs"]] == ["1"]


async def test_before_anything_is_kept_there_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / FILE
    reader = StoreReader(path, StoreKeeper(Writer(path)))
    assert await reader.page(EVERYTHING) == {"runs": [], "next": None}
    assert await reader.evidence("x", None) is None


@contextmanager
def closed_to_us(folder: Path) -> Iterator[None]:
    """Let nobody into a folder meanwhile; root, whom no mode keeps out, is somebody else then."""
    user, mode = os.geteuid(), folder.stat().st_mode
    folder.chmod(0)
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)


async def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closed_to_us(path.parent):
        for read in (keeping.reader.page(EVERYTHING), keeping.reader.evidence("x", None)):
            with pytest.raises(AgentError, match="Permission denied") as raised:
                await read
            assert raised.value.code == "store_unavailable"
        await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert "moved or removed" not in caplog.text
    seen = (await keeping.reader.page(EVERYTHING))["runs"]
    assert [run["run_id"][-1] for run in seen] == ["2", "1"]


async def test_garbage_is_put_aside_and_a_new_store_begun(
    path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(path, b"no database at all" * 1000)
    keeping = Keeping(str(path.parent))
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    assert len((await keeping.reader.page(EVERYTHING))["runs"]) == 1
    [aside] = [p for p in path.parent.iterdir() if "damaged" in p.name]
    assert aside.read_bytes().startswith(b"no database")
    assert caplog.text.count(str(aside)) == 1


async def test_a_store_that_breaks_while_it_is_open_is_put_aside(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(path, b"\0" * 10_000)
    await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert "damaged" in caplog.text
    assert [r["run_id"][-1] for r in (await keeping.reader.page(EVERYTHING))["runs"]] == ["2"]


async def test_a_store_that_is_moved_while_it_is_open_keeps_its_runs(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        await keeping.keeper.keep(evidence_of(number), "finished", ANYBODY)
    moved = path.with_name("moved.db")
    await trio.Path(path).rename(moved)
    await keeping.keeper.keep(evidence_of(3), "finished", ANYBODY)
    assert "moved or removed" in caplog.text
    assert [r["run_id"][-1] for r in (await keeping.reader.page(EVERYTHING))["runs"]] == ["3"]
    with open_store(moved) as store:
        assert [run.id[-1] for run in store.select(Selection())] == ["1", "2"]


async def test_a_store_that_is_removed_while_it_is_open_is_said_and_begun_anew(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    for file in await trio.Path(path.parent).glob("runs.db*"):
        await file.unlink()
    await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert "moved or removed" in caplog.text
    assert [r["run_id"][-1] for r in (await keeping.reader.page(EVERYTHING))["runs"]] == ["2"]


async def test_what_is_deleted_beyond_the_limits_is_logged(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with open_store(path) as store:
        store.set_limits(Limits(runs=2))
    for number in range(3):
        await keeping.keeper.keep(evidence_of(number), "finished", ANYBODY)
    assert "deleted beyond the limits: 1 older run" in caplog.text


async def test_a_newer_schema_is_left_alone_and_named(
    keeping: Keeping, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    newer = Keeping(str(path.parent))
    async with trio.open_nursery() as nursery:
        await nursery.start(newer.keeper.run)
        await newer.keeper.keep(evidence_of(2), "finished", ANYBODY)
        status = newer.keeper.status()
        nursery.cancel_scope.cancel()
    assert (status["state"], status["waiting"]) == ("failing", 1)
    assert "99" in status["reason"]
    with pytest.raises(AgentError) as refused:
        await newer.reader.page(EVERYTHING)
    assert refused.value.code == "store_unavailable"


async def test_a_locked_store_holds_nobody_up(
    keeping: Keeping, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
        status = keeping.keeper.status()
        assert (status["state"], status["waiting"]) == ("failing", 1)
        # what there is can be read all the same
        assert len((await keeping.reader.page(EVERYTHING))["runs"]) == 1
        other.execute("COMMIT")
    with trio.fail_after(60):
        while keeping.keeper.status()["waiting"]:  # noqa: ASYNC110  there is no event for it
            await trio.sleep(0.05)
    assert len((await keeping.reader.page(EVERYTHING))["runs"]) == 2
    levels = [r.levelno for r in caplog.records if r.name == "agent.keeping"]
    assert levels == [logging.WARNING] * 2


async def test_a_folder_that_cannot_be_written_to_is_named(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """A file stands where the folder should be; for root there is nothing that is not writable."""
    (tmp_path / "file").touch()
    keeping = Keeping(str(tmp_path / "file"))
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    assert keeping.keeper.status()["state"] == "failing"
    assert str(tmp_path / "file") in caplog.text


async def test_the_thread_closes_the_store_and_ends(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        writer = Writer(path)
        await nursery.start(writer.run)
        await writer.write(None)
        await writer.close()
    with open_store(path) as store:
        assert store.select(Selection()) == []
