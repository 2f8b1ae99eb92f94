"""Files of a store that are damaged, foreign, of another version, locked, full or being written."""

import contextlib
import json
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from fakes.kept import held_by_another, ids, keep_in, kept, pairs, single
from fakes.run_command import fakes_process
from fakes.waiting import PATIENCE_SECONDS

from agent.store import errors, opening, place, schema
from agent.store.errors import Damaged, StoreError
from agent.store.opening import begin_anew, open_store, open_to_read
from agent.store.selection import Selection
from agent.store.store import Store

ALL = Selection()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def read_all(store: Store) -> None:
    assert store.limits
    list(store.find(ALL))
    entry = store.entry("last")
    store.series(entry.id)
    store.runs(entry)


# --- what is not a store of ours


@pytest.mark.parametrize(
    "content", [b"garbage" * 1000, b"x" * 20, b"SQLite format 3\0" + b"\xff" * 5000], ids=len
)
def test_garbage_is_put_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(content)
    with pytest.raises(Damaged):
        open_store(path)
    with pytest.raises(Damaged):
        open_to_read(path)
    aside: list[Path] = []
    with open_store(path, aside.append) as store:
        store.keep(*kept(single()))
    assert len(ids(path)) == 1
    [kept_aside] = aside
    assert kept_aside.parent == path.parent
    assert kept_aside.read_bytes() == content
    with open_store(path, aside.append):
        pass
    assert len(aside) == 1


def test_a_store_that_breaks_later_is_put_aside_too(path: Path) -> None:
    keep_in(path, *(single() for _ in range(30)))
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    store = open_store(path)
    with pytest.raises(Damaged):
        store.keep(*kept(single()))
    store, aside = begin_anew(store)
    with store:
        store.keep(*kept(single()))
    assert aside is not None
    assert aside.read_bytes()[8192:] == b"\xa5" * (len(whole) - 8192)
    assert len(ids(path)) == 1


def test_a_store_that_another_process_has_begun_anew_stays(path: Path) -> None:
    first, second = open_store(path), open_store(path)
    first, aside = begin_anew(first)
    assert aside is not None
    first.keep(*kept(single()))
    second, aside = begin_anew(second)
    assert aside is None
    with first, second:
        assert len(list(second.find(ALL))) == 1


def test_a_store_that_was_moved_is_whole_once_it_is_closed(path: Path) -> None:
    with open_store(path) as store:
        store.keep(*kept(single()))
        moved = path.rename(path.with_name("moved.db"))
    assert len(ids(moved)) == 1
    keep_in(path, single())  # the log that was left is empty


def test_the_log_of_a_file_that_is_gone_is_not_deleted(path: Path) -> None:
    store = open_store(path)
    store.keep(*kept(single()))
    log = path.with_name("runs.db-wal")
    content = log.read_bytes()
    path.rename(path.with_name("moved.db"))
    with pytest.raises(Damaged, match="missing or empty, but not its log"):
        open_store(path)
    assert log.read_bytes() == content
    aside: list[Path] = []
    open_store(path, aside.append).close()
    assert Path(f"{aside[0]}-wal").read_bytes() == content
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO limits VALUES ('evil', 3)",
        "INSERT INTO limits VALUES ('runs', 'many')",
        "UPDATE runs SET at = 'long ago'",
        "UPDATE runs SET kernel = x'0011'",
        "UPDATE runs SET id = '../../escaped'",
        "UPDATE series SET id = '../../escaped'",
        "UPDATE series SET summary = 'text'",
        "UPDATE documents SET evidence = 'text'",
    ],
)
def test_a_store_of_somebody_elses_making_is_damaged(path: Path, change: str) -> None:
    keep_in(path, pairs(2) if "series" in change else single())
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change + (" WHERE number = 1" if "SET id" in change else ""))
    with open_to_read(path) as store, pytest.raises(Damaged, match="damaged"):
        read_all(store)


def test_a_later_schema_is_refused_and_left(path: Path) -> None:
    keep_in(path, single())
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")
    before = path.read_bytes()
    for opened in (open_store, open_to_read):
        with pytest.raises(StoreError, match=f"schema {schema.SCHEMA + 1}.*update this one"):
            opened(path)
    assert path.read_bytes() == before


def test_a_schema_that_nothing_leads_on_from_is_refused_and_left(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_in(path, single())
    monkeypatch.setattr(schema, "SCHEMA", 4)
    monkeypatch.setattr(schema, "STEPS", {1: "SELECT 1", 3: "SELECT 1"})
    for version in (0, -1, -(2**31), 1, 2):
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(f"PRAGMA user_version = {version}")
        before = path.read_bytes()
        for opened in (open_store, open_to_read, opening._opened_read_only):
            with pytest.raises(StoreError, match=f"schema {version}, .*move it away") as raised:
                opened(path)
            assert not isinstance(raised.value, Damaged), "or it would be put aside"
        assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_store(path, lambda aside: pytest.fail("it is not ours to put aside"))
    assert path.read_bytes() == before


def test_a_file_gives_pages_back_and_a_commit_waits_for_no_disk(path: Path) -> None:
    keep_in(path, single())
    with open_store(path) as store:
        found = {
            name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("auto_vacuum", "journal_mode", "synchronous", "foreign_keys")
        }
    incremental, normal = 2, 1
    assert found == {
        "auto_vacuum": incremental,
        "journal_mode": "wal",
        "synchronous": normal,
        "foreign_keys": 1,
    }
    assert errors.LOCKED_S == 30, "as the pages say"


# --- others at work


def test_a_store_that_stays_locked_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "LOCKED_S", 0.1)
    keep_in(path, single())
    with open_store(path) as store, held_by_another(path):
        with pytest.raises(StoreError, match=r"another process has locked it for 0\.1 s"):
            store.keep(*kept(single()))
        assert len(list(store.find(ALL))) == 1


def test_a_writer_waits_for_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try_to_begin, found_it_locked = Store._has_begun, threading.Event()

    def noticed(store: Store, or_raise: bool) -> bool:
        if not (begun := try_to_begin(store, or_raise)):
            found_it_locked.set()
        return begun

    keep_in(path, single())
    monkeypatch.setattr(Store, "_has_begun", noticed)
    with open_store(path) as store:
        with held_by_another(path):
            waiting = threading.Thread(target=store.keep, args=kept(single()))
            waiting.start()
            assert found_it_locked.wait(PATIENCE_SECONDS)
        waiting.join()
    assert len(ids(path)) == 2


def test_opening_waits_while_another_process_makes_the_store(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "LOCKED_S", 0.1)
    with (
        place.folder_of(path) as folder,
        place.locked(folder, path),
        pytest.raises(StoreError, match="another process has locked"),
    ):
        open_store(path)
    with open_store(path) as store:
        assert list(store.find(ALL)) == []


def test_many_processes_make_one_store(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from fakes.kept import keep_in, single\n"
        "keep_in(Path(sys.argv[1]), single())\n"
    )
    writers = [fakes_process(code, path) for _ in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert len(ids(path)) == 8


def test_what_is_read_is_json_of_the_same_numbers(path: Path) -> None:
    document = single() | {"exact": 2**63 + 1, "small": 5e-324, "text": "\ud800 ü", "whole": 10.0}
    keep_in(path, document)
    with open_to_read(path) as store:
        [run] = store.select(ALL)
    assert json.dumps(run.evidence["exact"]) == str(2**63 + 1)
    assert (run.evidence["small"], run.evidence["text"]) == (5e-324, "\ud800 ü")
    assert run.evidence["whole"] == 10
