"""``doctor``: whether runs could be kept in the folder of ``--data-dir``."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.doctor.as_user import as_user
from agent.doctor.data_folder import folder_of_runs
from agent.doctor.finding import Finding, State, ok
from agent.settings import Settings
from agent.streams.shared import privileges

IS_ROOT = os.geteuid() == 0
USER = 64_321 if IS_ROOT else os.geteuid()
"""The user that the serving process is."""

as_root = pytest.mark.skipif(not IS_ROOT, reason="only root can become other users")


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


@pytest.mark.skipif(IS_ROOT, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    folder.parent.chmod(0o555)
    assert found(folder).state is State.FAILED


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


@as_root
def test_a_question_is_answered_by_that_user_or_not_at_all() -> None:
    assert as_user(USER, lambda: f"{os.getuid()} {privileges.effective_capabilities()}") == (
        f"{USER} 0"
    )
    with pytest.raises(OSError, match="No such file"):
        as_user(USER, lambda: Path("/no/such/file").read_text())
    with pytest.raises(OSError, match="the serving process's user has not answered"):
        as_user(USER, lambda: str(1 / 0))
