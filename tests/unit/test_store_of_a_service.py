"""The store of a service: its runs are found and deleted, and whatever spoils it costs no run."""

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
from fakes.runs_to_keep import ANYBODY, evidence_of

from agent.errors import AgentError, ForbiddenUser, InvalidRequest
from agent.keeping.keeper import StoreKeeper
from agent.keeping.reader import StoreReader
from agent.keeping.service import ServiceStore
from agent.keeping.writer import Writer
from agent.model import RunsRequest, StartRequest
from agent.store.errors import StoreError
from agent.store.opening import open_store
from agent.store.place import FILE
from agent.store.retention import Limits
from agent.store.selection import Selection
from agent.store.store import Store

EVERYTHING = RunsRequest({})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE


def spoil(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.fixture
async def keeping(path: Path, nursery: trio.Nursery) -> ServiceStore:
    keeping = ServiceStore(str(path.parent))
    await nursery.start(keeping.keeper.run)
    return keeping


async def test_what_is_kept_can_be_read_and_outlives_the_process(
    keeping: ServiceStore, path: Path
) -> None:
    whole = evidence_of(1)
    await keeping.keeper.keep(whole, "partial", ANYBODY)
    await keeping.keeper.keep(whole, "finished", ANYBODY)
    assert await keeping.reader.evidence(whole["run_id"], None) == {**whole, "state": "finished"}
    with open_store(path) as store:
        [run] = store.select(Selection())
    assert (run.state, run.evidence) == ("finished", whole)


async def test_runs_are_listed_page_by_page_the_newest_first(keeping: ServiceStore) -> None:
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


async def test_runs_are_selected_by_label_verdict_state_and_time(keeping: ServiceStore) -> None:
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


async def test_a_commit_that_could_be_several_is_refused(keeping: ServiceStore) -> None:
    for number, commit in enumerate(("abc1", "abc2")):
        await keeping.keeper.keep(
            evidence_of(number, labels={"commit": commit}), "finished", ANYBODY
        )
    with pytest.raises(InvalidRequest, match="abc1, abc2"):
        await keeping.reader.page(RunsRequest({"commit": "abc"}))


async def test_a_user_sees_runs_of_his_own_only(keeping: ServiceStore) -> None:
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


async def test_what_is_deleted_is_gone_and_only_its_user_may(keeping: ServiceStore) -> None:
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


async def test_what_waits_to_be_written_is_listed_as_it_is_now(
    keeping: ServiceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: of one run the store has an earlier state, of another one nothing."""
    for number, state in ((0, "finished"), (1, "partial"), (2, "finished")):
        await keeping.keeper.keep(evidence_of(number), state, ANYBODY)

    def refuse(*_: object) -> None:
        raise StoreError("no space left on device")

    monkeypatch.setattr(Store, "keep", refuse)
    for number in (1, 3):
        await keeping.keeper.keep(evidence_of(number), "finished", StartRequest(owner=1001))
    monkeypatch.undo()
    assert keeping.keeper.status()["waiting"] == 2

    async def listed(**wanted: Any) -> str:
        page = await keeping.reader.page(RunsRequest({}, **wanted))
        return "".join(run["run_id"][-1] for run in page["runs"])

    assert await listed() == "3210"
    assert await listed(state="finished") == "3210"
    assert await listed(state="partial") == ""
    assert await listed(owner=1001) == "31"
    first = await keeping.reader.page(RunsRequest({}, limit=3))
    assert [run["run_id"][-1] for run in first["runs"]] == ["3", "2", "1"]
    at, number = first["next"].split(",")
    assert await listed(limit=3, before=(float(at), int(number))) == "0"
    for number in (1, 3):
        found = await keeping.reader.evidence(evidence_of(number)["run_id"], 1001)
        assert found == {**evidence_of(number), "state": "finished"}
        with pytest.raises(ForbiddenUser):
            await keeping.reader.evidence(evidence_of(number)["run_id"], 1002)


async def test_two_agents_may_keep_their_runs_in_one_folder(
    keeping: ServiceStore, path: Path, nursery: trio.Nursery
) -> None:
    other = ServiceStore(str(path.parent))
    await nursery.start(other.keeper.run)

    async def keep(own: ServiceStore, numbers: range) -> None:
        for number in numbers:
            for state in ("partial", "finished"):
                await own.keeper.keep(evidence_of(number), state, ANYBODY)

    async with trio.open_nursery() as both:
        both.start_soon(keep, keeping, range(0, 20, 2))
        both.start_soon(keep, other, range(1, 20, 2))
    for agent in (keeping, other):
        assert agent.keeper.status()["lost"] == 0
        listed = (await agent.reader.page(EVERYTHING))["runs"]
        assert {run["run_id"] for run in listed} == {evidence_of(n)["run_id"] for n in range(20)}
        assert {run["state"] for run in listed} == {"finished"}


async def test_a_run_in_progress_that_another_agent_deletes_is_kept_when_it_ends(
    keeping: ServiceStore, path: Path, nursery: trio.Nursery
) -> None:
    other = ServiceStore(str(path.parent))
    await nursery.start(other.keeper.run)
    run = evidence_of(1)
    await keeping.keeper.keep(run, "partial", ANYBODY)
    assert await other.reader.delete(run["run_id"], None)
    await keeping.keeper.keep(run, "finished", ANYBODY)
    [listed] = (await other.reader.page(EVERYTHING))["runs"]
    assert (listed["run_id"], listed["state"]) == (run["run_id"], "finished")


async def test_copies_are_marked_and_can_be_left_out(keeping: ServiceStore) -> None:
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
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
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
    keeping = ServiceStore(str(path.parent))
    await nursery.start(keeping.keeper.run)
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    assert len((await keeping.reader.page(EVERYTHING))["runs"]) == 1
    [aside] = [p for p in path.parent.iterdir() if "damaged" in p.name]
    assert aside.read_bytes().startswith(b"no database")
    assert caplog.text.count(str(aside)) == 1


async def test_a_store_that_breaks_while_it_is_open_is_put_aside(
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(path, b"\0" * 10_000)
    await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert "damaged" in caplog.text
    assert [r["run_id"][-1] for r in (await keeping.reader.page(EVERYTHING))["runs"]] == ["2"]


async def test_a_store_that_is_moved_while_it_is_open_keeps_its_runs(
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
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
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    for file in await trio.Path(path.parent).glob("runs.db*"):
        await file.unlink()
    await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
    assert "moved or removed" in caplog.text
    assert [r["run_id"][-1] for r in (await keeping.reader.page(EVERYTHING))["runs"]] == ["2"]


async def test_what_is_deleted_beyond_the_limits_is_logged(
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with open_store(path) as store:
        store.set_limits(Limits(runs=2))
    for number in range(3):
        await keeping.keeper.keep(evidence_of(number), "finished", ANYBODY)
    assert "deleted beyond the limits: 1 older run" in caplog.text


@pytest.mark.parametrize("version", [99, 0, -1])
async def test_a_schema_that_is_not_known_is_left_alone_and_named(
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture, version: int
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    other = ServiceStore(str(path.parent))
    async with trio.open_nursery() as nursery:
        await nursery.start(other.keeper.run)
        for state in ("partial", "finished"):
            await other.keeper.keep(evidence_of(2), state, ANYBODY)
        status = other.keeper.status()
        nursery.cancel_scope.cancel()
    assert (status["state"], status["waiting"], status["lost"]) == ("failing", 1, 0)
    assert f"schema {version}" in status["reason"]
    assert "Traceback" not in caplog.text
    with pytest.raises(AgentError) as refused:
        await other.reader.page(EVERYTHING)
    assert refused.value.code == "store_unavailable"


async def test_a_locked_store_holds_nobody_up(
    keeping: ServiceStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeping.keeper.keep(evidence_of(1), "finished", ANYBODY)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await keeping.keeper.keep(evidence_of(2), "finished", ANYBODY)
        status = keeping.keeper.status()
        assert (status["state"], status["waiting"]) == ("failing", 1)
        # what there is can be read all the same, and what waits with it
        assert len((await keeping.reader.page(EVERYTHING))["runs"]) == 2
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
    keeping = ServiceStore(str(tmp_path / "file"))
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
