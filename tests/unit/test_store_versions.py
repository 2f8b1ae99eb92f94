"""A store of an earlier version: it is read as it is, and brought up to date by whoever may."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from fakes.kept import ids, kept, pairs

from agent.store import migration, opening, schema
from agent.store.errors import StoreError
from agent.store.opening import open_store, open_to_read
from agent.store.retention import Limits
from agent.store.selection import Selection

ALL = Selection()
VERSION_1 = Path(__file__).parent / "golden" / "store-1.sql"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def restored(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA auto_vacuum = INCREMENTAL")
        made.execute("PRAGMA journal_mode = WAL")
        made.executescript(script)


def test_a_store_of_version_1_is_read(path: Path) -> None:
    restored(path, VERSION_1.read_text())
    with open_store(path) as store:
        found = list(store.find(ALL))
        assert [run.side for run in found] == [None, "optimized", "baseline"]
        single_run, *in_series = found
        assert (single_run.wall_ms, single_run.verdict) == (12.5, "degraded")
        series = store.series(str(in_series[0].series))
        assert series is not None
        assert series.summary["series"]["ended_by"] == "runs"
        assert [run.evidence["available"] for run in store.select(ALL)] == [True] * 3
        assert store.limits == Limits(runs=77)
        store.keep(*kept(pairs(1)))
    assert len(ids(path)) == 5


def test_every_version_has_a_fixture() -> None:
    fixtures = {found.name for found in VERSION_1.parent.glob("store-*.sql")}
    assert fixtures == {f"store-{version}.sql" for version in range(1, schema.SCHEMA + 1)}


def test_an_earlier_store_is_brought_up_to_date_by_whoever_may(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored(path, VERSION_1.read_text())
    newest = schema.SCHEMA
    monkeypatch.setattr(schema, "SCHEMA", newest + 1)
    monkeypatch.setattr(schema, "STEPS", {newest: "CREATE INDEX runs_by_label ON runs (variant)"})
    with pytest.raises(StoreError, match="cannot be brought up to date"):
        opening._opened_read_only(path)
    with open_to_read(path) as store:
        assert len(list(store.find(ALL))) == 3
        assert schema.version_of(store._connection) == newest + 1
    assert path.with_name(f"runs.db.schema-{newest}").exists()


def test_a_migration_makes_a_copy_first_and_is_whole(path: Path) -> None:
    restored(path, VERSION_1.read_text())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        steps = {1: "ALTER TABLE runs ADD COLUMN x", 2: "UPDATE runs SET x = 'migrated'"}
        copy = migration.migrate(connection, path, steps, 3)
        assert connection.execute("SELECT DISTINCT x FROM runs").fetchall() == [("migrated",)]
        assert schema.version_of(connection) == 3
    assert mode(copy) == 0o600
    with open_store(copy) as store:
        assert len(list(store.find(ALL))) == 3


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    restored(path, VERSION_1.read_text())
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        steps = {1: "ALTER TABLE runs ADD COLUMN x", 2: "UPDATE nothing SET x = 1"}
        with pytest.raises(sqlite3.Error):
            migration.migrate(connection, path, steps, 3)
    with open_store(path) as store:
        assert len(list(store.find(ALL))) == 3
