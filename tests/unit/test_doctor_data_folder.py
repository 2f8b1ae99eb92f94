"""``doctor``: whether runs could be kept in the folder of ``--data-dir``."""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.users import as_root

from agent.doctor.as_user import as_user
from agent.doctor.data_folder import folder_of_runs
from agent.doctor.finding import Finding, State, ok
from agent.settings import Settings
from agent.store import schema
from agent.store.opening import open_store
from agent.streams.shared import privileges

IS_ROOT = os.geteuid() == 0
USER = 64_321 if IS_ROOT else os.geteuid()
"""The user that the serving process is."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A path in a folder that every user may reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder) / "data"


def make(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, USER, -1)


def found(path: Path, user: str | None = str(USER) if IS_ROOT else None) -> Finding:
    uid = USER if IS_ROOT else None
    return folder_of_runs(Settings(user=user, data_dir=str(path)), str(path), uid)


def test_it_is_looked_at_and_not_made(folder: Path) -> None:
    assert found(folder) == ok("data_dir", f"{folder} is missing and will be made")
    assert not folder.exists()
    make(folder)
    assert found(folder) == ok("data_dir", f"{folder} is this user's alone")
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    assert "chmod 700" in found(folder).text
    assert found(folder / "a/b").state is State.FAILED


@as_root
def test_as_root_it_needs_a_user(folder: Path) -> None:
    needs = found(folder, user=None)
    assert needs.state is State.FAILED
    assert "needs --user" in needs.text


@as_root
@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_the_user_cannot_reach(folder: Path, is_there: bool) -> None:
    """Root can, so its own look at the folder shows nothing."""
    if is_there:
        make(folder)
    folder.parent.chmod(0o700)
    closed = found(folder)
    assert closed.state is State.WARNING, "the agent starts, and keeps nothing"
    assert f"not be kept: {folder.parent}: Permission denied. The serving" in closed.text
    assert f"uid {USER}" in closed.text


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    """Root may write anywhere, so another user starts this agent."""
    folder.parent.chmod(0o555)

    def question() -> str:
        finding = folder_of_runs(Settings(data_dir=str(folder)), str(folder), None)
        return f"{finding.state.name}: {finding.text}"

    said = as_user(USER, question) if IS_ROOT else question()
    assert said.startswith("FAILED")
    assert "Permission denied" in said


@as_root
@pytest.mark.parametrize("name", ["runs.db", "runs.db-wal", "runs.db-shm", "runs.db-lock"])
def test_files_that_the_user_may_not_write(folder: Path, name: str) -> None:
    make(folder)
    (folder / name).touch(0o600)
    closed = found(folder)
    assert closed.state is State.WARNING
    assert f"{folder / name}: Permission denied" in closed.text
    os.chown(folder / name, USER, -1)
    assert found(folder).state is State.OK


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("put", [link, Path.mkdir])
def test_what_is_no_file(folder: Path, put: Callable[[Path], None]) -> None:
    make(folder)
    put(folder / "runs.db")
    wrong = found(folder)
    assert wrong.state is State.WARNING
    assert f"{folder / 'runs.db'} is a " in wrong.text


def give(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, USER, -1)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {path.name: path.stat() for path in (folder, *folder.iterdir())}
    return {name: (found.st_size, found.st_mtime_ns) for name, found in stats.items()}


def of_another_program(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE theirs (number)")


def of_a_later_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        made.execute(f"PRAGMA user_version = {schema.SCHEMA + 1}")


def no_database(path: Path) -> None:
    path.write_bytes(b"x" * 5000)


def log_alone(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"x")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (of_another_program, "runs would not be kept: {} is the database of another program"),
        (of_a_later_version, "runs would not be kept: {} was written by a later chainbench-agent"),
        (no_database, "it would be renamed, and a new store begun: {} is damaged, or no database"),
        (log_alone, "it would be renamed, and a new store begun: {} is missing or empty, but not"),
    ],
)
def test_a_file_that_is_no_store_of_ours(
    folder: Path, write: Callable[[Path], None], said: str
) -> None:
    folder.mkdir(0o700)
    path = folder / "runs.db"
    write(path)
    give(folder)
    before = state(folder)
    wrong = found(folder)
    assert wrong.state is State.WARNING
    assert wrong.text.startswith(said.format(path))
    assert state(folder) == before


@pytest.mark.parametrize("is_open", [False, True])
def test_a_store_is_looked_at_and_not_changed(folder: Path, is_open: bool) -> None:
    """While an agent has a new one open, all of its tables are in the log."""
    with contextlib.closing(open_store(folder / "runs.db")) as store:
        if not is_open:
            store.close()
        give(folder)
        assert (folder / "runs.db-wal").exists() == is_open
        before = state(folder)
        assert found(folder) == ok("data_dir", f"{folder} is this user's alone")
        assert state(folder) == before


@as_root
def test_a_question_is_answered_by_that_user_or_not_at_all() -> None:
    assert as_user(USER, lambda: f"{os.getuid()} {privileges.effective_capabilities()}") == (
        f"{USER} 0"
    )
    with pytest.raises(OSError, match="No such file"):
        as_user(USER, lambda: Path("/no/such/file").read_text())
    with pytest.raises(OSError, match="the serving process's user has not answered"):
        as_user(USER, lambda: str(1 / 0))
